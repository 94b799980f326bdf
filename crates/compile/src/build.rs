//! The words of one policy, from its rules in decision order. The layout is described in [`crate::layout`].

use ipnet::IpNet;
use sekimori_core::{
    ids::GroupId,
    limits::{POLICY_RULES_MAX, POLICY_WORDS_MAX},
    rule::Direction,
};

use crate::{
    classes::{Active, Classes, Events, Value, sweep},
    index::{self, Indexed},
    layout::{
        ASKS_GROUPS, ASKS_LOCALS, ASKS_PEERS, ASKS_SOURCE_PORTS, BLOCK_WORDS, DEFAULT_ALLOW, DEFAULTS_WORD,
        HEADER_WORDS, MAGIC, NO_PORT, POSITION_BITS, Table, acl_base, direction_base, pair,
    },
};

/// One rule of a policy, resolved to numbers.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// Its counter slot.
    pub slot: u32,
    /// `layout::ACTION_*`.
    pub action: u32,
    /// `layout::RULE_*`.
    pub flags: u32,
    /// Runs of `protocol << 16 | port` (or type and code), both ends included.
    pub services: Vec<(u32, u32)>,
    /// Source ports; `None` is every packet, with ports or without.
    pub source_ports: Option<(u16, u16)>,
    /// Blocks of the peer, of either family.
    pub peers: Vec<IpNet>,
    /// Group numbers of the peer.
    pub groups: Vec<u32>,
    /// Own addresses; `None` is all of them.
    pub local: Option<IpNet>,
}

/// The rules of one direction, and what becomes of packets that match none.
#[derive(Clone, Debug, Default)]
pub struct Side {
    /// In decision order.
    pub lines: Vec<Line>,
    /// `layout::DEFAULT_ALLOW` and `layout::OPEN_*`.
    pub flags: u32,
}

/// A policy that cannot be had. The API refuses what does not fit, so this is a second line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Too many rules in one direction.
    #[error("{0} rules in one direction are more than the {POLICY_RULES_MAX} that a policy holds; remove rules")]
    Rules(usize),
    /// Too many words.
    #[error("{0} words are more than the {POLICY_WORDS_MAX} that a policy may take; use fewer overlapping blocks")]
    Words(usize),
    /// A rule names a group for which no number is free.
    #[error("no number is free for group `{0}` yet; it is tried again")]
    Unnumbered(GroupId),
}

/// The two directions of a policy, or of a network ACL.
#[derive(Clone, Debug, Default)]
pub struct Sides {
    /// Towards the ENI.
    pub ingress: Side,
    /// Away from it.
    pub egress: Side,
}

impl Sides {
    fn of(&self, direction: Direction) -> &Side {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

/// Lays a policy out, with the network ACL that its packets meet, if that denies anything.
///
/// # Errors
/// When it does not fit.
pub fn build(rules: &Sides, acl: Option<&Sides>) -> Result<Vec<u64>, BuildError> {
    let mut words = vec![0; HEADER_WORDS as usize];
    let both = [Direction::Ingress, Direction::Egress];
    let rules = both.map(|direction| (direction_base(direction), Some(rules.of(direction))));
    let acl = both.map(|direction| (acl_base(direction), acl.map(|sides| sides.of(direction))));
    for (base, side) in rules.into_iter().chain(acl) {
        let Some(side) = side else {
            set(&mut words, (base + DEFAULTS_WORD) as usize, pair(DEFAULT_ALLOW, 0));
            continue;
        };
        if side.lines.len() > POLICY_RULES_MAX as usize {
            return Err(BuildError::Rules(side.lines.len()));
        }
        Writer::new(&mut words, base, side).write();
    }
    // The next policy begins with a block too.
    fill_block(&mut words);
    if words.len() > POLICY_WORDS_MAX as usize {
        return Err(BuildError::Words(words.len()));
    }
    let length = words.len() as u32;
    set(&mut words, 0, pair(MAGIC, length));
    Ok(words)
}

struct Writer<'a> {
    words: &'a mut Vec<u64>,
    base: u32,
    side: &'a Side,
    /// The rules that ask about other fields than services, as bitmaps, by the mark of the field; only if any does.
    asking: Vec<(u32, Vec<u64>)>,
    active: Active,
    classes: Classes,
}

impl<'a> Writer<'a> {
    fn new(words: &'a mut Vec<u64>, base: u32, side: &'a Side) -> Self {
        let asking = [
            (ASKS_LOCALS, bits_of(&side.lines, |line| line.local.is_some())),
            (ASKS_SOURCE_PORTS, bits_of(&side.lines, |line| line.source_ports.is_some())),
            (ASKS_GROUPS, bits_of(&side.lines, |line| !line.groups.is_empty())),
            (ASKS_PEERS, bits_of(&side.lines, |line| !line.peers.is_empty())),
        ];
        let asking = asking.into_iter().filter(|(_, rules)| rules.iter().any(|word| *word != 0)).collect();
        Self { words, base, side, asking, active: Active::new(side.lines.len()), classes: Classes::default() }
    }

