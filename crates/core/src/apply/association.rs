//! Groups in further VPCs than their own (`spec/ec2.md` B2, AssociateSecurityGroupVpc).
//!
//! An association lets ENIs of another VPC of the region carry a group. It carries no membership from one VPC into the
//! other: who is in a group is asked in the VPC of the packet.

use super::{Draft, missing, within};
use crate::{
    command::Outcome,
    ids::{AccountId, GroupId, VpcId},
    limits::VPCS_PER_GROUP_MAX,
    refusal::{Counted, Kind, Refusal},
    world::Group,
};

impl Draft<'_> {
    pub(super) fn associate_group(
        &mut self,
        account: &AccountId,
        id: &GroupId,
        vpc: &VpcId,
        is_associated: bool,
    ) -> Result<Outcome, Refusal> {
        let old = self.own_group(account, id)?;
        let mut group = Group::clone(&old);
        if is_associated {
            self.check_association(account, &old, vpc)?;
            if !group.also_in.contains(vpc) {
                group.also_in.push(vpc.clone());
            }
        } else {
            self.check_dissociation(&old, vpc)?;
            group.also_in.retain(|other| other != vpc);
        }
        within(Counted::VpcsOfGroup, VPCS_PER_GROUP_MAX, group.also_in.len())?;
        self.put_header(&old, group);
        Ok(Outcome::Done)
    }

    /// Whether one ENI of some VPC may carry all of these groups.
    pub(super) fn check_groups(&self, account: &AccountId, groups: &[GroupId]) -> Result<Outcome, Refusal> {
        let first = groups.first().ok_or_else(|| missing(Kind::Group, ""))?;
        let own = self.own_group(account, first)?;
        let vpc = self.world.vpcs_of(groups).first().map_or_else(|| own.vpc.clone(), |vpc| VpcId::clone(vpc));
        self.attachable(account, groups, (first.as_str(), &vpc))?;
        Ok(Outcome::Done)
    }

    fn check_association(&self, account: &AccountId, group: &Group, vpc: &VpcId) -> Result<(), Refusal> {
        let other = self.open_vpc(account, vpc)?;
        if other.region != self.world.region_of(&group.vpc) {
            return Err(missing(Kind::Vpc, vpc));
        }
        if group.is_default {
            return Err(Refusal::DefaultGroup { group: group.id.clone(), name: group.name.clone() });
        }
        if group.vpc == *vpc {
            return Err(Refusal::OwnVpc { group: group.id.clone(), vpc: vpc.clone() });
        }
        Ok(())
    }

    fn check_dissociation(&self, group: &Group, vpc: &VpcId) -> Result<(), Refusal> {
        if !group.also_in.contains(vpc) {
            return Err(Refusal::NotAssociated { group: group.id.clone(), vpc: vpc.clone() });
        }
        match self.world.members(&group.id).find(|eni| eni.vpc == *vpc) {
            Some(eni) => Err(Refusal::InUse { kind: Kind::Group, id: group.id.to_string(), by: eni.id.to_string() }),
            None => Ok(()),
        }
    }
}
