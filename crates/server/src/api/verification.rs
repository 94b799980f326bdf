//! What hosts say when they are asked whether their kernels hold what was committed.

use serde::{Deserialize, Serialize};

use sekimori_core::{feed::Difference, ids::HostId, world::Revision};

use crate::verify::{Noted, Totals};

/// The request of `POST /v1/verify`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// One host; absent asks all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostId>,
    /// How long the hosts may take, in seconds.
    #[serde(default = "default_timeout_s")]
    pub timeout_s: u64,
}

fn default_timeout_s() -> u64 {
    30
}

/// The answer of `POST /v1/verify`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// By host.
    pub hosts: Vec<HostVerification>,
}

/// What one host has found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostVerification {
    /// The host.
    pub host: HostId,
    /// Why it has not answered.
    pub failure: Option<String>,
    /// The revision that its kernel was compared with.
    pub revision: Option<Revision>,
    /// Entries that were compared.
    pub checked: u64,
    /// Differences that were found.
    pub found: u64,
    /// What they were, as far as there was room.
    pub differences: Vec<Difference>,
    /// What was found in the background since this was asked last.
    pub background: Vec<Noted>,
    /// Since the server heard of the host first.
    pub totals: Totals,
}

impl Verification {
    /// Whether anything differed, now or since this was asked last.
    #[must_use]
    pub fn has_differences(&self) -> bool {
        self.hosts.iter().any(|host| host.found > 0 || !host.background.is_empty())
    }
}
