//! What the operator asserts about who reaches whom. Plain data; [`crate::apply`] gives it its meaning.

use serde::{Deserialize, Serialize};

use crate::invariant::{Mode, Statement};

/// What is to be done to an invariant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InvariantCommand {
    /// Sets it, in place of the one that has its name.
    Set {
        /// Its name.
        name: String,
        /// What it says.
        statement: Statement,
        /// What becomes of a change that violates it.
        mode: Mode,
    },
    /// Removes it.
    Remove {
        /// Its name.
        name: String,
    },
}
