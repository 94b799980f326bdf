//! Managed prefix lists, with their versions.
//!
//! The form of entries is judged here; whether a list has room for them, and is at the version that was looked at, is
//! judged by `core`.

use std::{collections::BTreeSet, ops::RangeInclusive};

use sekimori_core::{
    address::{Cidr, Family},
    command::{Command, NewPrefixList, PrefixListEdit},
    ids::PrefixListId,
    limits::HOST_PREFIX_LIST_ENTRIES_MAX,
    refusal::Kind,
    world::{PrefixEntry, PrefixList},
};

use super::{
    listings::{self, PARTS},
    permissions::block,
    scope::{Scope, words},
    tags,
};
use crate::ec2::{
    errors::{Fault, IdKind},
    query::Query,
};

/// Entries that one call adds, and that it takes out.
const ENTRIES_MAX: usize = 100;
/// How no list of one's own may be called.
const RESERVED: &str = "com.amazonaws";
/// What listings of lists and of entries take as `MaxResults`, and that of who names a list.
const LIST_PARTS: RangeInclusive<u32> = 1..=100;
const ASSOCIATION_PARTS: RangeInclusive<u32> = 5..=255;

pub(super) fn create(scope: &Scope<'_>) -> Result<Command, Fault> {
    let family = family(scope.required("AddressFamily")?)?;
    let entries = entries(scope, "Entry", family)?;
    check_distinct(entries.iter().map(|entry| entry.cidr))?;
    Ok(Command::CreatePrefixList(NewPrefixList {
        account: scope.account.clone(),
        region: scope.region.name.to_owned(),
        name: name(scope.required("PrefixListName")?)?,
        description: String::new(),
        family,
        entries_max: capacity(scope)?.ok_or_else(|| Fault::Missing { name: "MaxEntries".to_owned() })?,
        entries,
        resource_group: String::new(),
        tags: tags::specified(scope, "prefix-list")?,
    }))
}

/// Entries are changed at the version that was looked at, and never together with how many there may be
/// (`spec/ec2.md` B3).
pub(super) fn modify(scope: &Scope<'_>) -> Result<Command, Fault> {
    let list = own(scope)?;
    let (add, remove) = (entries(scope, "AddEntry", list.family)?, removed(scope, list.family)?);
    check_distinct(add.iter().map(|entry| entry.cidr).chain(remove.iter().copied()))?;
    let (at, entries_max) = (version(scope, "CurrentVersion")?, capacity(scope)?);
    let name = scope.text("PrefixListName").map(name).transpose()?;
    match (add.is_empty() && remove.is_empty(), at, entries_max) {
        (false, None, _) => return Err(Fault::Missing { name: "CurrentVersion".to_owned() }),
        (false, Some(_), Some(_)) => {
            let message = "Entries and the maximum number of entries cannot be modified in the same request";
            return Err(Fault::Combination(message.to_owned()));
        }
        (true, _, None) if name.is_none() => return Err(Fault::no_attribute()),
        (false, Some(_), None) | (true, _, _) => {}
    }
    let (account, list, description) = (scope.account.clone(), list.id.clone(), None);
    Ok(Command::EditPrefixList(PrefixListEdit { account, list, name, description, entries_max, add, remove, at }))
}

pub(super) fn delete(scope: &Scope<'_>) -> Result<Command, Fault> {
    Ok(Command::DeletePrefixList { account: scope.account.clone(), list: own(scope)?.id.clone() })
}

pub(super) fn restore(scope: &Scope<'_>) -> Result<Command, Fault> {
    let needed = |name: &str| version(scope, name)?.ok_or_else(|| Fault::Missing { name: name.to_owned() });
    let (version, at) = (needed("PreviousVersion")?, needed("CurrentVersion")?);
    let (account, list) = (scope.account.clone(), own(scope)?.id.clone());
    Ok(Command::RestorePrefixList { account, list, version, at })
}

pub(super) fn lists(scope: &Scope<'_>) -> Result<Query, Fault> {
    listings::listing_in(scope, "PrefixListId", IdKind::PrefixList, "prefixListIdSet", &LIST_PARTS)
        .map(Query::PrefixLists)
}

