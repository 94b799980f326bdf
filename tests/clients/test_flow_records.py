"""Records of a flow log that `boto3` has made, as the server writes them: which fields, whose traffic, how much."""


def test_a_flow_log_gets_records(ec2_recording):
    recording = ec2_recording
    own, db, app = recording.whole.result(), recording.db, recording.app
    allowed = [one for one in own if one["dstport"] == "5432" and one["flow-direction"] == "ingress" and one["dstaddr"] == db.v4]
    [denied] = {(one["action"], one["srcaddr"], one["protocol"], one["log-status"]) for one in own if one["dstport"] == "22" and one["flow-direction"] == "ingress"}
    assert denied == ("REJECT", app.v4, "6", "OK")
    assert allowed and all(one["action"] == "ACCEPT" and int(one["packets"]) >= 3 and one["version"] == "5" for one in allowed)
    silent = {one["log-status"] for one in recording.records() if one["srcaddr"] == "-"}
    assert silent == {"NODATA"}
    with recording.site as site:
        site.ec2.delete_flow_logs(FlowLogIds=[recording.flow_log])
