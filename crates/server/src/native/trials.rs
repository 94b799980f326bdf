//! Changes of the clouds' APIs in the operator's hands: applied, on trial if wanted, confirmed, and rolled back.
//!
//! Before anything is applied it is tried on a copy, and refused when it would cut a connection over which the server is managed, unless it
//! is on trial or forced.

use std::{collections::BTreeSet, sync::Arc};

use axum::extract::{Request, State};

use sekimori_analysis::{
    diff,
    lockout::{Connection, CutFlow, cut_flows, cuts},
};
use sekimori_core::{
    apply::State as Judged,
    command::{Command, Outcome, TrialCommand},
    live_flow::FlowMatch,
    refusal::Refusal,
    trial::{TRIAL_WITHIN_S_MAX, Trial},
    world::World,
};

use super::{
    Answer, ApiError, Origin, commit,
    groups::{Name, text_of},
    json, read,
    request::{Wanted, wanted},
};
use crate::{
    api::{Applied, Apply, ErrorCode, Revised, RolledBack, TrialTold, Trials},
    app::App,
    commit::CommitError,
    http::connection,
    live::{self, Heard},
    outside,
};

/// Requests that are applied as one change.
pub const APPLY_REQUESTS_MAX: usize = 256;
/// Live flows of each host that are looked at for what a change cuts.
const APPLY_FLOWS_MAX: u32 = 1_024;
/// How often a change is looked at again because another one came between.
const APPLY_TRIES_MAX: usize = 4;

/// `POST /v1/apply`.
pub(super) async fn apply(State(app): State<Arc<App>>, request: Request) -> Answer<Applied> {
    let from = Origin::of(&request, "Apply").from;
    let own = connection(request.extensions());
    let wish: Apply = read(request).await?;
    check(&wish)?;
    let mut connections = app.callers.recent(outside::now());
    connections.extend(own);
    let mut tries = 0;
    loop {
        tries += 1;
        match try_once(&app, &wish, &connections, from.clone()).await {
            Err(Unapplied::Outdated) if tries < APPLY_TRIES_MAX => continue,
            Err(Unapplied::Outdated) => {
                let message = "other changes came between every time; try again in a moment";
                return Err(ApiError::new(ErrorCode::Overloaded, message));
            }
            Err(Unapplied::Error(error)) => return Err(error),
            Ok(applied) => return json(applied),
        }
    }
}

fn check(Apply { requests, confirm_within_s, force: _ }: &Apply) -> Result<(), ApiError> {
    let invalid = |message: String| Err(ApiError::new(ErrorCode::Invalid, message));
    if requests.is_empty() || requests.len() > APPLY_REQUESTS_MAX {
        return invalid(format!(
            "{} requests cannot be applied as one; give 1 to {APPLY_REQUESTS_MAX}",
            requests.len()
        ));
    }
    match confirm_within_s {
        Some(seconds) if !(1..=TRIAL_WITHIN_S_MAX).contains(seconds) => {
            invalid(format!("{seconds} s is no time to confirm something in; give 1 to {TRIAL_WITHIN_S_MAX} s"))
        }
        Some(_) | None => Ok(()),
    }
}

/// Why a change was not applied.
enum Unapplied {
    /// The world has changed since it was looked at.
    Outdated,
    Error(ApiError),
}

impl From<ApiError> for Unapplied {
    fn from(error: ApiError) -> Self {
        Self::Error(error)
    }
}

