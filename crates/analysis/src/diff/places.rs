//! Where packets are decided otherwise: interfaces that share a policy before and one after, with what these gain and lose.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use sekimori_core::{
    ids::{EniId, GroupId},
    rule::Direction,
    space::{
        Set, TooComplex,
        resolve::{Reader, discovery, may_discover, sendable_unjudged},
        view::{at_own, to_peers},
    },
    world::{Eni, World},
};

use super::{Crossing, DiffError, named, suspects::Suspects};
use crate::permits::Bearing;

/// Both directions, in the order in which they are told.
pub(super) const BOTH: [Direction; 2] = [Direction::Ingress, Direction::Egress];

/// A policy in a world.
pub(super) struct Judged<'a> {
    pub(super) world: &'a World,
    pub(super) bearing: &'a Bearing,
}

/// What passes only after, and what passed only before.
#[derive(Clone, Debug, Default)]
pub(super) struct Sets {
    pub(super) gained: Set,
    pub(super) lost: Set,
}

impl Sets {
    fn is_empty(&self) -> bool {
        self.gained.is_empty() && self.lost.is_empty()
    }
}

/// Interfaces of which the same is true.
pub(super) struct Place {
    /// As they are after.
    pub(super) enis: Vec<Arc<Eni>>,
    /// The policy after, for one that no interface has.
    pub(super) bearing: Bearing,
    /// Towards the interfaces and away from them. What is said holds at their own addresses, unless `is_exact`.
    pub(super) sets: [Sets; 2],
    /// Whether the sets tell the own addresses by themselves.
    pub(super) is_exact: bool,
}

/// Everything that is decided otherwise.
#[derive(Default)]
pub(super) struct Places {
    pub(super) places: Vec<Place>,
    pub(super) new: Vec<Arc<Eni>>,
    pub(super) gone: Vec<Arc<Eni>>,
    /// Groups that are in the second world only, and in the first only.
    pub(super) new_groups: Vec<GroupId>,
    pub(super) gone_groups: Vec<GroupId>,
    pub(super) bypass: Vec<String>,
    pub(super) around: Vec<String>,
    pub(super) crossings: Vec<Crossing>,
    pub(super) crossings_untold: usize,
}

impl Places {
    pub(super) fn between(before: &World, after: &World) -> Result<Self, DiffError> {
        let suspects = Suspects::between(before, after);
        let mut places = Self::default();
        if suspects.differences.is_empty() {
            return Ok(places);
        }
        let groups = || suspects.differences.groups.iter().cloned();
        places.new_groups = groups().filter(|id| before.group(id).is_none()).collect();
        places.gone_groups = groups().filter(|id| after.group(id).is_none()).collect();
        places.bypass = super::suspects::bypass_words(before, after);
        places.around = super::around::words(before, after, &suspects.differences);
        (places.crossings, places.crossings_untold) =
            super::across::crossings((before, after), &suspects.differences.joined)?;
        let mut alike: BTreeMap<(Bearing, Bearing), Vec<&Arc<Eni>>> = BTreeMap::new();
        for id in looked_at(before, after, &suspects) {
            let (old, new) = match (before.eni(&id), after.eni(&id)) {
                (Some(old), Some(new)) => (old, new),
                (Some(old), None) => {
                    places.gone.push(Arc::clone(old));
                    continue;
                }
                (None, new) => {
                    places.new.extend(new.cloned());
                    continue;
                }
            };
            let bearings = (Bearing::of(before, old), Bearing::of(after, new));
            if is_odd(old, new) {
                let place = Place::of_one((before, old), (after, new), &bearings, &suspects);
                places.places.extend(place.map_err(|error| too_complex(after, &bearings.1, error))?);
            } else {
                alike.entry(bearings).or_default().push(new);
            }
        }
        for (bearings, enis) in alike {
            let (old, new) = (judged(before, &bearings.0), judged(after, &bearings.1));
            let sets = both(|direction| differing(&old, &new, &suspects.of(&old, &new, direction)?, direction));
            let sets = sets.map_err(|error| too_complex(after, &bearings.1, error))?;
            if sets.iter().any(|sets| !sets.is_empty()) {
                let enis = enis.into_iter().cloned().collect();
                places.places.push(Place { enis, bearing: bearings.1, sets, is_exact: false });
            }
        }
        Ok(places)
    }
}

impl Place {
    /// What one policy lets pass and another does not, at whatever own address.
    pub(super) fn of_policies(
        world: &World,
        before: &Bearing,
        after: &Bearing,
        eni: Option<Arc<Eni>>,
    ) -> Result<Option<Self>, DiffError> {
        let (old, new) = (judged(world, before), judged(world, after));
        let suspects = Suspects::between(world, world);
        let sets = both(|direction| differing(&old, &new, &suspects.of(&old, &new, direction)?, direction));
        let sets = sets.map_err(|error| too_complex(world, after, error))?;
        let is_same = sets.iter().all(Sets::is_empty);
        let (enis, bearing) = (eni.into_iter().collect(), after.clone());
        Ok((!is_same).then_some(Self { enis, bearing, sets, is_exact: false }))
    }

