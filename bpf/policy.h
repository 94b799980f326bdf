/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * From a tuple to the rule that decides. A fixed number of look-ups: each field of the packet is mapped to
 * a class by a search in its table, a cache line for each level, and the first bit that is set in every class is the rule.
 *
 * Functions without `static` are verified by the kernel once, on their own, for any argument.
 */
#pragma once

#include "maps.h"
#include "parse.h"

#define NONE 0xffffffffu
struct finding {
	__u64 stamp;
	__u32 rule;
	__u32 reason;
	__u32 untracked;
	__u32 changing;	   /* whether old and new were asked */
	__u32 asks_source; /* whether it depends on the source port */
};

static __always_inline const struct policy_store *store_of_policies(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&policies, &zero);
}

/* Positions of the classes of a packet: peer, service, local, source port. A field that no rule asks about
 * has ones in `any`, which match every rule whatever is read. No branch, so that the verifier walks one path. */
struct query {
	__u64 any[4];
	__u32 classes[4];
	__u32 policy;
	__u32 summaries;
};

static __always_inline __u64 summary_of(const __u64 *words, const struct query *query, int field, __u32 summary)
{
	return word(words, query->policy + query->classes[field] + 2 * summary) | query->any[field];
}

/* A bitmap word of a class whose bit is set in the summary. */
static __always_inline __u64 bitmap_of(const __u64 *words, const struct query *query, int field, __u32 summary,
				       __u64 bit)
{
	__u32 class = query->policy + query->classes[field] + 2 * summary;
	__u64 bits = word(words, class);
	__u32 first = (__u32)word(words, class + 1);

	return word(words, query->policy + first + __builtin_popcountll(bits & (bit - 1))) | query->any[field];
}

/* The rules of a bitmap word that are in the classes of all fields. Most policies ask about two fields only. By itself: its branches, taken
 * anew in each turn of a loop, would be half of what the verifier walks. */
__noinline __u64 common(const struct policy_store *store, const struct query *query, __u32 summary, __u64 bit)
{
	const __u64 *words = (const __u64 *)store;
	__u64 rules;

	if (!words || !query)
		return 0;
	rules = bitmap_of(words, query, 0, summary, bit) & bitmap_of(words, query, 1, summary, bit);
	if (!rules || !(~query->any[2] | ~query->any[3]))
		return rules;
	return rules & bitmap_of(words, query, 2, summary, bit) & bitmap_of(words, query, 3, summary, bit);
}

/* The first rule that is in every class. */
__noinline __u32 first_rule(const struct policy_store *store, const struct query *query)
{
	const __u64 *words = (const __u64 *)store;

	if (!words || !query)
		return NONE;
	for (__u32 summary = 0; summary < SUMMARIES_MAX; summary++) {
		__u64 both;

		if (summary >= query->summaries)
			return NONE;
		both = summary_of(words, query, 0, summary) & summary_of(words, query, 1, summary) &
		       summary_of(words, query, 2, summary) & summary_of(words, query, 3, summary);
		for (int i = 0; i < 64 && both; i++) {
			__u64 bit = both & -both;
			__u64 rules = common(store, query, summary, bit);

			if (rules)
				return (summary * 64 + __builtin_popcountll(bit - 1)) * 64 +
				       __builtin_popcountll((rules & -rules) - 1);
			both &= both - 1;
		}
	}
	return NONE;
}

static __always_inline __u32 open_flag(const struct tuple *tuple)
{
	if (tuple->protocol == PROTO_TCP)
		return tuple->v6 ? OPEN_TCP6 : OPEN_TCP4;
	if (tuple->protocol == PROTO_UDP)
		return tuple->v6 ? OPEN_UDP6 : OPEN_UDP4;
	return 0;
}

/* The class of a packet's service, and which of the other fields its rules ask about. */
static __always_inline __u32 service_of(const struct policy_store *store, const struct tuple *tuple, __u32 policy, __u32 side)
{
	return narrow_class(store, policy, side + TABLE_SERVICES, (__u32)tuple->protocol << 16 | tuple->destination_port);
}

/*
 * The classes of every field but the peer's; 0 when some field matches no rule at all. Of the fields that few rules ask about, only
 * those are looked at that a rule for the packet's service asks about: the others' classes have all of these rules.
 */
static __always_inline int classify(const struct policy_store *store, const struct tuple *tuple, __u32 side, __u32 service,
				    struct query *query)
{
	__u32 policy = query->policy;

