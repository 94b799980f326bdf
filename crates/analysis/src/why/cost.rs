//! What a change opens or closes beside what was asked about, exactly: the sets of packets that pass before and after it, policy by
//! policy, and their difference without the packets of the question.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use serde::{Deserialize, Serialize};

use sekimori_core::{
    address::{Cidr, Family},
    ids::EniId,
    packet::{Packet, Transport},
    rule::Direction,
    space::{
        Set, TooComplex,
        resolve::Reader,
        view::{Bounds, at_own, to_peers},
    },
    world::World,
};

use super::{Goal, edit::Edit};
use crate::{
    permits::Bearing,
    services::{joined, range, ranges, rows, shortened},
};

/// Policies that are compared for one change. A change that more of them know has its cost not told.
pub const COST_POLICIES_MAX: usize = 256;
/// Lines of a cost; the rest is counted.
pub const COST_LINES_MAX: usize = 50;
/// Interfaces that are named; the rest is counted.
pub const COST_INTERFACES_MAX: usize = 50;

/// What else a change does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// How many packets beside those asked about are decided otherwise: protocol, ports and both addresses tell packets apart. A
    /// decimal number; 2^128-1 stands for more. Absent when it is not known.
    pub packets: Option<String>,
    /// Which they are.
    pub lines: Vec<CostLine>,
    /// How many interfaces, beside those asked about, it changes something for.
    pub interfaces: usize,
    /// These.
    pub others: Vec<EniId>,
    /// How many interfaces have what is changed, whether it does something for them or not.
    pub bearers: usize,
    /// Why it is not known.
    pub unknown: Option<String>,
}

/// Packets that are decided otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CostLine {
    /// Towards the interfaces, or away from them.
    pub direction: Direction,
    /// At which.
    pub interfaces: Vec<String>,
    /// Which services.
    pub services: Vec<String>,
    /// From or to whom.
    pub peers: Vec<String>,
    /// At which of their addresses; absent for all of them.
    pub own: Option<String>,
}

/// The packets of a question at the interfaces that judge them.
#[derive(Debug, Default)]
pub(super) struct Target {
    sets: BTreeMap<(EniId, Direction), Set>,
}

/// An interface, what it sees, and the addresses that the other end of it stands for.
pub(super) type Seen = (EniId, Packet, Option<(IpAddr, IpAddr)>);

impl Target {
    /// The packets of a service, from every source port unless one is asked about.
    pub(super) fn of(seen: &[Seen], source_port: Option<u16>) -> Result<Self, TooComplex> {
        type Own = (Direction, IpAddr, Transport);
        let mut peers: BTreeMap<(EniId, Own), Vec<(IpAddr, IpAddr)>> = BTreeMap::new();
        for (eni, packet, part) in seen {
            let own = (packet.direction, packet.local, packet.transport);
            peers.entry((eni.clone(), own)).or_default().push(part.unwrap_or((packet.peer, packet.peer)));
        }
        let mut sets: BTreeMap<(EniId, Direction), Set> = BTreeMap::new();
        for ((eni, (direction, local, transport)), parts) in peers {
            let all = Reader::between(direction, transport, &Cidr::world(Family::of(local)), local);
            let sources = |bounds: &Bounds| match source_port {
                Some(port) if transport.source_port().is_some() => (port, port),
                Some(_) | None => bounds.sources,
            };
            let parts = joined(parts);
            let boxes = all.boxes().flat_map(|bounds| {
                let sources = sources(&bounds);
                parts.iter().map(move |peers| Bounds { peers: *peers, sources, ..bounds })
            });
            let set = sets.entry((eni, direction)).or_default();
            *set = set.union(&Set::of_boxes(boxes)?)?;
        }
        Ok(Self { sets })
    }
}

/// An interface with its addresses.
type At = (EniId, BTreeSet<IpAddr>);

/// What a policy decides otherwise, and at which interfaces.
struct Changed {
    direction: Direction,
    packets: Set,
    enis: Vec<At>,
}

/// A change between two worlds.
pub(super) struct Difference<'a> {
    pub(super) before: &'a World,
    pub(super) after: &'a World,
    pub(super) edits: &'a [Edit],
    pub(super) goal: Goal,
}

