//! Groups.

use std::collections::BTreeSet;

use sekimori_core::{
    command::{Command, NewGroup},
    world::Flavor,
};

use super::{instances, scope::Scope, tags};
use crate::ec2::errors::{CHARACTERS, Fault, is_words};

/// How no group of one's own may be called.
const DEFAULT_NAME: &str = "default";

pub(super) fn create(scope: &Scope<'_>) -> Result<Command, Fault> {
    let name = name(scope.required("GroupName")?)?;
    let description = description(scope.required("GroupDescription")?)?;
    let tags = tags::specified(scope, "security-group")?;
    if scope.text("VpcId").is_none() {
        return Err(Fault::NoDefaultVpc);
    }
    Ok(Command::CreateGroup(NewGroup {
        account: scope.account.clone(),
        vpc: scope.vpc("VpcId")?,
        flavor: Flavor::Ec2,
        name,
        description,
        resource_group: String::new(),
        tags,
        managed_by: None,
    }))
}

pub(super) fn delete(scope: &Scope<'_>) -> Result<Command, Fault> {
    Ok(Command::DeleteGroup { account: scope.account.clone(), group: scope.group()? })
}

/// Lets interfaces of another VPC carry a group, or no longer.
pub(super) fn associate(scope: &Scope<'_>, is_associated: bool) -> Result<Command, Fault> {
    let group = scope.group_of(scope.required("GroupId")?)?;
    Ok(Command::AssociateGroup { account: scope.account.clone(), group, vpc: scope.vpc("VpcId")?, is_associated })
}

/// Asks whether one interface may carry all of these groups.
pub(super) fn validate(scope: &Scope<'_>) -> Result<Command, Fault> {
    let named = instances::groups(scope, "SecurityGroupId")?;
    if named.is_empty() {
        return Err(Fault::Missing { name: "SecurityGroupId".to_owned() });
    }
    let distinct: BTreeSet<_> = named.iter().collect();
    if distinct.len() < named.len() {
        return Err(Fault::Value("Each security group ID must be unique".to_owned()));
    }
    Ok(Command::CheckGroups { account: scope.account.clone(), groups: named })
}

fn name(text: &str) -> Result<String, Fault> {
    let name = text.trim_end_matches(' ');
    if !name.is_ascii() {
        let message = format!(
            "Value ({name}) for parameter GroupName is invalid. Character sets beyond ASCII are not supported."
        );
        return Err(Fault::Value(message));
    }
    if name.is_empty() || !is_words(name) {
        return Err(Fault::Value(format!(
            "Invalid security group name. Valid names are non-empty strings less than 256 characters from the following \
             set:  {CHARACTERS}"
        )));
    }
    if name.starts_with("sg-") {
        let message =
            format!("Value ({name}) for parameter GroupName is invalid. Group names may not be in the format sg-*");
        return Err(Fault::Value(message));
    }
    if name.eq_ignore_ascii_case(DEFAULT_NAME) { Err(Fault::ReservedName) } else { Ok(name.to_owned()) }
}

fn description(text: &str) -> Result<String, Fault> {
    if !text.is_ascii() {
        let message = format!(
            "Value ({text}) for parameter GroupDescription is invalid. Character sets beyond ASCII are not supported."
        );
        return Err(Fault::Value(message));
    }
    if is_words(text) {
        return Ok(text.to_owned());
    }
    Err(Fault::Value(format!(
        "Invalid security group description. Valid descriptions are strings less than 256 characters from the following \
         set:  {CHARACTERS}"
    )))
}
