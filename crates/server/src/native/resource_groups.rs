//! Resource groups: what Alibaba Cloud's Resource Manager keeps, and ECS only names.

use std::sync::Arc;

use axum::extract::{Request, State};

use sekimori_core::{
    command::{Command, Outcome},
    ids::AccountId,
    world::World,
};

use super::{
    Answer, ApiError, Origin, accounts, commit,
    groups::{Name, text_of},
    json, read,
};
use crate::{
    api::{ErrorCode, NewResourceGroup, ResourceGroup, Revised},
    app::App,
};

/// `GET /v1/resource-groups`.
pub(super) async fn list(State(app): State<Arc<App>>) -> Answer<Vec<ResourceGroup>> {
    let world = app.committer.world();
    let of_account = |account: &Arc<sekimori_core::world::Account>| {
        let groups = account.resource_groups.iter();
        let group = |(id, name): (&String, &String)| ResourceGroup {
            account: account.id.clone(),
            id: id.clone(),
            name: name.clone(),
        };
        groups.map(group).collect::<Vec<_>>()
    };
    json(world.accounts().flat_map(of_account).collect())
}

/// `POST /v1/resource-groups`.
pub(super) async fn create(State(app): State<Arc<App>>, request: Request) -> Answer<ResourceGroup> {
    let origin = Origin::of(&request, "CreateResourceGroup");
    let NewResourceGroup { account, name } = read(request).await?;
    accounts::check_name(&name)?;
    let account = account.map_or_else(|| only_account(&app.committer.world()), Ok)?;
    let command = Command::CreateResourceGroup { account: account.clone(), name: name.clone() };
    let (Outcome::ResourceGroup(id), _) = commit(&app, origin, command).await? else {
        return Err(ApiError::new(ErrorCode::Internal, "no resource group came out of making one"));
    };
    json(ResourceGroup { account, id, name })
}

/// `DELETE /v1/resource-groups/{id}`.
pub(super) async fn remove(State(app): State<Arc<App>>, name: Name, request: Request) -> Answer<Revised> {
    let (resource_group, origin) = (text_of(name)?, Origin::of(&request, "DeleteResourceGroup"));
    let account = owner(&app.committer.world(), &resource_group)?;
    let (_, world) = commit(&app, origin, Command::DeleteResourceGroup { account, resource_group }).await?;
    json(Revised { revision: world.revision() })
}

/// The account that has a resource group.
fn owner(world: &World, id: &str) -> Result<AccountId, ApiError> {
    let owner = world.accounts().find(|account| account.resource_groups.contains_key(id));
    owner.map(|account| account.id.clone()).ok_or_else(|| {
        let message = format!("no resource group `{id}` that can be deleted; `resource-group list` shows them");
        ApiError::new(ErrorCode::NotFound, message)
    })
}

/// The account that is meant when none is named.
pub(super) fn only_account(world: &World) -> Result<AccountId, ApiError> {
    let mut accounts = world.accounts().map(|account| account.id.clone());
    match (accounts.next(), accounts.next()) {
        (Some(only), None) => Ok(only),
        _ => Err(ApiError::new(ErrorCode::Invalid, "which account is not clear; name it, `account list` shows them")),
    }
}