	query->any[2] = query->any[3] = ~0ull;
	query->classes[1] = service & POSITION_MASK;
	if (service & ASKS_LOCALS) {
		query->any[2] = 0;
		query->classes[2] =
			tuple->v6 ? wide_class(store, policy, side + TABLE_LOCALS6, &tuple->local)
				  : narrow_class(store, policy, side + TABLE_LOCALS4, bpf_ntohl(tuple->local.words[3]));
		if (!query->classes[2])
			return 0;
	}
	if (service & ASKS_SOURCE_PORTS) {
		query->any[3] = 0;
		query->classes[3] = narrow_class(store, policy, side + TABLE_SOURCE_PORTS,
						 tuple->has_ports ? tuple->source_port : NO_PORT);
		if (!query->classes[3])
			return 0;
	}
	return query->classes[1] != 0;
}

/* The first match over the union of the peer's classes is the smallest of their first matches. */
static __always_inline __u32 match(const struct policy_store *store, struct query *query, const struct tuple *tuple,
				   __u32 side, __u32 service, const struct member *peer)
{
	__u32 best = NONE;

	if (service & ASKS_PEERS) {
		query->classes[0] = tuple->v6 ? wide_class(store, query->policy, side + TABLE_PEERS6, &tuple->peer)
					      : narrow_class(store, query->policy, side + TABLE_PEERS4,
							     bpf_ntohl(tuple->peer.words[3]));
		if (query->classes[0])
			best = first_rule(store, query);
	}
	if (!peer || !(service & ASKS_GROUPS))
		return best;
	for (__u32 i = 0; i < GROUPS_MAX; i++) {
		__u32 found;

		if (i >= peer->groups_n)
			break;
		query->classes[0] = narrow_class(store, query->policy, side + TABLE_GROUPS, peer->groups[i]);
		if (!query->classes[0])
			continue;
		found = first_rule(store, query);
		if (found < best)
			best = found;
	}
	return best;
}

/* What a packet may remember in its flow once it has met the network ACL of the ENI's subnet. */
struct clearance {
	__u64 marks;   /* STAMP_INGRESS, STAMP_EGRESS */
	__u32 version; /* of the policy that it met */
	__u16 changing;	   /* as in a finding */
	__u16 asks_source;
};

/* Whether the network ACL in a policy lets a packet pass. */
static __always_inline int passes_acl(const struct tuple *tuple, __u32 policy, struct clearance *clearance)
{
	__u32 side = 1 + ACL_WORDS + (tuple->direction == EGRESS ? DIRECTION_WORDS : 0);
	struct query query = { .policy = policy };
	const struct policy_store *store = store_of_policies();
	const __u64 *words = (const __u64 *)store;
	__u32 rule = NONE, service;
	__u64 record;

	if (!words)
		return 0;
	query.summaries = (__u32)word(words, policy + side + DEFAULTS_WORD);
	service = service_of(store, tuple, policy, side);
	clearance->asks_source |= !!(service & ASKS_SOURCE_PORTS);
	if (classify(store, tuple, side, service, &query))
		rule = match(store, &query, tuple, side, service, 0);
	if (rule == NONE)
		return 0;
	record = word(words, policy + (__u32)word(words, policy + side + TABLE_RULES) + rule);
	return ((record >> 32) & 0xff) != ACTION_DENY;
}

static __always_inline int has_acl(__u32 policy)
{
	const struct policy_store *store = store_of_policies();
	const __u64 *words = (const __u64 *)store;

	return !words || !((word(words, policy + 1 + ACL_WORDS + DEFAULTS_WORD) >> 32) & DEFAULT_ALLOW);
}

/*
 * Asks the network ACL about a packet, which it does about every one: it knows no flows. While a change is being made, the
 * ACL before it and the one after it must both let it pass.
 */
__noinline int meet_acl(const struct tuple *tuple, struct clearance *clearance)
{
	struct eni *eni;
	__u64 policy, next;
	__u32 slot;

	if (!tuple || !clearance)
		return 0;
	slot = tuple->eni;
	eni = bpf_map_lookup_elem(&enis, &slot);
	if (!eni)
		return 0;
	next = *(volatile __u64 *)&eni->next;
	policy = *(volatile __u64 *)&eni->policy;
	clearance->version = policy >> 32;
	clearance->marks = STAMP_INGRESS | STAMP_EGRESS;
	clearance->changing = !!next;
	clearance->asks_source = 0;
	if (has_acl((__u32)policy)) {
		/* What a query and its answer are differs in type only, so one flow of ICMP has packets of two kinds each way. */
		clearance->marks = is_icmp(tuple) ? 0 : tuple->direction == EGRESS ? STAMP_EGRESS : STAMP_INGRESS;
		if (!passes_acl(tuple, (__u32)policy, clearance))
			return 0;
	}
	return !next || !has_acl((__u32)next) || passes_acl(tuple, (__u32)next, clearance);
}

