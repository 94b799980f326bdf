//! Who reaches whom: everything that can reach a target, everything that it can reach, and what is open to the internet, as exact
//! sets of services, by groups and interfaces inside and by blocks outside.
//!
//! A packet reaches its end when it leaves the sender and is let in by the receiver, as [`crate::why`] says of a single one. It is
//! computed for each set of groups and not for each interface, and each set of services is kept once, so that all pairs of a large
//! estate take seconds. Whether the answer comes back is told beside: a packet that arrives has reached its end without it.

mod units;
mod ways;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use sekimori_core::{
    address::{Cidr, Family, number},
    end::{End, EndError},
    ids::{EniId, VpcId},
    rule::Direction,
    space::TooComplex,
    world::{Eni, Revision, World},
};

use self::units::{Estate, Facing, Known, Passed, ServicesId, Unit};
use crate::{
    effective::{GroupName, group_name},
    ends,
    led::{Members, alike},
    outside::{runs_inside, without},
    permits::Bearing,
    services::{Services, joined, ranges, shortened},
};

/// Lines of one answer. A question that has more is refused.
pub const WHO_LINES_MAX: usize = 10_000;
/// Pairs of policies that reach each other, in the answer about all of them.
pub const WHO_PAIRS_MAX: usize = 16_777_216;
/// Interfaces and addresses that are named in one line; the rest is counted.
pub const WHO_NAMES_MAX: usize = 50;

/// What is asked. What is absent is everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Who reaches: what [`sekimori_core::end`] knows as an end.
    pub from: Option<String>,
    /// Who is reached: the same.
    pub to: Option<String>,
    /// The VPC that addresses are meant in; every one if absent.
    pub vpc: Option<String>,
}

/// Who reaches whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The question.
    pub question: Question,
    /// Interfaces that reach interfaces.
    pub inside: Vec<Reach>,
    /// Addresses outside that reach interfaces, and those that interfaces reach.
    pub outside: Vec<Exposure>,
    /// What else there is to know, in sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The revision of the world that was asked.
    pub revision: Revision,
}

/// Interfaces that reach others. Every address of one side reaches every one of the other, but those of the same interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// Who reaches.
    pub from: Side,
    /// Who is reached.
    pub to: Side,
    /// How many pairs of interfaces that is.
    pub pairs: usize,
    /// By which services.
    pub services: Vec<String>,
    /// Those of them whose answers come back, if not all do: network ACLs look at answers by themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<Vec<String>>,
}

/// What is open between interfaces and addresses outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exposure {
    /// `Ingress` where the interfaces are reached, `Egress` where they reach.
    pub direction: Direction,
    /// The interfaces.
    pub interfaces: Side,
    /// The addresses outside: blocks, and runs that are none.
    pub addresses: Vec<String>,
    /// The services.
    pub services: Vec<String>,
    /// Those of them whose answers come back, if not all do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<Vec<String>>,
}

