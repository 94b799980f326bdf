//! What is inside of a VPC: its own blocks, those of the VPCs that it is peered with, and the addresses that interfaces have beside
//! them. Everything else is outside, which questions call `internet`.

use std::{collections::BTreeSet, net::IpAddr};

use sekimori_core::{
    address::{Cidr, Family, from_number, number},
    ids::VpcId,
    platform,
    world::World,
};

use crate::services::joined;

/// First and last address.
pub(crate) type Run = (IpAddr, IpAddr);

/// Addresses that are shown rather than others (RFC 5737, RFC 3849).
pub(crate) const EXAMPLES: [&str; 2] = ["203.0.113.1", "2001:db8::1"];

/// The address that is shown for a whole run.
pub(crate) fn shown((first, last): Run) -> IpAddr {
    let examples = EXAMPLES.iter().filter_map(|text| text.parse::<IpAddr>().ok());
    let mut examples = examples.filter(|example| Family::of(*example) == Family::of(first));
    examples.find(|example| first <= *example && *example <= last).unwrap_or(first)
}

/// The blocks, in no order.
pub(crate) fn inside(world: &World, vpc: &VpcId) -> Vec<Cidr> {
    let mut inside = blocks(world, vpc);
    let blocks = inside.clone();
    for eni in world.joined_with(vpc).iter().flat_map(|vpc| world.enis_in(vpc)) {
        let beside = eni.addresses.iter().filter(|own| !blocks.iter().any(|block| block.contains(**own)));
        inside.extend(beside.map(|own| Cidr::from(ipnet::IpNet::from(*own))));
    }
    inside
}

/// The blocks of a VPC and of those that it is peered with.
pub(crate) fn blocks(world: &World, vpc: &VpcId) -> Vec<Cidr> {
    let of = |vpc: &VpcId| platform::blocks(world.vpc(vpc).map(|vpc| &**vpc)).map(Cidr::from);
    world.joined_with(vpc).iter().flat_map(of).collect()
}

/// What is inside of a VPC as runs of addresses in order.
pub(crate) fn runs_inside(world: &World, vpc: &VpcId) -> Vec<Run> {
    runs(&inside(world, vpc))
}

/// Blocks as runs of addresses in order.
pub(crate) fn runs(blocks: &[Cidr]) -> Vec<Run> {
    let run = |block: &Cidr| {
        let net = block.network();
        (net.network(), net.broadcast())
    };
    joined(blocks.iter().map(run).collect())
}

/// All addresses of a family in runs, of which each of some runs holds all or none.
pub(crate) fn cut(family: Family, at: impl Iterator<Item = Run>) -> Vec<Run> {
    let mut starts = BTreeSet::from([0]);
    for (first, last) in at.filter(|(first, _)| Family::of(*first) == family) {
        starts.insert(number(first));
        starts.extend(number(last).checked_add(1).filter(|next| *next <= family.last()));
    }
    let ends = starts.iter().skip(1).map(|next| next - 1).chain([family.last()]);
    let run = |(first, last): (&u128, u128)| (from_number(family, *first), from_number(family, last));
    starts.iter().zip(ends).map(run).collect()
}

/// A run of addresses without those that are inside.
pub(crate) fn without((mut first, last): (u128, u128), family: Family, inside: &[Run]) -> Vec<Run> {
    let ends = |from: u128, to: u128| (from_number(family, from), from_number(family, to));
    let mut left = Vec::new();
    for hidden in inside.iter().filter(|(from, _)| Family::of(*from) == family) {
        let (from, to) = (number(hidden.0), number(hidden.1));
        if to < first || last < from {
            continue;
        }
        if first < from {
            left.push(ends(first, from - 1));
        }
        let Some(next) = to.checked_add(1).filter(|next| *next <= last) else { return left };
        first = next;
    }
    left.push(ends(first, last));
    left
}
