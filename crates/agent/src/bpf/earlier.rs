//! What another version of the agent has left in the kernel, and how its place is taken without a gap.
//!
//! Maps are pinned below the version of their layout, so an agent of another version begins with empty ones. Until the new
//! programs know what the old ones know, the old ones go on deciding:
//!
//! 1. Policies, interfaces and members are written into the new maps, as on any first start.
//! 2. At every interface a copy of the new programs that only *looks on* is attached behind the old ones: it notes each flow that
//!    they let begin, and lets every packet go on. Until all links are taken over, nothing goes past the router: what goes straight from
//!    one end to the other is not seen by who looks on, and would be known to one version only.
//! 3. The live flows of the old tables are carried into the new ones, field by field by name ([`super::shape`]). From here the new
//!    tables know every flow.
//! 4. In each old link the new program takes the old one's place, in one atomic step; then the link gets its new name, and the
//!    program that looked on goes.
//! 5. When the last link has been taken over, the counters of the old maps are told a last time, as lives that are over; when they
//!    are written down, the old names go.
//!
//! A link that only looks on has no name: it ends with the agent. So whoever is killed in between leaves every interface with
//! the old program or the new one, and the next agent begins again at 1. Nothing of this knows which version is newer.

use std::{
    collections::BTreeMap,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
};

use sekimori_compile::{
    abi::{ENI_STRAIGHT, ENI_VALID, Flow, PortKey, Reason},
    tables::{RuleKey, Tables},
};
use sekimori_core::{
    feed::{Count, Counter, Tally},
    ids::{EniId, GroupId, RuleId},
    rule::Direction,
};

use super::{
    budget::Budgets,
    counters::Over,
    links::{self, Side},
    maps::{Home, Maps},
    read::Counts,
    shape::{Shape, Shapes, for_each_raw, number},
    sys,
};

/// Tells one boot of the kernel from another.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The pins of one other version.
pub(super) struct Earlier {
    version: u32,
    dir: PathBuf,
    known: Arc<Known>,
}

/// What its maps say.
struct Known {
    version: u32,
    maps: BTreeMap<String, OwnedFd>,
    enis: BTreeMap<u32, EniId>,
    rules: BTreeMap<u32, RuleKey>,
    ports: BTreeMap<EniId, PortKey>,
}

/// The counters of another version, for whoever reads them.
#[derive(Clone)]
pub(super) struct EarlierCounters {
    known: Arc<Known>,
    /// Whether none of its programs runs any more.
    is_over: bool,
    cpus: usize,
}

/// Finds the pins of every other version. What cannot be read counts as not there: its links stay, and decide as well.
pub(super) fn find(home: &Home) -> io::Result<Vec<Earlier>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(home.bpffs())? {
        let entry = entry?;
        let name = entry.file_name();
        let version = name.to_str().and_then(|name| name.strip_prefix('v')).and_then(|number| number.parse().ok());
        let Some(version) = version.filter(|version| *version != home.version()) else { continue };
        match Known::read(version, &entry.path().join("maps")) {
            Ok(known) => found.push(Earlier { version, dir: entry.path(), known: Arc::new(known) }),
            Err(error) => {
                tracing::error!(version, %error, "maps of another version cannot be read; flows begin anew")
            }
        }
    }
    found.sort_by_key(|earlier| earlier.version);
    Ok(found)
}

impl Earlier {
    /// Which version it is.
    pub(super) fn version(&self) -> u32 {
        self.version
    }

    /// The link of an ENI that is at this very interface.
    pub(super) fn link(&self, eni: &EniId, side: Side, port: PortKey) -> io::Result<Option<OwnedFd>> {
        if self.known.ports.get(eni) != Some(&port) {
            return Ok(None);
        }
        let Some(link) = links::open_if_there(&self.link_path(eni, side))? else { return Ok(None) };
        Ok((sys::link_info(link.as_fd())?.ifindex == port.ifindex).then_some(link))
    }

    fn link_path(&self, eni: &EniId, side: Side) -> PathBuf {
        links::path_in(&self.links_dir(), eni, side)
    }

    fn links_dir(&self) -> PathBuf {
        self.dir.join("links")
    }

