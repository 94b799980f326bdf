//! Interfaces that are told apart by nothing: the same groups in one VPC behind one network ACL, and own addresses that no rule
//! tells apart. What one of them lets pass, all of them do, so that it is computed once for all.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use sekimori_core::{
    address::{Family, number},
    ids::VpcId,
    rule::Direction,
    space::{TooComplex, resolve::ReadMembers, view::Bounds},
    world::{Eni, World},
};

use crate::{permits::Bearing, services::Services};

/// The number of a set of services in [`Known`]; 0 is none.
pub(super) type ServicesId = u32;

/// What passes between two ends, or past one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Passed {
    /// Of first packets.
    pub(super) all: ServicesId,
    /// Those whose answers pass as well.
    pub(super) answered: ServicesId,
}

/// Every set of services that was met, once.
#[derive(Debug, Default)]
pub(super) struct Known {
    ids: BTreeMap<Services, ServicesId>,
    all: Vec<Services>,
    met: BTreeMap<(ServicesId, ServicesId), ServicesId>,
}

impl Known {
    pub(super) fn new() -> Self {
        let none = Services::default();
        Self { ids: BTreeMap::from([(none.clone(), 0)]), all: vec![none], met: BTreeMap::new() }
    }

    pub(super) fn id(&mut self, services: Services) -> ServicesId {
        if let Some(id) = self.ids.get(&services) {
            return *id;
        }
        let id = self.all.len() as ServicesId;
        self.all.push(services.clone());
        self.ids.insert(services, id);
        id
    }

    pub(super) fn services(&self, id: ServicesId) -> Option<&Services> {
        self.all.get(id as usize)
    }

    /// What passes at both of two ends.
    pub(super) fn passed(&mut self, one: Passed, other: Passed) -> Passed {
        Passed { all: self.meet(one.all, other.all), answered: self.meet(one.answered, other.answered) }
    }

    /// The services that are in both.
    pub(super) fn meet(&mut self, one: ServicesId, other: ServicesId) -> ServicesId {
        if one == other || one == 0 || other == 0 {
            return if one == other { one } else { 0 };
        }
        let key = (one.min(other), one.max(other));
        if let Some(id) = self.met.get(&key) {
            return *id;
        }
        let both = self.services(one).zip(self.services(other)).map(|(one, other)| one.meet(other));
        let id = self.id(both.unwrap_or_default().told());
        self.met.insert(key, id);
        id
    }
}

/// Something by the other end's address: from each number on, until the next.
#[derive(Clone, Debug, Default)]
pub(super) struct Runs<T>(Vec<(u128, T)>);

/// What passes in one direction.
pub(super) type Facing = Runs<Passed>;

impl<T: Copy + Default> Runs<T> {
    fn at_number(&self, at: u128) -> T {
        let after = self.0.partition_point(|(first, _)| *first <= at);
        after.checked_sub(1).and_then(|index| self.0.get(index)).map_or_else(T::default, |(_, here)| *here)
    }
}

impl Runs<ServicesId> {
    /// Boxes of one family and direction, whatever their own addresses.
    fn of(boxes: &[Bounds], known: &mut Known) -> Self {
        let mut events: BTreeMap<u128, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
        for (index, bounds) in boxes.iter().enumerate() {
            events.entry(number(bounds.peers.0)).or_default().0.push(index);
            if let Some(end) = number(bounds.peers.1).checked_add(1) {
                events.entry(end).or_default().1.push(index);
            }
        }
        let (mut active, mut runs): (BTreeSet<usize>, Vec<(u128, ServicesId)>) = (BTreeSet::new(), Vec::new());
        for (at, (begin, end)) in events {
            active.extend(begin);
            active.retain(|index| !end.contains(index));
            let here = active.iter().filter_map(|index| boxes.get(*index));
            let id = known.id(Services::of(here).told());
            if runs.last().is_none_or(|(_, before)| *before != id) {
                runs.push((at, id));
            }
        }
        Self(runs)
    }
}

impl Facing {
    /// Boxes of one family and direction, and of them what is answered, if that is not all.
    fn of(all: &[Bounds], answered: Option<&[Bounds]>, known: &mut Known) -> Self {
        let all = Runs::<ServicesId>::of(all, known);
        let Some(answered) = answered.map(|boxes| Runs::<ServicesId>::of(boxes, known)) else {
            let passed = |(at, id): (u128, ServicesId)| (at, Passed { all: id, answered: id });
            return Self(all.0.into_iter().map(passed).collect());
        };
        let starts: BTreeSet<u128> = all.0.iter().chain(&answered.0).map(|(at, _)| *at).collect();
        let passed = |at: u128| (at, Passed { all: all.at_number(at), answered: answered.at_number(at) });
        Self(starts.into_iter().map(passed).collect())
    }

    pub(super) fn at(&self, address: IpAddr) -> Passed {
        self.at_number(number(address))
    }

    /// The runs with something in them: first and last number.
    pub(super) fn runs(&self, family: Family) -> impl Iterator<Item = (u128, u128, Passed)> + use<'_> {
        let ends = self.0.iter().skip(1).map(|(next, _)| next - 1).chain([family.last()]);
        let runs = self.0.iter().zip(ends).map(|((first, passed), last)| (*first, last, *passed));
        runs.filter(|(_, _, passed)| passed.all != 0)
    }
}

/// Addresses that are told apart by nothing.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) bearing: Arc<Bearing>,
    pub(super) family: Family,
    pub(super) members: Vec<(Arc<Eni>, IpAddr)>,
    pub(super) ingress: Facing,
    pub(super) egress: Facing,
}

