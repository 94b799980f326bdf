//! Everything that reads bytes from outside, as functions of bytes that must return whatever the bytes are.
//!
//! Each is a fuzz target: `fuzz/fuzz_targets/` calls it under libFuzzer, `tests/tests/corpus.rs` with the
//! checked-in corpus and mutations of it. A target fails by panicking; what it asserts is that answers are
//! well-formed, that what was read can be written and read again, and that nothing is open for malformed bytes.

mod calls;
mod frames;
pub mod mutate;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::LazyLock,
};

use axum::{extract::Query, http::Uri};
use sekimori_analysis::{effective, why};
use sekimori_compile::{
    interpret::{self, Ends},
    tables::{Adopted, Tables},
};
use sekimori_core::{
    address::{Cidr, Mac},
    apply::State,
    bypass::BypassSet,
    change::Change,
    feed::{FromAgent, FromServer},
    ids::HostId,
    limits::BYPASS_ENTRIES_MAX,
    packet::{Packet, Transport},
    rule::Direction,
    verdict,
    world::World,
};
use serde::{Serialize, de::DeserializeOwned};

pub use self::{
    calls::{ec2_call, ecs_call},
    frames::frames,
};
use crate::generate::HOST;

/// A fuzz target.
pub type Target = fn(&[u8]);

/// Every target, by the name of its corpus.
pub const TARGETS: [(&str, Target); 8] = [
    ("ecs_call", ecs_call),
    ("ec2_call", ec2_call),
    ("addresses", addresses),
    ("feed", feed),
    ("rows", rows),
    ("native_query", native_query),
    ("policy_words", policy_words),
    ("frames", frames),
];

/// Changes of one input, so that a run has a bound.
const CHANGES_MAX: usize = 64;

/// The small world that targets ask about: `world.jsonl`, one change a line.
static WORLD: LazyLock<World> = LazyLock::new(|| {
    let mut world = World::default();
    let changes = include_str!("fuzz/world.jsonl").lines().map(serde_json::from_str::<Change>);
    for change in changes.map(Result::ok) {
        assert!(change.is_some(), "world.jsonl holds something else than changes");
        change.iter().for_each(|change| world.apply(change));
    }
    world
});

/// The tables of that world.
static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let mut tables = Tables::new(HostId::from(HOST), Adopted::default());
    tables.update(&WORLD, &WORLD.to_changes());
    tables
});

/// Addresses, blocks, Ethernet addresses and entries of the bypass set, one a line.
pub fn addresses(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines {
        if let Ok(cidr) = line.parse::<Cidr>() {
            assert_eq!(cidr.to_string().parse::<Cidr>().ok(), Some(cidr), "{line}");
            assert!(
                cidr.contains(cidr.network().addr()) && cidr.canonical().contains(cidr.network().addr()),
                "{line}"
            );
            assert!(cidr.canonical().to_string().contains('/'), "{line}");
        }
        if let Ok(mac) = line.parse::<Mac>() {
            assert_eq!(mac.to_string().parse::<Mac>(), Ok(mac), "{line}");
        }
        if let Ok(bypass) = BypassSet::from_items([*line]) {
            survives(&bypass);
        }
    }
    if let Ok(bypass) = BypassSet::from_items(lines) {
        assert!(bypass.entries().len() <= BYPASS_ENTRIES_MAX);
    }
}

/// A message of the feed, of either side.
pub fn feed(bytes: &[u8]) {
    if let Ok(message) = serde_json::from_slice::<FromAgent>(bytes) {
        survives(&message);
    }
    let Ok(message) = serde_json::from_slice::<FromServer>(bytes) else { return };
    survives(&message);
    match message {
        FromServer::Snapshot { changes, .. } => from_nothing(&changes),
        FromServer::Commit { commit, .. } => {
            let mut world = WORLD.clone();
            world.commit(&commit);
            assert_eq!(world.revision(), commit.revision);
            follow(WORLD.clone(), TABLES.clone(), &commit.changes);
        }
        FromServer::Welcome { .. }
        | FromServer::Refused { .. }
        | FromServer::Verify { .. }
        | FromServer::LiveFlows { .. }
        | FromServer::Watch(_)
        | FromServer::Recorded { .. }
        | FromServer::Counted { .. } => {}
    }
}

