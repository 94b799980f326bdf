//! Waits until no packet is on its way between two interfaces that was judged at the first before now.
//!
//! A packet is judged where it comes from, routed, and judged where it goes to, all in one run of the kernel's
//! receive path, which nothing interrupts for another thread. So when a thread has run on every CPU, every such
//! packet has arrived. That takes some tens of microseconds for each CPU; the kernel's own way of waiting takes
//! several milliseconds, and is for hosts with many CPUs and for kernels whose receive path can be interrupted.

use std::{io, path::Path};

use nix::{
    errno::Errno,
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

use super::sys;

/// With more CPUs than this the kernel's own way is as fast.
const VISITED_CPUS_MAX: usize = 32;
/// A kernel with this file interrupts its receive path.
const REALTIME: &str = "/sys/kernel/realtime";

/// Waits for the packets that are on their way.
///
/// # Errors
/// The kernel's.
pub(super) fn wait_for_packets() -> io::Result<()> {
    let cpus = aya::util::online_cpus().map_err(|(what, error)| io::Error::other(format!("{what}: {error}")))?;
    if cpus.len() <= VISITED_CPUS_MAX && !Path::new(REALTIME).exists() && visit(&cpus).is_ok() {
        return Ok(());
    }
    sys::wait_for_running_programs()
}

/// Runs on one CPU after another. A thread that may not run everywhere fails.
fn visit(cpus: &[u32]) -> Result<(), Errno> {
    let this = Pid::from_raw(0);
    let own = sched_getaffinity(this)?;
    let visited = cpus.iter().try_for_each(|cpu| {
        let mut one = CpuSet::new();
        one.set(*cpu as usize)?;
        sched_setaffinity(this, &one)
    });
    sched_setaffinity(this, &own)?;
    visited
}
