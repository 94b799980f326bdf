//! Events with names: what the kernel tells in numbers, said as the world says it.
//!
//! A number may lose its name between a packet and the moment in which its event is read; so names that are taken away are
//! remembered for as long as their number is not given to another.

use std::collections::{BTreeMap, VecDeque};

use sekimori_compile::{
    abi::{Reason, address_of, id_of},
    event::{EVENT_EGRESS, EVENT_HAS_ADDRESSES, EVENT_HAS_PORTS, EVENTS_ALLOWED, EVENTS_DENIED, Event},
    tables::{Delta, Name, RuleKey},
};
use sekimori_core::{
    flow_event::{FLOW_EVENTS_PER_MESSAGE_MAX, FlowEvent, FlowInterest, IcmpKind},
    ids::EniId,
    rule::Direction,
    world::Revision,
};

use super::Enforcer;
use crate::bpf::{
    clock::{coarse_now_ns, milliseconds},
    events::{EventRing, LossReader},
    live::LiveSource,
    maps::{Maps, rule_name},
    sample::FlowSource,
};

/// Names of one kind that are remembered after they were taken away.
const LATE_NAMES_MAX: usize = 16_384;
/// Collections after which such a name is forgotten: its number may be another's then.
const LATE_COLLECTIONS: u64 = 2;
/// Revisions, and versions of policies, whose moments are remembered.
const REVISIONS_MAX: usize = 4_096;

/// What is needed to understand events.
#[derive(Default)]
pub(super) struct Witness {
    ring: Option<EventRing>,
    interest: FlowInterest,
    enis: Late<EniId>,
    rules: Late<RuleKey>,
    collections: u64,
    revisions: Revisions,
}

/// Names by their former numbers, each with the collection before which it was taken away.
struct Late<T>(BTreeMap<u32, (u64, T)>);

impl<T> Default for Late<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Clone> Late<T> {
    fn note(&mut self, slot: u32, name: Option<T>, collection: u64) {
        if self.0.len() >= LATE_NAMES_MAX {
            self.0.clear();
        }
        self.0.extend(name.map(|name| (slot, (collection, name))));
    }

    fn get(&self, slot: u32) -> Option<T> {
        self.0.get(&slot).map(|(_, name)| name.clone())
    }

    fn forget(&mut self, now: u64) {
        self.0.retain(|_, (at, _)| now < *at + LATE_COLLECTIONS);
    }
}

/// When which revision began to be enforced, and which made which version of a policy.
#[derive(Debug, Default)]
struct Revisions {
    since_ns: VecDeque<(u64, Revision)>,
    by_policy: BTreeMap<u32, Revision>,
}

impl Revisions {
    fn note(&mut self, now_ns: u64, revision: Revision, policies: impl Iterator<Item = u32>) {
        self.since_ns.push_back((now_ns, revision));
        self.since_ns.drain(..self.since_ns.len().saturating_sub(REVISIONS_MAX));
        self.by_policy.extend(policies.map(|policy| (policy, revision)));
        while self.by_policy.len() > REVISIONS_MAX {
            self.by_policy.pop_first();
        }
    }

    /// The revision that was enforced. Within a tick of the kernel's coarse clock the versions of the policy tell before from
    /// after: one decides nothing before it is made.
    fn at(&self, time_ns: u64, policy: u32) -> Option<Revision> {
        let later = self.since_ns.partition_point(|(since, _)| *since < time_ns);
        let by_time = later.checked_sub(1).and_then(|at| self.since_ns.get(at)).map(|(_, revision)| *revision);
        by_time.max(self.by_policy.get(&policy).copied())
    }
}

impl Witness {
    /// Remembers the names that a step takes away. Call before it is written.
    pub(super) fn note_names(&mut self, delta: &Delta, maps: &Maps) {
        for name in &delta.names {
            match name {
                Name::Eni(slot, None) => self.enis.note(*slot, eni_named(maps, *slot), self.collections),
                Name::Rule(slot, None) => self.rules.note(*slot, rule_named(maps, *slot), self.collections),
                Name::Eni(_, Some(_)) | Name::Rule(_, Some(_)) | Name::Vpc(..) | Name::Group(..) => {}
            }
        }
    }

    /// Remembers when a revision began to be enforced. Call after it is written.
    pub(super) fn note_revision(&mut self, revision: Revision, delta: &Delta) {
        if let Ok(now_ns) = coarse_now_ns() {
            self.revisions.note(now_ns, revision, delta.policies.iter().map(|(id, _)| id.0));
        }
    }

    /// Numbers that were given back before the last collection may be taken again.
    pub(super) fn note_collection(&mut self) {
        self.collections += 1;
        self.enis.forget(self.collections);
        self.rules.forget(self.collections);
    }

    /// An event in words; `None` when its interface has been gone for long, or its reason is unknown.
    fn say(&self, maps: &Maps, event: &Event, at_ms: u64) -> Option<FlowEvent> {
        let reason = event.reason()?;
        let eni = eni_named(maps, event.eni).or_else(|| self.enis.get(event.eni))?;
        let named = || rule_named(maps, event.rule).or_else(|| self.rules.get(event.rule));
        let (group, rule) = named().filter(|_| event.rule != 0).unzip();
        let direction = if event.flags & EVENT_EGRESS == 0 { Direction::Ingress } else { Direction::Egress };
        let address = |bytes| (event.flags & EVENT_HAS_ADDRESSES != 0).then(|| address_of(bytes));
        let (source, destination) = ports(event).unzip();
        let (peer_port, local_port) = match direction {
            Direction::Ingress => (source, destination),
            Direction::Egress => (destination, source),
        };
        Some(FlowEvent {
            at_ms,
            eni,
            direction,
            passed: reason.passes(),
            reason: reason.name().to_owned(),
            group,
            rule: rule.flatten(),
            policy: event.policy,
            revision: self.revisions.at(event.time_ns, event.policy),
            protocol: event.protocol,
            local: address(event.local),
            peer: address(event.peer),
            local_port,
            peer_port,
            icmp: icmp(event, reason),
            tcp_flags: event.tcp_flags,
            bytes: event.bytes,
            packets: event.packets,
        })
    }
}

