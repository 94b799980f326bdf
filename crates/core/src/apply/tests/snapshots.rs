//! Snapshots of group rules: begun by the first change, taken five minutes after it, kept within bounds, and restored.

use std::sync::Arc;

use super::{Estate, from, group_peer, port};
use crate::{
    change::Change,
    command::{Command, NewSnapshotPolicy, Outcome, Revocation, RuleEdit, SnapshotPolicyEdit},
    ids::{GroupId, RuleId, SnapshotPolicyId},
    rule::{Direction, RuleSpec},
    snapshot::{
        Retention, SNAPSHOT_DELAY_S, SNAPSHOT_POLICIES_MAX, SNAPSHOT_RULES_PER_ACCOUNT_MAX, SNAPSHOTS_PER_GROUP_MAX,
        Snapshot, Snapshots, Step,
    },
    time::Timestamp,
    world::{Dialect, Flavor},
};

const DAY_S: i64 = 24 * 60 * 60;

impl Estate {
    fn wait(&mut self, seconds: i64) {
        self.context.now = Timestamp(self.context.now.0 + seconds);
    }

    fn new_policy(&self, days: u8) -> Command {
        let retention = Retention::try_from(days).expect("a retention");
        let (account, name) = (self.account.clone(), "nightly".to_owned());
        Command::CreateSnapshotPolicy(NewSnapshotPolicy { account, name, is_enabled: true, retention })
    }

    fn policy(&mut self, days: u8) -> SnapshotPolicyId {
        let Outcome::SnapshotPolicy(id) = self.run(self.new_policy(days)) else { panic!() };
        id
    }

    fn snap(&mut self, policy: &SnapshotPolicyId, groups: &[GroupId]) {
        self.run(Command::AttachSnapshotPolicy { policy: policy.clone(), groups: groups.to_vec() });
    }

    fn enable(&mut self, policy: &SnapshotPolicyId, is_enabled: bool) {
        let edit =
            SnapshotPolicyEdit { policy: policy.clone(), name: None, is_enabled: Some(is_enabled), retention: None };
        self.run(Command::EditSnapshotPolicy(edit));
    }

    fn open(&mut self, group: &GroupId, number: u16) {
        self.run(self.authorize(group, [port(number, from("10.0.0.0/8"))]));
    }

    fn snapshots(&self) -> &Snapshots {
        self.state.world().snapshots()
    }

    /// The snapshots of a group, the oldest first: the ports of each, and whether it is taken.
    fn shown(&self, group: &GroupId) -> Vec<String> {
        let ports = |snapshot: &Snapshot| {
            let mut ports: Vec<_> = snapshot
                .rules
                .iter()
                .map(|rule| format!("{:?}", rule.spec.service))
                .map(|text| number_in(&text))
                .collect();
            ports.sort();
            ports.join(",")
        };
        let state = |snapshot: &Snapshot| if snapshot.taken_at.is_some() { "taken" } else { "pending" };
        let line = |snapshot: &Arc<Snapshot>| format!("{} {}", state(snapshot), ports(snapshot));
        self.snapshots().of_group(group).map(line).map(|line| line.trim_end().to_owned()).collect()
    }

    fn ports(&self, group: &GroupId) -> Vec<String> {
        let group = self.state.world().group(group).expect("it exists");
        let mut ports: Vec<_> =
            group.rules.values().map(|rule| number_in(&format!("{:?}", rule.spec.service))).collect();
        ports.sort();
        ports
    }

    fn rule_ids(&self, group: &GroupId) -> Vec<RuleId> {
        self.state.world().group(group).expect("it exists").rules.keys().cloned().collect()
    }

    fn revoke(&mut self, group: &GroupId, rules: Revocation) {
        let (account, direction) = (self.account.clone(), Direction::Ingress);
        self.run(Command::Revoke { account, group: group.clone(), direction, rules });
    }

    fn restore_oldest(&mut self, group: &GroupId) -> Result<Outcome, String> {
        let snapshot = self.snapshots().of_group(group).next().expect("there is one").id.clone();
        self.try_run(Command::RestoreSnapshot { snapshot })
    }
}

fn number_in(text: &str) -> String {
    text.split(|c: char| !c.is_ascii_digit()).find(|word| !word.is_empty()).unwrap_or_default().to_owned()
}

