//! Managed prefix lists: what they are, their entries at any version, and who names them.

use std::{collections::BTreeSet, sync::Arc};

use sekimori_core::{
    address::{Family, number},
    ids::{GroupId, PrefixListId},
    refusal::Kind,
    tags::Tags,
    time::Timestamp,
    world::{ListChange, PrefixEntry, PrefixList, Referent},
};

use super::{
    View,
    listing::{self, Item, named, part},
    tags,
};
use crate::{
    ec2::{
        Call,
        errors::Fault,
        query::{Listing, Page},
        words::arn,
    },
    node::{self, Fields, list},
    page::{self, Order},
};

pub(super) fn lists(call: &Call, listing: &Listing<PrefixListId>, view: &View<'_>) -> Result<Fields, Fault> {
    let is_own = |list: &&Arc<PrefixList>| list.account == *view.account && list.region == view.region.name;
    let one = |id: &PrefixListId| view.world.prefix_list(id).filter(is_own).map(|list| &**list);
    let all = || view.world.prefix_lists().filter(is_own).map(|list| &**list).collect();
    let (wanted, next) = part(call, listing, named(&listing.ids, Kind::PrefixList, one, all)?, view);
    let mut fields: Fields = vec![("prefixListSet", list("item", wanted.into_iter().map(shown)))];
    fields.extend(next);
    Ok(fields)
}

/// What `DescribePrefixLists` answers: the lists of the cloud's own services. There are none, so none can be named.
pub(super) fn service_lists(listing: &Listing<PrefixListId>) -> Result<Fields, Fault> {
    match listing.ids.first() {
        Some(id) => Err(Fault::missing(Kind::PrefixList, id.as_str())),
        None => Ok(vec![("prefixListSet", list::<&str>("item", []))]),
    }
}

/// The entries of a version, by address.
pub(super) fn entries(
    call: &Call,
    (id, version): (&PrefixListId, Option<u64>),
    page: &Page,
    view: &View<'_>,
) -> Result<Fields, Fault> {
    let own = own(id, view)?;
    let older = |version: u64| {
        let kept = view.world.prefix_list_version(id, version).map(|kept| kept.entries.clone());
        kept.ok_or_else(|| {
            let current = own.version;
            Fault::Value(format!("The prefix list '{id}' has no version {version}; its version is {current}."))
        })
    };
    let mut entries = match version.filter(|version| *version != own.version) {
        None => own.entries.clone(),
        Some(version) => older(version)?,
    };
    entries.sort_by_key(place);
    let from = (page.after.as_deref(), page.most);
    let (wanted, last) = page::after(entries, from, Order::Ascending, place);
    let item = |entry: PrefixEntry| -> Fields {
        let mut fields: Fields = vec![("cidr", entry.cidr.to_string().into())];
        if !entry.description.is_empty() {
            fields.push(("description", entry.description.into()));
        }
        fields
    };
    let mut fields: Fields = vec![("entrySet", list("item", wanted.into_iter().map(item)))];
    fields.extend(listing::next(call, last, view));
    Ok(fields)
}

/// The groups whose rules name a list.
pub(super) fn associations(call: &Call, id: &PrefixListId, page: &Page, view: &View<'_>) -> Result<Fields, Fault> {
    own(id, view)?;
    let namers = view.world.referrers(&Referent::PrefixList(id.clone()));
    let groups: BTreeSet<&GroupId> = namers.map(|(group, _)| group).collect();
    let groups = groups.into_iter().filter_map(|group| view.world.group(group)).collect();
    let from = (page.after.as_deref(), page.most);
    let (wanted, last) = page::after(groups, from, Order::Ascending, |group| group.id.to_string());
    let item = |group: &Arc<sekimori_core::world::Group>| -> Fields {
        vec![("resourceId", group.id.as_str().into()), ("resourceOwner", group.account.as_str().into())]
    };
    let mut fields: Fields = vec![("prefixListAssociationSet", list("item", wanted.into_iter().map(item)))];
    fields.extend(listing::next(call, last, view));
    Ok(fields)
}

/// What making, editing and restoring a list answer: the list.
pub(super) fn changed(id: &PrefixListId, view: &View<'_>) -> Fields {
    view.world.prefix_list(id).map(|list| ("prefixList", shown(list).into())).into_iter().collect()
}

/// What deleting one answers: the list as it was.
pub(super) fn deleted(list: &PrefixList) -> Fields {
    vec![("prefixList", told(list, "delete-complete").into())]
}

impl Item for PrefixList {
    fn place(&self) -> (Timestamp, &str) {
        (self.created_at, self.id.as_str())
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn values(&self, filter: &str, _: &View<'_>) -> Vec<String> {
        match filter {
            "owner-id" => vec![self.account.to_string()],
            "prefix-list-id" => vec![self.id.to_string()],
            "prefix-list-name" => vec![self.name.clone()],
            _ => Vec::new(),
        }
    }
}

fn own<'a>(id: &PrefixListId, view: &View<'a>) -> Result<&'a PrefixList, Fault> {
    let is_own = |list: &&Arc<PrefixList>| list.account == *view.account && list.region == view.region.name;
    let own = view.world.prefix_list(id).filter(is_own);
    own.map(|list| &**list).ok_or_else(|| Fault::missing(Kind::PrefixList, id.as_str()))
}

/// Addresses of equal length sort as texts as they do as numbers.
fn place(entry: &PrefixEntry) -> String {
    let net = entry.cidr.network();
    format!("{:032x}/{:03}", number(net.network()), net.prefix_len())
}

/// A change is in effect when it is answered, so no state is in progress.
fn shown(list: &PrefixList) -> Fields {
    told(
        list,
        match list.last_change {
            ListChange::Created => "create-complete",
            ListChange::Modified => "modify-complete",
            ListChange::Restored => "restore-complete",
        },
    )
}

fn told(list: &PrefixList, state: &str) -> Fields {
    let family = match list.family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    };
    let mut fields: Fields = vec![
        ("prefixListId", list.id.as_str().into()),
        ("addressFamily", family.into()),
        ("state", state.into()),
        ("prefixListArn", arn(&list.region, &list.account, "prefix-list", list.id.as_str()).into()),
        ("prefixListName", list.name.as_str().into()),
        ("maxEntries", node::number(list.entries_max)),
        ("version", node::number(list.version)),
        ("ownerId", list.account.as_str().into()),
    ];
    fields.push(tags::set(&list.tags));
    fields
}
