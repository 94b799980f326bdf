//! Changes of a group's rules: by what they say, or by their ids.

use sekimori_core::{
    command::{Command, Revocation},
    ids::RuleId,
    rule::Direction,
};

use super::{permissions, scope::Scope, tags};
use crate::ec2::errors::{Fault, IdKind};

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
