//! The structures that the agent and the BPF program share. The C twins are in `bpf/abi.h`; a test in the
//! agent compares size and offsets with the program's BTF, so that the two cannot drift.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Raised with every change to a structure, a map or the layout of a policy. A pinned map of another
/// version is not adopted.
pub const ABI_VERSION: u32 = 7;

/// No ENI of this host.
pub const NO_ENI: u32 = u32::MAX;
/// The member that carries no group; the target of a removal.
pub const EMPTY_MEMBER: u32 = 1;
/// Groups of one ENI.
pub const GROUPS_MAX: usize = sekimori_core::limits::ENI_GROUPS_MAX;
/// Counters by rule: one for each rule, one for the intra-group accept of each group, and number 0.
pub const RULE_SLOTS: u32 = sekimori_core::limits::HOST_RULES_MAX + sekimori_core::limits::HOST_GROUPS_MAX + 1;
/// ENI numbers, 0 being none.
pub const ENI_SLOTS: u32 = sekimori_core::limits::HOST_ENIS_MAX + 1;
/// VPC numbers, 0 being none.
pub const VPC_SLOTS: u32 = sekimori_core::limits::HOST_VPCS_MAX + 1;
/// Group numbers, 0 being none.
pub const GROUP_SLOTS: u32 = sekimori_core::limits::HOST_GROUPS_MAX + 1;
/// Members: addresses, as many again to build new versions beside the old ones, and two reserved.
pub const MEMBER_SLOTS: u32 = 2 * sekimori_core::limits::HOST_ADDRESSES_MAX + 2;

/// Entries of the array `port_hints`. A power of two.
pub const PORT_HINTS: u32 = 32_768;
/// Spreads the namespaces over the hints.
pub const PORT_HINT_FACTOR: u32 = 0x9e37_79b1;

/// The ENI takes part: without this nothing passes.
pub const ENI_VALID: u16 = 1;
/// Only the ENI's own addresses and MAC may be sent from it or delivered to it.
pub const ENI_SOURCE_CHECK: u16 = 1 << 1;
/// Live tracked flows are kept on a change.
pub const ENI_KEEP: u16 = 1 << 2;
/// Live TCP flows that a change ends are reset.
pub const ENI_RESET: u16 = 1 << 3;

/// What another ENI forwarded to this one comes from no group (EC2).
pub const ENI_SENDER_GROUPS: u16 = 1 << 4;

/// Its new flows are compared with what candidates would decide: see [`Shadow`].
pub const ENI_SHADOW: u16 = 1 << 5;

/// The interface is one end of a pair whose other end is in another namespace: a packet of a live flow between two of them goes
/// past the router (`bpf/straight.h`).
pub const ENI_STRAIGHT: u16 = 1 << 6;

/// The host side of the interface is in a VPC's router that local compute made: what comes to it from elsewhere must come by the
/// way that its answers leave by (`bpf/guard.h`).
pub const ENI_ROUTED: u16 = 1 << 7;

/// The flags that an ENI's interface adds.
pub const ENI_OF_INTERFACE: u16 = ENI_STRAIGHT | ENI_ROUTED;

/// One interface, in the array `enis`: one cache line, which every packet reads.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Eni {
    /// `policy id << 32 | position in the store`; 0 is none, and drops.
    pub policy: u64,
    /// During a change: the policy to come, which must allow as well. 0 when there is no change.
    pub next: u64,
    /// The cookie of the namespace that its host side is in.
    pub netns: u64,
    /// The interface in that namespace.
    pub ifindex: u32,
    /// Where an own address of each IP version stands in the array `members`; 0 is not noted.
    pub own: [u32; 2],
    /// Its VPC's number.
    pub vpc: u16,
    /// `ENI_*`.
    pub flags: u16,
    /// Its Ethernet address.
    pub mac: [u8; 6],
    /// Idle timeouts, in seconds; see `core::world::Timeouts`.
    pub tcp_closed_s: u16,
    /// As above.
    pub tcp_established_s: u32,
    /// As above.
    pub other_s: u32,
    /// As above.
    pub tcp_opening_s: u16,
    /// As above.
    pub udp_s: u16,
    /// As above.
    pub udp_stream_s: u16,
    /// As above.
    pub icmp_s: u16,
}

