//! The pairs of ends that a question is about: an end may be a group, a tag or another word for several interfaces, which means each of
//! them, or `internet`, which means every address outside.
//!
//! Outside is cut where a rule, a list or an entry begins or ends, so that one address of a part speaks for all of it and nothing
//! is tried by chance.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use ipnet::IpNet;

use sekimori_core::{
    address::{Cidr, Family},
    end,
    ids::{GroupId, VpcId},
    network_acl::neighbours,
    platform::CLOUD_SERVICES,
    rule::{Direction, Peer, Protocol, RuleSpec},
    world::{Eni, World},
};

use super::{Found, Pair, Question, WhyError, common_vpc, pair, parse_service};
use crate::{
    ends,
    outside::{Run, cut, inside, shown},
};

/// Pairs of ends that one question may be about.
pub const WHY_PAIRS_MAX: usize = 10_000;

/// What a name means as an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// An instance, an interface or an address.
    One,
    /// Several interfaces that have something in common: a tag, a name, their VPC or subnet.
    Set,
    /// Every member of a group.
    Group(GroupId),
    /// Every address outside.
    Internet,
}

/// A pair of ends, and the addresses outside that one of them speaks for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) pair: Pair,
    /// Those of the end that is outside.
    pub(super) outside: Option<(IpAddr, IpAddr)>,
}

/// What a question is about.
#[derive(Debug)]
pub(super) struct Scope {
    pub(super) from: Named,
    pub(super) to: Named,
    pub(super) asked: Vec<Asked>,
}

impl Scope {
    /// The same question about some of its pairs.
    pub(super) fn only(&self, is_meant: impl Fn(&Pair) -> bool) -> Self {
        let asked = self.asked.iter().filter(|asked| is_meant(&asked.pair)).cloned().collect();
        Self { from: self.from.clone(), to: self.to.clone(), asked }
    }
}

/// An end, and what it means inside.
#[derive(Clone, Debug)]
pub(super) struct Meant {
    pub(super) named: Named,
    pub(super) found: Vec<Found>,
}

impl Meant {
    pub(super) fn read(world: &World, name: &str) -> Result<Self, WhyError> {
        let end = end::End::read(world, name)?;
        if let Some(eni) = ends::one(world, &end) {
            return Ok(Self { named: Named::One, found: vec![Found::interface(name.to_owned(), eni)] });
        }
        let named = match &end {
            end::End::Internet => return Ok(Self { named: Named::Internet, found: Vec::new() }),
            end::End::Block(block) => {
                let (net, name) = (block.network(), name.to_owned());
                let found = vec![Found::at_address(name, net.addr())];
                let is_one = net.prefix_len() == net.max_prefix_len();
                return if is_one { Ok(Self { named: Named::One, found }) } else { Err(WhyError::Block(*block)) };
            }
            end::End::Group(id) => Named::Group(id.clone()),
            // An instance without an interface is nobody.
            end::End::Instance(_) | end::End::Eni(_) => Named::One,
            end::End::Name(_) | end::End::Tags(_) | end::End::Vpc(_) | end::End::Subnet(_) => Named::Set,
        };
        let mut enis: Vec<&Arc<Eni>> = ends::interfaces(world, &end).collect();
        enis.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        if enis.is_empty() {
            return Err(WhyError::NoMembers(name.to_owned()));
        }
        let found = enis.into_iter().map(|eni| Found::interface(eni.id.to_string(), eni)).collect();
        Ok(Self { named, found })
    }
}

/// The pairs of a question.
///
/// # Errors
/// Names the part of the question that makes no sense, and what would.
pub(super) fn scope(world: &World, question: &Question) -> Result<Scope, WhyError> {
    // A service that is none is told before ends are looked for.
    parse_service(&question.service, 0)?;
    let (from, to) = (Meant::read(world, &question.from)?, Meant::read(world, &question.to)?);
    let asked = match (&from.named, &to.named) {
        (Named::Internet, Named::Internet) => {
            let Question { from, to, .. } = question.clone();
            return Err(WhyError::BothOutside { from, to });
        }
        (Named::Internet, _) => outside(world, question, &to.found, Direction::Ingress)?,
        (_, Named::Internet) => outside(world, question, &from.found, Direction::Egress)?,
        (_, _) => {
            bounded(from.found.len().saturating_mul(to.found.len()))?;
            let each = from.found.iter().flat_map(|one| to.found.iter().map(|other| (one.clone(), other.clone())));
            members(world, question, each)?
        }
    };
    Ok(Scope { from: from.named, to: to.named, asked })
}

fn bounded(pairs: usize) -> Result<(), WhyError> {
    if pairs > WHY_PAIRS_MAX { Err(WhyError::TooMany { pairs }) } else { Ok(()) }
}

