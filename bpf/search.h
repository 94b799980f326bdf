/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * From a value to its class: a search in a table of a policy, which waits for one cache line per level
 * (crates/compile/src/layout.rs). Needs no map, so that it can be measured beside other ways (bench/search.bpf.c).
 */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"

/* Levels enough for the 3 * 2^20 words of the largest policy: see crates/compile/src/index.rs, whose test holds it. */
#define NARROW_LEVELS 5
#define WIDE_LEVELS 10

struct policy_store {
	__u64 words[POLICY_WORDS];
};

static __always_inline __u64 word(const __u64 *words, __u32 at)
{
	at &= POLICY_WORDS - 1;
	/* The compiler must not prove the mask redundant and drop it: the verifier needs it. */
	asm volatile("" : "+r"(at));
	at &= POLICY_WORDS - 1;
	return words[at];
}

/* A block of the store, at the position or just before it. */
static __always_inline const __u64 *block(const __u64 *words, __u32 at)
{
	at &= POLICY_WORDS - BLOCK_WORDS;
	asm volatile("" : "+r"(at));
	at &= POLICY_WORDS - BLOCK_WORDS;
	return words + at;
}

/* 1 when a number is below another, both less than 2^63. Without a branch, so that the verifier walks one path: the compiler
 * must not see what the difference is of. */
static __always_inline __u32 below(__u64 one, __u64 other)
{
	__u64 difference = one - other;

	asm volatile("" : "+r"(difference));
	return difference >> 63;
}

/* 1 when a 128-bit number is below another: the borrow of the subtraction. */
static __always_inline __u32 wide_below(__u64 high, __u64 low, __u64 other_high, __u64 other_low)
{
	__u64 borrow = (~low & other_low) | ((~low | other_low) & (low - other_low));

	asm volatile("" : "+r"(borrow));
	borrow = (~high & other_high) | ((~high | other_high) & (high - other_high - (borrow >> 63)));
	asm volatile("" : "+r"(borrow));
	return borrow >> 63;
}

/* A table as its word in the header tells it. */
struct table {
	__u32 entries;
	__u32 levels;
	__u32 at;
};

static __always_inline struct table table_of(const __u64 *words, __u32 policy, __u32 table)
{
	__u64 head = word(words, policy + table);

	return (struct table){
		.entries = head >> 32,
		.levels = (__u32)head >> POSITION_BITS,
		.at = policy + ((__u32)head & POSITION_MASK),
	};
}

/* The words of a level that is so many levels above some leaves, of which a block has 2^`bits`. */
static __always_inline __u32 level_words(__u32 leaves, __u32 level, __u32 bits)
{
	__u32 shift = level * bits & 31;

	return ((leaves + (1u << shift) - 1) >> shift) * BLOCK_WORDS;
}

/* The class of a 32-bit value: that of the last entry at or below it. Positions relative to the policy. */
__noinline __u32 narrow_class(const struct policy_store *store, __u32 policy, __u32 table, __u32 value)
{
	const __u64 *words = (const __u64 *)store, *line;
	struct table found;
	__u32 place = 0;

	if (!words)
		return 0;
	found = table_of(words, policy, table);
	if (found.entries <= 1)
		return found.entries ? (__u32)word(words, found.at) : 0;
	for (int i = 0; i < NARROW_LEVELS && found.levels; i++, found.levels--) {
		line = block(words, found.at + place * BLOCK_WORDS);
		place = place * NARROW_FAN + below(line[0] >> 32, value);
		for (int j = 1; j < BLOCK_WORDS; j++)
			place += below((__u32)line[j], value) + below(line[j] >> 32, value);
		found.at += level_words((found.entries + NARROW_LEAF - 1) / NARROW_LEAF, found.levels, 4);
	}
	line = block(words, found.at + place * BLOCK_WORDS);
	place = 0;
	for (int j = 1; j < NARROW_LEAF; j++)
		place += below(line[j] >> 32, (__u64)value + 1);
	return (__u32)line[place & (NARROW_LEAF - 1)];
}

/* The same for a 128-bit value. */
__noinline __u32 wide_class(const struct policy_store *store, __u32 policy, __u32 table, const union ip *address)
{
	const __u64 *words = (const __u64 *)store, *line;
	struct table found;
	__u64 high, low;
	__u32 place = 0;

	if (!words || !address)
		return 0;
	high = bpf_be64_to_cpu(address->halves[0]);
	low = bpf_be64_to_cpu(address->halves[1]);
	found = table_of(words, policy, table);
	for (int i = 0; i < WIDE_LEVELS && found.levels; i++, found.levels--) {
		line = block(words, found.at + place * BLOCK_WORDS);
		place *= WIDE_FAN;
		for (int j = 1; j < WIDE_FAN; j++)
			place += wide_below(line[j], line[WIDE_FAN + j], high, low);
		found.at += level_words(found.entries, found.levels, 2);
	}
	return found.entries ? (__u32)word(words, found.at + place) : 0;
}