/// Interfaces with the same groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// Their groups.
    pub groups: Vec<GroupName>,
    /// Their VPC.
    pub vpc: VpcId,
    /// How many they are.
    pub interfaces: usize,
    /// Their instances; interfaces for those that have none.
    pub instances: Vec<String>,
    /// The addresses.
    pub addresses: Vec<String>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhoError {
    /// An end that is none.
    #[error(transparent)]
    End(#[from] EndError),
    /// A tag or a name that nobody has.
    #[error("no interface is meant by `{0}`, so nobody reaches it and it reaches nobody; name another end")]
    Nobody(String),
    /// There is no such VPC.
    #[error("no VPC `{0}`; list them with DescribeVpcs")]
    UnknownVpc(String),
    /// What is meant is elsewhere.
    #[error("`{name}` has no interface in `{vpc}`; leave the VPC out, or name another")]
    Elsewhere {
        /// Who reaches, or who is reached.
        name: String,
        /// The VPC that was named.
        vpc: VpcId,
    },
    /// Neither end is one of ours.
    #[error("what goes from `{from}` to `{to}` passes no interface; name an instance or a group at one end")]
    BothOutside {
        /// Who reaches.
        from: String,
        /// Who is reached.
        to: String,
    },
    /// The answer is too long.
    #[error("the answer has more than {WHO_LINES_MAX} lines; name an instance or a group at one end or both")]
    TooLong,
    /// Too many pairs.
    #[error("more than {WHO_PAIRS_MAX} pairs of policies reach each other; ask about fewer ends")]
    TooMany,
    /// The rules are too many for an exact answer.
    #[error(transparent)]
    TooComplex(#[from] TooComplex),
}

/// Answers a question.
///
/// # Errors
/// Names the part of the question that makes no sense, and what would.
pub fn ask(world: &World, question: &Question) -> Result<Report, WhoError> {
    let vpc = match question.vpc.as_deref() {
        None | Some("") => None,
        Some(id) => Some(world.vpc(&id.into()).ok_or_else(|| WhoError::UnknownVpc(id.to_owned()))?.id.clone()),
    };
    let read = |name: &Option<String>| name.as_deref().map_or(Ok(Who::Everybody), |name| Who::read(world, name));
    let (from, to) = (read(&question.from)?, read(&question.to)?);
    if let (Who::Outside, Who::Outside) = (&from, &to) {
        let name = |name: &Option<String>| name.clone().unwrap_or_default();
        return Err(WhoError::BothOutside { from: name(&question.from), to: name(&question.to) });
    }
    if let Some(vpc) = &vpc {
        for (name, who) in [(&question.from, &from), (&question.to, &to)] {
            if who.is_elsewhere(world, vpc) {
                return Err(WhoError::Elsewhere { name: name.clone().unwrap_or_default(), vpc: vpc.clone() });
            }
        }
    }
    let (blocks, notes) = (BTreeMap::new(), ways::Notes::default());
    let mut asked = Asked { world, vpc, estate: Estate::of(world)?, blocks, notes };
    let inside = asked.inside(&from, &to)?;
    let mut outside = asked.outside(Direction::Ingress, &to, &from)?;
    outside.extend(asked.outside(Direction::Egress, &from, &to)?);
    if inside.len() + outside.len() > WHO_LINES_MAX {
        return Err(WhoError::TooLong);
    }
    let notes = asked.notes.told();
    Ok(Report { question: question.clone(), inside, outside, notes, revision: world.revision() })
}

/// What the interfaces of one VPC send to those of another and get through to them, by the rules of both ends.
///
/// # Errors
/// When it has too many lines, or the rules cut the packets into too many pieces.
pub(crate) fn across(world: &World, from: &VpcId, to: &VpcId) -> Result<Vec<Reach>, WhoError> {
    let (senders, receivers) = (world.enis_in(from), world.enis_in(to));
    let estate = Estate::of_those(world, senders.chain(receivers))?;
    let mut asked = Asked { world, vpc: None, estate, blocks: BTreeMap::new(), notes: ways::Notes::default() };
    let [from, to] = [from, to].map(|vpc| Who::Interfaces(world.enis_in(vpc).map(|eni| eni.id.clone()).collect()));
    asked.inside(&from, &to)
}

/// One side of a question.
#[derive(Debug)]
enum Who {
    Everybody,
    /// Every address outside.
    Outside,
    /// Whoever has an address in a block, inside and outside.
    Block(Cidr),
    Interfaces(BTreeSet<EniId>),
}

impl Who {
    fn read(world: &World, name: &str) -> Result<Self, WhoError> {
        let end = End::read(world, name)?;
        let is_by_what_it_has = match &end {
            End::Internet => return Ok(Self::Outside),
            End::Block(block) => return Ok(Self::Block(*block)),
            End::Name(_) | End::Tags(_) => true,
            End::Instance(_) | End::Eni(_) | End::Group(_) | End::Vpc(_) | End::Subnet(_) => false,
        };
        let enis: BTreeSet<EniId> = ends::interfaces(world, &end).map(|eni| eni.id.clone()).collect();
        // What is there and has no interface is told as that; a tag that nobody has is mostly mistyped.
        if enis.is_empty() && is_by_what_it_has {
            return Err(WhoError::Nobody(name.to_owned()));
        }
        Ok(Self::Interfaces(enis))
    }

    /// Whether it is interfaces, and none of them is in a VPC.
    fn is_elsewhere(&self, world: &World, vpc: &VpcId) -> bool {
        match self {
            Self::Everybody | Self::Outside | Self::Block(_) => false,
            Self::Interfaces(enis) => {
                let is_there = |id: &EniId| world.eni(id).is_some_and(|eni| eni.vpc == *vpc);
                !enis.is_empty() && !enis.iter().any(is_there)
            }
        }
    }

    fn holds(&self, eni: &Eni, address: IpAddr) -> bool {
        match self {
            Self::Everybody => true,
            Self::Outside => false,
            Self::Block(block) => block.contains(address),
            Self::Interfaces(enis) => enis.contains(&eni.id),
        }
    }

    /// The runs of addresses outside that are meant, as numbers of a family.
    fn run(&self, family: Family) -> Option<(u128, u128)> {
        match self {
            Self::Everybody | Self::Outside => Some((0, u128::MAX)),
            Self::Block(block) if block.family() == family => {
                let net = block.network();
                Some((number(net.network()), number(net.broadcast())))
            }
            Self::Block(_) | Self::Interfaces(_) => None,
        }
    }
}

/// A question on its way.
struct Asked<'a> {
    world: &'a World,
    vpc: Option<VpcId>,
    estate: Estate,
    /// What is inside of a VPC, as runs.
    blocks: BTreeMap<VpcId, Vec<(IpAddr, IpAddr)>>,
    /// What is told beside the lines.
    notes: ways::Notes,
}

impl Asked<'_> {
    /// The members of a unit that are meant.
    fn meant(&self, unit: &Unit, who: &Who) -> Members {
        let is_there = self.vpc.as_ref().is_none_or(|vpc| unit.bearing.vpc == *vpc);
        let members = unit.members.iter().filter(|(eni, own)| is_there && who.holds(eni, *own));
        members.cloned().collect()
    }

    fn inside(&mut self, from: &Who, to: &Who) -> Result<Vec<Reach>, WhoError> {
        let mut lines = Vec::new();
        let senders: Vec<Members> = self.estate.units.iter().map(|unit| self.meant(unit, from)).collect();
        for target in 0..self.estate.units.len() {
            let Some(unit) = self.estate.units.get(target) else { continue };
            let receivers = self.meant(unit, to);
            if receivers.is_empty() {
                continue;
            }
            for (sender, members) in senders.iter().enumerate().filter(|(_, members)| !members.is_empty()) {
                lines.extend(self.between((sender, members), (target, &receivers)));
                if lines.len() > WHO_LINES_MAX {
                    return Err(WhoError::TooLong);
                }
            }
        }
        Ok(lines)
    }

    /// What members of one unit send to members of another and get through.
    fn between(&mut self, from: (usize, &Members), to: (usize, &Members)) -> Vec<Reach> {
        let Estate { units, known, .. } = &mut self.estate;
        let (Some(sender), Some(receiver)) = (units.get(from.0), units.get(to.0)) else { return Vec::new() };
        let (ours, theirs) = (&sender.bearing.vpc, &receiver.bearing.vpc);
        if sender.family != receiver.family || !self.world.are_joined(ours, theirs) {
            return Vec::new();
        }
        // Who is let in alike, and who is sent to alike.
        let let_in = by_services(from.1, &receiver.ingress, (self.world, theirs));
        let sent_to = by_services(to.1, &sender.egress, (self.world, ours));
        let mut lines = Vec::new();
        for (ingress, senders) in &let_in {
            for (egress, receivers) in &sent_to {
                let (passed, pairs) = (known.passed(*ingress, *egress), distinct(senders, receivers));
                if passed.all != 0 && pairs > 0 {
                    [senders, receivers].into_iter().for_each(|members| self.notes.shown(self.world, members));
                    lines.push((passed, pairs, senders, receivers));
                }
            }
        }
        let line = |(passed, pairs, senders, receivers): (Passed, usize, &Members, &Members)| {
            let (services, answered) = told(known, passed);
            let from = side(self.world, &sender.bearing, senders);
            Reach { from, to: side(self.world, &receiver.bearing, receivers), pairs, services, answered }
        };
        lines.into_iter().map(line).collect()
    }

    /// What is open between some interfaces and addresses outside.
    fn outside(&mut self, direction: Direction, ours: &Who, theirs: &Who) -> Result<Vec<Exposure>, WhoError> {
        let mut lines = Vec::new();
        for unit in &self.estate.units {
            let members = self.meant(unit, ours);
            let Some(meant) = theirs.run(unit.family).filter(|_| !members.is_empty()) else { continue };
            let vpc = &unit.bearing.vpc;
            let world = self.world;
            let hidden = self.blocks.entry(vpc.clone()).or_insert_with(|| runs_inside(world, vpc));
            let facing = match direction {
                Direction::Ingress => &unit.ingress,
                Direction::Egress => &unit.egress,
            };
            let mut open: Vec<(Passed, (IpAddr, IpAddr))> = Vec::new();
            for (first, last, passed) in facing.runs(unit.family) {
                let run = (first.max(meant.0), last.min(meant.1));
                if run.0 <= run.1 {
                    let left = without(run, unit.family, hidden);
                    open.extend(left.into_iter().map(|run| (passed, run)));
                }
            }
            for (members, led) in alike(world, &members, direction, hidden) {
                self.notes.add(world, &members, (&open, &led));
                let mut by: BTreeMap<Passed, Vec<(IpAddr, IpAddr)>> = BTreeMap::new();
                for (passed, run) in &open {
                    by.entry(*passed).or_default().extend(led.within(*run));
                }
                for (passed, runs) in by.into_iter().filter(|(_, runs)| !runs.is_empty()) {
                    self.notes.shown(world, &members);
                    let (services, answered) = told(&self.estate.known, passed);
                    lines.push(Exposure {
                        direction,
                        interfaces: side(world, &unit.bearing, &members),
                        addresses: ranges(&joined(runs)),
                        services,
                        answered,
                    });
                    if lines.len() > WHO_LINES_MAX {
                        return Err(WhoError::TooLong);
                    }
                }
            }
        }
        Ok(lines)
    }
}

