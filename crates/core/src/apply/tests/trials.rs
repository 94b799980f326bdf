//! Changes on trial: what is undone, what is left because it was changed since or is needed, and what cannot be tried.

use std::collections::BTreeSet;

use expect_test::expect;

use super::{Estate, from, group_peer, port};
use crate::{
    command::{Command, NewGroup, Outcome, Revocation, TreatmentOf, TrialCommand},
    ids::{GroupId, RuleId},
    resource::Resource,
    rule::Direction,
    world::{Dialect, Flavor, InnerAccess, Treatment},
};

impl Estate {
    pub(super) fn begin(&mut self, within_s: u32, commands: Vec<Command>) -> String {
        let command = Box::new(Command::Together { at: None, commands });
        let begin = TrialCommand::Begin { command, operations: vec!["Test".to_owned()], within_s };
        let Outcome::Trial(Some(id), _) = self.run(Command::Trial(begin)) else { panic!() };
        id
    }

    pub(super) fn later(&mut self, seconds: i64) {
        self.context.now.0 += seconds;
    }

    /// What is undone, and what is left, without random parts.
    pub(super) fn undone(&mut self, command: TrialCommand) -> (usize, Vec<String>) {
        let Outcome::RolledBack { restored, left, .. } = self.run(Command::Trial(command)) else { panic!() };
        (restored.len(), left)
    }

    /// What the timer does: the newest that is due is undone.
    fn due(&mut self) -> Option<(usize, Vec<String>)> {
        let id = self.state.world().trials().due(self.context.now).first()?.id.clone();
        Some(self.undone(TrialCommand::RollBack { id }))
    }

    fn ids_of_rules(&self, group: &GroupId) -> BTreeSet<RuleId> {
        self.state.world().group(group).map_or_else(BTreeSet::new, |group| group.rules.keys().cloned().collect())
    }

    fn revoke_all(&self, group: &GroupId) -> Command {
        let rules = Revocation::Ids(self.ids_of_rules(group).into_iter().collect());
        Command::Revoke { account: self.account.clone(), group: group.clone(), direction: Direction::Ingress, rules }
    }

    fn new_group(&self, name: &str) -> Command {
        Command::CreateGroup(NewGroup {
            account: self.account.clone(),
            vpc: self.vpc.clone(),
            flavor: Flavor::EcsBasic,
            name: name.to_owned(),
            description: String::new(),
            resource_group: String::new(),
            tags: Default::default(),
            managed_by: None,
        })
    }
}

fn confirm(id: &str) -> Command {
    Command::Trial(TrialCommand::Confirm { id: id.to_owned(), even_late: false })
}

#[test]
fn what_nobody_confirms_is_as_it_was_to_the_letter() {
    let mut estate = Estate::new(Dialect::Ecs);
    let (a, b) = (estate.a.clone(), estate.b.clone());
    let instance = estate.instance(std::slice::from_ref(&a));
    estate.run(estate.authorize(&a, [port(22, from("10.0.0.0/8")), port(80, group_peer(&b))]));
    let before = estate.state.world().to_changes();
    let commands = vec![
        estate.revoke_all(&a),
        estate.authorize(&a, [port(443, from("0.0.0.0/0"))]),
        estate.join(&instance, &b),
        estate.new_group("made"),
    ];
    let id = estate.begin(60, commands);
    let trial = estate.state.world().trials().get(&id).expect("it waits").clone();
    assert_eq!((trial.facts.len(), trial.until.0 - trial.made_at.0), (5, 60), "three rules, an interface, a group");
    assert_eq!(trial.revision, estate.state.world().revision());
    assert_eq!(estate.due(), None, "the time is not up");
    estate.later(60);
    let late = estate.try_run(confirm(&id)).expect_err("too late");
    assert!(late.contains("was up"), "{late}");
    assert_eq!(estate.due(), Some((5, vec![])));
    assert_eq!(estate.state.world().to_changes(), before);
    assert_eq!(estate.due(), None);
}