#[test]
fn the_first_change_begins_a_snapshot_that_is_taken_five_minutes_later() {
    let mut estate = Estate::new(Dialect::Ecs);
    let (a, b) = (estate.a.clone(), estate.b.clone());
    let policy = estate.policy(1);
    estate.open(&a, 1);
    estate.snap(&policy, std::slice::from_ref(&a));
    assert_eq!(estate.shown(&a), ["taken 1"], "one at once on attachment");
    estate.wait(10);
    estate.open(&a, 2);
    estate.open(&b, 9);
    estate.wait(SNAPSHOT_DELAY_S - 1);
    estate.open(&a, 3);
    assert_eq!(estate.run(Command::KeepSnapshots), Outcome::Done);
    assert_eq!(estate.shown(&a), ["taken 1", "pending 1"], "both changes belong to one snapshot");
    estate.wait(1);
    estate.run(Command::KeepSnapshots);
    assert_eq!(estate.shown(&a), ["taken 1", "taken 1"]);
    estate.open(&a, 4);
    assert_eq!(estate.shown(&a), ["taken 1", "taken 1", "pending 1,2,3"]);
    assert_eq!(estate.shown(&b), Vec::<String>::new(), "no policy is attached to it");
}

#[test]
fn a_change_after_a_late_timer_takes_what_was_due_and_begins_another() {
    let mut estate = Estate::new(Dialect::Ecs);
    let a = estate.a.clone();
    let policy = estate.policy(1);
    estate.snap(&policy, std::slice::from_ref(&a));
    estate.open(&a, 1);
    estate.wait(SNAPSHOT_DELAY_S);
    estate.open(&a, 2);
    assert_eq!(estate.shown(&a), ["taken", "taken", "pending 1"]);
}

#[test]
fn what_changes_no_rule_begins_nothing() {
    let mut estate = Estate::new(Dialect::Ecs);
    let a = estate.a.clone();
    let policy = estate.policy(1);
    estate.open(&a, 1);
    estate.snap(&policy, std::slice::from_ref(&a));
    estate.open(&a, 1);
    estate.revoke(&a, Revocation::Specs(vec![port(7, from("::/0"))]));
    estate.instance(std::slice::from_ref(&a));
    assert_eq!(estate.shown(&a), ["taken 1"]);
    estate.enable(&policy, false);
    estate.open(&a, 2);
    assert_eq!(estate.shown(&a), ["taken 1"], "the policy is off");
    estate.enable(&policy, true);
    assert_eq!(estate.shown(&a), ["taken 1", "taken 1,2"], "turned on, it takes one at once");
    estate.run(Command::DetachSnapshotPolicy { policy, groups: vec![a.clone()] });
    estate.open(&a, 3);
    assert_eq!(estate.shown(&a).len(), 2, "it is not attached any more");
}

#[test]
fn a_snapshot_is_kept_as_long_as_the_longest_policy_says() {
    let mut estate = Estate::new(Dialect::Ecs);
    let a = estate.a.clone();
    let (short, long) = (estate.policy(1), estate.policy(3));
    estate.snap(&short, std::slice::from_ref(&a));
    estate.snap(&long, std::slice::from_ref(&a));
    estate.open(&a, 1);
    estate.wait(SNAPSHOT_DELAY_S);
    estate.run(Command::KeepSnapshots);
    assert_eq!(estate.shown(&a).len(), 3);
    estate.run(Command::DeleteSnapshotPolicy { policy: long });
    for (days, left) in [(1, 2), (1, 2), (1, 0)] {
        estate.wait(DAY_S * days);
        estate.run(Command::KeepSnapshots);
        assert_eq!(estate.shown(&a).len(), left);
    }
    assert_eq!(estate.snapshots().next_due(), None);
}

#[test]
fn the_oldest_make_room() {
    let mut estate = Estate::new(Dialect::Ecs);
    let a = estate.a.clone();
    let policy = estate.policy(30);
    estate.snap(&policy, std::slice::from_ref(&a));
    for number in 0..SNAPSHOTS_PER_GROUP_MAX as u16 {
        estate.open(&a, number);
        estate.wait(SNAPSHOT_DELAY_S);
    }
    assert_eq!(estate.snapshots().of_group(&a).count(), SNAPSHOTS_PER_GROUP_MAX);
    assert_eq!(estate.shown(&a)[0], "taken", "the one of the attachment is gone; this is of the first change");
    assert_eq!(estate.shown(&a)[1], "taken 0");
}

