// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/* A program that does nothing: what PROG_TEST_RUN counts besides the program itself. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

SEC("classifier")
int empty(struct __sk_buff *skb)
{
	return -1;
}