#[test]
fn what_is_confirmed_stays() {
    let mut estate = Estate::new(Dialect::Ecs);
    let a = estate.a.clone();
    estate.run(estate.authorize(&a, [port(22, from("10.0.0.0/8"))]));
    let revoke = estate.revoke_all(&a);
    let id = estate.begin(60, vec![revoke]);
    estate.later(59);
    estate.run(confirm(&id));
    estate.later(100);
    assert_eq!(estate.due(), None);
    assert_eq!(estate.rules(&a), 0);
    for command in [confirm(&id), Command::Trial(TrialCommand::RollBack { id: id.clone() })] {
        let gone = estate.try_run(command).expect_err("it waits no more");
        assert!(gone.contains(&format!("change on trial `{id}` does not exist")), "{gone}");
    }
}

#[test]
fn what_was_changed_since_or_is_needed_is_left_and_told() {
    let mut estate = Estate::new(Dialect::Ecs);
    let (a, b) = (estate.a.clone(), estate.b.clone());
    let instance = estate.instance(std::slice::from_ref(&b));
    estate.run(estate.authorize(&a, [port(22, from("10.0.0.0/8"))]));
    let commands = vec![
        estate.revoke_all(&a),
        estate.authorize(&a, [port(80, from("10.0.0.0/8")), port(81, from("10.0.0.0/8"))]),
        estate.new_group("made"),
        estate.new_group("unused"),
    ];
    let id = estate.begin(60, commands);
    let made = estate.state.world().groups().find(|group| group.name == "made").expect("it is there").id.clone();
    // Somebody says the same as the rule that was revoked, takes one of the new ones back, and uses one of the new groups.
    estate.run(estate.authorize(&a, [port(22, from("10.0.0.0/8"))]));
    let account = estate.account.clone();
    let rules = Revocation::Specs(vec![port(81, from("10.0.0.0/8"))]);
    estate.run(Command::Revoke { account, group: a.clone(), direction: Direction::Ingress, rules });
    estate.run(estate.join(&instance, &made));
    let (restored, mut left) = estate.undone(TrialCommand::RollBack { id });
    left.sort();
    let plain =
        |text: &String| text.split(": ").nth(1).unwrap_or_default().split('`').next().unwrap_or_default().to_owned();
    let reasons: Vec<String> = left.iter().map(plain).collect();
    assert_eq!(restored, 3, "two rules, one of which had gone already, and the group that nobody uses: {left:?}");
    let told = left.join("\n");
    assert!(told.contains("says the same") && told.contains("carries it"), "{told}");
    assert_eq!((reasons.len(), estate.rules(&a)), (2, 1));
    assert!(estate.state.world().group(&made).is_some());
    assert!(estate.state.world().trials().is_empty());
}

#[test]
fn the_newest_is_undone_first_and_what_does_not_come_back_is_not_tried() {
    let mut estate = Estate::new(Dialect::Ecs);
    let a = estate.a.clone();
    estate.run(estate.authorize(&a, [port(22, from("10.0.0.0/8"))]));
    let before = estate.state.world().to_changes();
    let opens = estate.authorize(&a, [port(80, from("0.0.0.0/0"))]);
    estate.begin(50, vec![opens]);
    let closes = estate.revoke_all(&a);
    estate.begin(60, vec![closes]);
    estate.later(60);
    assert_eq!(estate.due(), Some((2, vec![])));
    assert_eq!(estate.due(), Some((1, vec![])));
    assert_eq!(estate.state.world().to_changes(), before);
    let start = |command: Command| {
        Command::Trial(TrialCommand::Begin { command: Box::new(command), operations: vec![], within_s: 9 })
    };
    let instance = estate.instance(std::slice::from_ref(&a));
    let gone = estate.delete(&instance, true);
    let refused = estate.try_run(start(gone)).expect_err("what ran in it does not come back");
    assert!(refused.contains("stop it on trial instead") && refused.contains(instance.as_str()), "{refused}");
    let nothing = start(estate.authorize(&a, [port(22, from("10.0.0.0/8"))]));
    assert!(matches!(estate.run(nothing), Outcome::Trial(None, _)), "what changes nothing has nothing to undo");
    estate.refused(confirm("trial-1"), &expect!["change on trial `trial-1` does not exist; check the id"]);
}

