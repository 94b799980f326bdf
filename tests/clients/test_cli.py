"""The exit codes of `sekimori`: 0 done or yes, 1 failed, 2 the answer is no, 64 not understood."""

import json
import os
import shutil
import signal
import subprocess

import pytest

from estate import rule
from sdk import V2
from server import BINARY, run


@pytest.fixture(scope="module")
def sdk(v2):
    return v2


@pytest.mark.parametrize("words", [
    [], ["frobnicate"], ["status", "--output", "yaml"], ["why", "a", "b"], ["up", "--listen", "everywhere"],
    ["up"], ["down"], ["status"], ["status", "--endpoint", "http://x"],
    ["up", "--tls-cert", "c"], ["up", "--data-dir", "/nonexistent/x", "--bypass", "everything"],
    ["wait", "--timeout-s", "601"], ["account", "create", "--dialect", "gcp"], ["server", "--drop-to", "0:0"],
], ids=lambda words: "-".join(words) or "nothing")
def test_not_understood(words):
    done = run(*words)
    assert done.returncode == 64, done.stderr
    assert done.stderr.strip() and done.stdout == ""


def test_an_endpoint_that_is_none():
    done = run("status", env={"SEKIMORI_ENDPOINT": "ftp://x", "SEKIMORI_TOKEN": "x"})
    assert done.returncode == 64 and "`ftp://x` is not an endpoint" in done.stderr


@pytest.mark.parametrize("words", [
    ["--help"], ["--version"], ["help", "why"], ["up", "--help"], ["completions", "bash"], ["completions", "zsh"],
    ["completions", "fish"], ["man"],
], ids="-".join)
def test_help_is_no_failure(words):
    done = run(*words)
    assert done.returncode == 0 and done.stdout.strip(), done.stderr


def test_failed(scratch, server):
    nowhere = ["--endpoint", "http://127.0.0.1:1", "--token-file", scratch / "token"]
    (scratch / "token").write_text("x\n")
    failures = [
        (["status", *nowhere], "127.0.0.1:1"),
        (["status", "--data-dir", "/nonexistent"], "/nonexistent/credentials.env"),
        (["status", "--endpoint", server.credentials["SEKIMORI_ENDPOINT"], "--token-file", scratch / "token"], "token"),
        (["why", "i-none", "i-other", "tcp/22", "--data-dir", server.data_dir], "i-none"),
        (["why", "i-none", "i-other", "x/y", "--data-dir", server.data_dir], "x/y"),
        (["policy", "show", "i-none", "--data-dir", server.data_dir], "i-none"),
        (["up", "--data-dir", "/proc/x"], "/proc/x"),
        (["up", "--data-dir", BINARY], str(BINARY)),
    ]
    for words, named in failures:
        done = run(*words)
        assert done.returncode == 1, (words, done)
        assert done.stderr.startswith("sekimori: ") and named in done.stderr, done.stderr
        assert done.stdout == ""


def test_what_takes_root(scratch):
    # A copy where everybody may run it: the original may lie below somebody's home.
    binary = shutil.copy(BINARY, scratch / "sekimori")
    for command in ("up", "down"):
        words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", binary, command]
        done = subprocess.run([*words, "--data-dir", "/tmp/nobody"], capture_output=True, text=True, timeout=30)
        assert done.returncode == 1 and "root" in done.stderr, done


def test_yes_and_no(server, sdk, vpc):
    vswitch, clients, services = sdk.vswitch(vpc, "10.1.0.0/24"), sdk.group(vpc), sdk.group(vpc)
    allowed = rule(443, SourceCidrIp=None, SourceGroupId=clients)
    sdk.call("AuthorizeSecurityGroup", SecurityGroupId=services, Permissions=[allowed])
    [client], [service] = sdk.instances(vswitch, clients), sdk.instances(vswitch, services)
    assert server.command("wait").returncode == 0
    yes = server.command("why", client, service, "tcp/443", "--output", "json")
    no = server.command("why", client, service, "tcp/444")
    assert (yes.returncode, no.returncode) == (0, 2), (yes, no)
    [rule_id] = [one["SecurityGroupRuleId"] for one in sdk.rules(services)]
    report = json.loads(yes.stdout)
    assert report["allowed"] and report["legs"][1]["rule"] == rule_id
    assert "denied" in no.stdout
    sdk.call("DeleteInstances", InstanceId=[client, service], Force=True)