/// The words for what passes, and for what of it is answered if that is not all.
fn told(known: &Known, Passed { all, answered }: Passed) -> (Vec<String>, Option<Vec<String>>) {
    let words = |id: ServicesId| known.services(id).map(Services::words).unwrap_or_default();
    (words(all), (answered != all).then(|| words(answered)))
}

/// Members by what the other end lets pass; without those that it does not know by their addresses.
fn by_services(members: &Members, facing: &Facing, (world, vpc): (&World, &VpcId)) -> BTreeMap<Passed, Members> {
    let mut by: BTreeMap<Passed, Members> = BTreeMap::new();
    for (eni, own) in members {
        let passed = facing.at(*own);
        let is_known = || world.eni_seen_from(vpc, *own).is_some_and(|seen| seen.id == eni.id);
        if passed.all != 0 && is_known() {
            by.entry(passed).or_default().push((Arc::clone(eni), *own));
        }
    }
    by
}

/// How many pairs of two interfaces there are between some and others.
fn distinct(senders: &Members, receivers: &Members) -> usize {
    let interfaces = |members: &Members| members.iter().map(|(eni, _)| eni.id.clone()).collect::<BTreeSet<EniId>>();
    let (from, to) = (interfaces(senders), interfaces(receivers));
    from.len() * to.len() - from.intersection(&to).count()
}

