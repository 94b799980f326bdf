// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Sekimori's data plane: two programs at the host side of every ENI, `to_eni` (tc egress) and `from_eni`
 * (tc ingress). Every packet gets one reason, and every reason one action and one counter.
 *
 * An interface that is not in the tables, or has no valid policy, drops.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "events.h"
#include "guard.h"
#include "reset.h"
#include "shadow.h"
#include "verdicts.h"
#include "vlan.h"

char LICENSE[] SEC("license") = "GPL";

/*
 * Interface numbers are unique only within a network namespace, so an interface is found by the
 * namespace's cookie and its number. bpf_get_netns_cookie tells the namespace of a packet's socket, which is
 * the sender's or none, not the interface's; so each namespace gets a copy of the programs, with its cookie
 * written here. Zero is for runs without an interface, whose packets belong to the caller's namespace.
 */
volatile const __u64 NETNS = 0;

/*
 * In a copy of the programs behind those of another version, which decide: it notes each flow that they let begin, and counts,
 * tells and keeps back nothing.
 */
volatile const __u32 LOOKS_ON = 0;

#define HEADERS (ETH_HLEN + 40)
/* More than where the packet begins in any frame that is read: what the verifier wants to see. */
#define L3_MASK 31

static __always_inline struct eni *eni_of(struct __sk_buff *skb, __u32 *slot)
{
	struct port_key key = { .netns = NETNS ? NETNS : bpf_get_netns_cookie(skb), .ifindex = skb->ifindex };
	struct eni *eni = hinted_eni(&key, slot);
	__u32 *found;

	if (eni)
		return eni;
	found = bpf_map_lookup_elem(&ports, &key);
	if (!found)
		return 0;
	*slot = *found;
	return eni_at(slot, &key);
}

/*
 * Neighbour and router discovery must come from the link (RFC 4861: hop limit 255, and never in
 * fragments); listener reports from a link-local or unspecified address.
 */
static __always_inline int is_discovery(const struct packet *packet)
{
	const struct tuple *tuple = &packet->tuple;
	const union ip *source = tuple->direction == INGRESS ? &tuple->peer : &tuple->local;
	__u8 type = tuple->source_port >> 8;

	if (!tuple->v6 || tuple->protocol != PROTO_ICMPV6 || packet->fragment_first)
		return 0;
	if (type >= 133 && type <= 137)
		return packet->hop_limit == 255;
	if ((type >= 130 && type <= 132) || type == 143)
		return (source->bytes[0] == 0xfe && (source->bytes[1] & 0xc0) == 0x80) ||
		       (source->halves[0] == 0 && source->halves[1] == 0);
	return 0;
}

/* Ends a live flow. With reset, the entry stays for a moment so that the RSTs find their way. */
static __always_inline enum reason end_flow(const struct eni *eni, const struct flow_key *key, struct flow *flow)
{
	if ((eni->flags & ENI_RESET) && key->protocol == PROTO_TCP)
		note_progress(flow, key->eni, key->protocol, FLOW_CUT);
	else
		delete_flow(key, flow, flow->flags & FLOW_V6);
	return REASON_FLOW_ENDED;
}

/* Continues a flow, or says that there is none (REASON_NO_POLICY, which no flow can end with). */
static __always_inline enum reason continue_flow(struct __sk_buff *skb, const struct eni *eni, struct scratch *work,
						 __u64 now)
{
	const struct packet *packet = &work->packet;
	const struct flow_key *key = &work->key;
	struct flow *flow = find_flow(key, packet->tuple.v6);

	if (!flow)
		return REASON_NO_POLICY;
	if (begins_anew(flow, key->protocol, packet->tcp_flags) || has_expired(eni, key->protocol, flow, now)) {
		delete_flow(key, flow, packet->tuple.v6);
		return REASON_NO_POLICY;
	}
	if (flow->progress & FLOW_CUT)
		return packet->tcp_flags & TCP_RST ? REASON_KNOWN_FLOW : REASON_FLOW_ENDED;
	if (!still_allowed(eni, key, flow, work))
		return end_flow(eni, key, flow);
	flow->stamp = cleared(*(volatile __u64 *)&flow->stamp, &work->clearance);
	if (!(flow->flags & FLOW_FOREIGN) != !work->foreign)
		flow->flags ^= FLOW_FOREIGN;
	work->finding.rule = 0;
	advance(flow, skb, key->eni, key->protocol, packet->tuple.direction, packet->tcp_flags, now);
	return REASON_KNOWN_FLOW;
}

