//! The data plane: programs at every interface, and the maps they read.
//!
//! [`DataPlane`] makes the kernel follow the tables of `compile`. The order of its writes is what keeps
//! section 3.2 of the design: see `write.rs`. The only unsafe code of the project is in [`sys`].

pub mod attach;
pub mod clock;
pub mod counters;
pub mod events;
pub mod live;
pub mod maps;
pub mod read;
pub mod sample;
pub mod store;
pub mod sys;

mod adopt;
mod budget;
mod check;
mod earlier;
mod elsewhere;
mod flows;
mod grace;
mod links;
mod members;
mod own;
mod programs;
mod repair;
mod round;
mod settle;
mod shadow;
mod shape;
mod takeover;
mod watch;
mod write;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    mem::offset_of,
    os::fd::BorrowedFd,
    path::Path,
};

use anyhow::Context as _;
use sekimori_compile::{
    abi,
    tables::{Adopted, Delta, PolicyId, Tables},
};
use sekimori_core::{binding::Side, feed::ClosedEni, ids::EniId, limits::HOST_FLOWS_MAX};

pub use attach::{AttachMode, detach_filters};
pub use check::Object;
pub use elsewhere::At;
pub use round::{Next, Round};
pub use watch::Restored;
pub use write::{HashWrites, KernelHashes};

use attach::Attachments;
use budget::{Budgets, Drift};
use flows::FlowTables;
use maps::{Home, Image, Maps};
use members::Members;
use programs::Library;
use read::Sweeper;
use shadow::ShadowTables;
use store::Space;

/// Where a policy lies in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Placed {
    at: u32,
}

/// What was taken out of use, and may still be read by a program that is running.
#[derive(Debug, Default)]
struct Cooling {
    policies: Vec<u32>,
    members: Vec<u32>,
}

/// What is on its way from "not used" to "free".
pub struct Collection {
    cooling: Cooling,
    sweeper: Sweeper,
    shadows: ShadowTables,
    /// Counters of rules that are gone.
    rules: BTreeSet<u32>,
}

impl Collection {
    /// Ends flows that have idled out, then waits for every program that is running now.
    ///
    /// # Errors
    /// The kernel's.
    pub fn run(&mut self) -> io::Result<()> {
        self.sweeper.sweep()?;
        sys::wait_for_running_programs()?;
        if self.rules.is_empty() {
            return Ok(());
        }
        // What is counted under a number that another rule may get next.
        self.shadows.forget_where(|pair| self.rules.contains(&pair.live) || self.rules.contains(&pair.candidate))
    }
}

/// The kernel's side of enforcement on one host.
pub struct DataPlane {
    home: Home,
    maps: Maps,
    hashes: Box<dyn HashWrites>,
    attachments: Attachments,
    space: Space,
    placed: BTreeMap<PolicyId, Placed>,
    members: Members,
    slots: BTreeMap<EniId, u32>,
    /// ENIs whose interfaces are not local compute's.
    bound: BTreeSet<EniId>,
    cooling: Cooling,
    /// Where policies stood that are given back when the collection that is on its way has ended.
    collecting: Vec<u32>,
    drift: Drift,
    /// Flows of each IP version that the tables are shared out for.
    flows_max: u32,
    dirty: bool,
    /// An interface keeps an older policy, as there is no room for its newest.
    lags: bool,
    /// What such interfaces keep.
    kept: BTreeSet<PolicyId>,
    cpus: usize,
}

impl DataPlane {
    /// Opens the data plane of a data directory. What an earlier process left in the kernel goes on
    /// enforcing, untouched; it is described in the second value, for [`Tables::new`].
    ///
    /// # Errors
    /// When the kernel refuses; the message says what and how to mend it.
    pub fn open(dir: &Path, mode: AttachMode) -> anyhow::Result<(Self, Adopted)> {
        Self::open_with(dir, mode, Image::default())
    }

    /// The same with another image than this agent's own; what the agent reads and writes must be arranged as in its own.
    ///
    /// # Errors
    /// As [`DataPlane::open`].
    pub fn open_with(dir: &Path, mode: AttachMode, image: Image) -> anyhow::Result<(Self, Adopted)> {
        let home = Home::new(maps::mount_bpffs(dir)?, image);
        let maps = maps::load(&home)?;
        let hashes = Box::new(KernelHashes::new(&maps)?);
        let library = Library::open(&home, &maps).context("cannot look at the programs of an earlier process")?;
        let mut attachments = Attachments::new(&home, library, mode)?;
        let cpus = maps::possible_cpus()?;
        let kernel = adopt::read(&maps)?;
        let named: BTreeSet<u32> = kernel.adopted.rules.iter().map(|(_, slot)| *slot).chain([0]).collect();
        let is_gone = |slot: u32| !named.contains(&slot);
        ShadowTables::new(&maps, cpus)?.forget_where(|pair| is_gone(pair.live) || is_gone(pair.candidate))?;
        for (eni, slot) in &kernel.slots {
            let entry = maps.enis.get(*slot as usize);
            let port = abi::PortKey { netns: entry.netns, ifindex: entry.ifindex, reserved: 0 };
            attachments.bind(eni, (entry.ifindex != 0).then_some(port));
            attachments.set_routed(eni, entry.flags & abi::ENI_OF_INTERFACE != 0);
        }
        attachments.renew_links()?;
        let mut plane = Self {
            home,
            maps,
            hashes,
            attachments,
            space: kernel.space,
            placed: kernel.placed,
            members: kernel.members,
            slots: kernel.slots,
            bound: BTreeSet::new(),
            cooling: Cooling::default(),
            collecting: Vec::new(),
            drift: Drift::default(),
            flows_max: HOST_FLOWS_MAX,
            dirty: false,
            lags: false,
            kept: BTreeSet::new(),
            cpus,
        };
        plane.share_out();
        Budgets::new(&plane.maps)?.begin(&FlowTables::new(&plane.maps)?)?;
        Ok((plane, kernel.adopted))
    }

