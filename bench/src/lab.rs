//! One VPC for each firewall and number of rules, all at once, so that nothing is changed between rounds.
//!
//! The VPCs are alike: client – router – server, made by local compute. What differs is whether the program is
//! on the server's interface, on both, or on none and another firewall is in the router.

use std::{
    collections::BTreeSet,
    fmt, fs,
    os::fd::{AsFd, BorrowedFd},
    path::Path,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use clap::ValueEnum;
use sekimori_agent::{
    bpf::DataPlane,
    local::{Guard, LocalCompute},
    netlink::netns::{NetNs, within},
};
use sekimori_core::{
    ids::{EniId, HostId},
    world::World,
};
use serde::{Serialize, Serializer};
use tokio::runtime::Runtime;

use crate::{
    plane::Plane,
    rivals,
    world::{Builder, HOST, Pair},
};

/// What stands between client and server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Firewall {
    /// Nothing.
    #[value(skip)]
    None,
    /// The program, at the server's interface.
    Sekimori,
    /// The program, at both interfaces: what an instance gets.
    SekimoriBothEnds,
    /// nftables with one interval set.
    NftSet,
    /// nftables with one rule after the other.
    NftLinear,
    /// iptables.
    Iptables,
}

impl Firewall {
    /// All that are compared with none.
    pub const ALL: [Self; 5] =
        [Self::Sekimori, Self::SekimoriBothEnds, Self::NftSet, Self::NftLinear, Self::Iptables];
}

impl fmt::Display for Firewall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "no firewall",
            Self::Sekimori => "sekimori",
            Self::SekimoriBothEnds => "sekimori, both ends",
            Self::NftSet => "nftables, interval set",
            Self::NftLinear => "nftables, linear",
            Self::Iptables if rivals::iptables_restore() == "iptables-legacy-restore" => "iptables-legacy",
            Self::Iptables => "iptables (nft)",
        })
    }
}

impl Serialize for Firewall {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A firewall with so many rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Variant {
    /// The firewall.
    pub firewall: Firewall,
    /// Its rules.
    pub rules: usize,
}

/// Every firewall at every number of rules.
#[must_use]
pub fn variants(firewalls: &[Firewall], sizes: &[usize]) -> Vec<Variant> {
    let of = |firewall: &Firewall| sizes.iter().map(|rules| Variant { firewall: *firewall, rules: *rules }).collect();
    firewalls.iter().flat_map(|firewall| -> Vec<Variant> { of(firewall) }).collect()
}

/// A VPC that packets can be sent through.
pub struct Way {
    /// The client, and the server behind the rules.
    pub pair: Pair,
    /// The client's namespace.
    pub client: NetNs,
    /// The server's namespace.
    pub server: NetNs,
}

/// All VPCs.
pub struct Lab {
    /// Without a firewall.
    pub open: Way,
    /// With each firewall.
    pub ways: Vec<(Variant, Way)>,
    parts: Parts,
}

/// What was made, and goes with it.
struct Parts {
    plane: Plane,
    local: Option<LocalCompute>,
    protected: BTreeSet<EniId>,
    runtime: Arc<Runtime>,
}

impl Lab {
    /// Makes all VPCs.
    ///
    /// # Errors
    /// What could not be made; the rest is removed again.
    pub fn open(runtime: &Arc<Runtime>, dir: &Path, variants: &[Variant]) -> anyhow::Result<Self> {
        // Namespaces are named by ids, so ids must differ from those of everybody else.
        let seed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
        let mut builder = Builder::new(seed)?;
        let open = builder.pair(4, true)?;
        let pairs = variants.iter().map(|variant| Ok((*variant, builder.pair(variant.rules, true)?)));
        let pairs = pairs.collect::<anyhow::Result<Vec<_>>>()?;
        let parts = Parts::make(runtime, dir, builder.world(), &pairs)?;
        for (variant, pair) in &pairs {
            parts
                .set_up(*variant, pair)
                .with_context(|| format!("{} with {} rules", variant.firewall, variant.rules))?;
        }
        let ways = pairs.into_iter().map(|(variant, pair)| Ok((variant, way(pair)?)));
        Ok(Self { open: way(open)?, ways: ways.collect::<anyhow::Result<_>>()?, parts })
    }