/// Every pair that can meet; the first reason if none can.
fn members(
    world: &World,
    question: &Question,
    each: impl Iterator<Item = (Found, Found)>,
) -> Result<Vec<Asked>, WhyError> {
    let (mut asked, mut first) = (Vec::new(), None);
    for ends in each {
        match pair(world, question, ends) {
            Ok(pair) => asked.push(Asked { pair, outside: None }),
            Err(error) => drop(first.get_or_insert(error)),
        }
    }
    match first {
        Some(error) if asked.is_empty() => Err(error),
        Some(_) | None => Ok(asked),
    }
}

/// The pairs of some ends inside with every part of what is outside.
fn outside(
    world: &World,
    question: &Question,
    inner: &[Found],
    direction: Direction,
) -> Result<Vec<Asked>, WhyError> {
    let (mut asked, mut first) = (Vec::new(), None);
    for one in inner {
        let parts = match parts_outside(world, question, one, direction) {
            Ok(parts) => parts,
            Err(error) => {
                first.get_or_insert(error);
                continue;
            }
        };
        bounded(asked.len() + parts.len())?;
        for part in parts {
            let address = shown(part);
            let outside = Found::at_address(address.to_string(), address);
            let ends = match direction {
                Direction::Ingress => (outside, one.clone()),
                Direction::Egress => (one.clone(), outside),
            };
            let pair = pair(world, question, ends)?;
            asked.push(Asked { pair, outside: Some(part) });
        }
    }
    match first {
        Some(error) if asked.is_empty() => Err(error),
        Some(_) | None => Ok(asked),
    }
}

fn parts_outside(
    world: &World,
    question: &Question,
    found: &Found,
    direction: Direction,
) -> Result<Vec<Run>, WhyError> {
    let vpc = common_vpc(world, question, found, found)?;
    let found = found.clone().within(world, &vpc);
    let none = || {
        let Question { from, to, .. } = question.clone();
        WhyError::NoCommonFamily { from, to }
    };
    let Some(eni) = found.eni.clone() else {
        let Question { from, to, .. } = question.clone();
        return Err(WhyError::BothOutside { from, to });
    };
    let family = family_of(question, &found)?.ok_or_else(none)?;
    Ok(Outside { world, vpc: &vpc, family }.parts(&eni, direction))
}

fn family_of(question: &Question, found: &Found) -> Result<Option<Family>, WhyError> {
    let transport = parse_service(&question.service, 0)?;
    let only = Protocol::Number(transport.protocol()).family();
    let fits = |family: &Family| {
        found.has(*family)
            && only.is_none_or(|only| only == *family)
            && question.family.is_none_or(|wanted| wanted == *family)
    };
    Ok([Family::V4, Family::V6].into_iter().find(fits))
}

/// What is outside of a VPC and of those that it is peered with.
struct Outside<'a> {
    world: &'a World,
    vpc: &'a VpcId,
    family: Family,
}

impl Outside<'_> {
    /// Runs of addresses of which every policy line of the interface holds all or none.
    fn parts(&self, eni: &Eni, direction: Direction) -> Vec<Run> {
        let inside = inside(self.world, self.vpc);
        let nets =
            self.told_apart(eni, direction).into_iter().chain(inside.iter().copied()).map(|block| block.network());
        let mut parts = cut(self.family, nets.map(|net| (net.network(), net.broadcast())));
        parts.retain(|(first, _)| !inside.iter().any(|block| block.contains(*first)));
        parts
    }

    /// The blocks by which something at the interface tells addresses apart.
    fn told_apart(&self, eni: &Eni, direction: Direction) -> Vec<Cidr> {
        let world = self.world;
        let groups = eni.groups.iter().filter_map(|id| world.group(id));
        let rules = groups.flat_map(|group| group.rules.values()).map(|rule| &rule.spec);
        let rules = rules.filter(|spec| spec.direction == direction);
        let behind = world.acl_of(&eni.subnet);
        let entries = behind.iter().flat_map(|(_, acl)| &acl.entries).map(|entry| &entry.spec);
        let mut blocks: Vec<Cidr> = rules.chain(entries).flat_map(|spec| self.blocks_of(spec)).collect();
        blocks.extend(behind.iter().flat_map(|(subnet, _)| neighbours(subnet)).map(Cidr::from));
        blocks.extend(world.bypass().entries().iter().map(|entry| entry.peer));
        blocks.extend(world.blocks_of_ways(eni));
        blocks.push(Cidr::from(IpNet::V4(CLOUD_SERVICES)));
        blocks.extend([Cidr::LINK_V6, Cidr::from(IpNet::from(IpAddr::V6(Ipv6Addr::UNSPECIFIED)))]);
        blocks
    }

    fn blocks_of(&self, spec: &RuleSpec) -> Vec<Cidr> {
        match &spec.peer {
            Peer::Cidr(cidr) => vec![*cidr],
            Peer::PrefixList(id) => {
                let entries = self.world.prefix_list(id).map(|list| list.entries.as_slice()).unwrap_or_default();
                entries.iter().map(|entry| entry.cidr).collect()
            }
            // No address outside is a member's.
            Peer::Group { .. } => Vec::new(),
        }
    }
}
