//! Rules of an EC2 group from a file: what `aws ec2 describe-security-groups` printed, as the cloud has no other form for them.

use std::collections::BTreeMap;

use sekimori_core::{
    change::Change,
    command::{Command, NewRule},
    ids::GroupId,
    limits::LimitMode,
    world::{Group, World},
};

use super::ShadowError;
use crate::{
    account::{self, File},
    transfer::{FILE_BYTES_MAX, TransferError},
    trial::Trial,
};

/// The rules that a file describes for a group: those of the group itself, or of the only group with rules that it describes. Each is
/// tried on a group without rules, so nothing is promised that the API refuses.
pub(super) fn rules(
    empty: &World,
    limits: LimitMode,
    group: &Group,
    text: &str,
) -> Result<Vec<NewRule>, ShadowError> {
    if text.len() > FILE_BYTES_MAX {
        return Err(TransferError::TooLarge(text.len()).into());
    }
    let file = File { name: "the file".to_owned(), text: text.to_owned() };
    let account = account::read(&[file]).map_err(|error| ShadowError::Description(error.to_string()))?;
    let mut described: BTreeMap<GroupId, Vec<NewRule>> = BTreeMap::new();
    for change in account.changes {
        if let Change::PutRule { group, rule } = change {
            let rule =
                NewRule { spec: rule.spec.clone(), description: rule.description.clone(), tags: rule.tags.clone() };
            described.entry(group).or_default().push(rule);
        } else if let Change::PutGroup(group) = change {
            described.entry(group.id.clone()).or_default();
        }
    }
    let rules = match described.remove(&group.id) {
        Some(own) => own,
        None => {
            // Groups that are only named as peers have no rules.
            let mut with_rules = described.into_values().filter(|rules| !rules.is_empty());
            let only = with_rules.next().filter(|_| with_rules.next().is_none());
            only.ok_or_else(|| ShadowError::NotDescribed(group.id.clone()))?
        }
    };
    let mut trial = Trial::of(empty, limits);
    for (number, rule) in (1..).zip(&rules) {
        let (account, group, rules) = (group.account.clone(), group.id.clone(), vec![rule.clone()]);
        let added = trial.run(&Command::Authorize { account, group, rules });
        added.map_err(|reason| ShadowError::Row { number, reason })?;
    }
    Ok(rules)
}
