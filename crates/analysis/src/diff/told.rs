//! Exact sets in words: the same said once for all interfaces of which it is true, and each interface with a packet of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use sekimori_core::{
    address::{Family, from_number, number},
    ids::EniId,
    packet::Packet,
    rule::Direction,
    space::{
        Set,
        view::{Bounds, at_own, to_peers},
    },
    verdict,
    world::{Eni, GroupSet, World, group_set},
};

use super::{
    AtInterface, Change, DIFF_CHANGES_MAX, DIFF_GROUPS_MAX, DIFF_INTERFACES_MAX, DIFF_NAMES_MAX, DIFF_ROWS_MAX,
    Effect, Interface, InterfaceChange, Interfaces, Report, Row, Witness,
    places::{BOTH, Place, Places},
};
use crate::{
    effective::group_name,
    led::CutOff,
    services::{Services, joined, range, ranges, rows, shortened},
    text,
};

type Ends = (IpAddr, IpAddr);

/// What is said of interfaces: equal for those of which the same is true.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Said {
    effect: Effect,
    direction: Direction,
    /// The own addresses where they are not one by one: those of an interface whose source is not checked are nobody else's.
    own: Option<Ends>,
    rows: Vec<(Services, Vec<Ends>)>,
}

/// Own addresses of an interface that something is said of.
struct Member {
    eni: Option<Arc<Eni>>,
    own: Ends,
    groups: GroupSet,
    /// What is left for it without what it sends itself, where that is less than what is said.
    rest: Option<Set>,
}

/// Members of which the same was said, and the packets at the first of them.
struct Merged {
    members: Vec<Member>,
    first: Set,
}

/// What was put together about an interface.
#[derive(Default)]
struct Own {
    said: BTreeMap<usize, Vec<Ends>>,
    gained: u64,
    lost: u64,
    witnesses: [Option<Packet>; 2],
}

pub(super) fn report(
    worlds: (&World, &World),
    places: Places,
    (before, after): (&str, &str),
    judges: Option<&(Eni, Eni)>,
) -> Report {
    let worlds = Judging { before: worlds.0, after: worlds.1, judges };
    let Places { places, new, gone, new_groups, gone_groups, bypass, around, crossings, crossings_untold } = places;
    let mut teller = Teller { worlds: &worlds, merged: BTreeMap::new() };
    places.iter().for_each(|place| teller.place(place));
    let (changes, by_eni) = teller.told();
    let interfaces = by_eni.iter().take(DIFF_INTERFACES_MAX);
    let mut cut_off = CutOff::of(worlds.after);
    let interface = |(id, own): (&EniId, &Own)| interface_change(&worlds, (id, own), &changes, &mut cut_off);
    let interfaces = interfaces.map(interface).collect();
    Report {
        before: before.to_owned(),
        after: after.to_owned(),
        interfaces,
        interfaces_untold: by_eni.len().saturating_sub(DIFF_INTERFACES_MAX),
        changes_untold: changes.len().saturating_sub(DIFF_CHANGES_MAX),
        changes: changes.into_iter().take(DIFF_CHANGES_MAX).collect(),
        new_untold: new.len().saturating_sub(DIFF_INTERFACES_MAX),
        new: new.iter().take(DIFF_INTERFACES_MAX).map(|eni| comes_or_goes(worlds.after, eni)).collect(),
        gone_untold: gone.len().saturating_sub(DIFF_INTERFACES_MAX),
        gone: gone.iter().take(DIFF_INTERFACES_MAX).map(|eni| comes_or_goes(worlds.before, eni)).collect(),
        new_groups_untold: new_groups.len().saturating_sub(DIFF_GROUPS_MAX),
        new_groups: new_groups.iter().take(DIFF_GROUPS_MAX).map(|id| group_name(worlds.after, id)).collect(),
        gone_groups_untold: gone_groups.len().saturating_sub(DIFF_GROUPS_MAX),
        gone_groups: gone_groups.iter().take(DIFF_GROUPS_MAX).map(|id| group_name(worlds.before, id)).collect(),
        bypass,
        around,
        crossings,
        crossings_untold,
    }
}

/// The two worlds; and, where policies are compared in one, interfaces that have them.
struct Judging<'a> {
    before: &'a World,
    after: &'a World,
    judges: Option<&'a (Eni, Eni)>,
}

struct Teller<'a> {
    worlds: &'a Judging<'a>,
    merged: BTreeMap<Said, Merged>,
}

