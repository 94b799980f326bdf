//! What a console does, shown on real packets: a port opened as narrowly as it was asked for, presets, and
//! platform policies that no group can undo.

use std::sync::Arc;

use expect_test::expect;
use sekimori_analysis::{attach, diagnose::open, preset};
use sekimori_core::{
    address::Family,
    command::{Command, NewRule, NewSnapshotPolicy, Outcome, Revocation},
    limits::LimitMode,
    platform::PlatformPolicy,
    resource::Resource,
    rule::{Action, Direction, Rule, RuleSpec},
    snapshot::Retention,
    tags::Tags,
    world::Dialect,
};
use sekimori_tests::lab::{Lab, observe::Answer, wire::Wire};

#[test]
fn an_opened_port_is_open_to_whom_it_was_opened_and_to_nobody_else() {
    let Some(mut lab) = Lab::of(
        "group client basic
         group server basic isolated
         instance a client
         instance b client
         instance c server
         instance d server",
    ) else {
        return;
    };
    lab.check(expect![[r#"
        a -> c tcp/5432 v4: dropped [a: default allow] [c: default deny]
    "#]]);
    let peer = lab.eni("a").addresses.iter().find(|address| address.is_ipv4()).copied();
    let request = open::Request {
        target: lab.instance_id("c").to_string(),
        direction: Direction::Ingress,
        service: "tcp/5432".to_owned(),
        peer: peer.and_then(|peer| peer.to_string().parse().ok()),
        from_world: false,
        group: None,
        dry_run: false,
    };
    let open::Plan { account, group, rules, .. } = open::plan(lab.world(), &request).unwrap();
    lab.run(&Command::Authorize { account, group, rules });
    lab.check(expect![[r#"
        a -> c tcp/5432 v4: passes [a: default allow] [c: allow ]
        b -> c tcp/5432 v4: dropped [b: default allow] [c: default deny]
        a -> d tcp/5432 v4: dropped [a: default allow] [d: default deny]
        a -> c tcp/5433 v4: dropped [a: default allow] [c: default deny]
    "#]]);
}

#[test]
fn presets_open_what_they_say() {
    let Some(mut lab) = Lab::of(
        "group client basic
         group server basic
         instance a client
         instance b server",
    ) else {
        return;
    };
    let from = vec![lab.group_id("client").to_string()];
    for (name, from) in [("web", vec![]), ("dns", from.clone()), ("ping", from)] {
        let request = preset::Request { preset: name.to_owned(), from, ..preset::Request::default() };
        let preset::Plan { account, group, rules, .. } =
            preset::plan(lab.world(), &lab.group_id("server"), &request).unwrap();
        lab.run(&Command::Authorize { account, group, rules });
    }
    lab.check(expect![[r#"
        outside -> b tcp/443: passes [b: allow ]
        outside -> b udp/53: dropped [b: default deny]
        a -> b udp/53: passes [a: default allow] [b: allow ]
        a -> b tcp/53: passes [a: default allow] [b: allow ]
        a -> b ping: passes [a: default allow] [b: allow ]
        outside -> b ping: dropped [b: default deny]
        a -> b tcp/22: dropped [a: default allow] [b: default deny]
    "#]]);
}

#[test]
fn platform_policies_come_before_every_rule_and_only_while_they_are_on() {
    let Some(mut lab) = Lab::of(
        "group open basic
           in deny all from any as nothing-in
           out allow all to any as everything-out
         group relay basic
           in allow tcp/25 from any as mail-in
         instance a open
         instance b relay",
    ) else {
        return;
    };
    lab.check(expect![[r#"
        a -> outside tcp/25: passes [a: allow everything-out]
        outside -> a datagram/80 src 100.64.0.7: dropped [a: deny nothing-in]
    "#]]);
    for policy in PlatformPolicy::ALL {
        lab.run(&Command::SetPlatform { policy, is_on: true });
    }
    lab.check(expect![[r#"
        a -> outside tcp/25: dropped [a: platform deny]
        a -> outside tcp/26: passes [a: allow everything-out]
        a -> b tcp/25: passes [a: allow everything-out] [b: allow mail-in]
        outside -> a datagram/80 src 100.64.0.7: passes [a: platform allow]
        outside -> a datagram/80 src 100.128.0.7: dropped [a: deny nothing-in]
    "#]]);
    lab.run(&Command::SetPlatform { policy: PlatformPolicy::Mail, is_on: false });
    lab.check(expect![[r#"
        a -> outside tcp/25: passes [a: allow everything-out]
    "#]]);
}

#[test]
fn an_instance_joins_the_group_with_its_tag_and_is_judged_by_it() {
    let Some(mut lab) = Lab::of(
        "group base enterprise
         group web enterprise
           in allow tcp/80 from any as web-in
         instance a base
         instance b base",
    ) else {
        return;
    };
    lab.check(expect![[r#"
        outside -> a tcp/80: dropped [a: default deny]
    "#]]);
    let tags = Tags::read(Dialect::Ecs, [("app", "web")]).unwrap();
    for resource in [Resource::Group(lab.group_id("web")), Resource::Instance(lab.instance_id("a"))] {
        let (account, resources) = (lab.eni("a").account.clone(), vec![resource]);
        lab.run(&Command::Tag { account, resources, tags: tags.clone() });
    }
    let request = attach::Request { key: "app".to_owned(), value: None, account: None, apply: true };
    let plan = attach::plan(lab.world(), LimitMode::Cloud, &request);
    let commands = plan.commands(lab.world());
    lab.run(&Command::Together { at: None, commands });
    lab.check(expect![[r#"
        outside -> a tcp/80: passes [a: allow web-in]
        outside -> b tcp/80: dropped [b: default deny]
    "#]]);
}

#[test]
fn a_restore_changes_what_passes() {
    let Some(mut lab) = Lab::of(
        "group client enterprise
           out allow all to any as out
         group server basic isolated
           in allow tcp/443 from any as web
           in deny tcp/22 from any prio 1 as no-ssh
         instance a client
         instance b server",
    ) else {
        return;
    };
    let (account, group) = (lab.eni("b").account.clone(), lab.group_id("server"));
    let (name, retention) = ("daily".to_owned(), Retention::default());
    let new = NewSnapshotPolicy { account: account.clone(), name, is_enabled: true, retention };
    let Outcome::SnapshotPolicy(policy) = lab.run(&Command::CreateSnapshotPolicy(new)) else { panic!("no policy") };
    lab.run(&Command::AttachSnapshotPolicy { policy, groups: vec![group.clone()] });
    let before: Vec<Arc<Rule>> = lab.world().group(&group).unwrap().rules.values().cloned().collect();
    // Everything is turned round: what was open is closed, and the other way.
    let rules = Revocation::Ids(before.iter().map(|rule| rule.id.clone()).collect());
    let direction = Direction::Ingress;
    lab.run(&Command::Revoke { account: account.clone(), group: group.clone(), direction, rules });
    let turned = |rule: &&Arc<Rule>| rule.spec.action == Action::Deny;
    let allow = |rule: &Arc<Rule>| RuleSpec { action: Action::Allow, ..rule.spec.clone() };
    let rules = before.iter().filter(turned).map(allow);
    let rules = rules.map(|spec| NewRule::new(spec, "")).collect();
    lab.run(&Command::Authorize { account, group: group.clone(), rules });
    lab.check(expect![[r#"
        a -> b tcp/443: dropped [a: allow out] [b: default deny]
        a -> b tcp/22: passes [a: allow out] [b: allow ]
    "#]]);
    let mut ssh: Vec<Wire> = [Family::V4, Family::V6].map(|family| lab.connect("a", "b", 22, family)).into();
    for wire in &mut ssh {
        assert_eq!(lab.talk(wire).answer, Answer::Passes);
    }
    let snapshot = lab.world().snapshots().of_group(&group).next().unwrap().id.clone();
    lab.run(&Command::RestoreSnapshot { snapshot });
    lab.check(expect![[r#"
        a -> b tcp/443: passes [a: allow out] [b: allow web]
        a -> b tcp/22: dropped [a: allow out] [b: deny no-ssh]
    "#]]);
    for wire in &mut ssh {
        assert_eq!(lab.talk(wire).to_string(), "dropped [a: known-flow] [b: flow-ended-by-change]");
    }
}
