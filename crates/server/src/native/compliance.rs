//! Compliance: the controls asked of the newest world, and remedies of what they find.
//!
//! A remedy is planned from one world and committed only if that world is still the newest, as one change with its caller.

use std::sync::Arc;

use axum::extract::{Request, State};

use sekimori_analysis::comply::{
    self, ComplyError, Question, Report,
    fix::{self, FixError, Plan},
};

use super::{
    Answer, ApiError, Origin, apart,
    change::{Manner, Told, carry_out},
    json, read,
};
use crate::{
    api::{ErrorCode, FixedCompliance},
    app::App,
    http::from,
};

/// `POST /v1/comply`.
pub(super) async fn check(State(app): State<Arc<App>>, request: Request) -> Answer<Report> {
    let question: Question = read(request).await?;
    let world = app.committer.world();
    json(apart(&app, move || comply::check(&world, &question)).await??)
}

/// `POST /v1/comply/fix`.
pub(super) async fn fix(
    State(app): State<Arc<App>>,
    manner: Manner,
    request: Request,
) -> Answer<Told<FixedCompliance>> {
    let origin = Origin::of(&request, "FixCompliance");
    let caller = from(request.extensions());
    let request: fix::Request = read(request).await?;
    let world = app.committer.world();
    if let Some(at) = request.at.filter(|at| *at != world.revision()) {
        let message =
            format!("the world has changed since revision {at}, which the remedy was shown for; ask for it again");
        return Err(ApiError::new(ErrorCode::Refused, message));
    }
    let (limits, asked, looked_at) = (app.limits, request.clone(), world.clone());
    let plan: Plan = apart(&app, move || fix::plan(&looked_at, limits, &asked, Some(caller))).await??;
    if request.dry_run {
        return json(Told::planned(FixedCompliance { plan, applied: false, revision: world.revision() }));
    }
    if plan.opens() && !request.accept_gain {
        let message =
            "the remedy also lets pass what does not pass now; look at it, and say so if it is meant (--accept-gain)";
        return Err(ApiError::new(ErrorCode::Refused, message));
    }
    let made = carry_out(&app, &origin, manner, &world, plan.commands.clone()).await?;
    made.told(|_, world| FixedCompliance { plan, applied: true, revision: world.revision() })
}

impl From<ComplyError> for ApiError {
    fn from(error: ComplyError) -> Self {
        let code = match &error {
            ComplyError::Standard { .. } | ComplyError::Control { .. } | ComplyError::Resource(_) => {
                ErrorCode::NotFound
            }
            ComplyError::Nothing | ComplyError::Parameter(_) | ComplyError::TooMany(_) => ErrorCode::Invalid,
        };
        Self::new(code, error.to_string())
    }
}

impl From<FixError> for ApiError {
    fn from(error: FixError) -> Self {
        let code = match error {
            FixError::Question(error) => return error.into(),
            FixError::NoFinding(_) | FixError::Which | FixError::Caller(_) | FixError::Target(_) => {
                ErrorCode::Invalid
            }
            FixError::Complies(_) | FixError::Rule { .. } => ErrorCode::NotFound,
            FixError::ByHand { .. } | FixError::NotEnough { .. } | FixError::Refused(_) | FixError::TooComplex(_) => {
                ErrorCode::Refused
            }
        };
        Self::new(code, error.to_string())
    }
}
