//! Tags: on everything that has them, as filters, and by the operations of their own.

use crate::{ecs::check, estate::Estate};
use expect_test::expect;

/// An estate whose group `$5`, VPC `$1` and vSwitch `$4` have tags.
fn tagged() -> Estate {
    let mut estate = Estate::furnished();
    let two = "Tag.1.Key=env&Tag.1.Value=prod&Tag.2.Key=team";
    for call in [
        format!("TagResources&ResourceType=securitygroup&ResourceId.1=$5&ResourceId.2=$6&{two}"),
        format!("TagResources&Version=2016-04-28&ResourceType=VPC&ResourceId.1=$1&{two}"),
        "TagResources&Version=2016-04-28&ResourceType=VSWITCH&ResourceId.1=$4&Tag.1.Key=env".to_owned(),
    ] {
        assert_eq!(estate.call(&call), "{}", "{call}");
    }
    estate
}

#[test]
fn tags_are_listed_by_resource_and_by_tag_in_parts() {
    let mut estate = tagged();
    check(
        &mut estate,
        "ListTagResources&ResourceType=SecurityGroup&ResourceId.1=$5",
        &expect![[
            r#"{"NextToken":"","TagResources":{"TagResource":[{"ResourceId":"$5","ResourceType":"SecurityGroup","TagKey":"env","TagValue":"prod"},{"ResourceId":"$5","ResourceType":"SecurityGroup","TagKey":"team","TagValue":""}]}}"#
        ]],
    );
    check(
        &mut estate,
        "ListTagResources&Version=2016-04-28&ResourceType=VSWITCH&Tag.1.Key=env",
        &expect![[
            r#"{"NextToken":"","TagResources":{"TagResource":[{"ResourceId":"$4","ResourceType":"VSWITCH","TagKey":"env","TagValue":""}]}}"#
        ]],
    );
    let (mut token, mut seen) = (String::new(), 0);
    loop {
        let call =
            format!("ListTagResources&ResourceType=securitygroup&Tag.1.Key=env&MaxResults=3&NextToken={token}");
        let part: serde_json::Value = serde_json::from_str(&estate.call(&call)).unwrap();
        seen += part["TagResources"]["TagResource"].as_array().unwrap().len();
        part["NextToken"].as_str().unwrap().clone_into(&mut token);
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, 4);
}

