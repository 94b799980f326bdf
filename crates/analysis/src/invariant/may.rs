//! `may reach`: a pair of ends of which one cannot reach the other, if there is one.
//!
//! Every pair must be able to, by each service that is named (by any, if none is), from some source port: over IPv4 if both have it, else
//! over IPv6. Of an interface that is each of its addresses of the family, of a block and of the internet each address. Whoever gets no answer
//! reaches nobody: network ACLs look at answers by themselves.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use imbl::OrdSet;

use sekimori_core::{
    address::{Family, from_number, number},
    ids::EniId,
    invariant::{Served, Sight, Witness},
    packet::Packet,
    rule::Direction,
    space::view::Bounds,
    verdict,
    ways::Gap,
    world::World,
};

use super::{
    Asked, Trouble, bounded,
    must_not::{sight, transport},
    sides::{Member, Members, Outside},
};
use crate::{
    led,
    outside::{blocks, runs, runs_inside, without},
    permits::Bearing,
    services::{Services, judged},
    why::SOURCE_PORT,
};

/// A service that is asked about; `None` is any.
type Wanted = Option<Served>;
/// Members that every box holds or does not hold alike.
type Alike<'a> = BTreeMap<(Vec<bool>, bool), Vec<&'a Member>>;

/// What stands for any service where a packet is to be shown: tcp/443.
const ANY_SERVICE: u32 = 6 << 16 | 443;

fn wanted(asked: &Asked<'_>) -> Vec<Wanted> {
    let named = asked.invariant.statement.services.iter().copied().map(Some);
    if asked.invariant.statement.services.is_empty() { vec![None] } else { named.collect() }
}

/// A service of which nothing gets through, if one is missing.
fn missing(passing: &Services, wanted: Wanted) -> Option<u32> {
    match wanted {
        None => passing.clone().told().is_none().then_some(ANY_SERVICE),
        Some(served) => judged(served.span()).find_map(|span| passing.gap(span)),
    }
}

/// The interfaces among members that have an address of a family.
fn having(members: &OrdSet<Member>, family: Family) -> BTreeSet<&EniId> {
    members.iter().filter(|(own, _)| Family::of(*own) == family).map(|(_, eni)| eni).collect()
}

/// A pair of interfaces.
pub(super) fn between(asked: &mut Asked<'_>, from: &Members, to: &Members) -> Result<Option<Witness>, Trouble> {
    bounded(from, to)?;
    for (sender, sources) in from.iter() {
        for (receiver, targets) in to.iter() {
            let found = pair(asked, (sender, sources), (receiver, targets))?;
            if found.is_some() {
                return Ok(found);
            }
        }
    }
    Ok(None)
}

fn pair(
    asked: &mut Asked<'_>,
    (sender, sources): (&Bearing, &OrdSet<Member>),
    (receiver, targets): (&Bearing, &OrdSet<Member>),
) -> Result<Option<Witness>, Trouble> {
    let world = asked.world;
    if !world.are_joined(&sender.vpc, &receiver.vpc) {
        let apart = sources.iter().next().zip(targets.iter().next()).map(|(from, to)| Witness::Apart {
            from: from.1.to_string(),
            from_vpc: sender.vpc.clone(),
            to: to.1.to_string(),
            to_vpc: receiver.vpc.clone(),
        });
        return Ok(apart);
    }
    let egress = asked.passing.answered(world, sender, Direction::Egress)?;
    let ingress = asked.passing.answered(world, receiver, Direction::Ingress)?;
    let [egress, ingress] = [&egress, &ingress]
        .map(|boxes| boxes.iter().filter(|bounds| asked.has(bounds.services)).collect::<Vec<&Bounds>>());
    let sets = Sets::of(sources, targets);
    for wanted in wanted(asked) {
        if let Some((from, to)) = sets.strangers(wanted) {
            return Ok(Some(Witness::NoFamily { from: from.to_string(), to: to.to_string() }));
        }
        for family in [Family::V4, Family::V6] {
            if wanted.and_then(|served| served.family()).is_some_and(|only| only != family) {
                continue;
            }
            let of_sources = alike(sources, family, &sets.from_v4, (&egress, own_of), (&ingress, peers_of));
            let of_targets = alike(targets, family, &sets.to_v4, (&egress, peers_of), (&ingress, own_of));
            let found = unserved((&of_sources, &of_targets), (&egress, &ingress), wanted, family);
            if let Some(sight) = found {
                return Ok(Some(dropped(world, sight)));
            }
        }
    }
    Ok(None)
}

