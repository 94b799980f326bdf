//! How an agent reports what was counted, so that nothing is lost or counted twice whoever is killed.
//!
//! A counter has *lives*: it begins one when it gets its number on a host, and when the host has booted, and each begins at zero.
//! An agent tells totals of lives, never differences; so a report may be told again. A server adds up the lives of a counter. A
//! life that is over is told with its last total, and kept by the agent until the server says that it is written down.

use serde::{Deserialize, Serialize};

use super::{Count, ShadowCount};
use crate::{
    flow_room::FlowUse,
    ids::{EniId, GroupId, RuleId},
    rule::Direction,
};

/// Totals in one message.
pub const TALLIES_PER_MESSAGE_MAX: usize = 16_384;

/// What is counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Counter {
    /// What a rule decided.
    Rule {
        /// The group; for an intra-group accept, the group whose policy it is.
        group: GroupId,
        /// The rule; `None` is the intra-group accept.
        rule: Option<RuleId>,
    },
    /// What an ENI passed or dropped for one reason.
    Eni {
        /// The interface.
        eni: EniId,
        /// Towards or away from it.
        direction: Direction,
        /// Whether they passed.
        passed: bool,
        /// The reason, without names.
        reason: String,
    },
}

/// What a counter has counted in one of its lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Which counter.
    pub counter: Counter,
    /// Which of its lives: a random number.
    pub life: u64,
    /// Whether it will count no more.
    pub is_over: bool,
    /// How much. ENIs count packets only.
    pub count: Count,
}

/// What is as it is now, and is not added up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gauges {
    /// Live flows on the host.
    pub flows: u64,
    /// Those of IPv6: each IP version has a table of its own.
    pub flows_v6: u64,
    /// How they fill their room.
    #[serde(default)]
    pub flow_use: FlowUse,
    /// What candidates would have decided, by ENI.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shadows: Vec<ShadowCount>,
}

/// Totals that have changed since they were told on this connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TallyReport {
    /// The number of this report on its connection, from 1.
    pub number: u64,
    /// The last report of which the agent heard that what is over in it is written down, and which it has forgotten.
    pub forgotten: u64,
    /// Whether every life that has counted anything on the host was told on this connection by now, this report included.
    pub is_whole: bool,
    /// The totals.
    pub tallies: Vec<Tally>,
    /// The rest, in the last message of a report.
    pub gauges: Option<Gauges>,
}
