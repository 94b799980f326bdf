//! The kernel's maps: made once, pinned in the data directory's own bpffs, found again by the next process.

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
};
use nix::{
    mount::{MsFlags, mount},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};
use sekimori_compile::{
    abi::{self, ABI_VERSION},
    tables::RuleKey,
};
use sekimori_core::{
    ids::{GroupId, RuleId},
    limits::HOST_POLICY_WORDS,
};

use super::{
    links,
    sys::{self, Shared},
};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sekimori.bpf.o"));

/// Maps that are found by name again.
const PINNED: [&str; 28] = [
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
    "rule_bases",
    "port_hints",
    "ports",
    "addresses",
    "flows4",
    "flows6",
    "fragments",
    "rule_counters",
    "reason_counters",
    "verdicts",
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

    /// The object file.
    pub(super) fn object(&self) -> &'static [u8] {
        self.image.object
    }

    /// The directory of a kind of names of this version.
    fn names(&self, kind: &str) -> PathBuf {
        self.bpffs.join(format!("v{}", self.image.version)).join(kind)
    }

    /// The directory of the programs' names.
    #[must_use]
    pub fn programs(&self) -> PathBuf {
        self.names("programs")
    }

    /// The directory of the maps' names.
    #[must_use]
    pub fn maps(&self) -> PathBuf {
        self.names("maps")
    }

    /// The directory of the links' names.
    #[must_use]
    pub fn links(&self) -> PathBuf {
        self.names("links")
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
    /// What the counters of rules' numbers said when their lives began.
    pub rule_bases: Shared<abi::Counter>,
    /// Which events somebody reads, in its only element.
    pub events_wanted: Shared<u32>,
    hashes: HashMap<&'static str, OwnedFd>,
}

/// The rule that has a number: its group, and its name; none is the intra-group accept.
pub(crate) fn rule_name(names: &Shared<abi::RuleName>, slot: u32) -> Option<RuleKey> {
    let slot = usize::try_from(slot).ok().filter(|slot| *slot < names.len())?;
    let abi::RuleName { group, rule } = names.get(slot);
    Some((abi::id_of(&group).map(GroupId::from)?, abi::id_of(&rule).map(RuleId::from)))
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

    /// The kernel's numbers of all of them.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn ids(&self) -> std::io::Result<Vec<u32>> {
        PINNED.into_iter().map(|name| sys::object_id(self.fd(name)?)).collect()
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

/// Opens every map. Those that are pinned already are taken over with what is in them; the others are made, and pinned.
///
/// # Errors
/// When the kernel refuses.
pub(super) fn load(home: &Home) -> anyhow::Result<Maps> {
    let pins = home.maps();
    fs::create_dir_all(&pins).with_context(|| format!("cannot create `{}`", pins.display()))?;
    let ebpf = pinned(&mut EbpfLoader::new(), &pins).load(home.object()).context("cannot load the BPF object")?;
    let mut hashes = HashMap::new();
    for name in PINNED {
        let map = ebpf.map(name).ok_or_else(|| anyhow!("the BPF object has no map `{name}`"))?;
        hashes.insert(name, fd_of(map)?.try_clone_to_owned()?);
    }
    open(hashes)
}

/// Has a loader find the maps by their names.
pub(super) fn pinned<'a, 'b>(loader: &'a mut EbpfLoader<'b>, pins: &Path) -> &'a mut EbpfLoader<'b> {
    for name in PINNED {
        loader.map_pin_path(name, pins.join(name));
    }
    loader
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
        rule_bases: Shared::map(fd("rule_bases")?, abi::RULE_SLOTS as usize)?,
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