def test_every_answer_is_there_as_json(server, sdk, vpc):
    [instance] = sdk.instances(sdk.vswitch(vpc, "10.1.0.0/24"), sdk.group(vpc))
    assert server.command("wait", "--timeout-s", "30").returncode == 0
    questions = ("status", "account list", f"policy show {instance}", "counters", "bypass show", "wait")
    for words in map(str.split, questions):
        done = server.command(*words, "--output", "json")
        assert done.returncode == 0, done
        assert json.loads(done.stdout) is not None
        done = server.command(*words)
        assert done.returncode == 0 and "\x1b" not in done.stdout, done
    sdk.call("DeleteInstances", InstanceId=[instance], Force=True)


def test_history_tells_who_changed_what_and_how_it_was(server, sdk, vpc):
    group = sdk.group(vpc)
    [instance] = sdk.instances(sdk.vswitch(vpc, "10.1.1.0/24"), group)
    before = json.loads(server.command("history", "--limit", "1", "--output", "json").stdout)["newest"]
    sdk.call("AuthorizeSecurityGroup", SecurityGroupId=group, Permissions=[rule(443, SourceCidrIp="0.0.0.0/0")])
    [rule_id] = [one["SecurityGroupRuleId"] for one in sdk.rules(group)]
    sdk.call("RevokeSecurityGroup", SecurityGroupId=group, SecurityGroupRuleId=[rule_id])
    done = server.command("history", "--about", rule_id, "--output", "json")
    assert done.returncode == 0, done.stderr
    revoked, authorized = json.loads(done.stdout)["entries"]
    assert [one["operation"] for one in (revoked, authorized)] == ["RevokeSecurityGroup", "AuthorizeSecurityGroup"]
    assert authorized["who"] == revoked["who"] != "operator" and authorized["from"].startswith("127.0.0.1")
    [added], [gone] = authorized["changes"], revoked["changes"]
    assert added["about"] == gone["about"] == f"rule/{group}/{rule_id}" and (added["is_gone"], gone["is_gone"]) == (False, True)
    assert added["words"].startswith("ingress: allow tcp 443 from 0.0.0.0/0")
    table = server.command("history", "--about", group, "--operation", "authorizesecuritygroup")
    assert f"+ rule/{group}/{rule_id} ingress: allow tcp 443" in table.stdout, table

    def rules(*when):
        shown = server.command("policy", "show", instance, *when, "--output", "json")
        assert shown.returncode == 0, shown.stderr
        return [line["rule"] for line in json.loads(shown.stdout)["ingress"] if line["rule"]]

    assert rules("--at", str(authorized["revision"])) == [rule_id]
    for when, code in ((("--at", str(authorized["revision"])), 0), ((), 2)):
        why = server.command("why", "internet", instance, "tcp/443", *when)
        assert why.returncode == code, why
        # What is counted and seen now is no evidence of the past.
        assert ("COUNTED AT" in why.stdout) == (not when), why
        assert not when or ("recorded" not in why.stdout and not why.stdout.endswith("\n\n")), why
        who = server.command("who", "--from", "internet", "--to", instance, *when)
        assert who.returncode == 0 and ("443" in who.stdout) == (code == 0), who
    assert rules("--at", str(before)) == rules() == []
    for at, why in ((str(10**9), "is not there yet"), ("yesterday", "is not a date")):
        refused = server.command("policy", "show", instance, "--at", at)
        assert refused.returncode in (1, 64) and why in refused.stderr, refused
    sdk.call("DeleteInstances", InstanceId=[instance], Force=True)


def test_a_new_account_can_call_at_once(server):
    done = server.command("account", "create", "--dialect", "ecs", "--format", "env")
    assert done.returncode == 0, done.stderr
    made = dict(line.split("=", 1) for line in done.stdout.splitlines())
    sdk = V2(server, key_id=made["ALIBABA_CLOUD_ACCESS_KEY_ID"], secret=made["ALIBABA_CLOUD_ACCESS_KEY_SECRET"])
    assert sdk.groups() == []


def test_wait_gives_up(new_server):
    """A server whose agent is stopped cannot say that a change is applied."""
    one = new_server().start()
    V2(one).vpc()
    one.wait_applied()
    # The agent's threads stand still with the process; the server goes on, and answers.
    os.kill(one.process.pid, signal.SIGSTOP)
    try:
        V2(one).vpc()
        done = one.command("wait", "--timeout-s", "1")
        assert done.returncode == 1 and "has applied" in done.stderr, done
    finally:
        os.kill(one.process.pid, signal.SIGCONT)
    assert one.command("wait").returncode == 0