impl Difference<'_> {
    /// How many packets beside those of the question it concerns; `None` when that is not known.
    pub(super) fn count(&self, target: &Target) -> Option<u128> {
        self.changed().ok().and_then(|changed| beside(&changed, target).ok())
    }

    /// What else it does.
    pub(super) fn cost(&self, target: &Target) -> Cost {
        let bearers: BTreeSet<EniId> = self.edits.iter().flat_map(|edit| edit.interfaces(self.before)).collect();
        let unknown = |unknown: String| Cost { bearers: bearers.len(), unknown: Some(unknown), ..Cost::default() };
        let changed = match self.changed() {
            Ok(changed) => changed,
            Err(reason) => return unknown(reason),
        };
        match (beside(&changed, target), lines(&changed, target)) {
            (Ok(packets), Ok((lines, others))) => {
                let asked: BTreeSet<&EniId> = target.sets.keys().map(|(eni, _)| eni).collect();
                let others: Vec<EniId> = others.into_iter().filter(|eni| !asked.contains(eni)).collect();
                let (packets, interfaces) = (Some(packets.to_string()), others.len());
                let others = others.into_iter().take(COST_INTERFACES_MAX).collect();
                Cost { packets, lines, interfaces, others, bearers: bearers.len(), unknown: None }
            }
            (Err(error), _) | (_, Err(error)) => unknown(error.to_string()),
        }
    }

    fn changed(&self) -> Result<Vec<Changed>, String> {
        let mut policies: BTreeMap<Bearing, (Vec<At>, Vec<usize>)> = BTreeMap::new();
        for (index, edit) in self.edits.iter().enumerate() {
            for id in edit.interfaces(self.before) {
                let Some(eni) = self.before.eni(&id) else { continue };
                let guarded = self.before.is_guarded(&eni.subnet) || self.after.is_guarded(&eni.subnet);
                let bearing =
                    Bearing { guarded: guarded.then(|| eni.subnet.clone()), ..Bearing::of(self.before, eni) };
                let known = policies.entry(bearing).or_default();
                if !known.1.contains(&index) {
                    known.1.push(index);
                }
                if !known.0.iter().any(|(known, _)| *known == id) {
                    known.0.push((id, eni.addresses.iter().copied().collect()));
                }
            }
        }
        if policies.len() > COST_POLICIES_MAX {
            return Err(format!(
                "{} policies know what would be changed, and at most {COST_POLICIES_MAX} are compared",
                policies.len()
            ));
        }
        let mut changed = Vec::new();
        for (bearing, (enis, edits)) in policies {
            for direction in [Direction::Ingress, Direction::Egress] {
                let packets = self.of(&bearing, &edits, direction).map_err(|error| error.to_string())?;
                if !packets.is_empty() {
                    changed.push(Changed { direction, packets, enis: enis.clone() });
                }
            }
        }
        Ok(changed)
    }

    /// The packets of one policy that are decided otherwise, as the goal is.
    fn of(&self, bearing: &Bearing, edits: &[usize], direction: Direction) -> Result<Set, TooComplex> {
        let mut concerned = Set::empty();
        let edits = edits.iter().filter_map(|index| self.edits.get(*index));
        for edit in edits.filter(|edit| edit.directions().contains(&direction)) {
            concerned = concerned.union(&edit.packets(self.before, &bearing.vpc, direction)?.present())?;
        }
        if concerned.is_empty() {
            return Ok(concerned);
        }
        let before = bearing.allowed_of(self.before, &concerned, direction)?;
        let after = bearing.allowed_of(self.after, &concerned, direction)?;
        match self.goal {
            Goal::Allow => after.difference(&before),
            Goal::Stop => before.difference(&after),
        }
    }
}

fn beside(changed: &[Changed], target: &Target) -> Result<u128, TooComplex> {
    let mut packets: u128 = 0;
    for Changed { direction, packets: set, enis } in changed {
        for (eni, own) in enis {
            // What an interface sends to itself never leaves it.
            let mut count =
                set.count_at(own).saturating_sub(set.intersection(&to_peers(*direction, own)?)?.count_at(own));
            if let Some(asked) = target.sets.get(&(eni.clone(), *direction)) {
                count = count.saturating_sub(set.intersection(asked)?.count_at(own));
            }
            packets = packets.saturating_add(count);
        }
    }
    Ok(packets)
}

/// The packets in words, and the interfaces.
fn lines(changed: &[Changed], target: &Target) -> Result<(Vec<CostLine>, BTreeSet<EniId>), TooComplex> {
    let (mut lines, mut interfaces) = (Vec::new(), BTreeSet::new());
    for Changed { direction, packets, enis } in changed {
        let is_asked = |eni: &EniId| target.sets.contains_key(&(eni.clone(), *direction));
        let (asked, others): (Vec<_>, Vec<_>) = enis.iter().partition(|(eni, _)| is_asked(eni));
        for (eni, own) in asked {
            let rest = match target.sets.get(&(eni.clone(), *direction)) {
                Some(asked) => packets.difference(asked)?,
                None => packets.clone(),
            };
            let rest = rest.difference(&to_peers(*direction, own)?)?.intersection(&at_own(*direction, own)?)?;
            tell(&mut lines, &mut interfaces, (*direction, &rest), &[(eni, own)]);
        }
        let mut concerned = Vec::new();
        for (eni, own) in others {
            let rest = packets.intersection(&at_own(*direction, own)?)?.difference(&to_peers(*direction, own)?)?;
            if !rest.is_empty() {
                concerned.push(((eni, own), rest));
            }
        }
        match concerned.as_slice() {
            // Of one alone it is told without what it sends itself.
            [(other, rest)] => tell(&mut lines, &mut interfaces, (*direction, rest), &[*other]),
            many => {
                let others: Vec<_> = many.iter().map(|(other, _)| *other).collect();
                tell(&mut lines, &mut interfaces, (*direction, packets), &others);
            }
        }
    }
    let more = lines.len().saturating_sub(COST_LINES_MAX);
    lines.truncate(COST_LINES_MAX);
    if more > 0
        && let Some(last) = lines.last_mut()
    {
        last.services.push(format!("and {more} more lines"));
    }
    Ok((lines, interfaces))
}

fn tell(
    lines: &mut Vec<CostLine>,
    interfaces: &mut BTreeSet<EniId>,
    (direction, packets): (Direction, &Set),
    enis: &[(&EniId, &BTreeSet<IpAddr>)],
) {
    for row in rows(packets) {
        let within = |own: &&BTreeSet<IpAddr>| own.range(row.own.0..=row.own.1).next().is_some();
        let at: Vec<&EniId> = enis.iter().filter(|(_, own)| within(own)).map(|(eni, _)| *eni).collect();
        if at.is_empty() {
            continue;
        }
        interfaces.extend(at.iter().copied().cloned());
        let is_whole = range(row.own).ends_with("/0");
        lines.push(CostLine {
            direction,
            interfaces: shortened(at.iter().map(ToString::to_string).collect(), COST_INTERFACES_MAX),
            services: row.services.words(),
            peers: ranges(&row.peers),
            own: (!is_whole).then(|| range(row.own)),
        });
    }
}
