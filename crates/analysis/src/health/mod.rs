//! Health of rules: which ones decide nothing any more, which ones change nothing, which ones nobody uses, which ones speak about
//! nobody, which ones fewer would say as well, and which ones allow more than is used.
//!
//! A rule is judged exactly, as the set of packets that reach it, in every policy that it is part of: a group
//! may be merged with others at an ENI, and what is redundant there need not be redundant in the group itself. Where
//! the own addresses of a policy's interfaces are known, only packets at these count.
//! The cloud's own check is weaker and is told beside it: it compares a rule with one other rule of the group
//! and does not ask what becomes of the packets (`spec/ecs.md` E, health check).

pub mod absent;
pub mod fewer;
mod judge;
pub mod overlap;
#[cfg(test)]
mod tests;
pub mod width;

use serde::{Deserialize, Serialize};

use sekimori_core::{
    ids::{GroupId, RuleId},
    rule::Direction,
    space::TooComplex,
    time::Timestamp,
    world::{Group, Revision, World},
};

use self::{
    absent::EmptyPeer,
    fewer::Merge,
    judge::{Covering, Judged},
    overlap::{OVERLAPS_TOLD_MAX, Overlap},
    width::{Evidence, TooWide},
};
use crate::{
    effective::{GroupName, group_name},
    text,
};

/// What is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// One group; `None` is all.
    pub group: Option<GroupId>,
    /// Rules that nothing has used since then are findings, too.
    pub unused_since: Option<Timestamp>,
    /// Whether rules that share packets are told, too.
    pub overlaps: bool,
}

/// What the hosts' counters tell about rules.
#[derive(Clone, Copy)]
pub struct Uses<'a> {
    /// Since when the counters have been watched.
    pub watched_since: Timestamp,
    /// When a rule last decided about a packet, if it ever has since then.
    pub last: &'a dyn Fn(&GroupId, &RuleId) -> Option<Timestamp>,
    /// By what rules are called too wide, if that is asked.
    pub evidence: Option<Evidence<'a>>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The revision of the world that was looked at.
    pub revision: Revision,
    /// How many groups were looked at.
    pub groups: usize,
    /// How many rules were looked at.
    pub rules: usize,
    /// What was found, by group, then in decision order.
    pub findings: Vec<Finding>,
    /// Rules that speak about nobody.
    #[serde(default)]
    pub empty_peers: Vec<EmptyPeer>,
    /// Rules that fewer would say as well.
    #[serde(default)]
    pub merges: Vec<Merge>,
    /// Rules that share packets, if that was asked.
    #[serde(default)]
    pub overlaps: Vec<Overlap>,
    /// Further ones, beyond [`OVERLAPS_TOLD_MAX`].
    #[serde(default)]
    pub more_overlaps: usize,
    /// Rules that allow more than was used, if that was asked.
    #[serde(default)]
    pub too_wide: Vec<TooWide>,
    /// Since when flows have been recorded, if what is too wide was asked and they were.
    #[serde(default)]
    pub recorded_since: Option<Timestamp>,
    /// What else there is to know, in sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Report {
    /// Whether there is anything to be mended.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let Self { findings, empty_peers, merges, overlaps, too_wide, .. } = self;
        findings.is_empty()
            && empty_peers.is_empty()
            && merges.is_empty()
            && overlaps.is_empty()
            && too_wide.is_empty()
    }
}

/// A rule that somebody should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Its group.
    pub group: GroupName,
    /// The rule.
    pub rule: RuleId,
    /// Its direction.
    pub direction: Direction,
    /// The rule in one line.
    pub rule_text: String,
    /// What it does, over every policy that it is part of.
    pub state: State,
    /// The same, policy by policy. The first is the group by itself.
    pub places: Vec<Place>,
    /// The one rule that covers it by the cloud's weaker definition.
    pub cloud: Option<Cover>,
    /// Set when nothing has used it since the date of the question.
    pub unused: Option<Unused>,
    /// Whether this holds only as long as the members of the named groups, or the addresses of the interfaces that
    /// carry the rule, stay as they are.
    pub depends_on_members: bool,
    /// Whether it can be deleted, with every other rule marked so, without any packet being decided otherwise, now or when members come
    /// and go. What `depends_on_members` is for somebody to decide.
    pub removable: bool,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// No packet reaches it: earlier lines decide about everything that it speaks about, or it speaks about addresses
    /// that no interface has.
    DecidesNothing,
    /// It decides about packets, and each of them would be decided alike without it.
    ChangesNothing,
    /// In some policies one of the above, in others not.
    DiffersByPolicy,
    /// Without it, some packet would be decided otherwise.
    Decides,
}

/// One policy that a rule is part of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The groups whose rules are merged.
    pub groups: Vec<GroupName>,
    /// How many interfaces carry exactly these groups.
    pub enis: usize,
    /// What the rule does there.
    pub state: State,
    /// What decides about its packets in its stead.
    pub covered_by: Vec<Cover>,
}

/// A line of a policy that decides in the stead of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cover {
    /// Its group; none for the bypass set and the default.
    pub group: Option<GroupName>,
    /// The rule; none for what is no rule.
    pub rule: Option<RuleId>,
    /// The line in words.
    pub text: String,
}

/// A rule that nothing has used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unused {
    /// The date of the question.
    pub since: Timestamp,
    /// The last use that was seen.
    pub last_used: Option<Timestamp>,
    /// Since when it would have been seen: the later one of the first look at the counters and the rule's making.
    pub watched_since: Timestamp,
    /// Whether all the time since the date was watched.
    pub certain: bool,
}

