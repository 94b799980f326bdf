//! Reads the tables as the BPF program does, step by step, in Rust.
//!
//! It is the second of three implementations of a decision (`core::verdict` from the rules, this one from
//! the words, the program in the kernel) and shares no code with the first.

use std::net::IpAddr;

use sekimori_core::{
    address::Family,
    packet::{Packet, Transport},
    rule::Direction,
};

use crate::{
    abi::{self, Reason},
    layout::{
        ACTION_ALLOW, ACTION_BYPASS, ACTION_DENY, BLOCK_WORDS, DEFAULT_ALLOW, DEFAULTS_WORD, NARROW_FAN, NARROW_LEAF,
        NO_PORT, OPEN_TCP4, OPEN_TCP6, OPEN_UDP4, OPEN_UDP6, POSITION_BITS, RULE_INTRA, RULE_PLATFORM, RULE_WORLD,
        Table, WIDE_FAN, acl_base, direction_base, halves,
    },
};

/// What the tables say about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Why, and so whether it passes.
    pub reason: Reason,
    /// The counter slot of the deciding rule; 0 without one.
    pub slot: u32,
    /// The number of the network ACL's entry that denies; `None` is what comes after all of them, or another reason.
    pub entry: Option<u16>,
    /// Whether a flow that the packet begins is untracked by EC2's definition.
    pub untracked: bool,
}

/// What the tables hold about the two ends of a packet.
#[derive(Clone, Copy, Debug)]
pub struct Ends<'a> {
    /// The policy of the ENI.
    pub policy: &'a [u64],
    /// Whether the ENI checks addresses.
    pub source_check: bool,
    /// Whether the packet's local address is the ENI's own.
    pub is_own: bool,
    /// Numbers of the groups that the peer carries.
    pub peer_groups: &'a [u32],
}

/// Judges the first packet of a flow.
#[must_use]
pub fn judge(ends: &Ends<'_>, packet: &Packet) -> Finding {
    let plain = |reason| Finding { reason, slot: 0, entry: None, untracked: false };
    let spoofed = ends.source_check && !ends.is_own;
    let is_sent = packet.direction == Direction::Egress;
    let unjudged = if is_sent && spoofed && !is_placeless(packet.local) { Reason::Spoofed } else { Reason::Bypass };
    if is_discovery(packet) {
        let is_of_router = matches!(packet.transport, Transport::Icmp { kind: 134 | 137, .. });
        return plain(if is_sent && ends.source_check && is_of_router { Reason::Spoofed } else { unjudged });
    }
    if let Some(entry) = denied_by_acl(ends.policy, packet) {
        return Finding { entry, ..plain(Reason::AclDeny) };
    }
    let side = Side { words: ends.policy, base: direction_base(packet.direction) };
    let found = side.first_match(packet, ends.peer_groups).map(|rule| side.record(rule));
    match found {
        Some(record) if record.action == ACTION_BYPASS => plain(unjudged),
        _ if spoofed => plain(Reason::Spoofed),
        Some(record) => Finding {
            reason: record.reason(),
            slot: record.slot,
            entry: None,
            untracked: record.flags & RULE_WORLD != 0 && is_open(ends.policy, packet),
        },
        None if side.flags() & DEFAULT_ALLOW != 0 => plain(Reason::DefaultAllow),
        None => plain(Reason::DefaultDeny),
    }
}

/// The number of the entry of the network ACL that denies a packet, itself none for what comes after all entries; `None` when
/// it passes.
#[must_use]
pub fn denied_by_acl(policy: &[u64], packet: &Packet) -> Option<Option<u16>> {
    let side = Side { words: policy, base: acl_base(packet.direction) };
    match side.first_match(packet, &[]).map(|rule| side.record(rule)) {
        Some(record) if record.action == ACTION_DENY => Some(u16::try_from(record.slot).ok()),
        Some(_) => None,
        None => (side.flags() & DEFAULT_ALLOW == 0).then_some(None),
    }
}

struct Record {
    slot: u32,
    action: u32,
    flags: u32,
}

