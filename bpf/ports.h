/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Which ENI an interface is, by the hint: no hash is asked.
 */
#pragma once

#include "maps.h"

/* A valid ENI's entry, if the interface is its: the array knows, so a hint or an element that changes does no harm. */
static __always_inline struct eni *eni_at(const __u32 *slot, const struct port_key *key)
{
	struct eni *eni = bpf_map_lookup_elem(&enis, slot);

	if (!eni || eni->ifindex != key->ifindex || eni->netns != key->netns || !(eni->flags & ENI_VALID))
		return 0;
	return eni;
}

static __always_inline struct eni *hinted_eni(const struct port_key *key, __u32 *slot)
{
	__u32 place = ((__u32)key->netns * PORT_HINT_FACTOR + key->ifindex) & (PORT_HINTS - 1);
	__u32 *found = bpf_map_lookup_elem(&port_hints, &place);

	if (!found)
		return 0;
	*slot = *found;
	return eni_at(slot, key);
}
