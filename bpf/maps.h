/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Every map, pinned by name in the agent's own bpffs. Arrays that the agent changes in place are mmap-ed
 * by it: a change is one aligned store that a running program sees whole.
 */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"
#include "search.h"

#define SHARED_ARRAY(name, type_, entries)            \
	struct {                                      \
		__uint(type, BPF_MAP_TYPE_ARRAY);     \
		__uint(max_entries, entries);         \
		__uint(map_flags, BPF_F_MMAPABLE);    \
		__type(key, __u32);                   \
		__type(value, type_);                 \
	} name SEC(".maps")

SHARED_ARRAY(enis, struct eni, ENI_SLOTS);
SHARED_ARRAY(members, struct member, MEMBER_SLOTS);
SHARED_ARRAY(budgets, struct budget, ENI_SLOTS);
SHARED_ARRAY(policies, struct policy_store, 1);
SHARED_ARRAY(epochs, __u32, VPC_SLOTS);

/* Names of the numbers: what a restarted agent learns from the kernel. The program does not read them. */
SHARED_ARRAY(eni_names, struct id, ENI_SLOTS);
SHARED_ARRAY(vpc_names, struct id, VPC_SLOTS);
SHARED_ARRAY(group_names, struct id, GROUP_SLOTS);
SHARED_ARRAY(rule_names, struct rule_name, RULE_SLOTS);

/* A random number for each time that a number begins to be counted under: totals of different lives are added up. */
SHARED_ARRAY(eni_lives, __u64, ENI_SLOTS);
SHARED_ARRAY(rule_lives, __u64, RULE_SLOTS);
/* What the counters of a rule's number said when that life began: one counter of a block cannot be set to zero. */
SHARED_ARRAY(rule_bases, struct counter, RULE_SLOTS);

/*
 * Where to look for an interface's ENI first: by a few bits of `ports`' key. Only a hint: who reads it asks the
 * ENI whether it is the interface's, and `ports` if not.
 */
SHARED_ARRAY(port_hints, __u32, PORT_HINTS);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ENI_SLOTS);
	__type(key, struct port_key);
	__type(value, __u32);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MEMBER_SLOTS);
	__type(key, struct address_key);
	__type(value, __u32);
} addresses SEC(".maps");

/* Not an LRU: a flood must not push out a live flow. What has no room (budget.h) is refused, and counted. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FLOWS);
	__type(key, struct flow_key4);
	__type(value, struct flow);
} flows4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FLOWS);
	__type(key, struct flow_key);
	__type(value, struct flow);
} flows6 SEC(".maps");

/* Losing an entry loses the rest of one packet, so here an LRU is right. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FRAGMENTS);
	__type(key, struct fragment_key);
	__type(value, __u64);
} fragments SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTER_BLOCKS);
	__type(key, __u32);
	__type(value, struct counter_block);
} rule_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, ENI_SLOTS);
	__type(key, __u32);
	__type(value, struct reason_counts);
} reason_counters SEC(".maps");