impl Record {
    fn reason(&self) -> Reason {
        if self.flags & RULE_PLATFORM != 0 {
            return if self.action == ACTION_ALLOW { Reason::PlatformAllow } else { Reason::PlatformDeny };
        }
        match (self.action == ACTION_ALLOW, self.flags & RULE_INTRA != 0) {
            (true, true) => Reason::IntraGroup,
            (true, false) => Reason::RuleAllow,
            (false, _) => Reason::RuleDeny,
        }
    }
}

struct Side<'a> {
    words: &'a [u64],
    base: u32,
}

impl Side<'_> {
    fn word(&self, at: u32) -> u64 {
        self.words.get(at as usize).copied().unwrap_or(0)
    }

    /// A table as (entries, position). Words that are no policy may claim more entries than there are words.
    fn table(&self, table: Table) -> (u32, u32) {
        let (entries, at) = halves(self.word(self.base + table as u32));
        (self.bounded(entries), at & ((1 << POSITION_BITS) - 1))
    }

    /// The levels above the entries of a table.
    fn levels(&self, table: Table) -> u32 {
        halves(self.word(self.base + table as u32)).1 >> POSITION_BITS
    }

    fn bounded(&self, count: u32) -> u32 {
        count.min(u32::try_from(self.words.len()).unwrap_or(u32::MAX))
    }

    fn flags(&self) -> u32 {
        halves(self.word(self.base + DEFAULTS_WORD)).0
    }

    fn summaries(&self) -> u32 {
        self.bounded(halves(self.word(self.base + DEFAULTS_WORD)).1)
    }

    fn record(&self, rule: u32) -> Record {
        let (high, slot) = halves(self.word(self.table(Table::Rules).1.wrapping_add(rule)));
        Record { slot, action: high & 0xff, flags: high >> 8 }
    }

    /// The first rule that matches every field. The peer's classes are tried one by one: the first match
    /// of a union is the smallest of the first matches.
    fn first_match(&self, packet: &Packet, peer_groups: &[u32]) -> Option<u32> {
        let service = self.narrow(Table::Services, service_value(packet));
        let others = [Some(service), self.local_class(packet.local), self.source_class(packet)];
        let peer = match packet.peer {
            IpAddr::V4(address) => self.narrow(Table::Peers4, u32::from(address)),
            IpAddr::V6(address) => self.wide(Table::Peers6, u128::from(address)),
        };
        let groups = peer_groups.iter().map(|group| self.narrow(Table::Groups, *group));
        std::iter::once(peer).chain(groups).filter_map(|peer| self.intersect(peer, &others)).min()
    }

    fn local_class(&self, local: IpAddr) -> Option<u32> {
        if self.table(Table::Locals4).0 == 0 {
            return None;
        }
        Some(match local {
            IpAddr::V4(address) => self.narrow(Table::Locals4, u32::from(address)),
            IpAddr::V6(address) => self.wide(Table::Locals6, u128::from(address)),
        })
    }

    fn source_class(&self, packet: &Packet) -> Option<u32> {
        let value = packet.transport.source_port().map_or(NO_PORT, u32::from);
        (self.table(Table::SourcePorts).0 > 0).then(|| self.narrow(Table::SourcePorts, value))
    }

    /// The class of a value: that of the last entry at or below it. Entries are read one by one, without the index above
    /// them, and every field is, whatever is said about the fields that rules ask about: so both are held against this.
    fn narrow(&self, table: Table, value: u32) -> u32 {
        let (entries, at) = self.table(table);
        let leaves = entries.div_ceil(NARROW_LEAF as u32);
        let at = at.wrapping_add(blocks_above(leaves, NARROW_FAN as u32, self.levels(table)));
        let below =
            (0..entries).map(|n| halves(self.word(at.wrapping_add(n)))).take_while(|(first, _)| *first <= value);
        below.last().map_or(0, |(_, class)| class & ((1 << POSITION_BITS) - 1))
    }

    /// The same for IPv6: the lowest level has the values before those of the entries, and after it are the classes.
    fn wide(&self, table: Table, value: u128) -> u32 {
        let (entries, at) = self.table(table);
        let (levels, fan) = (self.levels(table), WIDE_FAN as u32);
        let classes = at.wrapping_add(blocks_above(entries, fan, levels));
        let lowest = at.wrapping_add(blocks_above(entries.div_ceil(fan), fan, levels.saturating_sub(1)));
        let first = |n: u32| {
            let half =
                |part: u32| u128::from(self.word(lowest.wrapping_add(n / fan * 2 * fan + part * fan + n % fan)));
            ((half(0) << 64) | half(1)).wrapping_add(1)
        };
        let below = (1..entries).take_while(|n| first(*n) <= value).last().unwrap_or(0);
        halves(self.word(classes.wrapping_add(below))).1
    }

    fn intersect(&self, peer: u32, others: &[Option<u32>]) -> Option<u32> {
        let classes: Vec<u32> = others.iter().copied().flatten().chain([peer]).collect();
        if classes.contains(&0) {
            return None;
        }
        let numbers = 0..self.summaries() * 64;
        let and = |number| classes.iter().fold(u64::MAX, |bits, class| bits & self.bitmap_word(*class, number));
        let mut words = numbers.map(|number| (number, and(number))).filter(|(_, bits)| *bits != 0);
        words.next().map(|(number, bits)| number * 64 + bits.trailing_zeros())
    }

    fn bitmap_word(&self, class: u32, number: u32) -> u64 {
        let pair = class.wrapping_add(2 * (number / 64));
        let summary = self.word(pair);
        let bit = 1_u64 << (number % 64);
        if summary & bit == 0 {
            return 0;
        }
        let first = halves(self.word(pair.wrapping_add(1))).1;
        self.word(first.wrapping_add((summary & (bit - 1)).count_ones()))
    }
}

