//! Snapshots of group rules as people look at them: which there are, what one holds, and what a restore would change.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use sekimori_core::{
    command::Command,
    ids::{AccountId, GroupId, RuleId, SnapshotId, SnapshotPolicyId},
    limits::LimitMode,
    rule::{self, Direction, Rule},
    snapshot::{Retention, Snapshot, SnapshotPolicy, Step},
    time::Timestamp,
    world::{Group, Revision, World},
};

use crate::{effective::GroupName, text, trial::Trial};

/// A snapshot policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Its id.
    pub id: SnapshotPolicyId,
    /// Its owner.
    pub account: AccountId,
    /// The owner's name for it.
    pub name: String,
    /// Whether snapshots are taken by it.
    pub enabled: bool,
    /// For how many days each is kept.
    pub retention_days: Retention,
    /// The groups that it is attached to.
    pub groups: Vec<GroupName>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A snapshot, without its rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its id.
    pub id: SnapshotId,
    /// The group.
    pub group: GroupName,
    /// The policies that asked for it.
    pub policies: Vec<SnapshotPolicyId>,
    /// When the rules were these.
    pub of: Timestamp,
    /// When it was taken; absent while further changes still belong to the first one.
    pub taken_at: Option<Timestamp>,
    /// When it will be taken, or deleted if it is taken.
    pub due_at: Timestamp,
    /// How many rules it holds.
    pub rules: usize,
}

/// A snapshot with its rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// The snapshot.
    pub snapshot: Entry,
    /// Its rules in decision order, inbound before outbound.
    pub rules: Vec<Held>,
}

/// A rule of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Its id.
    pub rule: RuleId,
    /// Which way it looks.
    pub direction: Direction,
    /// The rule in one line, with the owner's words about it.
    pub text: String,
}

/// What a restore would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The snapshot.
    pub snapshot: Entry,
    /// Every rule of the group and of the snapshot, side by side, in decision order.
    pub lines: Vec<Line>,
    /// Why the snapshot cannot be restored as things are.
    pub problem: Option<String>,
    /// The revision that was looked at.
    pub revision: Revision,
}

/// A rule as it is and as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What a restore does to it.
    pub effect: Effect,
    /// Its id.
    pub rule: RuleId,
    /// Which way it looks.
    pub direction: Direction,
    /// What it says now; absent if the group does not have it.
    pub now: Option<String>,
    /// What it says in the snapshot; absent if that does not have it.
    pub then: Option<String>,
}

/// What a restore does to a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// It stays.
    Keep,
    /// It comes back.
    Add,
    /// It says again what it said.
    Change,
    /// It goes.
    Remove,
}

impl Difference {
    /// Whether a restore would change anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.iter().all(|line| line.effect == Effect::Keep)
    }
}

/// Nothing has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no snapshot `{0}`; list them with `sekimori group snapshot list`")]
pub struct UnknownSnapshot(pub SnapshotId);

/// Every policy, or those of an account.
#[must_use]
pub fn policies(world: &World, account: Option<&AccountId>) -> Vec<Policy> {
    let wanted = |policy: &&std::sync::Arc<SnapshotPolicy>| account.is_none_or(|account| policy.account == *account);
    world.snapshots().policies().filter(wanted).map(|policy| self::policy(world, policy)).collect()
}

/// A policy with the names of its groups.
#[must_use]
pub fn policy(world: &World, policy: &SnapshotPolicy) -> Policy {
    Policy {
        id: policy.id.clone(),
        account: policy.account.clone(),
        name: policy.name.clone(),
        enabled: policy.is_enabled,
        retention_days: policy.retention,
        groups: policy.groups.iter().map(|group| named(world, group)).collect(),
        created_at: policy.created_at,
    }
}

/// Every snapshot, or those of a group, the newest first.
#[must_use]
pub fn list(world: &World, group: Option<&GroupId>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = match group {
        Some(group) => world.snapshots().of_group(group).map(|snapshot| entry(world, snapshot)).collect(),
        None => world.snapshots().iter().map(|snapshot| entry(world, snapshot)).collect(),
    };
    // Of two of one second, the one that is still to be taken is the newer one.
    let place = |entry: &Entry| (entry.of, entry.taken_at.is_none(), entry.id.clone());
    entries.sort_by_key(|entry| Reverse(place(entry)));
    entries
}

