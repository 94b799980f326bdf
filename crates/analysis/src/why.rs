//! Why can A reach B, or not: the decision at both ends, with the rule or default that made it.
//!
//! The judgement itself is [`sekimori_core::verdict::decide`]; nothing is judged here. A question is about
//! the first packet of a flow: what belongs to a known flow passes without being asked about again.

mod cost;
mod edit;
mod explain;
mod pairs;
mod plan;
mod service;
#[cfg(test)]
pub(crate) mod tests;

use std::{net::IpAddr, sync::Arc};

use serde::{Deserialize, Serialize};

use sekimori_core::{
    address::{Cidr, Family},
    end::EndError,
    ids::{EniId, InstanceId, RuleId, VpcId},
    packet::{Decision, Packet, Transport, Why},
    rule::{Action, Direction},
    verdict,
    world::{Eni, Flavor, Revision, World},
};

use crate::{
    effective::{GroupName, group_name},
    text,
};

pub(crate) use self::explain::unseen;
use self::pairs::{Meant, Named};
pub use self::{
    cost::{COST_INTERFACES_MAX, COST_LINES_MAX, COST_POLICIES_MAX, Cost, CostLine},
    explain::{
        Answer, Explanation, Goal, SuggestedStep, Suggestion, WHY_ANSWERS_MAX, WHY_ENDS_MAX, WHY_LINES_MAX, explain,
        tried,
    },
    pairs::WHY_PAIRS_MAX,
    plan::WHY_STEPS_MAX,
    service::parse_service,
};

/// The source port of a question that does not name one.
pub const SOURCE_PORT: u16 = 50_000;

/// Can a first packet get from one end to the other?
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Where it comes from: what [`sekimori_core::end`] knows as an end, but for a block.
    pub from: String,
    /// Where it goes to: the same.
    pub to: String,
    /// `tcp/443`, `udp/53`, `icmp`, `icmp/8/0`, `icmpv6`, or a protocol number.
    pub service: String,
    /// Source port of TCP and UDP; [`SOURCE_PORT`] if absent.
    #[serde(default)]
    pub source_port: Option<u16>,
    /// The VPC that addresses are meant in; needed only when nothing else tells.
    #[serde(default)]
    pub vpc: Option<String>,
    /// The family, where both ends have both; IPv4 if absent.
    #[serde(default)]
    pub family: Option<Family>,
}

/// The answer: it passes if every leg lets it pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Whether the packet arrives.
    pub allowed: bool,
    /// The VPC.
    pub vpc: VpcId,
    /// Where it comes from.
    pub from: End,
    /// Where it goes to.
    pub to: End,
    /// The service, in full.
    pub service: String,
    /// What the transport header tells.
    pub transport: Transport,
    /// The judgements, in the order of the packet's way.
    pub legs: Vec<Leg>,
    /// Where the answer to the packet would be dropped: a network ACL looks at it for itself.
    #[serde(default)]
    pub answer_dropped: Vec<Leg>,
    /// The revision of the world that was asked.
    pub revision: Revision,
}

impl Report {
    /// Whether the packet arrives and its answer comes back: without that TCP has no connection.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.allowed && self.answer_dropped.is_empty()
    }
}

/// One end of the packet's way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// What the question called it.
    pub name: String,
    /// The address that was judged.
    pub address: IpAddr,
    /// The interface that has the address; none is outside.
    pub eni: Option<EniId>,
    /// The instance of the interface.
    pub instance: Option<InstanceId>,
}

