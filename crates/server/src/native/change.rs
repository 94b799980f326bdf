//! How a change of the native API is made, whichever it is: rehearsed only, on trial, or at once.
//!
//! Before anything is changed it is tried on a copy, and refused when it would cut a connection over which the server is managed, unless it
//! is on trial or forced. What is planned in one world is changed in no other.

use std::collections::BTreeSet;

use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
};
use serde::{Deserialize, Serialize};

use sekimori_analysis::{
    diff,
    lockout::{Connection, CutFlow, cut_flows, cuts},
};
use sekimori_core::{
    apply::State as Judged,
    command::{Command, Outcome, TrialCommand},
    live_flow::FlowMatch,
    refusal::Refusal,
    trial::TRIAL_WITHIN_S_MAX,
    world::{Revision, World},
};

use super::{Answer, ApiError, Origin, actor, checks::unreadable, diff::rehearsal, json, trials::told};
use crate::{
    api::{Aftermath, Changed, DiffAnswer, ErrorCode, Revised},
    app::App,
    commit::{self, CommitError},
    live::{self, Heard},
    outside,
};

/// Live flows of each host that are looked at for what a change cuts.
const CHANGE_FLOWS_MAX: u32 = 1_024;
/// How often a change is looked at again because another one came between.
const CHANGE_TRIES_MAX: usize = 4;

/// How a change is to be made: the parameters that each has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manner {
    /// Undoes it unless it is confirmed within so many seconds.
    pub(super) confirm_within_s: Option<u32>,
    /// Makes it even if it cuts a connection to the server.
    #[serde(default)]
    pub(super) force: bool,
    /// Changes nothing, and tells what it would change.
    #[serde(default)]
    pub(super) dry_run: bool,
}

