"""`boto3` on Network Insights: the answer of an analysis is the answer that packets get."""

import pytest

from test_ec2 import client_of, tcp, told


@pytest.fixture(scope="module")
def ec2(server):
    return client_of(server)


@pytest.fixture
def ends(server, ec2):
    """Two running instances of one subnet: a client of the default group, and a server of the group `web`."""
    vpc = ec2.create_vpc(CidrBlock="10.70.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.70.1.0/24")["Subnet"]["SubnetId"]
    web = ec2.create_security_group(GroupName="web", Description="d", VpcId=vpc)["GroupId"]
    run = {"MinCount": 1, "MaxCount": 1, "SubnetId": subnet, "ImageId": "ami-1", "InstanceType": "t3.micro"}
    [client] = ec2.run_instances(**run)["Instances"]
    [server_] = ec2.run_instances(**run, SecurityGroupIds=[web])["Instances"]
    server.wait_applied()
    yield client["InstanceId"], server_["InstanceId"], web
    ec2.terminate_instances(InstanceIds=[client["InstanceId"], server_["InstanceId"]])


def analysed(ec2, path):
    started = ec2.start_network_insights_analysis(NetworkInsightsPathId=path)["NetworkInsightsAnalysis"]
    [found] = ec2.describe_network_insights_analyses(
        NetworkInsightsAnalysisIds=[started["NetworkInsightsAnalysisId"]]
    )["NetworkInsightsAnalyses"]
    assert found["Status"] == "succeeded" and found["NetworkInsightsPathId"] == path
    return found


def codes(found):
    return [explanation["ExplanationCode"] for explanation in found["Explanations"]]


def test_a_path_is_closed_opened_and_told(server, ec2, ends):
    client, web_server, web = ends
    wanted = {"Source": client, "Destination": web_server, "Protocol": "tcp", "DestinationPort": 443}
    path = ec2.create_network_insights_path(**wanted)["NetworkInsightsPath"]["NetworkInsightsPathId"]
    closed = analysed(ec2, path)
    assert closed["NetworkPathFound"] is False and closed["ForwardPathComponents"] == []
    assert codes(closed) == ["ENI_SG_RULES_MISMATCH", "SG_HAS_NO_RULES"]
    [mismatch, _] = closed["Explanations"]
    assert [group["Id"] for group in mismatch["SecurityGroups"]] == [web] and mismatch["Direction"] == "ingress"
    ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=tcp(443, IpRanges=[{"CidrIp": "10.70.0.0/16"}]))
    opened = analysed(ec2, path)
    assert opened["NetworkPathFound"] is True and opened["Explanations"] == []
    components = opened["ForwardPathComponents"]
    assert [one["SequenceNumber"] for one in components] == list(range(1, 7))
    assert (components[0]["Component"]["Id"], components[-1]["Component"]["Id"]) == (client, web_server)
    rules = [one["SecurityGroupRule"] for one in components if "SecurityGroupRule" in one]
    assert [rule["Direction"] for rule in rules] == ["egress", "ingress"]
    assert rules[1] == {
        "Cidr": "10.70.0.0/16",
        "Direction": "ingress",
        "PortRange": {"From": 443, "To": 443},
        "Protocol": "tcp",
        "SecurityGroupId": web,
    }
    ec2.stop_instances(InstanceIds=[web_server])
    assert codes(analysed(ec2, path)) == ["BAD_STATE"]
    assert told(ec2.delete_network_insights_path, NetworkInsightsPathId=path) == (
        400,
        "AnalysisExistsForNetworkInsightsPath",
    )
    pages = ec2.get_paginator("describe_network_insights_analyses").paginate(
        NetworkInsightsPathId=path, PaginationConfig={"PageSize": 1}
    )
    kept = [one["NetworkInsightsAnalysisId"] for page in pages for one in page["NetworkInsightsAnalyses"]]
    assert len(kept) == 3
    for analysis in kept:
        gone = ec2.delete_network_insights_analysis(NetworkInsightsAnalysisId=analysis)
        assert gone["NetworkInsightsAnalysisId"] == analysis
    assert ec2.delete_network_insights_path(NetworkInsightsPathId=path)["NetworkInsightsPathId"] == path


def test_an_open_port_of_a_range_is_found(ec2, ends):
    client, web_server, web = ends
    ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=tcp(8080))
    ports = {"FilterAtSource": {"DestinationPortRange": {"FromPort": 8000, "ToPort": 9000}}}
    wanted = {"Source": client, "Destination": web_server, "Protocol": "tcp"}
    path = ec2.create_network_insights_path(**wanted, **ports)["NetworkInsightsPath"]
    assert path["FilterAtSource"] == ports["FilterAtSource"]
    found = analysed(ec2, path["NetworkInsightsPathId"])
    header = found["ForwardPathComponents"][0]["OutboundHeader"]
    assert found["NetworkPathFound"] and header["DestinationPortRanges"] == [{"From": 8080, "To": 8080}]
    other = ec2.create_network_insights_path(**{**wanted, "Protocol": "udp"})["NetworkInsightsPath"]
    assert codes(analysed(ec2, other["NetworkInsightsPathId"])) == ["ENI_SG_RULES_MISMATCH"]
    named = [{"Name": "source", "Values": [client]}, {"Name": "protocol", "Values": ["udp"]}]
    [shown] = ec2.describe_network_insights_paths(Filters=named)["NetworkInsightsPaths"]
    assert shown["NetworkInsightsPathId"] == other["NetworkInsightsPathId"]


def test_vpcs_that_nothing_joins(ec2, ends):
    client, _, _ = ends
    vpc = ec2.create_vpc(CidrBlock="10.71.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.71.1.0/24")["Subnet"]["SubnetId"]
    far = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    path = ec2.create_network_insights_path(Source=client, Destination=far, Protocol="tcp", DestinationPort=80)
    found = analysed(ec2, path["NetworkInsightsPath"]["NetworkInsightsPathId"])
    assert codes(found) == ["NO_ROUTE_TO_DESTINATION"] and found["NetworkPathFound"] is False


def test_refusals_of_insights(server, ec2, ends):
    client, web_server, _ = ends
    create = ec2.create_network_insights_path
    wanted = {"Source": client, "Destination": web_server, "Protocol": "tcp"}
    start, delete = ec2.start_network_insights_analysis, ec2.delete_network_insights_analysis
    cases = [
        (create, {**wanted, "Source": "igw-0123"}, (400, "InvalidParameterValue")),
        (create, {**wanted, "Source": "i-0123"}, (400, "InvalidInstanceID.NotFound")),
        (create, {**wanted, "SourceIp": "10.70.1.4", "FilterAtSource": {"SourceAddress": "10.70.1.4"}}, (400, "InvalidParameterCombination")),
        (create, {**wanted, "DryRun": True}, (412, "DryRunOperation")),
        (start, {"NetworkInsightsPathId": "nip-0123"}, (400, "InvalidNetworkInsightsPathId.NotFound")),
        (delete, {"NetworkInsightsAnalysisId": "nia-0123"}, (400, "InvalidNetworkInsightsAnalysisId.NotFound")),
    ]
    with server.unchanged():
        for call, parameters, expected in cases:
            assert told(call, **parameters) == expected, parameters
