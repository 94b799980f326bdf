//! Rules that fewer rules would say as well, packet for packet.
//!
//! Only rules of one group with the same direction, action and priority are put together, so nothing comes between them and the
//! order of decisions stays. What is proposed is proven equal as a set of packets before it is told. No merge rests on who carries a group: peers
//! are put together where they are the same group, the same list, or blocks.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use sekimori_core::{
    address::Cidr,
    command::{Command, NewRule},
    ids::RuleId,
    rule::{Action, Direction, Peer, PortRange, RuleSpec, Service},
    space::{Set, TooComplex, resolve::Reader},
    tags::Tags,
    world::{Flavor, Group, World},
};

use crate::{
    effective::{GroupName, group_name},
    text,
};

/// The longest description of a rule that both clouds take, in characters.
const DESCRIPTION_CHARS_MAX: usize = 255;
const BETWEEN: &str = "; ";

/// Rules that one rule would say as well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merge {
    /// Their group.
    pub group: GroupName,
    /// Their direction.
    pub direction: Direction,
    /// The rules, in the order of their names.
    pub rules: Vec<RuleId>,
    /// Each of them in one line.
    pub rule_texts: Vec<String>,
    /// What says the same.
    pub into: RuleSpec,
    /// The same in one line.
    pub into_text: String,
    /// The one of them that says it already: the others can be deleted.
    pub kept: Option<RuleId>,
}

impl Merge {
    /// The rules that can go.
    pub fn doomed(&self) -> impl Iterator<Item = &RuleId> {
        self.rules.iter().filter(|rule| self.kept.as_ref() != Some(*rule))
    }

    /// What adds the rule that says the same, described as the rules that it stands for are, with their tags if they agree. `None`
    /// when the group is gone.
    #[must_use]
    pub fn authorization(&self, world: &World) -> Option<Command> {
        let group = world.group(&self.group.id)?;
        let rules: Vec<_> = self.rules.iter().filter_map(|id| group.rules.get(id)).collect();
        let first = rules.first()?;
        let tags =
            if rules.iter().all(|rule| rule.tags == first.tags) { first.tags.clone() } else { Tags::default() };
        let description = together(rules.iter().map(|rule| rule.description.as_str()));
        let rules = vec![NewRule { spec: self.into.clone(), description, tags }];
        Some(Command::Authorize { account: group.account.clone(), group: group.id.clone(), rules })
    }
}

/// Descriptions one after the other, each once, as far as either cloud has room.
fn together<'a>(descriptions: impl Iterator<Item = &'a str>) -> String {
    let mut told: Vec<&str> = Vec::new();
    let mut length = 0;
    for description in descriptions.filter(|description| !description.is_empty()) {
        let longer = length + description.chars().count() + BETWEEN.len();
        if !told.contains(&description) && longer <= DESCRIPTION_CHARS_MAX {
            told.push(description);
            length = longer;
        }
    }
    told.join(BETWEEN)
}

/// What one rule would say, and the rules that say it now.
type Merged = (RuleSpec, BTreeSet<RuleId>);

/// One of the four things that a rule asks of a packet.
#[derive(Clone, Copy)]
enum Axis {
    Service,
    Source,
    Peer,
    Local,
}

/// Which one is tried first decides what comes out; the shorter of these is told.
const ORDERS: [[Axis; 4]; 2] =
    [[Axis::Service, Axis::Source, Axis::Peer, Axis::Local], [Axis::Peer, Axis::Local, Axis::Service, Axis::Source]];

/// The merges of a group, by direction, action and priority.
pub(super) fn merges(world: &World, group: &Group) -> Vec<Merge> {
    let mut alike: BTreeMap<(Direction, u8, Action), Vec<Merged>> = BTreeMap::new();
    for rule in group.rules.values() {
        let RuleSpec { direction, priority, action, .. } = rule.spec;
        let merged = (rule.spec.clone(), BTreeSet::from([rule.id.clone()]));
        alike.entry((direction, priority, action)).or_default().push(merged);
    }
    let mut found = Vec::new();
    for rules in alike.into_values().filter(|rules| rules.len() > 1) {
        let reduced = ORDERS.iter().map(|order| reduced(group.flavor, rules.clone(), order));
        let Some(fewest) = reduced.min_by_key(Vec::len) else { continue };
        for (spec, ids) in fewest.into_iter().filter(|(_, ids)| ids.len() > 1) {
            // What is too complex to be proven is not proposed, and keeps nobody from the rest of the answer.
            if says_the_same(world, group, &spec, &ids).unwrap_or(false) {
                found.push(merge(world, group, spec, ids));
            }
        }
    }
    found
}

