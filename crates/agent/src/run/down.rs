//! The end of a data directory's enforcement: everything that the agent has made goes, and nothing else.

use std::{fs, io, path::Path};

use anyhow::Context as _;
use nix::{
    errno::Errno,
    mount::{MntFlags, umount2},
};
use sekimori_core::ids::EniId;

use crate::{
    bound::Bindings,
    bpf::maps::BPFFS,
    local::{Guard, LocalCompute},
};

/// What was removed, and what could not be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DownReport {
    /// What is still there, and why.
    pub left: Vec<String>,
}

/// Links go with their interfaces, so there is nothing to let go of one by one.
struct Nothing;

impl Guard for Nothing {
    fn close(&mut self, eni: &EniId, _: std::os::fd::BorrowedFd<'_>, _: &str, _: u32) -> anyhow::Result<()> {
        anyhow::bail!("{eni} is being removed and is not set up again")
    }

    fn forget(&mut self, _: &EniId) {}
}

/// Removes every namespace, link, map and pin that belongs to a data directory.
///
/// # Errors
/// When the directory cannot be read, or is in use.
pub async fn down(dir: &Path) -> anyhow::Result<DownReport> {
    let mut report = DownReport::default();
    let agent_dir = dir.join("agent");
    if agent_dir.exists() {
        let removed = LocalCompute::open(&agent_dir)?.remove_all(&mut Nothing).await;
        report.left.extend(removed.others.iter().map(ToString::to_string));
        report.left.extend(removed.failed.iter().map(|(eni, error)| format!("{eni}: {error}")));
        let released = Bindings::open(&agent_dir)?.remove().await;
        report.left.extend(released.err().map(|error| format!("{error:#}")));
    }
    // Interfaces that are still up must stay closed or judged: their programs go last, or not at all.
    if report.left.is_empty() {
        remove_bpffs(&dir.join(BPFFS))?;
    }
    Ok(report)
}

fn remove_bpffs(at: &Path) -> anyhow::Result<()> {
    match umount2(at, MntFlags::MNT_DETACH) {
        Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
        Err(error) => return Err(error).with_context(|| format!("cannot unmount `{}`", at.display())),
    }
    match fs::remove_dir(at) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove `{}`", at.display()))
        }
        _ => Ok(()),
    }
}
