//! Taking the place of another version's programs: see [`super::earlier`] for the order.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use anyhow::Context as _;
use sekimori_compile::{abi::PortKey, tables::Tables};
use sekimori_core::ids::EniId;

use super::{
    DataPlane,
    attach::Attachments,
    earlier::{Earlier, EarlierCounters},
    links::{SIDES, Side},
    programs::{Programs, Role},
    sys,
};
use crate::netlink::netns::within;

/// Other versions that are not gone yet, and what is done about them.
#[derive(Default)]
pub(super) struct Takeover {
    earlier: Vec<Earlier>,
    /// Versions none of whose programs runs any more.
    over: Vec<u32>,
    /// Programs that look on, by namespace.
    observers: BTreeMap<u64, Programs>,
    /// The links by which they do. They have no names.
    observing: BTreeMap<(EniId, Side), OwnedFd>,
}

impl Takeover {
    /// What these versions have left is to be taken over.
    pub(super) fn of(earlier: Vec<Earlier>) -> Self {
        Self { earlier, ..Self::default() }
    }

    /// The programs that look on.
    pub(super) fn observers(&self) -> impl Iterator<Item = &Programs> {
        self.observers.values()
    }

    /// Whether another version's program decides anywhere, and ours only looks on.
    pub(super) fn is_looking_on(&self) -> bool {
        !self.observing.is_empty()
    }

    /// Whether another version's program decides at a side of an ENI, and ours only looks on.
    pub(super) fn is_observing(&self, eni: &EniId, side: Side) -> bool {
        !self.observing.is_empty() && self.observing.contains_key(&(eni.clone(), side))
    }

    /// The interface is gone.
    pub(super) fn forget(&mut self, eni: &EniId) {
        for side in 0..SIDES.len() {
            self.observing.remove(&(eni.clone(), side));
            self.forget_links(eni, side);
        }
    }

    fn forget_links(&self, eni: &EniId, side: Side) {
        for earlier in &self.earlier {
            if let Err(error) = earlier.forget_link(eni, side) {
                tracing::warn!(%eni, %error, "cannot remove the name of another version's link");
            }
        }
    }
}

impl Attachments {
    /// Where another version's program decides at a side of an interface, ours looks on behind it; false where none does.
    pub(super) fn look_on(
        &mut self,
        eni: &EniId,
        side: Side,
        netns: BorrowedFd<'_>,
        port: PortKey,
        attach_type: u32,
    ) -> io::Result<bool> {
        let links = self.takeover.earlier.iter().map(|earlier| earlier.link(eni, side, port));
        if !links.collect::<io::Result<Vec<_>>>()?.iter().any(Option::is_some) {
            return Ok(false);
        }
        if self.takeover.is_observing(eni, side) {
            return Ok(true);
        }
        if !self.takeover.is_looking_on() {
            self.takeover.earlier.iter().try_for_each(Earlier::leave_to_the_router)?;
        }
        let observers = match self.takeover.observers.entry(port.netns) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let loaded = self.library.copy_for(port.netns, Role::LookOn);
                place.insert(loaded.map_err(|error| io::Error::other(format!("{error:#}")))?)
            }
        };
        let Some(program) = observers.by_side().get(side).copied() else { return Ok(false) };
        let link = within(netns, || sys::link_create(program, port.ifindex, attach_type))??;
        self.takeover.observing.insert((eni.clone(), side), link);
        Ok(true)
    }

    /// Puts our programs in the place of the others', one link after another.
    fn take_links(&mut self) -> io::Result<()> {
        while let Some((eni, side)) = self.takeover.observing.keys().next().cloned() {
            self.take_link(&eni, side)?;
            // Only now: until then it notes what the old program lets begin.
            self.takeover.observing.remove(&(eni.clone(), side));
            self.takeover.forget_links(&eni, side);
        }
        let observers = std::mem::take(&mut self.takeover.observers);
        observers.values().for_each(|programs| self.library.remove(programs));
        Ok(())
    }

    /// An interface that has lost its link meanwhile is found by the next look, and gets one.
    fn take_link(&mut self, eni: &EniId, side: Side) -> io::Result<()> {
        let Some(port) = self.port(eni) else { return Ok(()) };
        for earlier in &self.takeover.earlier {
            let Some(link) = earlier.link(eni, side, port)? else { continue };
            let programs = self.programs_of(port.netns);
            let Some(program) = programs.by_side().get(side).copied() else { continue };
            match sys::link_update(link.as_fd(), program) {
                Ok(()) => return self.links.keep(eni, side, link),
                Err(error) if error.raw_os_error() == Some(libc::ENOLINK) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Names of others' links that are not needed go; returns whether a version has lost its last one.
    fn tidy(&mut self) -> io::Result<bool> {
        let has_own =
            |eni: &EniId, side| self.links.path(eni, side).exists() && !self.takeover.is_observing(eni, side);
        for eni in self.ports().keys() {
            (0..SIDES.len())
                .filter(|side| has_own(eni, *side))
                .for_each(|side| self.takeover.forget_links(eni, side));
        }
        let mut has_lost = false;
        for earlier in &self.takeover.earlier {
            if !self.takeover.over.contains(&earlier.version()) && earlier.count_links()? == 0 {
                self.takeover.over.push(earlier.version());
                has_lost = true;
            }
        }
        Ok(has_lost)
    }
}

impl DataPlane {
    /// Takes the place of another version's programs, when everything has been written and attached.
    ///
    /// # Errors
    /// The kernel's. The others go on deciding where they still do, and it is to be tried again.
    pub fn take_over(&mut self, tables: &Tables) -> anyhow::Result<()> {
        if self.attachments.takeover.earlier.is_empty() {
            return Ok(());
        }
        if !self.attachments.takeover.observing.is_empty() {
            // What began before all looked on is in the old tables when no program runs that began before.
            sys::wait_for_running_programs()?;
            let mut carried = 0;
            for earlier in &self.attachments.takeover.earlier {
                match earlier.carry_flows(&self.maps, tables) {
                    Ok(flows) => carried += flows,
                    Err(error) => tracing::error!(%error, "live flows of another version are lost"),
                }
            }
            self.attachments.take_links().context("cannot take over a link of another version")?;
            self.tell_all_flags();
            tracing::info!(carried, "took over from another version");
        }
        if self.attachments.tidy()? {
            sys::wait_for_running_programs()?;
        }
        Ok(())
    }

    /// Whether another version's maps are still there.
    #[must_use]
    pub fn is_taking_over(&self) -> bool {
        !self.attachments.takeover.earlier.is_empty()
    }

    /// What reads the counters of other versions.
    pub(super) fn earlier_counters(&self) -> Vec<EarlierCounters> {
        let Takeover { earlier, over, .. } = &self.attachments.takeover;
        earlier.iter().map(|earlier| earlier.counters(over.contains(&earlier.version()), self.cpus)).collect()
    }

    /// What another version has counted is written down: nothing is left of it.
    ///
    /// # Errors
    /// The file system's.
    pub fn forget_earlier(&mut self, version: u32) -> io::Result<()> {
        let Takeover { earlier, over, .. } = &mut self.attachments.takeover;
        let mut gone = earlier.iter().filter(|earlier| earlier.version() == version && over.contains(&version));
        gone.try_for_each(Earlier::remove)?;
        earlier.retain(|earlier| earlier.version() != version || !over.contains(&version));
        Ok(())
    }
}
