//! `POST /v1/diff`: two states of the world compared, of which one may be made up. Nothing is changed.

use std::{collections::BTreeSet, sync::Arc};

use axum::extract::{Request, State};

use sekimori_analysis::{
    account,
    diff::{self, Ahead, DiffError, Report},
    invariant::Checker,
    shadow,
};
use sekimori_core::{
    apply::State as Judged,
    change::Change,
    command::Command,
    flow_event::FlowEvent,
    ids::EniId,
    limits::LIVE_FLOWS_TOLD_MAX,
    live_flow::FlowMatch,
    world::{Revision, World},
};

use super::{
    Answer, ApiError, apart, change::Unmade, error::code_of_one, history::world_at, json, read_within,
    request::wanted,
};
use crate::{
    api::{DiffAccount, DiffAnswer, DiffMoments, DiffQuestion, ErrorCode, FlowsSeen, GroupRules, LiveEnded, Moment},
    app::App,
    commit::{self, CommitError},
    flows::FlowFilter,
    live::{self, Heard},
    outside,
};

/// The newest events that are judged in both states.
pub const DIFF_EVENTS_MAX: usize = 16_384;

/// Bytes of a question's body: an account in files is the whole of it.
pub(super) const DIFF_BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A world, and what it is called.
struct Stated {
    world: World,
    words: String,
}

/// `POST /v1/diff`.
pub(super) async fn diff(State(app): State<Arc<App>>, request: Request) -> Answer<DiffAnswer> {
    let question: DiffQuestion = read_within(request, DIFF_BODY_BYTES_MAX).await?;
    let now = app.committer.world();
    let revision = now.revision();
    let (before, after) = match question {
        DiffQuestion::Policies(two) => {
            let report = apart(&app, move || diff::policies(&now, &two.one, &two.other)).await??;
            return json(DiffAnswer { report, live: None, flows: None, forbidden: None, revision });
        }
        DiffQuestion::Account(account) => {
            let words =
                if app.hosts.is_of_files { "the account's files".to_owned() } else { stated(now.clone()).words };
            let own = Stated { world: now, words };
            let report = apart(&app, move || with_account(own, &account)).await??;
            return json(DiffAnswer { report, live: None, flows: None, forbidden: None, revision });
        }
        DiffQuestion::Moments(DiffMoments { from, to }) => (moment(&app, from).await?, moment(&app, to).await?),
        DiffQuestion::Request(request) => {
            let state = app.committer.state();
            let wanted = wanted(state.world(), &request, &app.region)?;
            let operations = [wanted.operation().to_owned()];
            let rehearsed = rehearsal(&app, &state, &wanted.command, &operations).await;
            return match rehearsed {
                Ok(answer) => json(answer),
                Err(Unmade::Refused(CommitError::Refused(refusal))) => Err(wanted.refused(refusal)),
                Err(other) => Err(other.into()),
            };
        }
        DiffQuestion::Group(rules) => {
            let after = with_rules(&app, &now, &rules)?;
            (stated(now), after)
        }
    };
    json(compared(&app, (before, after), None, revision).await?)
}

/// What a command would change, or why it would be refused. Nothing is changed.
pub(super) async fn rehearsal(
    app: &App,
    state: &Judged,
    command: &Command,
    operations: &[String],
) -> Result<DiffAnswer, Unmade> {
    let now = state.world().clone();
    let revision = now.revision();
    let (applied, _) = commit::applied(&app.hosts, app.limits, state, command)?;
    let words = format!("revision {revision} with {}", operations.join(", "));
    let after = Stated { world: applied.state.world().clone(), words };
    let before = now.clone();
    let held = apart(app, move || Checker::default().hold(&before, applied).map(drop)).await?;
    let forbidden = held.err().map(|refusal| refusal.to_string());
    Ok(compared(app, (stated(now), after), forbidden, revision).await?)
}

/// Compares two states, of which the first may be now.
async fn compared(
    app: &App,
    (before, after): (Stated, Stated),
    forbidden: Option<String>,
    revision: Revision,
) -> Result<DiffAnswer, ApiError> {
    // What was changed already has ended what it ends.
    let heard = match before.world.revision() == revision {
        true => Some(live_flows(app, &before.world, &after.world).await?),
        false => None,
    };
    let (seen, recorded_since, lost) = seen(app);
    let now_ms = outside::now().0.max(0).unsigned_abs().saturating_mul(1_000);
    let compared = apart(app, move || {
        let (old, new) = (&before.world, &after.world);
        let report = diff::worlds((old, &before.words), (new, &after.words))?;
        let ahead = heard.as_ref().map(|(listed, _)| Ahead { now_ms, listed });
        let seen = diff::flows(old, new, &seen, ahead);
        let live = heard.as_ref().map(|(listed, heard)| LiveEnded {
            changed: diff::live(
                old,
                new,
                heard.flows.iter().map(|(_, flow)| flow).filter(|flow| listed.contains(&flow.eni)),
            ),
            untold: heard.untold(),
            hosts: heard.hosts.clone(),
        });
        Ok::<_, DiffError>((report, seen, live))
    });
    let (report, changed, live) = compared.await??;
    Ok(DiffAnswer { report, live, flows: Some(FlowsSeen { changed, recorded_since, lost }), forbidden, revision })
}

