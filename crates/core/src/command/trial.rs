//! What is said about changes on trial. Plain data; [`crate::apply`] gives it its meaning.

use serde::{Deserialize, Serialize};

use super::Command;

/// What is to be done to a change on trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrialCommand {
    /// Carries a command out, and undoes it unless it is confirmed in time.
    Begin {
        /// The command.
        command: Box<Command>,
        /// What was asked for, in the cloud's words.
        operations: Vec<String>,
        /// How long it waits to be confirmed.
        within_s: u32,
    },
    /// It stays.
    Confirm {
        /// The change on trial.
        id: String,
        /// Also after its time: it is due, and cannot be rolled back.
        even_late: bool,
    },
    /// It is undone now.
    RollBack {
        /// The change on trial.
        id: String,
    },
}