/// Which interfaces of two sides have which family.
struct Sets<'a> {
    from_v4: BTreeSet<&'a EniId>,
    from_v6: BTreeSet<&'a EniId>,
    to_v4: BTreeSet<&'a EniId>,
    to_v6: BTreeSet<&'a EniId>,
}

impl<'a> Sets<'a> {
    fn of(sources: &'a OrdSet<Member>, targets: &'a OrdSet<Member>) -> Self {
        let (from_v4, from_v6) = (having(sources, Family::V4), having(sources, Family::V6));
        Self { from_v4, from_v6, to_v4: having(targets, Family::V4), to_v6: having(targets, Family::V6) }
    }

    /// Two interfaces without a common family that the service runs over.
    fn strangers(&self, wanted: Wanted) -> Option<(&'a EniId, &'a EniId)> {
        let Self { from_v4, from_v6, to_v4, to_v6 } = self;
        match wanted.and_then(|served| served.family()) {
            Some(Family::V4) => lacking((from_v4, from_v6), (to_v4, to_v6)),
            Some(Family::V6) => lacking((from_v6, from_v4), (to_v6, to_v4)),
            None => {
                let [only_v4, only_v6] =
                    [(from_v4, from_v6), (from_v6, from_v4)].map(|(one, other)| first_of(one, other));
                let [to_only_v4, to_only_v6] =
                    [(to_v4, to_v6), (to_v6, to_v4)].map(|(one, other)| first_of(one, other));
                only_v4.zip(to_only_v6).or_else(|| only_v6.zip(to_only_v4))
            }
        }
    }
}

/// The first that is in one set and not in another.
fn first_of<'a>(one: &BTreeSet<&'a EniId>, other: &BTreeSet<&'a EniId>) -> Option<&'a EniId> {
    one.difference(other).next().copied()
}

/// Two different interfaces of which one has only the other family.
fn lacking<'a>(
    (from, from_other): (&BTreeSet<&'a EniId>, &BTreeSet<&'a EniId>),
    (to, to_other): (&BTreeSet<&'a EniId>, &BTreeSet<&'a EniId>),
) -> Option<(&'a EniId, &'a EniId)> {
    let senders: BTreeSet<&EniId> = from.union(from_other).copied().collect();
    let receivers: BTreeSet<&EniId> = to.union(to_other).copied().collect();
    let without_from = from_other.difference(from).copied();
    let mut pairs = without_from.filter_map(|lacks| Some((lacks, *receivers.iter().find(|other| **other != lacks)?)));
    let mut others = to_other.difference(to).copied().filter_map(|lacks| {
        let sender = senders.iter().find(|other| **other != lacks)?;
        Some((*sender, lacks))
    });
    pairs.next().or_else(|| others.next())
}

fn own_of(bounds: &Bounds) -> (IpAddr, IpAddr) {
    bounds.own
}

fn peers_of(bounds: &Bounds) -> (IpAddr, IpAddr) {
    bounds.peers
}

type Axis = fn(&Bounds) -> (IpAddr, IpAddr);

/// Members of a family by the boxes that hold them, those of egress first, and by whether their interface has IPv4.
fn alike<'a>(
    members: &'a OrdSet<Member>,
    family: Family,
    with_v4: &BTreeSet<&EniId>,
    (egress, in_egress): (&[&Bounds], Axis),
    (ingress, in_ingress): (&[&Bounds], Axis),
) -> Alike<'a> {
    let mut alike: Alike<'a> = BTreeMap::new();
    for member in members.iter().filter(|(own, _)| Family::of(*own) == family) {
        let holds = |(first, last): (IpAddr, IpAddr)| first <= member.0 && member.0 <= last;
        let of_egress = egress.iter().map(|bounds| holds(in_egress(bounds)));
        let signature = of_egress.chain(ingress.iter().map(|bounds| holds(in_ingress(bounds)))).collect();
        alike.entry((signature, with_v4.contains(&member.1))).or_default().push(member);
    }
    alike
}

