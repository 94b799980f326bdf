//! Rules that allow more than has been used: what was seen of their flows, and narrower rules that would have let all of it in.
//!
//! This is evidence, not proof: what comes once a month has not been seen in a week. So each finding says how much was seen, of how
//! many decisions that the hosts have counted, and since when.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use sekimori_core::{
    address::Cidr,
    flow_record::Observed,
    ids::{GroupId, RuleId},
    packet::{Packet, Transport, Why},
    rule::{Action, Direction, Peer, PortRange, Protocol, Rule, RuleSpec, Service},
    time::Timestamp,
    verdict,
    world::{Eni, Group, World},
};

use crate::{
    effective::{GroupName, group_name},
    services::shortened,
    text,
    why::SOURCE_PORT,
};

/// Rules that are proposed in place of one; where more would be needed, none are.
pub const NARROWER_MAX: usize = 8;
/// Interfaces that records name and nobody knows, as far as they are told.
const STRANGERS_TOLD_MAX: usize = 8;
/// A block is too wide if all peers that were seen are in one that is longer by so many bits.
const NARROWER_BITS: u8 = 8;

/// The first packet of a flow that a rule let pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// The group whose rule it was.
    pub group: GroupId,
    /// The rule.
    pub rule: RuleId,
    /// IANA number.
    pub protocol: u8,
    /// The destination port, of what has ports.
    pub port: Option<u16>,
    /// The type, of what has types.
    pub kind: Option<u8>,
    /// The other end.
    pub peer: IpAddr,
    /// How often it was seen.
    pub times: u64,
}

/// What records of flow logs show of rules, and what of them shows nothing, in sentences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OfRecords {
    /// The uses.
    pub sights: Vec<Sight>,
    /// What is not among them, and why.
    pub notes: Vec<String>,
}

/// The uses of rules that records show. A record names no rule, so it counts for the one that decides about its first packet in this world.
#[must_use]
pub fn of_records(world: &World, observed: &[Observed]) -> OfRecords {
    let (mut sights, mut strangers, mut placeless, mut unruled) = (Vec::new(), BTreeSet::new(), 0_u64, 0_u64);
    for one in observed {
        let Some(eni) = world.eni(&one.eni) else {
            strangers.insert(one.eni.as_str());
            continue;
        };
        let Some(packet) = packet_of(eni, one) else {
            placeless += 1;
            continue;
        };
        let decision = verdict::decide(world, eni, &packet);
        let is_allowed = decision.is_allowed();
        if let Why::Rule { group, rule } = decision.why
            && is_allowed
        {
            let Observed { protocol, port, records: times, .. } = *one;
            sights.push(Sight { group, rule, protocol, port, kind: None, peer: packet.peer, times });
        } else {
            unruled += 1;
        }
    }
    let mut notes = Vec::new();
    if !strangers.is_empty() {
        let named = shortened(strangers.iter().map(ToString::to_string).collect(), STRANGERS_TOLD_MAX).join(", ");
        notes.push(format!("the records tell of interfaces that are not known here: {named}"));
    }
    if placeless > 0 {
        notes.push(format!("uses in the records of addresses that their interface does not have now: {placeless}"));
    }
    if unruled > 0 {
        notes.push(format!("uses in the records that no rule lets pass as things are, but a default, the bypass set, a shared group, or a rule that is gone: {unruled}"));
    }
    OfRecords { sights, notes }
}

/// The first packet of a use, as the interface sees it.
fn packet_of(eni: &Eni, one: &Observed) -> Option<Packet> {
    let has = |address: IpAddr| eni.addresses.contains(&address);
    let direction = one.direction.or_else(|| match (has(one.source), has(one.destination)) {
        (_, true) => Some(Direction::Ingress),
        (true, false) => Some(Direction::Egress),
        (false, false) => None,
    })?;
    let (local, peer) = match direction {
        Direction::Ingress => (one.destination, one.source),
        Direction::Egress => (one.source, one.destination),
    };
    let transport = match (one.protocol, one.port) {
        (6, Some(destination)) => Transport::Tcp { source: SOURCE_PORT, destination },
        (17, Some(destination)) => Transport::Udp { source: SOURCE_PORT, destination },
        (protocol, _) => Transport::Other { protocol },
    };
    has(local).then_some(Packet { direction, local, peer, transport, is_forwarded: false })
}