    /// Puts something between the agent and the kernel's hashes; a crash or fault test does.
    pub fn intercept(&mut self, wrap: impl FnOnce(Box<dyn HashWrites>) -> Box<dyn HashWrites>) {
        let inner = std::mem::replace(&mut self.hashes, Box::new(write::NoHashes));
        self.hashes = wrap(inner);
    }

    /// Closes an interface: attaches the programs before it is up. It opens with the ENI's policy, at once
    /// if the tables have one.
    ///
    /// # Errors
    /// When the programs cannot be attached; the interface must not be set up then.
    pub fn close(&mut self, eni: &EniId, netns: BorrowedFd<'_>, namespace: &str, ifindex: u32) -> anyhow::Result<()> {
        let cookie = self.attachments.attach(eni, netns, (namespace, ifindex), Side::Guest)?;
        let key = abi::PortKey { netns: cookie, ifindex, reserved: 0 };
        self.rebind(eni, Some(key))?;
        Ok(())
    }

    /// Says that an ENI's interface is one end of a pair between a router that local compute made and another network namespace:
    /// nothing from elsewhere may be from where the router would not send its answer, and packets of live flows between two such
    /// ENIs may go past the router.
    pub fn note_routed(&mut self, eni: &EniId) {
        self.attachments.set_routed(eni, true);
        self.tell_flags(eni);
    }

    /// Without it, every packet takes the router's forwarding path.
    pub fn set_straight_path(&mut self, is_used: bool) {
        self.attachments.set_straight_path(is_used);
        if !is_used {
            self.tell_all_flags();
        }
    }

    fn tell_all_flags(&mut self) {
        for eni in self.attachments.ports().keys().cloned().collect::<Vec<_>>() {
            self.tell_flags(&eni);
        }
    }

    fn tell_flags(&mut self, eni: &EniId) {
        let Some(slot) = self.slots.get(eni) else { return };
        let old = self.maps.enis.get(*slot as usize).flags;
        let new = old & !abi::ENI_OF_INTERFACE | self.attachments.flags(eni);
        if old & abi::ENI_VALID != 0 && old != new {
            self.maps.enis.store_u16(*slot as usize, offset_of!(abi::Eni, flags), new);
        }
    }

    /// Whether both programs are known to be on an ENI's interface, and the interface is known as its.
    #[must_use]
    pub fn is_closed(&self, eni: &EniId, ifindex: u32) -> bool {
        self.attachments.is_attached(eni) && self.attachments.port(eni).is_some_and(|port| port.ifindex == ifindex)
    }

    /// The interface of an ENI is gone.
    pub fn forget(&mut self, eni: &EniId) {
        self.attachments.forget(eni);
        if let Err(error) = self.rebind(eni, None) {
            tracing::warn!(%eni, %error, "an interface that is gone could not be forgotten; trying again");
            self.dirty = true;
        }
    }

    /// Says which interface is an ENI's. The old one, if another, is closed first.
    ///
    /// # Errors
    /// The kernel's.
    pub fn rebind(&mut self, eni: &EniId, port: Option<abi::PortKey>) -> io::Result<()> {
        let slot = self.slots.get(eni).copied();
        let old = self.attachments.bind(eni, port);
        // Another interface may be no end of a pair.
        self.tell_flags(eni);
        if let (None, Some(slot)) = (port, slot) {
            // The array no longer names the interface, so a hash element that stays behind does no harm.
            self.maps.enis.store_u32(slot as usize, offset_of!(abi::Eni, ifindex), 0);
        }
        if let Some(old) = old.filter(|old| Some(*old) != port) {
            self.hashes.delete_port(&old)?;
        }
        match (port, slot) {
            (Some(port), Some(slot)) => self.open_port(slot, port),
            (_, None) | (None, _) => Ok(()),
        }
    }

    fn open_port(&mut self, slot: u32, port: abi::PortKey) -> io::Result<()> {
        let at = slot as usize;
        let entry = self.maps.enis.get(at);
        if (entry.netns, entry.ifindex) != (port.netns, port.ifindex) {
            self.maps.enis.store_u32(at, offset_of!(abi::Eni, ifindex), 0);
            self.maps.enis.store_u64(at, offset_of!(abi::Eni, netns), port.netns);
            self.maps.enis.store_u32(at, offset_of!(abi::Eni, ifindex), port.ifindex);
        }
        self.maps.port_hints.store_u32(port.hint() as usize, 0, slot);
        self.hashes.update_port(&port, slot)
    }

