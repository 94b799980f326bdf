/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The short way: a plain packet of a live flow that nothing has changed passes after its flow was found, without
 * working memory. It decides nothing of its own: every other packet takes the long way, which would give these
 * packets the same answer.
 */
#pragma once

#include "conntrack.h"

/* What a first look tells of a packet. */
enum standing {
	STANDING_UNREAD = 0, /* not plain: nothing is known of it */
	STANDING_NEW = 1,    /* it has no flow, or begins one anew, and stands read in the working memory */
	STANDING_OPEN = 2,   /* it has a flow that must be looked at again */
	STANDING_KNOWN = 3,  /* its flow goes on */
};

struct glance {
	struct flow *flow;
	enum standing standing;
	__u8 protocol;
	__u8 tcp_flags;
};

static __always_inline int same_mac(const __u8 *one, const __u8 *other)
{
	__u8 different = 0;

	for (int i = 0; i < ETH_ALEN; i++)
		different |= one[i] ^ other[i];
	return !different;
}

/* The header of TCP or UDP, if it is within the bytes of a packet, and lies where it can be read at once. */
static __always_inline union transport *plain_transport(void *at, void *end, __u32 bytes, struct glance *glance)
{
	union transport *head = at;

	if (bytes < (glance->protocol == PROTO_TCP ? TCP_BYTES : TRANSPORT_BYTES))
		return 0;
	if (glance->protocol == PROTO_TCP) {
		if (at + sizeof(head->tcp) > end || head->tcp.offset < 0x50)
			return 0;
		glance->tcp_flags = head->tcp.flags;
		return head;
	}
	return glance->protocol == PROTO_UDP && at + sizeof(head->udp) <= end ? head : 0;
}

/*
 * A plain packet without a flow, or in the place of one that has ended, is not read again: it is written down as it was seen. Its
 * addresses are for the caller to write; without working memory there is no place for them.
 */
static __always_inline struct tuple *note_new(struct glance *glance, const union transport *head, __u32 slot,
					      __u8 direction, __u8 v6)
{
	__u32 zero = 0;
	struct scratch *work = bpf_map_lookup_elem(&scratch, &zero);
	struct tuple *tuple;

	if (!work)
		return 0;
	__builtin_memset(&work->packet, 0, sizeof(work->packet));
	tuple = &work->packet.tuple;
	tuple->eni = slot;
	tuple->direction = direction;
	tuple->protocol = glance->protocol;
	tuple->v6 = v6;
	tuple->has_ports = 1;
	tuple->source_port = bpf_ntohs(head->udp.source);
	tuple->destination_port = bpf_ntohs(head->udp.destination);
	work->packet.l3 = ETH_HLEN;
	work->packet.l4 = ETH_HLEN + (v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));
	work->packet.tcp_flags = glance->tcp_flags;
	glance->standing = STANDING_NEW;
	return tuple;
}

static __always_inline void find_v4(void *at, void *end, __u32 length, __u32 slot, __u8 direction,
				    struct glance *glance)
{
	struct flow_key4 key = { .eni = slot };
	struct iphdr *ip = at;
	union transport *head;
	struct tuple *tuple;

	if (at + sizeof(*ip) > end || *(__u8 *)at != 0x45 || (ip->frag_off & bpf_htons(0x3fff)) ||
	    bpf_ntohs(ip->tot_len) < sizeof(*ip) || bpf_ntohs(ip->tot_len) + ETH_HLEN > length)
		return;
	glance->protocol = key.protocol = ip->protocol;
	head = plain_transport(ip + 1, end, bpf_ntohs(ip->tot_len) - sizeof(*ip), glance);
	if (!head)
		return;
	key.local = direction == INGRESS ? ip->daddr : ip->saddr;
	key.peer = direction == INGRESS ? ip->saddr : ip->daddr;
	key.local_port = bpf_ntohs(direction == INGRESS ? head->udp.destination : head->udp.source);
	key.peer_port = bpf_ntohs(direction == INGRESS ? head->udp.source : head->udp.destination);
	glance->flow = bpf_map_lookup_elem(&flows4, &key);
	glance->standing = glance->flow ? STANDING_OPEN : STANDING_UNREAD;
	tuple = glance->flow && !begins_anew(glance->flow, glance->protocol, glance->tcp_flags) ? 0 : note_new(glance, head, slot, direction, 0);
	if (!tuple)
		return;
	map_v4(&tuple->local, key.local);
	map_v4(&tuple->peer, key.peer);
}

