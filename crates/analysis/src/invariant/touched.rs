//! What a change may have changed of who reaches whom: interfaces, and policies that let pass other packets than before.

use std::{collections::BTreeSet, sync::Arc};

use sekimori_core::{
    change::Change,
    ids::{EniId, GroupId, SubnetId, VpcId},
    network_acl::NetworkAcl,
    platform,
    world::{Eni, GroupSet, Instance, Referent, Subnet, Vpc, World},
};

use crate::{outside, permits::Bearing};

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Touched {
    /// Everything may be different.
    pub(super) all: bool,
    /// Interfaces that came, went, or are something else than before.
    pub(super) enis: BTreeSet<EniId>,
    /// What lets pass other packets than before, from or to whomever.
    pub(super) bearings: BTreeSet<Bearing>,
    /// What lets pass other packets than before, but only from or to the interfaces that are touched.
    pub(super) named: BTreeSet<Bearing>,
}

impl Touched {
    pub(super) fn by(before: &World, after: &World, changes: &[Change]) -> Self {
        let mut looking = Looking { before, after, touched: Self::default(), groups: BTreeSet::new() };
        changes.iter().for_each(|change| looking.look(change));
        for eni in looking.touched.enis.clone() {
            // An interface alone can bring back a policy that nobody has had for a while.
            for world in [before, after] {
                let bearing = world.eni(&eni).map(|eni| Bearing::of(world, eni));
                looking.touched.named.extend(bearing);
            }
        }
        for group in std::mem::take(&mut looking.groups) {
            looking.membership(&group);
        }
        looking.touched
    }

    pub(super) fn is_nothing(&self) -> bool {
        !self.all && self.enis.is_empty() && self.bearings.is_empty()
    }
}

struct Looking<'a> {
    before: &'a World,
    after: &'a World,
    touched: Touched,
    /// Groups that have other members than before, or the same at other addresses.
    groups: BTreeSet<GroupId>,
}