impl Teller<'_> {
    fn place(&mut self, place: &Place) {
        for (direction, sets) in BOTH.into_iter().zip(&place.sets) {
            for (effect, set) in [(Effect::Gained, &sets.gained), (Effect::Lost, &sets.lost)] {
                if set.is_empty() {
                    continue;
                }
                if place.enis.is_empty() || place.is_exact {
                    self.by_rows(place, (effect, direction), set);
                } else {
                    self.by_addresses(place, (effect, direction), set);
                }
            }
        }
    }

    /// A set that tells own addresses by itself.
    fn by_rows(&mut self, place: &Place, (effect, direction): (Effect, Direction), set: &Set) {
        let mut by_own: BTreeMap<Ends, Vec<(Services, Vec<Ends>)>> = BTreeMap::new();
        for row in rows(set) {
            by_own.entry(row.own).or_default().push((row.services, row.peers));
        }
        for (own, rows) in by_own {
            let here = || Set::of_boxes(set.boxes().filter(|bounds| bounds.own == own)).unwrap_or_default();
            let eni = place.enis.first().cloned();
            self.note(
                Said { effect, direction, own: Some(own).filter(|(first, last)| first != last), rows },
                Member { eni, own, groups: place.bearing.groups.clone(), rest: None },
                here,
            );
        }
    }

    /// A set that holds at the own addresses of some interfaces: addresses that nothing tells apart share what is said.
    fn by_addresses(&mut self, place: &Place, (effect, direction): (Effect, Direction), set: &Set) {
        let boxes: Vec<Bounds> = set.boxes().collect();
        let cuts: BTreeSet<Ends> = boxes.iter().map(|bounds| bounds.own).collect();
        let signature = |own: &IpAddr| {
            let holds = |(first, last): &Ends| Family::of(*first) == Family::of(*own) && first <= own && own <= last;
            cuts.iter().map(holds).collect::<Vec<bool>>()
        };
        let mut alike: BTreeMap<Vec<bool>, Vec<(&Arc<Eni>, IpAddr)>> = BTreeMap::new();
        for (eni, own) in place.enis.iter().flat_map(|eni| eni.addresses.iter().map(move |own| (eni, *own))) {
            alike.entry(signature(&own)).or_default().push((eni, own));
        }
        for members in alike.into_values() {
            let Some((_, first)) = members.first() else { continue };
            let here = at(set, direction, *first);
            if here.is_empty() {
                continue;
            }
            let (shown, is_alone) = (words_of(&here), members.len() == 1);
            for (eni, own) in members {
                let own_set = at(set, direction, own);
                let rest = without_itself(&own_set, direction, eni);
                if rest.as_ref().is_some_and(Set::is_empty) {
                    continue;
                }
                let (rows, here, rest) = match rest {
                    Some(rest) if is_alone => (words_of(&rest), rest, None),
                    rest => (shown.clone(), own_set, rest),
                };
                let said = Said { effect, direction, own: None, rows };
                let (eni, groups) = (Some(Arc::clone(eni)), place.bearing.groups.clone());
                self.note(said, Member { eni, own: (own, own), groups, rest }, || here);
            }
        }
    }

    fn note(&mut self, said: Said, member: Member, first: impl FnOnce() -> Set) {
        match self.merged.get_mut(&said) {
            Some(merged) => merged.members.push(member),
            None => drop(self.merged.insert(said, Merged { members: vec![member], first: first() })),
        }
    }

    fn told(&self) -> (Vec<Change>, BTreeMap<EniId, Own>) {
        let (mut changes, mut by_eni): (Vec<Change>, BTreeMap<EniId, Own>) = (Vec::new(), BTreeMap::new());
        for (place, (said, merged)) in self.merged.iter().enumerate() {
            let (all, of_all) = (counted(&merged.first), example(&merged.first));
            // The first is the one by whom it is judged.
            let rest = merged.members.first().and_then(|member| member.rest.as_ref());
            let packet = rest.map_or(of_all, example);
            for member in &merged.members {
                let Some(eni) = &member.eni else { continue };
                let (count, packet) =
                    member.rest.as_ref().map_or((all, of_all), |rest| (counted(rest), example(rest)));
                let own = by_eni.entry(eni.id.clone()).or_default();
                own.said.entry(place).or_default().push(member.own);
                let (sum, seen) = match said.effect {
                    Effect::Gained => (&mut own.gained, 0),
                    Effect::Lost => (&mut own.lost, 1),
                };
                *sum = sum.saturating_add(count);
                if let Some(slot) = own.witnesses.get_mut(seen).filter(|slot| slot.is_none()) {
                    *slot = packet.map(|packet| Packet { local: member.own.0, ..packet });
                }
            }
            if place < DIFF_CHANGES_MAX {
                changes.push(self.change(said, merged, packet));
            } else {
                // Only their number is told.
                changes.push(self.change(said, &Merged { members: Vec::new(), first: Set::empty() }, None));
            }
        }
        (changes, by_eni)
    }

    fn change(&self, said: &Said, merged: &Merged, packet: Option<Packet>) -> Change {
        let Said { effect, direction, rows, .. } = said;
        let members = &merged.members;
        let vpc = members.iter().find_map(|member| member.eni.as_ref()).map(|eni| &eni.vpc);
        let peer = |ends: &Ends| {
            let known = vpc.filter(|_| ends.0 == ends.1).and_then(|vpc| {
                let of = |world: &World| world.eni_seen_from(vpc, ends.0).map(|eni| name(eni));
                of(self.worlds.after).or_else(|| of(self.worlds.before))
            });
            known.map(|name| format!("{} ({name})", ends.0))
        };
        let row = |(services, peers): &(Services, Vec<Ends>)| Row {
            services: services.words(),
            peers: match peers.iter().map(peer).collect::<Option<Vec<_>>>() {
                Some(named) => shortened(named, DIFF_NAMES_MAX),
                None => ranges(peers),
            },
        };
        let eni = members.iter().find_map(|member| member.eni.as_ref());
        Change {
            effect: *effect,
            direction: *direction,
            interfaces: self.interfaces(members),
            rows: rows.iter().take(DIFF_ROWS_MAX).map(row).collect(),
            rows_untold: rows.len().saturating_sub(DIFF_ROWS_MAX),
            but_itself: members.iter().any(|member| member.rest.is_some()) && !rows.iter().all(names_all),
            witness: packet.map(|packet| judged(self.worlds, eni, packet)),
        }
    }

    fn interfaces(&self, members: &[Member]) -> Interfaces {
        let enis: BTreeMap<&EniId, &Arc<Eni>> =
            members.iter().filter_map(|member| member.eni.as_ref()).map(|eni| (&eni.id, eni)).collect();
        let names: BTreeSet<String> = enis.values().map(|eni| name(eni)).collect();
        let addresses = joined(members.iter().map(|member| member.own).collect());
        let addresses = match members.iter().all(|member| member.own.0 == member.own.1) {
            true => members
                .iter()
                .map(|member| member.own.0)
                .collect::<BTreeSet<_>>()
                .iter()
                .map(ToString::to_string)
                .collect(),
            false => addresses.into_iter().map(range).collect(),
        };
        let policies: BTreeSet<&GroupSet> = members.iter().map(|member| &member.groups).collect();
        let groups = |set: &&GroupSet| set.iter().map(|id| group_name(self.worlds.after, id)).collect();
        Interfaces {
            count: enis.len(),
            names: shortened(names.into_iter().collect(), DIFF_NAMES_MAX),
            addresses: shortened(addresses, DIFF_NAMES_MAX),
            policies: policies.iter().take(DIFF_NAMES_MAX).map(groups).collect(),
        }
    }
}