/// What a snapshot holds.
///
/// # Errors
/// When there is no such snapshot.
pub fn show(world: &World, id: &SnapshotId) -> Result<Contents, UnknownSnapshot> {
    let (snapshot, group) = find(world, id)?;
    let mut rules: Vec<&Rule> = snapshot.rules.iter().map(|rule| &**rule).collect();
    rules.sort_by_key(|rule| key(group, rule));
    let held =
        |rule: &Rule| Held { rule: rule.id.clone(), direction: rule.spec.direction, text: said(world, group, rule) };
    Ok(Contents { snapshot: entry(world, snapshot), rules: rules.into_iter().map(held).collect() })
}

/// What a restore would change, and whether it can be.
///
/// # Errors
/// When there is no such snapshot.
pub fn difference(world: &World, limits: LimitMode, id: &SnapshotId) -> Result<Difference, UnknownSnapshot> {
    let (snapshot, group) = find(world, id)?;
    let mut steps = snapshot.steps(group);
    steps.sort_by(|one, other| key(group, rule_of(one)).cmp(&key(group, rule_of(other))));
    let lines = steps.iter().map(|step| line(world, group, step)).collect();
    let problem = Trial::of(world, limits).run(&Command::RestoreSnapshot { snapshot: id.clone() }).err();
    Ok(Difference { snapshot: entry(world, snapshot), lines, problem, revision: world.revision() })
}

fn line(world: &World, group: &Group, step: &Step) -> Line {
    let text = |rule: &Rule| Some(said(world, group, rule));
    let (effect, now, then) = match step {
        Step::Keep(rule) => (Effect::Keep, text(rule), text(rule)),
        Step::Put { old: Some(old), new } => (Effect::Change, text(old), text(new)),
        Step::Put { old: None, new } => (Effect::Add, None, text(new)),
        Step::Delete(rule) => (Effect::Remove, text(rule), None),
    };
    let rule = rule_of(step);
    Line { effect, rule: rule.id.clone(), direction: rule.spec.direction, now, then }
}

fn rule_of(step: &Step) -> &Rule {
    match step {
        Step::Keep(rule) | Step::Put { old: _, new: rule } | Step::Delete(rule) => rule,
    }
}

/// A snapshot never outlives its group.
fn find<'a>(world: &'a World, id: &SnapshotId) -> Result<(&'a Snapshot, &'a Group), UnknownSnapshot> {
    let found = world.snapshots().get(id).and_then(|snapshot| Some((&**snapshot, &**world.group(&snapshot.group)?)));
    found.ok_or_else(|| UnknownSnapshot(id.clone()))
}

fn entry(world: &World, snapshot: &Snapshot) -> Entry {
    Entry {
        id: snapshot.id.clone(),
        group: named(world, &snapshot.group),
        policies: snapshot.policies.clone(),
        of: snapshot.of,
        taken_at: snapshot.taken_at,
        due_at: snapshot.due_at(),
        rules: snapshot.rules.len(),
    }
}

fn named(world: &World, id: &GroupId) -> GroupName {
    GroupName { id: id.clone(), name: world.group(id).map(|group| group.name.clone()).unwrap_or_default() }
}

fn key<'a>(group: &'a Group, rule: &'a Rule) -> (Direction, rule::Order<'a>) {
    (rule.spec.direction, rule::order(group.flavor, &group.id, rule))
}

