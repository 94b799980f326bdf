//! Prefix lists and port lists, and the groups whose rules name them. Lists of prefix lists are wrapped, those of
//! port lists are plain arrays (`spec/ecs.md` C).

use std::{collections::BTreeSet, sync::Arc};

use sekimori_core::{
    address::Family,
    ids::{GroupId, PortListId, PrefixListId},
    refusal::{Kind, Refusal},
    tags::Tags,
    world::{PortEntry, PortList, PrefixEntry, PrefixList, Referent},
};

use super::{
    View,
    page::{Order, part},
    tags,
};
use crate::{
    ecs::{
        encode::{Fields, Node, array, list, number},
        errors::Fault,
        query::{ListQuery, ListsQuery},
        region::Region,
    },
    time::to_seconds,
};

pub(super) fn prefix_lists(query: &ListsQuery<PrefixListId>, view: &View<'_>) -> Fields {
    let passes = |list: &&Arc<PrefixList>| {
        list.account == *view.account
            && query.region.is_none_or(|region| region.id == list.region)
            && passes(query, &list.id, &list.name, (&list.resource_group, &list.tags))
            && query.family.is_none_or(|family| family == list.family)
    };
    let all: Vec<&Arc<PrefixList>> = view.world.prefix_lists().filter(passes).collect();
    let (wanted, mut fields) = part(all, &query.page, Order::Ascending, |list| list.id.to_string());
    let nodes = wanted.into_iter().map(|list| {
        let mut node = prefix_list_header(list);
        let users = users(&Referent::PrefixList(list.id.clone()), view).len();
        node.extend([("AssociationCount", number(users)), ("ResourceGroupId", list.resource_group.as_str().into())]);
        node.push(("Tags", tags::node(&list.tags)));
        node
    });
    fields.push(("PrefixLists", list("PrefixList", nodes)));
    fields
}

pub(super) fn prefix_list(query: &ListQuery<PrefixListId>, view: &View<'_>) -> Result<Fields, Fault> {
    let found = own_prefix_list(query, view)?;
    let mut fields = prefix_list_header(found);
    let entry = |entry: &PrefixEntry| {
        Node::Object(vec![
            ("Cidr", entry.cidr.to_string().into()),
            ("Description", entry.description.as_str().into()),
        ])
    };
    fields.push(("Entries", list("Entry", found.entries.iter().map(entry))));
    Ok(fields)
}

pub(super) fn prefix_list_users(query: &ListQuery<PrefixListId>, view: &View<'_>) -> Result<Fields, Fault> {
    let found = own_prefix_list(query, view)?;
    let users = users(&Referent::PrefixList(found.id.clone()), view);
    let (wanted, mut fields) = part(users, &query.page, Order::Ascending, |group| group.to_string());
    let nodes = wanted.iter().map(|group| user(group, "securitygroup"));
    fields.push(("PrefixListAssociations", list("PrefixListAssociation", nodes)));
    Ok(fields)
}

pub(super) fn port_lists(query: &ListsQuery<PortListId>, view: &View<'_>) -> Fields {
    let passes = |list: &&Arc<PortList>| {
        list.account == *view.account
            && query.region.is_none_or(|region| region.id == list.region)
            && passes(query, &list.id, &list.name, (&list.resource_group, &list.tags))
    };
    let all: Vec<&Arc<PortList>> = view.world.port_lists().filter(passes).collect();
    let (wanted, mut fields) = part(all, &query.page, Order::Ascending, |list| list.id.to_string());
    let nodes = wanted.into_iter().map(|list| -> Fields {
        vec![
            ("PortRangeListId", list.id.as_str().into()),
            ("PortRangeListName", list.name.as_str().into()),
            ("Description", list.description.as_str().into()),
            ("MaxEntries", number(list.entries_max)),
            ("CreationTime", to_seconds(list.created_at).into()),
            ("AssociationCount", number(users(&Referent::PortList(list.id.clone()), view).len())),
            ("ResourceGroupId", list.resource_group.as_str().into()),
            ("Tags", tags::array(&list.tags)),
        ]
    });
    fields.push(("PortRangeLists", array(nodes)));
    fields
}

pub(super) fn port_list(query: &ListQuery<PortListId>, view: &View<'_>) -> Result<Fields, Fault> {
    let found = own_port_list(query, view)?;
    let entry = |entry: &PortEntry| -> Fields {
        let ports = format!("{}/{}", entry.ports.first(), entry.ports.last());
        vec![("PortRange", ports.into()), ("Description", entry.description.as_str().into())]
    };
    Ok(vec![("Entries", array(found.entries.iter().map(entry)))])
}

pub(super) fn port_list_users(query: &ListQuery<PortListId>, view: &View<'_>) -> Result<Fields, Fault> {
    let found = own_port_list(query, view)?;
    let users = users(&Referent::PortList(found.id.clone()), view);
    let (wanted, mut fields) = part(users, &query.page, Order::Ascending, |group| group.to_string());
    fields.push(("PortRangeListAssociations", array(wanted.iter().map(|group| user(group, "SecurityGroup")))));
    Ok(fields)
}

fn passes<Id: PartialEq>(query: &ListsQuery<Id>, id: &Id, name: &str, labels: (&str, &Tags)) -> bool {
    let (resource_group, tags) = labels;
    (query.ids.is_empty() || query.ids.contains(id))
        && query.resource_group.as_ref().is_none_or(|wanted| wanted == resource_group)
        && tags.pass(&query.tags)
        && query.name.as_ref().is_none_or(|wanted| wanted.matches(name))
}

fn prefix_list_header(list: &PrefixList) -> Fields {
    let family = match list.family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    };
    vec![
        ("PrefixListId", list.id.as_str().into()),
        ("PrefixListName", list.name.as_str().into()),
        ("AddressFamily", family.into()),
        ("Description", list.description.as_str().into()),
        ("MaxEntries", number(list.entries_max)),
        ("CreationTime", to_seconds(list.created_at).into()),
    ]
}

/// The groups whose rules name a list, each once.
fn users(referent: &Referent, view: &View<'_>) -> Vec<GroupId> {
    let groups: BTreeSet<&GroupId> = view.world.referrers(referent).map(|(group, _)| group).collect();
    groups.into_iter().cloned().collect()
}

fn user(group: &GroupId, kind: &str) -> Node {
    Node::Object(vec![("ResourceId", group.as_str().into()), ("ResourceType", kind.into())])
}

fn own_prefix_list<'a>(query: &ListQuery<PrefixListId>, view: &View<'a>) -> Result<&'a PrefixList, Fault> {
    let found = view.world.prefix_list(&query.list).filter(|list| list.account == *view.account);
    let found = found.filter(|list| is_in(&list.region, query.region));
    found.map(Arc::as_ref).ok_or_else(|| missing(Kind::PrefixList, query.list.as_str()))
}

fn own_port_list<'a>(query: &ListQuery<PortListId>, view: &View<'a>) -> Result<&'a PortList, Fault> {
    let found = view.world.port_list(&query.list).filter(|list| list.account == *view.account);
    let found = found.filter(|list| is_in(&list.region, query.region));
    found.map(Arc::as_ref).ok_or_else(|| missing(Kind::PortList, query.list.as_str()))
}

fn is_in(own: &str, wanted: Option<&Region>) -> bool {
    wanted.is_none_or(|region| region.id == own)
}

fn missing(kind: Kind, id: &str) -> Fault {
    Fault::Refused(Refusal::Missing { kind, id: id.to_owned() })
}
