//! Health of rules and diagnosis of interfaces, and what mends what they find.
//!
//! The questions are the analysis's. A repair is computed from one world and committed only if that world is still
//! the newest: nobody deletes a rule because of what another rule said before it was changed.

use std::{collections::BTreeMap, sync::Arc};

use axum::extract::{Query, Request, State, rejection::QueryRejection};
use serde::Deserialize;

use sekimori_analysis::{
    diagnose::{self, open},
    health::{
        self,
        fewer::Merge,
        width::{self, Evidence, OfRecords, Sight},
    },
};
use sekimori_core::{
    address::Cidr,
    command::{Command, Revocation},
    feed::Counter,
    flow_event::FlowEvent,
    ids::{GroupId, RuleId},
    limits::OBSERVED_MAX,
    rule::Direction,
    time::Timestamp,
    world::World,
};

use super::{
    Answer, ApiError, Origin, apart,
    change::{Manner, Told, carry_out, check_plan},
    console::new_rules,
    history::passed,
    json, read, read_within,
};
use crate::{
    api::{AskHealth, ErrorCode, FixHealth, FixedHealth, GivenRecords, OpenAnswer},
    app::App,
    flows::FlowFilter,
    outside,
};

/// Flows by which rules are called too wide: the newest.
const SIGHTS_MAX: usize = 262_144;
/// Bytes of a question with records; each use of them is an object of some 150.
pub(super) const HEALTH_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The parameters of `GET /v1/health`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HealthQuery {
    group: Option<String>,
    unused_since: Option<i64>,
    #[serde(default)]
    overlaps: bool,
    #[serde(default)]
    too_wide: bool,
}

/// `GET /v1/health?group=&unused_since=&overlaps=&too_wide=`. Asking for what is too wide has flows recorded.
pub(super) async fn health(
    State(app): State<Arc<App>>,
    query: Result<Query<HealthQuery>, QueryRejection>,
) -> Answer<health::Report> {
    let Query(HealthQuery { group, unused_since, overlaps, too_wide }) = query.map_err(|error| unreadable(&error))?;
    let group = group.map(GroupId::from);
    let unused_since = unused_since.map(passed).transpose()?;
    let question = health::Question { group, unused_since, overlaps };
    let world = app.committer.world();
    json(judge(&app, world, question, (too_wide, None)).await?)
}

/// `POST /v1/health`: the same with records of flow logs as further evidence of what is used.
pub(super) async fn health_by_records(State(app): State<Arc<App>>, request: Request) -> Answer<health::Report> {
    let asked: AskHealth = read_within(request, HEALTH_BODY_BYTES_MAX).await?;
    let AskHealth { group, unused_since, overlaps, too_wide, records } = asked;
    if records.as_ref().is_some_and(|records| records.observed.len() > OBSERVED_MAX) {
        let message = format!("more than {OBSERVED_MAX} uses are too many for one question; give fewer records");
        return Err(ApiError::new(ErrorCode::Invalid, message));
    }
    let unused_since = unused_since.map(passed).transpose()?;
    let question = health::Question { group, unused_since, overlaps };
    let world = app.committer.world();
    json(judge(&app, world, question, (too_wide, records)).await?)
}

/// `POST /v1/health/fix`.
pub(super) async fn fix(State(app): State<Arc<App>>, manner: Manner, request: Request) -> Answer<Told<FixedHealth>> {
    let origin = Origin::of(&request, "FixHealth");
    let FixHealth { group, rules, merge } = read(request).await?;
    let world = app.committer.world();
    let question = health::Question { group, ..health::Question::default() };
    let (commands, deleted, added) = match rules {
        Some(rules) => deletion(&world, named(&world, &rules)?),
        None => {
            let report = judge(&app, world.clone(), question, (false, None)).await?;
            if merge { replacement(&world, &report.merges) } else { deletion(&world, removable(report)) }
        }
    };
    let made = carry_out(&app, &origin, manner, &world, commands).await?;
    made.told(|_, world| FixedHealth { revision: world.revision(), deleted, added })
}

/// Commands, the rules that they delete, and those that they add, in words.
type Repair = (Vec<Command>, Vec<RuleId>, Vec<String>);

fn removable(report: health::Report) -> Vec<(GroupId, RuleId)> {
    report.findings.into_iter().filter(|finding| finding.removable).map(|it| (it.group.id, it.rule)).collect()
}

fn deletion(world: &World, doomed: Vec<(GroupId, RuleId)>) -> Repair {
    (revocations(world, &doomed), doomed.into_iter().map(|(_, rule)| rule).collect(), Vec::new())
}

/// The old rules go first: where both together were too many, the new ones alone are not.
fn replacement(world: &World, merges: &[Merge]) -> Repair {
    let doomed: Vec<_> =
        merges.iter().flat_map(|merge| merge.doomed().map(|rule| (merge.group.id.clone(), rule.clone()))).collect();
    let mut commands = revocations(world, &doomed);
    let added: Vec<_> = merges.iter().filter(|merge| merge.kept.is_none()).collect();
    commands.extend(added.iter().filter_map(|merge| merge.authorization(world)));
    let texts = added.iter().map(|merge| merge.into_text.clone()).collect();
    (commands, doomed.into_iter().map(|(_, rule)| rule).collect(), texts)
}

