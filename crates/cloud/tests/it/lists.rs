//! Prefix lists and port lists from query to reply, and the rules that name them.

use crate::{ecs::check, estate::Estate};
use expect_test::expect;

/// An estate with the prefix list `$7` and the port list `$8`.
fn estate() -> Estate {
    let mut estate = Estate::furnished();
    let entry = "Entry.1.Cidr=10.1.0.0/16&Entry.1.Description=head%20office&Entry.2.Cidr=192.0.2.7";
    check(
        &mut estate,
        &format!("CreatePrefixList&PrefixListName=offices&AddressFamily=IPv4&MaxEntries=3&{entry}"),
        &expect![[r#"{"PrefixListId":"$7"}"#]],
    );
    let entry = "Entry.1.PortRange=80/80&Entry.2.PortRange=443/444&Entry.2.Description=tls";
    check(
        &mut estate,
        &format!("CreatePortRangeList&PortRangeListName=web&MaxEntries=3&Description=web%20ports&{entry}"),
        &expect![[r#"{"PortRangeListId":"$8"}"#]],
    );
    estate
}

#[test]
fn lists_are_shown() {
    let mut estate = estate();
    check(
        &mut estate,
        "DescribePrefixLists&PrefixListName=offices&AddressFamily=ipv4&PrefixListId.1=$7",
        &expect![[
            r#"{"NextToken":"","PrefixLists":{"PrefixList":[{"PrefixListId":"$7","PrefixListName":"offices","AddressFamily":"IPv4","Description":"","MaxEntries":3,"CreationTime":"2018-12-12T07:28:38Z","AssociationCount":0,"ResourceGroupId":"","Tags":{"Tag":[]}}]}}"#
        ]],
    );
    check(
        &mut estate,
        "DescribePrefixListAttributes&PrefixListId=$7",
        &expect![[
            r#"{"PrefixListId":"$7","PrefixListName":"offices","AddressFamily":"IPv4","Description":"","MaxEntries":3,"CreationTime":"2018-12-12T07:28:38Z","Entries":{"Entry":[{"Cidr":"10.1.0.0/16","Description":"head office"},{"Cidr":"192.0.2.7/32","Description":""}]}}"#
        ]],
    );
    check(
        &mut estate,
        "DescribePortRangeLists",
        &expect![[
            r#"{"NextToken":"","PortRangeLists":[{"PortRangeListId":"$8","PortRangeListName":"web","Description":"web ports","MaxEntries":3,"CreationTime":"2018-12-12T07:28:38Z","AssociationCount":0,"ResourceGroupId":"","Tags":[]}]}"#
        ]],
    );
    check(
        &mut estate,
        "DescribePortRangeListEntries&PortRangeListId=$8",
        &expect![[
            r#"{"Entries":[{"PortRange":"80/80","Description":""},{"PortRange":"443/444","Description":"tls"}]}"#
        ]],
    );
    for query in [
        "DescribePrefixLists&PrefixListName=office",
        "DescribePrefixLists&AddressFamily=IPv6",
        "DescribePrefixLists&RegionId=cn-beijing",
        "DescribePrefixLists&PrefixListId.1=pl-no",
    ] {
        check(&mut estate, query, &expect![[r#"{"NextToken":"","PrefixLists":{"PrefixList":[]}}"#]]);
    }
    check(
        &mut estate,
        "DescribePortRangeLists&PortRangeListName=x",
        &expect![[r#"{"NextToken":"","PortRangeLists":[]}"#]],
    );
}

#[test]
fn lists_are_edited() {
    let mut estate = estate();
    let edit = "ModifyPrefixList&PrefixListId=$7&PrefixListName=sites&Description=all%20of%20them";
    let entries = "AddEntry.1.Cidr=10.1.0.0/16&AddEntry.1.Description=hq&AddEntry.2.Cidr=10.3.0.0/16\
        &RemoveEntry.1.Cidr=192.0.2.7/32&RemoveEntry.2.Cidr=10.9.0.0/16";
    check(&mut estate, &format!("{edit}&{entries}"), &expect!["{}"]);
    check(
        &mut estate,
        "DescribePrefixListAttributes&PrefixListId=$7",
        &expect![[
            r#"{"PrefixListId":"$7","PrefixListName":"sites","AddressFamily":"IPv4","Description":"all of them","MaxEntries":3,"CreationTime":"2018-12-12T07:28:38Z","Entries":{"Entry":[{"Cidr":"10.1.0.0/16","Description":"hq"},{"Cidr":"10.3.0.0/16","Description":""}]}}"#
        ]],
    );
    let edit = "ModifyPortRangeList&PortRangeListId=$8&RemoveEntry.1.PortRange=80/80&AddEntry.1.PortRange=1/65535";
    check(&mut estate, edit, &expect!["{}"]);
    check(
        &mut estate,
        "DescribePortRangeListEntries&PortRangeListId=$8",
        &expect![[
            r#"{"Entries":[{"PortRange":"443/444","Description":"tls"},{"PortRange":"1/65535","Description":""}]}"#
        ]],
    );
}

#[test]
fn ipv6_blocks_are_compressed() {
    let mut estate = Estate::furnished();
    let entry = "Entry.1.Cidr=2001:0DB8:0000:0000:0000:0000:0000:0000/32&Entry.2.Cidr=2001:DB8::1";
    let list = format!("CreatePrefixList&PrefixListName=six&AddressFamily=IPv6&MaxEntries=2&{entry}");
    check(&mut estate, &list, &expect![[r#"{"PrefixListId":"$7"}"#]]);
    let shown = estate.call("DescribePrefixListAttributes&PrefixListId=$7");
    assert!(shown.contains(r#""Cidr":"2001:db8::/32""#) && shown.contains(r#""Cidr":"2001:db8::1/128""#), "{shown}");
}

#[test]
fn rules_name_lists_and_lists_their_groups() {
    let mut estate = estate();
    let rule = "Permissions.1.IpProtocol=tcp&Permissions.1.PortRangeListId=$8&Permissions.1.SourcePrefixListId=$7";
    check(&mut estate, &format!("AuthorizeSecurityGroup&SecurityGroupId=$5&{rule}"), &expect!["{}"]);
    let shown = estate.call("DescribeSecurityGroupAttribute&SecurityGroupId=$5");
    for part in [
        r#""PortRange":"","PortRangeListId":"$8","PortRangeListName":"web""#,
        r#""SourcePrefixListId":"$7","SourcePrefixListName":"offices""#,
    ] {
        assert!(shown.contains(part), "{shown}");
    }
    check(
        &mut estate,
        "DescribePrefixListAssociations&PrefixListId=$7",
        &expect![[
            r#"{"NextToken":"","PrefixListAssociations":{"PrefixListAssociation":[{"ResourceId":"$5","ResourceType":"securitygroup"}]}}"#
        ]],
    );
    check(
        &mut estate,
        "DescribePortRangeListAssociations&PortRangeListId=$8",
        &expect![[
            r#"{"NextToken":"","PortRangeListAssociations":[{"ResourceId":"$5","ResourceType":"SecurityGroup"}]}"#
        ]],
    );
    assert!(estate.call("DescribePrefixLists").contains(r#""AssociationCount":1"#));
    check(
        &mut estate,
        "DeletePrefixList&PrefixListId=$7",
        &expect!["400 NotAllowed.AssociationExist The specified prefix list has associated resources."],
    );
    check(
        &mut estate,
        "DeletePortRangeList&PortRangeListId=$8",
        &expect![
            "400 InvalidPortRangeListId.AssociationExist The specified port range list has association resources."
        ],
    );
    check(&mut estate, &format!("RevokeSecurityGroup&SecurityGroupId=$5&{rule}"), &expect!["{}"]);
    check(&mut estate, "DeletePrefixList&PrefixListId=$7", &expect!["{}"]);
    check(&mut estate, "DeletePortRangeList&PortRangeListId=$8", &expect!["{}"]);
}

#[test]
fn wrong_prefix_lists_are_refused() {
    let mut estate = estate();
    let create = "CreatePrefixList&PrefixListName=offices&AddressFamily=IPv4&MaxEntries=3";
    let cases = [
        (
            "CreatePrefixList&PrefixListName=offices&AddressFamily=IP&MaxEntries=3",
            "400 InvalidParameter.AddressFamily",
        ),
        ("CreatePrefixList&PrefixListName=1&AddressFamily=IPv4&MaxEntries=3", "400 InvalidParameter.PrefixListName"),
        (
            "CreatePrefixList&PrefixListName=com.aliyun.x&AddressFamily=IPv4&MaxEntries=3",
            "400 InvalidParameter.PrefixListName",
        ),
        ("CreatePrefixList&PrefixListName=offices&AddressFamily=IPv4&MaxEntries=201", "400 InvalidParameter"),
        ("CreatePrefixList&PrefixListName=offices&AddressFamily=IPv4", "400 MissingParameter"),
        (&format!("{create}&Description=x"), "400 InvalidDescription.Malformed"),
        (&format!("{create}&Entry.1.Cidr=10.0.0.1/8"), "400 InvalidParameter.CidrMalformed"),
        (&format!("{create}&Entry.1.Cidr=::/0"), "400 InvalidParameter.CidrMalformed"),
        (&format!("{create}&Entry.1.Description=xx"), "400 InvalidParameter.CidrMalformed"),
        (&format!("{create}&Entry.1.Cidr=10.0.0.1&Entry.2.Cidr=10.0.0.1/32"), "400 InvalidParameter.CidrDuplicated"),
        (
            &format!("{create}&Entry.1.Cidr=10.0.0.1&Entry.1.Description={}", "x".repeat(33)),
            "400 InvalidDescription.Malformed",
        ),
        (
            "ModifyPrefixList&PrefixListId=$7&AddEntry.1.Cidr=10.0.0.0/8&RemoveEntry.1.Cidr=10.0.0.0/8",
            "400 InvalidParameter.CidrDuplicated",
        ),
        (
            "ModifyPrefixList&PrefixListId=$7&AddEntry.1.Cidr=10.0.0.0/8&AddEntry.2.Cidr=11.0.0.0/8",
            "400 LimitExceed.MaxEntries",
        ),
        ("ModifyPrefixList&PrefixListId=$7&RemoveEntry.1.Cidr=::/0", "400 InvalidParameter.CidrMalformed"),
        ("ModifyPrefixList&PrefixListId=$7&RegionId=cn-beijing", "404 InvalidPrefixListId.NotFound"),
        ("ModifyPrefixList&PrefixListId=pl-no", "404 InvalidPrefixListId.NotFound"),
        ("DeletePrefixList&PrefixListId=pl%20no", "404 InvalidPrefixListId.NotFound"),
        ("DescribePrefixListAttributes&PrefixListId=pl-no", "404 InvalidPrefixListId.NotFound"),
        ("DescribePrefixListAssociations&PrefixListId=$7&RegionId=cn-beijing", "404 InvalidPrefixListId.NotFound"),
        ("DescribePrefixLists&MaxResults=101", "400 InvalidParameter"),
    ];
    for (query, expected) in cases {
        let reply = estate.call(query);
        assert!(reply.starts_with(&format!("{expected} ")), "{query}: {reply}");
    }
    let many = |list: &str, field: &str, value: &dyn Fn(usize) -> String| -> String {
        (0..201).map(|number| format!("&{list}.{number}{field}={}", value(number))).collect()
    };
    let entries = many("Entry", ".Cidr", &|number| format!("10.0.{number}.0/24"));
    assert!(estate.call(&format!("{create}{entries}")).starts_with("400 LimitExceed.Entry "));
    let ids = many("PrefixListId", "", &|number| format!("pl-{number}"));
    assert!(estate.call(&format!("DescribePrefixLists{ids}")).starts_with("400 LimitExceed.PrefixListId "));
}

#[test]
fn wrong_port_lists_are_refused() {
    let mut estate = estate();
    let create = "CreatePortRangeList&PortRangeListName=web&MaxEntries=1";
    let modify = "ModifyPortRangeList&PortRangeListId=$8";
    let cases = [
        ("CreatePortRangeList&PortRangeListName=-&MaxEntries=1", "400 InvalidParameter.PortRangeListName"),
        ("CreatePortRangeList&PortRangeListName=web&MaxEntries=2001", "400 InvalidOperation.MaxEntriesCountExceed"),
        ("CreatePortRangeList&PortRangeListName=web&MaxEntries=0", "400 InvalidParameter"),
        (&format!("{create}&Description=http://x"), "400 InvalidDescription.Malformed"),
        (&format!("{create}&Entry.1.Description=xx"), "400 InvalidParam.Entry"),
        (&format!("{create}&Entry.1.PortRange=0/1"), "400 InvalidParameter.PortRange"),
        (&format!("{create}&Entry.1.PortRange=80"), "400 InvalidParameter.PortRange"),
        (
            &format!("{create}&Entry.1.PortRange=1/2&Entry.2.PortRange=1/2"),
            "400 InvalidParameter.PortRangeDuplicated",
        ),
        (
            &format!("{create}&Entry.1.PortRange=1/2&Entry.2.PortRange=3/4"),
            "400 InvalidOperation.EntryCountExceedMaxEntries",
        ),
        (
            &format!("{modify}&AddEntry.1.PortRange=1/2&AddEntry.2.PortRange=3/4"),
            "400 InvalidOperation.EntryCountExceedMaxEntries",
        ),
        (
            &format!("{modify}&AddEntry.1.PortRange=1/2&RemoveEntry.1.PortRange=1/2"),
            "400 InvalidParameter.PortRangeDuplicated",
        ),
        ("ModifyPortRangeList&PortRangeListId=prl-no", "400 InvalidPortRangeListId.NotFound"),
        ("DeletePortRangeList&PortRangeListId=$8&RegionId=cn-beijing", "400 InvalidPortRangeListId.NotFound"),
        ("DescribePortRangeListEntries&PortRangeListId=prl-no", "400 InvalidPortRangeListId.NotFound"),
        ("DescribePortRangeListAssociations&PortRangeListId=prl%20no", "400 InvalidPortRangeListId.NotFound"),
    ];
    for (query, expected) in cases {
        let reply = estate.call(query);
        assert!(reply.starts_with(&format!("{expected} ")), "{query}: {reply}");
    }
}
