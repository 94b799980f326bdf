//! Live flows as a host's kernel holds them, told when somebody asks: which are wanted, and what is told of each.
//!
//! What a change does to them is said by [`crate::flow::goes_on`]. Nothing here reads a table.

use std::{fmt, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::{
    address::Cidr,
    flow,
    ids::{EniId, GroupId, RuleId},
    packet::{Packet, Transport},
    rule::Direction,
    world::{Revision, World},
};

/// Which flows are meant; what is not given is not asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowMatch {
    /// The interface.
    pub eni: Option<EniId>,
    /// Which way the first packet went.
    pub direction: Option<Direction>,
    /// Where the other end is.
    pub peer: Option<Cidr>,
    /// IANA number.
    pub protocol: Option<u8>,
    /// The port that the first packet went to.
    pub port: Option<u16>,
}

impl FlowMatch {
    /// The flows of one interface.
    #[must_use]
    pub fn of_eni(eni: &EniId) -> Self {
        Self { eni: Some(eni.clone()), ..Self::default() }
    }

    /// Whether a flow that this packet began is meant, at whatever interface.
    #[must_use]
    pub fn is_begun_by(&self, first: &Packet) -> bool {
        self.direction.is_none_or(|direction| direction == first.direction)
            && self.peer.as_ref().is_none_or(|peer| peer.contains(first.peer))
            && self.protocol.is_none_or(|protocol| protocol == first.transport.protocol())
            && self.port.is_none_or(|port| first.transport.destination_port() == Some(port))
    }
}

/// What a host is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowsWanted {
    /// A flow is wanted that is meant by any of these, at most [`crate::limits::LIVE_FLOW_MATCHES_MAX`]; none of them means none.
    pub any: Vec<FlowMatch>,
    /// How many are told, those first that had a packet last: at most [`crate::limits::LIVE_FLOWS_TOLD_MAX`].
    pub most: u32,
}

/// How far a flow has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlowState {
    /// TCP that somebody has begun towards the interface, and that is not established.
    HalfOpen,
    /// TCP that the interface has begun, and that is not established.
    Opening,
    /// TCP after its handshake.
    Established,
    /// TCP that one side has closed.
    Closing,
    /// Another protocol, and nothing has come back.
    Unanswered,
    /// Another protocol, with packets both ways.
    Answered,
}

impl fmt::Display for FlowState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HalfOpen => "half-open",
            Self::Opening => "opening",
            Self::Established => "established",
            Self::Closing => "closing",
            Self::Unanswered => "unanswered",
            Self::Answered => "answered",
        })
    }
}

/// What let a flow begin, or has judged it last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BegunBy {
    /// A rule.
    Rule {
        /// Its group.
        group: GroupId,
        /// Its name.
        rule: RuleId,
    },
    /// The intra-group accept of a group.
    IntraGroup {
        /// The group.
        group: GroupId,
    },
    /// No rule: the default of the groups, or a platform policy.
    NoRule,
    /// A rule that is not there any more.
    Gone,
}

impl fmt::Display for BegunBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule { group, rule } => write!(f, "rule {rule} of {group}"),
            Self::IntraGroup { group } => write!(f, "intra-group accept of {group}"),
            Self::NoRule => f.write_str("default"),
            Self::Gone => f.write_str("a rule that is gone"),
        }
    }
}

/// A live flow at one interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveFlow {
    /// The interface.
    pub eni: EniId,
    /// The packet that began it.
    pub first: Packet,
    /// The identifier of an ICMP query; 0 of anything else.
    pub icmp_id: u16,
    /// What let it begin.
    pub begun_by: BegunBy,
    /// How far it has come.
    pub state: FlowState,
    /// Whether it is untracked by EC2's definition.
    pub is_untracked: bool,
    /// Packets in the direction of the first one, and in the other. Connections one after the other on the same ports count on.
    pub packets: [u64; 2],
    /// Bytes, likewise.
    pub bytes: [u64; 2],
    /// Seconds since its last packet.
    pub idle_s: u32,
}

impl LiveFlow {
    /// Where it came from: address, and port if the protocol has ports.
    #[must_use]
    pub fn source(&self) -> (IpAddr, Option<u16>) {
        (self.first.source(), self.first.transport.source_port())
    }

