//! `ModifySecurityGroupRule`: a rule by its id, of which what is given changes; or by what it says, of which
//! only the description changes.

use sekimori_core::command::{Command, RuleEdit};

use super::{
    rule::{Item, check_families},
    rules::direction,
    scope::Scope,
};
use crate::ecs::errors::{Fault, RuleFault};

pub(super) fn modify(scope: &Scope<'_>) -> Result<Command, Fault> {
    let (account, group) = (scope.account.clone(), scope.group()?);
    let direction = direction(scope.call.action());
    let item = Item { scope, direction, number: None };
    let (_, own_end) = item.ends();
    if item.text(own_end.group).is_some() {
        return Err(Fault::Rule(RuleFault::GroupOfOwnEnd));
    }
    let Some(rule) = scope.id("SecurityGroupRuleId")? else {
        let spec = Box::new(item.rule()?.spec);
        return Ok(Command::DescribeRule { account, group, spec, description: words(&item).map_err(Fault::Rule)? });
    };
    let edit = edit(&item).map_err(Fault::Rule)?;
    if edit.is_empty() {
        return Err(Fault::Rule(RuleFault::NothingToModify));
    }
    Ok(Command::EditRule { account, group, direction, rule, edit: Box::new(edit) })
}

/// What is to change. Empty text cannot blank anything: it is as if it were not there.
fn edit(item: &Item<'_>) -> Result<RuleEdit, RuleFault> {
    let protocol = item.protocol()?;
    let (peer_end, own_end) = item.ends();
    let (peer_cidr, local) = (item.cidr(&peer_end)?, item.cidr(&own_end)?);
    check_families(protocol, peer_cidr, local)?;
    Ok(RuleEdit {
        action: item.policy()?,
        priority: item.priority()?,
        protocol,
        service: item.service(protocol)?,
        source_ports: item.source_ports(protocol)?,
        peer: item.peer(&peer_end, peer_cidr)?,
        local,
        description: item.description()?,
    })
}

/// The new description of a rule that is named by what it says: here empty text counts (`spec/ecs.md` H3).
fn words(item: &Item<'_>) -> Result<Option<String>, RuleFault> {
    let is_blank = item.scope.call.params().get("Description").is_some_and(str::is_empty);
    Ok(if is_blank { Some(String::new()) } else { item.description()? })
}
