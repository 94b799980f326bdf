"""Flow logs that record while other tests run: a minute must end before there is anything to see, and nobody waits for it.

Everything that changes the world is done at the beginning, as other tests look at its revision. What goes on beside them sends packets
and reads files.
"""

import json
import threading
from concurrent.futures import Future

from aws import Site
from probes import Listeners, passes
from server import REGION, until

# A minute must end, and the next sample be taken; other tests keep the machine busy.
MINUTE_S = 180
PAUSE_S = 1
FORMAT = "${version} ${interface-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport} ${protocol} ${start} ${packets} ${bytes} ${action} ${log-status} ${flow-direction}"
BUCKET = {"LogDestinationType": "s3", "LogDestination": "arn:aws:s3:::bucket/records"}


def beside(work):
    """Does something on a thread of its own; what it comes to is in the result."""
    done = Future()

    def do():
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=do, daemon=True).start()
    return done


def files(server, flow_log):
    return sorted(server.data_dir.glob(f"**/flow-logs/{flow_log}/*.log"))


def ec2_records(server, flow_log):
    """Every record of a flow log as a dictionary by field."""
    found = []
    for path in files(server, flow_log):
        names, *lines = (line.split(" ") for line in path.read_text().splitlines())
        assert all(len(line) == len(names) for line in lines), path
        found += [dict(zip(names, line)) for line in lines]
    return found


def ecs_records(server, flow_log, project="flows", store="of_test"):
    """Every record of a flow log, as Log Service would give it; the files are named after its project and store."""
    found = []
    for path in files(server, flow_log):
        assert path.name.startswith(f"{project}_{store}_{REGION}_{flow_log}_"), path
        found += [json.loads(line) for line in path.read_text().splitlines()]
    return found


def about(records, port):
    """Records of TCP packets to a port, by what they tell of the decision."""
    return [one for one in records if one["dstport"] == str(port) and one["protocol"] == "6"]


def create_ecs_flow_log(sdk, kind, resource, traffic="All", **more):
    places = {"ProjectName": "flows", "LogStoreName": "of_test"}
    made = sdk.call("CreateFlowLog", ResourceType=kind, ResourceId=resource, TrafficType=traffic, **{**places, **more})
    assert made["Success"] == "true" and made["FlowLogId"].startswith("fl-")
    return made["FlowLogId"]


def come(what, check):
    return until(what, check, MINUTE_S, PAUSE_S)


class Ec2Recording:
    """A flow log of a VPC in which one service is let in, another is tried, and one instance is silent."""

    def __init__(self, server):
        self.site = site = Site(server)
        subnet, _ = site.subnet()
        self.group = group = site.group("db")
        self.db, self.app, _ = (site.instance(subnet, one) for one in (group, site.group("app"), site.group("quiet")))
        site.allow(group, ("tcp/5432", "0.0.0.0/0"))
        made = site.ec2.create_flow_logs(ResourceType="VPC", ResourceIds=[site.vpc], TrafficType="ALL", LogFormat=FORMAT,
                                         MaxAggregationInterval=60, **BUCKET)
        [self.flow_log] = made["FlowLogIds"]
        self.whole = beside(self.record)

    def records(self):
        return ec2_records(self.site.server, self.flow_log)

    def record(self):
        """Sends packets as soon as traffic is recorded; the records that tell of them."""
        db, app = self.db, self.app
        come("a host that makes records", self.records)
        with Listeners(db.id, "tcp/5432"):
            assert passes(app.id, db.v4, "tcp/5432", "tcp/22") == ["tcp/5432"]

        def seen():
            own = [one for one in self.records() if db.v4 in (one["srcaddr"], one["dstaddr"])]
            is_whole = any(one["action"] == "ACCEPT" for one in own) and any(one["action"] == "REJECT" for one in own)
            return own if is_whole else None

        return come("records of the packets", seen)


class EcsRecording:
    """Flow logs of the same kind of traffic: of everything, of what passes, of what does not, one that is off, and one that was."""

    def __init__(self, sdk):
        self.sdk, self.vpc = sdk, sdk.vpc()
        self.vswitch = sdk.vswitch(self.vpc, "10.1.0.0/24")
        group, other = sdk.group(self.vpc), sdk.group(self.vpc)
        sdk.call("AuthorizeSecurityGroup", SecurityGroupId=group, Permissions=[
            {"IpProtocol": "tcp", "PortRange": "5432/5432", "SourceCidrIp": "10.0.0.0/8"}
        ])
        [self.db], [self.app] = sdk.instances(self.vswitch, group), sdk.instances(self.vswitch, other)
        links = {one: sdk.instance(one)["NetworkInterfaces"]["NetworkInterface"][0] for one in (self.db, self.app)}
        self.addresses = {one: link["PrimaryIpAddress"] for one, link in links.items()}
        sdk.server.wait_applied()
        self.eni = links[self.db]["NetworkInterfaceId"]

        def create(kind, resource, *more, **others):
            return create_ecs_flow_log(sdk, kind, resource, *more, AggregationInterval=1, **others)

        self.every, self.allowed = create("VPC", self.vpc), create("VSwitch", self.vswitch, "Allow")
        self.dropped = create("NetworkInterface", self.eni, "Drop")
        self.off, self.again = (create("VPC", self.vpc, LogStoreName=store) for store in ("off", "again"))
        for flow_log in (self.off, self.again):
            sdk.call("DeactiveFlowLog", FlowLogId=flow_log)
        sdk.call("ActiveFlowLog", FlowLogId=self.again)
        self.whole = beside(self.record)

    def records(self, flow_log, **store):
        return ecs_records(self.sdk.server, flow_log, **store)

    def record(self):
        """Sends packets as soon as traffic is recorded; the records of everything, when those of all logs tell of the packets."""
        come("a host that makes records", lambda: self.records(self.every))
        with Listeners(self.db, "tcp/5432"):
            assert passes(self.app, self.addresses[self.db], "tcp/5432", "tcp/22") == ["tcp/5432"]

        def whole():
            own = self.records(self.every)
            return own if about(own, 5432) and about(own, 22) else None

        own = come("records of the packets", whole)
        for flow_log, action, port in ((self.allowed, "ACCEPT", 5432), (self.dropped, "REJECT", 22)):
            come(f"records of {action}", lambda: about(self.records(flow_log), port))
        come("records of one that is active again", lambda: about(self.records(self.again, store="again"), 22))
        return own
