// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Ways from an IPv4 address to the entry of a list that has it, beside each other: one search of a random address for each run.
 * The first program only draws the address; what it costs is in all of them.
 */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "../bpf/search.h"

char LICENSE[] SEC("license") = "GPL";

/* How many prefixes, and how far they are apart. */
volatile const __u32 PREFIXES = 1;
volatile const __u32 STEP = 1;
/* Where the policy lies, which of its words names the table, and the same entries in one sorted run. */
volatile const __u32 POLICY = 0;
volatile const __u32 TABLE = 0;
volatile const __u32 RUN = 0;
volatile const __u32 RUN_ENTRIES = 0;

#define BINARY_STEPS 24

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct policy_store);
} policies SEC(".maps");

struct trie_key {
	__u32 length;
	__be32 address;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct trie_key);
	__type(value, __u32);
} trie SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} exact SEC(".maps");

static __always_inline __u32 somewhere(void)
{
	return bpf_get_prandom_u32() % PREFIXES * STEP;
}

static __always_inline const struct policy_store *store_of_policies(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&policies, &zero);
}

SEC("classifier")
int draw(struct __sk_buff *skb)
{
	return somewhere() == 1;
}

SEC("classifier")
int blocks(struct __sk_buff *skb)
{
	return narrow_class(store_of_policies(), POLICY, TABLE, somewhere()) == 1;
}

SEC("classifier")
int binary(struct __sk_buff *skb)
{
	const struct policy_store *store = store_of_policies();
	__u32 value = somewhere(), at = RUN, left = RUN_ENTRIES;

	if (!store)
		return 0;
	for (int i = 0; i < BINARY_STEPS && left > 1; i++) {
		__u32 half = left >> 1;
		__u64 key = word(store->words, at + half) >> 32;

		at += half & -below(key, (__u64)value + 1);
		left -= half;
	}
	return (__u32)word(store->words, at) == 1;
}

SEC("classifier")
int longest_prefix(struct __sk_buff *skb)
{
	struct trie_key key = { .length = 32, .address = bpf_htonl(somewhere()) };
	__u32 *found = bpf_map_lookup_elem(&trie, &key);

	return found && *found == 1;
}

SEC("classifier")
int hash(struct __sk_buff *skb)
{
	__u32 key = somewhere();
	__u32 *found = bpf_map_lookup_elem(&exact, &key);

	return found && *found == 1;
}
