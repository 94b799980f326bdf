//! What a host counts beside its decisions: what the candidates of an ENI's groups would have decided about its new flows.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{
    ids::{EniId, GroupId, RuleId},
    rule::Direction,
    time::Timestamp,
};

/// What was counted at one ENI.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowCount {
    /// The interface.
    pub eni: EniId,
    /// The candidates that it was counted for: see `World::round_of`.
    pub round: u64,
    /// All of it.
    pub cells: ShadowCells,
    /// By who decided, live and candidate. Flows of rules that are gone, or beyond the table's room, are in the cells only.
    pub pairs: Vec<ShadowPair>,
    /// Flows that would be decided otherwise: the latest of them.
    pub witnesses: Vec<ShadowWitness>,
}

/// New flows of one ENI by what became of them and what would have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowCells {
    /// Allowed, and would be.
    pub allowed: u64,
    /// Denied, and would be.
    pub denied: u64,
    /// Denied, and would be allowed.
    pub opened: u64,
    /// Allowed, and would be denied.
    pub closed: u64,
    /// Not compared: they began while something was being changed.
    pub skipped: u64,
}

impl ShadowCells {
    /// The sum of two.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            allowed: self.allowed.saturating_add(other.allowed),
            denied: self.denied.saturating_add(other.denied),
            opened: self.opened.saturating_add(other.opened),
            closed: self.closed.saturating_add(other.closed),
            skipped: self.skipped.saturating_add(other.skipped),
        }
    }

    /// The same with some more flows of one kind.
    #[must_use]
    pub fn with(mut self, (live, candidate): (bool, bool), flows: u64) -> Self {
        let cell = match (live, candidate) {
            (true, true) => &mut self.allowed,
            (false, false) => &mut self.denied,
            (false, true) => &mut self.opened,
            (true, false) => &mut self.closed,
        };
        *cell = cell.saturating_add(flows);
        self
    }
}

/// Who decided about a flow, or would have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Decider {
    /// Whether it passes.
    pub passes: bool,
    /// The reason, without names.
    pub reason: String,
    /// The rule, if one decides: its group, and its name; none is the intra-group accept.
    pub rule: Option<(GroupId, Option<RuleId>)>,
}

/// Flows that one decider decided about and another would have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowPair {
    /// Towards or away from the ENI.
    pub direction: Direction,
    /// Who did.
    pub live: Decider,
    /// Who would have.
    pub candidate: Decider,
    /// How many.
    pub flows: u64,
}

/// Flows between two addresses to one service that would be decided otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowWitness {
    /// Towards or away from the ENI.
    pub direction: Direction,
    /// The ENI's own address.
    pub local: IpAddr,
    /// The other end.
    pub peer: IpAddr,
    /// IANA number.
    pub protocol: u8,
    /// The destination port, or `type << 8 | code` of ICMP; 0 without either.
    pub port: u16,
    /// Who decided.
    pub live: Decider,
    /// Who would have.
    pub candidate: Decider,
    /// How many.
    pub flows: u64,
    /// When the last one began.
    pub seen_at: Timestamp,
}