/// What is different between now and an account in files. Files know neither bypass set nor platform policies, which are the operator's:
/// those of now are taken for both.
fn with_account(now: Stated, account: &DiffAccount) -> Result<Report, ApiError> {
    let DiffAccount { files, is_before } = account;
    let read = account::read(files).map_err(|error| ApiError::new(ErrorCode::Invalid, error.to_string()))?;
    let mut world = World::default();
    let settings = [Change::PutBypass(now.world.bypass().clone().into()), Change::PutPlatform(now.world.platform())];
    settings.iter().chain(&read.changes).for_each(|change| world.apply(change));
    let count = match files.len() {
        1 => "1 file describes".to_owned(),
        count => format!("{count} files describe"),
    };
    let described = Stated { world, words: format!("the account that {count}") };
    let (before, after) = if *is_before { (described, now) } else { (now, described) };
    Ok(diff::worlds((&before.world, &before.words), (&after.world, &after.words))?)
}

/// The live flows of the interfaces that something changes about, and of which of these they are known.
async fn live_flows(app: &App, before: &World, after: &World) -> Result<(BTreeSet<EniId>, Heard), ApiError> {
    let touched = {
        let (before, after) = (before.clone(), after.clone());
        apart(app, move || diff::touched(&before, &after)).await?
    };
    let all = [FlowMatch::default()];
    let heard =
        live::ask(&app.hosts, live::of_interfaces(&app.hosts, before, &touched, &all, LIVE_FLOWS_TOLD_MAX)).await;
    let is_listed = |id: &EniId| {
        let home = before.eni(id).and_then(|eni| before.home_of(eni));
        home.is_some_and(|home| heard.has_told(home))
    };
    Ok((touched.into_iter().filter(is_listed).collect(), heard))
}

fn stated(world: World) -> Stated {
    let words = format!("revision {}", world.revision());
    Stated { world, words }
}

async fn moment(app: &App, Moment { at, at_time }: Moment) -> Result<Stated, ApiError> {
    Ok(stated(world_at(app, at, at_time).await?))
}

/// The world if a group had other rules.
fn with_rules(app: &App, now: &World, asked: &GroupRules) -> Result<Stated, ApiError> {
    let GroupRules { group, with_group, file, from_region, shadow } = asked;
    let sources = usize::from(with_group.is_some()) + usize::from(file.is_some()) + usize::from(*shadow);
    if sources != 1 {
        let message =
            "which rules the group is to have is not said; give one of another group, a file and its shadow";
        return Err(ApiError::new(ErrorCode::Invalid, message));
    }
    let revision = now.revision();
    if *shadow {
        let world = diff::with_shadow(now, group)?;
        return Ok(Stated { world, words: format!("revision {revision} with the shadow of {group}") });
    }
    let request = shadow::Request {
        from_group: with_group.clone(),
        file: file.clone(),
        from_region: from_region.clone(),
        ..shadow::Request::default()
    };
    let plan = shadow::plan(now, app.limits, group, &request)?;
    let source = with_group.as_ref().map_or_else(|| "the file".to_owned(), ToString::to_string);
    let words = format!("revision {revision} with the rules of {source} in {group}");
    Ok(Stated { world: diff::with_rules(now, group, &plan.rules, with_group.as_ref()), words })
}

/// The newest events of all hosts, since when they are recorded, and how many were not told.
fn seen(app: &App) -> (Vec<FlowEvent>, Option<sekimori_core::time::Timestamp>, u64) {
    let flows = &app.hosts.flows;
    let (sights, _, lost) = flows.list(&FlowFilter::default(), DIFF_EVENTS_MAX);
    (sights.iter().map(|sight| sight.event.clone()).collect(), flows.recorded_since(), lost.total())
}

impl From<DiffError> for ApiError {
    fn from(error: DiffError) -> Self {
        let code = match &error {
            DiffError::Target(error) => code_of_one(error),
            DiffError::TooComplex { .. } | DiffError::Crossing { .. } => ErrorCode::Refused,
        };
        Self::new(code, error.to_string())
    }
}
