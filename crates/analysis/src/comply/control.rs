//! What a control is, and the resources that it is asked about.

use std::fmt;

use serde::{Deserialize, Serialize};

use sekimori_core::{
    ids::{AccountId, VpcId},
    network_acl::NetworkAcl,
    space::TooComplex,
    world::{Dialect, Group, Instance, Vpc, World},
};

use super::{
    Asked, Cause, Mode, ResourceName,
    exposure::Cache,
    parameters::{Kind, Parameters},
};

/// How bad a finding is, in the words of Security Hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
    /// Critical.
    Critical,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        })
    }
}

/// Whose control it is. It is asked about accounts of that cloud's dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// AWS Security Hub.
    SecurityHub,
    /// Alibaba Cloud Config.
    CloudConfig,
}

impl Service {
    fn dialect(self) -> Dialect {
        match self {
            Self::SecurityHub => Dialect::Ec2,
            Self::CloudConfig => Dialect::Ecs,
        }
    }

    fn kind(self, judge: &Judge) -> &'static str {
        match (self, judge) {
            (Self::SecurityHub, Judge::Group(_)) => "AWS::EC2::SecurityGroup",
            (Self::SecurityHub, Judge::Vpc(_)) => "AWS::EC2::VPC",
            (Self::SecurityHub, Judge::NetworkAcl(_)) => "AWS::EC2::NetworkAcl",
            (Self::SecurityHub, Judge::Instance(_)) => "AWS::EC2::Instance",
            (Self::CloudConfig, Judge::Group(_)) => "ACS::ECS::SecurityGroup",
            (Self::CloudConfig, Judge::Vpc(_)) => "ACS::VPC::VPC",
            (Self::CloudConfig, Judge::NetworkAcl(_)) => "ACS::VPC::NetworkAcl",
            (Self::CloudConfig, Judge::Instance(_)) => "ACS::ECS::Instance",
        }
    }
}

/// A number in an edition of the CIS AWS Foundations Benchmark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cis {
    /// The edition: `5.0`.
    pub version: String,
    /// The recommendation: `5.3`.
    pub number: String,
}

/// A parameter of a control.
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// What it is when nobody says; nothing means that the control is not asked then.
    pub(super) default: Option<&'static str>,
}

/// What a control says of one resource.
#[derive(Debug)]
pub(super) enum Verdict {
    NotApplicable,
    Passed,
    Failed(Vec<Cause>),
}

impl Verdict {
    /// What fails for these causes, and passes without any.
    pub(super) fn of(causes: Vec<Cause>) -> Self {
        if causes.is_empty() { Self::Passed } else { Self::Failed(causes) }
    }
}

pub(super) type Judged = Result<Verdict, TooComplex>;

/// The function of a control, by what it is about.
pub(super) enum Judge {
    Group(fn(&Ask<'_>, &Group) -> Judged),
    Vpc(fn(&Ask<'_>, &Vpc) -> Judged),
    NetworkAcl(fn(&Ask<'_>, &NetworkAcl) -> Judged),
    Instance(fn(&Ask<'_>, &Instance) -> Judged),
}

/// A control.
pub(super) struct Control {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) severity: Severity,
    pub(super) service: Service,
    pub(super) config_rule: &'static str,
    /// Number by edition, in the order of [`super::table::EDITIONS`]; empty where it is not in an edition.
    pub(super) cis: [&'static str; 9],
    /// Whether it is in the pack of best practices of its service.
    pub(super) is_best_practice: bool,
    pub(super) parameters: &'static [Parameter],
    pub(super) remediation: &'static str,
    pub(super) judge: Judge,
}

/// What the function of a control looks at, beside the resource.
pub(super) struct Ask<'a> {
    pub(super) world: &'a World,
    pub(super) mode: Mode,
    pub(super) control: &'static Control,
    pub(super) parameters: &'a Parameters,
    pub(super) exposures: &'a Cache,
}

impl Ask<'_> {
    /// A parameter that the control cannot be asked without.
    pub(super) fn missing_parameter(&self) -> Option<&'static str> {
        let missing = |parameter: &&Parameter| self.parameters.text(self.control.id, parameter).is_none();
        self.control.parameters.iter().find(missing).map(|parameter| parameter.name)
    }
}

impl Control {
    /// The control as a report tells it, before it is asked.
    pub(super) fn asked(&self, parameters: &Parameters) -> Asked {
        let editions = super::table::EDITIONS.iter().zip(self.cis).filter(|(_, number)| !number.is_empty());
        let text = |parameter: &Parameter| parameters.text(self.id, parameter);
        Asked {
            id: self.id.to_owned(),
            title: self.title.to_owned(),
            severity: self.severity,
            service: self.service,
            config_rule: self.config_rule.to_owned(),
            cis: editions
                .map(|(version, number)| Cis { version: (*version).to_owned(), number: number.to_owned() })
                .collect(),
            parameters: self
                .parameters
                .iter()
                .filter_map(|parameter| Some((parameter.name.to_owned(), text(parameter)?)))
                .collect(),
            remediation: self.remediation.to_owned(),
            checked: 0,
            failed: 0,
        }
    }

    /// Asks about every resource of the control's kind and dialect, or about one.
    pub(super) fn judge(&self, ask: &Ask<'_>, only: Option<&str>) -> Vec<(ResourceName, Judged)> {
        let world = ask.world;
        let is_asked = |id: &str, account: &AccountId| {
            only.is_none_or(|only| only == id) && world.dialect_of(account) == self.service.dialect()
        };
        let region = |vpc: &VpcId| world.vpc(vpc).map(|vpc| vpc.region.clone()).unwrap_or_default();
        let name = |id: &str, name: &str, account: &AccountId, region: String| ResourceName {
            kind: self.service.kind(&self.judge).to_owned(),
            id: id.to_owned(),
            name: name.to_owned(),
            account: account.clone(),
            region,
        };
        match self.judge {
            Judge::Group(judge) => {
                let groups = world.groups().filter(|group| is_asked(group.id.as_str(), &group.account));
                let named = |group: &Group| name(group.id.as_str(), &group.name, &group.account, region(&group.vpc));
                groups.map(|group| (named(group), judge(ask, group))).collect()
            }
            Judge::Vpc(judge) => {
                let vpcs = world.vpcs().filter(|vpc| is_asked(vpc.id.as_str(), &vpc.account));
                let named = |vpc: &Vpc| name(vpc.id.as_str(), &vpc.name, &vpc.account, vpc.region.clone());
                vpcs.map(|vpc| (named(vpc), judge(ask, vpc))).collect()
            }
            Judge::NetworkAcl(judge) => {
                let acls = world.network_acls().filter(|acl| is_asked(acl.id.as_str(), &acl.account));
                let named = |acl: &NetworkAcl| name(acl.id.as_str(), "", &acl.account, region(&acl.vpc));
                acls.map(|acl| (named(acl), judge(ask, acl))).collect()
            }
            Judge::Instance(judge) => {
                let instances = world.instances().filter(|one| is_asked(one.id.as_str(), &one.account));
                let named = |one: &Instance| name(one.id.as_str(), &one.name, &one.account, region(&one.vpc));
                instances.map(|one| (named(one), judge(ask, one))).collect()
            }
        }
    }
}

/// Whether an id is that of something which controls are about.
pub(super) fn exists(world: &World, id: &str) -> bool {
    world.group(&id.into()).is_some()
        || world.vpc(&id.into()).is_some()
        || world.network_acl(&id.into()).is_some()
        || world.instance(&id.into()).is_some()
}
