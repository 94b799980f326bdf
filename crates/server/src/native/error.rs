//! Errors of the native API: one code, one status, one message. The only place that maps to either.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};

use sekimori_analysis::{
    diagnose::{DiagnoseError, open::OpenError},
    ends::NotOne,
    health::HealthError,
    nft::NftError,
    preset::PresetError,
    snapshot::UnknownSnapshot,
    transfer::{TransferError, clone::CloneError},
    who::WhoError,
    why::WhyError,
};
use sekimori_cloud::failure::Failure;
use sekimori_core::{end::EndError, invariant::StatementError, refusal::Refusal};

use crate::{
    api::{CloudFailure, ErrorBody, ErrorCode, ErrorDetail},
    commit::CommitError,
    outside::NoEntropy,
};

/// An error on its way to the client.
#[derive(Debug)]
pub(super) struct ApiError {
    code: ErrorCode,
    message: String,
    cloud: Option<CloudFailure>,
}

impl ApiError {
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), cloud: None }
    }

    /// What a cloud answers to a request in its own words.
    pub(super) fn of_cloud(operation: &str, failure: Failure) -> Self {
        let Failure { status, code, message } = failure;
        let text = format!("{operation} is refused with {code} ({status}): {message}");
        let kind = match status {
            404 => ErrorCode::NotFound,
            409 => ErrorCode::Refused,
            _ => ErrorCode::Invalid,
        };
        Self { code: kind, message: text, cloud: Some(CloudFailure { status, code: code.to_owned(), message }) }
    }

    /// The status and what the body says of the error, for tests.
    #[cfg(test)]
    pub(super) fn told(self) -> (u16, serde_json::Value) {
        let status = self.status().as_u16();
        let detail = ErrorDetail { code: self.code, message: self.message, cloud: self.cloud };
        (status, serde_json::to_value(detail).unwrap_or_default())
    }

    fn status(&self) -> StatusCode {
        match self.code {
            ErrorCode::Unauthorized => StatusCode::UNAUTHORIZED,
            ErrorCode::NotFound => StatusCode::NOT_FOUND,
            ErrorCode::Invalid => StatusCode::BAD_REQUEST,
            ErrorCode::Refused => StatusCode::CONFLICT,
            ErrorCode::Timeout => StatusCode::GATEWAY_TIMEOUT,
            ErrorCode::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// A code as the body spells it.
pub(super) fn word(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Unauthorized => "unauthorized",
        ErrorCode::NotFound => "not-found",
        ErrorCode::Invalid => "invalid",
        ErrorCode::Refused => "refused",
        ErrorCode::Timeout => "timeout",
        ErrorCode::Overloaded => "overloaded",
        ErrorCode::Internal => "internal",
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        let Self { code, message, cloud } = self;
        tracing::info!(status = status.as_u16(), ?code, "a native request was refused");
        let mut response = (status, Json(ErrorBody { error: ErrorDetail { code, message, cloud } })).into_response();
        // For who counts refusals.
        response.extensions_mut().insert(code);
        response
    }
}

impl From<NoEntropy> for ApiError {
    fn from(error: NoEntropy) -> Self {
        Self::new(ErrorCode::Internal, error.to_string())
    }
}

impl From<CommitError> for ApiError {
    fn from(error: CommitError) -> Self {
        let code = match &error {
            CommitError::Refused(Refusal::Missing { .. }) => ErrorCode::NotFound,
            CommitError::Refused(_) => ErrorCode::Refused,
            CommitError::Overloaded | CommitError::Store(_) | CommitError::Stopped => ErrorCode::Overloaded,
            CommitError::Entropy(_) => ErrorCode::Internal,
        };
        Self::new(code, error.to_string())
    }
}

impl From<NftError> for ApiError {
    fn from(error: NftError) -> Self {
        let code = match &error {
            NftError::Unknown(_) => ErrorCode::NotFound,
            NftError::Target(error) => code_of_one(error),
            NftError::NoDevice { .. }
            | NftError::Stranger { .. }
            | NftError::BadDevice(_)
            | NftError::Shared { .. }
            | NftError::Overlap { .. }
            | NftError::BadName(_) => ErrorCode::Invalid,
        };
        Self::new(code, error.to_string())
    }
}

/// The code for what is no end.
fn code_of_end(error: &EndError) -> ErrorCode {
    match error {
        EndError::Unknown(_) => ErrorCode::NotFound,
        EndError::Ambiguous { .. }
        | EndError::NotKept(_)
        | EndError::Block(_)
        | EndError::Tag(_)
        | EndError::Tags(_) => ErrorCode::Invalid,
    }
}

impl From<StatementError> for ApiError {
    fn from(error: StatementError) -> Self {
        let code = match &error {
            StatementError::End(error) => code_of_end(error),
            StatementError::Unfinished(_)
            | StatementError::Long(_)
            | StatementError::Verb(_)
            | StatementError::Service(_)
            | StatementError::Services(_)
            | StatementError::BothOutside => ErrorCode::Invalid,
        };
        Self::new(code, error.to_string())
    }
}

impl From<WhyError> for ApiError {
    fn from(error: WhyError) -> Self {
        let code = match &error {
            WhyError::End(error) => code_of_end(error),
            WhyError::UnknownVpc(_) => ErrorCode::NotFound,
            WhyError::NoMembers(_) | WhyError::TooMany { .. } => ErrorCode::Refused,
            WhyError::Block(_)
            | WhyError::NotOne(_)
            | WhyError::BadService(_)
            | WhyError::NoPort { .. }
            | WhyError::ManyPorts { .. }
            | WhyError::NoCommonVpc { .. }
            | WhyError::AmbiguousVpc { .. }
            | WhyError::BothOutside { .. }
            | WhyError::SameEnd { .. }
            | WhyError::NoCommonFamily { .. }
            | WhyError::WrongFamily { .. } => ErrorCode::Invalid,
        };
        Self::new(code, error.to_string())
    }
}

impl From<WhoError> for ApiError {
    fn from(error: WhoError) -> Self {
        let code = match &error {
            WhoError::End(error) => code_of_end(error),
            WhoError::UnknownVpc(_) => ErrorCode::NotFound,
            WhoError::BothOutside { .. } | WhoError::Elsewhere { .. } => ErrorCode::Invalid,
            WhoError::Nobody(_) | WhoError::TooLong | WhoError::TooMany | WhoError::TooComplex(_) => {
                ErrorCode::Refused
            }
        };
        Self::new(code, error.to_string())
    }
}

/// The code for what is not one interface.
pub(super) fn code_of_one(error: &NotOne) -> ErrorCode {
    match error {
        NotOne::End(error) => code_of_end(error),
        NotOne::Nobody(_) => ErrorCode::NotFound,
        NotOne::Several { .. } => ErrorCode::Invalid,
    }
}

impl From<NotOne> for ApiError {
    fn from(error: NotOne) -> Self {
        Self::new(code_of_one(&error), error.to_string())
    }
}

impl From<HealthError> for ApiError {
    fn from(error: HealthError) -> Self {
        let code = match &error {
            HealthError::Unknown(_) => ErrorCode::NotFound,
            HealthError::TooComplex { .. } => ErrorCode::Refused,
        };
        Self::new(code, error.to_string())
    }
}

impl From<DiagnoseError> for ApiError {
    fn from(error: DiagnoseError) -> Self {
        let code = match &error {
            DiagnoseError::Target(error) => code_of_one(error),
            DiagnoseError::Service(_) | DiagnoseError::Family { .. } => ErrorCode::Invalid,
            DiagnoseError::TooComplex(_) => ErrorCode::Refused,
        };
        Self::new(code, error.to_string())
    }
}

impl From<OpenError> for ApiError {
    fn from(error: OpenError) -> Self {
        let code = match error {
            OpenError::Question(error) => return error.into(),
            OpenError::Nobody(_) | OpenError::World(_) | OpenError::Group { .. } => ErrorCode::Invalid,
            OpenError::Denied { .. } | OpenError::NoRule(_) => ErrorCode::Refused,
        };
        Self::new(code, error.to_string())
    }
}

impl From<TransferError> for ApiError {
    fn from(error: TransferError) -> Self {
        let code = match &error {
            TransferError::Unknown(_) => ErrorCode::NotFound,
            TransferError::NotEcs(_) => ErrorCode::Refused,
            TransferError::TooLarge(_) | TransferError::Unreadable(_) => ErrorCode::Invalid,
        };
        Self::new(code, error.to_string())
    }
}

impl From<CloneError> for ApiError {
    fn from(error: CloneError) -> Self {
        let code = match &error {
            CloneError::Unknown(_) | CloneError::UnknownVpc(_) => ErrorCode::NotFound,
            CloneError::OtherRegion { .. } | CloneError::WhichVpc { .. } => ErrorCode::Invalid,
        };
        Self::new(code, error.to_string())
    }
}

impl From<UnknownSnapshot> for ApiError {
    fn from(error: UnknownSnapshot) -> Self {
        Self::new(ErrorCode::NotFound, error.to_string())
    }
}

impl From<PresetError> for ApiError {
    fn from(error: PresetError) -> Self {
        let code = match &error {
            PresetError::UnknownGroup(_) => ErrorCode::NotFound,
            PresetError::Unknown(_)
            | PresetError::Nobody(_)
            | PresetError::BadPeer(_)
            | PresetError::Needs { .. } => ErrorCode::Invalid,
        };
        Self::new(code, error.to_string())
    }
}
