"""The demo: Alibaba Cloud's document "use security groups for access control in the internal network", played
with its own SDK against sekimori, and with real packets.

Two clusters share a VPC: databases in 10.1.0.0/24 and web servers in 10.2.0.0/24. Every line of every table is
a probe: what the document says must happen, what the packets did, and which rule or default decided. One line
that differs makes the demo fail.
"""

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from lab import BINARY, Lab
from probe import Namespace

# How long a change may take from the API's answer to the kernel before the demo calls it a failure.
EFFECT_S = 1.0
# How long the background prober runs between two changes.
CALM_S = 0.8
# Attempts that were begun this shortly before a change may have been overtaken by it.
EDGE_S = 0.05


@dataclass(frozen=True)
class Instance:
    """One machine of the story."""

    name: str
    id: str
    v4: str
    v6: str

    def address(self, family):
        return self.v4 if family == 4 else self.v6


@dataclass(frozen=True)
class Probe:
    """One line of a table."""

    source: Instance
    destination: Instance
    kind: str  # tcp, udp or ping
    port: int | None
    expected: bool

    def service(self, family):
        if self.kind == "ping":
            return "icmp" if family == 4 else "icmpv6"
        return f"{self.kind}/{self.port}"


class Story:
    """The steps of the document, and whether each went as it says."""

    def __init__(self, lab):
        self.lab, self.cloud = lab, lab.cloud
        self.namespaces = {}
        self.mismatches = 0
        self.probes = 0

    def play(self):
        self.set_the_stage()
        self.two_clusters()
        self.isolation()
        self.only_2379()
        self.ping()
        for family in (4, 6):
            self.change_under_traffic(family)

    def close(self):
        for namespace in self.namespaces.values():
            namespace.close()

    def set_the_stage(self):
        say("a VPC, two vSwitches, two security groups, two databases and two web servers")
        cloud = self.cloud
        self.vpc = cloud.create_vpc("10.0.0.0/8")
        self.lab.names |= {self.vpc, f"{self.vpc}.outside"}
        db_switch, self.db_v6 = cloud.create_vswitch(self.vpc, "10.1.0.0/24", 1, "db")
        web_switch, self.web_v6 = cloud.create_vswitch(self.vpc, "10.2.0.0/24", 2, "web")
        self.group_a, self.group_b = (cloud.create_group(self.vpc, name) for name in ("group-A", "group-B"))
        self.db = self.run("db", db_switch, self.group_a)
        self.web = self.run("web", web_switch, self.group_b)
        self.outside = Instance("outside", f"{self.vpc}.outside", "203.0.113.10", "2001:db8:ffff::10")
        self.lab.settle()
        for instance in [*self.db, *self.web, self.outside]:
            self.namespaces[instance.name] = Namespace(instance.id)
            print(f"    {instance.name:8} {instance.id:28} {instance.v4:14} {instance.v6}")

    def run(self, name, vswitch, group):
        made = self.cloud.run_instances(vswitch, group, 2, name)
        self.lab.names |= {instance_id for instance_id, _, _ in made}
        return [Instance(f"{name}-{number}", *facts) for number, facts in enumerate(made, 1)]

    def two_clusters(self):
        say("group A accepts TCP 5432 from the web servers, priority 1; group B has no rules")
        for source in ("10.2.0.0/24", self.web_v6):
            self.cloud.authorize(self.group_a, "TCP", 5432, source)
        (db, other_db), (web, other_web) = self.db, self.web
        self.check(
            [
                Probe(web, db, "tcp", 5432, True),
                Probe(other_web, other_db, "tcp", 5432, True),
                Probe(web, db, "tcp", 22, False),
                Probe(web, db, "udp", 5432, False),
                Probe(web, db, "ping", None, False),
                Probe(db, web, "tcp", 80, False),
                Probe(db, web, "ping", None, False),
                Probe(self.outside, db, "tcp", 5432, False),
                Probe(db, self.outside, "tcp", 80, True),
                Probe(web, other_web, "tcp", 8080, True),
                Probe(web, other_web, "ping", None, True),
                Probe(db, other_db, "tcp", 2379, True),
                Probe(db, other_db, "tcp", 22, True),
            ]
        )

    def isolation(self):
        say("internal isolation: the inner access policy of both groups becomes Drop")
        self.cloud.isolate(self.group_a)
        self.cloud.isolate(self.group_b)
        (db, other_db), (web, other_web) = self.db, self.web
        self.check(
            [
                Probe(web, other_web, "tcp", 8080, False),
                Probe(other_web, web, "udp", 8080, False),
                Probe(web, other_web, "ping", None, False),
                Probe(db, other_db, "tcp", 2379, False),
                Probe(db, other_db, "tcp", 22, False),
                Probe(web, db, "tcp", 5432, True),
            ]
        )

    def only_2379(self):
        say("group A accepts TCP 2379 from the databases: they talk to each other on that port only")
        for source in ("10.1.0.0/24", self.db_v6):
            self.cloud.authorize(self.group_a, "TCP", 2379, source)
        (db, other_db), (web, _) = self.db, self.web
        self.check(
            [
                Probe(db, other_db, "tcp", 2379, True),
                Probe(other_db, db, "tcp", 2379, True),
                Probe(db, other_db, "tcp", 22, False),
                Probe(db, other_db, "udp", 2379, False),
                Probe(web, db, "tcp", 2379, False),
                Probe(web, db, "tcp", 5432, True),
            ]
        )

    def ping(self):
        say("group A accepts ICMP from the web servers")
        self.cloud.authorize(self.group_a, "ICMP", None, "10.2.0.0/24")
        self.cloud.authorize(self.group_a, "ICMPv6", None, self.web_v6)
        db, web = self.db[0], self.web[0]
        self.check(
            [
                Probe(web, db, "ping", None, True),
                Probe(db, web, "ping", None, False),
                Probe(self.db[1], db, "ping", None, False),
            ]
        )

    def change_under_traffic(self, family):
        """A rule is added and removed while new connections are begun every 10 ms."""
        say(f"IPv{family}: a rule for TCP 6379 is added and removed while a prober connects every 10 ms")
        db, web = self.db[0], self.web[0]
        source = "10.2.0.0/24" if family == 4 else self.web_v6
        self.namespaces[web.name].stream(db.address(family), 6379)
        time.sleep(CALM_S)
        marks = []
        for change in (self.cloud.authorize, self.cloud.revoke):
            called = time.monotonic()
            change(self.group_a, "TCP", 6379, source)
            marks.append((called, time.monotonic()))
            time.sleep(CALM_S)
        attempts = self.namespaces[web.name].end_stream()
        (opening, opened), (closing, closed) = marks
        self.judge("closed before the rule", attempts, 0, opening - EDGE_S, False)
        self.effect("added", attempts, opened, closing - EDGE_S, True)
        self.judge("open with the rule", attempts, opened + EFFECT_S / 4, closing - EDGE_S, True)
        self.effect("removed", attempts, closed, time.monotonic(), False)
        self.judge("closed after the rule", attempts, closed + EFFECT_S / 4, time.monotonic(), False)

    def judge(self, title, attempts, start, end, expected):
        """Every attempt that was begun in this time must have gone one way."""
        there = [attempt for attempt in attempts if start <= attempt.begun < end]
        right = sum(attempt.passed == expected for attempt in there)
        self.count(f"    {title:24} {right} of {len(there)} connections {verdict(expected)}", right == len(there) > 0)

    def effect(self, title, attempts, answered, end, expected):
        """From the API's answer to the first connection that went the new way, with all that follow."""
        there = [attempt for attempt in attempts if answered <= attempt.begun < end]
        old = [attempt for attempt in there if attempt.passed != expected]
        first = next((attempt.begun for attempt in there if not old or attempt.begun > old[-1].begun), None)
        if first is None:
            return self.count(f"    {title:24} without effect", False)
        took = first - answered
        self.count(f"    {title:24} in effect at most {took * 1000:.0f} ms after the API answered", took < EFFECT_S)

    def check(self, probes):
        """Sends every probe in IPv4 and IPv6, and prints what became of it."""
        self.lab.settle()
        lines = [(probe, family) for probe in probes for family in (4, 6)]
        with ThreadPoolExecutor(len(lines)) as pool:
            rows = list(pool.map(lambda line: self.row(*line), lines))
        print(f"    {'from':8} {'to':8} {'service':14} {'IP':2} {'expected':8} {'packets':8} decided by")
        for row, is_right in rows:
            self.count(f"    {row}", is_right)

    def row(self, probe, family):
        source, destination = probe.source, probe.destination
        packets = self.namespaces[source.name].probe(probe.kind, destination.address(family), probe.port)
        service = probe.service(family)
        allowed, reason = self.lab.why(source.address(family), destination.address(family), service, self.vpc)
        expected = verdict(probe.expected)
        if allowed != probe.expected:
            reason = f"EXPLAINED AS {verdict(allowed).upper()} {reason}"
        ends = f"{source.name:8} {destination.name:8} {service:14} {family:<2}"
        row = f"{ends} {expected:8} {packets:8} {reason}"
        return row, packets == expected and allowed == probe.expected

    def count(self, line, is_right):
        self.probes += 1
        self.mismatches += not is_right
        print(line if is_right else f"{line}  <== MISMATCH", flush=True)


