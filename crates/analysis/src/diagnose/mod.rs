//! Rule diagnosis of one interface: is a service open, to whom, and which lines decide (`spec/ecs.md` E).
//!
//! The quick check asks for ping and the ports that people ask for first; a custom check asks for one service,
//! from an address, a block, or everywhere. Every address of a block and every source port is asked about, exactly,
//! not by trying some. [`open`] finds the narrowest rule that turns the answer into yes.

pub mod open;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use sekimori_core::{
    address::{Cidr, Family},
    ids::{EniId, GroupId, InstanceId, RuleId, VpcId},
    packet::Transport,
    rule::{Action, Direction},
    space::{
        TooComplex,
        resolve::{Reader, discovery, may_discover},
    },
    world::{Eni, Revision, World, group_set},
};

use crate::{
    effective::{GroupName, NO_ROUTER, group_name},
    ends::{self, NotOne},
    led::CutOff,
    portions::{Decider, Portion, Portions},
    text,
    why::{SOURCE_PORT, WhyError, parse_service},
};

/// The services of the quick check, per family: ping, then the common ports.
pub const QUICK_PORTS: [u16; 5] = [80, 443, 22, 3389, 8080];

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// What [`sekimori_core::end`] knows as an end, if it means one interface; an instance is its primary one.
    pub target: String,
    /// Towards the interface, or away from it.
    pub direction: Direction,
    /// The other end, an address or a block; `None` is every address.
    pub peer: Option<Cidr>,
    /// `tcp/443` and its kin; `None` is the quick check.
    pub service: Option<String>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The interface.
    pub eni: EniId,
    /// Its instance.
    pub instance: Option<InstanceId>,
    /// Its VPC.
    pub vpc: VpcId,
    /// Its groups.
    pub groups: Vec<GroupName>,
    /// Towards or away from it.
    pub direction: Direction,
    /// The revision of the world that was asked.
    pub revision: Revision,
    /// One for each service and family.
    pub checks: Vec<Check>,
    /// What stands in the way beside the rules, in a sentence: of an account in files, that nothing outside leads to the interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_off: Option<String>,
}

/// Whether one service is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The service, as a question names it.
    pub service: String,
    /// The family of the addresses.
    pub family: Family,
    /// The interface's own address.
    pub local: IpAddr,
    /// The other end.
    pub peer: Cidr,
    /// The answer.
    pub access: Access,
    /// The lines that decide about these packets, in the order in which they decide.
    pub deciding: Vec<Deciding>,
}

/// To whom a service is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// To everyone who was asked about.
    Open,
    /// To some of them.
    Partly,
    /// To nobody.
    Closed,
}

