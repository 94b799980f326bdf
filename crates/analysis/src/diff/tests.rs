//! Comparisons of small worlds, as reports tell them.

use std::collections::BTreeSet;

use expect_test::{Expect, expect};

use sekimori_core::{
    change,
    end::EndError,
    flow_event::FlowEvent,
    rule::Direction,
    world::{Account, Eni, Instance, InstanceState, Treatment, World},
};

use super::*;
use crate::fixture;

fn lines(report: &Report) -> String {
    let mut text = String::new();
    for (place, change) in report.changes.iter().enumerate() {
        let Change { effect, direction, interfaces, rows, witness, .. } = change;
        text += &format!("{place} {effect:?} {direction} at {}\n", interfaces.addresses.join(" "));
        for Row { services, peers } in rows {
            text += &format!("  {} with {}\n", services.join(", "), peers.join(", "));
        }
        let witness = witness.as_ref().unwrap();
        let why = |decision: &Option<Decision>| decision.as_ref().map(|decision| decision.why.to_string());
        text += &format!("  {}: {:?} then {:?}\n", witness.text, why(&witness.before), why(&witness.after));
    }
    for one in &report.interfaces {
        let places: Vec<usize> = one.changes.iter().map(|at| at.change).collect();
        text += &format!("{} {places:?} {} gained, {} lost\n", one.eni, one.gained, one.lost);
    }
    let names = |all: &[Interface]| all.iter().map(|one| one.eni.to_string()).collect::<Vec<_>>().join(" ");
    text + &format!("new: {}; gone: {}\n", names(&report.new), names(&report.gone))
}

fn check(before: &str, after: &str, expected: &Expect) {
    let (before, after) = (fixture::world(before), fixture::world(after));
    let report = worlds((&before, "before"), (&after, "after")).unwrap();
    expected.assert_eq(&lines(&report));
}

const BASE: &str = "
    sg web
    sg db
    web: in allow tcp 443 from 0.0.0.0/0
    db: in allow tcp 5432 from sg-web
    eni a 10.0.0.1 in web
    eni b 10.0.0.2 fd00::2 in web
    eni c 10.0.1.1 in db";

fn with(more: &str) -> String {
    format!("{BASE}\n{more}")
}

