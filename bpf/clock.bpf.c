// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Tells the kernel's jiffies, of which no system call does: the lower half, or the upper one of a marked packet.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

SEC("classifier")
int jiffies(struct __sk_buff *skb)
{
	__u64 now = bpf_jiffies64();

	return skb->mark ? now >> 32 : now;
}
