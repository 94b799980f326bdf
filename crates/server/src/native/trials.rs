//! Changes of the clouds' APIs in the operator's hands: applied as one, on trial if wanted; and changes on trial confirmed and rolled back.

use std::sync::Arc;

use axum::extract::{Request, State};

use sekimori_core::{
    apply::State as Judged,
    command::{Command, Outcome, TrialCommand},
    trial::Trial,
};

use super::{
    Answer, ApiError, Origin,
    change::{Made, Manner, Told, Tries, Unmade, Wish, once},
    commit,
    groups::{Name, text_of},
    json, read,
    request::{Wanted, wanted},
};
use crate::{
    api::{Applied, Apply, CloudRequest, ErrorCode, Revised, RolledBack, TrialTold, Trials},
    app::App,
    commit::CommitError,
    outside,
};

/// Requests that are applied as one change.
pub const APPLY_REQUESTS_MAX: usize = 256;

/// `POST /v1/apply`.
pub(super) async fn apply(State(app): State<Arc<App>>, request: Request) -> Answer<Told<Applied>> {
    let origin = Origin::of(&request, "Apply");
    let Apply { requests, confirm_within_s, force, dry_run } = read(request).await?;
    let manner = Manner { confirm_within_s, force, dry_run }.checked()?;
    if requests.is_empty() || requests.len() > APPLY_REQUESTS_MAX {
        let count = requests.len();
        let message = format!("{count} requests cannot be applied as one; give 1 to {APPLY_REQUESTS_MAX}");
        return Err(ApiError::new(ErrorCode::Invalid, message));
    }
    let mut tries = Tries::default();
    let (made, operations) = loop {
        match apply_in(&app, &app.committer.state(), (&origin, manner), &requests).await {
            Ok(made) => break made,
            Err(unmade) => tries.again(unmade)?,
        }
    };
    made.told(|_, world| Applied { operations, revision: world.revision() })
}