/* An error about a known flow passes like the flow itself. */
static __always_inline int reports_known_flow(struct __sk_buff *skb, const struct eni *eni, struct scratch *work,
					      __u64 now)
{
	const struct packet *packet = &work->packet;
	struct flow_key *key = &work->quoted_key;
	struct flow *flow;
	__u16 icmp_id = 0;

	if (!is_icmp(&packet->tuple) || !is_icmp_error(packet->tuple.protocol, packet->tuple.source_port >> 8))
		return 0;
	if (parse_quoted(skb, packet, &work->quoted, &icmp_id) < 0 || !flow_key_of(&work->quoted, icmp_id, key))
		return 0;
	flow = find_flow(key, work->quoted.v6);
	if (!flow || (flow->progress & FLOW_CUT) || has_expired(eni, key->protocol, flow, now))
		return 0;
	if ((eni->flags & ENI_SOURCE_CHECK) && !is_own(eni, &packet->tuple))
		return 0;
	return still_allowed(eni, key, flow, work);
}

/* Begins a flow for a packet that the rules allow, in the place of one that has ended if there is one. */
static __always_inline enum reason begin_flow(struct __sk_buff *skb, const struct eni *eni, struct scratch *work,
					      struct flow *ended)
{
	const struct tuple *tuple = &work->packet.tuple;
	const struct finding *finding = &work->finding;
	struct flow *flow = &work->flow;
	enum reason refusal;
	int half_open;
	long error;

	/* An ICMP message begins a flow when it asks, not when it answers. */
	if (is_icmp(tuple) && query_of(tuple->protocol, tuple->source_port >> 8) != tuple->source_port >> 8)
		return finding->reason;
	__builtin_memset(flow, 0, sizeof(*flow));
	flow->stamp = cleared(finding->stamp, &work->clearance);
	flow->seen_ns = coarse_ns();
	flow->rule = finding->rule;
	flow->flags = (tuple->direction == EGRESS ? FLOW_EGRESS : 0) | (tuple->v6 ? FLOW_V6 : 0) |
		      (finding->untracked ? FLOW_UNTRACKED : 0) | (tuple->forwarded ? FLOW_FORWARDED : 0) |
		      (work->foreign ? FLOW_FOREIGN : 0);
	flow->packets[0] = segments_of(skb);
	flow->bytes[0] = skb->len;
	half_open = is_half_open(tuple->protocol, flow->flags, 0);
	/* What has ended keeps its room, for what begins in its place. */
	refusal = !ended ? take_room(tuple->eni, tuple->v6, half_open) : half_open ? open_half(tuple->eni) : 0;
	if (refusal)
		return refusal;
	flow->other = meet_other_end(skb, eni, work);
	if (ended) {
		begin_again(ended, flow, tuple->eni);
		work->begun = 1;
		return finding->reason;
	}
	error = insert_flow(&work->key, flow, tuple->v6);
	work->begun = !error;
	if (error) {
		give_room_back(tuple->eni, tuple->v6);
		if (half_open)
			settle_half_open(tuple->eni);
	}
	/* -EEXIST: the other CPU was first, with the same answer. */
	return error && error != -17 ? REASON_TABLE_FULL : finding->reason;
}

