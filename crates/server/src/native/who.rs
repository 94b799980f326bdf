//! `GET /v1/who`: who reaches whom, computed from the newest world.

use std::sync::Arc;

use axum::extract::{Query, State, rejection::QueryRejection};
use serde::Deserialize;

use sekimori_analysis::who::{self, Question, Report};

use super::{Answer, apart, checks::unreadable, history::world_at, json};
use crate::app::App;

/// The parameters of `GET /v1/who`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WhoQuery {
    from: Option<String>,
    to: Option<String>,
    vpc: Option<String>,
    at: Option<u64>,
    at_time: Option<i64>,
}

/// `GET /v1/who?from=&to=&vpc=&at=&at_time=`.
pub(super) async fn who(
    State(app): State<Arc<App>>,
    query: Result<Query<WhoQuery>, QueryRejection>,
) -> Answer<Report> {
    let Query(WhoQuery { from, to, vpc, at, at_time }) = query.map_err(|error| unreadable(&error))?;
    let (world, question) = (world_at(&app, at, at_time).await?, Question { from, to, vpc });
    json(apart(&app, move || who::ask(&world, &question)).await??)
}

/// `GET /v1/who/all`.
pub(super) async fn all(State(app): State<Arc<App>>) -> Answer<who::Matrix> {
    let world = app.committer.world();
    json(apart(&app, move || who::all_pairs(&world)).await??)
}