/// Every unit of a world, and who knows whose address.
#[derive(Debug)]
pub(super) struct Estate {
    pub(super) units: Vec<Unit>,
    pub(super) known: Known,
    /// The addresses that are seen in a VPC, each with its unit.
    pub(super) seen: BTreeMap<(VpcId, Family), Vec<(IpAddr, usize)>>,
}

impl Estate {
    pub(super) fn of(world: &World) -> Result<Self, TooComplex> {
        Self::of_those(world, world.enis())
    }

    /// The same of some interfaces only.
    pub(super) fn of_those<'a>(
        world: &World,
        enis: impl IntoIterator<Item = &'a Arc<Eni>>,
    ) -> Result<Self, TooComplex> {
        let mut policies: BTreeMap<Bearing, Vec<&Arc<Eni>>> = BTreeMap::new();
        for eni in enis {
            policies.entry(Bearing::of(world, eni)).or_default().push(eni);
        }
        let (mut units, mut known, read) = (Vec::new(), Known::new(), ReadMembers::default());
        for (bearing, enis) in policies {
            units.extend(units_of(world, Arc::new(bearing), &enis, &mut known, &read)?);
        }
        let seen = seen(world, &units);
        Ok(Self { units, known, seen })
    }
}

/// What passes in a direction, as boxes.
struct Way {
    all: Vec<Bounds>,
    /// Those whose answers pass, where something looks at answers.
    answered: Option<Vec<Bounds>>,
}

impl Way {
    fn of(world: &World, bearing: &Bearing, direction: Direction, read: &ReadMembers) -> Result<Self, TooComplex> {
        let judged = bearing.judged_knowing(world, direction, read)?;
        let answered = bearing.guarded.as_ref().map(|_| bearing.answered(world, &judged, direction)).transpose()?;
        Ok(Self { all: judged.boxes().collect(), answered: answered.map(|set| set.boxes().collect()) })
    }

    fn boxes(&self) -> impl Iterator<Item = &Bounds> {
        self.all.iter().chain(self.answered.iter().flatten())
    }
}

fn units_of(
    world: &World,
    bearing: Arc<Bearing>,
    enis: &[&Arc<Eni>],
    known: &mut Known,
    read: &ReadMembers,
) -> Result<Vec<Unit>, TooComplex> {
    let ingress = Way::of(world, &bearing, Direction::Ingress, read)?;
    let egress = Way::of(world, &bearing, Direction::Egress, read)?;
    let boxes: Vec<&Bounds> = [&ingress, &egress].into_iter().flat_map(Way::boxes).collect();
    let holds = |bounds: &Bounds, own: &IpAddr| bounds.own.0 <= *own && *own <= bounds.own.1;
    let cuts: BTreeSet<IpAddr> = boxes.iter().map(|bounds| bounds.own.0).collect();
    let cuts: Vec<IpAddr> = cuts.into_iter().chain(boxes.iter().map(|bounds| bounds.own.1)).collect();
    // Families and, where a rule names own addresses, the runs between the ends of its blocks.
    let mut alike: BTreeMap<Vec<bool>, Vec<(Arc<Eni>, IpAddr)>> = BTreeMap::new();
    let is_cut = cuts.iter().any(|cut| number(*cut) != 0 && !is_last(*cut));
    for (eni, own) in enis.iter().flat_map(|eni| eni.addresses.iter().map(|own| (Arc::clone(eni), *own))) {
        let mut signature = vec![own.is_ipv6()];
        if is_cut {
            signature.extend(boxes.iter().map(|bounds| holds(bounds, &own)));
        }
        alike.entry(signature).or_default().push((eni, own));
    }
    let mut units = Vec::new();
    for members in alike.into_values() {
        let Some((_, own)) = members.first() else { continue };
        let (own, family) = (*own, Family::of(*own));
        let here = |boxes: &'_ [Bounds]| -> Vec<Bounds> {
            boxes.iter().filter(|bounds| holds(bounds, &own)).copied().collect()
        };
        let mut facing = |way: &Way| {
            let (all, answered) = (here(&way.all), way.answered.as_deref().map(here));
            Facing::of(&all, answered.as_deref(), known)
        };
        let (ingress, egress) = (facing(&ingress), facing(&egress));
        units.push(Unit { bearing: Arc::clone(&bearing), family, members, ingress, egress });
    }
    Ok(units)
}

fn is_last(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => u32::from(address) == u32::MAX,
        IpAddr::V6(address) => u128::from(address) == u128::MAX,
    }
}

/// By VPC and family: its own addresses, and those of the VPCs that it is peered with.
fn seen(world: &World, units: &[Unit]) -> BTreeMap<(VpcId, Family), Vec<(IpAddr, usize)>> {
    let mut seen: BTreeMap<(VpcId, Family), Vec<(IpAddr, usize)>> = BTreeMap::new();
    let mut joined: BTreeMap<&VpcId, BTreeSet<VpcId>> = BTreeMap::new();
    for (index, unit) in units.iter().enumerate() {
        let vpcs = joined.entry(&unit.bearing.vpc).or_insert_with_key(|vpc| world.joined_with(vpc));
        for vpc in vpcs.iter() {
            let of_vpc = seen.entry((vpc.clone(), unit.family)).or_default();
            // What a VPC has itself is nearer than what a peer has.
            let is_nearest = |(eni, own): &&(Arc<Eni>, IpAddr)| {
                world.eni_seen_from(vpc, *own).is_some_and(|nearest| nearest.id == eni.id)
            };
            of_vpc.extend(unit.members.iter().filter(is_nearest).map(|(_, own)| (*own, index)));
        }
    }
    seen.values_mut().for_each(|addresses| addresses.sort_unstable());
    seen
}
