//! `GET /v1/flows/live`: the flows that the kernels of the hosts hold now.

use std::{collections::BTreeSet, sync::Arc};

use axum::extract::{Query, State, rejection::QueryRejection};
use serde::Deserialize;

use sekimori_core::{
    ids::{EniId, HostId, InstanceId},
    live_flow::{FlowMatch, LiveFlow},
    world::World,
};

use super::{
    Answer, ApiError,
    flows::{FLOWS_LISTED, FLOWS_LISTED_MAX, block, number},
    json,
};
use crate::{
    api::{ErrorCode, LiveFlowList, LiveSight},
    app::App,
    live::{self, Heard},
};

/// The parameters of `GET /v1/flows/live`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LiveQuery {
    eni: Option<EniId>,
    instance: Option<InstanceId>,
    peer: Option<String>,
    port: Option<u16>,
    protocol: Option<String>,
    limit: Option<usize>,
}

/// `GET /v1/flows/live?eni=&instance=&peer=&port=&protocol=&limit=`.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    query: Result<Query<LiveQuery>, QueryRejection>,
) -> Answer<LiveFlowList> {
    let Query(LiveQuery { eni, instance, peer, port, protocol, limit }) =
        query.map_err(|error| ApiError::new(ErrorCode::Invalid, error.body_text()))?;
    let most = limit.unwrap_or(FLOWS_LISTED);
    if most > FLOWS_LISTED_MAX {
        let message = format!("`{most}` flows are too many; ask for at most {FLOWS_LISTED_MAX}");
        return Err(ApiError::new(ErrorCode::Invalid, message));
    }
    let world = app.committer.world();
    let enis = interfaces(&world, eni.as_ref(), instance.as_ref())?;
    let wanted = FlowMatch {
        peer: peer.map(block).transpose()?,
        protocol: protocol.map(|text| number(&text)).transpose()?,
        port,
        ..FlowMatch::default()
    };
    let bound = u32::try_from(most).unwrap_or(u32::MAX);
    let questions = match &enis {
        Some(enis) => live::of_interfaces(&app.hosts, &world, enis, &[wanted], bound),
        None => live::of_all(&app.hosts, &world, &wanted, bound),
    };
    if questions.is_empty() {
        let message = "no host has what was asked for, so there are no live flows; `sekimori status` lists the hosts";
        return Err(ApiError::new(ErrorCode::NotFound, message));
    }
    let Heard { mut flows, hosts } = live::ask(&app.hosts, questions).await;
    let surplus = flows.len().saturating_sub(most) as u64;
    flows.truncate(most);
    let untold = hosts.iter().fold(surplus, |sum, host| sum.saturating_add(host.untold));
    // What was changed while the hosts were asked counts already.
    let world = app.committer.world();
    let flows = flows.into_iter().map(|(host, flow)| sight(&world, host, flow)).collect();
    json(LiveFlowList { flows, untold, hosts })
}

/// The interfaces that are named; `None` when all are meant.
fn interfaces(
    world: &World,
    eni: Option<&EniId>,
    instance: Option<&InstanceId>,
) -> Result<Option<BTreeSet<EniId>>, ApiError> {
    if let Some(id) = instance.filter(|id| world.instance(id).is_none()) {
        return Err(no_instance(id));
    }
    if let Some(id) = eni.filter(|id| world.eni(id).is_none()) {
        return Err(no_interface(id));
    }
    if eni.is_none() && instance.is_none() {
        return Ok(None);
    }
    let all = world.enis().filter(|one| eni.is_none_or(|id| one.id == *id));
    let all = all.filter(|one| instance.is_none_or(|id| one.instance.as_ref() == Some(id)));
    Ok(Some(all.map(|one| one.id.clone()).collect()))
}

/// Nothing has this name.
pub(super) fn no_instance(id: &InstanceId) -> ApiError {
    ApiError::new(ErrorCode::NotFound, format!("no instance `{id}`; list them with DescribeInstances"))
}

/// Nothing has this name.
pub(super) fn no_interface(id: &EniId) -> ApiError {
    ApiError::new(
        ErrorCode::NotFound,
        format!("no network interface `{id}`; list them with DescribeNetworkInterfaces"),
    )
}

/// A flow with what the world knows about its ends.
pub(super) fn sight(world: &World, host: HostId, flow: LiveFlow) -> LiveSight {
    let eni = world.eni(&flow.eni);
    let peer = eni.and_then(|eni| world.eni_seen_from(&eni.vpc, flow.first.peer));
    LiveSight {
        host,
        instance: eni.and_then(|eni| eni.instance.clone()),
        peer_instance: peer.and_then(|peer| peer.instance.clone()),
        is_ending: !flow.goes_on(world),
        flow,
    }
}
