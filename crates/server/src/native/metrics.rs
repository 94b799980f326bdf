//! `GET /metrics`: what Prometheus scrapes, in the OpenMetrics text format. Needs the operator's token, as the rest does.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use sekimori_core::limits::{ENI_HALF_OPEN_MAX, HOST_FLOWS_MAX};

use super::{ApiError, status};
use crate::{
    api::{Capacity, ErrorCode},
    app::App,
    counts::Counts,
    hosts::HostStatus,
    metrics::Labels,
};

/// The format of the answer.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `GET /metrics`.
pub(super) async fn scrape(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let mut text = String::new();
    let written = encode(&mut text, &registry(&app));
    written.map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))?;
    Ok(([(CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}

/// Everything there is to scrape, as it is now.
fn registry(app: &App) -> Registry {
    let (state, hosts) = (app.committer.state(), app.hosts.all());
    let mut out = Scrape { registry: Registry::with_prefix("sekimori") };
    let committed = Gauge::<i64>::default();
    committed.set(i64::try_from(state.world().revision().0).unwrap_or(i64::MAX));
    out.registry.register("committed_revision", "The newest committed revision", committed);
    let applied = hosts.iter().map(|host| (of(host), host.applied.map_or(0, |applied| applied.0)));
    out.gauge("applied_revision", "What the kernel of a host enforces", applied);
    out.gauge(
        "host_connected",
        "Whether the agent is connected",
        hosts.iter().map(|one| (of(one), one.connected.into())),
    );
    let silent = hosts.iter().map(|host| (of(host), host.silent_s().unwrap_or_default()));
    out.gauge("host_silent_seconds", "For how long a connected agent has said nothing, if it should have", silent);
    let closed = hosts.iter().map(|host| (of(host), host.closed.len() as u64));
    out.gauge("closed_interfaces", "Interfaces that drop everything for want of their policy", closed);
    let capacity = status::capacity(&state, status::counts(state.world()), &hosts);
    let labels = |row: &Capacity| vec![("resource", row.resource.clone())];
    out.gauge("capacity_used", "What is used of a table", capacity.iter().map(|row| (labels(row), row.used)));
    out.gauge("capacity_limit", "The most that a table holds", capacity.iter().map(|row| (labels(row), row.limit)));
    out.flows(&hosts);
    out.counter(
        "decisions",
        "Packets by decision and reason",
        hosts.iter().flat_map(|host| decisions(host, &app.hosts.counts)),
    );
    let totals = |read: fn(&crate::verify::Totals) -> u64| {
        hosts.iter().map(|host| (of(host), read(&app.hosts.verifier.totals(&host.host)))).collect::<Vec<_>>()
    };
    out.counter("read_back_entries", "Entries of the maps that were compared", totals(|totals| totals.checked));
    out.counter("read_back_differences", "Differences that were found and repaired", totals(|totals| totals.found));
    out.flow_events(app, &hosts);
    let invariants = state.world().invariants();
    let violated = invariants.iter().filter(|invariant| invariant.violation.is_some()).count() as u64;
    let holding = invariants.len() as u64 - violated;
    let by_state = [("holding", holding), ("violated", violated)];
    let by_state = by_state.map(|(state, count)| (vec![("state", state.to_owned())], count));
    out.gauge("invariants", "Invariants that hold, and that do not", by_state);
    let stuck = app.stuck.count() as u64;
    let waiting = (state.world().trials().len() as u64).saturating_sub(stuck);
    let by_state = [("waiting", waiting), ("stuck", stuck)];
    let by_state = by_state.map(|(state, count)| (vec![("state", state.to_owned())], count));
    out.gauge("trials", "Changes that wait to be confirmed, and that are due and cannot be rolled back", by_state);
    let (written, failed) = app.records.counted();
    out.counter("flow_log_files", "Files of flow-log records that were written", [(Labels::new(), written)]);
    out.counter("flow_log_errors", "Times that records of flow logs could not be written", [(Labels::new(), failed)]);
    let (refused, seconds) = (app.refusals.counted(), app.hosts.latency.seconds());
    out.registry.register("refused_requests", "Requests that were refused", refused);
    out.registry.register(
        "update_latency_seconds",
        "From the commit to the report of a host that enforces it",
        seconds,
    );
    out.registry
}

fn of(host: &HostStatus) -> Labels {
    vec![("host", host.host.to_string())]
}

/// The packets of a host's interfaces together, by direction, decision and reason.
fn decisions(host: &HostStatus, counts: &Counts) -> Vec<(Labels, u64)> {
    let mut sums: BTreeMap<Labels, u64> = BTreeMap::new();
    for count in counts.of(&host.host).enis {
        let decision = if count.passed { "allow" } else { "deny" };
        let mut labels = of(host);
        labels.extend([
            ("direction", count.direction.to_string()),
            ("decision", decision.to_owned()),
            ("reason", count.reason),
        ]);
        *sums.entry(labels).or_default() += count.packets;
    }
    sums.into_iter().collect()
}

struct Scrape {
    registry: Registry,
}

impl Scrape {
    fn gauge(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = (Labels, u64)>) {
        let family = Family::<Labels, Gauge>::default();
        for (labels, value) in samples {
            family.get_or_create(&labels).set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        self.registry.register(name, help, family);
    }

    fn counter(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = (Labels, u64)>) {
        let family = Family::<Labels, Counter>::default();
        for (labels, value) in samples {
            family.get_or_create(&labels).inc_by(value);
        }
        self.registry.register(name, help, family);
    }

    fn flow_events(&mut self, app: &App, hosts: &[HostStatus]) {
        let (mut told, mut lost) = (Vec::new(), Vec::new());
        for host in hosts {
            let totals = app.hosts.flows.totals(&host.host);
            let with = |name, value: &str| [of(host), vec![(name, value.to_owned())]].concat();
            told.push((with("decision", "allow"), totals.allowed));
            told.push((with("decision", "deny"), totals.denied));
            lost.extend(totals.lost.by_cause().map(|(cause, lost)| (with("cause", cause), lost)));
        }
        self.counter("flow_events", "Events of new flows and drops that a host has told", told);
        self.counter("flow_events_lost", "Events that a host has not told, by cause", lost);
    }

    fn flows(&mut self, hosts: &[HostStatus]) {
        let families = ["ipv4", "ipv6"];
        let used = hosts.iter().flat_map(|host| {
            let flows = families.iter().zip(host.flows());
            flows.map(|(family, flows)| {
                let mut labels = of(host);
                labels.push(("family", (*family).to_owned()));
                (labels, flows)
            })
        });
        self.gauge("conntrack_flows", "Live flows of a host", used);
        let room = families.map(|family| (vec![("family", family.to_owned())], u64::from(HOST_FLOWS_MAX)));
        self.gauge("conntrack_flows_max", "Flows that a host holds", room);
        let borrowed = hosts.iter().flat_map(|host| {
            let borrowed = families.iter().zip(host.flow_use().borrowed);
            borrowed.map(|(family, flows)| ([of(host), vec![("family", (*family).to_owned())]].concat(), flows))
        });
        self.gauge("conntrack_borrowed", "Live flows beyond the shares of their interfaces", borrowed);
        let pool = hosts.iter().map(|host| (of(host), host.flow_use().pool));
        self.gauge("conntrack_borrowed_max", "Flows of a family that there may be beyond shares", pool);
        let half_open = hosts.iter().map(|host| (of(host), host.flow_use().half_open));
        self.gauge("conntrack_half_open", "Half-open flows of the interface that has most", half_open);
        let most = Gauge::<i64>::default();
        most.set(i64::from(ENI_HALF_OPEN_MAX));
        self.registry.register("conntrack_half_open_max", "Half-open flows that an interface may have", most);
    }
}
