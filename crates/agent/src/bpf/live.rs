//! Reads the live flows that somebody asks for, on a thread beside the changes: what is wanted of them, what has neither ended nor
//! idled out, and of that so many as are told.

use std::{cmp::Reverse, collections::BTreeMap, io};

use sekimori_compile::{
    abi::{self, Flow, FlowKey, address_of},
    tables::Tables,
};
use sekimori_core::{
    flow::query_of,
    ids::EniId,
    limits::LIVE_FLOWS_TOLD_MAX,
    live_flow::{BegunBy, FlowMatch, FlowState, FlowsWanted, LiveFlow, LiveFlows},
    packet::{Packet, Transport},
    rule::{Action, Direction},
    verdict,
    world::{Revision, World},
};

use super::{DataPlane, clock::coarse_now_ns, flows::FlowTables, maps::rule_name, read::timeout_s, sys::Shared};

const SECOND_NS: u64 = 1_000_000_000;

/// The tables of live flows, and what their numbers stand for.
pub struct LiveSource {
    flows: FlowTables,
    states: Shared<abi::Eni>,
    names: Shared<abi::RuleName>,
    enis: BTreeMap<u32, EniId>,
    world: World,
    revision: Option<Revision>,
}

impl LiveSource {
    /// The answer to a question.
    #[must_use]
    pub fn answer(&self, request: u64, wanted: &FlowsWanted) -> LiveFlows {
        match self.read(wanted) {
            Ok((flows, untold)) => LiveFlows { request, revision: self.revision, flows, untold, failure: None },
            Err(error) => {
                let failure = Some(format!("cannot read its tables of live flows: {error}"));
                LiveFlows { request, revision: self.revision, failure, ..LiveFlows::default() }
            }
        }
    }

    /// The flows that are wanted, those first that had a packet last, and how many more there are.
    ///
    /// # Errors
    /// The kernel's.
    pub fn read(&self, wanted: &FlowsWanted) -> io::Result<(Vec<LiveFlow>, u64)> {
        let filter = Filter::new(wanted, &self.enis);
        let mut newest = Newest::new(wanted.most.min(LIVE_FLOWS_TOLD_MAX));
        if filter.is_empty() {
            return Ok((Vec::new(), 0));
        }
        let now_ns = coarse_now_ns()?;
        self.flows.for_each(|key, flow| {
            if filter.wants(key, flow) && self.is_live(key, flow, now_ns) {
                newest.note(key, flow);
            }
        })?;
        let (flows, untold) = newest.take();
        Ok((flows.iter().filter_map(|(key, flow)| self.told(key, flow, now_ns)).collect(), untold))
    }

    fn state(&self, slot: u32) -> abi::Eni {
        self.states.get((slot as usize).min(self.states.len() - 1))
    }

    /// Whether the program would let the next packet pass if nothing has changed: the flow has neither ended nor idled out.
    fn is_live(&self, key: &FlowKey, flow: &Flow, now_ns: u64) -> bool {
        let eni = self.state(key.eni);
        let is_idle = now_ns.saturating_sub(flow.seen_ns) >= u64::from(timeout_s(&eni, key, flow)) * SECOND_NS;
        eni.flags & abi::ENI_VALID != 0 && self.enis.contains_key(&key.eni) && !flow.is_closed() && !is_idle
    }

    fn told(&self, key: &FlowKey, flow: &Flow, now_ns: u64) -> Option<LiveFlow> {
        let eni = self.enis.get(&key.eni)?;
        let first = first_packet(key, flow);
        let has_id = matches!(first.transport, Transport::Icmp { .. });
        let idle_s = now_ns.saturating_sub(flow.seen_ns) / SECOND_NS;
        Some(LiveFlow {
            eni: eni.clone(),
            first,
            icmp_id: if has_id { key.local_port } else { 0 },
            begun_by: self.begun_by(eni, &first, (key, flow)),
            state: state_of(key, flow),
            is_untracked: flow.flags & abi::FLOW_UNTRACKED != 0,
            packets: flow.packets,
            bytes: flow.bytes,
            idle_s: u32::try_from(idle_s).unwrap_or(u32::MAX),
        })
    }

    /// Who has let a flow begin. Its number may have been given to another rule since, unless the policy of now has judged it: then the
    /// rule that has the number must be there and speak about the flow.
    fn begun_by(&self, id: &EniId, first: &Packet, (key, flow): (&FlowKey, &Flow)) -> BegunBy {
        if flow.rule == 0 {
            return BegunBy::NoRule;
        }
        let Some((group, rule)) = rule_name(&self.names, flow.rule) else { return BegunBy::Gone };
        let is_current = flow.stamp >> 32 == self.state(key.eni).policy >> 32 && flow.stamp & abi::STAMP_KEPT == 0;
        let world = &self.world;
        let known = world.eni(id).zip(world.group(&group));
        match rule {
            Some(rule) => {
                let spec = known.and_then(|(eni, group)| Some((eni, &group.rules.get(&rule)?.spec)));
                let speaks = spec.is_some_and(|(eni, spec)| {
                    spec.action == Action::Allow && verdict::matches(world, eni, spec, first)
                });
                if is_current || speaks { BegunBy::Rule { group, rule } } else { BegunBy::Gone }
            }
            None => {
                let accepts = known.is_some_and(|(eni, known)| eni.groups.contains(&group) && known.accepts_inner());
                if is_current || accepts { BegunBy::IntraGroup { group } } else { BegunBy::Gone }
            }
        }
    }
}

