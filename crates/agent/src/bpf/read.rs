//! Reads what the programs counted, and ends flows that have idled out.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use sekimori_compile::{
    abi::{self, FlowKey, Reason},
    tables::{Counted, RuleKey, Tables},
};
use sekimori_core::{
    feed::{Count, Counter, Gauges, ShadowCount, Tally},
    ids::EniId,
    rule::Direction,
};

use super::{
    DataPlane,
    budget::{Budgets, Drift},
    clock::{Moment, coarse_now_ns},
    counters::Over,
    earlier::EarlierCounters,
    flows::FlowTables,
    maps::Maps,
    shadow::ShadowTables,
    sys::{self, Shared},
};

/// A live flow, as the kernel holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveFlow {
    /// Its key.
    pub key: FlowKey,
    /// Its state.
    pub flow: abi::Flow,
}

/// What to count, and where: everything that another thread needs to read the counters.
pub struct Reader {
    rule_counters: OwnedFd,
    reason_counters: OwnedFd,
    budgets: Budgets,
    cpus: usize,
    rules: Vec<Lived<RuleKey>>,
    /// Of each of those, what its counter said when its life began.
    bases: Vec<abi::Counter>,
    enis: Vec<Lived<EniId>>,
    /// What other versions have counted.
    earlier: Vec<EarlierCounters>,
    shadows: ShadowTables,
    /// Of interfaces that are compared, with their rounds.
    shadowed: Vec<(EniId, u32, u64)>,
}

/// A number that something is counted under, in one of its lives.
struct Lived<K> {
    counted: Counted<K>,
    life: u64,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Counts {
    /// Every total that is not zero.
    pub tallies: Vec<Tally>,
    /// Numbers that nothing more is counted under, each with its life.
    pub over: Vec<(u64, Over)>,
    /// The rest.
    pub gauges: Gauges,
}

impl Reader {
    /// Everything that was counted and is not written down for good.
    ///
    /// # Errors
    /// The kernel's.
    pub fn read(&self) -> io::Result<Counts> {
        let mut counts = Counts::default();
        self.read_rules(&mut counts)?;
        self.read_enis(&mut counts)?;
        for earlier in &self.earlier {
            if let Err(error) = earlier.read(&mut counts) {
                tracing::warn!(%error, "counters of another version cannot be read");
            }
        }
        let ([flows_v4, flows_v6], flow_use) = self.budgets.used();
        let gauges = &mut counts.gauges;
        (gauges.flows, gauges.flows_v6, gauges.flow_use) = (flows_v4 + flows_v6, flows_v6, flow_use);
        let named = self.rules.iter().filter(|rule| rule.counted.departure.is_none());
        let named: Vec<_> = named.map(|rule| (rule.counted.name.clone(), rule.counted.slot)).collect();
        gauges.shadows = self.shadows.read(&self.shadowed, &named, Moment::now()?)?;
        Ok(counts)
    }

    fn read_rules(&self, counts: &mut Counts) -> io::Result<()> {
        // Most of them are neighbours.
        let mut blocks: BTreeMap<u32, abi::CounterBlock> = BTreeMap::new();
        for (Lived { counted: Counted { name: (group, rule), slot, departure }, life }, base) in
            self.rules.iter().zip(&self.bases)
        {
            let (element, place) = abi::counter_place(*slot);
            let block = match blocks.entry(element) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unread) => {
                    unread.insert(counter_block(self.rule_counters.as_fd(), element, self.cpus)?)
                }
            };
            let count = told(&block.counters[place].since(base));
            if count.packets > 0 {
                let counter = Counter::Rule { group: group.clone(), rule: rule.clone() };
                counts.tallies.push(Tally { counter, life: *life, is_over: departure.is_some(), count });
            }
            counts.over.extend(departure.map(|departure| (*life, Over::Rule(*slot, departure))));
        }
        Ok(())
    }

    fn read_enis(&self, counts: &mut Counts) -> io::Result<()> {
        for Lived { counted: Counted { name: eni, slot, departure }, life } in &self.enis {
            for (direction, reason, packets) in reason_counts(self.reason_counters.as_fd(), *slot, self.cpus)? {
                let (eni, passed, reason) = (eni.clone(), reason.passes(), reason.name().to_owned());
                let counter = Counter::Eni { eni, direction, passed, reason };
                let count = Count { packets, bytes: 0 };
                counts.tallies.push(Tally { counter, life: *life, is_over: departure.is_some(), count });
            }
            counts.over.extend(departure.map(|departure| (*life, Over::Eni(*slot, departure))));
        }
        Ok(())
    }
}

