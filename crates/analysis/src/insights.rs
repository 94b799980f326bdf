//! Whether the packets of a path arrive, and what is in their way: [`why`], in the words of Network Insights.
//!
//! Nothing is judged here. Where a path leaves the port open, every port is asked about at which any rule begins or ends:
//! between two of those nothing can change.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use sekimori_core::{
    flow,
    ids::EniId,
    insights::{Hop, InsightsPath, Obstacle, PathFinding, PathPacket, PathQuestion},
    packet::{Packet, Transport, Why},
    rule::{Direction, PortRange, Service},
    verdict,
    world::{Eni, InstanceState, World},
};

use crate::{
    ends,
    why::{self, Leg, Question, Report, SOURCE_PORT, WhyError},
};

/// Analyses a path, in the world as it is.
#[must_use]
pub fn analyse(world: &World, path: &InsightsPath) -> PathFinding {
    let question = &path.question;
    let own = |name: &str| ends::of_id(world, name).filter(|eni| eni.account == path.account);
    let Some(from) = own(&question.from) else {
        return PathFinding::failed(&format!("The source {} does not exist.", question.from));
    };
    let to = match question.to.as_deref().map(|name| (name, own(name))) {
        Some((name, None)) => return PathFinding::failed(&format!("The destination {name} does not exist.")),
        Some((_, Some(eni))) => Some(eni),
        None => None,
    };
    let obstacles = before_rules(world, question, (from, to));
    if !obstacles.is_empty() {
        return PathFinding { obstacles, ..PathFinding::default() };
    }
    judged(world, question, (from, to))
}

/// What keeps every packet of a path from being sent or taken, whatever the rules say.
fn before_rules(world: &World, question: &PathQuestion, (from, to): (&Arc<Eni>, Option<&Arc<Eni>>)) -> Vec<Obstacle> {
    let mut found = Vec::new();
    for eni in [Some(from), to].into_iter().flatten() {
        let instance = eni.instance.as_ref().and_then(|id| world.instance(id));
        let stopped = instance.filter(|instance| instance.state == InstanceState::Stopped);
        found.extend(stopped.map(|instance| Obstacle::Stopped(instance.id.clone())));
    }
    let ends = [(Some(from), question.source()), (to, question.destination())];
    for (eni, address) in ends {
        let (Some(eni), Some(address)) = (eni, address) else { continue };
        if !eni.addresses.contains(&IpAddr::V4(address)) {
            found.push(Obstacle::ForeignAddress { eni: eni.id.clone(), address: address.to_string() });
        }
    }
    found
}

fn judged(world: &World, question: &PathQuestion, (from, to): (&Arc<Eni>, Option<&Arc<Eni>>)) -> PathFinding {
    let address = |address: Option<std::net::Ipv4Addr>| address.map(|address| address.to_string());
    let Some(destination) = address(question.destination()).or_else(|| to.map(|eni| eni.id.to_string())) else {
        return PathFinding::failed("The path has neither a destination nor an address of one.");
    };
    let source_port = question.source_ports().map_or(SOURCE_PORT, PortRange::first);
    let mut closed: Option<Report> = None;
    for port in ports(world, question.destination_ports(), &[Some(from), to]) {
        let asked = Question {
            from: address(question.source()).unwrap_or_else(|| from.id.to_string()),
            to: destination.clone(),
            service: format!("{}/{port}", question.protocol.name()),
            source_port: Some(source_port),
            vpc: Some(from.vpc.to_string()).filter(|_| to.is_none_or(|to| to.vpc == from.vpc)),
            family: None,
        };
        match why::ask(world, &asked) {
            Ok(report) if report.allowed && report.answer_dropped.is_empty() => {
                return arrives(world, &report, (source_port, port));
            }
            Ok(report) => drop(closed.get_or_insert(report)),
            Err(WhyError::NoCommonVpc { .. }) => {
                let obstacles = vec![Obstacle::NoRoute { eni: from.id.clone(), destination }];
                return PathFinding { obstacles, ..PathFinding::default() };
            }
            Err(error) => return PathFinding::failed(&error.to_string()),
        }
    }
    let legs = closed.iter().flat_map(|report| report.legs.iter().chain(&report.answer_dropped));
    let obstacles = legs.flat_map(|leg| in_the_way(world, leg)).collect();
    PathFinding { obstacles, ..PathFinding::default() }
}

/// The first port of the range, and those at which a rule of one of the interfaces begins, or has just ended.
fn ports(world: &World, range: PortRange, enis: &[Option<&Arc<Eni>>]) -> BTreeSet<u16> {
    let groups = enis.iter().flatten().flat_map(|eni| &eni.groups).filter_map(|id| world.group(id));
    let acls = enis.iter().flatten().filter_map(|eni| world.acl_of(&eni.subnet));
    let entries = acls.flat_map(|(_, acl)| &acl.entries).map(|entry| &entry.spec.service);
    let services = groups.flat_map(|group| group.rules.values()).map(|rule| &rule.spec.service).chain(entries);
    let mut ports = BTreeSet::from([range.first()]);
    for service in services {
        match service {
            Service::Ports(own) => ports.extend([own.first(), own.last().saturating_add(1)]),
            Service::PortList(id) => {
                let entries = world.port_list(id).map(|list| list.entries.as_slice()).unwrap_or_default();
                ports.extend(
                    entries.iter().flat_map(|entry| [entry.ports.first(), entry.ports.last().saturating_add(1)]),
                );
            }
            Service::Any | Service::Icmp { .. } => {}
        }
    }
    ports.retain(|port| range.contains(*port));
    ports
}

