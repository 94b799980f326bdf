//! What can be asked of paths and their analyses. Plain data; [`crate::apply`] gives it its meaning.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{AccountId, InsightsPathId},
    insights::{PathFinding, PathQuestion},
    tags::Tags,
    world::Revision,
};

/// A path to be kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewInsightsPath {
    /// The owner.
    pub account: AccountId,
    /// The region.
    pub region: String,
    /// From where to where.
    pub question: PathQuestion,
    /// Tags.
    pub tags: Tags,
}

/// An analysis to be kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewInsightsAnalysis {
    /// The owner.
    pub account: AccountId,
    /// The path.
    pub path: InsightsPathId,
    /// The world that was looked at.
    pub revision: Revision,
    /// What was found. Empty in a request: whoever carries it out looks first.
    pub finding: PathFinding,
    /// Tags.
    pub tags: Tags,
}