    /// Its programs leave every packet to the router from now on, where those that look on see it.
    pub(super) fn leave_to_the_router(&self) -> io::Result<()> {
        let mut straight = Vec::new();
        self.known.each("enis", |slot, shape, value| {
            let flags = shape.number(value, "flags").unwrap_or(0);
            if flags & u64::from(ENI_STRAIGHT) != 0 {
                let mut value = value.to_vec();
                shape.set(&mut value, "flags", flags & !u64::from(ENI_STRAIGHT));
                straight.push((slot, value));
            }
        })?;
        // Its agent is gone, so nobody else writes these.
        let map = self.known.map("enis")?;
        straight.iter().try_for_each(|(slot, value)| sys::update_raw(map, &slot.to_ne_bytes(), value))
    }

    /// The name of a link goes. If it has another, or its interface is gone, nothing else changes.
    pub(super) fn forget_link(&self, eni: &EniId, side: Side) -> io::Result<()> {
        links::remove(&self.link_path(eni, side))
    }

    /// Names that are left, of links that are on no interface any more, go; says how many others there are.
    pub(super) fn count_links(&self) -> io::Result<usize> {
        let entries = match fs::read_dir(self.links_dir()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error),
        };
        let mut left = 0;
        for entry in entries {
            let path = entry?.path();
            let link = links::open_if_there(&path)?;
            if link.map(|link| sys::link_info(link.as_fd())).transpose()?.is_some_and(|info| info.ifindex != 0) {
                left += 1;
            } else {
                links::remove(&path)?;
            }
        }
        Ok(left)
    }

    /// The names of its maps go, and with the last program that uses them the maps.
    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// What reads its counters.
    pub(super) fn counters(&self, is_over: bool, cpus: usize) -> EarlierCounters {
        EarlierCounters { known: Arc::clone(&self.known), is_over, cpus }
    }

    /// Carries its live flows into the tables of these maps, where they are not there yet; returns how many.
    pub(super) fn carry_flows(&self, maps: &Maps, tables: &Tables) -> io::Result<usize> {
        let (budgets, mut total) = (Budgets::new(maps)?, 0);
        for (version, name) in ["flows4", "flows6"].into_iter().enumerate() {
            let mut carried = budgets.tally();
            let result = self.known.carry(name, maps.fd(name)?, tables, |eni, is_half_open| {
                carried.note(eni, version, is_half_open);
                total += 1;
            });
            // They take their room, as if they had begun here.
            carried.iter().for_each(|(eni, flows)| budgets.give_back(eni, flows.map(|flows| -flows)));
            result?;
        }
        Ok(total)
    }
}

impl Known {
    fn read(version: u32, pins: &Path) -> io::Result<Self> {
        let mut maps = BTreeMap::new();
        for entry in fs::read_dir(pins)? {
            let entry = entry?;
            if let Some(name) = entry.file_name().to_str() {
                maps.extend(links::open_if_there(&entry.path())?.map(|map| (name.to_owned(), map)));
            }
        }
        let (enis, rules, ports) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut known = Self { version, maps, enis, rules, ports };
        let (mut enis, mut rules, mut ports) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        known.each("eni_names", |slot, shape, value| {
            enis.extend(name_of(shape.get(value, "bytes")).map(|name| (slot, EniId::from(name))));
        })?;
        known.each("rule_names", |slot, shape, value| {
            let group = name_of(shape.get(value, "group")).map(GroupId::from);
            let rule = name_of(shape.get(value, "rule")).map(RuleId::from);
            rules.extend(group.map(|group| (slot, (group, rule))));
        })?;
        known.each("enis", |slot, shape, value| {
            let number = |name| shape.number(value, name);
            let is_valid = number("flags").is_some_and(|flags| flags & u64::from(ENI_VALID) != 0);
            let Some(eni) = enis.get(&slot).filter(|_| is_valid) else { return };
            let ifindex = number("ifindex").and_then(|ifindex| u32::try_from(ifindex).ok()).filter(|it| *it != 0);
            let port = number("netns").zip(ifindex).map(|(netns, ifindex)| PortKey { netns, ifindex, reserved: 0 });
            ports.extend(port.map(|port| (eni.clone(), port)));
        })?;
        (known.enis, known.rules, known.ports) = (enis, rules, ports);
        Ok(known)
    }

