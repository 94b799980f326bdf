//! What was changed, by whom and when; and moments of the past that other questions are asked of.

use std::sync::Arc;

use axum::extract::{Query, State, rejection::QueryRejection};
use serde::Deserialize;

use sekimori_analysis::history::Filter;
use sekimori_cloud::time::to_seconds;
use sekimori_core::{
    time::Timestamp,
    world::{Revision, World},
};

use super::{Answer, ApiError, json};
use crate::{
    api::{ErrorCode, History},
    app::App,
    outside,
    past::{At, PastError},
};

/// Commits in one answer, and how many if the request does not say.
pub const HISTORY_LISTED_MAX: usize = 1_000;
const HISTORY_LISTED: usize = 100;

/// The parameters of `GET /v1/history`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryQuery {
    before: Option<u64>,
    who: Option<String>,
    operation: Option<String>,
    about: Option<String>,
    since: Option<i64>,
    until: Option<i64>,
    limit: Option<usize>,
}

/// `GET /v1/history`.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    query: Result<Query<HistoryQuery>, QueryRejection>,
) -> Answer<History> {
    let Query(query) = query.map_err(|error| ApiError::new(ErrorCode::Invalid, error.body_text()))?;
    let HistoryQuery { before, who, operation, about, since, until, limit } = query;
    let most = limit.unwrap_or(HISTORY_LISTED);
    if !(1..=HISTORY_LISTED_MAX).contains(&most) {
        let message = format!("`{most}` changes cannot be listed at once; ask for 1 to {HISTORY_LISTED_MAX}");
        return Err(ApiError::new(ErrorCode::Invalid, message));
    }
    let world = app.committer.world();
    let newest = world.revision();
    let before = before.map_or(newest.next(), Revision).min(newest.next());
    let filter = Filter { who, operation, about, since: since.map(Timestamp), until: until.map(Timestamp) };
    let found = app.past.list(world, before, filter, most).await?;
    json(History { newest, entries: found.entries, next: found.next })
}

/// The world that a question is asked of: the newest, or that of a revision or of a second since 1970.
pub(super) async fn world_at(app: &App, at: Option<u64>, at_time: Option<i64>) -> Result<World, ApiError> {
    let at = match (at, at_time) {
        (None, None) => return Ok(app.committer.world()),
        (Some(revision), None) => At::Revision(Revision(revision)),
        (None, Some(at_s)) => At::Time(passed(at_s)?),
        (Some(_), Some(_)) => {
            let message = "`at` and `at_time` are both given; give one of them".to_owned();
            return Err(ApiError::new(ErrorCode::Invalid, message));
        }
    };
    Ok(app.past.world(app.committer.world().revision(), at).await?)
}

/// A moment, in seconds since 1970, that has come. What will be cannot be told.
pub(super) fn passed(at_s: i64) -> Result<Timestamp, ApiError> {
    let (moment, now) = (Timestamp(at_s), outside::now());
    if moment <= now {
        return Ok(moment);
    }
    let words =
        Some(to_seconds(moment)).filter(|words| !words.is_empty()).unwrap_or_else(|| format!("second {at_s}"));
    let message = format!("the moment {words} is not there yet; the server's clock says {}", to_seconds(now));
    Err(ApiError::new(ErrorCode::NotFound, message))
}

impl From<PastError> for ApiError {
    fn from(error: PastError) -> Self {
        let code = match &error {
            PastError::Busy => ErrorCode::Overloaded,
            PastError::Future(..) | PastError::Forgotten(_) => ErrorCode::NotFound,
            PastError::Store(_) | PastError::Thread(_) => ErrorCode::Internal,
        };
        Self::new(code, error.to_string())
    }
}
