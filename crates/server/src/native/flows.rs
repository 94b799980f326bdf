//! Flows that begin and packets that are dropped: the newest ones, and as they come.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{Query, State, rejection::QueryRejection},
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use futures::stream;
use serde::Deserialize;
use tokio::{sync::watch, time::timeout};

use sekimori_core::{
    address::Cidr,
    flow_event::{EventLosses, REASON_NAMES},
};

use super::{
    Answer, ApiError,
    history::passed,
    json,
    live::{no_instance, no_interface},
};
use crate::{
    api::{ErrorCode, FlowList, FlowNews, FlowSight},
    app::App,
    flows::{Cursor, FLOW_WATCHERS_MAX, FlowFilter, Flows, Watcher},
    outside,
};

/// Events in one answer, and how many if the request does not say.
pub const FLOWS_LISTED_MAX: usize = 10_000;
pub(super) const FLOWS_LISTED: usize = 1_000;
/// Events that are written to a watcher at a time, of each host.
const FLOWS_AT_A_TIME: usize = 256;
/// After so long without news a watcher is told so: one that has gone is noticed.
const QUIET: Duration = Duration::from_secs(5);
/// JSON documents, one a line.
const LINES: &str = "application/x-ndjson";

/// The parameters of `GET /v1/flows` and `GET /v1/flows/watch`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FlowQuery {
    verdict: Option<String>,
    eni: Option<String>,
    instance: Option<String>,
    peer: Option<String>,
    port: Option<u16>,
    protocol: Option<String>,
    reason: Option<String>,
    since: Option<i64>,
    limit: Option<usize>,
}

/// `GET /v1/flows`.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    query: Result<Query<FlowQuery>, QueryRejection>,
) -> Answer<FlowList> {
    let Query(query) = query.map_err(|error| invalid(error.body_text()))?;
    let most = query.limit.unwrap_or(FLOWS_LISTED);
    if most > FLOWS_LISTED_MAX {
        return Err(invalid(format!("`{most}` events are too many; ask for at most {FLOWS_LISTED_MAX}")));
    }
    let filter = filter(query)?;
    check_known(&app, &filter)?;
    let (recorded_since, recorded_until) = app.hosts.flows.ask(outside::now());
    let (found, has_more, lost) = app.hosts.flows.list(&filter, most);
    let flows = found.iter().map(|sight| FlowSight::clone(sight)).collect();
    json(FlowList { flows, has_more, recorded_since, recorded_until, lost })
}

/// `GET /v1/flows/watch`: what comes from now on, for as long as the client reads and the server runs.
pub(super) async fn watch(
    State(app): State<Arc<App>>,
    query: Result<Query<FlowQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(query) = query.map_err(|error| invalid(error.body_text()))?;
    let filter = filter(query)?;
    check_known(&app, &filter)?;
    let flows = Arc::clone(&app.hosts.flows);
    let Some(watcher) = flows.watch() else {
        let message =
            format!("{FLOW_WATCHERS_MAX} clients watch already; end one of them, or list the newest events");
        return Err(ApiError::new(ErrorCode::Overloaded, message));
    };
    let (cursor, news, open) = (flows.end(), flows.news(), flows.is_open());
    let lines = Lines { flows, cursor, news, open, filter, lost: None, ready: VecDeque::new(), _watcher: watcher };
    let body = Body::from_stream(stream::unfold(lines, async |mut lines| Some((lines.next().await?, lines))));
    Ok(([(CONTENT_TYPE, LINES)], body).into_response())
}

/// What is written to one watcher.
struct Lines {
    flows: Arc<Flows>,
    cursor: Cursor,
    news: watch::Receiver<u64>,
    open: watch::Receiver<bool>,
    filter: FlowFilter,
    lost: Option<EventLosses>,
    ready: VecDeque<FlowNews>,
    _watcher: Watcher,
}

