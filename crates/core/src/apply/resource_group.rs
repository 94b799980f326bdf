//! Resource groups: names that an account sorts its resources by. Nothing about packets depends on them.

use std::sync::Arc;

use super::{Draft, missing, within};
use crate::{
    change::Change,
    command::Outcome,
    ids::AccountId,
    limits::RESOURCE_GROUPS_MAX,
    refusal::{Counted, Kind, Refusal},
    resource::{Resource, ResourceKind},
    world::{Account, World},
};

impl Draft<'_> {
    pub(super) fn create_resource_group(&mut self, id: &AccountId, name: &str) -> Result<Outcome, Refusal> {
        let account = self.world.account(id).cloned().ok_or_else(|| missing(Kind::Account, id))?;
        within(Counted::ResourceGroups, RESOURCE_GROUPS_MAX, account.resource_groups.len() + 1)?;
        let is_taken = |id: &String| account.resource_groups.contains_key(id);
        let group: String = self.context.ids.fresh(account.dialect, "rg", is_taken);
        let resource_groups = account.resource_groups.update(group.clone(), name.to_owned());
        self.put(Change::PutAccount(Arc::new(Account { resource_groups, ..Account::clone(&account) })));
        Ok(Outcome::ResourceGroup(group))
    }

    pub(super) fn delete_resource_group(&mut self, id: &AccountId, group: &str) -> Result<Outcome, Refusal> {
        let account = self.world.account(id).cloned().ok_or_else(|| missing(Kind::Account, id))?;
        if !account.resource_groups.contains_key(group) {
            return Err(missing(Kind::ResourceGroup, group));
        }
        if let Some(inside) = inside(&self.world, id, group) {
            let (id, by) = (group.to_owned(), inside.as_str().to_owned());
            return Err(Refusal::InUse { kind: Kind::ResourceGroup, id, by });
        }
        let resource_groups = account.resource_groups.without(group);
        self.put(Change::PutAccount(Arc::new(Account { resource_groups, ..Account::clone(&account) })));
        Ok(Outcome::Done)
    }

    pub(super) fn join_resource_group(
        &mut self,
        account: &AccountId,
        resource: &Resource,
        group: &str,
    ) -> Result<Outcome, Refusal> {
        self.check_resource_group(account, group)?;
        let labels = self.world.labels(resource).filter(|labels| labels.account == account);
        let labels = labels.ok_or_else(|| missing(resource.kind(), resource.as_str()))?;
        if labels.resource_group != group {
            let change = self.world.relabelled(resource, labels.tags.clone(), group.to_owned());
            change.into_iter().for_each(|change| self.put(change));
        }
        Ok(Outcome::Done)
    }

    /// Something new must go into a resource group that is there; empty is the account's default one.
    pub(super) fn check_resource_group(&self, account: &AccountId, group: &str) -> Result<(), Refusal> {
        let known = self.world.account(account).is_some_and(|account| account.resource_groups.contains_key(group));
        if group.is_empty() || known { Ok(()) } else { Err(missing(Kind::ResourceGroup, group)) }
    }
}

/// Something that is in a resource group.
pub(super) fn inside(world: &World, account: &AccountId, group: &str) -> Option<Resource> {
    let is_inside = |resource: &Resource| world.labels(resource).is_some_and(|labels| labels.resource_group == group);
    ResourceKind::ALL.into_iter().flat_map(|kind| kind.of(world, account)).find(is_inside)
}
