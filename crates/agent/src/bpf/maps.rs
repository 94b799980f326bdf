//! The kernel's maps and programs: loaded once, pinned in the data directory's own bpffs, found again by
//! the next process.

use std::{
    collections::HashMap,
    fs,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use aya::{
    EbpfLoader,
    maps::{Map, MapData},
    programs::SchedClassifier,
};
use nix::{
    mount::{MsFlags, mount},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};
use sekimori_compile::abi::{self, ABI_VERSION};
use sekimori_core::limits::HOST_POLICY_WORDS;

use super::{clock::Jiffies, links, sys::Shared};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sekimori.bpf.o"));

/// Maps that are found by name again.
const PINNED: [&str; 26] = [
    "enis",
    "budgets",
    "members",
    "policies",
    "epochs",
    "eni_names",
    "vpc_names",
    "group_names",
    "rule_names",
    "eni_lives",
    "rule_lives",
    "port_hints",
    "ports",
    "addresses",
    "flows4",
    "flows6",
    "fragments",
    "rule_counters",
    "reason_counters",
    "events",
    "events_wanted",
    "event_shares",
    "shadows",
    "shadow_cells",
    "shadow_pairs",
    "shadow_witnesses",
];

/// The directory, in the data directory, that the bpffs is mounted on.
pub const BPFFS: &str = "bpffs";

/// A compiled program, and the version of the layout of its maps.
#[derive(Clone, Copy, Debug)]
pub struct Image {
    /// The object file.
    pub object: &'static [u8],
    /// The version.
    pub version: u32,
}

impl Default for Image {
    /// This agent's own.
    fn default() -> Self {
        Self { object: OBJECT, version: ABI_VERSION }
    }
}

/// Where the pins of an image are.
#[derive(Clone, Debug)]
pub struct Home {
    bpffs: PathBuf,
    image: Image,
}

impl Home {
    /// In this bpffs.
    #[must_use]
    pub fn new(bpffs: PathBuf, image: Image) -> Self {
        Self { bpffs, image }
    }

    /// The bpffs, with the pins of other versions.
    #[must_use]
    pub fn bpffs(&self) -> &Path {
        &self.bpffs
    }

    /// The version.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.image.version
    }

    /// The directory of the maps' names.
    #[must_use]
    pub fn maps(&self) -> PathBuf {
        self.bpffs.join(format!("v{}", self.image.version)).join("maps")
    }

    /// The directory of the links' names.
    #[must_use]
    pub fn links(&self) -> PathBuf {
        self.bpffs.join(format!("v{}", self.image.version)).join("links")
    }
}

/// The compiled program, for those who look at its types.
#[must_use]
pub fn object() -> &'static [u8] {
    OBJECT
}

/// Every map, open.
pub struct Maps {
    /// Interfaces.
    pub enis: Shared<abi::Eni>,
    /// The flows of interfaces, and their room for them.
    pub budgets: Shared<abi::Budget>,
    /// Who has an address.
    pub members: Shared<abi::Member>,
    /// The policy store.
    pub words: Shared<u64>,
    /// Membership epochs by VPC; number 0 holds the last policy number.
    pub epochs: Shared<u32>,
    /// Where to look for an interface's ENI first.
    pub port_hints: Shared<u32>,
    /// What the policies of interfaces are compared with.
    pub shadows: Shared<abi::Shadow>,
    /// Names of ENI numbers.
    pub eni_names: Shared<abi::IdBytes>,
    /// Names of VPC numbers.
    pub vpc_names: Shared<abi::IdBytes>,
    /// Names of group numbers.
    pub group_names: Shared<abi::IdBytes>,
    /// Names of rule counters.
    pub rule_names: Shared<abi::RuleName>,
    /// Which life of its counters an ENI number is in; see [`super::counters`].
    pub eni_lives: Shared<u64>,
    /// The same of rules' numbers.
    pub rule_lives: Shared<u64>,
    /// Which events somebody reads, in its only element.
    pub events_wanted: Shared<u32>,
    hashes: HashMap<&'static str, OwnedFd>,
}