/// The judgement at one interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    /// `Egress` at the source, `Ingress` at the destination.
    pub direction: Direction,
    /// The interface.
    pub eni: EniId,
    /// Its instance.
    pub instance: Option<InstanceId>,
    /// The kind of its groups.
    pub flavor: Option<Flavor>,
    /// Allow or deny, why, and the revision.
    pub decision: Decision,
    /// The group that decided.
    pub group: Option<GroupName>,
    /// The rule that decided.
    pub rule: Option<RuleId>,
    /// The rule in one line.
    pub rule_text: Option<String>,
    /// What the flavor does in this direction when nothing matches.
    pub default: Action,
    /// The reason in one line, for people.
    pub reason: String,
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhyError {
    /// An end that is none.
    #[error(transparent)]
    End(#[from] EndError),
    /// A block as an end.
    #[error(
        "`{0}` is a block, and the question is about packets between single ends; name an address, or ask `sekimori who` about the block"
    )]
    Block(Cidr),
    /// Several ends where one is asked for.
    #[error("`{0}` is not one end; name an instance, an interface or an address")]
    NotOne(String),
    /// There is no such VPC.
    #[error("no VPC `{0}`; list them with DescribeVpcs")]
    UnknownVpc(String),
    /// The service cannot be read.
    #[error("`{0}` is not a service; write tcp/443, udp/53, icmp, icmp/8/0, icmpv6 or a protocol number such as 47")]
    BadService(String),
    /// A protocol that has ports, without one.
    #[error(
        "`{service}` is not a service yet: the question is about one packet, which has a port; write {protocol}/443 or another port"
    )]
    NoPort {
        /// What was written.
        service: String,
        /// The protocol.
        protocol: &'static str,
    },
    /// Several ports.
    #[error(
        "`{service}` is not a service but a range of ports, and the question is about one packet; name one of them: {protocol}/{first} or \
         {protocol}/{last}"
    )]
    ManyPorts {
        /// What was written.
        service: String,
        /// The protocol.
        protocol: &'static str,
        /// The first port.
        first: u16,
        /// The last port.
        last: u16,
    },
    /// Two ends that cannot meet.
    #[error(
        "`{from}` is in {from_vpc} and `{to}` in {to_vpc}; ask about two ends in one VPC, or in two that are peered"
    )]
    NoCommonVpc {
        /// One end, or the VPC that the question names.
        from: String,
        /// Its VPC.
        from_vpc: VpcId,
        /// The other end.
        to: String,
        /// Its VPC.
        to_vpc: VpcId,
    },
    /// Two addresses that several VPCs have.
    #[error("`{from}` and `{to}` are addresses in more than one VPC; name one of {vpcs} as the VPC")]
    AmbiguousVpc {
        /// One end.
        from: String,
        /// The other end.
        to: String,
        /// The VPCs that have at least one of them.
        vpcs: String,
    },
    /// Nothing judges what passes outside.
    #[error("neither `{from}` nor `{to}` belongs to an interface, so no group judges it; name at least one instance")]
    BothOutside {
        /// One end.
        from: String,
        /// The other end.
        to: String,
    },
    /// The same interface twice.
    #[error("`{from}` and `{to}` are the same interface; traffic to itself never leaves it")]
    SameEnd {
        /// One end.
        from: String,
        /// The other end.
        to: String,
    },
    /// An IPv4 and an IPv6 end.
    #[error("`{from}` and `{to}` have no address family in common; name two IPv4 or two IPv6 addresses")]
    NoCommonFamily {
        /// One end.
        from: String,
        /// The other end.
        to: String,
    },
    /// A group, a tag or another end that is nobody's.
    #[error("no interface is meant by `{0}`, so nothing comes from it or goes to it; name another end")]
    NoMembers(String),
    /// Groups with too many members, tags of too many interfaces.
    #[error(
        "the question is about {pairs} pairs of ends, more than {WHY_PAIRS_MAX}; name a smaller group, or an instance at one end"
    )]
    TooMany {
        /// How many.
        pairs: usize,
    },
    /// ICMP for the other family.
    #[error("`{service}` does not run over the addresses of `{from}` and `{to}`; use {instead}")]
    WrongFamily {
        /// The service.
        service: String,
        /// One end.
        from: String,
        /// The other end.
        to: String,
        /// The service for the other family.
        instead: &'static str,
    },
}