/// What the CPUs have counted together, in one element.
fn counter_block(map: BorrowedFd<'_>, element: u32, cpus: usize) -> io::Result<abi::CounterBlock> {
    let values: Vec<abi::CounterBlock> = sys::lookup_per_cpu(map, element, cpus)?;
    let sum = |place: usize| abi::Counter::sum(values.iter().map(|block| &block.counters[place]));
    Ok(abi::CounterBlock { counters: std::array::from_fn(sum) })
}

/// What was counted under a rule's number, in all its lives.
pub(super) fn rule_counter(map: BorrowedFd<'_>, slot: u32, cpus: usize) -> io::Result<abi::Counter> {
    let (element, place) = abi::counter_place(slot);
    Ok(counter_block(map, element, cpus)?.counters[place])
}

fn told(counter: &abi::Counter) -> Count {
    Count { packets: counter.packets, bytes: counter.bytes }
}

fn reason_counts(map: BorrowedFd<'_>, slot: u32, cpus: usize) -> io::Result<Vec<(Direction, Reason, u64)>> {
    let values: Vec<abi::ReasonCounts> = sys::lookup_per_cpu(map, slot, cpus)?;
    let mut counts = Vec::new();
    for (number, direction) in [(0, Direction::Ingress), (1, Direction::Egress)] {
        let all: Vec<&[u64]> =
            values.iter().filter_map(|value| Some(value.packets.get(number)?.as_slice())).collect();
        for reason in Reason::ALL {
            let packets = all.iter().filter_map(|by_reason| by_reason.get(*reason as usize)).sum();
            if packets > 0 {
                counts.push((direction, *reason, packets));
            }
        }
    }
    Ok(counts)
}

impl DataPlane {
    /// What reads the counters that the tables name now.
    ///
    /// # Errors
    /// When a descriptor cannot be copied.
    pub fn reader(&self, tables: &Tables) -> io::Result<Reader> {
        let own = |name| self.maps.fd(name)?.try_clone_to_owned();
        let rules = lived(tables.counted_rules(), &self.maps.rule_lives);
        let bases = rules.iter().map(|rule| self.maps.rule_bases.get(rule.counted.slot as usize)).collect();
        Ok(Reader {
            rule_counters: own("rule_counters")?,
            reason_counters: own("reason_counters")?,
            budgets: Budgets::new(&self.maps)?,
            cpus: self.cpus,
            rules,
            bases,
            enis: lived(tables.counted_enis(), &self.maps.eni_lives),
            earlier: self.earlier_counters(),
            shadows: ShadowTables::new(&self.maps, self.cpus)?,
            shadowed: shadowed(tables),
        })
    }

    /// What was compared, by ENI.
    ///
    /// # Errors
    /// The kernel's.
    pub fn shadow_counts(&self, tables: &Tables) -> io::Result<Vec<ShadowCount>> {
        let rules: Vec<_> = tables.rule_names().map(|(key, slot)| (key.clone(), slot)).collect();
        ShadowTables::new(&self.maps, self.cpus)?.read(&shadowed(tables), &rules, Moment::now()?)
    }

