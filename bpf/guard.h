/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What nobody may pretend: that an address which is not its own is to be found where it is. With the check of source addresses this is what a
 * rule that names a group rests on, for a group is known by its members' addresses.
 */
#pragma once

#include "straight.h"

#define ARP_ETHERNET 1 /* ARPHRD_ETHER */
#define ND_ROUTER_ADVERTISEMENT 134
#define ND_NEIGHBOUR_ADVERTISEMENT 136
#define ND_REDIRECT 137
/* Where a neighbour advertisement has its target (RFC 4861, 4.4). */
#define ND_TARGET 8

/* ARP about IPv4 over Ethernet (RFC 826). */
struct arp {
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_bytes;
	__u8 protocol_bytes;
	__be16 operation;
	__u8 sender_mac[ETH_ALEN];
	__u8 sender[4];
	__u8 target_mac[ETH_ALEN];
	__u8 target[4];
};

/* Whether what an ENI says of itself must be true. */
static __always_inline int is_held_to_itself(const struct eni *eni, const struct packet *packet)
{
	return packet->tuple.direction == EGRESS && (eni->flags & ENI_SOURCE_CHECK);
}

/* Room for an address that an ENI says it has: a tuple of nothing else. */
static __always_inline struct tuple *claim_of(struct scratch *work, __u8 v6)
{
	struct tuple *claim = &work->quoted;

	__builtin_memset(claim, 0, sizeof(*claim));
	claim->eni = work->packet.tuple.eni;
	claim->v6 = v6;
	return claim;
}

/*
 * What an ENI says by ARP, if its sender is checked: that an own address, or none yet (RFC 5227), is at its own Ethernet address. Anything else
 * would turn to it what others send to each other.
 */
static __noinline enum reason judge_arp(struct __sk_buff *skb, const struct eni *eni)
{
	__u32 zero = 0;
	struct scratch *work = bpf_map_lookup_elem(&scratch, &zero);
	struct tuple *claim;
	struct arp arp;
	__be32 sender;

	if (!eni || !work)
		return REASON_NO_POLICY;
	if (!is_held_to_itself(eni, &work->packet))
		return REASON_BYPASS;
	if (bpf_skb_load_bytes(skb, work->packet.l3, &arp, sizeof(arp)) < 0)
		return REASON_MALFORMED;
	if (arp.hardware != bpf_htons(ARP_ETHERNET) || arp.protocol != bpf_htons(ETH_P_IP) ||
	    arp.hardware_bytes != ETH_ALEN || arp.protocol_bytes != sizeof(arp.sender))
		return REASON_MALFORMED;
	if (!same_mac(arp.sender_mac, eni->mac))
		return REASON_SPOOFED;
	__builtin_memcpy(&sender, arp.sender, sizeof(sender));
	if (!sender)
		return REASON_BYPASS;
	claim = claim_of(work, 0);
	map_v4(&claim->local, sender);
	return is_own(eni, claim) ? REASON_BYPASS : REASON_SPOOFED;
}

/* The same by neighbour discovery; and a guest is no router, so it advertises none and redirects nobody (RFC 6105). */
static __noinline enum reason judge_discovery(struct __sk_buff *skb, const struct eni *eni)
{
	__u32 zero = 0;
	struct scratch *work = bpf_map_lookup_elem(&scratch, &zero);
	struct tuple *claim;
	__u8 type;

	if (!eni || !work)
		return REASON_NO_POLICY;
	if (!is_held_to_itself(eni, &work->packet))
		return REASON_BYPASS;
	type = work->packet.tuple.source_port >> 8;
	if (type == ND_ROUTER_ADVERTISEMENT || type == ND_REDIRECT)
		return REASON_SPOOFED;
	if (!is_placeless(&work->packet.tuple) && !is_own(eni, &work->packet.tuple))
		return REASON_SPOOFED;
	if (type != ND_NEIGHBOUR_ADVERTISEMENT)
		return REASON_BYPASS;
	claim = claim_of(work, 1);
	if (load(skb, &work->packet, work->packet.l4 + ND_TARGET, &claim->local, sizeof(claim->local)) < 0)
		return REASON_MALFORMED;
	return is_placeless(claim) || is_own(eni, claim) ? REASON_BYPASS : REASON_SPOOFED;
}

/*
 * Whether a packet that begins a flow has come to a router of ours by another way than its answers would leave by: then nobody there has the address that
 * it says it is from (RFC 3704, strict). What an ENI sends has been checked there, and what it forwards is its own matter. Kernels
 * before 6.3 do not say which way that is without a neighbour on it.
 */
static __noinline int has_strayed(struct __sk_buff *skb, const struct eni *eni)
{
	struct port_key from = { .ifindex = skb->ingress_ifindex };
	__u32 zero = 0, slot = 0;
	struct scratch *work = bpf_map_lookup_elem(&scratch, &zero);
	long found;

	if (!eni || !work || !from.ifindex || !(eni->flags & ENI_ROUTED) || work->packet.tuple.direction != INGRESS)
		return 0;
	from.netns = eni->netns;
	if (hinted_eni(&from, &slot) || bpf_map_lookup_elem(&ports, &from))
		return 0;
	found = look_for_way(skb, work);
	if (found == BPF_FIB_LKUP_RET_BLACKHOLE || found == BPF_FIB_LKUP_RET_UNREACHABLE ||
	    found == BPF_FIB_LKUP_RET_PROHIBIT || found == BPF_FIB_LKUP_RET_NOT_FWDED)
		return 1;
	return !found && work->route.ifindex != from.ifindex;
}