fn said(world: &World, group: &Group, rule: &Rule) -> String {
    let text = text::rule(world, group.flavor, rule);
    if rule.description.is_empty() { text } else { format!("{text}, \"{}\"", rule.description) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use expect_test::expect;
    use sekimori_core::change::Change;

    use super::*;
    use crate::fixture;

    /// A world whose snapshot `s` was taken of the rules in the first text; the group has those of the second.
    fn world(then: &str, now: &str) -> World {
        let old = fixture::world(&format!("sg web\nsg db\n{then}"));
        let rules = old.group(&"sg-web".into()).unwrap().rules.values().cloned().collect();
        let mut world = fixture::world(&format!("sg web\nsg db\n{now}"));
        let snapshot = Snapshot {
            id: "sgss-1".into(),
            account: fixture::ACCOUNT.into(),
            group: "sg-web".into(),
            policies: vec!["sgsp-1".into()],
            retention: Retention::default(),
            rules,
            of: Timestamp(100),
            taken_at: None,
        };
        world.apply(&Change::PutSnapshot(Arc::new(snapshot)));
        world
    }

    fn shown(difference: &Difference) -> String {
        let side = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let line =
            |line: &Line| format!("{:?} {}: {} | {}\n", line.effect, line.rule, side(&line.now), side(&line.then));
        difference.lines.iter().map(line).collect()
    }

    #[test]
    fn both_sides_stand_beside_each_other_in_decision_order() {
        let world = world(
            "web: in allow tcp 80 from 0.0.0.0/0 priority 5
             web: in allow tcp 22 from 10.0.0.0/8
             web: out deny all to 10.0.0.0/8",
            "web: in allow tcp 80 from 0.0.0.0/0 priority 9
             db: in allow tcp 1 from 0.0.0.0/0
             web: out deny all to 10.0.0.0/8
             web: in allow tcp 443 from 0.0.0.0/0",
        );
        let difference = difference(&world, LimitMode::Cloud, &"sgss-1".into()).unwrap();
        expect![[r#"
            Add r2: - | allow tcp 22 from 10.0.0.0/8, priority 1
            Remove r4: allow tcp 443 from 0.0.0.0/0, priority 1 | -
            Change r1: allow tcp 80 from 0.0.0.0/0, priority 9 | allow tcp 80 from 0.0.0.0/0, priority 5
            Keep r3: deny all to 10.0.0.0/8, priority 1 | deny all to 10.0.0.0/8, priority 1
        "#]]
        .assert_eq(&shown(&difference));
        assert!(difference.problem.is_none() && !difference.is_empty());
        let held = show(&world, &"sgss-1".into()).unwrap();
        let ids: Vec<&str> = held.rules.iter().map(|held| held.rule.as_str()).collect();
        assert_eq!((ids, held.snapshot.due_at), (vec!["r2", "r1", "r3"], Timestamp(400)));
    }

    #[test]
    fn what_cannot_be_restored_says_why() {
        let mut world = world("web: in allow tcp 80 from sg-db", "");
        let fine = difference(&world, LimitMode::Cloud, &"sgss-1".into()).unwrap();
        assert_eq!(fine.problem, None);
        world.apply(&Change::DeleteGroup("sg-db".into()));
        let Difference { lines, problem, .. } = difference(&world, LimitMode::Cloud, &"sgss-1".into()).unwrap();
        assert!(problem.unwrap().contains("`sg-db` does not exist") && lines.len() == 1);
        let missing = difference(&world, LimitMode::Cloud, &"sgss-0".into()).unwrap_err();
        assert!(missing.to_string().contains("`sgss-0`"));
    }

    #[test]
    fn snapshots_are_listed_with_the_newest_first() {
        let mut world = world("", "");
        let first = world.snapshots().get(&"sgss-1".into()).unwrap().clone();
        let second = Snapshot {
            id: "sgss-2".into(),
            of: Timestamp(200),
            taken_at: Some(Timestamp(500)),
            ..Snapshot::clone(&first)
        };
        world.apply(&Change::PutSnapshot(Arc::new(second)));
        let ids = |group: Option<&str>| {
            let entries = list(&world, group.map(GroupId::from).as_ref());
            entries.iter().map(|entry| entry.id.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(ids(None), ["sgss-2", "sgss-1"]);
        assert_eq!((ids(Some("sg-web")).len(), ids(Some("sg-db")).len()), (2, 0));
    }
}
