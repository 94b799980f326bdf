"""Records of a flow log that `boto3` has made, as the server writes them: which fields, whose traffic, how much, and what
they show of the use of rules."""

import json

from recordings import files


def test_a_flow_log_gets_records(ec2_recording):
    recording = ec2_recording
    own, db, app = recording.whole.result(), recording.db, recording.app
    allowed = [one for one in own if one["dstport"] == "5432" and one["flow-direction"] == "ingress" and one["dstaddr"] == db.v4]
    [denied] = {(one["action"], one["srcaddr"], one["protocol"], one["log-status"]) for one in own if one["dstport"] == "22" and one["flow-direction"] == "ingress"}
    assert denied == ("REJECT", app.v4, "6", "OK")
    assert allowed and all(one["action"] == "ACCEPT" and int(one["packets"]) >= 3 and one["version"] == "5" for one in allowed)
    silent = {one["log-status"] for one in recording.records() if one["srcaddr"] == "-"}
    assert silent == {"NODATA"}
    server = recording.site.server
    [where] = {path.parent for path in files(server, recording.flow_log)}
    found = server.command("health", recording.group, "--too-wide", "--flow-logs", where, "--output", "json")
    assert found.returncode == 2 and "records of what passed" in found.stderr, found
    [wide] = [one for one in json.loads(found.stdout)["too_wide"] if one["direction"] == "Ingress"]
    assert wide["narrower_texts"] == [f"allow tcp 5432 from {app.v4}/32"], wide
    with recording.site as site:
        site.ec2.delete_flow_logs(FlowLogIds=[recording.flow_log])
