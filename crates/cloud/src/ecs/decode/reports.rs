//! Diagnostic reports, the metrics that they are made of, and the sets of metrics.

use sekimori_core::{
    command::{Command, NewReport},
    ids::{InstanceId, ReportId},
    time::Timestamp,
};

use super::{
    queries::{Paging, page_up_to},
    scope::{IDS_MAX, Scope, invalid},
};
use crate::{
    ecs::{
        errors::Fault,
        metrics::METRIC_SET,
        query::{MetricQuery, Query, ReportsQuery},
    },
    time,
};

/// More than a part holds is asked for without harm: the part is as large as it can be.
const PAGING: Paging = Paging::by_token(10, 100);
const STATES: [&str; 3] = ["InProgress", "Failed", "Finished"];
const SEVERITIES: [&str; 5] = ["Unknown", "Normal", "Info", "Warn", "Critical"];

/// What is found is filled in by whoever carries the command out.
pub(super) fn create(scope: &Scope<'_>) -> Result<Command, Fault> {
    if let Some(other) = scope.text("MetricSetId").filter(|set| *set != METRIC_SET) {
        return Err(invalid("MetricSetId", format!("`{other}` does not exist; use {METRIC_SET}, or leave it out")));
    }
    let instance: InstanceId = scope.required_id("ResourceId")?;
    scope.check_instance_region(&instance)?;
    let (from, until) = (moment(scope, "StartTime")?, moment(scope, "EndTime")?);
    if from.zip(until).is_some_and(|(from, until)| from > until) {
        return Err(invalid("EndTime", "it is before StartTime; give a later one".to_owned()));
    }
    let (account, revision) = (scope.account.clone(), scope.world.revision());
    Ok(Command::CreateReport(NewReport { account, instance, from, until, revision, results: Vec::new() }))
}

pub(super) fn reports(scope: &Scope<'_>) -> Result<Query, Fault> {
    let ids: Vec<ReportId> = scope.id_list("ReportIds")?;
    let instances: Vec<InstanceId> = scope.id_list("ResourceIds")?;
    Ok(Query::Reports(ReportsQuery {
        region: scope.needs_region()?,
        ids,
        instances,
        status: one_of(scope, "Status", &STATES)?,
        severity: one_of(scope, "Severity", &SEVERITIES)?,
        page: page_up_to(scope, &PAGING)?,
    }))
}

pub(super) fn report(scope: &Scope<'_>) -> Result<Query, Fault> {
    Ok(Query::Report { region: scope.needs_region()?, id: scope.required_id("ReportId")? })
}

pub(super) fn metrics(scope: &Scope<'_>) -> Result<Query, Fault> {
    Ok(Query::Metrics(metric_query(scope, "MetricIds")?))
}

/// Without a choice these are the account's own sets, of which there are none; a set that is named is found.
pub(super) fn metric_sets(scope: &Scope<'_>) -> Result<Query, Fault> {
    let query = metric_query(scope, "MetricSetIds")?;
    let wants_common = match one_of(scope, "Type", &["User", "Common"])? {
        Some(kind) => kind == "Common",
        None => !query.ids.is_empty(),
    };
    Ok(Query::MetricSets { wants_common, query })
}

fn metric_query(scope: &Scope<'_>, list: &str) -> Result<MetricQuery, Fault> {
    debug_assert!(scope.call.entry().accepts(&format!("{list}.1")), "`{list}.N` is not in the catalog");
    let ids = scope.call.params().list(list);
    if ids.len() > IDS_MAX {
        return Err(invalid(list, format!("it has more than {IDS_MAX} items; ask several times")));
    }
    let ids = ids.into_iter().map(str::to_owned).collect();
    let resource_type = scope.text("ResourceType").map(str::to_owned);
    Ok(MetricQuery { ids, resource_type, page: page_up_to(scope, &PAGING)? })
}

fn one_of(scope: &Scope<'_>, name: &str, words: &[&'static str]) -> Result<Option<&'static str>, Fault> {
    let Some(text) = scope.text(name) else { return Ok(None) };
    let known = words.iter().copied().find(|word| *word == text);
    known.map(Some).ok_or_else(|| invalid(name, format!("`{text}` is not one of {}", words.join(", "))))
}

/// `2022-07-11T12:00Z`, with or without seconds.
fn moment(scope: &Scope<'_>, name: &str) -> Result<Option<Timestamp>, Fault> {
    let Some(text) = scope.text(name) else { return Ok(None) };
    let in_minutes = || time::parse(&format!("{}:00Z", text.strip_suffix('Z')?));
    let bad = || invalid(name, format!("`{text}` is not a moment such as 2022-07-11T12:00Z"));
    time::parse(text).or_else(in_minutes).map(Some).ok_or_else(bad)
}
