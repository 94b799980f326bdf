//! How the process that reads the network gives up what it must not have. It happens once, before the process
//! has a second thread or anything open, and there is no way back.

use std::fs;

use anyhow::{Context as _, bail};
use nix::{
    sys::{
        prctl::{set_no_new_privs, set_pdeathsig},
        signal::Signal,
        stat::{Mode, umask},
    },
    unistd::{Gid, Pid, Uid, close, getppid, setgroups, setresgid, setresuid},
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, remove_capability_from_bounding_set,
    set_capabilities,
};

use crate::credentials::Owner;

/// Becomes another user without groups, capabilities or a way to get any, that ends with its parent.
///
/// # Errors
/// When any of it fails; the process must end then.
pub(crate) fn drop_to(user: Owner, parent: Pid) -> anyhow::Result<()> {
    close_inherited()?;
    umask(Mode::from_bits_truncate(0o077));
    empty_bounding_set()?;
    clear_ambient_capability_set().context("cannot clear the ambient capabilities")?;
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    setgroups(&[]).context("cannot leave the supplementary groups; the server must be started by root")?;
    setresgid(gid, gid, gid).with_context(|| format!("cannot become group {gid}"))?;
    setresuid(uid, uid, uid).with_context(|| format!("cannot become user {uid}"))?;
    set_no_new_privs().context("cannot forbid new privileges")?;
    let none = CapabilitySet::empty();
    let none = CapabilitySets { effective: none, permitted: none, inheritable: none };
    set_capabilities(None, none).context("cannot give up the capabilities")?;
    if capabilities(None)? != none {
        bail!("the kernel left capabilities to the server; it does not run with them");
    }
    follow(parent)
}

/// Ends when the parent ends. A change of user forgets this, so it comes last; and a parent that ended before
/// it was asked for sends nothing, so the parent is looked at afterwards.
fn follow(parent: Pid) -> anyhow::Result<()> {
    set_pdeathsig(Signal::SIGKILL).context("cannot follow the parent process")?;
    if getppid() != parent {
        bail!("the process that started the server has ended");
    }
    Ok(())
}

/// No capability can come back, whatever is executed.
fn empty_bounding_set() -> anyhow::Result<()> {
    for capability in (0..u64::BITS).map(|bit| CapabilitySet::from_bits_retain(1 << bit)) {
        match remove_capability_from_bounding_set(capability) {
            // The kernel does not know this one.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error).context("cannot empty the capability bounding set"),
        }
    }
    Ok(())
}

/// Closes what the parent, or its parent, left open, except input, output and errors.
fn close_inherited() -> anyhow::Result<()> {
    let entries = fs::read_dir("/proc/self/fd").context("cannot see the open files; is /proc mounted?")?;
    let open: Vec<i32> = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    for fd in open.into_iter().filter(|fd| *fd > 2) {
        // The directory that was just read is in the list, and closed by now.
        let _ = close(fd);
    }
    Ok(())
}
