//! Compliance: what the clouds' own services would say of groups, network ACLs and VPCs, and what is really open.
//!
//! Every control is a row of `table` and one pure function. It is asked in one of two modes: *literal* reads the rules as they are
//! written, as the cloud's service does, with its blind spots; *semantic* looks at the exact sets of packets that pass, in every policy that
//! a group is part of. What is unrestricted then, is said in `world`.

mod control;
mod exposure;
pub mod fix;
mod groups;
mod junit;
mod literal;
mod network;
mod parameters;
mod sarif;
mod semantic;
pub mod suppress;
mod table;
#[cfg(test)]
mod tests;
mod words;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use sekimori_core::{
    ids::{AccountId, RuleId},
    space::TooComplex,
    world::{Revision, World},
};

use self::{
    control::{Ask, Control, Verdict},
    parameters::Parameters,
};
pub use self::{
    control::{Cis, Service, Severity},
    junit::junit,
    sarif::sarif,
    suppress::{Suppression, Told},
    table::standards,
};
use crate::led::CutOff;

/// Names in one question: standards, controls, parameters.
pub const NAMES_MAX: usize = 64;
/// What a cause tells of what it opens, in lines.
const OPENS_TOLD_MAX: usize = 16;

/// How the rules are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// As they are written: what the cloud's service would say.
    Literal,
    /// By the packets that pass.
    #[default]
    Semantic,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Literal => "literal",
            Self::Semantic => "semantic",
        })
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "literal" => Ok(Self::Literal),
            "semantic" => Ok(Self::Semantic),
            other => Err(format!("`{other}` is not a mode; use literal or semantic")),
        }
    }
}

/// What is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Only controls of these standards; none is all.
    #[serde(default)]
    pub standards: Vec<String>,
    /// Only these controls; none is all.
    #[serde(default)]
    pub rules: Vec<String>,
    /// How the rules are read.
    #[serde(default)]
    pub mode: Mode,
    /// `NAME=VALUE`, or `CONTROL.NAME=VALUE` for one control.
    #[serde(default)]
    pub parameters: Vec<String>,
    /// Only this group, network ACL, VPC or instance.
    #[serde(default)]
    pub resource: Option<String>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The revision of the world that was looked at.
    pub revision: Revision,
    /// How the rules were read.
    pub mode: Mode,
    /// The standards that were asked about; none is all.
    #[serde(default)]
    pub standards: Vec<String>,
    /// The controls that were asked, in the order of the table.
    pub controls: Vec<Asked>,
    /// What was found, by control, then by resource.
    pub findings: Vec<Finding>,
    /// What could not be judged, so that nothing is said about it.
    pub unjudged: Vec<Unjudged>,
    /// What else there is to know.
    pub notes: Vec<String>,
    /// What became of suppressions.
    #[serde(default)]
    pub suppressions: Vec<Told>,
}

/// A control that was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// How bad a finding is.
    pub severity: Severity,
    /// Whose control it is.
    pub service: Service,
    /// The rule of the cloud's configuration service that carries it out.
    pub config_rule: String,
    /// Its numbers in the CIS AWS Foundations Benchmark.
    pub cis: Vec<Cis>,
    /// The parameters that it was asked with.
    pub parameters: BTreeMap<String, String>,
    /// What to do about a finding.
    pub remediation: String,
    /// Resources that it was asked about and applies to.
    pub checked: usize,
    /// How many of them failed.
    pub failed: usize,
}

/// A resource that does not comply with a control.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// `EC2.18/sg-1`: what [`fix`] is told.
    pub id: String,
    /// The control.
    pub control: String,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub resource: ResourceName,
    /// What is wrong, in causes.
    pub causes: Vec<Cause>,
    /// Why it is not counted, if it is not.
    #[serde(default)]
    pub suppression: Option<Suppression>,
}

/// What a finding is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ResourceName {
    /// The kind, as the cloud's service names it.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// The owner's name for it; may be empty.
    pub name: String,
    /// The owner.
    pub account: AccountId,
    /// The region.
    pub region: String,
}

/// A part of what is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The rule, if it is one of a group.
    pub rule: Option<RuleId>,
    /// The number of the entry, if it is one of a network ACL.
    pub entry: Option<u16>,
    /// In words.
    pub text: String,
    /// What it opens, and to whom.
    pub opens: Vec<String>,
    /// A packet that passes because of it and should not.
    pub witness: Option<String>,
}

impl Cause {
    /// One that is no rule.
    fn because(text: impl Into<String>) -> Self {
        Self { rule: None, entry: None, text: text.into(), opens: Vec::new(), witness: None }
    }
}