async fn judge(
    app: &Arc<App>,
    world: World,
    question: health::Question,
    (too_wide, records): (bool, Option<GivenRecords>),
) -> Result<health::Report, ApiError> {
    let since = too_wide.then(|| {
        let since = app.hosts.flows.recorded_since();
        app.hosts.flows.ask(outside::now());
        since
    });
    let kept = Arc::clone(app);
    let judged = apart(app, move || {
        let app = kept;
        let last = app.usage.last_uses();
        let last = |group: &GroupId, rule: &RuleId| last.get(&(group.clone(), rule.clone())).copied();
        let mut seen = if too_wide { sights(&app) } else { Vec::new() };
        let GivenRecords { since_s, observed } = records.unwrap_or_default();
        let OfRecords { sights, notes } = width::of_records(&world, &observed);
        seen.extend(sights);
        let decided = |group: &GroupId, rule: &RuleId| {
            app.hosts.counts.count_of(&Counter::Rule { group: group.clone(), rule: Some(rule.clone()) }).packets
        };
        let first = |since: Option<Timestamp>| since.into_iter().chain(since_s.map(Timestamp)).min();
        let evidence = since.map(|since| Evidence { since: first(since), seen: &seen, decided: &decided });
        let uses = health::Uses { watched_since: app.usage.since(), last: &last, evidence };
        health::check(&world, &question, &uses).map(|report| health::Report { notes, ..report })
    });
    Ok(judged.await??)
}

/// The flows that rules have let pass, as far as they are remembered.
fn sights(app: &App) -> Vec<Sight> {
    let filter = FlowFilter { passed: Some(true), ..FlowFilter::default() };
    let (found, _, _) = app.hosts.flows.list(&filter, SIGHTS_MAX);
    let sight = |event: &FlowEvent| {
        let (group, rule, peer) = (event.group.clone()?, event.rule.clone()?, event.peer?);
        let kind = event.icmp.map(|icmp| icmp.kind);
        Some(Sight { group, rule, protocol: event.protocol, port: event.destination().1, kind, peer, times: 1 })
    };
    found.iter().filter_map(|sighted| sight(&sighted.event)).collect()
}

/// The groups of rules that are named.
fn named(world: &World, rules: &[RuleId]) -> Result<Vec<(GroupId, RuleId)>, ApiError> {
    let owner = |rule: &RuleId| {
        let group = world.groups().find(|group| group.rules.contains_key(rule));
        let missing = || {
            ApiError::new(
                ErrorCode::NotFound,
                format!("no rule `{rule}`; ask for the health again to see what there is"),
            )
        };
        group.map(|group| (group.id.clone(), rule.clone())).ok_or_else(missing)
    };
    rules.iter().map(owner).collect()
}

/// One revocation for each group and direction.
fn revocations(world: &World, doomed: &[(GroupId, RuleId)]) -> Vec<Command> {
    let mut by_group: BTreeMap<(GroupId, Direction), Vec<RuleId>> = BTreeMap::new();
    for (group, id) in doomed {
        let rule = world.group(group).and_then(|group| group.rules.get(id));
        let Some(rule) = rule else { continue };
        by_group.entry((group.clone(), rule.spec.direction)).or_default().push(id.clone());
    }
    let command = |((group, direction), ids): ((GroupId, Direction), Vec<RuleId>)| {
        let account = world.group(&group).map(|group| group.account.clone())?;
        Some(Command::Revoke { account, group, direction, rules: Revocation::Ids(ids) })
    };
    by_group.into_iter().filter_map(command).collect()
}

/// The parameters of `GET /v1/diagnose`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DiagnoseQuery {
    target: String,
    direction: Option<String>,
    peer: Option<Cidr>,
    service: Option<String>,
}

/// `GET /v1/diagnose?target=&direction=&peer=&service=`.
pub(super) async fn diagnose(
    State(app): State<Arc<App>>,
    query: Result<Query<DiagnoseQuery>, QueryRejection>,
) -> Answer<diagnose::Report> {
    let Query(DiagnoseQuery { target, direction, peer, service }) = query.map_err(|error| unreadable(&error))?;
    let direction = match direction.as_deref() {
        None | Some("ingress") => Direction::Ingress,
        Some("egress") => Direction::Egress,
        Some(other) => {
            let message = format!("`{other}` is not a direction; use ingress or egress");
            return Err(ApiError::new(ErrorCode::Invalid, message));
        }
    };
    let question = diagnose::Question { target, direction, peer, service };
    json(diagnose::ask(&app.committer.world(), &question)?)
}

/// `POST /v1/diagnose/open`.
pub(super) async fn open(State(app): State<Arc<App>>, manner: Manner, request: Request) -> Answer<Told<OpenAnswer>> {
    let origin = Origin::of(&request, "OpenPort");
    let request: open::Request = read(request).await?;
    let world = app.committer.world();
    let plan = open::plan(&world, &request)?;
    let open::Plan { account, group, rules, .. } = plan.clone();
    let commands = vec![Command::Authorize { account, group, rules }];
    if request.dry_run || plan.rules.is_empty() {
        if !plan.rules.is_empty() {
            check_plan(&app, &world, commands)?;
        }
        return json(Told::planned(OpenAnswer { plan, added: Vec::new(), revision: world.revision() }));
    }
    let made = carry_out(&app, &origin, manner, &world, commands).await?;
    made.told(|outcome, world| OpenAnswer { plan, added: new_rules(outcome), revision: world.revision() })
}

pub(super) fn unreadable(error: &QueryRejection) -> ApiError {
    ApiError::new(ErrorCode::Invalid, format!("the question cannot be read: {}", error.body_text()))
}
