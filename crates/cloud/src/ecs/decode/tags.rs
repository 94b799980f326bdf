//! Tags and resource groups: of something new, as a filter, and of what exists already.

use sekimori_core::{
    command::Command,
    resource::{Resource, ResourceKind},
    tags::{self, TagFilter, TagKeys, Tags},
    world::Dialect,
};

use super::{
    queries::{Paging, token_page},
    scope::{Scope, is_id},
};
use crate::ecs::{
    catalog::Version,
    errors::{Fault, TagFault},
    query::TagQuery,
};

/// The list that tags are in.
const LIST: &str = "Tag";
/// Tags, or keys of tags, of one call.
const TAGS_MAX: usize = 20;
/// Resources of one call.
const RESOURCES_MAX: usize = 50;
/// Tags in one part of `ListTagResources`.
const PAGING: Paging = Paging::by_token(50, 50);

/// The tags of something new.
pub(super) fn read(scope: &Scope<'_>) -> Result<Tags, Fault> {
    let pairs = pairs(scope, LIST).into_iter().map(|(key, value)| (key, value.unwrap_or_default()));
    Tags::read(Dialect::Ecs, pairs).map_err(|fault| {
        Fault::Tag(match fault {
            tags::TagFault::Key(_) => TagFault::Key,
            tags::TagFault::Value(_) => TagFault::Value,
            tags::TagFault::Twice(_) => TagFault::KeyTwice,
        })
    })
}

/// The tags that must be there, each with a value or any.
pub(super) fn filters(scope: &Scope<'_>) -> Result<Vec<TagFilter>, Fault> {
    filters_in(scope, LIST)
}

/// The same, in a list of another name.
pub(super) fn filters_in(scope: &Scope<'_>, list: &str) -> Result<Vec<TagFilter>, Fault> {
    let pairs = pairs(scope, list);
    if pairs.len() > TAGS_MAX {
        return Err(Fault::Tag(TagFault::TooManyTags));
    }
    let filter =
        |(key, value): (&str, Option<&str>)| TagFilter { key: key.to_owned(), value: value.map(str::to_owned) };
    Ok(pairs.into_iter().map(filter).collect())
}

pub(super) fn tag(scope: &Scope<'_>) -> Result<Command, Fault> {
    let resources = resources(scope)?;
    if pairs(scope, LIST).len() > TAGS_MAX {
        return Err(Fault::Tag(TagFault::TooManyTags));
    }
    let tags = read(scope)?;
    if tags.is_empty() {
        return Err(Fault::Tag(TagFault::NoTags));
    }
    Ok(Command::Tag { account: scope.account.clone(), resources, tags })
}

pub(super) fn untag(scope: &Scope<'_>) -> Result<Command, Fault> {
    let resources = resources(scope)?;
    let keys = scope.call.params().list("TagKey");
    let everything = scope.boolean("All")?.unwrap_or(false);
    let keys = match keys.len() {
        0 if everything => TagKeys::All,
        0 => return Err(Fault::Tag(TagFault::NoTags)),
        1..=TAGS_MAX => TagKeys::Named(keys.into_iter().map(str::to_owned).collect()),
        _ => return Err(Fault::Tag(TagFault::TooManyTags)),
    };
    Ok(Command::Untag { account: scope.account.clone(), resources, keys })
}

pub(super) fn list(scope: &Scope<'_>) -> Result<TagQuery, Fault> {
    let (type_name, kind) = resource_type(scope)?;
    let (ids, tags) = (ids(scope)?, filters(scope)?);
    if ids.is_empty() && tags.is_empty() {
        return Err(Fault::Tag(TagFault::NoResources));
    }
    let ids = ids.into_iter().map(str::to_owned).collect();
    let page = token_page(scope, &PAGING)?;
    Ok(TagQuery { region: scope.region, type_name: type_name.to_owned(), kind, ids, tags, page })
}

pub(super) fn join_resource_group(scope: &Scope<'_>) -> Result<Command, Fault> {
    let (_, kind) = resource_type(scope)?;
    let resource = kind.named(scope.required_id("ResourceId")?);
    scope.check_resource_region(&resource)?;
    let resource_group = scope.resource_group()?;
    Ok(Command::JoinResourceGroup { account: scope.account.clone(), resource, resource_group })
}

/// The resources that a call names, if they are in the region of the request.
fn resources(scope: &Scope<'_>) -> Result<Vec<Resource>, Fault> {
    let (_, kind) = resource_type(scope)?;
    let ids = ids(scope)?;
    if ids.is_empty() {
        return Err(Fault::Tag(TagFault::NoResources));
    }
    let mut resources: Vec<Resource> = ids.into_iter().map(|id| kind.named(id)).collect();
    for one in &resources {
        scope.check_resource_region(one)?;
    }
    resources.sort();
    resources.dedup();
    Ok(resources)
}

fn ids<'a>(scope: &Scope<'a>) -> Result<Vec<&'a str>, Fault> {
    let ids = scope.call.params().list("ResourceId");
    if ids.len() > RESOURCES_MAX {
        return Err(Fault::Tag(TagFault::TooManyResources));
    }
    if ids.iter().all(|id| is_id(id)) { Ok(ids) } else { Err(Fault::Tag(TagFault::Resource)) }
}

/// The type of a call's resources, by its name in the product that is called.
fn resource_type<'a>(scope: &Scope<'a>) -> Result<(&'a str, ResourceKind), Fault> {
    let name = scope.required("ResourceType")?;
    let kind = match scope.call.version() {
        Version::Ecs => ecs_type(name),
        Version::Vpc => vpc_type(name),
        Version::Sts | Version::Location => None,
    };
    kind.map(|kind| (name, kind)).ok_or(Fault::Tag(TagFault::ResourceType))
}

fn ecs_type(name: &str) -> Option<ResourceKind> {
    match name.to_ascii_lowercase().as_str() {
        "instance" => Some(ResourceKind::Instance),
        "eni" => Some(ResourceKind::Eni),
        "securitygroup" => Some(ResourceKind::Group),
        "prefixlist" => Some(ResourceKind::PrefixList),
        "portrangelist" => Some(ResourceKind::PortList),
        _ => None,
    }
}

fn vpc_type(name: &str) -> Option<ResourceKind> {
    match name.to_ascii_lowercase().as_str() {
        "vpc" => Some(ResourceKind::Vpc),
        "vswitch" => Some(ResourceKind::Subnet),
        "prefixlist" => Some(ResourceKind::PrefixList),
        "flowlog" => Some(ResourceKind::FlowLog),
        _ => None,
    }
}

/// Tags as written: key and, if there is one, value. Also the old names in lower case.
fn pairs<'a>(scope: &Scope<'a>, list: &str) -> Vec<(&'a str, Option<&'a str>)> {
    let field = |number: u32, name: &str| {
        let either = [name.to_owned(), name.to_lowercase()];
        either.iter().find_map(|name| scope.call.params().filled(&format!("{list}.{number}.{name}")))
    };
    let numbers = scope.call.params().indices(list).into_iter();
    let pairs = numbers.map(|number| (field(number, "Key"), field(number, "Value")));
    pairs.filter(|pair| *pair != (None, None)).map(|(key, value)| (key.unwrap_or_default(), value)).collect()
}
