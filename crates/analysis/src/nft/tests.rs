//! What a ruleset looks like, and what is refused.

use expect_test::expect;

use super::*;
use crate::fixture;

fn ask(world: &World, target: &str, devices: &[(&str, &str)]) -> Result<String, String> {
    let devices = devices.iter().map(|(eni, device)| (EniId::from(*eni), (*device).to_owned())).collect();
    let question = Question { target: target.to_owned(), is_forwarded: false, devices };
    export(world, &question).map(|report| report.ruleset).map_err(|error| error.to_string())
}

const TWO: &str = "
    sg web
    sg db drop
    db: in allow tcp 5432 from sg-web priority 2
    db: in deny tcp 5400-5500 from 10.0.0.0/8 priority 1
    eni a 10.0.0.1 fd00::1 in web
    eni b 10.0.0.2 in db";

#[test]
fn a_ruleset_says_everything_in_decision_order() {
    let world = fixture::world(TWO);
    expect![[r##"
        # The policy of i-b at revision 7, written by sekimori export nft. Load it with: nft -f FILE
        # Live flows and idle timeouts are this host's conntrack's.
        table inet sekimori {}
        delete table inet sekimori
        table inet sekimori {
          set group-sg-web-vpc-1-v4 {
            type ipv4_addr; flags interval; auto-merge;
            elements = { 10.0.0.1 }
          }
          set group-sg-web-vpc-1-v6 {
            type ipv6_addr; flags interval; auto-merge;
            elements = { fd00::1 }
          }
          chain eni-b-ingress {
            icmpv6 type 133-137 ip6 hoplimit 255 accept
            icmpv6 type { 130, 131, 132, 143 } ip6 saddr { ::, fe80::/10 } accept
            ct state established accept
            ct state related meta l4proto { 1, 58 } accept comment "errors of known flows"
            meta nfproto ipv4 udp dport 68 udp sport 67 counter accept comment "bypass set"
            ip6 saddr fe80::/10 udp dport 546 udp sport 547 counter accept comment "bypass set"
            ip daddr != { 10.0.0.2 } counter drop comment "spoofed"
            meta nfproto ipv6 counter drop comment "spoofed"
            tcp flags & (fin | syn | rst | ack) != syn counter drop comment "begins no connection"
            ip saddr 10.0.0.0/8 tcp dport 5400-5500 counter drop comment "r2 of sg-db"
            ip saddr @group-sg-web-vpc-1-v4 tcp dport 5432 counter accept comment "r1 of sg-db"
            ip6 saddr @group-sg-web-vpc-1-v6 tcp dport 5432 counter accept comment "r1 of sg-db"
            counter drop comment "default"
          }
          chain eni-b-egress {
            icmpv6 type { 134, 137 } ip6 hoplimit 255 counter drop comment "spoofed"
            icmpv6 type { 133, 135, 136 } ip6 hoplimit 255 ip6 saddr { ::, fe80::/10 } accept
            icmpv6 type { 130, 131, 132, 143 } ip6 saddr { ::, fe80::/10 } accept
            ct state established accept
            ct state related meta l4proto { 1, 58 } accept comment "errors of known flows"
            ip saddr { 0.0.0.0, 10.0.0.2 } meta nfproto ipv4 udp dport 67 udp sport 68 counter accept comment "bypass set"
            ip6 saddr { ::, fe80::/10 } meta nfproto ipv6 udp dport 547 udp sport 546 counter accept comment "bypass set"
            ip saddr != { 10.0.0.2 } counter drop comment "spoofed"
            meta nfproto ipv6 counter drop comment "spoofed"
            tcp flags & (fin | syn | rst | ack) != syn counter drop comment "begins no connection"
            meta nfproto ipv4 udp dport 68 udp sport 67 counter drop comment "platform policy dhcp-servers"
            meta nfproto ipv6 udp dport 546 udp sport 547 counter drop comment "platform policy dhcp-servers"
            counter accept comment "default"
          }
          chain in {
            type filter hook input priority filter; policy accept;
            iifname "ens3" goto eni-b-ingress
          }
          chain out {
            type filter hook output priority filter; policy accept;
            oifname "ens3" goto eni-b-egress
          }
        }
    "##]].assert_eq(&ask(&world, "i-b", &[("eni-b", "ens3")]).unwrap());
}

#[test]
fn a_host_needs_a_device_for_every_interface() {
    let world = fixture::world(TWO);
    let host = world.instances().next().unwrap().host.to_string();
    expect!["no device is named for `eni-a` and 1 more; give each with --device ENI=DEVICE"]
        .assert_eq(&ask(&world, &host, &[]).unwrap_err());
    let both = [("eni-a", "tap0"), ("eni-b", "tap0")];
    expect!["`eni-a` and `eni-b` have the device `tap0` both; nftables could not tell them apart"]
        .assert_eq(&ask(&world, &host, &both).unwrap_err());
    for device in ["", "a b", "lo\"", "a-name-that-is-too-long"] {
        assert!(ask(&world, "eni-a", &[("eni-a", device)]).unwrap_err().contains("cannot be the name"), "{device}");
    }
    assert!(ask(&world, "eni-a", &[("eni-b", "tap0")]).unwrap_err().contains("is not one of the interfaces"));
    assert!(ask(&world, "nobody", &[]).unwrap_err().contains("`nobody`"));
    let text = ask(&world, &host, &[("eni-a", "tap0"), ("eni-b", "tap1")]).unwrap();
    assert!(text.contains("ether saddr != "), "{text}");
    assert!(
        text.contains("iifname \"tap1\" goto eni-b-egress") && text.contains("oifname \"tap1\" goto eni-b-ingress")
    );
}

#[test]
fn what_nftables_could_confuse_is_refused() {
    let world = fixture::world(
        "sg web
         sg far vpc-2
         eni a 10.0.0.1 in web
         eni b 10.0.0.1 in far",
    );
    let host = world.instances().next().unwrap().host.to_string();
    let found = ask(&world, &host, &[("eni-a", "tap0"), ("eni-b", "tap1")]);
    assert!(found.unwrap_err().contains("have addresses in common"));
    let strange = EniId::from("eni-;drop");
    assert_eq!(chain_name(&strange, Direction::Ingress), Err(NftError::BadName("eni-;drop".to_owned())));
}
