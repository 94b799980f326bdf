//! Prefix lists and port lists.
//!
//! The form of entries is judged here; whether a list has room for them is judged by `core`.

use std::collections::BTreeSet;

use sekimori_core::{
    address::{Cidr, Family},
    command::{Command, NewPortList, NewPrefixList, PortListEdit, PrefixListEdit},
    ids::{PortListId, PrefixListId},
    limits::{PORT_LIST_ENTRIES_MAX, PREFIX_LIST_ENTRIES_MAX},
    refusal::{Kind, Refusal},
    rule::PortRange,
    world::{PortEntry, PrefixEntry},
};

use super::{
    queries::part,
    rule::ports_of,
    scope::{IDS_MAX, Scope, is_description, is_name, missing},
    tags,
};
use crate::ecs::{
    errors::{Fault, ListFault},
    query::{ListQuery, ListsQuery, NameFilter},
};

/// Entries that one call adds, or takes out.
const ENTRIES_MAX: usize = 200;
/// The longest description of an entry, in characters.
const ENTRY_DESCRIPTION_MAX: usize = 32;
/// How no list of one's own may be called.
const RESERVED_NAMES: [&str; 2] = ["com.aliyun", "com.alibabacloud"];

pub(super) fn create_prefix_list(scope: &Scope<'_>) -> Result<Command, Fault> {
    let family = family(scope.required("AddressFamily")?)?;
    let entries_max = scope.integer("MaxEntries", 1..=PREFIX_LIST_ENTRIES_MAX)?;
    let entries = prefix_entries(scope, "Entry", Some(family))?;
    check_distinct(entries.iter().map(|entry| entry.cidr)).map_err(cidr_twice)?;
    Ok(Command::CreatePrefixList(NewPrefixList {
        account: scope.account.clone(),
        region: scope.needs_region()?.id.to_owned(),
        name: name(scope, "PrefixListName", ListFault::PrefixListName)?.ok_or_else(|| missing("PrefixListName"))?,
        description: description(scope)?.unwrap_or_default(),
        family,
        entries_max: entries_max.ok_or_else(|| missing("MaxEntries"))?,
        entries,
        resource_group: scope.resource_group()?,
        tags: tags::read(scope)?,
    }))
}

pub(super) fn edit_prefix_list(scope: &Scope<'_>) -> Result<Command, Fault> {
    let list = prefix_list_id(scope)?;
    let family = scope.world.prefix_list(&list).map(|list| list.family);
    let add = prefix_entries(scope, "AddEntry", family)?;
    let remove = prefix_entries(scope, "RemoveEntry", family)?;
    let remove: Vec<Cidr> = remove.into_iter().map(|entry| entry.cidr).collect();
    check_distinct(add.iter().map(|entry| entry.cidr).chain(remove.iter().copied())).map_err(cidr_twice)?;
    let name = name(scope, "PrefixListName", ListFault::PrefixListName)?;
    let (account, description) = (scope.account.clone(), description(scope)?);
    let (entries_max, at) = (None, None);
    Ok(Command::EditPrefixList(PrefixListEdit { account, list, name, description, entries_max, add, remove, at }))
}

pub(super) fn delete_prefix_list(scope: &Scope<'_>) -> Result<Command, Fault> {
    Ok(Command::DeletePrefixList { account: scope.account.clone(), list: prefix_list_id(scope)? })
}

pub(super) fn create_port_list(scope: &Scope<'_>) -> Result<Command, Fault> {
    let entries = port_entries(scope, "Entry")?;
    check_distinct(entries.iter().map(|entry| entry.ports)).map_err(ports_twice)?;
    Ok(Command::CreatePortList(NewPortList {
        account: scope.account.clone(),
        region: scope.needs_region()?.id.to_owned(),
        name: name(scope, "PortRangeListName", ListFault::PortListName)?
            .ok_or_else(|| missing("PortRangeListName"))?,
        description: description(scope)?.unwrap_or_default(),
        entries_max: port_list_capacity(scope)?,
        entries,
        resource_group: scope.resource_group()?,
        tags: tags::read(scope)?,
    }))
}

