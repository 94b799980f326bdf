//! `must-not reach`: a packet that leaves one end and is let in by the other, if there is one.

use std::{collections::BTreeSet, net::IpAddr};

use imbl::OrdSet;

use sekimori_core::{
    address::{Family, from_number, number},
    ids::VpcId,
    invariant::{Sight, Witness},
    packet::Transport,
    rule::Direction,
    space::{Set, TooComplex, view::Bounds},
    world::World,
};

use super::{
    Asked, Trouble, bounded,
    sides::{Member, Members, Outside, within},
};
use crate::{
    led::{self, Led},
    outside::{EXAMPLES, Run, blocks, runs, runs_inside, without},
};

type Span = (u32, u32);

/// Services that a packet to be shown has rather than others: SSH, then TLS.
const SHOWN: [u32; 2] = [6 << 16 | 22, 6 << 16 | 443];
/// The run of TCP, whose ports people know best.
const TCP: Span = (6 << 16, 6 << 16 | 0xffff);

/// A packet between interfaces.
pub(super) fn between(asked: &mut Asked<'_>, from: &Members, to: &Members) -> Result<Option<Witness>, Trouble> {
    bounded(from, to)?;
    let world = asked.world;
    for (receiver, targets) in to.iter() {
        let ingress = asked.passing.of(world, receiver, Direction::Ingress)?;
        let wanted = |bounds: &&Bounds| asked.has(bounds.services) && within(targets, bounds.own).next().is_some();
        let ingress: Vec<&Bounds> = ingress.iter().filter(wanted).collect();
        for (sender, sources) in from.iter().filter(|_| !ingress.is_empty()) {
            if !world.are_joined(&sender.vpc, &receiver.vpc) {
                continue;
            }
            let let_in = ingress.iter().copied().filter(|bounds| within(sources, bounds.peers).next().is_some());
            let let_in: Vec<&Bounds> = let_in.collect();
            if let_in.is_empty() {
                continue;
            }
            let egress = asked.passing.of(world, sender, Direction::Egress)?;
            let sent = egress.iter().filter(|bounds| asked.has(bounds.services));
            for leaves in sent.filter(|bounds| within(targets, bounds.peers).next().is_some()) {
                let vpcs = (&sender.vpc, &receiver.vpc);
                let met = let_in.iter().find_map(|enters| meeting(asked, (leaves, sources), (enters, targets), vpcs));
                if let Some(sight) = met {
                    return Ok(Some(Witness::Passes(sight)));
                }
            }
        }
    }
    Ok(None)
}

/// A packet that lies in a box that leaves and in one that enters.
fn meeting(
    asked: &Asked<'_>,
    (leaves, sources): (&Bounds, &OrdSet<Member>),
    (enters, targets): (&Bounds, &OrdSet<Member>),
    (ours, theirs): (&VpcId, &VpcId),
) -> Option<Sight> {
    let ports = (leaves.sources.0.max(enters.sources.0), leaves.sources.1.min(enters.sources.1));
    let services = (leaves.services.0.max(enters.services.0), leaves.services.1.min(enters.services.1));
    if leaves.family != enters.family || ports.0 > ports.1 || services.0 > services.1 || !asked.has(services) {
        return None;
    }
    let (from, to) = (common(leaves.own, enters.peers)?, common(leaves.peers, enters.own)?);
    let world = asked.world;
    let knows = |vpc: &VpcId, (own, eni): &Member| world.eni_seen_from(vpc, *own).is_some_and(|seen| seen.id == *eni);
    for sender in within(sources, from).filter(|sender| knows(theirs, sender)) {
        let other = within(targets, to).find(|target| target.1 != sender.1 && knows(ours, target));
        let Some(target) = other else { continue };
        let transport = shown(asked, services, ports)?;
        let (from, to) = ((sender.0, Some(sender.1.clone())), (target.0, Some(target.1.clone())));
        return Some(Sight::between(from, to, transport));
    }
    None
}

/// A packet between interfaces and addresses outside; `Ingress` is towards the interfaces.
pub(super) fn outside(
    asked: &mut Asked<'_>,
    meant: Outside,
    inner: &Members,
    direction: Direction,
) -> Result<Option<Witness>, Trouble> {
    let world = asked.world;
    for (bearing, members) in inner.iter() {
        let of_blocks = runs(&blocks(world, &bearing.vpc));
        let boxes = asked.passing.of(world, bearing, direction)?;
        for bounds in boxes.iter().filter(|bounds| asked.has(bounds.services)) {
            let Some(run) = meant.within(bounds.family, bounds.peers) else { continue };
            let left = without(run, bounds.family, &of_blocks);
            let some = within(members, bounds.own);
            for (member, led) in different(world, &bearing.vpc, some, direction) {
                let led: Vec<Run> = left.iter().flat_map(|run| led.within(*run)).collect();
                let Some(peer) = stranger(world, &bearing.vpc, &led) else { continue };
                let Some(transport) = shown(asked, bounds.services, bounds.sources) else { continue };
                return Ok(Some(Witness::Passes(sight(member, peer, direction, transport))));
            }
        }
    }
    Ok(None)
}

