/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Live flows: one entry per flow and ENI, found from both directions, in a table for each IP version. The meaning is core::flow's.
 *
 * An entry remembers the policy version and the membership epoch that judged it last. A change leaves the
 * entries alone; the next packet of a flow finds that the stamp differs and is judged again.
 */
#pragma once

#include "budget.h"
#include "clock.h"
#include "policy.h"

/*
 * Working memory of one run: the stack is too small for it. tc programs run with bottom halves off, so
 * one per CPU is enough.
 */
struct scratch {
	struct packet packet;
	struct flow_key key;
	struct finding finding;
	struct clearance clearance;
	struct flow flow;
	struct tuple first;
	struct tuple quoted;
	struct flow_key quoted_key;
	struct flow_key mirrored;
	struct fragment_key fragment;
	struct bpf_fib_lookup route;
	__u32 foreign; /* whether the ENI has it from another, or for another */
	__u32 begun;   /* whether the packet began a flow */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratch SEC(".maps");

#define SECOND 1000000000ull
#define FRAGMENT_LIFE (30 * SECOND)

static __always_inline int begins_connection(__u8 flags)
{
	return (flags & (TCP_SYN | TCP_ACK | TCP_FIN | TCP_RST)) == TCP_SYN;
}

static __always_inline int is_closed(__u8 progress)
{
	__u8 fins = FLOW_FIN_FIRST | FLOW_FIN_REPLY;

	return (progress & (FLOW_RST | FLOW_CUT)) || (progress & fins) == fins;
}

/* Whether a packet begins a connection where one has ended: whoever connects often comes again with the ports that it had. */
static __always_inline int begins_anew(const struct flow *flow, __u8 protocol, __u8 flags)
{
	return protocol == PROTO_TCP && begins_connection(flags) && is_closed(flow->progress);
}

/* Whether somebody has begun to connect to the ENI, and has not shown yet to hear the answer. */
static __always_inline int is_half_open(__u8 protocol, __u8 flags, __u8 progress)
{
	return protocol == PROTO_TCP && !(flags & FLOW_EGRESS) && !(progress & FLOW_ESTABLISHED) && !is_closed(progress);
}

/* A key of flows4. The two tables hold the same flows that one with the wide key would. */
static __always_inline struct flow_key4 narrow(const struct flow_key *key)
{
	struct flow_key4 four = {
		.eni = key->eni,
		.local_port = key->local_port,
		.peer_port = key->peer_port,
		.protocol = key->protocol,
	};

	__builtin_memcpy(&four.local, key->local + 12, 4);
	__builtin_memcpy(&four.peer, key->peer + 12, 4);
	return four;
}

static __always_inline struct flow *find_flow(const struct flow_key *key, int v6)
{
	struct flow_key4 four;

	if (v6)
		return bpf_map_lookup_elem(&flows6, key);
	four = narrow(key);
	return bpf_map_lookup_elem(&flows4, &four);
}

static __always_inline long insert_flow(const struct flow_key *key, const struct flow *flow, int v6)
{
	struct flow_key4 four;

	if (v6)
		return bpf_map_update_elem(&flows6, key, flow, BPF_NOEXIST);
	four = narrow(key);
	return bpf_map_update_elem(&flows4, &four, flow, BPF_NOEXIST);
}

/*
 * Adds to a flow's progress, at once, whoever else does: so it is one packet that ends the flow's being half open, and gives that
 * room back.
 */
static __always_inline void note_progress(struct flow *flow, __u32 eni, __u8 protocol, __u8 more)
{
	/* Flags, progress and the other end are one word. */
	__u32 old = __sync_fetch_and_or((__u32 *)&flow->flags, (__u32)more << 8);

	if (is_half_open(protocol, old, old >> 8) && !is_half_open(protocol, old, old >> 8 | more))
		settle_half_open(eni);
}

static __always_inline void delete_flow(const struct flow_key *key, struct flow *flow, int v6)
{
	struct flow_key4 four;
	long error;

	note_progress(flow, key->eni, key->protocol, FLOW_RST);
	if (v6) {
		error = bpf_map_delete_elem(&flows6, key);
	} else {
		four = narrow(key);
		error = bpf_map_delete_elem(&flows4, &four);
	}
	/* Another CPU may have been first. */
	if (!error)
		give_room_back(key->eni, v6);
}

/*
 * Begins a flow in the place of one that has ended: an entry that is there needs no room and is not looked for again. Whoever else
 * begins the same flow at the same time writes the same. What has ended is not half open any more, and is noted so if it is now that it ends.
 * The counters go on, so that whoever reads them now and then misses nothing.
 */
static __always_inline void begin_again(struct flow *ended, const struct flow *flow, __u32 eni)
{
	note_progress(ended, eni, PROTO_TCP, FLOW_RST);
	ended->stamp = flow->stamp;
	ended->seen_ns = flow->seen_ns;
	ended->rule = flow->rule;
	__sync_fetch_and_add(&ended->packets[0], flow->packets[0]);
	__sync_fetch_and_add(&ended->bytes[0], flow->bytes[0]);
	/* Flags, progress and the other end are one word: from here on it is the new one. */
	*(volatile __u32 *)&ended->flags = *(const __u32 *)&flow->flags;
}

static __always_inline __u64 timeout_of(const struct eni *eni, __u8 protocol, const struct flow *flow)
{
	if (protocol == PROTO_TCP)
		return is_closed(flow->progress)		     ? eni->tcp_closed_s :
		       flow->progress & FLOW_ESTABLISHED ? eni->tcp_established_s :
							     eni->tcp_opening_s;
	if (protocol == PROTO_UDP)
		return flow->packets[0] >= 2 && flow->packets[1] >= 2 ? eni->udp_stream_s : eni->udp_s;
	if (protocol == PROTO_ICMP || protocol == PROTO_ICMPV6)
		return eni->icmp_s;
	return eni->other_s;
}

static __always_inline int has_expired(const struct eni *eni, __u8 protocol, const struct flow *flow, __u64 now)
{
	return now - flow->seen_ns >= timeout_of(eni, protocol, flow) * SECOND && now > flow->seen_ns;
}

/* GSO packets count their segments. */
static __always_inline __u32 segments_of(const struct __sk_buff *skb)
{
	__u32 segments = skb->gso_segs;

	return segments ? segments : 1;
}

static __always_inline void advance(struct flow *flow, const struct __sk_buff *skb, __u32 eni, __u8 protocol,
				    __u8 direction, __u8 flags, __u64 now)
{
	int reply = (direction == EGRESS) != !!(flow->flags & FLOW_EGRESS);
	__u32 segments = segments_of(skb), bytes = skb->len;
	__u8 progress = flow->progress;

	flow->seen_ns = now;
	if (reply)
		progress |= FLOW_ANSWERED;
	else if ((progress & FLOW_ANSWERED) && (flags & TCP_ACK))
		progress |= FLOW_ESTABLISHED;
	if (flags & TCP_FIN)
		progress |= reply ? FLOW_FIN_REPLY : FLOW_FIN_FIRST;
	if (flags & TCP_RST)
		progress |= reply ? FLOW_RST | FLOW_RST_REPLY : FLOW_RST;
	if (progress != flow->progress)
		note_progress(flow, eni, protocol, progress);
	if (reply) {
		__sync_fetch_and_add(&flow->packets[1], segments);
		__sync_fetch_and_add(&flow->bytes[1], bytes);
	} else {
		__sync_fetch_and_add(&flow->packets[0], segments);
		__sync_fetch_and_add(&flow->bytes[0], bytes);
	}
}

static __always_inline __u64 stamp_of(const struct eni *eni)
{
	__u32 vpc = eni->vpc;
	__u32 *epoch = bpf_map_lookup_elem(&epochs, &vpc);
	__u64 policy = *(volatile __u64 *)&eni->policy;

	return (policy & ~0xffffffffull) | (epoch ? *(volatile __u32 *)epoch & STAMP_EPOCH : 0);
}

/* Whether nothing has changed since a flow was judged, or was kept without that by an ENI that still keeps flows, and nothing
 * is changing. */
static __always_inline int is_current(const struct eni *eni, __u64 stamp)
{
	return !((stamp ^ stamp_of(eni)) & ~STAMP_MARKS) && !*(volatile __u64 *)&eni->next &&
	       (!(stamp & STAMP_KEPT) || (eni->flags & ENI_KEEP));
}

/* Whether the network ACL is known to let packets of a flow pass in a direction, as of the flow's stamp. */
static __always_inline int is_cleared(__u64 stamp, __u8 direction)
{
	return !!(stamp & (direction == EGRESS ? STAMP_EGRESS : STAMP_INGRESS));
}

/*
 * A stamp with what the network ACL said, if it was the same version of the policy that said it. Marks and versions are one
 * word, so that a mark cannot outlive the version that it was made by, whoever else writes the stamp.
 */
static __always_inline __u64 cleared(__u64 stamp, const struct clearance *clearance)
{
	return stamp >> 32 == clearance->version ? stamp | clearance->marks : stamp;
}

/*
 * Whether a flow may go on. One whose stamp is not current is judged again as the packet that began it, unless its ENI keeps
 * tracked flows. While its ENI is being changed it is judged by old and new like a first packet: the other end may have moved on
 * already. The network ACL is not asked here, but about the packet itself.
 */
static __always_inline int still_allowed(const struct eni *eni, const struct flow_key *key, struct flow *flow,
					 struct scratch *work)
{
	struct finding *finding = &work->finding;

