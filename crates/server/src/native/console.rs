//! Groups as a console handles them: clones, files, presets, tags, and the planning checks.
//!
//! Every change is planned by the analysis from one world and committed only if that world is still the newest.

use std::sync::Arc;

use axum::extract::{
    Path, Query, Request, State,
    rejection::{PathRejection, QueryRejection},
};
use serde::Deserialize;

use sekimori_analysis::{
    attach, planning, preset,
    transfer::{self, clone},
};
use sekimori_core::{
    command::{Command, Outcome},
    ids::{GroupId, RuleId},
};

use super::{
    Answer, ApiError, Origin, apart,
    change::{Manner, Told, carry_out, check_plan},
    json, read,
};
use crate::{
    api::{AttachAnswer, CloneAnswer, ErrorCode, ImportAnswer, PlanCheck, PresetAnswer},
    app::App,
};

/// The longest name of a group, in characters (`spec/ecs.md` C).
const NAME_CHARS_MAX: usize = 128;

fn group_id(path: Result<Path<String>, PathRejection>) -> Result<GroupId, ApiError> {
    let Path(id) = path.map_err(|error| {
        let message = format!("the group's id cannot be read: {}", error.body_text());
        ApiError::new(ErrorCode::Invalid, message)
    })?;
    Ok(GroupId::from(id))
}

/// `POST /v1/groups/{id}/clone`.
pub(super) async fn clone(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    manner: Manner,
    request: Request,
) -> Answer<Told<CloneAnswer>> {
    let (id, origin) = (group_id(path)?, Origin::of(&request, "CloneGroup"));
    let request: clone::Request = read(request).await?;
    if request.name.is_empty() || request.name.chars().count() > NAME_CHARS_MAX {
        let message = format!("`{}` is not a name; use 1 to {NAME_CHARS_MAX} characters", request.name);
        return Err(ApiError::new(ErrorCode::Invalid, message));
    }
    let world = app.committer.world();
    let plan = clone::plan(&world, &id, &request)?;
    let clone::Plan { group, inner_access, rules, .. } = plan.clone();
    let commands = vec![Command::CloneGroup { group, inner_access, rules }];
    if request.dry_run {
        check_plan(&app, &world, commands)?;
        return json(Told::planned(CloneAnswer { plan, group: None, revision: world.revision() }));
    }
    let made = carry_out(&app, &origin, manner, &world, commands).await?;
    made.told(|outcome, world| CloneAnswer { plan, group: new_group(outcome), revision: world.revision() })
}

fn new_group(outcome: Outcome) -> Option<GroupId> {
    if let Outcome::Group(id) = outcome { Some(id) } else { None }
}

pub(super) fn new_rules(outcome: Outcome) -> Vec<RuleId> {
    if let Outcome::Rules(ids) = outcome { ids } else { Vec::new() }
}

/// The parameters of an export.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportQuery {
    #[serde(default)]
    format: transfer::Format,
}

/// `GET /v1/groups/{id}/export?format=`.
pub(super) async fn export(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<ExportQuery>, QueryRejection>,
) -> Answer<transfer::Export> {
    let id = group_id(path)?;
    let Query(ExportQuery { format }) = query.map_err(|error| {
        ApiError::new(ErrorCode::Invalid, format!("the form cannot be read: {}; use json or csv", error.body_text()))
    })?;
    json(transfer::export(&app.committer.world(), &id, format)?)
}

/// `POST /v1/groups/{id}/import`.
pub(super) async fn import(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    manner: Manner,
    request: Request,
) -> Answer<Told<ImportAnswer>> {
    let (id, origin) = (group_id(path)?, Origin::of(&request, "ImportRules"));
    let request: transfer::Request = read(request).await?;
    let world = app.committer.world();
    let preview = transfer::preview(&world, app.limits, &id, &request)?;
    let rules = preview.rules(request.all_or_nothing);
    let account = world.group(&id).map(|group| group.account.clone());
    let (Some(account), false, false) = (account, request.dry_run, rules.is_empty()) else {
        return json(Told::planned(ImportAnswer { preview, added: Vec::new(), revision: world.revision() }));
    };
    let command = Command::Authorize { account, group: id, rules };
    let made = carry_out(&app, &origin, manner, &world, vec![command]).await?;
    made.told(|outcome, world| ImportAnswer { preview, added: new_rules(outcome), revision: world.revision() })
}

/// `POST /v1/groups/{id}/preset`.
pub(super) async fn preset(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    manner: Manner,
    request: Request,
) -> Answer<Told<PresetAnswer>> {
    let (id, origin) = (group_id(path)?, Origin::of(&request, "AddPreset"));
    let request: preset::Request = read(request).await?;
    let world = app.committer.world();
    let plan = preset::plan(&world, &id, &request)?;
    let preset::Plan { account, group, rules, .. } = plan.clone();
    let commands = vec![Command::Authorize { account, group, rules }];
    if request.dry_run {
        check_plan(&app, &world, commands)?;
        return json(Told::planned(PresetAnswer { plan, added: Vec::new(), revision: world.revision() }));
    }
    let made = carry_out(&app, &origin, manner, &world, commands).await?;
    made.told(|outcome, world| PresetAnswer { plan, added: new_rules(outcome), revision: world.revision() })
}

/// `POST /v1/groups/attach-by-tag`.
pub(super) async fn attach(
    State(app): State<Arc<App>>,
    manner: Manner,
    request: Request,
) -> Answer<Told<AttachAnswer>> {
    let origin = Origin::of(&request, "AttachByTag");
    let request: attach::Request = read(request).await?;
    let world = app.committer.world();
    let plan = attach::plan(&world, app.limits, &request);
    let commands = plan.commands(&world);
    if !request.apply || commands.is_empty() {
        return json(Told::planned(AttachAnswer { plan, attached: 0, revision: world.revision() }));
    }
    let attached = commands.len();
    let made = carry_out(&app, &origin, manner, &world, commands).await?;
    made.told(|_, world| AttachAnswer { plan, attached, revision: world.revision() })
}

/// `POST /v1/plan-check`: a question, with more words than fit an address.
pub(super) async fn plan_check(State(app): State<Arc<App>>, request: Request) -> Answer<planning::Report> {
    let PlanCheck { group, advice } = read(request).await?;
    let world = app.committer.world();
    if let Some(group) = group.as_ref().filter(|group| world.group(group).is_none()) {
        let message = format!("no security group `{group}`; list them with DescribeSecurityGroups");
        return Err(ApiError::new(ErrorCode::NotFound, message));
    }
    let report = apart(&app, move || planning::check(&world, group.as_ref(), &advice)).await?;
    json(report.map_err(|error| ApiError::new(ErrorCode::Refused, error.to_string()))?)
}
