//! Tags: of something new, and of what exists already.

use std::collections::BTreeSet;

use sekimori_core::{
    command::Command,
    resource::{Resource, ResourceKind},
    tags::{TagFault, TagKeys, Tags},
    world::Dialect,
};

use super::scope::Scope;
use crate::ec2::errors::{Fault, IdKind};

/// The tags that a call gives to a new thing of a type. Every specification of the call must be of this type.
pub(super) fn specified(scope: &Scope<'_>, kind: &str) -> Result<Tags, Fault> {
    specified_of(scope, kind, &[kind])
}

/// The same, of a call that makes things of several types.
pub(super) fn specified_of(scope: &Scope<'_>, kind: &str, kinds: &[&str]) -> Result<Tags, Fault> {
    let mut pairs = Vec::new();
    for number in scope.items("TagSpecification") {
        let named = scope.text(&format!("TagSpecification.{number}.ResourceType"));
        let named =
            named.ok_or_else(|| Fault::Value("Tag specification resource type must have a value".to_owned()))?;
        if !kinds.contains(&named) {
            let message = format!("'{named}' is not a valid taggable resource type for this operation.");
            return Err(Fault::Value(message));
        }
        let own = pairs_of(scope, &format!("TagSpecification.{number}.Tag"));
        if own.is_empty() {
            return Err(Fault::Value("Tag specification must have at least one tag".to_owned()));
        }
        if named == kind {
            pairs.extend(own);
        }
    }
    read(pairs)
}

pub(super) fn create(scope: &Scope<'_>) -> Result<Command, Fault> {
    let resources = resources(scope)?;
    let tags = read(pairs_of(scope, "Tag"))?;
    if tags.is_empty() {
        return Err(Fault::Missing { name: "tagSet".to_owned() });
    }
    Ok(Command::Tag { account: scope.account.clone(), resources, tags })
}

/// Without tags all go; a tag with a value goes only where it has that value.
pub(super) fn delete(scope: &Scope<'_>) -> Result<Command, Fault> {
    let (account, resources) = (scope.account.clone(), resources(scope)?);
    let wanted = pairs_of(scope, "Tag");
    if wanted.is_empty() {
        return Ok(Command::Untag { account, resources, keys: TagKeys::All });
    }
    let named = |name: &str| scope.items("Tag").into_iter().any(|number| is_given(scope, number, name));
    if !named("Value") {
        let keys = wanted.into_iter().map(|(key, _)| key.to_owned()).collect();
        return Ok(Command::Untag { account, resources, keys: TagKeys::Named(keys) });
    }
    let one = |resource: Resource| {
        let keys = TagKeys::Named(keys_with_value(scope, &resource));
        Command::Untag { account: account.clone(), resources: vec![resource], keys }
    };
    Ok(Command::Together { at: None, commands: resources.into_iter().map(one).collect() })
}

/// The keys of a resource's tags that a call names, with the value that it names if it does.
fn keys_with_value(scope: &Scope<'_>, resource: &Resource) -> BTreeSet<String> {
    let own = scope.world.labels(resource).map(|labels| labels.tags);
    let mut keys = BTreeSet::new();
    for number in scope.items("Tag") {
        let text = |name: &str| scope.call.params().get(&format!("Tag.{number}.{name}"));
        let Some(key) = text("Key") else { continue };
        let has = own.and_then(|tags| tags.get(key));
        if text("Value").is_none_or(|value| has == Some(value)) {
            keys.insert(key.to_owned());
        }
    }
    keys
}

fn is_given(scope: &Scope<'_>, number: u32, name: &str) -> bool {
    scope.call.params().get(&format!("Tag.{number}.{name}")).is_some()
}

/// Key and value of the items of a list; a value that is not given is empty.
fn pairs_of<'a>(scope: &Scope<'a>, list: &str) -> Vec<(&'a str, &'a str)> {
    let numbers = scope.items(list).into_iter();
    let text =
        |number: u32, name: &str| scope.call.params().get(&format!("{list}.{number}.{name}")).unwrap_or_default();
    numbers.map(|number| (text(number, "Key"), text(number, "Value"))).collect()
}

fn read(pairs: Vec<(&str, &str)>) -> Result<Tags, Fault> {
    Tags::read(Dialect::Ec2, pairs).map_err(|fault| {
        Fault::Value(match fault {
            TagFault::Key(key) if key.to_lowercase().starts_with("aws:") => {
                format!("Tag keys starting with 'aws:' are reserved for internal use: '{key}'")
            }
            TagFault::Key(key) => {
                let message = format!("Tag key '{key}' is empty or longer than 127 characters.");
                return Fault::TagKey(message);
            }
            TagFault::Value(value) => format!("Tag value '{value}' exceeds the maximum length of 256 characters"),
            TagFault::Twice(key) => format!("Duplicate tag key '{key}' specified."),
        })
    })
}

/// What a call names, each once, in the request's region.
fn resources(scope: &Scope<'_>) -> Result<Vec<Resource>, Fault> {
    let mut resources = Vec::new();
    for id in scope.list("ResourceId")? {
        let resource = resource(scope, id)?;
        if !resources.contains(&resource) {
            resources.push(resource);
        }
    }
    if resources.is_empty() { Err(Fault::Missing { name: "resourceIdSet".to_owned() }) } else { Ok(resources) }
}

/// The thing of an id, which tells its kind by its prefix.
fn resource(scope: &Scope<'_>, id: &str) -> Result<Resource, Fault> {
    let unknown = || Fault::UnknownId { id: id.to_owned() };
    let (prefix, _) = id.split_once('-').ok_or_else(unknown)?;
    let kinds = [
        (IdKind::Vpc, ResourceKind::Vpc),
        (IdKind::Subnet, ResourceKind::Subnet),
        (IdKind::Instance, ResourceKind::Instance),
        (IdKind::Interface, ResourceKind::Eni),
        (IdKind::Group, ResourceKind::Group),
        (IdKind::Rule, ResourceKind::Rule),
        (IdKind::PrefixList, ResourceKind::PrefixList),
        (IdKind::Peering, ResourceKind::Peering),
        (IdKind::NetworkAcl, ResourceKind::NetworkAcl),
        (IdKind::FlowLog, ResourceKind::FlowLog),
        (IdKind::InsightsPath, ResourceKind::InsightsPath),
        (IdKind::InsightsAnalysis, ResourceKind::InsightsAnalysis),
    ];
    let (_, kind) = kinds.into_iter().find(|(kind, _)| kind.prefix() == prefix).ok_or_else(unknown)?;
    let resource = kind.named(id);
    match scope.world.labels(&resource) {
        Some(labels) if labels.account == scope.account && labels.region == scope.region.name => Ok(resource),
        Some(_) | None => Err(Fault::missing(resource.kind(), id)),
    }
}