/// The two programs, in the copy for one network namespace or for all.
pub struct Programs {
    /// tc egress of the host side.
    pub to_eni: OwnedFd,
    /// tc ingress of the host side.
    pub from_eni: OwnedFd,
    /// Whether they find the namespace's cookie by themselves (Linux 6.15).
    pub knows_cookies: bool,
    /// What holds them.
    pub ebpf: aya::Ebpf,
}

impl Programs {
    /// Both programs: to the ENI, and from it.
    #[must_use]
    pub fn by_side(&self) -> [BorrowedFd<'_>; 2] {
        [self.to_eni.as_fd(), self.from_eni.as_fd()]
    }
}

impl Maps {
    /// Gives every map its name, where the name is not the map's; returns those that were not.
    ///
    /// # Errors
    /// The kernel's.
    pub fn pin_again(&self, home: &Home) -> std::io::Result<Vec<&'static str>> {
        let pins = home.maps();
        let mut lost = Vec::new();
        for name in PINNED {
            let (map, path) = (self.fd(name)?, pins.join(name));
            if !links::is_pin_of(map, &path)? {
                links::pin_as(map, &path)?;
                lost.push(name);
            }
        }
        Ok(lost)
    }

    /// The descriptor of a map that is not in memory.
    ///
    /// # Errors
    /// When there is none of this name, which is a mistake in this crate.
    pub fn fd(&self, name: &str) -> std::io::Result<BorrowedFd<'_>> {
        let fd = self.hashes.get(name).ok_or_else(|| std::io::Error::other(format!("no map `{name}`")))?;
        Ok(fd.as_fd())
    }
}

/// Mounts a bpffs in the data directory if there is none.
///
/// # Errors
/// When it cannot be mounted; the message says where and why.
pub fn mount_bpffs(dir: &Path) -> anyhow::Result<PathBuf> {
    let at = dir.join(BPFFS);
    fs::create_dir_all(&at).with_context(|| format!("cannot create `{}`", at.display()))?;
    if !is_bpffs(&at) {
        mount(Some("sekimori"), &at, Some("bpf"), MsFlags::empty(), Some("mode=0700"))
            .with_context(|| format!("cannot mount a bpffs on `{}`; the agent must be root", at.display()))?;
    }
    Ok(at)
}

/// Whether a bpffs is mounted there.
pub(super) fn is_bpffs(at: &Path) -> bool {
    statfs(at).is_ok_and(|status| status.filesystem_type() == BPF_FS_MAGIC)
}

/// Loads programs and maps. Maps that are pinned already are taken over with what is in them.
///
/// # Errors
/// When the kernel refuses; the message holds its verifier's words.
pub fn load(home: &Home) -> anyhow::Result<(Maps, Programs)> {
    let (pins, object) = (home.maps(), home.image.object);
    fs::create_dir_all(&pins).with_context(|| format!("cannot create `{}`", pins.display()))?;
    let jiffies = Jiffies::compare();
    let programs = match programs(&mut loader(&pins, &jiffies), object, true) {
        // The helper is unknown to this kernel. A cookie in its place makes the call unreachable; each
        // namespace gets a copy with its own later.
        Err(_) if !tells_cookies() => {
            programs(loader(&pins, &jiffies).override_global("NETNS", &NO_COOKIE, true), object, false)?
        }
        other => other?,
    };
    let mut hashes = HashMap::new();
    for name in PINNED {
        let map = programs.ebpf.map(name).ok_or_else(|| anyhow!("the BPF object has no map `{name}`"))?;
        hashes.insert(name, fd_of(map)?.try_clone_to_owned()?);
    }
    Ok((open(hashes)?, programs))
}

/// No namespace has this cookie.
const NO_COOKIE: u64 = u64::MAX;

/// Linux 6.15 lets tc programs ask for it.
fn tells_cookies() -> bool {
    aya::util::KernelVersion::current().is_ok_and(|version| version >= aya::util::KernelVersion::new(6, 15, 0))
}

fn loader<'a>(pins: &Path, jiffies: &'a Jiffies) -> EbpfLoader<'a> {
    let mut loader = EbpfLoader::new();
    loader.override_global("TICK_NS", &jiffies.tick_ns, true);
    loader.override_global("JIFFIES_ZERO_NS", &jiffies.zero_ns, true);
    for name in PINNED {
        loader.map_pin_path(name, pins.join(name));
    }
    loader
}

