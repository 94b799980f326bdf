//! Replies as the clouds' tools print them, and the worlds that come of them.

use expect_test::{Expect, expect};

use sekimori_core::{
    limits::LimitMode,
    platform,
    ways::{Route, Ways},
    world::World,
};

use super::*;
use crate::{comply, text, who, why};

fn file(name: &str, text: &str) -> File {
    File { name: name.to_owned(), text: text.to_owned() }
}

/// A world in lines, and the notes.
fn shown(files: &[File]) -> String {
    let account = match read(files) {
        Ok(account) => account,
        Err(error) => return format!("error: {error}"),
    };
    let mut world = World::default();
    account.changes.iter().for_each(|change| world.apply(change));
    let mut lines = Vec::new();
    for vpc in world.vpcs() {
        let blocks: Vec<String> = platform::blocks(Some(vpc)).map(|block| block.to_string()).collect();
        lines.push(format!("{} {} of {}", vpc.id, blocks.join(" "), vpc.account));
        lines.extend(vpc.ways.iter().flat_map(|ways| told(ways)));
    }
    for group in world.groups() {
        lines.push(format!("{} {:?} {:?} in {} of {}", group.id, group.flavor, group.name, group.vpc, group.account));
        for rule in group.rules.values() {
            lines.push(format!("  {} {}: {}", rule.id, rule.spec.direction, text::rule(&world, group.flavor, rule)));
        }
    }
    for eni in world.enis() {
        let addresses: Vec<String> = eni.addresses.iter().map(ToString::to_string).collect();
        let groups: Vec<&str> = eni.groups.iter().map(GroupId::as_str).collect();
        let of = eni.instance.as_ref().map_or("nobody", |instance| instance.as_str());
        lines.push(format!("{} of {of}: {} in {}", eni.id, addresses.join(" "), groups.join(" ")));
    }
    lines.extend(account.notes.iter().map(|note| format!("note: {note}")));
    lines.join("\n")
}

fn told(ways: &Ways) -> Vec<String> {
    let mut lines = Vec::new();
    for (subnet, table) in &ways.tables {
        let route = |route: &Route| format!("{} to {} ({:?})", route.to, route.target.name, route.target.kind);
        let routes: Vec<String> = table.routes.iter().map(route).collect();
        lines.push(format!("  {subnet} by {}: {}", table.id, routes.join(", ")));
        lines.extend(
            table.unplaced.iter().map(|target| format!("  {subnet} by {}: somewhere to {}", table.id, target.name)),
        );
    }
    for (eni, publics) in &ways.publics {
        let publics: Vec<String> = publics.iter().map(|(own, public)| format!("{own} is {public}")).collect();
        lines.push(format!(
            "  {eni}: {}",
            if publics.is_empty() { "nothing public".to_owned() } else { publics.join(", ") }
        ));
    }
    lines
}

fn check(files: &[File], expected: Expect) {
    expected.assert_eq(&shown(files));
}

const EC2_GROUPS: &str = r#"{"SecurityGroups": [
    {"GroupId": "sg-1", "GroupName": "web", "OwnerId": "123456789012", "VpcId": "vpc-1", "Description": "web",
     "Tags": [{"Key": "aws:cloudformation:stack-name", "Value": "s"}],
     "IpPermissions": [
        {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 444, "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "all"}],
         "Ipv6Ranges": [{"CidrIpv6": "::/0"}], "PrefixListIds": [{"PrefixListId": "pl-1"}], "UserIdGroupPairs": []},
        {"IpProtocol": "icmp", "FromPort": 8, "ToPort": -1, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]},
        {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-9", "UserId": "123456789012"}]}],
     "IpPermissionsEgress": [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]}]}"#;

const EC2_INSTANCES: &str = r#"{"Reservations": [{"OwnerId": "123456789012", "Instances": [
    {"InstanceId": "i-1", "VpcId": "vpc-1", "SubnetId": "subnet-1", "State": {"Name": "running"},
     "NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "VpcId": "vpc-1", "SubnetId": "subnet-1", "PrivateIpAddress": "10.0.0.4",
        "PrivateIpAddresses": [{"PrivateIpAddress": "10.0.0.4"}, {"PrivateIpAddress": "10.0.0.5"}],
        "Ipv6Addresses": [{"Ipv6Address": "2600::4"}], "Groups": [{"GroupId": "sg-1"}, {"GroupId": "sg-2"}],
        "SourceDestCheck": true, "MacAddress": "02:00:00:00:00:04", "Attachment": {"DeviceIndex": 0}}]},
    {"InstanceId": "i-2", "State": {"Name": "terminated"}}]}]}"#;

