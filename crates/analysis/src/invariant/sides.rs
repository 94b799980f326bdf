//! Whom the ends of invariants mean now: interfaces by address, together with those that nothing tells apart from them.
//!
//! It is kept from change to change, and a change moves only the interfaces that it touches.

use std::{collections::BTreeSet, net::IpAddr};

use imbl::{OrdMap, OrdSet};

use sekimori_core::{
    address::Cidr,
    end::End,
    ids::EniId,
    world::{Eni, World},
};

use crate::{
    ends::{candidates, holds, interfaces},
    permits::Bearing,
};

/// An address of an interface.
pub(super) type Member = (IpAddr, EniId);

/// Interfaces that are meant, by what they let pass.
#[derive(Clone, Debug, Default)]
pub(super) struct Members(OrdMap<Bearing, OrdSet<Member>>);

/// The addresses outside that are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outside {
    All,
    Block(Cidr),
}

impl Outside {
    pub(super) fn of(end: &End) -> Option<Self> {
        match end {
            End::Internet => Some(Self::All),
            End::Block(block) => Some(Self::Block(*block)),
            End::Instance(_)
            | End::Eni(_)
            | End::Group(_)
            | End::Name(_)
            | End::Tags(_)
            | End::Vpc(_)
            | End::Subnet(_) => None,
        }
    }
}

impl Members {
    /// Everybody inside whom an end means.
    pub(super) fn of(world: &World, end: &End) -> Self {
        let mut members = Self::default();
        candidates(world, end).for_each(|eni| members.add(world, end, eni));
        members
    }

    /// Puts an interface where it belongs after a change.
    pub(super) fn follow(&mut self, end: &End, eni: &EniId, before: &World, after: &World) {
        if let Some(old) = before.eni(eni) {
            self.remove(&Bearing::of(before, old), old);
        }
        if let Some(new) = after.eni(eni) {
            self.add(after, end, new);
        }
    }

    /// Those of them that are among these interfaces, or let pass what these do.
    pub(super) fn only(&self, world: &World, enis: &BTreeSet<EniId>, bearings: &BTreeSet<Bearing>) -> Self {
        let whole = bearings.iter().filter_map(|bearing| Some((bearing.clone(), self.0.get(bearing)?.clone())));
        let mut only = Self(whole.collect());
        for eni in enis.iter().filter_map(|id| world.eni(id)) {
            let bearing = Bearing::of(world, eni);
            let Some(all) = self.0.get(&bearing) else { continue };
            let own = eni.addresses.iter().map(|own| (*own, eni.id.clone())).filter(|member| all.contains(member));
            let own: Vec<Member> = own.collect();
            if !own.is_empty() {
                only.0.entry(bearing).or_default().extend(own);
            }
        }
        only
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Bearing, &OrdSet<Member>)> {
        self.0.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    fn add(&mut self, world: &World, end: &End, eni: &Eni) {
        let meant: Vec<Member> = eni
            .addresses
            .iter()
            .filter(|own| holds(world, end, eni, **own))
            .map(|own| (*own, eni.id.clone()))
            .collect();
        if !meant.is_empty() {
            self.0.entry(Bearing::of(world, eni)).or_default().extend(meant);
        }
    }

    fn remove(&mut self, bearing: &Bearing, eni: &Eni) {
        let Some(members) = self.0.get_mut(bearing) else { return };
        for own in &eni.addresses {
            members.remove(&(*own, eni.id.clone()));
        }
        if members.is_empty() {
            self.0.remove(bearing);
        }
    }
}

/// Whether nobody is meant by an end. Outside there is always somebody.
pub(super) fn is_nobody(world: &World, end: &End) -> bool {
    Outside::of(end).is_none() && interfaces(world, end).next().is_none()
}

/// The members with an address in a run.
pub(super) fn within(members: &OrdSet<Member>, (first, last): (IpAddr, IpAddr)) -> impl Iterator<Item = &Member> {
    members.range((first, EniId::from(""))..).take_while(move |(own, _)| *own <= last)
}
