"""`boto3` on network ACLs: made, edited, given to subnets, asked about, and enforced on packets of both families (seed 004:
stateless, for the whole subnet, beside the groups, which are stateful)."""

import pytest

from aws import OFFICE_V4, WORLD_V4, WORLD_V6, Site, told
from probes import Listeners, Talk, passes


@pytest.fixture
def site(server):
    with Site(server) as site:
        yield site


class Acl:
    """A network ACL of a site, without entries at first."""

    def __init__(self, site):
        self.site, self.ec2 = site, site.ec2
        self.id = self.ec2.create_network_acl(VpcId=site.vpc)["NetworkAcl"]["NetworkAclId"]

    def guard(self, subnet):
        at = [{"Name": "association.subnet-id", "Values": [subnet]}]
        [now] = self.ec2.describe_network_acls(Filters=at)["NetworkAcls"]
        [own] = [one["NetworkAclAssociationId"] for one in now["Associations"] if one["SubnetId"] == subnet]
        self.ec2.replace_network_acl_association(AssociationId=own, NetworkAclId=self.id)
        self.site.server.wait_applied()

    def said(self, egress, number, action, protocol="-1", ports=None):
        entry = {"NetworkAclId": self.id, "Egress": egress, "RuleAction": action, "Protocol": protocol}
        if ports:
            entry["PortRange"] = {"From": ports[0], "To": ports[1]}
        return [
            {**entry, "RuleNumber": number, "CidrBlock": WORLD_V4},
            {**entry, "RuleNumber": number + 1, "Ipv6CidrBlock": WORLD_V6},
        ]

    def put(self, *what, call="create_network_acl_entry", **more):
        for entry in self.said(*what, **more):
            getattr(self.ec2, call)(**entry)
        self.site.server.wait_applied()

    def drop(self, egress, *numbers):
        for number in numbers:
            self.ec2.delete_network_acl_entry(NetworkAclId=self.id, Egress=egress, RuleNumber=number)
        self.site.server.wait_applied()


def test_an_acl_is_stateless_and_for_a_whole_subnet(site):
    (inside, _), (near, _) = site.subnet(), site.subnet()
    group = site.group("web")
    web, twin, other = site.instance(inside, group), site.instance(inside, group), site.instance(near, group)
    site.allow(group, ("tcp/80", WORLD_V4), ("tcp/80", WORLD_V6))
    acl = Acl(site)
    with Listeners(web.id, "tcp/80"):
        for source in (twin.id, other.id):
            assert passes(source, web.v4, "tcp/80") == passes(source, web.v6, "tcp/80") == ["tcp/80"]
        acl.guard(inside)
        for address in (web.v4, web.v6):
            # Within a subnet there is no ACL; from another one everything is denied that is not allowed.
            assert passes(twin.id, address, "tcp/80") == ["tcp/80"]
            assert passes(other.id, address, "tcp/80") == passes(site.outside, address, "tcp/80") == []
        acl.put(False, 100, "allow", "6", (80, 80))
        for address in (web.v4, web.v6):
            # What came in is not let out for that.
            assert passes(other.id, address, "tcp/80") == []
        acl.put(True, 100, "allow", "6", (1024, 65535))
        for address in (web.v4, web.v6):
            assert passes(other.id, address, "tcp/80") == passes(site.outside, address, "tcp/80") == ["tcp/80"]
        acl.put(False, 10, "deny", "6", (80, 80))
        assert passes(other.id, web.v4, "tcp/80") == []
        acl.put(False, 10, "allow", "6", (80, 80), call="replace_network_acl_entry")
        assert passes(other.id, web.v4, "tcp/80") == ["tcp/80"]


def test_an_acl_cuts_a_session_that_the_groups_keep(site):
    subnet, _ = site.subnet()
    group = site.group("ssh")
    machine = site.instance(subnet, group)
    site.allow(group, ("tcp/22", f"{OFFICE_V4}/32"))
    acl = Acl(site)
    acl.put(False, 100, "allow")
    acl.put(True, 100, "allow")
    acl.guard(subnet)
    with Listeners(machine.id, "tcp/22"), Talk(site.outside, machine.v4, 22, OFFICE_V4) as session:
        assert session.is_alive()
        acl.put(True, 10, "deny", "6", (1, 65535))
        assert not session.is_alive()


