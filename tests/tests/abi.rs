//! The two sides of the ABI cannot drift: sizes and offsets in the program's BTF must equal Rust's, the
//! capacities of its maps the constants in Rust, and its numbers the ones in `layout` and `abi`.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

use std::{
    collections::BTreeMap,
    mem::{offset_of, size_of},
};

use object::{Object as _, ObjectSection as _};
use sekimori_agent::bpf::maps::object as program;
use sekimori_compile::{
    abi::{
        self, AddressKey, Budget, Counter, CounterBlock, Eni, Flow, FlowKey, FlowKey4, Member, PortKey, ReasonCounts,
        RuleName, Shadow, ShadowCounts, ShadowPair, ShadowSeen, ShadowWitness,
    },
    event::{self, Event, EventShare},
    layout,
};
use sekimori_core::limits;

/// A structure in BTF.
#[derive(Debug, Default)]
struct Structure {
    size: usize,
    /// Byte offset and type of each member.
    members: BTreeMap<String, (usize, u32)>,
}

/// The parts of BTF that tell about structures (linux/Documentation/bpf/btf.rst).
struct Btf {
    structures: BTreeMap<String, Vec<Structure>>,
    anonymous: Vec<Structure>,
    /// The number of elements of an array type, and what a pointer points at.
    arrays: BTreeMap<u32, u32>,
    pointers: BTreeMap<u32, u32>,
}

struct Bytes<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bytes<'_> {
    fn u32(&mut self) -> u32 {
        let word = self.bytes[self.at..self.at + 4].try_into().expect("four bytes");
        self.at += 4;
        u32::from_le_bytes(word)
    }
}

fn text(strings: &[u8], at: u32) -> String {
    let rest = &strings[at as usize..];
    let end = rest.iter().position(|byte| *byte == 0).expect("strings end with zero");
    String::from_utf8_lossy(&rest[..end]).into_owned()
}

impl Btf {
    fn read() -> Self {
        let file = object::File::parse(program()).expect("the program is an ELF file");
        let section = file.section_by_name(".BTF").expect("it has BTF").data().expect("that can be read").to_vec();
        let mut head = Bytes { bytes: &section, at: 4 };
        let header = head.u32() as usize;
        let [type_at, type_length, string_at, string_length] = [(); 4].map(|()| head.u32() as usize);
        let strings = &section[header + string_at..header + string_at + string_length];
        let types = &section[header + type_at..header + type_at + type_length];
        let mut btf = Self {
            structures: BTreeMap::new(),
            anonymous: Vec::new(),
            arrays: BTreeMap::new(),
            pointers: BTreeMap::new(),
        };
        let mut bytes = Bytes { bytes: types, at: 0 };
        let mut id = 0;
        while bytes.at < types.len() {
            id += 1;
            btf.read_type(id, &mut bytes, strings);
        }
        btf
    }

    fn read_type(&mut self, id: u32, bytes: &mut Bytes<'_>, strings: &[u8]) {
        let (name, info, size_or_type) = (bytes.u32(), bytes.u32(), bytes.u32());
        let count = (info & 0xffff) as usize;
        match (info >> 24) & 0x1f {
            1 | 14 | 17 => bytes.at += 4,
            2 => {
                self.pointers.insert(id, size_or_type);
            }
            3 => {
                bytes.at += 8;
                self.arrays.insert(id, bytes.u32());
            }
            4 | 5 => self.read_structure(&text(strings, name), size_or_type, count, bytes, strings),
            6 | 13 => bytes.at += 8 * count,
            15 => bytes.at += 12 * count,
            19 => bytes.at += 12 * count,
            _ => {}
        }
    }

    fn read_structure(&mut self, name: &str, size: u32, count: usize, bytes: &mut Bytes<'_>, strings: &[u8]) {
        let mut structure = Structure { size: size as usize, members: BTreeMap::new() };
        for _ in 0..count {
            let (member, kind, bits) = (text(strings, bytes.u32()), bytes.u32(), bytes.u32());
            structure.members.insert(member, ((bits & 0xff_ffff) as usize / 8, kind));
        }
        if name.is_empty() {
            self.anonymous.push(structure);
        } else {
            self.structures.entry(name.to_owned()).or_default().push(structure);
        }
    }