    /// An interface whose own addresses are others than before, or that may use any.
    fn of_one(
        (before, old): (&World, &Arc<Eni>),
        (after, new): (&World, &Arc<Eni>),
        bearings: &(Bearing, Bearing),
        suspects: &Suspects<'_>,
    ) -> Result<Option<Self>, TooComplex> {
        let (was, is) = (judged(before, &bearings.0), judged(after, &bearings.1));
        let sets = both(|direction| {
            let (old_own, new_own) = (own(old, direction)?, own(new, direction)?);
            let either = old_own.union(&new_own)?;
            let suspect = suspects.of(&was, &is, direction)?.intersection(&either)?;
            let unsure = either.difference(&old_own.intersection(&new_own)?)?;
            let packets = suspect.union(&unsure.difference(&discovery(direction))?)?;
            let passing = |judged: &Judged<'_>, eni: &Eni, own: &Set| -> Result<Set, TooComplex> {
                let ruled = judged.bearing.passing(judged.world, &packets, direction)?.intersection(own)?;
                let ruled = ruled.union(&bypassed(judged, eni, direction)?.intersection(&packets)?)?;
                ruled.union(&may_discover(eni, direction)?)
            };
            let (a, b) = (passing(&is, new, &new_own)?, passing(&was, old, &old_own)?);
            // What an interface sends to itself never leaves it, whatever its addresses are.
            let itself = |eni: &Eni| to_peers(direction, &eni.addresses.iter().copied().collect());
            let (gained, lost) = (a.difference(&b)?, b.difference(&a)?);
            Ok(Sets { gained: gained.difference(&itself(new)?)?, lost: lost.difference(&itself(old)?)? })
        })?;
        let is_same = sets.iter().all(Sets::is_empty);
        let bearing = bearings.1.clone();
        Ok((!is_same).then(|| Self { enis: vec![Arc::clone(new)], bearing, sets, is_exact: true }))
    }
}

fn judged<'a>(world: &'a World, bearing: &'a Bearing) -> Judged<'a> {
    Judged { world, bearing }
}

fn both(sets: impl Fn(Direction) -> Result<Sets, TooComplex>) -> Result<[Sets; 2], TooComplex> {
    let [ingress, egress] = BOTH;
    Ok([sets(ingress)?, sets(egress)?])
}

fn differing(old: &Judged<'_>, new: &Judged<'_>, packets: &Set, direction: Direction) -> Result<Sets, TooComplex> {
    if packets.is_empty() {
        return Ok(Sets::default());
    }
    let a = new.bearing.passing(new.world, packets, direction)?;
    let b = old.bearing.passing(old.world, packets, direction)?;
    Ok(Sets { gained: a.difference(&b)?, lost: b.difference(&a)? })
}

fn too_complex(world: &World, bearing: &Bearing, error: TooComplex) -> DiffError {
    DiffError::TooComplex { groups: named(world, &judged(world, bearing)), error }
}

fn is_odd(old: &Eni, new: &Eni) -> bool {
    let addresses = |eni: &Eni| eni.addresses.iter().copied().collect::<BTreeSet<_>>();
    !old.source_check || !new.source_check || addresses(old) != addresses(new)
}

/// The packets at an interface's own addresses.
fn own(eni: &Eni, direction: Direction) -> Result<Set, TooComplex> {
    if !eni.source_check {
        return Ok(Set::everything(direction));
    }
    at_own(direction, &eni.addresses.iter().copied().collect())
}

/// What the bypass set lets pass at an interface.
fn bypassed(judged: &Judged<'_>, eni: &Eni, direction: Direction) -> Result<Set, TooComplex> {
    let reader = Reader::new(judged.world, &judged.bearing.vpc, []);
    let mut passing = Set::empty();
    for entry in judged.world.bypass().entries().iter().filter(|entry| entry.direction == direction) {
        passing = passing.union(&reader.bypass(entry)?)?;
    }
    if direction == Direction::Ingress || !eni.source_check {
        return Ok(passing);
    }
    passing.intersection(&sendable_unjudged(eni)?)
}

/// Interfaces that something is not the same about.
pub(super) fn looked_at(before: &World, after: &World, suspects: &Suspects<'_>) -> BTreeSet<EniId> {
    let differences = &suspects.differences;
    let mut ids = differences.enis.clone();
    for world in [before, after] {
        if differences.bypass || differences.platform {
            ids.extend(world.enis().map(|eni| eni.id.clone()));
        }
        for set in suspects.groups().flat_map(|group| world.group_sets_with(group)) {
            ids.extend(world.enis_with(set).cloned());
        }
        for vpc in differences.vpcs.iter().chain(&differences.joined) {
            ids.extend(world.enis_in(vpc).map(|eni| eni.id.clone()));
        }
        for instance in &differences.instances {
            ids.extend(world.enis_of(instance).map(|eni| eni.id.clone()));
        }
        for subnet in differences.subnets.iter().filter_map(|id| world.subnet(id)) {
            let enis = world.enis_in(&subnet.vpc).filter(|eni| eni.subnet == subnet.id);
            ids.extend(enis.map(|eni| eni.id.clone()));
        }
        for acl in differences.network_acls.iter().filter_map(|id| world.network_acl(id)) {
            ids.extend(world.enis_behind(acl).map(|eni| eni.id.clone()));
        }
    }
    ids
}
