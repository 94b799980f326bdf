"""Diagnostic reports and disks: for every SDK."""

from estate import rule


class Reports:
    """What is found about an instance, kept and read again."""

    def diagnosed(self, sdk, instance, **more):
        report = sdk.call("CreateDiagnosticReport", ResourceId=instance, **more)["ReportId"]
        assert report.startswith("dr-")
        return report, self.told(sdk, report)

    def told(self, sdk, report):
        """Severity by metric."""
        shown = sdk.call("DescribeDiagnosticReportAttributes", ReportId=report)
        assert (shown["ReportId"], shown["Status"], shown["ResourceType"]) == (report, "Finished", "instance")
        assert shown["MetricSetId"] == "dms-instancedefault" and shown["FinishedTime"]
        results = shown["MetricResults"]["MetricResult"]
        assert all(one["Status"] == "Finished" and one["MetricCategory"] == "Network" for one in results)
        for one in results:
            assert (one["Issues"]["Issue"] == []) == (one["Severity"] == "Normal"), one
        return {one["MetricId"]: one["Severity"] for one in results}

    def test_a_report_tells_what_is_so_and_stays_as_it_is(self, sdk, vpc):
        group = sdk.group(vpc)
        [instance] = sdk.instances(sdk.vswitch(vpc, "10.1.0.0/24"), group)
        closed, told = self.diagnosed(sdk, instance, StartTime="2026-01-01T00:00Z", EndTime="2026-01-01T01:00Z")
        wanted = {"SecurityGroup.CommonPorts": "Info", "SecurityGroup.ManagementPorts": "Normal",
                  "SecurityGroup.Outbound": "Normal", "SecurityGroup.IdleRules": "Normal",
                  "SecurityGroup.GroupEffects": "Normal"}
        assert told == wanted
        sdk.call("AuthorizeSecurityGroup", SecurityGroupId=group, Permissions=[
            rule(SourceCidrIp="0.0.0.0/0"), rule(443, SourceCidrIp="0.0.0.0/0"), rule(443, SourceCidrIp="10.0.0.0/8")
        ])
        _, told = self.diagnosed(sdk, instance)
        assert told == {**wanted, "SecurityGroup.ManagementPorts": "Warn", "SecurityGroup.IdleRules": "Info"}
        assert self.told(sdk, closed) == wanted
        sdk.call("DeleteInstance", RegionId=None, InstanceId=instance, Force=True)
        assert self.told(sdk, closed) == wanted

    def test_reports_come_in_parts(self, sdk, vpc):
        [instance] = sdk.instances(sdk.vswitch(vpc, "10.1.0.0/24"), sdk.group(vpc))
        made = [self.diagnosed(sdk, instance)[0] for _ in range(3)]
        seen, token = [], None
        while token != "":
            answer = sdk.call("DescribeDiagnosticReports", ResourceIds=[instance], MaxResults=2, NextToken=token)
            seen += answer["Reports"]["Report"]
            token = answer["NextToken"]
        assert [one["ReportId"] for one in seen] == made[::-1]
        assert all(one["Issues"]["Issue"] and one["Severity"] == "Info" for one in seen)
        for chosen, count in (({"ReportIds": made[:2]}, 2), ({"Severity": "Warn"}, 0), ({"Status": "Failed"}, 0)):
            answer = sdk.call("DescribeDiagnosticReports", ResourceIds=[instance], **chosen)
            assert len(answer["Reports"]["Report"]) == count, chosen
        sdk.call("DeleteInstance", RegionId=None, InstanceId=instance, Force=True)

    def test_metrics_and_their_set(self, sdk):
        metrics = sdk.call("DescribeDiagnosticMetrics", ResourceType="instance")["Metrics"]
        [common] = sdk.call("DescribeDiagnosticMetricSets", Type="Common")["MetricSets"]
        assert sorted(common["MetricIds"]) == [one["MetricId"] for one in metrics]
        assert not any(one["GuestMetric"] for one in metrics)
        assert sdk.call("DescribeDiagnosticMetricSets")["MetricSets"] == []

    def test_a_token_belongs_to_the_list_that_gave_it(self, sdk, vpc):
        for _ in range(2):
            sdk.group(vpc)
        token = sdk.call("DescribeSecurityGroups", MaxResults=1)["NextToken"]
        refused = sdk.refused("DescribeNetworkInterfaces", MaxResults=1, NextToken=token)
        assert refused.told == (400, "InvalidParameter") and "NextToken" in refused.message

    def test_every_instance_has_a_system_disk(self, sdk, vpc):
        [instance] = sdk.instances(sdk.vswitch(vpc, "10.1.0.0/24"), sdk.group(vpc))
        [disk] = sdk.call("DescribeDisks", InstanceId=instance)["Disks"]["Disk"]
        assert (disk["Type"], disk["Category"], disk["Size"]) == ("system", "cloud_essd", 40)
        assert (disk["InstanceId"], disk["Status"], disk["Encrypted"]) == (instance, "In_use", False)
        [attachment] = disk["Attachments"]["Attachment"]
        assert attachment["InstanceId"] == instance
        found = sdk.call("DescribeDisks", DiskIds=f'["{disk["DiskId"]}"]')["Disks"]["Disk"]
        assert [one["DiskId"] for one in found] == [disk["DiskId"]]
        sdk.call("DeleteInstance", RegionId=None, InstanceId=instance, Force=True)
        assert sdk.call("DescribeDisks", InstanceId=instance)["Disks"]["Disk"] == []
