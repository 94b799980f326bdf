//! What a client is told about a failure, in either dialect: status, code and message.

/// What a client is told about a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The HTTP status.
    pub status: u16,
    /// The error code.
    pub code: &'static str,
    /// The message.
    pub message: String,
}

pub(crate) fn failure(status: u16, code: &'static str, message: impl Into<String>) -> Failure {
    Failure { status, code, message: message.into() }
}
