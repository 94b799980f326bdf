//! The controls of security groups, one function each.

use sekimori_core::{
    address::Cidr,
    rule::{Direction, Peer, PortRange, Protocol, Service},
    world::{Flavor, Group},
};

use super::{
    Cause, Mode,
    control::{Ask, Judged, Verdict},
    literal::{self, BOTH, Forbidden, ONLY_V4, ONLY_V6, has_all_ports, is_denied_before, world_family},
    parameters::PortSet,
    semantic,
    world::private,
};
use crate::{portions::Decider, text};

/// The ports of EC2.19.
const HIGH_RISK: [u16; 24] = [
    20, 21, 22, 23, 25, 110, 135, 143, 445, 1433, 1434, 3000, 3306, 3389, 4333, 5000, 5432, 5500, 5601, 8080, 8088,
    8888, 9200, 9300,
];
/// The ports from which servers are administered.
const ADMIN: [u16; 2] = [22, 3389];

fn open_ports(ask: &Ask<'_>, group: &Group, forbidden: &Forbidden) -> Judged {
    let causes = match ask.mode {
        Mode::Literal => literal::open_ports(ask.world, group, forbidden, |_| false),
        Mode::Semantic => semantic::open_ports(ask, group, forbidden)?,
    };
    Ok(Verdict::of(causes))
}

fn tcp_port(ask: &Ask<'_>, group: &Group, port: u16) -> Judged {
    open_ports(ask, group, &Forbidden { tcp: PortSet::of(&[port]), udp: PortSet::default(), families: BOTH })
}

/// EC2.2.
pub(super) fn default_closed(ask: &Ask<'_>, group: &Group) -> Judged {
    if !group.is_default {
        return Ok(Verdict::NotApplicable);
    }
    let mut causes = Vec::new();
    for direction in [Direction::Ingress, Direction::Egress] {
        causes.extend(match ask.mode {
            Mode::Literal => literal::matching(ask.world, group, direction, |_| true),
            Mode::Semantic => semantic::lets_pass(ask, group, direction)?,
        });
    }
    Ok(Verdict::of(causes))
}

/// EC2.13.
pub(super) fn ssh(ask: &Ask<'_>, group: &Group) -> Judged {
    tcp_port(ask, group, 22)
}

/// EC2.14.
pub(super) fn rdp(ask: &Ask<'_>, group: &Group) -> Judged {
    tcp_port(ask, group, 3389)
}

/// EC2.18. A group that nothing of the world reaches is not asked.
pub(super) fn authorized_ports(ask: &Ask<'_>, group: &Group) -> Judged {
    let is_asked = match ask.mode {
        Mode::Literal => {
            literal::allowing(group, Direction::Ingress).any(|rule| world_family(&rule.spec.peer).is_some())
        }
        Mode::Semantic => semantic::is_public(ask, group)?,
    };
    if !is_asked {
        return Ok(Verdict::NotApplicable);
    }
    let others = |name| ask.parameters.ports(ask.control, name).others();
    let forbidden =
        Forbidden { tcp: others("authorizedTcpPorts"), udp: others("authorizedUdpPorts"), families: BOTH };
    open_ports(ask, group, &forbidden)
}

/// EC2.19.
pub(super) fn high_risk(ask: &Ask<'_>, group: &Group) -> Judged {
    let ports = || PortSet::of(&HIGH_RISK);
    open_ports(ask, group, &Forbidden { tcp: ports(), udp: ports(), families: BOTH })
}

/// EC2.53.
pub(super) fn admin_v4(ask: &Ask<'_>, group: &Group) -> Judged {
    let ports = || PortSet::of(&ADMIN);
    open_ports(ask, group, &Forbidden { tcp: ports(), udp: ports(), families: ONLY_V4 })
}

/// EC2.54.
pub(super) fn admin_v6(ask: &Ask<'_>, group: &Group) -> Judged {
    let ports = || PortSet::of(&ADMIN);
    open_ports(ask, group, &Forbidden { tcp: ports(), udp: ports(), families: ONLY_V6 })
}