def verdict(passes):
    return "passed" if passes else "dropped"


def say(line):
    print(f"\n== {line}", flush=True)


def keep(lab, story):
    db, web = story.db[0], story.web[0]
    print(
        f"""
It keeps running. To use it (as root):
  set -a; . {lab.dir}/credentials.env; set +a
  {BINARY} status
  {BINARY} why {web.id} {db.id} tcp/5432
  {BINARY} policy show {db.id}
  ip netns exec {web.id} ping -c 1 {db.v4}
To end it:
  kill {lab.up.pid}; while kill -0 {lab.up.pid} 2>/dev/null; do sleep 0.1; done
  {BINARY} down --data-dir {lab.dir} && rm -r {lab.dir} {lab.log.name}"""
    )


def tidy(lab):
    """Ends everything; true if nothing is left."""
    say("stopping the server, `sekimori down`, and looking whether anything is left")
    lab.stop()
    left = lab.leftovers()
    for line in left:
        print(f"    left: {line}")
    if not left:
        lab.remove()
        print("    no namespace, link, mount or process is left")
    return not left


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--keep", action="store_true", help="leave everything running and say how to use it")
    is_kept = arguments.parse_args().keep
    began = time.monotonic()
    lab, story, is_played = Lab(), None, False
    try:
        say(f"sekimori up --data-dir {lab.dir} --listen 127.0.0.1:0")
        lab.start()
        print(f"    healthy at {lab.env['SEKIMORI_ENDPOINT']}")
        story = Story(lab)
        story.play()
        is_played = True
    finally:
        if story:
            story.close()
        if not is_played:
            print(f"\nthe demo broke off; the server said:\n{lab.said()}", file=sys.stderr)
        is_tidy = is_kept and is_played or tidy(lab)
    took = time.monotonic() - began
    print(f"\n{story.probes - story.mismatches} of {story.probes} lines as the document says, in {took:.0f} seconds")
    if is_kept:
        keep(lab, story)
    return 0 if story.mismatches == 0 and is_tidy else 1


if __name__ == "__main__":
    sys.exit(main())
