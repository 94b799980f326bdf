//! What changes around the rules: where packets are led at all.
//!
//! The sets of a difference are of what rules decide. A peering that ends takes away more than the rules that name its groups, and a
//! stopped instance takes nothing whatever its rules say; so both are told in words, and the live flows that end by them are told too.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
};

use sekimori_core::{
    difference::Differences,
    ids::{EniId, VpcId},
    packet::Packet,
    world::{Eni, InstanceState, Subnet, Vpc, World},
};

use super::{DIFF_NAMES_MAX, Effect};
use crate::{services::shortened, text::treatment};

/// Everything around the rules that is otherwise, a line each.
pub(super) fn words(before: &World, after: &World, differences: &Differences) -> Vec<String> {
    let mut lines = peerings(before, after, &differences.joined);
    lines.extend(differences.vpcs.iter().filter_map(|id| {
        let block =
            |vpc: &Vpc| format!("{}{}", vpc.cidr, vpc.ipv6.map(|block| format!(", {block}")).unwrap_or_default());
        comes_or_goes(id, before.vpc(id).map(|vpc| block(vpc)), after.vpc(id).map(|vpc| block(vpc)))
    }));
    lines.extend(differences.subnets.iter().filter_map(|id| {
        let block = |subnet: &Subnet| format!("{} in {}", subnet.cidr, subnet.vpc);
        comes_or_goes(id, before.subnet(id).map(|one| block(one)), after.subnet(id).map(|one| block(one)))
    }));
    lines.extend(differences.instances.iter().filter_map(|id| {
        let (old, new) = (before.instance(id)?, after.instance(id)?);
        match (old.state, new.state) {
            (InstanceState::Running, InstanceState::Stopped) => Some(format!(
                "{id} stops: whatever the rules say, it sends and takes nothing, and its live flows end"
            )),
            (InstanceState::Stopped, InstanceState::Running) => Some(format!("{id} starts")),
            (InstanceState::Running, InstanceState::Running) | (InstanceState::Stopped, InstanceState::Stopped) => {
                None
            }
        }
    }));
    lines.extend(treatments(before, after, &differences.treated));
    shortened(lines, DIFF_NAMES_MAX)
}

/// That a network is there only before, or only after.
fn comes_or_goes(id: impl Display, before: Option<String>, after: Option<String>) -> Option<String> {
    match (before, after) {
        (None, Some(blocks)) => Some(format!("{id} is made: {blocks}")),
        (Some(blocks), None) => Some(format!("{id} is deleted: {blocks}")),
        (Some(_), Some(_)) | (None, None) => None,
    }
}

/// How live flows are treated otherwise, by what becomes of it.
fn treatments(before: &World, after: &World, treated: &BTreeSet<EniId>) -> Vec<String> {
    let mut alike: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for id in treated {
        let (Some(old), Some(new)) = (before.eni(id), after.eni(id)) else { continue };
        let (was, is) = (treatment(before.treatment_of(old)), treatment(after.treatment_of(new)));
        alike.entry((was, is)).or_default().push(id.to_string());
    }
    let line = |((was, is), names): ((&str, &str), Vec<String>)| {
        let names = shortened(names, DIFF_NAMES_MAX).join(", ");
        format!("live flows of {names} that a change forbids: {was} before, {is} after")
    };
    alike.into_iter().map(line).collect()
}

fn peerings(before: &World, after: &World, joined: &BTreeSet<VpcId>) -> Vec<String> {
    let line = |Joint { one, other, effect }: &Joint| {
        let count = |vpc: &VpcId| match effect.of((before, after)).enis_in(vpc).count() {
            1 => "1 interface".to_owned(),
            count => format!("{count} interfaces"),
        };
        let ends = format!("the {} of one and the {} of the other", count(one), count(other));
        match effect {
            Effect::Lost => format!(
                "{one} and {other} are not peered any more: whatever the rules say, nothing passes between {ends}"
            ),
            Effect::Gained => {
                format!("{one} and {other} are peered: what the rules of both ends let pass reaches {ends}")
            }
        }
    };
    joints(before, after, joined).iter().map(line).collect()
}

/// Two VPCs that are peered in one of two worlds.
pub(super) struct Joint {
    pub(super) one: VpcId,
    pub(super) other: VpcId,
    /// Gained where they are peered only after.
    pub(super) effect: Effect,
}

impl Effect {
    /// The world in which something passes that is gained, or lost.
    pub(super) fn of<'a>(self, (before, after): (&'a World, &'a World)) -> &'a World {
        match self {
            Self::Gained => after,
            Self::Lost => before,
        }
    }
}

/// Every two VPCs that are peered in one of two worlds, once.
pub(super) fn joints(before: &World, after: &World, joined: &BTreeSet<VpcId>) -> Vec<Joint> {
    let mut joints = Vec::new();
    for one in joined {
        let (old, new) = (before.joined_with(one), after.joined_with(one));
        for other in old.symmetric_difference(&new).filter(|other| one < *other || !joined.contains(*other)) {
            let effect = if old.contains(other) { Effect::Lost } else { Effect::Gained };
            joints.push(Joint { one: one.clone(), other: other.clone(), effect });
        }
    }
    joints
}

/// Whether the peering that leads a packet between an interface and its peer is in the first world only.
pub(super) fn is_parted((before, old): (&World, &Eni), (after, new): (&World, &Eni), packet: &Packet) -> bool {
    let peer = before.eni_seen_from(&old.vpc, packet.peer).filter(|peer| peer.vpc != old.vpc);
    peer.is_some_and(|peer| !after.joined_with(&new.vpc).contains(&peer.vpc))
}
