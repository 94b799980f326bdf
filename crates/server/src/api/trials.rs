//! The types of the calls that change something, and of those about changes on trial.

use serde::{Deserialize, Serialize};

use sekimori_analysis::lockout::{Cut, CutFlow};
use sekimori_core::{time::Timestamp, world::Revision};

use super::CloudRequest;

/// The answer of a change: what it says by itself, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed<T> {
    /// What it says by itself.
    #[serde(flatten)]
    pub answer: T,
    /// What becomes of it.
    #[serde(flatten)]
    pub aftermath: Aftermath,
}

/// What becomes of a change, whatever it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aftermath {
    /// Until when it is to be confirmed, if it is on trial.
    #[serde(default)]
    pub trial: Option<TrialTold>,
    /// Connections to the server that it cuts.
    #[serde(default)]
    pub cuts: Vec<Cut>,
    /// Live flows that it cuts, between an interface and an address that the server is managed from.
    #[serde(default)]
    pub flows: Vec<CutFlow>,
    /// Hosts whose live flows are not known, in words.
    #[serde(default)]
    pub unknown: Vec<String>,
    /// What it cuts, in words.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Other changes that are due and cannot be rolled back, in words.
    #[serde(default)]
    pub stuck: Vec<String>,
}

/// The request of `POST /v1/apply`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Apply {
    /// Requests of the clouds' APIs, in order; all of them or none.
    pub requests: Vec<CloudRequest>,
    /// Undoes it unless it is confirmed within so many seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_within_s: Option<u32>,
    /// Applies it even if it cuts a connection to the server.
    #[serde(default)]
    pub force: bool,
    /// Changes nothing, and is answered as `POST /v1/diff` is.
    #[serde(default)]
    pub dry_run: bool,
}

/// What `POST /v1/apply` says by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// What was done.
    pub operations: Vec<String>,
    /// The revision after it.
    pub revision: Revision,
}

/// A change on trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialTold {
    /// Its name.
    pub id: String,
    /// The revision that made it.
    pub revision: Revision,
    /// What was asked for.
    pub operations: Vec<String>,
    /// When it was made.
    pub made_at: Timestamp,
    /// When it is undone.
    pub until: Timestamp,
    /// What it changed: `rule/sg-1/sgr-2`.
    pub facts: Vec<String>,
    /// Why it is not rolled back though its time is up. It is tried again each second, and may still be confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stuck: Option<String>,
}

/// The answer of `GET /v1/trials`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trials {
    /// By name.
    pub trials: Vec<TrialTold>,
    /// The time of the server.
    pub now: Timestamp,
}

/// The answer of `POST /v1/trials/ID/rollback`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolledBack {
    /// What is as it was before.
    pub restored: Vec<String>,
    /// What is not, each with the reason.
    pub left: Vec<String>,
    /// The revision after it.
    pub revision: Revision,
}