/// EC2.22. What another group names is in use, and a default group cannot be deleted: the service asks for neither.
pub(super) fn in_use(ask: &Ask<'_>, group: &Group) -> Judged {
    if ask.world.members(&group.id).next().is_some() {
        return Ok(Verdict::Passed);
    }
    if ask.mode == Mode::Semantic {
        if group.is_default {
            return Ok(Verdict::NotApplicable);
        }
        let names = |other: &Group| {
            let names_it = |peer: &Peer| match peer {
                Peer::Group { group: named, .. } => *named == group.id,
                Peer::Cidr(_) | Peer::PrefixList(_) => false,
            };
            other.id != group.id && other.rules.values().any(|rule| names_it(&rule.spec.peer))
        };
        if ask.world.groups().any(|other| names(other)) {
            return Ok(Verdict::Passed);
        }
    }
    Ok(Verdict::Failed(vec![Cause::because("no network interface carries it")]))
}

/// What a cloud product manages is not asked about.
fn of_owner(group: &Group, judge: impl FnOnce() -> Judged) -> Judged {
    if group.managed_by.is_some() { Ok(Verdict::NotApplicable) } else { judge() }
}

/// `sg-public-access-check`.
pub(super) fn public_access(ask: &Ask<'_>, group: &Group) -> Judged {
    of_owner(group, || {
        let causes = match ask.mode {
            Mode::Literal => literal::matching(ask.world, group, Direction::Ingress, |rule| {
                let is_for_all = matches!(&rule.spec.peer, Peer::Cidr(cidr) if *cidr == Cidr::WORLD_V4);
                has_all_ports(&rule.spec) && is_for_all && !is_denied_before(group, rule, None)
            }),
            Mode::Semantic => semantic::open_to_everyone(ask, group, Direction::Ingress)?,
        };
        Ok(Verdict::of(causes))
    })
}

/// `sg-risky-ports-check`.
pub(super) fn risky_ports(ask: &Ask<'_>, group: &Group) -> Judged {
    of_owner(group, || {
        let ports = || ask.parameters.ports(ask.control, "ports");
        let families = if ask.mode == Mode::Literal { ONLY_V4 } else { BOTH };
        open_ports(ask, group, &Forbidden { tcp: ports(), udp: ports(), families })
    })
}

/// `ecs-security-group-risky-ports-check-with-protocol`.
pub(super) fn risky_ports_with_protocol(ask: &Ask<'_>, group: &Group) -> Judged {
    of_owner(group, || {
        let protocols = ask.parameters.protocols(ask.control, "protocol");
        let of = |protocol| {
            let is_asked = protocols.contains(&protocol);
            if is_asked { ask.parameters.ports(ask.control, "ports") } else { PortSet::default() }
        };
        let forbidden = Forbidden { tcp: of(Protocol::TCP), udp: of(Protocol::UDP), families: BOTH };
        let causes = match ask.mode {
            Mode::Literal => {
                let asked = || ask.parameters.ports(ask.control, "ports");
                let is_excused = |rule: &_| is_each_denied(group, rule, &asked());
                literal::open_ports(ask.world, group, &forbidden, is_excused)
            }
            Mode::Semantic => semantic::open_ports(ask, group, &forbidden)?,
        };
        Ok(Verdict::of(causes))
    })
}

/// Whether every one of some ports that a rule opens is denied by a rule of higher priority.
fn is_each_denied(group: &Group, rule: &sekimori_core::rule::Rule, ports: &PortSet) -> bool {
    let named = match &rule.spec.service {
        Service::Any => PortRange::ALL,
        Service::Ports(range) => *range,
        Service::PortList(_) | Service::Icmp { .. } => return false,
    };
    ports.within(named).all(|range| is_denied_before(group, rule, Some(range)))
}

