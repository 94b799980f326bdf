//! Events of real packets: each names what decided, nobody hides another's, and what is not told is counted.

#![expect(clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

use expect_test::{Expect, expect};
use sekimori_core::{address::Family, flow_event::EventLosses, ids::EniId};
use sekimori_tests::lab::{
    Lab,
    frames::{self, Frame},
};

const BOTH: [Family; 2] = [Family::V4, Family::V6];

/// Sends a probe in both families; the events must be the same in both.
fn check(lab: &mut Lab, probe: &str, expected: Expect) {
    let seen = BOTH.map(|family| {
        lab.told();
        lab.try_probe(probe, family);
        lab.told().join("\n") + "\n"
    });
    assert_eq!(seen[0], seen[1], "{probe}");
    expected.assert_eq(&seen[0]);
}

#[test]
fn an_event_names_what_decided() {
    let Some(mut lab) = Lab::of(
        "group web basic
         group db basic isolated
         in deny tcp/22 from group:web as ssh
         in allow tcp/5432 from any as sql
         in allow ping from any as ping
         out deny udp/53 to any as dns
         instance a web
         instance c web
         instance b db",
    ) else {
        return;
    };
    lab.want_events(true);
    check(
        &mut lab,
        "a -> b tcp/5432",
        expect![[r#"
        a egress: allow by default to port 5432
        b ingress: allow by sql of db to port 5432
    "#]],
    );
    check(
        &mut lab,
        "a -> b tcp/22",
        expect![[r#"
        a egress: allow by default to port 22
        b ingress: deny by ssh of db to port 22
    "#]],
    );
    check(
        &mut lab,
        "a -> b tcp/80",
        expect![[r#"
        a egress: allow by default to port 80
        b ingress: deny by default to port 80
    "#]],
    );
    check(
        &mut lab,
        "a -> c tcp/80",
        expect![[r#"
        a egress: allow by intra-group of web to port 80
        c ingress: allow by intra-group of web to port 80
    "#]],
    );
    check(
        &mut lab,
        "b -> a udp/53",
        expect![[r#"
        b egress: deny by dns of db to port 53
    "#]],
    );
    check(
        &mut lab,
        "a -> b ping",
        expect![[r#"
        a egress: allow by default echo request, code 0
        b ingress: allow by ping of db echo request, code 0
    "#]],
    );
    check(
        &mut lab,
        "outside -> b ack/5432",
        expect![[r#"
        b ingress: deny by mid-stream to port 5432
    "#]],
    );
}

#[test]
fn a_forged_sender_is_told_with_what_it_claimed() {
    let Some(mut lab) = Lab::of(
        "group web basic
         instance a web
         instance b web",
    ) else {
        return;
    };
    lab.want_events(true);
    for (source, family) in [("10.0.0.250", Family::V4), ("fd00::250", Family::V6)] {
        lab.told();
        lab.try_probe(&format!("a -> b syn/5432 src {source}"), family);
        let [event] = lab.take_events().try_into().expect("one event");
        assert_eq!((event.reason.as_str(), event.passed, event.rule), ("spoofed", false, None));
        assert_eq!((event.peer, event.local), (Some(lab.host("b").address(family)), source.parse().ok()));
        assert_eq!((event.peer_port, event.protocol, event.tcp_flags), (Some(5432), 6, 2));
        assert_eq!(event.revision, Some(lab.world().revision()));
    }
}

#[test]
fn a_network_acl_is_told_as_such() {
    let Some(mut lab) = Lab::of(
        "group web ec2
         in allow all from any
         instance a web",
    ) else {
        return;
    };
    lab.settle_in_a_region();
    let (vpc, subnet) = (lab.vpc_id("main"), lab.eni("a").subnet.clone());
    let own =
        lab.world().subnet(&subnet).and_then(|subnet| subnet.acl.clone()).expect("a subnet of EC2 has an ACL").id;
    let told = lab.ec2(&format!("Action=CreateNetworkAcl&VpcId={vpc}"), "");
    let acl =
        told.split_once("<networkAclId>").and_then(|(_, rest)| rest.split_once('<')).expect("an id").0.to_owned();
    lab.want_events(true);
    check(
        &mut lab,
        "outside -> a tcp/80",
        expect![[r#"
        a ingress: allow by all of web to port 80
    "#]],
    );
    lab.ec2(&format!("Action=ReplaceNetworkAclAssociation&AssociationId={own}&NetworkAclId={acl}"), "");
    check(
        &mut lab,
        "outside -> a tcp/80",
        expect![[r#"
        a ingress: deny by network-acl to port 80
    "#]],
    );
}

#[test]
fn a_rule_that_is_gone_is_still_named_and_nothing_is_told_to_nobody() {
    let Some(mut lab) = Lab::of(
        "group web basic
         in allow tcp/80 from any as http
         instance a web",
    ) else {
        return;
    };
    lab.try_probe("outside -> a tcp/80", Family::V4);
    lab.want_events(true);
    assert_eq!(lab.told(), Vec::<String>::new(), "nobody wanted it");
    lab.try_probe("outside -> a tcp/80", Family::V4);
    let revision = lab.world().revision();
    lab.revoke("web", "http");
    lab.try_probe("outside -> a tcp/80", Family::V4);
    let events = lab.take_events();
    let of_port = |passed| events.iter().find(|event| event.passed == passed).expect("there is one");
    assert!(of_port(true).rule.is_some() && of_port(true).group.is_some(), "{events:?}");
    assert_eq!((of_port(true).revision, of_port(false).revision), (Some(revision), Some(revision.next())));
    assert!(of_port(true).at_ms <= of_port(false).at_ms && of_port(true).policy < of_port(false).policy);
    lab.want_events(false);
    lab.try_probe("outside -> a tcp/80", Family::V4);
    assert_eq!(lab.told(), Vec::<String>::new());
}

/// Frames that are dropped at an instance, one after another.
const FLOOD: u64 = 20_000;

fn losses(lab: &mut Lab, eni: &EniId) -> [EventLosses; 2] {
    let read = lab.enforcer().loss_reader().and_then(|reader| reader.read()).expect("losses are readable");
    read.into_iter().find(|(id, _)| id == eni).expect("the ENI is here").1
}

#[test]
fn a_flood_at_one_interface_hides_nothing_of_another_and_is_counted() {
    let Some(mut lab) = Lab::of(
        "group web basic
         group db basic isolated
         instance a web
         instance b db
         instance c db",
    ) else {
        return;
    };
    lab.want_events(true);
    let [a, b] = ["a", "b"].map(|name| lab.host(name));
    let address = |host: &sekimori_tests::lab::host::Host| host.address(Family::V4);
    let link = a.link();
    // The router must know the way before frames that are made by hand find it.
    lab.try_probe("a -> b tcp/80", Family::V4);
    let mut sent = 0;
    while sent < FLOOD {
        let ends = ((address(&a), 30_000 + (sent % 30_000) as u16).into(), (address(&b), 9).into());
        sent += u64::from(link.send(&frames::frame(Frame::Syn(9), a.mac, ends)).is_ok());
        if sent == FLOOD / 2 {
            lab.try_probe("a -> c tcp/22", Family::V4);
        }
    }
    lab.try_probe("a -> c tcp/23", Family::V4);
    let counted = lab.count("b", sekimori_core::rule::Direction::Ingress, sekimori_compile::abi::Reason::DefaultDeny);
    let (eni_b, eni_c) = (lab.eni("b").id.clone(), lab.eni("c").id.clone());
    let events = lab.take_events();
    let seen_at = |eni: &EniId| events.iter().filter(|event| event.eni == *eni && !event.passed).count() as u64;
    let ports_at_c: Vec<_> =
        events.iter().filter(|event| event.eni == eni_c).filter_map(|event| event.local_port).collect();
    assert!(ports_at_c.contains(&22) && ports_at_c.contains(&23), "{ports_at_c:?}");
    let lost = losses(&mut lab, &eni_b)[1];
    assert!(counted >= FLOOD / 2, "the flood did not arrive: {counted}");
    assert_eq!(seen_at(&eni_b) + lost.total(), counted, "{lost:?}");
    assert!(lost.rate_limit > seen_at(&eni_b), "{lost:?}, seen {}", seen_at(&eni_b));
    assert_eq!(losses(&mut lab, &eni_c)[1], EventLosses::default());
}
