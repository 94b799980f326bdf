//! Links between routers: made with a peering connection, repaired, adopted, and gone with it.

use sekimori_core::{
    command::{NewPeering, Outcome},
    ids::{PeeringId, VpcId},
};

use super::*;

/// Peers two VPCs; the connection, and what accepting it changed.
fn peer(lab: &mut Lab, one: &VpcId, other: &VpcId) -> (PeeringId, Vec<Change>) {
    let (account, peer_account) = (lab.account.clone(), lab.account.clone());
    let new = NewPeering { account, vpc: one.clone(), peer: other.clone(), peer_account, tags: Default::default() };
    let Outcome::Peering(peering) = lab.run(&Command::CreatePeering(new)).0 else { panic!("no connection") };
    let accept = Command::AcceptPeering { account: lab.account.clone(), peering: peering.clone() };
    (peering, lab.run(&accept).1)
}

fn end(lab: &mut Lab, peering: &PeeringId) -> Vec<Change> {
    lab.run(&Command::DeletePeering { account: lab.account.clone(), peering: peering.clone() }).1
}

/// The links of a router that are a peering connection's.
fn links(vpc: &VpcId) -> Vec<String> {
    let read = || std::fs::read_to_string("/proc/thread-self/net/dev");
    let table = within(ns(vpc.as_str()).as_fd(), read).unwrap().unwrap();
    let names = table.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim_start().to_owned());
    names.filter(|name| name.starts_with('p')).collect()
}

#[tokio::test]
async fn a_connection_is_made_repaired_adopted_and_ended() {
    if !can_run() {
        return;
    }
    let mut lab = Lab::new();
    let (red, blue) = (lab.network("10.1.0.0/24"), lab.network("10.2.0.0/24"));
    let (reds, blues) = (lab.instances(&red, 1).0, lab.instances(&blue, 1).0);
    lab.reconcile().await;
    assert!(!pings(&ns(reds[0].as_str()), lab.address(&blues[0], false), IMPATIENCE));

    let (peering, changes) = peer(&mut lab, &red.vpc, &blue.vpc);
    lab.apply(&changes).await;
    assert_reach(&lab, reds[0].as_str(), &blues[0]);
    assert_reach(&lab, blues[0].as_str(), &reds[0]);
    assert_eq!(drifts(&lab), []);

    // By hand, from either side: the repair looks at nothing but the drift.
    for vpc in [&red.vpc, &blue.vpc] {
        let [link] = <[String; 1]>::try_from(links(vpc)).unwrap();
        let netlink = Netlink::open(&ns(vpc.as_str()), &[]).unwrap();
        netlink.delete_link(&link).await.unwrap();
        let found = drifts(&lab);
        assert_eq!(found, [Drift::Peering(peering.clone())]);
        lab.touch(&found.iter().map(Drift::touched).collect::<Vec<_>>()).await;
        assert_eq!(drifts(&lab), []);
        assert_reach(&lab, reds[0].as_str(), &blues[0]);
    }

    // A restart adopts it, with its connections.
    let mut ends = connect(&ns(reds[0].as_str()), &ns(blues[0].as_str()), lab.address(&blues[0], false)).unwrap();
    lab.reopen();
    lab.reconcile().await;
    talk(&mut ends).unwrap();

    let changes = end(&mut lab, &peering);
    lab.apply(&changes).await;
    assert_eq!((links(&red.vpc), links(&blue.vpc)), (vec![], vec![]));
    assert_eq!(drifts(&lab), []);
    assert!(!pings(&ns(reds[0].as_str()), lab.address(&blues[0], false), IMPATIENCE));
}

#[tokio::test]
async fn a_connection_that_ended_while_nobody_looked_is_taken_away() {
    if !can_run() {
        return;
    }
    let mut lab = Lab::new();
    let (red, blue) = (lab.network("10.1.0.0/24"), lab.network("10.2.0.0/24"));
    let (reds, blues) = (lab.instances(&red, 1).0, lab.instances(&blue, 1).0);
    let (peering, _) = peer(&mut lab, &red.vpc, &blue.vpc);
    lab.reconcile().await;
    assert_reach(&lab, reds[0].as_str(), &blues[0]);
    end(&mut lab, &peering);
    lab.reopen();
    lab.reconcile().await;
    assert_eq!((links(&red.vpc), links(&blue.vpc)), (vec![], vec![]));
}