/// Applies requests as they are read in a state.
async fn apply_in(
    app: &App,
    state: &Judged,
    how: (&Origin, Manner),
    requests: &[CloudRequest],
) -> Result<(Made, Vec<String>), Unmade> {
    let mut all: Vec<Wanted> = Vec::new();
    for request in requests {
        all.push(changing(wanted(state.world(), request, &app.region)?)?);
    }
    let operations: Vec<String> = all.iter().map(|wanted| wanted.operation().to_owned()).collect();
    let commands: Vec<Command> = all.iter().map(|wanted| wanted.command.clone()).collect();
    let wish = Wish { commands, operations: operations.clone(), is_planned: true };
    match once(app, state, how, &wish).await {
        Ok(made) => Ok((made, operations)),
        Err(Unmade::Refused(error)) => Err(refused(app, state, &all, error)),
        Err(error) => Err(error),
    }
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

/// A refusal in the words of the cloud whose request it is of: the first that is refused when they are carried out one after the other.
fn refused(app: &App, state: &Judged, all: &[Wanted], error: CommitError) -> Unmade {
    let CommitError::Refused(_) = &error else { return error.into() };
    let mut state = state.clone();
    for wanted in all {
        match crate::commit::tried(&app.hosts, app.limits, &state, &wanted.command) {
            Ok(next) => state = next.state,
            Err(CommitError::Refused(refusal)) => return wanted.refused(refusal).into(),
            Err(other) => return other.into(),
        }
    }
    error.into()
}

pub(super) fn told(trial: &Trial) -> TrialTold {
    let facts = trial.facts.iter().filter_map(|undo| undo.row());
    TrialTold {
        id: trial.id.clone(),
        revision: trial.revision,
        operations: trial.operations.clone(),
        made_at: trial.made_at,
        until: trial.until,
        facts: facts.map(|row| row.name()).collect(),
        stuck: None,
    }
}

/// `GET /v1/trials`.
pub(super) async fn list(State(app): State<Arc<App>>) -> Answer<Trials> {
    let world = app.committer.world();
    let told = |trial: &Arc<Trial>| TrialTold { stuck: app.stuck.why(&trial.id), ..told(trial) };
    json(Trials { trials: world.trials().iter().map(told).collect(), now: outside::now() })
}

/// `POST /v1/trials/{id}/confirm`.
pub(super) async fn confirm(State(app): State<Arc<App>>, name: Name, request: Request) -> Answer<Revised> {
    let (id, origin) = (text_of(name)?, Origin::of(&request, "ConfirmChange"));
    // Whoever decides about one that cannot be rolled back decides late.
    let even_late = app.stuck.why(&id).is_some();
    let (_, world) = commit(&app, origin, Command::Trial(TrialCommand::Confirm { id, even_late })).await?;
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
    use sekimori_analysis::lockout::Connection;
    use sekimori_core::{refusal::Refusal, world::Revision};

    use super::*;
    use crate::{
        api::{Aftermath, CloudParameters, CloudRequest},
        testing::{Bench, live_flow, live_host},
    };

    /// The small world's revocation of HTTPS, which both of its instances answer.
    fn revocation(bench: &Bench) -> CloudRequest {
        let group = bench.committer.world().groups().next().unwrap().id.clone();
        let query = format!(
            "Action=RevokeSecurityGroup&RegionId=cn-hangzhou&SecurityGroupId={group}&Permissions.1.IpProtocol=TCP\
             &Permissions.1.PortRange=443%2F443&Permissions.1.SourceCidrIp=0.0.0.0%2F0"
        );
        let parameters = CloudParameters::Query(query);
        CloudRequest { parameters, dialect: None, account: None, region: None }
    }

    const PLAINLY: Manner = Manner { confirm_within_s: None, force: false, dry_run: false };
    const ON_TRIAL: Manner = Manner { confirm_within_s: Some(60), ..PLAINLY };
    const FORCED: Manner = Manner { force: true, ..PLAINLY };

    async fn try_once(
        bench: &Bench,
        app: &App,
        manner: Manner,
        connection: Option<Connection>,
    ) -> Result<Aftermath, Unmade> {
        let origin = Origin { operation: "Apply", from: None, connection };
        match apply_in(app, &app.committer.state(), (&origin, manner), &[revocation(bench)]).await?.0 {
            Made::Done(done) => Ok(done.aftermath),
            Made::Rehearsed(_) => panic!("it is not only rehearsed"),
        }
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
        let refused = try_once(&bench, &app, PLAINLY, Some(connection)).await;
        let Err(Unmade::Error(error)) = refused else { panic!("it cuts the connection") };
        let (status, body) = error.told();
        assert_eq!((status, bench.committer.world().revision()), (409, before));
        assert!(body["message"].as_str().unwrap().contains("from 203.0.113.9:50000"), "{body}");
        // Other connections are not cut.
        let other =
            Connection { client: "127.0.0.1:50000".parse().unwrap(), server: "127.0.0.1:8470".parse().unwrap() };
        app.callers.note(other, outside::now());
        let Ok(applied) = try_once(&bench, &app, ON_TRIAL, Some(connection)).await else {
            panic!("it rolls back by itself");
        };
        assert_eq!((applied.cuts.len(), bench.committer.world().revision()), (1, before.next()));
        let id = applied.trial.unwrap().id;
        bench.commit(Command::Trial(TrialCommand::RollBack { id })).await;
        let Ok(forced) = try_once(&bench, &app, FORCED, Some(connection)).await else {
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
        let refused = try_once(&bench, &app, PLAINLY, Some(connection)).await;
        let Err(Unmade::Error(error)) = refused else { panic!("it cuts a flow of whoever asks") };
        let (status, body) = error.told();
        let message = body["message"].as_str().unwrap();
        assert_eq!(status, 409, "{body}");
        assert!(
            message.contains("tcp/443 from 203.0.113.9 port 50000") && message.contains(enis[1].id.as_str()),
            "{body}"
        );
        app.callers.note(served, outside::now());
        let Ok(applied) = try_once(&bench, &app, ON_TRIAL, Some(connection)).await else {
            panic!("it rolls back by itself");
        };
        let flows: Vec<_> = applied.flows.iter().map(|cut| &cut.flow).collect();
        assert_eq!((flows, applied.cuts.len(), applied.warnings.len()), (vec![&own], 1, 2));
        assert_eq!(applied.unknown, [""; 0]);
    }

    #[tokio::test]
    async fn hosts_that_do_not_tell_their_live_flows_are_named_and_forbid_nothing() {
        let bench = Bench::on_small_world();
        let far = "10.99.0.1:8470".parse().unwrap();
        let connection = Connection { client: "203.0.113.9:40000".parse().unwrap(), server: far };
        let done = try_once(&bench, &bench.app(), PLAINLY, Some(connection)).await;
        let Ok(applied) = done else { panic!("nothing is known to be cut") };
        assert!(applied.unknown.len() == 1 && applied.unknown[0].contains("`rack-1`"), "{:?}", applied.unknown);
    }

    #[tokio::test]
    async fn a_change_that_another_one_overtook_is_looked_at_again_and_not_for_ever() {
        let bench = Bench::on_small_world();
        let app = bench.app();
        let origin = Origin { operation: "Apply", from: None, connection: None };
        let stale = app.committer.state().at(Revision(1));
        let mut tries = Tries::default();
        let mut attempts = 0;
        let ended = loop {
            attempts += 1;
            let Err(unmade) = apply_in(&app, &stale, (&origin, PLAINLY), &[revocation(&bench)]).await else {
                panic!("the world is another one");
            };
            assert!(matches!(&unmade, Unmade::Refused(CommitError::Refused(Refusal::Outdated { .. }))));
            if let Err(error) = tries.again(unmade) {
                break error;
            }
        };
        assert_eq!((attempts, ended.told().0), (4, 503));
        assert!(try_once(&bench, &app, PLAINLY, None).await.is_ok());
    }
}