#[test]
fn a_rule_is_told_once_for_all_that_carry_its_group() {
    check(
        BASE,
        &with("web: in allow tcp 22-23 from 192.0.2.0/24"),
        &expect![[r#"
            0 Gained ingress at 10.0.0.1 10.0.0.2
              tcp/22-23 with 192.0.2.0/24
              tcp/22 from 192.0.2.255 port 50000 to 10.0.0.1: Some("default") then Some("rule r3 of sg-web")
            eni-a [0] 33554432 gained, 0 lost
            eni-b [0] 33554432 gained, 0 lost
            new: ; gone: 
        "#]],
    );
}

#[test]
fn a_new_member_is_told_and_what_its_group_gives_it_elsewhere() {
    check(
        BASE,
        &with("eni d 10.0.0.4 in web"),
        &expect![[r#"
            0 Gained ingress at 10.0.0.1 10.0.0.2
              protocols 0-5, tcp/0-442, tcp/444-65535, protocols 7-16, udp/0-67, udp/68 from ports 0-66, udp/68 from ports 68-65535, udp/69-65535, protocols 18-255 with 10.0.0.4 (i-d)
              udp/443 from 10.0.0.4 port 50000 to 10.0.0.1: Some("default") then Some("intra-group accept of sg-web")
            1 Gained ingress at 10.0.1.1
              tcp/5432 with 10.0.0.4 (i-d)
              tcp/5432 from 10.0.0.4 port 50000 to 10.0.1.1: Some("default") then Some("rule r2 of sg-db")
            eni-a [0] 8590000379 gained, 0 lost
            eni-b [0] 8590000379 gained, 0 lost
            eni-c [1] 65536 gained, 0 lost
            new: eni-d; gone: 
        "#]],
    );
}

/// Three members, of which one has two addresses of a family.
const MEMBERS: &str = "
    sg web
    web: out deny all to 0.0.0.0/0 priority 9
    eni a 10.0.0.4 in web
    eni b 10.0.0.5 10.0.0.7 in web
    eni c 10.0.0.6 in web";

#[test]
fn no_interface_is_a_peer_of_itself() {
    let dropped = MEMBERS.replace("sg web", "sg web drop");
    let with = |more: &str| format!("{dropped}\n{more}");
    let expected = expect![[r#"
        0 Gained ingress at 10.0.0.4 10.0.0.5 10.0.0.6 10.0.0.7
          tcp/1234 with 10.0.0.4/30
          tcp/1234 from 10.0.0.7 port 50000 to 10.0.0.4: Some("default") then Some("rule r2 of sg-web")
        eni-a [0] 196608 gained, 0 lost
        eni-b [0] 262144 gained, 0 lost
        eni-c [0] 196608 gained, 0 lost
        new: ; gone: 
    "#]];
    check(&dropped, &with("web: in allow tcp 1234 from sg-web"), &expected);
    let expected = expect![[r#"
        0 Gained ingress at 10.0.0.4 10.0.0.5 10.0.0.6 10.0.0.7
          tcp/1234 with 0.0.0.0/0
          tcp/1234 from 10.0.0.3 port 50000 to 10.0.0.4: Some("default") then Some("rule r2 of sg-web")
        eni-a [0] 281474976645120 gained, 0 lost
        eni-b [0] 562949953159168 gained, 0 lost
        eni-c [0] 281474976645120 gained, 0 lost
        new: ; gone: 
    "#]];
    check(&dropped, &with("web: in allow tcp 1234 from 0.0.0.0/0"), &expected);
    // One that may send for others, and one whose group only itself has.
    let expected = expect![[r#"
        0 Gained ingress at 10.0.0.4 10.0.0.5 10.0.0.6 10.0.0.7
          tcp/1234 with 10.0.0.4/30, 10.0.1.1
          tcp/1234 from 10.0.0.7 port 50000 to 10.0.0.4: Some("default") then Some("rule r2 of sg-web")
        1 Gained ingress at 0.0.0.0/0
          tcp/1234 with 10.0.0.4/30
          tcp/1234 from 10.0.0.7 port 50000 to 0.0.0.0: Some("default") then Some("rule r2 of sg-web")
        eni-a [0] 262144 gained, 0 lost
        eni-b [0] 393216 gained, 0 lost
        eni-c [0] 262144 gained, 0 lost
        eni-d [1] 262144 gained, 0 lost
        new: ; gone: 
    "#]];
    let odd = with("router d 10.0.1.1 in web\nsg own drop\neni e 10.0.1.2 10.0.1.3 in own");
    check(&odd, &format!("{odd}\nweb: in allow tcp 1234 from sg-web\nown: in allow tcp 1234 from sg-own"), &expected);
}

#[test]
fn own_addresses_are_those_of_all_in_a_line() {
    let base = "sg web\neni a 10.0.0.4 in web\neni b 10.0.0.6 in web\nrouter d 10.0.1.1 in web";
    let expected = expect![[r#"
        0 Gained ingress at 10.0.0.4 10.0.0.6
          tcp/9500 with 192.0.2.0/24
          tcp/9500 from 192.0.2.255 port 50000 to 10.0.0.4: Some("default") then Some("rule r1 of sg-web")
        1 Gained ingress at 0.0.0.0/0
          tcp/9500 with 192.0.2.0/24
          tcp/9500 from 192.0.2.255 port 50000 to 0.0.0.0: Some("default") then Some("rule r1 of sg-web")
        eni-a [0] 16777216 gained, 0 lost
        eni-b [0] 16777216 gained, 0 lost
        eni-d [1] 16777216 gained, 0 lost
        new: ; gone: 
    "#]];
    check(base, &format!("{base}\nweb: in allow tcp 9500 from 192.0.2.0/24"), &expected);
}

#[test]
fn what_is_said_again_in_other_words_changes_nothing() {
    check(
        BASE,
        &with("web: in allow tcp 443 from 10.0.0.0/8"),
        &expect![[r#"
            new: ; gone: 
        "#]],
    );
}

#[test]
fn a_denied_part_is_lost_by_those_whom_it_names() {
    check(
        "sg web\nweb: in allow tcp 1-100 from 0.0.0.0/0 priority 2\neni a 10.0.0.1 in web\neni b 10.0.0.2 in web",
        "sg web\nweb: in allow tcp 1-100 from 0.0.0.0/0 priority 2\neni a 10.0.0.1 in web\neni b 10.0.0.2 in web
         web: in deny tcp 50 from 192.0.2.0/24 at 10.0.0.1/32",
        &expect![[r#"
            0 Lost ingress at 10.0.0.1
              tcp/50 with 192.0.2.0/24
              tcp/50 from 192.0.2.255 port 50000 to 10.0.0.1: Some("rule r1 of sg-web") then Some("rule r2 of sg-web")
            eni-a [0] 0 gained, 16777216 lost
            new: ; gone: 
        "#]],
    );
}

#[test]
fn two_policies_are_compared_in_one_world() {
    let world = fixture::world(&with("db: in allow tcp 443 from 0.0.0.0/1"));
    let report = policies(&world, "i-c", "sg-web").unwrap();
    assert_eq!((report.before.as_str(), report.after.as_str()), ("policy of i-c", "rules of sg-web"));
    expect![[r#"
        0 Gained ingress at 10.0.1.1
          protocols 0-5, tcp/0-442, tcp/444-5431, tcp/5433-65535, protocols 7-16, udp/0-67, udp/68 from ports 0-66, udp/68 from ports 68-65535, udp/69-65535, protocols 18-255 with 10.0.0.1-10.0.0.2
          tcp/443 with 128.0.0.0/1
          tcp/443 from 198.51.100.1 port 50000 to 10.0.1.1: Some("default") then Some("rule r1 of sg-web")
        eni-c [0] 140754668225014 gained, 0 lost
        new: ; gone: 
    "#]].assert_eq(&lines(&report));
    assert_eq!(
        policies(&world, "sg-web", "nobody"),
        Err(DiffError::Target(NotOne::End(EndError::Unknown("nobody".to_owned()))))
    );
}

/// Denials that cut what is behind them along three axes.
fn scattered(each: u16) -> String {
    let mut text = "sg web enterprise\neni a 10.0.0.1 in web\n".to_owned();
    for index in 0..each {
        let at = index * 2 + 1;
        text += &format!("web: in deny tcp {at} from 0.0.0.0/0 priority 1\n");
        text += &format!("web: in deny tcp from 192.0.2.{at} priority 1\n");
        text += &format!("web: in deny tcp from 0.0.0.0/0 source {at} priority 1\n");
    }
    text
}

#[test]
fn what_cuts_packets_into_too_many_pieces_is_refused_in_words() {
    let (few, many) = (scattered(4), scattered(40));
    let opened = |text: &str| format!("{text}web: in allow all from 0.0.0.0/0 priority 100");
    let compare = |text: &str| {
        let (before, after) = (fixture::world(text), fixture::world(&opened(text)));
        worlds((&before, "before"), (&after, "after"))
    };
    assert_eq!(compare(&few).unwrap().interfaces.len(), 1);
    let error = compare(&many).unwrap_err();
    assert!(
        error.to_string().starts_with("policy sg-web (web): the rules cut the packets into more than"),
        "{error}"
    );
}

fn event(eni: &str, port: u16, at_ms: u64, passed: bool) -> FlowEvent {
    FlowEvent {
        at_ms,
        eni: eni.into(),
        direction: Direction::Ingress,
        passed,
        reason: "rule".to_owned(),
        group: None,
        rule: None,
        policy: 1,
        revision: None,
        protocol: 6,
        local: Some("10.0.0.1".parse().unwrap()),
        peer: Some("192.0.2.1".parse().unwrap()),
        local_port: Some(port),
        peer_port: Some(40_000 + (at_ms % 100) as u16),
        icmp: None,
        tcp_flags: 2,
        bytes: 60,
        packets: 1,
    }
}

fn treated(mut world: World, treatment: Treatment) -> World {
    let account = Account::clone(world.accounts().next().unwrap());
    world.apply(&change::Change::PutAccount(Arc::new(Account { treatment: Some(treatment), ..account })));
    world
}

#[test]
fn live_flows_end_as_the_treatment_says_and_others_are_decided_otherwise() {
    let before = fixture::world(BASE);
    let closed = fixture::world(&with("web: in deny tcp 443 from 192.0.2.0/24\nweb: in allow tcp 80 from 192.0.2.1"));
    let now_ms = 10_000_000;
    let events = [
        event("eni-a", 443, 1_000, true),
        event("eni-a", 443, now_ms - 2_000, true),
        event("eni-a", 443, now_ms - 1_001, true),
        event("eni-a", 80, now_ms, false),
        event("eni-a", 22, now_ms, false),
        event("eni-gone", 22, now_ms, false),
    ];
    for (treatment, ending) in [
        (Treatment::Reevaluate, Some(Ending::Ends)),
        (Treatment::Reset, Some(Ending::Reset)),
        (Treatment::Keep, None),
    ] {
        let (before, after) = (treated(before.clone(), treatment), treated(closed.clone(), treatment));
        let changed = flows(&before, &after, &events, Some(Ahead { now_ms, listed: &BTreeSet::new() }));
        assert_eq!((changed.looked_at, changed.unjudged), (6, 1));
        // The first is too old to be live.
        let ends: Vec<_> = changed.ending.iter().map(|flow| (flow.ending, flow.seen)).collect();
        assert_eq!(ends, ending.map(|ending| (Some(ending), 2)).into_iter().collect::<Vec<_>>());
        let otherwise: Vec<_> = changed.otherwise.iter().map(|flow| (flow.text.as_str(), flow.seen)).collect();
        assert_eq!(
            otherwise,
            [
                ("tcp/80 from 192.0.2.1 port 40000 to 10.0.0.1", 1),
                ("tcp/443 from 192.0.2.1 port 40099 to 10.0.0.1", 3)
            ]
        );
    }
    let mut without = before.clone();
    without.apply(&change::Change::DeleteEni("eni-a".into()));
    let changed = flows(&before, &without, &events, Some(Ahead { now_ms, listed: &BTreeSet::new() }));
    assert_eq!(changed.ending.iter().map(|flow| flow.ending).collect::<Vec<_>>(), [Some(Ending::Gone)]);
}

#[test]
fn an_interface_with_another_address_tells_what_that_brings() {
    let before = fixture::world(BASE);
    let mut after = before.clone();
    let eni = Eni::clone(before.eni(&"eni-a".into()).unwrap());
    let addresses = vec!["10.0.0.1".parse().unwrap(), "10.0.0.9".parse().unwrap()];
    after.apply(&change::Change::PutEni(Arc::new(Eni { addresses, ..eni })));
    let report = worlds((&before, "before"), (&after, "after")).unwrap();
    let own = report.interfaces.iter().find(|one| one.eni.as_str() == "eni-a").unwrap();
    // It is a member of its own group, so its old address accepts the new one as well.
    assert!(own.gained > 0 && own.lost == 0 && own.changes.iter().any(|at| at.addresses == ["10.0.0.9"]));
    let others: Vec<&str> = report.interfaces.iter().map(|one| one.eni.as_str()).collect();
    assert_eq!(others, ["eni-a", "eni-b", "eni-c"]);
}

#[test]
fn a_peering_and_a_stopped_instance_are_told_beside_the_rules() {
    let apart = fixture::world(
        "
        sg web drop
        sg far vpc-2 drop
        web: in allow tcp 443 from 0.0.0.0/0
        eni a 10.0.0.1 in web
        eni z 10.9.0.1 in far",
    );
    let mut before = apart.clone();
    before.apply(&change::Change::PutPeering(Arc::new(fixture::peering("vpc-1", "vpc-2"))));
    let report = worlds((&before, "before"), (&apart, "after")).unwrap();
    assert_eq!((report.changes.len(), report.around.len()), (0, 1), "{report:#?}");
    assert!(report.around[0].starts_with("vpc-1 and vpc-2 are not peered any more"), "{report:#?}");
    let crossing = |report: &Report| {
        let line = |Crossing { effect, reach }: &Crossing| {
            (*effect, reach.from.addresses.join(" "), reach.to.addresses.join(" "), reach.services.join(" "))
        };
        report.crossings.iter().map(line).collect::<Vec<_>>()
    };
    let https = |effect| vec![(effect, "10.9.0.1".to_owned(), "10.0.0.1".to_owned(), "tcp/443".to_owned())];
    assert_eq!(crossing(&report), https(Effect::Lost));
    assert_eq!(crossing(&worlds((&apart, "apart"), (&before, "peered")).unwrap()), https(Effect::Gained));
    let (now_ms, listed) = (10_000_000, BTreeSet::new());
    let ahead = Some(Ahead { now_ms, listed: &listed });
    let crossing = FlowEvent { peer: Some("10.9.0.1".parse().unwrap()), ..event("eni-a", 443, now_ms, true) };
    let outside = event("eni-a", 443, now_ms, true);
    let told = |before: &World, after: &World| {
        let changed = flows(before, after, [&crossing, &outside], ahead);
        (changed.ending.iter().map(|flow| flow.ending).collect::<Vec<_>>(), changed.otherwise.len())
    };
    assert_eq!(told(&before, &apart), (vec![Some(Ending::Parted)], 1));
    assert_eq!(told(&apart, &before), (vec![], 1));

    let mut stopped = before.clone();
    let instance = Instance::clone(before.instance(&"i-a".into()).unwrap());
    let state = InstanceState::Stopped;
    stopped.apply(&change::Change::PutInstance(Arc::new(Instance { state, ..instance })));
    let report = worlds((&before, "before"), (&stopped, "after")).unwrap();
    assert!(report.changes.is_empty() && report.around[0].starts_with("i-a stops"), "{report:#?}");
    assert!(touched(&before, &stopped).contains("eni-a"));
    assert_eq!(told(&before, &stopped), (vec![Some(Ending::Gone), Some(Ending::Gone)], 0));
}

#[test]
fn another_treatment_decides_no_packet_and_is_told_with_the_interfaces_whose_live_flows_it_is_about() {
    let before = fixture::world(
        "
        sg web drop
        web: in allow tcp 443 from 0.0.0.0/0
        eni a 10.0.0.1 in web
        eni b 10.0.0.2 in web",
    );
    let mut after = before.clone();
    let treated = |id: &str, treatment| {
        let eni = Eni::clone(before.eni(&id.into()).unwrap());
        change::Change::PutEni(Arc::new(Eni { treatment: Some(treatment), ..eni }))
    };
    // It is treated so already.
    after.apply(&treated("eni-b", Treatment::Reevaluate));
    assert_eq!(worlds((&before, "before"), (&after, "after")).unwrap().around, [""; 0]);
    after.apply(&treated("eni-a", Treatment::Keep));
    let report = worlds((&before, "before"), (&after, "after")).unwrap();
    assert_eq!(report.changes.len(), 0, "{report:#?}");
    assert_eq!(report.around, ["live flows of eni-a that a change forbids: reevaluate before, keep after"]);
    let touched: Vec<String> = touched(&before, &after).iter().map(ToString::to_string).collect();
    assert_eq!(touched, ["eni-a"]);
}
