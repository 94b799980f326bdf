//! The two programs, in a copy for each network namespace. The kernel verifies a copy once: it is pinned, and the next process
//! finds it again. Verifying takes a tenth of a second and more, for which an interface, a restart and whatever waits behind them
//! would wait once for each namespace.
//!
//! A pin is named by a digest of the program and of the very maps that it reads, so what is found under a name is what would be loaded.

use std::{
    collections::BTreeSet,
    fs, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use aya::{EbpfLoader, programs::SchedClassifier};
use sha2::{Digest as _, Sha256};

use super::{
    clock::Jiffies,
    links::{self, SIDES},
    maps::{self, Home, Maps},
};

/// The programs of an object file: to the ENI, and from it.
pub(super) const PROGRAMS: [&str; 2] = ["to_eni", "from_eni"];

/// No namespace has this cookie.
const NO_COOKIE: u64 = u64::MAX;
/// In a run without an interface, the packet's own namespace counts.
const ANY_COOKIE: u64 = 0;
/// Bytes of a digest that a name has.
const DIGEST_BYTES: usize = 8;

/// What programs are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// They decide.
    Decide,
    /// They note the flows that another version's programs in front of them let begin.
    LookOn,
}

/// The two programs, in the copy for one network namespace or for all.
pub(super) struct Programs {
    /// tc egress of the host side.
    pub(super) to_eni: OwnedFd,
    /// tc ingress of the host side.
    pub(super) from_eni: OwnedFd,
    /// Where they are pinned.
    names: [PathBuf; 2],
}

impl Programs {
    /// Both programs: to the ENI, and from it.
    pub(super) fn by_side(&self) -> [BorrowedFd<'_>; 2] {
        [self.to_eni.as_fd(), self.from_eni.as_fd()]
    }

    /// Gives them names again that are not theirs any more; says which.
    pub(super) fn pin_again(&self) -> io::Result<Vec<String>> {
        let mut lost = Vec::new();
        for (program, path) in self.by_side().into_iter().zip(&self.names) {
            if !links::is_pin_of(program, path)? {
                links::pin_as(program, path)?;
                lost.extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
            }
        }
        Ok(lost)
    }

    /// Both as the library that attaches filters wants them. A name that was removed is given again.
    pub(super) fn classifiers(&self) -> anyhow::Result<[SchedClassifier; 2]> {
        let open = |program, path: &PathBuf| {
            let pinned = links::pin_as(program, path);
            pinned.with_context(|| format!("cannot pin a program as `{}`", path.display()))?;
            SchedClassifier::from_pin(path).with_context(|| format!("cannot open the program `{}`", path.display()))
        };
        let ([to_eni, from_eni], [to, from]) = (self.by_side(), &self.names);
        Ok([open(to_eni, to)?, open(from_eni, from)?])
    }
}

/// The copies of an image's programs.
pub(super) struct Library {
    dir: PathBuf,
    maps: PathBuf,
    object: &'static [u8],
    digest: String,
}

impl Library {
    /// The copies that read these maps.
    pub(super) fn open(home: &Home, maps: &Maps) -> io::Result<Self> {
        let mut digest = Sha256::new_with_prefix(home.object());
        for id in maps.ids()? {
            digest.update(id.to_le_bytes());
        }
        let digest = digest.finalize().iter().take(DIGEST_BYTES).map(|byte| format!("{byte:02x}")).collect();
        fs::create_dir_all(home.programs())?;
        Ok(Self { dir: home.programs(), maps: home.maps(), object: home.object(), digest })
    }

    /// The copy for runs without an interface, from an object file that was just loaded or from its pins.
    pub(super) fn shared(&self) -> anyhow::Result<Programs> {
        for cookie in [ANY_COOKIE, NO_COOKIE] {
            if let Some(found) = self.find(cookie, Role::Decide)? {
                return Ok(found);
            }
        }
        match self.load(ANY_COOKIE, Role::Decide) {
            // The helper is unknown to this kernel. A cookie in its place makes the call unreachable; each
            // namespace gets a copy with its own later.
            Err(_) if !tells_cookies() => self.load(NO_COOKIE, Role::Decide),
            other => other,
        }
    }

