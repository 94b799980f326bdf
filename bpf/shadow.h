/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What the candidates of an ENI's groups would decide about a flow that begins, beside what was decided. Counts, and decides
 * nothing: the packet's reason is given before this is asked, and nothing here is read by who gives it.
 */
#pragma once

#include "policy.h"

SHARED_ARRAY(shadows, struct shadow, ENI_SLOTS);

/* Flows by what became of them and what would have: all of them, also when the tables below are full. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, ENI_SLOTS);
	__type(key, __u32);
	__type(value, struct shadow_counts);
} shadow_cells SEC(".maps");

/* Flows by who decided and who would have. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SHADOW_PAIRS);
	__type(key, struct shadow_pair);
	__type(value, __u64);
} shadow_pairs SEC(".maps");

/* Flows that would be decided otherwise. A flood of them pushes out older ones, which the counts above do not lose. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SHADOW_WITNESSES);
	__type(key, struct shadow_witness);
	__type(value, struct shadow_seen);
} shadow_witnesses SEC(".maps");

/* Working memory of one comparison. */
struct comparison {
	struct finding finding;
	struct shadow_witness witness;
	struct shadow_seen seen;
	__u64 one;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct comparison);
} comparison SEC(".maps");

static __always_inline void count_cell(__u32 slot, __u32 cell)
{
	struct shadow_counts *counts = bpf_map_lookup_elem(&shadow_cells, &slot);

	if (counts)
		counts->flows[cell & (SHADOW_CELLS - 1)] += 1;
}

static __always_inline void count_pair(struct comparison *work)
{
	struct shadow_pair *key = &work->witness.pair;
	__u64 *flows = bpf_map_lookup_elem(&shadow_pairs, key);

	if (!flows) {
		work->one = 1;
		if (!bpf_map_update_elem(&shadow_pairs, key, &work->one, BPF_NOEXIST))
			return;
		/* Another CPU was first, or the table is full. */
		flows = bpf_map_lookup_elem(&shadow_pairs, key);
	}
	if (flows)
		__sync_fetch_and_add(flows, 1);
}

static __always_inline void note_witness(struct comparison *work)
{
	struct shadow_seen *seen = bpf_map_lookup_elem(&shadow_witnesses, &work->witness);

	if (seen) {
		__sync_fetch_and_add(&seen->flows, 1);
		seen->seen_ns = bpf_ktime_get_coarse_ns();
		return;
	}
	work->seen.flows = 1;
	work->seen.seen_ns = bpf_ktime_get_coarse_ns();
	bpf_map_update_elem(&shadow_witnesses, &work->witness, &work->seen, BPF_NOEXIST);
}

/* Whether a policy stands for the candidates beside the one that judged, and nothing is being changed. */
static __always_inline int stands_beside(const struct eni *eni, const struct shadow *shadow, const struct finding *live)
{
	return *(volatile __u32 *)&shadow->beside == live->stamp >> 32 && !*(volatile __u64 *)&eni->next;
}

/* Judges by the candidates. A flow that begins during a change is not compared: it would be with half of another world. */
static __always_inline int judge_candidate(const struct tuple *tuple, const struct finding *live, const struct eni *eni,
					   const struct shadow *shadow, struct finding *finding)
{
	struct member *peer = 0;
	__u32 policy, service;

	if (live->changing || !stands_beside(eni, shadow, live))
		return 0;
	policy = (__u32)*(volatile __u64 *)&shadow->policy;
	service = service_in(tuple, policy);
	if (!tuple->forwarded && (service & ASKS_GROUPS) &&
	    (member_of(eni->vpc, &tuple->peer, &peer) < 0 || successor(peer)))
		return 0;
	judge(tuple, policy, service, 0, peer, finding);
	return finding->reason != REASON_NO_POLICY && stands_beside(eni, shadow, live);
}

/*
 * Compares what was decided about a flow that begins. The ENI carries ENI_SHADOW; the reason is one that rules, or what comes in
 * their place, give.
 */
__noinline int compare(const struct tuple *tuple, const struct finding *live)
{
	__u32 slot, zero = 0;
	struct comparison *work = bpf_map_lookup_elem(&comparison, &zero);
	struct shadow_witness *witness;
	struct shadow *shadow;
	struct eni *eni;
	int passed, would;

	if (!tuple || !live || !work)
		return 0;
	slot = tuple->eni;
	eni = bpf_map_lookup_elem(&enis, &slot);
	shadow = bpf_map_lookup_elem(&shadows, &slot);
	if (!eni || !shadow)
		return 0;
	if (!judge_candidate(tuple, live, eni, shadow, &work->finding)) {
		count_cell(slot, SHADOW_SKIPPED);
		return 0;
	}
	passed = passes(live->reason);
	would = passes(work->finding.reason);
	count_cell(slot, (passed ? 2 : 0) + (would ? 1 : 0));
	witness = &work->witness;
	__builtin_memset(witness, 0, sizeof(*witness));
	witness->pair.eni = slot;
	witness->pair.live = live->rule;
	witness->pair.candidate = work->finding.rule;
	witness->pair.live_reason = live->reason;
	witness->pair.candidate_reason = work->finding.reason;
	witness->pair.direction = tuple->direction;
	count_pair(work);
	if (passed == would)
		return 0;
	__builtin_memcpy(witness->local, &tuple->local, 16);
	__builtin_memcpy(witness->peer, &tuple->peer, 16);
	witness->port = tuple->destination_port;
	witness->protocol = tuple->protocol;
	note_witness(work);
	return 0;
}
