/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * VLAN tags. A frame is judged by what it carries, whatever tags are around it; rules know no VLANs. The kernel takes the
 * outermost tag out of a frame that comes in, and it never shows in the bytes; what lies in them is stepped over here: both
 * tags of a frame that is tagged twice. Whatever has more is not read, and dropped as no IP.
 */
#pragma once

#include "parse.h"

#define VLAN_TAGS_MAX 2

struct vlan_tag {
	__be16 control;
	__be16 inside;
};

static __always_inline int is_vlan(__be16 kind)
{
	return kind == bpf_htons(ETH_P_8021Q) || kind == bpf_htons(ETH_P_8021AD);
}

/* What is inside the tags. Still a tag: there are too many, or the frame ends within them. */
static __always_inline __be16 strip_tags(struct __sk_buff *skb, struct packet *packet, __be16 kind)
{
	int tags = skb->vlan_present ? 1 : 0;
	struct vlan_tag tag;

	for (int i = 0; i < VLAN_TAGS_MAX && is_vlan(kind); i++) {
		if (++tags > VLAN_TAGS_MAX || bpf_skb_load_bytes(skb, packet->l3, &tag, sizeof(tag)) < 0)
			return kind;
		kind = tag.inside;
		packet->l3 += sizeof(tag);
	}
	return kind;
}