/// What programs are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// They decide.
    Decide,
    /// They note the flows that another version's programs in front of them let begin.
    LookOn,
}

/// Loads a copy of the programs for one network namespace, for kernels that do not tell its cookie.
///
/// # Errors
/// As [`load`].
pub fn load_for(home: &Home, cookie: u64, role: Role) -> anyhow::Result<Programs> {
    let looks_on = u32::from(role == Role::LookOn);
    let jiffies = Jiffies::compare();
    let (mut loader, object) = (loader(&home.maps(), &jiffies), home.image.object);
    let loader = loader.override_global("NETNS", &cookie, true).override_global("LOOKS_ON", &looks_on, true);
    programs(loader, object, false)
}

fn programs(loader: &mut EbpfLoader<'_>, object: &[u8], knows_cookies: bool) -> anyhow::Result<Programs> {
    let mut ebpf = loader.load(object).context("cannot load the BPF object")?;
    let to_eni = program(&mut ebpf, "to_eni")?;
    let from_eni = program(&mut ebpf, "from_eni")?;
    Ok(Programs { to_eni, from_eni, knows_cookies, ebpf })
}

fn program(ebpf: &mut aya::Ebpf, name: &str) -> anyhow::Result<OwnedFd> {
    let program = ebpf.program_mut(name).ok_or_else(|| anyhow!("the BPF object has no program `{name}`"))?;
    let program: &mut SchedClassifier = program.try_into()?;
    program.load().with_context(|| format!("the kernel refuses the program `{name}`"))?;
    Ok(program.fd()?.as_fd().try_clone_to_owned()?)
}

/// The descriptor of a map of a BPF object.
///
/// # Errors
/// When it is of a type that has none.
pub fn fd_of(map: &Map) -> anyhow::Result<BorrowedFd<'_>> {
    Ok(data_of(map)?.fd().as_fd())
}

fn data_of(map: &Map) -> anyhow::Result<&MapData> {
    match map {
        Map::Array(data)
        | Map::HashMap(data)
        | Map::LruHashMap(data)
        | Map::LpmTrie(data)
        | Map::PerCpuArray(data)
        | Map::RingBuf(data)
        | Map::Unsupported(data) => Ok(data),
        _ => Err(anyhow!("a map of the BPF object has an unexpected type")),
    }
}

fn open(hashes: HashMap<&'static str, OwnedFd>) -> anyhow::Result<Maps> {
    let fd = |name: &str| hashes.get(name).map(AsFd::as_fd).ok_or_else(|| anyhow!("no map `{name}`"));
    let members = abi::MEMBER_SLOTS as usize;
    Ok(Maps {
        enis: Shared::map(fd("enis")?, abi::ENI_SLOTS as usize)?,
        budgets: Shared::map(fd("budgets")?, abi::ENI_SLOTS as usize)?,
        members: Shared::map(fd("members")?, members)?,
        words: Shared::map_dense(fd("policies")?, HOST_POLICY_WORDS as usize)?,
        epochs: Shared::map(fd("epochs")?, abi::VPC_SLOTS as usize)?,
        port_hints: Shared::map(fd("port_hints")?, abi::PORT_HINTS as usize)?,
        shadows: Shared::map(fd("shadows")?, abi::ENI_SLOTS as usize)?,
        eni_names: Shared::map(fd("eni_names")?, abi::ENI_SLOTS as usize)?,
        vpc_names: Shared::map(fd("vpc_names")?, abi::VPC_SLOTS as usize)?,
        group_names: Shared::map(fd("group_names")?, abi::GROUP_SLOTS as usize)?,
        rule_names: Shared::map(fd("rule_names")?, abi::RULE_SLOTS as usize)?,
        eni_lives: Shared::map(fd("eni_lives")?, abi::ENI_SLOTS as usize)?,
        rule_lives: Shared::map(fd("rule_lives")?, abi::RULE_SLOTS as usize)?,
        events_wanted: Shared::map(fd("events_wanted")?, 1)?,
        hashes,
    })
}

/// How many CPUs the kernel may ever have: the length of a per-CPU value.
///
/// # Errors
/// When the kernel does not say.
pub fn possible_cpus() -> anyhow::Result<usize> {
    aya::util::nr_cpus().map_err(|(what, error)| anyhow!("cannot read {what}: {error}"))
}