async fn try_once(
    app: &App,
    wish: &Apply,
    connections: &[Connection],
    from: Option<String>,
) -> Result<Applied, Unapplied> {
    let state = app.committer.state();
    let world = state.world();
    let mut all: Vec<Wanted> = Vec::new();
    for request in &wish.requests {
        all.push(changing(wanted(world, request, &app.region)?)?);
    }
    let operations: Vec<String> = all.iter().map(|wanted| wanted.operation().to_owned()).collect();
    let commands: Vec<Command> = all.iter().map(|wanted| wanted.command.clone()).collect();
    let together = Command::Together { at: Some(world.revision()), commands };
    let command = match wish.confirm_within_s {
        Some(within_s) => {
            let (command, operations) = (Box::new(together), operations.clone());
            Command::Trial(TrialCommand::Begin { command, operations, within_s })
        }
        None => together,
    };
    let tried = tried(app, &state, &command).map_err(|error| refused(app, &state, &all, error))?;
    let cuts = cuts(world, tried.world(), connections);
    let (flows, unknown) = cut_live(app, (world, tried.world()), connections).await;
    let warnings: Vec<String> =
        cuts.iter().map(ToString::to_string).chain(flows.iter().map(ToString::to_string)).collect();
    if let Some(first) = warnings.first().filter(|_| wish.confirm_within_s.is_none() && !wish.force) {
        let message = format!(
            "{first}; give a time to confirm it in, so that it rolls back by itself (`--confirm-within 60s`), or force it (`--force`)"
        );
        return Err(ApiError::new(ErrorCode::Refused, message).into());
    }
    let origin = Origin { operation: "Apply", from };
    match commit_of(app, origin, command).await {
        Ok((outcome, world)) => {
            let id = if let Outcome::Trial(id) = outcome { id } else { None };
            let trial = id.and_then(|id| world.trials().get(&id).map(|trial| told(trial)));
            Ok(Applied { operations, trial, cuts, flows, unknown, warnings, revision: world.revision() })
        }
        Err(CommitError::Refused(Refusal::Outdated { .. })) => Err(Unapplied::Outdated),
        Err(error) => Err(refused(app, &state, &all, error).into()),
    }
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
    let questions = live::of_interfaces(&app.hosts, before, &touched, &by_peer, APPLY_FLOWS_MAX);
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

async fn commit_of(app: &App, origin: Origin, command: Command) -> crate::commit::Committed {
    app.committer.commit(super::actor(origin)?, command).await
}

/// What is a change that the writer can make by itself.
fn changing(mut wanted: Wanted) -> Result<Wanted, ApiError> {
    let operation = wanted.operation();
    let invalid = |what: &str| Err(ApiError::new(ErrorCode::Invalid, format!("`{operation}` {what}")));
    if wanted.is_dry_run {
        return invalid("is only to be tried (`DryRun`); leave that out to apply it");
    }
    if wanted.command.report_mut().is_some() || wanted.command.analysis_mut().is_some() {
        return invalid("changes nothing but what it reports; send it with a key of the account");
    }
    Ok(wanted)
}

/// The state after a command, on a copy.
fn tried(app: &App, state: &Judged, command: &Command) -> Result<Judged, CommitError> {
    Ok(crate::commit::tried(&app.hosts, app.limits, state, command)?.state)
}

/// A refusal in the words of the cloud whose request it is of: the first that is refused when they are carried out one after the other.
fn refused(app: &App, state: &Judged, all: &[Wanted], error: CommitError) -> ApiError {
    let CommitError::Refused(_) = &error else { return error.into() };
    let mut state = state.clone();
    for wanted in all {
        match tried(app, &state, &wanted.command) {
            Ok(next) => state = next,
            Err(CommitError::Refused(refusal)) => return wanted.refused(refusal),
            Err(other) => return other.into(),
        }
    }
    error.into()
}

fn told(trial: &Trial) -> TrialTold {
    let facts = trial.facts.iter().filter_map(|undo| undo.row());
    let name = |key: String| key.split_once('/').map_or(key.clone(), |(_, name)| name.to_owned());
    TrialTold {
        id: trial.id.clone(),
        revision: trial.revision,
        operations: trial.operations.clone(),
        made_at: trial.made_at,
        until: trial.until,
        facts: facts.map(|row| name(row.to_key())).collect(),
    }
}

/// `GET /v1/trials`.
pub(super) async fn list(State(app): State<Arc<App>>) -> Answer<Trials> {
    let world = app.committer.world();
    json(Trials { trials: world.trials().iter().map(|trial| told(trial)).collect(), now: outside::now() })
}

/// `POST /v1/trials/{id}/confirm`.
pub(super) async fn confirm(State(app): State<Arc<App>>, name: Name, request: Request) -> Answer<Revised> {
    let (id, origin) = (text_of(name)?, Origin::of(&request, "ConfirmChange"));
    let (_, world) = commit(&app, origin, Command::Trial(TrialCommand::Confirm { id })).await?;
    json(Revised { revision: world.revision() })
}

/// `POST /v1/trials/{id}/rollback`.
pub(super) async fn roll_back(State(app): State<Arc<App>>, name: Name, request: Request) -> Answer<RolledBack> {
    let (id, origin) = (text_of(name)?, Origin::of(&request, "RollBackChange"));
    match commit(&app, origin, Command::Trial(TrialCommand::RollBack { id })).await? {
        (Outcome::RolledBack { restored, left, .. }, world) => {
            json(RolledBack { restored, left, revision: world.revision() })
        }
        (_, world) => json(RolledBack { restored: Vec::new(), left: Vec::new(), revision: world.revision() }),
    }
}

#[cfg(test)]
mod tests {
    use sekimori_core::world::Revision;

    use super::*;
    use crate::{
        api::{CloudParameters, CloudRequest},
        testing::{Bench, live_flow, live_host},
    };

    /// The small world's revocation of HTTPS, which both of its instances answer.
    fn wish(bench: &Bench, confirm_within_s: Option<u32>, force: bool) -> Apply {
        let group = bench.committer.world().groups().next().unwrap().id.clone();
        let query = format!(
            "Action=RevokeSecurityGroup&RegionId=cn-hangzhou&SecurityGroupId={group}&Permissions.1.IpProtocol=TCP\
             &Permissions.1.PortRange=443%2F443&Permissions.1.SourceCidrIp=0.0.0.0%2F0"
        );
        let parameters = CloudParameters::Query(query);
        let request = CloudRequest { parameters, dialect: None, account: None, region: None };
        Apply { requests: vec![request], confirm_within_s, force }
    }

    /// From outside to the server at port 443 of an instance.
    fn managing(bench: &Bench) -> Connection {
        let server = bench.committer.world().enis().next().unwrap().addresses[0];
        Connection { client: "203.0.113.9:50000".parse().unwrap(), server: (server, 443).into() }
    }

    #[tokio::test]
    async fn what_cuts_the_connection_to_the_server_is_refused_unless_it_rolls_back_or_is_forced() {
        let bench = Bench::on_small_world();
        let (app, connection) = (bench.app(), managing(&bench));
        let before = bench.committer.world().revision();
        let refused = try_once(&app, &wish(&bench, None, false), &[connection], None).await;
        let Err(Unapplied::Error(error)) = refused else { panic!("it cuts the connection") };
        let (status, body) = error.told();
        assert_eq!((status, bench.committer.world().revision()), (409, before));
        assert!(body["message"].as_str().unwrap().contains("from 203.0.113.9:50000"), "{body}");
        // Other connections are not cut.
        let other =
            Connection { client: "127.0.0.1:50000".parse().unwrap(), server: "127.0.0.1:8470".parse().unwrap() };
        let tried = try_once(&app, &wish(&bench, Some(60), false), &[connection, other], None).await;
        let Ok(applied) = tried else { panic!("it rolls back by itself") };
        assert_eq!((applied.cuts.len(), applied.revision), (1, before.next()));
        let id = applied.trial.unwrap().id;
        bench.commit(Command::Trial(TrialCommand::RollBack { id })).await;
        let Ok(forced) = try_once(&app, &wish(&bench, None, true), &[connection], None).await else {
            panic!("it is forced");
        };
        assert_eq!((forced.cuts.len(), forced.trial), (1, None));
    }

    #[tokio::test]
    async fn a_live_flow_of_whoever_manages_is_not_cut_unless_it_rolls_back_or_is_forced() {
        let bench = Bench::on_small_world();
        let app = bench.app();
        let world = bench.committer.world();
        let enis: Vec<_> = world.enis().cloned().collect();
        let far = "10.99.0.1:8470".parse().unwrap();
        let connection = Connection { client: "203.0.113.9:40000".parse().unwrap(), server: far };
        let own = live_flow(&enis[1], "203.0.113.9", 443);
        // Of somebody else, of another service, and the connection to the server itself.
        let served =
            Connection { client: "203.0.113.7:50000".parse().unwrap(), server: (enis[0].addresses[0], 443).into() };
        let others = [
            live_flow(&enis[0], "203.0.113.8", 443),
            live_flow(&enis[0], "203.0.113.9", 22),
            live_flow(&enis[0], "203.0.113.7", 443),
        ];
        live_host(&bench.hosts, "rack-1", others.into_iter().chain([own.clone()]).collect());
        let refused = try_once(&app, &wish(&bench, None, false), &[connection], None).await;
        let Err(Unapplied::Error(error)) = refused else { panic!("it cuts a flow of whoever asks") };
        let (status, body) = error.told();
        let message = body["message"].as_str().unwrap();
        assert_eq!(status, 409, "{body}");
        assert!(
            message.contains("tcp/443 from 203.0.113.9 port 50000") && message.contains(enis[1].id.as_str()),
            "{body}"
        );
        let tried = try_once(&app, &wish(&bench, Some(60), false), &[connection, served], None).await;
        let Ok(applied) = tried else { panic!("it rolls back by itself") };
        let flows: Vec<_> = applied.flows.iter().map(|cut| &cut.flow).collect();
        assert_eq!((flows, applied.cuts.len(), applied.warnings.len()), (vec![&own], 1, 2));
        assert_eq!(applied.unknown, [""; 0]);
    }

    #[tokio::test]
    async fn hosts_that_do_not_tell_their_live_flows_are_named_and_forbid_nothing() {
        let bench = Bench::on_small_world();
        let far = "10.99.0.1:8470".parse().unwrap();
        let connection = Connection { client: "203.0.113.9:40000".parse().unwrap(), server: far };
        let done = try_once(&bench.app(), &wish(&bench, None, false), &[connection], None).await;
        let Ok(applied) = done else { panic!("nothing is known to be cut") };
        assert!(applied.unknown.len() == 1 && applied.unknown[0].contains("`rack-1`"), "{:?}", applied.unknown);
    }

    #[tokio::test]
    async fn a_change_that_another_one_overtook_is_looked_at_again() {
        let bench = Bench::on_small_world();
        let app = bench.app();
        let at = Some(Revision(1));
        let stale = Command::Together { at, commands: Vec::new() };
        let refused = commit_of(&app, Origin { operation: "Apply", from: None }, stale).await;
        assert!(matches!(refused, Err(CommitError::Refused(Refusal::Outdated { .. }))));
        assert!(try_once(&app, &wish(&bench, None, false), &[], None).await.is_ok());
    }
}
