//! Programs on interfaces: tcx links pinned by ENI, or clsact filters where the kernel has no tcx.
//!
//! A link is pinned before anything can pass the interface: a link that dies with its process leaves the
//! interface open.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    fs, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use aya::programs::{
    SchedClassifier, TcAttachType,
    tc::{NlOptions, TcAttachOptions, TcHandle, qdisc_add_clsact},
};
use sekimori_compile::abi::{ABI_VERSION, PortKey};
use sekimori_core::ids::EniId;

use super::{
    maps::{self, Programs},
    sys::{self, TCX_EGRESS, TCX_INGRESS},
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
    bpffs: PathBuf,
    links: PathBuf,
    shared: Programs,
    by_cookie: HashMap<u64, Programs>,
    ports: BTreeMap<EniId, PortKey>,
    mode: AttachMode,
}

/// Start of the pin's name and attach type of each program. A bpffs allows no dot in a name.
const SIDES: [(&str, u32); 2] = [("to_", TCX_EGRESS), ("from_", TCX_INGRESS)];

impl Attachments {
    /// Attachments in a bpffs; nothing is attached yet.
    pub(super) fn new(bpffs: &Path, shared: Programs, mode: AttachMode) -> anyhow::Result<Self> {
        let links = bpffs.join(format!("v{ABI_VERSION}")).join("links");
        fs::create_dir_all(&links).with_context(|| format!("cannot create `{}`", links.display()))?;
        Ok(Self { bpffs: bpffs.to_owned(), links, shared, by_cookie: HashMap::new(), ports: BTreeMap::new(), mode })
    }

    /// Takes over the links that an earlier process pinned: our programs take the place of its.
    pub(super) fn renew_links(&mut self) -> anyhow::Result<()> {
        for (eni, port) in self.ports.clone() {
            let paths = SIDES.map(|(side, _)| self.links.join(format!("{side}{eni}")));
            let programs = self.load(port.netns)?;
            for (path, program) in paths.iter().zip([&programs.to_eni, &programs.from_eni]) {
                renew(path, program.as_fd()).with_context(|| format!("cannot renew `{}`", path.display()))?;
            }
        }
        Ok(())
    }

