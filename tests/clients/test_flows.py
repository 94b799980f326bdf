"""`sekimori flows` against a real server: listed and watched, with the rule and the group that decided, in plain words."""

import json
import subprocess

import pytest

from aws import Site
from probes import Listeners, Talk, passes
from server import BINARY, until


@pytest.fixture
def site(server):
    with Site(server) as site:
        yield site


def flows(site, *words):
    done = site.server.command("flows", "--json", *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["flows"]


def test_flows_are_listed_with_what_decided(site):
    subnet, _ = site.subnet()
    database, application = site.group("db"), site.group("app")
    db, app = site.instance(subnet, database), site.instance(subnet, application)
    site.allow(database, ("tcp/5432", application))
    assert flows(site, "--instance", db.id) == [], "nobody had asked"

    def seen():
        assert passes(app.id, db.v4, "tcp/5432", "tcp/22") == ["tcp/5432"]
        found = flows(site, "--instance", db.id, "--since", "10m")
        return {(one["local_port"], one["passed"]): one for one in found if one["direction"] == "Ingress"}

    with Listeners(db.id, "tcp/5432"):
        found = until("events", lambda: (lambda seen: seen if len(seen) == 2 else None)(seen()))
    allowed, denied = found[5432, True], found[22, False]
    assert (allowed["group"], allowed["reason"], allowed["peer_instance"]) == (database, "rule", app.id)
    assert allowed["rule"].startswith("sgr-") and allowed["revision"] > 0
    assert (denied["group"], denied["rule"], denied["reason"], denied["peer"]) == (None, None, "default", app.v4)
    assert all(one["passed"] for one in flows(site, "--verdict", "allow"))
    assert {one["local_port"] for one in flows(site, "--eni", denied["eni"], "--port", "22", "--peer", app.v4)} == {22}
    words = site.server.command("flows", "--instance", db.id)
    assert f"rule {allowed['rule']} of {database}" in words.stdout and f"({app.id})" in words.stdout, words.stdout
    print(words.stdout)


def test_flows_are_watched_as_they_come(site):
    subnet, _ = site.subnet()
    db, app = site.instance(subnet, site.group("db")), site.instance(subnet, site.group("app"))
    words = [BINARY, "flows", "--watch", "--verdict", "deny", "--instance", db.id, "--data-dir", site.server.data_dir]
    with subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, text=True) as watch:
        try:
            with subprocess.Popen(
                ["ip", "netns", "exec", app.id, "ping", "-i", "0.2", "-q", db.v4], stdout=subprocess.DEVNULL
            ) as ping:
                line = watch.stdout.readline()
                ping.terminate()
            assert f"deny  {app.v4} ({app.id}) -> {db.v4} ({db.id}) icmp 8.0 by default, ingress of eni-" in line, line
            print(line)
        finally:
            watch.kill()


def test_live_flows_are_listed_and_those_that_a_change_ends_end(site):
    subnet, _ = site.subnet()
    database, application = site.group("db"), site.group("app")
    db, app = site.instance(subnet, database), site.instance(subnet, application)
    site.allow(database, ("tcp/5432", application), ("udp/53", application), ("tcp/6000", application))
    # EC2 keeps live flows unless it is told otherwise.
    assert site.server.command("treatment", "set", db.eni, "reevaluate").returncode == 0
    site.server.wait_applied()

    def live(*words):
        return flows(site, "--live", *words)

    def by_port(found):
        ports = ((next(iter(one["first"]["transport"].values())), one) for one in found)
        return {transport["destination"]: one for transport, one in ports if "destination" in transport}

    assert live("--instance", db.id) == []
    with Listeners(db.id, "tcp/5432", "tcp/6000", "udp/53"):
        with Talk(app.id, db.v4, 5432) as sql, Talk(app.id, db.v4, 6000) as other:
            assert sql.is_alive() and other.is_alive() and passes(app.id, db.v4, "udp/53") == ["udp/53"]
            found = by_port(live("--instance", db.id))
            assert set(found) == {5432, 6000, 53}, found
            for port, state in (5432, "established"), (6000, "established"), (53, "answered"):
                one = found[port]
                assert (one["state"], one["eni"], one["instance"], one["peer_instance"]) == (state, db.eni, db.id, app.id)
                assert (one["first"]["local"], one["first"]["peer"]) == (db.v4, app.v4) and not one["is_ending"], one
                assert one["begun_by"]["rule"]["group"] == database and min(one["packets"]) > 0 and one["idle_s"] < 60, one
            assert set(by_port(live("--instance", db.id, "--protocol", "udp"))) == {53}
            assert set(by_port(live("--eni", db.eni, "--port", "6000"))) == {6000}
            assert set(by_port(live("--eni", db.eni, "--peer", app.v4))) == {5432, 6000, 53}
            assert live("--eni", db.eni, "--peer", "192.0.2.0/24") == []
            words = site.server.command("flows", "--live", "--instance", db.id)
            rule = found[5432]["begun_by"]["rule"]["rule"]
            assert f"rule {rule} of {database}" in words.stdout and f"({app.id})" in words.stdout, words
            print(words.stdout)
            why = site.server.command("why", app.id, db.id, "tcp/5432", "--output", "json")
            evidence = json.loads(why.stdout)["evidence"]["live"]
            # One at each end.
            assert evidence["count"] == 2 and evidence["unknown"] == [], evidence
            assert {one["eni"] for one in evidence["flows"]} == {db.eni, app.eni}
            print(site.server.command("why", app.id, db.id, "tcp/5432").stdout)
            request = (
                "Action=RevokeSecurityGroupIngress&Version=2016-11-15"
                f"&GroupId={database}&SecurityGroupRuleId.1={rule}"
            )
            diff = site.server.command("diff", "--request", request, "--output", "json")
            answer = json.loads(diff.stdout)["live"]
            assert answer["looked_at"] == 3 and [host["failure"] for host in answer["hosts"]] == [None], answer
            [ending] = answer["ending"]
            assert (ending["first"], ending["ending"]) == (found[5432]["first"], "ends"), ending
            print(site.server.command("diff", "--request", request).stdout)
            assert sql.is_alive() and other.is_alive(), "nothing was changed by asking"
            site.ec2.revoke_security_group_ingress(GroupId=database, SecurityGroupRuleIds=[rule])
            site.server.wait_applied()
            left = by_port(live("--instance", db.id))
            # Until its next packet the kernel holds it.
            assert left[5432]["is_ending"] and not left[6000]["is_ending"], left
            assert not sql.is_alive() and other.is_alive()
            assert set(by_port(live("--instance", db.id, "--protocol", "tcp"))) == {6000}


def test_what_cannot_be_asked_is_named(server):
    for words, named in [
        (["--reason", "mood"], "`mood`"),
        (["--peer", "home"], "`home`"),
        (["--protocol", "x25"], "`x25`"),
        (["--watch", "--reason", "mood"], "`mood`"),
        (["--live", "--eni", "eni-0"], "`eni-0`"),
        (["--live", "--protocol", "x25"], "`x25`"),
    ]:
        done = server.command("flows", *words)
        assert done.returncode == 1 and named in done.stderr, done.stderr
    for wrong in ["--since", "yesterday"], ["--live", "--since", "10m"], ["--live", "--watch"], ["--live", "--verdict", "deny"]:
        assert server.command("flows", *wrong).returncode == 64, wrong
