//! How many words a policy may take, and how many rules decide in it: from the rules alone, without laying it out.

use std::sync::Arc;

use crate::{
    address::{Cidr, Family, number},
    ids::SubnetId,
    network_acl::NetworkAcl,
    platform::PLATFORM_RULES_MAX,
    rule::{Direction, Peer, PortRange, Protocol, RuleSpec, Service},
    world::{Group, GroupSet, World},
};

/// Words before the first table of a policy.
const HEADER_WORDS: u64 = 64;

/// Words of a block in which a table is laid out.
const BLOCK_WORDS: u64 = 8;

/// Value of the source ports of a packet that has none.
const NO_PORT: u128 = 0x1_0000;

/// The rules that decide in the fuller direction of a policy, hidden ones included.
pub(super) fn most_rules(world: &World, set: &GroupSet) -> u64 {
    let rules = |direction| Rules::of(world, set, direction).count();
    rules(Direction::Ingress).max(rules(Direction::Egress))
}

/// An upper bound of the words that the policy of a group set takes, both directions.
#[must_use]
pub fn policy_words(world: &World, set: &GroupSet) -> u64 {
    let both = [Direction::Ingress, Direction::Egress];
    let rules = both.into_iter().map(|direction| Rules::of(world, set, direction));
    HEADER_WORDS + rules.map(|rules| direction_words(world, &rules)).sum::<u64>()
}

/// The same for what a network ACL adds to a policy.
pub(super) fn acl_words(world: &World, subnet: &SubnetId) -> u64 {
    let Some((_, acl)) = world.acl_of(subnet) else { return 0 };
    let both = [Direction::Ingress, Direction::Egress].into_iter();
    let rules = both.map(|direction| Rules::of_acl(world, acl, direction));
    rules.map(|rules| direction_words(world, &rules)).sum()
}

/// The rules of one direction, with what the policy adds of its own accord.
struct Rules {
    specs: Vec<RuleSpec>,
    /// Hidden rules, which come before the others. Each is at most one run of the values of a field.
    hidden: u64,
}

impl Rules {
    /// Hidden are one rule for each group (intra-group accept), each bypass entry and each platform policy.
    fn of(world: &World, set: &GroupSet, direction: Direction) -> Self {
        let groups = set.iter().filter_map(|id| world.group(id));
        let rules = groups.flat_map(|group: &Arc<Group>| group.rules.values());
        let specs = rules.map(|rule| &rule.spec).filter(|spec| spec.direction == direction).cloned().collect();
        Self { specs, hidden: bypass_entries(world, direction) + (set.len() + PLATFORM_RULES_MAX) as u64 }
    }

    /// The bypass set comes before the entries, and the neighbours in the subnet, which are two runs.
    fn of_acl(world: &World, acl: &NetworkAcl, direction: Direction) -> Self {
        let specs = acl.entries_of(direction).map(|entry| entry.spec.clone()).collect();
        Self { specs, hidden: bypass_entries(world, direction) + 2 }
    }

    fn count(&self) -> u64 {
        self.specs.len() as u64 + self.hidden
    }
}

fn bypass_entries(world: &World, direction: Direction) -> u64 {
    world.bypass().entries().iter().filter(|entry| entry.direction == direction).count() as u64
}

type Span = (u128, u128);

fn direction_words(world: &World, rules: &Rules) -> u64 {
    let field = |spans: &dyn Fn(&RuleSpec) -> Vec<Span>, table_words: fn(u64) -> u64| {
        let lines = rules.specs.iter().enumerate();
        let spans = lines.flat_map(|(rule, spec)| spans(spec).into_iter().map(move |span| (rule, span)));
        Cut::of(spans, rules.specs.len()).words(rules, table_words)
    };
    let has_local = rules.specs.iter().any(|spec| spec.local.is_some());
    let local = |family, words| if has_local { field(&|spec| local_spans(spec, family), words) } else { 0 };
    rules.count()
        + field(&|spec| service_spans(world, spec), narrow_words)
        + field(&|spec| peer_spans(world, &spec.peer, Family::V4), narrow_words)
        + field(&|spec| peer_spans(world, &spec.peer, Family::V6), wide_words)
        + field(&|spec| group_spans(&spec.peer), narrow_words)
        + field(&|spec| port_span(spec.source_ports), narrow_words)
        + local(Family::V4, narrow_words)
        + local(Family::V6, wide_words)
}

/// The pieces into which rules cut the values of a field. In each, the rules that match are the same.
#[derive(Debug, Default)]
struct Cut {
    /// Pieces that no rule matches.
    empty: u64,
    /// Pieces that one rule matches, and how many rules these are.
    single: u64,
    single_rules: u64,
    /// Pieces that more rules match, and the sum of their numbers, each no more than a bitmap has words.
    deep: u64,
    deep_words: u64,
    /// The largest of these numbers.
    deepest: u64,
}

impl Cut {
    /// Sweeps over the spans of so many rules.
    fn of(spans: impl Iterator<Item = (usize, Span)>, rules: usize) -> Self {
        let bitmap = rules.div_ceil(64) as u64;
        let mut ends: Vec<(u128, usize, bool)> = Vec::new();
        for (rule, (first, last)) in spans {
            ends.push((first, rule, true));
            ends.extend(last.checked_add(1).map(|past| (past, rule, false)));
        }
        ends.sort_unstable();
        let mut cut = Self { empty: 1, ..Self::default() };
        let mut sweep = Sweep { depths: vec![0; rules], active: 0, sum: 0 };
        let mut is_alone = vec![false; rules];
        let mut rest = ends.as_slice();
        while let Some((at, _, _)) = rest.first().copied() {
            let (here, others) = rest.split_at(rest.partition_point(|(other, _, _)| *other == at));
            here.iter().for_each(|(_, rule, begins)| sweep.step(*rule, *begins));
            rest = others;
            let words = bitmap.min(sweep.active);
            cut.deepest = cut.deepest.max(words);
            match sweep.active {
                0 => cut.empty += 1,
                1 => {
                    let known = is_alone.get_mut(sweep.sum).map(|known| std::mem::replace(known, true));
                    cut.single += 1;
                    cut.single_rules += u64::from(known != Some(true));
                }
                _ => (cut.deep, cut.deep_words) = (cut.deep + 1, cut.deep_words + words),
            }
        }
        cut
    }

