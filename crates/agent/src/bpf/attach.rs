//! Programs on interfaces: tcx links pinned by ENI, or clsact filters where the kernel has no tcx.
//!
//! A link is pinned before anything can pass the interface: a link that dies with its process leaves the
//! interface open.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    io,
    ops::Bound::{Excluded, Unbounded},
    os::fd::{AsFd, BorrowedFd},
};

use anyhow::Context as _;
use aya::programs::{
    SchedClassifier, TcAttachType,
    tc::{NlOptions, TcAttachOptions, TcHandle, qdisc_add_clsact, qdisc_detach_program},
};
use sekimori_compile::abi::{ENI_ROUTED, ENI_STRAIGHT, PortKey};
use sekimori_core::{binding, ids::EniId};

use super::{
    earlier,
    links::{LinkFault, Links, SIDES, Side},
    maps::Home,
    programs::{Library, PROGRAMS, Programs, Role},
    sys,
    takeover::Takeover,
};
use crate::netlink::netns::within;

/// How programs are put on an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AttachMode {
    /// tcx where the kernel has it (6.6), else clsact.
    #[default]
    Auto,
    /// clsact always.
    Clsact,
}

/// Which programs are on which interface.
pub(super) struct Attachments {
    pub(super) library: Library,
    pub(super) links: Links,
    /// What other versions have left.
    pub(super) takeover: Takeover,
    /// ENIs whose programs are clsact filters.
    filtered: BTreeSet<EniId>,
    /// ENIs whose workload is on the host's side of the interface.
    owned: BTreeSet<EniId>,
    shared: Programs,
    by_cookie: BTreeMap<u64, Programs>,
    /// Namespaces whose programs stay loaded without an interface: verifying them takes longer than an interface may be open.
    prepared: BTreeSet<u64>,
    ports: BTreeMap<EniId, PortKey>,
    /// The same the other way round, by namespace and number.
    enis: BTreeMap<(u64, u32), EniId>,
    /// ENIs whose interface is in a router that local compute made: one end of a pair whose other end is in another namespace.
    routed: BTreeSet<EniId>,
    has_straight_path: bool,
    mode: AttachMode,
}

impl Attachments {
    /// Attachments of an image; nothing is attached yet.
    pub(super) fn new(home: &Home, library: Library, mode: AttachMode) -> anyhow::Result<Self> {
        let shared = library.shared()?;
        Ok(Self {
            library,
            links: Links::open(home)?,
            takeover: Takeover::of(earlier::find(home)?),
            filtered: BTreeSet::new(),
            owned: BTreeSet::new(),
            shared,
            by_cookie: BTreeMap::new(),
            prepared: BTreeSet::new(),
            ports: BTreeMap::new(),
            enis: BTreeMap::new(),
            routed: BTreeSet::new(),
            has_straight_path: true,
            mode,
        })
    }

    /// Takes over the links that an earlier process pinned: our programs take the place of its.
    pub(super) fn renew_links(&mut self) -> anyhow::Result<()> {
        for (eni, port) in self.ports.clone() {
            self.load(port.netns)?;
            let programs = self.by_cookie.get(&port.netns).unwrap_or(&self.shared);
            for (side, program) in programs.by_side().into_iter().enumerate() {
                let renewed = self.links.renew(&eni, side, program);
                renewed.with_context(|| format!("cannot renew `{}`", self.links.path(&eni, side).display()))?;
            }
        }
        Ok(())
    }

