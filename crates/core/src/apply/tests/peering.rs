//! Peering connections: who may do what when, and what VPCs know of each other.

use super::*;
use crate::{
    command::NewPeering,
    ids::PeeringId,
    peering::{ENDED_KEPT_S, PENDING_S, PeeringStatus},
};

/// An estate with a second VPC of a block.
pub(super) fn with_peer(block: &str) -> (Estate, VpcId) {
    let mut estate = Estate::new(Dialect::Ec2);
    let Outcome::Vpc(peer) = estate.run(estate.new_vpc(block, VpcIpv6::Off)) else { panic!() };
    (estate, peer)
}

pub(super) fn ask(estate: &Estate, peer: &VpcId) -> Command {
    Command::CreatePeering(NewPeering {
        account: estate.account.clone(),
        vpc: estate.vpc.clone(),
        peer: peer.clone(),
        peer_account: estate.account.clone(),
        tags: Default::default(),
    })
}

pub(super) fn asked(estate: &mut Estate, peer: &VpcId) -> PeeringId {
    let Outcome::Peering(id) = estate.run(ask(estate, peer)) else { panic!() };
    id
}

pub(super) fn accept(estate: &Estate, id: &PeeringId) -> Command {
    Command::AcceptPeering { account: estate.account.clone(), peering: id.clone() }
}

pub(super) fn end(estate: &Estate, id: &PeeringId) -> Command {
    Command::DeletePeering { account: estate.account.clone(), peering: id.clone() }
}

pub(super) fn status(estate: &Estate, id: &PeeringId) -> Option<PeeringStatus> {
    estate.state.world().peerings().get(id).map(|peering| peering.status)
}

#[test]
fn addresses_are_seen_from_the_peer_while_the_connection_is_active() {
    let (mut estate, peer) = with_peer("10.2.0.0/16");
    let instance = estate.instance(&[]);
    let eni = estate.state.world().primary_eni(&instance).unwrap().clone();
    let addresses = eni.addresses.len();
    let seen = |estate: &Estate| {
        let world = estate.state.world();
        let found = world.eni_seen_from(&peer, eni.addresses[0]).map(|found| found.id.clone());
        (found, world.address_count())
    };
    let id = asked(&mut estate, &peer);
    assert_eq!(seen(&estate), (None, addresses), "nobody has accepted");
    estate.run(accept(&estate, &id));
    assert_eq!(seen(&estate), (Some(eni.id.clone()), 2 * addresses));
    assert!(estate.state.world().are_joined(&peer, &estate.vpc));
    let second = estate.instance(&[]);
    assert_eq!(seen(&estate).1, 4 * addresses);
    let (account, instances) = (estate.account.clone(), vec![second]);
    estate.run(Command::DeleteInstances { account, instances, is_forced: true });
    assert_eq!(seen(&estate).1, 2 * addresses);
    estate.run(end(&estate, &id));
    assert_eq!(seen(&estate), (None, addresses));
    assert_eq!(status(&estate, &id), Some(PeeringStatus::Deleted));
}

#[test]
fn a_request_that_nobody_answers_expires_and_is_forgotten() {
    let (mut estate, peer) = with_peer("10.2.0.0/16");
    let id = asked(&mut estate, &peer);
    let due = |estate: &Estate| estate.state.world().peerings().next_due().map(|due| due.0 - estate.context.now.0);
    assert_eq!(due(&estate), Some(PENDING_S));
    estate.run(Command::KeepPeerings);
    assert_eq!(status(&estate, &id), Some(PeeringStatus::PendingAcceptance));
    estate.context.now.0 += PENDING_S;
    assert!(estate.try_run(accept(&estate, &id)).unwrap_err().contains("is expired"));
    estate.run(Command::KeepPeerings);
    assert_eq!(status(&estate, &id), Some(PeeringStatus::Expired));
    assert_eq!(due(&estate), Some(ENDED_KEPT_S));
    let again = asked(&mut estate, &peer);
    estate.context.now.0 += ENDED_KEPT_S;
    estate.run(Command::KeepPeerings);
    assert_eq!((status(&estate, &id), status(&estate, &again)), (None, Some(PeeringStatus::PendingAcceptance)));
}

#[test]
fn the_blocks_of_all_peers_of_a_vpc_are_apart() {
    let (mut estate, peer) = with_peer("10.2.0.0/16");
    let id = asked(&mut estate, &peer);
    estate.run(accept(&estate, &id));
    let Outcome::Vpc(same) = estate.run(estate.new_vpc("10.2.128.0/20", VpcIpv6::Off)) else { panic!() };
    let other = asked(&mut estate, &same);
    let refused = estate.try_run(accept(&estate, &other)).unwrap_err();
    assert!(refused.contains("block `10.2.128.0/20` overlaps `vpc-"), "{refused}");
    let Outcome::Vpc(inside) = estate.run(estate.new_vpc("10.1.0.0/20", VpcIpv6::Off)) else { panic!() };
    let failed = asked(&mut estate, &inside);
    assert_eq!(status(&estate, &failed), Some(PeeringStatus::Failed));
    assert!(estate.try_run(end(&estate, &failed)).unwrap_err().contains("is failed"));
}

#[test]
fn a_vpc_has_so_many_peers_and_an_account_so_many_open_requests() {
    let mut estate = Estate::new(Dialect::Ec2);
    let vpcs: Vec<VpcId> = (0..51)
        .map(|number| {
            let new = estate.new_vpc(&format!("10.{}.0.0/16", 100 + number), VpcIpv6::Off);
            let Outcome::Vpc(id) = estate.run(new) else { panic!() };
            id
        })
        .collect();
    let asked: Vec<PeeringId> = vpcs[..25].iter().map(|vpc| asked(&mut estate, vpc)).collect();
    let refused = estate.try_run(ask(&estate, &vpcs[25])).unwrap_err();
    assert!(refused.starts_with("at most 25 peering connections that wait to be accepted"), "{refused}");
    asked.iter().for_each(|id| drop(estate.run(accept(&estate, id))));
    let more: Vec<PeeringId> = vpcs[25..50].iter().map(|vpc| self::asked(&mut estate, vpc)).collect();
    more.iter().for_each(|id| drop(estate.run(accept(&estate, id))));
    let last = self::asked(&mut estate, &vpcs[50]);
    let refused = estate.try_run(accept(&estate, &last)).unwrap_err();
    assert!(refused.starts_with("at most 50 active peering connections of one VPC"), "{refused}");
}
