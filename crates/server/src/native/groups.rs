//! What the operator orders about groups, interfaces and VPCs of any account: protection, management, removal, sharing.

use std::sync::Arc;

use axum::extract::{
    Path, Query, Request, State,
    rejection::{PathRejection, QueryRejection},
};
use serde::Deserialize;

use sekimori_core::{
    command::{Command, Outcome},
    ids::{EniId, GroupId, VpcId},
};

use super::{Answer, ApiError, Origin, commit, json, read};
use crate::{
    api::{ErrorCode, RemovedGroup, RemovedRule, Revised, SetManager, SetProtection, SetSharing},
    app::App,
};

/// The parameters of `DELETE /v1/groups/{group}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RemoveQuery {
    #[serde(default)]
    force: bool,
}

pub(super) type Name = Result<Path<String>, PathRejection>;

/// `PUT /v1/groups/{group}/protection`.
pub(super) async fn set_protection(State(app): State<Arc<App>>, name: Name, request: Request) -> Answer<Revised> {
    let (group, origin) = (group_of(name)?, Origin::of(&request, "ProtectGroup"));
    let SetProtection { is_protected } = read(request).await?;
    let (_, world) = commit(&app, origin, Command::ProtectGroup { group, is_protected }).await?;
    json(Revised { revision: world.revision() })
}

/// `PUT /v1/groups/{group}/manager`.
pub(super) async fn set_manager(State(app): State<Arc<App>>, name: Name, request: Request) -> Answer<Revised> {
    let (group, origin) = (group_of(name)?, Origin::of(&request, "ManageGroup"));
    let SetManager { managed_by } = read(request).await?;
    let (_, world) = commit(&app, origin, Command::ManageGroup { group, managed_by }).await?;
    json(Revised { revision: world.revision() })
}

/// `PUT /v1/interfaces/{eni}/manager`.
pub(super) async fn set_eni_manager(State(app): State<Arc<App>>, name: Name, request: Request) -> Answer<Revised> {
    let (eni, origin) = (EniId::from(text_of(name)?), Origin::of(&request, "ManageEni"));
    let SetManager { managed_by } = read(request).await?;
    let (_, world) = commit(&app, origin, Command::ManageEni { eni, managed_by }).await?;
    json(Revised { revision: world.revision() })
}

/// `DELETE /v1/groups/{group}?force=`.
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    name: Name,
    query: Result<Query<RemoveQuery>, QueryRejection>,
    request: Request,
) -> Answer<RemovedGroup> {
    let (group, origin) = (group_of(name)?, Origin::of(&request, "RemoveGroup"));
    let Query(RemoveQuery { force }) = query.map_err(|error| {
        let message = format!("the request cannot be read: {}; force is true or false", error.body_text());
        ApiError::new(ErrorCode::Invalid, message)
    })?;
    let (outcome, world) = commit(&app, origin, Command::RemoveGroup { group: group.clone(), force }).await?;
    let Outcome::Removed { rules, enis } = outcome else {
        return Err(ApiError::new(ErrorCode::Internal, "nothing was told about the removal of a group"));
    };
    let rules = rules.into_iter().map(|(group, rule)| RemovedRule { group, rule }).collect();
    json(RemovedGroup { group, rules, enis, revision: world.revision() })
}

/// `PUT /v1/vpcs/{vpc}/sharing`.
pub(super) async fn set_sharing(State(app): State<Arc<App>>, name: Name, request: Request) -> Answer<Revised> {
    let (vpc, origin) = (VpcId::from(text_of(name)?), Origin::of(&request, "ShareVpc"));
    let SetSharing { account, is_shared } = read(request).await?;
    let (_, world) = commit(&app, origin, Command::ShareVpc { vpc, with: account, is_shared }).await?;
    json(Revised { revision: world.revision() })
}

fn group_of(name: Name) -> Result<GroupId, ApiError> {
    text_of(name).map(GroupId::from)
}

pub(super) fn text_of(name: Name) -> Result<String, ApiError> {
    let Path(name) = name.map_err(|error| {
        ApiError::new(ErrorCode::Invalid, format!("the name cannot be read: {}; give an id", error.body_text()))
    })?;
    Ok(name)
}
