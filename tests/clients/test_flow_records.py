"""Records of a flow log that `boto3` has made, as the server writes them: which fields, whose traffic, how much."""

import pytest

from aws import Site
from probes import Listeners, passes
from server import until

# A minute must end, and the next sample be taken.
MINUTE_S = 150
FORMAT = "${version} ${interface-id} ${srcaddr} ${dstaddr} ${dstport} ${protocol} ${packets} ${bytes} ${action} ${log-status} ${flow-direction}"
BUCKET = {"LogDestinationType": "s3", "LogDestination": "arn:aws:s3:::bucket/records"}


@pytest.fixture
def site(server):
    with Site(server) as site:
        yield site


def records(server, flow_log):
    """Every record of a flow log as a dictionary by field."""
    found = []
    for path in sorted(server.data_dir.glob(f"**/flow-logs/{flow_log}/*.log")):
        names, *lines = (line.split(" ") for line in path.read_text().splitlines())
        assert all(len(line) == len(names) for line in lines), path
        found += [dict(zip(names, line)) for line in lines]
    return found


def test_a_flow_log_gets_records(site):
    subnet, _ = site.subnet()
    group = site.group("db")
    db, app, quiet = (site.instance(subnet, one) for one in (group, site.group("app"), site.group("quiet")))
    site.allow(group, ("tcp/5432", "0.0.0.0/0"))
    made = site.ec2.create_flow_logs(ResourceType="VPC", ResourceIds=[site.vpc], TrafficType="ALL", LogFormat=FORMAT,
                                     MaxAggregationInterval=60, **BUCKET)
    [flow_log] = made["FlowLogIds"]
    until("a host that makes records", lambda: records(site.server, flow_log), MINUTE_S)
    with Listeners(db.id, "tcp/5432"):
        assert passes(app.id, db.v4, "tcp/5432", "tcp/22") == ["tcp/5432"]

    def seen():
        own = [one for one in records(site.server, flow_log) if db.v4 in (one["srcaddr"], one["dstaddr"])]
        is_whole = any(one["action"] == "ACCEPT" for one in own) and any(one["action"] == "REJECT" for one in own)
        return own if is_whole else None

    own = until("records of the packets", seen, MINUTE_S)
    allowed = [one for one in own if one["dstport"] == "5432" and one["flow-direction"] == "ingress" and one["dstaddr"] == db.v4]
    [denied] = {(one["action"], one["srcaddr"], one["protocol"], one["log-status"]) for one in own if one["dstport"] == "22" and one["flow-direction"] == "ingress"}
    assert denied == ("REJECT", app.v4, "6", "OK")
    assert allowed and all(one["action"] == "ACCEPT" and int(one["packets"]) >= 3 and one["version"] == "5" for one in allowed)
    silent = {one["log-status"] for one in records(site.server, flow_log) if one["srcaddr"] == "-"}
    assert silent == {"NODATA"}
    site.ec2.delete_flow_logs(FlowLogIds=[flow_log])
