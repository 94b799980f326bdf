"""Flow logs of the VPC product through `alibabacloud_vpc20160428`: what is kept, each code, and records of real packets."""

from collections import Counter

import pytest

from recordings import about
from recordings import create_ecs_flow_log as create
from server import REGION

FIELDS = [
    "__topic__", "version", "vswitch-id", "vm-id", "vpc-id", "account-id", "eni-id", "region", "srcaddr", "srcport",
    "dstaddr", "dstport", "protocol", "direction", "packets", "bytes", "start", "end", "log-status", "action",
    "tcp-flags", "traffic_path",
]


@pytest.fixture
def sdk(v2):
    return v2


def shown(sdk, **filters):
    return sdk.call("DescribeFlowLogs", **filters)["FlowLogs"]["FlowLog"]


def test_a_flow_log_is_kept_as_it_is_asked_for(sdk, vpc):
    flow_log = create(sdk, "VPC", vpc, FlowLogName="all", Description="of a test", AggregationInterval=5, IpVersion="IPv4",
                      TrafficPath=["internetGateway"], Tag=[{"Key": "env", "Value": "prod"}])
    [log] = shown(sdk, FlowLogId=flow_log)
    assert (log["FlowLogName"], log["Description"], log["RegionId"]) == ("all", "of a test", REGION)
    assert (log["ResourceType"], log["ResourceId"], log["TrafficType"]) == ("VPC", vpc, "All")
    assert (log["ProjectName"], log["LogStoreName"], log["AggregationInterval"]) == ("flows", "of_test", 5)
    assert (log["Status"], log["BusinessStatus"], log["FlowLogDeliverStatus"]) == ("Active", "Normal", "SUCCESS")
    assert log["IpVersion"] == "IPv4" and log["TrafficPath"] == {"TrafficPathList": ["internetGateway"]}
    assert log["Tags"] == {"Tag": [{"Key": "env", "Value": "prod"}]}
    sdk.call("ModifyFlowLogAttribute", FlowLogId=flow_log, FlowLogName="less", Description="y", AggregationInterval=1)
    sdk.call("DeactiveFlowLog", FlowLogId=flow_log)
    [log] = shown(sdk, VpcId=vpc, Status="Inactive")
    assert (log["FlowLogName"], log["Description"], log["AggregationInterval"]) == ("less", "y", 1)
    assert (log["IpVersion"], log["ProjectName"], log["Status"]) == ("IPv4", "flows", "Inactive")
    sdk.call("ActiveFlowLog", FlowLogId=flow_log)
    assert [one["FlowLogId"] for one in shown(sdk, Tags=[{"Key": "env", "Value": "prod"}], Status="Active")] == [flow_log]
    sdk.call("DeleteFlowLog", FlowLogId=flow_log)
    assert shown(sdk, FlowLogId=flow_log) == []


def test_flow_logs_come_in_pages(sdk, vpc):
    made = {create(sdk, "VPC", vpc, LogStoreName=f"store{number}") for number in range(5)}
    pages = [sdk.call("DescribeFlowLogs", VpcId=vpc, PageNumber=number, PageSize=2) for number in (1, 2, 3, 4)]
    assert [page["TotalCount"] for page in pages] == ["5"] * 4 and pages[1]["PageNumber"] == "2"
    found = [log["FlowLogId"] for page in pages for log in page["FlowLogs"]["FlowLog"]]
    assert len(found) == 5 and set(found) == made
    for flow_log in made:
        sdk.call("DeleteFlowLog", FlowLogId=flow_log)