/// A resource about which an exact answer would take too much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unjudged {
    /// The control.
    pub control: String,
    /// The resource.
    pub resource: String,
    /// Why.
    pub reason: String,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComplyError {
    /// No standard has this name.
    #[error("no standard `{name}`; use one of {known}")]
    Standard {
        /// The name.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// No control has this id.
    #[error("no control `{name}`; use one of {known}")]
    Control {
        /// The id.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// The standards and the controls have nothing in common.
    #[error("no control is in all that was named; leave out the standard or the rule")]
    Nothing,
    /// A parameter that no control has, or a value that it cannot have.
    #[error("{0}")]
    Parameter(String),
    /// Nothing that controls are about has this id.
    #[error("no group, network ACL, VPC or instance `{0}`; name one by its id")]
    Resource(String),
    /// Too many names.
    #[error("{0} names are too many for one question; name at most {NAMES_MAX} standards, rules and parameters each")]
    TooMany(usize),
}

/// Asks the controls.
///
/// # Errors
/// When the question names something that does not exist.
pub fn check(world: &World, question: &Question) -> Result<Report, ComplyError> {
    let Question { standards, rules, mode, parameters, resource } = question;
    let longest = standards.len().max(rules.len()).max(parameters.len());
    if longest > NAMES_MAX {
        return Err(ComplyError::TooMany(longest));
    }
    let controls = table::chosen(standards, rules)?;
    let parameters = Parameters::read(parameters, &controls)?;
    if let Some(id) = resource.as_deref().filter(|id| !control::exists(world, id)) {
        return Err(ComplyError::Resource(id.to_owned()));
    }
    let exposures = exposure::Cache::default();
    let mut report = Report {
        revision: world.revision(),
        mode: *mode,
        standards: standards.clone(),
        controls: Vec::new(),
        findings: Vec::new(),
        unjudged: Vec::new(),
        notes: Vec::new(),
        suppressions: Vec::new(),
    };
    for control in controls {
        let ask = Ask { world, mode: *mode, control, parameters: &parameters, exposures: &exposures };
        ask_control(&ask, resource.as_deref(), &mut report);
    }
    if *mode == Mode::Semantic {
        report.notes.extend(semantic::waiting_rules(world, resource.as_deref()));
        let failed = report.findings.iter().map(|finding| finding.resource.id.as_str());
        let failed: BTreeSet<&str> = failed.collect();
        let mut ways = CutOff::of(world);
        report.notes.extend(failed.into_iter().filter_map(|id| semantic::cut_off(world, &mut ways, id)));
    }
    Ok(report)
}

fn ask_control(ask: &Ask<'_>, only: Option<&str>, report: &mut Report) {
    let control = ask.control;
    let mut asked = control.asked(ask.parameters);
    if let Some(missing) = ask.missing_parameter() {
        report.notes.push(format!("{} was not asked: give its parameter {missing}", control.id));
        report.controls.push(asked);
        return;
    }
    for (resource, verdict) in control.judge(ask, only) {
        match verdict {
            Ok(Verdict::NotApplicable) => continue,
            Ok(Verdict::Passed) => {}
            Ok(Verdict::Failed(causes)) => {
                asked.failed += 1;
                report.findings.push(finding(control, resource, causes));
            }
            Err(TooComplex) => {
                let (control, resource, reason) = (control.id.to_owned(), resource.id, TooComplex.to_string());
                report.unjudged.push(Unjudged { control, resource, reason });
                continue;
            }
        }
        asked.checked += 1;
    }
    report.controls.push(asked);
}

fn finding(control: &Control, resource: ResourceName, causes: Vec<Cause>) -> Finding {
    Finding {
        id: format!("{}/{}", control.id, resource.id),
        control: control.id.to_owned(),
        severity: control.severity,
        resource,
        causes,
        suppression: None,
    }
}

impl Report {
    /// The numbers that a control has in the editions of the benchmark that were asked about; of none, all that it has, the newest last.
    #[must_use]
    pub fn cis_of<'a>(&self, asked: &'a Asked) -> Vec<&'a Cis> {
        let editions: Vec<&str> = self.standards.iter().filter_map(|standard| table::edition_of(standard)).collect();
        let is_meant = |cis: &&Cis| editions.is_empty() || editions.contains(&cis.version.as_str());
        asked.cis.iter().filter(is_meant).collect()
    }

    /// Whether editions of the benchmark were asked about.
    #[must_use]
    pub fn is_of_cis(&self) -> bool {
        self.standards.iter().any(|standard| table::edition_of(standard).is_some())
    }

    /// The findings that nobody has suppressed.
    pub fn open(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.suppression.is_none())
    }

    /// A control that was asked.
    #[must_use]
    pub fn control(&self, id: &str) -> Option<&Asked> {
        self.controls.iter().find(|asked| asked.id == id)
    }
}
