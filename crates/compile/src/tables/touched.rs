//! What a list of changes may have an effect on: policies, by the group sets that they are for, and ENIs.

use std::collections::BTreeSet;

use sekimori_core::{
    change::Change,
    ids::{AccountId, EniId, GroupId, PeeringId, VpcId},
    platform,
    world::{GroupSet, Referent, World, group_set},
};

/// See the module.
#[derive(Default)]
pub(super) struct Touched {
    pub(super) sets: BTreeSet<GroupSet>,
    pub(super) enis: BTreeSet<EniId>,
}

impl Touched {
    /// What a world is made of, when nothing of it was there before.
    pub(super) fn everything(world: &World) -> Self {
        Self { sets: world.group_sets().cloned().collect(), enis: world.enis().map(|eni| eni.id.clone()).collect() }
    }

    pub(super) fn add(&mut self, change: &Change, before: &World, after: &World) {
        match change {
            Change::PutEni(eni) => self.add_eni(&eni.id, before, after),
            Change::DeleteEni(id) => self.add_eni(id, before, after),
            Change::PutInstance(instance) => {
                let enis: Vec<EniId> = after.enis_of(&instance.id).map(|eni| eni.id.clone()).collect();
                enis.iter().for_each(|id| self.add_eni(id, before, after));
            }
            Change::DeleteInstance(id) => {
                let enis: Vec<EniId> = before.enis_of(id).map(|eni| eni.id.clone()).collect();
                enis.iter().for_each(|id| self.add_eni(id, before, after));
            }
            Change::PutGroup(group) => {
                self.add_group(&group.id, after);
                self.add_namers(&Referent::Group(group.id.clone()), after);
            }
            Change::DeleteGroup(id) => {
                self.add_group(id, before);
                self.add_namers(&Referent::Group(id.clone()), after);
            }
            Change::PutShadow(shadow) => self.add_shadow(&shadow.group, after),
            Change::DeleteShadow(group) => self.add_shadow(group, after),
            Change::PutRule { group, .. } | Change::DeleteRule { group, .. } => self.add_group(group, after),
            Change::PutPrefixList(list) => self.add_referrers(&Referent::PrefixList(list.id.clone()), after),
            Change::DeletePrefixList(id) => self.add_referrers(&Referent::PrefixList(id.clone()), after),
            Change::PutPortList(list) => self.add_referrers(&Referent::PortList(list.id.clone()), after),
            Change::DeletePortList(id) => self.add_referrers(&Referent::PortList(id.clone()), after),
            Change::PutBypass(_) | Change::PutPlatform(_) => self.sets.extend(after.group_sets().cloned()),
            Change::PutAccount(account) => self.add_account(&account.id, before, after),
            Change::PutVpc(vpc) => self.add_vpc(&vpc.id, before, after),
            Change::PutPeering(peering) => self.add_peering(&peering.id, before, after),
            Change::DeletePeering(id) => self.add_peering(id, before, after),
            Change::PutNetworkAcl(acl) => {
                let behind: Vec<EniId> = after.enis_behind(acl).map(|eni| eni.id.clone()).collect();
                behind.iter().for_each(|id| self.add_eni(id, before, after));
            }
            Change::PutSubnet(subnet) => {
                let inside: Vec<EniId> = after.enis_regarded(before, &subnet.id).map(|eni| eni.id.clone()).collect();
                inside.iter().for_each(|id| self.add_eni(id, before, after));
            }
            Change::PutKey(_)
            | Change::DeleteKey(_)
            | Change::PutTerminated(_)
            | Change::DeleteTerminated(_)
            | Change::DeleteVpc(_)
            | Change::DeleteSubnet(_)
            | Change::DeleteNetworkAcl(_)
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
            | Change::DeletePrefixListVersion { .. } => {}
        }
    }

    fn add_eni(&mut self, id: &EniId, before: &World, after: &World) {
        self.enis.insert(id.clone());
        for world in [before, after] {
            self.sets.extend(world.eni(id).map(|eni| group_set(&eni.groups)));
        }
    }

    fn add_group(&mut self, id: &GroupId, world: &World) {
        self.sets.extend(world.group_sets_with(id).cloned());
    }

    /// Each VPC comes to know, or to forget, the addresses of the other.
    fn add_peering(&mut self, id: &PeeringId, before: &World, after: &World) {
        let [was, is] = [before, after].map(|world| world.peerings().get(id).filter(|peering| peering.is_active()));
        if was.is_some() == is.is_some() {
            return;
        }
        for peering in was.into_iter().chain(is) {
            let ends = [&peering.requester.vpc, &peering.accepter.vpc];
            self.enis.extend(ends.into_iter().flat_map(|vpc| after.enis_in(vpc)).map(|eni| eni.id.clone()));
        }
    }

    /// A platform policy knows what is outside a VPC by its blocks.
    fn add_vpc(&mut self, id: &VpcId, before: &World, after: &World) {
        let blocks = |world: &World| world.vpc(id).map(|vpc| platform::blocks(Some(vpc)).collect::<Vec<_>>());
        if blocks(before) == blocks(after) {
            return;
        }
        let groups: Vec<GroupId> =
            after.groups().filter(|group| group.is_for(id)).map(|group| group.id.clone()).collect();
        groups.iter().for_each(|group| self.add_group(group, after));
    }

    fn add_referrers(&mut self, referent: &Referent, world: &World) {
        let groups: Vec<GroupId> = world.referrers(referent).map(|(group, _)| group.clone()).collect();
        groups.iter().for_each(|group| self.add_group(group, world));
        self.add_namers(referent, world);
    }

    /// Candidates do not keep what they name from being deleted.
    fn add_namers(&mut self, referent: &Referent, world: &World) {
        let namers = world.shadows().namers(referent);
        self.sets.extend(namers.flat_map(|group| world.group_sets_with(group)).cloned());
    }

    /// An ENI comes to have a policy that it is compared with, or another one, or none.
    fn add_shadow(&mut self, group: &GroupId, world: &World) {
        self.add_group(group, world);
        self.enis.extend(world.members(group).map(|eni| eni.id.clone()));
    }

    /// An account's ENIs differ only when its treatment of live flows does.
    fn add_account(&mut self, id: &AccountId, before: &World, after: &World) {
        let treatment = |world: &World| world.account(id).map(|account| account.treatment);
        if treatment(before) == treatment(after) {
            return;
        }
        self.enis.extend(after.enis().filter(|eni| eni.account == *id).map(|eni| eni.id.clone()));
    }
}
