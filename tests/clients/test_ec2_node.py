"""`@aws-sdk/client-ec2`, unmodified, under Node."""

import pytest

from sdk import Node, Refused


@pytest.fixture(scope="module")
def aws(server):
    found = server.credentials
    with Node("aws", server, found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"]) as client:
        yield client


def test_a_group_from_its_making_to_its_end(aws):
    vpc = aws.send("CreateVpc", {"CidrBlock": "10.40.0.0/16"})["Vpc"]["VpcId"]
    tags = [{"ResourceType": "security-group", "Tags": [{"Key": "app", "Value": "shop & co"}]}]
    new = {"GroupName": "node", "Description": "made by node", "VpcId": vpc, "TagSpecifications": tags}
    group = aws.send("CreateSecurityGroup", new)["GroupId"]
    permission = {
        "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443,
        "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "inside"}], "UserIdGroupPairs": [{"GroupId": group}],
    }
    wanted = {"GroupId": group, "IpPermissions": [permission]}
    rules = aws.send("AuthorizeSecurityGroupIngress", wanted)["SecurityGroupRules"]
    assert {(rule["FromPort"], rule["IsEgress"]) for rule in rules} == {(443, False)} and len(rules) == 2
    filters = [{"Name": "tag:app", "Values": ["shop*"]}, {"Name": "vpc-id", "Values": [vpc]}]
    [shown] = aws.send("DescribeSecurityGroups", {"Filters": filters})["SecurityGroups"]
    assert shown["IpPermissions"][0]["IpRanges"] == permission["IpRanges"]
    assert shown["Tags"] == tags[0]["Tags"]
    with pytest.raises(Refused) as refused:
        aws.send("AuthorizeSecurityGroupIngress", wanted)
    assert refused.value.told == (400, "InvalidPermission.Duplicate")
    named = [rule["SecurityGroupRuleId"] for rule in rules]
    aws.send("RevokeSecurityGroupIngress", {"GroupId": group, "SecurityGroupRuleIds": named})
    aws.send("DeleteSecurityGroup", {"GroupId": group})
    with pytest.raises(Refused) as refused:
        aws.send("DescribeSecurityGroups", {"GroupIds": [group]})
    assert refused.value.told == (400, "InvalidGroup.NotFound")
    aws.send("DeleteVpc", {"VpcId": vpc})


def test_a_wrong_key(server):
    with Node("aws", server, server.credentials["AWS_ACCESS_KEY_ID"], "wrong") as client:
        with pytest.raises(Refused) as refused:
            client.send("DescribeRegions", {})
        assert refused.value.told == (401, "AuthFailure")
