//! Parts of listings, by token.

use expect_test::expect;

use super::Estate;

#[test]
fn tokens_lead_through_everything_once() {
    let mut estate = Estate::furnished();
    for number in 0..10 {
        let create = "Action=CreateSecurityGroup&GroupDescription=d&VpcId=$1";
        estate.succeed(&format!("{create}&GroupName=g{number}"));
    }
    let mut call = "Action=DescribeSecurityGroups&MaxResults=5".to_owned();
    let mut seen = Vec::new();
    loop {
        let told = estate.succeed(&call);
        let ids = told.split("<groupName>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned());
        seen.push(ids.collect::<Vec<_>>());
        let Some(token) = told.split("<nextToken>").nth(1).and_then(|rest| rest.split('<').next()) else { break };
        call = format!("Action=DescribeSecurityGroups&MaxResults=5&NextToken={token}");
    }
    let expected = [vec!["default", "web", "g0", "g1", "g2"], vec!["g3", "g4", "g5", "g6", "g7"], vec!["g8", "g9"]];
    assert_eq!(seen, expected);
    let told = estate.succeed("Action=DescribeSecurityGroups&MaxResults=5");
    let token = told.split("<nextToken>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    estate.refused(
        &format!(
            "Action=DescribeSecurityGroups&MaxResults=4
             Action=DescribeSecurityGroups&MaxResults=1001
             Action=DescribeSecurityGroups&MaxResults=few
             Action=DescribeSecurityGroups&NextToken=garbage
             Action=DescribeVpcs&NextToken={token}
             Action=DescribeSecurityGroups&MaxResults=5&GroupId.1=$3"
        ),
        &expect![[r#"
            400 InvalidParameterValue: Value ( 4 ) for parameter maxResults is invalid. Expecting a value greater than 5.
            400 InvalidParameterValue: Value ( 1001 ) for parameter maxResults is invalid. Expecting a value smaller than 1000.
            400 InvalidParameterValue: Value ( few ) for parameter maxResults is invalid. Expecting a value greater than 5.
            400 InvalidPaginationToken: Next token &apos;garbage&apos; is invalid
            400 InvalidPaginationToken: Next token &apos;ec3mfNNQWzNbMDAwMDAwMDAwMDE1NDQ1OTk3MjMgc2ctZGNjNjk1MDVlYmY2MGE0OWI&apos; is invalid
            400 InvalidParameterCombination: The parameter securityGroupIdSet cannot be used with the parameter maxResults
        "#]],
    );
}
