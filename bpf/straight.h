/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The straight path: a packet between two ENIs of one VPC and host goes from one end's interface into the other end's namespace,
 * past the router's forwarding path, and looks there as if the router had sent it.
 *
 * A packet goes so if both ends know its flow, or if it begins one that both ends allow. Where an address leads to, which may be an instance
 * in between, the router's routes decide: they are asked about first packets. Where the router would do anything but forward (no
 * time to live, too long, not addressed to it), or a flow that one end knows must be judged again, the router gets the packet.
 */
#pragma once

#include <linux/if_packet.h>

#include "known.h"
#include "ports.h"

/* The shortest MTU that a link can have (RFC 791): no packet of this length is too long for one. */
#define MTU_MIN 68
/* BPF_FIB_LOOKUP_SKIP_NEIGH: the kernels before it (6.3) refuse to look, and leave first packets to the router. */
#define FIB_WITHOUT_NEIGHBOUR 8
#define FAMILY_V4 2
#define FAMILY_V6 10
/* TCX_NEXT and TC_ACT_UNSPEC: whoever comes after may still drop the packet. */
#define PASS (-1)
#define OWN_WAY (ENI_VALID | ENI_STRAIGHT | ENI_SOURCE_CHECK)

/* Whether the straight path begins or ends at an ENI: what is sent from there is its own, and what is sent there is for it. */
static __always_inline int has_own_way(const struct eni *eni)
{
	return (eni->flags & OWN_WAY) == OWN_WAY;
}

static __always_inline void mirror(const struct flow_key *key, __u32 eni, struct flow_key *mirrored)
{
	mirrored->eni = eni;
	__builtin_memcpy(mirrored->local, key->peer, 16);
	__builtin_memcpy(mirrored->peer, key->local, 16);
	mirrored->local_port = key->peer_port;
	mirrored->peer_port = key->local_port;
	mirrored->protocol = key->protocol;
	__builtin_memset(mirrored->reserved, 0, sizeof(mirrored->reserved));
}

/*
 * The first packet of a flow has come to an ENI. If it came from another ENI, where the flow has begun
 * too, the two flows learn of each other: this one by what is returned. Addresses that move away from either ENI change the
 * membership epoch, which both ends' stamps are compared with, before another ENI has them.
 */
static __always_inline __u16 meet_other_end(const struct __sk_buff *skb, const struct eni *eni, struct scratch *work)
{
	struct port_key port = { .netns = eni->netns, .ifindex = skb->ingress_ifindex };
	const struct tuple *tuple = &work->packet.tuple;
	struct flow *flow;
	struct eni *from;
	__u32 slot;

	if (tuple->direction != INGRESS || !port.ifindex || !has_own_way(eni) || work->foreign || tuple->forwarded ||
	    (tuple->protocol != PROTO_TCP && tuple->protocol != PROTO_UDP))
		return 0;
	from = hinted_eni(&port, &slot);
	if (!from || !has_own_way(from) || from->vpc != eni->vpc || slot == tuple->eni)
		return 0;
	mirror(&work->key, slot, &work->mirrored);
	flow = find_flow(&work->mirrored, tuple->v6);
	if (!flow || (flow->flags & (FLOW_FOREIGN | FLOW_FORWARDED)))
		return 0;
	flow->other = tuple->eni;
	return slot;
}

/* Whether a router would do no more than forward a packet that has been read as a plain one. */
static __always_inline int is_plain_way(struct __sk_buff *skb, __u32 ifindex)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = data;
	__u32 mtu = 0;

	if (skb->pkt_type != PACKET_HOST || skb->vlan_present || (void *)(eth + 1) + sizeof(struct iphdr) > end)
		return 0;
	/* The hop limit of IPv6 and the time to live of IPv4. */
	if (*((__u8 *)(eth + 1) + (eth->h_proto == bpf_htons(ETH_P_IP) ? 8 : 7)) <= 1)
		return 0;
	return skb->len <= ETH_HLEN + MTU_MIN || !bpf_check_mtu(skb, ifindex, &mtu, 0, BPF_MTU_CHK_SEGS);
}

