//! Managed prefix lists: made, versioned, restored, named by rules, deleted.

use expect_test::expect;

use super::Estate;

const CREATE: &str = "Action=CreateManagedPrefixList&PrefixListName=offices&AddressFamily=IPv4&MaxEntries=3";

#[test]
fn a_list_is_made_shown_and_deleted() {
    let mut estate = Estate::new();
    let entries = "&Entry.1.Cidr=10.2.0.0/16&Entry.2.Cidr=10.1.0.9/16&Entry.2.Description=first";
    let tags = "&TagSpecification.1.ResourceType=prefix-list&TagSpecification.1.Tag.1.Key=env\
        &TagSpecification.1.Tag.1.Value=prod";
    let call = format!("{CREATE}{entries}{tags}&ClientToken=t");
    estate.check(&call, &expect!["200 <CreateManagedPrefixListResponse><prefixList><prefixListId>$1</prefixListId><addressFamily>IPv4</addressFamily><state>create-complete</state><prefixListArn>arn:aws:ec2:us-east-1:123456789012:prefix-list/$1</prefixListArn><prefixListName>offices</prefixListName><maxEntries>3</maxEntries><version>1</version><ownerId>123456789012</ownerId><tagSet><item><key>env</key><value>prod</value></item></tagSet></prefixList></CreateManagedPrefixListResponse>"]);
    assert!(estate.succeed(&call).contains("<prefixListId>$1</prefixListId>"), "once");
    estate.check("Action=DescribeManagedPrefixLists&PrefixListId.1=$1", &expect!["200 <DescribeManagedPrefixListsResponse><prefixListSet><item><prefixListId>$1</prefixListId><addressFamily>IPv4</addressFamily><state>create-complete</state><prefixListArn>arn:aws:ec2:us-east-1:123456789012:prefix-list/$1</prefixListArn><prefixListName>offices</prefixListName><maxEntries>3</maxEntries><version>1</version><ownerId>123456789012</ownerId><tagSet><item><key>env</key><value>prod</value></item></tagSet></item></prefixListSet></DescribeManagedPrefixListsResponse>"]);
    estate.check("Action=GetManagedPrefixListEntries&PrefixListId=$1", &expect!["200 <GetManagedPrefixListEntriesResponse><entrySet><item><cidr>10.1.0.0/16</cidr><description>first</description></item><item><cidr>10.2.0.0/16</cidr></item></entrySet></GetManagedPrefixListEntriesResponse>"]);
    estate.check("Action=GetManagedPrefixListAssociations&PrefixListId=$1", &expect!["200 <GetManagedPrefixListAssociationsResponse><prefixListAssociationSet></prefixListAssociationSet></GetManagedPrefixListAssociationsResponse>"]);
    estate.check(
        "Action=DescribePrefixLists&MaxResults=1",
        &expect!["200 <DescribePrefixListsResponse><prefixListSet></prefixListSet></DescribePrefixListsResponse>"],
    );
    let shown = |estate: &mut Estate, filter: &str| {
        let told = estate.succeed(&format!("Action=DescribeManagedPrefixLists&{filter}"));
        told.contains("<prefixListId>$1</prefixListId>")
    };
    for (name, value, is_shown) in [
        ("owner-id", "123456789012", true),
        ("owner-id", "AWS", false),
        ("prefix-list-id", "$1", true),
        ("prefix-list-name", "off*", true),
        ("prefix-list-name", "on*", false),
        ("tag-key", "env", true),
        ("tag:env", "test", false),
    ] {
        let filter = format!("Filter.1.Name={name}&Filter.1.Value.1={value}");
        assert_eq!(shown(&mut estate, &filter), is_shown, "{filter}");
    }
    estate.check(
        "Action=DescribePrefixLists&Filter.1.Name=prefix-list-name&Filter.1.Value.1=com.amazonaws.us-east-1.s3\
         &Filter.2.Name=prefix-list-id&Filter.2.Value.1=pl-*",
        &expect!["200 <DescribePrefixListsResponse><prefixListSet></prefixListSet></DescribePrefixListsResponse>"],
    );
    estate.check("Action=DeleteManagedPrefixList&PrefixListId=$1", &expect!["200 <DeleteManagedPrefixListResponse><prefixList><prefixListId>$1</prefixListId><addressFamily>IPv4</addressFamily><state>delete-complete</state><prefixListArn>arn:aws:ec2:us-east-1:123456789012:prefix-list/$1</prefixListArn><prefixListName>offices</prefixListName><maxEntries>3</maxEntries><version>1</version><ownerId>123456789012</ownerId><tagSet><item><key>env</key><value>prod</value></item></tagSet></prefixList></DeleteManagedPrefixListResponse>"]);
    estate.check("Action=DescribeManagedPrefixLists", &expect!["200 <DescribeManagedPrefixListsResponse><prefixListSet></prefixListSet></DescribeManagedPrefixListsResponse>"]);
}