/// A packet between a member and an address outside.
pub(super) fn sight(member: &Member, peer: IpAddr, direction: Direction, transport: Transport) -> Sight {
    let (own, peer) = ((member.0, Some(member.1.clone())), (peer, None));
    match direction {
        Direction::Ingress => Sight::between(peer, own, transport),
        Direction::Egress => Sight::between(own, peer, transport),
    }
}

impl Outside {
    /// The part of a run of addresses that is meant.
    pub(super) fn within(self, family: Family, (first, last): Run) -> Option<(u128, u128)> {
        let run = (number(first), number(last));
        match self {
            Self::All => Some(run),
            Self::Block(block) if block.family() != family => None,
            Self::Block(block) => {
                let net = block.network();
                let run = (run.0.max(number(net.network())), run.1.min(number(net.broadcast())));
                (run.0 <= run.1).then_some(run)
            }
        }
    }
}

/// One of some members for each way in which something leads to them, or from them; of a VPC without known ways, the first.
fn different<'a>(
    world: &World,
    vpc: &VpcId,
    members: impl Iterator<Item = &'a Member>,
    direction: Direction,
) -> Vec<(&'a Member, Led)> {
    if world.ways(vpc).is_none() {
        return members.take(1).map(|member| (member, Led::default())).collect();
    }
    let (inside, mut seen) = (runs_inside(world, vpc), BTreeSet::new());
    let of = |member: &'a Member| {
        let eni = world.eni(&member.1)?;
        let is_new = seen.insert((Family::of(member.0), led::kind(world, eni, member.0)));
        is_new.then(|| (member, led::led(world, (eni, member.0), direction, &inside)))
    };
    members.filter_map(of).collect()
}

/// An address of some runs that is no interface's: there are more addresses than interfaces, or few of both.
fn stranger(world: &World, vpc: &VpcId, runs: &[Run]) -> Option<IpAddr> {
    let known = EXAMPLES.iter().filter_map(|text| text.parse::<IpAddr>().ok());
    let known = known.filter(|address| runs.iter().any(|(first, last)| first <= address && address <= last));
    let all = runs.iter().flat_map(|(first, last)| {
        let family = Family::of(*first);
        (number(*first)..=number(*last)).map(move |at| from_number(family, at))
    });
    known.chain(all).find(|address| world.eni_seen_from(vpc, *address).is_none())
}

fn common(one: Run, other: Run) -> Option<Run> {
    let both = (one.0.max(other.0), one.1.min(other.1));
    (both.0 <= both.1).then_some(both)
}

/// One packet of some services that is asked about.
fn shown(asked: &Asked<'_>, services: Span, ports: (u16, u16)) -> Option<Transport> {
    let both =
        |one: Span, other: Span| Some((one.0.max(other.0), one.1.min(other.1))).filter(|(first, last)| first <= last);
    let wanted: Vec<Span> = asked.services.iter().filter_map(|span| both(*span, services)).collect();
    let rather = SHOWN.into_iter().find(|shown| wanted.iter().any(|(first, last)| first <= shown && shown <= last));
    let of_tcp = || wanted.iter().find_map(|span| both(*span, TCP)).map(|(first, _)| first);
    let service = rather.or_else(of_tcp).or_else(|| wanted.first().map(|(first, _)| *first))?;
    let port = if ports.0 <= crate::why::SOURCE_PORT && crate::why::SOURCE_PORT <= ports.1 {
        crate::why::SOURCE_PORT
    } else {
        ports.0
    };
    transport(service, port)
}

/// The transport header of a service.
pub(super) fn transport(service: u32, port: u16) -> Option<Transport> {
    let any: IpAddr = "0.0.0.0".parse().ok()?;
    let point = Bounds {
        direction: Direction::Ingress,
        family: Family::V4,
        services: (service, service),
        sources: (port, port),
        peers: (any, any),
        own: (any, any),
    };
    let set: Result<Set, TooComplex> = Set::of_boxes([point]);
    set.ok()?.witness().map(|packet| packet.transport)
}
