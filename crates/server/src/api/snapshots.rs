//! The types of the calls about snapshots of group rules.

use serde::{Deserialize, Serialize};

use sekimori_analysis::snapshot::Difference;
use sekimori_core::{
    ids::{AccountId, GroupId},
    snapshot::Retention,
    world::Revision,
};

/// The request of `POST /v1/snapshot-policies`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewSnapshotPolicy {
    /// Whose it is; absent is the only account there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// A name for people.
    pub name: String,
    /// For how many days each snapshot is kept.
    #[serde(default)]
    pub retention_days: Retention,
    /// Whether snapshots are taken by it.
    #[serde(default = "yes")]
    pub enabled: bool,
}

fn yes() -> bool {
    true
}

/// The request of `PUT /v1/snapshot-policies/ID`. What is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EditSnapshotPolicy {
    /// A new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For how many days snapshots are kept that are taken from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<Retention>,
    /// Whether snapshots are taken by it from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// The request of `PUT /v1/snapshot-policies/ID/groups`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttachSnapshotPolicy {
    /// The groups.
    pub groups: Vec<GroupId>,
    /// Whether the policy is to be attached to them.
    pub attached: bool,
}

/// The request of `POST /v1/snapshots/ID/restore`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreSnapshot {
    /// Shows what would change.
    #[serde(default)]
    pub dry_run: bool,
}

/// The answer of `POST /v1/snapshots/ID/restore`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreAnswer {
    /// What a restore changes.
    pub difference: Difference,
    /// Whether it was done.
    pub restored: bool,
    /// The revision after it.
    pub revision: Revision,
}
