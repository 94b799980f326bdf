//! What the groups of a policy let pass, by what lets it pass: exact, in each policy that a group is part of.
//!
//! A *part* is what one line lets pass by itself: all that it speaks about without what a line before it denies. Parts overlap where
//! several lines let the same pass, so that each of them is told as a cause; together they are what passes.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use sekimori_core::{
    address::Family,
    ids::GroupId,
    rule::{Action, Direction, PortRange},
    space::{Set, TooComplex, reach::reach},
    world::{Group, GroupSet, World},
};

use super::world;
use crate::{
    bearers::{self, Bearers},
    portions::{Decider, Portions},
};

/// The protocols whose ports controls are about.
pub(super) const WITH_PORTS: [u8; 2] = [6, 17];

/// What one line lets pass by itself.
pub(crate) struct Part {
    /// The line; nothing is the default.
    pub(crate) decider: Option<Decider>,
    /// The packets.
    pub(crate) packets: Set,
}

impl Part {
    /// Whether it is a rule.
    pub(super) fn is_rule(&self) -> bool {
        matches!(self.decider, Some(Decider::Rule(..)))
    }

    /// Whether it is a rule of a group, or the default.
    pub(super) fn is_of(&self, group: &GroupId) -> bool {
        match &self.decider {
            Some(Decider::Rule(own, _)) => own == group,
            None => true,
            Some(Decider::Bypass | Decider::Platform(_) | Decider::IntraGroup(_)) => false,
        }
    }
}

/// What passes at the interfaces of a policy.
pub(crate) struct Exposure {
    pub(crate) groups: GroupSet,
    /// How many interfaces carry exactly these.
    pub(crate) enis: usize,
    pub(crate) parts: Vec<Part>,
    /// The ports that everyone reaches.
    pub(super) everyone: Vec<Run>,
}

/// Ports that the same peers reach.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) family: Family,
    pub(super) protocol: u8,
    pub(super) ports: PortRange,
    /// How many public addresses reach them.
    pub(super) peers: u128,
}

impl Run {
    /// The packets of it from public addresses.
    pub(super) fn packets(&self, direction: Direction) -> Result<Set, TooComplex> {
        Set::of_ports(direction, self.protocol, self.ports).intersection(&world::public(direction, self.family)?)
    }

    /// Whether another run is about the ports that follow, and the same peers.
    pub(super) fn precedes(&self, next: &Self) -> bool {
        (self.family, self.protocol, self.peers) == (next.family, next.protocol, next.peers)
            && u32::from(self.ports.last()) + 1 == u32::from(next.ports.first())
    }

    /// The run in pieces, within each of which no part tells one port from another.
    pub(super) fn cut(&self, parts: &[Part], direction: Direction) -> Result<Vec<Self>, TooComplex> {
        let (first, last) = (u32::from(self.ports.first()), u32::from(self.ports.last()));
        let mut starts = BTreeSet::from([first, last + 1]);
        let packets = self.packets(direction)?;
        for part in parts.iter().filter(|part| part.packets.meets(&packets)) {
            for reach in reach(&[&part.packets.intersection(&packets)?], direction)? {
                let ports = reach.ports(self.protocol);
                let ends = ports.map(|ports| [u32::from(ports.first()), u32::from(ports.last()) + 1]);
                starts.extend(ends.into_iter().flatten().filter(|start| (first..=last).contains(start)));
            }
        }
        let piece = |(start, next): (&u32, &u32)| {
            let ports = PortRange::new(u16::try_from(*start).ok()?, u16::try_from(next - 1).ok()?)?;
            Some(Self { ports, ..self.clone() })
        };
        Ok(starts.iter().zip(starts.iter().skip(1)).filter_map(piece).collect())
    }
}

/// The policies that count for a group: those that interfaces have, or, if none has one, the group by itself.
pub(crate) fn places(world: &World, group: &Group) -> Vec<Bearers> {
    let all: Vec<Bearers> = bearers::of_group(world, group).collect();
    let is_used = |bearers: &&Bearers| bearers::enis(world, bearers).next().is_some();
    let used: Vec<Bearers> = all.iter().filter(is_used).cloned().collect();
    if used.is_empty() { all.into_iter().take(1).collect() } else { used }
}

impl Exposure {
    /// What passes in one direction at the interfaces that carry a set of groups.
    pub(crate) fn of(world: &World, bearers: &Bearers, direction: Direction) -> Result<Self, TooComplex> {
        let portions = Portions::of(world, (&bearers.0, &bearers.1), direction)?;
        let mut scope = Set::everything(direction);
        if let Some(owned) = bearers::owned(world, bearers, direction)? {
            scope = scope.intersection(&owned)?;
        }
        let parts = parts(&portions, &scope)?;
        let everyone = everyone(&parts.iter().collect::<Vec<_>>(), direction)?;
        Ok(Self { groups: bearers.0.clone(), enis: bearers::enis(world, bearers).count(), parts, everyone })
    }
}

/// What each line that allows lets pass by itself, of the packets of a scope.
pub(super) fn parts(portions: &Portions, scope: &Set) -> Result<Vec<Part>, TooComplex> {
    let mut left = scope.clone();
    let mut parts = Vec::new();
    for line in &portions.lines {
        match line.action {
            Action::Deny => left = left.difference(&line.matched)?,
            Action::Allow => {
                let packets = left.intersection(&line.matched)?;
                if !packets.is_empty() {
                    parts.push(Part { decider: Some(line.decider.clone()), packets });
                }
            }
        }
    }
    match portions.default {
        Action::Allow if !left.is_empty() => parts.push(Part { decider: None, packets: left }),
        Action::Allow | Action::Deny => {}
    }
    Ok(parts)
}

/// The ports that everyone reaches through some parts.
pub(super) fn everyone(parts: &[&Part], direction: Direction) -> Result<Vec<Run>, TooComplex> {
    let mut runs = Vec::new();
    for family in [Family::V4, Family::V6] {
        let public = world::public(direction, family)?;
        let public: Vec<Set> =
            parts.iter().map(|part| part.packets.intersection(&public)).collect::<Result<_, _>>()?;
        for reach in reach(&public.iter().collect::<Vec<_>>(), direction)? {
            let peers = reach.peer_count();
            if peers < world::everyone_min(family) {
                continue;
            }
            let run = |protocol| Some(Run { family, protocol, ports: reach.ports(protocol)?, peers });
            runs.extend(WITH_PORTS.into_iter().filter_map(run));
        }
    }
    Ok(runs)
}

/// Exposures that were computed: most controls ask for the same ones.
#[derive(Default)]
pub(super) struct Cache(RefCell<BTreeMap<(Bearers, Direction), Rc<Exposure>>>);

impl Cache {
    /// What passes in one direction in every policy that counts for a group.
    pub(super) fn of(
        &self,
        world: &World,
        group: &Group,
        direction: Direction,
    ) -> Result<Vec<Rc<Exposure>>, TooComplex> {
        places(world, group).into_iter().map(|bearers| self.one(world, (bearers, direction))).collect()
    }

    fn one(&self, world: &World, key: (Bearers, Direction)) -> Result<Rc<Exposure>, TooComplex> {
        if let Some(known) = self.0.borrow().get(&key) {
            return Ok(Rc::clone(known));
        }
        let made = Rc::new(Exposure::of(world, &key.0, key.1)?);
        self.0.borrow_mut().insert(key, Rc::clone(&made));
        Ok(made)
    }
}