fn interface_change(
    worlds: &Judging<'_>,
    (id, own): (&EniId, &Own),
    changes: &[Change],
    cut_off: &mut CutOff<'_>,
) -> InterfaceChange {
    let eni = worlds.after.eni(id);
    let opens = |change: &Change| (change.effect, change.direction) == (Effect::Gained, Direction::Ingress);
    let is_opened = own.said.keys().filter_map(|place| changes.get(*place)).any(opens);
    let witness = |packet: &Option<Packet>| packet.map(|packet| judged(worlds, eni, packet));
    let at = |(change, own): (&usize, &Vec<Ends>)| AtInterface {
        change: *change,
        addresses: shortened(own.iter().map(|ends| range(*ends)).collect(), DIFF_NAMES_MAX),
    };
    let [gained, lost] = &own.witnesses;
    InterfaceChange {
        eni: id.clone(),
        instance: eni.and_then(|eni| eni.instance.clone()),
        changes: own.said.iter().map(at).collect(),
        gained: own.gained,
        lost: own.lost,
        gained_witness: witness(gained),
        lost_witness: witness(lost),
        cut_off: eni.filter(|_| is_opened).and_then(|eni| cut_off.words(eni)),
    }
}

fn comes_or_goes(world: &World, eni: &Eni) -> Interface {
    Interface {
        eni: eni.id.clone(),
        instance: eni.instance.clone(),
        addresses: eni.addresses.iter().map(ToString::to_string).collect(),
        groups: group_set(&eni.groups).iter().map(|id| group_name(world, id)).collect(),
    }
}

fn name(eni: &Eni) -> String {
    eni.instance.as_ref().map_or_else(|| eni.id.to_string(), ToString::to_string)
}

fn at(set: &Set, direction: Direction, own: IpAddr) -> Set {
    // One address cuts no piece in two.
    let here = at_own(direction, &BTreeSet::from([own])).and_then(|here| set.intersection(&here));
    here.unwrap_or_default()
}

fn words_of(set: &Set) -> Vec<(Services, Vec<Ends>)> {
    rows(set).into_iter().map(|row| (row.services, row.peers)).collect()
}

