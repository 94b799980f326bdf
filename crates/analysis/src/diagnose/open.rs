//! The narrowest rule that opens a service: one protocol and port, one peer, the interface's own address, and no
//! more precedence than it takes.
//!
//! The rule is tried on a copy of the world before it is proposed: what it does not open, it does not claim to.

use std::{net::IpAddr, sync::Arc};

use serde::{Deserialize, Serialize};

use sekimori_core::{
    address::{Cidr, Family},
    change::Change,
    command::NewRule,
    ids::{AccountId, GroupId, RuleId},
    packet::Transport,
    rule::{Action, Direction, Peer, PortRange, Protocol, Rule, RuleSpec, Service},
    time::Timestamp,
    world::{Eni, Flavor, World},
};

use super::{Access, Check, DiagnoseError, Question, ask};
use crate::{
    ends, text,
    why::{SOURCE_PORT, parse_service},
};

/// The id of the rule while it is tried. No cloud makes such a one.
const TRIED: &str = "sgr-tried";

/// What is to be opened, and to whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// What [`sekimori_core::end`] knows as an end, if it means one interface; an instance is its primary one.
    pub target: String,
    /// Towards the interface, or away from it.
    pub direction: Direction,
    /// `tcp/443` and its kin.
    pub service: String,
    /// The other end: an address or a block. `0.0.0.0/0` and `::/0` must be meant: see `from_world`.
    #[serde(default)]
    pub peer: Option<Cidr>,
    /// Opens to every address of the families that the interface has.
    #[serde(default)]
    pub from_world: bool,
    /// The group that gets the rule; else the one that the fewest interfaces carry.
    #[serde(default)]
    pub group: Option<GroupId>,
    /// Proposes only.
    #[serde(default)]
    pub dry_run: bool,
}

/// What would open it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The group's owner.
    pub account: AccountId,
    /// The group that gets the rules.
    pub group: GroupId,
    /// The group's name.
    pub group_name: String,
    /// The rules: none when it is open already, one for each family otherwise.
    pub rules: Vec<NewRule>,
    /// The rules in words.
    pub texts: Vec<String>,
    /// The checks as they would be.
    pub after: Vec<Check>,
}

/// Why nothing is proposed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The question makes no sense.
    #[error(transparent)]
    Question(#[from] DiagnoseError),
    /// Nobody is named.
    #[error("to whom `{0}` should be opened is not said; name an address or block, or ask for the whole world")]
    Nobody(String),
    /// The whole world, by a block.
    #[error("`{0}` is the whole world; say so (--from-world) if it is meant")]
    World(Cidr),
    /// The interface does not carry the group.
    #[error("`{target}` does not carry `{group}`; name one of its groups: {groups}")]
    Group {
        /// The interface.
        target: String,
        /// The group.
        group: GroupId,
        /// The groups that it has.
        groups: String,
    },
    /// A rule denies that nothing can come before.
    #[error("{rule} denies it with the highest priority, before any rule that could be added; change or revoke it")]
    Denied {
        /// The rule in words.
        rule: String,
    },
    /// What denies is no rule.
    #[error("a rule cannot open it: {0}")]
    NoRule(String),
}

/// Finds the narrowest rules that open a service.
///
/// # Errors
/// Says what stands in the way, and what to do about it.
pub fn plan(world: &World, request: &Request) -> Result<Plan, OpenError> {
    let target = &request.target;
    let eni = ends::only(world, target).map_err(DiagnoseError::from)?;
    let transport = parse_service(&request.service, SOURCE_PORT).map_err(DiagnoseError::from)?;
    let group = chosen_group(world, eni, request)?;
    let mut plan = Plan {
        account: eni.account.clone(),
        group: group.clone(),
        group_name: world.group(&group).map(|group| group.name.clone()).unwrap_or_default(),
        rules: Vec::new(),
        texts: Vec::new(),
        after: Vec::new(),
    };
    let peers = peers(eni, transport, request)?;
    if peers.is_empty() {
        let peer = request.peer.map_or_else(|| request.service.clone(), |peer| peer.to_string());
        return Err(DiagnoseError::Family { target: target.clone(), peer }.into());
    }
    for (local, peer) in peers {
        let mut world = world.clone();
        if let Some(rule) = rule_for(&mut world, eni, &group, request, (local, peer, transport))? {
            let flavor = world.flavor_of(eni).unwrap_or(Flavor::EcsBasic);
            plan.texts.push(text::spec(&world, flavor, &rule.spec));
            plan.rules.push(rule);
        }
        plan.after.push(check(&world, request, peer, local)?);
    }
    Ok(plan)
}