fn ports(event: &Event) -> Option<(u16, u16)> {
    (event.flags & EVENT_HAS_PORTS != 0).then_some((event.source_port, event.destination_port))
}

fn icmp(event: &Event, reason: Reason) -> Option<IcmpKind> {
    let is_v4 = address_of(event.local).is_ipv4();
    let is_read = event.flags & EVENT_HAS_ADDRESSES != 0 && !matches!(reason, Reason::Fragment | Reason::Malformed);
    let is_icmp = event.protocol == if is_v4 { 1 } else { 58 };
    let [kind, code] = event.source_port.to_be_bytes();
    (is_read && is_icmp).then_some(IcmpKind { kind, code })
}

fn eni_named(maps: &Maps, slot: u32) -> Option<EniId> {
    let slot = usize::try_from(slot).ok().filter(|slot| *slot < maps.eni_names.len())?;
    id_of(&maps.eni_names.get(slot)).map(EniId::from)
}

fn rule_named(maps: &Maps, slot: u32) -> Option<RuleKey> {
    rule_name(&maps.rule_names, slot)
}

impl Enforcer {
    /// Which events are told from now on.
    ///
    /// # Errors
    /// When the ring cannot be read.
    pub fn want_flows(&mut self, interest: FlowInterest) -> std::io::Result<()> {
        let wanted = [(interest.allowed, EVENTS_ALLOWED), (interest.denied, EVENTS_DENIED)];
        let wanted = wanted.into_iter().filter(|(is_wanted, _)| *is_wanted).fold(0, |all, (_, flag)| all | flag);
        if wanted != 0 && self.witness.ring.is_none() {
            self.witness.ring = Some(self.plane.event_ring()?);
        }
        if let Some(ring) = self.witness.ring.as_mut().filter(|_| self.witness.interest == FlowInterest::default()) {
            // What was told before anybody asked now.
            while !ring.take(FLOW_EVENTS_PER_MESSAGE_MAX).is_empty() {}
        }
        self.witness.interest = interest;
        self.plane.want_events(wanted);
        Ok(())
    }

    /// Which events somebody reads, and whether traffic is put together.
    #[must_use]
    pub fn interest(&self) -> FlowInterest {
        self.witness.interest
    }

    /// What reads the live flows for records.
    ///
    /// # Errors
    /// When a descriptor cannot be copied.
    pub fn flow_source(&self) -> std::io::Result<FlowSource> {
        self.plane.flow_source(&self.tables)
    }

    /// What reads the live flows that are asked for.
    ///
    /// # Errors
    /// When a descriptor cannot be copied, or an array cannot be mapped.
    pub fn live_source(&self) -> std::io::Result<LiveSource> {
        self.plane.live_source(&self.tables, &self.world, self.applied())
    }

    /// Whether anybody reads events.
    #[must_use]
    pub fn tells_flows(&self) -> bool {
        self.witness.interest != FlowInterest::default()
    }

    /// The next events, the oldest first.
    pub fn take_events(&mut self, most: usize) -> Vec<FlowEvent> {
        let Some(ring) = &mut self.witness.ring else { return Vec::new() };
        let events = ring.take(most);
        if events.is_empty() {
            return Vec::new();
        }
        let Ok(at_ms) = milliseconds() else { return Vec::new() };
        let maps = self.plane.maps();
        events.iter().filter_map(|event| self.witness.say(maps, event, at_ms(event.time_ns))).collect()
    }

    /// What reads how many events were not told.
    ///
    /// # Errors
    /// When a descriptor cannot be copied.
    pub fn loss_reader(&self) -> std::io::Result<LossReader> {
        self.plane.loss_reader(&self.tables)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_told_by_time_and_by_the_policy_that_it_made() {
        let mut revisions = Revisions::default();
        assert_eq!(revisions.at(5, 1), None);
        revisions.note(10, Revision(4), [7].into_iter());
        revisions.note(20, Revision(5), [8].into_iter());
        let at = |time, policy| revisions.at(time, policy).map(|revision| revision.0);
        assert_eq!((at(9, 1), at(11, 1), at(20, 1), at(30, 1)), (None, Some(4), Some(4), Some(5)));
        assert_eq!((at(20, 8), at(19, 8)), (Some(5), Some(5)), "in the same tick, and while the clock was behind");
        (0..10_000).for_each(|n| revisions.note(n, Revision(n), [n as u32].into_iter()));
        assert_eq!((revisions.since_ns.len(), revisions.by_policy.len()), (REVISIONS_MAX, REVISIONS_MAX));
    }

    #[test]
    fn a_name_outlives_its_number_by_two_collections() {
        let mut late = Late::default();
        late.note(3, Some("rule"), 0);
        late.note(4, None, 0);
        late.forget(1);
        assert_eq!((late.get(3), late.get(4)), (Some("rule"), None));
        late.forget(2);
        assert_eq!(late.get(3), None);
        (0..LATE_NAMES_MAX as u32 + 1).for_each(|slot| late.note(slot, Some("x"), 3));
        assert!(late.0.len() <= LATE_NAMES_MAX);
    }
}