fn arrives(world: &World, report: &Report, (source_port, destination_port): (u16, u16)) -> PathFinding {
    let (source, destination) = (report.from.address, report.to.address);
    let packet = PathPacket { source, destination, source_port, destination_port };
    let mut hops = Vec::new();
    hops.extend(report.from.instance.clone().map(Hop::Instance));
    hops.extend(report.from.eni.clone().map(Hop::Eni));
    for leg in &report.legs {
        let acl = acl_of(world, report, (leg.direction, &leg.eni), Some(report.transport));
        let group = group_of(world, leg);
        match leg.direction {
            Direction::Egress => hops.extend(group.into_iter().chain(acl)),
            Direction::Ingress => hops.extend(acl.into_iter().chain(group)),
        }
    }
    hops.extend(report.to.eni.clone().map(Hop::Eni));
    hops.extend(report.to.instance.clone().map(Hop::Instance));
    let hops_back = way_back(world, report);
    PathFinding { is_found: true, packet: Some(packet), hops, hops_back, ..PathFinding::default() }
}

/// The places that the answer passes: groups let it pass without being asked, network ACLs do not.
fn way_back(world: &World, report: &Report) -> Vec<Hop> {
    let mut hops = Vec::new();
    let answer = flow::answer_to(report.transport);
    hops.extend(report.to.instance.clone().map(Hop::Instance));
    if let Some(eni) = &report.to.eni {
        hops.push(Hop::Eni(eni.clone()));
        hops.extend(acl_of(world, report, (Direction::Egress, eni), answer));
    }
    if let Some(eni) = &report.from.eni {
        hops.extend(acl_of(world, report, (Direction::Ingress, eni), answer));
        hops.push(Hop::Eni(eni.clone()));
    }
    hops.extend(report.from.instance.clone().map(Hop::Instance));
    hops
}

/// The network ACL that a packet of the path passes at an interface, and the entry that lets it.
fn acl_of(world: &World, report: &Report, at: (Direction, &EniId), transport: Option<Transport>) -> Option<Hop> {
    let (direction, eni) = (at.0, world.eni(at.1)?);
    let is_source = report.from.eni.as_ref() == Some(at.1);
    let (own, other) = if is_source { (&report.from, &report.to) } else { (&report.to, &report.from) };
    let packet =
        Packet { direction, local: own.address, peer: other.address, transport: transport?, is_forwarded: false };
    let (acl, entry) = verdict::met_acl(world, eni, &packet)?;
    Some(Hop::NetworkAcl { acl: acl.id.clone(), entry: Box::new(entry?.clone()) })
}

/// The group that let a packet pass; none where it was not for a group to decide.
fn group_of(world: &World, leg: &Leg) -> Option<Hop> {
    let Why::Rule { group, rule } = &leg.decision.why else { return None };
    let spec = world.group(group)?.rules.get(rule)?.spec.clone();
    Some(Hop::Group { group: group.clone(), rule: Box::new(spec) })
}

