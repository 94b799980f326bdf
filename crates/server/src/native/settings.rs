//! What the operator sets for everyone: the bypass set, platform policies and the treatment of live flows.

use std::sync::Arc;

use axum::extract::{Request, State};

use sekimori_core::{
    bypass::BypassSet,
    command::{Command, TreatmentOf},
    platform::PlatformPolicy,
    world::World,
};

use super::{
    Answer, ApiError, Origin,
    change::{Manner, Told, change, revise},
    json, read,
};
use crate::{
    api::{Bypass, ErrorCode, Platform, Policy, Revised, SetBypass, SetPlatform, SetTreatment},
    app::App,
};

/// `PUT /v1/treatment`.
pub(super) async fn set_treatment(
    State(app): State<Arc<App>>,
    manner: Manner,
    request: Request,
) -> Answer<Told<Revised>> {
    let origin = Origin::of(&request, "SetTreatment");
    let of = match read::<SetTreatment>(request).await? {
        SetTreatment { account: Some(account), eni: None, treatment } => (TreatmentOf::Account(account), treatment),
        SetTreatment { account: None, eni: Some(eni), treatment } => (TreatmentOf::Eni(eni), treatment),
        SetTreatment { account: Some(_), eni: Some(_), .. } | SetTreatment { account: None, eni: None, .. } => {
            return Err(ApiError::new(
                ErrorCode::Invalid,
                "whose treatment is not clear; give account or eni, one of them",
            ));
        }
    };
    let (of, treatment) = of;
    let command = Command::SetTreatment { of, treatment };
    revise(&app, &origin, manner, command).await
}

/// `GET /v1/platform`.
pub(super) async fn platform(State(app): State<Arc<App>>) -> Answer<Platform> {
    json(policies(&app.committer.world()))
}

/// `PUT /v1/platform`.
pub(super) async fn set_platform(
    State(app): State<Arc<App>>,
    manner: Manner,
    request: Request,
) -> Answer<Told<Platform>> {
    let origin = Origin::of(&request, "SetPlatform");
    let SetPlatform { policy, on } = read(request).await?;
    change(&app, &origin, manner, Command::SetPlatform { policy, is_on: on }).await?.told(|_, world| policies(world))
}

fn policies(world: &World) -> Platform {
    let policy = |policy: PlatformPolicy| Policy {
        policy,
        on: world.platform().has(policy),
        purpose: policy.purpose().to_owned(),
    };
    Platform { policies: PlatformPolicy::ALL.map(policy).to_vec(), revision: world.revision() }
}

/// `GET /v1/bypass`.
pub(super) async fn bypass(State(app): State<Arc<App>>) -> Answer<Bypass> {
    json(entries(&app.committer.world()))
}

fn entries(world: &World) -> Bypass {
    Bypass { entries: world.bypass().entries().to_vec() }
}

/// `PUT /v1/bypass`.
pub(super) async fn set_bypass(
    State(app): State<Arc<App>>,
    manner: Manner,
    request: Request,
) -> Answer<Told<Bypass>> {
    let origin = Origin::of(&request, "SetBypass");
    let SetBypass { items } = read(request).await?;
    let bypass = BypassSet::from_items(items.iter().map(String::as_str));
    let bypass = bypass.map_err(|message| ApiError::new(ErrorCode::Invalid, message))?;
    change(&app, &origin, manner, Command::SetBypass { bypass }).await?.told(|_, world| entries(world))
}