/// The lists of the cloud's own services, of which there are none here.
pub(super) fn service_lists(scope: &Scope<'_>) -> Result<Query, Fault> {
    let parts = 1..=*PARTS.end();
    listings::listing_in(scope, "PrefixListId", IdKind::PrefixList, "prefixListIdSet", &parts)
        .map(Query::ServiceLists)
}

pub(super) fn entries_of(scope: &Scope<'_>) -> Result<Query, Fault> {
    let (list, version) = (id(scope)?, version(scope, "TargetVersion")?);
    Ok(Query::PrefixListEntries { list, version, page: listings::part(scope, &LIST_PARTS)? })
}

pub(super) fn associations(scope: &Scope<'_>) -> Result<Query, Fault> {
    Ok(Query::PrefixListAssociations(id(scope)?, listings::part(scope, &ASSOCIATION_PARTS)?))
}

fn id(scope: &Scope<'_>) -> Result<PrefixListId, Fault> {
    scope.prefix_list(scope.required("PrefixListId")?)
}

/// The caller's list that the operation is about: its family tells what entries are.
fn own<'a>(scope: &Scope<'a>) -> Result<&'a PrefixList, Fault> {
    let id = id(scope)?;
    let own = scope.world.prefix_list(&id).filter(|list| list.account == *scope.account);
    own.map(|list| &**list).ok_or_else(|| Fault::missing(Kind::PrefixList, id.as_str()))
}

fn family(text: &str) -> Result<Family, Fault> {
    match text {
        "IPv4" => Ok(Family::V4),
        "IPv6" => Ok(Family::V6),
        other => Err(Fault::Value(format!(
            "Value ({other}) for parameter addressFamily is invalid. Valid values are IPv4 and IPv6."
        ))),
    }
}

fn name(text: &str) -> Result<String, Fault> {
    if text.starts_with(RESERVED) {
        return Err(Fault::Value(format!("A prefix list name cannot start with {RESERVED}.")));
    }
    words(text, "A prefix list name")
}

fn capacity(scope: &Scope<'_>) -> Result<Option<u32>, Fault> {
    scope.integer("MaxEntries", 1..=HOST_PREFIX_LIST_ENTRIES_MAX)
}

fn version(scope: &Scope<'_>, name: &str) -> Result<Option<u64>, Fault> {
    Ok(scope.integer(name, 1..=u32::MAX)?.map(u64::from))
}

fn entries(scope: &Scope<'_>, list: &str, family: Family) -> Result<Vec<PrefixEntry>, Fault> {
    let entry = |number: u32| {
        let cidr = block(scope.required(&format!("{list}.{number}.Cidr"))?, family)?;
        let text = scope.text(&format!("{list}.{number}.Description")).unwrap_or_default();
        Ok(PrefixEntry { cidr, description: words(text, "A description of an entry")? })
    };
    numbers(scope, list)?.into_iter().map(entry).collect()
}

fn removed(scope: &Scope<'_>, family: Family) -> Result<Vec<Cidr>, Fault> {
    let cidr = |number: u32| Ok(block(scope.required(&format!("RemoveEntry.{number}.Cidr"))?, family)?);
    numbers(scope, "RemoveEntry")?.into_iter().map(cidr).collect()
}

fn numbers(scope: &Scope<'_>, list: &str) -> Result<Vec<u32>, Fault> {
    let numbers = scope.items(list);
    if numbers.len() > ENTRIES_MAX {
        return Err(Fault::Value(format!(
            "The parameter {list} has more than {ENTRIES_MAX} entries; send several requests."
        )));
    }
    Ok(numbers)
}

/// No block may be there twice, neither in one list of a call nor in both.
fn check_distinct(blocks: impl Iterator<Item = Cidr>) -> Result<(), Fault> {
    let mut known = BTreeSet::new();
    for block in blocks {
        if !known.insert(block) {
            return Err(Fault::Value(format!("The CIDR {block} must not appear multiple times in a request.")));
        }
    }
    Ok(())
}
