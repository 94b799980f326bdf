//! The whole answer: every pair of ends, every leg, everything that stands in the way and not only what decides, and the smallest change
//! that would turn the answer around, tried and with its cost.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use serde::{Deserialize, Serialize};

use sekimori_core::{
    change::Change,
    ids::{EniId, InstanceId, PeeringId},
    limits::LimitMode,
    network_acl::NetworkAcl,
    packet::{Decision, Packet, Why},
    rule::{Action, Direction},
    verdict,
    world::{Eni, Group, InnerAccess, Treatment, World},
};

use super::{
    Leg, Pair, Question, Report, WhyError,
    cost::Cost,
    leg_of, missing,
    pairs::{Asked, scope},
    plan::{Plan, plan},
};
use crate::services::{joined, ranges, shortened};

/// Lines that are told of one interface and direction: what stands in the way, or what lets through.
pub const WHY_LINES_MAX: usize = 64;
/// Answers that are told apart of the pairs of one question; the rest is counted.
pub const WHY_ANSWERS_MAX: usize = 50;
/// Ends that are named in one answer; the rest is counted.
pub const WHY_ENDS_MAX: usize = 50;

/// What a change is to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    /// Every pair passes.
    #[default]
    Allow,
    /// No pair passes.
    Stop,
}

/// The whole answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The answer for one pair: the first that does not pass if there is one. `allowed` is whether all of them pass.
    #[serde(flatten)]
    pub report: Report,
    /// How many pairs of ends the question is about.
    pub pairs: usize,
    /// How many of them pass.
    pub pairs_allowed: usize,
    /// How many of them pass and have an answer that comes back.
    pub pairs_answered: usize,
    /// The pairs by what decides about them, when there are several.
    pub answers: Vec<Answer>,
    /// How many answers are not told.
    pub answers_more: usize,
    /// Everything that drops the packet, in the order of its way: the next one would decide if the one before were not there.
    pub blockers: Vec<Leg>,
    /// Everything that lets the packet through where it passes, in the same way; told with the goal to stop it.
    pub openers: Vec<Leg>,
    /// The peering connection that the packet takes.
    pub peering: Option<PeeringId>,
    /// What else there is to know, in sentences.
    pub notes: Vec<String>,
    /// What the change below is to do.
    pub goal: Goal,
    /// The smallest change that does it; absent when it is so already, and when nothing helps.
    pub change: Option<Suggestion>,
    /// Why nothing helps.
    pub no_change: Option<String>,
}

/// Pairs that one thing decides about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Whether they pass.
    pub allowed: bool,
    /// How many they are.
    pub pairs: usize,
    /// Where they come from: instances, or runs of addresses outside.
    pub from: Vec<String>,
    /// Where they go to.
    pub to: Vec<String>,
    /// The judgements about the first of them.
    pub legs: Vec<Leg>,
    /// Where the answer to it would be dropped.
    pub answer_dropped: Vec<Leg>,
}

/// A change that was tried and helps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suggestion {
    /// Its steps, in order.
    pub steps: Vec<SuggestedStep>,
    /// What else it opens, or closes.
    pub cost: Cost,
    /// What decides about the pair of `report` after it.
    pub legs: Vec<Leg>,
}

/// A step of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuggestedStep {
    /// What it does.
    pub says: String,
    /// The command that does it.
    pub command: String,
}

impl Explanation {
    /// Whether every pair passes and has its answer, whichever of them is told.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.pairs_answered == self.pairs
    }
}

