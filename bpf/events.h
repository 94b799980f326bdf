/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What the agent is told of single packets: those that began a flow, and those that were dropped. Never on the short way, and
 * no byte of a packet itself. The Rust twins are in crates/compile/src/event.rs.
 *
 * A flood costs nothing much and hides nobody: in each window of time an ENI has a share of each kind, a CPU a sum, and the
 * first few events of every ENI go beside the sum. What is not told is counted, by ENI and cause.
 */
#pragma once

#include "conntrack.h"

#define EVENT_BYTES 1048576 /* room of the ring: a power of two */
#define EVENT_WINDOW_SHIFT 27 /* of nanoseconds: 134 ms */
#define EVENTS_PER_CPU 512 /* in a window */
#define EVENTS_PER_ENI 64 /* in a window, on a CPU, of one kind */
#define EVENTS_ASSURED 4 /* of those, beside the CPU's sum */

/* In events_wanted: which events somebody reads. */
#define EVENTS_ALLOWED 1
#define EVENTS_DENIED 2

#define EVENT_EGRESS 1
#define EVENT_HAS_PORTS 2
#define EVENT_HAS_ADDRESSES 4

struct event {
	__u64 time_ns; /* the coarse clock */
	union ip local;
	union ip peer;
	__u32 eni;
	__u32 rule;
	__u32 policy; /* the version that decided */
	__u32 bytes;
	__u32 packets;
	__u16 source_port; /* as in a tuple */
	__u16 destination_port;
	__u8 protocol;
	__u8 reason;
	__u8 flags;
	__u8 tcp_flags;
	__u32 reserved;
};

/* By kind: allowed, denied. Number 0 is no ENI: its share is the CPU's sum. */
struct event_share {
	__u32 window;
	__u16 used[2];
	__u64 limited[2];
	__u64 unroomed[2];
};

SHARED_ARRAY(events_wanted, __u32, 1);

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, EVENT_BYTES);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, ENI_SLOTS);
	__type(key, __u32);
	__type(value, struct event_share);
} event_shares SEC(".maps");

static __always_inline void renew(struct event_share *share, __u32 window)
{
	if (share->window == window)
		return;
	share->window = window;
	share->used[0] = share->used[1] = 0;
}

/* Takes an event from the share of an ENI, and from the CPU's sum unless it is one of the first. */
static __always_inline int may_tell(struct event_share *share, __u32 kind, __u32 window)
{
	struct event_share *sum;
	__u32 zero = 0;

	renew(share, window);
	if (share->used[kind] >= EVENTS_PER_ENI)
		return 0;
	if (share->used[kind] >= EVENTS_ASSURED) {
		sum = bpf_map_lookup_elem(&event_shares, &zero);
		if (!sum)
			return 0;
		renew(sum, window);
		if (sum->used[0] >= EVENTS_PER_CPU)
			return 0;
		sum->used[0]++;
	}
	share->used[kind]++;
	return 1;
}

/* Writes down the packet that the working memory is about. */
static __noinline int describe(struct event *event, const struct __sk_buff *skb, const struct scratch *work, __u32 reason)
{
	const struct packet *packet = &work->packet;

	event->time_ns = bpf_ktime_get_coarse_ns();
	event->local = packet->tuple.local;
	event->peer = packet->tuple.peer;
	event->eni = packet->tuple.eni;
	event->rule = work->finding.rule;
	event->bytes = skb->len;
	event->packets = segments_of(skb);
	event->source_port = packet->tuple.source_port;
	event->destination_port = packet->tuple.destination_port;
	event->protocol = packet->tuple.protocol;
	event->reason = reason;
	event->flags = (packet->tuple.direction == EGRESS ? EVENT_EGRESS : 0) |
		       (packet->tuple.has_ports ? EVENT_HAS_PORTS : 0) | (packet->l4 ? EVENT_HAS_ADDRESSES : 0);
	event->tcp_flags = packet->tcp_flags;
	event->reserved = 0;
	return 0;
}

/* Who reads looks again and again, so nobody is woken. */
static __noinline int tell(struct __sk_buff *skb, const struct eni *eni, const struct scratch *work, __u32 reason)
{
	__u32 kind = !passes(reason), slot = work->packet.tuple.eni;
	struct event_share *share = bpf_map_lookup_elem(&event_shares, &slot);
	struct event *event;

	if (!share)
		return 0;
	if (!may_tell(share, kind, bpf_ktime_get_coarse_ns() >> EVENT_WINDOW_SHIFT)) {
		share->limited[kind]++;
		return 0;
	}
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		share->unroomed[kind]++;
		return 0;
	}
	describe(event, skb, work, reason);
	event->policy = (work->finding.stamp ? work->finding.stamp : *(volatile __u64 *)&eni->policy) >> 32;
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	return 0;
}

/* Tells of a packet if it began a flow or is dropped, and somebody reads of such. */
static __always_inline void tell_if_wanted(struct __sk_buff *skb, const struct eni *eni, const struct scratch *work,
					   __u32 reason)
{
	__u32 zero = 0, *wanted;

	if (passes(reason) && !work->begun)
		return;
	wanted = bpf_map_lookup_elem(&events_wanted, &zero);
	if (wanted && (*wanted & (passes(reason) ? EVENTS_ALLOWED : EVENTS_DENIED)))
		tell(skb, eni, work, reason);
}