    fn check(&self, name: &str, size: usize, members: &[(&str, usize)]) {
        let found = self.structures.get(name).and_then(|all| all.first());
        let found = found.unwrap_or_else(|| panic!("the program has no structure `{name}`"));
        assert_eq!(found.size, size, "size of `{name}`");
        let offsets: BTreeMap<&str, usize> =
            found.members.iter().map(|(name, (offset, _))| (name.as_str(), *offset)).collect();
        assert_eq!(offsets, members.iter().copied().collect(), "members of `{name}`");
    }

    /// Capacities of maps whose key and value have these sizes; a map is an anonymous structure whose member
    /// `max_entries` points at an array of that length.
    fn capacities(&self) -> Vec<u32> {
        let capacity = |map: &Structure| {
            let (_, kind) = map.members.get("max_entries")?;
            self.arrays.get(self.pointers.get(kind)?).copied()
        };
        self.anonymous.iter().filter_map(capacity).collect()
    }
}

macro_rules! members {
    ($type:ty: $($name:ident),*) => { &[$((stringify!($name), offset_of!($type, $name))),*] };
}

#[test]
fn structures_are_the_same_on_both_sides() {
    let btf = Btf::read();
    btf.check(
        "eni",
        size_of::<Eni>(),
        members!(Eni: policy, next, netns, ifindex, own, vpc, flags, mac, tcp_closed_s, tcp_established_s, other_s,
            tcp_opening_s, udp_s, udp_stream_s, icmp_s),
    );
    btf.check("member", size_of::<Member>(), members!(Member: vpc, eni, address, next, groups_n, groups));
    btf.check("address_key", size_of::<AddressKey>(), members!(AddressKey: vpc, address));
    btf.check("port_key", size_of::<PortKey>(), members!(PortKey: netns, ifindex, reserved));
    btf.check(
        "flow_key",
        size_of::<FlowKey>(),
        members!(FlowKey: eni, local, peer, local_port, peer_port, protocol, reserved),
    );
    btf.check(
        "flow_key4",
        size_of::<FlowKey4>(),
        members!(FlowKey4: eni, local, peer, local_port, peer_port, protocol, reserved),
    );
    btf.check(
        "flow",
        size_of::<Flow>(),
        members!(Flow: stamp, seen_ns, rule, flags, progress, other, packets, bytes),
    );
    btf.check("budget", size_of::<Budget>(), members!(Budget: flows, half_open, room));
    btf.check("counter", size_of::<Counter>(), members!(Counter: packets, bytes));
    btf.check("counter_block", size_of::<CounterBlock>(), members!(CounterBlock: counters));
    btf.check("reason_counts", size_of::<ReasonCounts>(), members!(ReasonCounts: packets));
    btf.check("shadow_counts", size_of::<ShadowCounts>(), members!(ShadowCounts: flows));
    btf.check("rule_name", size_of::<RuleName>(), members!(RuleName: group, rule));
    btf.check(
        "event",
        size_of::<Event>(),
        members!(Event: time_ns, local, peer, eni, rule, policy, bytes, packets, source_port, destination_port,
            protocol, reason, flags, tcp_flags, reserved),
    );
    btf.check("event_share", size_of::<EventShare>(), members!(EventShare: window, used, limited, unroomed));
    btf.check("shadow", size_of::<Shadow>(), members!(Shadow: policy, round, beside, reserved));
    btf.check(
        "shadow_pair",
        size_of::<ShadowPair>(),
        members!(ShadowPair: eni, live, candidate, live_reason, candidate_reason, direction, reserved),
    );
    btf.check(
        "shadow_witness",
        size_of::<ShadowWitness>(),
        members!(ShadowWitness: pair, local, peer, port, protocol, reserved),
    );
    btf.check("shadow_seen", size_of::<ShadowSeen>(), members!(ShadowSeen: flows, seen_ns));
}