fn merge(world: &World, group: &Group, spec: RuleSpec, ids: BTreeSet<RuleId>) -> Merge {
    let rules: Vec<_> = ids.iter().filter_map(|id| group.rules.get(id)).collect();
    Merge {
        group: group_name(world, &group.id),
        direction: spec.direction,
        rule_texts: rules.iter().map(|rule| text::rule(world, group.flavor, rule)).collect(),
        kept: rules.iter().find(|rule| rule.spec == spec).map(|rule| rule.id.clone()),
        into_text: text::spec(world, group.flavor, &spec),
        into: spec,
        rules: ids.into_iter().collect(),
    }
}

/// The proof: both are the same set of packets.
fn says_the_same(world: &World, group: &Group, spec: &RuleSpec, ids: &BTreeSet<RuleId>) -> Result<bool, TooComplex> {
    let rules = || ids.iter().filter_map(|id| group.rules.get(id)).map(|rule| &rule.spec);
    let reader = Reader::new(world, &group.vpc, rules());
    let mut before = Set::empty();
    for rule in rules() {
        before = before.union(&reader.rule(rule)?)?;
    }
    let after = reader.rule(spec)?;
    Ok(before.is_within(&after)? && after.is_within(&before)?)
}

/// Puts together along one axis after the other until nothing changes. Each round leaves fewer rules, or is the last.
fn reduced(flavor: Flavor, mut rules: Vec<Merged>, order: &[Axis]) -> Vec<Merged> {
    loop {
        let before = rules.len();
        for axis in order {
            rules = along(flavor, *axis, rules);
        }
        if rules.len() == before {
            return rules;
        }
    }
}

/// Puts rules together that differ along one axis only.
fn along(flavor: Flavor, axis: Axis, rules: Vec<Merged>) -> Vec<Merged> {
    let mut alike: BTreeMap<RuleSpec, Vec<Merged>> = BTreeMap::new();
    let mut all = Vec::with_capacity(rules.len());
    for (spec, ids) in rules {
        match without(flavor, axis, &spec) {
            Some(rest) => alike.entry(rest).or_default().push((spec, ids)),
            None => all.push((spec, ids)),
        }
    }
    for rules in alike.into_values() {
        match axis {
            Axis::Service => all.extend(by_ports(rules, service_ports, |spec, ports| RuleSpec {
                service: Service::Ports(ports),
                ..spec
            })),
            Axis::Source => all.extend(by_ports(
                rules,
                |spec| spec.source_ports,
                |spec, ports| RuleSpec { source_ports: Some(ports), ..spec },
            )),
            Axis::Peer => all.extend(by_blocks(flavor, rules, peer_block, |spec, block| RuleSpec {
                peer: Peer::Cidr(block),
                ..spec
            })),
            Axis::Local => all.extend(by_blocks(
                flavor,
                rules,
                |spec| spec.local,
                |spec, block| RuleSpec { local: Some(block), ..spec },
            )),
        }
    }
    all
}

/// What a rule says beside one axis; `None` where nothing can be put together along it.
fn without(flavor: Flavor, axis: Axis, spec: &RuleSpec) -> Option<RuleSpec> {
    // Families are kept apart: their blocks never join.
    let world = |block: Cidr| Cidr::world(block.family());
    // An EC2 flow is tracked unless the rule is for the whole world, so no rule becomes one that was none.
    let is_kept = flavor == Flavor::Ec2 && spec.peer.is_world();
    match axis {
        Axis::Service => service_ports(spec).map(|_| RuleSpec { service: Service::Any, ..spec.clone() }),
        Axis::Source => spec.source_ports.map(|_| RuleSpec { source_ports: Some(PortRange::ALL), ..spec.clone() }),
        Axis::Peer if is_kept => None,
        Axis::Peer => peer_block(spec).map(|block| RuleSpec { peer: Peer::Cidr(world(block)), ..spec.clone() }),
        Axis::Local => spec.local.map(|block| RuleSpec { local: Some(world(block)), ..spec.clone() }),
    }
}