pub(super) fn edit_port_list(scope: &Scope<'_>) -> Result<Command, Fault> {
    let list = port_list_id(scope)?;
    let (add, remove) = (port_entries(scope, "AddEntry")?, port_entries(scope, "RemoveEntry")?);
    let remove: Vec<PortRange> = remove.into_iter().map(|entry| entry.ports).collect();
    check_distinct(add.iter().map(|entry| entry.ports).chain(remove.iter().copied())).map_err(ports_twice)?;
    let name = name(scope, "PortRangeListName", ListFault::PortListName)?;
    let (account, description) = (scope.account.clone(), description(scope)?);
    Ok(Command::EditPortList(PortListEdit { account, list, name, description, add, remove }))
}

pub(super) fn delete_port_list(scope: &Scope<'_>) -> Result<Command, Fault> {
    Ok(Command::DeletePortList { account: scope.account.clone(), list: port_list_id(scope)? })
}

pub(super) fn prefix_lists(scope: &Scope<'_>) -> Result<ListsQuery<PrefixListId>, Fault> {
    let texts = scope.call.params().list("PrefixListId");
    if texts.len() > IDS_MAX {
        return Err(Fault::List(ListFault::TooManyIds { most: IDS_MAX }));
    }
    let family = scope.text("AddressFamily").map(family).transpose()?;
    lists(scope, "PrefixListId", "PrefixListName", family)
}

pub(super) fn port_lists(scope: &Scope<'_>) -> Result<ListsQuery<PortListId>, Fault> {
    lists(scope, "PortRangeListId", "PortRangeListName", None)
}

pub(super) fn prefix_list(scope: &Scope<'_>) -> Result<ListQuery<PrefixListId>, Fault> {
    Ok(ListQuery { region: scope.region, list: prefix_list_id(scope)?, page: users_part(scope)? })
}

pub(super) fn port_list(scope: &Scope<'_>) -> Result<ListQuery<PortListId>, Fault> {
    Ok(ListQuery { region: scope.region, list: port_list_id(scope)?, page: users_part(scope)? })
}

fn lists<'a, Id: From<&'a str>>(
    scope: &Scope<'a>,
    ids: &'static str,
    name: &str,
    family: Option<Family>,
) -> Result<ListsQuery<Id>, Fault> {
    Ok(ListsQuery {
        region: scope.region,
        ids: scope.id_list(ids)?,
        name: scope.text(name).map(|text| NameFilter::Exact(text.to_owned())),
        family,
        resource_group: scope.resource_group_filter()?,
        tags: tags::filters(scope)?,
        page: part(scope)?,
    })
}

/// The part of an operation that has parts.
fn users_part(scope: &Scope<'_>) -> Result<crate::ecs::query::Page, Fault> {
    if scope.call.entry().accepts("MaxResults") { part(scope) } else { Ok(crate::ecs::query::Page::All) }
}

/// A list of another region does not exist for the request.
fn prefix_list_id(scope: &Scope<'_>) -> Result<PrefixListId, Fault> {
    let id: PrefixListId = scope.required_id("PrefixListId")?;
    check_region(
        scope,
        scope.world.prefix_list(&id).map(|list| list.region.as_str()),
        Kind::PrefixList,
        id.as_str(),
    )?;
    Ok(id)
}

fn port_list_id(scope: &Scope<'_>) -> Result<PortListId, Fault> {
    let id: PortListId = scope.required_id("PortRangeListId")?;
    check_region(scope, scope.world.port_list(&id).map(|list| list.region.as_str()), Kind::PortList, id.as_str())?;
    Ok(id)
}

fn check_region(scope: &Scope<'_>, own: Option<&str>, kind: Kind, id: &str) -> Result<(), Fault> {
    match (own, scope.region) {
        (Some(own), Some(region)) if own != region.id => {
            Err(Fault::Refused(Refusal::Missing { kind, id: id.to_owned() }))
        }
        (Some(_) | None, Some(_) | None) => Ok(()),
    }
}

fn family(text: &str) -> Result<Family, Fault> {
    if text.eq_ignore_ascii_case("ipv4") {
        return Ok(Family::V4);
    }
    if text.eq_ignore_ascii_case("ipv6") { Ok(Family::V6) } else { Err(Fault::List(ListFault::Family)) }
}

fn name(scope: &Scope<'_>, field: &str, fault: ListFault) -> Result<Option<String>, Fault> {
    let Some(text) = scope.text(field) else { return Ok(None) };
    let is_reserved = RESERVED_NAMES.iter().any(|reserved| text.starts_with(reserved));
    if is_reserved || !is_name(text, &[]) { Err(Fault::List(fault)) } else { Ok(Some(text.to_owned())) }
}

