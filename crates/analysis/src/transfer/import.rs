//! What an import would do, rule by rule, and why not.
//!
//! Each rule is tried on a copy of the world with the command that would add it, so that a preview promises nothing
//! that the writer refuses.

use serde::{Deserialize, Serialize};

use sekimori_core::{
    command::{Command, NewRule},
    ids::GroupId,
    limits::LimitMode,
    rule::{Peer, Service},
    world::{Group, World},
};

use super::{FILE_BYTES_MAX, IMPORT_RULES_MAX, TransferError, ecs_group, record, region_of};
use crate::{text, trial::Trial};

/// What is to be imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The file.
    pub text: String,
    /// The region that the file comes from; what names things of a region does not travel.
    #[serde(default)]
    pub from_region: Option<String>,
    /// Nothing is added if one rule cannot be.
    #[serde(default)]
    pub all_or_nothing: bool,
    /// Shows what would happen.
    #[serde(default)]
    pub dry_run: bool,
}

/// What would happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// The group.
    pub group: GroupId,
    /// The region of the file, if it is known.
    pub from_region: Option<String>,
    /// The region of the group.
    pub region: String,
    /// The rules of the file, in its order.
    pub rows: Vec<Row>,
}

/// A rule of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Its place in the file, from 1.
    pub number: usize,
    /// The rule in one line; empty when it cannot be read.
    pub text: String,
    /// What becomes of it.
    pub verdict: Verdict,
    /// Why; empty when it is added.
    pub reason: String,
    /// The rule, when it is to be added.
    pub rule: Option<NewRule>,
}

/// What becomes of a rule of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is added.
    Add,
    /// The group has it already.
    Exists,
    /// It is a rule of the system, of which nothing is made.
    Skip,
    /// It cannot be added.
    Refuse,
}

impl Preview {
    /// The rules that are added; none when one of them cannot be and all were asked for.
    #[must_use]
    pub fn rules(&self, all_or_nothing: bool) -> Vec<NewRule> {
        if all_or_nothing && self.count(Verdict::Refuse) > 0 {
            return Vec::new();
        }
        self.rows.iter().filter_map(|row| row.rule.clone()).collect()
    }

    /// How many rules of the file have a verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.rows.iter().filter(|row| row.verdict == verdict).count()
    }
}

/// Says what an import would do.
///
/// # Errors
/// When the group does not exist or the file is not one of rules.
pub fn preview(world: &World, limits: LimitMode, id: &GroupId, request: &Request) -> Result<Preview, TransferError> {
    let group = ecs_group(world, id)?;
    if request.text.len() > FILE_BYTES_MAX {
        return Err(TransferError::TooLarge(request.text.len()));
    }
    let (records, told) = record::read(&request.text)?;
    let region = region_of(world, group);
    let from_region = request.from_region.clone().or(told);
    let is_foreign = from_region.as_ref().is_some_and(|from| *from != region);
    let mut target = Target { trial: Trial::of(world, limits), group, is_foreign };
    let numbered = (1..).zip(&records);
    let rows = numbered.map(|(number, record)| target.row(number, record)).collect();
    Ok(Preview { group: id.clone(), from_region, region, rows })
}

/// A group to which rules are added one by one.
struct Target<'a> {
    trial: Trial,
    group: &'a Group,
    is_foreign: bool,
}

impl Target<'_> {
    fn row(&mut self, number: usize, record: &record::Record) -> Row {
        let row = |verdict, text, reason, rule| Row { number, text, verdict, reason, rule };
        if number > IMPORT_RULES_MAX {
            let reason = format!("a file adds at most {IMPORT_RULES_MAX} rules; import the rest from another one");
            return row(Verdict::Refuse, String::new(), reason, None);
        }
        let rule = match record.rule(&self.group.account) {
            Ok(rule) => rule,
            Err(record::Problem::Wrong(reason)) => return row(Verdict::Refuse, String::new(), reason, None),
            Err(record::Problem::SystemPriority(priority)) => {
                let reason = format!("priority {priority} is one of the system's own rules, which are not imported");
                return row(Verdict::Skip, String::new(), reason, None);
            }
        };
        let said = text::spec(self.trial.world(), self.group.flavor, &rule.spec);
        if let Some(what) = foreign(&rule).filter(|_| self.is_foreign) {
            let reason = format!("{what} of another region cannot be named here; use addresses and port ranges");
            return row(Verdict::Refuse, said, reason, None);
        }
        match self.try_rule(&rule) {
            Ok(true) => row(Verdict::Add, said, String::new(), Some(rule)),
            Ok(false) => row(Verdict::Exists, said, "the group has this rule already".to_owned(), None),
            Err(reason) => row(Verdict::Refuse, said, reason, None),
        }
    }

    /// Adds a rule to the copy. Whether it was not there yet.
    fn try_rule(&mut self, rule: &NewRule) -> Result<bool, String> {
        let Group { account, id, .. } = self.group;
        let (account, group) = (account.clone(), id.clone());
        self.trial.run(&Command::Authorize { account, group, rules: vec![rule.clone()] })
    }
}

/// What a rule names that belongs to a region, or a VPC of it.
pub(super) fn foreign(rule: &NewRule) -> Option<&'static str> {
    match (&rule.spec.peer, &rule.spec.service) {
        (Peer::Group { .. }, _) => Some("a security group"),
        (Peer::PrefixList(_), _) => Some("a prefix list"),
        (Peer::Cidr(_), Service::PortList(_)) => Some("a port list"),
        (Peer::Cidr(_), Service::Any | Service::Ports(_) | Service::Icmp { .. }) => None,
    }
}