/// Who has an address, in the array `members`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The VPC's number.
    pub vpc: u32,
    /// The ENI's number on this host, or [`NO_ENI`].
    pub eni: u32,
    /// The address; IPv4 is mapped into `::ffff:0:0/96`.
    pub address: [u8; 16],
    /// During a change: the member to come, which is asked as well. 0 when there is no change.
    pub next: u32,
    /// How many of `groups` are set.
    pub groups_n: u32,
    /// Numbers of the groups, ascending.
    pub groups: [u32; GROUPS_MAX],
}

/// Key of the hash `addresses`; the value is a member's number.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressKey {
    /// The VPC's number.
    pub vpc: u32,
    /// The address; IPv4 is mapped.
    pub address: [u8; 16],
}

/// Key of the hash `ports`; the value is an ENI's number.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortKey {
    /// The cookie of the namespace.
    pub netns: u64,
    /// The interface.
    pub ifindex: u32,
    /// Zero.
    pub reserved: u32,
}

impl PortKey {
    /// The interface's place in the array `port_hints`. The interfaces of a namespace are numbered one after the other,
    /// so they have places of their own.
    #[must_use]
    pub fn hint(&self) -> u32 {
        (self.netns as u32).wrapping_mul(PORT_HINT_FACTOR).wrapping_add(self.ifindex) & (PORT_HINTS - 1)
    }
}

/// What names a flow, and key of the hash `flows6`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowKey {
    /// The ENI's number.
    pub eni: u32,
    /// Own address; IPv4 is mapped.
    pub local: [u8; 16],
    /// The other address; IPv4 is mapped.
    pub peer: [u8; 16],
    /// Own port, or the identifier of an ICMP query, in host byte order.
    pub local_port: u16,
    /// The other port, or `type << 8 | code` of the ICMP query, in host byte order.
    pub peer_port: u16,
    /// IANA number.
    pub protocol: u8,
    /// Zero.
    pub reserved: [u8; 3],
}

/// Key of the hash `flows4`: a [`FlowKey`] whose addresses are IPv4.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowKey4 {
    /// The ENI's number.
    pub eni: u32,
    /// Own address.
    pub local: [u8; 4],
    /// The other address.
    pub peer: [u8; 4],
    /// As in [`FlowKey`].
    pub local_port: u16,
    /// As in [`FlowKey`].
    pub peer_port: u16,
    /// IANA number.
    pub protocol: u8,
    /// Zero.
    pub reserved: [u8; 3],
}

impl From<FlowKey4> for FlowKey {
    fn from(key: FlowKey4) -> Self {
        let FlowKey4 { eni, local, peer, local_port, peer_port, protocol, reserved } = key;
        let mapped = |bytes: [u8; 4]| Ipv4Addr::from(bytes).to_ipv6_mapped().octets();
        Self { eni, local: mapped(local), peer: mapped(peer), local_port, peer_port, protocol, reserved }
    }
}

impl FlowKey {
    /// The key in `flows4`; `None` for a flow of IPv6.
    #[must_use]
    pub fn narrow(&self) -> Option<FlowKey4> {
        let Self { eni, local, peer, local_port, peer_port, protocol, reserved } = *self;
        let v4 = |bytes: [u8; 16]| Ipv6Addr::from(bytes).to_ipv4_mapped().map(|address| address.octets());
        Some(FlowKey4 { eni, local: v4(local)?, peer: v4(peer)?, local_port, peer_port, protocol, reserved })
    }
}