/* What becomes of a packet that no flow answers for, once the rules have been asked. */
static __always_inline enum reason settle_new(struct __sk_buff *skb, const struct eni *eni, struct scratch *work,
					      struct flow *ended)
{
	struct packet *packet = &work->packet;
	struct finding *finding = &work->finding;
	enum reason reason = finding->reason;

	if (reason == REASON_BYPASS || reason == REASON_SPOOFED || reason == REASON_NO_POLICY)
		return reason;
	if (packet->tuple.protocol == PROTO_TCP && !begins_connection(packet->tcp_flags)) {
		finding->rule = 0;
		return REASON_MID_STREAM;
	}
	if (passes(reason) && has_strayed(skb, eni)) {
		finding->rule = 0;
		return REASON_SPOOFED;
	}
	if ((eni->flags & ENI_SHADOW) && reason != REASON_CHANGING)
		compare(&packet->tuple, finding);
	if (!passes(reason) || !flow_key_of(&packet->tuple, packet->icmp_id, &work->key))
		return reason;
	reason = begin_flow(skb, eni, work, ended);
	/* It is not the rule that has no room. */
	if (!passes(reason))
		finding->rule = 0;
	return reason;
}

/* Asks the network ACL and the rules, or whoever asked them before. */
static __always_inline enum reason consult(const struct eni *eni, struct scratch *work)
{
	const struct tuple *tuple = &work->packet.tuple;
	__u32 now = coarse_ns() >> VERDICT_TICK_SHIFT;
	__u64 service = service_mark(tuple), stamp = stamp_of(eni);
	struct verdict *verdict = verdict_about(tuple, service);
	__u16 flags = *(volatile __u16 *)&eni->flags;
	enum reason reason;

	if (verdict && answers(verdict, tuple, service, flags, eni, stamp, now))
		return recall(verdict, work);
	reason = REASON_ACL_DENY;
	if (clears_acl(eni, tuple, &work->clearance)) {
		evaluate(tuple, &work->finding);
		reason = work->finding.reason;
	}
	if (verdict && flags == *(volatile __u16 *)&eni->flags)
		note(verdict, work, service, stamp, flags, reason, now);
	return reason;
}

/* The way of a plain packet that begins a flow, maybe in the place of one that has ended: `look` has read it. */
static __always_inline enum reason judge_plain(struct __sk_buff *skb, const struct eni *eni, struct scratch *work,
					       struct flow *ended)
{
	enum reason reason = REASON_NO_POLICY;

	if (*(volatile __u64 *)&eni->policy) {
		work->foreign = is_foreign(eni, &work->packet.tuple);
		reason = consult(eni, work);
		if (reason != REASON_ACL_DENY)
			reason = settle_new(skb, eni, work, ended);
	}
	if (ended && !work->begun && flow_key_of(&work->packet.tuple, 0, &work->key))
		delete_flow(&work->key, ended, work->packet.tuple.v6);
	return reason;
}

/* Asks the rules about any other packet that no flow answers for. */
static __always_inline enum reason judge_new(struct __sk_buff *skb, const struct eni *eni, struct scratch *work)
{
	evaluate(&work->packet.tuple, &work->finding);
	return settle_new(skb, eni, work, 0);
}

static __always_inline enum reason judge_ip(struct __sk_buff *skb, const struct eni *eni, struct scratch *work)
{
	__u64 now = coarse_ns();
	struct packet *packet = &work->packet;
	enum reason reason = REASON_NO_POLICY;

	work->foreign = is_foreign(eni, &packet->tuple);
	if (packet->fragment_later)
		return judge_fragment(work, now);
	if (parse_transport(skb, packet) < 0)
		return REASON_MALFORMED;
	if (is_discovery(packet))
		return judge_discovery(skb, eni);
	if (!clears_acl(eni, &packet->tuple, &work->clearance))
		return REASON_ACL_DENY;
	if (flow_key_of(&packet->tuple, packet->icmp_id, &work->key))
		reason = continue_flow(skb, eni, work, now);
	if (reason == REASON_NO_POLICY)
		reason = reports_known_flow(skb, eni, work, now) ? REASON_KNOWN_ERROR : judge_new(skb, eni, work);
	if (packet->fragment_first && passes(reason))
		admit_fragments(work, now);
	return reason;
}