impl Manner {
    /// The same, if it makes sense.
    pub(super) fn checked(self) -> Result<Self, ApiError> {
        match self.confirm_within_s {
            Some(seconds) if !(1..=TRIAL_WITHIN_S_MAX).contains(&seconds) => {
                let message =
                    format!("{seconds} s is no time to confirm something in; give 1 to {TRIAL_WITHIN_S_MAX} s");
                Err(ApiError::new(ErrorCode::Invalid, message))
            }
            Some(_) | None => Ok(self),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Manner {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::<Self>::from_request_parts(parts, state).await;
        let Query(manner) = query.map_err(|error| unreadable(&error))?;
        manner.checked()
    }
}

/// What is to be changed.
pub(super) struct Wish {
    /// The commands, which are one change.
    pub(super) commands: Vec<Command>,
    /// What was asked for, by name.
    pub(super) operations: Vec<String>,
    /// Whether the commands were made for one world, and hold in no other.
    pub(super) is_planned: bool,
}

/// A change that was made, or only rehearsed.
pub(super) enum Made {
    /// Nothing has changed.
    Rehearsed(Box<DiffAnswer>),
    /// It is in the store.
    Done(Box<Done>),
}

/// A change that was made.
pub(super) struct Done {
    /// What came of it.
    pub(super) outcome: Outcome,
    /// The world right after it.
    pub(super) world: World,
    /// What becomes of it.
    pub(super) aftermath: Aftermath,
}

/// The answer of a change: its own, or what it would change.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Told<T> {
    /// It is made, or its own plan is all that was asked for.
    Changed(Box<Changed<T>>),
    /// It is not made.
    Rehearsed(Box<DiffAnswer>),
}

impl<T> Told<T> {
    /// A plan that was only to be shown, or that changes nothing.
    pub(super) fn planned(answer: T) -> Self {
        Self::Changed(Box::new(Changed { answer, aftermath: Aftermath::default() }))
    }
}

impl Made {
    /// The answer, in the words of the change.
    pub(super) fn told<T: Serialize>(self, tell: impl FnOnce(Outcome, &World) -> T) -> Answer<Told<T>> {
        json(match self {
            Self::Rehearsed(answer) => Told::Rehearsed(answer),
            Self::Done(done) => {
                let Done { outcome, world, aftermath } = *done;
                Told::Changed(Box::new(Changed { answer: tell(outcome, &world), aftermath }))
            }
        })
    }
}

/// Why a change was not made.
pub(super) enum Unmade {
    /// The writer, or the trial on a copy, says no.
    Refused(CommitError),
    /// It cuts what it should not, or nothing can be told about it.
    Error(ApiError),
}

impl From<CommitError> for Unmade {
    fn from(error: CommitError) -> Self {
        Self::Refused(error)
    }
}

impl From<ApiError> for Unmade {
    fn from(error: ApiError) -> Self {
        Self::Error(error)
    }
}

impl From<Unmade> for ApiError {
    fn from(unmade: Unmade) -> Self {
        match unmade {
            Unmade::Refused(error) => error.into(),
            Unmade::Error(error) => error,
        }
    }
}

impl Unmade {
    /// Whether the world has changed since it was looked at.
    fn is_outdated(&self) -> bool {
        matches!(self, Self::Refused(CommitError::Refused(Refusal::Outdated { .. })))
    }
}

/// Makes the change that one command is.
pub(super) async fn change(app: &App, origin: &Origin, manner: Manner, command: Command) -> Result<Made, ApiError> {
    let operations = vec![origin.operation.to_owned()];
    let wish = Wish { commands: vec![command], operations, is_planned: false };
    let mut tries = Tries::default();
    loop {
        match once(app, &app.committer.state(), (origin, manner), &wish).await {
            Ok(made) => return Ok(made),
            Err(unmade) => tries.again(unmade)?,
        }
    }
}

/// Makes the change that one command is, of which nothing is told but the revision.
pub(super) async fn revise(app: &App, origin: &Origin, manner: Manner, command: Command) -> Answer<Told<Revised>> {
    change(app, origin, manner, command).await?.told(|_, world| Revised { revision: world.revision() })
}

/// Makes a change that was planned in a world, if that is still the newest.
pub(super) async fn carry_out(
    app: &App,
    origin: &Origin,
    manner: Manner,
    world: &World,
    commands: Vec<Command>,
) -> Result<Made, ApiError> {
    let state = app.committer.state();
    let (expected, found) = (world.revision(), state.world().revision());
    if expected != found {
        return Err(CommitError::from(Refusal::Outdated { expected, found }).into());
    }
    let wish = Wish { commands, operations: vec![origin.operation.to_owned()], is_planned: true };
    Ok(once(app, &state, (origin, manner), &wish).await?)
}

/// That what was planned in a world is not refused there, by the writer or by an invariant: a plan that is only shown promises nothing else.
pub(super) fn check_plan(app: &App, world: &World, commands: Vec<Command>) -> Result<(), ApiError> {
    let together = Command::Together { at: None, commands };
    commit::tried(&app.hosts, app.limits, &Judged::new(world.clone()), &together)?;
    Ok(())
}

/// How often a change has been tried.
#[derive(Default)]
pub(super) struct Tries(usize);

impl Tries {
    /// That it is to be tried again in the newest state, because another change came between.
    pub(super) fn again(&mut self, unmade: Unmade) -> Result<(), ApiError> {
        self.0 += 1;
        match unmade.is_outdated() {
            false => Err(unmade.into()),
            true if self.0 < CHANGE_TRIES_MAX => Ok(()),
            true => {
                let message = "other changes came between every time; try again in a moment";
                Err(ApiError::new(ErrorCode::Overloaded, message))
            }
        }
    }
}

/// Makes a change in a state, if that is still the newest where it matters.
pub(super) async fn once(
    app: &App,
    state: &Judged,
    (origin, manner): (&Origin, Manner),
    wish: &Wish,
) -> Result<Made, Unmade> {
    let connections = managing(app, origin);
    let is_looked_at = !connections.is_empty();
    // What cuts nothing wherever it is made needs no world to be made in.
    let at = (wish.is_planned || is_looked_at).then(|| state.world().revision());
    let command = command(wish, at, manner.confirm_within_s);
    if manner.dry_run {
        return Ok(Made::Rehearsed(Box::new(rehearsal(app, state, &command, &wish.operations).await?)));
    }
    let mut aftermath = Aftermath::default();
    if is_looked_at {
        let tried = commit::tried(&app.hosts, app.limits, state, &command)?;
        aftermath = lockout(app, (state.world(), tried.state.world()), &connections).await;
        check_cuts(&aftermath, manner)?;
    }
    aftermath.stuck = app.stuck.words();
    let (outcome, world) = app.committer.commit(actor(origin.clone()).map_err(ApiError::from)?, command).await?;
    let Outcome::Trial(id, outcome) = outcome else {
        return Ok(Made::Done(Box::new(Done { outcome, world, aftermath })));
    };
    aftermath.trial = id.and_then(|id| world.trials().get(&id).map(|trial| told(trial)));
    Ok(Made::Done(Box::new(Done { outcome: *outcome, world, aftermath })))
}

fn command(wish: &Wish, at: Option<Revision>, confirm_within_s: Option<u32>) -> Command {
    let Wish { commands, operations, .. } = wish;
    let together = Command::Together { at, commands: commands.clone() };
    match confirm_within_s {
        Some(within_s) => {
            let (command, operations) = (Box::new(together), operations.clone());
            Command::Trial(TrialCommand::Begin { command, operations, within_s })
        }
        None => together,
    }
}

/// The connections over which the server is managed, this one among them; not those within the host, which pass no interface.
fn managing(app: &App, origin: &Origin) -> Vec<Connection> {
    let mut connections = app.callers.recent(outside::now());
    connections.extend(origin.connection);
    let is_within =
        |one: &Connection| [one.client, one.server].iter().all(|end| end.ip().to_canonical().is_loopback());
    connections.retain(|one| !is_within(one));
    connections
}

fn check_cuts(aftermath: &Aftermath, manner: Manner) -> Result<(), ApiError> {
    let Some(first) = aftermath.warnings.first().filter(|_| manner.confirm_within_s.is_none() && !manner.force)
    else {
        return Ok(());
    };
    let message = format!(
        "{first}; give a time to confirm it in, so that it rolls back by itself (`--confirm-within 60s`), or force it (`--force`)"
    );
    Err(ApiError::new(ErrorCode::Refused, message))
}

/// What a change cuts of what the server is managed over.
async fn lockout(app: &App, (before, after): (&World, &World), connections: &[Connection]) -> Aftermath {
    let cuts = cuts(before, after, connections);
    let (flows, unknown) = cut_live(app, (before, after), connections).await;
    let warnings = cuts.iter().map(ToString::to_string).chain(flows.iter().map(ToString::to_string)).collect();
    Aftermath { trial: None, cuts, flows, unknown, warnings, stuck: Vec::new() }
}

/// The live flows between an interface and whoever manages that a change cuts, and what is not known of them, in words. What is told as a
/// connection to the server already is left out.
async fn cut_live(
    app: &App,
    (before, after): (&World, &World),
    connections: &[Connection],
) -> (Vec<CutFlow>, Vec<String>) {
    let clients: BTreeSet<_> = connections.iter().map(|one| one.client.ip().to_canonical()).collect();
    let clients = clients.into_iter().filter(|address| !address.is_loopback());
    let by_peer: Vec<FlowMatch> =
        clients.map(|address| FlowMatch { peer: address.to_string().parse().ok(), ..FlowMatch::default() }).collect();
    if by_peer.is_empty() {
        return Default::default();
    }
    let touched = diff::touched(before, after);
    let questions = live::of_interfaces(&app.hosts, before, &touched, &by_peer, CHANGE_FLOWS_MAX);
    let heard: Heard = live::ask(&app.hosts, questions).await;
    let is_told = |cut: &CutFlow| {
        let (from, to) = (cut.flow.source(), cut.flow.destination());
        connections.iter().any(|one| {
            (one.client.ip(), Some(one.client.port())) == from && (one.server.ip(), Some(one.server.port())) == to
        })
    };
    let mut cut = cut_flows(before, after, heard.flows.iter().map(|(_, flow)| flow));
    cut.retain(|cut| !is_told(cut));
    let mut unknown = heard.missing();
    if heard.untold() > 0 {
        unknown.push(format!("{} more live flows of those who manage were not looked at", heard.untold()));
    }
    (cut, unknown)
}