    /// The words of a table with these pieces and of its classes, of which equal ones are stored once.
    ///
    /// The hidden rules are not looked at: each begins and ends somewhere, and so makes two pieces more, which may be any. So there are
    /// at most one more than these *states* of the hidden rules. What one rule alone matches is, in each state, one class, wherever
    /// that is and however often; and so is what no rule matches. Hidden rules are the first of all, so they fill so many
    /// words of a class's bitmap at most.
    fn words(&self, rules: &Rules, table_words: fn(u64) -> u64) -> u64 {
        let summary = rules.count().div_ceil(64).div_ceil(64);
        let hidden_words = rules.hidden.div_ceil(64);
        let cuts = 2 * rules.hidden;
        let alone = self.single.min(self.single_rules * (cuts + 1));
        let classes = self.deep + alone + self.empty.min(cuts + 1) + cuts;
        let bitmaps = self.deep_words + alone + cuts * self.deepest;
        bitmaps + classes * (2 * summary + hidden_words) + table_words(self.empty + self.single + self.deep + cuts)
    }
}

/// Which rules match at a value, on the way through all of them.
struct Sweep {
    /// How many spans of a rule do.
    depths: Vec<u32>,
    /// How many rules do, and the sum of their numbers: if it is one, its number.
    active: u64,
    sum: usize,
}

impl Sweep {
    fn step(&mut self, rule: usize, begins: bool) {
        let Some(depth) = self.depths.get_mut(rule) else { return };
        match (begins, *depth) {
            (true, 0) => (self.active, self.sum) = (self.active + 1, self.sum + rule),
            (false, 1) => (self.active, self.sum) = (self.active - 1, self.sum - rule),
            _ => {}
        }
        *depth = if begins { *depth + 1 } else { depth.saturating_sub(1) };
    }
}

/// The words of a table of 32-bit values with so many entries: the entries in blocks, and the index above these.
fn narrow_words(entries: u64) -> u64 {
    let blocks = entries.div_ceil(BLOCK_WORDS);
    (BLOCK_WORDS - 1) + (blocks + index_blocks(blocks, 16)) * BLOCK_WORDS
}

/// The same for 128-bit values: an index down to the entries, and a word for each.
fn wide_words(entries: u64) -> u64 {
    (BLOCK_WORDS - 1) + index_blocks(entries, 4) * BLOCK_WORDS + entries
}

fn index_blocks(mut children: u64, fan: u64) -> u64 {
    let mut blocks = 0;
    while children > 1 {
        children = children.div_ceil(fan);
        blocks += children;
    }
    blocks
}

fn service_spans(world: &World, spec: &RuleSpec) -> Vec<Span> {
    let at = |protocol: u8, first: u16, last: u16| {
        let base = u128::from(protocol) << 16;
        (base | u128::from(first), base | u128::from(last))
    };
    let Protocol::Number(protocol) = spec.protocol else { return vec![(0, 0xff_ffff)] };
    match &spec.service {
        Service::Any => vec![at(protocol, 0, u16::MAX)],
        Service::Ports(range) => vec![at(protocol, range.first(), range.last())],
        Service::PortList(id) => {
            let entries = world.port_list(id).map(|list| list.entries.as_slice()).unwrap_or_default();
            entries.iter().map(|entry| at(protocol, entry.ports.first(), entry.ports.last())).collect()
        }
        Service::Icmp { kind, code } => {
            let base = u16::from(*kind) << 8;
            vec![code.map_or(at(protocol, base, base | 0xff), |code| {
                at(protocol, base | u16::from(code), base | u16::from(code))
            })]
        }
    }
}

fn port_span(range: Option<PortRange>) -> Vec<Span> {
    vec![range.map_or((0, NO_PORT), |range| (u128::from(range.first()), u128::from(range.last())))]
}

fn peer_spans(world: &World, peer: &Peer, family: Family) -> Vec<Span> {
    match peer {
        Peer::Cidr(cidr) => cidr_span(cidr, family).into_iter().collect(),
        Peer::PrefixList(id) => {
            let entries = world.prefix_list(id).map(|list| list.entries.as_slice()).unwrap_or_default();
            entries.iter().filter_map(|entry| cidr_span(&entry.cidr, family)).collect()
        }
        Peer::Group { .. } => Vec::new(),
    }
}

/// One point for each named group; which point does not matter for the size.
fn group_spans(peer: &Peer) -> Vec<Span> {
    match peer {
        Peer::Cidr(_) | Peer::PrefixList(_) => Vec::new(),
        Peer::Group { group, .. } => {
            let point =
                group.as_str().bytes().fold(0_u128, |sum, byte| sum.wrapping_mul(257).wrapping_add(byte.into()));
            vec![(point, point)]
        }
    }
}

fn local_spans(spec: &RuleSpec, family: Family) -> Vec<Span> {
    match &spec.local {
        Some(cidr) => cidr_span(cidr, family).into_iter().collect(),
        None => vec![(0, u128::MAX)],
    }
}

fn cidr_span(cidr: &Cidr, family: Family) -> Option<Span> {
    let net = cidr.network();
    (cidr.family() == family).then(|| (number(net.network()), number(net.broadcast())))
}
