//! Changes of groups and of single rules, by their owner and by the operator.

use expect_test::expect;

use super::{Estate, from, group_peer, port};
use crate::{
    command::{Command, EniSpec, NewAccount, NewGroup, NewInstances, Outcome, RuleEdit},
    ids::{AccountId, GroupId, RuleId, VpcId},
    rule::{Action, Direction, Peer, PortRange, Protocol, RuleSpec, Service},
    world::{Dialect, Flavor},
};

impl Estate {
    fn rule(&mut self, group: &GroupId, spec: RuleSpec) -> RuleId {
        let Outcome::Rules(ids) = self.run(self.authorize(group, [spec])) else { panic!() };
        ids[0].clone()
    }

    fn edit_rule(&self, rule: &RuleId, edit: RuleEdit) -> Command {
        Command::EditRule {
            account: self.account.clone(),
            group: self.a.clone(),
            direction: Direction::Ingress,
            rule: rule.clone(),
            edit: Box::new(edit),
        }
    }

    fn describe_rule(&self, spec: &RuleSpec, description: Option<&str>) -> Command {
        Command::DescribeRule {
            account: self.account.clone(),
            group: self.a.clone(),
            spec: Box::new(spec.clone()),
            description: description.map(str::to_owned),
        }
    }

    /// The message of a refusal, with the rule's name in place of its id.
    fn why_not(&mut self, rule: &RuleId, edit: RuleEdit) -> String {
        let message = self.try_run(self.edit_rule(rule, edit)).expect_err("the edit is refused");
        message.replace(rule.as_str(), "RULE").replace(self.a.as_str(), "A")
    }
}

#[test]
fn only_what_is_given_changes_and_the_name_stays() {
    let mut estate = Estate::new(Dialect::Ecs);
    let a = estate.a.clone();
    let rule = estate.rule(&a, port(22, from("10.0.0.0/8")));
    let edit = RuleEdit {
        action: Some(Action::Deny),
        service: Some(Service::Ports(PortRange::one(23))),
        description: Some("telnet".to_owned()),
        ..RuleEdit::default()
    };
    estate.run(estate.edit_rule(&rule, edit.clone()));
    let world = estate.state.world().clone();
    let found = &world.group(&a).expect("it exists").rules[&rule];
    let expected = RuleSpec { action: Action::Deny, ..port(23, from("10.0.0.0/8")) };
    assert_eq!((&found.spec, found.description.as_str()), (&expected, "telnet"));
    // The same again is no change.
    let again = super::apply(&estate.state, &estate.edit_rule(&rule, edit), &mut estate.context).expect("it is done");
    assert!(again.changes.is_empty());
    assert_eq!(estate.rules(&a), 1);
}

#[test]
fn what_makes_a_rule_another_rule_does_not_change() {
    let mut estate = Estate::new(Dialect::Ecs);
    let (a, b) = (estate.a.clone(), estate.b.clone());
    let rule = estate.rule(&a, port(22, from("10.0.0.0/8")));
    let peer = |peer: Peer| RuleEdit { peer: Some(peer), ..RuleEdit::default() };
    let kind = expect![
        "the peer of rule `RULE` cannot become one of another kind or family; add a rule and revoke this one"
    ];
    kind.assert_eq(&estate.why_not(&rule, peer(from("2001:db8::/32"))));
    kind.assert_eq(&estate.why_not(&rule, peer(group_peer(&b))));
    let list = RuleEdit { service: Some(Service::PortList("prl-1".into())), ..RuleEdit::default() };
    expect!["rule `RULE` cannot change between ports and a port list; add a rule and revoke this one"]
        .assert_eq(&estate.why_not(&rule, list));
    let icmp = RuleEdit { protocol: Some(Protocol::ICMP), ..RuleEdit::default() };
    expect!["rule `RULE` would have ports and protocol icmp; give protocol and ports that fit"]
        .assert_eq(&estate.why_not(&rule, icmp));
    let local = RuleEdit { local: Some("2001:db8::/32".parse().expect("a block")), ..RuleEdit::default() };
    expect!["rule `RULE` would have a protocol and an address of two families; give ones that fit"]
        .assert_eq(&estate.why_not(&rule, local));
    let v6 = RuleEdit { protocol: Some(Protocol::ICMPV6), service: Some(Service::Any), ..RuleEdit::default() };
    expect!["rule `RULE` would have a protocol and an address of two families; give ones that fit"]
        .assert_eq(&estate.why_not(&rule, v6));
    estate.run(estate.edit_rule(&rule, peer(from("192.168.0.0/16"))));
}