/// What is known of the use of rules.
#[derive(Clone, Copy)]
pub struct Evidence<'a> {
    /// Since when flows have been recorded; `None` if they were not.
    pub since: Option<Timestamp>,
    /// The flows, in any order.
    pub seen: &'a [Sight],
    /// How often a rule has decided, as far as hosts have counted.
    pub decided: &'a dyn Fn(&GroupId, &RuleId) -> u64,
}

/// A rule that allows more than was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TooWide {
    /// Its group.
    pub group: GroupName,
    /// The rule.
    pub rule: RuleId,
    /// Its direction.
    pub direction: Direction,
    /// The rule in one line.
    pub rule_text: String,
    /// Flows that were seen.
    pub seen: u64,
    /// Decisions that the hosts have counted for it; more than were seen if not all was recorded.
    pub decided: u64,
    /// Since when flows have been recorded.
    pub since: Timestamp,
    /// Rules that would have let all of it pass, and no more than this one does.
    pub narrower: Vec<RuleSpec>,
    /// The same, a line each.
    pub narrower_texts: Vec<String>,
}

/// The rules of some groups that are wider than their use.
pub(super) fn too_wide(world: &World, groups: &[&Group], evidence: &Evidence<'_>) -> Vec<TooWide> {
    let Some(since) = evidence.since else { return Vec::new() };
    let mut by_rule: BTreeMap<(&GroupId, &RuleId), Vec<&Sight>> = BTreeMap::new();
    for sight in evidence.seen {
        by_rule.entry((&sight.group, &sight.rule)).or_default().push(sight);
    }
    let mut found = Vec::new();
    for group in groups {
        for rule in group.rules.values().filter(|rule| rule.spec.action == Action::Allow) {
            let Some(sights) = by_rule.get(&(&group.id, &rule.id)) else { continue };
            // What the rule does not match any more was seen before it was as it is.
            let matching: Vec<&Sight> =
                sights.iter().copied().filter(|sight| is_of(world, &rule.spec, sight)).collect();
            let narrower = narrower(rule, &matching);
            let seen = matching.iter().fold(0, |sum: u64, sight| sum.saturating_add(sight.times));
            if narrower.is_empty() {
                continue;
            }
            found.push(TooWide {
                group: group_name(world, &group.id),
                rule: rule.id.clone(),
                direction: rule.spec.direction,
                rule_text: text::rule(world, group.flavor, rule),
                seen,
                decided: (evidence.decided)(&group.id, &rule.id).max(seen),
                since,
                narrower_texts: narrower.iter().map(|spec| text::spec(world, group.flavor, spec)).collect(),
                narrower,
            });
        }
    }
    found
}

fn is_of(world: &World, spec: &RuleSpec, sight: &Sight) -> bool {
    let is_service = match &spec.service {
        Service::Any => true,
        Service::Ports(ports) => sight.port.is_some_and(|port| ports.contains(port)),
        Service::PortList(id) => sight.port.is_some_and(|port| {
            world.port_list(id).is_some_and(|list| list.entries.iter().any(|entry| entry.ports.contains(port)))
        }),
        Service::Icmp { kind, code: _ } => sight.kind == Some(*kind),
    };
    let is_peer = match &spec.peer {
        Peer::Cidr(block) => block.contains(sight.peer),
        Peer::PrefixList(_) | Peer::Group { .. } => true,
    };
    spec.protocol.matches(sight.protocol) && is_service && is_peer
}