/// Which flows are wanted, by the numbers of interfaces.
struct Filter<'a> {
    by_eni: BTreeMap<u32, Vec<&'a FlowMatch>>,
    anywhere: Vec<&'a FlowMatch>,
}

impl<'a> Filter<'a> {
    fn new(wanted: &'a FlowsWanted, enis: &BTreeMap<u32, EniId>) -> Self {
        let slots: BTreeMap<&EniId, u32> = enis.iter().map(|(slot, id)| (id, *slot)).collect();
        let mut filter = Self { by_eni: BTreeMap::new(), anywhere: Vec::new() };
        for one in &wanted.any {
            match one.eni.as_ref().map(|eni| slots.get(eni)) {
                None => filter.anywhere.push(one),
                Some(Some(slot)) => filter.by_eni.entry(*slot).or_default().push(one),
                // It is on another host, or gone.
                Some(None) => {}
            }
        }
        filter
    }

    fn is_empty(&self) -> bool {
        self.by_eni.is_empty() && self.anywhere.is_empty()
    }

    fn wants(&self, key: &FlowKey, flow: &Flow) -> bool {
        let here = self.by_eni.get(&key.eni);
        if here.is_none() && self.anywhere.is_empty() {
            return false;
        }
        let first = first_packet(key, flow);
        here.into_iter().flatten().chain(&self.anywhere).any(|one| one.is_begun_by(&first))
    }
}

/// The flows that had a packet last, as many as are told, and how many were seen. Memory is bounded by twice that.
struct Newest {
    most: usize,
    seen: u64,
    kept: Vec<(FlowKey, Flow)>,
}

impl Newest {
    fn new(most: u32) -> Self {
        Self { most: most as usize, seen: 0, kept: Vec::new() }
    }

    fn note(&mut self, key: &FlowKey, flow: &Flow) {
        self.seen += 1;
        self.kept.push((*key, *flow));
        if self.kept.len() >= 2 * self.most.max(1) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        if self.kept.len() > self.most {
            self.kept.select_nth_unstable_by_key(self.most, |(key, flow)| (Reverse(flow.seen_ns), *key));
            self.kept.truncate(self.most);
        }
    }

    fn take(mut self) -> (Vec<(FlowKey, Flow)>, u64) {
        self.cut();
        self.kept.sort_unstable_by_key(|(key, flow)| (Reverse(flow.seen_ns), *key));
        let untold = self.seen.saturating_sub(self.kept.len() as u64);
        (self.kept, untold)
    }
}

/// The packet that began a flow; the program's `first_of_flow`.
fn first_packet(key: &FlowKey, flow: &Flow) -> Packet {
    let is_egress = flow.flags & abi::FLOW_EGRESS != 0;
    let (source, destination) = match is_egress {
        true => (key.local_port, key.peer_port),
        false => (key.peer_port, key.local_port),
    };
    let [kind, code] = key.peer_port.to_be_bytes();
    let kind = query_of(key.protocol, kind).unwrap_or(kind);
    let is_v6 = flow.flags & abi::FLOW_V6 != 0;
    let transport = match key.protocol {
        6 => Transport::Tcp { source, destination },
        17 => Transport::Udp { source, destination },
        1 if !is_v6 => Transport::Icmp { protocol: 1, kind, code },
        58 if is_v6 => Transport::Icmp { protocol: 58, kind, code },
        protocol => Transport::Other { protocol },
    };
    Packet {
        direction: if is_egress { Direction::Egress } else { Direction::Ingress },
        local: address_of(key.local),
        peer: address_of(key.peer),
        transport,
        is_forwarded: flow.flags & abi::FLOW_FORWARDED != 0,
    }
}

fn state_of(key: &FlowKey, flow: &Flow) -> FlowState {
    const ONE_FIN: u8 = abi::FLOW_FIN_FIRST | abi::FLOW_FIN_REPLY;
    match key.protocol {
        6 if flow.progress & ONE_FIN != 0 => FlowState::Closing,
        6 if flow.progress & abi::FLOW_ESTABLISHED != 0 => FlowState::Established,
        6 if flow.is_half_open(key.protocol) => FlowState::HalfOpen,
        6 => FlowState::Opening,
        _ if flow.progress & abi::FLOW_ANSWERED != 0 => FlowState::Answered,
        _ => FlowState::Unanswered,
    }
}

