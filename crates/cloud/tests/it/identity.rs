//! What clients ask before anything else: whose key this is, and where the products are.

use crate::{ecs::check, estate::Estate};
use expect_test::expect;

#[test]
fn a_caller_is_told_whose_key_it_has() {
    check(
        &mut Estate::new(),
        "GetCallerIdentity&Version=2015-04-01",
        &expect![[
            r#"{"IdentityType":"Account","AccountId":"1234567890123456","UserId":"1234567890123456","PrincipalId":"1234567890123456","RoleId":"","Arn":"acs:ram::1234567890123456:root"}"#
        ]],
    );
    let told = Estate::new().call("GetCallerIdentity");
    assert!(told.starts_with("404 InvalidAction.NotFound"), "it is no operation of ECS: {told}");
}

#[test]
fn the_products_are_where_the_client_has_asked() {
    let mut estate = Estate::new();
    let ask = "DescribeEndpoints&Version=2015-06-12&Type=openAPI";
    check(
        &mut estate,
        &format!("{ask}&Id=cn-hangzhou&ServiceCode=ecs"),
        &expect![[
            r#"{"Success":true,"Endpoints":{"Endpoint":[{"Id":"cn-hangzhou","SerivceCode":"ecs","Type":"openAPI","Endpoint":"ecs.aliyuncs.com","Namespace":"","Protocols":{"Protocols":["HTTP","HTTPS"]}}]}}"#
        ]],
    );
    for nowhere in ["Id=mars&ServiceCode=ecs", "Id=cn-hangzhou&ServiceCode=oss"] {
        assert_eq!(estate.call(&format!("{ask}&{nowhere}")), r#"{"Success":true,"Endpoints":{"Endpoint":[]}}"#);
    }
    assert!(estate.call(&format!("{ask}&Id=cn-hangzhou")).starts_with("400 MissingParameter"));
}
