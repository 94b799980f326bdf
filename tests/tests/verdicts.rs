//! Remembered answers about first packets (`bpf/verdicts.h`) are used, and none of them outlives a change by which the rules
//! would say something else. Every remembered answer is made a false one, so that whatever comes from memory is known by it.

#![expect(clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

use std::sync::Arc;

use sekimori_agent::bpf::{maps::possible_cpus, sys};
use sekimori_compile::abi::Reason;
use sekimori_core::{
    flow::{Segment, TcpFlags},
    ids::EniId,
    packet::{Transport, Why},
    verdict,
    world::World,
};
use sekimori_tests::{
    generate::Universe,
    plane::{TestPlane, is_root, kernel_key, reason_of},
};

const WORLDS: u64 = 240;
const PACKETS: usize = 16;
const CHANGES: usize = 12;
/// Elements of the map, and the words of an answer: see `struct verdict`.
const SETS: u32 = 16;
const WORDS: usize = 8;
/// The word of an answer that is zero where there is none.
const STAMP: usize = 5;
/// The word with the reason, and where in it.
const REASON: usize = 7;
const REASON_SHIFT: u32 = 16;
/// What the false answers say.
const FALSE: Reason = Reason::PlatformDeny;

type Set = [u64; 64 * WORDS];

/// Makes every remembered answer say [`FALSE`].
fn falsify(plane: &TestPlane) {
    let map = plane.plane.maps().fd("verdicts").expect("the map is there");
    let count = possible_cpus().expect("the kernel tells its CPUs");
    for set in 0..SETS {
        let mut cpus: Vec<Set> = sys::lookup_per_cpu(map, set, count).expect("the map can be read");
        for answer in cpus.iter_mut().flat_map(|set| set.chunks_mut(WORDS)).filter(|answer| answer[STAMP] != 0) {
            answer[REASON] = answer[REASON] & !(0xff << REASON_SHIFT) | u64::from(FALSE as u8) << REASON_SHIFT;
        }
        sys::update_each_cpu(map, set, &cpus).expect("the map can be written");
    }
}

/// What the rules say about a packet, if its ENI is there.
fn decide(world: &World, (eni, segment): &(EniId, Segment)) -> Option<(Reason, Why)> {
    let decision = verdict::decide(world, world.eni(eni)?, &segment.packet);
    Some((reason_of(&decision), decision.why))
}

/// What the kernel says. No flow stays.
fn judge(plane: &mut TestPlane, world: &World, (eni, segment): &(EniId, Segment)) -> Option<Reason> {
    let eni = Arc::clone(world.eni(eni)?);
    let (_, reason) = plane.judge(&eni, segment).expect("the program runs")?;
    let slot = plane.tables.eni_slot(&eni.id)?;
    if let Some(key) = kernel_key(slot, &eni, segment) {
        plane.plane.end_flow(&key).expect("flows can be ended");
    }
    Some(reason)
}

#[test]
fn a_remembered_answer_is_used_until_the_rules_say_something_else() {
    if !is_root("the test of remembered answers") {
        return;
    }
    let mut plane = TestPlane::new().expect("the data plane opens");
    let (mut remembered, mut changed) = (0, 0);
    for seed in 70_000..70_000 + WORLDS {
        let mut universe = Universe::new(seed);
        plane.enforce(&universe.world).expect("the world fits");
        let packets = packets(&mut universe);
        for packet in &packets {
            judge(&mut plane, &universe.world, packet);
        }
        falsify(&plane);
        for step in 0..CHANGES {
            let before: Vec<_> = packets.iter().map(|packet| decide(&universe.world, packet)).collect();
            let changes = universe.change();
            changes.iter().cloned().for_each(|change| universe.put(change));
            let delta = plane.tables.update(&universe.world, &changes);
            plane.plane.write(&delta).expect("the kernel follows");
            for (packet, before) in packets.iter().zip(before) {
                let (Some(reason), Some(after)) =
                    (judge(&mut plane, &universe.world, packet), decide(&universe.world, packet))
                else {
                    continue;
                };
                let is_right = reason == after.0;
                let is_changed = before.as_ref() != Some(&after);
                assert!(
                    is_right || (reason == FALSE && !is_changed),
                    "seed {seed} step {step}: {packet:?}: the rules said {before:?} and say {after:?}, the kernel {reason:?}"
                );
                remembered += usize::from(!is_right);
                changed += usize::from(is_changed);
            }
            falsify(&plane);
        }
        if seed % 16 == 15 {
            plane.rest().expect("the plane rests");
        }
    }
    println!("{remembered} answers were remembered, {changed} times the rules said something else");
    assert!(remembered > 10_000 && changed > 250, "{remembered} remembered, {changed} changed");
}

/// First packets with ports, at ENIs of the world.
fn packets(universe: &mut Universe) -> Vec<(EniId, Segment)> {
    let enis = universe.enis();
    let mut packets = Vec::new();
    while packets.len() < PACKETS && !enis.is_empty() {
        let eni = universe.chooser.pick(&enis);
        let packet = universe.packet(&eni);
        if matches!(packet.transport, Transport::Tcp { .. } | Transport::Udp { .. }) {
            let flags = TcpFlags { syn: true, ..TcpFlags::default() };
            packets.push((eni.id.clone(), Segment { packet, flags, icmp_id: 0, quoted: None }));
        }
    }
    packets
}

#[test]
fn an_answer_is_for_every_source_port_unless_a_rule_asks_for_it() {
    if !is_root("the test of remembered answers and source ports") {
        return;
    }
    let mut plane = TestPlane::new().expect("the data plane opens");
    let (mut remembered, mut asked) = (0, 0);
    for seed in 71_000..71_000 + WORLDS {
        let mut universe = Universe::new(seed);
        plane.enforce(&universe.world).expect("the world fits");
        for (eni, mut segment) in packets(&mut universe) {
            let first = decide(&universe.world, &(eni.clone(), segment));
            judge(&mut plane, &universe.world, &(eni.clone(), segment));
            falsify(&plane);
            segment.packet.transport = with_source(segment.packet.transport, fresh_port(&mut universe));
            let packet = (eni, segment);
            let (Some(reason), Some(expected)) =
                (judge(&mut plane, &universe.world, &packet), decide(&universe.world, &packet))
            else {
                continue;
            };
            let is_right = reason == expected.0;
            let is_asked = first.as_ref() != Some(&expected);
            assert!(is_right || (reason == FALSE && !is_asked), "seed {seed}: {packet:?}: {expected:?}, {reason:?}");
            remembered += usize::from(!is_right);
            asked += usize::from(is_asked);
        }
    }
    println!("{remembered} answers were remembered for another source port, {asked} times it decided");
    assert!(remembered > 1_000 && asked > 10, "{remembered} remembered, {asked} asked");
}

/// The source port of another packet: as likely as not one that rules speak of.
fn fresh_port(universe: &mut Universe) -> u16 {
    let enis = universe.enis();
    loop {
        let eni = universe.chooser.pick(&enis);
        if let Some(port) = universe.packet(&eni).transport.source_port() {
            return port;
        }
    }
}

fn with_source(transport: Transport, source: u16) -> Transport {
    match transport {
        Transport::Tcp { destination, .. } => Transport::Tcp { source, destination },
        Transport::Udp { destination, .. } => Transport::Udp { source, destination },
        other @ (Transport::Icmp { .. } | Transport::Other { .. }) => other,
    }
}