/// Flow flag: it began with a packet from the ENI.
pub const FLOW_EGRESS: u8 = 1;
/// Flow flag: untracked by EC2's definition.
pub const FLOW_UNTRACKED: u8 = 1 << 1;
/// Flow flag: IPv6.
pub const FLOW_V6: u8 = 1 << 2;
/// Flow flag: the packet that began it was forwarded to an ENI whose peers' groups are those of the sender.
pub const FLOW_FORWARDED: u8 = 1 << 3;
/// Flow flag: the ENI forwards it, from an address that is not its own.
pub const FLOW_FOREIGN: u8 = 1 << 4;

/// In the mark of a packet within a router: an ENI sent it from an address that is none of its own.
pub const MARK_FORWARDED: u32 = 1 << 28;

/// Flow progress: a packet came the other way.
pub const FLOW_ANSWERED: u8 = 1;
/// Flow progress: the TCP handshake is complete.
pub const FLOW_ESTABLISHED: u8 = 1 << 1;
/// Flow progress: FIN in the direction of the first packet.
pub const FLOW_FIN_FIRST: u8 = 1 << 2;
/// Flow progress: FIN in the other direction.
pub const FLOW_FIN_REPLY: u8 = 1 << 3;
/// Flow progress: RST.
pub const FLOW_RST: u8 = 1 << 4;
/// Flow progress: cut by a change; only RST passes until it ends.
pub const FLOW_CUT: u8 = 1 << 5;
/// It was the other end than the one that began it that has reset it.
pub const FLOW_RST_REPLY: u8 = 1 << 6;

/// In a flow's stamp: packets towards the ENI pass the network ACL of the policy that judged it.
pub const STAMP_INGRESS: u64 = 1 << 30;
/// In a flow's stamp: packets from the ENI pass it.
pub const STAMP_EGRESS: u64 = 1 << 31;
/// In a flow's stamp: it was not judged again because its ENI keeps tracked flows.
pub const STAMP_KEPT: u64 = 1 << 29;
/// In a flow's stamp: the membership epoch, cut to its low bits.
pub const STAMP_EPOCH: u64 = STAMP_KEPT - 1;

/// Value of the hashes `flows4` and `flows6`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// `policy id << 32 | STAMP_* | membership epoch` that admitted it, or judged it last.
    pub stamp: u64,
    /// Kernel time of the last packet, in nanoseconds (coarse).
    pub seen_ns: u64,
    /// Counter slot of the rule that admitted it; 0 is a default.
    pub rule: u32,
    /// `FLOW_EGRESS`, `FLOW_UNTRACKED`, `FLOW_V6`, `FLOW_FORWARDED`, `FLOW_FOREIGN`.
    pub flags: u8,
    /// Progress.
    pub progress: u8,
    /// The number of the ENI at the other end, where the straight path leads to it; 0 where not.
    pub other: u16,
    /// Packets in the direction of the first one, and in the other; GSO packets count their segments.
    pub packets: [u64; 2],
    /// Bytes, likewise.
    pub bytes: [u64; 2],
}

/// Whether both ends have closed a flow that has come so far, or something has ended it.
#[must_use]
pub fn is_closed(progress: u8) -> bool {
    const FINS: u8 = FLOW_FIN_FIRST | FLOW_FIN_REPLY;
    progress & (FLOW_RST | FLOW_CUT) != 0 || progress & FINS == FINS
}

impl Flow {
    /// Whether both ends have closed it, or something has ended it.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        is_closed(self.progress)
    }

    /// Whether, as a flow of this protocol, it is half open.
    #[must_use]
    pub fn is_half_open(&self, protocol: u8) -> bool {
        let is_begun_here = self.flags & FLOW_EGRESS != 0;
        protocol == 6 && !is_begun_here && self.progress & FLOW_ESTABLISHED == 0 && !self.is_closed()
    }
}

/// The flows of an ENI and its room for them, in the array `budgets`. Number 0 has what the ENIs hold beyond their shares, and how
/// much that may be. See `core::flow_room`; the counts are below zero for a moment when CPUs meet.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Flows of IPv4, and of IPv6.
    pub flows: [i32; 2],
    /// Half-open ones, of both.
    pub half_open: i32,
    /// How many flows of each IP version are the ENI's own.
    pub room: i32,
}

