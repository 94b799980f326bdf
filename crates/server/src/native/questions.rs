//! Questions to the analysis, asked of the newest world.

use std::sync::Arc;

use axum::extract::{
    Path, Query, State,
    rejection::{PathRejection, QueryRejection},
};
use serde::Deserialize;

use sekimori_analysis::{effective, why};

use super::{Answer, ApiError, json};
use crate::{api::ErrorCode, app::App};

/// The parameters of `GET /v1/why`.
#[derive(Deserialize)]
pub(super) struct WhyQuery {
    from: String,
    to: String,
    service: String,
    vpc: Option<String>,
    source_port: Option<u16>,
}

/// `GET /v1/why?from=&to=&service=&vpc=&source_port=`.
pub(super) async fn why(
    State(app): State<Arc<App>>,
    query: Result<Query<WhyQuery>, QueryRejection>,
) -> Answer<why::Report> {
    let Query(WhyQuery { from, to, service, vpc, source_port }) = query.map_err(|error| {
        let message = format!("the question cannot be read: {}; give from, to and service", error.body_text());
        ApiError::new(ErrorCode::Invalid, message)
    })?;
    let question = why::Question { from, to, service, source_port, vpc };
    json(why::ask(&app.committer.world(), &question)?)
}

/// `GET /v1/policy/{eni-or-instance}`.
pub(super) async fn policy(
    State(app): State<Arc<App>>,
    name: Result<Path<String>, PathRejection>,
) -> Answer<effective::Report> {
    let Path(name) = name.map_err(|error| {
        let message = format!("the name cannot be read: {}; give an interface or instance", error.body_text());
        ApiError::new(ErrorCode::Invalid, message)
    })?;
    json(effective::show(&app.committer.world(), &name)?)
}