#[test]
fn entries_change_at_a_version_and_an_older_one_is_restored() {
    let mut estate = Estate::new();
    estate.succeed(&format!("{CREATE}&Entry.1.Cidr=10.1.0.0/16&Entry.2.Cidr=10.2.0.0/16"));
    estate.check(
        "Action=ModifyManagedPrefixList&PrefixListId=$1&CurrentVersion=1&AddEntry.1.Cidr=10.3.0.0/16\
         &AddEntry.1.Description=new&RemoveEntry.1.Cidr=10.1.0.0/16&PrefixListName=sites",
        &expect!["200 <ModifyManagedPrefixListResponse><prefixList><prefixListId>$1</prefixListId><addressFamily>IPv4</addressFamily><state>modify-complete</state><prefixListArn>arn:aws:ec2:us-east-1:123456789012:prefix-list/$1</prefixListArn><prefixListName>sites</prefixListName><maxEntries>3</maxEntries><version>2</version><ownerId>123456789012</ownerId><tagSet></tagSet></prefixList></ModifyManagedPrefixListResponse>"],
    );
    estate.check("Action=ModifyManagedPrefixList&PrefixListId=$1&MaxEntries=5", &expect!["200 <ModifyManagedPrefixListResponse><prefixList><prefixListId>$1</prefixListId><addressFamily>IPv4</addressFamily><state>modify-complete</state><prefixListArn>arn:aws:ec2:us-east-1:123456789012:prefix-list/$1</prefixListArn><prefixListName>sites</prefixListName><maxEntries>5</maxEntries><version>2</version><ownerId>123456789012</ownerId><tagSet></tagSet></prefixList></ModifyManagedPrefixListResponse>"]);
    estate.check("Action=GetManagedPrefixListEntries&PrefixListId=$1", &expect!["200 <GetManagedPrefixListEntriesResponse><entrySet><item><cidr>10.2.0.0/16</cidr></item><item><cidr>10.3.0.0/16</cidr><description>new</description></item></entrySet></GetManagedPrefixListEntriesResponse>"]);
    estate.check("Action=GetManagedPrefixListEntries&PrefixListId=$1&TargetVersion=1", &expect!["200 <GetManagedPrefixListEntriesResponse><entrySet><item><cidr>10.1.0.0/16</cidr></item><item><cidr>10.2.0.0/16</cidr></item></entrySet></GetManagedPrefixListEntriesResponse>"]);
    estate.check(
        "Action=RestoreManagedPrefixListVersion&PrefixListId=$1&PreviousVersion=1&CurrentVersion=2",
        &expect!["200 <RestoreManagedPrefixListVersionResponse><prefixList><prefixListId>$1</prefixListId><addressFamily>IPv4</addressFamily><state>restore-complete</state><prefixListArn>arn:aws:ec2:us-east-1:123456789012:prefix-list/$1</prefixListArn><prefixListName>sites</prefixListName><maxEntries>5</maxEntries><version>3</version><ownerId>123456789012</ownerId><tagSet></tagSet></prefixList></RestoreManagedPrefixListVersionResponse>"],
    );
    let told = estate.succeed("Action=GetManagedPrefixListEntries&PrefixListId=$1&MaxResults=1&TargetVersion=3");
    assert!(told.contains("10.1.0.0/16") && !told.contains("10.2.0.0/16"), "{told}");
    let token = told.split("<nextToken>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let told = estate.succeed(&format!("Action=GetManagedPrefixListEntries&PrefixListId=$1&NextToken={token}"));
    assert!(told.contains("10.2.0.0/16") && !told.contains("10.1.0.0/16") && !told.contains("nextToken"), "{told}");
}

#[test]
fn a_rule_names_a_list_and_holds_it() {
    let mut estate = Estate::furnished();
    let told = estate.succeed(CREATE);
    assert!(told.contains("<prefixListId>$5</prefixListId>"), "{told}");
    let rule = "GroupId=$3&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=443&IpPermissions.1.ToPort=443\
        &IpPermissions.1.PrefixListIds.1.Description=offices&IpPermissions.1.PrefixListIds.1.PrefixListId=$5";
    let told = estate.succeed(&format!("Action=AuthorizeSecurityGroupIngress&{rule}"));
    assert!(told.contains("<prefixListId>$5</prefixListId>"), "{told}");
    for filter in ["ip-permission.prefix-list-id", "egress.ip-permission.prefix-list-id"] {
        let call = format!("Action=DescribeSecurityGroups&Filter.1.Name={filter}&Filter.1.Value.1=$5");
        assert_eq!(
            estate.succeed(&call).contains("<groupId>$3</groupId>"),
            !filter.starts_with("egress"),
            "{filter}"
        );
    }
    estate.check("Action=GetManagedPrefixListAssociations&MaxResults=5&PrefixListId=$5", &expect!["200 <GetManagedPrefixListAssociationsResponse><prefixListAssociationSet><item><resourceId>$3</resourceId><resourceOwner>123456789012</resourceOwner></item></prefixListAssociationSet></GetManagedPrefixListAssociationsResponse>"]);
    estate.refused(
        "Action=DeleteManagedPrefixList&PrefixListId=$5
         Action=ModifyManagedPrefixList&PrefixListId=$5&MaxEntries=61",
        &expect![[r#"
            400 DependencyViolation: The prefix list &apos;$5&apos; has dependencies and cannot be deleted.
            400 RulesPerSecurityGroupLimitExceeded: The maximum number of rules per security group has been reached.
        "#]],
    );
    estate.succeed(&format!("Action=RevokeSecurityGroupIngress&{rule}"));
    estate.succeed("Action=DeleteManagedPrefixList&PrefixListId=$5");
}

#[test]
fn lists_are_refused() {
    let mut estate = Estate::new();
    estate.succeed(&format!("{CREATE}&Entry.1.Cidr=10.1.0.0/16&Entry.2.Cidr=10.2.0.0/16"));
    let many: String = (1..=101).map(|n| format!("&AddEntry.{n}.Cidr=10.9.{n}.0/24")).collect();
    estate.refused(
        &format!(
            "Action=CreateManagedPrefixList&AddressFamily=IPv4&MaxEntries=1
             Action=CreateManagedPrefixList&PrefixListName=a&AddressFamily=IPv5&MaxEntries=1
             Action=CreateManagedPrefixList&PrefixListName=a&AddressFamily=IPv4&MaxEntries=1001
             Action=CreateManagedPrefixList&PrefixListName=com.amazonaws.a&AddressFamily=IPv4&MaxEntries=1
             {CREATE}&Entry.1.Cidr=fd00::/8
             {CREATE}&Entry.1.Cidr=10.0.0.0
             {CREATE}&Entry.1.Cidr=10.0.0.0/8&Entry.2.Cidr=10.0.0.1/8
             {CREATE}&Entry.1.Cidr=10.1.0.0/16&Entry.2.Cidr=10.2.0.0/16&Entry.3.Cidr=10.3.0.0/16&Entry.4.Cidr=10.4.0.0/16
             {CREATE}&TagSpecification.1.ResourceType=vpc&TagSpecification.1.Tag.1.Key=k
             {CREATE}&DryRun=true
             Action=ModifyManagedPrefixList&PrefixListId=$1
             Action=ModifyManagedPrefixList&PrefixListId=$1&AddEntry.1.Cidr=10.3.0.0/16
             Action=ModifyManagedPrefixList&PrefixListId=$1&AddEntry.1.Cidr=10.3.0.0/16&CurrentVersion=2
             Action=ModifyManagedPrefixList&PrefixListId=$1&AddEntry.1.Cidr=10.3.0.0/16&CurrentVersion=1&MaxEntries=9
             Action=ModifyManagedPrefixList&PrefixListId=$1&AddEntry.1.Cidr=10.1.0.0/16&RemoveEntry.1.Cidr=10.1.0.0/16&CurrentVersion=1
             Action=ModifyManagedPrefixList&PrefixListId=$1&CurrentVersion=1{many}
             Action=ModifyManagedPrefixList&PrefixListId=$1&MaxEntries=1
             Action=ModifyManagedPrefixList&PrefixListId=$1&IpamPrefixListResolverSyncEnabled=true
             Action=ModifyManagedPrefixList&PrefixListId=pl-0123&PrefixListName=a"
        ),
        &expect![[r#"
            400 MissingParameter: The request must contain the parameter PrefixListName
            400 InvalidParameterValue: Value (IPv5) for parameter addressFamily is invalid. Valid values are IPv4 and IPv6.
            400 InvalidParameterValue: Value ( 1001 ) for parameter MaxEntries is invalid. Expecting a whole number from 1 to 1000.
            400 InvalidParameterValue: A prefix list name cannot start with com.amazonaws.
            400 InvalidParameterValue: CIDR block fd00::/8 is malformed
            400 InvalidParameterValue: CIDR block 10.0.0.0 is malformed
            400 InvalidParameterValue: The CIDR 10.0.0.0/8 must not appear multiple times in a request.
            400 PrefixListMaxEntriesExceeded: at most 3 entries of this prefix list; this request would make it 4.
            400 InvalidParameterValue: &apos;vpc&apos; is not a valid taggable resource type for this operation.
            412 DryRunOperation: Request would have succeeded, but DryRun flag is set.
            400 InvalidParameterCombination: No attributes specified.
            400 MissingParameter: The request must contain the parameter CurrentVersion
            400 PrefixListVersionMismatch: prefix list `$1` is at version 1, not at 2; look at its entries again, then decide.
            400 InvalidParameterCombination: Entries and the maximum number of entries cannot be modified in the same request
            400 InvalidParameterValue: The CIDR 10.1.0.0/16 must not appear multiple times in a request.
            400 InvalidParameterValue: The parameter AddEntry has more than 100 entries; send several requests.
            400 PrefixListMaxEntriesExceeded: at most 1 entries of this prefix list; this request would make it 2.
            400 UnsupportedOperation: The functionality of the parameter IpamPrefixListResolverSyncEnabled is not supported here; leave it out.
            400 InvalidPrefixListID.NotFound: The prefix list ID &apos;pl-0123&apos; does not exist
        "#]],
    );
}

#[test]
fn restorations_and_questions_are_refused() {
    let mut estate = Estate::new();
    estate.succeed(&format!("{CREATE}&Entry.1.Cidr=10.1.0.0/16&Entry.2.Cidr=10.2.0.0/16"));
    estate.refused(
        "Action=RestoreManagedPrefixListVersion&PrefixListId=$1&PreviousVersion=1&CurrentVersion=2
             Action=RestoreManagedPrefixListVersion&PrefixListId=$1&PreviousVersion=7&CurrentVersion=1
             Action=RestoreManagedPrefixListVersion&PrefixListId=$1&PreviousVersion=0&CurrentVersion=1
             Action=DeleteManagedPrefixList&PrefixListId=pl-0123
             Action=DeleteManagedPrefixList&PrefixListId=offices
             Action=GetManagedPrefixListEntries&PrefixListId=pl-0123
             Action=GetManagedPrefixListEntries&PrefixListId=$1&TargetVersion=2
             Action=GetManagedPrefixListEntries&PrefixListId=$1&MaxResults=101
             Action=GetManagedPrefixListAssociations&PrefixListId=$1&MaxResults=4
             Action=DescribeManagedPrefixLists&PrefixListId.1=pl-0123
             Action=DescribeManagedPrefixLists&PrefixListId.1=$1&MaxResults=5
             Action=DescribeManagedPrefixLists&NextToken=x
             Action=DescribePrefixLists&PrefixListId.1=$1",
        &expect![[r#"
            400 PrefixListVersionMismatch: prefix list `$1` is at version 1, not at 2; look at its entries again, then decide.
            400 InvalidParameterValue: prefix list `$1` has no version 7; it is at 1.
            400 InvalidParameterValue: Value ( 0 ) for parameter PreviousVersion is invalid. Expecting a whole number from 1 to 4294967295.
            400 InvalidPrefixListID.NotFound: The prefix list ID &apos;pl-0123&apos; does not exist
            400 InvalidPrefixListId.Malformed: Invalid id: &quot;offices&quot; (expecting &quot;pl-...&quot;)
            400 InvalidPrefixListID.NotFound: The prefix list ID &apos;pl-0123&apos; does not exist
            400 InvalidParameterValue: The prefix list &apos;$1&apos; has no version 2; its version is 1.
            400 InvalidParameterValue: Value ( 101 ) for parameter maxResults is invalid. Expecting a value smaller than 100.
            400 InvalidParameterValue: Value ( 4 ) for parameter maxResults is invalid. Expecting a value greater than 5.
            400 InvalidPrefixListID.NotFound: The prefix list ID &apos;pl-0123&apos; does not exist
            400 InvalidParameterCombination: The parameter prefixListIdSet cannot be used with the parameter maxResults
            400 InvalidPaginationToken: Next token &apos;x&apos; is invalid
            400 InvalidPrefixListID.NotFound: The prefix list ID &apos;$1&apos; does not exist
        "#]],
    );
    estate.region = "eu-west-1";
    estate.refused(
        "Action=DeleteManagedPrefixList&PrefixListId=$1
         Action=GetManagedPrefixListEntries&PrefixListId=$1
         Action=DescribeManagedPrefixLists&PrefixListId.1=$1",
        &expect![[r#"
            400 InvalidPrefixListID.NotFound: The prefix list ID &apos;$1&apos; does not exist
            400 InvalidPrefixListID.NotFound: The prefix list ID &apos;$1&apos; does not exist
            400 InvalidPrefixListID.NotFound: The prefix list ID &apos;$1&apos; does not exist
        "#]],
    );
}

#[test]
fn nobody_elses_lists_are_seen_or_named() {
    let mut estate = Estate::new();
    estate.succeed(CREATE);
    estate.account = "210987654321".into();
    assert!(!estate.succeed("Action=DescribeManagedPrefixLists").contains("$1"));
    estate.succeed("Action=CreateVpc&CidrBlock=10.0.0.0/16");
    estate.succeed("Action=CreateSecurityGroup&GroupName=web&GroupDescription=w&VpcId=$2");
    let rule = "Action=AuthorizeSecurityGroupIngress&GroupId=$3&IpPermissions.1.IpProtocol=-1\
        &IpPermissions.1.PrefixListIds.1.PrefixListId=$1";
    estate.refused(
        &format!("{rule}\nAction=GetManagedPrefixListEntries&PrefixListId=$1\nAction=DeleteManagedPrefixList&PrefixListId=$1"),
        &expect![[r#"
            400 InvalidPrefixListID.NotFound: The prefix list ID &apos;$1&apos; does not exist
            400 InvalidPrefixListID.NotFound: The prefix list ID &apos;$1&apos; does not exist
            400 InvalidPrefixListID.NotFound: The prefix list ID &apos;$1&apos; does not exist
        "#]],
    );
}
