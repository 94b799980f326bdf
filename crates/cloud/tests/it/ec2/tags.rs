//! Tags of everything that has them.

use expect_test::expect;

use super::Estate;

#[test]
fn tags_are_given_shown_and_taken() {
    let mut estate = Estate::furnished();
    estate.check(
        "Action=CreateTags&ResourceId.1=$1&ResourceId.2=$3&Tag.1.Key=env&Tag.1.Value=test&Tag.2.Key=a",
        &expect!["200 <CreateTagsResponse><return>true</return></CreateTagsResponse>"],
    );
    estate.check("Action=DescribeTags&Filter.1.Name=resource-type&Filter.1.Value.1=security-*", &expect!["200 <DescribeTagsResponse><tagSet><item><resourceId>$3</resourceId><resourceType>security-group</resourceType><key>a</key><value></value></item><item><resourceId>$3</resourceId><resourceType>security-group</resourceType><key>env</key><value>test</value></item></tagSet></DescribeTagsResponse>"]);
    estate.succeed("Action=DeleteTags&ResourceId.1=$1&ResourceId.2=$3&Tag.1.Key=env&Tag.1.Value=other");
    assert_eq!(
        estate.succeed("Action=DescribeTags&Filter.1.Name=tag:env&Filter.1.Value.1=*").matches("<item>").count(),
        2
    );
    estate.succeed("Action=DeleteTags&ResourceId.1=$1&Tag.1.Key=env&Tag.1.Value=test&Tag.2.Key=a");
    estate.succeed("Action=DeleteTags&ResourceId.1=$3");
    estate
        .check("Action=DescribeTags", &expect!["200 <DescribeTagsResponse><tagSet></tagSet></DescribeTagsResponse>"]);
    let rule = "Action=AuthorizeSecurityGroupIngress&GroupId=$3&IpProtocol=-1&CidrIp=10.0.0.0/8";
    estate.succeed(rule);
    let rule = estate.ids.len();
    estate.succeed(&format!("Action=CreateTags&ResourceId.1=${rule}&Tag.1.Key=k&Tag.1.Value=v"));
    estate.check("Action=DescribeTags&Filter.1.Name=key&Filter.1.Value.1=k", &expect!["200 <DescribeTagsResponse><tagSet><item><resourceId>$5</resourceId><resourceType>security-group-rule</resourceType><key>k</key><value>v</value></item></tagSet></DescribeTagsResponse>"]);
}

#[test]
fn tags_are_refused() {
    let mut estate = Estate::furnished();
    let many: String = (0..51).map(|number| format!("&Tag.{number}.Key=k{number}")).collect();
    let long = "x".repeat(257);
    estate.refused(
        &format!(
            "Action=CreateTags&Tag.1.Key=k
             Action=CreateTags&ResourceId.1=$1
             Action=CreateTags&ResourceId.1=web&Tag.1.Key=k
             Action=CreateTags&ResourceId.1=ami-0123&Tag.1.Key=k
             Action=CreateTags&ResourceId.1=vpc-0123&Tag.1.Key=k
             Action=CreateTags&ResourceId.1=$1&Tag.1.Key=aws:k
             Action=CreateTags&ResourceId.1=$1&Tag.1.Value=v
             Action=CreateTags&ResourceId.1=$1&Tag.1.Key=k&Tag.1.Value={long}
             Action=CreateTags&ResourceId.1=$1&Tag.1.Key=k&Tag.2.Key=k
             Action=CreateTags&ResourceId.1=$1{many}
             Action=DescribeTags&Filter.1.Name=colour&Filter.1.Value.1=red"
        ),
        &expect![[r#"
            400 MissingParameter: The request must contain the parameter resourceIdSet
            400 MissingParameter: The request must contain the parameter tagSet
            400 InvalidID: The ID &apos;web&apos; is not valid
            400 InvalidID: The ID &apos;ami-0123&apos; is not valid
            400 InvalidVpcID.NotFound: The vpc ID &apos;vpc-0123&apos; does not exist
            400 InvalidParameterValue: Tag keys starting with &apos;aws:&apos; are reserved for internal use: &apos;aws:k&apos;
            400 InvalidTagKey.Malformed: Tag key &apos;&apos; is empty or longer than 127 characters.
            400 InvalidParameterValue: Tag value &apos;xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx&apos; exceeds the maximum length of 256 characters
            400 InvalidParameterValue: Duplicate tag key &apos;k&apos; specified.
            400 TagLimitExceeded: The maximum number of Tags for a resource has been reached: 50.
            400 InvalidParameterValue: The filter &apos;colour&apos; is invalid
        "#]],
    );
}
