//! The native API: what the CLI asks of the server. Types are in [`crate::api`].
//!
//! Everything under `/v1/` needs the operator's token; `/healthz` needs nothing and tells nothing about
//! the world. Bodies are small and read whole before they are parsed.

mod accounts;
mod bindings;
mod change;
mod checks;
mod compliance;
mod console;
mod diff;
mod error;
mod flows;
mod groups;
mod history;
mod invariants;
mod live;
mod metrics;
mod questions;
mod request;
mod resource_groups;
mod settings;
mod shadow;
mod snapshots;
mod status;
mod trials;
mod verify;
mod who;
mod why;

pub(crate) use self::accounts::region_of;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Query, Request, State, rejection::QueryRejection},
    http::header::AUTHORIZATION,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{any, delete, get, post, put},
};
use http_body_util::{BodyExt, Limited};
use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use tokio::time::timeout;

use sekimori_analysis::lockout::Connection;
use sekimori_core::{
    change::Actor,
    command::{Command, Outcome},
    world::World,
};

use self::error::ApiError;
pub use self::{
    diff::DIFF_EVENTS_MAX, flows::FLOWS_LISTED_MAX, history::HISTORY_LISTED_MAX, status::WAIT_S_MAX,
    trials::APPLY_REQUESTS_MAX, verify::VERIFY_S_MAX,
};
use crate::{
    api::ErrorCode,
    app::App,
    http::{BODY_TIMEOUT, connection, from},
    outside::{self, NoEntropy},
    turns::{QUESTIONS_AT_A_TIME_MAX, QUESTIONS_WAITING_MAX},
};

/// Bytes of a native request's body.
pub const NATIVE_BODY_BYTES_MAX: usize = 1024 * 1024;

/// An answer: JSON, or an error.
type Answer<T> = Result<Json<T>, ApiError>;

/// The routes of the native API.
pub(crate) fn router(app: Arc<App>) -> Router<Arc<App>> {
    let guarded = with_parameters()
        .merge(changes())
        .merge(without_parameters().route_layer(middleware::from_fn(no_parameters)))
        .route("/v1", any(unknown))
        .route("/v1/", any(unknown))
        .route("/v1/{*rest}", any(unknown))
        .method_not_allowed_fallback(unknown)
        .route_layer(middleware::from_fn_with_state(app, guard));
    Router::new().route("/healthz", get(status::healthz)).merge(guarded)
}

/// Paths of which at least one method has parameters in the query, which it reads and refuses by itself.
fn with_parameters() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/wait", get(status::wait))
        .route("/v1/flows", get(flows::list))
        .route("/v1/flows/watch", get(flows::watch))
        .route("/v1/flows/live", get(live::list))
        .route("/v1/history", get(history::list))
        .route("/v1/why", get(why::why))
        .route("/v1/who", get(who::who))
        .route("/v1/policy/{name}", get(questions::policy))
        .route("/v1/nft/{name}", get(questions::nft))
        .route("/v1/health", get(checks::health).post(checks::health_by_records))
        .route("/v1/diagnose", get(checks::diagnose))
        .route("/v1/groups/{group}/export", get(console::export))
        .route("/v1/snapshot-policies", get(snapshots::policies).post(snapshots::create_policy))
        .route("/v1/snapshots", get(snapshots::list))
        .route("/v1/groups/{group}", delete(groups::remove))
        .route("/v1/interfaces", get(bindings::list))
        .route("/v1/interfaces/{eni}/binding", put(bindings::bind).delete(bindings::unbind))
}

/// Changes that can be tried, rehearsed and forced: how is in the query ([`change::Manner`]). What asks there only has no parameters.
fn changes() -> Router<Arc<App>> {
    let no_parameters = || middleware::from_fn(no_parameters);
    Router::new()
        .route("/v1/health/fix", post(checks::fix))
        .route("/v1/comply/fix", post(compliance::fix))
        .route("/v1/diagnose/open", post(checks::open))
        .route("/v1/groups/{group}/clone", post(console::clone))
        .route("/v1/groups/{group}/import", post(console::import))
        .route("/v1/groups/{group}/preset", post(console::preset))
        .route(
            "/v1/groups/{group}/shadow",
            get(shadow::show).route_layer(no_parameters()).put(shadow::set).delete(shadow::clear),
        )
        .route("/v1/groups/{group}/shadow/promote", post(shadow::promote))
        .route("/v1/groups/attach-by-tag", post(console::attach))
        .route("/v1/snapshots/{snapshot}/restore", post(snapshots::restore))
        .route("/v1/treatment", put(settings::set_treatment))
        .route("/v1/bypass", get(settings::bypass).route_layer(no_parameters()).put(settings::set_bypass))
        .route("/v1/groups/{group}/protection", put(groups::set_protection))
        .route("/v1/groups/{group}/manager", put(groups::set_manager))
        .route("/v1/interfaces/{eni}/manager", put(groups::set_eni_manager))
        .route("/v1/vpcs/{vpc}/sharing", put(groups::set_sharing))
        .route("/v1/platform", get(settings::platform).route_layer(no_parameters()).put(settings::set_platform))
}