/// Whether a row is about everybody, of whom nobody takes an interface itself to be one.
fn names_all((_, peers): &(Services, Vec<Ends>)) -> bool {
    peers.iter().all(|peers| range(*peers).ends_with("/0"))
}

/// What is left of a set without what an interface sends to itself, which never leaves it; nothing where that is all of it.
fn without_itself(set: &Set, direction: Direction, eni: &Eni) -> Option<Set> {
    let itself = to_peers(direction, &eni.addresses.iter().copied().collect()).unwrap_or_default();
    // Few addresses cut few pieces in two. If that were too many, what it sends itself is told as well: nothing is left out.
    itself.meets(set).then(|| set.difference(&itself).ok()).flatten()
}

fn counted(set: &Set) -> u64 {
    u64::try_from(count(set)).unwrap_or(u64::MAX)
}

/// How many packets there are, of one own address for each piece.
fn count(set: &Set) -> u128 {
    let owns: BTreeSet<IpAddr> = set.boxes().map(|bounds| bounds.own.0).collect();
    set.count_at(&owns)
}

/// A packet of a set, as people would try one: to somebody else, by a service that people know, if there is one.
pub(crate) fn example(set: &Set) -> Option<Packet> {
    let strangeness = |bounds: &Bounds| {
        let is_within = |service: &u32| (bounds.services.0..=bounds.services.1).contains(service);
        let is_to_itself = bounds.peers == bounds.own && bounds.own.0 == bounds.own.1;
        (is_to_itself, !SERVICES.iter().any(is_within), !matches!(bounds.services.0 >> 16, 1 | 6 | 17 | 58))
    };
    let packet = |bounds: &Bounds| Set::of_boxes([near(bounds)]).ok()?.witness();
    let mut boxes: Vec<Bounds> = set.boxes().collect();
    // Stable, so that of those that are as good the first is taken.
    boxes.sort_by_key(strangeness);
    boxes.iter().find_map(packet)
}

/// `protocol << 16 | port` of what a packet is told with, if the set lets choose.
const SERVICES: [u32; 4] = [6 << 16 | 443, 17 << 16 | 443, 1 << 16 | 8 << 8, 58 << 16 | 128 << 8];

/// Addresses and ports that a packet is told with, if the set lets choose: those that RFC 5737 and 3849 keep for examples.
fn near(bounds: &Bounds) -> Bounds {
    const SOURCE: u16 = 50_000;
    let within = |service: &u32| (bounds.services.0..=bounds.services.1).contains(service);
    let service = SERVICES.into_iter().find(within).unwrap_or(bounds.services.0);
    let services = if matches!(service >> 16, 1 | 6 | 17 | 58) {
        (service, service)
    } else {
        (service & !0xffff, service | 0xffff)
    };
    let has_ports = matches!(service >> 16, 6 | 17);
    let source = SOURCE.clamp(bounds.sources.0, bounds.sources.1);
    let example = match bounds.family {
        Family::V4 => IpAddr::from([198, 51, 100, 1]),
        Family::V6 => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]),
    };
    let (first, last) = (number(bounds.peers.0), number(bounds.peers.1));
    let peer = match number(example).clamp(first, last) {
        // Nobody sends himself anything.
        own if own == number(bounds.own.0) && own < last => own + 1,
        own if own == number(bounds.own.0) && own > first => own - 1,
        peer => peer,
    };
    let peer = from_number(bounds.family, peer);
    let sources = if has_ports { (source, source) } else { bounds.sources };
    Bounds { services, sources, peers: (peer, peer), own: (bounds.own.0, bounds.own.0), ..*bounds }
}

fn judged(worlds: &Judging<'_>, eni: Option<&Arc<Eni>>, packet: Packet) -> Witness {
    let Judging { before, after, judges } = worlds;
    let decide = |world: &World, judge: Option<&Eni>| {
        let eni = judge.or_else(|| world.eni(&eni?.id).map(|eni| &**eni))?;
        Some(verdict::decide(world, eni, &packet))
    };
    Witness {
        eni: eni.map(|eni| eni.id.clone()),
        text: packet_words(&packet),
        before: decide(before, judges.map(|(one, _)| one)),
        after: decide(after, judges.map(|(_, other)| other)),
        packet,
    }
}

/// `tcp/443 from 198.51.100.1 port 50000 to 10.0.0.1`.
pub(crate) fn packet_words(packet: &Packet) -> String {
    let (from, to) = match packet.direction {
        Direction::Ingress => (packet.peer, packet.local),
        Direction::Egress => (packet.local, packet.peer),
    };
    let port = packet.transport.source_port().map(|port| format!(" port {port}")).unwrap_or_default();
    format!("{} from {from}{port} to {to}", text::transport(packet.transport))
}
