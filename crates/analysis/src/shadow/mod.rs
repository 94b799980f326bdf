//! Candidates of groups: what they are made of (`plan`), and what the hosts have counted of them ([`report`]).

mod described;
mod plan;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use sekimori_core::{
    feed::{Decider, ShadowCells, ShadowCount, ShadowWitness},
    ids::{EniId, GroupId, RuleId},
    packet::Transport,
    rule::{Direction, Rule},
    time::Timestamp,
    world::{Group, Revision, World, group_set},
};

pub use self::{
    plan::{EDITS_MAX, Plan, Request, plan},
    words::RULE_CHARACTERS_MAX,
};
use crate::{effective::GroupName, portions::in_order, text, transfer::TransferError};

/// Witnesses of one report, the most frequent first.
pub const WITNESSES_MAX: usize = 100;

/// Why there is no candidate, or nothing to tell about one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShadowError {
    /// Nothing has this name.
    #[error("no security group `{0}`; list them with DescribeSecurityGroups")]
    Unknown(String),
    /// The group has no candidate.
    #[error("`{0}` has no shadow; set one with `sekimori shadow set`")]
    Absent(GroupId),
    /// Rules of a group, or of a file.
    #[error("a shadow begins with the rules of another group or of a file; name one of them")]
    TwoSources,
    /// The rules of one kind of group are not those of another.
    #[error("`{other}` is another kind of group than `{group}`; name one of the same kind")]
    OtherFlavor {
        /// The group.
        group: GroupId,
        /// The one that was named.
        other: GroupId,
    },
    /// The rules that the candidate begins with do not have this one.
    #[error(
        "`{group}` has no rule `{rule}` to leave out; DescribeSecurityGroupAttribute (ECS) and DescribeSecurityGroupRules (EC2) list them"
    )]
    NoRule {
        /// The group.
        group: GroupId,
        /// The rule.
        rule: RuleId,
    },
    /// Too many at once.
    #[error("{0} rules to add and to leave out are more than the {EDITS_MAX} of one request; use a file")]
    Edits(usize),
    /// A rule in words.
    #[error("{0}")]
    Rule(String),
    /// A rule that the candidate has already.
    #[error("`{0}` is a rule of the candidate already; leave it out")]
    Twice(String),
    /// A rule of a file.
    #[error("rule {number} of the file: {reason}")]
    Row {
        /// Its place in the file, from 1.
        number: usize,
        /// What is wrong.
        reason: String,
    },
    /// The file.
    #[error(transparent)]
    File(#[from] TransferError),
    /// A file that the cloud's tools have written.
    #[error("{0}; rules of an EC2 group are read as `aws ec2 describe-security-groups` prints them")]
    Description(String),
    /// It is about others.
    #[error("the file describes neither `{0}` nor the rules of one group only; describe that group by itself")]
    NotDescribed(GroupId),
}

/// What a candidate would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The group.
    pub group: GroupName,
    /// When the candidate was set.
    pub set_at: Timestamp,
    /// Whether the group says something else than then.
    pub is_outdated: bool,
    /// All new flows since then.
    pub flows: ShadowCells,
    /// Those of them that are in no line below: of rules that are gone, or of too many pairs of rules.
    pub untold: u64,
    /// The group's own rules, and what else decided.
    pub live: Vec<Line>,
    /// The candidate's rules, and what else would have decided.
    pub candidate: Vec<Line>,
    /// Flows that would be decided otherwise, the most frequent first; at most [`WITNESSES_MAX`].
    pub witnesses: Vec<Witness>,
    /// The interfaces that carry the group.
    pub interfaces: Vec<Interface>,
    /// The world that this is about.
    pub revision: Revision,
}

