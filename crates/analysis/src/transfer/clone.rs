//! A new group like another one, in the same VPC or in another, of this region or another (`spec/ecs.md` E, clone).

use serde::{Deserialize, Serialize};

use sekimori_core::{
    command::{NewGroup, NewRule},
    ids::{GroupId, RuleId, VpcId},
    world::{Group, InnerAccess, Vpc, World},
};

use super::import::foreign;
use crate::text;

/// The lowest precedence that a rule may have; older ones of the system had less.
const PRIORITY_MAX: u8 = 100;

/// What is to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The name of the new group.
    pub name: String,
    /// Its VPC; else the group's own, or the only one of the region.
    #[serde(default)]
    pub vpc: Option<VpcId>,
    /// Its region.
    #[serde(default)]
    pub region: Option<String>,
    /// Copies the rules.
    #[serde(default)]
    pub keep_rules: bool,
    /// Copies the tags.
    #[serde(default)]
    pub copy_tags: bool,
    /// Shows what would be made.
    #[serde(default)]
    pub dry_run: bool,
}

/// What would be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The new group.
    pub group: NewGroup,
    /// Its intra-group policy.
    pub inner_access: InnerAccess,
    /// Its region.
    pub region: String,
    /// Its rules.
    pub rules: Vec<NewRule>,
    /// Its rules in words.
    pub texts: Vec<String>,
    /// The rules that do not carry over.
    pub left: Vec<Left>,
}

/// A rule that does not carry over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// The rule of the old group.
    pub rule: RuleId,
    /// The rule in one line.
    pub text: String,
    /// Why.
    pub reason: String,
}

/// Why nothing would be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloneError {
    /// Nothing has this name.
    #[error("no security group `{0}`; list them with DescribeSecurityGroups")]
    Unknown(String),
    /// There is no such VPC.
    #[error("no VPC `{0}` of the group's owner; list them with DescribeVpcs")]
    UnknownVpc(VpcId),
    /// The VPC is in another region.
    #[error("`{vpc}` is in region `{found}`, not in `{wanted}`; name a VPC of that region, or no region")]
    OtherRegion {
        /// The VPC.
        vpc: VpcId,
        /// Its region.
        found: String,
        /// The region that was named.
        wanted: String,
    },
    /// The region does not tell the VPC.
    #[error("region `{region}` has {found} VPCs of the group's owner; name one of them as the VPC")]
    WhichVpc {
        /// The region.
        region: String,
        /// How many there are.
        found: usize,
    },
}

/// Says what a clone would be.
///
/// # Errors
/// When the group or the place of the new one cannot be found.
pub fn plan(world: &World, id: &GroupId, request: &Request) -> Result<Plan, CloneError> {
    let group = world.group(id).ok_or_else(|| CloneError::Unknown(id.to_string()))?;
    let vpc = target(world, group, request)?;
    let mut plan = Plan {
        group: NewGroup {
            account: group.account.clone(),
            vpc: vpc.id.clone(),
            flavor: group.flavor,
            name: request.name.clone(),
            description: group.description.clone(),
            resource_group: group.resource_group.clone(),
            managed_by: None,
            tags: if request.copy_tags { group.tags.clone() } else { Default::default() },
        },
        inner_access: group.inner_access,
        region: vpc.region.clone(),
        rules: Vec::new(),
        texts: Vec::new(),
        left: Vec::new(),
    };
    if request.keep_rules {
        copy_rules(world, group, vpc, &mut plan);
    }
    Ok(plan)
}

fn copy_rules(world: &World, group: &Group, vpc: &Vpc, plan: &mut Plan) {
    let old_region = world.vpc(&group.vpc).map(|vpc| vpc.region.as_str()).unwrap_or_default();
    for rule in group.rules.values() {
        let mut spec = rule.spec.clone();
        spec.priority = spec.priority.min(PRIORITY_MAX);
        let said = text::spec(world, group.flavor, &spec);
        let new = NewRule::new(spec, rule.description.clone());
        match foreign(&new).filter(|_| vpc.id != group.vpc) {
            None => {
                plan.texts.push(said);
                plan.rules.push(new);
            }
            Some(what) => {
                let place = if old_region == vpc.region { "VPC" } else { "region" };
                let reason = format!("it names {what}, which does not carry over to another {place}");
                plan.left.push(Left { rule: rule.id.clone(), text: said, reason });
            }
        }
    }
}

/// The VPC of the new group.
fn target<'a>(world: &'a World, group: &Group, request: &Request) -> Result<&'a Vpc, CloneError> {
    let owned = || world.vpcs().filter(|vpc| vpc.account == group.account).map(|vpc| &**vpc);
    let find = |id: &VpcId| owned().find(|vpc| vpc.id == *id).ok_or_else(|| CloneError::UnknownVpc(id.clone()));
    match (&request.vpc, &request.region) {
        (None, None) => find(&group.vpc),
        (Some(id), None) => find(id),
        (Some(id), Some(region)) => {
            let vpc = find(id)?;
            let (found, wanted) = (vpc.region.clone(), region.clone());
            if found == wanted { Ok(vpc) } else { Err(CloneError::OtherRegion { vpc: id.clone(), found, wanted }) }
        }
        (None, Some(region)) => {
            let own = find(&group.vpc)?;
            let there: Vec<&Vpc> = owned().filter(|vpc| vpc.region == *region).collect();
            match there.as_slice() {
                _ if own.region == *region => Ok(own),
                [only] => Ok(only),
                several => Err(CloneError::WhichVpc { region: region.clone(), found: several.len() }),
            }
        }
    }
}
