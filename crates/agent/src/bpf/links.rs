//! Pinned tcx links: found, pinned, held open, and looked at.
//!
//! A link lives as long as something refers to it. The agent keeps a descriptor beside the pin: whoever removes the
//! pin of a running agent's link opens nothing, and the agent pins it again.

use std::{
    collections::BTreeMap,
    fs, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use sekimori_compile::abi::ENI_SLOTS;
use sekimori_core::ids::EniId;

use super::{
    maps::Home,
    sys::{self, TCX_EGRESS, TCX_INGRESS},
};

/// The two sides of an interface: the start of a pin's name, and the attach type. A bpffs allows no dot in a name.
pub(super) const SIDES: [(&str, u32); 2] = [("to_", TCX_EGRESS), ("from_", TCX_INGRESS)];
/// Descriptors that are wanted: two links for each interface, and what else an agent has open.
const DESCRIPTORS: u64 = 2 * ENI_SLOTS as u64 + DESCRIPTORS_KEPT_FREE;
/// Descriptors that links leave for everything else: a few for each VPC and peering.
const DESCRIPTORS_KEPT_FREE: u64 = 16_384;

/// A place in [`SIDES`].
pub(super) type Side = usize;

/// How a link is not as it was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkFault {
    /// It is not on its interface any more, or there is none.
    Detached,
    /// It runs another program than ours.
    Foreign,
    /// Its name in the bpffs is gone, or is another object's.
    Unpinned,
}

/// The links of a data directory.
pub(super) struct Links {
    dir: PathBuf,
    held: BTreeMap<(EniId, Side), OwnedFd>,
    held_max: usize,
}

impl Links {
    /// The links of an image.
    pub(super) fn open(home: &Home) -> anyhow::Result<Self> {
        let dir = home.links();
        fs::create_dir_all(&dir).with_context(|| format!("cannot create `{}`", dir.display()))?;
        let allowed = sys::allow_descriptors(DESCRIPTORS).context("cannot tell how many descriptors are allowed")?;
        let held_max = usize::try_from(allowed.saturating_sub(DESCRIPTORS_KEPT_FREE).max(allowed / 2))?;
        Ok(Self { dir, held: BTreeMap::new(), held_max })
    }

    /// The name of a link.
    pub(super) fn path(&self, eni: &EniId, side: Side) -> PathBuf {
        path_in(&self.dir, eni, side)
    }

    /// Puts a program in the place of a link's; false when the link or its interface is gone.
    pub(super) fn renew(&mut self, eni: &EniId, side: Side, program: BorrowedFd<'_>) -> io::Result<bool> {
        let Some(link) = self.find(eni, side)? else { return Ok(false) };
        match sys::link_update(link.as_fd(), program) {
            Ok(()) => {
                self.keep(eni, side, link)?;
                Ok(true)
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOLINK) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Holds the link of an ENI if it runs this program this way round at an interface of this number. The program is one namespace's,
    /// so the interface is there; the kernel would refuse another link with it.
    pub(super) fn adopt(
        &mut self,
        eni: &EniId,
        side: Side,
        (ifindex, attach_type): (u32, u32),
        program: BorrowedFd<'_>,
    ) -> io::Result<bool> {
        let Some(link) = self.find(eni, side)? else { return Ok(false) };
        let info = sys::link_info(link.as_fd())?;
        if (info.ifindex, info.attach_type, info.program) != (ifindex, attach_type, sys::object_id(program)?) {
            return Ok(false);
        }
        self.keep(eni, side, link)?;
        Ok(true)
    }

    /// Takes a new link in: pins it in place of an older one, and holds it.
    pub(super) fn keep(&mut self, eni: &EniId, side: Side, link: OwnedFd) -> io::Result<()> {
        pin_as(link.as_fd(), &self.path(eni, side))?;
        let key = (eni.clone(), side);
        if self.held.len() < self.held_max || self.held.contains_key(&key) {
            self.held.insert(key, link);
        }
        Ok(())
    }

    /// How a link is not as it was left on an interface. Its name is looked at by [`Links::is_pinned`].
    pub(super) fn look(&self, eni: &EniId, side: Side, ifindex: u32, program: u32) -> io::Result<Option<LinkFault>> {
        let info = match self.held.get(&(eni.clone(), side)) {
            Some(link) => sys::link_info(link.as_fd())?,
            None => match open_if_there(&self.path(eni, side))? {
                Some(link) => sys::link_info(link.as_fd())?,
                None => return Ok(Some(LinkFault::Detached)),
            },
        };
        Ok(match info.ifindex == ifindex {
            false => Some(LinkFault::Detached),
            true if info.program != program => Some(LinkFault::Foreign),
            true => None,
        })
    }

    /// Whether the name of a link is that very link's.
    pub(super) fn is_pinned(&self, eni: &EniId, side: Side) -> io::Result<bool> {
        let path = self.path(eni, side);
        match self.held.get(&(eni.clone(), side)) {
            Some(link) => is_pin_of(link.as_fd(), &path),
            None => Ok(path.exists()),
        }
    }

    /// Whether there is a link, as far as is known without asking it: one that is held, or a name.
    pub(super) fn is_known(&self, eni: &EniId, side: Side) -> bool {
        self.held.contains_key(&(eni.clone(), side)) || self.path(eni, side).exists()
    }

    /// Lets go of the links of an interface that is gone.
    pub(super) fn forget(&mut self, eni: &EniId) {
        for side in 0..SIDES.len() {
            self.held.remove(&(eni.clone(), side));
            let path = self.path(eni, side);
            if let Err(error) = remove(&path) {
                tracing::warn!(path = %path.display(), %error, "cannot remove the pin of an interface that is gone");
            }
        }
    }

    /// The link that is held, or else the one of the name.
    fn find(&self, eni: &EniId, side: Side) -> io::Result<Option<OwnedFd>> {
        match self.held.get(&(eni.clone(), side)) {
            Some(link) => link.try_clone().map(Some),
            None => open_if_there(&self.path(eni, side)),
        }
    }
}

/// The name of a link in a directory of links.
pub(super) fn path_in(dir: &Path, eni: &EniId, side: Side) -> PathBuf {
    let start = SIDES.get(side).map_or("", |(start, _)| start);
    dir.join(format!("{start}{eni}"))
}

/// Gives an object a name that may be another's.
pub(super) fn pin_as(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    if is_pin_of(object, path)? {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    remove(path)?;
    sys::pin(object, path)
}

/// Whether a name is an object's.
pub(super) fn is_pin_of(object: BorrowedFd<'_>, path: &Path) -> io::Result<bool> {
    let Some(pinned) = open_if_there(path)? else { return Ok(false) };
    Ok(sys::object_id(pinned.as_fd())? == sys::object_id(object)?)
}

pub(super) fn open_if_there(path: &Path) -> io::Result<Option<OwnedFd>> {
    match sys::open_pinned(path) {
        Ok(object) => Ok(Some(object)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // Something that is no BPF object has the name.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EACCES | libc::EPERM | libc::EINVAL)) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