/// Answers a question.
///
/// # Errors
/// Names the part of the question that makes no sense, and what would.
pub fn ask(world: &World, question: &Question) -> Result<Report, WhyError> {
    let one = |name: &String| match Meant::read(world, name)? {
        Meant { named: Named::One, mut found } => found.pop().ok_or_else(|| WhyError::NoMembers(name.clone())),
        Meant { named: Named::Set | Named::Group(_) | Named::Internet, .. } => Err(WhyError::NotOne(name.clone())),
    };
    let (from, to) = (one(&question.from)?, one(&question.to)?);
    Ok(pair(world, question, (from, to))?.judge(world))
}

/// Two ends that are found, and what goes from one to the other.
#[derive(Clone, Debug)]
struct Pair {
    vpc: VpcId,
    from: Place,
    to: Place,
    transport: Transport,
}

/// An end that is found.
#[derive(Clone, Debug)]
struct Place {
    end: End,
    eni: Option<Arc<Eni>>,
}

/// Puts two ends of a question together.
fn pair(world: &World, question: &Question, (from, to): (Found, Found)) -> Result<Pair, WhyError> {
    let transport = parse_service(&question.service, question.source_port.unwrap_or(SOURCE_PORT))?;
    let vpc = common_vpc(world, question, &from, &to)?;
    let (from, to) = (from.within(world, &vpc), to.within(world, &vpc));
    let names = (from.name.clone(), to.name.clone());
    if from.eni.is_none() && to.eni.is_none() {
        return Err(WhyError::BothOutside { from: names.0, to: names.1 });
    }
    let family = common_family(question, transport, &from, &to)?;
    let (Some(from), Some(to)) = (from.at(family), to.at(family)) else {
        return Err(WhyError::NoCommonFamily { from: names.0, to: names.1 });
    };
    if from.end.address == to.end.address {
        return Err(WhyError::SameEnd { from: names.0, to: names.1 });
    }
    Ok(Pair { vpc, from, to, transport })
}

impl Pair {
    /// The packet as the interface of an end sees it, if the end has one.
    fn packet(&self, direction: Direction) -> Option<(&Arc<Eni>, Packet)> {
        let (own, other) = match direction {
            Direction::Egress => (&self.from, &self.to),
            Direction::Ingress => (&self.to, &self.from),
        };
        let (local, peer) = (own.end.address, other.end.address);
        let packet = Packet { direction, local, peer, transport: self.transport, is_forwarded: false };
        Some((own.eni.as_ref()?, packet))
    }

    /// Whether it is known that nothing leads from one end to the other, whatever the rules say.
    fn is_cut_off(&self, world: &World) -> bool {
        let ways = [Direction::Egress, Direction::Ingress];
        ways.into_iter()
            .filter_map(|way| self.packet(way))
            .any(|(eni, packet)| !world.obstacles(eni, &packet).is_empty())
    }

    /// The answer to it, as the interface of an end sees it.
    fn answer(&self, direction: Direction) -> Option<(&Arc<Eni>, Packet)> {
        let (eni, asked) = self.packet(direction.reverse())?;
        Some((eni, asked.answer()?))
    }

    fn judge(&self, world: &World) -> Report {
        let ways = [Direction::Egress, Direction::Ingress];
        let judged = |(eni, packet): (&Arc<Eni>, Packet)| {
            let leg = leg_of(world, eni, &packet, verdict::decide(world, eni, &packet));
            in_order(packet.direction, leg, missing(world, eni, &packet).into_iter().next())
        };
        let legs: Vec<Leg> = ways.into_iter().filter_map(|way| self.packet(way)).flat_map(judged).collect();
        let refused = |(eni, packet): (&Arc<Eni>, Packet)| {
            let decision = verdict::refused_by_acl(world, eni, &packet)?;
            Some(leg_of(world, eni, &packet, decision))
        };
        let answer_dropped = ways.into_iter().filter_map(|way| self.answer(way)).filter_map(refused).collect();
        Report {
            allowed: legs.iter().all(|leg| leg.decision.is_allowed()),
            vpc: self.vpc.clone(),
            from: self.from.end.clone(),
            to: self.to.end.clone(),
            service: text::transport(self.transport),
            transport: self.transport,
            legs,
            answer_dropped,
            revision: world.revision(),
        }
    }
}

