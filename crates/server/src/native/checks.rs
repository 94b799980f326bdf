//! Health of rules and diagnosis of interfaces, and what mends what they find.
//!
//! The questions are the analysis's. A repair is computed from one world and committed only if that world is still
//! the newest: nobody deletes a rule because of what another rule said before it was changed.

use std::{collections::BTreeMap, sync::Arc};

use axum::extract::{Query, Request, State, rejection::QueryRejection};
use serde::Deserialize;

use sekimori_analysis::{
    diagnose::{self, open},
    health,
};
use sekimori_core::{
    address::Cidr,
    command::{Command, Outcome, Revocation},
    ids::{GroupId, RuleId},
    rule::Direction,
    time::Timestamp,
    world::World,
};

use super::{Answer, ApiError, Origin, apart, commit, json, read};
use crate::{
    api::{ErrorCode, FixHealth, FixedHealth, OpenAnswer},
    app::App,
};

/// The parameters of `GET /v1/health`.
#[derive(Deserialize)]
pub(super) struct HealthQuery {
    group: Option<String>,
    unused_since: Option<i64>,
}

/// `GET /v1/health?group=&unused_since=`.
pub(super) async fn health(
    State(app): State<Arc<App>>,
    query: Result<Query<HealthQuery>, QueryRejection>,
) -> Answer<health::Report> {
    let Query(HealthQuery { group, unused_since }) = query.map_err(|error| unreadable(&error))?;
    let question = health::Question { group: group.map(GroupId::from), unused_since: unused_since.map(Timestamp) };
    let world = app.committer.world();
    json(judge(&app, world, question).await?)
}

/// `POST /v1/health/fix`.
pub(super) async fn fix(State(app): State<Arc<App>>, request: Request) -> Answer<FixedHealth> {
    let origin = Origin::of(&request, "FixHealth");
    let FixHealth { group, rules } = read(request).await?;
    let world = app.committer.world();
    let at = world.revision();
    let doomed = match rules {
        Some(rules) => named(&world, &rules)?,
        None => {
            let question = health::Question { group, unused_since: None };
            let findings = judge(&app, world.clone(), question).await?.findings;
            findings.into_iter().filter(|finding| finding.removable).map(|it| (it.group.id, it.rule)).collect()
        }
    };
    let commands = revocations(&world, &doomed);
    let (_, world) = commit(&app, origin, Command::Together { at: Some(at), commands }).await?;
    json(FixedHealth { revision: world.revision(), deleted: doomed.into_iter().map(|(_, rule)| rule).collect() })
}

async fn judge(app: &Arc<App>, world: World, question: health::Question) -> Result<health::Report, ApiError> {
    let app = Arc::clone(app);
    let judged = apart(move || {
        let last = app.usage.last_uses();
        let last = |group: &GroupId, rule: &RuleId| last.get(&(group.clone(), rule.clone())).copied();
        let uses = health::Uses { watched_since: app.usage.since(), last: &last };
        health::check(&world, &question, &uses)
    });
    Ok(judged.await??)
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
pub(super) async fn open(State(app): State<Arc<App>>, request: Request) -> Answer<OpenAnswer> {
    let origin = Origin::of(&request, "OpenPort");
    let request: open::Request = read(request).await?;
    let world = app.committer.world();
    let plan = open::plan(&world, &request)?;
    if request.dry_run || plan.rules.is_empty() {
        return json(OpenAnswer { plan, added: Vec::new(), revision: world.revision() });
    }
    let open::Plan { account, group, rules, .. } = plan.clone();
    let commands = vec![Command::Authorize { account, group, rules }];
    let together = Command::Together { at: Some(world.revision()), commands };
    match commit(&app, origin, together).await? {
        (Outcome::Rules(added), world) => json(OpenAnswer { plan, added, revision: world.revision() }),
        (_, world) => json(OpenAnswer { plan, added: Vec::new(), revision: world.revision() }),
    }
}

pub(super) fn unreadable(error: &QueryRejection) -> ApiError {
    ApiError::new(ErrorCode::Invalid, format!("the question cannot be read: {}", error.body_text()))
}
