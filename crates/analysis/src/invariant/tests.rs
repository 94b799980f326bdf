//! Invariants on small worlds: what violates them, what mends them, and what they have nothing to do with.

use std::sync::Arc;

use expect_test::{Expect, expect};
use sekimori_core::{
    apply::{State, apply},
    command::{Command, Context, EniPatch, InstancePatch, InvariantCommand, NewRule, Outcome, Revocation},
    ids::{HostId, IdSource},
    limits::LimitMode,
    rule::{Action, Direction, Peer, PortRange, Protocol, RuleSpec, Service},
    time::Timestamp,
};

use super::*;
use crate::fixture;

/// Whether each statement holds in a world; and if not, why.
fn judged(text: &str, statements: &[&str]) -> String {
    let mut world = fixture::world(text);
    for (index, statement) in statements.iter().enumerate() {
        world.apply(&Change::PutInvariant(Arc::new(Invariant {
            name: format!("{index:02}"),
            statement: statement.parse().unwrap(),
            mode: Mode::Enforce,
            set_at: Timestamp(0),
            violation: None,
        })));
    }
    let lines = check(&world).invariants.into_iter();
    let shown = |one: Judged| format!("{}: {}\n", one.statement, one.shown.unwrap_or_else(|| "holds".to_owned()));
    lines.map(shown).collect()
}

fn check_of(text: &str, statements: &[&str], expected: &Expect) {
    expected.assert_eq(&judged(text, statements));
}

/// Web servers that the internet reaches, and databases that only they do.
const ESTATE: &str = "
    sg web drop
    sg db drop
    web: in allow tcp 443 from 0.0.0.0/0
    web: in allow tcp 22 from 192.0.2.0/24
    db: in allow tcp 5432 from sg-web
    eni a 10.0.0.1 fd00::1 in web tag role=web
    eni b 10.0.0.2 in web tag role=web tag env=prod
    eni c 10.0.1.1 in db tag role=db
";

