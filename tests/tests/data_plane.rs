//! The BPF program in the kernel must agree with `core::verdict` about first packets, and with
//! `core::flow` about everything after them, while the world changes.

#![expect(clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

use std::collections::BTreeMap;

use sekimori_compile::abi::Reason;
use sekimori_core::{
    change::Row,
    flow::{Segment, TcpFlags, Tracker},
    ids::EniId,
    limits::HOST_FLOWS_MAX,
    packet::{Decision, Why},
    verdict,
    world::{Eni, World},
};
use sekimori_tests::{
    frame::VLAN_KINDS,
    generate::{Chooser, Universe},
    plane::{TestPlane, is_root, kernel_key, reason_of},
    shrink::shrink,
};

const WORLDS: u64 = 2_100;
const PACKETS: usize = 100;
/// Worlds in which frames are tagged.
const TAGGED_WORLDS: u64 = 120;
/// Flows of a table that fills.
const FEW_FLOWS: u32 = 24;

fn first_packet(universe: &mut Universe, eni: &Eni) -> Segment {
    let packet = universe.packet(eni);
    Segment { packet, flags: TcpFlags { syn: true, ..TcpFlags::default() }, icmp_id: 7, quoted: None }
}

/// Judges a first packet in the kernel and from the rules; says how they differ.
fn disagreement(plane: &mut TestPlane, world: &World, eni: &Eni, segment: &Segment) -> Option<String> {
    let expected = verdict::decide(world, eni, &segment.packet);
    let slot = plane.tables.eni_slot(&eni.id)?;
    let counter = match &expected.why {
        Why::Rule { group, rule } => plane.tables.rule_slot(&(group.clone(), Some(rule.clone()))),
        Why::IntraGroup { group } => plane.tables.rule_slot(&(group.clone(), None)),
        _ => None,
    };
    let count = |plane: &TestPlane| counter.map(|slot| plane.plane.rule_count(slot).expect("counters are readable"));
    let before = count(plane);
    let (_, reason) = plane.judge(eni, segment).expect("the program runs")?;
    let after = count(plane);
    let counted = before.zip(after).is_none_or(|(before, after)| after.packets == before.packets + 1);
    if let Some(key) = kernel_key(slot, eni, segment) {
        let flow = plane.plane.flow(&key).expect("flows are readable");
        plane.plane.end_flow(&key).expect("flows can be ended");
        let may_begin = !matches!(segment.packet.transport, sekimori_core::packet::Transport::Icmp { .. });
        let begun = expected.is_allowed() && expected.why != Why::Bypass;
        if may_begin && flow.is_some() != begun {
            return Some(format!("{segment:?}: {expected:?}, but the flow is {flow:?}"));
        }
        let untracked = verdict::is_untracked(world, eni, &segment.packet, &expected.why);
        if flow.is_some_and(|flow| (flow.flags & sekimori_compile::abi::FLOW_UNTRACKED != 0) != untracked) {
            return Some(format!("{segment:?}: untracked should be {untracked}: {flow:?}"));
        }
    }
    let same = reason == reason_of(&expected) && counted;
    (!same)
        .then(|| format!("{segment:?} at {}: rules say {expected:?}, kernel {reason:?}, counted {counted}", eni.id))
}

#[test]
fn the_program_agrees_with_the_verdict_on_first_packets() {
    if !is_root("the data-plane differential") {
        return;
    }
    let mut plane = TestPlane::new().expect("the data plane opens");
    let mut seen: BTreeMap<Reason, u64> = BTreeMap::new();
    let mut judged = 0_u64;
    for seed in 0..WORLDS {
        let mut universe = Universe::new(seed);
        plane.enforce(&universe.world).expect("the world fits");
        let enis = universe.enis();
        for _ in 0..PACKETS {
            let Some(eni) = enis.get(universe.chooser.below(enis.len())).cloned() else { break };
            let segment = first_packet(&mut universe, &eni);
            if let Some(message) = disagreement(&mut plane, &universe.world, &eni, &segment) {
                let small = shrink_in_kernel(&mut plane, &universe.world, &eni, &segment);
                panic!("seed {seed}: {message}\nsmallest world:\n{small:#?}");
            }
            judged += 1;
            let reason = reason_of(&verdict::decide(&universe.world, &eni, &segment.packet));
            *seen.entry(reason).or_default() += 1;
        }
        if seed % 64 == 63 {
            plane.rest().expect("the plane rests");
        }
    }
    println!("judged {judged} packets in {WORLDS} worlds (seeds 0..{WORLDS}): {seen:?}");
    assert!(judged >= 200_000, "{judged}");
}

