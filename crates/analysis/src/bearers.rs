//! Who carries a group, together with which others: each set of groups that ENIs of a VPC have is a policy of its own.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use sekimori_core::{
    address::Cidr,
    ids::VpcId,
    rule::Direction,
    space::{Set, TooComplex, resolve},
    world::{Eni, Group, GroupSet, World, group_set},
};

/// A set of groups, and a VPC whose ENIs carry it.
pub(crate) type Bearers = (GroupSet, VpcId);

/// The group by itself in its own VPC, then every set of groups that an ENI carries it with, in every VPC where one does.
pub(crate) fn of_group(world: &World, group: &Group) -> impl Iterator<Item = Bearers> + use<> {
    let alone = (group_set(std::slice::from_ref(&group.id)), group.vpc.clone());
    let mut others = BTreeSet::new();
    for set in world.group_sets_with(&group.id) {
        others.extend(world.enis_with(set).filter_map(|id| world.eni(id)).map(|eni| (set.clone(), eni.vpc.clone())));
    }
    others.remove(&alone);
    std::iter::once(alone).chain(others)
}

/// The ENIs that carry exactly these groups.
pub(crate) fn enis<'a>(world: &'a World, (set, vpc): &'a Bearers) -> impl Iterator<Item = &'a Arc<Eni>> {
    world.enis_with(set).filter_map(|id| world.eni(id)).filter(move |eni| eni.vpc == *vpc)
}

/// The packets at the own addresses of these ENIs, as far as they are known and a rule asks for them.
pub(crate) fn owned(world: &World, bearers: &Bearers, direction: Direction) -> Result<Option<Set>, TooComplex> {
    let blocks = own_blocks(world, &bearers.0, direction);
    let own = own_addresses(world, bearers).filter(|_| !blocks.is_empty());
    own.map(|own| resolve::owned(direction, &own, &blocks)).transpose()
}

/// The own addresses of the interfaces that carry exactly these groups; nothing when there is none, or one that may use
/// any address.
fn own_addresses(world: &World, bearers: &Bearers) -> Option<BTreeSet<IpAddr>> {
    let enis: Vec<_> = enis(world, bearers).collect();
    let is_known = !enis.is_empty() && enis.iter().all(|eni| eni.source_check);
    is_known.then(|| enis.iter().flat_map(|eni| eni.addresses.iter().copied()).collect())
}

/// The blocks of own addresses that rules of these groups name.
fn own_blocks(world: &World, set: &GroupSet, direction: Direction) -> Vec<Cidr> {
    let groups = set.iter().filter_map(|id| world.group(id));
    let specs = groups.flat_map(|group| group.rules.values()).map(|rule| &rule.spec);
    specs.filter(|spec| spec.direction == direction).filter_map(|spec| spec.local).collect()
}
