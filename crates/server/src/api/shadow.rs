//! The types of the calls about candidates of groups.

use serde::{Deserialize, Serialize};

use sekimori_analysis::shadow::Plan;
use sekimori_core::world::Revision;

/// The answer of `PUT /v1/groups/GROUP/shadow`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowAnswer {
    /// What the candidate is.
    pub plan: Plan,
    /// Whether it was set.
    pub set: bool,
    /// The revision after it.
    pub revision: Revision,
}

/// The request of `POST /v1/groups/GROUP/shadow/promote`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromoteShadow {
    /// Also when the rules of the group have changed since the candidate was set.
    #[serde(default)]
    pub force: bool,
}