/// No tag, one or two, of either kind.
fn tags(chooser: &mut Chooser) -> Vec<u16> {
    let count = chooser.below(3);
    (0..count).map(|_| chooser.pick(&VLAN_KINDS)).collect()
}

#[test]
fn a_tagged_frame_is_judged_by_what_it_carries() {
    if !is_root("the data-plane differential of tagged frames") {
        return;
    }
    let mut plane = TestPlane::new().expect("the data plane opens");
    let mut seen: BTreeMap<Reason, u64> = BTreeMap::new();
    for seed in 0..TAGGED_WORLDS {
        let mut universe = Universe::new(seed);
        plane.enforce(&universe.world).expect("the world fits");
        let enis = universe.enis();
        for _ in 0..PACKETS {
            let Some(eni) = enis.get(universe.chooser.below(enis.len())).cloned() else { break };
            let segment = first_packet(&mut universe, &eni);
            plane.tags = tags(&mut universe.chooser);
            let message = disagreement(&mut plane, &universe.world, &eni, &segment);
            assert_eq!(message, None, "seed {seed}: tags {:x?}", plane.tags);
            *seen.entry(reason_of(&verdict::decide(&universe.world, &eni, &segment.packet))).or_default() += 1;
            plane.tags = vec![0x8100; 3];
            let judged = plane.judge(&eni, &segment).expect("the program runs");
            let is_refused =
                matches!(judged, None | Some((false, Reason::NotIp | Reason::Spoofed | Reason::NoPolicy)));
            assert!(is_refused, "seed {seed}: three tags are not read: {judged:?}");
        }
    }
    for reason in [Reason::RuleAllow, Reason::RuleDeny, Reason::IntraGroup, Reason::DefaultDeny, Reason::Bypass] {
        assert!(seen.get(&reason).is_some_and(|count| *count > 50), "too few packets were {reason:?}: {seen:?}");
    }
}

fn shrink_in_kernel(
    plane: &mut TestPlane,
    world: &World,
    eni: &Eni,
    segment: &Segment,
) -> Vec<sekimori_core::change::Change> {
    let plane = std::cell::RefCell::new(plane);
    shrink(world, |world| {
        let mut plane = plane.borrow_mut();
        let Some(eni) = world.eni(&eni.id) else { return false };
        plane.enforce(world).is_ok() && disagreement(&mut plane, world, eni, segment).is_some()
    })
}

/// What the kernel may say where the model says this: a live flow that a change ended has a reason of its
/// own, and so has an error about a known flow.
fn is_same(expected: &Decision, reason: Reason) -> bool {
    match reason {
        Reason::FlowEnded => !expected.is_allowed(),
        Reason::KnownError => expected.why == Why::KnownFlow,
        other => other == reason_of(expected),
    }
}

#[test]
fn the_program_agrees_with_the_tracker_while_the_world_changes() {
    if !is_root("the data-plane differential of flows") {
        return;
    }
    let mut plane = TestPlane::new().expect("the data plane opens");
    let mut seen: BTreeMap<Reason, u64> = BTreeMap::new();
    for seed in 10_000..10_300 {
        let mut universe = Universe::new(seed);
        plane.enforce(&universe.world).expect("the world fits");
        plane.forget_flows().expect("flows can be forgotten");
        // Every other world has tables that fill.
        plane.plane.set_flows_max(if seed % 2 == 0 { HOST_FLOWS_MAX } else { FEW_FLOWS });
        let mut tracker = Tracker::new(plane.plane.flow_room());
        let mut recent: Vec<(EniId, Segment)> = Vec::new();
        for step in 0..20 {
            follow_some_packets(
                &format!("seed {seed} step {step}"),
                &mut plane,
                &mut universe,
                &mut tracker,
                &mut recent,
                &mut seen,
            );
            let changes = universe.change();
            changes.iter().cloned().for_each(|change| universe.put(change));
            let delta = plane.tables.update(&universe.world, &changes);
            plane.plane.write(&delta).expect("the kernel follows");
            // An ENI that is gone, or has left the host, takes its flows with it.
            let gone = changes.iter().filter_map(|change| match change.row() {
                Row::Eni(eni) if plane.tables.eni_slot(&eni).is_none() => Some(eni),
                _ => None,
            });
            if gone.inspect(|eni| tracker.forget(eni)).count() > 0 {
                plane.sweep().expect("flows without an ENI can be ended");
            }
            tracker.share_out(plane.plane.flow_room());
        }
        if seed % 16 == 15 {
            plane.rest().expect("the plane rests");
        }
    }
    println!("{seen:?}");
    for reason in [Reason::KnownFlow, Reason::KnownError, Reason::FlowEnded, Reason::MidStream, Reason::TableFull] {
        assert!(seen.get(&reason).is_some_and(|count| *count > 50), "too few packets were {reason:?}: {seen:?}");
    }
}