	if (is_current(eni, flow->stamp))
		return 1;
	if ((eni->flags & ENI_KEEP) && !(flow->flags & FLOW_UNTRACKED)) {
		/* What is kept when rules change is not kept for who has the address no more. */
		first_of_flow(key, flow->flags, &work->first);
		if (is_anothers(eni, &work->first))
			return 0;
		if (!*(volatile __u64 *)&eni->next)
			flow->stamp = stamp_of(eni) | STAMP_KEPT;
		return 1;
	}
	first_of_flow(key, flow->flags, &work->first);
	evaluate(&work->first, finding);
	if (!passes(finding->reason))
		return 0;
	flow->rule = finding->rule;
	flow->flags = finding->untracked ? flow->flags | FLOW_UNTRACKED : flow->flags & ~FLOW_UNTRACKED;
	flow->stamp = finding->stamp;
	return 1;
}

/*
 * Tells the ENI that a packet goes to whether the one that sends it had it from another. Marks live within a router; what comes
 * in has none, or one that is not ours to believe.
 */
static __always_inline void mark_sender(struct __sk_buff *skb, int foreign)
{
	__u32 mark = (skb->mark & ~MARK_FORWARDED) | (foreign ? MARK_FORWARDED : 0);

	if (mark != skb->mark)
		skb->mark = mark;
}

/* Whether an ENI's end of a packet is not its own address, which only one without a source check sends from. */
static __always_inline int is_foreign(const struct eni *eni, const struct tuple *tuple)
{
	return !(eni->flags & ENI_SOURCE_CHECK) && !is_own(eni, tuple);
}

static __always_inline void fragment_key_of(struct scratch *work)
{
	const struct packet *packet = &work->packet;
	struct fragment_key *key = &work->fragment;

	__builtin_memset(key, 0, sizeof(*key));
	key->eni = packet->tuple.eni;
	key->id = packet->fragment_id;
	__builtin_memcpy(key->local, &packet->tuple.local, 16);
	__builtin_memcpy(key->peer, &packet->tuple.peer, 16);
	key->protocol = packet->fragment_header ? packet->fragment_protocol : packet->tuple.protocol;
	key->direction = packet->tuple.direction;
}

/* The first fragment was admitted: so will be the rest. */
static __always_inline void admit_fragments(struct scratch *work, __u64 now)
{
	fragment_key_of(work);
	bpf_map_update_elem(&fragments, &work->fragment, &now, BPF_ANY);
}

static __always_inline enum reason judge_fragment(struct scratch *work, __u64 now)
{
	__u64 *seen;

	fragment_key_of(work);
	seen = bpf_map_lookup_elem(&fragments, &work->fragment);
	return seen && now - *seen < FRAGMENT_LIFE ? REASON_KNOWN_FRAGMENT : REASON_FRAGMENT;
}
