"""Amazon's reference of security-group rules, use case by use case: every row of it is made with `boto3`, and tried with
packets between instances that are namespaces. Peered VPCs are not here.
"""

import json
import subprocess

import pytest

from aws import CAFE_V4, OFFICE_V4, OFFICE_V6, WORLD_V4, WORLD_V6, Site, permission
from probes import Listeners, Talk, passes

ENGINES = {"MS SQL": 1433, "Oracle": 1521, "MySQL": 3306, "PostgreSQL": 5432, "Redshift": 5439}


@pytest.fixture
def site(server):
    with Site(server) as site:
        yield site


def test_web_server(site):
    subnet, _ = site.subnet()
    group = site.group("web")
    web = site.instance(subnet, group)
    services = "tcp/22", "tcp/80", "tcp/443", "udp/443", "ping"
    v4 = site.allow(group, ("tcp/80", WORLD_V4), ("tcp/443", WORLD_V4))
    with Listeners(web.id, *services[:-1]):
        assert passes(site.outside, web.v4, *services) == ["tcp/80", "tcp/443"]
        # A rule for every IPv4 address says nothing about IPv6.
        assert passes(site.outside, web.v6, *services) == []
        site.allow(group, ("tcp/80", WORLD_V6), ("tcp/443", WORLD_V6))
        assert passes(site.outside, web.v6, *services) == ["tcp/80", "tcp/443"]
        site.disallow(group, v4)
        assert passes(site.outside, web.v4, *services) == []
        assert passes(site.outside, web.v6, *services) == ["tcp/80", "tcp/443"]


def test_database_by_group_and_by_network(site):
    (inside, _), (near, block) = site.subnet(), site.subnet()
    database, application, other = site.group("db"), site.group("app"), site.group("other")
    db, app = site.instance(inside, database), site.instance(inside, application)
    neighbour = site.instance(near, other)
    services = [f"tcp/{port}" for port in ENGINES.values()]
    site.allow(database, *((service, application) for service in services))
    with Listeners(db.id, *services, "tcp/22"):
        for address in (db.v4, db.v6):
            assert passes(app.id, address, *services, "tcp/22") == services
            assert passes(neighbour.id, address, *services) == []
            assert passes(site.outside, address, *services) == []
        # Or the range of a local network.
        site.allow(database, ("tcp/5432", block))
        assert passes(neighbour.id, db.v4, *services) == ["tcp/5432"]
        # Who leaves the group is no source of it any more.
        site.ec2.modify_instance_attribute(InstanceId=app.id, Groups=[other])
        site.server.wait_applied()
        assert passes(app.id, db.v4, *services) == []


def test_database_that_may_only_fetch_updates(site):
    subnet, _ = site.subnet()
    group, application = site.group("db"), site.group("app")
    db, app = site.instance(subnet, group), site.instance(subnet, application)
    site.allow(group, ("tcp/3306", application))
    outside = "tcp/80", "tcp/443", "tcp/8443"
    with Listeners(site.outside, *outside), Listeners(db.id, "tcp/3306"):
        for address in (CAFE_V4, OFFICE_V6):
            assert passes(db.id, address, *outside) == list(outside)
        site.seal(group)
        for address in (CAFE_V4, OFFICE_V6):
            assert passes(db.id, address, *outside) == []
        site.let_out(group, ("tcp/80", WORLD_V4), ("tcp/443", WORLD_V4), ("tcp/80", WORLD_V6), ("tcp/443", WORLD_V6))
        for address in (CAFE_V4, OFFICE_V6):
            assert passes(db.id, address, *outside) == ["tcp/80", "tcp/443"]
        # Answers need no rule outwards.
        assert passes(app.id, db.v4, "tcp/3306") == ["tcp/3306"]


def test_ssh_and_rdp_from_ones_own_computer(site):
    subnet, _ = site.subnet()
    group = site.group("reached")
    machine = site.instance(subnet, group)
    services = ["tcp/22", "tcp/3389"]
    for service in services:
        site.allow(group, (service, f"{OFFICE_V4}/32"), (service, f"{OFFICE_V6}/128"))
    with Listeners(machine.id, *services, "tcp/80"):
        assert passes(site.outside, machine.v4, *services, "tcp/80", source=OFFICE_V4) == services
        assert passes(site.outside, machine.v4, *services, source=CAFE_V4) == []
        assert passes(site.outside, machine.v6, *services, "tcp/80") == services