/// What one interface has against a packet.
fn in_the_way(world: &World, leg: &Leg) -> Vec<Obstacle> {
    let Some(eni) = world.eni(&leg.eni).filter(|_| !leg.decision.is_allowed()) else { return Vec::new() };
    let (id, direction) = (eni.id.clone(), leg.direction);
    if let Why::NetworkAcl { acl, entry } = &leg.decision.why {
        let number = |number: u16| world.network_acl(acl)?.entry(direction, number).cloned().map(Box::new);
        let entry = entry.and_then(number);
        return vec![Obstacle::NetworkAcl { eni: id, acl: acl.clone(), direction, entry }];
    }
    let mismatch = Obstacle::RulesMismatch { eni: id.clone(), groups: eni.groups.clone(), direction };
    let groups = eni.groups.iter().filter_map(|id| world.group(id));
    let empty = groups.filter(|group| !group.rules.values().any(|rule| rule.spec.direction == direction));
    let none = empty.map(|group| Obstacle::NoRules { eni: id.clone(), group: group.id.clone(), direction });
    std::iter::once(mismatch).chain(none).collect()
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use sekimori_core::{
        insights::{PathFilter, PathProtocol},
        time::Timestamp,
    };

    use super::*;
    use crate::fixture;

    fn question(from: &str, to: Option<&str>) -> PathQuestion {
        PathQuestion {
            from: from.to_owned(),
            to: to.map(str::to_owned),
            protocol: PathProtocol::Tcp,
            source_address: None,
            destination_address: None,
            destination_port: None,
            at_source: None,
            at_destination: None,
        }
    }

    fn check(world: &str, question: PathQuestion, expected: Expect) {
        let world = fixture::world(world);
        let account = world.enis().next().expect("an interface").account.clone();
        let (region, tags) = (String::new(), Default::default());
        let path = InsightsPath { id: "nip-1".into(), account, region, question, tags, created_at: Timestamp(0) };
        let PathFinding { failure, is_found, packet, hops, hops_back, obstacles } = analyse(&world, &path);
        let mut lines = vec![format!("found: {is_found} {failure}").trim_end().to_owned()];
        lines.extend(packet.map(|packet| format!("{packet:?}")));
        let told = |hop: &Hop| match hop {
            Hop::Group { group, rule } => format!("{group} {} {:?}", rule.direction, rule.service),
            Hop::NetworkAcl { acl, entry } => format!("{acl} {} {}", entry.spec.direction, entry.number),
            Hop::Instance(_) | Hop::Eni(_) => format!("{hop:?}"),
        };
        lines.extend(hops.iter().map(told));
        lines.extend(hops_back.iter().map(|hop| format!("back: {}", told(hop))));
        lines.extend(obstacles.iter().map(|obstacle| format!("{obstacle:?}")));
        expected.assert_eq(&lines.join("\n"));
    }

    const WORLD: &str = "
        sg web enterprise
        sg client enterprise
        sg bare enterprise
        web: in allow tcp 443 from 10.0.0.0/8
        client: out allow tcp 80-1000 to 0.0.0.0/0
        eni a 10.0.0.1 in client
        eni b 10.0.0.2 in web
        eni c 10.0.0.3 in bare";

    #[test]
    fn a_packet_arrives_by_the_rules_that_let_it_pass() {
        let https = PathQuestion { destination_port: Some(443), ..question("i-a", Some("i-b")) };
        check(
            WORLD,
            https,
            expect![[r#"
                found: true
                PathPacket { source: 10.0.0.1, destination: 10.0.0.2, source_port: 50000, destination_port: 443 }
                Instance(i-a)
                Eni(eni-a)
                sg-client egress Ports(PortRange { first: 80, last: 1000 })
                sg-web ingress Ports(PortRange { first: 443, last: 443 })
                Eni(eni-b)
                Instance(i-b)
                back: Instance(i-b)
                back: Eni(eni-b)
                back: Eni(eni-a)
                back: Instance(i-a)"#]],
        );
    }

    #[test]
    fn an_open_port_is_looked_for_where_rules_begin_and_end() {
        check(
            WORLD,
            question("eni-a", Some("eni-b")),
            expect![[r#"
                found: true
                PathPacket { source: 10.0.0.1, destination: 10.0.0.2, source_port: 50000, destination_port: 443 }
                Instance(i-a)
                Eni(eni-a)
                sg-client egress Ports(PortRange { first: 80, last: 1000 })
                sg-web ingress Ports(PortRange { first: 443, last: 443 })
                Eni(eni-b)
                Instance(i-b)
                back: Instance(i-b)
                back: Eni(eni-b)
                back: Eni(eni-a)
                back: Instance(i-a)"#]],
        );
        let range = PortRange::new(444, 2_000);
        let filter = PathFilter { destination_ports: range, ..PathFilter::default() };
        check(
            WORLD,
            PathQuestion { at_source: Some(filter), ..question("eni-a", Some("eni-b")) },
            expect![[r#"
            found: false
            RulesMismatch { eni: eni-b, groups: [sg-web], direction: Ingress }"#]],
        );
    }

    #[test]
    fn groups_without_a_rule_are_told_beside_the_mismatch() {
        let https = PathQuestion { destination_port: Some(443), ..question("i-c", Some("i-a")) };
        check(
            WORLD,
            https,
            expect![[r#"
            found: false
            RulesMismatch { eni: eni-c, groups: [sg-bare], direction: Egress }
            NoRules { eni: eni-c, group: sg-bare, direction: Egress }
            RulesMismatch { eni: eni-a, groups: [sg-client], direction: Ingress }
            NoRules { eni: eni-a, group: sg-client, direction: Ingress }"#]],
        );
    }

    #[test]
    fn addresses_are_those_of_the_interfaces() {
        let other = PathQuestion { source_address: Some([10, 0, 0, 9].into()), ..question("eni-a", Some("eni-b")) };
        check(
            WORLD,
            other,
            expect![[r#"
            found: false
            ForeignAddress { eni: eni-a, address: "10.0.0.9" }"#]],
        );
        let outside = PathQuestion { destination_address: Some([203, 0, 113, 1].into()), ..question("eni-a", None) };
        check(
            WORLD,
            outside,
            expect![[r#"
                found: true
                PathPacket { source: 10.0.0.1, destination: 203.0.113.1, source_port: 50000, destination_port: 80 }
                Instance(i-a)
                Eni(eni-a)
                sg-client egress Ports(PortRange { first: 80, last: 1000 })
                back: Eni(eni-a)
                back: Instance(i-a)"#]],
        );
        check(
            WORLD,
            question("eni-a", None),
            expect!["found: false The path has neither a destination nor an address of one."],
        );
        check(
            WORLD,
            question("eni-gone", Some("eni-b")),
            expect!["found: false The source eni-gone does not exist."],
        );
    }
}
