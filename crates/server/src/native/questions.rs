//! Questions to the analysis, asked of the newest world.

use std::sync::Arc;

use axum::extract::{
    Path, Query, State,
    rejection::{PathRejection, QueryRejection},
};
use serde::Deserialize;

use sekimori_analysis::{effective, nft};
use sekimori_core::ids::EniId;

use super::{Answer, ApiError, history::world_at, json};
use crate::{api::ErrorCode, app::App};

/// When a question is asked about.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AtQuery {
    at: Option<u64>,
    at_time: Option<i64>,
}

/// `GET /v1/policy/{eni-or-instance}?at=&at_time=`.
pub(super) async fn policy(
    State(app): State<Arc<App>>,
    name: Result<Path<String>, PathRejection>,
    query: Result<Query<AtQuery>, QueryRejection>,
) -> Answer<effective::Report> {
    let Query(AtQuery { at, at_time }) =
        query.map_err(|error| ApiError::new(ErrorCode::Invalid, error.body_text()))?;
    let Path(name) = name.map_err(|error| {
        let message = format!("the name cannot be read: {}; give an interface or instance", error.body_text());
        ApiError::new(ErrorCode::Invalid, message)
    })?;
    json(effective::show(&world_at(&app, at, at_time).await?, &name)?)
}

/// The parameters of `GET /v1/nft/ID`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NftQuery {
    #[serde(default)]
    forwarded: bool,
    devices: Option<String>,
}

/// `GET /v1/nft/{eni-instance-or-host}?devices=ENI=DEVICE,ENI=DEVICE`.
pub(super) async fn nft(
    State(app): State<Arc<App>>,
    name: Result<Path<String>, PathRejection>,
    query: Result<Query<NftQuery>, QueryRejection>,
) -> Answer<nft::Report> {
    let invalid = |message: String| ApiError::new(ErrorCode::Invalid, message);
    let Path(target) = name.map_err(|error| invalid(format!("the name cannot be read: {}", error.body_text())))?;
    let Query(NftQuery { forwarded, devices }) = query.map_err(|error| invalid(error.body_text()))?;
    let pairs = devices.as_deref().unwrap_or_default().split(',').filter(|pair| !pair.is_empty());
    let pair = |pair: &str| {
        let (eni, device) = pair.split_once('=')?;
        Some((EniId::from(eni), device.to_owned()))
    };
    let devices = pairs
        .map(|text| pair(text).ok_or_else(|| invalid(format!("`{text}` is not a device; write ENI=DEVICE"))))
        .collect::<Result<_, _>>()?;
    json(nft::export(&app.committer.world(), &nft::Question { target, is_forwarded: forwarded, devices })?)
}
