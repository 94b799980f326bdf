//! How rules and their parts are written for people: the one place for tables, reports and messages.
//!
//! Nothing here decides anything; the text of a rule is never parsed back.

use sekimori_core::{
    address::Cidr,
    bypass::BypassEntry,
    ids::{GroupId, RuleId},
    packet::Transport,
    rule::{Direction, Peer, PortRange, Rule, RuleSpec, Service},
    world::{Flavor, Treatment, World},
};

/// The word for "no condition" in a table.
pub const ALL: &str = "all";

/// `443`, `8000-8080`, `all`, `port list prl-1`, `type 8 code 0`.
#[must_use]
pub fn service(service: &Service) -> String {
    match service {
        Service::Any => ALL.to_owned(),
        Service::Ports(range) => ports(Some(*range)),
        Service::PortList(id) => format!("port list {id}"),
        Service::Icmp { kind, code: None } => format!("type {kind}"),
        Service::Icmp { kind, code: Some(code) } => format!("type {kind} code {code}"),
    }
}

/// `443`, `8000-8080`, `all`.
#[must_use]
pub fn ports(range: Option<PortRange>) -> String {
    match range {
        None | Some(PortRange::ALL) => ALL.to_owned(),
        Some(range) => range.to_string(),
    }
}

/// `10.0.0.0/8`, `prefix list pl-1 (office)`, `group sg-1 (web)`.
#[must_use]
pub fn peer(world: &World, peer: &Peer) -> String {
    match peer {
        Peer::Cidr(cidr) => cidr.to_string(),
        Peer::PrefixList(id) => {
            let name = world.prefix_list(id).map(|list| list.name.as_str()).unwrap_or_default();
            format!("prefix list {}", named(id.as_str(), name))
        }
        Peer::Group { group, .. } => {
            let name = world.group(group).map(|group| group.name.as_str()).unwrap_or_default();
            format!("group {}", named(group.as_str(), name))
        }
    }
}

/// `sg-1 (web)`, or `sg-1` for something without a name.
#[must_use]
pub fn named(id: &str, name: &str) -> String {
    if name.is_empty() { id.to_owned() } else { format!("{id} ({name})") }
}

/// The ENI's own end: a block, or `all`.
#[must_use]
pub fn local(cidr: Option<Cidr>) -> String {
    cidr.map_or_else(|| ALL.to_owned(), |cidr| cidr.to_string())
}

/// A whole rule in one line: `allow tcp 443 from 0.0.0.0/0, priority 1`.
#[must_use]
pub fn rule(world: &World, flavor: Flavor, rule: &Rule) -> String {
    spec(world, flavor, &rule.spec)
}

/// A rule of a group with its name: `rule sgr-1 of sg-1 (web): allow tcp 443 from 0.0.0.0/0, priority 1`.
#[must_use]
pub fn rule_of(world: &World, group: &GroupId, id: &RuleId) -> String {
    let found = world.group(group);
    let name = found.map(|group| group.name.as_str()).unwrap_or_default();
    let said = found.and_then(|group| group.rules.get(id).map(|rule| self::rule(world, group.flavor, rule)));
    let said = said.unwrap_or_else(|| "not in this snapshot".to_owned());
    format!("rule {id} of {}: {said}", named(group.as_str(), name))
}

/// What a rule says in one line.
#[must_use]
pub fn spec(world: &World, flavor: Flavor, spec: &RuleSpec) -> String {
    let mut line = format!("{} {}", spec.action, spec.protocol);
    if spec.service != Service::Any && service(&spec.service) != ALL {
        line.push_str(&format!(" {}", service(&spec.service)));
    }
    let toward = match spec.direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    };
    line.push_str(&format!(" {toward} {}", peer(world, &spec.peer)));
    if let Some(range) = spec.source_ports {
        line.push_str(&format!(", source ports {}", ports(Some(range))));
    }
    if let Some(cidr) = spec.local {
        line.push_str(&format!(", own address in {cidr}"));
    }
    match flavor {
        Flavor::EcsBasic | Flavor::EcsEnterprise => line.push_str(&format!(", priority {}", spec.priority)),
        Flavor::Ec2 => {}
    }
    line
}

/// What a bypass entry lets pass: `udp 67 to 0.0.0.0/0, source ports 68`.
#[must_use]
pub fn bypass(entry: &BypassEntry) -> String {
    let toward = match entry.direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    };
    let BypassEntry { protocol, peer, source_ports, .. } = entry;
    let (to, from) = (ports(entry.ports), ports(*source_ports));
    format!("{protocol} {to} {toward} {peer}, source ports {from}")
}

/// `tcp/443`, `icmp/8/0`, `47`: the form in which a question names a service.
#[must_use]
pub fn transport(transport: Transport) -> String {
    transport.to_string()
}

/// The name of a kind of group, in the clouds' words.
#[must_use]
pub fn flavor(flavor: Flavor) -> &'static str {
    match flavor {
        Flavor::EcsBasic => "ecs basic",
        Flavor::EcsEnterprise => "ecs enterprise",
        Flavor::Ec2 => "ec2",
    }
}

/// The name of a treatment of live flows.
#[must_use]
pub fn treatment(treatment: Treatment) -> &'static str {
    match treatment {
        Treatment::Reevaluate => "reevaluate",
        Treatment::Keep => "keep",
        Treatment::Reset => "reset",
    }
}

#[cfg(test)]
mod tests {
    use sekimori_core::{
        rule::{Action, Protocol, RuleSpec},
        time::Timestamp,
    };

    use super::*;

    fn spec(direction: Direction) -> RuleSpec {
        RuleSpec {
            direction,
            action: Action::Allow,
            priority: 7,
            protocol: Protocol::TCP,
            service: Service::Ports(PortRange::one(443)),
            source_ports: None,
            peer: Peer::Cidr(Cidr::WORLD_V4),
            local: None,
        }
    }

    fn line(spec: RuleSpec, flavor: Flavor) -> String {
        let made = Rule {
            id: "sgr-1".into(),
            spec,
            description: String::new(),
            tags: Default::default(),
            created_at: Timestamp(0),
        };
        rule(&World::default(), flavor, &made)
    }

    #[test]
    fn a_rule_is_one_line_and_leaves_out_what_it_does_not_say() {
        assert_eq!(line(spec(Direction::Ingress), Flavor::EcsBasic), "allow tcp 443 from 0.0.0.0/0, priority 7");
        let every = RuleSpec {
            action: Action::Deny,
            protocol: Protocol::Any,
            service: Service::Any,
            ..spec(Direction::Egress)
        };
        assert_eq!(line(every, Flavor::Ec2), "deny all to 0.0.0.0/0");
    }

    #[test]
    fn a_five_tuple_rule_shows_both_ends() {
        let five = RuleSpec {
            source_ports: PortRange::new(1000, 2000),
            local: "10.0.0.0/24".parse().ok(),
            ..spec(Direction::Ingress)
        };
        let expected = "allow tcp 443 from 0.0.0.0/0, source ports 1000-2000, own address in 10.0.0.0/24, priority 7";
        assert_eq!(line(five, Flavor::EcsBasic), expected);
    }

    #[test]
    fn a_question_is_shown_as_it_is_asked() {
        assert_eq!(transport(Transport::Tcp { source: 50000, destination: 443 }), "tcp/443");
        assert_eq!(transport(Transport::Icmp { protocol: 58, kind: 128, code: 0 }), "icmpv6/128/0");
        assert_eq!(transport(Transport::Other { protocol: 47 }), "gre");
    }
}
