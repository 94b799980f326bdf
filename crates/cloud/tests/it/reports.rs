//! Diagnostic reports, from query to reply.

use crate::{ecs::check, estate::Estate};
use expect_test::expect;
use sekimori_core::diagnosis::{Finding, Metric, MetricResult, Severity};

/// An estate with an instance `$7`, and something to find about it.
fn with_instance() -> Estate {
    let mut estate = Estate::furnished();
    estate.call("RunInstances&VSwitchId=$4&SecurityGroupId=$5");
    let finding = |severity, text: &str| Finding { eni: Some("eni-1".into()), severity, text: text.to_owned() };
    estate.find(vec![
        MetricResult::of(Metric::CommonPorts, vec![finding(Severity::Info, "tcp/80 is closed")]),
        MetricResult::of(Metric::Outbound, Vec::new()),
        MetricResult::unknown(Metric::IdleRules),
    ]);
    estate
}

#[test]
fn a_report_is_made_and_read() {
    let mut estate = with_instance();
    check(
        &mut estate,
        "CreateDiagnosticReport&ResourceId=$7&MetricSetId=dms-instancedefault&StartTime=2018-12-12T06:00Z\
         &EndTime=2018-12-12T07:00:01Z",
        &expect![[r#"{"ReportId":"$8"}"#]],
    );
    check(
        &mut estate,
        "DescribeDiagnosticReportAttributes&ReportId=$8",
        &expect![[
            r#"{"ReportId":"$8","ResourceId":"$7","ResourceType":"instance","MetricSetId":"dms-instancedefault","Status":"Finished","Severity":"Info","CreationTime":"2018-12-12T07:28:38Z","FinishedTime":"2018-12-12T07:28:38Z","StartTime":"2018-12-12T06:00:00Z","EndTime":"2018-12-12T07:00:01Z","MetricResults":{"MetricResult":[{"MetricId":"SecurityGroup.CommonPorts","MetricCategory":"Network","Status":"Finished","Severity":"Info","Issues":{"Issue":[{"IssueId":"SecurityGroup.CommonPorts.Closed","Severity":"Info","Additional":"{\"Message\":\"tcp/80 is closed\",\"NetworkInterfaceId\":\"eni-1\",\"Revision\":5}","OccurrenceTime":"2018-12-12T07:28:38Z","Repairable":false,"RepairStatus":""}]}},{"MetricId":"SecurityGroup.Outbound","MetricCategory":"Network","Status":"Finished","Severity":"Normal","Issues":{"Issue":[]}},{"MetricId":"SecurityGroup.IdleRules","MetricCategory":"Network","Status":"Failed","Severity":"Unknown","Issues":{"Issue":[]}}]}}"#
        ]],
    );
    check(
        &mut estate,
        "DescribeDiagnosticReports&ReportIds.1=$8",
        &expect![[
            r#"{"NextToken":"","Reports":{"Report":[{"ReportId":"$8","ResourceId":"$7","ResourceType":"instance","MetricSetId":"dms-instancedefault","Status":"Finished","Severity":"Info","CreationTime":"2018-12-12T07:28:38Z","FinishedTime":"2018-12-12T07:28:38Z","StartTime":"2018-12-12T06:00:00Z","EndTime":"2018-12-12T07:00:01Z","Issues":{"Issue":[{"IssueId":"SecurityGroup.CommonPorts.Closed","MetricId":"SecurityGroup.CommonPorts","MetricCategory":"Network","Severity":"Info"}]}}]}}"#
        ]],
    );
}

#[test]
fn reports_come_newest_first_in_parts_and_are_found_by_what_they_are() {
    let mut estate = with_instance();
    let mut made: Vec<String> = Vec::new();
    for _ in 0..3 {
        estate.wait(60);
        made.push(estate.call("CreateDiagnosticReport&ResourceId=$7"));
    }
    made.reverse();
    let (mut token, mut seen) = (String::new(), Vec::new());
    loop {
        let part = estate.call(&format!("DescribeDiagnosticReports&MaxResults=2&NextToken={token}"));
        let part: serde_json::Value = serde_json::from_str(&part).unwrap();
        for report in part["Reports"]["Report"].as_array().unwrap() {
            seen.push(format!(r#"{{"ReportId":{}}}"#, report["ReportId"]));
        }
        part["NextToken"].as_str().unwrap().clone_into(&mut token);
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, made);
    for (filter, count) in [
        ("MaxResults=1000", 3),
        ("ResourceIds.1=$7&Status=Finished&Severity=Info", 3),
        ("ResourceIds.1=i-other", 0),
        ("Status=Failed", 0),
        ("Severity=Critical", 0),
        ("RegionId=cn-beijing", 0),
    ] {
        let found = estate.call(&format!("DescribeDiagnosticReports&{filter}"));
        assert_eq!(found.matches("\"ReportId\"").count(), count, "{filter}: {found}");
    }
    estate.find(vec![MetricResult::unknown(Metric::IdleRules)]);
    estate.call("CreateDiagnosticReport&ResourceId=$7");
    let failed = estate.call("DescribeDiagnosticReports&Status=Failed&Severity=Unknown");
    assert_eq!(failed.matches("\"ReportId\"").count(), 1, "{failed}");
}

#[test]
fn a_report_is_its_accounts_and_regions() {
    let mut estate = with_instance();
    estate.call("CreateDiagnosticReport&ResourceId=$7");
    let told = "400 InvalidReport.NotExists The specified report not exists.";
    let read = "DescribeDiagnosticReportAttributes&ReportId=$8";
    assert_eq!(estate.call(&format!("{read}&RegionId=cn-beijing")), told);
    assert_eq!(estate.call("DescribeDiagnosticReportAttributes&ReportId=dr-none"), told);
    assert!(estate.call(read).contains("$8"));
    assert_eq!(estate.as_account("3").call(read), told);
    assert!(!estate.call("DescribeDiagnosticReports").contains("$8"));
}

#[test]
fn wrong_questions_make_no_report() {
    let mut estate = with_instance();
    for (call, told) in [
        ("ResourceId=i-none", "400 InvalidResource.NotExists "),
        ("ResourceId=$7&RegionId=cn-beijing", "400 InvalidResource.NotExists "),
        ("ResourceId=i%20", "400 InvalidParameter "),
        ("ResourceId=$7&MetricSetId=dms-other", "400 InvalidParameter "),
        ("ResourceId=$7&StartTime=yesterday", "400 InvalidParameter "),
        ("ResourceId=$7&StartTime=2018-12-12T07:00Z&EndTime=2018-12-12T06:00Z", "400 InvalidParameter "),
        ("", "400 MissingParameter "),
    ] {
        let reply = estate.call(&format!("CreateDiagnosticReport&{call}"));
        assert!(reply.starts_with(told), "{call}: {reply}");
    }
    for wrong in ["Status=Done", "Severity=info", "MaxResults=0", "NextToken=x", "ReportIds.1=%21"] {
        let reply = estate.call(&format!("DescribeDiagnosticReports&{wrong}"));
        assert!(reply.starts_with("400 InvalidParameter "), "{wrong}: {reply}");
    }
    assert!(!estate.call("DescribeDiagnosticReports").contains("ReportId"));
}

#[test]
fn a_repeated_request_makes_one_report() {
    let mut estate = with_instance();
    let once = "CreateDiagnosticReport&ResourceId=$7&ClientToken=t";
    assert_eq!(estate.call(once), estate.call(once));
    assert!(estate.call("CreateDiagnosticReport&ResourceId=$7&DryRun=true").starts_with("400 DryRunOperation"));
    assert_eq!(estate.call("DescribeDiagnosticReports").matches("\"ReportId\"").count(), 1);
}

#[test]
fn metrics_and_their_sets_are_listed() {
    let mut estate = Estate::new();
    check(
        &mut estate,
        "DescribeDiagnosticMetrics&MetricIds.1=SecurityGroup.Outbound",
        &expect![[
            r#"{"NextToken":"","Metrics":[{"MetricId":"SecurityGroup.Outbound","MetricName":"Outbound access","MetricCategory":"Network","Description":"Whether name service and the web can be reached at all.","ResourceType":"instance","GuestMetric":false,"SupportedOperatingSystem":"All"}]}"#
        ]],
    );
    for (filter, count) in [("", 5), ("ResourceType=instance&MaxResults=2", 2), ("ResourceType=disk", 0)] {
        let found = estate.call(&format!("DescribeDiagnosticMetrics&{filter}"));
        assert_eq!(found.matches("MetricId").count(), count, "{filter}: {found}");
    }
    check(
        &mut estate,
        "DescribeDiagnosticMetricSets&Type=Common&ResourceType=instance",
        &expect![[
            r#"{"NextToken":"","MetricSets":[{"MetricSetId":"dms-instancedefault","MetricSetName":"Security groups of an instance","Description":"Everything that is known about the groups of an instance.","MetricIds":["SecurityGroup.CommonPorts","SecurityGroup.ManagementPorts","SecurityGroup.Outbound","SecurityGroup.IdleRules","SecurityGroup.GroupEffects"],"ResourceType":"instance","Type":"Common"}]}"#
        ]],
    );
    for (filter, count) in [
        ("", 0),
        ("Type=User", 0),
        ("MetricSetIds.1=dms-instancedefault&MaxResults=5", 1),
        ("MetricSetIds.1=dms-other", 0),
        ("MetricSetIds.1=dms-instancedefault&Type=User", 0),
    ] {
        let found = estate.call(&format!("DescribeDiagnosticMetricSets&{filter}"));
        assert_eq!(found.matches("MetricSetId").count(), count, "{filter}: {found}");
    }
    assert!(estate.call("DescribeDiagnosticMetricSets&Type=Own").starts_with("400 InvalidParameter "));
    assert!(estate.call("DescribeDiagnosticMetricSets&NextToken=x").starts_with("400 InvalidParameter "));
}
