//! What can be asked of snapshot policies. Plain data; [`crate::apply`] gives it its meaning.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{AccountId, SnapshotPolicyId},
    snapshot::Retention,
};

/// A snapshot policy to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewSnapshotPolicy {
    /// The owner.
    pub account: AccountId,
    /// The owner's name for it.
    pub name: String,
    /// Whether snapshots are taken by it.
    pub is_enabled: bool,
    /// For how long each is kept.
    pub retention: Retention,
}

/// A change of a snapshot policy. What is `None` stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotPolicyEdit {
    /// The policy.
    pub policy: SnapshotPolicyId,
    /// A new name.
    pub name: Option<String>,
    /// Whether snapshots are taken by it from now on.
    pub is_enabled: Option<bool>,
    /// For how long snapshots are kept that are taken from now on.
    pub retention: Option<Retention>,
}
