//! The controls of VPCs and network ACLs.

use std::sync::Arc;

use sekimori_core::{
    change::Change,
    flow_log::{FlowLog, FlowLogConfig, LogDestinationKind, LoggedTraffic},
    network_acl::{AclEntry, NetworkAcl},
    resource::Resource,
    rule::{Action, Direction, Peer, PortRange, Protocol, RuleSpec, Service},
    time::Timestamp,
};

use super::*;

fn logged(text: &str, resource: Resource, traffic: LoggedTraffic) -> World {
    let mut world = fixture::world(text);
    let config = FlowLogConfig {
        traffic,
        destination_kind: LogDestinationKind::CloudWatchLogs,
        destination: String::new(),
        log_group: "log".to_owned(),
        role: String::new(),
        cross_account_role: String::new(),
        format: String::new(),
        interval_s: 600,
        files: None,
        addresses: Default::default(),
        paths: Vec::new(),
    };
    world.apply(&Change::PutFlowLog(Arc::new(FlowLog {
        id: "fl-1".into(),
        account: fixture::ACCOUNT.into(),
        region: "cn-hangzhou".to_owned(),
        resource,
        config,
        name: String::new(),
        description: String::new(),
        resource_group: String::new(),
        active_since: Some(Timestamp(0)),
        tags: Default::default(),
        created_at: Timestamp(0),
    })));
    world
}

#[test]
fn ec2_6_refused_traffic_is_logged() {
    const TEXT: &str = "ec2\nsg web ec2\neni a 10.0.0.1 in web";
    let told = |world: &World| {
        let of = |mode| told_of(world, "EC2.6", mode, &[]);
        [of(Mode::Literal), of(Mode::Semantic)]
    };
    // There is nobody in the second VPC whose traffic could be logged.
    assert_eq!(told(&fixture::world(TEXT)), ["vpc-1: -, vpc-2: -", "vpc-1: -"]);
    let vpc = || Resource::Vpc("vpc-1".into());
    assert_eq!(told(&logged(TEXT, vpc(), LoggedTraffic::Rejected)), ["vpc-2: -", "pass"]);
    assert_eq!(told(&logged(TEXT, vpc(), LoggedTraffic::All)), ["vpc-2: -", "pass"]);
    assert_eq!(told(&logged(TEXT, vpc(), LoggedTraffic::Accepted)), ["vpc-1: -, vpc-2: -", "vpc-1: -"]);
    // Logs of every subnet have the same records.
    for resource in [Resource::Subnet("vsw-1".into()), Resource::Eni("eni-a".into())] {
        assert_eq!(told(&logged(TEXT, resource, LoggedTraffic::All)), ["vpc-1: -, vpc-2: -", "pass"]);
    }
}

/// `100 allow tcp 22 0.0.0.0/0`
fn entry(text: &str) -> AclEntry {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [number, action, protocol, ports, block] = words[..] else { panic!("not an entry: {text}") };
    let range = |ports: &str| {
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        PortRange::new(first.parse().unwrap(), last.parse().unwrap()).unwrap()
    };
    let spec = RuleSpec::plain(
        Direction::Ingress,
        if action == "allow" { Action::Allow } else { Action::Deny },
        match protocol {
            "all" => (Protocol::Any, Service::Any),
            "tcp" => (Protocol::TCP, Service::Ports(range(ports))),
            _ => (Protocol::UDP, Service::Ports(range(ports))),
        },
        Peer::Cidr(block.parse().unwrap()),
    );
    AclEntry { number: number.parse().unwrap(), spec }
}

/// An EC2 world with one network ACL.
pub(super) fn with_acl(entries: &[&str]) -> World {
    let mut world = fixture::world("ec2");
    let mut acl = NetworkAcl {
        id: "acl-1".into(),
        account: fixture::ACCOUNT.into(),
        vpc: "vpc-1".into(),
        is_default: false,
        entries: Vec::new(),
        tags: Default::default(),
        created_at: Timestamp(0),
    };
    entries.iter().for_each(|text| acl.put(entry(text)));
    world.apply(&Change::PutNetworkAcl(Arc::new(acl)));
    world
}

#[test]
fn ec2_21_network_acls() {
    let check = |entries: &[&str], literal: &str, semantic: &str| {
        let world = with_acl(entries);
        assert_eq!(told_of(&world, "EC2.21", Mode::Literal, &[]), literal, "literal: {entries:?}");
        assert_eq!(told_of(&world, "EC2.21", Mode::Semantic, &[]), semantic, "semantic: {entries:?}");
    };
    check(&["100 allow tcp 443 0.0.0.0/0"], "pass", "pass");
    check(&["100 allow udp 22 0.0.0.0/0"], "pass", "pass");
    check(&["100 allow all - 0.0.0.0/0"], "acl-1: 100", "acl-1: 100");
    check(&["100 allow tcp 3000-4000 ::/0"], "acl-1: 100", "acl-1: 100");
    check(&["90 deny tcp 22 0.0.0.0/0", "100 allow tcp 22 0.0.0.0/0"], "pass", "pass");
    check(&["100 allow tcp 22 0.0.0.0/0", "110 deny tcp 22 0.0.0.0/0"], "acl-1: 100", "acl-1: 100");
    // Halves, of what is allowed and of what is denied.
    check(&["100 allow tcp 22 0.0.0.0/1", "101 allow tcp 22 128.0.0.0/1"], "pass", "acl-1: 100 101");
    let masked = ["90 deny all - 0.0.0.0/1", "91 deny all - 128.0.0.0/1", "100 allow tcp 22 0.0.0.0/0"];
    check(&masked, "acl-1: 100", "pass");
}
