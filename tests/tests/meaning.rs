//! Section 3 of the design, line by line, with real packets. Every probe is sent over IPv4 and IPv6 and must fare
//! the same, unless its line names a family; what stands in brackets is what the data plane counted for it.

use expect_test::expect;
use sekimori_compile::abi::Reason;
use sekimori_core::{
    bypass::BypassSet,
    command::Command,
    rule::Direction,
    world::{Eni, InnerAccess},
};
use sekimori_tests::lab::{
    Lab, frames,
    host::{FRAME_BYTES_MAX, Host, Link},
    pause,
};

#[test]
fn a_packet_is_judged_at_both_ends_and_one_of_outside_at_one() {
    let Some(mut lab) = Lab::of(
        "group client basic
           out deny tcp/22 to any as no-ssh
         group server basic
           in allow tcp/443 from any as https
           in allow tcp/22 from any as ssh
           out deny tcp/25 to any as no-mail
         instance a client
         instance b server",
    ) else {
        return;
    };
    lab.check(expect![[r#"
        a -> b tcp/443: passes [a: default allow] [b: allow https]
        a -> b tcp/22: dropped [a: deny no-ssh]
        a -> b tcp/80: dropped [a: default allow] [b: default deny]
        outside -> b tcp/22: passes [b: allow ssh]
        outside -> b tcp/80: dropped [b: default deny]
        b -> outside tcp/80: passes [b: default allow]
        b -> outside tcp/25: dropped [b: deny no-mail]
    "#]]);
    let (by_rules, by_reasons) = lab.decided_by_rules(["a", "b"]);
    assert_eq!(
        by_rules, by_reasons,
        "every packet that a rule decided is counted once for the rule and once for the ENI"
    );
}

#[test]
fn arp_and_neighbour_discovery_always_pass() {
    let Some(mut lab) = Lab::of(
        "group closed enterprise
         instance a closed",
    ) else {
        return;
    };
    let a = lab.host("a");
    let eni = lab.eni("a");
    let link = a.link();
    let gateways = ["10.0.255.253", "fe80::1"].map(|text| text.parse().unwrap());
    for (own, router) in eni.addresses.iter().zip(gateways) {
        let before = [Direction::Egress, Direction::Ingress].map(|side| lab.count("a", side, Reason::Bypass));
        link.send(&frames::who_is_the_router(a.mac, *own, router)).unwrap();
        assert!(hears_the_router(&link, &a), "{router} does not answer {own}");
        let after = [Direction::Egress, Direction::Ingress].map(|side| lab.count("a", side, Reason::Bypass));
        assert!(after[0] > before[0] && after[1] > before[1], "{before:?} {after:?}");
    }
    lab.check(expect![[r#"
        a -> outside ping: dropped [a: default deny]
    "#]]);
}

/// Whether an ARP reply or a neighbour advertisement comes.
fn hears_the_router(link: &Link, host: &Host) -> bool {
    let mut room = vec![0; FRAME_BYTES_MAX];
    for _ in 0..3_000 {
        while let Some(frame) = link.receive(&mut room) {
            let is_to_us = frame[..6] == host.mac;
            let is_arp_reply = frame[12..14] == [0x08, 0x06] && frame[21] == 2;
            let is_advertisement = frame[12..14] == [0x86, 0xdd] && frame[54] == 136;
            if is_to_us && (is_arp_reply || is_advertisement) {
                return true;
            }
        }
        pause(std::time::Duration::from_millis(1));
    }
    false
}

#[test]
fn the_listed_bypass_passes_before_any_rule() {
    let Some(mut lab) = Lab::of(
        "group closed enterprise
           in deny all from any as nothing-in
           out deny all to any as nothing-out
         instance a closed",
    ) else {
        return;
    };
    lab.check(expect![[r#"
        a -> outside udp/123: dropped [a: deny nothing-out]
    "#]]);
    let items = ["udp/123@198.51.100.10", "udp/123@2001:db8:ffff::10"];
    lab.run(&Command::SetBypass { bypass: BypassSet::from_items(items).unwrap() });
    lab.check(expect![[r#"
        a -> outside udp/123: passes [a: bypass]
        a -> outside udp/124: dropped [a: deny nothing-out]
        a -> outside tcp/123: dropped [a: deny nothing-out]
        a -> outside datagram/123 src 10.0.0.99: dropped [a: spoofed]
        outside -> a udp/123: dropped [a: deny nothing-in]
    "#]]);
    let kernel = lab.enforcer().plane().flows().unwrap();
    assert!(kernel.is_empty(), "bypassed traffic makes no flow: {kernel:?}");
    lab.run(&Command::SetBypass { bypass: BypassSet::from_items(["none"]).unwrap() });
    lab.check(expect![[r#"
        a -> outside udp/123: dropped [a: deny nothing-out]
    "#]]);
}

#[test]
fn replies_pass_where_the_other_direction_is_denied() {
    let Some(mut lab) = Lab::of(
        "group asks enterprise
           out allow tcp/443 to any as ask
           out allow udp/53 to any as ask-names
           out allow ping to any as ask-echo
           out allow 132 to any as ask-sctp
           in deny all from any as nothing-in
         group answers enterprise
           in allow tcp/443 from any as answer
           in allow udp/53 from any as answer-names
           in allow ping from any as answer-echo
           in allow 132 from any as answer-sctp
           out deny all to any as nothing-out
         instance a asks
         instance b answers",
    ) else {
        return;
    };
    lab.check(expect![[r#"
        a -> b tcp/443: passes [a: allow ask] [b: allow answer]
        a -> b udp/53: passes [a: allow ask-names] [b: allow answer-names]
        a -> b ping: passes [a: allow ask-echo] [b: allow answer-echo]
        a -> b sctp: passes [a: allow ask-sctp] [b: allow answer-sctp]
        b -> a tcp/443: dropped [b: deny nothing-out]
        b -> a ping: dropped [b: deny nothing-out]
        outside -> a tcp/443: dropped [a: deny nothing-in]
        outside -> a ping: dropped [a: deny nothing-in]
    "#]]);
    assert!(lab.count("a", Direction::Ingress, Reason::KnownFlow) > 0);
    assert!(lab.count("b", Direction::Egress, Reason::KnownFlow) > 0);
}

#[test]
fn an_icmp_error_passes_when_it_is_about_a_known_flow() {
    let Some(mut lab) = Lab::of(
        "group asks enterprise
           out allow udp/5000 to any as ask
         group answers enterprise
           in allow udp/5000 from any as answer
         instance a asks
         instance b answers",
    ) else {
        return;
    };
    // Nothing listens: the kernel of b says so, through b's closed egress and a's closed ingress.
    lab.check(expect![[r#"
        a -> b udp/5000 server none: refused [a: allow ask] [b: allow answer] [back at b: known-flow-error] [back at a: known-flow-error]
        a -> outside udp/5000 server none: refused [a: allow ask] [back at a: known-flow-error]
        outside -> a unreachable/5000: dropped [a: default deny]
        outside -> a unreachable/7: dropped [a: default deny]
        b -> a unreachable/5000: dropped [b: default deny]
    "#]]);
}

#[test]
fn members_of_a_group_reach_each_other_before_any_rule() {
    let Some(mut lab) = Lab::of(
        "group web basic
           in deny all from any as nothing-in
           out deny all to any as nothing-out
         group other basic
           in allow tcp/80 from any as http
         instance a web
         instance b web
         instance c other",
    ) else {
        return;
    };
    lab.check(expect![[r#"
        a -> b tcp/443: passes [a: intra-group web] [b: intra-group web]
        a -> b udp/53: passes [a: intra-group web] [b: intra-group web]
        a -> b ping: passes [a: intra-group web] [b: intra-group web]
        a -> b sctp: passes [a: intra-group web] [b: intra-group web]
        a -> c tcp/80: dropped [a: deny nothing-out]
        c -> a tcp/443: dropped [c: default allow] [a: deny nothing-in]
    "#]]);
    lab.set_inner_access("web", InnerAccess::Drop);
    lab.check(expect![[r#"
        a -> b tcp/443: dropped [a: deny nothing-out]
        b -> a ping: dropped [b: deny nothing-out]
    "#]]);
    lab.set_inner_access("web", InnerAccess::Accept);
    lab.check(expect![[r#"
        a -> b tcp/443: passes [a: intra-group web] [b: intra-group web]
    "#]]);
}

#[test]
fn an_isolated_group_leaves_the_decision_to_the_rules() {
    let Some(mut lab) = Lab::of(
        "group web basic isolated
           in allow tcp/443 from any as https
         instance a web
         instance b web",
    ) else {
        return;
    };
    lab.check(expect![[r#"
        a -> b tcp/443: passes [a: default allow] [b: allow https]
        a -> b tcp/80: dropped [a: default allow] [b: default deny]
    "#]]);
}

#[test]
fn of_two_shared_groups_one_that_accepts_is_enough() {
    let Some(mut lab) = Lab::of(
        "group apart basic isolated
         group together basic
         instance a apart together
         instance b apart together
         instance c apart
         instance d together",
    ) else {
        return;
    };
    lab.check(expect![[r#"
        a -> b tcp/443: passes [a: intra-group together] [b: intra-group together]
        a -> c tcp/443: dropped [a: default allow] [c: default deny]
        a -> d tcp/443: passes [a: intra-group together] [d: intra-group together]
        c -> d tcp/443: dropped [c: default allow] [d: default deny]
    "#]]);
}

#[test]
fn an_enterprise_group_is_isolated_and_closed_both_ways() {
    let Some(mut lab) = Lab::of(
        "group one enterprise
         instance a one
         instance b one",
    ) else {
        return;
    };
    lab.check(expect![[r#"
        a -> b tcp/443: dropped [a: default deny]
        a -> outside tcp/443: dropped [a: default deny]
        outside -> a tcp/443: dropped [a: default deny]
    "#]]);
    lab.allow("one", "out allow tcp/443 to any as out");
    lab.check(expect![[r#"
        a -> b tcp/443: dropped [a: allow out] [b: default deny]
        a -> outside tcp/443: passes [a: allow out]
    "#]]);
}

#[test]
fn rules_of_all_groups_decide_by_priority_and_deny_first() {
    let Some(mut lab) = Lab::of(
        "group client basic
         group one basic isolated
           in allow tcp/80 from any prio 50 as allow-50
           in deny tcp/81 from any prio 50 as deny-50
           in allow tcp/82 from any prio 7 as allow-7
           in allow tcp/83 from any prio 100 as allow-100
           in deny tcp/84 from any prio 1 as deny-1
         group two basic isolated
           in deny tcp/80 from any prio 51 as deny-51
           in allow tcp/81 from any prio 49 as allow-49
           in deny tcp/82 from any prio 7 as deny-7
           in deny tcp/83 from any prio 99 as deny-99
           in allow tcp/84 from any prio 100 as late
         instance a client
         instance b one two
         instance c one",
    ) else {
        return;
    };
    lab.check(expect![[r#"
        a -> b tcp/80: passes [a: default allow] [b: allow allow-50]
        a -> b tcp/81: passes [a: default allow] [b: allow allow-49]
        a -> b tcp/82: dropped [a: default allow] [b: deny deny-7]
        a -> b tcp/83: dropped [a: default allow] [b: deny deny-99]
        a -> b tcp/84: dropped [a: default allow] [b: deny deny-1]
        a -> c tcp/82: passes [a: default allow] [c: allow allow-7]
        a -> c tcp/83: passes [a: default allow] [c: allow allow-100]
    "#]]);
}

#[test]
fn ec2_groups_are_a_union_and_send_anywhere_from_birth() {
    let Some(mut lab) = Lab::of(
        "group client ec2
         group one ec2
           in allow tcp/80 from any as http
         group two ec2
           in allow tcp/443 from any as https
         instance a client
         instance b one two
         instance c one",
    ) else {
        return;
    };
    lab.check(expect![[r#"
        a -> b tcp/80: passes [a: allow birth] [b: allow http]
        a -> b tcp/443: passes [a: allow birth] [b: allow https]
        a -> c tcp/443: dropped [a: allow birth] [c: default deny]
        a -> outside udp/53: passes [a: allow birth]
        outside -> b tcp/443: passes [b: allow https]
    "#]]);
    lab.revoke("client", "birth");
    lab.check(expect![[r#"
        a -> b tcp/80: dropped [a: default deny]
        a -> outside udp/53: dropped [a: default deny]
    "#]]);
}

#[test]
fn an_ec2_group_accepts_its_own_members_only_when_it_names_itself() {
    let Some(mut lab) = Lab::of(
        "group web ec2
         instance a web
         instance b web",
    ) else {
        return;
    };
    lab.check(expect![[r#"
        a -> b tcp/443: dropped [a: allow birth] [b: default deny]
    "#]]);
    lab.allow("web", "in allow all from group:web as itself");
    lab.check(expect![[r#"
        a -> b tcp/443: passes [a: allow birth] [b: allow itself]
        a -> b ping: passes [a: allow birth] [b: allow itself]
        outside -> b tcp/443: dropped [b: default deny]
    "#]]);
}

#[test]
fn only_own_addresses_may_be_sent_from() {
    let Some(mut lab) = Lab::of(
        "group client basic
         group server basic
           in allow udp from any as datagrams
         instance a client
         instance b server
         instance c client",
    ) else {
        return;
    };
    let forged = expect![[r#"
        a -> b datagram/9: passes [a: default allow] [b: allow datagrams]
        a -> b datagram/9 src 10.0.0.99: dropped [a: spoofed]
        a -> b datagram/9 src 10.0.0.3: dropped [a: spoofed]
        a -> b datagram/9 src 203.0.113.7: dropped [a: spoofed]
        a -> b datagram/9 src fd00::99: dropped [a: spoofed]
        a -> b datagram/9 mac 02:00:00:00:00:99: dropped [a: spoofed]
    "#]];
    lab.check(forged);
    lab.edit_eni("a", |eni: &mut Eni| eni.source_check = false);
    lab.check(expect![[r#"
        a -> b datagram/9 src 10.0.0.99: passes [a: default allow] [b: allow datagrams]
        a -> b datagram/9 src fd00::99: passes [a: default allow] [b: allow datagrams]
        a -> b datagram/9 mac 02:00:00:00:00:99: passes [a: default allow] [b: allow datagrams]
    "#]]);
    lab.edit_eni("a", |eni: &mut Eni| eni.source_check = true);
    lab.check(expect![[r#"
        a -> b datagram/9 src 10.0.0.99: dropped [a: spoofed]
    "#]]);
}

#[test]
fn a_segment_of_no_connection_makes_no_flow() {
    let Some(mut lab) = Lab::of(
        "group client basic
         group server basic
           in allow tcp from any as tcp
         instance a client
         instance b server",
    ) else {
        return;
    };
    lab.check(expect![[r#"
        a -> b ack/443: dropped [a: mid-stream]
        outside -> b ack/443: dropped [b: mid-stream]
    "#]]);
    assert_eq!(lab.enforcer().plane().flows().unwrap(), vec![]);
    lab.check(expect![[r#"
        outside -> b syn/443: passes [b: allow tcp]
    "#]]);
    assert_eq!(lab.enforcer().plane().flows().unwrap().len(), 2, "one for each family");
}

#[test]
fn fragments_follow_their_first() {
    let Some(mut lab) = Lab::of(
        "group client basic
         group server basic
           in allow udp/5000 from any as big
         instance a client
         instance b server",
    ) else {
        return;
    };
    lab.check(expect![[r#"
        a -> b udp/5000 size 4000: passes [a: default allow] [b: allow big] [back at b: known-fragment] [back at a: known-fragment]
        a -> b udp/5000 size 60000: passes [a: default allow] [b: allow big] [back at b: known-fragment] [back at a: known-fragment]
        a -> b fragment/17: dropped [a: fragment]
        outside -> b fragment/17: dropped [b: fragment]
    "#]]);
    // First and later fragments of what is denied: none arrives.
    let later = |lab: &mut Lab| lab.count("b", Direction::Ingress, Reason::Fragment);
    let (passed, before) = (lab.count("b", Direction::Ingress, Reason::KnownFragment), later(&mut lab));
    lab.check(expect![[r#"
        a -> b udp/5001 size 4000: dropped [a: default allow] [b: default deny]
    "#]]);
    assert_eq!(later(&mut lab), before + 4, "two later fragments in each family");
    assert_eq!(lab.count("b", Direction::Ingress, Reason::KnownFragment), passed);
}

#[test]
fn deny_is_silence() {
    let Some(mut lab) = Lab::of(
        "group client basic
         group server basic
           in deny all from any as nothing
         instance a client
         instance b server",
    ) else {
        return;
    };
    // Nothing listens either: what were to arrive would be refused.
    lab.check(expect![[r#"
        a -> b tcp/443 server none: dropped [a: default allow] [b: deny nothing]
        a -> b udp/443 server none: dropped [a: default allow] [b: deny nothing]
        outside -> b tcp/443 server none: dropped [b: deny nothing]
        outside -> b udp/443 server none: dropped [b: deny nothing]
        outside -> b ping: dropped [b: deny nothing]
    "#]]);
    lab.revoke("server", "nothing");
    lab.allow("server", "in allow all from any as everything");
    lab.check(expect![[r#"
        a -> b tcp/443 server none: refused [a: default allow] [b: allow everything]
        outside -> b udp/443 server none: refused [b: allow everything] [back at b: known-flow-error]
    "#]]);
}

#[test]
fn a_new_vpc_is_told_from_one_that_is_gone() {
    let Some(mut lab) = Lab::of(
        "group client basic
         group server basic
           in allow tcp/443 from any as https
         instance a client
         instance b server",
    ) else {
        return;
    };
    // The kernel may give the number of a namespace that is gone to the next one.
    lab.remove_instance("a");
    lab.remove_instance("b");
    lab.remove_vpc("main");
    lab.build(
        "vpc main 10.0.0.0/16
         group client basic
         group server basic
           in allow tcp/443 from any as https
         instance a client
         instance b server",
    );
    lab.check(expect![[r#"
        a -> b tcp/443: passes [a: default allow] [b: allow https]
        a -> b tcp/80: dropped [a: default allow] [b: default deny]
    "#]]);
}