    fn write(mut self) {
        let lines = &self.side.lines;
        let at = self.words.len() as u32;
        let record = |line: &Line| u64::from(line.flags) << 40 | u64::from(line.action) << 32 | u64::from(line.slot);
        self.words.extend(lines.iter().map(record));
        self.place(Table::Rules, at, lines.len());
        self.narrow(Table::Services, |line| line.services.iter().copied());
        self.narrow(Table::Peers4, |line| line.peers.iter().filter_map(span4));
        self.wide(Table::Peers6, |line| line.peers.iter().filter_map(span6));
        self.narrow(Table::Groups, |line| line.groups.iter().map(|group| (*group, *group)));
        if lines.iter().any(|line| line.local.is_some()) {
            self.narrow(Table::Locals4, |line| line.local.as_ref().map_or(Some((0, u32::MAX)), span4).into_iter());
            self.wide(Table::Locals6, |line| line.local.as_ref().map_or(Some((0, u128::MAX)), span6).into_iter());
        }
        if lines.iter().any(|line| line.source_ports.is_some()) {
            self.narrow(Table::SourcePorts, |line| {
                let ports = line.source_ports.map_or((0, NO_PORT), |(a, b)| (u32::from(a), u32::from(b)));
                std::iter::once(ports)
            });
        }
        let defaults = pair(self.side.flags, self.active.summaries().len() as u32);
        set(self.words, (self.base + DEFAULTS_WORD) as usize, defaults);
    }

    /// A table of 32-bit values.
    fn narrow<I: Iterator<Item = (u32, u32)>>(&mut self, table: Table, spans: impl Fn(&'a Line) -> I) {
        let entries = self.entries(table, spans);
        self.lay(table, &index::narrow(&entries), entries.len());
    }

    /// A table of 128-bit values.
    fn wide<I: Iterator<Item = (u128, u128)>>(&mut self, table: Table, spans: impl Fn(&'a Line) -> I) {
        let entries = self.entries(table, spans);
        self.lay(table, &index::wide(&entries), entries.len());
    }

    /// The entries of a table. Their classes are written on the way.
    fn entries<V: Value, I: Iterator<Item = (V, V)>>(
        &mut self,
        table: Table,
        spans: impl Fn(&'a Line) -> I,
    ) -> Vec<(V, u32)> {
        let mut events = Events::new();
        for (rule, line) in self.side.lines.iter().enumerate() {
            spans(line).for_each(|span| events.add(rule, span));
        }
        let (classes, words) = (&mut self.classes, &mut *self.words);
        let asking = if table == Table::Services { self.asking.as_slice() } else { &[] };
        sweep(events, &mut self.active, |active| match active.summaries().iter().all(|summary| *summary == 0) {
            true => 0,
            false => classes.place(active, words) | marks(asking, active),
        })
    }

    /// A table's words, from the beginning of a block on unless it is but one word.
    fn lay(&mut self, table: Table, indexed: &Indexed, entries: usize) {
        if indexed.words.len() > 1 {
            fill_block(self.words);
        }
        let at = self.words.len() as u32;
        self.words.extend_from_slice(&indexed.words);
        self.place(table, at | indexed.levels << POSITION_BITS, entries);
    }

    fn place(&mut self, table: Table, at: u32, entries: usize) {
        set(self.words, (self.base + table as u32) as usize, pair(entries as u32, at));
    }
}

/// Which other fields the rules of a class of services ask about.
fn marks(asking: &[(u32, Vec<u64>)], active: &Active) -> u32 {
    let has =
        |rules: &[u64]| active.words().any(|(number, word)| rules.get(number).is_some_and(|rules| rules & word != 0));
    asking.iter().filter(|(_, rules)| has(rules)).fold(0, |marks, (mark, _)| marks | mark)
}

/// A bit for each rule of which something is true.
fn bits_of(lines: &[Line], is: impl Fn(&Line) -> bool) -> Vec<u64> {
    let word = |lines: &[Line]| {
        lines.iter().enumerate().filter(|(_, line)| is(line)).fold(0, |bits, (bit, _)| bits | (1_u64 << bit))
    };
    lines.chunks(64).map(word).collect()
}

fn fill_block(words: &mut Vec<u64>) {
    words.resize(words.len().next_multiple_of(BLOCK_WORDS), 0);
}

fn set(words: &mut [u64], at: usize, word: u64) {
    if let Some(place) = words.get_mut(at) {
        *place = word;
    }
}

fn span4(net: &IpNet) -> Option<(u32, u32)> {
    let IpNet::V4(net) = net else { return None };
    Some((u32::from(net.network()), u32::from(net.broadcast())))
}

fn span6(net: &IpNet) -> Option<(u128, u128)> {
    let IpNet::V6(net) = net else { return None };
    Some((u128::from(net.network()), u128::from(net.broadcast())))
}

#[cfg(test)]
mod tests;
