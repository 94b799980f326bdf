//! Network ACLs: the default one, entries that are made, replaced and deleted, and subnets that change theirs.

use expect_test::expect;

use super::Estate;

const IN: &str = "&Egress=false&RuleNumber";
const TCP: &str = "&Protocol=6&PortRange.From=443&PortRange.To=443&CidrBlock=203.0.113.0/24";

/// An estate whose VPC `$1` has the default ACL `$5`, with the association `$6` of subnet `$2`, and another one, `$7`.
fn with_acl() -> Estate {
    let mut estate = Estate::furnished();
    estate.succeed("Action=DescribeNetworkAcls");
    estate.succeed("Action=CreateNetworkAcl&VpcId=$1");
    estate
}

#[test]
fn the_default_acl_of_a_vpc_allows_everything() {
    let mut estate = Estate::furnished();
    estate.check("Action=DescribeNetworkAcls", &expect!["200 <DescribeNetworkAclsResponse><networkAclSet><item><networkAclId>$5</networkAclId><vpcId>$1</vpcId><ownerId>123456789012</ownerId><default>true</default><entrySet><item><ruleNumber>100</ruleNumber><protocol>-1</protocol><ruleAction>allow</ruleAction><egress>true</egress><cidrBlock>0.0.0.0/0</cidrBlock></item><item><ruleNumber>101</ruleNumber><protocol>-1</protocol><ruleAction>allow</ruleAction><egress>true</egress><ipv6CidrBlock>::/0</ipv6CidrBlock></item><item><ruleNumber>32767</ruleNumber><protocol>-1</protocol><ruleAction>deny</ruleAction><egress>true</egress><cidrBlock>0.0.0.0/0</cidrBlock></item><item><ruleNumber>32768</ruleNumber><protocol>-1</protocol><ruleAction>deny</ruleAction><egress>true</egress><ipv6CidrBlock>::/0</ipv6CidrBlock></item><item><ruleNumber>100</ruleNumber><protocol>-1</protocol><ruleAction>allow</ruleAction><egress>false</egress><cidrBlock>0.0.0.0/0</cidrBlock></item><item><ruleNumber>101</ruleNumber><protocol>-1</protocol><ruleAction>allow</ruleAction><egress>false</egress><ipv6CidrBlock>::/0</ipv6CidrBlock></item><item><ruleNumber>32767</ruleNumber><protocol>-1</protocol><ruleAction>deny</ruleAction><egress>false</egress><cidrBlock>0.0.0.0/0</cidrBlock></item><item><ruleNumber>32768</ruleNumber><protocol>-1</protocol><ruleAction>deny</ruleAction><egress>false</egress><ipv6CidrBlock>::/0</ipv6CidrBlock></item></entrySet><associationSet><item><networkAclAssociationId>$6</networkAclAssociationId><networkAclId>$5</networkAclId><subnetId>$2</subnetId></item></associationSet><tagSet></tagSet></item></networkAclSet></DescribeNetworkAclsResponse>"]);
    let told = estate.succeed("Action=CreateVpc&CidrBlock=10.1.0.0/16&AmazonProvidedIpv6CidrBlock=true");
    assert!(told.contains("$7"), "{told}");
    let other = "Action=DescribeNetworkAcls&Filter.1.Name=default&Filter.1.Value.1=true\
        &Filter.2.Name=vpc-id&Filter.2.Value.1=$7";
    assert_eq!(estate.succeed(other).matches("<ruleNumber>").count(), 8);
    estate.refused(
        "Action=DescribeNetworkAcls&NetworkAclId.1=acl-0123
         Action=DescribeNetworkAcls&NetworkAclId.1=rtb-0123
         Action=DeleteNetworkAcl&NetworkAclId=$5",
        &expect![[r#"
            400 InvalidNetworkAclID.NotFound: The networkAcl ID &apos;acl-0123&apos; does not exist
            400 InvalidNetworkAclId.Malformed: Invalid id: &quot;rtb-0123&quot; (expecting &quot;acl-...&quot;)
            400 CannotDelete: cannot delete default network ACL: network ACL `$5` is the default one of its VPC; edit its entries instead.
        "#]],
    );
}

#[test]
fn entries_are_made_replaced_and_deleted_by_number() {
    let mut estate = with_acl();
    estate.check(
        "Action=CreateNetworkAcl&VpcId=$1&ClientToken=t-1&TagSpecification.1.ResourceType=network-acl\
         &TagSpecification.1.Tag.1.Key=Name&TagSpecification.1.Tag.1.Value=dmz",
        &expect!["200 <CreateNetworkAclResponse><networkAcl><networkAclId>$8</networkAclId><vpcId>$1</vpcId><ownerId>123456789012</ownerId><default>false</default><entrySet><item><ruleNumber>32767</ruleNumber><protocol>-1</protocol><ruleAction>deny</ruleAction><egress>true</egress><cidrBlock>0.0.0.0/0</cidrBlock></item><item><ruleNumber>32768</ruleNumber><protocol>-1</protocol><ruleAction>deny</ruleAction><egress>true</egress><ipv6CidrBlock>::/0</ipv6CidrBlock></item><item><ruleNumber>32767</ruleNumber><protocol>-1</protocol><ruleAction>deny</ruleAction><egress>false</egress><cidrBlock>0.0.0.0/0</cidrBlock></item><item><ruleNumber>32768</ruleNumber><protocol>-1</protocol><ruleAction>deny</ruleAction><egress>false</egress><ipv6CidrBlock>::/0</ipv6CidrBlock></item></entrySet><associationSet></associationSet><tagSet><item><key>Name</key><value>dmz</value></item></tagSet></networkAcl><clientToken>t-1</clientToken></CreateNetworkAclResponse>"],
    );
    let create = "Action=CreateNetworkAclEntry&NetworkAclId=$7";
    estate.check(
        &format!("{create}{IN}=100&RuleAction=allow{TCP}"),
        &expect!["200 <CreateNetworkAclEntryResponse><return>true</return></CreateNetworkAclEntryResponse>"],
    );
    let v6 = "&Protocol=58&Icmp.Type=-1&Icmp.Code=-1&Ipv6CidrBlock=2001:db8::/32";
    estate.succeed(&format!("{create}{IN}=50&RuleAction=deny{v6}"));
    estate.succeed(&format!(
        "{create}&Egress=true&RuleNumber=100&RuleAction=allow&Protocol=1&Icmp.Type=8&Icmp.Code=0&CidrBlock=0.0.0.0/0"
    ));
    estate.succeed(&format!("{create}&Egress=true&RuleNumber=110&RuleAction=allow&Protocol=-1&CidrBlock=0.0.0.0/0"));
    let replace = "Action=ReplaceNetworkAclEntry&NetworkAclId=$7";
    estate.succeed(&format!("{replace}{IN}=100&RuleAction=deny{TCP}"));
    estate.check("Action=DescribeNetworkAcls&NetworkAclId.1=$7", &expect!["200 <DescribeNetworkAclsResponse><networkAclSet><item><networkAclId>$7</networkAclId><vpcId>$1</vpcId><ownerId>123456789012</ownerId><default>false</default><entrySet><item><ruleNumber>100</ruleNumber><protocol>1</protocol><ruleAction>allow</ruleAction><egress>true</egress><cidrBlock>0.0.0.0/0</cidrBlock><icmpTypeCode><type>8</type><code>0</code></icmpTypeCode></item><item><ruleNumber>110</ruleNumber><protocol>-1</protocol><ruleAction>allow</ruleAction><egress>true</egress><cidrBlock>0.0.0.0/0</cidrBlock></item><item><ruleNumber>32767</ruleNumber><protocol>-1</protocol><ruleAction>deny</ruleAction><egress>true</egress><cidrBlock>0.0.0.0/0</cidrBlock></item><item><ruleNumber>32768</ruleNumber><protocol>-1</protocol><ruleAction>deny</ruleAction><egress>true</egress><ipv6CidrBlock>::/0</ipv6CidrBlock></item><item><ruleNumber>50</ruleNumber><protocol>58</protocol><ruleAction>deny</ruleAction><egress>false</egress><ipv6CidrBlock>2001:db8::/32</ipv6CidrBlock><icmpTypeCode><type>-1</type><code>-1</code></icmpTypeCode></item><item><ruleNumber>100</ruleNumber><protocol>6</protocol><ruleAction>deny</ruleAction><egress>false</egress><cidrBlock>203.0.113.0/24</cidrBlock><portRange><from>443</from><to>443</to></portRange></item><item><ruleNumber>32767</ruleNumber><protocol>-1</protocol><ruleAction>deny</ruleAction><egress>false</egress><cidrBlock>0.0.0.0/0</cidrBlock></item><item><ruleNumber>32768</ruleNumber><protocol>-1</protocol><ruleAction>deny</ruleAction><egress>false</egress><ipv6CidrBlock>::/0</ipv6CidrBlock></item></entrySet><associationSet></associationSet><tagSet></tagSet></item></networkAclSet></DescribeNetworkAclsResponse>"]);
    estate.succeed("Action=DeleteNetworkAclEntry&NetworkAclId=$7&Egress=true&RuleNumber=110");
    let told = estate.succeed("Action=DescribeNetworkAcls&NetworkAclId.1=$7");
    assert!(!told.contains("<ruleNumber>110</ruleNumber>"), "{told}");
    estate.check("Action=DescribeTags&Filter.1.Name=resource-type&Filter.1.Value.1=network-acl", &expect!["200 <DescribeTagsResponse><tagSet><item><resourceId>$8</resourceId><resourceType>network-acl</resourceType><key>Name</key><value>dmz</value></item></tagSet></DescribeTagsResponse>"]);
}

#[test]
fn what_an_acl_cannot_hold_is_told() {
    let mut estate = with_acl();
    let create = "Action=CreateNetworkAclEntry&NetworkAclId=$7";
    estate.succeed(&format!("{create}{IN}=1&RuleAction=allow{TCP}"));
    let mut calls: Vec<String> = [
        format!("{IN}=1&RuleAction=allow{TCP}"),
        format!("{IN}=0&RuleAction=allow{TCP}"),
        format!("{IN}=32767&RuleAction=allow{TCP}"),
        format!("{IN}=2&RuleAction=reject{TCP}"),
        format!("{IN}=2&RuleAction=allow&Protocol=esp&CidrBlock=0.0.0.0/0"),
        format!("{IN}=2&RuleAction=allow&Protocol=6&CidrBlock=0.0.0.0/0"),
        format!("{IN}=2&RuleAction=allow&Protocol=6&PortRange.From=2&PortRange.To=1&CidrBlock=0.0.0.0/0"),
        format!("{IN}=2&RuleAction=allow&Protocol=6&PortRange.From=2&PortRange.To=65536&CidrBlock=0.0.0.0/0"),
        format!("{IN}=2&RuleAction=allow&Protocol=1&Icmp.Type=-1&Icmp.Code=3&CidrBlock=0.0.0.0/0"),
        format!("{IN}=2&RuleAction=allow&Protocol=1&Icmp.Type=256&CidrBlock=0.0.0.0/0"),
        format!("{IN}=2&RuleAction=allow&Protocol=-1"),
        format!("{IN}=2&RuleAction=allow&Protocol=-1&CidrBlock=0.0.0.0/0&Ipv6CidrBlock=::/0"),
        format!("{IN}=2&RuleAction=allow&Protocol=-1&CidrBlock=everywhere"),
        "&RuleNumber=2&RuleAction=allow&Protocol=-1&CidrBlock=0.0.0.0/0".to_owned(),
    ]
    .iter()
    .map(|rest| format!("{create}{rest}"))
    .collect();
    calls.push(format!("Action=ReplaceNetworkAclEntry&NetworkAclId=$7{IN}=2&RuleAction=allow{TCP}"));
    calls.push(format!("Action=DeleteNetworkAclEntry&NetworkAclId=$7{IN}=2"));
    calls.push(format!("Action=DeleteNetworkAclEntry&NetworkAclId=acl-0123{IN}=2"));
    calls.push("Action=CreateNetworkAcl&VpcId=vpc-0123".to_owned());
    estate.refused(&calls.join("\n"), &expect![[r#"
        400 NetworkAclEntryAlreadyExists: The network acl entry identified by 1 already exists.
        400 InvalidParameterValue: Value ( 0 ) for parameter RuleNumber is invalid. Expecting a whole number from 1 to 32766.
        400 InvalidParameterValue: Value ( 32767 ) for parameter RuleNumber is invalid. Expecting a whole number from 1 to 32766.
        400 InvalidParameterValue: Value (reject) for parameter ruleAction is invalid. Use allow or deny.
        400 InvalidParameterValue: Value (esp) for parameter protocol is invalid. Unknown protocol.
        400 MissingParameter: The request must contain the parameter portRange.from
        400 InvalidParameterValue: Invalid port range 2-1: the first port is above the last.
        400 InvalidParameterValue: Value (65536) for parameter portRange.to is invalid. Use a port: 0 to 65535.
        400 InvalidParameterValue: ICMP code 3 needs a type; give icmp.type as well.
        400 InvalidParameterValue: Value (256) for parameter icmp.type is invalid. Use -1 to 255.
        400 MissingParameter: The request must contain the parameter cidrBlock or ipv6CidrBlock
        400 InvalidParameterCombination: Only one of cidrBlock and ipv6CidrBlock can be specified
        400 InvalidParameterValue: CIDR block everywhere is malformed
        400 MissingParameter: The request must contain the parameter Egress
        400 InvalidNetworkAclEntry.NotFound: The specified network acl entry identified by 2 does not exist.
        400 InvalidNetworkAclEntry.NotFound: The specified network acl entry identified by 2 does not exist.
        400 InvalidNetworkAclID.NotFound: The networkAcl ID &apos;acl-0123&apos; does not exist
        400 InvalidVpcID.NotFound: The vpc ID &apos;vpc-0123&apos; does not exist
    "#]]);
    for number in 2..=20 {
        estate.succeed(&format!("{create}{IN}={number}&RuleAction=allow{TCP}"));
    }
    estate.refused(&format!("{create}{IN}=21&RuleAction=allow{TCP}"), &expect![[r#"
        400 NetworkAclEntryLimitExceeded: at most 20 entries of one direction of one network ACL; this request would make it 21.
    "#]]);
}

#[test]
fn a_vpc_has_no_more_acls_than_its_quota() {
    let mut estate = with_acl();
    for _ in 3..=200 {
        estate.succeed("Action=CreateNetworkAcl&VpcId=$1");
    }
    estate.refused(
        "Action=CreateNetworkAcl&VpcId=$1",
        &expect![[r#"
        400 NetworkAclLimitExceeded: at most 200 network ACLs of one VPC; this request would make it 201.
    "#]],
    );
}

#[test]
fn a_subnet_changes_its_acl_and_the_association_gets_a_new_name() {
    let mut estate = with_acl();
    estate.check("Action=ReplaceNetworkAclAssociation&AssociationId=$6&NetworkAclId=$7", &expect!["200 <ReplaceNetworkAclAssociationResponse><newAssociationId>$8</newAssociationId></ReplaceNetworkAclAssociationResponse>"]);
    let told = estate.succeed("Action=DescribeNetworkAcls&NetworkAclId.1=$7");
    assert!(told.contains("<networkAclAssociationId>$8</networkAclAssociationId>"), "{told}");
    estate.succeed("Action=CreateVpc&CidrBlock=10.1.0.0/16");
    estate.succeed("Action=CreateNetworkAcl&VpcId=$9");
    estate.refused(
        "Action=ReplaceNetworkAclAssociation&AssociationId=$6&NetworkAclId=$5
         Action=ReplaceNetworkAclAssociation&AssociationId=$8&NetworkAclId=acl-0123
         Action=ReplaceNetworkAclAssociation&AssociationId=$8&NetworkAclId=$10
         Action=ReplaceNetworkAclAssociation&AssociationId=eni-0123&NetworkAclId=$5
         Action=DeleteNetworkAcl&NetworkAclId=$7
         Action=DeleteVpc&VpcId=$9",
        &expect![[r#"
            400 InvalidAssociationID.NotFound: The association ID &apos;$6&apos; does not exist
            400 InvalidNetworkAclID.NotFound: The networkAcl ID &apos;acl-0123&apos; does not exist
            400 InvalidParameter: network ACL `$10` and subnet `$2` are in different VPCs; use an ACL of the subnet&apos;s VPC.
            400 InvalidAssociationID.NotFound: Invalid id: &quot;eni-0123&quot; (expecting &quot;aclassoc-...&quot;)
            400 DependencyViolation: The network ACL &apos;$7&apos; has dependencies and cannot be deleted.
            400 DependencyViolation: The vpc &apos;$9&apos; has dependencies and cannot be deleted.
        "#]],
    );
    estate.succeed("Action=ReplaceNetworkAclAssociation&AssociationId=$8&NetworkAclId=$5");
    estate.check(
        "Action=DeleteNetworkAcl&NetworkAclId=$7",
        &expect!["200 <DeleteNetworkAclResponse><return>true</return></DeleteNetworkAclResponse>"],
    );
    // What EC2 made with a VPC goes with it, what its owner made does not.
    estate.succeed("Action=DeleteNetworkAcl&NetworkAclId=$10");
    estate.succeed("Action=DeleteVpc&VpcId=$9");
}

#[test]
fn acls_are_found_by_every_filter() {
    let mut estate = with_acl();
    let create = "Action=CreateNetworkAclEntry&NetworkAclId=$7";
    estate.succeed(&format!("{create}{IN}=100&RuleAction=allow{TCP}"));
    estate.succeed(&format!(
        "{create}{IN}=110&RuleAction=allow&Protocol=1&Icmp.Type=8&Icmp.Code=0&CidrBlock=10.0.0.0/8"
    ));
    estate.succeed("Action=CreateTags&ResourceId.1=$7&Tag.1.Key=env&Tag.1.Value=test");
    estate.succeed("Action=ReplaceNetworkAclAssociation&AssociationId=$6&NetworkAclId=$7");
    for filter in [
        "network-acl-id&Filter.1.Value.1=$7",
        "association.network-acl-id&Filter.1.Value.1=$7",
        "association.association-id&Filter.1.Value.1=$8",
        "association.subnet-id&Filter.1.Value.1=$2",
        "default&Filter.1.Value.1=false",
        "entry.cidr&Filter.1.Value.1=203.0.113.0/24",
        "entry.port-range.from&Filter.1.Value.1=443",
        "entry.port-range.to&Filter.1.Value.1=443",
        "entry.icmp.type&Filter.1.Value.1=8",
        "entry.icmp.code&Filter.1.Value.1=0",
        "entry.protocol&Filter.1.Value.1=6",
        "entry.rule-number&Filter.1.Value.1=110",
        "tag-key&Filter.1.Value.1=env",
        "tag:env&Filter.1.Value.1=test",
    ] {
        let told = estate.succeed(&format!("Action=DescribeNetworkAcls&Filter.1.Name={filter}"));
        assert_eq!(told.matches("<ownerId>").count(), 1, "{filter}: {told}");
        assert!(told.contains("<networkAclId>$7</networkAclId>"), "{filter}: {told}");
    }
    for (filter, found) in [
        ("owner-id&Filter.1.Value.1=123456789012", 2),
        ("vpc-id&Filter.1.Value.1=$1", 2),
        ("entry.egress&Filter.1.Value.1=true", 2),
        ("entry.rule-action&Filter.1.Value.1=deny", 2),
        ("entry.ipv6-cidr&Filter.1.Value.1=::/0", 2),
    ] {
        let told = estate.succeed(&format!("Action=DescribeNetworkAcls&Filter.1.Name={filter}"));
        assert_eq!(told.matches("<ownerId>").count(), found, "{filter}: {told}");
    }
    let first = estate.succeed("Action=DescribeNetworkAcls&MaxResults=5");
    assert!(!first.contains("<nextToken>"), "{first}");
}
