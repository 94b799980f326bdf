//! Which ENIs of this host have the policy of which place, so that a policy that changes is found without asking every ENI.

use std::{collections::BTreeMap, sync::Arc};

use sekimori_core::{
    ids::{EniId, VpcId},
    world::GroupSet,
};

use crate::policy::Place;

/// See the module. Candidates have no seats of their own: see [`Place::is_candidate`].
#[derive(Clone, Debug, Default)]
pub(super) struct Seats {
    places: BTreeMap<EniId, Place>,
    /// With their numbers; 0 stands for none.
    enis: BTreeMap<Place, BTreeMap<EniId, u32>>,
}

impl Seats {
    /// Notes where an ENI is now, or that it is not here.
    pub(super) fn seat(&mut self, id: &EniId, place: Option<Place>) {
        if self.places.get(id) == place.as_ref() {
            return;
        }
        if let Some(old) = self.places.remove(id)
            && let Some(others) = self.enis.get_mut(&old)
        {
            others.remove(id);
            if others.is_empty() {
                self.enis.remove(&old);
            }
        }
        if let Some(place) = place {
            self.places.insert(id.clone(), place.clone());
            self.enis.entry(place).or_default().insert(id.clone(), 0);
        }
    }

    /// Notes the number of an ENI that is here.
    pub(super) fn number(&mut self, id: &EniId, slot: u32) {
        let place = self.places.get(id).and_then(|place| self.enis.get_mut(place));
        if let Some(known) = place.and_then(|enis| enis.get_mut(id)) {
            *known = slot;
        }
    }

    /// Where the ENIs with exactly this set are, and which they are, with their numbers.
    pub(super) fn of(&self, set: &GroupSet) -> impl Iterator<Item = (&Place, &BTreeMap<EniId, u32>)> + use<'_> {
        let set = Arc::clone(set);
        self.enis.range(first_of(&set)..).take_while(move |(place, _)| place.set == set)
    }

    /// The ENIs of a place, or, of a candidate's, those that it stands beside.
    pub(super) fn at<'a>(&'a self, place: &'a Place) -> impl Iterator<Item = &'a EniId> {
        let is_there = move |other: &Place| match place.is_candidate {
            true => other.vpc == place.vpc,
            false => other == place,
        };
        self.of(&place.set).filter(move |(other, _)| is_there(other)).flat_map(|(_, enis)| enis.keys())
    }
}

/// No place of this set comes before it.
pub(super) fn first_of(set: &GroupSet) -> Place {
    Place { set: Arc::clone(set), vpc: VpcId::from(""), subnet: None, is_candidate: false }
}
