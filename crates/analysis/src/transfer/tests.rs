//! Files that are written and read back, files of others, and clones.

use std::sync::Arc;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use sekimori_core::{
    change::Change,
    limits::LimitMode,
    rule::{Action, Peer, PortRange, Protocol, RuleSpec, Service},
    time::Timestamp,
};

use super::*;
use crate::fixture;

const GROUPS: &str = "
    sg web tag app=shop
    sg db
    sg far vpc-2
    web: in allow tcp 80 from 0.0.0.0/0
    web: in deny tcp 22-23 from 203.0.113.0/24 source 1000-2000 at 10.0.0.0/24 priority 90
    web: out allow icmpv6 to ::/0 priority 7
    web: in allow udp 53 from sg-db";

fn exported(format: Format) -> String {
    export(&fixture::world(GROUPS), &"sg-web".into(), format).unwrap().text
}

#[test]
fn files_have_the_columns_of_the_api() {
    expect![[r#"
        Direction,Policy,Priority,IpProtocol,PortRange,PortRangeListId,SourcePortRange,SourceCidrIp,Ipv6SourceCidrIp,SourceGroupId,SourcePrefixListId,DestCidrIp,Ipv6DestCidrIp,DestGroupId,DestPrefixListId,GroupOwnerId,Description
        ingress,Accept,1,TCP,80/80,,,0.0.0.0/0,,,,,,,,,
        ingress,Accept,1,UDP,53/53,,,,,sg-db,,,,,,,
        ingress,Drop,90,TCP,22/23,,1000/2000,203.0.113.0/24,,,,10.0.0.0/24,,,,,
        egress,Accept,7,ICMPV6,-1/-1,,,,,,,,::/0,,,,
    "#]].assert_eq(&exported(Format::Csv).replace("\r\n", "\n"));
    assert!(exported(Format::Csv).lines().count() == 5 && exported(Format::Csv).matches("\r\n").count() == 5);
    expect![[r#"
        [
          {
            "Description": "",
            "DestCidrIp": "",
            "DestGroupId": "",
            "DestPrefixListId": "",
            "Direction": "ingress",
            "GroupOwnerId": "",
            "IpProtocol": "TCP",
            "Ipv6DestCidrIp": "",
            "Ipv6SourceCidrIp": "",
            "Policy": "Accept",
            "PortRange": "80/80",
            "PortRangeListId": "",
            "Priority": 1,
            "SourceCidrIp": "0.0.0.0/0",
            "SourceGroupId": "",
            "SourcePortRange": "",
            "SourcePrefixListId": """#]]
    .assert_eq(&exported(Format::Json).lines().take(19).collect::<Vec<_>>().join("\n"));
}

#[test]
fn files_have_the_documented_names_and_tell_their_region() {
    let world = fixture::world(GROUPS);
    for (format, name) in
        [(Format::Json, "ecs_cn-hangzhou_sg-web.json"), (Format::Csv, "ecs_sgRule_sg-web_cn-hangzhou_2020-01-20.csv")]
    {
        let export = export(&world, &"sg-web".into(), format).unwrap();
        assert_eq!(file_name(&export, "2020-01-20"), name);
        assert_eq!(region_in(&format!("/tmp/{name}")), Some("cn-hangzhou"));
    }
    assert_eq!(region_in("rules.json"), None);
}

fn request(text: &str) -> Request {
    Request { text: text.to_owned(), from_region: None, all_or_nothing: false, dry_run: false }
}

fn shown(preview: &Preview) -> String {
    let row = |row: &Row| format!("{} {:?} {} {}", row.number, row.verdict, row.text, row.reason);
    preview.rows.iter().map(|it| row(it).trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn check(group: &str, request: &Request, expected: Expect) {
    let preview = preview(&fixture::world(GROUPS), LimitMode::Cloud, &group.into(), request);
    expected.assert_eq(&preview.map_or_else(|error| format!("error: {error}"), |preview| shown(&preview)));
}

#[test]
fn a_preview_says_what_becomes_of_every_rule() {
    let text = r#"[
        {"Direction":"ingress","IpProtocol":"TCP","PortRange":"80/80","SourceCidrIp":"0.0.0.0/0","Policy":"Accept","Priority":1},
        {"Direction":"ingress","IpProtocol":"TCP","PortRange":"443/443","SourceCidrIp":"0.0.0.0/0","Policy":"Accept","Priority":"1"},
        {"Direction":"ingress","IpProtocol":"TCP","PortRange":"22/22","SourceCidrIp":"0.0.0.0/0","Priority":110},
        {"Direction":"ingress","IpProtocol":"TCP","PortRange":"22/1","SourceCidrIp":"0.0.0.0/0"},
        {"Direction":"ingress","IpProtocol":"UDP","PortRange":"53/53","SourceGroupId":"sg-none"},
        {"Direction":"sideways","IpProtocol":"UDP"}
    ]"#;
    check(
        "sg-web",
        &request(text),
        expect![[r#"
        1 Exists allow tcp 80 from 0.0.0.0/0, priority 1 the group has this rule already
        2 Add allow tcp 443 from 0.0.0.0/0, priority 1
        3 Skip  priority 110 is one of the system's own rules, which are not imported
        4 Refuse  `22/1` is not a port range; write 22/22 or 8000/8080
        5 Refuse allow udp 53 from group sg-none, priority 1 peer security group `sg-none` does not exist in this account and region; check the id
        6 Refuse  direction `sideways` is neither ingress nor egress"#]],
    );
    let from_far = Request { from_region: Some("cn-beijing".to_owned()), ..request(&exported(Format::Json)) };
    check(
        "sg-db",
        &from_far,
        expect![[r#"
        1 Add allow tcp 80 from 0.0.0.0/0, priority 1
        2 Refuse allow udp 53 from group sg-db (db), priority 1 a security group of another region cannot be named here; use addresses and port ranges
        3 Add deny tcp 22-23 from 203.0.113.0/24, source ports 1000-2000, own address in 10.0.0.0/24, priority 90
        4 Add allow icmpv6 to ::/0, priority 7"#]],
    );
}

#[test]
fn all_or_nothing_adds_nothing_when_one_rule_cannot_be() {
    let text = "Direction,Protocol,Port,Peer\nin,tcp,80,10.0.0.1\nin,tcp,x,10.0.0.1\n";
    let preview = preview(&fixture::world(GROUPS), LimitMode::Cloud, &"sg-db".into(), &request(text)).unwrap();
    assert_eq!((preview.rules(false).len(), preview.rules(true).len()), (1, 0));
}

#[test]
fn the_reader_is_tolerant() {
    let csv = "\u{feff}direction;POLICY;Ip Protocol;port_range;Peer;Remark\r\nInbound;Allow;tcp;22;\"10.0.0.0/8\";\"a;b\"\r\n\r\n\
               out;drop;all;-1/-1;::/0;\r\n";
    check(
        "sg-db",
        &request(csv),
        expect![[r#"
        1 Add allow tcp 22 from 10.0.0.0/8, priority 1
        2 Add deny all to ::/0, priority 1"#]],
    );
    let reply = r#"{"RegionId":"cn-beijing","Permissions":{"Permission":[{"Direction":"ingress","IpProtocol":"ICMP",
        "PortRange":"-1/-1","SourceCidrIp":"10.0.0.0/8","Policy":"Accept","Priority":"1","SourcePortRange":"-1/-1"}]}}"#;
    check("sg-db", &request(reply), expect!["1 Add allow icmp from 10.0.0.0/8, priority 1"]);
}

#[test]
fn what_is_no_file_of_rules_is_told() {
    for text in ["", "hello", "{", "[1]", "{\"a\":1}", "a,b\n1,2", "direction\n\"in"] {
        let error = preview(&fixture::world(GROUPS), LimitMode::Cloud, &"sg-web".into(), &request(text)).unwrap_err();
        assert!(matches!(error, TransferError::Unreadable(_)), "{text}: {error}");
    }
    let large = " ".repeat(FILE_BYTES_MAX + 1);
    check(
        "sg-web",
        &request(&large),
        expect!["error: the file has 262145 bytes, more than the 262144 that are read; split it"],
    );
}

#[test]
fn a_file_adds_at_most_200_rules() {
    let row = |port: usize| format!("in,tcp,{},10.0.0.1\n", port + 1);
    let text: String = (0..=IMPORT_RULES_MAX).map(row).collect();
    let text = format!("Direction,Protocol,Port,Peer\n{text}");
    let preview = preview(&fixture::world(GROUPS), LimitMode::Cloud, &"sg-db".into(), &request(&text)).unwrap();
    assert_eq!((preview.count(Verdict::Add), preview.count(Verdict::Refuse)), (IMPORT_RULES_MAX, 1));
}

fn ports() -> impl Strategy<Value = PortRange> {
    (1_u16.., 1_u16..).prop_map(|(a, b)| PortRange::new(a.min(b), a.max(b)).unwrap())
}

fn peer() -> impl Strategy<Value = Peer> {
    let blocks = ["10.159.6.18/12", "10.0.0.1", "0.0.0.0/0", "2001:db8::/32", "::/0"];
    prop_oneof![
        prop::sample::select(blocks.to_vec()).prop_map(|text| Peer::Cidr(text.parse().unwrap())),
        Just(Peer::Group { group: "sg-db".into(), account: fixture::ACCOUNT.into() }),
    ]
}

fn spec() -> impl Strategy<Value = RuleSpec> {
    let service = prop_oneof![Just(Service::Any), ports().prop_map(Service::Ports)];
    let protocol =
        prop_oneof![Just(Protocol::TCP), Just(Protocol::UDP), Just(Protocol::Any), Just(Protocol::Number(132))];
    let ends = (any::<bool>(), any::<bool>(), 1_u8..=100);
    (ends, protocol, service, prop::option::of(ports()), peer()).prop_map(
        |((is_ingress, is_allow, priority), protocol, service, source_ports, peer)| RuleSpec {
            direction: if is_ingress { Direction::Ingress } else { Direction::Egress },
            action: if is_allow { Action::Allow } else { Action::Deny },
            priority,
            protocol,
            service: if protocol.has_ports() { service } else { Service::Any },
            source_ports: source_ports.filter(|_| protocol.has_ports()),
            peer,
            local: None,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_written_is_read_back(specs in prop::collection::vec((spec(), "[ -~]{0,20}"), 1..20), is_csv: bool) {
        let mut world = fixture::world(GROUPS);
        for (index, (spec, description)) in specs.iter().enumerate() {
            let id = format!("x{index}").as_str().into();
            let description = description.trim().to_owned();
            let rule = Rule { id, spec: spec.clone(), description, tags: Default::default(), created_at: Timestamp(0) };
            world.apply(&Change::PutRule { group: "sg-web".into(), rule: Arc::new(rule) });
        }
        let format = if is_csv { Format::Csv } else { Format::Json };
        let text = export(&world, &"sg-web".into(), format).unwrap().text;
        let (records, _) = record::read(&text).unwrap();
        let mut read: Vec<_> = records.iter().map(|record| record.rule(&fixture::ACCOUNT.into()).ok().unwrap()).collect();
        let group = world.group(&"sg-web".into()).unwrap();
        let mut written: Vec<_> = group.rules.values().map(|rule| (rule.spec.clone(), rule.description.clone())).collect();
        let mut read: Vec<_> = read.drain(..).map(|rule| (rule.spec, rule.description)).collect();
        written.sort();
        read.sort();
        prop_assert_eq!(read, written);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,200}") {
        let _ = preview(&fixture::world(GROUPS), LimitMode::Cloud, &"sg-web".into(), &request(&text));
    }
}

fn clone_of(vpc: Option<&str>, region: Option<&str>) -> clone::Request {
    clone::Request {
        name: "copy".to_owned(),
        vpc: vpc.map(Into::into),
        region: region.map(str::to_owned),
        keep_rules: true,
        copy_tags: true,
        dry_run: false,
    }
}

fn check_clone(request: &clone::Request, expected: Expect) {
    let shown = match clone::plan(&fixture::world(GROUPS), &"sg-web".into(), request) {
        Ok(plan) => {
            let left: Vec<String> =
                plan.left.iter().map(|left| format!("not {}: {}", left.text, left.reason)).collect();
            format!("{} in {}\n{}\n{}", plan.group.vpc, plan.region, plan.texts.join("\n"), left.join("\n"))
        }
        Err(error) => format!("error: {error}"),
    };
    expected.assert_eq(&shown);
}

#[test]
fn a_clone_keeps_what_carries_over() {
    check_clone(
        &clone_of(None, None),
        expect![[r#"
        vpc-1 in cn-hangzhou
        allow tcp 80 from 0.0.0.0/0, priority 1
        deny tcp 22-23 from 203.0.113.0/24, source ports 1000-2000, own address in 10.0.0.0/24, priority 90
        allow icmpv6 to ::/0, priority 7
        allow udp 53 from group sg-db (db), priority 1
    "#]],
    );
    check_clone(
        &clone_of(None, Some("cn-beijing")),
        expect![[r#"
        vpc-2 in cn-beijing
        allow tcp 80 from 0.0.0.0/0, priority 1
        deny tcp 22-23 from 203.0.113.0/24, source ports 1000-2000, own address in 10.0.0.0/24, priority 90
        allow icmpv6 to ::/0, priority 7
        not allow udp 53 from group sg-db (db), priority 1: it names a security group, which does not carry over to another region"#]],
    );
    check_clone(
        &clone_of(Some("vpc-2"), Some("cn-hangzhou")),
        expect![
            "error: `vpc-2` is in region `cn-beijing`, not in `cn-hangzhou`; name a VPC of that region, or no region"
        ],
    );
    check_clone(
        &clone_of(Some("vpc-9"), None),
        expect!["error: no VPC `vpc-9` of the group's owner; list them with DescribeVpcs"],
    );
    check_clone(
        &clone_of(None, Some("us-east-1")),
        expect!["error: region `us-east-1` has 0 VPCs of the group's owner; name one of them as the VPC"],
    );
}