/// Numbers of rules whose counters are one element of the per-CPU array `rule_counters`.
pub const COUNTERS_TOGETHER: u32 = 32;
/// Elements of that array.
pub const COUNTER_BLOCKS: u32 = RULE_SLOTS.div_ceil(COUNTERS_TOGETHER);

/// Value of the per-CPU array `rule_counters`. See [`counter_place`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CounterBlock {
    /// By rule.
    pub counters: [Counter; COUNTERS_TOGETHER as usize],
}

/// The element that has the counter of a rule's number, and the counter's place in it.
#[must_use]
pub fn counter_place(slot: u32) -> (u32, usize) {
    (slot / COUNTERS_TOGETHER, (slot % COUNTERS_TOGETHER) as usize)
}

/// A rule's counter, and value of the array `rule_bases`: what stood in the counter when its number got its name. It goes on
/// from there.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    /// Packets that the rule decided.
    pub packets: u64,
    /// Bytes of them.
    pub bytes: u64,
}

impl Counter {
    /// What several CPUs have counted together.
    #[must_use]
    pub fn sum<'a>(parts: impl Iterator<Item = &'a Self>) -> Self {
        parts.fold(Self::default(), |sum, part| Self {
            packets: sum.packets.wrapping_add(part.packets),
            bytes: sum.bytes.wrapping_add(part.bytes),
        })
    }

    /// What was counted since another reading.
    #[must_use]
    pub fn since(&self, base: &Self) -> Self {
        Self { packets: self.packets.wrapping_sub(base.packets), bytes: self.bytes.wrapping_sub(base.bytes) }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal, $passes:literal;)*) => {
        /// What the program says about every packet. It becomes one action at the hook and one counter.
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[$doc])* $name = $number,)*
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The reason of a number in the maps.
            #[must_use]
            pub fn of(number: u8) -> Option<Self> {
                Self::ALL.iter().copied().find(|reason| *reason as u32 == u32::from(number))
            }

            /// Its name in reports and metrics.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Whether the packet passes.
            #[must_use]
            pub fn passes(self) -> bool {
                match self { $(Self::$name => $passes,)* }
            }
        }
    };
}

reasons! {
    /// In the bypass set.
    Bypass = 0, "bypass", true;
    /// Part of a known flow.
    KnownFlow = 1, "known-flow", true;
    /// An ICMP error about a known flow.
    KnownError = 2, "known-flow-error", true;
    /// A later fragment of an admitted packet.
    KnownFragment = 3, "known-fragment", true;
    /// A rule allows.
    RuleAllow = 4, "rule", true;
    /// The hidden intra-group rule allows.
    IntraGroup = 5, "intra-group", true;
    /// No rule matched and the default allows.
    DefaultAllow = 6, "default", true;
    /// A rule denies.
    RuleDeny = 7, "rule", false;
    /// No rule matched and the default denies.
    DefaultDeny = 8, "default", false;
    /// A live flow that a change ended.
    FlowEnded = 9, "flow-ended-by-change", false;
    /// Not the ENI's own address or MAC.
    Spoofed = 10, "spoofed", false;
    /// TCP that begins no connection, without a flow.
    MidStream = 11, "mid-stream", false;
    /// A later fragment whose first part was not admitted.
    Fragment = 12, "fragment", false;
    /// Headers that cannot be read.
    Malformed = 13, "malformed", false;
    /// No valid policy.
    NoPolicy = 14, "no-policy", false;
    /// The flow table has no room for another flow of the ENI.
    TableFull = 15, "table-full", false;
    /// The tables changed under the packet; it may come again.
    Changing = 16, "changing", false;
    /// Neither IPv4, IPv6 nor ARP.
    NotIp = 17, "not-ip", false;
    /// A platform policy allows.
    PlatformAllow = 18, "platform", true;
    /// A platform policy denies.
    PlatformDeny = 19, "platform", false;
    /// The network ACL of the subnet denies.
    AclDeny = 20, "network-acl", false;
    /// The ENI has as many half-open flows as it may have.
    HalfOpen = 21, "half-open", false;
}