static __always_inline enum reason judge_frame(struct __sk_buff *skb, const struct eni *eni, struct scratch *work)
{
	struct packet *packet = &work->packet;
	struct ethhdr *eth;
	void *data, *end;
	__be16 kind;

	if (skb->data_end - skb->data < HEADERS)
		bpf_skb_pull_data(skb, skb->len < HEADERS ? skb->len : HEADERS);
	data = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	eth = data;
	if ((void *)(eth + 1) > end)
		return REASON_MALFORMED;
	if (packet->tuple.direction == EGRESS && (eni->flags & ENI_SOURCE_CHECK) && !same_mac(eth->h_source, eni->mac))
		return REASON_SPOOFED;
	packet->l3 = ETH_HLEN;
	kind = eth->h_proto;
	if (is_vlan(kind)) {
		kind = strip_tags(skb, packet, kind);
		bpf_skb_pull_data(skb, skb->len < packet->l3 + 40 ? skb->len : packet->l3 + 40);
		data = (void *)(long)skb->data;
		end = (void *)(long)skb->data_end;
	}
	if (kind == bpf_htons(ETH_P_ARP))
		return judge_arp(skb, eni);
	if (!*(volatile __u64 *)&eni->policy)
		return REASON_NO_POLICY;
	data += *(volatile __u32 *)&packet->l3 & L3_MASK;
	if (kind == bpf_htons(ETH_P_IP)) {
		if (parse_v4(packet, data, end, skb->len) < 0)
			return REASON_MALFORMED;
	} else if (kind == bpf_htons(ETH_P_IPV6)) {
		if (parse_v6(skb, packet, data, end) < 0)
			return REASON_MALFORMED;
	} else {
		return REASON_NOT_IP;
	}
	return judge_ip(skb, eni, work);
}

static __always_inline void count(struct __sk_buff *skb, __u32 slot, __u8 direction, enum reason reason, __u32 rule)
{
	struct reason_counts *counts = bpf_map_lookup_elem(&reason_counters, &slot);
	__u32 segments = segments_of(skb), block = rule / COUNTERS_TOGETHER;
	struct counter_block *counters;
	struct counter *counter;

	if (counts)
		counts->packets[direction & 1][reason & (REASONS - 1)] += segments;
	if (!rule)
		return;
	counters = bpf_map_lookup_elem(&rule_counters, &block);
	if (counters) {
		counter = &counters->counters[rule & (COUNTERS_TOGETHER - 1)];
		counter->packets += segments;
		counter->bytes += skb->len;
	}
}

/* The one place where a reason becomes an action. */
static __always_inline int action_of(enum reason reason)
{
	switch (reason) {
	case REASON_BYPASS:
	case REASON_KNOWN_FLOW:
	case REASON_KNOWN_ERROR:
	case REASON_KNOWN_FRAGMENT:
	case REASON_RULE_ALLOW:
	case REASON_INTRA_GROUP:
	case REASON_DEFAULT_ALLOW:
	case REASON_PLATFORM_ALLOW:
		return PASS;
	case REASON_RULE_DENY:
	case REASON_DEFAULT_DENY:
	case REASON_FLOW_ENDED:
	case REASON_SPOOFED:
	case REASON_MID_STREAM:
	case REASON_FRAGMENT:
	case REASON_MALFORMED:
	case REASON_NO_POLICY:
	case REASON_TABLE_FULL:
	case REASON_CHANGING:
	case REASON_NOT_IP:
	case REASON_PLATFORM_DENY:
	case REASON_ACL_DENY:
	case REASON_HALF_OPEN:
		return TC_ACT_SHOT;
	}
	return TC_ACT_SHOT;
}