#[test]
fn what_an_unconfirmed_change_made_is_not_given_back_by_a_newer_one() {
    let mut estate = Estate::new(Dialect::Ecs);
    let a = estate.a.clone();
    let before = estate.state.world().to_changes();
    estate.begin(50, vec![estate.authorize(&a, [port(22, from("0.0.0.0/0")), port(80, from("0.0.0.0/0"))])]);
    let rules = Revocation::Specs(vec![port(22, from("0.0.0.0/0"))]);
    let account = estate.account.clone();
    let revoke = Command::Revoke { account, group: a.clone(), direction: Direction::Ingress, rules };
    let newer = estate.begin(90, vec![revoke]);
    estate.later(60);
    assert_eq!(estate.due(), Some((2, vec![])), "one rule goes, the other one has gone");
    assert_eq!(
        estate.undone(TrialCommand::RollBack { id: newer }),
        (0, vec![]),
        "nothing of its own is left to undo"
    );
    assert_eq!(estate.state.world().to_changes(), before);

    // A field that both have changed goes back to what it was before either.
    let of = TreatmentOf::Account(estate.account.clone());
    let treat = |treatment| Command::SetTreatment { of: of.clone(), treatment: Some(treatment) };
    estate.begin(50, vec![treat(Treatment::Reset)]);
    let newer = estate.begin(90, vec![treat(Treatment::Keep)]);
    estate.later(60);
    let (restored, left) = estate.due().expect("it is due");
    assert!(restored == 0 && left[0].contains("was changed since"), "{left:?}");
    assert_eq!(estate.undone(TrialCommand::RollBack { id: newer }), (1, vec![]));
    assert_eq!(estate.state.world().to_changes(), before);
}

#[test]
fn no_vpc_of_ec2_gets_two_groups_of_one_name() {
    let mut estate = Estate::new(Dialect::Ec2);
    let world = estate.state.world().clone();
    let (taken, b) = (world.group(&estate.a).unwrap().name.clone(), estate.b.clone());
    let Command::CreateGroup(new) = estate.new_group(&taken.to_uppercase()) else { panic!() };
    let new = NewGroup { flavor: Flavor::Ec2, ..new };
    let clone = Command::CloneGroup { group: new.clone(), inner_access: InnerAccess::Drop, rules: vec![] };
    let refused =
        [clone, Command::CreateGroup(new.clone())].map(|command| estate.try_run(command).expect_err("taken"));
    assert_eq!(refused[0], refused[1]);
    let name = world.group(&b).unwrap().name.clone();
    let delete = Command::DeleteGroup { account: estate.account.clone(), group: b.clone() };
    let id = estate.begin(60, vec![delete]);
    let Outcome::Group(other) = estate.run(Command::CreateGroup(NewGroup { name, ..new })) else { panic!() };
    let (_, left) = estate.undone(TrialCommand::RollBack { id });
    assert!(left.contains(&format!("group/{b}: `{other}` has its name")), "{left:?}");
    assert!(estate.state.world().group(&b).is_none());
}

#[test]
fn the_treatment_of_an_account_comes_back_and_resource_groups_that_are_used_stay() {
    let mut estate = Estate::new(Dialect::Ecs);
    let (account, a) = (estate.account.clone(), estate.a.clone());
    let before = estate.state.world().to_changes();
    let of = TreatmentOf::Account(account.clone());
    let treat = Command::SetTreatment { of, treatment: Some(Treatment::Reset) };
    let id = estate.begin(60, vec![treat]);
    let treatment = |estate: &Estate| estate.state.world().account(&estate.account).unwrap().treatment;
    assert_eq!(treatment(&estate), Some(Treatment::Reset));
    assert_eq!(estate.undone(TrialCommand::RollBack { id }), (1, vec![]));
    assert_eq!(estate.state.world().to_changes(), before);

    let made = Command::CreateResourceGroup { account: account.clone(), name: "shop".to_owned() };
    let id = estate.begin(60, vec![made]);
    let group = estate.state.world().account(&account).unwrap().resource_groups.keys().next().unwrap().clone();
    estate.run(Command::JoinResourceGroup { account, resource: Resource::Group(a.clone()), resource_group: group });
    let (restored, left) = estate.undone(TrialCommand::RollBack { id });
    assert_eq!(restored, 0);
    assert!(left.len() == 1 && left[0].contains(&format!("`{a}` is in its resource group")), "{left:?}");
}