#[test]
fn maps_hold_what_the_limits_promise() {
    let mut capacities = Btf::read().capacities();
    capacities.sort_unstable();
    let promised = [
        abi::ENI_SLOTS,
        abi::ENI_SLOTS,
        abi::ENI_SLOTS,
        abi::ENI_SLOTS,
        abi::VPC_SLOTS,
        abi::VPC_SLOTS,
        abi::GROUP_SLOTS,
        abi::RULE_SLOTS,
        abi::RULE_SLOTS,
        abi::COUNTER_BLOCKS,
        abi::MEMBER_SLOTS,
        abi::MEMBER_SLOTS,
        abi::ENI_SLOTS,
        abi::PORT_HINTS,
        limits::HOST_FLOWS_MAX,
        limits::HOST_FLOWS_MAX,
        abi::RULE_SLOTS,
        abi::ENI_SLOTS,
        event::EVENT_BYTES,
        abi::ENI_SLOTS,
        abi::ENI_SLOTS,
        abi::ENI_SLOTS,
        limits::HOST_SHADOW_PAIRS_MAX,
        limits::HOST_SHADOW_WITNESSES_MAX,
    ];
    for capacity in promised {
        let at = capacities.iter().position(|found| *found == capacity);
        capacities
            .remove(at.unwrap_or_else(|| panic!("no map has {capacity} entries; the program has {capacities:?}")));
    }
    // What is left: the policy store, the working memories and which events are wanted (one element each), the sets of remembered answers,
    // and the fragments.
    assert_eq!(capacities, [1, 1, 1, 1, 16, 16_384]);
}

/// The numbers that are written on both sides, read from the C text.
#[test]
fn numbers_are_the_same_on_both_sides() {
    let headers = [include_str!("../../bpf/abi.h"), include_str!("../../bpf/events.h")];
    let defines: BTreeMap<&str, u32> = headers.iter().flat_map(|header| header.lines().filter_map(define)).collect();
    let expected = [
        ("POLICY_MAGIC", layout::MAGIC),
        ("POLICY_WORDS", limits::HOST_POLICY_WORDS),
        ("DIRECTION_WORDS", layout::DIRECTION_WORDS),
        ("BLOCK_WORDS", layout::BLOCK_WORDS as u32),
        ("NARROW_FAN", layout::NARROW_FAN as u32),
        ("NARROW_LEAF", layout::NARROW_LEAF as u32),
        ("WIDE_FAN", layout::WIDE_FAN as u32),
        ("POSITION_BITS", layout::POSITION_BITS),
        ("ASKS_LOCALS", layout::ASKS_LOCALS),
        ("ASKS_SOURCE_PORTS", layout::ASKS_SOURCE_PORTS),
        ("ASKS_GROUPS", layout::ASKS_GROUPS),
        ("ASKS_PEERS", layout::ASKS_PEERS),
        ("TABLE_RULES", layout::Table::Rules as u32),
        ("TABLE_SERVICES", layout::Table::Services as u32),
        ("TABLE_PEERS4", layout::Table::Peers4 as u32),
        ("TABLE_PEERS6", layout::Table::Peers6 as u32),
        ("TABLE_GROUPS", layout::Table::Groups as u32),
        ("TABLE_LOCALS4", layout::Table::Locals4 as u32),
        ("TABLE_LOCALS6", layout::Table::Locals6 as u32),
        ("TABLE_SOURCE_PORTS", layout::Table::SourcePorts as u32),
        ("DEFAULTS_WORD", layout::DEFAULTS_WORD),
        ("DEFAULT_ALLOW", layout::DEFAULT_ALLOW),
        ("OPEN_TCP4", layout::OPEN_TCP4),
        ("OPEN_UDP4", layout::OPEN_UDP4),
        ("OPEN_TCP6", layout::OPEN_TCP6),
        ("OPEN_UDP6", layout::OPEN_UDP6),
        ("ACTION_DENY", layout::ACTION_DENY),
        ("ACTION_ALLOW", layout::ACTION_ALLOW),
        ("ACTION_BYPASS", layout::ACTION_BYPASS),
        ("RULE_WORLD", layout::RULE_WORLD),
        ("RULE_INTRA", layout::RULE_INTRA),
        ("RULE_PLATFORM", layout::RULE_PLATFORM),
        ("NO_PORT", layout::NO_PORT),
        ("SUMMARIES_MAX", layout::BITMAP_WORDS_MAX / 64),
        ("ENI_VALID", u32::from(abi::ENI_VALID)),
        ("ENI_SOURCE_CHECK", u32::from(abi::ENI_SOURCE_CHECK)),
        ("ENI_KEEP", u32::from(abi::ENI_KEEP)),
        ("ENI_RESET", u32::from(abi::ENI_RESET)),
        ("ENI_SENDER_GROUPS", u32::from(abi::ENI_SENDER_GROUPS)),
        ("ENI_SHADOW", u32::from(abi::ENI_SHADOW)),
        ("SHADOW_CELLS", abi::SHADOW_CELLS),
        ("SHADOW_SKIPPED", abi::SHADOW_SKIPPED),
        ("PORT_HINTS", abi::PORT_HINTS),
        ("PORT_HINT_FACTOR", abi::PORT_HINT_FACTOR),
        ("REASONS", abi::REASONS),
        ("GROUPS_MAX", abi::GROUPS_MAX as u32),
        ("ID_BYTES", abi::ID_BYTES as u32),
        ("EVENT_BYTES", event::EVENT_BYTES),
        ("EVENT_WINDOW_SHIFT", event::EVENT_WINDOW_SHIFT),
        ("EVENTS_PER_CPU", event::EVENTS_PER_CPU),
        ("EVENTS_PER_ENI", event::EVENTS_PER_ENI),
        ("EVENTS_ASSURED", event::EVENTS_ASSURED),
        ("EVENTS_ALLOWED", event::EVENTS_ALLOWED),
        ("EVENTS_DENIED", event::EVENTS_DENIED),
        ("EVENT_EGRESS", u32::from(event::EVENT_EGRESS)),
        ("EVENT_HAS_PORTS", u32::from(event::EVENT_HAS_PORTS)),
        ("EVENT_HAS_ADDRESSES", u32::from(event::EVENT_HAS_ADDRESSES)),
    ];
    for (name, value) in expected.into_iter().chain(numbers_of_flows()) {
        assert_eq!(defines.get(name), Some(&value), "{name}");
    }
}