/// A pair that a service does not get through for.
fn unserved(
    (sources, targets): (&Alike<'_>, &Alike<'_>),
    (egress, ingress): (&[&Bounds], &[&Bounds]),
    wanted: Wanted,
    family: Family,
) -> Option<Sight> {
    let is_bound = wanted.and_then(|served| served.family()).is_some();
    for ((of_source, source_v4), senders) in sources {
        for ((of_target, target_v4), receivers) in targets {
            if family == Family::V6 && !is_bound && *source_v4 && *target_v4 {
                continue;
            }
            let both = of_source.iter().zip(of_target).map(|(one, other)| *one && *other).collect::<Vec<bool>>();
            let (of_egress, of_ingress) = both.split_at(egress.len().min(both.len()));
            let those = |boxes: &[&Bounds], held: &[bool]| {
                let held = boxes.iter().zip(held).filter(|(_, held)| **held).map(|(bounds, _)| *bounds);
                Services::of(held)
            };
            let passing = those(egress, of_egress).meet(&those(ingress, of_ingress));
            let Some(service) = missing(&passing, wanted) else { continue };
            let different = senders.iter().find_map(|from| Some((from, receivers.iter().find(|to| to.1 != from.1)?)));
            let Some(((from, from_eni), (to, to_eni))) = different else { continue };
            let transport = transport(service, SOURCE_PORT)?;
            let (from, to) = ((*from, Some(from_eni.clone())), (*to, Some(to_eni.clone())));
            return Some(Sight::between(from, to, transport));
        }
    }
    None
}

/// A flow that does not come about, with what drops its answer if nothing drops its first packet.
fn dropped(world: &World, sight: Sight) -> Witness {
    let at = |eni: &Option<EniId>, direction, (local, peer)| {
        let packet = Packet { direction, local, peer, transport: sight.transport, is_forwarded: false };
        Some((world.eni(eni.as_ref()?)?, packet))
    };
    let ends = [
        at(&sight.from_eni, Direction::Egress, (sight.from, sight.to)),
        at(&sight.to_eni, Direction::Ingress, (sight.to, sight.from)),
    ];
    let ends = || ends.iter().flatten();
    let is_let_through = ends().all(|(eni, packet)| verdict::decide(world, eni, packet).is_allowed());
    // The answer meets the end that was reached first.
    let refusing = ends().rev().find(|(eni, packet)| {
        packet.answer().is_some_and(|answer| verdict::refused_by_acl(world, eni, &answer).is_some())
    });
    let answer_dropped_at = refusing.filter(|_| is_let_through).map(|(eni, _)| eni.id.clone());
    Witness::Dropped(Sight { answer_dropped_at, ..sight })
}

/// An interface, and an address outside from or to which a service does not get through.
pub(super) fn outside(
    asked: &mut Asked<'_>,
    meant: Outside,
    inner: &Members,
    direction: Direction,
) -> Result<Option<Witness>, Trouble> {
    let world = asked.world;
    for (bearing, members) in inner.iter() {
        let boxes = asked.passing.answered(world, bearing, direction)?;
        let boxes: Vec<&Bounds> = boxes.iter().filter(|bounds| asked.has(bounds.services)).collect();
        let with_v4 = having(members, Family::V4);
        let of_blocks = runs(&blocks(world, &bearing.vpc));
        for wanted in wanted(asked) {
            for member in representatives(world, members, &boxes, &with_v4) {
                let Some(family) = family_for(meant, wanted, with_v4.contains(&member.1)) else { continue };
                let Some(run) = meant.within(family, whole(family)) else { continue };
                let lacks = !having_only(members, &member.1, family);
                if lacks && !without(run, family, &of_blocks).is_empty() {
                    return Ok(Some(no_family(asked, member, direction)));
                }
                if Family::of(member.0) != family {
                    continue;
                }
                let gap = cut_off(world, (bearing, member), direction, (run, family));
                if let Some((peer, gap)) = gap {
                    let service = wanted.map_or(ANY_SERVICE, |served| served.span().0);
                    let Some(transport) = transport(service, SOURCE_PORT) else { continue };
                    let sight = sight(member, peer, direction, transport);
                    return Ok(Some(Witness::Dropped(Sight { gap: Some(gap), ..sight })));
                }
                let held: Vec<&Bounds> = boxes
                    .iter()
                    .copied()
                    .filter(|bounds| bounds.own.0 <= member.0 && member.0 <= bounds.own.1)
                    .collect();
                let is_closed = |runs: &[(IpAddr, IpAddr)]| runs.iter().find_map(|run| closed(&held, *run, wanted));
                if is_closed(&without(run, family, &of_blocks)).is_none() {
                    continue;
                }
                // What interfaces have beside the blocks is inside as well.
                let left = without(run, family, &runs_inside(world, &bearing.vpc));
                let Some((peer, service)) = is_closed(&left) else { continue };
                let Some(transport) = transport(service, SOURCE_PORT) else { continue };
                return Ok(Some(dropped(world, sight(member, peer, direction, transport))));
            }
        }
    }
    Ok(None)
}