    /// Where it goes to.
    #[must_use]
    pub fn destination(&self) -> (IpAddr, Option<u16>) {
        (self.first.destination(), self.first.transport.destination_port())
    }

    /// Whether its next packet would still find it allowed in a world. One whose interface is gone is not.
    #[must_use]
    pub fn goes_on(&self, world: &World) -> bool {
        world.eni(&self.eni).is_some_and(|eni| flow::goes_on(world, eni, &self.first, self.is_untracked))
    }

    /// The protocol, as people write it.
    #[must_use]
    pub fn protocol(&self) -> String {
        match self.first.transport {
            Transport::Tcp { .. } => "tcp".to_owned(),
            Transport::Udp { .. } => "udp".to_owned(),
            Transport::Icmp { kind, code, .. } => format!("icmp {kind}.{code}"),
            Transport::Other { protocol } => protocol.to_string(),
        }
    }
}

/// What a host answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveFlows {
    /// The number of the question.
    pub request: u64,
    /// The revision that was enforced.
    pub revision: Option<Revision>,
    /// The flows, those first that had a packet last.
    pub flows: Vec<LiveFlow>,
    /// How many more there were.
    pub untold: u64,
    /// Why the tables could not be read.
    pub failure: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{feed::MESSAGE_BYTES_MAX, limits::LIVE_FLOWS_TOLD_MAX};

    fn first() -> Packet {
        Packet {
            direction: Direction::Ingress,
            local: "10.0.0.2".parse().unwrap(),
            peer: "203.0.113.9".parse().unwrap(),
            transport: Transport::Tcp { source: 50_000, destination: 22 },
            is_forwarded: false,
        }
    }

    #[test]
    fn a_match_asks_for_what_it_names_only() {
        assert!(FlowMatch::default().is_begun_by(&first()));
        assert!(
            FlowMatch::of_eni(&"another".into()).is_begun_by(&first()),
            "the interface is looked at by whoever knows it"
        );
        let cases = [
            (FlowMatch { port: Some(22), ..FlowMatch::default() }, true),
            (FlowMatch { port: Some(50_000), ..FlowMatch::default() }, false),
            (FlowMatch { protocol: Some(6), ..FlowMatch::default() }, true),
            (FlowMatch { protocol: Some(17), ..FlowMatch::default() }, false),
            (FlowMatch { peer: "203.0.113.0/24".parse().ok(), ..FlowMatch::default() }, true),
            (FlowMatch { peer: "203.0.113.8".parse().ok(), ..FlowMatch::default() }, false),
            (FlowMatch { peer: "10.0.0.2".parse().ok(), ..FlowMatch::default() }, false),
            (FlowMatch { direction: Some(Direction::Ingress), ..FlowMatch::default() }, true),
            (FlowMatch { direction: Some(Direction::Egress), ..FlowMatch::default() }, false),
        ];
        for (wanted, is_meant) in cases {
            assert_eq!(wanted.is_begun_by(&first()), is_meant, "{wanted:?}");
        }
        let ping = Transport::Icmp { protocol: 1, kind: 8, code: 0 };
        let wanted = FlowMatch { port: Some(0), ..FlowMatch::default() };
        assert!(!wanted.is_begun_by(&Packet { transport: ping, ..first() }), "a ping has no port");
    }

    #[test]
    fn the_longest_answer_is_one_message() {
        let long = "x".repeat(32);
        let address: IpAddr = "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff".parse().unwrap();
        let flow = LiveFlow {
            eni: long.as_str().into(),
            first: Packet {
                direction: Direction::Ingress,
                local: address,
                peer: address,
                transport: Transport::Tcp { source: u16::MAX, destination: u16::MAX },
                is_forwarded: false,
            },
            icmp_id: u16::MAX,
            begun_by: BegunBy::Rule { group: long.as_str().into(), rule: long.as_str().into() },
            state: FlowState::Established,
            is_untracked: false,
            packets: [u64::MAX; 2],
            bytes: [u64::MAX; 2],
            idle_s: u32::MAX,
        };
        let flows = vec![flow; LIVE_FLOWS_TOLD_MAX as usize];
        let answer = LiveFlows { request: u64::MAX, untold: u64::MAX, flows, ..LiveFlows::default() };
        let length = serde_json::to_vec(&answer).unwrap().len();
        assert!(length < MESSAGE_BYTES_MAX - 4_096, "{length}");
    }
}