/* The other end, if a packet can go straight to it. */
static __always_inline struct eni *other_end(struct __sk_buff *skb, const struct eni *eni, const __u32 *other)
{
	struct eni *end = bpf_map_lookup_elem(&enis, other);

	if (!end || !has_own_way(end) || !has_own_way(eni) || end->netns != eni->netns || !end->ifindex)
		return 0;
	return is_plain_way(skb, end->ifindex) ? end : 0;
}

/* Asks the routes how what the ENI of a packet sends to the packet's peer is sent on. The answer is in the working memory if it is 0. */
static __always_inline long look_for_way(struct __sk_buff *skb, struct scratch *work)
{
	const struct tuple *tuple = &work->packet.tuple;
	int is_sent = tuple->direction == EGRESS;
	struct bpf_fib_lookup *route = &work->route;

	__builtin_memset(route, 0, sizeof(*route));
	route->ifindex = skb->ifindex;
	route->family = tuple->v6 ? FAMILY_V6 : FAMILY_V4;
	route->l4_protocol = tuple->protocol;
	route->sport = bpf_htons(is_sent ? tuple->source_port : tuple->destination_port);
	route->dport = bpf_htons(is_sent ? tuple->destination_port : tuple->source_port);
	if (tuple->v6) {
		__builtin_memcpy(route->ipv6_src, &tuple->local, 16);
		__builtin_memcpy(route->ipv6_dst, &tuple->peer, 16);
	} else {
		route->ipv4_src = tuple->local.words[3];
		route->ipv4_dst = tuple->peer.words[3];
	}
	return bpf_fib_lookup(skb, route, sizeof(*route), FIB_WITHOUT_NEIGHBOUR);
}

/*
 * The number of the ENI that a packet which begins a flow may go straight to: the one to whose interface the router would send it on,
 * with no other router in between. The working memory has the packet.
 */
static __noinline __u32 routed_end(struct __sk_buff *skb, const struct eni *eni)
{
	__u32 zero = 0, slot = 0;
	struct scratch *work = bpf_map_lookup_elem(&scratch, &zero);
	struct port_key port = { 0 };
	const struct tuple *tuple;
	struct bpf_fib_lookup *route;
	struct eni *end;

	if (!eni || !work || !has_own_way(eni))
		return 0;
	tuple = &work->packet.tuple;
	route = &work->route;
	if (look_for_way(skb, work))
		return 0;
	/* The address of the next hop is another's if there is somebody in between. */
	if (tuple->v6 ? !same_address((const __u8 *)route->ipv6_dst, &tuple->peer) :
			route->ipv4_dst != tuple->peer.words[3])
		return 0;
	port.netns = eni->netns;
	port.ifindex = route->ifindex;
	end = hinted_eni(&port, &slot);
	return end && end->vpc == eni->vpc ? slot : 0;
}

/* Looks at a packet at the end that it is to go straight to. By itself: the stack has no room for what two looks need. */
static __noinline enum standing look_there(struct __sk_buff *skb, const struct eni *end, __u32 slot, struct flow **flow)
{
	return look(skb, end, slot, INGRESS, flow);
}

/* A packet as the router would send it on: from the router's address, to the ENI's, a hop nearer to its end. */
static __always_inline int cross(struct __sk_buff *skb, const struct eni *end)
{
	struct {
		__u8 destination[ETH_ALEN], source[ETH_ALEN];
		__be16 type;
		__u8 ip[12];
	} __attribute__((packed)) head;
	__u32 sum;

	if (bpf_skb_load_bytes(skb, 0, &head, sizeof(head)) < 0)
		return PASS;
	/* The packet was sent to the router's link address, and that is the same on every link. */
	__builtin_memcpy(head.source, head.destination, ETH_ALEN);
	__builtin_memcpy(head.destination, end->mac, ETH_ALEN);
	if (head.type == bpf_htons(ETH_P_IP)) {
		head.ip[8]--;
		/* One less in the first byte of a word is 0x100 less, and as much more in the sum (RFC 1624). */
		sum = (head.ip[10] << 8 | head.ip[11]) + 0x100;
		sum += sum >= 0xffff;
		head.ip[10] = sum >> 8;
		head.ip[11] = sum;
	} else {
		head.ip[7]--;
	}
	if (bpf_skb_store_bytes(skb, 0, &head, sizeof(head), BPF_F_RECOMPUTE_CSUM) < 0)
		return PASS;
	return bpf_redirect_peer(end->ifindex, 0);
}