fn numbers_of_flows() -> [(&'static str, u32); 15] {
    [
        ("HALF_OPEN_MAX", limits::ENI_HALF_OPEN_MAX),
        ("FLOWS", limits::HOST_FLOWS_MAX),
        ("MARK_FORWARDED", abi::MARK_FORWARDED),
        ("FLOW_FORWARDED", u32::from(abi::FLOW_FORWARDED)),
        ("FLOW_FOREIGN", u32::from(abi::FLOW_FOREIGN)),
        ("FLOW_EGRESS", u32::from(abi::FLOW_EGRESS)),
        ("FLOW_UNTRACKED", u32::from(abi::FLOW_UNTRACKED)),
        ("FLOW_V6", u32::from(abi::FLOW_V6)),
        ("FLOW_ANSWERED", u32::from(abi::FLOW_ANSWERED)),
        ("FLOW_ESTABLISHED", u32::from(abi::FLOW_ESTABLISHED)),
        ("FLOW_FIN_FIRST", u32::from(abi::FLOW_FIN_FIRST)),
        ("FLOW_FIN_REPLY", u32::from(abi::FLOW_FIN_REPLY)),
        ("FLOW_RST", u32::from(abi::FLOW_RST)),
        ("FLOW_CUT", u32::from(abi::FLOW_CUT)),
        ("FLOW_RST_REPLY", u32::from(abi::FLOW_RST_REPLY)),
    ]
}

fn define(line: &str) -> Option<(&str, u32)> {
    let mut words = line.strip_prefix("#define ")?.split_whitespace();
    let (name, value) = (words.next()?, words.next()?.trim_end_matches('u'));
    let value = match value.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => value.parse().ok()?,
    };
    Some((name, value))
}

#[test]
fn reasons_are_the_same_on_both_sides() {
    let header = include_str!("../../bpf/abi.h");
    let enumerator = |line: &str| {
        let (name, number) = line.trim().strip_suffix(',')?.split_once(" = ")?;
        Some((name.to_owned(), number.parse::<u32>().ok()?))
    };
    let mut found: Vec<(String, u32)> = header.lines().filter_map(enumerator).collect();
    found.sort();
    let named = |reason: abi::Reason| {
        let camel = format!("{reason:?}");
        let snake = camel.char_indices().fold(String::new(), |mut name, (at, letter)| {
            if at > 0 && letter.is_uppercase() {
                name.push('_');
            }
            name.push(letter.to_ascii_uppercase());
            name
        });
        (format!("REASON_{snake}"), reason as u32)
    };
    let mut expected: Vec<_> = abi::Reason::ALL.iter().copied().map(named).collect();
    expected.sort();
    assert_eq!(found, expected);
}