/* The same without a call where no network ACL denies anything. */
static __always_inline int clears_acl(const struct eni *eni, const struct tuple *tuple, struct clearance *clearance)
{
	__u64 next = *(volatile __u64 *)&eni->next, policy = *(volatile __u64 *)&eni->policy;

	if (has_acl((__u32)policy) || (next && has_acl((__u32)next)))
		return meet_acl(tuple, clearance);
	clearance->version = policy >> 32;
	clearance->marks = STAMP_INGRESS | STAMP_EGRESS;
	clearance->changing = !!next;
	clearance->asks_source = 0;
	return 1;
}

/* Addresses that a host without an address sends from. */
static __always_inline int is_placeless(const struct tuple *tuple)
{
	if (!tuple->v6)
		return tuple->local.words[3] == 0;
	return (tuple->local.halves[0] == 0 && tuple->local.halves[1] == 0) ||
	       (tuple->local.bytes[0] == 0xfe && (tuple->local.bytes[1] & 0xc0) == 0x80);
}

/* Judges a tuple by one policy and one view of its ends. */
static __always_inline void judge(const struct tuple *tuple, __u32 policy, __u32 service, int spoofed,
				  const struct member *peer, struct finding *finding)
{
	__u32 side = 1 + (tuple->direction == EGRESS ? DIRECTION_WORDS : 0);
	__u32 other = 1 + (tuple->direction == EGRESS ? 0 : DIRECTION_WORDS);
	const struct policy_store *store = store_of_policies();
	const __u64 *words = (const __u64 *)store;
	struct query query = { .policy = policy };
	__u32 rule = NONE, action, flags;
	__u64 defaults, record;

	finding->rule = 0;
	finding->untracked = 0;
	finding->asks_source = service & ASKS_SOURCE_PORTS;
	finding->reason = REASON_NO_POLICY;
	if (!words || word(words, policy) >> 32 != POLICY_MAGIC)
		return;
	defaults = word(words, policy + side + DEFAULTS_WORD);
	query.summaries = (__u32)defaults;
	if (classify(store, tuple, side, service, &query))
		rule = match(store, &query, tuple, side, service, peer);
	if (rule == NONE) {
		finding->reason = spoofed			   ? REASON_SPOOFED :
				  (defaults >> 32) & DEFAULT_ALLOW ? REASON_DEFAULT_ALLOW :
								     REASON_DEFAULT_DENY;
		return;
	}
	record = word(words, policy + (__u32)word(words, policy + side + TABLE_RULES) + rule);
	action = (record >> 32) & 0xff;
	flags = record >> 40;
	if (action == ACTION_BYPASS && (tuple->direction == INGRESS || !spoofed || is_placeless(tuple))) {
		finding->reason = REASON_BYPASS;
		return;
	}
	if (spoofed) {
		finding->reason = REASON_SPOOFED;
		return;
	}
	finding->rule = (__u32)record;
	if (flags & RULE_PLATFORM)
		finding->reason = action == ACTION_ALLOW ? REASON_PLATFORM_ALLOW : REASON_PLATFORM_DENY;
	else
		finding->reason = action != ACTION_ALLOW ? REASON_RULE_DENY :
				  flags & RULE_INTRA	 ? REASON_INTRA_GROUP :
							   REASON_RULE_ALLOW;
	finding->untracked = (flags & RULE_WORLD) &&
			     ((word(words, policy + other + DEFAULTS_WORD) >> 32) & open_flag(tuple));
}

static __always_inline int passes(__u32 reason)
{
	return reason <= REASON_DEFAULT_ALLOW || reason == REASON_PLATFORM_ALLOW;
}

static __always_inline int same_address(const __u8 *bytes, const union ip *address)
{
	const __u64 *halves = (const __u64 *)bytes;

	return halves[0] == address->halves[0] && halves[1] == address->halves[1];
}

/*
 * Who has an address. A hash element may be taken for another key while it is being read, and a member's
 * place is filled again only after every running program has ended; so a member that does not carry the
 * address that was asked for was read during a change, and asking again finds the truth.
 */
static __always_inline int member_of(__u32 vpc, const union ip *address, struct member **found)
{
	struct address_key key = { .vpc = vpc };

	__builtin_memcpy(key.address, address, 16);
	*found = 0;
	for (int i = 0; i < 3; i++) {
		__u32 *index = bpf_map_lookup_elem(&addresses, &key);
		struct member *member;
		__u32 at;

		if (!index)
			return 0;
		at = *index;
		member = bpf_map_lookup_elem(&members, &at);
		if (member && member->vpc == vpc && same_address(member->address, address)) {
			*found = member;
			return 0;
		}
	}
	return -1;
}

