//! What the operator orders about groups, interfaces and VPCs of any account: protection, management, removal, sharing.

use std::sync::Arc;

use axum::extract::{Path, Request, State, rejection::PathRejection};

use sekimori_core::{
    command::{Command, Outcome},
    ids::{EniId, GroupId, VpcId},
};

use super::{
    Answer, ApiError, Origin,
    change::{Manner, Told, change, revise},
    read,
};
use crate::{
    api::{ErrorCode, RemovedGroup, RemovedRule, Revised, SetManager, SetProtection, SetSharing},
    app::App,
};

pub(super) type Name = Result<Path<String>, PathRejection>;

/// `PUT /v1/groups/{group}/protection`.
pub(super) async fn set_protection(
    State(app): State<Arc<App>>,
    name: Name,
    manner: Manner,
    request: Request,
) -> Answer<Told<Revised>> {
    let (group, origin) = (group_of(name)?, Origin::of(&request, "ProtectGroup"));
    let SetProtection { is_protected } = read(request).await?;
    let command = Command::ProtectGroup { group, is_protected };
    revise(&app, &origin, manner, command).await
}

/// `PUT /v1/groups/{group}/manager`.
pub(super) async fn set_manager(
    State(app): State<Arc<App>>,
    name: Name,
    manner: Manner,
    request: Request,
) -> Answer<Told<Revised>> {
    let (group, origin) = (group_of(name)?, Origin::of(&request, "ManageGroup"));
    let SetManager { managed_by } = read(request).await?;
    let command = Command::ManageGroup { group, managed_by };
    revise(&app, &origin, manner, command).await
}

/// `PUT /v1/interfaces/{eni}/manager`.
pub(super) async fn set_eni_manager(
    State(app): State<Arc<App>>,
    name: Name,
    manner: Manner,
    request: Request,
) -> Answer<Told<Revised>> {
    let (eni, origin) = (EniId::from(text_of(name)?), Origin::of(&request, "ManageEni"));
    let SetManager { managed_by } = read(request).await?;
    let command = Command::ManageEni { eni, managed_by };
    revise(&app, &origin, manner, command).await
}

/// `DELETE /v1/groups/{group}?force=&confirm_within_s=&dry_run=`. Forced, it also takes away first what uses the group.
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    name: Name,
    manner: Manner,
    request: Request,
) -> Answer<Told<RemovedGroup>> {
    let (group, origin) = (group_of(name)?, Origin::of(&request, "RemoveGroup"));
    let command = Command::RemoveGroup { group: group.clone(), force: manner.force };
    change(&app, &origin, manner, command).await?.told(|outcome, world| {
        let (rules, enis) =
            if let Outcome::Removed { rules, enis } = outcome { (rules, enis) } else { Default::default() };
        let rules = rules.into_iter().map(|(group, rule)| RemovedRule { group, rule }).collect();
        RemovedGroup { group, rules, enis, revision: world.revision() }
    })
}

/// `PUT /v1/vpcs/{vpc}/sharing`.
pub(super) async fn set_sharing(
    State(app): State<Arc<App>>,
    name: Name,
    manner: Manner,
    request: Request,
) -> Answer<Told<Revised>> {
    let (vpc, origin) = (VpcId::from(text_of(name)?), Origin::of(&request, "ShareVpc"));
    let SetSharing { account, is_shared } = read(request).await?;
    let command = Command::ShareVpc { vpc, with: account, is_shared };
    revise(&app, &origin, manner, command).await
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