#[test]
fn tags_are_those_of_the_region_that_is_asked_about() {
    let mut estate = Estate::furnished();
    for make in [
        "CreatePrefixList&PrefixListName=offices&AddressFamily=IPv4&MaxEntries=1&Tag.1.Key=env",
        "CreatePortRangeList&PortRangeListName=ports&MaxEntries=1&Tag.1.Key=env",
    ] {
        estate.call(make);
    }
    estate.call("TagResources&ResourceType=securitygroup&ResourceId.1=$5&Tag.1.Key=env");
    for (kind, id) in [("prefixlist", "$7"), ("portrangelist", "$8"), ("securitygroup", "$5")] {
        let list = format!("ListTagResources&ResourceType={kind}&Tag.1.Key=env");
        assert!(estate.call(&list).contains(id), "{kind}");
        let elsewhere = estate.call(&format!("{list}&RegionId=cn-beijing"));
        assert!(elsewhere.contains(r#""TagResource":[]"#), "{elsewhere}");
        let tag = format!("TagResources&ResourceType={kind}&ResourceId.1={id}&Tag.1.Key=k&RegionId=cn-beijing");
        assert!(estate.call(&tag).starts_with("404 InvalidResourceId.NotFound"), "{kind}");
    }
}

#[test]
fn tags_are_replaced_and_taken_away() {
    let mut estate = tagged();
    estate.call("TagResources&ResourceType=securitygroup&ResourceId.1=$5&Tag.1.Key=env&Tag.1.Value=test");
    estate.call("UntagResources&ResourceType=securitygroup&ResourceId.1=$5&TagKey.1=team&TagKey.2=never");
    estate.call("UntagResources&ResourceType=securitygroup&ResourceId.1=$6&All=true");
    estate.call("UnTagResources&Version=2016-04-28&ResourceType=VPC&ResourceId.1=$1&TagKey.1=env");
    check(
        &mut estate,
        "ListTagResources&ResourceType=securitygroup&ResourceId.1=$5&ResourceId.2=$6",
        &expect![[
            r#"{"NextToken":"","TagResources":{"TagResource":[{"ResourceId":"$5","ResourceType":"securitygroup","TagKey":"env","TagValue":"test"}]}}"#
        ]],
    );
    check(
        &mut estate,
        "ListTagResources&Version=2016-04-28&ResourceType=vpc&ResourceId.1=$1",
        &expect![[
            r#"{"NextToken":"","TagResources":{"TagResource":[{"ResourceId":"$1","ResourceType":"vpc","TagKey":"team","TagValue":""}]}}"#
        ]],
    );
}

#[test]
fn what_is_made_with_tags_is_found_by_them() {
    let mut estate = Estate::furnished();
    let tags = "Tag.1.Key=env&Tag.1.Value=prod&Tag.2.key=old&Tag.2.value=style";
    let made = [
        estate.call(&format!("CreateVpc&Version=2016-04-28&CidrBlock=10.0.0.0/8&{tags}")),
        estate.call(&format!("CreateVSwitch&VpcId=$1&ZoneId=cn-hangzhou-b&CidrBlock=10.9.0.0/24&{tags}")),
        estate.call(&format!("RunInstances&VSwitchId=$4&SecurityGroupId=$5&{tags}")),
        estate.call(&format!("CreateSecurityGroup&VpcId=$1&{tags}")),
    ];
    for (answer, describe) in
        made.iter().zip(["DescribeVpcs", "DescribeVSwitches", "DescribeInstances", "DescribeSecurityGroups"])
    {
        let id = answer.split('"').find(|word| word.starts_with('$')).unwrap();
        for (filter, is_found) in [
            ("Tag.1.Key=env", true),
            ("Tag.1.Key=env&Tag.1.Value=prod&Tag.2.Key=old", true),
            ("Tag.1.Key=env&Tag.1.Value=test", false),
            ("Tag.1.Key=env&Tag.2.Key=other", false),
        ] {
            let found = estate.call(&format!("{describe}&{filter}"));
            assert_eq!(found.contains(&format!("\"{id}\"")), is_found, "{describe} {filter}: {found}");
        }
        let shown = estate.call(&format!("{describe}&Tag.1.Key=env"));
        let tags = r#""Tags":{"Tag":[{"TagKey":"env","TagValue":"prod"},{"TagKey":"old","TagValue":"style"}]}"#;
        assert!(shown.contains(tags), "{shown}");
    }
}

#[test]
fn wrong_requests_about_tags_are_refused_and_change_nothing() {
    let mut estate = tagged();
    let list = |count: usize, name: &str, value: &str| {
        (1..=count).map(|number| format!("&{}={value}", name.replace('N', &number.to_string()))).collect::<String>()
    };
    let many_tags: String = (0..21).map(|number| format!("&Tag.{number}.Key=k{number}")).collect();
    let nineteen: String = (0..19).map(|number| format!("&Tag.{number}.Key=k{number}")).collect();
    let group = "ResourceType=securitygroup&ResourceId.1=$5";
    let mut told = String::new();
    for call in [
        "TagResources&ResourceId.1=$5&Tag.1.Key=a".to_owned(),
        "TagResources&ResourceType=securitygroup&Tag.1.Key=a".to_owned(),
        format!("TagResources&{group}"),
        format!("TagResources&{group}&RegionId=&Tag.1.Key=a"),
        "TagResources&ResourceType=cloud&ResourceId.1=$5&Tag.1.Key=a".to_owned(),
        "TagResources&ResourceType=eni&ResourceId.1=$5&Tag.1.Key=a".to_owned(),
        "TagResources&ResourceType=securitygroup&ResourceId.1=$5&ResourceId.2=sg-no&Tag.1.Key=a".to_owned(),
        format!("TagResources&{group}&RegionId=cn-beijing&Tag.1.Key=a"),
        format!("TagResources&{group}&RegionId=mars&Tag.1.Key=a"),
        format!("TagResources&ResourceType=securitygroup{}&Tag.1.Key=a", list(51, "ResourceId.N", "$5")),
        format!("TagResources&{group}{many_tags}"),
        format!("TagResources&{group}{nineteen}"),
        format!("TagResources&{group}&Tag.1.Key=acs:a"),
        format!("TagResources&{group}&Tag.1.Value=a"),
        format!("TagResources&{group}&Tag.1.Key=a&Tag.1.Value=http://a"),
        format!("TagResources&{group}&Tag.1.Key=a&Tag.2.Key=a"),
        format!("UntagResources&{group}"),
        format!("UntagResources&{group}{}", list(21, "TagKey.N", "a")),
        "ListTagResources&ResourceType=securitygroup".to_owned(),
        format!("ListTagResources&{group}&NextToken=!"),
        format!("UnTagResources&{group}&All=true"),
    ] {
        told.push_str(&estate.call(&call));
        told.push('\n');
    }
    expect![[r#"
        404 MissingParameter.ResourceType The parameter - ResourceType should not be null.
        404 MissingParameter.ResourceIds The parameter - ResourceIds should not be null.
        404 MissingParameter.Tags The parameter - Tags should not be null.
        404 MissingParameter.RegionId The parameter - RegionId should not be null.
        404 InvalidResourceType.NotFound The ResourceType provided does not exist in our records.
        404 InvalidResourceId.NotFound The specified ResourceIds are not found in our records.
        404 InvalidResourceId.NotFound The specified ResourceIds are not found in our records.
        404 InvalidResourceId.NotFound The specified ResourceIds are not found in our records.
        404 InvalidRegionId.NotFound The specified RegionId does not exist.
        400 NumberExceed.ResourceIds The maximum number of ResourceIds is exceeded.
        400 NumberExceed.Tags The maximum number of Tags is exceeded.
        400 OperationDenied.QuotaExceed at most 20 tags of one resource; this request would make it 21.
        400 InvalidTagKey.Malformed Specified tag key is not valid.
        400 InvalidTagKey.Malformed Specified tag key is not valid.
        400 InvalidTagValue.Malformed Specified tag value is not valid.
        400 Duplicate.TagKey The Tag.N.Key contain duplicate key.
        404 MissingParameter.Tags The parameter - Tags should not be null.
        400 NumberExceed.Tags The maximum number of Tags is exceeded.
        404 MissingParameter.ResourceIds The parameter - ResourceIds should not be null.
        400 InvalidParameter The specified parameter "NextToken" is not valid: this operation has not returned it to this account.
        404 InvalidAction.NotFound Specified api is not found, please check your url and method.
    "#]]
    .assert_eq(&told);
    let shown = estate.call(&format!("ListTagResources&{group}"));
    assert!(shown.contains("env") && shown.contains("team") && !shown.contains("\"k1\""), "{shown}");
}

#[test]
fn the_tags_of_another_account_are_not_there() {
    let mut estate = tagged();
    estate.as_account("3");
    check(
        &mut estate,
        "TagResources&ResourceType=securitygroup&ResourceId.1=$5&Tag.1.Key=a",
        &expect!["404 InvalidResourceId.NotFound The specified ResourceIds are not found in our records."],
    );
    check(
        &mut estate,
        "ListTagResources&ResourceType=securitygroup&ResourceId.1=$5",
        &expect![[r#"{"NextToken":"","TagResources":{"TagResource":[]}}"#]],
    );
}

/// `Tag.N.key` and `Tag.N.value` are the names that older clients send.
#[test]
fn the_older_names_of_tags_mean_the_same_for_lists() {
    let mut estate = Estate::furnished();
    let tag = "Tag.1.key=env&Tag.1.value=old";
    for (create, describe) in [
        ("CreatePrefixList&PrefixListName=office&AddressFamily=IPv4&MaxEntries=5", "DescribePrefixLists"),
        ("CreatePortRangeList&PortRangeListName=web&MaxEntries=5", "DescribePortRangeLists"),
    ] {
        let made = estate.call(&format!("{create}&{tag}"));
        let id = made.split('"').find(|word| word.starts_with('$') || word.contains("l-")).unwrap().to_owned();
        for (filter, is_found) in [(tag, true), ("Tag.1.key=env&Tag.1.value=new", false)] {
            let found = estate.call(&format!("{describe}&{filter}"));
            assert_eq!(found.contains(&format!("\"{id}\"")), is_found, "{describe} {filter}: {found}");
        }
    }
}
