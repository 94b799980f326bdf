//! What a rule matches (section 3 of the design), field by field, with real packets; to be read as `meaning.rs` is.

use expect_test::expect;
use sekimori_tests::lab::Lab;

#[test]
fn ports_match_in_ranges_and_lists() {
    let Some(mut lab) = Lab::of(
        "group client basic
         ports odd 8001 8003-8005
         group server basic
           in allow tcp/100-200 from any as range
           in allow tcp/list:odd from any as list
           in allow udp/0-65535 from any as every
         instance a client
         instance b server",
    ) else {
        return;
    };
    lab.check(expect![[r#"
        a -> b tcp/99: dropped [a: default allow] [b: default deny]
        a -> b tcp/100: passes [a: default allow] [b: allow range]
        a -> b tcp/200: passes [a: default allow] [b: allow range]
        a -> b tcp/201: dropped [a: default allow] [b: default deny]
        a -> b tcp/8001: passes [a: default allow] [b: allow list]
        a -> b tcp/8002: dropped [a: default allow] [b: default deny]
        a -> b tcp/8005: passes [a: default allow] [b: allow list]
        a -> b udp/1: passes [a: default allow] [b: allow every]
        a -> b udp/65535: passes [a: default allow] [b: allow every]
        a -> b ping: dropped [a: default allow] [b: default deny]
    "#]]);
    let list = lab.port_list("odd", &["8002"]);
    lab.change(vec![list]);
    lab.check(expect![[r#"
        a -> b tcp/8001: dropped [a: default allow] [b: default deny]
        a -> b tcp/8002: passes [a: default allow] [b: allow list]
    "#]]);
}

#[test]
fn source_ports_match_in_ranges() {
    let Some(mut lab) = Lab::of(
        "group client basic
         group server basic
           in allow tcp/443 from any sport 1000-1999 as low
           in allow udp from any sport 53 as names
         instance a client
         instance b server",
    ) else {
        return;
    };
    lab.check(expect![[r#"
        a -> b tcp/443 sport 999: dropped [a: default allow] [b: default deny]
        a -> b tcp/443 sport 1000: passes [a: default allow] [b: allow low]
        a -> b tcp/443 sport 1999: passes [a: default allow] [b: allow low]
        a -> b tcp/443 sport 2000: dropped [a: default allow] [b: default deny]
        a -> b udp/9 sport 53: passes [a: default allow] [b: allow names]
        a -> b udp/53 sport 9: dropped [a: default allow] [b: default deny]
    "#]]);
}

#[test]
fn icmp_matches_by_type_and_code() {
    let Some(mut lab) = Lab::of(
        "group client ec2
         group echo ec2
           in allow icmp/8.0 from 0.0.0.0/0 as echo
           in allow icmpv6/128.0 from ::/0 as echo
         group errors ec2
           in allow icmp/3 from 0.0.0.0/0 as errors
           in allow icmpv6/1.4 from ::/0 as errors
         group none ec2
           in allow icmp/8.1 from 0.0.0.0/0 as wrong-code
           in allow icmpv6/128.1 from ::/0 as wrong-code
         instance a client
         instance b echo
         instance c errors
         instance d none",
    ) else {
        return;
    };
    lab.check(expect![[r#"
        a -> b ping: passes [a: allow birth] [b: allow echo]
        a -> b unreachable/5000: dropped [a: allow birth] [b: default deny]
        a -> c ping: dropped [a: allow birth] [c: default deny]
        a -> c unreachable/5000: passes [a: allow birth] [c: allow errors]
        a -> d ping: dropped [a: allow birth] [d: default deny]
    "#]]);
}

#[test]
fn a_peer_is_a_block_of_one_family() {
    let Some(mut lab) = Lab::of(
        "group client basic
         group server basic
           in allow tcp/1 from 10.0.0.0/24 as v4-block
           in allow tcp/2 from fd00::/64 as v6-block
           in allow tcp/3 from 10.0.0.1,fd00::10 as just-a
           in allow tcp/4 from 198.51.100.0/24,2001:db8:ffff::/48 as outside
           in allow all from 0.0.0.0/1,::/8 prio 100 as low-half
           in deny tcp/5 from any prio 99 as not-five
         instance a client
         instance c client
         instance b server",
    ) else {
        return;
    };
    lab.check(expect![[r#"
        a -> b tcp/1 v4: passes [a: default allow] [b: allow v4-block]
        a -> b tcp/1 v6: dropped [a: default allow] [b: default deny]
        a -> b tcp/2 v4: passes [a: default allow] [b: allow low-half]
        a -> b tcp/2 v6: passes [a: default allow] [b: allow v6-block]
        a -> b tcp/3: passes [a: default allow] [b: allow just-a]
        c -> b tcp/3 v6: dropped [c: default allow] [b: default deny]
        outside -> b tcp/4: passes [b: allow outside]
        outside -> b tcp/3: dropped [b: default deny]
        a -> b tcp/5: dropped [a: default allow] [b: deny not-five]
    "#]]);
}

#[test]
fn editing_a_prefix_list_opens_and_closes_at_once() {
    let Some(mut lab) = Lab::of(
        "prefixes four 10.9.0.0/16
         prefixes six fd09::/16
         group client basic
         group server basic
           in allow tcp/443 from list:four,list:six as listed
           in allow udp/443 from list:four,list:six as listed-udp
         instance a client
         instance b server",
    ) else {
        return;
    };
    lab.check(expect![[r#"
        a -> b tcp/443: dropped [a: default allow] [b: default deny]
    "#]]);
    let lists =
        vec![lab.prefix_list("four", &["10.9.0.0/16", "10.0.0.1/32"]), lab.prefix_list("six", &["fd00::10/128"])];
    lab.change(lists);
    lab.check(expect![[r#"
        a -> b tcp/443: passes [a: default allow] [b: allow listed]
        a -> b udp/443: passes [a: default allow] [b: allow listed-udp]
        outside -> b tcp/443: dropped [b: default deny]
    "#]]);
    let lists = vec![lab.prefix_list("four", &[]), lab.prefix_list("six", &["fd09::/16"])];
    lab.change(lists);
    lab.check(expect![[r#"
        a -> b tcp/443: dropped [a: default allow] [b: default deny]
    "#]]);
}

#[test]
fn joining_and_leaving_a_peer_group_opens_and_closes_at_once() {
    let Some(mut lab) = Lab::of(
        "group client basic
         group friends basic
         group server basic
           in allow tcp/443 from group:friends as friends
         instance a client
         instance b server",
    ) else {
        return;
    };
    lab.check(expect![[r#"
        a -> b tcp/443: dropped [a: default allow] [b: default deny]
    "#]]);
    lab.join("a", "friends");
    lab.check(expect![[r#"
        a -> b tcp/443: passes [a: default allow] [b: allow friends]
    "#]]);
    lab.leave("a", "friends");
    lab.check(expect![[r#"
        a -> b tcp/443: dropped [a: default allow] [b: default deny]
    "#]]);
    lab.add_instance("main", "f", &["friends"]);
    lab.check(expect![[r#"
        f -> b tcp/443: passes [f: default allow] [b: allow friends]
    "#]]);
    lab.remove_instance("f");
    lab.add_instance("main", "n", &["client"]);
    // The address of f has a new owner, who is no friend.
    lab.check(expect![[r#"
        n -> b tcp/443: dropped [n: default allow] [b: default deny]
    "#]]);
}

#[test]
fn an_own_group_changes_the_rules_of_an_eni_at_once() {
    let Some(mut lab) = Lab::of(
        "group client basic
         group plain basic
         group web basic
           in allow tcp/443 from any as https
         instance a client
         instance b plain",
    ) else {
        return;
    };
    lab.join("b", "web");
    lab.check(expect![[r#"
        a -> b tcp/443: passes [a: default allow] [b: allow https]
    "#]]);
    lab.leave("b", "web");
    lab.check(expect![[r#"
        a -> b tcp/443: dropped [a: default allow] [b: default deny]
    "#]]);
}

#[test]
fn a_peer_group_matches_in_its_own_vpc_only() {
    let Some(mut lab) = Lab::of(
        "group client basic
         group friends basic
         instance a friends
         instance b client
         vpc other 10.0.0.0/16
         group strangers basic in other
         group server basic in other
         instance c strangers in other
         instance d server in other",
    ) else {
        return;
    };
    let address = |lab: &Lab, name| lab.eni(name).addresses.clone();
    assert_eq!(address(&lab, "a")[0], address(&lab, "c")[0], "two VPCs use one address");
    let mut rules = lab.with_rule("server", "in allow all from group:friends as friends");
    rules.extend(lab.with_rule("server", "in allow tcp/80 from group:strangers as strangers"));
    lab.change(rules);
    lab.check(expect![[r#"
        c -> d tcp/443: dropped [c: default allow] [d: default deny]
        c -> d tcp/80: passes [c: default allow] [d: allow strangers]
    "#]]);
    // The two networks do not meet: b's neighbour at that address is a.
    lab.check(expect![[r#"
        b -> a tcp/80: dropped [b: default allow] [a: default deny]
        outside@other -> d tcp/80: dropped [d: default deny]
    "#]]);
}

#[test]
fn a_local_block_narrows_the_own_addresses() {
    let Some(mut lab) = Lab::of(
        "group client basic
         group server basic
           in allow tcp/80 from 0.0.0.0/0 local 10.0.0.20 as second-only
           in allow tcp/443 from 0.0.0.0/0 as both
           in allow tcp/443 from ::/0 local fd00::20 as second-only
           out deny udp to 0.0.0.0/0 local 10.0.0.20 as quiet
         instance a client
         instance b server",
    ) else {
        return;
    };
    let second: [std::net::IpAddr; 2] = ["10.0.0.20", "fd00::20"].map(|text| text.parse().unwrap());
    lab.edit_eni("b", |eni| eni.addresses.extend(second));
    lab.check(expect![[r#"
        a -> b tcp/80 v4: dropped [a: default allow] [b: default deny]
        a -> b tcp/80 to 10.0.0.20: passes [a: default allow] [b: allow second-only]
        a -> b tcp/443 v4: passes [a: default allow] [b: allow both]
        a -> b tcp/443 to 10.0.0.20: passes [a: default allow] [b: allow both]
        a -> b tcp/443 v6: dropped [a: default allow] [b: default deny]
        a -> b tcp/443 to fd00::20: passes [a: default allow] [b: allow second-only]
        b -> outside datagram/9 v4: passes [b: default allow]
        b -> outside datagram/9 src 10.0.0.20: dropped [b: deny quiet]
        b -> outside datagram/9 src fd00::20: passes [b: default allow]
    "#]]);
}

#[test]
fn other_protocols_match_by_number() {
    let Some(mut lab) = Lab::of(
        "group client basic
         group server basic
           in allow 132 from any as sctp
           in deny 47 from any as no-gre
         instance a client
         instance b server",
    ) else {
        return;
    };
    lab.check(expect![[r#"
        a -> b sctp: passes [a: default allow] [b: allow sctp]
        a -> b protocol/47: dropped [a: default allow] [b: deny no-gre]
        a -> b protocol/253: dropped [a: default allow] [b: default deny]
        a -> outside protocol/253: passes [a: default allow]
    "#]]);
}