impl Looking<'_> {
    fn look(&mut self, change: &Change) {
        match change {
            Change::PutBypass(_) | Change::PutPlatform(_) => self.touched.all = true,
            Change::PutEni(eni) => self.interface(&eni.id),
            Change::DeleteEni(id) => self.interface(id),
            Change::PutInstance(instance) => self.instance(instance),
            Change::PutGroup(group) => {
                let says = |world: &World| world.group(&group.id).map(|group| (group.flavor, group.inner_access));
                if says(self.before) != says(self.after) {
                    self.policies_with(&group.id);
                }
            }
            Change::PutRule { group, .. } | Change::DeleteRule { group, .. } => self.policies_with(group),
            Change::PutPrefixList(list) => self.policies_naming(&Referent::PrefixList(list.id.clone())),
            Change::DeletePrefixList(id) => self.policies_naming(&Referent::PrefixList(id.clone())),
            Change::PutPortList(list) => self.policies_naming(&Referent::PortList(list.id.clone())),
            Change::DeletePortList(id) => self.policies_naming(&Referent::PortList(id.clone())),
            Change::PutVpc(vpc) => self.vpc(vpc),
            Change::PutPeering(peering) => self.peered(&peering.requester.vpc, &peering.accepter.vpc),
            Change::DeletePeering(id) => {
                let ends = self.before.peerings().get(id).map(|old| (old.requester.vpc.clone(), old.accepter.vpc.clone()));
                ends.iter().for_each(|(one, other)| self.peered(one, other));
            }
            Change::PutSubnet(subnet) => self.behind_subnet(&subnet.id),
            Change::PutNetworkAcl(acl) => self.acl(acl),
            // No ENI carries a group that is deleted, and no subnet has an ACL that is.
            Change::DeleteGroup(_)
            | Change::DeleteNetworkAcl(_)
            | Change::DeleteVpc(_)
            | Change::DeleteSubnet(_)
            | Change::DeleteInstance(_)
            // Candidates decide nothing.
            | Change::PutShadow(_)
            | Change::DeleteShadow(_)
            | Change::PutAccount(_)
            | Change::PutKey(_)
            | Change::DeleteKey(_)
            | Change::PutTerminated(_)
            | Change::DeleteTerminated(_)
            | Change::PutToken(_)
            | Change::DeleteToken { .. }
            | Change::PutSnapshotPolicy(_)
            | Change::DeleteSnapshotPolicy(_)
            | Change::PutSnapshot(_)
            | Change::DeleteSnapshot(_)
            | Change::PutReport(_)
            | Change::DeleteReport { .. }
            | Change::PutFlowLog(_)
            | Change::DeleteFlowLog(_)
            | Change::PutInsightsPath(_)
            | Change::DeleteInsightsPath(_)
            | Change::PutInsightsAnalysis(_)
            | Change::DeleteInsightsAnalysis(_)
            | Change::PutPrefixListVersion(_)
            | Change::DeletePrefixListVersion { .. }
            | Change::PutInvariant(_)
            | Change::DeleteInvariant(_)
            | Change::PutTrial(_)
            | Change::DeleteTrial(_) => {}
        }
    }

    fn instance(&mut self, instance: &Instance) {
        let old = self.before.instance(&instance.id);
        if old.is_none_or(|old| old.tags != instance.tags || old.name != instance.name) {
            self.touched.enis.extend(self.after.enis_of(&instance.id).map(|eni| eni.id.clone()));
        }
    }

    fn vpc(&mut self, vpc: &Vpc) {
        let blocks = |world: &World| world.vpc(&vpc.id).map(|vpc| platform::blocks(Some(vpc)).collect::<Vec<_>>());
        let are_ways_alike = self.before.ways(&vpc.id) == self.after.ways(&vpc.id);
        if self.before.vpc(&vpc.id).is_some() && (blocks(self.before) != blocks(self.after) || !are_ways_alike) {
            self.around(&vpc.id);
        }
    }

    fn acl(&mut self, acl: &NetworkAcl) {
        let subnets = self.after.subnets().filter(|subnet| subnet.has_acl(&acl.id));
        let subnets: Vec<Arc<Subnet>> = subnets.cloned().collect();
        subnets.iter().for_each(|subnet| self.guarded(subnet));
    }

    fn interface(&mut self, id: &EniId) {
        let (old, new) = (self.before.eni(id), self.after.eni(id));
        let is_alike = |old: &Eni, new: &Eni| {
            old.addresses == new.addresses
                && old.groups == new.groups
                && (&old.vpc, &old.subnet, &old.instance) == (&new.vpc, &new.subnet, &new.instance)
        };
        match (old, new) {
            (None, None) => return,
            (Some(old), Some(new)) if is_alike(old, new) => {
                if old.tags != new.tags || old.name != new.name {
                    self.touched.enis.insert(id.clone());
                }
                return;
            }
            (Some(old), Some(new)) if old.addresses == new.addresses && old.vpc == new.vpc => {
                let moved = |one: &Eni, other: &Eni| -> Vec<GroupId> {
                    one.groups.iter().filter(|group| !other.groups.contains(group)).cloned().collect()
                };
                self.groups.extend(moved(old, new).into_iter().chain(moved(new, old)));
            }
            (old, new) => {
                self.groups.extend(old.into_iter().chain(new).flat_map(|eni| eni.groups.iter().cloned()));
                // What an interface has beside the blocks of its VPC is outside again when it goes.
                let beside = |eni: &Arc<Eni>| {
                    let blocks = outside::blocks(self.before, &eni.vpc);
                    eni.addresses.iter().any(|own| !blocks.iter().any(|block| block.contains(*own)))
                };
                self.touched.all |= old.is_some_and(beside);
            }
        }
        self.touched.enis.insert(id.clone());
    }

    /// What lets a member of a group pass because it is one.
    fn membership(&mut self, group: &GroupId) {
        let namers = self.after.referrers(&Referent::Group(group.clone())).map(|(namer, _)| namer);
        let mut groups: BTreeSet<&GroupId> = namers.collect();
        groups.insert(group);
        for set in groups.into_iter().flat_map(|group| self.after.group_sets_with(group)) {
            self.touched.named.extend(bearings(self.after, set));
        }
    }

    fn policies_with(&mut self, group: &GroupId) {
        for set in self.after.group_sets_with(group) {
            self.touched.bearings.extend(bearings(self.after, set));
        }
    }

    fn policies_naming(&mut self, referent: &Referent) {
        let groups: BTreeSet<GroupId> = self.after.referrers(referent).map(|(group, _)| group.clone()).collect();
        groups.iter().for_each(|group| self.policies_with(group));
    }

    /// Everybody in a VPC and in those that it is peered with.
    fn around(&mut self, vpc: &VpcId) {
        for vpc in self.after.joined_with(vpc).union(&self.before.joined_with(vpc)) {
            let all = self.after.enis_in(vpc).map(|eni| Bearing::of(self.after, eni));
            self.touched.bearings.extend(all);
        }
    }

    fn peered(&mut self, one: &VpcId, other: &VpcId) {
        if self.before.are_joined(one, other) != self.after.are_joined(one, other) {
            self.around(one);
            self.around(other);
        }
    }

    fn behind_subnet(&mut self, id: &SubnetId) {
        let seen = |world: &World| world.subnet(id).map(|subnet| (subnet.acl.clone(), subnet.cidr, subnet.ipv6));
        if self.before.subnet(id).is_some() && seen(self.before) != seen(self.after) {
            self.after.subnet(id).cloned().iter().for_each(|subnet| self.guarded(subnet));
        }
    }

    /// Everybody in a subnet whose network ACL says something else than before.
    fn guarded(&mut self, subnet: &Subnet) {
        let is_guarded = |world: &World| world.is_guarded(&subnet.id);
        if !is_guarded(self.before) && !is_guarded(self.after) {
            return;
        }
        for eni in self.after.enis_in(&subnet.vpc).filter(|eni| eni.subnet == subnet.id) {
            self.touched.enis.insert(eni.id.clone());
            self.touched.bearings.insert(Bearing::of(self.after, eni));
        }
    }
}

/// What the interfaces with a set of groups let pass: one policy for each VPC, and one for each network ACL that denies something.
fn bearings<'a>(world: &'a World, set: &'a GroupSet) -> impl Iterator<Item = Bearing> + use<'a> {
    let plain = world.vpcs_of(set).into_iter().cloned();
    let plain = plain.map(|vpc| Bearing { groups: Arc::clone(set), vpc, guarded: None });
    let guarded = world.guarded_subnets_of(set).into_iter().filter_map(|id| world.subnet(id)).map(|subnet| Bearing {
        groups: Arc::clone(set),
        vpc: subnet.vpc.clone(),
        guarded: Some(subnet.id.clone()),
    });
    plain.chain(guarded)
}