/// An address of a run outside that nothing leads to, or from, and what is missing.
fn cut_off(
    world: &World,
    (bearing, (own, eni)): (&Bearing, &Member),
    direction: Direction,
    (run, family): ((u128, u128), Family),
) -> Option<(IpAddr, Gap)> {
    world.ways(&bearing.vpc)?;
    let inside = runs_inside(world, &bearing.vpc);
    let led = led::led(world, (world.eni(eni)?, *own), direction, &inside);
    let left = without(run, family, &inside);
    left.into_iter().find_map(|run| led.gap(run).map(|(peer, gap)| (peer, gap.clone())))
}

/// Whether an interface has an address of a family among members.
fn having_only(members: &OrdSet<Member>, eni: &EniId, family: Family) -> bool {
    members.iter().any(|(own, other)| other == eni && Family::of(*own) == family)
}

fn no_family(asked: &Asked<'_>, member: &Member, direction: Direction) -> Witness {
    let statement = &asked.invariant.statement;
    match direction {
        Direction::Ingress => Witness::NoFamily { from: statement.from.to_string(), to: member.1.to_string() },
        Direction::Egress => Witness::NoFamily { from: member.1.to_string(), to: statement.to.to_string() },
    }
}

/// One member for all that the same boxes hold, whose interfaces have the same families, and to which the same leads.
fn representatives<'a>(
    world: &World,
    members: &'a OrdSet<Member>,
    boxes: &[&Bounds],
    with_v4: &BTreeSet<&EniId>,
) -> impl Iterator<Item = &'a Member> + use<'a> {
    let with_v6 = having(members, Family::V6);
    let mut by = BTreeMap::new();
    for member in members {
        let holds = |bounds: &&Bounds| bounds.own.0 <= member.0 && member.0 <= bounds.own.1;
        let (v4, v6) = (with_v4.contains(&member.1), with_v6.contains(&member.1));
        let way = world.eni(&member.1).and_then(|eni| led::kind(world, eni, member.0));
        let held: Vec<bool> = boxes.iter().map(holds).collect();
        by.entry((held, Family::of(member.0), v4, v6, way)).or_insert(member);
    }
    by.into_values()
}

/// Over which family a service should run between an interface and what is outside.
fn family_for(meant: Outside, wanted: Wanted, has_v4: bool) -> Option<Family> {
    let of_service = wanted.and_then(|served| served.family());
    match meant {
        Outside::Block(block) => Some(block.family()).filter(|family| of_service.is_none_or(|only| only == *family)),
        Outside::All => Some(of_service.unwrap_or(if has_v4 { Family::V4 } else { Family::V6 })),
    }
}

fn whole(family: Family) -> (IpAddr, IpAddr) {
    (from_number(family, 0), from_number(family, family.last()))
}

/// The first address of a run that a service does not get through for, and the service.
fn closed(boxes: &[&Bounds], (first, last): (IpAddr, IpAddr), wanted: Wanted) -> Option<(IpAddr, u32)> {
    let family = Family::of(first);
    let own: Vec<&&Bounds> = boxes.iter().filter(|bounds| bounds.family == family).collect();
    let mut starts: BTreeSet<u128> = BTreeSet::from([number(first)]);
    for bounds in &own {
        starts.insert(number(bounds.peers.0));
        starts.extend(number(bounds.peers.1).checked_add(1));
    }
    let within = starts.range(number(first)..=number(last));
    within.copied().find_map(|start| {
        let held = own.iter().filter(|bounds| number(bounds.peers.0) <= start && start <= number(bounds.peers.1));
        let service = missing(&Services::of(held.map(|bounds| **bounds)), wanted)?;
        Some((from_number(family, start), service))
    })
}