def test_instances_of_one_group(site):
    subnet, _ = site.subnet()
    group, other = site.group("cluster"), site.group("other")
    one, two, stranger = (site.instance(subnet, groups) for groups in (group, group, other))
    services = ["tcp/9300", "udp/7946", "ping"]
    with Listeners(one.id, *services[:-1]), Listeners(two.id, *services[:-1]):
        # To be in one group is no permission by itself.
        assert passes(one.id, two.v4, *services) == []
        site.allow(group, ("-1", group))
        for address in (two.v4, two.v6):
            assert passes(one.id, address, *services) == services
            assert passes(stranger.id, address, *services) == []
            assert passes(site.outside, address, *services) == []
        assert passes(two.id, one.v4, *services) == services


def test_through_an_instance_in_between(site):
    """What a middlebox forwards is let in by a rule for the other's network."""
    (near, block), (between, _), (far, _) = site.subnet(), site.subnet(), site.subnet()
    box_group, near_group, far_group = site.group("box"), site.group("near"), site.group("far")
    one, box, two = site.instance(near, near_group), site.instance(between, box_group), site.instance(far, far_group)
    site.allow(box_group, ("-1", "10.60.0.0/16"))
    lead_through(site, one, box, two)
    with Listeners(two.id, "tcp/8080"):
        site.allow(far_group, ("tcp/8080", block))
        # Whose addresses are checked may not pass on what is another's.
        assert passes(one.id, two.v4, "tcp/8080") == []
        site.ec2.modify_network_interface_attribute(NetworkInterfaceId=box.eni, SourceDestCheck={"Value": False})
        site.server.wait_applied()
        assert passes(one.id, two.v4, "tcp/8080") == ["tcp/8080"]
        assert forwarded(box) > 0


def lead_through(site, one, box, two):
    """Routes what the two send to each other through the box, as a route table would."""
    def ip(*words):
        done = subprocess.run(["ip", "-n", site.vpc, "-j", *words], capture_output=True, text=True, check=True)
        return json.loads(done.stdout or "null")

    link = {machine.id: ip("route", "get", machine.v4)[0]["dev"] for machine in (one, box, two)}
    for table, (source, target) in enumerate([(one, two), (two, one)], 7_001):
        ip("route", "add", f"{target.v4}/32", "via", box.v4, "dev", link[box.id], "onlink", "table", str(table))
        ip("rule", "add", "iif", link[source.id], "to", target.v4, "lookup", str(table))
    for setting in ("ip_forward=1", "conf.all.send_redirects=0", "conf.eth0.send_redirects=0"):
        name, value = setting.split("=")
        path = f"/proc/sys/net/ipv4/{name.replace('.', '/')}"
        subprocess.run(["ip", "netns", "exec", box.id, "sh", "-c", f"echo {value} >{path}"], check=True)


def forwarded(box):
    """Packets that the box has passed on."""
    words = ["ip", "netns", "exec", box.id, "cat", "/proc/net/snmp"]
    names, values = [line.split()[1:] for line in run(words).splitlines() if line.startswith("Ip:")]
    return int(dict(zip(names, values))["ForwDatagrams"])


def run(words):
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_ping_and_ping6(site):
    subnet, _ = site.subnet()
    group = site.group("pinged")
    machine = site.instance(subnet, group)
    with Listeners(machine.id, "tcp/80"):
        assert passes(site.outside, machine.v4, "ping", source=OFFICE_V4) == []
        site.allow(group, ("icmp/8", f"{OFFICE_V4}/32"))
        assert passes(site.outside, machine.v4, "ping", "tcp/80", source=OFFICE_V4) == ["ping"]
        assert passes(site.outside, machine.v4, "ping", source=CAFE_V4) == []
        assert passes(site.outside, machine.v6, "ping") == []
        site.allow(group, ("icmpv6/128", f"{OFFICE_V6}/128"))
        assert passes(site.outside, machine.v6, "ping", "tcp/80") == ["ping"]


def test_dns_server(site):
    (inside, _), (near, block) = site.subnet(), site.subnet()
    group, resolvers, other = site.group("dns"), site.group("resolvers"), site.group("other")
    server, client, neighbour = site.instance(inside, group), site.instance(inside, resolvers), site.instance(near, other)
    services = ["tcp/53", "udp/53"]
    by_network = site.allow(group, *((service, block) for service in services))
    with Listeners(server.id, *services, "udp/123"):
        assert passes(neighbour.id, server.v4, *services, "udp/123") == services
        assert passes(client.id, server.v4, *services) == []
        site.disallow(group, by_network)
        site.allow(group, *((service, resolvers) for service in services))
        for address in (server.v4, server.v6):
            assert passes(client.id, address, *services, "udp/123") == services
            assert passes(neighbour.id, address, *services) == []