def test_what_cannot_be_is_refused_and_changes_nothing(sdk, server, vpc):
    flow_log = create(sdk, "VPC", vpc, "Drop")
    others = [create(sdk, "VPC", vpc, LogStoreName=f"store{number}") for number in range(9)]
    of_vpc = {"ResourceType": "VPC", "ResourceId": vpc, "TrafficType": "Drop", "ProjectName": "flows", "LogStoreName": "of_test"}
    cases = [
        ("CreateFlowLog", {**of_vpc, "ResourceId": "vpc-none"}, (404, "InvalidVpcId.NotFound")),
        ("CreateFlowLog", {**of_vpc, "ResourceType": "VSwitch"}, (404, "InvalidVSwitchId.NotFound")),
        ("CreateFlowLog", {**of_vpc, "ResourceType": "NetworkInterface"}, (404, "InvalidEniId.NotFound")),
        ("CreateFlowLog", {**of_vpc, "ResourceType": "CEN"}, (400, "InvalidParameter")),
        ("CreateFlowLog", {**of_vpc, "TrafficType": "REJECT"}, (400, "InvalidParameter")),
        ("CreateFlowLog", {**of_vpc, "AggregationInterval": 3}, (400, "InvalidParameter")),
        ("CreateFlowLog", {**of_vpc, "LogStoreName": "../../etc"}, (400, "InvalidParameter")),
        ("CreateFlowLog", {**of_vpc, "ResourceGroupId": "rg-none"}, (404, "InvalidResourceGroup.NotFound")),
        ("CreateFlowLog", {**of_vpc, "TrafficType": None}, (400, "MissingParameter")),
        ("CreateFlowLog", of_vpc, (400, "ResourceAlreadyExist.FlowLog")),
        ("CreateFlowLog", {**of_vpc, "LogStoreName": "eleventh"}, (400, "QuotaExceeded.FlowLog")),
        ("ModifyFlowLogAttribute", {"FlowLogId": flow_log, "AggregationInterval": 2}, (400, "InvalidParameter")),
        ("ModifyFlowLogAttribute", {"FlowLogId": "fl-none"}, (404, "InvalidFlowLogId.NotFound")),
        ("ActiveFlowLog", {"FlowLogId": "fl-none"}, (404, "InvalidFlowLogId.NotFound")),
        ("DeactiveFlowLog", {"FlowLogId": flow_log, "RegionId": "cn-beijing"}, (404, "InvalidFlowLogId.NotFound")),
        ("DeleteFlowLog", {"FlowLogId": "fl-none"}, (404, "InvalidFlowLogId.NotFound")),
        ("DescribeFlowLogs", {"PageSize": 51}, (400, "InvalidParameter")),
    ]
    with server.unchanged():
        for operation, parameters, expected in cases:
            assert sdk.refused(operation, **parameters).told == expected, (operation, parameters)
    for made in (flow_log, *others):
        sdk.call("DeleteFlowLog", FlowLogId=made)


def test_flow_logs_get_records_of_what_passed_and_what_did_not(ecs_recording):
    recording, sdk = ecs_recording, ecs_recording.sdk
    own, eni, addresses = recording.whole.result(), recording.eni, recording.addresses
    db, app = recording.db, recording.app
    assert all(list(one) == FIELDS and all(isinstance(value, str) for value in one.values()) for one in own)
    assert {(one["__topic__"], one["version"], one["region"], one["vpc-id"]) for one in own} == {("flow_log", "1", REGION, recording.vpc)}
    at_db = [one for one in own if one["eni-id"] == eni]
    assert {(one["vm-id"], one["vswitch-id"], one["account-id"]) for one in at_db} == {(db, recording.vswitch, sdk.account)}
    for port, action in ((5432, "ACCEPT"), (22, "REJECT")):
        towards = [one for one in about(at_db, port) if one["direction"] == "in"]
        assert towards and all((one["action"], one["srcaddr"], one["dstaddr"]) == (action, addresses[app], addresses[db])
                               for one in towards), port
        assert all(one["log-status"] == "OK" and one["traffic_path"] == "2" for one in towards)
        assert all(0 < int(one["packets"]) < int(one["bytes"]) and int(one["start"]) <= int(one["end"]) for one in towards)
    assert sum(int(one["packets"]) for one in about(at_db, 5432)) >= 3
    silent = [one for one in own if one["log-status"] == "NODATA"]
    assert silent and all(one["srcaddr"] == "-" and int(one["end"]) - int(one["start"]) <= 60 for one in silent)

    def actions(flow_log):
        return Counter(one["action"] for one in recording.records(flow_log) if one["log-status"] == "OK")

    assert set(actions(recording.allowed)) == {"ACCEPT"} and set(actions(recording.dropped)) == {"REJECT"}
    assert about(recording.records(recording.again, store="again"), 22)
    assert recording.records(recording.off) == [], "one that is not active has no records"
    [log] = shown(sdk, FlowLogId=recording.off)
    assert (log["Status"], log["AggregationInterval"], log["LogStoreName"]) == ("Inactive", 1, "off")
    for flow_log in (recording.every, recording.allowed, recording.dropped, recording.off, recording.again):
        sdk.call("DeleteFlowLog", FlowLogId=flow_log)
    sdk.call("DeleteInstances", InstanceId=[db, app], Force=True)