    fn map(&self, name: &str) -> io::Result<BorrowedFd<'_>> {
        let map = self
            .maps
            .get(name)
            .ok_or_else(|| io::Error::other(format!("version {} has no map `{name}`", self.version)));
        Ok(map?.as_fd())
    }

    /// Calls `each` for every element of an array.
    fn each(&self, name: &str, mut each: impl FnMut(u32, &Shape, &[u8])) -> io::Result<()> {
        let map = self.map(name)?;
        let shapes = Shapes::of(map)?;
        for_each_raw(map, (shapes.key.size, shapes.value.size), |key, value| {
            if let Some(slot) = number(key).and_then(|slot| u32::try_from(slot).ok()) {
                each(slot, &shapes.value, value);
            }
        })
    }

    /// Carries one table; calls `carried` for every flow that was not there yet, with its ENI and whether it is half open.
    fn carry(
        &self,
        name: &str,
        into: BorrowedFd<'_>,
        tables: &Tables,
        mut carried: impl FnMut(u32, bool),
    ) -> io::Result<()> {
        let from = self.map(name)?;
        let (old, new) = (Shapes::of(from)?, Shapes::of(into)?);
        let mut failure = None;
        for_each_raw(from, (old.key.size, old.value.size), |key, value| {
            let slot_of = |slot: u64| tables.eni_slot(self.enis.get(&u32::try_from(slot).ok()?)?);
            let Some(eni) = old.key.number(key, "eni").and_then(slot_of) else { return };
            let mut key = old.key.carry(key, &new.key);
            new.key.set(&mut key, "eni", u64::from(eni));
            let rule = old.value.number(value, "rule").and_then(|slot| self.rules.get(&u32::try_from(slot).ok()?));
            let mut value = old.value.carry(value, &new.value);
            // No policy has this stamp: the next packet has the flow judged again, as the packet that began it.
            new.value.set(&mut value, "stamp", 0);
            new.value.set(&mut value, "other", 0);
            new.value.set(&mut value, "rule", u64::from(rule.and_then(|rule| tables.rule_slot(rule)).unwrap_or(0)));
            match sys::insert_raw(into, &key, &value) {
                Ok(true) => carried(eni, is_half_open((&new.key, &key), (&new.value, &value))),
                Ok(false) => {}
                Err(error) => failure = Some(error),
            }
        })?;
        match failure {
            // A table that is full refuses new flows; it holds what it can.
            Some(error) if error.raw_os_error() != Some(libc::E2BIG) => Err(error),
            Some(_) | None => Ok(()),
        }
    }

    /// The life of a number's counters. A version without lives gives a number to one name only while this reads it.
    fn life(&self, lives: &str, slot: u32) -> io::Result<u64> {
        if let Ok(map) = self.map(lives) {
            return Ok(sys::lookup(map, &slot)?.unwrap_or(0));
        }
        let mut hasher = DefaultHasher::new();
        (fs::read_to_string(BOOT_ID)?, sys::object_id(self.map("rule_counters")?)?, lives, slot).hash(&mut hasher);
        Ok(hasher.finish().max(1))
    }
}

impl EarlierCounters {
    /// Adds what its programs have counted.
    pub(super) fn read(&self, counts: &mut Counts) -> io::Result<()> {
        let before = counts.tallies.len();
        self.read_rules(counts)?;
        self.read_enis(counts)?;
        if self.is_over {
            let over = Over::Earlier(self.known.version);
            let lives: Vec<u64> = counts.tallies.iter().skip(before).map(|tally| tally.life).collect();
            // Where nothing was counted, nothing is waited for.
            let lives = if lives.is_empty() { vec![0] } else { lives };
            counts.over.extend(lives.into_iter().map(|life| (life, over)));
        }
        Ok(())
    }

