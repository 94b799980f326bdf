//! What real clients sent is believed, and understood as they meant it.

use expect_test::{Expect, expect};
use sekimori_cloud::ecs::{self, Call};
use sekimori_core::{ids::AccountId, time::Timestamp, world::World};

use crate::requests::{SECRET, all};

/// 2026-11-23T18:32:41Z: when the requests were recorded.
const THEN: Timestamp = Timestamp(1_795_458_761);

fn check(name: &str, expected: &Expect) {
    let recorded = all().into_iter().find(|recorded| recorded.name == name).unwrap();
    let call = Call::parse(&recorded.raw(), "R-1").unwrap();
    assert_eq!(call.key_id().as_str(), "LTAI5tSekimoriTest");
    call.verify(SECRET, THEN).unwrap();
    let operation = ecs::decode(&call, &World::default(), &AccountId::from("1234567890123456")).unwrap();
    expected.assert_eq(&format!("{operation:?}"));
}

#[test]
fn every_recorded_request_is_believed_with_its_secret_and_no_other() {
    for recorded in all() {
        let call = Call::parse(&recorded.raw(), "R-1").unwrap();
        assert_eq!(call.verify(SECRET, THEN), Ok(()), "{}", recorded.name);
        assert!(call.verify(b"another-secret", THEN).is_err(), "{}", recorded.name);
    }
}

#[test]
fn acs3_networks() {
    check(
        "acs3-create-vpc",
        &expect![[
            r#"Command(CreateVpc(NewVpc { account: 1234567890123456, region: "cn-hangzhou", name: "prod", description: "", cidr: 10.0.0.0/8, ipv6: Block(2001:db8:1:100::/56), resource_group: "", tags: Tags({}) }))"#
        ]],
    );
    check(
        "acs3-create-vswitch",
        &expect![[
            r#"Command(CreateSubnet(NewSubnet { account: 1234567890123456, vpc: vpc-1, zone: "cn-hangzhou-b", name: "db", description: "", cidr: 10.1.0.0/24, ipv6_index: Some(16), tags: Tags({}) }))"#
        ]],
    );
}

#[test]
fn acs3_groups_and_instances() {
    check(
        "acs3-create-security-group",
        &expect![[
            r#"Command(CreateGroup(NewGroup { account: 1234567890123456, vpc: vpc-1, flavor: EcsEnterprise, name: "web", description: "東京 *~+/=&", resource_group: "", tags: Tags({"env": "a b"}), managed_by: None }))"#
        ]],
    );
    check(
        "acs3-run-instances",
        &expect![[
            r#"Command(RunInstances(NewInstances { account: 1234567890123456, primary: EniSpec { subnet: vsw-1, groups: [sg-1, sg-2], primary: None, more: NewAddresses { ipv4: [], ipv4_count: 0, ipv6: [], ipv6_count: 1 }, name: "", description: "", timeouts: TimeoutChoice { tcp_established_s: None, tcp_closed_s: None, udp_s: None, udp_stream_s: None }, source_check: true, delete_on_release: true, resource_group: "", tags: Tags({}) }, secondary: [], attached: [], amount: 2, name: "db", description: "", image: "aliyun_3", instance_type: "ecs.g7.large", disk: SystemDisk { category: "cloud_essd", performance_level: "", size_gib: 40, name: "", description: "" }, resource_group: "", tags: Tags({}) }))"#
        ]],
    );
}

#[test]
fn acs3_rules() {
    check(
        "acs3-authorize-security-group",
        &expect![[
            r#"Command(Authorize { account: 1234567890123456, group: sg-1, rules: [NewRule { spec: RuleSpec { direction: Ingress, action: Allow, priority: 5, protocol: Number(6), service: Ports(PortRange { first: 443, last: 443 }), source_ports: None, peer: Cidr(10.159.6.18/12), local: None }, description: "https", tags: Tags({}) }, NewRule { spec: RuleSpec { direction: Ingress, action: Deny, priority: 1, protocol: Any, service: Any, source_ports: None, peer: Group { group: sg-2, account: 1234567890123456 }, local: None }, description: "", tags: Tags({}) }] })"#
        ]],
    );
    check(
        "acs3-revoke-security-group-by-id",
        &expect![
            "Command(Revoke { account: 1234567890123456, group: sg-1, direction: Ingress, rules: Ids([sgr-2, sgr-1]) })"
        ],
    );
}

#[test]
fn rpc_version_1_in_the_query() {
    check(
        "v1-authorize-security-group-egress",
        &expect![[
            r#"Command(Authorize { account: 1234567890123456, group: sg-1, rules: [NewRule { spec: RuleSpec { direction: Egress, action: Allow, priority: 1, protocol: Number(17), service: Ports(PortRange { first: 53, last: 53 }), source_ports: None, peer: Cidr(2001:db8::1), local: None }, description: "名前 *~ +/", tags: Tags({}) }] })"#
        ]],
    );
    check(
        "v1-authorize-permissions",
        &expect![[
            r#"Command(Authorize { account: 1234567890123456, group: sg-1, rules: [NewRule { spec: RuleSpec { direction: Egress, action: Allow, priority: 1, protocol: Number(6), service: Ports(PortRange { first: 1, last: 65535 }), source_ports: Some(PortRange { first: 1024, last: 65535 }), peer: Cidr(0.0.0.0/0), local: None }, description: "", tags: Tags({}) }] })"#
        ]],
    );
    check(
        "v1-describe-security-group-attribute",
        &expect![[
            r#"Query(Rules(RuleQuery { region: Some(Region { id: "cn-hangzhou", local_name: "China (Hangzhou)" }), group: sg-1, direction: Some(Ingress), page: All }))"#
        ]],
    );
    check(
        "v1-delete-instances",
        &expect!["Command(DeleteInstances { account: 1234567890123456, instances: [i-2, i-1], is_forced: true })"],
    );
}

