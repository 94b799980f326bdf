//! The rules of a call: `Permissions.N`, one flat rule, or rule ids.

use std::collections::BTreeSet;

use sekimori_core::{
    command::{Command, NewRule, Revocation},
    ids::RuleId,
    rule::Direction,
};

use super::{
    rule::{FLAT_FIELDS, Item},
    scope::{Scope, is_id},
};
use crate::ecs::{
    catalog::Action,
    errors::{Fault, RuleFault},
};

/// Rules, or rule ids, of one call.
const RULES_MAX: usize = 100;

pub(super) fn authorize(scope: &Scope<'_>) -> Result<Command, Fault> {
    let (account, group) = (scope.account.clone(), scope.group()?);
    Ok(Command::Authorize { account, group, rules: rules(scope)? })
}

pub(super) fn revoke(scope: &Scope<'_>) -> Result<Command, Fault> {
    let (account, group) = (scope.account.clone(), scope.group()?);
    let ids = rule_ids(scope).map_err(Fault::Rule)?;
    let rules = if ids.is_empty() {
        Revocation::Specs(rules(scope)?.into_iter().map(|rule| rule.spec).collect())
    } else {
        Revocation::Ids(ids)
    };
    Ok(Command::Revoke { account, group, direction: direction(scope.call.action()), rules })
}

pub(super) fn direction(action: Action) -> Direction {
    let egress = [
        Action::AuthorizeSecurityGroupEgress,
        Action::RevokeSecurityGroupEgress,
        Action::ModifySecurityGroupEgressRule,
    ];
    if egress.contains(&action) { Direction::Egress } else { Direction::Ingress }
}

fn rules(scope: &Scope<'_>) -> Result<Vec<NewRule>, Fault> {
    let direction = direction(scope.call.action());
    let numbers = scope.call.params().indices("Permissions");
    if numbers.is_empty() {
        return Ok(vec![Item { scope, direction, number: None }.rule()?]);
    }
    if FLAT_FIELDS.iter().any(|field| scope.text(field).is_some()) {
        return Err(Fault::Rule(RuleFault::Mixed));
    }
    if numbers.len() > RULES_MAX {
        return Err(Fault::Rule(RuleFault::TooMany));
    }
    let items = numbers.into_iter().map(|number| Item { scope, direction, number: Some(number) }.rule());
    let rules = items.collect::<Result<Vec<_>, _>>()?;
    let distinct: BTreeSet<_> = rules.iter().map(|rule| &rule.spec).collect();
    if distinct.len() < rules.len() { Err(Fault::Rule(RuleFault::Twice)) } else { Ok(rules) }
}

fn rule_ids(scope: &Scope<'_>) -> Result<Vec<RuleId>, RuleFault> {
    let ids = scope.call.params().list("SecurityGroupRuleId");
    if ids.len() > RULES_MAX || !ids.iter().all(|id| is_id(id)) {
        return Err(RuleFault::RuleId);
    }
    if !ids.is_empty() && !scope.call.params().indices("Permissions").is_empty() {
        return Err(RuleFault::Mixed);
    }
    let distinct: BTreeSet<_> = ids.iter().collect();
    if distinct.len() < ids.len() {
        return Err(RuleFault::RuleIdTwice);
    }
    Ok(ids.into_iter().map(RuleId::from).collect())
}