    /// What one rule decided.
    ///
    /// # Errors
    /// The kernel's.
    pub fn rule_count(&self, slot: u32) -> io::Result<Count> {
        let counted = rule_counter(self.maps.fd("rule_counters")?, slot, self.cpus)?;
        Ok(told(&counted.since(&self.maps.rule_bases.get(slot as usize))))
    }

    /// What one ENI passed and dropped, by reason, where it is not zero.
    ///
    /// # Errors
    /// The kernel's.
    pub fn reason_counts(&self, slot: u32) -> io::Result<Vec<(Direction, Reason, u64)>> {
        reason_counts(self.maps.fd("reason_counters")?, slot, self.cpus)
    }

    /// Every live flow.
    ///
    /// # Errors
    /// The kernel's.
    pub fn flows(&self) -> io::Result<Vec<LiveFlow>> {
        let mut flows = Vec::new();
        FlowTables::new(&self.maps)?.for_each(|key, flow| flows.push(LiveFlow { key: *key, flow: *flow }))?;
        Ok(flows)
    }

    /// Takes a flow out of the table, as if it had idled out.
    ///
    /// # Errors
    /// The kernel's.
    pub fn end_flow(&self, key: &FlowKey) -> io::Result<()> {
        let (tables, budgets) = (FlowTables::new(&self.maps)?, Budgets::new(&self.maps)?);
        tables.end(&budgets, key)
    }

    /// One flow.
    ///
    /// # Errors
    /// The kernel's.
    pub fn flow(&self, key: &FlowKey) -> io::Result<Option<abi::Flow>> {
        FlowTables::new(&self.maps)?.get(key)
    }
}

/// Ends flows that have idled out, and those of ENIs that are gone. The program would not use them either;
/// this gives their room back.
pub(super) struct Sweeper {
    flows: FlowTables,
    budgets: Budgets,
    enis: Shared<abi::Eni>,
    pub(super) drift: Drift,
}

impl Sweeper {
    pub(super) fn new(maps: &Maps, drift: Drift) -> io::Result<Self> {
        let enis = Shared::map(maps.fd("enis")?, abi::ENI_SLOTS as usize)?;
        Ok(Self { flows: FlowTables::new(maps)?, budgets: Budgets::new(maps)?, enis, drift })
    }

    pub(super) fn sweep(&mut self) -> io::Result<()> {
        let now_ns = coarse_now_ns()?;
        let counted = self.budgets.all();
        let left = self.flows.end_where(&self.budgets, |key, flow| {
            let eni = self.enis.get((key.eni as usize).min(self.enis.len() - 1));
            let idle_ns = now_ns.saturating_sub(flow.seen_ns);
            eni.flags & abi::ENI_VALID == 0 || idle_ns >= u64::from(timeout_s(&eni, key, flow)) * 1_000_000_000
        })?;
        self.budgets.correct(&counted, &left, &mut self.drift);
        Ok(())
    }
}

fn shadowed(tables: &Tables) -> Vec<(EniId, u32, u64)> {
    let entries = tables.entries().iter();
    entries.filter_map(|(slot, entry)| Some((entry.id.clone(), *slot, entry.shadow?.round))).collect()
}

fn lived<K>(counted: impl Iterator<Item = Counted<K>>, lives: &Shared<u64>) -> Vec<Lived<K>> {
    counted.map(|counted| Lived { life: lives.get(counted.slot as usize), counted }).collect()
}

/// How long a flow may idle; the program's `timeout_of`.
pub(super) fn timeout_s(eni: &abi::Eni, key: &FlowKey, flow: &abi::Flow) -> u32 {
    let short = u32::from;
    match key.protocol {
        6 if flow.is_closed() => short(eni.tcp_closed_s),
        6 if flow.progress & abi::FLOW_ESTABLISHED != 0 => eni.tcp_established_s,
        6 => short(eni.tcp_opening_s),
        17 if flow.packets.iter().all(|count| *count >= 2) => short(eni.udp_stream_s),
        17 => short(eni.udp_s),
        1 | 58 => short(eni.icmp_s),
        _ => eni.other_s,
    }
}