/// Room for reasons in the counters of one ENI and direction.
pub const REASONS: u32 = 32;

/// Value of the per-CPU array `reason_counters`, by ENI number.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReasonCounts {
    /// Packets by direction, ingress first, and by reason.
    pub packets: [[u64; REASONS as usize]; 2],
}

/// What the policy of an ENI is compared with, in the array `shadows`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shadow {
    /// Like [`Eni::policy`].
    pub policy: u64,
    /// Which candidates these are: see `core::world::World::round_of`. The program does not read it.
    pub round: u64,
    /// The id of the ENI's policy that it stands beside; no other is compared with it.
    pub beside: u32,
    /// Zero.
    pub reserved: u32,
}

/// Key of the hash `shadow_pairs`: who decided about a flow, and who would have. The value is the number of flows.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShadowPair {
    /// The ENI's number.
    pub eni: u32,
    /// Counter slot of the deciding rule; 0 without one.
    pub live: u32,
    /// The same by the candidates.
    pub candidate: u32,
    /// [`Reason`].
    pub live_reason: u8,
    /// The same by the candidates.
    pub candidate_reason: u8,
    /// 0 towards the ENI, 1 away from it.
    pub direction: u8,
    /// Zero.
    pub reserved: u8,
}

/// Key of the hash `shadow_witnesses`: flows that would be decided otherwise.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShadowWitness {
    /// At which ENI, and by whom.
    pub pair: ShadowPair,
    /// Own address; IPv4 is mapped.
    pub local: [u8; 16],
    /// The other address; IPv4 is mapped.
    pub peer: [u8; 16],
    /// The destination port, or `type << 8 | code`, in host byte order.
    pub port: u16,
    /// IANA number.
    pub protocol: u8,
    /// Zero.
    pub reserved: u8,
}

/// Value of the hash `shadow_witnesses`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShadowSeen {
    /// How many flows.
    pub flows: u64,
    /// Kernel time of the last one, in nanoseconds (coarse).
    pub seen_ns: u64,
}

/// Room for each ENI in `shadow_cells`: whether the flow passes, twice, is the cell; and [`SHADOW_SKIPPED`].
pub const SHADOW_CELLS: u32 = 8;
/// The cell of flows that were not compared.
pub const SHADOW_SKIPPED: u32 = 4;
/// Value of the per-CPU array `shadow_cells`, by ENI number.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShadowCounts {
    /// Flows by cell.
    pub flows: [u64; SHADOW_CELLS as usize],
}

/// Bytes of an id in the arrays of names.
pub const ID_BYTES: usize = 32;

/// An id, padded with zeros; all zeros is no id.
pub type IdBytes = [u8; ID_BYTES];

/// The name of a rule slot: group, then rule (none is the intra-group accept).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleName {
    /// The group.
    pub group: IdBytes,
    /// The rule.
    pub rule: IdBytes,
}

/// An address as the maps hold it.
#[must_use]
pub fn address_bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// The address that the maps hold as these bytes.
#[must_use]
pub fn address_of(bytes: [u8; 16]) -> IpAddr {
    let v6 = Ipv6Addr::from(bytes);
    v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), |v4: Ipv4Addr| IpAddr::V4(v4))
}

/// An id as the arrays of names hold it; `None` when it is longer than [`ID_BYTES`].
#[must_use]
pub fn id_bytes(id: &str) -> Option<IdBytes> {
    let mut bytes = [0; ID_BYTES];
    bytes.get_mut(..id.len())?.copy_from_slice(id.as_bytes());
    Some(bytes)
}

/// The id that the arrays of names hold as these bytes; `None` for none, or for what is no id.
#[must_use]
pub fn id_of(bytes: &IdBytes) -> Option<&str> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(ID_BYTES);
    std::str::from_utf8(bytes.get(..end)?).ok().filter(|id| !id.is_empty())
}
