/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The kernel's coarse clock, in nanoseconds. It goes on with the tick that jiffies count, and to read these is one
 * instruction where asking the clock is three calls. The agent has compared the two (crates/agent/src/bpf/clock.rs).
 */
#pragma once

#include <linux/types.h>
#include <bpf/bpf_helpers.h>

/* A tick; 0 where the agent could not compare the clocks. */
volatile const __u64 TICK_NS = 0;
/* The coarse clock when jiffies were zero, which may lie before it began. */
volatile const __u64 JIFFIES_ZERO_NS = 0;

static __always_inline __u64 coarse_ns(void)
{
	return TICK_NS ? bpf_jiffies64() * TICK_NS + JIFFIES_ZERO_NS : bpf_ktime_get_coarse_ns();
}