impl DataPlane {
    /// What reads the live flows of the interfaces that are here now, as a world names them.
    ///
    /// # Errors
    /// When a descriptor cannot be copied, or an array cannot be mapped.
    pub fn live_source(&self, tables: &Tables, world: &World, revision: Option<Revision>) -> io::Result<LiveSource> {
        Ok(LiveSource {
            flows: FlowTables::new(&self.maps)?,
            states: Shared::map(self.maps.fd("enis")?, abi::ENI_SLOTS as usize)?,
            names: Shared::map(self.maps.fd("rule_names")?, abi::RULE_SLOTS as usize)?,
            enis: tables.entries().iter().map(|(slot, entry)| (*slot, entry.id.clone())).collect(),
            world: world.clone(),
            revision,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(eni: u32, port: u16, seen_ns: u64, flags: u8) -> (FlowKey, Flow) {
        let mapped = |last: u8| [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, last];
        let key = FlowKey {
            eni,
            local: mapped(1),
            peer: mapped(2),
            local_port: 443,
            peer_port: port,
            protocol: 6,
            reserved: [0; 3],
        };
        (key, Flow { seen_ns, flags, ..Flow::default() })
    }

    #[test]
    fn those_are_told_that_had_a_packet_last_and_the_rest_is_counted() {
        let mut newest = Newest::new(3);
        for n in [5_u64, 1, 9, 3, 7, 2, 8, 4, 6] {
            let (key, flow) = flow(1, n as u16, n, 0);
            newest.note(&key, &flow);
            assert!(newest.kept.len() < 6, "memory is bounded");
        }
        let (told, untold) = newest.take();
        assert_eq!((told.iter().map(|(_, flow)| flow.seen_ns).collect::<Vec<_>>(), untold), (vec![9, 8, 7], 6));
        let mut none = Newest::new(0);
        let (key, flow) = flow(1, 1, 1, 0);
        none.note(&key, &flow);
        assert_eq!(none.take(), (Vec::new(), 1), "only counted");
    }

    #[test]
    fn what_is_wanted_of_another_host_is_not_everything() {
        let enis = BTreeMap::from([(1, EniId::from("eni-a")), (2, EniId::from("eni-b"))]);
        let of = |any: Vec<FlowMatch>| FlowsWanted { any, most: 10 };
        let is_wanted =
            |wanted: &FlowsWanted, (key, flow): (FlowKey, Flow)| Filter::new(wanted, &enis).wants(&key, &flow);
        let elsewhere = of(vec![FlowMatch::of_eni(&"eni-elsewhere".into())]);
        assert!(Filter::new(&elsewhere, &enis).is_empty() && !is_wanted(&elsewhere, flow(1, 9, 1, 0)));
        assert!(Filter::new(&of(Vec::new()), &enis).is_empty(), "nothing is asked for");
        let some = of(vec![
            FlowMatch { port: Some(443), ..FlowMatch::of_eni(&"eni-a".into()) },
            FlowMatch { peer: "10.0.0.3".parse().ok(), ..FlowMatch::default() },
        ]);
        assert!(is_wanted(&some, flow(1, 9, 1, 0)));
        assert!(!is_wanted(&some, flow(2, 9, 1, 0)), "of another interface");
        assert!(!is_wanted(&some, flow(1, 9, 1, abi::FLOW_EGRESS)), "443 is where it comes from");
        assert!(is_wanted(&of(vec![FlowMatch::default()]), flow(2, 9, 1, 0)));
    }

    #[test]
    fn how_far_a_flow_has_come_is_told_by_its_progress() {
        let of = |flags, progress, protocol| {
            let (key, flow) = flow(1, 9, 1, flags);
            state_of(&FlowKey { protocol, ..key }, &Flow { progress, ..flow })
        };
        let (answered, established) = (abi::FLOW_ANSWERED, abi::FLOW_ANSWERED | abi::FLOW_ESTABLISHED);
        assert_eq!([of(0, 0, 6), of(0, answered, 6)], [FlowState::HalfOpen; 2]);
        assert_eq!([of(abi::FLOW_EGRESS, 0, 6), of(abi::FLOW_EGRESS, answered, 6)], [FlowState::Opening; 2]);
        assert_eq!(of(0, established, 6), FlowState::Established);
        assert_eq!(of(0, established | abi::FLOW_FIN_REPLY, 6), FlowState::Closing);
        assert_eq!([of(0, 0, 17), of(0, answered, 17)], [FlowState::Unanswered, FlowState::Answered]);
    }

    #[test]
    fn a_ping_is_told_by_its_query() {
        let (key, flow) = flow(1, 0x0800, 1, abi::FLOW_EGRESS);
        let first = first_packet(&FlowKey { protocol: 1, ..key }, &flow);
        assert_eq!(first.transport, Transport::Icmp { protocol: 1, kind: 8, code: 0 });
        assert_eq!((first.direction, first.source().to_string().as_str()), (Direction::Egress, "10.0.0.1"));
    }
}