/// The rule for one family, and the world with it; `None` when it is open already.
fn rule_for(
    world: &mut World,
    eni: &Eni,
    group: &GroupId,
    request: &Request,
    of: (IpAddr, Cidr, Transport),
) -> Result<Option<NewRule>, OpenError> {
    let (local, peer, transport) = of;
    let mut priority = None;
    // Each round goes before one more denying rule; there are 100 priorities.
    loop {
        let before = check(world, request, peer, local)?;
        if before.access == Access::Open {
            return Ok(priority.map(|priority| new_rule(world, eni, request, of, priority)));
        }
        if transport.destination_port() == Some(0) && world.flavor_of(eni) != Some(Flavor::Ec2) {
            let reason = "ranges of ports begin with 1 in ECS, and a rule for every port would open far more";
            return Err(OpenError::NoRule(reason.to_owned()));
        }
        let wanted = next_priority(world, &before, priority)?;
        priority = Some(wanted);
        let NewRule { spec, description, tags } = new_rule(world, eni, request, (local, peer, transport), wanted);
        let rule = Rule { id: RuleId::from(TRIED), spec, description, tags, created_at: Timestamp(0) };
        world.apply(&Change::PutRule { group: group.clone(), rule: Arc::new(rule) });
    }
}

/// The least precedence that comes before what denies now.
fn next_priority(world: &World, check: &Check, tried: Option<u8>) -> Result<u8, OpenError> {
    let denying = check.deciding.iter().filter(|line| line.action == Action::Deny);
    let mut wanted = tried.map_or(100, |tried| tried.saturating_sub(1));
    for line in denying {
        let (Some(group), Some(rule)) = (&line.group, &line.rule) else { continue };
        let rule = world.group(&group.id).and_then(|group| group.rules.get(rule));
        let Some(priority) = rule.map(|rule| rule.spec.priority) else { continue };
        if priority <= 1 {
            return Err(OpenError::Denied { rule: line.text.clone() });
        }
        wanted = wanted.min(priority - 1);
    }
    if wanted == 0 {
        let reasons: Vec<&str> = check.deciding.iter().map(|line| line.text.as_str()).collect();
        return Err(OpenError::NoRule(reasons.join("; ")));
    }
    Ok(wanted)
}

fn new_rule(world: &World, eni: &Eni, request: &Request, of: (IpAddr, Cidr, Transport), priority: u8) -> NewRule {
    let (local, peer, transport) = of;
    let service = match transport {
        Transport::Tcp { destination, .. } | Transport::Udp { destination, .. } => {
            Service::Ports(PortRange::one(destination))
        }
        Transport::Icmp { .. } | Transport::Other { .. } => Service::Any,
    };
    // EC2's rules have neither priorities nor an end of their own.
    let (priority, own) = match world.flavor_of(eni) {
        Some(Flavor::EcsBasic | Flavor::EcsEnterprise) => (priority, local.to_string().parse().ok()),
        Some(Flavor::Ec2) | None => (1, None),
    };
    let spec = RuleSpec {
        direction: request.direction,
        action: Action::Allow,
        priority,
        protocol: Protocol::Number(transport.protocol()),
        service,
        source_ports: None,
        peer: Peer::Cidr(peer),
        local: own,
    };
    // A name is whatever somebody called it, and a description is not.
    let opened_for = eni.instance.as_ref().filter(|_| request.target != eni.id.as_str());
    NewRule::new(spec, format!("opened for {}", opened_for.map_or(eni.id.as_str(), |id| id.as_str())))
}

/// Own address and peer, for each family that is asked for.
fn peers(eni: &Eni, transport: Transport, request: &Request) -> Result<Vec<(IpAddr, Cidr)>, OpenError> {
    let wanted = match (request.from_world, request.peer) {
        (true, _) => vec![Cidr::WORLD_V4, Cidr::WORLD_V6],
        (false, Some(peer)) if peer.is_world() => return Err(OpenError::World(peer)),
        (false, Some(peer)) => vec![peer],
        (false, None) => return Err(OpenError::Nobody(request.service.clone())),
    };
    let fits = |family| Protocol::Number(transport.protocol()).family().is_none_or(|only| only == family);
    let local = |family| eni.addresses.iter().copied().find(|address| Family::of(*address) == family);
    let pair = |peer: Cidr| local(peer.family()).filter(|_| fits(peer.family())).map(|local| (local, peer));
    Ok(wanted.into_iter().filter_map(pair).collect())
}

/// The check of one family, from the peer that is asked for.
fn check(world: &World, request: &Request, peer: Cidr, local: IpAddr) -> Result<Check, DiagnoseError> {
    let Request { target, direction, service, .. } = request.clone();
    let question = Question { target, direction, peer: Some(peer), service: Some(service) };
    let missing = || DiagnoseError::Family { target: request.target.clone(), peer: peer.to_string() };
    ask(world, &question)?.checks.into_iter().find(|check| check.local == local).ok_or_else(missing)
}

/// The group that was named, or the one that the fewest interfaces carry.
fn chosen_group(world: &World, eni: &Eni, request: &Request) -> Result<GroupId, OpenError> {
    if let Some(group) = &request.group {
        if eni.groups.contains(group) {
            return Ok(group.clone());
        }
        let groups = eni.groups.iter().map(GroupId::as_str).collect::<Vec<_>>().join(", ");
        return Err(OpenError::Group { target: request.target.clone(), group: group.clone(), groups });
    }
    let narrowest = eni.groups.iter().min_by_key(|group| (world.members(group).count(), GroupId::clone(group)));
    narrowest.cloned().ok_or_else(|| OpenError::NoRule("the interface carries no group".to_owned()))
}