fn side(world: &World, bearing: &Bearing, members: &Members) -> Side {
    let enis: BTreeSet<&EniId> = members.iter().map(|(eni, _)| &eni.id).collect();
    let name =
        |(eni, _): &(Arc<Eni>, IpAddr)| eni.instance.as_ref().map_or_else(|| eni.id.to_string(), ToString::to_string);
    let names: BTreeSet<String> = members.iter().map(name).collect();
    let addresses: BTreeSet<IpAddr> = members.iter().map(|(_, own)| *own).collect();
    Side {
        groups: bearing.groups.iter().map(|id| group_name(world, id)).collect(),
        vpc: bearing.vpc.clone(),
        interfaces: enis.len(),
        instances: shortened(names.into_iter().collect(), WHO_NAMES_MAX),
        addresses: shortened(addresses.iter().map(ToString::to_string).collect(), WHO_NAMES_MAX),
    }
}

/// Everything inside at once: which policies reach which, by how many different sets of services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matrix {
    /// Interfaces with an address.
    pub interfaces: usize,
    /// Policies: interfaces that nothing tells apart, of one family.
    pub policies: usize,
    /// Pairs of policies of which some member of the first reaches some member of the second.
    pub pairs: usize,
    /// Different sets of services by which they do.
    pub services: usize,
    /// Addresses that were looked at, for those who count the work.
    pub looked_at: u64,
}

/// Computes all pairs.
///
/// # Errors
/// When they are too many, or the rules are.
pub fn all_pairs(world: &World) -> Result<Matrix, WhoError> {
    let mut estate = Estate::of(world)?;
    let mut matrix = Matrix { interfaces: world.eni_count(), policies: estate.units.len(), ..Matrix::default() };
    let mut used: BTreeSet<ServicesId> = BTreeSet::new();
    let mut told = vec![(usize::MAX, 0); estate.units.len()];
    for target in 0..estate.units.len() {
        let (reached, looked_at) = reaching(&mut estate, target, &mut told);
        matrix.looked_at += looked_at;
        matrix.pairs += reached.chunk_by(|(one, _), (other, _)| one == other).count();
        used.extend(reached.iter().map(|(_, services)| *services));
        if matrix.pairs > WHO_PAIRS_MAX {
            return Err(WhoError::TooMany);
        }
    }
    matrix.services = used.len();
    Ok(matrix)
}