/// One end, as far as it is known.
#[derive(Clone, Debug)]
struct Found {
    name: String,
    eni: Option<Arc<Eni>>,
    /// The address that the question fixes.
    address: Option<IpAddr>,
}

impl Found {
    fn at_address(name: String, address: IpAddr) -> Self {
        Self { name, eni: None, address: Some(address) }
    }

    fn interface(name: String, eni: &Arc<Eni>) -> Self {
        Self { name, eni: Some(Arc::clone(eni)), address: None }
    }

    /// Looks an address up in the VPC.
    fn within(mut self, world: &World, vpc: &VpcId) -> Self {
        if let Some(address) = self.address {
            self.eni = world.eni_seen_from(vpc, address).cloned();
        }
        self
    }

    fn has(&self, family: Family) -> bool {
        self.address_of(family).is_some()
    }

    fn address_of(&self, family: Family) -> Option<IpAddr> {
        let of_eni = || self.eni.iter().flat_map(|eni| eni.addresses.iter().copied());
        self.address.into_iter().chain(of_eni().filter(|_| self.address.is_none())).find(|a| Family::of(*a) == family)
    }

    fn at(self, family: Family) -> Option<Place> {
        let address = self.address_of(family)?;
        let eni = self.eni;
        let (id, instance) =
            (eni.as_ref().map(|eni| eni.id.clone()), eni.as_ref().and_then(|eni| eni.instance.clone()));
        Some(Place { end: End { name: self.name, address, eni: id, instance }, eni })
    }
}

/// The VPC of the question: the one it names, the one its interfaces are in, or the only one that fits.
fn common_vpc(world: &World, question: &Question, from: &Found, to: &Found) -> Result<VpcId, WhyError> {
    let named = match question.vpc.as_deref() {
        None | Some("") => None,
        Some(id) => {
            let vpc = world.vpc(&id.into()).ok_or_else(|| WhyError::UnknownVpc(id.to_owned()))?;
            Some((id.to_owned(), vpc.id.clone()))
        }
    };
    let of = |end: &Found| end.eni.as_ref().map(|eni| (end.name.clone(), eni.vpc.clone()));
    let mut known = [named, of(from), of(to)].into_iter().flatten();
    let Some((name, vpc)) = known.next() else { return only_vpc(world, from, to) };
    match known.find(|(_, other)| !world.are_joined(&vpc, other)) {
        None => Ok(vpc),
        Some((to, to_vpc)) => Err(WhyError::NoCommonVpc { from: name, from_vpc: vpc, to, to_vpc }),
    }
}

/// The VPC of two addresses: the only one in which at least one of them is an interface's.
fn only_vpc(world: &World, from: &Found, to: &Found) -> Result<VpcId, WhyError> {
    let addresses = [from.address, to.address];
    let holds = |vpc: &VpcId| addresses.iter().flatten().any(|address| world.eni_at(vpc, *address).is_some());
    let vpcs: Vec<&VpcId> = world.vpcs().map(|vpc| &vpc.id).filter(|vpc| holds(vpc)).collect();
    let (from, to) = (from.name.clone(), to.name.clone());
    match vpcs.as_slice() {
        [] => Err(WhyError::BothOutside { from, to }),
        [vpc] => Ok(VpcId::clone(vpc)),
        several => {
            let vpcs = several.iter().map(|vpc| vpc.as_str()).collect::<Vec<_>>().join(", ");
            Err(WhyError::AmbiguousVpc { from, to, vpcs })
        }
    }
}

/// The family that both ends have, IPv4 before IPv6, and that the protocol runs over.
fn common_family(question: &Question, transport: Transport, from: &Found, to: &Found) -> Result<Family, WhyError> {
    let is_wanted = |family| question.family.is_none_or(|wanted| wanted == family);
    let both = |family| is_wanted(family) && from.has(family) && to.has(family);
    let (service, from, to) = (question.service.clone(), from.name.clone(), to.name.clone());
    let wrong = |instead| WhyError::WrongFamily { service, from: from.clone(), to: to.clone(), instead };
    match (transport.protocol(), both(Family::V4), both(Family::V6)) {
        (_, false, false) => Err(WhyError::NoCommonFamily { from, to }),
        (1, false, true) => Err(wrong("icmpv6")),
        (58, true, false) => Err(wrong("icmp")),
        (58, true | false, true) => Ok(Family::V6),
        (_, true, _) => Ok(Family::V4),
        (_, false, true) => Ok(Family::V6),
    }
}