/// A line that decides about some of the packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deciding {
    /// What it does.
    pub action: Action,
    /// Its group; none for the bypass set and the default.
    pub group: Option<GroupName>,
    /// The rule; none for what is no rule.
    pub rule: Option<RuleId>,
    /// In words.
    pub text: String,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiagnoseError {
    /// What is asked about is not one interface.
    #[error(transparent)]
    Target(#[from] NotOne),
    /// The service cannot be read.
    #[error(transparent)]
    Service(#[from] WhyError),
    /// The interface has no address of the family.
    #[error("`{target}` has no address that can talk to `{peer}`; ask about a peer of the other family")]
    Family {
        /// The interface.
        target: String,
        /// The other end, or the service.
        peer: String,
    },
    /// The rules are too many for an exact answer.
    #[error(transparent)]
    TooComplex(#[from] TooComplex),
}

impl Report {
    /// Whether every service that was asked about is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.checks.iter().all(|check| check.access == Access::Open)
    }
}

/// Answers a question.
///
/// # Errors
/// Names the part of the question that makes no sense, and what would.
pub fn ask(world: &World, question: &Question) -> Result<Report, DiagnoseError> {
    let Question { target, direction, peer, service } = question;
    let eni = ends::only(world, target)?;
    let transports = match service {
        Some(service) => vec![parse_service(service, SOURCE_PORT)?],
        None => quick(),
    };
    let portions = Portions::of(world, (&group_set(&eni.groups), &eni.vpc), *direction)?;
    let subject = Subject { world, eni, direction: *direction, peer: *peer, portions };
    let mut checks = Vec::new();
    for transport in transports {
        for local in subject.locals(transport) {
            checks.push(subject.check(transport, local)?);
        }
    }
    if checks.is_empty() {
        let peer = peer.map_or_else(|| service.clone().unwrap_or_default(), |peer| peer.to_string());
        return Err(DiagnoseError::Family { target: target.clone(), peer });
    }
    Ok(Report {
        eni: eni.id.clone(),
        instance: eni.instance.clone(),
        vpc: eni.vpc.clone(),
        groups: eni.groups.iter().map(|id| group_name(world, id)).collect(),
        direction: *direction,
        revision: world.revision(),
        checks,
        cut_off: CutOff::of(world).words(eni).filter(|_| *direction == Direction::Ingress),
    })
}

fn quick() -> Vec<Transport> {
    let ping = [(1, 8), (58, 128)].map(|(protocol, kind)| Transport::Icmp { protocol, kind, code: 0 });
    let ports = QUICK_PORTS.map(|destination| Transport::Tcp { source: SOURCE_PORT, destination });
    ping.into_iter().chain(ports).collect()
}

/// An interface that is asked about.
struct Subject<'a> {
    world: &'a World,
    eni: &'a Eni,
    direction: Direction,
    peer: Option<Cidr>,
    portions: Portions,
}

impl Subject<'_> {
    /// The first address of each family that fits the service and the peer.
    fn locals(&self, transport: Transport) -> Vec<IpAddr> {
        let wanted = match transport.protocol() {
            1 => Some(Family::V4),
            58 => Some(Family::V6),
            _ => None,
        };
        let fits = |family: Family| {
            wanted.is_none_or(|wanted| wanted == family) && self.peer.is_none_or(|peer| peer.family() == family)
        };
        let of = |family| self.eni.addresses.iter().copied().find(|address| Family::of(*address) == family);
        [Family::V4, Family::V6].into_iter().filter(|family| fits(*family)).filter_map(of).collect()
    }

    fn check(&self, transport: Transport, local: IpAddr) -> Result<Check, TooComplex> {
        let family = Family::of(local);
        let peer = self.peer.unwrap_or(match family {
            Family::V4 => Cidr::WORLD_V4,
            Family::V6 => Cidr::WORLD_V6,
        });
        let mut left = Reader::between(self.direction, transport, &peer, local);
        // What an interface sends to itself never leaves it.
        for own in self.eni.addresses.iter().filter_map(|own| own.to_string().parse::<Cidr>().ok()) {
            left = left.difference(&Reader::between(self.direction, transport, &own, local))?;
        }
        let mut deciding = Vec::new();
        // Of discovery, which no rule decides, what the interface may not send never leaves it.
        let may_not = discovery(self.direction).difference(&may_discover(self.eni, self.direction)?)?;
        if left.meets(&may_not) {
            left = left.difference(&may_not)?;
            deciding.push(Deciding { action: Action::Deny, group: None, rule: None, text: NO_ROUTER.to_owned() });
        }
        for line in &self.portions.lines {
            if left.meets(&line.matched) {
                left = left.difference(&line.matched)?;
                deciding.push(self.line(line));
            }
        }
        if !left.is_empty() {
            deciding.push(self.default());
        }
        let allows = |action| deciding.iter().any(|line: &Deciding| line.action == action);
        let access = match (allows(Action::Allow), allows(Action::Deny)) {
            (true, false) => Access::Open,
            (true, true) => Access::Partly,
            (false, _) => Access::Closed,
        };
        let service = text::transport(transport);
        deciding.dedup();
        Ok(Check { service, family, local, peer, access, deciding })
    }

    fn line(&self, line: &Portion) -> Deciding {
        let named = |id: &GroupId| group_name(self.world, id);
        let (group, rule, text) = match &line.decider {
            Decider::Bypass => (None, None, "the bypass set".to_owned()),
            Decider::Platform(policy) => (None, None, format!("platform policy {policy}: it {}", policy.purpose())),
            Decider::IntraGroup(id) => {
                let group = named(id);
                let text = format!("intra-group accept of {}", text::named(id.as_str(), &group.name));
                (Some(group), None, text)
            }
            Decider::Rule(id, rule) => {
                let text = text::rule_of(self.world, id, rule);
                (Some(named(id)), Some(rule.clone()), text)
            }
        };
        Deciding { action: line.action, group, rule, text }
    }

    fn default(&self) -> Deciding {
        let action = self.portions.default;
        let flavor = self.world.flavor_of(self.eni).map_or("no groups", text::flavor);
        let text = format!("no rule matches; {} default of {flavor}", self.direction);
        Deciding { action, group: None, rule: None, text }
    }
}
