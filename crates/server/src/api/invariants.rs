//! The types of the calls about invariants.

use serde::{Deserialize, Serialize};

use sekimori_analysis::invariant::Judged;
use sekimori_core::{invariant::Mode, world::Revision};

/// The request of `PUT /v1/invariants/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetInvariant {
    /// What it says, for example `internet must-not reach tag:role=db tcp/22`.
    pub statement: String,
    /// What becomes of a change that violates it; absent refuses it.
    #[serde(default)]
    pub mode: Mode,
}

/// The answer of `PUT /v1/invariants/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvariantAnswer {
    /// The invariant, and whether it holds.
    pub invariant: Judged,
    /// Changes on trial whose rollback would be refused as things are, each with the reason.
    #[serde(default)]
    pub forbids: Vec<String>,
    /// The revision after it.
    pub revision: Revision,
}