/// What would have been enough, if that is less than the rule.
fn narrower(rule: &Rule, sights: &[&Sight]) -> Vec<RuleSpec> {
    if sights.is_empty() {
        return Vec::new();
    }
    let services = services(&rule.spec, sights);
    let blocks = blocks(&rule.spec, sights);
    if services.is_none() && blocks.is_none() {
        return Vec::new();
    }
    let services = services.unwrap_or_else(|| vec![(rule.spec.protocol, rule.spec.service.clone())]);
    let peers: Vec<Peer> =
        blocks.map_or_else(|| vec![rule.spec.peer.clone()], |blocks| blocks.into_iter().map(Peer::Cidr).collect());
    if services.len() * peers.len() > NARROWER_MAX {
        return Vec::new();
    }
    let with = |(protocol, service): &(Protocol, Service)| {
        let (protocol, service) = (*protocol, service.clone());
        peers.iter().map(move |peer| RuleSpec {
            protocol,
            service: service.clone(),
            peer: peer.clone(),
            ..rule.spec.clone()
        })
    };
    services.iter().flat_map(with).collect()
}

/// The services that were used, if the rule allows more; never more of them than may be proposed.
fn services(spec: &RuleSpec, sights: &[&Sight]) -> Option<Vec<(Protocol, Service)>> {
    match &spec.service {
        Service::Ports(ports) if ports.first() < ports.last() => {}
        Service::Any => {}
        Service::Ports(_) | Service::PortList(_) | Service::Icmp { .. } => return None,
    }
    let used: BTreeSet<(u8, Option<u16>)> = sights.iter().map(|sight| (sight.protocol, sight.port)).collect();
    let mut runs: Vec<(Protocol, Service)> = Vec::new();
    for (protocol, port) in used {
        let protocol = Protocol::Number(protocol);
        let Some(port) = port.filter(|_| protocol.has_ports()) else {
            runs.push((protocol, Service::Any));
            continue;
        };
        match runs.last_mut() {
            Some((before, Service::Ports(range)))
                if *before == protocol && range.last().checked_add(1) == Some(port) =>
            {
                *range = PortRange::new(range.first(), port)?;
            }
            Some(_) | None => runs.push((protocol, Service::Ports(PortRange::one(port)))),
        }
    }
    let is_less = runs.as_slice() != [(spec.protocol, spec.service.clone())];
    (is_less && runs.len() <= NARROWER_MAX).then_some(runs)
}

/// The blocks that the peers were in, if they are much less than the rule's: each address while they are few, else one block.
fn blocks(spec: &RuleSpec, sights: &[&Sight]) -> Option<Vec<Cidr>> {
    let Peer::Cidr(block) = spec.peer else { return None };
    let wide = block.network().prefix_len();
    let peers: BTreeSet<IpAddr> = sights.iter().map(|sight| sight.peer).collect();
    let single = IpNet::aggregate(&peers.iter().map(|peer| IpNet::from(*peer)).collect());
    let all = common(peers.first().copied()?, peers.last().copied()?)?;
    if all.prefix_len() < wide.saturating_add(NARROWER_BITS).min(all.max_prefix_len()) || all.prefix_len() <= wide {
        return None;
    }
    let blocks = if single.len() <= NARROWER_MAX / 2 { single } else { vec![all] };
    Some(blocks.into_iter().map(Cidr::from).collect())
}

/// The smallest block that holds two addresses of a family.
fn common(first: IpAddr, last: IpAddr) -> Option<IpNet> {
    match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            let length = (first.to_bits() ^ last.to_bits()).leading_zeros();
            Some(IpNet::V4(Ipv4Net::new(first, u8::try_from(length).ok()?).ok()?.trunc()))
        }
        (IpAddr::V6(first), IpAddr::V6(last)) => {
            let length = (first.to_bits() ^ last.to_bits()).leading_zeros();
            Some(IpNet::V6(Ipv6Net::new(first, u8::try_from(length).ok()?).ok()?.trunc()))
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
    }
}