    /// The programs of a namespace.
    fn load(&mut self, cookie: u64) -> anyhow::Result<&mut Programs> {
        match self.by_cookie.entry(cookie) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => Ok(place.insert(self.library.copy_for(cookie, Role::Decide)?)),
        }
    }

    /// The programs of a namespace, if they are loaded, or else those for runs without an interface.
    pub(super) fn programs_of(&self, cookie: u64) -> &Programs {
        self.by_cookie.get(&cookie).unwrap_or(&self.shared)
    }

    /// The programs of a namespace: to the ENI, and from it.
    pub(super) fn programs_in(&mut self, cookie: u64) -> anyhow::Result<(BorrowedFd<'_>, BorrowedFd<'_>)> {
        let programs = self.load(cookie)?;
        Ok((programs.to_eni.as_fd(), programs.from_eni.as_fd()))
    }

    /// Puts both programs on an interface; returns the cookie of its namespace.
    pub(super) fn attach(
        &mut self,
        eni: &EniId,
        netns: BorrowedFd<'_>,
        (namespace, ifindex): (&str, u32),
        leads_to: binding::Side,
    ) -> anyhow::Result<u64> {
        match leads_to {
            binding::Side::Guest => self.owned.remove(eni),
            binding::Side::Own => self.owned.insert(eni.clone()),
        };
        let cookie = within(netns, sys::netns_cookie)?.context("the kernel does not tell a namespace's cookie")?;
        self.load(cookie)?;
        let attached = match self.mode {
            AttachMode::Auto => self.attach_tcx(eni, netns, cookie, ifindex),
            AttachMode::Clsact => Err(io::ErrorKind::Unsupported.into()),
        };
        match attached {
            Ok(()) => {
                self.filtered.remove(eni);
                Ok(cookie)
            }
            Err(error) if is_unsupported(&error) => {
                self.attach_clsact(eni, netns, cookie, ifindex)?;
                self.filtered.insert(eni.clone());
                Ok(cookie)
            }
            Err(error) => Err(error)
                .with_context(|| format!("cannot attach to interface {ifindex} of {eni} in namespace `{namespace}`")),
        }
    }

    fn attach_tcx(&mut self, eni: &EniId, netns: BorrowedFd<'_>, cookie: u64, ifindex: u32) -> io::Result<()> {
        let port = PortKey { netns: cookie, ifindex, reserved: 0 };
        let known = self.ports.get(eni) == Some(&port);
        for side in 0..SIDES.len() {
            // Seen from the workload, the other way round.
            let (_, attach_type) = SIDES[if self.owned.contains(eni) { 1 - side } else { side }];
            if (known && self.mend(eni, side)?) || self.look_on(eni, side, netns, port, attach_type)? {
                continue;
            }
            let programs = self.by_cookie.get(&cookie).unwrap_or(&self.shared);
            let Some(program) = programs.by_side().get(side).copied() else { continue };
            if self.links.adopt(eni, side, (ifindex, attach_type), program)? {
                continue;
            }
            let link = within(netns, || sys::link_create(program, ifindex, attach_type))??;
            self.links.keep(eni, side, link)?;
        }
        Ok(())
    }

    /// So many ENIs after one of them, or the first.
    pub(super) fn enis_after(&self, last: Option<&EniId>, count: usize) -> Vec<EniId> {
        let later = (last.map_or(Unbounded, Excluded), Unbounded);
        self.ports.range::<EniId, _>(later).take(count).map(|(eni, _)| eni.clone()).collect()
    }

    /// How the links of some ENIs are not as they were left; a name that cannot be looked at is taken for lost. `is_exact` also
    /// asks whether each name is that very link's. An ENI whose links cannot be looked at is passed over, and why is told.
    pub(super) fn look(&self, enis: &[EniId], is_exact: bool) -> (Vec<(EniId, Side, LinkFault)>, io::Result<()>) {
        let (mut faults, mut ids, mut result) = (Vec::new(), BTreeMap::new(), Ok(()));
        for eni in enis {
            let looked = self.look_at(eni, is_exact, &mut ids);
            match looked {
                Ok(found) => faults.extend(found.into_iter().map(|(side, fault)| (eni.clone(), side, fault))),
                Err(error) => result = Err(error),
            }
        }
        (faults, result)
    }

    /// `ids` are the numbers of the programs of namespaces, as far as they were asked for.
    fn look_at(
        &self,
        eni: &EniId,
        is_exact: bool,
        ids: &mut BTreeMap<u64, [u32; 2]>,
    ) -> io::Result<Vec<(Side, LinkFault)>> {
        let Some(port) = self.ports.get(eni).filter(|_| !self.filtered.contains(eni)) else { return Ok(Vec::new()) };
        let ours = match ids.entry(port.netns) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(place) => *place.insert(self.program_ids(port.netns)?),
        };
        let mut faults = Vec::new();
        for (side, program) in ours.into_iter().enumerate() {
            if self.takeover.is_observing(eni, side) {
                continue;
            }
            let is_strange = || self.links.is_pinned(eni, side).map_or(true, |is_pinned| !is_pinned);
            let fault = match self.links.look(eni, side, port.ifindex, program)? {
                None if is_exact && is_strange() => Some(LinkFault::Unpinned),
                other => other,
            };
            faults.extend(fault.map(|fault| (side, fault)));
        }
        Ok(faults)
    }

    fn program_ids(&self, cookie: u64) -> io::Result<[u32; 2]> {
        let [to_eni, from_eni] = self.programs_of(cookie).by_side();
        Ok([sys::object_id(to_eni)?, sys::object_id(from_eni)?])
    }

    /// Puts our program back, and the name, where the link is still on its interface; false where it is not.
    pub(super) fn mend(&mut self, eni: &EniId, side: Side) -> io::Result<bool> {
        let Some(port) = self.ports.get(eni) else { return Ok(true) };
        let programs = self.by_cookie.get(&port.netns).unwrap_or(&self.shared);
        let Some(program) = programs.by_side().get(side).copied() else { return Ok(true) };
        self.links.renew(eni, side, program)
    }

    /// So many ENIs whose programs are filters, after one of them, in turns.
    pub(super) fn filtered_after(&self, last: Option<&EniId>, count: usize) -> Vec<EniId> {
        let later = (last.map_or(Unbounded, Excluded), Unbounded);
        let earlier = last.into_iter().flat_map(|last| self.filtered.range::<EniId, _>(..=last));
        self.filtered.range::<EniId, _>(later).chain(earlier).take(count).cloned().collect()
    }

    /// Puts the filters of an ENI back that are not there; whether there were any.
    pub(super) fn mend_filters(&mut self, eni: &EniId, netns: BorrowedFd<'_>) -> anyhow::Result<bool> {
        let Some(port) = self.ports.get(eni).copied() else { return Ok(false) };
        self.attach_clsact(eni, netns, port.netns, port.ifindex)
    }

    /// The filters live with the interface and need no pin. One that is there already is ours, from an
    /// earlier process, and reads the same maps. Returns whether one was not there.
    fn attach_clsact(
        &mut self,
        eni: &EniId,
        netns: BorrowedFd<'_>,
        cookie: u64,
        ifindex: u32,
    ) -> anyhow::Result<bool> {
        let mut kinds = [TcAttachType::Egress, TcAttachType::Ingress];
        if self.owned.contains(eni) {
            kinds.reverse();
        }
        let classifiers = self.programs_of(cookie).classifiers()?;
        within(netns, move || {
            let name = nix::net::if_::if_indextoname(ifindex)?;
            let name = name.to_str().context("an interface name is not text")?;
            // It fails when the interface has one already, which is as good.
            drop(qdisc_add_clsact(name));
            let mut is_new = false;
            for (mut program, kind) in classifiers.into_iter().zip(kinds) {
                is_new |= attach_filter(&mut program, name, kind)?;
            }
            Ok(is_new)
        })?
    }

    /// Whether both programs are known to be on an ENI's interface. A clsact filter leaves no trace to find.
    pub(super) fn is_attached(&self, eni: &EniId) -> bool {
        (0..SIDES.len()).all(|side| self.takeover.is_observing(eni, side) || self.links.is_known(eni, side))
    }

    /// Whether its programs are filters.
    pub(super) fn is_filtered(&self, eni: &EniId) -> bool {
        self.filtered.contains(eni)
    }

    /// Notes the interface of an ENI; returns the one it had.
    pub(super) fn bind(&mut self, eni: &EniId, port: Option<PortKey>) -> Option<PortKey> {
        let old = match port {
            Some(port) => self.ports.insert(eni.clone(), port),
            None => self.ports.remove(eni),
        };
        if old != port {
            self.routed.remove(eni);
        }
        if let Some(old) = old {
            let at = (old.netns, old.ifindex);
            // Another ENI may have the interface by now.
            if self.enis.get(&at) == Some(eni) {
                self.enis.remove(&at);
            }
        }
        if let Some(port) = port {
            self.enis.insert((port.netns, port.ifindex), eni.clone());
        }
        if let Some(old) = old {
            self.unload(old.netns);
        }
        old
    }

    /// Loads the programs of a namespace before there is an interface for them.
    pub(super) fn prepare(&mut self, cookie: u64) -> anyhow::Result<()> {
        self.prepared.insert(cookie);
        self.load(cookie).map(drop)
    }

    /// They are not kept for that any more.
    pub(super) fn unprepare(&mut self, cookie: u64) {
        self.prepared.remove(&cookie);
        self.unload(cookie);
    }

    fn unload(&mut self, cookie: u64) {
        let has_interface = self.enis.range((cookie, 0)..=(cookie, u32::MAX)).next().is_some();
        if !self.prepared.contains(&cookie)
            && !has_interface
            && let Some(programs) = self.by_cookie.remove(&cookie)
        {
            self.library.remove(&programs);
        }
    }

    /// Pins the programs of so many namespaces again after one of them, or from the first on; the names that were not theirs any
    /// more, and which namespace was last. The programs that no namespace has come with the first.
    pub(super) fn pin_programs_again(
        &self,
        last: Option<u64>,
        count: usize,
    ) -> (io::Result<Vec<String>>, Option<u64>) {
        let later = (last.map_or(Unbounded, Excluded), Unbounded);
        let some: Vec<(&u64, &Programs)> = self.by_cookie.range::<u64, _>(later).take(count).collect();
        let shared = last.is_none().then_some(&self.shared);
        let programs = shared.into_iter().chain(some.iter().map(|(_, programs)| *programs));
        let lost = programs.map(Programs::pin_again).collect::<io::Result<Vec<_>>>();
        (lost.map(|lost| lost.into_iter().flatten().collect()), some.last().map(|(cookie, _)| **cookie))
    }

    /// Lets go of the programs of namespaces that are gone, and of other builds.
    pub(super) fn forget_programs(&self) -> io::Result<()> {
        self.library.keep_only(self.by_cookie.values().chain([&self.shared]).chain(self.takeover.observers()))
    }

    /// The ENI that an interface is known as.
    pub(super) fn eni_at(&self, cookie: u64, ifindex: u32) -> Option<&EniId> {
        self.enis.get(&(cookie, ifindex))
    }

    /// The interface of an ENI.
    pub(super) fn port(&self, eni: &EniId) -> Option<PortKey> {
        self.ports.get(eni).copied()
    }

    /// Lets go of an interface that is gone.
    pub(super) fn forget(&mut self, eni: &EniId) {
        self.filtered.remove(eni);
        self.owned.remove(eni);
        self.links.forget(eni);
        self.takeover.forget(eni);
    }

    /// Notes whether the interface of an ENI is in a router that local compute made.
    pub(super) fn set_routed(&mut self, eni: &EniId, is_routed: bool) {
        if is_routed && self.ports.contains_key(eni) {
            self.routed.insert(eni.clone());
        } else {
            self.routed.remove(eni);
        }
    }

    /// Whether live flows between two of those may go past their router.
    pub(super) fn set_straight_path(&mut self, is_used: bool) {
        self.has_straight_path = is_used;
    }

    /// What the interface of an ENI adds to the ENI's flags.
    pub(super) fn flags(&self, eni: &EniId) -> u16 {
        let routed = if self.routed.contains(eni) { ENI_ROUTED } else { 0 };
        let is_straight = routed != 0 && self.has_straight_path && !self.takeover.is_looking_on();
        routed | if is_straight { ENI_STRAIGHT } else { 0 }
    }

    /// Every ENI's interface.
    pub(super) fn ports(&self) -> &BTreeMap<EniId, PortKey> {
        &self.ports
    }

    pub(super) fn programs(&self) -> (BorrowedFd<'_>, BorrowedFd<'_>) {
        (self.shared.to_eni.as_fd(), self.shared.from_eni.as_fd())
    }
}