    /// The programs of a namespace.
    fn load(&mut self, cookie: u64) -> anyhow::Result<&mut Programs> {
        match self.by_cookie.entry(cookie) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => Ok(place.insert(maps::load_for(&self.bpffs, cookie)?)),
        }
    }

    /// Puts both programs on an interface; returns the cookie of its namespace.
    pub(super) fn attach(
        &mut self,
        eni: &EniId,
        netns: BorrowedFd<'_>,
        namespace: &str,
        ifindex: u32,
    ) -> anyhow::Result<u64> {
        let cookie = within(netns, sys::netns_cookie)?.context("the kernel does not tell a namespace's cookie")?;
        self.load(cookie)?;
        let attached = match self.mode {
            AttachMode::Auto => self.attach_tcx(eni, netns, cookie, ifindex),
            AttachMode::Clsact => Err(io::ErrorKind::Unsupported.into()),
        };
        match attached {
            Ok(()) => Ok(cookie),
            Err(error) if is_unsupported(&error) => {
                self.attach_clsact(netns, cookie, ifindex)?;
                Ok(cookie)
            }
            Err(error) => Err(error)
                .with_context(|| format!("cannot attach to interface {ifindex} of {eni} in namespace `{namespace}`")),
        }
    }

    fn attach_tcx(&self, eni: &EniId, netns: BorrowedFd<'_>, cookie: u64, ifindex: u32) -> io::Result<()> {
        let programs = self.by_cookie.get(&cookie).unwrap_or(&self.shared);
        for ((side, attach_type), program) in SIDES.into_iter().zip([&programs.to_eni, &programs.from_eni]) {
            let path = self.links.join(format!("{side}{eni}"));
            let known = self.ports.get(eni).is_some_and(|port| (port.netns, port.ifindex) == (cookie, ifindex));
            if known && renew(&path, program.as_fd())? {
                continue;
            }
            let link = within(netns, || sys::link_create(program.as_fd(), ifindex, attach_type))??;
            remove(&path)?;
            sys::pin(link.as_fd(), &path)?;
        }
        Ok(())
    }

    /// The filters live with the interface and need no pin. One that is there already is ours, from an
    /// earlier process, and reads the same maps.
    fn attach_clsact(&mut self, netns: BorrowedFd<'_>, cookie: u64, ifindex: u32) -> anyhow::Result<()> {
        let programs = self.by_cookie.get_mut(&cookie).unwrap_or(&mut self.shared);
        let ebpf = &mut programs.ebpf;
        within(netns, move || {
            let name = nix::net::if_::if_indextoname(ifindex)?;
            let name = name.to_str().context("an interface name is not text")?;
            // It fails when the interface has one already, which is as good.
            drop(qdisc_add_clsact(name));
            for (program, kind) in [("to_eni", TcAttachType::Egress), ("from_eni", TcAttachType::Ingress)] {
                let program = ebpf.program_mut(program).ok_or_else(|| anyhow!("no program `{program}`"))?;
                let program: &mut SchedClassifier = program.try_into()?;
                attach_filter(program, name, kind)?;
            }
            Ok(())
        })?
    }

    /// Whether both programs are known to be on an ENI's interface. A clsact filter leaves no trace to find.
    pub(super) fn is_attached(&self, eni: &EniId) -> bool {
        SIDES.iter().all(|(side, _)| self.links.join(format!("{side}{eni}")).exists())
    }

    /// Notes the interface of an ENI; returns the one it had.
    pub(super) fn bind(&mut self, eni: &EniId, port: Option<PortKey>) -> Option<PortKey> {
        let old = match port {
            Some(port) => self.ports.insert(eni.clone(), port),
            None => self.ports.remove(eni),
        };
        if let Some(old) = old.filter(|old| self.ports.values().all(|port| port.netns != old.netns)) {
            self.by_cookie.remove(&old.netns);
        }
        old
    }

    /// The interface of an ENI.
    pub(super) fn port(&self, eni: &EniId) -> Option<PortKey> {
        self.ports.get(eni).copied()
    }

    /// Lets go of an interface that is gone.
    pub(super) fn forget(&mut self, eni: &EniId) {
        for (side, _) in SIDES {
            let path = self.links.join(format!("{side}{eni}"));
            if let Err(error) = remove(&path) {
                tracing::warn!(path = %path.display(), %error, "cannot remove the pin of an interface that is gone");
            }
        }
    }

    pub(super) fn programs(&self) -> (BorrowedFd<'_>, BorrowedFd<'_>) {
        (self.shared.to_eni.as_fd(), self.shared.from_eni.as_fd())
    }
}

/// Puts a program in the place of a pinned link's; false when the link or its interface is gone.
fn renew(path: &Path, program: BorrowedFd<'_>) -> io::Result<bool> {
    let link: OwnedFd = match sys::open_pinned(path) {
        Ok(link) => link,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match sys::link_update(link.as_fd(), program) {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENOLINK) => Ok(false),
        Err(error) => Err(error),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported || error.raw_os_error() == Some(libc::EINVAL)
}

fn attach_filter(program: &mut SchedClassifier, name: &str, kind: TcAttachType) -> anyhow::Result<()> {
    let handle = TcHandle::new(0, 1);
    let options = TcAttachOptions::Netlink(NlOptions { priority: 1, handle, classid: None });
    match program.attach_with_options(name, kind, options) {
        Ok(id) => {
            // The filter must outlive us: a link that is dropped takes it away.
            std::mem::forget(program.take_link(id)?);
            Ok(())
        }
        Err(error) if format!("{error:?}").contains("EEXIST") || format!("{error:?}").contains("File exists") => {
            Ok(())
        }
        Err(error) => Err(error).with_context(|| format!("cannot attach a clsact filter to `{name}`")),
    }
}
