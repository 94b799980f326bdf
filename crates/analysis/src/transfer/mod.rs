//! Rules as files: export, import with a preview, and clones of groups (`spec/ecs.md` E).
//!
//! JSON is an array of the rule objects of `DescribeSecurityGroupAttribute`; CSV has the same columns. The reader is
//! tolerant: either form, the whole reply of that operation, other cases and spellings of columns, a few words for one
//! value. What it cannot read it names, row by row.

pub mod clone;
mod csv;
mod import;
mod record;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use sekimori_core::{
    command::NewRule,
    ids::{AccountId, GroupId},
    rule::{Direction, Rule},
    world::{Flavor, Group, World},
};

pub use self::import::{Preview, Request, Row, Verdict, preview};
pub(crate) use self::record::{Problem, columns};
use crate::portions::in_order;

/// Rules of one file that are imported; the rest of the file fails.
pub const IMPORT_RULES_MAX: usize = 200;
/// Bytes of a file.
pub const FILE_BYTES_MAX: usize = 256 * 1024;

/// The forms of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// An array of objects.
    #[default]
    Json,
    /// A header and rows.
    Csv,
}

/// A group's rules as a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// The group.
    pub group: GroupId,
    /// The region of the group's VPC.
    pub region: String,
    /// The form.
    pub format: Format,
    /// How many rules it holds.
    pub rules: usize,
    /// The file.
    pub text: String,
}

/// Why there is no file, or none is read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// Nothing has this name.
    #[error("no security group `{0}`; list them with DescribeSecurityGroups")]
    Unknown(String),
    /// The rules of EC2 groups have no place in the columns.
    #[error("`{0}` is an EC2 group; files hold rules of ECS groups")]
    NotEcs(GroupId),
    /// The file is too large.
    #[error("the file has {0} bytes, more than the {FILE_BYTES_MAX} that are read; split it")]
    TooLarge(usize),
    /// The file is neither form.
    #[error("the file is not a list of rules: {0}; export a group to see one")]
    Unreadable(String),
}

/// A rule of a file, or why it is none; with its name where the file tells it.
pub(crate) struct ReadRule {
    pub(crate) name: Option<String>,
    pub(crate) rule: Result<NewRule, Problem>,
}

/// The rules of a reply of `DescribeSecurityGroupAttribute`, or of an array of rules.
pub(crate) fn rules_of_json(value: &Value, account: &AccountId) -> Result<Vec<ReadRule>, TransferError> {
    Ok(named(record::from_json(value)?.0, account))
}

/// The rules of a file, of either form.
pub(crate) fn rules_of_text(text: &str, account: &AccountId) -> Result<Vec<ReadRule>, TransferError> {
    Ok(named(record::read(text)?.0, account))
}

fn named(records: Vec<record::Record>, account: &AccountId) -> Vec<ReadRule> {
    let read = |record: &record::Record| ReadRule { name: record.name(), rule: record.rule(account) };
    records.iter().map(read).collect()
}

/// Writes a group's rules in decision order, inbound before outbound.
///
/// # Errors
/// When the group does not exist or is not an ECS one.
pub fn export(world: &World, id: &GroupId, format: Format) -> Result<Export, TransferError> {
    let group = ecs_group(world, id)?;
    let rules: Vec<&Rule> = [Direction::Ingress, Direction::Egress]
        .into_iter()
        .flat_map(|direction| in_order(&[group], direction))
        .map(|(_, rule)| rule)
        .collect();
    let text = match format {
        Format::Json => record::to_json(&rules, group),
        Format::Csv => record::to_csv(&rules, group),
    };
    let region = region_of(world, group);
    Ok(Export { group: id.clone(), region, format, rules: rules.len(), text })
}

/// The documented name of an exported file. `date` is `2020-01-20`.
#[must_use]
pub fn file_name(export: &Export, date: &str) -> String {
    let Export { group, region, format, .. } = export;
    match format {
        Format::Json => format!("ecs_{region}_{group}.json"),
        Format::Csv => format!("ecs_sgRule_{group}_{region}_{date}.csv"),
    }
}

/// The region that a documented file name tells.
#[must_use]
pub fn region_in(file_name: &str) -> Option<&str> {
    let stem = file_name.rsplit('/').next().unwrap_or(file_name).strip_prefix("ecs_")?;
    if let Some(csv) = stem.strip_prefix("sgRule_") {
        return csv.split('_').nth(1);
    }
    stem.split('_').next().filter(|region| stem.contains("_sg-") && !region.is_empty())
}

fn ecs_group<'a>(world: &'a World, id: &GroupId) -> Result<&'a Group, TransferError> {
    let group = world.group(id).ok_or_else(|| TransferError::Unknown(id.to_string()))?;
    match group.flavor {
        Flavor::EcsBasic | Flavor::EcsEnterprise => Ok(group),
        Flavor::Ec2 => Err(TransferError::NotEcs(id.clone())),
    }
}

fn region_of(world: &World, group: &Group) -> String {
    world.vpc(&group.vpc).map(|vpc| vpc.region.clone()).unwrap_or_default()
}
