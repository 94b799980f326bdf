//! Diagnostic reports, newest first; metrics, and sets of them.

use std::{cmp::Reverse, sync::Arc};

use sekimori_core::{
    diagnosis::{Finding, Metric, MetricResult, Report, Severity},
    ids::ReportId,
    time::Timestamp,
};
use serde_json::json;

use super::{
    View,
    page::{Order, part},
};
use crate::{
    ecs::{
        encode::{Fields, Node, array, list},
        errors::Fault,
        metrics::{CATEGORY, METRIC_SET, Names, RESOURCE_TYPE, names, severity},
        query::{MetricQuery, ReportsQuery},
        region::Region,
    },
    time::to_seconds,
};

/// What `DescribeDiagnosticReports` answers.
pub(super) fn reports(query: &ReportsQuery, view: &View<'_>) -> Fields {
    let passes = |report: &&Arc<Report>| {
        report.region == query.region.id
            && (query.ids.is_empty() || query.ids.contains(&report.id))
            && (query.instances.is_empty() || query.instances.contains(&report.instance))
            && query.status.is_none_or(|status| status == status_of(report))
            && query.severity.is_none_or(|wanted| wanted == severity(report.severity()))
    };
    let mut all: Vec<&Arc<Report>> = view.world.reports_of(view.account).filter(passes).collect();
    all.sort_by_key(|report| Reverse(place(report)));
    let (wanted, mut fields) = part(all, &query.page, Order::Descending, |report| place(report));
    let nodes = wanted.into_iter().map(|report| {
        let mut node = report_fields(report);
        node.push(("Issues", list("Issue", report.results.iter().flat_map(short_issues))));
        node
    });
    fields.push(("Reports", list("Report", nodes)));
    fields
}

/// What `DescribeDiagnosticReportAttributes` answers.
pub(super) fn report(id: &ReportId, region: &Region, view: &View<'_>) -> Result<Fields, Fault> {
    let report = view.world.report(view.account, id).filter(|report| report.region == region.id);
    let report = report.ok_or(Fault::Report)?;
    let mut fields = report_fields(report);
    fields.push(("MetricResults", list("MetricResult", report.results.iter().map(|result| node(result, report)))));
    Ok(fields)
}

/// What `DescribeDiagnosticMetrics` answers.
pub(super) fn metrics(query: &MetricQuery) -> Fields {
    let mut all: Vec<Names> = Metric::ALL.into_iter().map(names).filter(|names| passes(query, names.id)).collect();
    all.sort_by_key(|names| names.id);
    let (wanted, mut fields) = part(all, &query.page, Order::Ascending, |names| names.id.to_owned());
    let nodes = wanted.into_iter().map(|names| {
        vec![
            ("MetricId", names.id.into()),
            ("MetricName", names.name.into()),
            ("MetricCategory", CATEGORY.into()),
            ("Description", names.description.into()),
            ("ResourceType", RESOURCE_TYPE.into()),
            ("GuestMetric", false.into()),
            ("SupportedOperatingSystem", "All".into()),
        ]
    });
    fields.push(("Metrics", array(nodes)));
    fields
}

/// What `DescribeDiagnosticMetricSets` answers.
pub(super) fn metric_sets(wants_common: bool, query: &MetricQuery) -> Fields {
    let sets = [METRIC_SET].into_iter().filter(|id| wants_common && passes(query, id));
    let (wanted, mut fields) = part(sets.collect(), &query.page, Order::Ascending, |id| (*id).to_owned());
    let nodes = wanted.into_iter().map(|id| {
        vec![
            ("MetricSetId", id.into()),
            ("MetricSetName", "Security groups of an instance".into()),
            ("Description", "Everything that is known about the groups of an instance.".into()),
            ("MetricIds", array(Metric::ALL.into_iter().map(|metric| names(metric).id))),
            ("ResourceType", RESOURCE_TYPE.into()),
            ("Type", "Common".into()),
        ]
    });
    fields.push(("MetricSets", array(nodes)));
    fields
}

fn passes(query: &MetricQuery, id: &str) -> bool {
    let is_named = query.ids.is_empty() || query.ids.iter().any(|wanted| wanted == id);
    is_named && query.resource_type.as_ref().is_none_or(|wanted| wanted == RESOURCE_TYPE)
}

/// Places sort as reports were made.
fn place(report: &Report) -> String {
    format!("{:020}\n{:020}\n{}", report.created_at.0.max(0), report.revision.0, report.id)
}

/// A report is made at once. One of which no metric has an answer has failed.
fn status_of(report: &Report) -> &'static str {
    if report.severity() == Severity::Unknown { "Failed" } else { "Finished" }
}

fn report_fields(report: &Report) -> Fields {
    let moment = |moment: Option<Timestamp>| Node::from(moment.map(to_seconds).unwrap_or_default());
    vec![
        ("ReportId", report.id.as_str().into()),
        ("ResourceId", report.instance.as_str().into()),
        ("ResourceType", RESOURCE_TYPE.into()),
        ("MetricSetId", METRIC_SET.into()),
        ("Status", status_of(report).into()),
        ("Severity", severity(report.severity()).into()),
        ("CreationTime", to_seconds(report.created_at).into()),
        ("FinishedTime", to_seconds(report.created_at).into()),
        ("StartTime", moment(report.from)),
        ("EndTime", moment(report.until)),
    ]
}

fn short_issues(result: &MetricResult) -> impl Iterator<Item = Fields> + '_ {
    let names = names(result.metric);
    result.findings.iter().map(move |finding| {
        vec![
            ("IssueId", names.issue.into()),
            ("MetricId", names.id.into()),
            ("MetricCategory", CATEGORY.into()),
            ("Severity", severity(finding.severity).into()),
        ]
    })
}

fn node(result: &MetricResult, report: &Report) -> Fields {
    let names = names(result.metric);
    let status = if result.is_known { "Finished" } else { "Failed" };
    vec![
        ("MetricId", names.id.into()),
        ("MetricCategory", CATEGORY.into()),
        ("Status", status.into()),
        ("Severity", severity(result.severity()).into()),
        ("Issues", list("Issue", result.findings.iter().map(|finding| issue(finding, &names, report)))),
    ]
}

/// Nothing is repaired by the cloud: `sekimori diagnose --open` and `sekimori health --fix` do what the owner decides.
fn issue(finding: &Finding, names: &Names, report: &Report) -> Fields {
    let eni = finding.eni.as_ref().map_or("", |eni| eni.as_str());
    let more = json!({ "Message": finding.text, "NetworkInterfaceId": eni, "Revision": report.revision.0 });
    vec![
        ("IssueId", names.issue.into()),
        ("Severity", severity(finding.severity).into()),
        ("Additional", more.to_string().into()),
        ("OccurrenceTime", to_seconds(report.created_at).into()),
        ("Repairable", false.into()),
        ("RepairStatus", "".into()),
    ]
}
