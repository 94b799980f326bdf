//! Client tokens, dry runs, and resource groups.

use crate::{ecs::check, estate::Estate};
use expect_test::expect;
use sekimori_core::token::TOKEN_LIFETIME_S;

const CREATE: &str = "CreateSecurityGroup&VpcId=$1&SecurityGroupName=again";

fn count(estate: &mut Estate) -> u64 {
    let all = estate.call("DescribeSecurityGroups&SecurityGroupName=again");
    let all: serde_json::Value = serde_json::from_str(&all).unwrap();
    all["TotalCount"].as_u64().unwrap()
}

#[test]
fn a_token_makes_one_thing_however_often_it_is_sent() {
    let mut estate = Estate::furnished();
    let first = estate.call(&format!("{CREATE}&ClientToken=t"));
    assert_eq!(estate.call(&format!("{CREATE}&ClientToken=t")), first);
    assert_eq!(estate.call(&format!("{CREATE}&ClientToken=t&Format=json")), first);
    assert_eq!(count(&mut estate), 1);
    let other = estate.call(&format!("{CREATE}&ClientToken=T"));
    assert_ne!(other, first, "tokens differ by case");
    estate.wait(TOKEN_LIFETIME_S);
    assert_ne!(estate.call(&format!("{CREATE}&ClientToken=t")), first, "a token is forgotten after its time");
    assert_eq!(count(&mut estate), 3);
}