    /// Does the housekeeping of an agent.
    ///
    /// # Errors
    /// The kernel's.
    pub fn keep_house(&mut self) -> anyhow::Result<()> {
        self.parts.plane.collect()
    }
}

impl Parts {
    fn make(runtime: &Arc<Runtime>, dir: &Path, world: &World, pairs: &[(Variant, Pair)]) -> anyhow::Result<Self> {
        let mut plane = Plane::open(dir)?;
        plane.enforce(world)?;
        let registry = dir.join("agent");
        fs::create_dir_all(&registry).with_context(|| format!("cannot create `{}`", registry.display()))?;
        let local = Some(LocalCompute::open(&registry)?);
        let protected = pairs.iter().flat_map(|(variant, pair)| protected(variant.firewall, pair)).collect();
        let mut parts = Self { plane, local, protected, runtime: Arc::clone(runtime) };
        let Self { plane, local: Some(local), protected, .. } = &mut parts else { return Ok(parts) };
        let mut guard = Selected { plane: &mut plane.kernel, protected };
        let report = runtime.block_on(local.reconcile(world, &HostId::from(HOST), &mut guard));
        anyhow::ensure!(report.is_complete(), "local compute is not complete: {report:?}");
        Ok(parts)
    }

    fn set_up(&self, variant: Variant, pair: &Pair) -> anyhow::Result<()> {
        let router = self.local.as_ref().and_then(|local| local.router(&pair.vpc)).context("no router")?;
        match variant.firewall {
            Firewall::None | Firewall::Sekimori | Firewall::SekimoriBothEnds => Ok(()),
            Firewall::NftSet => rivals::nft_set(router, pair, variant.rules),
            Firewall::NftLinear => rivals::nft_linear(router, pair, variant.rules),
            Firewall::Iptables => rivals::iptables(router, pair, variant.rules),
        }
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        let Some(local) = self.local.take() else { return };
        let mut guard = Selected { plane: &mut self.plane.kernel, protected: &self.protected };
        let report = self.runtime.block_on(local.remove_all(&mut guard));
        if !report.is_complete() {
            eprintln!("not everything could be removed: {report:?}");
        }
    }
}

/// The interfaces that get the program.
fn protected(firewall: Firewall, pair: &Pair) -> Vec<EniId> {
    match firewall {
        Firewall::Sekimori => vec![pair.server.eni.clone()],
        Firewall::SekimoriBothEnds => vec![pair.client.eni.clone(), pair.server.eni.clone()],
        Firewall::None | Firewall::NftSet | Firewall::NftLinear | Firewall::Iptables => Vec::new(),
    }
}

fn way(pair: Pair) -> anyhow::Result<Way> {
    let open = |name: &str| NetNs::open(name)?.with_context(|| format!("no namespace `{name}`"));
    let (client, server) = (open(pair.client.instance.as_str())?, open(pair.server.instance.as_str())?);
    // A packet that is lost must not hold the measurement up for minutes.
    within(client.as_fd(), || fs::write("/proc/sys/net/ipv4/tcp_syn_retries", "2"))??;
    Ok(Way { pair, client, server })
}

/// Puts the program on some interfaces and leaves the others as they are.
struct Selected<'a> {
    plane: &'a mut DataPlane,
    protected: &'a BTreeSet<EniId>,
}

impl Guard for Selected<'_> {
    fn close(&mut self, eni: &EniId, netns: BorrowedFd<'_>, namespace: &str, ifindex: u32) -> anyhow::Result<()> {
        if !self.protected.contains(eni) {
            return Ok(());
        }
        Guard::close(self.plane, eni, netns, namespace, ifindex)
    }

    fn forget(&mut self, eni: &EniId) {
        if self.protected.contains(eni) {
            self.plane.forget(eni);
        }
    }
}
