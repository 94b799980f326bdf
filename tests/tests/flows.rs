//! Section 3.1 of the design: what a change does to live flows, told from connections that carry data before and
//! after it.

use sekimori_compile::abi::{FLOW_UNTRACKED, Reason};
use sekimori_core::{
    address::Family,
    rule::Direction,
    world::{Timeouts, Treatment},
};
use sekimori_tests::lab::{Lab, observe::Answer, pause, wire::Wire};

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];
/// Client a, server b. The rule `https` admits at b, `egress` at a.
const ECS: &str = "
    group client enterprise
      out allow tcp to any as egress
    group server basic
      in allow tcp/443 from any as https
    group more basic
      in deny tcp/22 from any as no-ssh
    instance a client
    instance b server";
/// The same in EC2, with a narrow rule at b.
const EC2: &str = "
    group client ec2
    group server ec2
    instance a client
    instance b server";

/// A connection in each family that has carried data.
fn connect(lab: &mut Lab, from: &str, to: &str) -> Vec<Wire> {
    let mut wires: Vec<Wire> = FAMILIES.iter().map(|family| lab.connect(from, to, 443, *family)).collect();
    for wire in &mut wires {
        assert_eq!(lab.talk(wire).answer, Answer::Passes);
    }
    wires
}

/// Sends data over every connection, and compares what became of it.
fn talk(lab: &mut Lab, wires: &mut [Wire], expected: &str) {
    for wire in wires {
        assert_eq!(lab.talk(wire).to_string(), expected);
    }
}

/// The next data is cut at a host in silence: neither end is told anything.
fn is_cut_at(lab: &mut Lab, wires: &mut [Wire], expected: &str) {
    talk(lab, wires, expected);
    assert!(wires.iter_mut().all(Wire::is_open), "an end was told");
}

const CONTINUES: &str = "passes [a: known-flow] [b: known-flow]";
const CUT_AT_B: &str = "dropped [a: known-flow] [b: flow-ended-by-change]";
const CUT_AT_A: &str = "dropped [a: flow-ended-by-change]";

#[test]
fn reevaluate_an_unrelated_change_goes_unnoticed() {
    let Some(mut lab) = Lab::of(ECS) else { return };
    let mut wires = connect(&mut lab, "a", "b");
    lab.allow("server", "in allow tcp/80 from any as http");
    lab.allow("server", "in deny udp from any as no-udp");
    lab.join("b", "more");
    talk(&mut lab, &mut wires, CONTINUES);
    let ended = [("a", Direction::Egress), ("b", Direction::Ingress), ("b", Direction::Egress)]
        .map(|(host, side)| lab.count(host, side, Reason::FlowEnded));
    assert_eq!(ended, [0, 0, 0]);
}

#[test]
fn reevaluate_a_revoked_rule_cuts_the_next_data_in_silence() {
    let Some(mut lab) = Lab::of(ECS) else { return };
    let mut wires = connect(&mut lab, "a", "b");
    lab.revoke("server", "https");
    is_cut_at(&mut lab, &mut wires, CUT_AT_B);
    // What was cut stays cut: the connection is no longer known.
    lab.allow("server", "in allow tcp/443 from any as https");
    talk(&mut lab, &mut wires, "dropped [a: known-flow] [b: mid-stream]");
}

#[test]
fn reevaluate_judges_in_the_direction_that_the_flow_began() {
    let Some(mut lab) = Lab::of(ECS) else { return };
    let mut wires = connect(&mut lab, "a", "b");
    // Neither is asked about a flow that began the other way.
    lab.allow("server", "out deny all to any as nothing-out");
    lab.allow("client", "in deny all from any as nothing-in");
    talk(&mut lab, &mut wires, CONTINUES);
    lab.allow("client", "out deny tcp/443 to any as no-https");
    is_cut_at(&mut lab, &mut wires, CUT_AT_A);
}

#[test]
fn reevaluate_another_rule_that_allows_is_enough() {
    let Some(mut lab) = Lab::of(ECS) else { return };
    let mut wires = connect(&mut lab, "a", "b");
    lab.allow("server", "in allow tcp from host:a as just-a");
    lab.revoke("server", "https");
    talk(&mut lab, &mut wires, CONTINUES);
    lab.revoke("server", "just-a");
    is_cut_at(&mut lab, &mut wires, CUT_AT_B);
}

