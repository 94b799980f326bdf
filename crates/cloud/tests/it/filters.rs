//! Filters and pages that no other test needs, one by one.

use crate::estate::Estate;

/// Whether a call's answer shows an id.
fn shows(estate: &mut Estate, call: &str, id: &str) -> bool {
    let answer = estate.call(call);
    assert!(answer.starts_with('{'), "{call}: {answer}");
    answer.contains(&format!("\"{id}\""))
}

#[test]
fn networks_are_found_by_owner_and_by_what_they_cannot_have() {
    let mut estate = Estate::furnished();
    for (filter, is_found) in [
        ("VpcOwnerId=1234567890123456", true),
        ("VpcOwnerId=2", false),
        ("DhcpOptionsSetId=dopt-1", false),
        ("IsDefault=true", false),
        ("IsDefault=false", true),
        ("EnableIpv6=true", true),
        ("EnableIpv6=false", false),
    ] {
        assert_eq!(shows(&mut estate, &format!("DescribeVpcs&{filter}"), "$1"), is_found, "{filter}");
    }
    for (filter, is_found) in [
        ("VSwitchOwnerId=1234567890123456", true),
        ("VSwitchOwnerId=2", false),
        ("RouteTableId=vtb-1", false),
        ("ZoneId=cn-hangzhou-b", true),
        ("ZoneId=cn-hangzhou-c", false),
        ("MaxResults=1", true),
    ] {
        assert_eq!(shows(&mut estate, &format!("DescribeVSwitches&{filter}"), "$4"), is_found, "{filter}");
    }
}

#[test]
fn groups_are_found_by_a_part_of_their_name_when_asked_to() {
    let mut estate = Estate::furnished();
    for (filter, is_found) in [
        ("SecurityGroupName=we*", false),
        ("SecurityGroupName=we*&FuzzyQuery=true", true),
        ("SecurityGroupName=web&FuzzyQuery=false", true),
        ("NetworkType=vpc", true),
        ("NetworkType=classic", false),
        ("ServiceManaged=true", false),
        ("ServiceManaged=false", true),
    ] {
        assert_eq!(shows(&mut estate, &format!("DescribeSecurityGroups&{filter}"), "$5"), is_found, "{filter}");
    }
}

/// Every `Describe…` with parts by token: all items, once each, and no token that it did not give.
#[test]
fn every_list_comes_in_parts_of_both_styles() {
    let mut estate = Estate::furnished();
    for block in 2..5 {
        estate.call("CreateVpc&Version=2016-04-28");
        estate.call(&format!("CreateVSwitch&VpcId=$1&ZoneId=cn-hangzhou-b&CidrBlock=10.{block}.0.0/24"));
        estate.call("CreateSecurityGroup&VpcId=$1");
        estate.call("RunInstances&VSwitchId=$4&SecurityGroupId=$5");
    }
    for (call, size_max, results_max) in [
        ("DescribeVpcs", 50, 100),
        ("DescribeVSwitches", 50, 100),
        ("DescribeSecurityGroups", 50, 100),
        ("DescribeInstances", 100, 100),
    ] {
        let (by_token, by_number) = (by_token(&mut estate, call), by_number(&mut estate, call));
        assert_eq!(by_token, by_number, "{call}");
        assert!(by_token.len() >= 3, "{call}");
        for wrong in [
            format!("PageSize={}", size_max + 1),
            "PageSize=0".to_owned(),
            "PageNumber=0".to_owned(),
            format!("MaxResults={}", results_max + 1),
            "MaxResults=0".to_owned(),
            "NextToken=%21".to_owned(),
        ] {
            let told = estate.call(&format!("{call}&{wrong}"));
            assert!(told.starts_with("400 InvalidParameter "), "{call} {wrong}: {told}");
        }
    }
}

#[test]
fn a_token_leads_on_in_the_list_and_for_the_account_that_it_was_given_to() {
    let mut estate = Estate::furnished();
    estate.call("CreateVpc&Version=2016-04-28");
    let part: serde_json::Value = serde_json::from_str(&estate.call("DescribeVpcs&MaxResults=1")).unwrap();
    let token = part["NextToken"].as_str().unwrap();
    let next = format!("DescribeVpcs&MaxResults=1&NextToken={token}");
    assert!(estate.call(&next).starts_with('{'));
    let told = estate.call(&format!("DescribeVSwitches&NextToken={token}"));
    assert!(told.starts_with("400 InvalidParameter ") && told.contains("NextToken"), "{told}");
    let told = estate.as_account("3").call(&next);
    assert!(told.starts_with("400 InvalidParameter ") && told.contains("NextToken"), "{told}");
}

/// The creation order of ids does not matter: what is compared is the text of every item.
fn by_token(estate: &mut Estate, call: &str) -> Vec<String> {
    let (mut items, mut token) = (Vec::new(), String::new());
    loop {
        let part = estate.call(&format!("{call}&MaxResults=2&NextToken={token}"));
        let part: serde_json::Value = serde_json::from_str(&part).unwrap();
        assert_eq!(part.get("TotalCount"), None, "{call}");
        items.extend(items_of(&part));
        part["NextToken"].as_str().unwrap().clone_into(&mut token);
        if token.is_empty() {
            return items;
        }
    }
}

fn by_number(estate: &mut Estate, call: &str) -> Vec<String> {
    let mut items = Vec::new();
    for page in 1.. {
        let part = estate.call(&format!("{call}&PageSize=2&PageNumber={page}"));
        let part: serde_json::Value = serde_json::from_str(&part).unwrap();
        let more = items_of(&part);
        if more.is_empty() {
            assert_eq!(part["TotalCount"], items.len(), "{call}");
            return items;
        }
        items.extend(more);
    }
    items
}

/// The items of the one list that an answer has.
fn items_of(answer: &serde_json::Value) -> Vec<String> {
    let wrapped = answer.as_object().unwrap().values().find_map(serde_json::Value::as_object).unwrap();
    let items = wrapped.values().find_map(serde_json::Value::as_array).unwrap();
    items.iter().map(ToString::to_string).collect()
}
