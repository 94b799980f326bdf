//! Programs on interfaces: tcx links pinned by ENI, or clsact filters where the kernel has no tcx.
//!
//! A link is pinned before anything can pass the interface: a link that dies with its process leaves the
//! interface open.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use aya::programs::{
    SchedClassifier, TcAttachType,
    tc::{NlOptions, TcAttachOptions, TcHandle, qdisc_add_clsact},
};
use nix::sys::stat::fstat;
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
    cookies: HashMap<(u64, u64), u64>,
    ports: BTreeMap<EniId, PortKey>,
    mode: AttachMode,
}

/// Suffix of the pin and attach type of each program.
const SIDES: [(&str, u32); 2] = [("to", TCX_EGRESS), ("from", TCX_INGRESS)];

impl Attachments {
    /// Takes over the links that an earlier process pinned: our programs take the place of its.
    pub(super) fn new(bpffs: &Path, shared: Programs, mode: AttachMode) -> anyhow::Result<Self> {
        let links = bpffs.join(format!("v{ABI_VERSION}")).join("links");
        fs::create_dir_all(&links).with_context(|| format!("cannot create `{}`", links.display()))?;
        let attachments = Self {
            bpffs: bpffs.to_owned(),
            links,
            shared,
            by_cookie: HashMap::new(),
            cookies: HashMap::new(),
            ports: BTreeMap::new(),
            mode,
        };
        if attachments.shared.knows_cookies {
            attachments.renew_links()?;
        }
        Ok(attachments)
    }

    fn renew_links(&self) -> anyhow::Result<()> {
        for entry in fs::read_dir(&self.links)? {
            let path = entry?.path();
            let program = match path.extension().and_then(|suffix| suffix.to_str()) {
                Some("to") => &self.shared.to_eni,
                _ => &self.shared.from_eni,
            };
            let link = sys::open_pinned(&path).with_context(|| format!("cannot open `{}`", path.display()))?;
            match sys::link_update(link.as_fd(), program.as_fd()) {
                Err(error) if error.raw_os_error() == Some(libc::ENOLINK) => fs::remove_file(&path)?,
                other => other.with_context(|| format!("cannot renew `{}`", path.display()))?,
            }
        }
        Ok(())
    }

    /// Puts both programs on an interface; returns the cookie of its namespace.
    pub(super) fn attach(
        &mut self,
        eni: &EniId,
        netns: BorrowedFd<'_>,
        namespace: &str,
        ifindex: u32,
    ) -> anyhow::Result<u64> {
        let cookie = self.cookie(netns)?;
        if !self.shared.knows_cookies && !self.by_cookie.contains_key(&cookie) {
            self.by_cookie.insert(cookie, maps::load_for(&self.bpffs, cookie)?);
        }
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
        for ((suffix, attach_type), program) in SIDES.into_iter().zip([&programs.to_eni, &programs.from_eni]) {
            let path = self.links.join(format!("{eni}.{suffix}"));
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

    fn cookie(&mut self, netns: BorrowedFd<'_>) -> anyhow::Result<u64> {
        let identity = fstat(netns).map(|stat| (stat.st_dev, stat.st_ino))?;
        if let Some(cookie) = self.cookies.get(&identity) {
            return Ok(*cookie);
        }
        let cookie = within(netns, sys::netns_cookie)?.context("the kernel does not tell a namespace's cookie")?;
        // An inode number may come back for another namespace, so only the last few are worth knowing.
        if self.cookies.len() >= COOKIES_MAX {
            self.cookies.clear();
        }
        self.cookies.insert(identity, cookie);
        Ok(cookie)
    }

    /// Whether both programs are known to be on an ENI's interface. A clsact filter leaves no trace to find.
    pub(super) fn is_attached(&self, eni: &EniId) -> bool {
        SIDES.iter().all(|(suffix, _)| self.links.join(format!("{eni}.{suffix}")).exists())
    }

    /// Notes the interface of an ENI; returns the one it had.
    pub(super) fn bind(&mut self, eni: &EniId, port: Option<PortKey>) -> Option<PortKey> {
        match port {
            Some(port) => self.ports.insert(eni.clone(), port),
            None => self.ports.remove(eni),
        }
    }

    /// The interface of an ENI.
    pub(super) fn port(&self, eni: &EniId) -> Option<PortKey> {
        self.ports.get(eni).copied()
    }

    /// Lets go of an interface that is gone.
    pub(super) fn forget(&mut self, eni: &EniId) {
        for (suffix, _) in SIDES {
            let path = self.links.join(format!("{eni}.{suffix}"));
            if let Err(error) = remove(&path) {
                tracing::warn!(path = %path.display(), %error, "cannot remove the pin of an interface that is gone");
            }
        }
    }

    pub(super) fn programs(&self) -> (BorrowedFd<'_>, BorrowedFd<'_>) {
        (self.shared.to_eni.as_fd(), self.shared.from_eni.as_fd())
    }
}

/// Namespaces whose cookie is remembered.
const COOKIES_MAX: usize = 1_024;

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
