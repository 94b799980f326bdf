//! A data plane of its own for a measurement, in a directory that goes with it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use nix::mount::{MntFlags, umount2};
use sekimori_agent::bpf::{AttachMode, DataPlane, maps::BPFFS};
use sekimori_compile::tables::Tables;
use sekimori_core::{change::Change, ids::HostId, world::World};

use crate::world::HOST;

/// Tables and the kernel that follows them.
pub struct Plane {
    /// The kernel's side.
    pub kernel: DataPlane,
    /// The tables.
    pub tables: Tables,
    dir: PathBuf,
}

impl Plane {
    /// A new one. Whatever an interrupted run left in the directory goes first.
    ///
    /// # Errors
    /// The kernel's or the file system's.
    pub fn open(dir: &Path) -> anyhow::Result<Self> {
        remove(dir)?;
        fs::create_dir_all(dir).with_context(|| format!("cannot create `{}`", dir.display()))?;
        let opened = DataPlane::open(dir, AttachMode::Auto);
        if opened.is_err() {
            // Nobody else would unmount what it has mounted, and then why it failed would be told by nobody.
            remove(dir)?;
        }
        let (kernel, adopted) = opened?;
        Ok(Self { kernel, tables: Tables::new(HostId::from(HOST), adopted), dir: dir.to_owned() })
    }

    /// Enforces a whole world.
    ///
    /// # Errors
    /// When it does not fit, and the kernel's.
    pub fn enforce(&mut self, world: &World) -> anyhow::Result<()> {
        self.follow(world, &world.to_changes())
    }

    /// Enforces some changes.
    ///
    /// # Errors
    /// As [`Plane::enforce`].
    pub fn follow(&mut self, world: &World, changes: &[Change]) -> anyhow::Result<()> {
        let delta = self.tables.update(world, changes);
        let closed = self.kernel.write(&delta)?;
        anyhow::ensure!(closed.is_empty(), "the data plane cannot hold this: {closed:?}");
        Ok(())
    }

    /// Does the housekeeping of an agent: ends idle flows, gives room back.
    ///
    /// # Errors
    /// The kernel's.
    pub fn collect(&mut self) -> anyhow::Result<()> {
        let mut collection = self.kernel.begin_collection(&mut self.tables, true)?;
        collection.run()?;
        self.kernel.end_collection(collection, &mut self.tables);
        Ok(())
    }

    /// Forgets every flow.
    ///
    /// # Errors
    /// The kernel's.
    pub fn forget_flows(&self) -> anyhow::Result<()> {
        self.kernel.flows()?.iter().try_for_each(|live| self.kernel.end_flow(&live.key))?;
        Ok(())
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.dir) {
            eprintln!("{error:#}");
        }
    }
}

/// Programs and maps go with the file system that names them.
fn remove(dir: &Path) -> anyhow::Result<()> {
    let bpffs = dir.join(BPFFS);
    if bpffs.exists() {
        // What was never mounted needs no unmounting.
        let _ = umount2(&bpffs, MntFlags::MNT_DETACH);
    }
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot remove `{}`", dir.display()))?;
    }
    Ok(())
}