#[test]
fn reevaluate_a_rule_that_is_back_before_the_next_packet_was_never_away() {
    let Some(mut lab) = Lab::of(ECS) else { return };
    let mut wires = connect(&mut lab, "a", "b");
    lab.revoke("server", "https");
    lab.allow("server", "in allow tcp/443 from any as https");
    talk(&mut lab, &mut wires, CONTINUES);
}

#[test]
fn reevaluate_a_membership_change_cuts() {
    let Some(mut lab) = Lab::of(
        "group friends basic
         group client basic
         group server basic
           in allow tcp/443 from group:friends as friends
         instance a client friends
         instance b server",
    ) else {
        return;
    };
    let mut wires = connect(&mut lab, "a", "b");
    lab.leave("a", "client");
    talk(&mut lab, &mut wires, CONTINUES);
    lab.join("a", "client");
    lab.leave("a", "friends");
    is_cut_at(&mut lab, &mut wires, CUT_AT_B);
}

#[test]
fn reevaluate_a_changed_list_cuts() {
    let Some(mut lab) = Lab::of(
        "prefixes four 10.0.0.0/8
         prefixes six fd00::/8
         group client basic
         group server basic
           in allow tcp/443 from list:four,list:six as listed
         instance a client
         instance b server",
    ) else {
        return;
    };
    let mut wires = connect(&mut lab, "a", "b");
    let lists = vec![lab.prefix_list("four", &["10.0.0.1/32"]), lab.prefix_list("six", &["fd00::10/128"])];
    lab.change(lists);
    talk(&mut lab, &mut wires, CONTINUES);
    let lists = vec![lab.prefix_list("four", &["10.9.0.0/16"]), lab.prefix_list("six", &["fd09::/16"])];
    lab.change(lists);
    is_cut_at(&mut lab, &mut wires, CUT_AT_B);
}

#[test]
fn keep_a_tracked_flow_outlives_its_rule() {
    let Some(mut lab) = Lab::of(EC2) else { return };
    lab.allow("server", "in allow tcp/443 from 10.0.0.0/16,fd00::/64 as narrow");
    let mut wires = connect(&mut lab, "a", "b");
    lab.revoke("server", "narrow");
    lab.revoke("client", "birth");
    talk(&mut lab, &mut wires, CONTINUES);
    for family in FAMILIES {
        assert_eq!(lab.try_probe("a -> b tcp/443", family).answer, Answer::Dropped, "a new connection");
    }
    talk(&mut lab, &mut wires, CONTINUES);
}

#[test]
fn keep_an_untracked_flow_is_cut_with_its_rule() {
    let Some(mut lab) = Lab::of(EC2) else { return };
    lab.allow("server", "in allow tcp/443 from any as world");
    let mut wires = connect(&mut lab, "outside", "b");
    let flows = lab.enforcer().plane().flows().unwrap();
    assert!(flows.iter().all(|live| live.flow.flags & FLOW_UNTRACKED != 0), "{flows:?}");
    // Something else changes first.
    lab.allow("server", "in allow tcp/80 from any as http");
    talk(&mut lab, &mut wires, "passes [b: known-flow]");
    lab.revoke("server", "world");
    is_cut_at(&mut lab, &mut wires, "dropped [b: flow-ended-by-change]");
}

#[test]
fn keep_a_narrower_rule_that_also_allows_makes_a_flow_tracked() {
    let Some(mut lab) = Lab::of(EC2) else { return };
    lab.allow("server", "in allow tcp/443 from any as world");
    lab.allow("server", "in allow tcp/443 from 198.51.100.0/24,2001:db8:ffff::/48 as narrow");
    let mut wires = connect(&mut lab, "outside", "b");
    lab.revoke("server", "world");
    lab.revoke("server", "narrow");
    talk(&mut lab, &mut wires, "passes [b: known-flow]");
}

#[test]
fn keep_without_the_open_egress_rule_a_flow_is_tracked() {
    let Some(mut lab) = Lab::of(EC2) else { return };
    lab.allow("server", "in allow tcp/443 from any as world");
    let mut wires = connect(&mut lab, "outside", "b");
    lab.revoke("server", "birth");
    talk(&mut lab, &mut wires, "passes [b: known-flow]");
    let flows = lab.enforcer().plane().flows().unwrap();
    assert!(flows.iter().all(|live| live.flow.flags & FLOW_UNTRACKED == 0), "{flows:?}");
    lab.revoke("server", "world");
    talk(&mut lab, &mut wires, "passes [b: known-flow]");
    for family in FAMILIES {
        assert_eq!(lab.try_probe("outside -> b tcp/443", family).answer, Answer::Dropped, "a new connection");
    }
}

