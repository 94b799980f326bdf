//! The EC2 API, from the query to packets: the web server of the cloud's rule reference, and the default egress rule.

#![expect(clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use expect_test::expect;
use sekimori_compile::abi::Reason;
use sekimori_core::{address::Family, rule::Direction};
use sekimori_tests::lab::{
    Lab,
    frames::{Frame, frame},
    pause,
};

const WORLD: &str = "&IpPermissions.1.IpRanges.1.CidrIp=0.0.0.0/0&IpPermissions.1.Ipv6Ranges.1.CidrIpv6=::/0";

#[test]
fn a_web_server_is_opened_to_the_world_and_its_default_egress_rule_closed() {
    let Some(mut lab) = Lab::of(
        "group client ec2
         group web ec2
         instance a client
         instance b web",
    ) else {
        return;
    };
    lab.settle_in_a_region();
    let web = lab.group_id("web");
    lab.check(expect![[r#"
        a -> b tcp/80: dropped [a: allow birth] [b: default deny]
        outside -> b tcp/443: dropped [b: default deny]
        b -> outside tcp/443: passes [b: allow birth]
    "#]]);
    for port in [80, 443] {
        let call = format!(
            "Action=AuthorizeSecurityGroupIngress&GroupId={web}&IpPermissions.1.IpProtocol=tcp\
             &IpPermissions.1.FromPort={port}&IpPermissions.1.ToPort={port}{WORLD}"
        );
        lab.ec2(&call, &format!("web-{port}"));
    }
    lab.check(expect![[r#"
        a -> b tcp/80: passes [a: allow birth] [b: allow web-80]
        outside -> b tcp/443: passes [b: allow web-443]
        outside -> b tcp/22: dropped [b: default deny]
        b -> outside tcp/443: passes [b: allow birth]
        b -> a tcp/80: dropped [b: allow birth] [a: default deny]
    "#]]);
    let call = format!("Action=RevokeSecurityGroupEgress&GroupId={web}&IpPermissions.1.IpProtocol=-1{WORLD}");
    let told = lab.ec2(&call, "");
    assert_eq!(told.matches("<securityGroupRuleId>").count(), 2, "{told}");
    lab.check(expect![[r#"
        b -> outside tcp/443: dropped [b: default deny]
        b -> a tcp/80: dropped [b: default deny]
        a -> b tcp/80: passes [a: allow birth] [b: allow web-80]
        outside -> b tcp/443: passes [b: allow web-443]
    "#]]);
}

/// VPC peering: the two reach each other by private address, and their rules name each other's groups; nothing passes through
/// a peer to its peer; when the connection ends the rule is stale and nothing passes.
#[test]
fn groups_are_known_across_a_peering_connection_while_it_is_active() {
    let Some(mut lab) = Lab::of(
        "vpc app 10.1.0.0/16
         vpc data 10.2.0.0/16
         vpc third 10.3.0.0/16
         group web ec2 in app
         group other ec2 in app
         group db ec2 in data
         group far ec2 in third
         instance a web in app
         instance b other in app
         instance d db in data
         instance f far in third",
    ) else {
        return;
    };
    lab.settle_in_a_region();
    let [app, data, third] = ["app", "data", "third"].map(|name| lab.vpc_id(name));
    let first = lab.peer(&app, &data);
    lab.peer(&data, &third);
    let (web, db) = (lab.group_id("web"), lab.group_id("db"));
    lab.ec2(
        &format!(
            "Action=AuthorizeSecurityGroupIngress&GroupId={db}&IpPermissions.1.IpProtocol=tcp\
             &IpPermissions.1.FromPort=5432&IpPermissions.1.ToPort=5432&IpPermissions.1.Groups.1.GroupId={web}"
        ),
        "from-web",
    );
    let far = lab.group_id("far");
    lab.ec2(
        &format!("Action=AuthorizeSecurityGroupIngress&GroupId={far}&IpPermissions.1.IpProtocol=-1{WORLD}"),
        "all",
    );
    lab.check(expect![[r#"
        a -> d tcp/5432: passes [a: allow birth] [d: allow from-web]
        b -> d tcp/5432: dropped [b: allow birth] [d: default deny]
        a -> d tcp/22: dropped [a: allow birth] [d: default deny]
        d -> a tcp/80: dropped [d: allow birth] [a: default deny]
        d -> f tcp/80: passes [d: allow birth] [f: allow all]
        a -> f tcp/80: LOST [a: allow birth]
    "#]]);
    lab.ec2(&format!("Action=DeleteVpcPeeringConnection&VpcPeeringConnectionId={first}"), "");
    lab.check(expect![[r#"
        a -> d tcp/5432: LOST [a: allow birth]
        d -> f tcp/80: passes [d: allow birth] [f: allow all]
    "#]]);
}

#[test]
fn a_group_may_name_itself_and_ping_needs_a_rule_of_its_own() {
    let Some(mut lab) = Lab::of(
        "group web ec2
         instance a web
         instance b web",
    ) else {
        return;
    };
    lab.settle_in_a_region();
    let web = lab.group_id("web");
    let to = format!("Action=AuthorizeSecurityGroupIngress&GroupId={web}");
    lab.ec2(
        &format!(
            "{to}&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=5432&IpPermissions.1.ToPort=5432\
             &IpPermissions.1.Groups.1.GroupId={web}"
        ),
        "itself",
    );
    lab.check(expect![[r#"
        a -> b tcp/5432: passes [a: allow birth] [b: allow itself]
        outside -> b tcp/5432: dropped [b: default deny]
        a -> b ping: dropped [a: allow birth] [b: default deny]
    "#]]);
    lab.ec2(&format!("{to}&IpProtocol=icmp&FromPort=8&ToPort=-1&CidrIp=0.0.0.0/0"), "ping");
    lab.check(expect![[r#"
        a -> b ping v4: passes [a: allow birth] [b: allow ping]
        a -> b ping v6: dropped [a: allow birth] [b: default deny]
    "#]]);
}

#[test]
fn an_edit_of_a_prefix_list_and_its_restoration_decide_about_packets() {
    let Some(mut lab) = Lab::of(
        "group client ec2
         group web ec2
         instance a client
         instance b web",
    ) else {
        return;
    };
    lab.settle_in_a_region();
    let web = lab.group_id("web");
    let own = lab.eni("a").addresses.first().map(ToString::to_string).unwrap_or_default();
    let create = "Action=CreateManagedPrefixList&PrefixListName=clients&AddressFamily=IPv4&MaxEntries=2";
    let told = lab.ec2(&format!("{create}&Entry.1.Cidr=192.0.2.0/24"), "");
    let list =
        told.split("<prefixListId>").nth(1).and_then(|rest| rest.split('<').next()).unwrap_or_default().to_owned();
    let rule = "IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=80&IpPermissions.1.ToPort=80";
    let call = format!(
        "Action=AuthorizeSecurityGroupIngress&GroupId={web}&{rule}&IpPermissions.1.PrefixListIds.1.PrefixListId={list}"
    );
    lab.ec2(&call, "listed");
    lab.check(expect![[r#"
        a -> b tcp/80 v4: dropped [a: allow birth] [b: default deny]
    "#]]);
    let modify = format!("Action=ModifyManagedPrefixList&PrefixListId={list}");
    lab.ec2(&format!("{modify}&CurrentVersion=1&AddEntry.1.Cidr={own}/32"), "");
    lab.check(expect![[r#"
        a -> b tcp/80 v4: passes [a: allow birth] [b: allow listed]
        a -> b tcp/80 v6: dropped [a: allow birth] [b: default deny]
    "#]]);
    let restore = format!("Action=RestoreManagedPrefixListVersion&PrefixListId={list}");
    lab.ec2(&format!("{restore}&PreviousVersion=1&CurrentVersion=2"), "");
    lab.check(expect![[r#"
        a -> b tcp/80 v4: dropped [a: allow birth] [b: default deny]
    "#]]);
    lab.ec2(&format!("{restore}&PreviousVersion=2&CurrentVersion=3"), "");
    lab.check(expect![[r#"
        a -> b tcp/80 v4: passes [a: allow birth] [b: allow listed]
    "#]]);
}

#[test]
fn an_associated_group_decides_at_interfaces_of_the_other_vpc() {
    let Some(mut lab) = Lab::of(
        "vpc far 10.9.0.0/16
         group web ec2
         group client ec2 in far
         instance a web
         instance c client in far",
    ) else {
        return;
    };
    lab.settle_in_a_region();
    let (web, far) = (lab.group_id("web"), lab.vpc_id("far"));
    let told = lab.ec2(&format!("Action=AssociateSecurityGroupVpc&GroupId={web}&VpcId={far}"), "");
    assert!(told.contains("<state>associated</state>"), "{told}");
    lab.add_instance("far", "d", &["web"]);
    lab.add_instance("far", "e", &["web"]);
    lab.check(expect![[r#"
        c -> d tcp/80: dropped [c: allow birth] [d: default deny]
        e -> d tcp/80: dropped [e: allow birth] [d: default deny]
    "#]]);
    let call = format!(
        "Action=AuthorizeSecurityGroupIngress&GroupId={web}&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=80\
         &IpPermissions.1.ToPort=80&IpPermissions.1.Groups.1.GroupId={web}"
    );
    lab.ec2(&call, "itself");
    lab.check(expect![[r#"
        c -> d tcp/80: dropped [c: allow birth] [d: default deny]
        e -> d tcp/80: passes [e: allow birth] [d: allow itself]
    "#]]);
}

/// A datagram that `by` sends with the source address of `from`.
fn forward(lab: &Lab, (by, from, to): (&str, &str, &str), port: u16, family: Family) {
    let (by, from, to) = (lab.host(by), lab.host(from), lab.host(to));
    let ends = (SocketAddr::new(from.address(family), 4_000), SocketAddr::new(to.address(family), port));
    by.link().send(&frame(Frame::Datagram(port), by.mac, ends)).expect("a frame is sent");
}

/// Waits until so many packets were counted.
fn counted(lab: &mut Lab, instance: &str, reason: Reason, expected: u64) {
    let until = Instant::now() + Duration::from_secs(5);
    while lab.count(instance, Direction::Ingress, reason) != expected {
        let found = lab.count(instance, Direction::Ingress, reason);
        assert!(Instant::now() < until, "{found} packets at {instance} are {reason:?}, not {expected}");
        pause(Duration::from_millis(5));
    }
}

/// The middlebox note of the rule reference (seed 002): what an instance forwards does not match a rule that names the group of who
/// sent it first; a rule with addresses it does.
#[test]
fn a_forwarded_packet_comes_from_no_group() {
    let Some(mut lab) = Lab::of(
        "group app ec2
         group middle ec2
         group db ec2
         instance a app
         instance m middle
         instance b db",
    ) else {
        return;
    };
    lab.settle_in_a_region();
    let (app, db, eni) = (lab.group_id("app"), lab.group_id("db"), lab.eni("m").id.clone());
    lab.ec2(
        &format!("Action=ModifyNetworkInterfaceAttribute&NetworkInterfaceId={eni}&SourceDestCheck.Value=false"),
        "",
    );
    let udp = |port: u16| {
        format!("IpPermissions.1.IpProtocol=udp&IpPermissions.1.FromPort={port}&IpPermissions.1.ToPort={port}")
    };
    let to = format!("Action=AuthorizeSecurityGroupIngress&GroupId={db}");
    lab.ec2(&format!("{to}&{}&IpPermissions.1.Groups.1.GroupId={app}", udp(53)), "from-app");
    lab.ec2(&format!("{to}&{}{WORLD}", udp(54)), "from-all");
    for (family, before) in [(Family::V4, 0), (Family::V6, 1)] {
        // The second one is part of a flow that the middlebox's interface knows.
        for times in [1, 2] {
            forward(&lab, ("m", "a", "b"), 53, family);
            counted(&mut lab, "b", Reason::DefaultDeny, 2 * before + times);
        }
        forward(&lab, ("m", "a", "b"), 54, family);
        counted(&mut lab, "b", Reason::RuleAllow, 2 * before + 1);
        forward(&lab, ("a", "a", "b"), 53, family);
        counted(&mut lab, "b", Reason::RuleAllow, 2 * before + 2);
    }
}