impl Lines {
    /// The next lines; `None` when the server stops.
    async fn next(&mut self) -> Option<Result<Bytes, Infallible>> {
        while self.ready.is_empty() {
            self.news.mark_unchanged();
            self.gather();
            if self.ready.is_empty() && self.flows.is_at_end(&self.cursor) {
                self.rest().await?;
            }
        }
        let mut text = Vec::new();
        for line in self.ready.drain(..) {
            // Names and numbers always become JSON.
            text.extend(serde_json::to_vec(&line).unwrap_or_default());
            text.push(b'\n');
        }
        Some(Ok(Bytes::from(text)))
    }

    fn gather(&mut self) {
        let (found, missed) = self.flows.next(&mut self.cursor, &self.filter, FLOWS_AT_A_TIME);
        self.ready.extend((missed > 0).then_some(FlowNews::Missed(missed)));
        self.ready.extend(found.iter().map(|sight| FlowNews::Flow(Box::new(FlowSight::clone(sight)))));
        let lost = self.flows.lost();
        if self.lost.replace(lost).is_some_and(|before| before != lost) {
            self.ready.push_back(FlowNews::Lost(lost));
        }
    }

    async fn rest(&mut self) -> Option<()> {
        tokio::select! {
            news = timeout(QUIET, self.news.changed()) => match news {
                Ok(changed) => changed.ok()?,
                Err(_) => self.ready.push_back(FlowNews::Quiet),
            },
            _ = self.open.wait_for(|is_open| !is_open) => return None,
        }
        Some(())
    }
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::Invalid, message)
}

/// Refuses an interface and an instance that neither are there nor have been seen: a name that is written wrong has no traffic.
fn check_known(app: &App, filter: &FlowFilter) -> Result<(), ApiError> {
    let world = app.committer.world();
    let is_seen = |filter: FlowFilter| !app.hosts.flows.list(&filter, 1).0.is_empty();
    if let Some(id) = filter.eni.as_ref().filter(|id| world.eni(id).is_none())
        && !is_seen(FlowFilter { eni: Some(id.clone()), ..FlowFilter::default() })
    {
        return Err(no_interface(id));
    }
    if let Some(id) = filter.instance.as_ref().filter(|id| world.instance(id).is_none())
        && !is_seen(FlowFilter { instance: Some(id.clone()), ..FlowFilter::default() })
    {
        return Err(no_instance(id));
    }
    Ok(())
}

fn filter(query: FlowQuery) -> Result<FlowFilter, ApiError> {
    let FlowQuery { verdict, eni, instance, peer, port, protocol, reason, since, limit: _ } = query;
    let is_allowed = match verdict.as_deref() {
        None => None,
        Some("allow") => Some(true),
        Some("deny") => Some(false),
        Some(other) => return Err(invalid(format!("`{other}` is not a verdict; ask for allow or deny"))),
    };
    let named = |text: String| match REASON_NAMES.contains(&text.as_str()) {
        true => Ok(text),
        false => Err(invalid(format!("`{text}` is not a reason; use one of {}", REASON_NAMES.join(", ")))),
    };
    Ok(FlowFilter {
        passed: is_allowed,
        eni: eni.map(Into::into),
        instance: instance.map(Into::into),
        peer: peer.map(block).transpose()?,
        port,
        protocol: protocol.map(|text| number(&text)).transpose()?,
        reason: reason.map(named).transpose()?,
        since_ms: since
            .map(|since| passed(since).map(|_| since.max(0).unsigned_abs().saturating_mul(1_000)))
            .transpose()?,
    })
}

/// A block, or one address.
pub(super) fn block(text: String) -> Result<Cidr, ApiError> {
    text.parse::<Cidr>().map_err(|_| invalid(format!("`{text}` is not a block; write 10.0.0.0/8 or an address")))
}

pub(super) fn number(text: &str) -> Result<u8, ApiError> {
    match text.to_ascii_lowercase().as_str() {
        "tcp" => Ok(6),
        "udp" => Ok(17),
        "icmp" => Ok(1),
        "icmpv6" => Ok(58),
        other => other
            .parse()
            .map_err(|_| invalid(format!("`{text}` is not a protocol; write tcp, udp, icmp, icmpv6 or a number"))),
    }
}