#[test]
fn what_amazons_tools_print_is_read_and_gaps_are_told() {
    let vpcs = r#"{"Vpcs": [{"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/16", "OwnerId": "123456789012",
        "CidrBlockAssociationSet": [{"CidrBlock": "10.0.0.0/16"}, {"CidrBlock": "10.1.0.0/16"}],
        "Ipv6CidrBlockAssociationSet": [{"Ipv6CidrBlock": "2600::/56"}]}]}
        {"DhcpOptions": []}"#;
    let entries = r#"{"Entries": [{"Cidr": "192.0.2.0/24", "Description": "office"}]}"#;
    let files = [file("g.json", EC2_GROUPS), file("i.json", EC2_INSTANCES), file("v.json", vpcs)];
    check(
        &[files.as_slice(), &[file("lists/pl-1.json", entries)]].concat(),
        expect![[r#"
            vpc-1 10.0.0.0/16 2600::/56 10.1.0.0/16 of 123456789012
            sg-1 Ec2 "web" in vpc-1 of 123456789012
              sg-1/egress/1 egress: allow all to 0.0.0.0/0
              sg-1/ingress/1 ingress: allow tcp 443-444 from 0.0.0.0/0
              sg-1/ingress/2 ingress: allow tcp 443-444 from ::/0
              sg-1/ingress/3 ingress: allow tcp 443-444 from prefix list pl-1
              sg-1/ingress/4 ingress: allow icmp type 8 from 10.0.0.0/8
              sg-1/ingress/5 ingress: allow all from group sg-9
            sg-2 Ec2 "" in vpc-1 of 123456789012
            eni-1 of i-1: 10.0.0.4 10.0.0.5 2600::4 in sg-1 sg-2
            note: `sg-2` is not described, so it is taken as a group without rules; `eni-1` carries it
            note: `sg-9` is named by rules and not described; such rules are taken as matching nobody
            note: `subnet-1` is not described; its block is taken as 10.0.0.4/31
            note: `v.json`: nothing is made of `DhcpOptions`
            note: routes of `vpc-1` are not described, so routes and public addresses are not looked at; give describe-route-tables"#]],
    );
    let nameless = shown(&[files.as_slice(), &[file("list.json", entries)]].concat());
    assert!(nameless.contains("does not say which prefix list") && nameless.contains("`pl-0123456789abcdef0.json`"));
}

#[test]
fn rules_with_names_of_their_own_count_whatever_comes_first() {
    let rules = r#"{"SecurityGroupRules": [
        {"SecurityGroupRuleId": "sgr-1", "GroupId": "sg-1", "GroupOwnerId": "123456789012", "IsEgress": false, "IpProtocol": "tcp",
         "FromPort": 22, "ToPort": 22, "CidrIpv4": "192.0.2.0/24"},
        {"SecurityGroupRuleId": "sgr-2", "GroupId": "sg-1", "GroupOwnerId": "123456789012", "IsEgress": true, "IpProtocol": "-1",
         "FromPort": -1, "ToPort": -1, "ReferencedGroupInfo": {"GroupId": "sg-1", "UserId": "123456789012"}}]}"#;
    let expected = expect![[r#"
        vpc-1 127.255.255.255/32 of 123456789012
        sg-1 Ec2 "web" in vpc-1 of 123456789012
          sgr-1 ingress: allow tcp 22 from 192.0.2.0/24
          sgr-2 egress: allow all to group sg-1 (web)
        note: `vpc-1` is not described; its block is taken as 127.255.255.255/32, and what is beyond as outside"#]];
    expected.assert_eq(&shown(&[file("rules.json", rules), file("groups.json", EC2_GROUPS)]));
    expected.assert_eq(&shown(&[file("groups.json", EC2_GROUPS), file("rules.json", rules)]));
}

const ECS_GROUPS: &str = r#"{"TotalCount": 2, "SecurityGroups": {"SecurityGroup": [
    {"SecurityGroupId": "sg-1", "SecurityGroupName": "web", "VpcId": "vpc-1", "SecurityGroupType": "normal",
     "Tags": {"Tag": [{"TagKey": "env", "TagValue": "prod"}]}}]}}"#;

const ECS_RULES: &str = r#"{"SecurityGroupId": "sg-1", "VpcId": "vpc-1", "RegionId": "cn-hangzhou", "InnerAccessPolicy": "Drop",
    "Permissions": {"Permission": [
    {"SecurityGroupRuleId": "sgr-1", "Direction": "ingress", "IpProtocol": "TCP", "PortRange": "80/80", "SourceCidrIp": "0.0.0.0/0",
     "Policy": "Accept", "Priority": "1", "NicType": "intranet", "Description": ""},
    {"SecurityGroupRuleId": "sgr-2", "Direction": "egress", "IpProtocol": "ALL", "PortRange": "-1/-1", "DestGroupId": "sg-1",
     "Policy": "Drop", "Priority": 2},
    {"SecurityGroupRuleId": "sgr-3", "Direction": "ingress", "IpProtocol": "ALL", "PortRange": "-1/-1", "SourceCidrIp": "100.64.0.0/10",
     "Policy": "Accept", "Priority": 110}]}}"#;