fn follow_some_packets(
    at: &str,
    plane: &mut TestPlane,
    universe: &mut Universe,
    tracker: &mut Tracker,
    recent: &mut Vec<(EniId, Segment)>,
    seen: &mut BTreeMap<Reason, u64>,
) {
    for _ in 0..30 {
        let enis = universe.enis();
        if enis.is_empty() {
            return;
        }
        let eni = universe.chooser.pick(&enis);
        let fresh = universe.segment(&eni);
        let chosen = recent.get(universe.chooser.below(recent.len() * 3 / 2 + 1)).cloned();
        let (id, segment) = match chosen {
            Some((id, old)) if universe.chooser.one_in(3) => (id, old),
            Some((id, old)) => (id, answer(&old, &fresh)),
            None => (eni.id.clone(), fresh),
        };
        let Some(eni) = universe.world.eni(&id).cloned() else { continue };
        // A flow is the same flow in a VLAN and outside.
        plane.tags = if universe.chooser.one_in(4) { tags(&mut universe.chooser) } else { Vec::new() };
        let Some((_, reason)) = plane.judge(&eni, &segment).expect("the program runs") else { continue };
        let expected = tracker.judge(&universe.world, &eni, &segment, 0);
        assert!(
            is_same(&expected, reason),
            "{at}: {segment:?} at {id}: the model says {expected:?}, the kernel {reason:?}"
        );
        *seen.entry(reason).or_default() += 1;
        if recent.len() >= 48 {
            recent.remove(0);
        }
        recent.push((id, segment));
    }
}

/// A packet that goes the other way in the flow of an earlier one, with fresh flags; or an ICMP error
/// about it.
fn answer(old: &Segment, fresh: &Segment) -> Segment {
    use sekimori_core::packet::Transport;
    let mut packet = old.packet;
    packet.direction = packet.direction.reverse();
    packet.is_forwarded = fresh.packet.is_forwarded && packet.direction == sekimori_core::rule::Direction::Ingress;
    packet.transport = match packet.transport {
        Transport::Tcp { source, destination } => Transport::Tcp { source: destination, destination: source },
        Transport::Udp { source, destination } => Transport::Udp { source: destination, destination: source },
        Transport::Icmp { protocol, kind, code } => {
            let kind = match (protocol, kind) {
                (1, 8) => 0,
                (58, 128) => 129,
                (_, other) => other,
            };
            Transport::Icmp { protocol, kind, code }
        }
        other @ Transport::Other { .. } => other,
    };
    let mut segment = Segment { packet, flags: fresh.flags, icmp_id: old.icmp_id, quoted: None };
    if fresh.icmp_id == 1 && old.quoted.is_none() {
        return segment;
    }
    let v6 = old.packet.local.is_ipv6();
    let (source, destination) = match old.packet.direction {
        sekimori_core::rule::Direction::Ingress => (old.packet.peer, old.packet.local),
        sekimori_core::rule::Direction::Egress => (old.packet.local, old.packet.peer),
    };
    segment.packet.transport = if v6 {
        Transport::Icmp { protocol: 58, kind: 1, code: 4 }
    } else {
        Transport::Icmp { protocol: 1, kind: 3, code: 3 }
    };
    let quoted =
        sekimori_core::flow::Quoted { source, destination, transport: old.packet.transport, icmp_id: old.icmp_id };
    segment.quoted = Some(quoted);
    segment
}