#[test]
fn a_token_is_for_one_request_of_one_account() {
    let mut estate = Estate::furnished();
    estate.call(&format!("{CREATE}&ClientToken=t"));
    let mismatch = expect![[r#"
        400 IdempotentParameterMismatch The request uses the same client token as a previous, but non-identical request. Do not reuse a client token with different requests, unless the requests are identical.
    "#]];
    for other in [
        format!("{CREATE}&Description=other&ClientToken=t"),
        "DeleteSecurityGroup&SecurityGroupId=$5&ClientToken=t".to_owned(),
    ] {
        mismatch.assert_eq(&(estate.call(&other) + "\n"));
    }
    assert_eq!(count(&mut estate), 1);
    estate.as_account("3");
    let elsewhere = estate.call(&format!("{CREATE}&ClientToken=t"));
    assert!(elsewhere.starts_with("404 InvalidVpcId.NotFound"), "{elsewhere}");
}

#[test]
fn what_was_refused_may_succeed_with_the_same_token() {
    let mut estate = Estate::furnished();
    let delete = "DeleteVSwitch&VSwitchId=$4&ClientToken=t";
    let run = estate.call("RunInstances&VSwitchId=$4&SecurityGroupId=$5");
    assert!(estate.call(delete).starts_with("400 DependencyViolation"));
    let instance = run.split('"').find(|word| word.starts_with('$')).unwrap();
    assert_eq!(estate.call(&format!("DeleteInstance&Force=true&InstanceId={instance}")), "{}");
    assert_eq!(estate.call(delete), "{}");
    assert_eq!(estate.call(delete), "{}");
}

#[test]
fn what_is_no_token_is_refused() {
    let mut estate = Estate::furnished();
    for token in ["%E6%9D%B1", "a%20b", &"t".repeat(65)] {
        let told = estate.call(&format!("{CREATE}&ClientToken={token}"));
        assert!(told.starts_with("400 InvalidClientToken.ValueNotSupported"), "{told}");
    }
    assert_eq!(count(&mut estate), 0);
}

#[test]
fn a_dry_run_tells_what_would_come_of_it_and_changes_nothing() {
    let mut estate = Estate::furnished();
    for (call, code) in [
        (format!("{CREATE}&DryRun=true"), "400 DryRunOperation"),
        (format!("{CREATE}&DryRun=true&ClientToken=t"), "400 DryRunOperation"),
        ("DescribeSecurityGroups&DryRun=true".to_owned(), "400 DryRunOperation"),
        ("DeleteSecurityGroup&SecurityGroupId=$5&DryRun=true".to_owned(), "400 DryRunOperation"),
        ("DeleteSecurityGroup&SecurityGroupId=sg-no&DryRun=true".to_owned(), "404 InvalidSecurityGroup.NotFound"),
        ("DeleteVpc&VpcId=$1&DryRun=true".to_owned(), "400 DependencyViolation.VSwitch"),
        (format!("{CREATE}&DryRun=maybe"), "400 InvalidParameter"),
    ] {
        let told = estate.call(&call);
        assert!(told.starts_with(code), "{call}: {told}");
    }
    assert_eq!(count(&mut estate), 0);
    assert!(estate.call(&format!("{CREATE}&ClientToken=t")).contains("SecurityGroupId"), "the token is unused");
}

#[test]
fn resource_groups_are_joined_shown_and_filtered_by() {
    let mut estate = Estate::furnished();
    let made = [
        estate.call("CreateSecurityGroup&VpcId=$1&ResourceGroupId=rg-1"),
        estate.call("CreateVpc&Version=2016-04-28&ResourceGroupId=rg-1"),
        estate.call("RunInstances&VSwitchId=$4&SecurityGroupId=$5&ResourceGroupId=rg-1"),
    ];
    for (answer, describe) in made.iter().zip(["DescribeSecurityGroups", "DescribeVpcs", "DescribeInstances"]) {
        let id = answer.split('"').find(|word| word.starts_with('$')).unwrap();
        for (group, is_found) in [("rg-1", true), ("rg-default", false), ("rg-no", false)] {
            let found = estate.call(&format!("{describe}&ResourceGroupId={group}"));
            assert_eq!(found.contains(&format!("\"{id}\"")), is_found, "{describe} {group}: {found}");
            assert!(!is_found || found.contains(r#""ResourceGroupId":"rg-1""#), "{found}");
        }
    }
    let join = "JoinResourceGroup&ResourceType=securitygroup&ResourceId=$5&ResourceGroupId";
    assert_eq!(estate.call(&format!("{join}=rg-1")), "{}");
    let of = |estate: &mut Estate| estate.call("DescribeSecurityGroups&SecurityGroupId=$5");
    assert!(of(&mut estate).contains(r#""ResourceGroupId":"rg-1""#));
    assert_eq!(estate.call(&format!("{join}=rg-default")), "{}");
    assert!(of(&mut estate).contains(r#""ResourceGroupId":"""#));
}

#[test]
fn wrong_requests_about_resource_groups_are_refused() {
    let mut estate = Estate::furnished();
    let join = "JoinResourceGroup&ResourceType=securitygroup";
    check(
        &mut estate,
        &format!("{join}&ResourceId=$5&ResourceGroupId=rg-no"),
        &expect!["404 InvalidResourceGroup.NotFound The ResourceGroup provided does not exist in our records."],
    );
    check(
        &mut estate,
        &format!("{join}&ResourceId=sg-no&ResourceGroupId=rg-1"),
        &expect!["404 InvalidResourceId.NotFound The specified ResourceIds are not found in our records."],
    );
    check(
        &mut estate,
        &format!("{join}&ResourceId=$5"),
        &expect![[
            r#"400 MissingParameter The input parameter "ResourceGroupId" that is required for processing this request is not supplied."#
        ]],
    );
    check(
        &mut estate,
        "JoinResourceGroup&ResourceType=moon&ResourceId=$5&ResourceGroupId=rg-1",
        &expect!["404 InvalidResourceType.NotFound The ResourceType provided does not exist in our records."],
    );
    for create in [
        "CreateVpc&Version=2016-04-28",
        "CreateSecurityGroup&VpcId=$1",
        "RunInstances&VSwitchId=$4&SecurityGroupId=$5",
    ] {
        let told = estate.call(&format!("{create}&ResourceGroupId=rg-no"));
        assert!(told.starts_with("404 InvalidResourceGroup.NotFound"), "{told}");
    }
}
