//! Requests of either cloud in the operator's hands: what the native API is told of one, and how a cloud refuses it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use sekimori_core::world::Dialect;

/// How a cloud refuses a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudFailure {
    /// The HTTP status.
    pub status: u16,
    /// The error code.
    pub code: String,
    /// The message.
    pub message: String,
}

/// A request of either cloud's API without a signature, for what the operator asks about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloudRequest {
    /// The action and its parameters, under the names that a client sends.
    pub parameters: CloudParameters,
    /// Whose API it speaks; absent is what `Version` says, or the dialect of the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialect: Option<Dialect>,
    /// Who asks, by number or name; absent is the only account of the dialect, or the only one that owns what the request names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The region that a request of EC2 is about; absent is the server's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

/// Parameters of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CloudParameters {
    /// As in a query: `Action=DeleteSecurityGroup&SecurityGroupId=sg-1`.
    Query(String),
    /// By name; a value is a text, a number or a truth.
    Named(BTreeMap<String, serde_json::Value>),
}