/// Paths of which no method has any.
fn without_parameters() -> Router<Arc<App>> {
    Router::new()
        .route("/metrics", get(metrics::scrape))
        .route("/v1/status", get(status::status))
        .route("/v1/verify", post(verify::verify))
        .route("/v1/counters", get(status::counters))
        .route("/v1/accounts", get(accounts::list).post(accounts::create))
        .route("/v1/resource-groups", get(resource_groups::list).post(resource_groups::create))
        .route("/v1/resource-groups/{id}", delete(resource_groups::remove))
        .route("/v1/apply", post(trials::apply))
        .route("/v1/trials", get(trials::list))
        .route("/v1/trials/{id}/confirm", post(trials::confirm))
        .route("/v1/trials/{id}/rollback", post(trials::roll_back))
        .route("/v1/invariants", get(invariants::list))
        .route("/v1/invariants/check", post(invariants::check))
        .route("/v1/invariants/{name}", put(invariants::set).delete(invariants::remove))
        .route("/v1/diff", post(diff::diff))
        .route("/v1/who/all", get(who::all))
        .route("/v1/comply", post(compliance::check))
        .route("/v1/plan-check", post(console::plan_check))
        .route("/v1/snapshot-policies/{policy}", put(snapshots::edit_policy).delete(snapshots::delete_policy))
        .route("/v1/snapshot-policies/{policy}/groups", put(snapshots::attach))
        .route("/v1/snapshots/{snapshot}", get(snapshots::show))
        .route("/v1/snapshots/{snapshot}/difference", get(snapshots::difference))
}

/// What has no parameters refuses the first one that it is given by its name, as what has some does with one that it does not have.
async fn no_parameters(query: Result<Query<NoParameters>, QueryRejection>, request: Request, next: Next) -> Response {
    match query {
        Ok(Query(NoParameters {})) => next.run(request).await,
        Err(error) => checks::unreadable(&error).into_response(),
    }
}

/// A query without anything.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoParameters {}

/// Lets only the operator through.
async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = header.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    if app.secrets.is_token(token.trim()) {
        if let Some(connection) = connection(request.extensions()) {
            app.callers.note(connection, outside::now());
        }
        let response = next.run(request).await;
        if let Some(code) = response.extensions().get::<ErrorCode>() {
            app.refusals.count("native", error::word(*code));
        }
        return response;
    }
    app.refusals.count("native", error::word(ErrorCode::Unauthorized));
    let message = "the operator's token is missing or wrong; send `Authorization: Bearer TOKEN` with SEKIMORI_TOKEN";
    ApiError::new(ErrorCode::Unauthorized, message).into_response()
}

async fn unknown(request: Request) -> ApiError {
    let (method, path) = (request.method(), request.uri().path());
    ApiError::new(
        ErrorCode::NotFound,
        format!("`{method} {path}` is not part of the native API; see its documentation"),
    )
}

/// Reads a small JSON body.
async fn read<T: DeserializeOwned>(request: Request) -> Result<T, ApiError> {
    read_within(request, NATIVE_BODY_BYTES_MAX).await
}

/// Reads a JSON body of so many bytes.
async fn read_within<T: DeserializeOwned>(request: Request, bytes_max: usize) -> Result<T, ApiError> {
    let invalid =
        |what: &str| ApiError::new(ErrorCode::Invalid, format!("the request's body cannot be read: {what}"));
    let body = timeout(BODY_TIMEOUT, Limited::new(request.into_body(), bytes_max).collect()).await;
    let body = body.map_err(|_| invalid("it did not arrive in time; send it again"))?;
    let body = body.map_err(|error| invalid(&format!("{error}; send at most {bytes_max} bytes")))?;
    let body = body.to_bytes();
    serde_json::from_slice(&body).map_err(|error| match serde_json::from_slice::<IgnoredAny>(&body) {
        Ok(IgnoredAny) => invalid(&error.to_string()),
        Err(error) => invalid(&format!("{error}; send JSON")),
    })
}

/// Answers a question on a thread of its own, in its turn: many rules or interfaces take a while, and other requests must not wait for
/// it. The turn ends with the answer, also when nobody waits for that any more.
async fn apart<T: Send + 'static>(app: &App, answer: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    let Some(turn) = app.questions.take().await else {
        let message = format!(
            "{QUESTIONS_AT_A_TIME_MAX} questions are being answered and {QUESTIONS_WAITING_MAX} wait; ask again in a moment"
        );
        return Err(ApiError::new(ErrorCode::Overloaded, message));
    };
    let work = move || {
        let answer = answer();
        drop(turn);
        answer
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))
}

/// Has a command of the operator carried out.
async fn commit(app: &App, origin: Origin, command: Command) -> Result<(Outcome, World), ApiError> {
    Ok(app.committer.commit(actor(origin)?, command).await?)
}

/// The operator as the one who asks for a change.
fn actor(Origin { operation, from, connection: _ }: Origin) -> Result<Actor, NoEntropy> {
    let request_id = outside::request_id()?;
    Ok(Actor { who: "operator".to_owned(), operation: operation.to_owned(), from, request_id })
}

/// Which operation is called, and from where.
#[derive(Clone, Debug)]
struct Origin {
    operation: &'static str,
    from: Option<String>,
    /// The connection that the call came over.
    connection: Option<Connection>,
}

impl Origin {
    fn of(request: &Request, operation: &'static str) -> Self {
        let (from, connection) = (from(request.extensions()).to_string(), connection(request.extensions()));
        Self { operation, from: Some(from), connection }
    }
}

fn json<T: Serialize>(value: T) -> Answer<T> {
    Ok(Json(value))
}

#[cfg(test)]
mod tests;