/// Answers a question wholly.
///
/// # Errors
/// Names the part of the question that makes no sense, and what would.
pub fn explain(world: &World, question: &Question, goal: Goal, limits: LimitMode) -> Result<Explanation, WhyError> {
    let scope = scope(world, question)?;
    let judged: Vec<(&Asked, Report)> = scope.asked.iter().map(|asked| (asked, asked.pair.judge(world))).collect();
    let passes = |report: &Report| if goal == Goal::Stop { report.allowed } else { report.is_answered() };
    let shown = judged.iter().find(|(_, report)| !passes(report)).or_else(|| judged.first());
    let Some((shown, report)) = shown else { return Err(WhyError::NoMembers(question.from.clone())) };
    let pairs_allowed = judged.iter().filter(|(_, report)| report.allowed).count();
    let pairs_answered = judged.iter().filter(|(_, report)| report.is_answered()).count();
    let is_done = match goal {
        Goal::Allow => pairs_answered == judged.len(),
        Goal::Stop => pairs_allowed == 0,
    };
    // No rule changes what is not led there.
    let joined = scope.only(|pair| !pair.is_cut_off(world));
    let planned =
        (!is_done && !joined.asked.is_empty()).then(|| plan(world, &joined, goal, (question.source_port, limits)));
    let is_by_acl = planned.as_ref().and_then(|planned| planned.as_ref().ok()).is_some_and(Plan::is_by_acl);
    let cut_off = || {
        let (_, report) = judged.iter().find(|(asked, _)| asked.pair.is_cut_off(world))?;
        let why = report.legs.iter().find(|leg| matches!(leg.decision.why, Why::NoWay { .. }))?;
        Some(format!("no rule helps where nothing leads: {}", why.reason))
    };
    let (change, no_change) = match planned {
        None => (None, cut_off().filter(|_| !is_done && goal == Goal::Allow)),
        Some(Ok(plan)) if plan.edits.is_empty() => (None, cut_off()),
        Some(Ok(plan)) => (Some(suggestion(world, &shown.pair, &plan)), None),
        Some(Err(reason)) => (None, Some(reason)),
    };
    let told = match goal {
        Goal::Stop => judged.iter().find(|(_, report)| report.allowed).map_or(&shown.pair, |(asked, _)| &asked.pair),
        Goal::Allow => &shown.pair,
    };
    let (answers, answers_more) = answers(&judged);
    Ok(Explanation {
        report: Report { allowed: pairs_allowed == judged.len(), ..report.clone() },
        pairs: judged.len(),
        pairs_allowed,
        pairs_answered,
        answers,
        answers_more,
        blockers: lines(world, &shown.pair, Action::Deny),
        openers: if goal == Goal::Stop { lines(world, told, Action::Allow) } else { Vec::new() },
        peering: peering(world, &shown.pair),
        notes: notes(world, &shown.pair, (goal, is_by_acl)),
        goal,
        change,
        no_change,
    })
}

/// The world after the change that [`explain`] suggests, and how many steps it takes; none when it suggests nothing.
///
/// # Errors
/// As [`explain`].
pub fn tried(
    world: &World,
    question: &Question,
    goal: Goal,
    limits: LimitMode,
) -> Result<Option<(World, usize)>, WhyError> {
    let scope = scope(world, question)?;
    let joined = scope.only(|pair| !pair.is_cut_off(world));
    let planned = plan(world, &joined, goal, (question.source_port, limits));
    Ok(planned.ok().map(|plan| (plan.after, plan.edits.len())))
}

fn suggestion(world: &World, shown: &Pair, plan: &Plan) -> Suggestion {
    let step = |edit: &super::edit::Edit| SuggestedStep { says: edit.says(world), command: edit.command_line(world) };
    let steps = plan.edits.iter().map(step).collect();
    Suggestion { steps, cost: plan.cost.clone(), legs: shown.judge(&plan.after).legs }
}

/// What a pair has in common with those that are told together with it.
type Outcome = (bool, Vec<(Direction, Action, Why)>, Vec<Why>);

/// The pairs by what decides about them, and how many such answers are left out.
fn answers(judged: &[(&Asked, Report)]) -> (Vec<Answer>, usize) {
    if judged.len() < 2 {
        return (Vec::new(), 0);
    }
    let mut alike: BTreeMap<Outcome, Vec<&(&Asked, Report)>> = BTreeMap::new();
    for one in judged {
        let leg = |leg: &Leg| (leg.direction, leg.decision.action, leg.decision.why.clone());
        let legs = one.1.legs.iter().map(leg).collect();
        let dropped = one.1.answer_dropped.iter().map(|leg| leg.decision.why.clone()).collect();
        alike.entry((one.1.allowed, legs, dropped)).or_default().push(one);
    }
    let more = alike.len().saturating_sub(WHY_ANSWERS_MAX);
    (alike.into_values().take(WHY_ANSWERS_MAX).filter_map(|those| answer(&those)).collect(), more)
}

fn answer(those: &[&(&Asked, Report)]) -> Option<Answer> {
    let (_, first) = those.first()?;
    let parts: Vec<(IpAddr, IpAddr)> = those.iter().filter_map(|(asked, _)| asked.outside).collect();
    let ends = |of: fn(&Report) -> &super::End, eni: fn(&Pair) -> bool| {
        if those.iter().any(|(asked, _)| asked.outside.is_some() && !eni(&asked.pair)) {
            return ranges(&joined(parts.clone()));
        }
        let name = |report: &Report| {
            let end = of(report);
            let known = end.instance.as_ref().map(InstanceId::to_string);
            known.or_else(|| end.eni.as_ref().map(EniId::to_string)).unwrap_or_else(|| end.address.to_string())
        };
        let mut names: Vec<String> = those.iter().map(|(_, report)| name(report)).collect();
        names.sort();
        names.dedup();
        shortened(names, WHY_ENDS_MAX)
    };
    Some(Answer {
        allowed: first.allowed,
        pairs: those.len(),
        from: ends(|report| &report.from, |pair| pair.from.eni.is_some()),
        to: ends(|report| &report.to, |pair| pair.to.eni.is_some()),
        legs: first.legs.clone(),
        answer_dropped: first.answer_dropped.clone(),
    })
}

