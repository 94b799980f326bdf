//! Replies as the clouds' tools print them, and the worlds that come of them.

use expect_test::{Expect, expect};

use sekimori_core::world::World;

use super::*;
use crate::text;

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
    lines.extend(world.vpcs().map(|vpc| format!("{} {} {:?} of {}", vpc.id, vpc.cidr, vpc.ipv6, vpc.account)));
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
        {"RouteTables": []}"#;
    let entries = r#"{"Entries": [{"Cidr": "192.0.2.0/24", "Description": "office"}]}"#;
    let files = [file("g.json", EC2_GROUPS), file("i.json", EC2_INSTANCES), file("v.json", vpcs)];
    check(
        &[files.as_slice(), &[file("lists/pl-1.json", entries)]].concat(),
        expect![[r#"
            vpc-1 10.0.0.0/16 Some(2600::/56) of 123456789012
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
            note: `v.json`: nothing is made of `RouteTables`
            note: `vpc-1` has the blocks 10.0.0.0/16, 10.1.0.0/16; only 10.0.0.0/16 counts as inside"#]],
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
        vpc-1 127.255.255.255/32 None of 123456789012
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
            vpc-1 10.0.0.0/8 None of 1234567890123456
            sg-1 EcsBasic "web" in vpc-1 of 1234567890123456
              sgr-1 ingress: allow tcp 80 from 0.0.0.0/0, priority 1
              sgr-2 egress: deny all to group sg-1 (web), priority 2
            eni-1 of i-1: 10.0.0.1 2408::1 in sg-1
            note: 1 of 2 SecurityGroups are described; give all pages
            note: `sg-1`: a rule of the system, of priority 110, is left out"#]],
    );
}

#[test]
fn exported_rules_belong_to_the_group_that_their_file_is_called_after() {
    let csv =
        "Direction,Policy,Priority,IpProtocol,PortRange,SourceCidrIp\ningress,Accept,1,TCP,22/22,192.0.2.0/24\n";
    let json = r#"[{"Direction": "ingress", "Policy": "Accept", "Priority": 5, "IpProtocol": "TCP", "PortRange": "443/443", "SourceCidrIp": "0.0.0.0/0"}]"#;
    let expected = expect![[r#"
        vpc-1 127.255.255.255/32 None of 0000000000000000
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
