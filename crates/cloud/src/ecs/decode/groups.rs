//! Groups, and who is in them.

use sekimori_core::{
    command::{Command, NewGroup},
    ids::VpcId,
    refusal::Kind,
    world::{Flavor, InnerAccess},
};

use super::{
    scope::{Scope, is_name},
    tags,
};
use crate::ecs::errors::{Fault, Words};

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
        resource_group: scope.resource_group()?,
        tags: tags::read(scope)?,
        managed_by: managed_by(scope)?,
    }))
}

/// The parameter that cloud products use. The caller's own account plays the product.
fn managed_by(scope: &Scope<'_>) -> Result<Option<u64>, Fault> {
    let is_managed = scope.boolean("ServiceManaged")?.unwrap_or(false);
    Ok(is_managed.then(|| scope.account.as_str().parse().unwrap_or(0)))
}

/// What is not given, or empty, stays.
pub(super) fn edit(scope: &Scope<'_>) -> Result<Command, Fault> {
    let group = scope.group()?;
    let name = scope.text("SecurityGroupName");
    if name.is_some_and(|name| !is_name(name, &[])) {
        return Err(Fault::Words(Words::GroupName));
    }
    let description = Some(scope.description(Words::GroupDescription)?).filter(|text| !text.is_empty());
    Ok(Command::EditGroup { account: scope.account.clone(), group, name: name.map(str::to_owned), description })
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