/// Everything on the way that has this to say about the packet, or about the answer where only a network ACL looks.
fn lines(world: &World, pair: &Pair, action: Action) -> Vec<Leg> {
    let ways = [Direction::Egress, Direction::Ingress];
    let there = ways.into_iter().filter_map(|way| pair.packet(way));
    let of_end = |(eni, packet): (&Arc<Eni>, Packet)| {
        let missing = if action == Action::Deny { missing(world, eni, &packet) } else { Vec::new() };
        let peeled = peeled(world, eni, &packet, action);
        match packet.direction {
            Direction::Egress => [peeled, missing].concat(),
            Direction::Ingress => [missing, peeled].concat(),
        }
    };
    let mut lines: Vec<Leg> = there.flat_map(of_end).collect();
    if action == Action::Deny {
        let back = ways.into_iter().filter_map(|way| pair.answer(way));
        lines.extend(back.flat_map(|(eni, packet)| peeled_acl(world, eni, &packet)));
    }
    lines
}

/// What decides, then what would decide if that were not there, and so on, for as long as it says the same.
fn peeled(world: &World, eni: &Arc<Eni>, packet: &Packet, action: Action) -> Vec<Leg> {
    let mut lines = if action == Action::Deny { peeled_acl(world, eni, packet) } else { Vec::new() };
    let mut left = world.clone();
    while lines.len() < WHY_LINES_MAX {
        let decision = verdict::decide_by_groups(&left, eni, packet);
        if decision.action != action {
            break;
        }
        lines.push(leg_of(world, eni, packet, Decision { revision: world.revision(), ..decision.clone() }));
        let Some(change) = without(&left, &decision.why) else { break };
        left.apply(&change);
    }
    lines
}

/// The change that takes away what decided; none for what cannot be taken away.
fn without(world: &World, why: &Why) -> Option<Change> {
    match why {
        Why::Rule { group, rule } => Some(Change::DeleteRule { group: group.clone(), rule: rule.clone() }),
        Why::Platform { policy } => Some(Change::PutPlatform(world.platform().with(*policy, false))),
        Why::IntraGroup { group } => {
            let group = Group::clone(world.group(group)?);
            Some(Change::PutGroup(Arc::new(Group { inner_access: InnerAccess::Drop, ..group })))
        }
        Why::NetworkAcl { .. }
        | Why::Bypass
        | Why::KnownFlow
        | Why::Default
        | Why::Spoofed
        | Why::MidStream
        | Why::Fragment
        | Why::Malformed
        | Why::NoPolicy
        | Why::TableFull
        | Why::HalfOpen
        | Why::NoWay { .. } => None,
    }
}

/// The entries of a network ACL that deny a packet, before one lets it pass; or that none does.
fn peeled_acl(world: &World, eni: &Arc<Eni>, packet: &Packet) -> Vec<Leg> {
    let (mut lines, mut left) = (Vec::new(), world.clone());
    while lines.len() < WHY_LINES_MAX {
        let Some(decision) = verdict::refused_by_acl(&left, eni, packet) else { break };
        lines.push(leg_of(world, eni, packet, decision.clone()));
        let Why::NetworkAcl { acl, entry: Some(number) } = &decision.why else { break };
        let Some(acl) = left.network_acl(acl) else { break };
        let mut acl = NetworkAcl::clone(acl);
        acl.remove(packet.direction, *number);
        left.apply(&Change::PutNetworkAcl(Arc::new(acl)));
    }
    lines
}

fn peering(world: &World, pair: &Pair) -> Option<PeeringId> {
    let (from, to) = (pair.from.eni.as_ref()?, pair.to.eni.as_ref()?);
    world.peerings().between(&from.vpc, &to.vpc).cloned()
}

fn notes(world: &World, pair: &Pair, (goal, is_by_acl): (Goal, bool)) -> Vec<String> {
    let mut notes = Vec::new();
    for eni in [&pair.from.eni, &pair.to.eni].into_iter().flatten() {
        if pair.from.eni.is_none() || pair.to.eni.is_none() {
            notes.extend(unseen(world, eni));
        }
        if world.home_of(eni).is_none() {
            notes.push(format!("{} is attached to nothing, so no host enforces it", eni.id));
        }
        if goal == Goal::Stop && world.treatment_of(eni) == Treatment::Keep {
            notes.push(match is_by_acl {
                true => format!("{} keeps live flows when rules change; the network ACL stops them as well", eni.id),
                false => format!("{} keeps live flows on a change: those that are open go on", eni.id),
            });
        }
    }
    notes
}

/// What the routes of an interface lead to beyond which nobody has looked.
pub(crate) fn unseen(world: &World, eni: &Eni) -> Option<String> {
    let targets: Vec<&str> = world.unseen_targets(eni).into_iter().collect();
    let told = shortened(targets.iter().map(ToString::to_string).collect(), WHY_ENDS_MAX).join(", ");
    (!targets.is_empty())
        .then(|| format!("what {} leads to {told} is not looked at beyond, and counts as passing", eni.subnet))
}