/// The words of so many levels above some leaves.
fn blocks_above(leaves: u32, fan: u32, levels: u32) -> u32 {
    let blocks =
        (1..=levels).map(|level| fan.checked_pow(level).map_or(1, |leaves_each| leaves.div_ceil(leaves_each)));
    blocks.fold(0, |sum: u32, blocks| sum.wrapping_add(blocks.wrapping_mul(BLOCK_WORDS as u32)))
}

fn service_value(packet: &Packet) -> u32 {
    let low = match packet.transport {
        Transport::Tcp { destination, .. } | Transport::Udp { destination, .. } => destination,
        Transport::Icmp { kind, code, .. } => u16::from_be_bytes([kind, code]),
        Transport::Other { .. } => 0,
    };
    (u32::from(packet.transport.protocol()) << 16) | u32::from(low)
}

/// RFC 4861 discovery, and the listener messages it depends on, from where they may come.
fn is_discovery(packet: &Packet) -> bool {
    let Transport::Icmp { protocol: 58, kind, .. } = packet.transport else { return false };
    let source = if packet.direction == Direction::Egress { packet.local } else { packet.peer };
    let is_listener = (130..=132).contains(&kind) || kind == 143;
    source.is_ipv6() && ((133..=137).contains(&kind) || is_listener && is_placeless(source))
}

/// Addresses that a host without an address sends from.
fn is_placeless(local: IpAddr) -> bool {
    match local {
        IpAddr::V4(address) => address.is_unspecified(),
        IpAddr::V6(address) => address.is_unspecified() || address.segments()[0] & 0xffc0 == 0xfe80,
    }
}

/// Whether the other direction allows the whole world on every port of the packet's protocol.
fn is_open(policy: &[u64], packet: &Packet) -> bool {
    let other = Side { words: policy, base: direction_base(packet.direction.reverse()) };
    let flag = match (packet.transport.protocol(), Family::of(packet.peer)) {
        (6, Family::V4) => OPEN_TCP4,
        (17, Family::V4) => OPEN_UDP4,
        (6, Family::V6) => OPEN_TCP6,
        (17, Family::V6) => OPEN_UDP6,
        _ => return false,
    };
    other.flags() & flag != 0
}

/// The key that a member is found by.
#[must_use]
pub fn address_key(vpc: u32, address: IpAddr) -> abi::AddressKey {
    abi::AddressKey { vpc, address: abi::address_bytes(address) }
}