/// What is missing between an interface and the other end, as far as it is known.
fn missing(world: &World, eni: &Eni, packet: &Packet) -> Vec<Leg> {
    let denied = |gap| Decision { action: Action::Deny, why: Why::NoWay { gap }, revision: world.revision() };
    world.obstacles(eni, packet).into_iter().map(|gap| leg_of(world, eni, packet, denied(gap))).collect()
}

/// What the interface says and what is missing on the way, in the order of the way.
fn in_order<T>(direction: Direction, at_interface: T, on_the_way: impl IntoIterator<Item = T>) -> Vec<T> {
    let (mut at, mut way) = (vec![at_interface], on_the_way.into_iter().collect::<Vec<T>>());
    match direction {
        Direction::Egress => {
            at.append(&mut way);
            at
        }
        Direction::Ingress => {
            way.append(&mut at);
            way
        }
    }
}

fn leg_of(world: &World, eni: &Eni, packet: &Packet, decision: Decision) -> Leg {
    let (direction, flavor) = (packet.direction, world.flavor_of(eni));
    let default = verdict::default_action(flavor, direction);
    let (group, rule, rule_text) = deciding(world, &decision.why);
    let reason = reason(&decision.why, packet, flavor, (group.as_ref(), rule_text.as_deref()));
    let (eni, instance) = (eni.id.clone(), eni.instance.clone());
    Leg { direction, eni, instance, flavor, decision, group, rule, rule_text, default, reason }
}

/// The group and rule of a reason, with the rule in one line.
fn deciding(world: &World, why: &Why) -> (Option<GroupName>, Option<RuleId>, Option<String>) {
    match why {
        Why::Rule { group, rule } => {
            let line = world.group(group).and_then(|group| {
                let rule = group.rules.get(rule)?;
                Some(text::rule(world, group.flavor, rule))
            });
            (Some(group_name(world, group)), Some(rule.clone()), line)
        }
        Why::IntraGroup { group } => (Some(group_name(world, group)), None, None),
        Why::Bypass
        | Why::KnownFlow
        | Why::Platform { .. }
        | Why::NetworkAcl { .. }
        | Why::Default
        | Why::Spoofed
        | Why::MidStream
        | Why::Fragment
        | Why::Malformed
        | Why::NoPolicy
        | Why::TableFull
        | Why::HalfOpen
        | Why::NoWay { .. } => (None, None, None),
    }
}

fn reason(why: &Why, packet: &Packet, flavor: Option<Flavor>, of: (Option<&GroupName>, Option<&str>)) -> String {
    let group = of.0.map(|group| text::named(group.id.as_str(), &group.name)).unwrap_or_default();
    match why {
        Why::Rule { rule, .. } => format!("rule {rule} of {group}: {}", of.1.unwrap_or("not in this snapshot")),
        Why::IntraGroup { .. } => format!("intra-group accept of {group}"),
        Why::Default => match flavor {
            Some(flavor) => format!("no rule matches; {} default of {}", packet.direction, text::flavor(flavor)),
            None => format!("no rule matches; {} default", packet.direction),
        },
        Why::Platform { policy } => format!("platform policy {policy}: it {}", policy.purpose()),
        Why::NetworkAcl { acl, entry } => {
            let what = entry.map_or("no entry allows it".to_owned(), |number| format!("entry {number} denies it"));
            format!("network ACL {acl} of the subnet: {what}")
        }
        Why::Bypass
        | Why::KnownFlow
        | Why::Spoofed
        | Why::MidStream
        | Why::Fragment
        | Why::Malformed
        | Why::NoPolicy
        | Why::TableFull
        | Why::HalfOpen
        | Why::NoWay { .. } => why.to_string(),
    }
}
