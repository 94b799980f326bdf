//! What the operator orders, for any account: sharing a VPC, protecting and managing a group, removing one.

use std::sync::Arc;

use super::{Draft, missing};
use crate::{
    change::Change,
    command::Outcome,
    ids::{AccountId, EniId, GroupId, RuleId, VpcId},
    refusal::{Kind, Refusal},
    world::{Eni, Group, Referent, Vpc},
};

impl Draft<'_> {
    pub(super) fn share_vpc(&mut self, id: &VpcId, with: &AccountId, is_shared: bool) -> Result<Outcome, Refusal> {
        let old = self.world.vpc(id).cloned().ok_or_else(|| missing(Kind::Vpc, id))?;
        let account = self.world.account(with).ok_or_else(|| missing(Kind::Account, with))?;
        if account.dialect != self.world.dialect_of(&old.account) {
            return Err(Refusal::OtherDialect { account: with.clone(), vpc: id.clone() });
        }
        let mut vpc = Vpc::clone(&old);
        vpc.shared_with.retain(|other| other != with);
        if is_shared && vpc.account != *with {
            vpc.shared_with.push(with.clone());
            vpc.shared_with.sort();
        }
        if vpc != *old {
            self.put(Change::PutVpc(Arc::new(vpc)));
        }
        Ok(Outcome::Done)
    }

    pub(super) fn protect_group(&mut self, id: &GroupId, is_protected: bool) -> Result<Outcome, Refusal> {
        let old = self.any_group(id)?;
        self.put_header(&old, Group { is_protected, ..Group::clone(&old) });
        Ok(Outcome::Done)
    }

    pub(super) fn manage_group(&mut self, id: &GroupId, managed_by: Option<u64>) -> Result<Outcome, Refusal> {
        let old = self.any_group(id)?;
        self.put_header(&old, Group { managed_by, ..Group::clone(&old) });
        Ok(Outcome::Done)
    }

    pub(super) fn manage_eni(&mut self, id: &EniId, managed_by: Option<u64>) -> Result<Outcome, Refusal> {
        let old = self.world.eni(id).cloned().ok_or_else(|| missing(Kind::Eni, id))?;
        if old.managed_by != managed_by {
            self.put(Change::PutEni(Arc::new(Eni { managed_by, ..Eni::clone(&old) })));
        }
        Ok(Outcome::Done)
    }

    /// Deletes a group, protected ones never. With `force`, first what uses it: an interface that carries no
    /// other group keeps it from being deleted even then, for an interface is never without a group.
    pub(super) fn remove_group(&mut self, id: &GroupId, force: bool) -> Result<Outcome, Refusal> {
        let group = self.any_group(id)?;
        check_unprotected(&group)?;
        let (rules, enis) = if force { (self.unname(id), self.empty(id)?) } else { Default::default() };
        self.check_unused(id)?;
        self.drop_group(&group);
        Ok(Outcome::Removed { rules, enis })
    }

    /// Revokes the rules of other groups that name a group.
    fn unname(&mut self, id: &GroupId) -> Vec<(GroupId, RuleId)> {
        let referrers = self.world.referrers(&Referent::Group(id.clone()));
        let rules: Vec<_> = referrers.filter(|(group, _)| group != id).cloned().collect();
        for (group, rule) in &rules {
            self.put(Change::DeleteRule { group: group.clone(), rule: rule.clone() });
        }
        rules
    }

    /// Detaches a group from every interface.
    fn empty(&mut self, id: &GroupId) -> Result<Vec<EniId>, Refusal> {
        let members: Vec<Arc<Eni>> = self.world.members(id).cloned().collect();
        for member in &members {
            if member.groups.len() == 1 {
                let name = member.instance.as_ref().map_or(member.id.as_str(), |instance| instance.as_str());
                return Err(Refusal::LastGroup { member: name.to_owned(), group: id.clone() });
            }
            let mut eni = Eni::clone(member);
            eni.groups.retain(|group| group != id);
            self.put(Change::PutEni(Arc::new(eni)));
        }
        Ok(members.iter().map(|member| member.id.clone()).collect())
    }

    pub(super) fn any_group(&self, id: &GroupId) -> Result<Arc<Group>, Refusal> {
        self.world.group(id).cloned().ok_or_else(|| missing(Kind::Group, id))
    }

    pub(super) fn put_header(&mut self, old: &Group, new: Group) {
        if new != *old {
            self.put(Change::PutGroup(Arc::new(new)));
        }
    }
}

pub(super) fn check_unprotected(group: &Group) -> Result<(), Refusal> {
    if group.is_protected { Err(Refusal::Protected { group: group.id.clone() }) } else { Ok(()) }
}
