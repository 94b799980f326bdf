//! Which rules a candidate has: those of another group, of a file, or of the group itself, less some and with some more.

use serde::{Deserialize, Serialize};

use sekimori_core::{
    command::NewRule,
    ids::{GroupId, RuleId},
    limits::LimitMode,
    rule::RuleSpec,
    world::{Flavor, Group, World},
};

use super::{ShadowError, described, words};
use crate::{
    text,
    transfer::{self, Verdict},
};

/// Rules that one request adds or leaves out.
pub const EDITS_MAX: usize = 1_000;

/// What the candidate is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Begin with the rules of this group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_group: Option<GroupId>,
    /// Begin with the rules of this file, in a form that an export has; of an EC2 group, as `describe-security-groups` tells them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The region that the file comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_region: Option<String>,
    /// Leave these rules out, of those that it begins with.
    #[serde(default)]
    pub remove: Vec<RuleId>,
    /// Add these rules, in words.
    #[serde(default)]
    pub add: Vec<String>,
    /// Shows what the candidate would be.
    #[serde(default)]
    pub dry_run: bool,
}

/// What the candidate is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The group.
    pub group: GroupId,
    /// The rules of the candidate.
    pub rules: Vec<NewRule>,
    /// Those that the group has not, in one line each.
    pub added: Vec<String>,
    /// Those of the group that the candidate has not.
    pub removed: Vec<String>,
    /// How many both have.
    pub kept: usize,
}

/// Says what a candidate would be.
///
/// # Errors
/// When something that it is made of cannot be found or read.
pub fn plan(world: &World, limits: LimitMode, id: &GroupId, request: &Request) -> Result<Plan, ShadowError> {
    let group = group_of(world, id)?;
    let edits = request.add.len() + request.remove.len();
    if edits > EDITS_MAX {
        return Err(ShadowError::Edits(edits));
    }
    let mut rules = begin(world, limits, group, request)?;
    for text in &request.add {
        let spec = words::rule(world, group, text).map_err(ShadowError::Rule)?;
        if rules.iter().any(|rule| rule.spec == spec) {
            return Err(ShadowError::Twice(text.clone()));
        }
        rules.push(NewRule::new(spec, ""));
    }
    let mut said: Vec<&RuleSpec> = rules.iter().map(|rule| &rule.spec).collect();
    said.sort();
    let line = |spec: &RuleSpec| format!("{}: {}", spec.direction, text::spec(world, group.flavor, spec));
    let is_live = |spec: &RuleSpec| group.rules.values().any(|rule| rule.spec == *spec);
    let added: Vec<String> = rules.iter().map(|rule| &rule.spec).filter(|spec| !is_live(spec)).map(line).collect();
    let gone = group.rules.values().map(|rule| &rule.spec).filter(|spec| said.binary_search(spec).is_err());
    let removed: Vec<String> = gone.map(line).collect();
    let kept = group.rules.len() - removed.len();
    Ok(Plan { group: id.clone(), added, removed, kept, rules })
}

fn group_of<'a>(world: &'a World, id: &GroupId) -> Result<&'a Group, ShadowError> {
    world.group(id).map(|group| &**group).ok_or_else(|| ShadowError::Unknown(id.to_string()))
}

/// The rules that it begins with, less those that are left out.
fn begin(world: &World, limits: LimitMode, group: &Group, request: &Request) -> Result<Vec<NewRule>, ShadowError> {
    let base = match (&request.from_group, &request.file) {
        (Some(_), Some(_)) => return Err(ShadowError::TwoSources),
        (None, Some(file)) => return from_file(world, limits, group, request, file),
        (Some(other), None) => group_of(world, other)?,
        (None, None) => group,
    };
    if base.flavor != group.flavor {
        return Err(ShadowError::OtherFlavor { group: group.id.clone(), other: base.id.clone() });
    }
    if let Some(rule) = request.remove.iter().find(|rule| !base.rules.contains_key(*rule)) {
        return Err(ShadowError::NoRule { group: base.id.clone(), rule: rule.clone() });
    }
    let left = base.rules.values().filter(|rule| !request.remove.contains(&rule.id));
    Ok(left.map(|rule| NewRule::new(rule.spec.clone(), rule.description.clone())).collect())
}

/// A file is read as an import into the group would, if the group had no rules; rules of EC2 as the cloud describes them.
fn from_file(
    world: &World,
    limits: LimitMode,
    group: &Group,
    request: &Request,
    file: &str,
) -> Result<Vec<NewRule>, ShadowError> {
    if let Some(rule) = request.remove.first() {
        return Err(ShadowError::NoRule { group: group.id.clone(), rule: rule.clone() });
    }
    let mut empty = world.clone();
    for rule in group.rules.keys() {
        empty.apply(&sekimori_core::change::Change::DeleteRule { group: group.id.clone(), rule: rule.clone() });
    }
    if group.flavor == Flavor::Ec2 {
        return described::rules(&empty, limits, group, file);
    }
    let import = transfer::Request {
        text: file.to_owned(),
        from_region: request.from_region.clone(),
        all_or_nothing: true,
        dry_run: true,
    };
    let preview = transfer::preview(&empty, limits, &group.id, &import)?;
    if let Some(row) = preview.rows.iter().find(|row| row.verdict == Verdict::Refuse) {
        return Err(ShadowError::Row { number: row.number, reason: row.reason.clone() });
    }
    Ok(preview.rules(true))
}