def test_file_system_mounts(site):
    subnet, _ = site.subnet()
    group, office, other = site.group("efs"), site.group("ssh"), site.group("other")
    target, client = site.instance(subnet, group), site.instance(subnet, group, office)
    stranger = site.instance(subnet, other)
    site.allow(group, ("tcp/2049", group))
    # To mount it, somebody has to get to the client first.
    site.allow(office, ("tcp/22", f"{OFFICE_V4}/32"))
    with Listeners(target.id, "tcp/2049", "tcp/22"), Listeners(client.id, "tcp/22"):
        for address in (target.v4, target.v6):
            assert passes(client.id, address, "tcp/2049", "tcp/22") == ["tcp/2049"]
            assert passes(stranger.id, address, "tcp/2049") == []
        assert passes(site.outside, client.v4, "tcp/22", source=OFFICE_V4) == ["tcp/22"]
        assert passes(site.outside, target.v4, "tcp/22", "tcp/2049", source=OFFICE_V4) == []


def test_load_balancer_and_its_targets(site):
    subnet, _ = site.subnet()
    front, back, other = site.group("balancer"), site.group("targets"), site.group("other")
    balancer, target, stranger = (site.instance(subnet, group) for group in (front, back, other))
    ports = ["tcp/8080", "tcp/8081"]
    to_the_world = site.allow(front, ("tcp/80", WORLD_V4))
    site.seal(front)
    # The listener's port and the one of the health check, at both ends.
    site.let_out(front, *((port, back) for port in ports))
    site.allow(back, *((port, front) for port in ports))
    listening = Listeners(balancer.id, "tcp/80"), Listeners(target.id, *ports, "tcp/22"), Listeners(site.outside, "tcp/443")
    with listening[0], listening[1], listening[2]:
        assert passes(site.outside, balancer.v4, "tcp/80") == ["tcp/80"]
        assert passes(balancer.id, target.v4, *ports, "tcp/22") == ports
        assert passes(balancer.id, CAFE_V4, "tcp/443") == []
        assert passes(site.outside, target.v4, *ports) == []
        assert passes(stranger.id, target.v4, *ports) == []
        # An internal one listens to its VPC.
        site.disallow(front, to_the_world)
        site.allow(front, ("tcp/80", "10.60.0.0/16"))
        assert passes(site.outside, balancer.v4, "tcp/80") == []
        assert passes(stranger.id, balancer.v4, "tcp/80") == ["tcp/80"]
        # Without the balancer's own permission the targets' one is of no use.
        site.ec2.revoke_security_group_egress(GroupId=front, IpPermissions=[permission("tcp/8081", back)])
        site.server.wait_applied()
        assert passes(balancer.id, target.v4, *ports) == ["tcp/8080"]


@pytest.mark.parametrize(
    "source, is_sealed, survives",
    [
        (WORLD_V4, False, False),
        ("203.0.113.0/24", False, True),
        # Without the open rule outwards every flow is tracked.
        (WORLD_V4, True, True),
    ],
)
def test_live_sessions_when_their_rule_goes(site, source, is_sealed, survives):
    subnet, _ = site.subnet()
    group = site.group("ssh")
    machine = site.instance(subnet, group)
    if is_sealed:
        site.seal(group)
    rule = site.allow(group, ("tcp/22", source))
    with Listeners(machine.id, "tcp/22"), Talk(site.outside, machine.v4, 22, OFFICE_V4) as session:
        assert session.is_alive()
        site.disallow(group, rule)
        assert session.is_alive() == survives
        assert passes(site.outside, machine.v4, "tcp/22", source=OFFICE_V4) == []
        assert session.is_alive() == survives


def test_only_the_family_of_a_world_rule_is_untracked(site):
    """The rules outwards are looked at by family: without the IPv4 one, IPv4 is tracked and IPv6 is not."""
    subnet, _ = site.subnet()
    group = site.group("ssh")
    machine = site.instance(subnet, group)
    site.ec2.revoke_security_group_egress(GroupId=group, IpPermissions=[permission("-1", WORLD_V4)])
    rules = site.allow(group, ("tcp/22", WORLD_V4), ("tcp/22", WORLD_V6))
    with (
        Listeners(machine.id, "tcp/22"),
        Talk(site.outside, machine.v4, 22, OFFICE_V4) as v4,
        Talk(site.outside, machine.v6, 22) as v6,
    ):
        assert v4.is_alive() and v6.is_alive()
        site.disallow(group, rules)
        assert (v4.is_alive(), v6.is_alive()) == (True, False)