#[test]
fn two_rules_of_a_group_never_say_the_same() {
    let mut estate = Estate::new(Dialect::Ecs);
    let a = estate.a.clone();
    let one = estate.rule(&a, port(22, from("10.0.0.0/8")));
    let other = estate.rule(&a, port(23, from("10.0.0.0/8")));
    let edit = RuleEdit { service: Some(Service::Ports(PortRange::one(23))), ..RuleEdit::default() };
    let message = estate.why_not(&one, edit);
    assert_eq!(message, format!("rule `{other}` of `A` says the same already; revoke one of the two"));
    let missing = estate.why_not(&RuleId::from("sgr-no"), RuleEdit { priority: Some(9), ..RuleEdit::default() });
    assert!(missing.contains("has no rule `RULE` in this direction"), "{missing}");
}

#[test]
fn a_changed_peer_is_judged_as_a_new_one() {
    let mut estate = Estate::new(Dialect::Ecs);
    let (a, b) = (estate.a.clone(), estate.b.clone());
    let rule = estate.rule(&a, port(22, group_peer(&b)));
    let peer = |id: &GroupId| RuleEdit { peer: Some(group_peer(id)), ..RuleEdit::default() };
    expect!["a rule of `A` must not name `A` itself as ingress peer"].assert_eq(&estate.why_not(&rule, peer(&a)));
    let message = estate.why_not(&rule, peer(&GroupId::from("sg-no")));
    assert!(message.starts_with("peer security group `sg-no` does not exist"), "{message}");
}

#[test]
fn a_rule_is_described_by_what_it_says() {
    let mut estate = Estate::new(Dialect::Ecs);
    let a = estate.a.clone();
    let spec = port(22, from("10.0.0.0/8"));
    let rule = estate.rule(&a, spec.clone());
    for words in ["ssh", "ssh", ""] {
        estate.run(estate.describe_rule(&spec, Some(words)));
        let world = estate.state.world();
        assert_eq!(world.group(&a).expect("it exists").rules[&rule].description, words);
    }
    estate.run(estate.describe_rule(&spec, None));
    let other = RuleSpec { priority: 2, ..spec };
    let message = estate.try_run(estate.describe_rule(&other, Some("x"))).expect_err("no rule says it");
    assert_eq!(message, format!("`{a}` has no rule that says this; list the rules to see what they say"));
}

#[test]
fn a_managed_group_is_only_looked_at_by_its_owner() {
    let mut estate = Estate::new(Dialect::Ecs);
    let (a, b, account) = (estate.a.clone(), estate.b.clone(), estate.account.clone());
    let web = estate.instance(std::slice::from_ref(&b));
    estate.run(Command::ManageGroup { group: a.clone(), managed_by: Some(7) });
    let edit = Command::EditGroup {
        account: account.clone(),
        group: a.clone(),
        name: Some("mine".into()),
        description: None,
    };
    let commands = [
        edit.clone(),
        estate.authorize(&a, [port(1, from("10.0.0.0/8"))]),
        estate.join(&web, &a),
        estate.leave(&web, &a),
        estate.instances(std::slice::from_ref(&a), 1),
        Command::DeleteGroup { account: account.clone(), group: a.clone() },
    ];
    for command in commands {
        let message = estate.try_run(command).expect_err("it is managed");
        assert!(message.ends_with("is managed by a cloud product; look at it, and change another"), "{message}");
    }
    // Others may name it, and the operator may give it back.
    estate.run(estate.authorize(&b, [port(1, group_peer(&a))]));
    estate.run(Command::ManageGroup { group: a.clone(), managed_by: None });
    estate.run(edit);
    assert_eq!(estate.state.world().group(&a).expect("it exists").name, "mine");
}

#[test]
fn a_protected_group_is_not_deleted_not_even_by_force() {
    let mut estate = Estate::new(Dialect::Ecs);
    let (a, account) = (estate.a.clone(), estate.account.clone());
    let protect = |is_protected| Command::ProtectGroup { group: a.clone(), is_protected };
    estate.run(protect(true));
    let delete = Command::DeleteGroup { account, group: a.clone() };
    for command in [delete.clone(), Command::RemoveGroup { group: a.clone(), force: true }] {
        estate.refused(
            command,
            &expect!["security group `A` is protected from deletion; take the protection off first"],
        );
    }
    estate.run(protect(false));
    estate.run(delete);
}

