//! Why a packet passes or not, with what was seen of it, as the native API tells it.

use serde::{Deserialize, Serialize};

use sekimori_analysis::why::Explanation;
use sekimori_core::{
    feed::Count,
    ids::{EniId, GroupId, HostId, RuleId},
    rule::Direction,
    time::Timestamp,
    world::Revision,
};

use super::{FlowSight, LiveSight};

/// The answer of `GET /v1/why`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyAnswer {
    /// What the world says.
    #[serde(flatten)]
    pub explanation: Explanation,
    /// What the hosts have told.
    pub evidence: Evidence,
}

/// What was seen of the ends of a question and of what decides there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What the hosts of the interfaces enforce.
    pub hosts: Vec<EnforcedAt>,
    /// What was counted where it is decided.
    pub counters: Vec<Decided>,
    /// Since when it is noted when rules were last used.
    pub watched_since: Timestamp,
    /// The live flows that such packets began, as the kernels hold them.
    #[serde(default)]
    pub live: LiveEvidence,
    /// The newest events about such packets, the oldest of them first.
    pub flows: Vec<FlowSight>,
    /// Since when events are recorded; absent while they are not.
    pub recorded_since: Option<Timestamp>,
}

/// Live flows of the service at the interfaces of the answer; between its two ends, if they are two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveEvidence {
    /// How many there are: a connection between two interfaces is a flow at each.
    pub count: u64,
    /// Some of them, those that had a packet last.
    pub flows: Vec<LiveSight>,
    /// The hosts whose flows are not known, in words.
    pub unknown: Vec<String>,
}

/// What the host of an interface enforces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnforcedAt {
    /// The interface.
    pub eni: EniId,
    /// Its host; none for an interface that is attached to nothing.
    pub host: Option<HostId>,
    /// The revision that it has applied; none if it has told none.
    pub applied: Option<Revision>,
    /// Whether that is the revision of the answer, or a newer one.
    pub is_current: bool,
}

/// How often something decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// The interface that was asked about.
    pub eni: EniId,
    /// Towards or away from it.
    pub direction: Direction,
    /// The group whose rule it is, or whose members accept each other.
    pub group: Option<GroupId>,
    /// The rule.
    pub rule: Option<RuleId>,
    /// The reason, as counters name it.
    pub reason: String,
    /// Packets and bytes: of a rule at all interfaces that have it, else of this interface, whose bytes are not counted.
    pub count: Count,
    /// When the rule last decided, a minute exact.
    pub last_used: Option<Timestamp>,
}
