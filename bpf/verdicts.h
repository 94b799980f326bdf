/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The last answers about first packets, on each CPU: who connects once mostly connects again, and who is refused tries again. An
 * answer holds for every packet that differs from the one it was given for in nothing that the tables were asked about, and as long as
 * the tables are the very same: it carries the stamp that a flow would, and is not written down while anything changes. So
 * it says what asking again would.
 *
 * An answer has one place. Whoever fills the places with answers makes others' be asked again, and no more.
 */
#pragma once

#include "conntrack.h"

#define VERDICT_SETS 16
#define VERDICTS_PER_SET 64
#define VERDICT_BITS 10 /* of their product */
#define VERDICT_TICK_SHIFT 30 /* of nanoseconds: 1.07 s */
/* In ticks, 64 s: long before a membership epoch could come round again. */
#define VERDICT_LIFE 60
#define VERDICT_MIX 0x9e3779b97f4a7c15ull

#define VERDICT_UNTRACKED 1
/* What the network ACL says of the flow's packets, as in a stamp. */
#define VERDICT_INGRESS 4
#define VERDICT_EGRESS 8
#define VERDICT_CLEARED_SHIFT 28

/* One cache line. */
struct verdict {
	union ip local;
	union ip peer;
	__u64 service; /* what else is the same: see `service_mark` */
	__u64 stamp;   /* without marks; 0 is no answer */
	__u32 rule;
	__u32 given; /* in ticks */
	__u16 flags; /* of the ENI */
	__u8 reason;
	__u8 marks;
	__u32 reserved;
};

struct verdict_set {
	struct verdict verdicts[VERDICTS_PER_SET];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, VERDICT_SETS);
	__type(key, __u32);
	__type(value, struct verdict_set);
} verdicts SEC(".maps");

/* The ENI, and what the rules look at but for addresses. Of ports only the destination: an answer that asked for the source is not kept. */
static __always_inline __u64 service_mark(const struct tuple *tuple)
{
	__u64 way = tuple->direction | tuple->v6 << 1 | tuple->forwarded << 2;

	return tuple->eni | (__u64)tuple->destination_port << 32 | (__u64)tuple->protocol << 48 | way << 56;
}

/* The one place of an answer about such packets. */
static __always_inline struct verdict *verdict_about(const struct tuple *tuple, __u64 service)
{
	__u64 mix = (tuple->peer.halves[0] ^ tuple->peer.halves[1]) * VERDICT_MIX +
		    (tuple->local.halves[0] ^ tuple->local.halves[1]) + service;
	struct verdict_set *set;
	__u32 at;

	mix = (mix ^ mix >> 32) * VERDICT_MIX >> (64 - VERDICT_BITS);
	at = mix / VERDICTS_PER_SET;
	set = bpf_map_lookup_elem(&verdicts, &at);
	return set ? &set->verdicts[mix % VERDICTS_PER_SET] : 0;
}

/* Whether an answer is about such a packet, and the tables and the ENI would give it again. */
static __always_inline int answers(const struct verdict *verdict, const struct tuple *tuple, __u64 service,
				   __u16 flags, const struct eni *eni, __u64 stamp, __u32 now)
{
	__u64 different = (verdict->local.halves[0] ^ tuple->local.halves[0]) |
			  (verdict->local.halves[1] ^ tuple->local.halves[1]) |
			  (verdict->peer.halves[0] ^ tuple->peer.halves[0]) |
			  (verdict->peer.halves[1] ^ tuple->peer.halves[1]) | (verdict->service ^ service) |
			  (verdict->stamp ^ stamp) | (verdict->flags ^ flags) | *(volatile __u64 *)&eni->next;

	return !different && now - verdict->given < VERDICT_LIFE;
}

/* Tells an answer as the tables did. */
static __always_inline enum reason recall(const struct verdict *verdict, struct scratch *work)
{
	struct finding *finding = &work->finding;
	__u32 marks = verdict->marks;

	finding->stamp = verdict->stamp;
	finding->rule = verdict->rule;
	finding->reason = verdict->reason;
	finding->untracked = marks & VERDICT_UNTRACKED;
	finding->changing = 0;
	work->clearance.version = verdict->stamp >> 32;
	work->clearance.marks = (__u64)(marks & (VERDICT_INGRESS | VERDICT_EGRESS)) << VERDICT_CLEARED_SHIFT;
	return verdict->reason;
}

/* Writes an answer down, unless something was changing or it holds for one source port only. */
static __always_inline void note(struct verdict *verdict, const struct scratch *work, __u64 service, __u64 stamp, __u16 flags,
				 enum reason reason, __u32 now)
{
	const struct clearance *clearance = &work->clearance;
	const struct finding *finding = &work->finding;

	if (clearance->changing || clearance->asks_source || stamp >> 32 != clearance->version)
		return;
	if (reason != REASON_ACL_DENY && (finding->changing || finding->asks_source || finding->stamp != stamp))
		return;
	verdict->local = work->packet.tuple.local;
	verdict->peer = work->packet.tuple.peer;
	verdict->service = service;
	verdict->stamp = stamp;
	verdict->rule = finding->rule;
	verdict->given = now;
	verdict->flags = flags;
	verdict->reason = reason;
	verdict->marks = (finding->untracked ? VERDICT_UNTRACKED : 0) | clearance->marks >> VERDICT_CLEARED_SHIFT;
}
