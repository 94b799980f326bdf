//! How the whole is: health, status, counters, and waiting until the hosts have caught up.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
};
use serde::Deserialize;
use tokio::time::timeout;

use sekimori_core::{
    apply::State as WorldState,
    feed::CounterReport,
    ids::HostId,
    limits::{
        ENI_HALF_OPEN_MAX, HOST_ADDRESSES_MAX, HOST_ENIS_MAX, HOST_FLOWS_MAX, HOST_GROUPS_MAX,
        HOST_POLICY_WORDS_PROMISED, HOST_RULES_MAX, HOST_VPCS_MAX, RULES_MAX,
    },
    world::{Revision, World},
};

use super::{Answer, ApiError, json};
use crate::{
    api::{Capacity, Counters, Counts, ErrorCode, Health, HealthStatus, Host, HostCounters, Revised, Status},
    app::App,
    hosts::HostStatus,
};

/// The longest that `GET /v1/wait` waits.
pub const WAIT_S_MAX: u64 = 600;

/// How long it waits if the request does not say.
const WAIT_S: u64 = 30;

/// The parameters of `GET /v1/wait`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WaitQuery {
    timeout_s: Option<u64>,
    revision: Option<u64>,
}

/// `GET /healthz`.
pub(super) async fn healthz(State(app): State<Arc<App>>) -> (StatusCode, Json<Health>) {
    let problem = problem(&app);
    let status = match problem {
        None => (StatusCode::OK, HealthStatus::Ok),
        Some((status, _)) => (StatusCode::SERVICE_UNAVAILABLE, status),
    };
    let reason = problem.map(|(_, reason)| reason.to_owned());
    let (committed, applied) = (app.committer.world().revision(), app.hosts.applied());
    (status.0, Json(Health { status: status.1, reason, committed, applied }))
}

/// What is not well. It names no interface or host: anyone may ask.
fn problem(app: &App) -> Option<(HealthStatus, &'static str)> {
    let hosts = app.hosts.all();
    if !app.committer.is_writing() {
        return Some((HealthStatus::Degraded, "the store failed, so changes are refused; see the server's log"));
    }
    if hosts.is_empty() {
        return Some((HealthStatus::Starting, "no agent has connected yet"));
    }
    if hosts.iter().any(|host| host.applied.is_none()) {
        return Some((HealthStatus::Starting, "an agent has not reported what its kernel enforces yet"));
    }
    if hosts.iter().any(|host| !host.connected) {
        return Some((HealthStatus::Degraded, "an agent is not connected; its host enforces what it had last"));
    }
    if hosts.iter().any(|host| host.silent_s().is_some()) {
        return Some((HealthStatus::Degraded, "an agent hangs; its host enforces what it had last; see status"));
    }
    if hosts.iter().any(|host| !host.closed.is_empty()) {
        return Some((HealthStatus::Degraded, "an interface is closed for want of its policy; see status"));
    }
    None
}

/// `GET /v1/status`.
pub(super) async fn status(State(app): State<Arc<App>>) -> Answer<Status> {
    let state = app.committer.state();
    let hosts = app.hosts.all();
    let counts = counts(state.world());
    json(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        committed: state.world().revision(),
        limits: app.limits,
        capacity: capacity(&state, counts, &hosts),
        counts,
        hosts: hosts.into_iter().map(host).collect(),
    })
}

fn host(status: HostStatus) -> Host {
    let silent_s = status.silent_s();
    let HostStatus { host, connected, applied, closed, .. } = status;
    Host { host, connected, silent_s, applied, closed }
}

pub(super) fn counts(world: &World) -> Counts {
    Counts {
        accounts: world.accounts().count() as u64,
        vpcs: world.vpcs().count() as u64,
        instances: world.instances().count() as u64,
        enis: world.eni_count() as u64,
        groups: world.groups().count() as u64,
        rules: world.groups().map(|group| group.rules.len() as u64).sum(),
    }
}