#[test]
fn an_account_keeps_so_many_rules_in_snapshots() {
    let mut snapshots = Snapshots::default();
    let rule = |number: usize| {
        let (id, description, tags) = (RuleId::from(format!("r{number}")), String::new(), Default::default());
        Arc::new(crate::rule::Rule { id, spec: port(1, from("::/0")), description, tags, created_at: Timestamp(0) })
    };
    let rules: Vec<_> = (0..SNAPSHOT_RULES_PER_ACCOUNT_MAX / 2).map(rule).collect();
    let snapshot = |id: &str, group: &str, account: &str, at| {
        Arc::new(Snapshot {
            id: id.into(),
            account: account.into(),
            group: group.into(),
            policies: Vec::new(),
            retention: Retention::default(),
            rules: rules.clone(),
            of: Timestamp(at),
            taken_at: Some(Timestamp(at)),
        })
    };
    snapshots.put(&snapshot("young", "g", "1", 9));
    assert_eq!(snapshots.too_many(&snapshot("new", "h", "2", 10)), None, "another account's");
    assert_eq!(snapshots.too_many(&snapshot("new", "h", "1", 10)), Some("young".into()));
    snapshots.put(&snapshot("old", "h", "1", 5));
    assert_eq!(snapshots.too_many(&snapshot("new", "g", "1", 10)), Some("old".into()));
    snapshots.delete(&"old".into());
    snapshots.delete(&"young".into());
    assert_eq!(snapshots.too_many(&snapshot("new", "g", "1", 10)), None, "nothing is left to make room");
}

#[test]
fn a_restore_gives_the_rules_back_with_their_names() {
    let mut estate = Estate::new(Dialect::Ecs);
    let a = estate.a.clone();
    let policy = estate.policy(1);
    [1, 2, 3].into_iter().for_each(|number| estate.open(&a, number));
    let before = estate.state.world().group(&a).expect("it exists").rules.clone();
    estate.snap(&policy, std::slice::from_ref(&a));
    let ids = estate.rule_ids(&a);
    estate.revoke(&a, Revocation::Ids(vec![ids[0].clone()]));
    let edit = RuleEdit { priority: Some(7), description: Some("other".to_owned()), ..RuleEdit::default() };
    let (account, group) = (estate.account.clone(), a.clone());
    let (direction, rule, edit) = (Direction::Ingress, ids[1].clone(), Box::new(edit));
    estate.run(Command::EditRule { account, group, direction, rule, edit });
    estate.open(&a, 4);
    assert_eq!(estate.restore_oldest(&a), Ok(Outcome::Done));
    assert_eq!(estate.state.world().group(&a).expect("it exists").rules, before);
    assert_eq!(estate.shown(&a).len(), 2, "the restore belongs to the change that was begun");
    let revision = estate.state.world().to_changes();
    assert_eq!(estate.restore_oldest(&a), Ok(Outcome::Done));
    assert_eq!(estate.state.world().to_changes(), revision, "there is nothing left to restore");
}

#[test]
fn a_rule_that_says_the_same_stays_under_its_new_name() {
    let mut estate = Estate::new(Dialect::Ecs);
    let a = estate.a.clone();
    let policy = estate.policy(1);
    estate.open(&a, 1);
    estate.open(&a, 2);
    estate.snap(&policy, std::slice::from_ref(&a));
    let specs = vec![port(1, from("10.0.0.0/8"))];
    estate.revoke(&a, Revocation::Specs(specs));
    estate.open(&a, 1);
    let ids = estate.rule_ids(&a);
    let snapshot = estate.snapshots().of_group(&a).next().expect("there is one").clone();
    let steps = snapshot.steps(estate.state.world().group(&a).expect("it exists"));
    assert!(steps.iter().all(|step| matches!(step, Step::Keep(_))) && steps.len() == 2, "{steps:?}");
    estate.restore_oldest(&a).expect("it is restored");
    assert_eq!((estate.rule_ids(&a), estate.ports(&a)), (ids, vec!["1".to_owned(), "2".to_owned()]));
}