/// A rule, or what comes in its place, and the flows that it decided about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The rule, if it is one of the group or of its candidate.
    pub rule: Option<RuleId>,
    /// Towards or away from the interface.
    pub direction: Direction,
    /// What it says.
    pub text: String,
    /// Whether the other side has the rule as well.
    pub is_on_both_sides: bool,
    /// Flows that the other side decides alike.
    pub same: u64,
    /// Flows that are denied, and would be allowed.
    pub opened: u64,
    /// Flows that are allowed, and would be denied.
    pub closed: u64,
}

/// Flows that would be decided otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// The interface.
    pub eni: EniId,
    /// The flows.
    #[serde(flatten)]
    pub flows: ShadowWitness,
    /// What is asked for: `tcp/443`.
    pub service: String,
    /// Who decided.
    pub live_text: String,
    /// Who would have.
    pub candidate_text: String,
}

/// An interface that carries the group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// The interface.
    pub eni: EniId,
    /// What was counted there; `None` while its host has not told of this candidate yet.
    pub flows: Option<ShadowCells>,
    /// Other groups of the interface that have a candidate: it is compared as if all of them were live.
    pub together_with: Vec<GroupId>,
}

/// Tells what the hosts have counted of the candidate of a group.
///
/// # Errors
/// When there is no such group, or it has no candidate.
pub fn report(world: &World, id: &GroupId, counts: &[ShadowCount]) -> Result<Report, ShadowError> {
    let group = world.group(id).ok_or_else(|| ShadowError::Unknown(id.to_string()))?;
    let shadow = world.shadows().get(id).ok_or_else(|| ShadowError::Absent(id.clone()))?;
    let candidate = world.group_or_candidate(id).unwrap_or_else(|| group.clone());
    let known: BTreeMap<&EniId, &ShadowCount> = counts.iter().map(|count| (&count.eni, count)).collect();
    let mut sides = Sides::default();
    let (mut interfaces, mut witnesses) = (Vec::new(), Vec::new());
    for eni in world.members(id) {
        let set = group_set(&eni.groups);
        let count = known.get(&eni.id).filter(|count| world.round_of(&set) == Some(count.round));
        let others = set.iter().filter(|other| *other != id && world.shadows().get(other).is_some());
        let together_with = others.cloned().collect();
        interfaces.push(Interface { eni: eni.id.clone(), flows: count.map(|count| count.cells), together_with });
        if let Some(count) = count {
            sides.add(count);
            witnesses.extend(count.witnesses.iter().map(|flows| (&eni.id, flows)));
        }
    }
    witnesses.sort_by_key(|(_, witness)| std::cmp::Reverse((witness.flows, witness.seen_at)));
    let told = Told { world, live: group, candidate: &candidate };
    let witnesses = witnesses.into_iter().take(WITNESSES_MAX).map(|(eni, flows)| told.witness(eni, flows));
    Ok(Report {
        group: GroupName { id: id.clone(), name: group.name.clone() },
        set_at: shadow.set_at,
        is_outdated: shadow.is_outdated(group),
        untold: sides.untold(),
        flows: sides.all,
        witnesses: witnesses.collect(),
        live: told.lines(group, &candidate, sides.live),
        candidate: told.lines(&candidate, group, sides.candidate),
        interfaces,
        revision: world.revision(),
    })
}

/// Flows by who decided, on one side.
type ByDecider = BTreeMap<(Direction, Decider), ShadowCells>;

/// Both sides.
#[derive(Default)]
struct Sides {
    all: ShadowCells,
    live: ByDecider,
    candidate: ByDecider,
}

impl Sides {
    fn add(&mut self, count: &ShadowCount) {
        self.all = self.all.plus(count.cells);
        for pair in &count.pairs {
            let passes = (pair.live.passes, pair.candidate.passes);
            for (side, decider) in [(&mut self.live, &pair.live), (&mut self.candidate, &pair.candidate)] {
                let cells = side.entry((pair.direction, decider.clone())).or_default();
                *cells = cells.with(passes, pair.flows);
            }
        }
    }

