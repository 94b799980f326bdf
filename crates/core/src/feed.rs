//! What server and agent say to each other. The transport is theirs; the words and the version are here.

mod bound;
mod read_back;
mod shadow;
mod slice;
mod tally;

use serde::{Deserialize, Serialize};

pub use self::{
    bound::{BoundInterface, BoundState},
    read_back::{DIFFERENCES_MAX, Difference, Part, ReadBack},
    shadow::{Decider, ShadowCells, ShadowCount, ShadowPair, ShadowWitness},
    slice::Slice,
    tally::{Counter, Gauges, TALLIES_PER_MESSAGE_MAX, Tally, TallyReport},
};
use crate::{
    change::{Change, Commit},
    flow_event::{FlowInterest, FlowReport},
    flow_record::TrafficPart,
    flow_room::FlowUse,
    ids::{EniId, GroupId, HostId, RuleId},
    live_flow::{FlowsWanted, LiveFlows},
    packet::Why,
    rule::Direction,
    world::Revision,
};

/// The version of this interface. A change to any type below, or to what a change means, raises it.
pub const FEED_VERSION: u32 = 10;

/// The largest message, in bytes. A snapshot is sent in parts of at most [`SNAPSHOT_PART_CHANGES`].
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Changes in one part of a snapshot.
pub const SNAPSHOT_PART_CHANGES: usize = 4_096;

/// What an agent knows: a revision of the world, with the rules of some groups only.
///
/// An agent is told everything that is declared, except keys and what is kept for the API's own use; but of the rules, which
/// are most of it, only those of the groups that an interface of its host has, or has had since the agent began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The revision.
    pub revision: Revision,
    /// The groups whose rules are known, all of them.
    pub groups: Vec<GroupId>,
}

/// From an agent to its server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromAgent {
    /// The first message.
    Hello {
        /// [`FEED_VERSION`] of the agent.
        version: u32,
        /// The host it enforces.
        host: HostId,
        /// Send what changed after this; `None` asks for a snapshot.
        after: Option<Known>,
    },
    /// What the kernel enforces now.
    Applied {
        /// The applied revision.
        revision: Revision,
        /// Interfaces that do not have their policy, with the reason; they drop everything.
        closed: Vec<ClosedEni>,
    },
    /// Totals of everything that was counted since the last report.
    Counters(TallyReport),
    /// What was compared with the kernel, and what differed.
    ReadBack(ReadBack),
    /// Packets that began a flow or were dropped, as far as somebody reads of them.
    Flows(FlowReport),
    /// A part of a minute's traffic. The next minute follows when the server has written this one down.
    Traffic(TrafficPart),
    /// The live flows that were asked for.
    LiveFlows(LiveFlows),
    /// How it stands at every interface that an ENI of the host is bound to.
    Bound(Vec<BoundInterface>),
}

/// An interface that could not be given its policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedEni {
    /// The interface.
    pub eni: EniId,
    /// Why, and what to do.
    pub reason: String,
}

/// From a server to an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromServer {
    /// The answer to a hello.
    Welcome {
        /// [`FEED_VERSION`] of the server.
        version: u32,
    },
    /// A part of a snapshot. The last part says what the whole is.
    Snapshot {
        /// Facts, in the order of [`crate::change::Row`].
        changes: Vec<Change>,
        /// Set on the last part.
        complete: Option<Known>,
    },
    /// A commit, in order, without a gap.
    Commit {
        /// What it changed, as far as the agent is told, and every rule of the groups below.
        commit: Commit,
        /// Groups whose rules are known from here on.
        groups: Vec<GroupId>,
    },
    /// Compare everything with the kernel, repair what differs, and tell it in a [`ReadBack`] with this number.
    Verify {
        /// The number.
        request: u64,
    },
    /// Tell live flows, in a [`LiveFlows`] with this number.
    LiveFlows {
        /// The number.
        request: u64,
        /// Which.
        wanted: FlowsWanted,
    },
    /// Which events of flows are wanted from now on; none before the first of these.
    Watch(FlowInterest),
    /// A minute's traffic need not be told again.
    Recorded {
        /// When it began.
        start_s: i64,
    },
    /// The totals of what is over, up to this report of the connection, are written down.
    Counted {
        /// The number of the report.
        report: u64,
    },
    /// The agent cannot be served; it must not try again unchanged.
    Refused {
        /// Why, and what to do.
        reason: String,
    },
}

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Packets; a GSO packet counts its segments.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// How often a rule decided about a new flow or a denied packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleCount {
    /// The group; for an intra-group accept, the group whose policy it is.
    pub group: GroupId,
    /// The rule; `None` is the intra-group accept.
    pub rule: Option<RuleId>,
    /// Packets that it decided. Packets of known flows are not judged again and not counted here.
    pub count: Count,
}

/// How many packets one ENI passed or dropped for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EniCount {
    /// The interface.
    pub eni: EniId,
    /// Towards or away from it.
    pub direction: Direction,
    /// Whether they passed.
    pub passed: bool,
    /// The reason, without names.
    pub reason: String,
    /// How many.
    pub packets: u64,
}

/// A set of totals, added up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterReport {
    /// By rule.
    pub rules: Vec<RuleCount>,
    /// By ENI and reason.
    pub enis: Vec<EniCount>,
    /// Live flows on the host.
    pub flows: u64,
    /// Those of IPv6: each IP version has a table of its own.
    #[serde(default)]
    pub flows_v6: u64,
    /// How they fill their room.
    #[serde(default)]
    pub flow_use: FlowUse,
}

/// The reason's name in reports and metrics.
#[must_use]
pub fn reason_name(why: &Why) -> &'static str {
    match why {
        Why::Bypass => "bypass",
        Why::KnownFlow => "known-flow",
        Why::IntraGroup { .. } => "intra-group",
        Why::Rule { .. } => "rule",
        Why::Platform { .. } => "platform",
        Why::NetworkAcl { .. } => "network-acl",
        Why::Default => "default",
        Why::Spoofed => "spoofed",
        Why::MidStream => "mid-stream",
        Why::Fragment => "fragment",
        Why::Malformed => "malformed",
        Why::NoPolicy => "no-policy",
        Why::TableFull => "table-full",
        Why::HalfOpen => "half-open",
        Why::NoWay { .. } => "no-way",
    }
}
