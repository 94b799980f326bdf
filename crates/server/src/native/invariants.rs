//! Invariants: set, listed as they were judged when something last touched them, looked at now, and removed.

use std::sync::Arc;

use axum::extract::{Request, State};

use sekimori_analysis::invariant::{self, Judged, Report};
use sekimori_core::{
    command::{Command, InvariantCommand, TrialCommand},
    invariant::Written,
    trial::Trial,
};

use super::{
    Answer, ApiError, Origin, apart,
    groups::{Name, text_of},
    json, read,
};
use crate::{
    api::{ErrorCode, InvariantAnswer, Revised, SetInvariant},
    app::App,
    commit,
};

/// `GET /v1/invariants`.
pub(super) async fn list(State(app): State<Arc<App>>) -> Answer<Report> {
    let world = app.committer.world();
    let invariants = world.invariants().iter().map(|invariant| Judged::known(&world, invariant)).collect();
    json(Report { invariants, revision: world.revision() })
}

/// `POST /v1/invariants/check`.
pub(super) async fn check(State(app): State<Arc<App>>) -> Answer<Report> {
    let world = app.committer.world();
    json(apart(&app, move || invariant::check(&world)).await?)
}

/// `PUT /v1/invariants/{name}`.
pub(super) async fn set(State(app): State<Arc<App>>, name: Name, request: Request) -> Answer<InvariantAnswer> {
    let (name, origin) = (text_of(name)?, Origin::of(&request, "SetInvariant"));
    let SetInvariant { statement, mode } = read(request).await?;
    let statement = statement.parse::<Written>()?.read(&app.committer.world())?;
    let command = Command::Invariant(InvariantCommand::Set { name: name.clone(), statement, mode });
    let (_, world) = super::commit(&app, origin, command).await?;
    let gone = || ApiError::new(ErrorCode::Internal, format!("invariant `{name}` was set and is not there"));
    let invariant =
        world.invariants().get(&name).map(|invariant| Judged::known(&world, invariant)).ok_or_else(gone)?;
    let forbids = forbidden_rollbacks(&app).await?;
    json(InvariantAnswer { invariant, forbids, revision: world.revision() })
}

/// The changes on trial whose rollback would be refused as things are, with the reason.
async fn forbidden_rollbacks(app: &Arc<App>) -> Result<Vec<String>, ApiError> {
    let state = app.committer.state();
    if state.world().trials().is_empty() {
        return Ok(Vec::new());
    }
    let kept = Arc::clone(app);
    let forbidden = move |trial: &Arc<Trial>| {
        let command = Command::Trial(TrialCommand::RollBack { id: trial.id.clone() });
        let refused = commit::tried(&kept.hosts, kept.limits, &state, &command).err()?;
        Some(format!("`{}`: {refused}", trial.id))
    };
    let trials: Vec<Arc<Trial>> = app.committer.world().trials().iter().cloned().collect();
    apart(app, move || trials.iter().filter_map(forbidden).collect()).await
}

/// `DELETE /v1/invariants/{name}`.
pub(super) async fn remove(State(app): State<Arc<App>>, name: Name, request: Request) -> Answer<Revised> {
    let (name, origin) = (text_of(name)?, Origin::of(&request, "RemoveInvariant"));
    let (_, world) = super::commit(&app, origin, Command::Invariant(InvariantCommand::Remove { name })).await?;
    json(Revised { revision: world.revision() })
}