/// Rows of a store, one a line.
pub fn rows(bytes: &[u8]) {
    let lines = bytes.split(|byte| *byte == b'\n').take(CHANGES_MAX);
    let changes: Vec<Change> = lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
    for change in &changes {
        survives(change);
        assert!(!change.row().to_key().is_empty());
    }
    if !changes.is_empty() {
        from_nothing(&changes);
        follow(WORLD.clone(), TABLES.clone(), &changes);
    }
}

/// The query of a question to the native API, as the server reads it.
pub fn native_query(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(report) = effective::show(&WORLD, &text) {
        survives(&report);
    }
    let Ok(uri) = format!("/v1/why?{text}").parse::<Uri>() else { return };
    let Ok(Query(question)) = Query::<why::Question>::try_from_uri(&uri) else { return };
    match why::ask(&WORLD, &question) {
        Ok(report) => {
            assert_eq!(report.allowed, report.legs.iter().all(|leg| leg.decision.is_allowed()), "{question:?}");
            survives(&report);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Words in the place of a policy: 24 bytes of packet, then words. Words that are no policy decide something, soon.
pub fn policy_words(bytes: &[u8]) {
    let Some((head, words)) = bytes.split_at_checked(24) else { return };
    let policy: Vec<u64> = words.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
    let packet = packet_of(head);
    let peer_groups = [u32::from(head[1]), u32::from(head[2]), u32::MAX];
    for is_own in [true, false] {
        let ends = Ends { policy: &policy, source_check: head[0] & 4 == 0, is_own, peer_groups: &peer_groups };
        let finding = interpret::judge(&ends, &packet);
        assert_eq!(finding, interpret::judge(&ends, &packet));
        assert!(!policy.is_empty() || !finding.reason.passes() || is_discovery(&packet), "{packet:?} {finding:?}");
    }
}

/// Whatever there is no policy for passes for this reason only.
fn is_discovery(packet: &Packet) -> bool {
    packet.transport.protocol() == 58 && packet.peer.is_ipv6()
}

/// A packet from 24 bytes.
fn packet_of(head: &[u8]) -> Packet {
    let at = |index: usize| head.get(index).copied().unwrap_or(0);
    let pair = |index| u16::from_be_bytes([at(index), at(index + 1)]);
    let address = |from: usize| -> IpAddr {
        let four = [at(from), at(from + 1), at(from + 2), at(from + 3)];
        if at(0) & 2 == 0 {
            Ipv4Addr::from(four).into()
        } else {
            Ipv6Addr::from(u128::from_be_bytes(widened(four))).into()
        }
    };
    let transport = match at(3) {
        6 => Transport::Tcp { source: pair(4), destination: pair(6) },
        17 => Transport::Udp { source: pair(4), destination: pair(6) },
        protocol @ (1 | 58) => Transport::Icmp { protocol, kind: at(4), code: at(5) },
        protocol => Transport::Other { protocol },
    };
    let direction = if at(0) & 1 == 0 { Direction::Ingress } else { Direction::Egress };
    Packet { direction, local: address(8), peer: address(12), transport, is_forwarded: false }
}

/// Four bytes as the first and last of sixteen.
fn widened([a, b, c, d]: [u8; 4]) -> [u8; 16] {
    [a, b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, c, d]
}

fn from_nothing(changes: &[Change]) {
    follow(World::default(), Tables::new(HostId::from(HOST), Adopted::default()), changes);
}

/// Makes changes one by one, and asks everything that is asked of a world.
fn follow(mut world: World, mut tables: Tables, changes: &[Change]) {
    for change in changes.iter().take(CHANGES_MAX) {
        world.apply(change);
        tables.update(&world, std::slice::from_ref(change));
    }
    let copy = rebuilt(&world);
    assert_eq!(copy.to_changes(), world.to_changes());
    let _ = State::new(copy);
    for eni in world.enis() {
        for local in &eni.addresses {
            let transport = Transport::Tcp { source: 50_000, destination: 443 };
            let packet =
                Packet { direction: Direction::Ingress, local: *local, peer: *local, transport, is_forwarded: false };
            let _ = verdict::decide(&world, eni, &packet);
        }
    }
}

/// A world from its own facts.
fn rebuilt(world: &World) -> World {
    let mut copy = World::default();
    world.to_changes().iter().for_each(|change| copy.apply(change));
    copy.at(world.revision())
}

/// What was read can be written, and reads the same again.
fn survives<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) {
    let text = serde_json::to_string(value).unwrap_or_default();
    let again = serde_json::from_str::<T>(&text);
    assert_eq!(again.as_ref().ok(), Some(value), "{text}");
}