/// Who reaches some member of a unit, and by what, in order; and how many addresses that took. `told` is what each unit was told
/// last, and to which.
fn reaching(estate: &mut Estate, target: usize, told: &mut [(usize, ServicesId)]) -> (Vec<(usize, ServicesId)>, u64) {
    let Estate { units, known, seen } = estate;
    let Some(to) = units.get(target) else { return (Vec::new(), 0) };
    let seen = seen.get(&(to.bearing.vpc.clone(), to.family)).map(Vec::as_slice).unwrap_or_default();
    // A sender once for each answer that its addresses get.
    let mut let_in: Vec<(usize, ServicesId)> = Vec::new();
    for (first, last, Passed { all: services, .. }) in to.ingress.runs(to.family) {
        let from = seen.partition_point(|(address, _)| number(*address) < first);
        for (_, sender) in seen.iter().skip(from).take_while(|(address, _)| number(*address) <= last) {
            match told.get_mut(*sender) {
                Some(last) if *last != (target, services) => {
                    *last = (target, services);
                    let_in.push((*sender, services));
                }
                Some(_) | None => {}
            }
        }
    }
    let_in.sort_unstable();
    let_in.dedup();
    let mut looked_at = let_in.len() as u64;
    let (mut reached, mut sent_to): (Vec<(usize, ServicesId)>, Vec<ServicesId>) = (Vec::new(), Vec::new());
    for (sender, ingress) in let_in {
        let Some(from) = units.get(sender).filter(|from| !Arc::ptr_eq(&from.bearing, &to.bearing)) else { continue };
        sent_to.clear();
        sent_to.extend(to.members.iter().map(|(_, own)| from.egress.at(*own).all));
        looked_at += sent_to.len() as u64;
        sent_to.dedup();
        let services = sent_to.iter().map(|egress| (sender, known.meet(ingress, *egress)));
        reached.extend(services.filter(|(_, services)| *services != 0));
    }
    reached.extend(among(estate, target));
    reached.sort_unstable();
    reached.dedup();
    (reached, looked_at)
}

/// The same of senders with the policy of the unit itself, of which no interface counts as reaching itself.
fn among(estate: &mut Estate, target: usize) -> Vec<(usize, ServicesId)> {
    let mut reached = Vec::new();
    let Estate { units, known, .. } = estate;
    let Some(to) = units.get(target) else { return reached };
    let alike = |unit: &Unit| Arc::ptr_eq(&unit.bearing, &to.bearing) && unit.family == to.family;
    for (sender, from) in units.iter().enumerate().filter(|(_, unit)| alike(unit)) {
        let services = |members: &Members, facing: &Facing| {
            let mut by: BTreeMap<ServicesId, Members> = BTreeMap::new();
            members.iter().for_each(|one| by.entry(facing.at(one.1).all).or_default().push(one.clone()));
            by
        };
        let (let_in, sent_to) = (services(&from.members, &to.ingress), services(&to.members, &from.egress));
        for (ingress, senders) in &let_in {
            for (egress, receivers) in &sent_to {
                let both = known.meet(*ingress, *egress);
                if both != 0 && distinct(senders, receivers) > 0 {
                    reached.push((sender, both));
                }
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn a_vpc_that_is_unknown_or_another_is_refused_by_name() {
        let world = fixture::world(
            "
            sg web
            sg none
            eni web 10.1.0.2 in web",
        );
        let asked = |from: Option<&str>, to: Option<&str>, vpc: &str| {
            let [from, to, vpc] = [from, to, Some(vpc)].map(|name| name.map(str::to_owned));
            ask(&world, &Question { from, to, vpc })
        };
        for (from, to) in
            [(Some("i-web"), None), (None, Some("i-web")), (Some("internet"), None), (None, Some("sg-none"))]
        {
            assert_eq!(asked(from, to, "vpc-9").unwrap_err(), WhoError::UnknownVpc("vpc-9".to_owned()));
        }
        for (from, to, name) in [(Some("sg-web"), None, "sg-web"), (Some("internet"), Some("i-web"), "i-web")] {
            let elsewhere = WhoError::Elsewhere { name: name.to_owned(), vpc: "vpc-2".into() };
            assert_eq!(asked(from, to, "vpc-2").unwrap_err(), elsewhere);
        }
        assert!(asked(None, Some("i-web"), "vpc-1").is_ok() && asked(None, Some("sg-none"), "vpc-2").is_ok());
    }
}
