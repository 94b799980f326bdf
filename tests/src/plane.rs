//! A data plane of its own for a test: the real programs in the real kernel, without interfaces.

use std::{io, path::Path};

use anyhow::Context as _;
use nix::mount::{MntFlags, umount2};
use sekimori_agent::bpf::{AttachMode, DataPlane, maps::BPFFS, sys};
use sekimori_compile::{
    abi::{FlowKey, MARK_FORWARDED, PortKey, Reason, address_bytes},
    tables::{Adopted, Tables},
};
use sekimori_core::{
    flow::{self, Segment},
    ids::HostId,
    packet::{Decision, Why},
    rule::Direction,
    world::{Eni, World},
};

use crate::{
    frame::{frame, tagged},
    generate::HOST,
};

/// The loopback interface: test runs need one that exists.
pub const LOOPBACK: u32 = 1;

/// Whether a test that needs root can run. In CI it must: then this fails instead.
#[must_use]
pub fn is_root(what: &str) -> bool {
    if nix::unistd::geteuid().is_root() {
        return true;
    }
    assert!(std::env::var_os("SEKIMORI_REQUIRE_ALL").is_none(), "{what} needs root, and nothing may be skipped here");
    eprintln!("SKIPPED: {what} needs root");
    false
}

/// A data plane that follows one world after another.
pub struct TestPlane {
    /// The data plane.
    pub plane: DataPlane,
    /// Its tables.
    pub tables: Tables,
    /// The VLAN tags of the frames that are judged.
    pub tags: Vec<u16>,
    last_policy: u32,
    cookie: u64,
    dir: tempfile::TempDir,
}

impl TestPlane {
    /// A new one.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn new() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let (plane, adopted) = DataPlane::open(dir.path(), AttachMode::Auto)?;
        let tables = Tables::new(HostId::from(HOST), adopted);
        Ok(Self { plane, tables, tags: Vec::new(), last_policy: 0, cookie: sys::netns_cookie()?, dir })
    }

    /// Its data directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Enforces another world, with nothing in common.
    ///
    /// # Errors
    /// The kernel's.
    pub fn enforce(&mut self, world: &World) -> anyhow::Result<()> {
        let (highest, _) = self.tables.policies().map(|(id, words)| (id.0, words)).max().unzip();
        self.last_policy = self.last_policy.max(highest.unwrap_or(0)) + 1;
        let adopted = Adopted { last_policy: self.last_policy, ..Adopted::default() };
        self.tables = Tables::new(HostId::from(HOST), adopted);
        let delta = self.tables.update(world, &world.to_changes());
        anyhow::ensure!(delta.failures.is_empty(), "{:?}", delta.failures);
        self.plane.resync(&self.tables)?;
        Ok(())
    }

    /// Gives room back, and forgets every flow.
    ///
    /// # Errors
    /// The kernel's.
    pub fn rest(&mut self) -> io::Result<()> {
        self.forget_flows()?;
        self.sweep()
    }

    /// Gives back what nothing uses, flows that have ended among it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn sweep(&mut self) -> io::Result<()> {
        let mut collection = self.plane.begin_collection(&mut self.tables, true)?;
        collection.run()?;
        self.plane.end_collection(collection, &mut self.tables);
        Ok(())
    }

    /// Forgets every flow.
    ///
    /// # Errors
    /// The kernel's.
    pub fn forget_flows(&self) -> io::Result<()> {
        self.plane.flows()?.iter().try_for_each(|live| self.plane.end_flow(&live.key))
    }

    /// Runs the program that a packet at an ENI would meet; returns its action and its reason, which it
    /// gives by counting. `None` for an ENI of another host.
    ///
    /// # Errors
    /// The kernel's.
    pub fn judge(&mut self, eni: &Eni, segment: &Segment) -> anyhow::Result<Option<(bool, Reason)>> {
        let Some(slot) = self.tables.eni_slot(&eni.id) else { return Ok(None) };
        let frame = tagged(&frame(segment, eni.mac.0), &self.tags);
        let direction = segment.packet.direction;
        let mark = if segment.packet.is_forwarded { MARK_FORWARDED } else { 0 };
        self.run_marked(eni, slot, direction, (&frame, mark))
    }

    /// Makes the interface of test runs that of an ENI.
    ///
    /// # Errors
    /// The kernel's.
    pub fn bind(&mut self, eni: &Eni) -> io::Result<()> {
        let port = PortKey { netns: self.cookie, ifindex: LOOPBACK, reserved: 0 };
        self.plane.rebind(&eni.id, None)?;
        self.plane.rebind(&eni.id, Some(port))
    }

    /// As [`TestPlane::judge`], for any bytes.
    ///
    /// # Errors
    /// The kernel's.
    pub fn run(
        &mut self,
        eni: &Eni,
        slot: u32,
        direction: Direction,
        frame: &[u8],
    ) -> anyhow::Result<Option<(bool, Reason)>> {
        self.run_marked(eni, slot, direction, (frame, 0))
    }

    fn run_marked(
        &mut self,
        eni: &Eni,
        slot: u32,
        direction: Direction,
        (frame, mark): (&[u8], u32),
    ) -> anyhow::Result<Option<(bool, Reason)>> {
        self.bind(eni)?;
        let before = self.plane.reason_counts(slot)?;
        let (to_eni, from_eni) = self.plane.programs();
        let program = if direction == Direction::Ingress { to_eni } else { from_eni };
        let result = sys::test_run(program, (frame, mark), LOOPBACK, 1).context("the test run failed")?;
        let after = self.plane.reason_counts(slot)?;
        let counted = after.into_iter().find(|(side, reason, count)| {
            let old = before.iter().find(|(s, r, _)| (s, r) == (side, reason)).map_or(0, |(_, _, count)| *count);
            *side == direction && *count == old + 1
        });
        let (_, reason, _) = counted.with_context(|| {
            let lost = self.plane.reason_counts(0);
            format!(
                "the packet was not counted: {before:?}, lost {lost:?}, {:?}",
                self.plane.maps().enis.get(slot as usize)
            )
        })?;
        anyhow::ensure!((result.action == -1) == reason.passes(), "{reason:?} with action {}", result.action);
        Ok(Some((reason.passes(), reason)))
    }
}

