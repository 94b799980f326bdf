//! What can be asked of candidates. Plain data; [`crate::apply`] gives it its meaning.

use serde::{Deserialize, Serialize};

use super::NewRule;
use crate::ids::GroupId;

/// What is to be done with the candidate of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShadowCommand {
    /// The group gets a candidate, in place of the one that it may have.
    Set {
        /// The group.
        group: GroupId,
        /// The rules, all of them.
        rules: Vec<NewRule>,
    },
    /// The group has no candidate any more.
    Clear {
        /// The group.
        group: GroupId,
    },
    /// The candidate becomes the rules of the group.
    Promote {
        /// The group.
        group: GroupId,
        /// Also when the group says something else than when the candidate was set.
        is_forced: bool,
    },
}