#[test]
fn reset_both_ends_are_told() {
    let Some(mut lab) = Lab::of(ECS) else { return };
    lab.treat("b", Treatment::Reset);
    let mut wires = connect(&mut lab, "a", "b");
    lab.allow("server", "in allow tcp/80 from any as http");
    talk(&mut lab, &mut wires, CONTINUES);
    lab.revoke("server", "https");
    for wire in &mut wires {
        assert_eq!(wire.resets(), (true, true), "client, server");
    }
    assert!(lab.count("b", Direction::Ingress, Reason::FlowEnded) >= 2);
    // Only what had been a connection is answered; the rest is dropped in silence as ever.
    for family in FAMILIES {
        assert_eq!(lab.try_probe("a -> b tcp/443", family).answer, Answer::Dropped);
        assert_eq!(lab.try_probe("a -> b ack/443", family).answer, Answer::Dropped);
    }
}

#[test]
fn reset_at_the_sender_and_towards_the_outside() {
    let Some(mut lab) = Lab::of(ECS) else { return };
    lab.treat_account(Treatment::Reset);
    let mut wires = connect(&mut lab, "a", "outside");
    lab.revoke("client", "egress");
    for wire in &mut wires {
        assert_eq!(wire.resets(), (true, true), "client, server");
    }
}

#[test]
fn the_treatment_is_an_enis_own_before_its_accounts_before_its_flavors() {
    let Some(mut lab) = Lab::of(ECS) else { return };
    lab.treat_account(Treatment::Keep);
    let mut kept = connect(&mut lab, "a", "b");
    lab.revoke("server", "https");
    talk(&mut lab, &mut kept, CONTINUES);
    lab.treat("b", Treatment::Reevaluate);
    is_cut_at(&mut lab, &mut kept, CUT_AT_B);
}

#[test]
fn an_ec2_eni_can_be_told_to_reevaluate() {
    let Some(mut lab) = Lab::of(EC2) else { return };
    lab.allow("server", "in allow tcp/443 from 10.0.0.0/16,fd00::/64 as narrow");
    lab.treat("b", Treatment::Reevaluate);
    let mut wires = connect(&mut lab, "a", "b");
    lab.revoke("server", "narrow");
    is_cut_at(&mut lab, &mut wires, CUT_AT_B);
}

#[test]
fn an_idle_flow_ends_after_its_enis_time() {
    let Some(mut lab) = Lab::of(ECS) else { return };
    let short = Timeouts { tcp_established_s: 1, ..lab.eni("b").timeouts };
    lab.edit_eni("b", |eni| eni.timeouts = short);
    let mut wires = connect(&mut lab, "a", "b");
    for _ in 0..3 {
        pause(std::time::Duration::from_millis(500));
        talk(&mut lab, &mut wires, CONTINUES);
    }
    pause(std::time::Duration::from_millis(1_200));
    is_cut_at(&mut lab, &mut wires, "dropped [a: known-flow] [b: mid-stream]");
}

#[test]
fn an_idle_datagram_flow_gets_no_late_answer() {
    let Some(mut lab) = Lab::of(
        "group client basic
         instance a client",
    ) else {
        return;
    };
    let short = Timeouts { udp_s: 1, ..lab.eni("a").timeouts };
    lab.edit_eni("a", |eni| eni.timeouts = short);
    let (a, outside) = (lab.host("a"), lab.host("outside"));
    let at = |host: &sekimori_tests::lab::host::Host, port| (host.address(Family::V4), port).into();
    let (client, server) = (a.udp(at(&a, 4_000)), outside.udp(at(&outside, 5_000)));
    let ask = || client.send_to(b"?", at(&outside, 5_000)).unwrap();
    let answer = || server.send_to(b"!", at(&a, 4_000)).unwrap();
    let drops = |lab: &mut Lab| lab.count("a", Direction::Ingress, Reason::DefaultDeny);
    let before = drops(&mut lab);
    ask();
    answer();
    pause(std::time::Duration::from_millis(200));
    assert!(client.recv(&mut [0; 8]).is_ok(), "an answer in time");
    assert_eq!(drops(&mut lab), before);
    pause(std::time::Duration::from_millis(1_200));
    answer();
    pause(std::time::Duration::from_millis(150));
    assert!(client.recv(&mut [0; 8]).is_err(), "a late answer has arrived");
    assert_eq!(drops(&mut lab), before + 1);
}