    fn read_rules(&self, counts: &mut Counts) -> io::Result<()> {
        let (known, map) = (&self.known, self.known.map("rule_counters")?);
        // Packets and bytes of each number, one after another: in an element each, or, since layout 7, of many in one.
        let mut found: BTreeMap<u32, [u64; 2]> = BTreeMap::new();
        self.each_cell(map, &Shapes::of(map)?, |cell, sum| {
            if let Ok(slot) = u32::try_from(cell / 2) {
                found.entry(slot).or_default()[cell % 2] = sum;
            }
        })?;
        // Counters in one element are not set to zero when a number gets another name.
        if known.map("rule_bases").is_ok() {
            known.each("rule_bases", |slot, shape, base| {
                let base = ["packets", "bytes"].map(|name| shape.number(base, name).unwrap_or(0));
                if let Some(sums) = found.get_mut(&slot) {
                    *sums = [sums[0].wrapping_sub(base[0]), sums[1].wrapping_sub(base[1])];
                }
            })?;
        }
        for (slot, [packets, bytes]) in found.into_iter().filter(|(_, sums)| *sums != [0, 0]) {
            let Some((group, rule)) = known.rules.get(&slot).cloned() else { continue };
            let life = known.life("rule_lives", slot)?;
            self.add(counts, Counter::Rule { group, rule }, life, Count { packets, bytes });
        }
        Ok(())
    }

    fn read_enis(&self, counts: &mut Counts) -> io::Result<()> {
        let (known, map) = (&self.known, self.known.map("reason_counters")?);
        let shapes = Shapes::of(map)?;
        // Two directions of so many reasons for each ENI: an element for each, or, since layout 6, for all of an ENI.
        let together = (shapes.value.size / size_of::<u64>()).max(1);
        let cells = shapes.info.max_entries as usize * together;
        let reasons = (cells / (2 * sys::map_info(known.map("eni_names")?)?.max_entries as usize).max(1)).max(1);
        let mut found = Vec::new();
        self.each_cell(map, &shapes, |cell, packets| found.push((cell, packets)))?;
        for (cell, packets) in found {
            let (reason, side) = (cell % reasons, cell / reasons % 2);
            let Ok(slot) = u32::try_from(cell / reasons / 2) else { continue };
            let reason = u8::try_from(reason).ok().and_then(Reason::of);
            let Some((eni, reason)) = known.enis.get(&slot).cloned().zip(reason) else { continue };
            let direction = if side == 0 { Direction::Ingress } else { Direction::Egress };
            let counter = Counter::Eni { eni, direction, passed: reason.passes(), reason: reason.name().to_owned() };
            self.add(counts, counter, known.life("eni_lives", slot)?, Count { packets, bytes: 0 });
        }
        Ok(())
    }

    fn add(&self, counts: &mut Counts, counter: Counter, life: u64, count: Count) {
        counts.tallies.push(Tally { counter, life, is_over: self.is_over, count });
    }

    /// Calls `each` for every word of a per-CPU array that is not zero, with its place among all of them and its sum over the CPUs.
    fn each_cell(&self, map: BorrowedFd<'_>, shapes: &Shapes, mut each: impl FnMut(usize, u64)) -> io::Result<()> {
        let word = size_of::<u64>();
        let stride = shapes.value.size.next_multiple_of(word);
        for_each_raw(map, (shapes.key.size, stride * self.cpus), |key, values| {
            let Some(element) = number(key).and_then(|element| usize::try_from(element).ok()) else { return };
            for place in 0..stride / word {
                let cpus = values.chunks(stride).filter_map(|value| value.get(place * word..(place + 1) * word));
                let sum = cpus.filter_map(number).fold(0, u64::wrapping_add);
                if sum != 0 {
                    each(element * (stride / word) + place, sum);
                }
            }
        })
    }
}

fn is_half_open((key_shape, key): (&Shape, &[u8]), (shape, value): (&Shape, &[u8])) -> bool {
    let byte = |name| shape.number(value, name).and_then(|number| u8::try_from(number).ok()).unwrap_or(0);
    let protocol = key_shape.number(key, "protocol").and_then(|number| u8::try_from(number).ok()).unwrap_or(0);
    Flow { flags: byte("flags"), progress: byte("progress"), ..Flow::default() }.is_half_open(protocol)
}

fn name_of(bytes: Option<&[u8]>) -> Option<String> {
    let bytes = bytes?;
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let name = std::str::from_utf8(bytes.get(..end)?).ok()?;
    (!name.is_empty()).then(|| name.to_owned())
}