/// Why there is no report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HealthError {
    /// Nothing has this name.
    #[error("no security group `{0}`; list them with DescribeSecurityGroups")]
    Unknown(String),
    /// The rules are too many for an exact answer.
    #[error("{group}: {source}")]
    TooComplex {
        /// The group that could not be judged.
        group: GroupId,
        /// Why.
        source: TooComplex,
    },
}

/// Looks at the rules of one group, or of all.
///
/// # Errors
/// When the group does not exist, or its rules are too many for an exact answer.
pub fn check(world: &World, question: &Question, uses: &Uses<'_>) -> Result<Report, HealthError> {
    let groups: Vec<&Group> = match &question.group {
        Some(id) => vec![world.group(id).ok_or_else(|| HealthError::Unknown(id.to_string()))?],
        None => world.groups().map(|group| &**group).collect(),
    };
    let mut report = Report {
        revision: world.revision(),
        groups: groups.len(),
        rules: groups.iter().map(|group| group.rules.len()).sum(),
        findings: Vec::new(),
        empty_peers: Vec::new(),
        merges: Vec::new(),
        overlaps: Vec::new(),
        more_overlaps: 0,
        too_wide: uses.evidence.map(|evidence| width::too_wide(world, &groups, &evidence)).unwrap_or_default(),
        recorded_since: uses.evidence.and_then(|evidence| evidence.since),
        notes: Vec::new(),
    };
    for group in &groups {
        let looked = look(world, group, question, uses, &mut report);
        looked.map_err(|source| HealthError::TooComplex { group: group.id.clone(), source })?;
    }
    judge::mark_removable(world, &mut report.findings);
    Ok(report)
}

/// Looks at one group.
fn look(
    world: &World,
    group: &Group,
    question: &Question,
    uses: &Uses<'_>,
    report: &mut Report,
) -> Result<(), TooComplex> {
    report.findings.extend(findings_of(world, group, question, uses)?);
    report.empty_peers.extend(absent::peers(world, group));
    report.merges.extend(fewer::merges(world, group));
    if question.overlaps {
        let room = OVERLAPS_TOLD_MAX.saturating_sub(report.overlaps.len());
        let (told, more) = overlap::overlaps(world, group, room)?;
        report.overlaps.extend(told);
        report.more_overlaps += more;
    }
    Ok(())
}

/// The rules of a group that decide or change nothing somewhere, and nothing else that a report tells.
pub(crate) fn idle(world: &World, group: &Group) -> Result<Vec<Finding>, TooComplex> {
    let uses = Uses { watched_since: Timestamp(0), last: &|_, _| None, evidence: None };
    findings_of(world, group, &Question::default(), &uses)
}

fn findings_of(
    world: &World,
    group: &Group,
    question: &Question,
    uses: &Uses<'_>,
) -> Result<Vec<Finding>, TooComplex> {
    let mut findings = Vec::new();
    for direction in [Direction::Ingress, Direction::Egress] {
        for judged in judge::group(world, group, direction)? {
            let unused = question.unused_since.and_then(|since| unused(group, &judged.rule, since, uses));
            if judged.state != State::Decides || judged.cloud.is_some() || unused.is_some() {
                findings.push(finding(world, group, direction, judged, unused));
            }
        }
    }
    Ok(findings)
}

fn finding(world: &World, group: &Group, direction: Direction, judged: Judged, unused: Option<Unused>) -> Finding {
    let rule = group.rules.get(&judged.rule);
    let Judged { rule: id, state, places, cloud, depends_on_members } = judged;
    Finding {
        group: group_name(world, &group.id),
        rule: id,
        direction,
        rule_text: rule.map(|rule| text::rule(world, group.flavor, rule)).unwrap_or_default(),
        state,
        places: places.into_iter().map(|place| place.into_place(world)).collect(),
        cloud: cloud.map(|rule| cover(world, &Covering::Rule(group.id.clone(), rule))),
        unused,
        depends_on_members,
        removable: false,
    }
}

/// A line of a policy in words.
fn cover(world: &World, covering: &Covering) -> Cover {
    match covering {
        Covering::Bypass => Cover { group: None, rule: None, text: "the bypass set".to_owned() },
        Covering::Platform(policy) => Cover { group: None, rule: None, text: format!("platform policy {policy}") },
        Covering::Nobody(block) => {
            Cover { group: None, rule: None, text: format!("no interface has an address in {block}") }
        }
        Covering::Default => Cover { group: None, rule: None, text: "the default".to_owned() },
        Covering::IntraGroup(id) => {
            let group = group_name(world, id);
            let text = format!("intra-group accept of {}", text::named(id.as_str(), &group.name));
            Cover { group: Some(group), rule: None, text }
        }
        Covering::Rule(id, rule) => {
            let name = group_name(world, id);
            let text = text::rule_of(world, id, rule);
            Cover { group: Some(name), rule: Some(rule.clone()), text }
        }
    }
}

fn unused(group: &Group, rule: &RuleId, since: Timestamp, uses: &Uses<'_>) -> Option<Unused> {
    let made = group.rules.get(rule).map(|rule| rule.created_at)?;
    let last_used = (uses.last)(&group.id, rule);
    if last_used.is_some_and(|last| last >= since) || made > since {
        return None;
    }
    let watched_since = uses.watched_since.max(made);
    Some(Unused { since, last_used, watched_since, certain: watched_since <= since })
}