static __always_inline void find_v6(void *at, void *end, __u32 length, __u32 slot, __u8 direction, struct glance *glance)
{
	struct flow_key key = { .eni = slot };
	struct ipv6hdr *ip = at;
	union transport *head;
	struct tuple *tuple;

	if (at + sizeof(*ip) > end || ip->version != 6 || bpf_ntohs(ip->payload_len) + ETH_HLEN + sizeof(*ip) > length)
		return;
	if (is_mapped_v4((union ip *)&ip->saddr) || is_mapped_v4((union ip *)&ip->daddr))
		return;
	glance->protocol = key.protocol = ip->nexthdr;
	head = plain_transport(ip + 1, end, bpf_ntohs(ip->payload_len), glance);
	if (!head)
		return;
	__builtin_memcpy(key.local, direction == INGRESS ? &ip->daddr : &ip->saddr, 16);
	__builtin_memcpy(key.peer, direction == INGRESS ? &ip->saddr : &ip->daddr, 16);
	key.local_port = bpf_ntohs(direction == INGRESS ? head->udp.destination : head->udp.source);
	key.peer_port = bpf_ntohs(direction == INGRESS ? head->udp.source : head->udp.destination);
	glance->flow = bpf_map_lookup_elem(&flows6, &key);
	glance->standing = glance->flow ? STANDING_OPEN : STANDING_UNREAD;
	tuple = glance->flow && !begins_anew(glance->flow, glance->protocol, glance->tcp_flags) ? 0 : note_new(glance, head, slot, direction, 1);
	if (!tuple)
		return;
	__builtin_memcpy(&tuple->local, key.local, 16);
	__builtin_memcpy(&tuple->peer, key.peer, 16);
}

/* Looks at a packet. A flow that goes on is advanced, and told; so is one that has ended and in whose place a new one begins. */
static __always_inline enum standing look(struct __sk_buff *skb, const struct eni *eni, __u32 slot, __u8 direction,
					  struct flow **flow)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct glance glance = { 0 };
	struct ethhdr *eth = data;
	__u64 now, stamp;

	if ((void *)(eth + 1) > end)
		return STANDING_UNREAD;
	if (direction == EGRESS && (eni->flags & ENI_SOURCE_CHECK) && !same_mac(eth->h_source, eni->mac))
		return STANDING_UNREAD;
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		find_v4(eth + 1, end, skb->len, slot, direction, &glance);
	else if (eth->h_proto == bpf_htons(ETH_P_IPV6))
		find_v6(eth + 1, end, skb->len, slot, direction, &glance);
	if (glance.standing == STANDING_NEW)
		*flow = glance.flow;
	if (!glance.flow || (glance.flow->progress & FLOW_CUT) || begins_connection(glance.tcp_flags))
		return glance.standing;
	now = coarse_ns();
	stamp = *(volatile __u64 *)&glance.flow->stamp;
	if (!is_current(eni, stamp) || !is_cleared(stamp, direction) || has_expired(eni, glance.protocol, glance.flow, now))
		return glance.standing;
	advance(glance.flow, skb, slot, glance.protocol, direction, glance.tcp_flags, now);
	if (direction == EGRESS)
		mark_sender(skb, glance.flow->flags & FLOW_FOREIGN);
	*flow = glance.flow;
	return STANDING_KNOWN;
}
