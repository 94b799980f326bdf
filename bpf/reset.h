/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The `reset` treatment: a TCP flow that a change ends is told so on both sides.
 *
 * The packet that finds its flow ended becomes two: a RST that goes on to where the packet was going, with
 * the packet's own sequence number, and one that goes back to where it came from, with the number that the
 * sender expects next (RFC 5961 accepts no other). The flow's entry stays, marked FLOW_CUT, until it idles
 * out; through a cut flow only RST passes, and whatever else comes is answered again.
 */
#pragma once

#include <linux/tcp.h>

#include "conntrack.h"

#define TCP_BARE 20
#define RESET_TTL 64

struct pseudo_header {
	union ip source;
	union ip destination;
	__be32 length;
	__be32 protocol;
};

static __always_inline __u16 fold(__s64 sum)
{
	__u32 folded = (__u32)sum;

	folded = (folded & 0xffff) + (folded >> 16);
	folded = (folded & 0xffff) + (folded >> 16);
	return folded;
}

/* Mapped IPv4 addresses add only ffff, which is zero in ones' complement: one header serves both families. */
static __always_inline __u16 pseudo_sum(const struct tuple *tuple, __u32 length)
{
	struct pseudo_header head = {
		.source = tuple->local,
		.destination = tuple->peer,
		.length = bpf_htonl(length),
		.protocol = bpf_htonl(PROTO_TCP),
	};

	return fold(bpf_csum_diff(0, 0, (__be32 *)&head, sizeof(head), 0));
}

static __always_inline int swap_bytes(struct __sk_buff *skb, __u32 one, __u32 other, __u32 size)
{
	__u8 first[16], second[16];

	if (bpf_skb_load_bytes(skb, one, first, size) < 0 || bpf_skb_load_bytes(skb, other, second, size) < 0)
		return -1;
	if (bpf_skb_store_bytes(skb, one, second, size, 0) < 0 || bpf_skb_store_bytes(skb, other, first, size, 0) < 0)
		return -1;
	return 0;
}

/* Ethernet and IP addresses the other way round. */
static __always_inline int turn_round(struct __sk_buff *skb, int v6, __u32 l3)
{
	if (swap_bytes(skb, 0, ETH_ALEN, ETH_ALEN) < 0)
		return -1;
	if (v6)
		return swap_bytes(skb, l3 + 8, l3 + 24, 16);
	return swap_bytes(skb, l3 + 12, l3 + 16, 4);
}

/* The IP header of a packet that ends after a bare TCP header. */
static __always_inline int shorten_ip(struct __sk_buff *skb, int v6, __u32 l3, __u32 l4)
{
	__u8 ttl = RESET_TTL;
	__be16 old, length;

	if (v6) {
		length = bpf_htons(l4 - l3 - sizeof(struct ipv6hdr) + TCP_BARE);
		if (bpf_skb_store_bytes(skb, l3 + 4, &length, 2, 0) < 0)
			return -1;
		return bpf_skb_store_bytes(skb, l3 + 7, &ttl, 1, 0);
	}
	length = bpf_htons(l4 - l3 + TCP_BARE);
	if (bpf_skb_load_bytes(skb, l3 + 2, &old, 2) < 0 ||
	    bpf_l3_csum_replace(skb, l3 + 10, old, length, 2) < 0 ||
	    bpf_skb_store_bytes(skb, l3 + 2, &length, 2, 0) < 0)
		return -1;
	/* Time to live and protocol are one word of the checksum. */
	if (bpf_skb_load_bytes(skb, l3 + 8, &old, 2) < 0 || bpf_skb_store_bytes(skb, l3 + 8, &ttl, 1, 0) < 0 ||
	    bpf_skb_load_bytes(skb, l3 + 8, &length, 2) < 0)
		return -1;
	return bpf_l3_csum_replace(skb, l3 + 10, old, length, 2);
}

static __always_inline int write_reset(struct __sk_buff *skb, const struct packet *packet, struct tcphdr *tcp,
				       int partial)
{
	__u16 pseudo = pseudo_sum(&packet->tuple, TCP_BARE);

	/* A checksum that the device is to complete starts with the pseudo header; another is complete. */
	tcp->check = 0;
	tcp->check = partial ? pseudo : ~fold(bpf_csum_diff(0, 0, (__be32 *)tcp, TCP_BARE, pseudo));
	return bpf_skb_store_bytes(skb, packet->l4, tcp, TCP_BARE, 0);
}

/* Makes a RST of the packet in place, and sends one back. Returns 0 when the one in place may go on. */
static __noinline int send_resets(struct __sk_buff *skb, struct scratch *work)
{
	struct tcphdr old, reset = { .doff = 5, .rst = 1 };
	struct packet packet;
	int partial;

	if (!work)
		return -1;
	/* The RST that goes back passes a program on this CPU at once, which uses the working memory. */
	packet = work->packet;
	if (bpf_skb_load_bytes(skb, packet.l4, &old, sizeof(old)) < 0)
		return -1;
	partial = old.check == pseudo_sum(&packet.tuple, skb->len - packet.l4);
	if (bpf_skb_change_tail(skb, packet.l4 + TCP_BARE, 0) < 0 || shorten_ip(skb, packet.tuple.v6, packet.l3, packet.l4) < 0)
		return -1;
	reset.source = old.dest;
	reset.dest = old.source;
	if (old.ack) {
		reset.seq = old.ack_seq;
	} else {
		reset.ack = 1;
		reset.ack_seq = bpf_htonl(bpf_ntohl(old.seq) + (old.syn ? 1 : 0));
	}
	if (turn_round(skb, packet.tuple.v6, packet.l3) < 0 || write_reset(skb, &packet, &reset, partial) < 0)
		return -1;
	bpf_clone_redirect(skb, skb->ifindex, packet.tuple.direction == INGRESS ? BPF_F_INGRESS : 0);
	reset.source = old.source;
	reset.dest = old.dest;
	reset.seq = old.seq;
	reset.ack_seq = old.ack_seq;
	reset.ack = old.ack;
	if (turn_round(skb, packet.tuple.v6, packet.l3) < 0)
		return -1;
	return write_reset(skb, &packet, &reset, partial);
}