fn description(scope: &Scope<'_>) -> Result<Option<String>, Fault> {
    let Some(text) = scope.text("Description") else { return Ok(None) };
    if is_description(text) { Ok(Some(text.to_owned())) } else { Err(bad_description("Description")) }
}

fn bad_description(item: &str) -> Fault {
    Fault::List(ListFault::Description { item: item.to_owned() })
}

fn port_list_capacity(scope: &Scope<'_>) -> Result<u32, Fault> {
    let most = PORT_LIST_ENTRIES_MAX;
    let number = scope.integer("MaxEntries", 1..=u32::MAX)?.ok_or_else(|| missing("MaxEntries"))?;
    if number > most { Err(Fault::List(ListFault::PortListCapacity { most })) } else { Ok(number) }
}

/// The numbers of the items of a list of entries.
fn numbers(scope: &Scope<'_>, list: &str) -> Result<Vec<u32>, Fault> {
    let numbers = scope.call.params().indices(list);
    if numbers.len() > ENTRIES_MAX {
        return Err(Fault::List(ListFault::TooManyEntries { most: ENTRIES_MAX }));
    }
    Ok(numbers)
}

/// Blocks with their words. A bare address becomes a block of one; a block with bits beyond its length is none.
fn prefix_entries(scope: &Scope<'_>, list: &str, family: Option<Family>) -> Result<Vec<PrefixEntry>, Fault> {
    let fits = |cidr: &Cidr| !cidr.has_host_bits() && family.is_none_or(|family| family == cidr.family());
    let entry = |number: u32| {
        let item = format!("{list}.{number}.Cidr");
        let cidr = scope.text(&item).and_then(|text| text.parse::<Cidr>().ok()).filter(fits);
        let cidr = cidr.ok_or(Fault::List(ListFault::Cidr { item }))?;
        Ok(PrefixEntry { cidr: cidr.canonical(), description: entry_description(scope, list, number)? })
    };
    numbers(scope, list)?.into_iter().map(entry).collect()
}

fn port_entries(scope: &Scope<'_>, list: &str) -> Result<Vec<PortEntry>, Fault> {
    let entry = |number: u32| {
        let item = format!("{list}.{number}.PortRange");
        let Some(text) = scope.text(&item) else { return Err(Fault::List(ListFault::PortEntry { item })) };
        let ports = ports_of(text).ok_or(Fault::List(ListFault::Ports { item }))?;
        Ok(PortEntry { ports, description: entry_description(scope, list, number)? })
    };
    numbers(scope, list)?.into_iter().map(entry).collect()
}

/// The words about an entry; entries that are taken out have none.
fn entry_description(scope: &Scope<'_>, list: &str, number: u32) -> Result<String, Fault> {
    let item = format!("{list}.{number}.Description");
    if !scope.call.entry().accepts(&item) {
        return Ok(String::new());
    }
    let text = scope.text(&item).unwrap_or_default();
    let fits = text.is_empty() || (is_description(text) && text.chars().count() <= ENTRY_DESCRIPTION_MAX);
    if fits { Ok(text.to_owned()) } else { Err(bad_description(&item)) }
}

/// The first item that comes twice.
fn check_distinct<T: Ord + Copy>(items: impl Iterator<Item = T>) -> Result<(), T> {
    let mut seen = BTreeSet::new();
    for item in items {
        if !seen.insert(item) {
            return Err(item);
        }
    }
    Ok(())
}

fn cidr_twice(cidr: Cidr) -> Fault {
    Fault::List(ListFault::CidrTwice { cidr: cidr.to_string() })
}

fn ports_twice(ports: PortRange) -> Fault {
    Fault::List(ListFault::PortsTwice { ports: format!("{}/{}", ports.first(), ports.last()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_twice_is_named() {
        assert_eq!(check_distinct([3, 1, 2].into_iter()), Ok(()));
        assert_eq!(check_distinct([3, 1, 3, 1].into_iter()), Err(3));
    }

    #[test]
    fn families_are_words_in_any_case() {
        assert_eq!((family("IPv4"), family("ipV6")), (Ok(Family::V4), Ok(Family::V6)));
        assert_eq!(family("IP"), Err(Fault::List(ListFault::Family)));
    }
}
