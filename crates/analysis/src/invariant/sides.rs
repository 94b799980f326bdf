//! Whom the ends of invariants mean now: interfaces by address, together with those that nothing tells apart from them.
//!
//! It is kept from change to change, and a change moves only the interfaces that it touches.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use imbl::{OrdMap, OrdSet};

use sekimori_core::{
    address::Cidr,
    ids::EniId,
    invariant::End,
    tags::Tags,
    world::{Eni, World},
};

use crate::permits::Bearing;

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
            End::Instance(_) | End::Eni(_) | End::Group(_) | End::Tags(_) | End::Vpc(_) | End::Subnet(_) => None,
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

/// Interfaces among which those are that an end means.
fn candidates<'a>(world: &'a World, end: &End) -> Box<dyn Iterator<Item = &'a Arc<Eni>> + 'a> {
    match end {
        End::Internet => Box::new(std::iter::empty()),
        End::Instance(id) => Box::new(world.enis_of(id)),
        End::Eni(id) => Box::new(world.eni(id).into_iter()),
        End::Group(id) => Box::new(world.members(id)),
        End::Vpc(id) => Box::new(world.enis_in(id)),
        End::Block(_) | End::Tags(_) | End::Subnet(_) => Box::new(world.enis()),
    }
}

/// Whether nobody is meant by an end. Outside there is always somebody.
pub(super) fn is_nobody(world: &World, end: &End) -> bool {
    let is_meant = |eni: &Arc<Eni>| eni.addresses.iter().any(|own| holds(world, end, eni, *own));
    Outside::of(end).is_none() && !candidates(world, end).any(is_meant)
}

/// Whether an end means an interface at an address.
fn holds(world: &World, end: &End, eni: &Eni, own: IpAddr) -> bool {
    match end {
        End::Internet => false,
        End::Block(block) => block.contains(own),
        End::Instance(id) => eni.instance.as_ref() == Some(id),
        End::Eni(id) => eni.id == *id,
        End::Group(id) => eni.groups.contains(id),
        End::Vpc(id) => eni.vpc == *id,
        End::Subnet(id) => eni.subnet == *id,
        End::Tags(asked) => {
            let instance = eni.instance.as_ref().and_then(|id| world.instance(id));
            let has = |tags: &Tags, (key, value): &(String, Option<String>)| {
                tags.get(key).is_some_and(|own| value.as_ref().is_none_or(|value| value == own))
            };
            let of_instance = |tag| instance.is_some_and(|instance| has(&instance.tags, tag));
            asked.iter().all(|tag| has(&eni.tags, tag) || of_instance(tag))
        }
    }
}

/// The members with an address in a run.
pub(super) fn within(members: &OrdSet<Member>, (first, last): (IpAddr, IpAddr)) -> impl Iterator<Item = &Member> {
    members.range((first, EniId::from(""))..).take_while(move |(own, _)| *own <= last)
}
