//! The pairs of ends that a question is about: an end may be a group, which means each of its members, or `internet`, which
//! means every address outside.
//!
//! Outside is cut where a rule, a list or an entry begins or ends, so that one address of a part speaks for all of it and nothing
//! is tried by chance.

use std::{collections::BTreeSet, net::IpAddr};

use sekimori_core::{
    address::{Cidr, Family},
    ids::{GroupId, VpcId},
    network_acl::neighbours,
    platform::CLOUD_SERVICES,
    rule::{Direction, Peer, Protocol, RuleSpec},
    world::{Eni, World},
};

use super::{Found, Pair, Question, WhyError, common_vpc, pair, parse_end, parse_service};
use crate::{
    outside::{Run, cut, inside, shown},
    permits::LINK,
    resolve,
};

/// Pairs of ends that one question may be about.
pub const WHY_PAIRS_MAX: usize = 10_000;
/// The word for every address outside.
pub const INTERNET: &str = "internet";

/// What a name means as an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// An instance, an interface or an address.
    One,
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

fn named(world: &World, name: &str) -> Named {
    let is_one = || name.parse::<IpAddr>().is_ok() || resolve::eni(world, name).is_some();
    match name {
        INTERNET => Named::Internet,
        name if !is_one() => match world.group(&name.into()) {
            Some(group) => Named::Group(group.id.clone()),
            None => Named::One,
        },
        _ => Named::One,
    }
}

/// The pairs of a question.
///
/// # Errors
/// Names the part of the question that makes no sense, and what would.
pub(super) fn scope(world: &World, question: &Question) -> Result<Scope, WhyError> {
    let (from, to) = (named(world, &question.from), named(world, &question.to));
    let asked = match (&from, &to) {
        (Named::One, Named::One) => vec![Asked { pair: pair(world, question)?, outside: None }],
        (Named::Internet, Named::Internet) => {
            let Question { from, to, .. } = question.clone();
            return Err(WhyError::BothOutside { from, to });
        }
        (Named::Internet, inner) => outside(world, question, (inner, &question.to), Direction::Ingress)?,
        (inner, Named::Internet) => outside(world, question, (inner, &question.from), Direction::Egress)?,
        (from, to) => {
            let froms = names(world, from, &question.from)?;
            let tos = names(world, to, &question.to)?;
            bounded(froms.len().saturating_mul(tos.len()))?;
            let each = froms.iter().flat_map(|from| tos.iter().map(move |to| (from.clone(), to.clone())));
            members(world, question, each)?
        }
    };
    Ok(Scope { from, to, asked })
}

fn bounded(pairs: usize) -> Result<(), WhyError> {
    if pairs > WHY_PAIRS_MAX { Err(WhyError::TooMany { pairs }) } else { Ok(()) }
}

/// The names of the ends that a name means.
fn names(world: &World, what: &Named, name: &str) -> Result<Vec<String>, WhyError> {
    match what {
        Named::One | Named::Internet => Ok(vec![name.to_owned()]),
        Named::Group(group) => {
            let members: BTreeSet<String> = world.members(group).map(|eni| eni.id.to_string()).collect();
            if members.is_empty() {
                return Err(WhyError::NoMembers(name.to_owned()));
            }
            Ok(members.into_iter().collect())
        }
    }
}

/// Every pair that can meet; the first reason if none can.
fn members(
    world: &World,
    question: &Question,
    each: impl Iterator<Item = (String, String)>,
) -> Result<Vec<Asked>, WhyError> {
    let (mut asked, mut first) = (Vec::new(), None);
    for (from, to) in each {
        match pair(world, &Question { from, to, ..question.clone() }) {
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
    (inner, name): (&Named, &str),
    direction: Direction,
) -> Result<Vec<Asked>, WhyError> {
    let (mut asked, mut first) = (Vec::new(), None);
    for name in names(world, inner, name)? {
        let parts = match parts_outside(world, question, &name, direction) {
            Ok(parts) => parts,
            Err(error) => {
                first.get_or_insert(error);
                continue;
            }
        };
        bounded(asked.len() + parts.len())?;
        for part in parts {
            let outside = shown(part).to_string();
            let (from, to) = match direction {
                Direction::Ingress => (outside, name.clone()),
                Direction::Egress => (name.clone(), outside),
            };
            let pair = pair(world, &Question { from, to, ..question.clone() })?;
            asked.push(Asked { pair, outside: Some(part) });
        }
    }
    match first {
        Some(error) if asked.is_empty() => Err(error),
        Some(_) | None => Ok(asked),
    }
}

fn parts_outside(world: &World, question: &Question, name: &str, direction: Direction) -> Result<Vec<Run>, WhyError> {
    let found = parse_end(world, name)?;
    let vpc = common_vpc(world, question, &found, &found)?;
    let found = found.within(world, &vpc);
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
        blocks.push(Cidr::from(ipnet::IpNet::V4(CLOUD_SERVICES)));
        blocks.extend(LINK.iter().filter_map(|block| block.parse::<Cidr>().ok()));
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
