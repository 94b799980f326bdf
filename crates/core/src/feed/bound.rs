//! What an agent says about the interfaces of others that ENIs of its host are bound to.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::EniId;

/// How it stands at one of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundInterface {
    /// The ENI that is bound there.
    pub eni: EniId,
    /// How it stands.
    pub state: BoundState,
    /// What is wrong, in plain words; empty when nothing is.
    pub note: String,
}

/// Whether packets are judged at a bound interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BoundState {
    /// They are.
    Judged,
    /// There is no such interface now. It is closed as soon as it is there.
    Absent,
    /// It is there, and drops everything.
    Closed,
    /// It is there, and nothing could be done about what passes it.
    Open,
}

impl fmt::Display for BoundState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Judged => "judged",
            Self::Absent => "absent",
            Self::Closed => "closed",
            Self::Open => "open",
        })
    }
}