    /// The copy for one network namespace.
    ///
    /// # Errors
    /// When the kernel refuses; the message holds its verifier's words.
    pub(super) fn copy_for(&self, cookie: u64, role: Role) -> anyhow::Result<Programs> {
        match self.find(cookie, role)? {
            Some(found) => Ok(found),
            None => self.load(cookie, role),
        }
    }

    fn find(&self, cookie: u64, role: Role) -> io::Result<Option<Programs>> {
        let names = self.names(cookie, role);
        let [to, from] = &names;
        let (to_eni, from_eni) = (links::open_if_there(to)?, links::open_if_there(from)?);
        Ok(to_eni.zip(from_eni).map(|(to_eni, from_eni)| Programs { to_eni, from_eni, names }))
    }

    fn load(&self, cookie: u64, role: Role) -> anyhow::Result<Programs> {
        let (jiffies, looks_on) = (Jiffies::compare(), u32::from(role == Role::LookOn));
        let mut loader = EbpfLoader::new();
        loader.override_global("TICK_NS", &jiffies.tick_ns, true);
        loader.override_global("JIFFIES_ZERO_NS", &jiffies.zero_ns, true);
        loader.override_global("NETNS", &cookie, true);
        loader.override_global("LOOKS_ON", &looks_on, true);
        let mut ebpf =
            maps::pinned(&mut loader, &self.maps).load(self.object).context("cannot load the BPF object")?;
        let names = self.names(cookie, role);
        let [to, from] = PROGRAMS;
        let (to_eni, from_eni) = (program(&mut ebpf, to)?, program(&mut ebpf, from)?);
        for (program, path) in [&to_eni, &from_eni].into_iter().zip(&names) {
            let pinned = links::pin_as(program.as_fd(), path);
            pinned.with_context(|| format!("cannot pin a program as `{}`", path.display()))?;
        }
        Ok(Programs { to_eni, from_eni, names })
    }

    fn names(&self, cookie: u64, role: Role) -> [PathBuf; 2] {
        let role = match role {
            Role::Decide => "decide",
            Role::LookOn => "look_on",
        };
        SIDES.map(|(side, _)| self.dir.join(format!("{side}{role}_{cookie:x}_{}", self.digest)))
    }

    /// Lets go of a copy for good.
    pub(super) fn remove(&self, programs: &Programs) {
        programs.names.iter().for_each(|path| unpin(path));
    }

    /// Lets go of every copy but these: those of other builds, and of namespaces that are gone.
    pub(super) fn keep_only<'a>(&self, used: impl Iterator<Item = &'a Programs>) -> io::Result<()> {
        let used: BTreeSet<&PathBuf> = used.flat_map(|programs| &programs.names).collect();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            if !used.contains(&path) {
                unpin(&path);
            }
        }
        Ok(())
    }
}

/// What runs somewhere goes on; it only loses its name.
fn unpin(path: &Path) {
    if let Err(error) = links::remove(path) {
        tracing::warn!(path = %path.display(), %error, "cannot remove the pin of a program that nothing needs");
    }
}

/// Linux 6.15 lets tc programs ask for it.
fn tells_cookies() -> bool {
    aya::util::KernelVersion::current().is_ok_and(|version| version >= aya::util::KernelVersion::new(6, 15, 0))
}

fn program(ebpf: &mut aya::Ebpf, name: &str) -> anyhow::Result<OwnedFd> {
    let program = ebpf.program_mut(name).ok_or_else(|| anyhow!("the BPF object has no program `{name}`"))?;
    let program: &mut SchedClassifier = program.try_into()?;
    program.load().with_context(|| format!("the kernel refuses the program `{name}`"))?;
    Ok(program.fd()?.as_fd().try_clone_to_owned()?)
}