/// `ecs-security-group-white-list-port-check`.
pub(super) fn white_list(ask: &Ask<'_>, group: &Group) -> Judged {
    of_owner(group, || {
        let others = || ask.parameters.ports(ask.control, "ports").others();
        let families = if ask.mode == Mode::Literal { ONLY_V4 } else { BOTH };
        open_ports(ask, group, &Forbidden { tcp: others(), udp: others(), families })
    })
}

/// `ecs-security-group-not-open-all-port`.
pub(super) fn all_ports(ask: &Ask<'_>, group: &Group) -> Judged {
    of_owner(group, || {
        let causes = match ask.mode {
            Mode::Literal => literal::matching(ask.world, group, Direction::Ingress, |rule| {
                has_all_ports(&rule.spec) && !is_denied_before(group, rule, None)
            }),
            Mode::Semantic => semantic::all_ports(ask, group)?,
        };
        Ok(Verdict::of(causes))
    })
}

/// `ecs-security-group-not-open-all-protocol`.
pub(super) fn all_protocols(ask: &Ask<'_>, group: &Group) -> Judged {
    of_owner(group, || {
        let causes = match ask.mode {
            Mode::Literal => literal::matching(ask.world, group, Direction::Ingress, |rule| {
                rule.spec.protocol == Protocol::Any && !is_denied_before(group, rule, None)
            }),
            Mode::Semantic => semantic::all_protocols(ask, group)?,
        };
        Ok(Verdict::of(causes))
    })
}

/// `ecs-security-group-not-internet-cidr-access`.
pub(super) fn no_internet(ask: &Ask<'_>, group: &Group) -> Judged {
    of_owner(group, || {
        let blocks = private();
        let is_private = |cidr: &Cidr| {
            let own = cidr.network();
            blocks.iter().any(|block| block.network().contains(&own))
        };
        let causes = match ask.mode {
            Mode::Literal => literal::matching(ask.world, group, Direction::Ingress, |rule| match &rule.spec.peer {
                Peer::Cidr(cidr) => !is_private(cidr),
                Peer::PrefixList(_) | Peer::Group { .. } => false,
            }),
            Mode::Semantic => semantic::from_the_internet(ask, group)?,
        };
        Ok(Verdict::of(causes))
    })
}

/// `ecs-security-group-egress-not-all-access`.
pub(super) fn egress(ask: &Ask<'_>, group: &Group) -> Judged {
    of_owner(group, || {
        let causes = match ask.mode {
            Mode::Literal => literal::matching(ask.world, group, Direction::Egress, |rule| {
                let spec = &rule.spec;
                spec.protocol == Protocol::Any && has_all_ports(spec) && world_family(&spec.peer).is_some()
            }),
            Mode::Semantic => semantic::open_to_everyone(ask, group, Direction::Egress)?,
        };
        Ok(Verdict::of(causes))
    })
}

/// `ecs-security-group-type-not-normal`. A basic group that lets nothing pass by itself is as closed as an enterprise one.
pub(super) fn not_basic(ask: &Ask<'_>, group: &Group) -> Judged {
    of_owner(group, || {
        if group.flavor != Flavor::EcsBasic {
            return Ok(Verdict::Passed);
        }
        let basic = format!("it is {}, not enterprise", text::flavor(group.flavor));
        if ask.mode == Mode::Literal {
            return Ok(Verdict::Failed(vec![Cause::because(basic)]));
        }
        let mut causes = Vec::new();
        if group.accepts_inner() {
            causes.push(Cause::because(format!("{basic}: its members reach each other before any rule")));
        }
        for exposure in ask.exposures.of(ask.world, group, Direction::Egress)? {
            let by_default = exposure.parts.iter().any(|part: &super::exposure::Part| is_default(&part.decider));
            let cause = Cause::because(format!("{basic}: what no rule denies may leave"));
            if by_default && !causes.contains(&cause) {
                causes.push(cause);
            }
        }
        Ok(Verdict::of(causes))
    })
}

fn is_default(decider: &Option<Decider>) -> bool {
    decider.is_none()
}