#[test]
fn force_takes_away_what_uses_a_group_and_says_what() {
    let mut estate = Estate::new(Dialect::Ecs);
    let (a, b) = (estate.a.clone(), estate.b.clone());
    let naming = estate.rule(&b, port(1, group_peer(&a)));
    let both = estate.instance(&[a.clone(), b.clone()]);
    let alone = estate.instance(std::slice::from_ref(&a));
    let remove = |force| Command::RemoveGroup { group: a.clone(), force };
    let message = estate.try_run(remove(false)).expect_err("it is used");
    assert!(message.contains("is still used by"), "{message}");
    let message = estate.try_run(remove(true)).expect_err("an interface would be left without a group");
    assert_eq!(message, format!("`{a}` is the only security group of `{alone}`; join another first"));
    estate.run(estate.join(&alone, &b));
    let outcome = estate.run(remove(true));
    let Outcome::Removed { rules, enis } = outcome else { panic!("{outcome:?}") };
    assert_eq!(rules, [(b.clone(), naming)]);
    let world = estate.state.world();
    assert_eq!(enis.len(), 2);
    assert!(world.group(&a).is_none() && world.group(&b).expect("it stays").rules.is_empty());
    assert_eq!(world.primary_eni(&both).expect("it stays").groups, [b]);
}

/// A second account, with a group in the first one's VPC if it is shared.
fn neighbour(estate: &mut Estate) -> (AccountId, Command) {
    let account = AccountId::from("2");
    let new = NewAccount {
        id: Some(account.clone()),
        dialect: Dialect::Ecs,
        name: "two".into(),
        key: "k2".into(),
        sealed_secret: "s".into(),
    };
    estate.run(Command::CreateAccount(new));
    let group = group_of(&account, &estate.vpc);
    (account, group)
}

fn group_of(account: &AccountId, vpc: &VpcId) -> Command {
    Command::CreateGroup(NewGroup {
        account: account.clone(),
        vpc: vpc.clone(),
        flavor: Flavor::EcsBasic,
        name: "theirs".into(),
        description: String::new(),
        resource_group: String::new(),
        tags: Default::default(),
        managed_by: None,
    })
}

#[test]
fn a_shared_vpc_takes_groups_and_instances_of_another_account() {
    let mut estate = Estate::new(Dialect::Ecs);
    let a = estate.a.clone();
    let (account, new_group) = neighbour(&mut estate);
    estate.refused(new_group.clone(), &expect!["VPC `VPC` does not exist in this account and region; check the id"]);
    let vpc = estate.vpc.clone();
    let share = |is_shared| Command::ShareVpc { vpc: vpc.clone(), with: "2".into(), is_shared };
    estate.run(share(true));
    let Outcome::Group(theirs) = estate.run(new_group.clone()) else { panic!() };
    let start = |groups: &GroupId, subnet: &crate::ids::SubnetId| {
        Command::RunInstances(Box::new(NewInstances {
            account: account.clone(),
            primary: EniSpec::new(subnet.clone(), vec![groups.clone()]),
            secondary: Vec::new(),
            attached: Vec::new(),
            amount: 1,
            name: String::new(),
            description: String::new(),
            image: String::new(),
            instance_type: String::new(),
            disk: Default::default(),
            resource_group: String::new(),
            tags: Default::default(),
        }))
    };
    let subnet = estate.subnet.clone();
    estate.refused(
        start(&a, &subnet),
        &expect!["security group `A` does not exist in this account and region; check the id"],
    );
    estate.run(start(&theirs, &subnet));
    let peer = |owner: &str| Peer::Group { group: theirs.clone(), account: owner.into() };
    estate.try_run(estate.authorize(&a, [port(1, peer("1"))])).expect_err("it is not the caller's own");
    estate.run(estate.authorize(&a, [port(1, peer("2"))]));
    // What is there stays when the VPC is closed again; nothing is added.
    estate.run(share(false));
    estate.try_run(start(&theirs, &subnet)).expect_err("the VPC is closed");
    estate.try_run(new_group).expect_err("the VPC is closed");
    assert_eq!(estate.state.world().members(&theirs).count(), 1);
    let delete = Command::DeleteGroup { account, group: theirs };
    let message = estate.try_run(delete).expect_err("an instance carries it");
    assert!(message.contains("is still used by"), "{message}");
}

#[test]
fn a_group_of_another_vpc_is_no_peer_whoever_owns_it() {
    let mut estate = Estate::new(Dialect::Ecs);
    let a = estate.a.clone();
    let (account, _) = neighbour(&mut estate);
    let Command::CreateVpc(mut new) = estate.new_vpc("10.0.0.0/8", crate::command::VpcIpv6::Off) else { panic!() };
    new.account = account.clone();
    let Outcome::Vpc(vpc) = estate.run(Command::CreateVpc(new)) else { panic!() };
    let Outcome::Group(theirs) = estate.run(group_of(&account, &vpc)) else { panic!() };
    let peer = Peer::Group { group: theirs.clone(), account };
    let message = estate.try_run(estate.authorize(&a, [port(1, peer)])).expect_err("another VPC");
    assert_eq!(message, format!("`{a}` and `{theirs}` are not in the same VPC; use two of one VPC"));
}