pub(super) fn capacity(state: &WorldState, counts: Counts, hosts: &[HostStatus]) -> Vec<Capacity> {
    let half_open = hosts.iter().map(|host| host.flow_use().half_open);
    let flows = |version: usize| hosts.iter().map(|host| host.flows()[version]).max().unwrap_or_default();
    let fullest = state.ledger().fullest();
    let rows = [
        ("interfaces", fullest.enis, HOST_ENIS_MAX),
        ("VPCs", counts.vpcs, HOST_VPCS_MAX),
        ("addresses", state.world().address_count() as u64, HOST_ADDRESSES_MAX),
        ("groups", counts.groups, HOST_GROUPS_MAX),
        ("rules", fullest.rules, HOST_RULES_MAX),
        ("policy words", fullest.words, HOST_POLICY_WORDS_PROMISED),
        ("rules of all groups", counts.rules, RULES_MAX),
        ("flows of IPv4", flows(0), HOST_FLOWS_MAX),
        ("flows of IPv6", flows(1), HOST_FLOWS_MAX),
        ("half-open flows of an interface", half_open.max().unwrap_or_default(), ENI_HALF_OPEN_MAX),
    ];
    let row = |(resource, used, limit): (&str, u64, u32)| Capacity {
        resource: resource.to_owned(),
        used,
        limit: u64::from(limit),
    };
    rows.into_iter().chain(beyond_shares(hosts)).map(row).collect()
}

/// What interfaces hold beyond their shares of the flow tables, at the host with the fullest pool.
fn beyond_shares(hosts: &[HostStatus]) -> impl Iterator<Item = (&'static str, u64, u32)> {
    let used = hosts.iter().map(HostStatus::flow_use).filter(|used| used.pool > 0);
    let fullest = used.max_by_key(|used| used.borrowed.iter().max().copied());
    let rows = ["flows of IPv4 beyond shares", "flows of IPv6 beyond shares"].into_iter();
    rows.zip(fullest.into_iter().flat_map(|used| used.borrowed.map(|borrowed| (borrowed, used.pool))))
        .map(|(resource, (borrowed, pool))| (resource, borrowed, u32::try_from(pool).unwrap_or(u32::MAX)))
}

/// `GET /v1/counters`.
pub(super) async fn counters(State(app): State<Arc<App>>) -> Answer<Counters> {
    let hosts = app.hosts.all();
    let counts = &app.hosts.counts;
    let mut by_host: BTreeMap<HostId, CounterReport> =
        counts.hosts_counted().into_iter().map(|host| (host.clone(), counts.of(&host))).collect();
    let mut total = counts.total();
    for status in &hosts {
        let [flows_v4, flows_v6] = status.flows();
        for report in [by_host.entry(status.host.clone()).or_default(), &mut total] {
            report.flows = report.flows.saturating_add(flows_v4).saturating_add(flows_v6);
            report.flows_v6 = report.flows_v6.saturating_add(flows_v6);
            report.flow_use = report.flow_use.with(&status.flow_use());
        }
    }
    let hosts = by_host.into_iter().map(|(host, report)| HostCounters { host, report }).collect();
    json(Counters { hosts, total })
}

/// `GET /v1/wait?timeout_s=&revision=`.
pub(super) async fn wait(
    State(app): State<Arc<App>>,
    query: Result<Query<WaitQuery>, QueryRejection>,
) -> Answer<Revised> {
    let invalid = |message: String| ApiError::new(ErrorCode::Invalid, message);
    let Query(WaitQuery { timeout_s, revision }) = query.map_err(|error| invalid(error.body_text()))?;
    let timeout_s = timeout_s.unwrap_or(WAIT_S);
    if timeout_s > WAIT_S_MAX {
        return Err(invalid(format!("`{timeout_s}` seconds are too long; wait at most {WAIT_S_MAX}")));
    }
    let revision = revision.map_or_else(|| app.committer.world().revision(), Revision);
    match timeout(Duration::from_secs(timeout_s), app.hosts.wait_for(revision)).await {
        Ok(()) => json(Revised { revision }),
        Err(_) => Err(ApiError::new(ErrorCode::Timeout, laggard(&app.hosts.all(), revision))),
    }
}

/// Names the host that is furthest behind.
fn laggard(hosts: &[HostStatus], revision: Revision) -> String {
    let Some(last) = hosts.iter().min_by_key(|status| status.applied) else {
        return format!("no host has connected, so nothing enforces revision {revision}; see that the agent runs");
    };
    let at = last.applied.map_or_else(|| "nothing".to_owned(), |applied| format!("revision {applied}"));
    let away = match (last.connected, last.silent_s()) {
        (false, _) => " and is not connected".to_owned(),
        (true, Some(silent_s)) => format!(" and has said nothing for {silent_s} seconds"),
        (true, None) => String::new(),
    };
    format!("host `{}` has applied {at}, not {revision}{away}; see its agent's log", last.host)
}