    /// Whether a failed write left the kernel behind the tables; [`DataPlane::resync`] mends it.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Whether every interface has its newest policy, or none at all.
    #[must_use]
    pub fn is_newest(&self) -> bool {
        !self.lags
    }

    /// Takes over from an earlier process: names first, then whatever differs from the tables, then what
    /// the tables do not know. What is equal is not touched, so live flows notice nothing.
    ///
    /// # Errors
    /// As [`DataPlane::resync`].
    pub fn adopt(&mut self, tables: &mut Tables, first: &Delta) -> io::Result<Vec<ClosedEni>> {
        self.write(&Delta { names: first.names.clone(), ..Delta::default() })?;
        let mut closed = self.resync(tables)?;
        closed.extend(first.failures.iter().cloned());
        self.write(&Delta { names: tables.forget_unused(), ..Delta::default() })?;
        Ok(closed)
    }

    /// Makes the kernel follow the step that led to these tables, also when an earlier step did not get through.
    ///
    /// # Errors
    /// The kernel's. The data plane is dirty then; [`DataPlane::resync`] finishes the work.
    pub fn follow(&mut self, delta: &Delta, tables: &Tables) -> io::Result<Vec<ClosedEni>> {
        if !self.dirty {
            return self.write(delta);
        }
        // The step starts from a world that the kernel does not hold: alone it would open what neither does.
        self.write(&Delta { names: delta.names.clone(), ..Delta::default() })?;
        let mut closed = self.resync(tables)?;
        closed.extend(delta.failures.iter().cloned());
        Ok(closed)
    }

    /// Makes the kernel equal to the tables from whatever state it is in.
    ///
    /// # Errors
    /// The kernel's. It stays dirty then, and no more open than both what it was and what it should be.
    pub fn resync(&mut self, tables: &Tables) -> io::Result<Vec<ClosedEni>> {
        self.dirty = true;
        self.lags = false;
        self.settle()?;
        let delta = self.difference(tables);
        let closed = self.write_whole(&delta)?;
        self.dirty = false;
        Ok(closed)
    }

    /// Begins to give back what nothing uses any more. The work in between waits for running programs to
    /// end, so it is done by another thread: [`Collection::run`]. `is_newest` says that every interface has its newest policy.
    ///
    /// # Errors
    /// When a descriptor cannot be copied.
    pub fn begin_collection(&mut self, tables: &mut Tables, is_newest: bool) -> io::Result<Collection> {
        // After a failed write something may still be reached that is listed as unused.
        let mut cooling = if self.dirty { Cooling::default() } else { std::mem::take(&mut self.cooling) };
        self.collecting.append(&mut cooling.policies);
        if !self.dirty {
            tables.mark(is_newest);
        }
        let sweeper = Sweeper::new(&self.maps, std::mem::take(&mut self.drift))?;
        let shadows = ShadowTables::new(&self.maps, self.cpus)?;
        Ok(Collection { cooling, sweeper, shadows, rules: tables.marked_rules() })
    }

    /// Gives it back.
    pub fn end_collection(&mut self, collection: Collection, tables: &mut Tables) {
        for at in std::mem::take(&mut self.collecting) {
            self.space.give_back(at);
        }
        self.drift = collection.sweeper.drift;
        self.members.thaw(collection.cooling.members.into_iter());
        tables.thaw();
    }

    /// Lets go of the programs of namespaces that are gone, and of other builds. Before everything of this host is known to be
    /// there, it is not known which those are.
    ///
    /// # Errors
    /// When the bpffs cannot be read.
    pub fn forget_programs(&self) -> io::Result<()> {
        self.attachments.forget_programs()
    }

    /// The programs, for running them without a packet: (to the ENI, from the ENI).
    #[must_use]
    pub fn programs(&self) -> (BorrowedFd<'_>, BorrowedFd<'_>) {
        self.attachments.programs()
    }

    /// The programs that interfaces of a namespace run, for running them without a packet: (to the ENI, from the ENI).
    ///
    /// # Errors
    /// When the kernel refuses them.
    pub fn programs_in(&mut self, cookie: u64) -> anyhow::Result<(BorrowedFd<'_>, BorrowedFd<'_>)> {
        self.attachments.programs_in(cookie)
    }

    /// The maps, for reading.
    #[must_use]
    pub fn maps(&self) -> &Maps {
        &self.maps
    }
}

impl crate::local::Guard for DataPlane {
    fn close(&mut self, eni: &EniId, netns: BorrowedFd<'_>, namespace: &str, ifindex: u32) -> anyhow::Result<()> {
        Self::close(self, eni, netns, namespace, ifindex)?;
        // Local compute makes nothing but pairs between a router and an instance.
        self.note_routed(eni);
        Ok(())
    }

    fn forget(&mut self, eni: &EniId) {
        // An ENI that was bound elsewhere meanwhile has another interface now.
        if !self.bound.contains(eni) {
            Self::forget(self, eni);
        }
    }
}
