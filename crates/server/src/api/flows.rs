//! Flows that began and packets that were dropped, as the native API tells them.

use serde::{Deserialize, Serialize};

use sekimori_core::{
    flow_event::{EventLosses, FlowEvent},
    ids::{HostId, InstanceId},
    live_flow::LiveFlow,
    time::Timestamp,
    world::Revision,
};

/// An event, and what the server knows about its ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowSight {
    /// The host that saw it.
    pub host: HostId,
    /// Its number there; numbers have no gaps.
    pub number: u64,
    /// The instance that has the interface.
    pub instance: Option<InstanceId>,
    /// The instance at the other end, if it is known by that address.
    pub peer_instance: Option<InstanceId>,
    /// What was seen.
    #[serde(flatten)]
    pub event: FlowEvent,
}

/// The answer of `GET /v1/flows`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowList {
    /// The newest that were asked for, the oldest of them first.
    pub flows: Vec<FlowSight>,
    /// Whether there are older ones that were asked for.
    pub has_more: bool,
    /// Since when events are recorded.
    pub recorded_since: Option<Timestamp>,
    /// Until when they are, if nobody asks again.
    pub recorded_until: Option<Timestamp>,
    /// What hosts have not told, by cause.
    pub lost: EventLosses,
}

/// A line of `GET /v1/flows/watch`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlowNews {
    /// An event.
    Flow(Box<FlowSight>),
    /// What hosts have not told, when that has changed.
    Lost(EventLosses),
    /// Events that were dropped because this watcher did not read them in time.
    Missed(u64),
    /// Nothing has happened for a while.
    Quiet,
}

/// The answer of `GET /v1/flows/live`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveFlowList {
    /// The flows that were asked for, those first that had a packet last.
    pub flows: Vec<LiveSight>,
    /// How many more of them there are.
    pub untold: u64,
    /// The hosts that were asked.
    pub hosts: Vec<LiveHost>,
}

/// A live flow, and what the server knows about its ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveSight {
    /// The host whose kernel holds it.
    pub host: HostId,
    /// The instance that has the interface.
    pub instance: Option<InstanceId>,
    /// The instance at the other end, if it is known by that address.
    pub peer_instance: Option<InstanceId>,
    /// Whether it is not allowed any more, so that its next packet ends it.
    pub is_ending: bool,
    /// What the kernel holds.
    #[serde(flatten)]
    pub flow: LiveFlow,
}

/// A host that was asked for its live flows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveHost {
    /// The host.
    pub host: HostId,
    /// Why it has not told them.
    pub failure: Option<String>,
    /// The revision that it enforced.
    pub revision: Option<Revision>,
    /// Flows that it has told.
    pub told: u64,
    /// How many more of those that were asked for it has.
    pub untold: u64,
}
