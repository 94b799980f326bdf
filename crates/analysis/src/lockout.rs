//! Lockout: connections over which the server is managed, and whether a change would cut them.
//!
//! A connection runs past an interface where the client's or the server's address is one's, in whichever VPC. What is judged is its first
//! packet, so a connection that goes on because its flow is known counts as cut when nobody could begin it again.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use sekimori_core::{
    flow,
    ids::{EniId, VpcId},
    packet::{Packet, Transport},
    rule::Direction,
    verdict,
    world::{Eni, World},
};
use serde::{Deserialize, Serialize};

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
    let answer = Packet { direction: direction.reverse(), transport: flow::answer_to(transport)?, ..first };
    let refused = |world: &World, eni: &Eni| {
        let decision = verdict::decide(world, eni, &first);
        let of_first = (!decision.is_allowed()).then_some(decision);
        of_first.or_else(|| verdict::refused_by_acl(world, eni, &answer)).map(|decision| decision.why.to_string())
    };
    if refused(before, eni).is_some() {
        return None;
    }
    match after.eni(&eni.id) {
        Some(eni) if eni.addresses.contains(&local) => refused(after, eni),
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

#[cfg(test)]
mod tests {
    use sekimori_core::{change::Change, world::World};

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
