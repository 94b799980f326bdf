//! Changes of a group's rules: by what they say, or by their ids.

use std::collections::BTreeSet;

use sekimori_core::{
    command::{Command, NewRule, Revocation, RuleRewrite},
    ids::{GroupId, RuleId},
    refusal::Kind,
    rule::{Direction, RuleSpec},
};

use super::{
    permissions,
    scope::{Scope, read_id},
    tags,
};
use crate::ec2::errors::{Fault, IdKind, RuleFault};

pub(super) fn authorize(scope: &Scope<'_>, direction: Direction) -> Result<Command, Fault> {
    let (account, group) = (scope.account.clone(), scope.group()?);
    let mut rules = permissions::rules(scope, direction)?;
    if rules.is_empty() {
        return Err(Fault::Missing { name: "ipPermissions".to_owned() });
    }
    let tags = tags::specified(scope, "security-group-rule")?;
    rules.iter_mut().for_each(|rule| rule.tags = tags.clone());
    Ok(Command::Authorize { account, group, rules })
}

pub(super) fn revoke(scope: &Scope<'_>, direction: Direction) -> Result<Command, Fault> {
    let (account, group) = (scope.account.clone(), scope.group()?);
    let ids: Vec<RuleId> = scope.ids("SecurityGroupRuleId", IdKind::Rule)?;
    let rules = permissions::rules(scope, direction)?;
    let rules = match (ids.is_empty(), rules.is_empty()) {
        (true, true) => return Err(Fault::Missing { name: "ipPermissions or securityGroupRuleIds".to_owned() }),
        (true, false) => Revocation::Specs(rules.into_iter().map(|rule| rule.spec).collect()),
        (false, true) => Revocation::Ids(ids),
        (false, false) => {
            let message = "The parameter securityGroupRuleIds cannot be used with the parameter ipPermissions";
            return Err(Fault::Combination(message.to_owned()));
        }
    };
    Ok(Command::Revoke { account, group, direction, rules })
}

/// Rules written anew: each wholly, in one step.
pub(super) fn rewrite(scope: &Scope<'_>) -> Result<Command, Fault> {
    let (account, group) = (scope.account.clone(), scope.group_of(scope.required("GroupId")?)?);
    let (mut rules, mut specs) = (Vec::new(), BTreeSet::new());
    for number in scope.items("SecurityGroupRule") {
        let item = format!("SecurityGroupRule.{number}.");
        let (id, direction) = known_rule(scope, &group, &format!("{item}SecurityGroupRuleId"))?;
        if rules.iter().any(|known: &RuleRewrite| known.rule == id) {
            return Err(Fault::Value(format!(
                "Duplicated security group rule ID '{id}'. The same security group rule ID must not appear multiple times."
            )));
        }
        let NewRule { spec, description, tags: _ } =
            permissions::rewritten(scope, direction, format!("{item}SecurityGroupRule."))?;
        if !specs.insert(spec.clone()) {
            return Err(RuleFault::Twice.into());
        }
        rules.push(RuleRewrite { rule: id, spec, description });
    }
    if rules.is_empty() {
        return Err(Fault::Missing { name: "SecurityGroupRule".to_owned() });
    }
    Ok(Command::RewriteRules { account, group, rules })
}

/// Other words about rules, by what they say or by id. Leaving them out takes them away.
pub(super) fn describe(scope: &Scope<'_>, direction: Direction) -> Result<Command, Fault> {
    let (account, group) = (scope.account.clone(), scope.group()?);
    let mut wanted: Vec<(RuleSpec, String)> = Vec::new();
    for number in scope.items("SecurityGroupRuleDescription") {
        let item = format!("SecurityGroupRuleDescription.{number}.");
        let (id, known) = known_rule(scope, &group, &format!("{item}SecurityGroupRuleId"))?;
        let rule = scope.world.rule(&id).filter(|_| known == direction);
        let (_, rule) = rule.ok_or_else(|| Fault::missing(Kind::Rule, id.as_str()))?;
        wanted.push((rule.spec.clone(), permissions::description(scope, &item)?));
    }
    let said = permissions::listed(scope, direction)?;
    if !wanted.is_empty() && !said.is_empty() {
        let message = "The parameter securityGroupRuleDescriptions cannot be used with the parameter ipPermissions";
        return Err(Fault::Combination(message.to_owned()));
    }
    wanted.extend(said.into_iter().map(|rule| (rule.spec, rule.description)));
    if wanted.is_empty() {
        return Err(Fault::Missing { name: "ipPermissions or securityGroupRuleDescriptions".to_owned() });
    }
    let one = |(spec, description): (RuleSpec, String)| Command::DescribeRule {
        account: account.clone(),
        group: group.clone(),
        spec: Box::new(spec),
        description: Some(description),
    };
    Ok(Command::Together { at: None, commands: wanted.into_iter().map(one).collect() })
}

/// A rule of the group, and the way it looks.
fn known_rule(scope: &Scope<'_>, group: &GroupId, name: &str) -> Result<(RuleId, Direction), Fault> {
    let text = scope.required(name)?;
    let id: RuleId = read_id(text, IdKind::Rule)?;
    match scope.world.rule(&id) {
        Some((of, rule)) if of.id == *group => Ok((id, rule.spec.direction)),
        Some(_) | None => Err(Fault::missing(Kind::Rule, text)),
    }
}
