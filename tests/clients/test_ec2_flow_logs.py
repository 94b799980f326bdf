"""`boto3` on the configuration of flow logs: what is kept, what each resource says, and each code that can be provoked."""

import pytest

from test_ec2 import client_of, told

BUCKET = {"LogDestinationType": "s3", "LogDestination": "arn:aws:s3:::bucket/flows"}


@pytest.fixture(scope="module")
def ec2(server):
    return client_of(server)


@pytest.fixture
def vpc(ec2):
    return ec2.create_vpc(CidrBlock="10.60.0.0/16")["Vpc"]["VpcId"]


def of_vpc(vpc, *more, **other):
    return {"ResourceType": "VPC", "ResourceIds": [vpc, *more], "TrafficType": "ALL", **BUCKET, **other}


def test_flow_logs_are_kept_as_they_are_asked_for(ec2, vpc):
    tags = [{"ResourceType": "vpc-flow-log", "Tags": [{"Key": "env", "Value": "prod"}]}]
    options = {"FileFormat": "parquet", "HiveCompatiblePartitions": True, "PerHourPartition": True}
    wanted = of_vpc(vpc, "vpc-0123", MaxAggregationInterval=60, DestinationOptions=options, TagSpecifications=tags)
    made = ec2.create_flow_logs(LogFormat="${version} ${action}", ClientToken="flows", **wanted)
    [failed] = made["Unsuccessful"]
    assert (failed["ResourceId"], failed["Error"]["Code"]) == ("vpc-0123", "InvalidVpcID.NotFound")
    [flow_log] = made["FlowLogIds"]
    assert ec2.create_flow_logs(LogFormat="${version} ${action}", ClientToken="flows", **wanted)["FlowLogIds"] == [flow_log]
    [shown] = ec2.describe_flow_logs(FlowLogIds=[flow_log])["FlowLogs"]
    assert (shown["ResourceId"], shown["TrafficType"], shown["FlowLogStatus"]) == (vpc, "ALL", "ACTIVE")
    assert (shown["LogFormat"], shown["MaxAggregationInterval"]) == ("${version} ${action}", 60)
    assert shown["DestinationOptions"] == options and shown["LogDestination"] == BUCKET["LogDestination"]
    assert shown["Tags"] == [{"Key": "env", "Value": "prod"}]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.60.1.0/24")["Subnet"]["SubnetId"]
    eni = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    group = {"LogGroupName": "flows", "DeliverLogsPermissionArn": "arn:aws:iam::123456789012:role/flows"}
    for kind, resource in (("Subnet", subnet), ("NetworkInterface", eni)):
        done = ec2.create_flow_logs(ResourceType=kind, ResourceIds=[resource], TrafficType="REJECT", **group)
        assert len(done["FlowLogIds"]) == 1 and done["Unsuccessful"] == []

    def found(name, value):
        pages = ec2.get_paginator("describe_flow_logs").paginate(
            Filter=[{"Name": name, "Values": [value]}], PaginationConfig={"PageSize": 1}
        )
        return {one["ResourceId"] for page in pages for one in page["FlowLogs"]}

    assert {subnet, eni} <= found("log-group-name", "flows") and vpc not in found("log-group-name", "flows")
    assert found("flow-log-id", flow_log) == found("resource-id", vpc) == {vpc}
    assert vpc in found("log-destination-type", "s3") and eni in found("log-destination-type", "cloud-watch-logs")
    assert eni in found("traffic-type", "REJECT") and eni in found("deliver-log-status", "SUCCESS")
    assert vpc in found("tag:env", "prod") and vpc in found("tag-key", "env")
    [usual] = ec2.describe_flow_logs(Filter=[{"Name": "resource-id", "Values": [eni]}])["FlowLogs"]
    assert usual["LogFormat"].startswith("${version} ${account-id}") and usual["MaxAggregationInterval"] == 600
    assert ec2.delete_flow_logs(FlowLogIds=[flow_log])["Unsuccessful"] == []
    assert told(ec2.describe_flow_logs, FlowLogIds=[flow_log]) == (400, "InvalidFlowLogId.NotFound")


def test_a_resource_has_few_and_none_twice(ec2, vpc):
    def failure(**parameters):
        done = ec2.create_flow_logs(**parameters)
        return [failed["Error"]["Code"] for failed in done["Unsuccessful"]]

    assert failure(**of_vpc(vpc)) == []
    assert failure(**of_vpc(vpc)) == ["FlowLogAlreadyExists"]
    assert failure(**of_vpc(vpc, TrafficType="REJECT")) == []
    assert failure(**of_vpc(vpc, TrafficType="ACCEPT")) == ["FlowLogsLimitExceeded"]


def test_refusals_of_flow_logs(server, ec2, vpc):
    create = ec2.create_flow_logs
    cases = [
        (create, of_vpc(vpc, LogDestination="arn:aws:logs:::x"), (400, "InvalidParameter")),
        (create, of_vpc(vpc, LogFormat="${colour}"), (400, "InvalidParameter")),
        (create, of_vpc(vpc, MaxAggregationInterval=61), (400, "InvalidParameter")),
        (create, of_vpc(vpc, ResourceType="TransitGateway"), (400, "InvalidParameterValue")),
        (create, of_vpc(vpc, ResourceIds=["web"]), (400, "InvalidVpcID.Malformed")),
        (create, of_vpc(vpc, DryRun=True), (412, "DryRunOperation")),
        (ec2.delete_flow_logs, {"FlowLogIds": ["fl-0123"]}, (400, "InvalidFlowLogId.NotFound")),
        (ec2.delete_flow_logs, {"FlowLogIds": ["flows"]}, (400, "InvalidFlowLogId.Malformed")),
    ]
    with server.unchanged():
        for call, parameters, expected in cases:
            assert told(call, **parameters) == expected, parameters
