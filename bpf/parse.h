/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * From bytes to what rules and flows look at. Bounded: at most EXTENSIONS_MAX IPv6 extension headers. A
 * packet that cannot be read is dropped, never guessed at.
 */
#pragma once

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"

#define EXTENSIONS_MAX 8

#define PROTO_HOPOPTS 0
#define PROTO_ICMP 1
#define PROTO_TCP 6
#define PROTO_UDP 17
#define PROTO_ROUTING 43
#define PROTO_FRAGMENT 44
#define PROTO_AH 51
#define PROTO_ICMPV6 58
#define PROTO_DSTOPTS 60

#define TCP_FIN 1
#define TCP_SYN 2
#define TCP_RST 4
#define TCP_ACK 16

/* What identifies a packet to the rules, seen from the ENI. */
struct tuple {
	union ip local;
	union ip peer;
	__u32 eni;
	__u16 source_port; /* or type << 8 | code, twice, for ICMP */
	__u16 destination_port;
	__u8 protocol;
	__u8 direction;
	__u8 v6;
	__u8 has_ports;
	__u8 forwarded; /* it comes from no group: whoever sent it had it from another */
};

struct packet {
	struct tuple tuple;
	__u32 l3;
	__u32 l4;
	__u32 end; /* of what the IP header says is in it */
	__u32 fragment_id;
	__u16 icmp_id;
	__u8 tcp_flags;
	__u8 hop_limit;
	__u8 fragment_first;
	__u8 fragment_later;
	__u8 fragment_header; /* IPv6 */
	__u8 fragment_protocol;
};

/* The headers of the transport, as far as they are looked at. */
union transport {
	struct {
		__be16 source;
		__be16 destination;
		__be32 sequence;
		__be32 acknowledgement;
		__u8 offset;
		__u8 flags;
	} tcp;
	struct {
		__be16 source;
		__be16 destination;
	} udp;
	struct {
		__u8 type;
		__u8 code;
		__be16 checksum;
		__be16 id;
		__be16 sequence;
	} icmp;
};

/* What is looked at of them. */
#define TCP_BYTES 14
#define TRANSPORT_BYTES 8

/* Bytes of a packet. What a frame has behind it is nobody's, and no header is read from there. */
static __always_inline long load(struct __sk_buff *skb, const struct packet *packet, __u32 at, void *to, __u32 size)
{
	return at + size > packet->end ? -1 : bpf_skb_load_bytes(skb, at, to, size);
}

static __always_inline void map_v4(union ip *to, __be32 address)
{
	to->halves[0] = 0;
	/* One store: who reads the half in one load would wait for two. */
	to->halves[1] = bpf_cpu_to_be64(0xffff00000000ull | bpf_ntohl(address));
}

static __always_inline int is_mapped_v4(const union ip *address)
{
	return address->halves[0] == 0 && address->words[2] == bpf_htonl(0xffff);
}

/* The query that an ICMP message asks or answers; 0 is neither. */
static __always_inline __u8 query_of(__u8 protocol, __u8 type)
{
	if (protocol == PROTO_ICMPV6)
		return type == 128 || type == 129 ? 128 : 0;
	if (type == 8 || type == 0)
		return 8;
	if (type == 13 || type == 14)
		return 13;
	if (type == 17 || type == 18)
		return 17;
	return 0;
}

/* The answer to a query. */
static __always_inline __u8 answer_of(__u8 protocol, __u8 query)
{
	return protocol == PROTO_ICMPV6 || query != 8 ? query + 1 : 0;
}

static __always_inline int is_icmp_error(__u8 protocol, __u8 type)
{
	if (protocol == PROTO_ICMP)
		return type == 3 || type == 11 || type == 12;
	return protocol == PROTO_ICMPV6 && type >= 1 && type <= 4;
}

/* The protocol's own header family: ICMP over IPv6 and ICMPv6 over IPv4 are ordinary protocols. */
static __always_inline int is_icmp(const struct tuple *tuple)
{
	return tuple->protocol == (tuple->v6 ? PROTO_ICMPV6 : PROTO_ICMP);
}

static __always_inline void set_ends(struct tuple *tuple, const union ip *source, const union ip *destination)
{
	if (tuple->direction == INGRESS) {
		tuple->peer = *source;
		tuple->local = *destination;
	} else {
		tuple->local = *source;
		tuple->peer = *destination;
	}
}