#[test]
fn a_restore_is_whole_or_not_at_all() {
    let mut estate = Estate::new(Dialect::Ecs);
    let (a, b) = (estate.a.clone(), estate.b.clone());
    let policy = estate.policy(1);
    estate.run(estate.authorize(&a, [port(1, group_peer(&b)), port(2, from("10.0.0.0/8"))]));
    estate.snap(&policy, std::slice::from_ref(&a));
    let ids = estate.rule_ids(&a);
    estate.revoke(&a, Revocation::Ids(ids));
    let account = estate.account.clone();
    estate.run(Command::DeleteGroup { account, group: b.clone() });
    let refused = estate.restore_oldest(&a).expect_err("the peer is gone");
    assert_eq!(refused, format!("peer security group `{b}` does not exist in this account and region; check the id"));
    assert_eq!(estate.rules(&a), 0);
    estate.run(Command::ManageGroup { group: a.clone(), managed_by: Some(7) });
    assert!(estate.restore_oldest(&a).expect_err("it is managed").contains("managed by a cloud product"));
}

#[test]
fn a_deleted_group_takes_its_snapshots_along() {
    let mut estate = Estate::new(Dialect::Ecs);
    let (account, a, b) = (estate.account.clone(), estate.a.clone(), estate.b.clone());
    let policy = estate.policy(1);
    estate.open(&a, 1);
    estate.snap(&policy, &[a.clone(), b.clone()]);
    estate.open(&a, 2);
    estate.run(Command::DeleteGroup { account, group: a.clone() });
    assert_eq!(estate.snapshots().iter().count(), 1, "b's");
    assert_eq!(estate.snapshots().policy(&policy).expect("it stays").groups, [b]);
    assert_eq!(estate.snapshots().pending(&a), None);
}

#[test]
fn policies_are_bounded_and_belong_to_an_account() {
    let mut estate = Estate::new(Dialect::Ecs);
    let policy = estate.policy(1);
    let groups: Vec<GroupId> = (0..11).map(|_| estate.group(Flavor::EcsBasic)).collect();
    let attach =
        |groups: &[GroupId]| Command::AttachSnapshotPolicy { policy: policy.clone(), groups: groups.to_vec() };
    assert!(estate.try_run(attach(&groups)).unwrap_err().starts_with("at most 10 security groups of one snapshot"));
    estate.run(attach(&groups[..10]));
    estate.run(attach(&groups[..10]));
    assert_eq!(estate.snapshots().iter().count(), 10, "attached again, it takes none");
    assert!(estate.try_run(attach(&["sg-no".into()])).unwrap_err().contains("security group `sg-no` does not exist"));
    for _ in 1..SNAPSHOT_POLICIES_MAX {
        estate.policy(1);
    }
    assert!(estate.try_run(estate.new_policy(1)).unwrap_err().starts_with("at most 100 snapshot policies"));
    let unknown = SnapshotPolicyId::from("sgsp-no");
    let refused = estate.try_run(Command::DeleteSnapshotPolicy { policy: unknown }).unwrap_err();
    assert_eq!(refused, "snapshot policy `sgsp-no` does not exist in this account and region; check the id");
    for days in [0, 31, 255] {
        assert!(Retention::try_from(days).unwrap_err().contains("use 1 to 30 days"));
    }
}

#[test]
fn snapshots_are_facts_and_come_back_from_a_store() {
    let mut estate = Estate::new(Dialect::Ecs);
    let a = estate.a.clone();
    let policy = estate.policy(2);
    estate.snap(&policy, std::slice::from_ref(&a));
    let with_source = RuleSpec { priority: 3, ..port(1, from("2001:db8::/32")) };
    estate.run(estate.authorize(&a, [with_source]));
    let facts = estate.state.world().to_changes();
    let json = serde_json::to_string(&facts).expect("facts are JSON");
    let read: Vec<Change> = serde_json::from_str(&json).expect("JSON is facts");
    let mut again = crate::world::World::default();
    read.iter().for_each(|fact| again.apply(fact));
    assert_eq!(again.to_changes(), facts);
    assert_eq!(again.snapshots().next_due(), estate.snapshots().next_due());
    assert!(again.snapshots().pending(&a).is_some());
    let mut rows: Vec<String> = facts.iter().map(|fact| fact.row().to_key()).collect();
    let in_order = rows.clone();
    rows.sort();
    assert_eq!(rows, in_order);
}
