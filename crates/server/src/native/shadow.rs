//! Candidates of groups: set, looked at, cleared, and made the rules of the group.

use std::sync::Arc;

use axum::extract::{Request, State};

use sekimori_analysis::shadow::{self, Report, ShadowError};
use sekimori_core::{
    command::{Command, ShadowCommand},
    feed::ShadowCount,
    ids::GroupId,
};

use super::{
    Answer, ApiError, Origin,
    change::{Manner, Told, carry_out, revise},
    groups::{Name, text_of},
    json, read,
};
use crate::{
    api::{ErrorCode, PromoteShadow, Revised, ShadowAnswer},
    app::App,
};

/// `PUT /v1/groups/{group}/shadow`.
pub(super) async fn set(
    State(app): State<Arc<App>>,
    name: Name,
    manner: Manner,
    request: Request,
) -> Answer<Told<ShadowAnswer>> {
    let (group, origin) = (GroupId::from(text_of(name)?), Origin::of(&request, "SetShadow"));
    let request: shadow::Request = read(request).await?;
    let world = app.committer.world();
    let plan = shadow::plan(&world, app.limits, &group, &request)?;
    if request.dry_run {
        return json(Told::planned(ShadowAnswer { plan, set: false, revision: world.revision() }));
    }
    let command = Command::Shadow(ShadowCommand::Set { group, rules: plan.rules.clone() });
    let made = carry_out(&app, &origin, manner, &world, vec![command]).await?;
    made.told(|_, world| ShadowAnswer { plan, set: true, revision: world.revision() })
}

/// `GET /v1/groups/{group}/shadow`.
pub(super) async fn show(State(app): State<Arc<App>>, name: Name) -> Answer<Report> {
    let group = GroupId::from(text_of(name)?);
    let hosts = app.hosts.all();
    let counts: Vec<ShadowCount> = hosts.iter().flat_map(|host| host.shadows()).cloned().collect();
    json(shadow::report(&app.committer.world(), &group, &counts)?)
}

/// `DELETE /v1/groups/{group}/shadow`.
pub(super) async fn clear(
    State(app): State<Arc<App>>,
    name: Name,
    manner: Manner,
    request: Request,
) -> Answer<Told<Revised>> {
    let (group, origin) = (GroupId::from(text_of(name)?), Origin::of(&request, "ClearShadow"));
    let command = Command::Shadow(ShadowCommand::Clear { group });
    revise(&app, &origin, manner, command).await
}

/// `POST /v1/groups/{group}/shadow/promote`.
pub(super) async fn promote(
    State(app): State<Arc<App>>,
    name: Name,
    manner: Manner,
    request: Request,
) -> Answer<Told<Revised>> {
    let (group, origin) = (GroupId::from(text_of(name)?), Origin::of(&request, "PromoteShadow"));
    let PromoteShadow { force } = read(request).await?;
    let command = Command::Shadow(ShadowCommand::Promote { group, is_forced: force });
    revise(&app, &origin, manner, command).await
}

impl From<ShadowError> for ApiError {
    fn from(error: ShadowError) -> Self {
        let code = match error {
            ShadowError::File(error) => return error.into(),
            ShadowError::Unknown(_) | ShadowError::Absent(_) | ShadowError::NoRule { .. } => ErrorCode::NotFound,
            ShadowError::TwoSources
            | ShadowError::OtherFlavor { .. }
            | ShadowError::Edits(_)
            | ShadowError::Rule(_)
            | ShadowError::Twice(_)
            | ShadowError::Description(_)
            | ShadowError::NotDescribed(_)
            | ShadowError::Row { .. } => ErrorCode::Invalid,
        };
        Self::new(code, error.to_string())
    }
}