static __always_inline int parse_v4(struct packet *packet, void *at, void *end, __u32 length)
{
	struct iphdr *ip = at;
	struct tuple *tuple = &packet->tuple;
	union ip source, destination;
	__u16 offset;

	if ((void *)(ip + 1) > end || ip->version != 4 || ip->ihl < 5)
		return -1;
	if (bpf_ntohs(ip->tot_len) < ip->ihl * 4 || bpf_ntohs(ip->tot_len) + packet->l3 > length)
		return -1;
	map_v4(&source, ip->saddr);
	map_v4(&destination, ip->daddr);
	set_ends(tuple, &source, &destination);
	tuple->protocol = ip->protocol;
	offset = bpf_ntohs(ip->frag_off);
	packet->fragment_later = (offset & 0x1fff) != 0;
	packet->fragment_first = !packet->fragment_later && (offset & 0x2000);
	/* It would write over the flags of a TCP header (RFC 1858). */
	if (ip->protocol == PROTO_TCP && (offset & 0x1fff) == 1)
		return -1;
	packet->fragment_id = ip->id;
	packet->l4 = packet->l3 + ip->ihl * 4;
	packet->end = packet->l3 + bpf_ntohs(ip->tot_len);
	packet->hop_limit = ip->ttl;
	return 0;
}

/* One extension header: its successor, or -1 where the transport begins, or -2 for what cannot be read. */
static __always_inline int skip_extension(struct __sk_buff *skb, struct packet *packet, __u8 protocol)
{
	__u8 head[8];

	if (protocol != PROTO_HOPOPTS && protocol != PROTO_ROUTING && protocol != PROTO_DSTOPTS &&
	    protocol != PROTO_FRAGMENT && protocol != PROTO_AH)
		return -1;
	if (load(skb, packet, packet->l4, head, sizeof(head)) < 0)
		return -2;
	if (protocol == PROTO_ROUTING && head[2] == 0)
		return -2; /* type 0 names further destinations (RFC 5095) */
	if (protocol == PROTO_FRAGMENT) {
		__u16 offset = (__u16)head[2] << 8 | head[3];

		/* A fragment of a fragment is nobody's work, and one that would write over TCP flags neither (RFC 1858). */
		if (packet->fragment_header || (head[0] == PROTO_TCP && offset >> 3 == 1))
			return -2;
		packet->fragment_header = 1;
		packet->fragment_protocol = head[0];
		packet->fragment_later = (offset & 0xfff8) != 0;
		packet->fragment_first = !packet->fragment_later && (offset & 1);
		packet->fragment_id = (__u32)head[4] << 24 | (__u32)head[5] << 16 | (__u32)head[6] << 8 | head[7];
		packet->l4 += 8;
	} else if (protocol == PROTO_AH) {
		packet->l4 += ((__u32)head[1] + 2) * 4;
	} else {
		packet->l4 += ((__u32)head[1] + 1) * 8;
	}
	return head[0];
}

static __always_inline int parse_v6(struct __sk_buff *skb, struct packet *packet, void *at, void *end)
{
	struct ipv6hdr *ip = at;
	struct tuple *tuple = &packet->tuple;
	union ip source, destination;
	int next;

	if ((void *)(ip + 1) > end || ip->version != 6)
		return -1;
	__builtin_memcpy(&source, &ip->saddr, 16);
	__builtin_memcpy(&destination, &ip->daddr, 16);
	if (is_mapped_v4(&source) || is_mapped_v4(&destination))
		return -1;
	set_ends(tuple, &source, &destination);
	tuple->v6 = 1;
	packet->hop_limit = ip->hop_limit;
	packet->l4 = packet->l3 + sizeof(*ip);
	/* What is to be segmented may be longer than a length can say, and has none then. */
	packet->end = ip->payload_len || !skb->gso_size ? packet->l4 + bpf_ntohs(ip->payload_len) : skb->len;
	if (packet->end > skb->len)
		return -1;
	next = ip->nexthdr;
	for (int i = 0; i <= EXTENSIONS_MAX; i++) {
		int after;

		tuple->protocol = next;
		if (packet->fragment_later)
			return 0;
		after = skip_extension(skb, packet, next);
		if (after == -1)
			return 0;
		if (after < 0)
			return -1;
		next = after;
	}
	return -1;
}

/* Ports, or type and code, from the transport's header. */
static __always_inline int parse_transport(struct __sk_buff *skb, struct packet *packet)
{
	struct tuple *tuple = &packet->tuple;
	union transport head;

	__builtin_memset(&head, 0, sizeof(head));
	if (tuple->protocol == PROTO_TCP) {
		if (load(skb, packet, packet->l4, &head, TCP_BYTES) < 0 || head.tcp.offset < 0x50)
			return -1;
		packet->tcp_flags = head.tcp.flags;
	} else if (tuple->protocol == PROTO_UDP || is_icmp(tuple)) {
		if (load(skb, packet, packet->l4, &head, TRANSPORT_BYTES) < 0)
			return -1;
	} else {
		return 0;
	}
	if (is_icmp(tuple)) {
		packet->icmp_id = bpf_ntohs(head.icmp.id);
		tuple->source_port = (__u16)head.icmp.type << 8 | head.icmp.code;
		tuple->destination_port = tuple->source_port;
		return 0;
	}
	tuple->has_ports = 1;
	tuple->source_port = bpf_ntohs(head.udp.source);
	tuple->destination_port = bpf_ntohs(head.udp.destination);
	return 0;
}

