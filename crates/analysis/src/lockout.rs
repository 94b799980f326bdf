//! Lockout: connections over which the server is managed, and whether a change would cut them.
//!
//! A connection runs past an interface where the client's or the server's address is one's, in whichever VPC. What is judged is its first
//! packet, so a connection that goes on because its flow is known counts as cut when nobody could begin it again. The same is asked about
//! the live flows between an interface and an address that the server is managed from, SSH for example.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use sekimori_core::{
    ids::{EniId, VpcId},
    live_flow::LiveFlow,
    packet::{Packet, Transport},
    rule::Direction,
    verdict,
    world::{Eni, World},
};
use serde::{Deserialize, Serialize};

use crate::diff::{Ending, ending, packet_words};

/// A TCP connection to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Connection {
    /// Who manages.
    pub client: SocketAddr,
    /// Where the server was spoken to.
    pub server: SocketAddr,
}

/// A connection that would be dropped at an interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cut {
    /// The connection.
    pub connection: Connection,
    /// The interface.
    pub eni: EniId,
    /// Its VPC.
    pub vpc: VpcId,
    /// What decides there.
    pub reason: String,
}

/// A live flow of whoever manages that a change would cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutFlow {
    /// The flow.
    #[serde(flatten)]
    pub flow: LiveFlow,
    /// The VPC of its interface.
    pub vpc: VpcId,
    /// How it ends; none if it goes on, and could not be begun again.
    pub ending: Option<Ending>,
    /// What decides.
    pub reason: String,
}

/// The live flows that a change ends, and those that could not be begun again after it. Pings manage nothing.
pub fn cut_flows<'a>(before: &World, after: &World, flows: impl IntoIterator<Item = &'a LiveFlow>) -> Vec<CutFlow> {
    let cut = |flow: &LiveFlow| {
        let is_ping = matches!(flow.first.transport, Transport::Icmp { .. });
        let old = before.eni(&flow.eni).filter(|_| !is_ping)?;
        let refused_after = match after.eni(&flow.eni) {
            Some(eni) => refused(after, eni, &flow.first),
            None => Some("its interface is gone".to_owned()),
        };
        let ending = ending(before, after, flow);
        let is_lost = refused_after.is_some() && refused(before, old, &flow.first).is_none();
        let reason = refused_after.unwrap_or_else(|| "its interface leaves the host".to_owned());
        (ending.is_some() || is_lost).then(|| CutFlow { flow: flow.clone(), vpc: old.vpc.clone(), ending, reason })
    };
    flows.into_iter().filter_map(cut).collect()
}

/// What would drop the first packet of a flow, or the answer to it.
fn refused(world: &World, eni: &Eni, first: &Packet) -> Option<String> {
    let decision = verdict::decide(world, eni, first);
    if !decision.is_allowed() {
        return Some(decision.why.to_string());
    }
    verdict::refused_by_acl(world, eni, &first.answer()?).map(|decision| decision.why.to_string())
}

/// The connections that pass before a change and would not after it.
#[must_use]
pub fn cuts(before: &World, after: &World, connections: &[Connection]) -> Vec<Cut> {
    let mut cuts = BTreeSet::new();
    for connection in connections {
        for (end, direction) in [(connection.client, Direction::Egress), (connection.server, Direction::Ingress)] {
            let there = before.vpcs().filter_map(|vpc| before.eni_at(&vpc.id, end.ip()));
            let dropped = there.filter_map(|eni| Some((eni, dropped(before, after, eni, (connection, direction))?)));
            cuts.extend(dropped.map(|(eni, reason)| Cut {
                connection: *connection,
                eni: eni.id.clone(),
                vpc: eni.vpc.clone(),
                reason,
            }));
        }
    }
    cuts.into_iter().collect()
}

/// Why a connection would be dropped at an interface that lets it pass now.
fn dropped(
    before: &World,
    after: &World,
    eni: &Arc<Eni>,
    (connection, direction): (&Connection, Direction),
) -> Option<String> {
    let Connection { client, server } = connection;
    let (local, peer) = match direction {
        Direction::Egress => (client.ip(), server.ip()),
        Direction::Ingress => (server.ip(), client.ip()),
    };
    let transport = Transport::Tcp { source: client.port(), destination: server.port() };
    let first = Packet { direction, local, peer, transport, is_forwarded: false };
    if refused(before, eni, &first).is_some() {
        return None;
    }
    match after.eni(&eni.id) {
        Some(eni) if eni.addresses.contains(&local) => refused(after, eni, &first),
        Some(_) | None => Some(format!("{local} is not the interface's any more")),
    }
}

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { connection: Connection { client, server }, eni, vpc, reason } = self;
        write!(
            f,
            "the connection from {client} to the server at {server} would be dropped at {eni} of {vpc}: {reason}"
        )
    }
}

impl std::fmt::Display for CutFlow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { flow, vpc, ending, reason } = self;
        let how = match ending {
            Some(Ending::Ends | Ending::Gone | Ending::Parted) => "would end in silence",
            Some(Ending::Reset) => "would end with a reset",
            Some(Ending::Untracked) => "is untracked and would be cut at once",
            Some(Ending::Acl) => "would be stopped by the network ACL",
            None => "would go on, but could not be begun again",
        };
        let LiveFlow { eni, first, state, idle_s, .. } = flow;
        let words = packet_words(first);
        write!(f, "the live flow {words} ({state}, idle for {idle_s} s) at {eni} of {vpc} {how}: {reason}")
    }
}