/// Takes the filters of both programs off an interface, where there are any.
///
/// # Errors
/// When the interface cannot be looked at.
pub fn detach_filters(netns: BorrowedFd<'_>, ifindex: u32) -> anyhow::Result<()> {
    within(netns, move || {
        let name = nix::net::if_::if_indextoname(ifindex)?;
        let name = name.to_str().context("an interface name is not text")?;
        for program in PROGRAMS {
            for kind in [TcAttachType::Egress, TcAttachType::Ingress] {
                // It fails where there is no such filter, which is as good.
                drop(qdisc_detach_program(name, kind, program));
            }
        }
        Ok(())
    })?
}

fn is_unsupported(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported || error.raw_os_error() == Some(libc::EINVAL)
}

/// Whether the filter was not there.
fn attach_filter(program: &mut SchedClassifier, name: &str, kind: TcAttachType) -> anyhow::Result<bool> {
    let handle = TcHandle::new(0, 1);
    let options = TcAttachOptions::Netlink(NlOptions { priority: 1, handle, classid: None });
    match program.attach_with_options(name, kind, options) {
        Ok(id) => {
            // The filter must outlive us: a link that is dropped takes it away.
            std::mem::forget(program.take_link(id)?);
            Ok(true)
        }
        Err(error) if format!("{error:?}").contains("EEXIST") || format!("{error:?}").contains("File exists") => {
            Ok(false)
        }
        Err(error) => Err(error).with_context(|| format!("cannot attach a clsact filter to `{name}`")),
    }
}
