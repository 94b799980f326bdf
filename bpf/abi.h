/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What the program and the agent share. The Rust twins are crates/compile/src/abi.rs (structures) and
 * crates/compile/src/layout.rs (a policy's words); a test compares sizes and offsets with this program's
 * BTF, and the capacities below with core::limits.
 */
#pragma once

#include <linux/types.h>

#define ENI_SLOTS 16385
#define VPC_SLOTS 1025
#define GROUP_SLOTS 65537
#define RULE_SLOTS 327681
#define COUNTERS_TOGETHER 32 /* a power of two: numbers of rules whose counters are one element */
#define COUNTER_BLOCKS 10241 /* as many as the numbers of rules fill */
#define MEMBER_SLOTS 262146
#define FLOWS 262144 /* of each IP version */
#define HALF_OPEN_MAX 16384 /* of each ENI */
#define PORT_HINTS 32768 /* a power of two: places are masked */
#define PORT_HINT_FACTOR 0x9e3779b1u
#define FRAGMENTS 16384
#define POLICY_WORDS 16777216 /* a power of two: positions are masked */
#define REASONS 32
#define ID_BYTES 32
#define GROUPS_MAX 16
#define SHADOW_PAIRS 32768
#define SHADOW_WITNESSES 4096
#define SHADOW_CELLS 8 /* (passed, would pass), and: */
#define SHADOW_SKIPPED 4

#define ENI_VALID 1
#define ENI_SOURCE_CHECK 2
#define ENI_KEEP 4
#define ENI_RESET 8
#define ENI_SENDER_GROUPS 16
#define ENI_SHADOW 32
#define ENI_STRAIGHT 64
#define ENI_ROUTED 128

union ip {
	__u8 bytes[16];
	__u32 words[4];
	__u64 halves[2];
};

/* One cache line: every packet reads it. */
struct eni {
	__u64 policy;
	__u64 next;
	__u64 netns;
	__u32 ifindex;
	__u32 own[2]; /* the members of an own address of each IP version; 0 is not noted */
	__u16 vpc;
	__u16 flags;
	__u8 mac[6];
	__u16 tcp_closed_s;
	__u32 tcp_established_s;
	__u32 other_s;
	__u16 tcp_opening_s;
	__u16 udp_s;
	__u16 udp_stream_s;
	__u16 icmp_s;
};

struct member {
	__u32 vpc;
	__u32 eni;
	__u8 address[16];
	__u32 next;
	__u32 groups_n;
	__u32 groups[GROUPS_MAX];
};

struct address_key {
	__u32 vpc;
	__u8 address[16];
};

struct port_key {
	__u64 netns;
	__u32 ifindex;
	__u32 reserved;
};

struct flow_key {
	__u32 eni;
	__u8 local[16];
	__u8 peer[16];
	__u16 local_port;
	__u16 peer_port;
	__u8 protocol;
	__u8 reserved[3];
};

/*
 * The same for IPv4, in network byte order: with the kernel's own fields an element of the table is two cache
 * lines, and most flows are IPv4.
 */
struct flow_key4 {
	__u32 eni;
	__be32 local;
	__be32 peer;
	__u16 local_port;
	__u16 peer_port;
	__u8 protocol;
	__u8 reserved[3];
};

#define FLOW_EGRESS 1
#define FLOW_UNTRACKED 2
#define FLOW_V6 4
#define FLOW_FORWARDED 8
#define FLOW_FOREIGN 16

#define MARK_FORWARDED 0x10000000u

/* In a flow's stamp, beside the policy's version and the membership epoch. */
#define STAMP_INGRESS (1ull << 30) /* packets to the ENI pass the network ACL */
#define STAMP_EGRESS (1ull << 31)  /* packets from it do */
#define STAMP_KEPT (1ull << 29)	   /* not judged again: its ENI keeps tracked flows */
#define STAMP_EPOCH (STAMP_KEPT - 1)
#define STAMP_MARKS (STAMP_INGRESS | STAMP_EGRESS | STAMP_KEPT)

#define FLOW_ANSWERED 1
#define FLOW_ESTABLISHED 2
#define FLOW_FIN_FIRST 4
#define FLOW_FIN_REPLY 8
#define FLOW_RST 16
#define FLOW_CUT 32
#define FLOW_RST_REPLY 64

struct flow {
	__u64 stamp;
	__u64 seen_ns;
	__u32 rule;
	__u8 flags;
	__u8 progress;
	__u16 other; /* the ENI at the other end, if it is on this host and the straight path leads there */
	__u64 packets[2];
	__u64 bytes[2];
};

/*
 * The flows of an ENI, by IP version, and its part of the tables: see core::flow_room. Number 0 has what the ENIs hold beyond their
 * parts, and how much that may be.
 */
struct budget {
	__s32 flows[2];
	__s32 half_open;
	__s32 room;
};

struct fragment_key {
	__u32 eni;
	__u32 id;
	__u8 local[16];
	__u8 peer[16];
	__u8 protocol;
	__u8 direction;
	__u8 reserved[2];
};

struct counter {
	__u64 packets;
	__u64 bytes;
};

/* The kernel allocates every element of a per-CPU array by itself, so a few counters share one. */
struct counter_block {
	struct counter counters[COUNTERS_TOGETHER];
};

/* By direction, then by reason. */
struct reason_counts {
	__u64 packets[2][REASONS];
};

struct shadow_counts {
	__u64 flows[SHADOW_CELLS];
};

struct id {
	__u8 bytes[ID_BYTES];
};

struct rule_name {
	__u8 group[ID_BYTES];
	__u8 rule[ID_BYTES];
};

struct shadow {
	__u64 policy;
	__u64 round;
	__u32 beside;
	__u32 reserved;
};

struct shadow_pair {
	__u32 eni;
	__u32 live;
	__u32 candidate;
	__u8 live_reason;
	__u8 candidate_reason;
	__u8 direction;
	__u8 reserved;
};

struct shadow_witness {
	struct shadow_pair pair;
	__u8 local[16];
	__u8 peer[16];
	__u16 port;
	__u8 protocol;
	__u8 reserved;
};

struct shadow_seen {
	__u64 flows;
	__u64 seen_ns;
};

/* A policy's words: see crates/compile/src/layout.rs. */
#define POLICY_MAGIC 0x5ec10004u
#define DIRECTION_WORDS 9
#define ACL_WORDS 18 /* those of both directions, before the network ACL's */
#define BLOCK_WORDS 8
#define NARROW_FAN 16
#define NARROW_LEAF 8
#define WIDE_FAN 4
#define POSITION_BITS 24
#define POSITION_MASK ((1u << POSITION_BITS) - 1)
#define ASKS_LOCALS 0x1000000
#define ASKS_SOURCE_PORTS 0x2000000
#define ASKS_GROUPS 0x4000000
#define ASKS_PEERS 0x8000000
#define TABLE_RULES 0
#define TABLE_SERVICES 1
#define TABLE_PEERS4 2
#define TABLE_PEERS6 3
#define TABLE_GROUPS 4
#define TABLE_LOCALS4 5
#define TABLE_LOCALS6 6
#define TABLE_SOURCE_PORTS 7
#define DEFAULTS_WORD 8
#define DEFAULT_ALLOW 1
#define OPEN_TCP4 2
#define OPEN_UDP4 4
#define OPEN_TCP6 8
#define OPEN_UDP6 16
#define ACTION_DENY 0
#define ACTION_ALLOW 1
#define ACTION_BYPASS 2
#define RULE_WORLD 1
#define RULE_INTRA 2
#define RULE_PLATFORM 4
#define NO_PORT 0x10000
#define SUMMARIES_MAX 4 /* 64 bitmap words each: 16,384 rules */

enum reason {
	REASON_BYPASS = 0,
	REASON_KNOWN_FLOW = 1,
	REASON_KNOWN_ERROR = 2,
	REASON_KNOWN_FRAGMENT = 3,
	REASON_RULE_ALLOW = 4,
	REASON_INTRA_GROUP = 5,
	REASON_DEFAULT_ALLOW = 6,
	REASON_RULE_DENY = 7,
	REASON_DEFAULT_DENY = 8,
	REASON_FLOW_ENDED = 9,
	REASON_SPOOFED = 10,
	REASON_MID_STREAM = 11,
	REASON_FRAGMENT = 12,
	REASON_MALFORMED = 13,
	REASON_NO_POLICY = 14,
	REASON_TABLE_FULL = 15,
	REASON_CHANGING = 16,
	REASON_NOT_IP = 17,
	REASON_PLATFORM_ALLOW = 18,
	REASON_PLATFORM_DENY = 19,
	REASON_ACL_DENY = 20,
	REASON_HALF_OPEN = 21,
};

#define INGRESS 0
#define EGRESS 1