/* The flow that a tuple is part of; 0 when it can be part of none. */
static __always_inline int flow_key_of(const struct tuple *tuple, __u16 icmp_id, struct flow_key *key)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->eni = tuple->eni;
	__builtin_memcpy(key->local, &tuple->local, 16);
	__builtin_memcpy(key->peer, &tuple->peer, 16);
	key->protocol = tuple->protocol;
	if (tuple->has_ports) {
		key->local_port = tuple->direction == INGRESS ? tuple->destination_port : tuple->source_port;
		key->peer_port = tuple->direction == INGRESS ? tuple->source_port : tuple->destination_port;
	} else if (is_icmp(tuple)) {
		__u8 kind = tuple->source_port >> 8, query = query_of(tuple->protocol, kind);

		if (!query)
			return 0;
		/* What the other end sends: whoever was asked may answer, and not ask by the same. */
		if ((kind == query) == (tuple->direction == EGRESS))
			query = answer_of(tuple->protocol, query);
		key->local_port = icmp_id;
		key->peer_port = (__u16)query << 8 | (tuple->source_port & 0xff);
	}
	return 1;
}

/* The packet that began a flow, from its key. */
static __always_inline void first_of_flow(const struct flow_key *key, __u8 flags, struct tuple *tuple)
{
	__builtin_memset(tuple, 0, sizeof(*tuple));
	tuple->eni = key->eni;
	__builtin_memcpy(&tuple->local, key->local, 16);
	__builtin_memcpy(&tuple->peer, key->peer, 16);
	tuple->protocol = key->protocol;
	tuple->direction = flags & FLOW_EGRESS ? EGRESS : INGRESS;
	tuple->v6 = flags & FLOW_V6 ? 1 : 0;
	tuple->forwarded = flags & FLOW_FORWARDED ? 1 : 0;
	tuple->has_ports = key->protocol == PROTO_TCP || key->protocol == PROTO_UDP;
	if (tuple->has_ports) {
		tuple->source_port = flags & FLOW_EGRESS ? key->local_port : key->peer_port;
		tuple->destination_port = flags & FLOW_EGRESS ? key->peer_port : key->local_port;
	} else if (is_icmp(tuple)) {
		tuple->source_port = (__u16)query_of(key->protocol, key->peer_port >> 8) << 8 | (key->peer_port & 0xff);
		tuple->destination_port = tuple->source_port;
	}
}

/*
 * The tuple of the packet that an ICMP error quotes, turned so that it names the same flow. An error to
 * the ENI is about a packet that the ENI sent, and the other way round. Of a packet in fragments only the first tells its flow.
 * A function of its own: it is seldom called, and the stack of its caller is full.
 */
static __noinline int parse_quoted(struct __sk_buff *skb, const struct packet *packet, struct tuple *tuple,
				   __u16 *icmp_id)
{
	__u32 at = packet->l4 + 8;
	union ip source, destination;
	union transport head;

	__builtin_memset(tuple, 0, sizeof(*tuple));
	tuple->eni = packet->tuple.eni;
	tuple->direction = packet->tuple.direction == INGRESS ? EGRESS : INGRESS;
	tuple->v6 = packet->tuple.v6;
	if (tuple->v6) {
		struct ipv6hdr ip;

		if (load(skb, packet, at, &ip, sizeof(ip)) < 0)
			return -1;
		__builtin_memcpy(&source, &ip.saddr, 16);
		__builtin_memcpy(&destination, &ip.daddr, 16);
		tuple->protocol = ip.nexthdr;
		at += sizeof(ip);
		if (tuple->protocol == PROTO_FRAGMENT) {
			if (load(skb, packet, at, &head, TRANSPORT_BYTES) < 0 || (head.udp.destination & bpf_htons(0xfff8)))
				return -1;
			tuple->protocol = head.icmp.type;
			at += 8;
		}
	} else {
		struct iphdr ip;

		if (load(skb, packet, at, &ip, sizeof(ip)) < 0 || ip.ihl < 5 || (ip.frag_off & bpf_htons(0x1fff)))
			return -1;
		map_v4(&source, ip.saddr);
		map_v4(&destination, ip.daddr);
		tuple->protocol = ip.protocol;
		at += ip.ihl * 4;
	}
	set_ends(tuple, &source, &destination);
	__builtin_memset(&head, 0, sizeof(head));
	if (tuple->protocol != PROTO_TCP && tuple->protocol != PROTO_UDP && !is_icmp(tuple))
		return 0;
	if (load(skb, packet, at, &head, TRANSPORT_BYTES) < 0)
		return -1;
	if (is_icmp(tuple)) {
		*icmp_id = bpf_ntohs(head.icmp.id);
		tuple->source_port = (__u16)head.icmp.type << 8 | head.icmp.code;
		tuple->destination_port = tuple->source_port;
		return 0;
	}
	tuple->has_ports = 1;
	tuple->source_port = bpf_ntohs(head.udp.source);
	tuple->destination_port = bpf_ntohs(head.udp.destination);
	return 0;
}
