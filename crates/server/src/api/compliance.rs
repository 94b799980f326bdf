//! Compliance in the native API. What is asked, and the report, are the analysis's own types.

use serde::{Deserialize, Serialize};

use sekimori_analysis::comply::fix::Plan;
use sekimori_core::world::Revision;

/// The answer of `POST /v1/comply/fix`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixedCompliance {
    /// The remedy.
    pub plan: Plan,
    /// Whether it was carried out.
    pub applied: bool,
    /// The revision of the change, or of the world that the remedy was planned in.
    pub revision: Revision,
}
