"""`sekimori flows` against a real server: listed and watched, with the rule and the group that decided, in plain words."""

import json
import subprocess

import pytest

from aws import Site
from probes import Listeners, passes
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


def test_what_cannot_be_asked_is_named(server):
    for words, named in [
        (["--reason", "mood"], "`mood`"),
        (["--peer", "home"], "`home`"),
        (["--protocol", "x25"], "`x25`"),
        (["--watch", "--reason", "mood"], "`mood`"),
    ]:
        done = server.command("flows", *words)
        assert done.returncode == 1 and named in done.stderr, done.stderr
    assert server.command("flows", "--since", "yesterday").returncode == 64
