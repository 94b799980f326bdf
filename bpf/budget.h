/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Room for flows. Each ENI has a part of the tables that is its own, and beyond it what is left of a pool: no flood at one ENI takes
 * what is another's. Flows that somebody has begun with an ENI and not gone on with are bounded by themselves. The meaning is
 * core::flow_room's.
 *
 * An ENI's counts are one element, which only packets that begin or end a flow touch. They are kept to what is in the tables: whoever takes a
 * flow out gives its room back, and the agent's sweep corrects them.
 */
#pragma once

#include "maps.h"

static __always_inline struct budget *budget_of(__u32 eni)
{
	return bpf_map_lookup_elem(&budgets, &eni);
}

/* Notes that a flow is half open no longer. */
static __always_inline void settle_half_open(__u32 eni)
{
	struct budget *own = budget_of(eni);

	if (own)
		__sync_fetch_and_add(&own->half_open, -1);
}

/* Notes that a flow is gone. */
static __always_inline void give_room_back(__u32 eni, int v6)
{
	struct budget *own = budget_of(eni), *pool = budget_of(0);
	int version = !!v6;

	if (own && pool && __sync_fetch_and_add(&own->flows[version], -1) > own->room)
		__sync_fetch_and_add(&pool->flows[version], -1);
}

/* Notes that a flow is half open; 0, or the reason why it may not be. */
static __always_inline enum reason open_half(__u32 eni)
{
	struct budget *own = budget_of(eni);

	if (!own)
		return REASON_TABLE_FULL;
	if (__sync_fetch_and_add(&own->half_open, 1) < HALF_OPEN_MAX)
		return 0;
	__sync_fetch_and_add(&own->half_open, -1);
	return REASON_HALF_OPEN;
}

/* Takes room for a flow; 0, or the reason why there is none. */
static __always_inline enum reason take_room(__u32 eni, int v6, int half_open)
{
	struct budget *own = budget_of(eni), *pool = budget_of(0);
	enum reason refusal = half_open ? open_half(eni) : 0;
	int version = !!v6;

	if (refusal)
		return refusal;
	if (!own || !pool)
		return REASON_TABLE_FULL;
	if (__sync_fetch_and_add(&own->flows[version], 1) < own->room)
		return 0;
	if (__sync_fetch_and_add(&pool->flows[version], 1) < pool->room)
		return 0;
	give_room_back(eni, v6);
	if (half_open)
		settle_half_open(eni);
	return REASON_TABLE_FULL;
}