#[test]
fn what_alibaba_clouds_tools_print_is_read_and_gaps_are_told() {
    let instances = r#"{"Instances": {"Instance": [{"InstanceId": "i-1", "Status": "Running",
        "VpcAttributes": {"VpcId": "vpc-1", "VSwitchId": "vsw-1"}, "SecurityGroupIds": {"SecurityGroupId": ["sg-1"]},
        "NetworkInterfaces": {"NetworkInterface": [{"NetworkInterfaceId": "eni-1", "PrimaryIpAddress": "10.0.0.1", "Type": "Primary",
            "PrivateIpSets": {"PrivateIpSet": [{"PrivateIpAddress": "10.0.0.1", "Primary": true}]},
            "Ipv6Sets": {"Ipv6Set": [{"Ipv6Address": "2408::1"}]}}]}}]}}"#;
    let network = r#"{"Vpcs": {"Vpc": [{"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/8", "OwnerId": 1234567890123456, "RegionId": "cn-hangzhou"}]}}
        {"VSwitches": {"VSwitch": [{"VSwitchId": "vsw-1", "VpcId": "vpc-1", "CidrBlock": "10.0.0.0/24", "ZoneId": "cn-hangzhou-b"}]}}"#;
    let files =
        [file("g.json", ECS_GROUPS), file("r.json", ECS_RULES), file("n.json", network), file("i.json", instances)];
    check(
        &files,
        expect![[r#"
            vpc-1 10.0.0.0/8 of 1234567890123456
            sg-1 EcsBasic "web" in vpc-1 of 1234567890123456
              sgr-1 ingress: allow tcp 80 from 0.0.0.0/0, priority 1
              sgr-2 egress: deny all to group sg-1 (web), priority 2
            eni-1 of i-1: 10.0.0.1 2408::1 in sg-1
            note: 1 of 2 SecurityGroups are described; give all pages
            note: `sg-1`: a rule of the system, of priority 110, is left out
            note: public addresses in `vpc-1` are not described, so they are not looked at; give DescribeEipAddresses"#]],
    );
}

#[test]
fn exported_rules_belong_to_the_group_that_their_file_is_called_after() {
    let csv =
        "Direction,Policy,Priority,IpProtocol,PortRange,SourceCidrIp\ningress,Accept,1,TCP,22/22,192.0.2.0/24\n";
    let json = r#"[{"Direction": "ingress", "Policy": "Accept", "Priority": 5, "IpProtocol": "TCP", "PortRange": "443/443", "SourceCidrIp": "0.0.0.0/0"}]"#;
    let expected = expect![[r#"
        vpc-1 127.255.255.255/32 of 0000000000000000
        sg-1 EcsBasic "web" in vpc-1 of 0000000000000000
          sg-1/ingress/1 ingress: allow tcp 22 from 192.0.2.0/24, priority 1
        note: 1 of 2 SecurityGroups are described; give all pages
        note: `vpc-1` is not described; its block is taken as 127.255.255.255/32, and what is beyond as outside"#]];
    expected.assert_eq(&shown(&[file("g.json", ECS_GROUPS), file("export/sg-1.csv", csv)]));
    let of_json = shown(&[file("g.json", ECS_GROUPS), file("sg-1.json", json)]);
    assert!(of_json.contains("allow tcp 443 from 0.0.0.0/0, priority 5"), "{of_json}");
    assert!(shown(&[file("rules.csv", csv)]).contains("does not say which security group"));
    assert!(shown(&[file("sg-1.csv", csv)]).contains("no VPC of it"), "a group needs to be described");
}

#[test]
fn a_list_without_entries_is_the_one_that_its_file_is_called_after() {
    let empty = r#"{"Entries": []}"#;
    let told = |name: &str| {
        let mut world = World::default();
        let account = read(&[file("g.json", EC2_GROUPS), file(name, empty)]).unwrap();
        account.changes.iter().for_each(|change| world.apply(change));
        let ports = world.port_lists().map(|list| list.id.to_string());
        world.prefix_lists().map(|list| list.id.to_string()).chain(ports).collect::<Vec<_>>()
    };
    assert_eq!((told("lists/pl-1.json"), told("prl-1.json")), (vec!["pl-1".to_owned()], vec!["prl-1".to_owned()]));
    assert_eq!(told("list.json"), Vec::<String>::new());
    assert!(shown(&[file("g.json", EC2_GROUPS), file("list.json", empty)]).contains("nothing is made of `Entries`"));
}

#[test]
fn what_means_nothing_is_named() {
    for (name, text, reason) in [
        ("a.json", "{", "EOF while parsing"),
        ("a.json", r#"{"Vpcs": [{"VpcId": "vpc-1"}]}"#, "`vpc-1` has no CidrBlock"),
        ("a.json", r#"{"Vpcs": [{"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/99"}]}"#, "`CidrBlock` is `10.0.0.0/99`"),
        ("a.json", r#"{"SecurityGroups": [{"GroupId": "sg-1"}]}"#, "`VpcId` is missing in"),
        ("a.json", r#"{"Reservations": 7}"#, "the files describe no security group"),
        ("a.json", "[]", "does not say which security group"),
        ("sg-1.json", "[7]", "`7` is not a rule"),
        ("sg-1.csv", "a,b\n", "names no column `Direction`"),
        ("sg-1.json", r#"[{"Direction": "sideways"}]"#, "rule 1 of `sg-1`: direction `sideways`"),
    ] {
        let told = shown(&[file(name, text)]);
        assert!(told.starts_with("error: ") && told.contains(reason), "{text}: {told}");
    }
    assert_eq!(read(&[]).unwrap_err(), AccountError::Nothing);
}

#[test]
fn peerings_lists_and_network_acls_are_taken_over() {
    let peering = r#"{"VpcPeeringConnections": [{"VpcPeeringConnectionId": "pcx-1", "Status": {"Code": "active"},
        "RequesterVpcInfo": {"VpcId": "vpc-1", "OwnerId": "123456789012", "CidrBlock": "10.0.0.0/16"},
        "AccepterVpcInfo": {"VpcId": "vpc-2", "OwnerId": "210987654321", "CidrBlock": "10.2.0.0/16"}}]}"#;
    let acls = r#"{"NetworkAcls": [{"NetworkAclId": "acl-1", "VpcId": "vpc-1", "IsDefault": true, "OwnerId": "123456789012",
        "Associations": [{"SubnetId": "subnet-1"}], "Entries": [
        {"RuleNumber": 90, "Protocol": "6", "RuleAction": "deny", "Egress": false, "CidrBlock": "0.0.0.0/0", "PortRange": {"From": 22, "To": 22}},
        {"RuleNumber": 100, "Protocol": "-1", "RuleAction": "allow", "Egress": false, "CidrBlock": "0.0.0.0/0"},
        {"RuleNumber": 32767, "Protocol": "-1", "RuleAction": "deny", "Egress": false, "CidrBlock": "0.0.0.0/0"}]}]}"#;
    let lists = r#"{"PrefixLists": [{"PrefixListId": "pl-1", "PrefixListName": "s3", "Cidrs": ["52.0.0.0/15"]}]}"#;
    let files = [
        file("g.json", EC2_GROUPS),
        file("i.json", EC2_INSTANCES),
        file("p.json", peering),
        file("a.json", acls),
        file("l.json", lists),
    ];
    let mut world = World::default();
    read(&files).unwrap().changes.iter().for_each(|change| world.apply(change));
    assert!(world.are_joined(&"vpc-1".into(), &"vpc-2".into()));
    assert_eq!(world.vpc(&"vpc-2".into()).unwrap().cidr.to_string(), "10.2.0.0/16");
    assert_eq!(world.prefix_list(&"pl-1".into()).unwrap().entries.len(), 1);
    assert!(world.is_guarded(&"subnet-1".into()));
    let (_, acl) = world.acl_of(&"subnet-1".into()).unwrap();
    let entries: Vec<String> = acl
        .entries
        .iter()
        .map(|entry| {
            format!("{} {}", entry.number, text::spec(&world, sekimori_core::world::Flavor::Ec2, &entry.spec))
        })
        .collect();
    assert_eq!(entries, ["90 deny tcp 22 from 0.0.0.0/0", "100 allow all from 0.0.0.0/0"]);
}

const EC2_WAYS: &str = r#"
    {"Vpcs": [{"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/16", "OwnerId": "123456789012",
        "CidrBlockAssociationSet": [
            {"CidrBlock": "10.0.0.0/16", "CidrBlockState": {"State": "associated"}},
            {"CidrBlock": "10.1.0.0/16", "CidrBlockState": {"State": "associated"}},
            {"CidrBlock": "10.2.0.0/16", "CidrBlockState": {"State": "disassociated"}}],
        "Ipv6CidrBlockAssociationSet": [
            {"Ipv6CidrBlock": "2600:1::/56", "Ipv6CidrBlockState": {"State": "failed"}},
            {"Ipv6CidrBlock": "2600::/56", "Ipv6CidrBlockState": {"State": "associated"}}]}]}
    {"Subnets": [
        {"SubnetId": "subnet-open", "VpcId": "vpc-1", "CidrBlock": "10.0.0.0/24", "AvailabilityZone": "eu-west-1a"},
        {"SubnetId": "subnet-nat", "VpcId": "vpc-1", "CidrBlock": "10.0.1.0/24"},
        {"SubnetId": "subnet-none", "VpcId": "vpc-1", "CidrBlock": "10.1.0.0/24"}]}
    {"InternetGateways": [{"InternetGatewayId": "igw-1", "Attachments": [{"State": "available", "VpcId": "vpc-1"}]}]}
    {"EgressOnlyInternetGateways": [
        {"EgressOnlyInternetGatewayId": "eigw-1", "Attachments": [{"State": "attached", "VpcId": "vpc-1"}]}]}
    {"NatGateways": [{"NatGatewayId": "nat-1", "VpcId": "vpc-1", "SubnetId": "subnet-open", "State": "available",
        "ConnectivityType": "public"}]}
    {"PrefixLists": [{"PrefixListId": "pl-s3", "PrefixListName": "s3", "Cidrs": ["52.216.0.0/15"]}]}
    {"RouteTables": [
        {"RouteTableId": "rtb-open", "VpcId": "vpc-1", "Associations": [
            {"Main": false, "SubnetId": "subnet-open", "AssociationState": {"State": "associated"}}],
         "Routes": [
            {"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local", "State": "active", "Origin": "CreateRouteTable"},
            {"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-1", "State": "active", "Origin": "CreateRoute"},
            {"DestinationIpv6CidrBlock": "::/0", "GatewayId": "igw-1", "State": "active"},
            {"DestinationCidrBlock": "192.168.0.0/16", "TransitGatewayId": "tgw-1", "State": "active"},
            {"DestinationCidrBlock": "198.51.100.0/24", "VpcPeeringConnectionId": "pcx-9", "State": "blackhole"}]},
        {"RouteTableId": "rtb-nat", "VpcId": "vpc-1", "Associations": [{"Main": false, "SubnetId": "subnet-nat"}],
         "Routes": [
            {"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1", "State": "active"},
            {"DestinationIpv6CidrBlock": "::/0", "EgressOnlyInternetGatewayId": "eigw-1", "State": "active"}]},
        {"RouteTableId": "rtb-main", "VpcId": "vpc-1", "Associations": [{"Main": true}],
         "Routes": [{"DestinationPrefixListId": "pl-s3", "GatewayId": "vpce-1", "State": "active"}]}]}
    {"SecurityGroups": [{"GroupId": "sg-1", "GroupName": "all", "OwnerId": "123456789012", "VpcId": "vpc-1",
        "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443,
            "IpRanges": [{"CidrIp": "0.0.0.0/0"}], "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}],
        "IpPermissionsEgress": [{"IpProtocol": "-1",
            "IpRanges": [{"CidrIp": "0.0.0.0/0"}], "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}]}]}
    {"NetworkInterfaces": [
        {"NetworkInterfaceId": "eni-public", "VpcId": "vpc-1", "SubnetId": "subnet-open", "PrivateIpAddress": "10.0.0.4",
         "Association": {"PublicIp": "198.51.100.4"}, "Ipv6Addresses": [{"Ipv6Address": "2600::4"}],
         "PrivateIpAddresses": [{"PrivateIpAddress": "10.0.0.4", "Association": {"PublicIp": "198.51.100.4"}},
            {"PrivateIpAddress": "10.0.0.6"}], "Groups": [{"GroupId": "sg-1"}]},
        {"NetworkInterfaceId": "eni-elastic", "VpcId": "vpc-1", "SubnetId": "subnet-open", "PrivateIpAddress": "10.0.0.5",
         "Groups": [{"GroupId": "sg-1"}]},
        {"NetworkInterfaceId": "eni-nat", "VpcId": "vpc-1", "SubnetId": "subnet-nat", "PrivateIpAddress": "10.0.1.4",
         "Ipv6Addresses": [{"Ipv6Address": "2600::1:4"}], "Groups": [{"GroupId": "sg-1"}]},
        {"NetworkInterfaceId": "eni-none", "VpcId": "vpc-1", "SubnetId": "subnet-none", "PrivateIpAddress": "10.1.0.4",
         "Association": {"PublicIp": "198.51.100.9"}, "Groups": [{"GroupId": "sg-1"}]}]}
    {"Addresses": [{"PublicIp": "198.51.100.5", "AllocationId": "eipalloc-1", "NetworkInterfaceId": "eni-elastic",
        "PrivateIpAddress": "10.0.0.5", "Domain": "vpc"}, {"PublicIp": "198.51.100.6", "AllocationId": "eipalloc-2"}]}"#;

fn world_of(text: &str) -> World {
    let mut world = World::default();
    read(&[file("account.json", text)]).unwrap().changes.iter().for_each(|change| world.apply(change));
    world
}

#[test]
fn blocks_routes_and_public_addresses_of_ec2_are_taken_over() {
    check(
        &[file("account.json", EC2_WAYS)],
        expect![[r#"
        vpc-1 10.0.0.0/16 2600::/56 10.1.0.0/16 of 123456789012
          subnet-nat by rtb-nat: 0.0.0.0/0 to nat-1 (Outgoing { from: Some(subnet-open) }), ::/0 to eigw-1 (Outgoing { from: None })
          subnet-none by rtb-main: 52.216.0.0/15 to vpce-1 (Outgoing { from: None })
          subnet-open by rtb-open: 0.0.0.0/0 to igw-1 (Internet), ::/0 to igw-1 (Internet), 192.168.0.0/16 to tgw-1 (Elsewhere), 198.51.100.0/24 to pcx-9 (Blackhole)
          eni-elastic: 10.0.0.5 is 198.51.100.5
          eni-nat: nothing public
          eni-none: 10.1.0.4 is 198.51.100.9
          eni-public: 10.0.0.4 is 198.51.100.4
        sg-1 Ec2 "all" in vpc-1 of 123456789012
          sg-1/egress/1 egress: allow all to 0.0.0.0/0
          sg-1/egress/2 egress: allow all to ::/0
          sg-1/ingress/1 ingress: allow tcp 443 from 0.0.0.0/0
          sg-1/ingress/2 ingress: allow tcp 443 from ::/0
        eni-elastic of nobody: 10.0.0.5 in sg-1
        eni-nat of nobody: 10.0.1.4 2600::1:4 in sg-1
        eni-none of nobody: 10.1.0.4 in sg-1
        eni-public of nobody: 10.0.0.4 10.0.0.6 2600::4 in sg-1
        note: `vpc-1`: routes and public addresses decide who is outside and reaches what; what load balancers and accelerators pass on is not looked at"#]],
    );
    let unknown = EC2_WAYS.replace(r#""Cidrs": ["52.216.0.0/15"]"#, r#""OwnerId": "AWS""#);
    assert!(shown(&[file("a.json", &unknown)]).contains("subnet-none by rtb-main: somewhere to vpce-1"));
    let detached = EC2_WAYS
        .replace(r#""State": "available", "VpcId": "vpc-1"}]}]}"#, r#""State": "detached", "VpcId": "vpc-1"}]}]}"#);
    assert!(shown(&[file("a.json", &detached)]).contains("`igw-1` is not attached to `vpc-1`"));
}

#[test]
fn one_page_of_any_list_is_told_as_one() {
    let vpcs = file("v.json", r#"{"Vpcs": [{"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/16"}]}"#);
    for list in ["RouteTables", "NatGateways", "Addresses", "Subnets"] {
        let page = file("page.json", &format!(r#"{{"{list}": [], "NextToken": "more"}}"#));
        let account = read(&[vpcs.clone(), page]).unwrap();
        let is_told = |note: &String| note == "`page.json` is one page of several: it ends with a NextToken";
        assert!(account.notes.iter().any(is_told), "{list}: {:?}", account.notes);
    }
}

#[test]
fn the_internet_reaches_what_has_an_address_and_a_route() {
    let world = world_of(EC2_WAYS);
    let question = |from: Option<&str>, to: Option<&str>| who::Question {
        from: from.map(str::to_owned),
        to: to.map(str::to_owned),
        vpc: None,
    };
    let lines = |report: who::Report| {
        let line = |exposure: &who::Exposure| {
            format!(
                "{} {} {}",
                exposure.direction,
                exposure.interfaces.addresses.join(" "),
                exposure.addresses.join(" ")
            )
        };
        report.outside.iter().map(line).chain(report.notes.clone()).collect::<Vec<_>>().join("\n")
    };
    expect![[r#"
        ingress 10.0.0.4 10.0.0.5 0.0.0.0-9.255.255.255 10.2.0.0-169.253.255.255 169.255.0.0-198.51.99.255 198.51.101.0-255.255.255.255
        ingress 10.0.0.6 192.168.0.0/16
        ingress 2600::4 ::-25ff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 2600:0:0:100::-fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff fec0::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
        groups let it pass, but nothing leads there: eni-nat (10.0.1.4): no public address
        groups let it pass, but nothing leads there: eni-none (10.1.0.4): route table rtb-main of the subnet has no route to an internet gateway
        groups let it pass, but nothing leads there: eni-none (10.1.0.4): route table rtb-main of the subnet leads to vpce-1, by which no flow comes in
        groups let it pass, but nothing leads there: eni-nat (2600::1:4): route table rtb-nat of the subnet leads to eigw-1, by which no flow comes in
        what subnet-open leads to tgw-1 is not looked at beyond, and counts as passing"#]].assert_eq(&lines(who::ask(&world, &question(Some("internet"), None)).unwrap()));
    expect![[r#"
        egress 10.0.1.4 0.0.0.0-9.255.255.255 10.2.0.0-198.51.99.255 198.51.101.0-255.255.255.255
        egress 2600::1:4 ::-25ff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 2600:0:0:100::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"#]].assert_eq(&lines(who::ask(&world, &question(Some("eni-nat"), Some("internet"))).unwrap()));
    let why = |from: &str, to: &str| {
        let (from, to, service) = (from.to_owned(), to.to_owned(), "tcp/443".to_owned());
        let asked = why::Question { from, to, service, ..why::Question::default() };
        let told = why::explain(&world, &asked, why::Goal::Allow, LimitMode::Cloud).unwrap();
        let blockers: Vec<&str> = told.blockers.iter().map(|leg| leg.reason.as_str()).collect();
        format!("{}: {}; {}", told.report.allowed, blockers.join("; "), told.no_change.unwrap_or_default())
    };
    let all = [
        why("203.0.113.9", "eni-public"),
        why("203.0.113.9", "eni-none"),
        why("203.0.113.9", "eni-nat"),
        why("2a00::9", "eni-nat"),
        why("eni-nat", "2a00::9"),
        why("eni-nat", "203.0.113.9"),
        why("eni-elastic", "198.51.100.77"),
        why("192.168.7.7", "10.0.0.6"),
        why("eni-none", "eni-nat"),
        why("eni-none", "52.217.1.1"),
    ];
    expect![[r#"
        true: ; 
        false: route table rtb-main of the subnet has no route to an internet gateway; no rule helps where nothing leads: route table rtb-main of the subnet has no route to an internet gateway
        false: 10.0.1.4 has no public address; route table rtb-nat of the subnet leads to nat-1, by which no flow comes in; no rule helps where nothing leads: 10.0.1.4 has no public address
        false: route table rtb-nat of the subnet leads to eigw-1, by which no flow comes in; no rule helps where nothing leads: route table rtb-nat of the subnet leads to eigw-1, by which no flow comes in
        true: ; 
        true: ; 
        false: route table rtb-open of the subnet leads to pcx-9, which leads nowhere; no rule helps where nothing leads: route table rtb-open of the subnet leads to pcx-9, which leads nowhere
        true: ; 
        true: ; 
        true: ; "#]].assert_eq(&all.join("\n"));
}

const ECS_WAYS: &str = r#"
    {"Vpcs": {"Vpc": [{"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/8", "OwnerId": 1234567890123456, "Ipv6CidrBlock": "2408:1::/56",
        "SecondaryCidrBlocks": {"SecondaryCidrBlock": ["172.20.0.0/16"]},
        "Ipv6CidrBlocks": {"Ipv6CidrBlock": [{"Ipv6CidrBlock": "2408:1::/56"}, {"Ipv6CidrBlock": "2408:2::/56"}]}}]}}
    {"VSwitches": {"VSwitch": [
        {"VSwitchId": "vsw-1", "VpcId": "vpc-1", "CidrBlock": "10.0.0.0/24", "NetworkAclId": "nacl-1"},
        {"VSwitchId": "vsw-2", "VpcId": "vpc-1", "CidrBlock": "172.20.0.0/24"}]}}
    {"NetworkAcls": {"NetworkAcl": [{"NetworkAclId": "nacl-1", "VpcId": "vpc-1", "OwnerId": 1234567890123456, "Status": "Available",
        "IngressAclEntries": {"IngressAclEntry": [
            {"NetworkAclEntryId": "nae-1", "Policy": "accept", "Protocol": "tcp", "SourceCidrIp": "0.0.0.0/0", "Port": "443/443", "EntryType": "custom"},
            {"NetworkAclEntryId": "nae-2", "Policy": "drop", "Protocol": "all", "SourceCidrIp": "203.0.113.0/24", "Port": "-1/-1", "EntryType": "custom"},
            {"NetworkAclEntryId": "nae-3", "Policy": "accept", "Protocol": "all", "SourceCidrIp": "172.20.0.0/16", "Port": "-1/-1", "EntryType": "custom"}]},
        "EgressAclEntries": {"EgressAclEntry": [
            {"NetworkAclEntryId": "nae-4", "Policy": "accept", "Protocol": "tcp", "DestinationCidrIp": "0.0.0.0/0", "Port": "1024/65535", "EntryType": "custom"}]},
        "Resources": {"Resource": [{"ResourceId": "vsw-1", "ResourceType": "VSwitch", "Status": "BINDED"}]}}]}, "TotalCount": "1"}
    {"SecurityGroupId": "sg-1", "VpcId": "vpc-1", "InnerAccessPolicy": "Drop", "Permissions": {"Permission": [
        {"SecurityGroupRuleId": "sgr-1", "Direction": "ingress", "IpProtocol": "TCP", "PortRange": "1/65535", "SourceCidrIp": "0.0.0.0/0",
         "Policy": "Accept", "Priority": "1"}]}}
    {"Instances": {"Instance": [
        {"InstanceId": "i-1", "VpcAttributes": {"VpcId": "vpc-1", "VSwitchId": "vsw-1"}, "SecurityGroupIds": {"SecurityGroupId": ["sg-1"]},
         "PublicIpAddress": {"IpAddress": []}, "EipAddress": {"IpAddress": "47.1.1.1", "AllocationId": "eip-1"},
         "NetworkInterfaces": {"NetworkInterface": [{"NetworkInterfaceId": "eni-1", "PrimaryIpAddress": "10.0.0.1", "Type": "Primary"},
            {"NetworkInterfaceId": "eni-3", "PrimaryIpAddress": "172.20.0.3", "Type": "Secondary"}]}},
        {"InstanceId": "i-2", "VpcAttributes": {"VpcId": "vpc-1", "VSwitchId": "vsw-2"}, "SecurityGroupIds": {"SecurityGroupId": ["sg-1"]},
         "PublicIpAddress": {"IpAddress": []}, "EipAddress": {"IpAddress": "", "AllocationId": ""},
         "NetworkInterfaces": {"NetworkInterface": [{"NetworkInterfaceId": "eni-2", "PrimaryIpAddress": "172.20.0.2", "Type": "Primary"}]}}]}}
    {"EipAddresses": {"EipAddress": [
        {"IpAddress": "47.1.1.1", "AllocationId": "eip-1", "InstanceType": "EcsInstance", "InstanceId": "i-1", "Status": "InUse"},
        {"IpAddress": "47.1.1.3", "AllocationId": "eip-3", "InstanceType": "NetworkInterface", "InstanceId": "eni-3", "Status": "InUse"},
        {"IpAddress": "47.1.1.2", "AllocationId": "eip-2", "InstanceType": "Nat", "InstanceId": "ngw-1", "Status": "InUse"}]}, "TotalCount": 3}"#;

#[test]
fn blocks_acls_and_public_addresses_of_alibaba_cloud_are_taken_over() {
    check(
        &[file("account.json", ECS_WAYS)],
        expect![[r#"
        vpc-1 10.0.0.0/8 2408:1::/56 172.20.0.0/16 2408:2::/56 of 1234567890123456
          eni-1: 10.0.0.1 is 47.1.1.1
          eni-2: nothing public
          eni-3: 172.20.0.3 is 47.1.1.3
        sg-1 EcsBasic "" in vpc-1 of 1234567890123456
          sgr-1 ingress: allow tcp 1-65535 from 0.0.0.0/0, priority 1
        eni-1 of i-1: 10.0.0.1 in sg-1
        eni-2 of i-2: 172.20.0.2 in sg-1
        eni-3 of i-1: 172.20.0.3 in 
        note: 47.1.1.2 belongs to `ngw-1`, a Nat; what that passes on is not looked at
        note: `eni-3` has no group, so nothing is allowed there but what has no rule
        note: `vpc-1`: public addresses decide what the internet reaches; routes, IPv6 gateways, and what load balancers and NAT gateways pass on are not looked at"#]],
    );
    let world = world_of(ECS_WAYS);
    let why = |from: &str, to: &str, service: &str| {
        let (from, to, service) = (from.to_owned(), to.to_owned(), service.to_owned());
        let asked = why::Question { from, to, service, ..why::Question::default() };
        let told = why::explain(&world, &asked, why::Goal::Allow, LimitMode::Cloud).unwrap();
        let blockers: Vec<&str> = told.blockers.iter().map(|leg| leg.reason.as_str()).collect();
        format!("{}: {}; {}", told.report.allowed, blockers.join("; "), told.no_change.unwrap_or_default())
    };
    let all = [
        // By the first entry, whatever the second says.
        why("203.0.113.9", "i-1", "tcp/443"),
        why("203.0.113.9", "i-1", "tcp/80"),
        why("198.51.100.9", "i-1", "tcp/80"),
        why("172.20.0.2", "i-1", "tcp/80"),
        why("i-1", "100.100.2.136", "udp/53"),
        why("i-1", "198.51.100.9", "udp/53"),
        why("198.51.100.9", "i-2", "tcp/80"),
        why("192.168.0.9", "i-2", "tcp/80"),
    ];
    expect![[r#"
        true: ; 
        false: network ACL nacl-1 of the subnet: entry 2 denies it; network ACL nacl-1 of the subnet: no entry allows it; no rule, entry or policy that the account may change helps: ingress at eni-1: entry 2 of network ACL nacl-1
        false: network ACL nacl-1 of the subnet: no entry allows it; no rule, entry or policy that the account may change helps: ingress at eni-1: no entry of network ACL nacl-1
        true: ; 
        true: ; 
        false: network ACL nacl-1 of the subnet: no entry allows it; network ACL nacl-1 of the subnet: no entry allows it; no rule, entry or policy that the account may change helps: egress at eni-1: no entry of network ACL nacl-1
        false: 172.20.0.2 has no public address; no rule helps where nothing leads: 172.20.0.2 has no public address
        true: ; "#]].assert_eq(&all.join("\n"));
}

#[test]
fn what_nothing_leads_to_is_said_beside_a_finding() {
    let private = EC2_WAYS.replace(r#""Groups": [{"GroupId": "sg-1"}]}"#, r#""Groups": [{"GroupId": "sg-2"}]}"#);
    let private = private.replace(
        r#"10.0.1.4",
         "Ipv6Addresses": [{"Ipv6Address": "2600::1:4"}], "Groups": [{"GroupId": "sg-2"}]"#,
        r#"10.0.1.4", "Groups": [{"GroupId": "sg-1"}]"#,
    );
    let told = |text: &str| {
        let question =
            comply::Question { rules: vec!["EC2.18".to_owned()], mode: comply::Mode::Semantic, ..Default::default() };
        let report = comply::check(&world_of(text), &question).unwrap();
        (report.findings.len(), report.notes.join("; "))
    };
    assert_eq!(told(EC2_WAYS), (0, String::new()), "443 is authorized");
    let (open, shut) = (EC2_WAYS.replace("443", "22"), private.replace("443", "22"));
    assert_eq!(told(&open), (1, String::new()));
    expect!["sg-1 (all): none of the 1 interfaces that carry it is reached from the internet as things are: 10.0.1.4 has no public address"].assert_eq(&told(&shut).1);
}

#[test]
fn entries_and_routes_that_mean_nothing_are_named() {
    for (text, from, to, reason) in [
        (ECS_WAYS, r#""Policy": "drop""#, r#""Policy": "maybe""#, "policy `maybe`"),
        (ECS_WAYS, r#""Protocol": "tcp""#, r#""Protocol": "sctp""#, "`sctp` is no protocol of a network ACL"),
        (ECS_WAYS, r#""Port": "443/443""#, r#""Port": "443""#, "`443` is no range of ports of tcp"),
        (ECS_WAYS, r#""172.20.0.0/16"]"#, r#""172.20.0.0"]"#, "`172.20.0.0` is no block"),
        (EC2_WAYS, r#""DestinationCidrBlock": "192.168.0.0/16", "#, "", "a route of `rtb-open` names no destination"),
        (EC2_WAYS, r#""TransitGatewayId""#, r#""WormholeId""#, "names no target"),
        (EC2_WAYS, r#""PublicIp": "198.51.100.4""#, r#""PublicIp": "198.51.100""#, "`198.51.100` is no address"),
    ] {
        assert!(text.contains(from), "{from}");
        let told = shown(&[file("account.json", &text.replace(from, to))]);
        assert!(told.starts_with("error: ") && told.contains(reason), "{to}: {told}");
    }
}
