//! Groups, and who is in them.

use imbl::OrdMap;
use sekimori_core::{
    command::{Command, NewGroup},
    ids::VpcId,
    refusal::Kind,
    world::{Flavor, InnerAccess},
};

use super::scope::{Scope, is_name};
use crate::ecs::errors::{Fault, Words};

/// The longest key or value of a tag, in characters.
const TAG_MAX: usize = 128;

pub(super) fn create(scope: &Scope<'_>) -> Result<Command, Fault> {
    let vpc: VpcId = scope.id("VpcId")?.ok_or(Fault::VpcNeeded)?;
    scope.check_region(Some(&vpc), Kind::Vpc, vpc.as_str())?;
    let name = scope.text("SecurityGroupName").unwrap_or_default();
    if !name.is_empty() && !is_name(name, &[]) {
        return Err(Fault::Words(Words::GroupName));
    }
    let flavor = scope.text("SecurityGroupType").map(flavor).transpose()?;
    Ok(Command::CreateGroup(NewGroup {
        account: scope.account.clone(),
        vpc,
        flavor: flavor.unwrap_or(Flavor::EcsBasic),
        name: name.to_owned(),
        description: scope.description(Words::GroupDescription)?,
        resource_group: scope.id::<&str>("ResourceGroupId")?.unwrap_or_default().to_owned(),
        tags: tags(scope)?,
    }))
}

pub(super) fn delete(scope: &Scope<'_>) -> Result<Command, Fault> {
    Ok(Command::DeleteGroup { account: scope.account.clone(), group: scope.group()? })
}

pub(super) fn set_inner_access(scope: &Scope<'_>) -> Result<Command, Fault> {
    let group = scope.group()?;
    let policy = scope.required("InnerAccessPolicy")?;
    let inner_access = if policy.eq_ignore_ascii_case("accept") {
        InnerAccess::Accept
    } else if policy.eq_ignore_ascii_case("drop") {
        InnerAccess::Drop
    } else {
        return Err(Fault::InnerAccess);
    };
    Ok(Command::SetInnerAccess { account: scope.account.clone(), group, inner_access })
}

pub(super) fn join(scope: &Scope<'_>) -> Result<Command, Fault> {
    let (group, member) = (scope.group()?, scope.member()?);
    Ok(Command::JoinGroup { account: scope.account.clone(), group, member })
}

pub(super) fn leave(scope: &Scope<'_>) -> Result<Command, Fault> {
    let (group, member) = (scope.group()?, scope.member()?);
    Ok(Command::LeaveGroup { account: scope.account.clone(), group, member })
}

/// The flavor that a type names.
pub(super) fn flavor(text: &str) -> Result<Flavor, Fault> {
    match text {
        "normal" => Ok(Flavor::EcsBasic),
        "enterprise" => Ok(Flavor::EcsEnterprise),
        _ => Err(Fault::GroupType),
    }
}

/// Tags as written: key and, if there is one, value. Also the old names in lower case.
pub(super) fn tag_pairs<'a>(scope: &Scope<'a>) -> Vec<(&'a str, Option<&'a str>)> {
    let field = |number: u32, name: &str| {
        let either = [name.to_owned(), name.to_lowercase()];
        either.iter().find_map(|name| scope.text(&format!("Tag.{number}.{name}")))
    };
    let numbers = scope.call.params().indices("Tag").into_iter();
    let pairs = numbers.map(|number| (field(number, "Key"), field(number, "Value")));
    pairs.filter(|pair| *pair != (None, None)).map(|(key, value)| (key.unwrap_or_default(), value)).collect()
}

fn tags(scope: &Scope<'_>) -> Result<OrdMap<String, String>, Fault> {
    let mut tags = OrdMap::new();
    for (key, value) in tag_pairs(scope) {
        let value = value.unwrap_or_default();
        if !is_tag_text(key) || key.is_empty() || key.starts_with("aliyun") || key.starts_with("acs:") {
            return Err(Fault::Words(Words::TagKey));
        }
        if !is_tag_text(value) {
            return Err(Fault::Words(Words::TagValue));
        }
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(Fault::Words(Words::TagKeyTwice));
        }
    }
    Ok(tags)
}

fn is_tag_text(text: &str) -> bool {
    text.chars().count() <= TAG_MAX && !text.contains("http://") && !text.contains("https://")
}
