//! Prefix lists and port lists. An edit is a change of every rule that names the list, made by one fact.

use std::{collections::BTreeSet, sync::Arc};

use super::{Draft, missing, within};
use crate::{
    change::Change,
    command::{NewPortList, NewPrefixList, Outcome, PortListEdit, PrefixListEdit},
    ids::{AccountId, GroupId, PortListId, PrefixListId},
    limits::{PORT_LIST_ENTRIES_MAX, PREFIX_LIST_VERSIONS_MAX},
    refusal::{Counted, Kind, Refusal},
    world::{Dialect, ListChange, PortEntry, PortList, PrefixEntry, PrefixList, PrefixListVersion, Referent},
};

impl Draft<'_> {
    pub(super) fn create_prefix_list(&mut self, new: &NewPrefixList) -> Result<Outcome, Refusal> {
        let NewPrefixList { account, region, name, description, family, entries_max, entries, resource_group, tags } =
            new;
        let is_sibling = |list: &&Arc<PrefixList>| list.account == *account && list.region == *region;
        let siblings = self.world.prefix_lists().filter(is_sibling).count();
        within(Counted::PrefixLists, self.limits(account).prefix_lists, siblings + 1)?;
        self.check_capacity(account, *entries_max, entries.len())?;
        within(Counted::Tags, self.limits(account).tags, tags.len())?;
        self.check_resource_group(account, resource_group)?;
        let dialect = self.world.dialect_of(account);
        let id: PrefixListId = self.context.ids.fresh(dialect, "pl", |id| self.world.prefix_list(id).is_some());
        let list = PrefixList {
            id: id.clone(),
            account: account.clone(),
            region: region.clone(),
            name: name.clone(),
            description: description.clone(),
            family: *family,
            entries_max: *entries_max,
            entries: entries.clone(),
            version: 1,
            last_change: ListChange::Created,
            resource_group: resource_group.clone(),
            tags: tags.clone(),
            created_at: self.context.now,
        };
        self.put(Change::PutPrefixList(Arc::new(list)));
        Ok(Outcome::PrefixList(id))
    }

    pub(super) fn edit_prefix_list(&mut self, edit: &PrefixListEdit) -> Result<Outcome, Refusal> {
        let PrefixListEdit { account, list, name, description, entries_max, add, remove, at } = edit;
        let old = self.own_prefix_list(account, list)?;
        check_version(&old, *at)?;
        let mut new = PrefixList::clone(&old);
        replace(&mut new.name, name.as_ref());
        replace(&mut new.description, description.as_ref());
        new.entries_max = entries_max.unwrap_or(new.entries_max);
        new.entries.retain(|entry| !remove.contains(&entry.cidr));
        let is_same = |one: &PrefixEntry, other: &PrefixEntry| one.cidr == other.cidr;
        add.iter().for_each(|entry| put_entry(&mut new.entries, entry, is_same));
        self.check_capacity(account, new.entries_max, new.entries.len())?;
        if new != *old {
            new.last_change = ListChange::Modified;
            self.put_next(&old, new);
        }
        if entries_max.is_some_and(|most| most > old.entries_max) {
            self.check_room_of_referrers(list)?;
        }
        Ok(Outcome::Done)
    }

    /// Gives a list the entries of an older version, as a new one: what happened is never undone, only followed.
    pub(super) fn restore_prefix_list(
        &mut self,
        account: &AccountId,
        id: &PrefixListId,
        version: u64,
        at: u64,
    ) -> Result<Outcome, Refusal> {
        let old = self.own_prefix_list(account, id)?;
        check_version(&old, Some(at))?;
        let none = || Refusal::NoListVersion { list: id.clone(), version, current: old.version };
        let entries = self.world.prefix_list_version(id, version).ok_or_else(none)?.entries.clone();
        self.check_capacity(account, old.entries_max, entries.len())?;
        self.put_next(&old, PrefixList { entries, last_change: ListChange::Restored, ..PrefixList::clone(&old) });
        Ok(Outcome::Done)
    }

    pub(super) fn delete_prefix_list(&mut self, account: &AccountId, id: &PrefixListId) -> Result<Outcome, Refusal> {
        let list = self.own_prefix_list(account, id)?;
        self.check_unnamed(&Referent::PrefixList(id.clone()), Kind::PrefixList, id.as_str())?;
        self.forget_versions(id, 0);
        self.put(Change::DeletePrefixList(id.clone()));
        Ok(Outcome::DeletedPrefixList(list))
    }

    /// Writes a list down. Other entries are another version; in EC2 the one before is kept, and the oldest one goes.
    fn put_next(&mut self, old: &PrefixList, mut new: PrefixList) {
        let is_restored = new.last_change == ListChange::Restored;
        if new.entries != old.entries || is_restored {
            new.version += 1;
            match self.world.dialect_of(&new.account) {
                Dialect::Ecs => {}
                Dialect::Ec2 => {
                    self.forget_versions(&old.id, PREFIX_LIST_VERSIONS_MAX - 2);
                    let (list, version, entries) = (old.id.clone(), old.version, old.entries.clone());
                    let kept = PrefixListVersion { list, version, entries };
                    self.put(Change::PutPrefixListVersion(Arc::new(kept)));
                }
            }
        }
        self.put(Change::PutPrefixList(Arc::new(new)));
    }

    /// Forgets the oldest of a list's older versions, until so many are left.
    fn forget_versions(&mut self, id: &PrefixListId, left: usize) {
        let versions: Vec<u64> = self.world.prefix_list_versions_of(id).map(|old| old.version).collect();
        for version in versions.iter().take(versions.len().saturating_sub(left)) {
            self.put(Change::DeletePrefixListVersion { list: id.clone(), version: *version });
        }
    }

    /// Whether a list of this capacity may be had, and holds this many entries.
    fn check_capacity(&self, account: &AccountId, entries_max: u32, entries: usize) -> Result<(), Refusal> {
        let most = self.limits(account).prefix_list_entries;
        within(Counted::EntriesOfPrefixList, most, entries_max as usize)?;
        within(Counted::EntriesOfPrefixList, entries_max, entries)
    }

    /// A rule counts as the capacity of the list that it names, so each group that does must have room for a larger one.
    fn check_room_of_referrers(&self, id: &PrefixListId) -> Result<(), Refusal> {
        let referrers = self.world.referrers(&Referent::PrefixList(id.clone()));
        let groups: BTreeSet<&GroupId> = referrers.map(|(group, _)| group).collect();
        let mut groups = groups.into_iter().filter_map(|group| self.world.group(group));
        groups.try_for_each(|group| self.check_rule_limits(&group.account, &group.id))
    }

    pub(super) fn create_port_list(&mut self, new: &NewPortList) -> Result<Outcome, Refusal> {
        let NewPortList { account, region, name, description, entries_max, entries, resource_group, tags } = new;
        let is_sibling = |list: &&Arc<PortList>| list.account == *account && list.region == *region;
        let siblings = self.world.port_lists().filter(is_sibling).count();
        within(Counted::PortLists, self.limits(account).port_lists, siblings + 1)?;
        within(Counted::EntriesOfPortList, PORT_LIST_ENTRIES_MAX, *entries_max as usize)?;
        within(Counted::EntriesOfPortList, *entries_max, entries.len())?;
        within(Counted::Tags, self.limits(account).tags, tags.len())?;
        self.check_resource_group(account, resource_group)?;
        let dialect = self.world.dialect_of(account);
        let id: PortListId = self.context.ids.fresh(dialect, "prl", |id| self.world.port_list(id).is_some());
        let list = PortList {
            id: id.clone(),
            account: account.clone(),
            region: region.clone(),
            name: name.clone(),
            description: description.clone(),
            entries_max: *entries_max,
            entries: entries.clone(),
            resource_group: resource_group.clone(),
            tags: tags.clone(),
            created_at: self.context.now,
        };
        self.put(Change::PutPortList(Arc::new(list)));
        Ok(Outcome::PortList(id))
    }

    pub(super) fn edit_port_list(&mut self, edit: &PortListEdit) -> Result<Outcome, Refusal> {
        let PortListEdit { account, list, name, description, add, remove } = edit;
        let old = self.own_port_list(account, list)?;
        let mut new = PortList::clone(&old);
        replace(&mut new.name, name.as_ref());
        replace(&mut new.description, description.as_ref());
        new.entries.retain(|entry| !remove.contains(&entry.ports));
        let is_same = |one: &PortEntry, other: &PortEntry| one.ports == other.ports;
        add.iter().for_each(|entry| put_entry(&mut new.entries, entry, is_same));
        within(Counted::EntriesOfPortList, new.entries_max, new.entries.len())?;
        if new != *old {
            self.put(Change::PutPortList(Arc::new(new)));
        }
        Ok(Outcome::Done)
    }

    pub(super) fn delete_port_list(&mut self, account: &AccountId, id: &PortListId) -> Result<Outcome, Refusal> {
        self.own_port_list(account, id)?;
        self.check_unnamed(&Referent::PortList(id.clone()), Kind::PortList, id.as_str())?;
        self.put(Change::DeletePortList(id.clone()));
        Ok(Outcome::Done)
    }

    fn own_prefix_list(&self, account: &AccountId, id: &PrefixListId) -> Result<Arc<PrefixList>, Refusal> {
        let list = self.world.prefix_list(id).filter(|list| list.account == *account);
        list.cloned().ok_or_else(|| missing(Kind::PrefixList, id))
    }

    fn own_port_list(&self, account: &AccountId, id: &PortListId) -> Result<Arc<PortList>, Refusal> {
        let list = self.world.port_list(id).filter(|list| list.account == *account);
        list.cloned().ok_or_else(|| missing(Kind::PortList, id))
    }

    fn check_unnamed(&self, referent: &Referent, kind: Kind, id: &str) -> Result<(), Refusal> {
        let Some((group, _)) = self.world.referrers(referent).next() else { return Ok(()) };
        Err(Refusal::InUse { kind, id: id.to_owned(), by: group.to_string() })
    }
}

fn check_version(list: &PrefixList, at: Option<u64>) -> Result<(), Refusal> {
    match at.filter(|at| *at != list.version) {
        None => Ok(()),
        Some(expected) => Err(Refusal::ListOutdated { list: list.id.clone(), expected, found: list.version }),
    }
}

pub(super) fn replace(old: &mut String, new: Option<&String>) {
    if let Some(new) = new {
        old.clone_from(new);
    }
}

/// Puts an entry in the place of one that says the same, or at the end.
fn put_entry<T: Clone>(entries: &mut Vec<T>, entry: &T, is_same: impl Fn(&T, &T) -> bool) {
    match entries.iter_mut().find(|old| is_same(old, entry)) {
        Some(old) => *old = entry.clone(),
        None => entries.push(entry.clone()),
    }
}