impl Drop for TestPlane {
    fn drop(&mut self) {
        // Programs and maps go with the file system that names them.
        if let Err(error) = umount2(&self.dir.path().join(BPFFS), MntFlags::MNT_DETACH) {
            eprintln!("cannot unmount the bpffs of a test: {error}");
        }
    }
}

/// The key of a packet's flow, as the kernel holds it.
#[must_use]
pub fn kernel_key(slot: u32, eni: &Eni, segment: &Segment) -> Option<FlowKey> {
    let key = flow::key_of(eni, segment)?;
    Some(FlowKey {
        eni: slot,
        local: address_bytes(key.local),
        peer: address_bytes(key.peer),
        local_port: key.local_port,
        peer_port: key.peer_port,
        protocol: key.protocol,
        reserved: [0; 3],
    })
}

/// The reason that the program should give for what the rules say.
#[must_use]
pub fn reason_of(decision: &Decision) -> Reason {
    match (&decision.why, decision.is_allowed()) {
        (Why::Bypass, _) => Reason::Bypass,
        (Why::IntraGroup { .. }, _) => Reason::IntraGroup,
        (Why::Rule { .. }, true) => Reason::RuleAllow,
        (Why::Rule { .. }, false) => Reason::RuleDeny,
        (Why::Default, true) => Reason::DefaultAllow,
        (Why::Default, false) => Reason::DefaultDeny,
        (Why::Platform { .. }, true) => Reason::PlatformAllow,
        (Why::Platform { .. }, false) => Reason::PlatformDeny,
        (Why::NetworkAcl { .. }, _) => Reason::AclDeny,
        (Why::Spoofed, _) => Reason::Spoofed,
        (Why::MidStream, _) => Reason::MidStream,
        (Why::KnownFlow, _) => Reason::KnownFlow,
        (Why::TableFull, _) => Reason::TableFull,
        (Why::HalfOpen, _) => Reason::HalfOpen,
        (Why::Fragment, _) => Reason::Fragment,
        (Why::Malformed, _) => Reason::Malformed,
        // No program knows more than that nobody has told it anything.
        (Why::NoPolicy | Why::NoWay { .. }, _) => Reason::NoPolicy,
    }
}