    fn untold(&self) -> u64 {
        let sum = |cells: &ShadowCells| cells.allowed + cells.denied + cells.opened + cells.closed;
        sum(&self.all).saturating_sub(self.live.values().map(sum).sum())
    }
}

/// How deciders are written.
struct Told<'a> {
    world: &'a World,
    live: &'a Group,
    candidate: &'a Group,
}

impl Told<'_> {
    /// The rules of a group in decision order, the unused ones too, and then what else decided.
    fn lines(&self, group: &Group, other: &Group, mut counted: ByDecider) -> Vec<Line> {
        let mut lines = Vec::new();
        for direction in [Direction::Ingress, Direction::Egress] {
            for (_, rule) in in_order(&[group], direction) {
                let key = Some((group.id.clone(), Some(rule.id.clone())));
                let of_rule: Vec<_> = counted.keys().filter(|(_, decider)| decider.rule == key).cloned().collect();
                let cells = of_rule.iter().filter_map(|key| counted.remove(key));
                let cells = cells.fold(ShadowCells::default(), ShadowCells::plus);
                let said = text::rule(self.world, group.flavor, rule);
                let is_on_both_sides = other.rules.get(&rule.id).is_some_and(|same| same.spec == rule.spec);
                lines.push(Line { rule: Some(rule.id.clone()), is_on_both_sides, ..line(direction, said, cells) });
            }
        }
        let others = counted.into_iter().map(|((direction, decider), cells)| {
            let said = self.decider(group, &decider);
            Line { is_on_both_sides: true, ..line(direction, said, cells) }
        });
        lines.extend(others);
        lines
    }

    fn decider(&self, group: &Group, decider: &Decider) -> String {
        let verb = if decider.passes { "allow" } else { "deny" };
        match &decider.rule {
            None => format!("{} {verb}", decider.reason),
            Some((owner, None)) => format!("intra-group accept of {owner}"),
            Some((owner, Some(rule))) if *owner == group.id => match group.rules.get(rule) {
                Some(found) => format!("{rule}: {}", text::rule(self.world, group.flavor, found)),
                None => format!("{rule}, which is gone"),
            },
            Some((owner, Some(rule))) => self.of_other(owner, rule),
        }
    }

    /// A rule of another group of the interface, which may have a candidate too.
    fn of_other(&self, owner: &GroupId, id: &RuleId) -> String {
        let of_candidate = self.world.shadows().get(owner).into_iter().flat_map(|shadow| &shadow.rules);
        let candidate = of_candidate.into_iter().find(|rule| rule.id == *id);
        let owned = self.world.group(owner);
        let rule: Option<&Rule> = owned.and_then(|group| group.rules.get(id)).or(candidate).map(|rule| &**rule);
        match owned.zip(rule) {
            Some((group, rule)) => format!("{id} of {owner}: {}", text::rule(self.world, group.flavor, rule)),
            None => format!("{id} of {owner}, which is gone"),
        }
    }

    fn witness(&self, eni: &EniId, flows: &ShadowWitness) -> Witness {
        Witness {
            eni: eni.clone(),
            service: service(flows.protocol, flows.port),
            live_text: self.decider(self.live, &flows.live),
            candidate_text: self.decider(self.candidate, &flows.candidate),
            flows: flows.clone(),
        }
    }
}

fn line(direction: Direction, text: String, cells: ShadowCells) -> Line {
    let ShadowCells { allowed, denied, opened, closed, skipped: _ } = cells;
    Line { rule: None, direction, text, is_on_both_sides: false, same: allowed + denied, opened, closed }
}

fn service(protocol: u8, port: u16) -> String {
    let [kind, code] = port.to_be_bytes();
    text::transport(match protocol {
        6 => Transport::Tcp { source: 0, destination: port },
        17 => Transport::Udp { source: 0, destination: port },
        1 | 58 => Transport::Icmp { protocol, kind, code },
        _ => Transport::Other { protocol },
    })
}
