//! Candidates of groups: set within the quotas, kept apart from the rules, and made the rules.

use expect_test::expect;

use super::{Estate, from, group_peer, port};
use crate::{
    change::Change,
    command::{Command, NewRule, Outcome, Revocation, ShadowCommand},
    ids::{GroupId, RuleId},
    rule::RuleSpec,
    shadow::{SHADOW_RULES_MAX, Shadow},
    verdict,
    world::{Dialect, World, group_set},
};

impl Estate {
    fn set(group: &GroupId, specs: impl IntoIterator<Item = RuleSpec>) -> Command {
        let rules = specs.into_iter().map(|spec| NewRule::new(spec, "")).collect();
        Command::Shadow(ShadowCommand::Set { group: group.clone(), rules })
    }

    fn promote(group: &GroupId, is_forced: bool) -> Command {
        Command::Shadow(ShadowCommand::Promote { group: group.clone(), is_forced })
    }

    fn shadow(&self, group: &GroupId) -> &Shadow {
        self.state.world().shadows().get(group).expect("the group has a candidate")
    }

    fn rules_named(&self, group: &GroupId) -> Vec<(RuleId, RuleSpec)> {
        let group = self.state.world().group(group).expect("it exists");
        group.rules.values().map(|rule| (rule.id.clone(), rule.spec.clone())).collect()
    }
}

fn open(number: u16) -> RuleSpec {
    port(number, from("10.0.0.0/8"))
}

#[test]
fn a_candidate_shares_names_with_the_rules_that_say_the_same() {
    let mut estate = Estate::new(Dialect::Ecs);
    let a = estate.a.clone();
    estate.run(estate.authorize(&a, [open(1), open(2)]));
    let before = estate.rules_named(&a);
    estate.run(Estate::set(&a, [open(2), open(3), open(3)]));
    let shadow = estate.shadow(&a);
    let shared: Vec<_> =
        shadow.rules.iter().filter(|rule| before.contains(&(rule.id.clone(), rule.spec.clone()))).collect();
    assert_eq!((shadow.rules.len(), shared.len(), shadow.base.len()), (2, 1, 2), "what is said twice is said once");
    assert_eq!(estate.rules_named(&a), before, "the group is as it was");
    // A world that is read back, or reached from another, has the same candidate.
    let world = estate.state.world();
    let mut again = World::default();
    world.to_changes().iter().for_each(|change| again.apply(change));
    assert_eq!(again.to_changes(), world.to_changes());
    let gone = World::default().changes_from(&again);
    assert!(gone.contains(&Change::DeleteShadow(a.clone())));
    let set = group_set(std::slice::from_ref(&a));
    assert!(world.has_candidate(&set) && world.round_of(&set) == again.round_of(&set));
    let other = estate.shadow(&a).number;
    estate.run(Estate::set(&a, [open(2)]));
    assert_ne!(estate.shadow(&a).number, other, "another candidate is told from the one before");
}

#[test]
fn a_candidate_is_held_to_what_rules_are() {
    let mut estate = Estate::new(Dialect::Ecs);
    let (a, b) = (estate.a.clone(), estate.b.clone());
    let own = group_peer(&a);
    estate
        .refused(Estate::set(&a, [port(1, own)]), &expect!["a rule of `A` must not name `A` itself as ingress peer"]);
    estate.refused(
        Estate::set(&"sg-none".into(), []),
        &expect!["security group `sg-none` does not exist in this account and region; check the id"],
    );
    let many = |count: u16| (0..count).map(open);
    estate.refused(
        Estate::set(&a, many(1_001)),
        &expect!["at most 1000 rules in one direction of a security group; this request would make it 1001"],
    );
    let too_many = (0..SHADOW_RULES_MAX).map(|_| open(1));
    estate.refused(
        Estate::set(&a, too_many),
        &expect![
            "at most 16384 rules of all shadows and of the groups beside them; this request would make it 16385"
        ],
    );
    estate.refused(
        Command::Shadow(ShadowCommand::Clear { group: b.clone() }),
        &expect!["`B` has no shadow; set one with `sekimori shadow set`"],
    );
    estate.refused(Estate::promote(&b, true), &expect!["`B` has no shadow; set one with `sekimori shadow set`"]);
    // A candidate is no rule: what it names may go.
    estate.run(Estate::set(&a, [port(1, group_peer(&b))]));
    let account = estate.account.clone();
    estate.run(Command::DeleteGroup { account: account.clone(), group: b.clone() });
    assert!(estate.try_run(Estate::promote(&a, false)).expect_err("the peer is gone").contains("does not exist"));
    estate.run(Command::DeleteGroup { account, group: a.clone() });
    assert_eq!(estate.state.world().shadows().iter().count(), 0, "it goes with its group");
    assert_eq!(estate.state.world().shadows().weight(), 0);
}

#[test]
fn a_candidate_is_promoted_if_the_group_is_what_it_was() {
    let mut estate = Estate::new(Dialect::Ecs);
    let a = estate.a.clone();
    estate.run(estate.authorize(&a, [open(1), open(2)]));
    estate.run(Estate::set(&a, [open(2), open(3)]));
    let expected: Vec<(RuleId, RuleSpec)> =
        estate.shadow(&a).rules.iter().map(|rule| (rule.id.clone(), rule.spec.clone())).collect();
    estate.run(estate.authorize(&a, [open(4)]));
    estate.refused(
        Estate::promote(&a, false),
        &expect!["the rules of `A` have changed since its shadow was set, and promoting it would undo that; set the shadow again, or force it"],
    );
    // Rules that came and went change nothing.
    let revoke = Command::Revoke {
        account: estate.account.clone(),
        group: a.clone(),
        direction: crate::rule::Direction::Ingress,
        rules: Revocation::Specs(vec![open(4)]),
    };
    estate.run(revoke);
    assert_eq!(estate.run(Estate::promote(&a, false)), Outcome::Done);
    let sorted = |mut rules: Vec<(RuleId, RuleSpec)>| {
        rules.sort();
        rules
    };
    assert_eq!(sorted(estate.rules_named(&a)), sorted(expected));
    assert!(estate.state.world().shadows().get(&a).is_none());
    estate.run(Estate::set(&a, [open(5)]));
    estate.run(estate.authorize(&a, [open(6)]));
    estate.run(Estate::promote(&a, true));
    assert_eq!(estate.rules_named(&a).into_iter().map(|(_, spec)| spec).collect::<Vec<_>>(), [open(5)]);
    estate.run(Estate::set(&a, [open(1)]));
    estate.run(Command::ManageGroup { group: a.clone(), managed_by: Some(7) });
    assert!(
        estate.try_run(Estate::promote(&a, true)).expect_err("it is managed").contains("managed by a cloud product")
    );
}

#[test]
fn nothing_is_decided_by_a_candidate() {
    let mut estate = Estate::new(Dialect::Ecs);
    let a = estate.a.clone();
    estate.run(Estate::set(&a, [open(443)]));
    let instance = estate.instance(std::slice::from_ref(&a));
    let world = estate.state.world();
    let eni = world.primary_eni(&instance).expect("it has one");
    let packet = crate::packet::Packet {
        direction: crate::rule::Direction::Ingress,
        local: eni.addresses[0],
        peer: "10.9.9.9".parse().expect("an address"),
        transport: crate::packet::Transport::Tcp { source: 1, destination: 443 },
        is_forwarded: false,
    };
    assert!(!verdict::decide(world, eni, &packet).is_allowed());
    let candidate = world.with_candidates(&group_set(&eni.groups));
    assert!(verdict::decide(&candidate, eni, &packet).is_allowed());
}