/*
 * The same for the ENI's end of a packet. One address of each version is noted with the ENI. The note changes with the hash, and
 * a member that it leads to a moment too long has a successor: then old and new are asked.
 */
static __always_inline int member_at(const struct eni *eni, const struct tuple *tuple, struct member **found)
{
	__u32 at = *(volatile __u32 *)&eni->own[tuple->v6 & 1];
	struct member *member = at ? bpf_map_lookup_elem(&members, &at) : 0;

	if (!member || member->vpc != eni->vpc || !same_address(member->address, &tuple->local))
		return member_of(eni->vpc, &tuple->local, found);
	*found = member;
	return 0;
}

/* Whether the ENI's end of a packet is the ENI's own address. */
static __always_inline int is_own(const struct eni *eni, const struct tuple *tuple)
{
	struct member *local;

	return member_at(eni, tuple, &local) >= 0 && local && local->eni == tuple->eni;
}

static __always_inline struct member *successor(struct member *member)
{
	__u32 next = member ? *(volatile __u32 *)&member->next : 0;

	return next ? bpf_map_lookup_elem(&members, &next) : 0;
}

/*
 * Whether an address that the ENI must have is not the ENI's, or is about to be another's. Where it is being moved just now, it is not known yet.
 */
static __noinline int is_anothers(const struct eni *eni, const struct tuple *tuple)
{
	struct member *local, *next;

	if (!eni || !tuple || !(eni->flags & ENI_SOURCE_CHECK) || member_at(eni, tuple, &local) < 0)
		return 0;
	if (!local || local->eni != tuple->eni)
		return 1;
	next = successor(local);
	return next && next->eni != tuple->eni;
}

/* The class of a packet's service in the policy of a side. */
static __always_inline __u32 service_in(const struct tuple *tuple, __u32 policy)
{
	const struct policy_store *store = store_of_policies();

	return store ? service_of(store, tuple, policy, 1 + (tuple->direction == EGRESS ? DIRECTION_WORDS : 0)) : 0;
}

/*
 * Judges the first packet of a flow. While a change is being made, the policy or a member has a successor;
 * then old and new must both allow, so that no moment of a change is more open than its two ends.
 */
__noinline int evaluate(const struct tuple *tuple, struct finding *finding)
{
	struct member *local, *peer = 0, *local_next, *peer_next;
	__u64 policy, next;
	__u32 slot, *epoch, service, later = 0;
	struct eni *eni;
	int own;

	if (!tuple || !finding)
		return 0;
	finding->reason = REASON_NO_POLICY;
	finding->rule = 0;
	finding->changing = 1;
	slot = tuple->eni;
	eni = bpf_map_lookup_elem(&enis, &slot);
	if (!eni)
		return 0;
	/* The stamp is read first: what changes from here on is judged again at the next packet. */
	next = *(volatile __u64 *)&eni->next;
	policy = *(volatile __u64 *)&eni->policy;
	slot = eni->vpc;
	epoch = bpf_map_lookup_elem(&epochs, &slot);
	if (!policy || !epoch)
		return 0;
	finding->stamp = (policy & ~0xffffffffull) | (*(volatile __u32 *)epoch & STAMP_EPOCH);
	finding->reason = REASON_CHANGING;
	if (member_at(eni, tuple, &local) < 0)
		return 0;
	/* Who the peer is, only rules that name groups ask. */
	service = service_in(tuple, (__u32)policy);
	if (next)
		later = service_in(tuple, (__u32)next);
	if (!tuple->forwarded && ((service | later) & ASKS_GROUPS) && member_of(eni->vpc, &tuple->peer, &peer) < 0)
		return 0;
	own = !(eni->flags & ENI_SOURCE_CHECK) || (local && local->eni == tuple->eni);
	judge(tuple, (__u32)policy, service, !own, peer, finding);
	local_next = successor(local);
	peer_next = successor(peer);
	if (!next && !local_next && !peer_next) {
		finding->changing = 0;
		return 0;
	}
	if (!passes(finding->reason))
		return 0;
	if (local_next)
		own = !(eni->flags & ENI_SOURCE_CHECK) || local_next->eni == tuple->eni;
	judge(tuple, (__u32)(next ? next : policy), next ? later : service, !own, peer_next ? peer_next : peer, finding);
	return 0;
}