#[test]
fn rpc_version_1_in_a_form() {
    check(
        "v1-form-authorize-security-group",
        &expect![[
            r#"Command(Authorize { account: 1234567890123456, group: sg-1, rules: [NewRule { spec: RuleSpec { direction: Ingress, action: Allow, priority: 1, protocol: Number(6), service: Ports(PortRange { first: 22, last: 22 }), source_ports: None, peer: Cidr(10.0.0.1), local: None }, description: "a b+c*~名", tags: Tags({}) }] })"#
        ]],
    );
}

#[test]
fn libcloud() {
    check(
        "libcloud-list-security-groups",
        &expect![[
            r#"Query(Groups(GroupQuery { region: Some(Region { id: "cn-hangzhou", local_name: "China (Hangzhou)" }), ids: None, name: None, vpc: Some(vpc-1), flavor: None, resource_group: None, tags: [], is_managed: None, counts: false, is_empty: false, page: Number { number: 1, size: 10 } }))"#
        ]],
    );
    check(
        "libcloud-list-nodes",
        &expect![[
            r#"Query(Instances(InstanceQuery { region: Some(Region { id: "cn-hangzhou", local_name: "China (Hangzhou)" }), ids: Some([i-1, i-2]), name: None, vpc: None, subnet: None, zone: None, group: None, image: None, instance_type: None, status: None, addresses: [], ipv6_addresses: [], resource_group: None, tags: [], is_empty: false, page: Number { number: 1, size: 10 } }))"#
        ]],
    );
}

#[test]
fn pop_core() {
    check(
        "node-pop-authorize-security-group",
        &expect![[
            r#"Command(Authorize { account: 1234567890123456, group: sg-1, rules: [NewRule { spec: RuleSpec { direction: Ingress, action: Allow, priority: 1, protocol: Number(6), service: Ports(PortRange { first: 22, last: 22 }), source_ports: None, peer: Cidr(10.0.0.1), local: None }, description: "a b+c*~名", tags: Tags({}) }] })"#
        ]],
    );
    check("node-pop-get-caller-identity", &expect!["Query(Caller)"]);
    check(
        "node-pop-tag-resources",
        &expect![[
            r#"Command(Tag { account: 1234567890123456, resources: [Group(sg-1), Group(sg-2)], tags: Tags({"env": "a b", "team": ""}) })"#
        ]],
    );
}

#[test]
fn node_acs3() {
    check(
        "node-acs3-authorize-security-group",
        &expect![[
            r#"Command(Once { ticket: Ticket { account: 1234567890123456, text: "t-1", request: "e03902e2dd85dbc170895468547a6dd31df90aed92204614e471790b0c577c1d" }, command: Authorize { account: 1234567890123456, group: sg-1, rules: [NewRule { spec: RuleSpec { direction: Ingress, action: Allow, priority: 5, protocol: Number(6), service: Ports(PortRange { first: 443, last: 443 }), source_ports: None, peer: Cidr(10.159.6.18/12), local: None }, description: "東京 *~+/=&", tags: Tags({}) }] } })"#
        ]],
    );
    check(
        "node-acs3-run-instances",
        &expect![[
            r#"Command(RunInstances(NewInstances { account: 1234567890123456, primary: EniSpec { subnet: vsw-1, groups: [sg-1, sg-2], primary: None, more: NewAddresses { ipv4: [], ipv4_count: 0, ipv6: [], ipv6_count: 0 }, name: "", description: "", timeouts: TimeoutChoice { tcp_established_s: None, tcp_closed_s: None, udp_s: None, udp_stream_s: None }, source_check: true, delete_on_release: true, resource_group: "", tags: Tags({}) }, secondary: [], attached: [], amount: 2, name: "db", description: "", image: "aliyun_3", instance_type: "ecs.g7.large", disk: SystemDisk { category: "cloud_essd", performance_level: "", size_gib: 40, name: "", description: "" }, resource_group: "", tags: Tags({"env": "prod"}) }))"#
        ]],
    );
    check(
        "node-acs3-describe-security-groups",
        &expect![[
            r#"Query(Groups(GroupQuery { region: Some(Region { id: "cn-hangzhou", local_name: "China (Hangzhou)" }), ids: Some([sg-1]), name: None, vpc: None, flavor: None, resource_group: None, tags: [TagFilter { key: "env", value: None }], is_managed: None, counts: false, is_empty: false, page: Token { results_max: 50, after: None, mark: Mark([82, 205, 30, 245, 211, 133, 172, 117, 65]) } }))"#
        ]],
    );
}

/// Without a VPC a group would be in the classic network, which the cloud has closed.
#[test]
fn libcloud_creates_groups_without_a_vpc() {
    let recorded = all().into_iter().find(|recorded| recorded.name == "libcloud-create-security-group").unwrap();
    let call = Call::parse(&recorded.raw(), "R-1").unwrap();
    let fault = ecs::decode(&call, &World::default(), &AccountId::from("1")).unwrap_err();
    let reply = String::from_utf8(call.fault(&fault).body).unwrap();
    assert!(reply.contains("<Error>") && reply.contains("<Code>InvalidVpcId.NotFound</Code>"), "{reply}");
}
