//! What a list of changes may make cost more, or less.

use std::collections::BTreeSet;

use crate::{
    change::Change,
    ids::{EniId, GroupId, HostId, InstanceId},
    world::{Eni, GroupSet, Referent, World, group_set},
};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Touched {
    /// Sets of groups whose rules may be others.
    pub(super) sets: BTreeSet<GroupSet>,
    /// Sets of groups that may meet another network ACL on a host.
    pub(super) places: BTreeSet<(GroupSet, HostId)>,
    /// Groups that may have more rules, or fewer.
    pub(super) groups: BTreeSet<GroupId>,
    /// ENIs that may be elsewhere, have other groups, be new or gone.
    pub(super) enis: BTreeSet<EniId>,
}

impl Touched {
    pub(super) fn by(before: &World, world: &World, changes: &[Change]) -> Self {
        let mut touched = Self::default();
        changes.iter().for_each(|change| touched.add(change, before, world));
        touched
    }

    fn add(&mut self, change: &Change, before: &World, world: &World) {
        match change {
            Change::PutEni(eni) => drop(self.enis.insert(eni.id.clone())),
            Change::DeleteEni(id) => drop(self.enis.insert(id.clone())),
            Change::PutInstance(instance) => self.add_instance(&instance.id, before, world),
            Change::DeleteInstance(id) => self.add_instance(id, before, world),
            Change::PutGroup(group) => self.add_group(&group.id, world),
            Change::DeleteGroup(id) => self.add_group(id, world),
            Change::PutRule { group, .. } | Change::DeleteRule { group, .. } | Change::DeleteShadow(group) => {
                self.add_group(group, world);
            }
            Change::PutShadow(shadow) => self.add_group(&shadow.group, world),
            Change::PutPrefixList(list) => self.add_referrers(&Referent::PrefixList(list.id.clone()), world),
            Change::DeletePrefixList(id) => self.add_referrers(&Referent::PrefixList(id.clone()), world),
            Change::PutPortList(list) => self.add_referrers(&Referent::PortList(list.id.clone()), world),
            Change::DeletePortList(id) => self.add_referrers(&Referent::PortList(id.clone()), world),
            Change::PutBypass(_) | Change::PutPlatform(_) => self.sets.extend(world.group_sets().cloned()),
            Change::PutNetworkAcl(acl) => world.enis_behind(acl).for_each(|eni| self.add_place(eni, world)),
            Change::PutSubnet(subnet) => {
                world.enis_regarded(before, &subnet.id).for_each(|eni| self.add_place(eni, world));
            }
            Change::PutAccount(_)
            | Change::PutKey(_)
            | Change::DeleteKey(_)
            | Change::PutTerminated(_)
            | Change::DeleteTerminated(_)
            | Change::PutVpc(_)
            | Change::DeleteVpc(_)
            | Change::DeleteSubnet(_)
            | Change::PutToken(_)
            | Change::DeleteToken { .. }
            | Change::PutSnapshotPolicy(_)
            | Change::DeleteSnapshotPolicy(_)
            | Change::PutSnapshot(_)
            | Change::DeleteSnapshot(_)
            | Change::PutReport(_)
            | Change::DeleteReport { .. }
            | Change::PutInvariant(_)
            | Change::DeleteInvariant(_)
            | Change::PutTrial(_)
            | Change::DeleteTrial(_)
            | Change::PutFlowLog(_)
            | Change::DeleteFlowLog(_)
            | Change::PutInsightsPath(_)
            | Change::DeleteInsightsPath(_)
            | Change::PutInsightsAnalysis(_)
            | Change::DeleteInsightsAnalysis(_)
            | Change::PutPrefixListVersion(_)
            | Change::DeletePrefixListVersion { .. }
            | Change::PutPeering(_)
            | Change::DeletePeering(_)
            | Change::DeleteNetworkAcl(_) => {}
        }
    }

    fn add_group(&mut self, id: &GroupId, world: &World) {
        self.groups.insert(id.clone());
        self.sets.extend(world.group_sets_with(id).cloned());
    }

    fn add_referrers(&mut self, referent: &Referent, world: &World) {
        let groups = world.referrers(referent).map(|(group, _)| group).chain(world.shadows().namers(referent));
        self.sets.extend(groups.flat_map(|group| world.group_sets_with(group)).cloned());
    }

    fn add_place(&mut self, eni: &Eni, world: &World) {
        self.places.extend(world.home_of(eni).map(|host| (group_set(&eni.groups), host.clone())));
    }

    /// An instance takes its ENIs along if it is on another host than before.
    fn add_instance(&mut self, id: &InstanceId, before: &World, world: &World) {
        let host = |world: &World| world.instance(id).map(|instance| instance.host.clone());
        if host(before) == host(world) {
            return;
        }
        let enis = before.enis_of(id).chain(world.enis_of(id));
        self.enis.extend(enis.map(|eni| eni.id.clone()));
    }
}