#[test]
fn what_must_not_reach_and_does_is_shown_by_a_packet() {
    check_of(
        ESTATE,
        &[
            "internet must-not reach tag:role=db",
            "internet must-not reach tag:role=web",
            "internet must-not reach tag:role=web tcp/22 tcp/3389",
            "internet must-not reach tag:role=web udp",
            "198.51.100.0/24 must-not reach tag:role tcp/22",
            "192.0.2.128/25 must-not reach tag:role tcp/22",
            "tag:role=web must-not reach sg-db tcp/22",
            "tag:role=web must-not reach eni-c",
            "tag:role=web,env=prod must-not reach 10.0.1.0/24 tcp/5000-6000",
            "tag:role=db must-not reach tag:role=web icmp",
            "tag:role=db must-not reach internet",
            "sg-web must-not reach sg-web",
            "i-a must-not reach vpc-2",
        ],
        &expect![[r#"
            internet must-not reach tag:role=db: holds
            internet must-not reach tag:role=web: tcp/22 (source port 50000) from 192.0.2.0 to 10.0.0.1 (eni-a) passes
            internet must-not reach tag:role=web tcp/22 tcp/3389: tcp/22 (source port 50000) from 192.0.2.0 to 10.0.0.1 (eni-a) passes
            internet must-not reach tag:role=web udp: holds
            198.51.100.0/24 must-not reach tag:role tcp/22: holds
            192.0.2.128/25 must-not reach tag:role tcp/22: tcp/22 (source port 50000) from 192.0.2.128 to 10.0.0.1 (eni-a) passes
            tag:role=web must-not reach sg-db tcp/22: holds
            tag:role=web must-not reach eni-c: tcp/5432 (source port 50000) from 10.0.0.1 (eni-a) to 10.0.1.1 (eni-c) passes
            tag:env=prod,role=web must-not reach 10.0.1.0/24 tcp/5000-6000: tcp/5432 (source port 50000) from 10.0.0.2 (eni-b) to 10.0.1.1 (eni-c) passes
            tag:role=db must-not reach tag:role=web icmp: holds
            tag:role=db must-not reach internet: tcp/22 (source port 50000) from 10.0.1.1 (eni-c) to 203.0.113.1 passes
            sg-web must-not reach sg-web: tcp/443 (source port 50000) from 10.0.0.1 (eni-a) to 10.0.0.2 (eni-b) passes
            i-a must-not reach vpc-2: holds
        "#]],
    );
}

#[test]
fn what_may_reach_and_does_not_is_shown_by_a_packet() {
    check_of(
        ESTATE,
        &[
            "tag:role=web may reach tag:role=db tcp/5432",
            "tag:role=web may reach tag:role=db tcp/5432-5433",
            "tag:role=web may reach tag:role=db",
            "tag:role=web may reach tag:role=db icmpv6",
            "tag:role=db may reach tag:role=web tcp/80",
            "internet may reach tag:role=web tcp/443",
            "internet may reach tag:role=web tcp/80",
            "internet may reach tag:role=web icmpv6",
            "192.0.2.0/24 may reach sg-web tcp/22",
            "192.0.0.0/16 may reach sg-web tcp/22",
            "2001:db8::/32 may reach eni-a tcp/443",
            "2001:db8::/32 may reach eni-b tcp/443",
            "sg-web may reach internet tcp/443",
            "eni-a may reach eni-a tcp/443",
            "tag:role=none may reach tag:role=db tcp/1",
        ],
        &expect![[r#"
            tag:role=web may reach tag:role=db tcp/5432: holds
            tag:role=web may reach tag:role=db tcp/5432-5433: tcp/5433 (source port 50000) from 10.0.0.1 (eni-a) to 10.0.1.1 (eni-c) is dropped
            tag:role=web may reach tag:role=db: holds
            tag:role=web may reach tag:role=db icmpv6: eni-b and eni-c have no address family in common that the service runs over
            tag:role=db may reach tag:role=web tcp/80: tcp/80 (source port 50000) from 10.0.1.1 (eni-c) to 10.0.0.1 (eni-a) is dropped
            internet may reach tag:role=web tcp/443: holds
            internet may reach tag:role=web tcp/80: tcp/80 (source port 50000) from 0.0.0.0 to 10.0.0.2 (eni-b) is dropped
            internet may reach tag:role=web icmpv6: internet and eni-b have no address family in common that the service runs over
            192.0.2.0/24 may reach sg-web tcp/22: holds
            192.0.0.0/16 may reach sg-web tcp/22: tcp/22 (source port 50000) from 192.0.0.0 to 10.0.0.2 (eni-b) is dropped
            2001:db8::/32 may reach eni-a tcp/443: tcp/443 (source port 50000) from 2001:db8:: to fd00::1 (eni-a) is dropped
            2001:db8::/32 may reach eni-b tcp/443: 2001:db8::/32 and eni-b have no address family in common that the service runs over
            sg-web may reach internet tcp/443: holds
            eni-a may reach eni-a tcp/443: holds
            tag:role=none may reach tag:role=db tcp/1: holds
        "#]],
    );
}

#[test]
fn vpcs_that_are_not_peered_are_apart() {
    let text = "
        sg web
        sg far vpc-2
        web: in allow all from 0.0.0.0/0
        far: in allow all from 0.0.0.0/0
        eni a 10.0.0.1 in web
        eni z 10.0.0.9 in far
    ";
    check_of(
        text,
        &["sg-far must-not reach sg-web", "sg-far may reach sg-web tcp/1", "vpc-2 may reach 10.0.0.0/8"],
        &expect![[r#"
            sg-far must-not reach sg-web: holds
            sg-far may reach sg-web tcp/1: eni-z is in vpc-2 and eni-a in vpc-1, which are not peered
            vpc-2 may reach 10.0.0.0/8: eni-z is in vpc-2 and eni-a in vpc-1, which are not peered
        "#]],
    );
}

#[test]
fn dhcp_is_no_matter_of_rules() {
    let text = "
        sg web enterprise
        eni a 10.0.0.1 in web
    ";
    check_of(
        text,
        &["internet must-not reach sg-web", "sg-web must-not reach internet"],
        &expect![[r#"
            internet must-not reach sg-web: holds
            sg-web must-not reach internet: holds
        "#]],
    );
}

/// A writer of one world.
struct Writer {
    state: State,
    checker: Checker,
}

impl Writer {
    fn of(text: &str) -> Self {
        Self { state: State::new(fixture::world(text)), checker: Checker::default() }
    }

    fn run(&mut self, command: &Command) -> Result<Vec<Turn>, Refusal> {
        let (now, ids) = (Timestamp(1), IdSource::new(self.state.world().revision().0));
        let mut context = Context { now, ids, limits: LimitMode::Host, host: HostId::from("") };
        let applied = apply(&self.state, command, &mut context)?;
        let (applied, checker, turns) = self.checker.hold(self.state.world(), applied)?;
        let revision = self.state.world().revision().next();
        (self.state, self.checker) = (applied.state.at(revision), checker);
        Ok(turns)
    }

    fn set(&mut self, name: &str, statement: &str, mode: Mode) -> Result<Vec<Turn>, Refusal> {
        let (name, statement) = (name.to_owned(), statement.parse().unwrap());
        self.run(&Command::Invariant(InvariantCommand::Set { name, statement, mode }))
    }

    fn violation(&self, name: &str) -> Option<Violation> {
        self.state.world().invariants().get(name).unwrap().violation.clone()
    }
}

fn rule(group: &str, port: u16, peer: &str) -> Command {
    let service = Service::Ports(PortRange::one(port));
    let peer = Peer::Cidr(peer.parse().unwrap());
    let spec = RuleSpec::plain(Direction::Ingress, Action::Allow, (Protocol::TCP, service), peer);
    Command::Authorize { account: fixture::ACCOUNT.into(), group: group.into(), rules: vec![NewRule::new(spec, "")] }
}

fn revoked(command: &Command) -> Command {
    let Command::Authorize { account, group, rules } = command.clone() else { panic!("{command:?}") };
    let rules = Revocation::Specs(rules.into_iter().map(|rule| rule.spec).collect());
    Command::Revoke { account, group, direction: Direction::Ingress, rules }
}

#[test]
fn a_change_that_violates_an_enforced_invariant_is_refused_and_others_are_not() {
    let mut writer = Writer::of(ESTATE);
    writer.set("db", "internet must-not reach tag:role=db", Mode::Enforce).unwrap();
    let refused = writer.run(&rule("sg-db", 22, "0.0.0.0/0")).unwrap_err();
    expect!["invariant `db` (internet must-not reach tag:role=db) forbids this: tcp/22 (source port 50000) from 203.0.113.1 to 10.0.1.1 (eni-c) passes; change something else, or ask the operator to change the invariant"].assert_eq(&refused.to_string());
    let revision = writer.state.world().revision();
    assert_eq!(writer.run(&rule("sg-web", 22, "0.0.0.0/0")).unwrap(), []);
    assert_eq!(writer.run(&rule("sg-db", 22, "10.0.0.0/8")).unwrap(), []);
    assert_eq!(writer.run(&revoked(&rule("sg-db", 22, "10.0.0.0/8"))).unwrap(), []);
    assert_eq!(writer.state.world().revision().0, revision.0 + 3);
    // Together, what opens and what closes it again is one change that violates nothing.
    let together = |commands: Vec<Command>| Command::Together { at: None, commands };
    let open = rule("sg-db", 22, "0.0.0.0/0");
    writer.run(&together(vec![open.clone(), revoked(&open)])).unwrap();
    assert!(writer.run(&together(vec![revoked(&rule("sg-web", 22, "0.0.0.0/0")), open])).is_err());
}

#[test]
fn an_invariant_that_does_not_hold_is_set_only_to_warn_and_follows_the_world() {
    let mut writer = Writer::of(ESTATE);
    let statement = "internet must-not reach tag:role=web tcp/22";
    let refused = writer.set("ssh", statement, Mode::Enforce).unwrap_err();
    expect!["invariant `ssh` (internet must-not reach tag:role=web tcp/22) does not hold now: tcp/22 (source port 50000) from 192.0.2.0 to 10.0.0.1 (eni-a) passes; mend that first, or let it warn only (`sekimori invariant add --warn`)"].assert_eq(&refused.to_string());
    assert!(writer.state.world().invariants().is_empty());
    let turns = writer.set("ssh", statement, Mode::Warn).unwrap();
    assert!(turns.len() == 1 && turns[0].witness.is_some());
    let since = writer.violation("ssh").unwrap().since;
    assert_eq!(since, writer.state.world().revision());
    // More of the same is let pass; the violation began when it began.
    let wider = rule("sg-web", 22, "198.51.100.0/24");
    assert_eq!(writer.run(&wider).unwrap(), []);
    assert_eq!(writer.violation("ssh").unwrap().since, since);
    writer.run(&revoked(&rule("sg-web", 22, "192.0.2.0/24"))).unwrap();
    assert!(writer.violation("ssh").is_some());
    let turns = writer.run(&revoked(&wider)).unwrap();
    assert_eq!((turns.len(), turns[0].witness.clone(), writer.violation("ssh")), (1, None, None));
    let turns = writer.run(&wider).unwrap();
    assert!(turns.len() == 1 && writer.violation("ssh").is_some());
    assert_eq!(writer.violation("ssh").unwrap().since, writer.state.world().revision());
}

#[test]
fn who_joins_the_end_of_an_invariant_is_held_to_it() {
    let mut writer = Writer::of(ESTATE);
    writer.set("db", "internet must-not reach sg-db", Mode::Enforce).unwrap();
    writer.set("reach", "tag:role=web may reach tag:role=db tcp/5432", Mode::Enforce).unwrap();
    let join = |eni: &str, group: &str| Command::JoinGroup {
        account: fixture::ACCOUNT.into(),
        group: group.into(),
        member: sekimori_core::command::Member::Eni(eni.into()),
    };
    // A web server that joins the databases brings what the internet reaches into them.
    let refused = writer.run(&join("eni-a", "sg-db")).unwrap_err();
    assert!(refused.to_string().contains("10.0.0.1 (eni-a)"), "{refused}");
    // A database that joins the web servers does as well.
    let refused = writer.run(&join("eni-c", "sg-web")).unwrap_err();
    assert!(refused.to_string().contains("10.0.1.1 (eni-c)"), "{refused}");
}

#[test]
fn who_gets_the_name_of_an_end_is_held_to_it() {
    let mut writer = Writer::of(ESTATE);
    let statement = "internet must-not reach c".parse::<sekimori_core::invariant::Written>().unwrap();
    let statement = statement.read(writer.state.world()).unwrap().to_string();
    assert_eq!(statement, "internet must-not reach name:c");
    writer.set("closed", &statement, Mode::Enforce).unwrap();
    let call = |instance: &str, name: &str| Command::ModifyInstance {
        account: fixture::ACCOUNT.into(),
        instance: instance.into(),
        patch: InstancePatch { name: Some(name.to_owned()), ..InstancePatch::default() },
    };
    // A web server that is called so brings what the internet reaches; under another name it may.
    let refused = writer.run(&call("i-a", "c")).unwrap_err();
    assert!(refused.to_string().contains("10.0.0.1 (eni-a)"), "{refused}");
    writer.run(&call("i-a", "d")).unwrap();
    // So does an interface that is.
    let call_eni = |name: &str| Command::ModifyEni {
        account: fixture::ACCOUNT.into(),
        eni: "eni-a".into(),
        patch: EniPatch { name: Some(name.to_owned()), ..EniPatch::default() },
    };
    let refused = writer.run(&call_eni("c")).unwrap_err();
    assert!(refused.to_string().contains("10.0.0.1 (eni-a)"), "{refused}");
    writer.run(&call_eni("d")).unwrap();
    writer.run(&call("i-c", "other")).unwrap();
    assert_eq!(writer.run(&rule("sg-db", 22, "0.0.0.0/0")).unwrap(), [], "nobody is called so");
    assert!(writer.run(&call("i-c", "c")).is_err());
}

#[test]
fn what_sets_removes_and_names_is_judged_before() {
    let mut writer = Writer::of(ESTATE);
    let refused = writer.set("x y", "internet must-not reach sg-db", Mode::Enforce).unwrap_err();
    assert!(refused.to_string().contains("`x y`"), "{refused}");
    let refused = writer.set("x", "sg-none must-not reach sg-db", Mode::Enforce).unwrap_err();
    assert!(refused.to_string().contains("`sg-none` does not exist"), "{refused}");
    let remove = Command::Invariant(InvariantCommand::Remove { name: "x".to_owned() });
    assert!(writer.run(&remove).unwrap_err().to_string().contains("invariant `x` does not exist"));
    writer.set("x", "internet must-not reach sg-db", Mode::Enforce).unwrap();
    let revision = writer.state.world().revision();
    let (now, ids) = (Timestamp(1), IdSource::new(0));
    let again = Command::Invariant(InvariantCommand::Set {
        name: "x".to_owned(),
        statement: "internet must-not reach sg-db".parse().unwrap(),
        mode: Mode::Enforce,
    });
    let mut context = Context { now, ids, limits: LimitMode::Cloud, host: HostId::from("") };
    let applied = apply(&writer.state, &again, &mut context).unwrap();
    assert_eq!((applied.changes.len(), applied.outcome), (0, Outcome::Done));
    writer.run(&remove).unwrap();
    assert!(writer.state.world().invariants().is_empty() && writer.state.world().revision() > revision);
    assert!(writer.checker.sides.is_empty());
}

#[test]
fn rules_that_are_too_many_for_an_exact_answer_fail_closed() {
    // Each port is open to everyone but each of a hundred addresses: as many pieces as both together, multiplied.
    let mut text = "sg wild enterprise\neni a 10.0.0.1 in wild\n".to_owned();
    (0..100)
        .for_each(|block| text.push_str(&format!("wild: in deny all from 198.51.100.{} priority 1\n", block * 2)));
    (0..160).for_each(|port| text.push_str(&format!("wild: in allow tcp {} from 0.0.0.0/0 priority 2\n", port * 2)));
    let mut writer = Writer::of(&text);
    writer.set("odd", "internet must-not reach sg-wild tcp/21", Mode::Enforce).unwrap();
    let more = |from: u16| {
        let Command::Authorize { account, group, .. } = rule("sg-wild", 0, "0.0.0.0/0") else { panic!("no rule") };
        let rules = (from..from + 5).map(|port| {
            let Command::Authorize { rules, .. } = rule("sg-wild", port * 2, "0.0.0.0/0") else { panic!("no rule") };
            let NewRule { spec, description, tags } = rules.into_iter().next().unwrap();
            NewRule { spec: RuleSpec { priority: 2, ..spec }, description, tags }
        });
        Command::Authorize { account, group, rules: rules.collect() }
    };
    let refused = writer.run(&more(1_000)).unwrap_err();
    assert!(refused.to_string().contains("cannot be told: the rules cut"), "{refused}");
    // Who is only warned is told of it as of a violation.
    writer.set("odd", "internet must-not reach sg-wild tcp/21", Mode::Warn).unwrap();
    let turns = writer.run(&more(1_000)).unwrap();
    assert!(matches!(turns[0].witness, Some(Witness::TooComplex(_))), "{turns:?}");
    let refused = writer.set("even", "internet must-not reach sg-wild tcp/21", Mode::Enforce).unwrap_err();
    assert!(refused.to_string().contains("does not hold now: whether"), "{refused}");
}
