//! What the interfaces of a policy let pass, as one exact set: bypass, platform, groups, rules, defaults and network ACL together.
//!
//! It says about the first packet of a flow, from its sender, what [`sekimori_core::verdict::decide`] says at one of the
//! interface's own addresses. Interfaces with the same groups, in one VPC and behind the same network ACL share the set.

use sekimori_core::{
    address::Cidr,
    ids::{SubnetId, VpcId},
    network_acl::neighbours,
    rule::{Action, Direction, Peer, Protocol, RuleSpec, Service},
    space::{
        Set, TooComplex,
        resolve::{ReadMembers, Reader, discovery},
    },
    world::{Eni, GroupSet, World, group_set},
};

use crate::portions::Portions;

/// What interfaces have in common that one set is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bearing {
    pub(crate) groups: GroupSet,
    pub(crate) vpc: VpcId,
    /// The subnet, if its network ACL denies something.
    pub(crate) guarded: Option<SubnetId>,
}

impl Bearing {
    pub(crate) fn of(world: &World, eni: &Eni) -> Self {
        let guarded = world.is_guarded(&eni.subnet).then(|| eni.subnet.clone());
        Self { groups: group_set(&eni.groups), vpc: eni.vpc.clone(), guarded }
    }

    /// What something lets pass in a direction, at whatever own address. It says nothing of what no rule decides ([`discovery`]).
    pub(crate) fn judged(&self, world: &World, direction: Direction) -> Result<Set, TooComplex> {
        self.passing(world, &Set::everything(direction), direction)
    }

    /// The same of one policy of many: groups that have been read already are not read again.
    pub(crate) fn judged_knowing(
        &self,
        world: &World,
        direction: Direction,
        known: &ReadMembers,
    ) -> Result<Set, TooComplex> {
        self.passing_knowing(world, &Set::everything(direction), direction, Some(known))
    }

    /// Those of some first packets whose answers the network ACL lets pass as well, or that nobody answers. It is the only thing that looks
    /// at an answer: groups know the flow.
    pub(crate) fn answered(&self, world: &World, packets: &Set, direction: Direction) -> Result<Set, TooComplex> {
        let Some(subnet) = &self.guarded else { return Ok(packets.clone()) };
        let way = direction.reverse();
        let every = Set::everything(way);
        let refused = every.difference(&self.admitted(world, &every, subnet, way)?)?;
        packets.difference(&refused.asking()?)
    }

    /// Those of some packets that pass in a direction, at whatever own address.
    pub(crate) fn allowed_of(&self, world: &World, packets: &Set, direction: Direction) -> Result<Set, TooComplex> {
        self.passing(world, packets, direction)?.union(&discovery(direction).intersection(packets)?)
    }

    /// Those of some packets that lines let pass, but the first, which is that of discovery.
    pub(crate) fn passing(&self, world: &World, packets: &Set, direction: Direction) -> Result<Set, TooComplex> {
        self.passing_knowing(world, packets, direction, None)
    }

    fn passing_knowing(
        &self,
        world: &World,
        packets: &Set,
        direction: Direction,
        known: Option<&ReadMembers>,
    ) -> Result<Set, TooComplex> {
        let portions = Portions::about(world, (&self.groups, &self.vpc), direction, packets, known)?;
        let mut allowed = match portions.default {
            Action::Allow => packets.clone(),
            Action::Deny => Set::empty(),
        };
        // From the last line to the first: what comes earlier decides.
        let lines = portions.lines.get(1..).unwrap_or_default();
        for line in lines.iter().rev().filter(|line| line.matched.meets(packets)) {
            allowed = laid_over(&allowed, &line.matched.intersection(packets)?, line.action)?;
        }
        if let Some(subnet) = &self.guarded {
            allowed = allowed.intersection(&self.admitted(world, packets, subnet, direction)?)?;
        }
        Ok(allowed.present())
    }

    /// What the network ACL of the subnet lets pass, with what never meets it.
    fn admitted(
        &self,
        world: &World,
        packets: &Set,
        subnet: &SubnetId,
        direction: Direction,
    ) -> Result<Set, TooComplex> {
        let Some((subnet, acl)) = world.acl_of(subnet) else { return Ok(packets.clone()) };
        let reader = Reader::new(world, &self.vpc, []);
        let entries: Vec<_> = acl.entries_of(direction).collect();
        let mut admitted = Set::empty();
        for entry in entries.into_iter().rev() {
            let matched = reader.rule(&entry.spec)?.intersection(packets)?;
            admitted = laid_over(&admitted, &matched, entry.spec.action)?;
        }
        for entry in world.bypass().entries().iter().filter(|entry| entry.direction == direction) {
            admitted = admitted.union(&reader.bypass(entry)?.intersection(packets)?)?;
        }
        for block in neighbours(subnet) {
            let spec = any(direction, (Protocol::Any, Service::Any), Cidr::from(block));
            admitted = admitted.union(&reader.rule(&spec)?.intersection(packets)?)?;
        }
        Ok(admitted)
    }
}

fn any(direction: Direction, what: (Protocol, Service), block: Cidr) -> RuleSpec {
    RuleSpec::plain(direction, Action::Allow, what, Peer::Cidr(block))
}

/// What is allowed when something decides before all that was known of.
fn laid_over(allowed: &Set, matched: &Set, action: Action) -> Result<Set, TooComplex> {
    match action {
        Action::Allow => allowed.union(matched),
        Action::Deny => allowed.difference(matched),
    }
}