def test_the_analysis_of_a_path_names_the_acl_and_its_entry(site):
    ec2 = site.ec2
    (inside, _), (near, _) = site.subnet(), site.subnet()
    group = site.group("web")
    web, other = site.instance(inside, group), site.instance(near, group)
    site.allow(group, ("tcp/80", WORLD_V4))
    wanted = {"Source": other.id, "Destination": web.id, "Protocol": "tcp", "DestinationPort": 80}
    path = ec2.create_network_insights_path(**wanted)["NetworkInsightsPath"]["NetworkInsightsPathId"]

    def analysed():
        found = ec2.start_network_insights_analysis(NetworkInsightsPathId=path)["NetworkInsightsAnalysis"]
        return found["NetworkPathFound"], found

    is_found, found = analysed()
    forward = [one["AclRule"] for one in found["ForwardPathComponents"] if "AclRule" in one]
    assert is_found and [rule["RuleNumber"] for rule in forward] == [100, 100]
    assert [one["AclRule"]["Egress"] for one in found["ReturnPathComponents"] if "AclRule" in one] == [True, False]
    acl = Acl(site)
    acl.put(False, 50, "deny", "6", (80, 80))
    acl.put(False, 100, "allow")
    acl.guard(inside)
    is_found, found = analysed()
    [explanation, _] = found["Explanations"]
    assert not is_found and explanation["ExplanationCode"] == "SUBNET_ACL_RESTRICTION"
    assert explanation["Acl"]["Id"] == acl.id and explanation["Direction"] == "ingress"
    assert explanation["AclRule"] == {
        "Cidr": WORLD_V4,
        "Egress": False,
        "PortRange": {"From": 80, "To": 80},
        "Protocol": "6",
        "RuleAction": "deny",
        "RuleNumber": 50,
    }
    acl.drop(False, 50, 51)
    # It arrives, and the answer does not leave.
    is_found, found = analysed()
    [explanation] = found["Explanations"]
    assert not is_found and explanation["ExplanationCode"] == "SUBNET_ACL_RESTRICTION"
    assert explanation["Direction"] == "egress" and "AclRule" not in explanation
    acl.put(True, 100, "allow")
    assert analysed()[0]


def test_what_is_refused(site):
    ec2 = site.ec2
    site.subnet()
    acl = Acl(site)
    acl.put(False, 1, "allow")
    [entry, _] = acl.said(False, 1, "allow")
    assert told(ec2.create_network_acl_entry, **entry) == (400, "NetworkAclEntryAlreadyExists")
    [entry, _] = acl.said(False, 9, "allow")
    assert told(ec2.replace_network_acl_entry, **entry) == (400, "InvalidNetworkAclEntry.NotFound")
    gone = {"NetworkAclId": acl.id, "Egress": True, "RuleNumber": 9}
    assert told(ec2.delete_network_acl_entry, **gone) == (400, "InvalidNetworkAclEntry.NotFound")
    assert told(ec2.delete_network_acl, NetworkAclId="acl-0123456789abcdef0") == (400, "InvalidNetworkAclID.NotFound")
    unknown = {"AssociationId": "aclassoc-0123456789abcdef0", "NetworkAclId": acl.id}
    assert told(ec2.replace_network_acl_association, **unknown) == (400, "InvalidAssociationID.NotFound")
    mine = [{"Name": "vpc-id", "Values": [site.vpc]}, {"Name": "default", "Values": ["true"]}]
    [default] = ec2.describe_network_acls(Filters=mine)["NetworkAcls"]
    assert told(ec2.delete_network_acl, NetworkAclId=default["NetworkAclId"]) == (400, "CannotDelete")
    assert told(ec2.delete_vpc, VpcId=site.vpc) == (400, "DependencyViolation")
    ec2.delete_network_acl(NetworkAclId=acl.id)