/*
 * The way of every packet that the short way does not pass. A call has five arguments at most, so two of them share one. Not static, so that the
 * verifier walks it once.
 */
__noinline int judge_packet(struct __sk_buff *skb, const struct eni *eni, __u32 slot, __u32 direction_and_standing,
				   struct flow *ended)
{
	enum standing standing = direction_and_standing >> 8;
	__u8 direction = direction_and_standing;
	enum reason reason = REASON_NO_POLICY;
	__u32 rule = 0, zero = 0;
	struct scratch *work = bpf_map_lookup_elem(&scratch, &zero);

	if (eni && work) {
		if (standing != STANDING_NEW) {
			__builtin_memset(&work->packet, 0, sizeof(work->packet));
			work->packet.tuple.eni = slot;
			work->packet.tuple.direction = direction;
		}
		work->packet.tuple.forwarded = direction == INGRESS && (eni->flags & ENI_SENDER_GROUPS) &&
					       (skb->mark & MARK_FORWARDED);
		work->finding.rule = 0;
		work->finding.stamp = 0;
		work->foreign = 0;
		work->begun = 0;
		reason = standing == STANDING_NEW ? judge_plain(skb, eni, work, ended) : judge_frame(skb, eni, work);
		rule = work->finding.rule;
		if (direction == EGRESS)
			mark_sender(skb, work->foreign);
	}
	if (LOOKS_ON)
		return PASS;
	count(skb, eni ? slot : 0, direction, reason, rule);
	if (eni && work)
		tell_if_wanted(skb, eni, work, reason);
	if (reason == REASON_FLOW_ENDED && eni && work && (eni->flags & ENI_RESET) &&
	    work->packet.tuple.protocol == PROTO_TCP && !work->packet.fragment_first && !send_resets(skb, work))
		return PASS;
	return action_of(reason);
}

/*
 * Gives a packet to the ENI that it can go straight to, if that knows its flow, or if it begins one there as well: then it is judged there,
 * as if the router had brought it. Anything else the router brings.
 */
static __always_inline int go_straight(struct __sk_buff *skb, struct eni *end, __u32 slot, enum standing standing)
{
	struct flow *flow = 0;
	enum standing there = look_there(skb, end, slot, &flow);

	if (there == STANDING_KNOWN)
		count(skb, slot, INGRESS, REASON_KNOWN_FLOW, 0);
	else if (there != STANDING_NEW || standing != STANDING_NEW)
		return PASS;
	else if (judge_packet(skb, end, slot, INGRESS | there << 8, flow) != PASS)
		return TC_ACT_SHOT;
	return cross(skb, end);
}

static __always_inline int handle(struct __sk_buff *skb, __u8 direction)
{
	__u32 slot = 0;
	struct flow *flow = 0;
	struct eni *eni = eni_of(skb, &slot), *end;
	enum standing standing = eni ? look(skb, eni, slot, direction, &flow) : STANDING_UNREAD;

	if (standing != STANDING_KNOWN || !flow) {
		int action = judge_packet(skb, eni, slot, direction | standing << 8, flow);

		if (direction == INGRESS || standing != STANDING_NEW || action != PASS || LOOKS_ON)
			return action;
		slot = routed_end(skb, eni);
	} else {
		if (LOOKS_ON)
			return PASS;
		count(skb, slot, direction, REASON_KNOWN_FLOW, 0);
		if (direction == INGRESS)
			return PASS;
		slot = flow->other;
	}
	end = slot ? other_end(skb, eni, &slot) : 0;
	return end ? go_straight(skb, end, slot, standing) : PASS;
}

SEC("classifier")
int to_eni(struct __sk_buff *skb)
{
	return handle(skb, INGRESS);
}

SEC("classifier")
int from_eni(struct __sk_buff *skb)
{
	return handle(skb, EGRESS);
}
