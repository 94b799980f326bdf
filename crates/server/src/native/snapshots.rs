//! Snapshots of group rules: the policies that they are taken by, what each holds, and going back to one.

use std::sync::Arc;

use axum::extract::{Path, Query, Request, State, rejection::PathRejection, rejection::QueryRejection};
use serde::Deserialize;

use sekimori_analysis::snapshot::{self, Contents, Difference, Entry, Policy};
use sekimori_core::{
    command::{self, Command, Outcome, SnapshotPolicyEdit},
    ids::{AccountId, GroupId, SnapshotId, SnapshotPolicyId},
    world::World,
};

use super::{
    Answer, ApiError, Origin, accounts,
    change::{Manner, Told, carry_out},
    checks::unreadable,
    commit,
    groups::text_of,
    json, read, resource_groups,
};
use crate::{
    api::{
        AttachSnapshotPolicy, EditSnapshotPolicy, ErrorCode, NewSnapshotPolicy, RestoreAnswer, RestoreSnapshot,
        Revised,
    },
    app::App,
};

type Name = Result<Path<String>, PathRejection>;

/// The parameters of `GET /v1/snapshot-policies`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PoliciesQuery {
    account: Option<AccountId>,
}

/// `GET /v1/snapshot-policies?account=`.
pub(super) async fn policies(
    State(app): State<Arc<App>>,
    query: Result<Query<PoliciesQuery>, QueryRejection>,
) -> Answer<Vec<Policy>> {
    let Query(PoliciesQuery { account }) = query.map_err(|error| unreadable(&error))?;
    json(snapshot::policies(&app.committer.world(), account.as_ref()))
}

/// `POST /v1/snapshot-policies`.
pub(super) async fn create_policy(State(app): State<Arc<App>>, request: Request) -> Answer<Policy> {
    let origin = Origin::of(&request, "CreateSnapshotPolicy");
    let NewSnapshotPolicy { account, name, retention_days, enabled } = read(request).await?;
    accounts::check_name(&name)?;
    let account = account.map_or_else(|| resource_groups::only_account(&app.committer.world()), Ok)?;
    let new = command::NewSnapshotPolicy { account, name, is_enabled: enabled, retention: retention_days };
    let (outcome, world) = commit(&app, origin, Command::CreateSnapshotPolicy(new)).await?;
    let Outcome::SnapshotPolicy(id) = outcome else {
        return Err(ApiError::new(ErrorCode::Internal, "no snapshot policy came out of making one"));
    };
    policy_of(&world, &id)
}

/// `PUT /v1/snapshot-policies/{id}`.
pub(super) async fn edit_policy(State(app): State<Arc<App>>, name: Name, request: Request) -> Answer<Policy> {
    let (policy, origin) = (SnapshotPolicyId::from(text_of(name)?), Origin::of(&request, "EditSnapshotPolicy"));
    let EditSnapshotPolicy { name, retention_days, enabled } = read(request).await?;
    name.as_deref().map_or(Ok(()), accounts::check_name)?;
    let edit = SnapshotPolicyEdit { policy: policy.clone(), name, is_enabled: enabled, retention: retention_days };
    let (_, world) = commit(&app, origin, Command::EditSnapshotPolicy(edit)).await?;
    policy_of(&world, &policy)
}

/// `DELETE /v1/snapshot-policies/{id}`.
pub(super) async fn delete_policy(State(app): State<Arc<App>>, name: Name, request: Request) -> Answer<Revised> {
    let (policy, origin) = (SnapshotPolicyId::from(text_of(name)?), Origin::of(&request, "DeleteSnapshotPolicy"));
    let (_, world) = commit(&app, origin, Command::DeleteSnapshotPolicy { policy }).await?;
    json(Revised { revision: world.revision() })
}

/// `PUT /v1/snapshot-policies/{id}/groups`.
pub(super) async fn attach(State(app): State<Arc<App>>, name: Name, request: Request) -> Answer<Policy> {
    let (policy, origin) = (SnapshotPolicyId::from(text_of(name)?), Origin::of(&request, "AttachSnapshotPolicy"));
    let AttachSnapshotPolicy { groups, attached } = read(request).await?;
    let id = policy.clone();
    let command = if attached {
        Command::AttachSnapshotPolicy { policy, groups }
    } else {
        Command::DetachSnapshotPolicy { policy, groups }
    };
    let (_, world) = commit(&app, origin, command).await?;
    policy_of(&world, &id)
}

/// The parameters of `GET /v1/snapshots`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    group: Option<GroupId>,
}

/// `GET /v1/snapshots?group=`.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Answer<Vec<Entry>> {
    let Query(ListQuery { group }) = query.map_err(|error| unreadable(&error))?;
    let world = app.committer.world();
    if let Some(group) = group.as_ref().filter(|group| world.group(group).is_none()) {
        let message = format!("no security group `{group}`; list them with DescribeSecurityGroups");
        return Err(ApiError::new(ErrorCode::NotFound, message));
    }
    json(snapshot::list(&world, group.as_ref()))
}

/// `GET /v1/snapshots/{id}`.
pub(super) async fn show(State(app): State<Arc<App>>, name: Name) -> Answer<Contents> {
    json(snapshot::show(&app.committer.world(), &SnapshotId::from(text_of(name)?))?)
}

/// `GET /v1/snapshots/{id}/difference`.
pub(super) async fn difference(State(app): State<Arc<App>>, name: Name) -> Answer<Difference> {
    json(snapshot::difference(&app.committer.world(), app.limits, &SnapshotId::from(text_of(name)?))?)
}

/// `POST /v1/snapshots/{id}/restore`: what is told to change is what changes, or nothing does.
pub(super) async fn restore(
    State(app): State<Arc<App>>,
    name: Name,
    manner: Manner,
    request: Request,
) -> Answer<Told<RestoreAnswer>> {
    let (id, origin) = (SnapshotId::from(text_of(name)?), Origin::of(&request, "RestoreSnapshot"));
    let RestoreSnapshot { dry_run } = read(request).await?;
    let world = app.committer.world();
    let difference = snapshot::difference(&world, app.limits, &id)?;
    if dry_run {
        return json(Told::planned(RestoreAnswer { difference, restored: false, revision: world.revision() }));
    }
    let commands = vec![Command::RestoreSnapshot { snapshot: id }];
    let made = carry_out(&app, &origin, manner, &world, commands).await?;
    made.told(|_, world| RestoreAnswer { difference, restored: true, revision: world.revision() })
}

fn policy_of(world: &World, id: &SnapshotPolicyId) -> Answer<Policy> {
    let gone = || {
        ApiError::new(
            ErrorCode::NotFound,
            format!("no snapshot policy `{id}`; list them with `sekimori group snapshot policy list`"),
        )
    };
    json(snapshot::policy(world, world.snapshots().policy(id).ok_or_else(gone)?))
}