#[cfg(test)]
mod tests {
    use sekimori_core::{
        change::Change,
        live_flow::{BegunBy, FlowState},
        world::{Treatment, World},
    };

    use super::*;
    use crate::fixture;

    fn world() -> World {
        fixture::world(
            "sg ops drop
             sg api drop
             ops: in allow tcp 22 from 192.0.2.0/24
             api: in allow tcp 8470 from sg-ops
             eni a 10.0.0.1 in ops
             eni b 10.0.0.2 in api",
        )
    }

    fn without(world: &World, group: &str, rule: &str) -> World {
        let mut after = world.clone();
        after.apply(&Change::DeleteRule { group: group.into(), rule: rule.into() });
        after
    }

    fn told(before: &World, after: &World, client: &str, server: &str) -> Vec<String> {
        let connection = Connection { client: client.parse().unwrap(), server: server.parse().unwrap() };
        cuts(before, after, &[connection]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_connection_is_cut_where_it_passed_before() {
        let before = world();
        let after = without(&before, "sg-api", "r2");
        let cut = told(&before, &after, "10.0.0.1:50000", "10.0.0.2:8470");
        assert_eq!(cut.len(), 1);
        assert!(cut[0].contains("10.0.0.1:50000") && cut[0].contains("eni-b of vpc-1"), "{cut:?}");
        // What did not pass is not cut, and what has nothing to do with it neither.
        assert_eq!(told(&before, &after, "10.0.0.9:50000", "10.0.0.2:8470"), Vec::<String>::new());
        assert_eq!(told(&before, &after, "127.0.0.1:50000", "127.0.0.1:8470"), Vec::<String>::new());
        assert_eq!(told(&before, &without(&before, "sg-ops", "r1"), "10.0.0.1:1", "10.0.0.2:8470").len(), 0);
        assert_eq!(told(&after, &before, "10.0.0.1:50000", "10.0.0.2:8470").len(), 0);
    }

    fn ssh(eni: &str, local: &str) -> LiveFlow {
        LiveFlow {
            eni: eni.into(),
            first: Packet {
                direction: Direction::Ingress,
                local: local.parse().unwrap(),
                peer: [192, 0, 2, 7].into(),
                transport: Transport::Tcp { source: 50_000, destination: 22 },
                is_forwarded: false,
            },
            icmp_id: 0,
            begun_by: BegunBy::NoRule,
            state: FlowState::Established,
            is_untracked: false,
            packets: [9, 8],
            bytes: [900, 800],
            idle_s: 3,
        }
    }

    #[test]
    fn a_live_flow_is_cut_that_ends_or_could_not_be_begun_again() {
        let before = world();
        let after = without(&before, "sg-ops", "r1");
        let told = |before: &World, after: &World, flow: LiveFlow| {
            cut_flows(before, after, [&flow]).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            told(&before, &after, ssh("eni-a", "10.0.0.1")),
            [
                "the live flow tcp/22 from 192.0.2.7 port 50000 to 10.0.0.1 (established, idle for 3 s) at eni-a of vpc-1 would end in \
              silence: default"
            ]
        );
        // It is not allowed before either, or has nothing to do with the change.
        assert_eq!(told(&before, &after, ssh("eni-b", "10.0.0.2")), [""; 0]);
        assert_eq!(told(&after, &before, ssh("eni-a", "10.0.0.1")), [""; 0]);
        assert_eq!(told(&before, &without(&before, "sg-api", "r2"), ssh("eni-a", "10.0.0.1")), [""; 0]);
        let kept = |world: &World| {
            let mut world = world.clone();
            let mut eni = Eni::clone(world.eni(&"eni-a".into()).unwrap());
            eni.treatment = Some(Treatment::Keep);
            world.apply(&Change::PutEni(Arc::new(eni)));
            world
        };
        let said = told(&kept(&before), &kept(&after), ssh("eni-a", "10.0.0.1"));
        assert!(
            said.len() == 1 && said[0].contains("would go on, but could not be begun again: default"),
            "{said:?}"
        );
        let mut gone = before.clone();
        gone.apply(&Change::DeleteEni("eni-a".into()));
        let said = told(&before, &gone, ssh("eni-a", "10.0.0.1"));
        assert!(said.len() == 1 && said[0].ends_with("would end in silence: its interface is gone"), "{said:?}");
        let mut ping = ssh("eni-a", "10.0.0.1");
        ping.first.transport = Transport::Icmp { protocol: 1, kind: 8, code: 0 };
        assert_eq!(told(&before, &gone, ping), [""; 0], "nobody manages anything by pings");
    }

    #[test]
    fn an_interface_that_goes_cuts_what_runs_past_it() {
        let before = world();
        let mut after = before.clone();
        after.apply(&Change::DeleteEni("eni-a".into()));
        let cut = told(&before, &after, "10.0.0.1:50000", "10.0.0.2:8470");
        // The server's group names the one that nobody carries any more.
        assert_eq!(cut.len(), 2, "{cut:?}");
    }
}