fn service_ports(spec: &RuleSpec) -> Option<PortRange> {
    match spec.service {
        Service::Ports(ports) => Some(ports),
        Service::Any | Service::PortList(_) | Service::Icmp { .. } => None,
    }
}

fn peer_block(spec: &RuleSpec) -> Option<Cidr> {
    match spec.peer {
        Peer::Cidr(block) => Some(block),
        Peer::PrefixList(_) | Peer::Group { .. } => None,
    }
}

/// Ranges of ports that meet or follow each other become one.
fn by_ports(
    mut rules: Vec<Merged>,
    ports: impl Fn(&RuleSpec) -> Option<PortRange>,
    with: impl Fn(RuleSpec, PortRange) -> RuleSpec,
) -> Vec<Merged> {
    rules.sort_by_key(|(spec, _)| ports(spec));
    let mut fewest: Vec<Merged> = Vec::new();
    for (spec, ids) in rules {
        let joined = fewest.last().and_then(|(before, _)| {
            let (before, own) = (ports(before)?, ports(&spec)?);
            let is_next = own.first() <= before.last().saturating_add(1);
            is_next.then(|| PortRange::new(before.first(), before.last().max(own.last()))).flatten()
        });
        match (joined, fewest.pop()) {
            (Some(joined), Some((before, mut all))) => {
                all.extend(ids);
                fewest.push((with(before, joined), all));
            }
            (_, before) => {
                fewest.extend(before);
                fewest.push((spec, ids));
            }
        }
    }
    fewest
}

/// Blocks within others go, and two halves become their whole.
fn by_blocks(
    flavor: Flavor,
    rules: Vec<Merged>,
    block: impl Fn(&RuleSpec) -> Option<Cidr>,
    with: impl Fn(RuleSpec, Cidr) -> RuleSpec,
) -> Vec<Merged> {
    let mut by_block: BTreeMap<IpNet, Merged> = BTreeMap::new();
    for (spec, ids) in rules {
        let Some(net) = block(&spec).map(|block| block.network()) else { continue };
        by_block.entry(net).or_insert_with(|| (spec, BTreeSet::new())).1.extend(ids);
    }
    let whole: Vec<IpNet> = IpNet::aggregate(&by_block.keys().copied().collect());
    let may_be = |net: &IpNet| flavor != Flavor::Ec2 || net.prefix_len() > 0 || by_block.contains_key(net);
    let whole = whole.into_iter().flat_map(|net| if may_be(&net) { vec![net] } else { halves(net) });
    let mut fewest: Vec<Merged> = Vec::new();
    for net in whole {
        let within = by_block.iter().filter(|(own, _)| net.contains(*own));
        let (specs, ids): (Vec<&RuleSpec>, Vec<&BTreeSet<RuleId>>) =
            within.map(|(_, (spec, ids))| (spec, ids)).unzip();
        // A rule that says it already stays as it was written.
        let spec = match (by_block.get(&net), specs.first()) {
            (Some((own, _)), _) => own.clone(),
            (None, Some(first)) => with(RuleSpec::clone(first), Cidr::from(net)),
            (None, None) => continue,
        };
        fewest.push((spec, ids.into_iter().flatten().cloned().collect()));
    }
    fewest
}

/// The two halves of a block.
fn halves(net: IpNet) -> Vec<IpNet> {
    let longer = net.prefix_len() + 1;
    match net {
        IpNet::V4(net) => net.subnets(longer).map(|halves| halves.map(Ipv4Net::into).collect()),
        IpNet::V6(net) => net.subnets(longer).map(|halves| halves.map(Ipv6Net::into).collect()),
    }
    .unwrap_or_default()
}
