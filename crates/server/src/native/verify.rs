//! Whether the kernels hold what was committed: asked of the hosts themselves.

use std::{sync::Arc, time::Duration};

use axum::extract::{Request, State};
use tokio::time::timeout;

use sekimori_core::ids::HostId;

use super::{Answer, ApiError, json, read};
use crate::{
    api::{ErrorCode, HostVerification, Verification, Verify},
    app::App,
    hosts::HostStatus,
};

/// The longest that a host may take to compare everything.
pub const VERIFY_S_MAX: u64 = 600;

/// `POST /v1/verify`: hosts compare everything, repair what differs, and tell it.
pub(super) async fn verify(State(app): State<Arc<App>>, request: Request) -> Answer<Verification> {
    let Verify { host, timeout_s } = read(request).await?;
    if timeout_s > VERIFY_S_MAX {
        let message = format!("`{timeout_s}` seconds are too long; wait at most {VERIFY_S_MAX}");
        return Err(ApiError::new(ErrorCode::Invalid, message));
    }
    let hosts = asked(app.hosts.all(), host.as_ref())?;
    let questions: Vec<(HostStatus, u64)> =
        hosts.into_iter().map(|status| (status.clone(), app.hosts.verifier.ask(&status.host))).collect();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(timeout_s);
    let mut hosts = Vec::new();
    for (status, number) in questions {
        hosts.push(answer(&app, status, number, deadline).await);
    }
    json(Verification { hosts })
}

fn asked(all: Vec<HostStatus>, host: Option<&HostId>) -> Result<Vec<HostStatus>, ApiError> {
    let chosen: Vec<HostStatus> = all.into_iter().filter(|one| host.is_none_or(|host| one.host == *host)).collect();
    if chosen.is_empty() {
        let message = match host {
            Some(host) => format!("no host `{host}` has connected since the server started; see `sekimori status`"),
            None => "no agent has connected since the server started, so there is nothing to compare".to_owned(),
        };
        return Err(ApiError::new(ErrorCode::NotFound, message));
    }
    Ok(chosen)
}

async fn answer(app: &App, status: HostStatus, number: u64, deadline: tokio::time::Instant) -> HostVerification {
    let HostStatus { host, connected, .. } = status;
    let left = deadline.saturating_duration_since(tokio::time::Instant::now());
    let report = match connected {
        true => timeout(left, app.hosts.verifier.answer(&host, number)).await.map_err(|_| "did not answer in time"),
        false => Err("is not connected"),
    };
    let failure = report.as_ref().err().map(|failure| (*failure).to_owned());
    let (background, totals) = (app.hosts.verifier.take_untold(&host), app.hosts.verifier.totals(&host));
    let report = report.unwrap_or_default();
    HostVerification {
        host,
        failure,
        revision: report.revision,
        checked: report.checked,
        found: report.found,
        differences: report.differences,
        background,
        totals,
    }
}
