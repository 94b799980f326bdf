//! The one core that everything measured runs on, and the time that it gives to it.

use std::{fs, path::PathBuf, time::Instant};

use anyhow::Context as _;
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    time::{ClockId, clock_gettime},
    unistd::Pid,
};

/// A core that is measured on.
#[derive(Clone, Debug)]
pub struct Core {
    /// Its number.
    pub number: usize,
    /// What the kernel tells of the thread that does the network's deferred work on it.
    softirq: Option<PathBuf>,
}

/// Time that passed.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    /// On the clock.
    pub wall_ns: f64,
    /// Of the core: client and server, and the network's work, which is done in their name or by the kernel's
    /// own thread. What the core gave to other processes is not in it.
    pub cpu_ns: f64,
}

/// The beginning of a measurement.
pub struct Started {
    at: Instant,
    cpu_ns: f64,
    server: Option<ClockId>,
}

impl Core {
    /// The last core that this process may use: the first ones are busier.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn choose() -> anyhow::Result<Self> {
        let allowed = sched_getaffinity(Pid::from_raw(0))?;
        let mut numbers = (0..CpuSet::count()).rev();
        let number = numbers.find(|number| allowed.is_set(*number).unwrap_or(false)).context("no core is allowed")?;
        Ok(Self::new(number))
    }

    /// The core of a number.
    #[must_use]
    pub fn new(number: usize) -> Self {
        Self { number, softirq: softirq_of(number) }
    }

    /// Keeps the calling thread on the core.
    ///
    /// # Errors
    /// The kernel's.
    pub fn pin(&self) -> anyhow::Result<()> {
        let mut set = CpuSet::new();
        set.set(self.number)?;
        Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
    }

    /// Begins to measure this process and a server.
    ///
    /// # Errors
    /// The kernel's.
    pub fn start(&self, server: Option<Pid>) -> anyhow::Result<Started> {
        let server = server.map(ClockId::pid_cpu_clock_id).transpose()?;
        Ok(Started { cpu_ns: self.cpu_ns(server)?, at: Instant::now(), server })
    }

    /// Ends a measurement.
    ///
    /// # Errors
    /// The kernel's.
    pub fn spent(&self, since: &Started) -> anyhow::Result<Spent> {
        let wall_ns = since.at.elapsed().as_nanos() as f64;
        Ok(Spent { wall_ns, cpu_ns: self.cpu_ns(since.server)? - since.cpu_ns })
    }

    fn cpu_ns(&self, server: Option<ClockId>) -> anyhow::Result<f64> {
        let own = clock_ns(ClockId::CLOCK_PROCESS_CPUTIME_ID)?;
        let server = server.map_or(Ok(0.0), clock_ns)?;
        let deferred = self.softirq.as_ref().map_or(Ok(0.0), run_time_ns)?;
        Ok(own + server + deferred)
    }
}

fn clock_ns(clock: ClockId) -> anyhow::Result<f64> {
    let time = clock_gettime(clock)?;
    Ok(time.tv_sec() as f64 * 1e9 + time.tv_nsec() as f64)
}

/// The first number of a task's `schedstat`: nanoseconds that it has run.
fn run_time_ns(path: &PathBuf) -> anyhow::Result<f64> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let first = text.split(' ').next().unwrap_or_default();
    first.parse().with_context(|| format!("`{first}` is not a number of nanoseconds"))
}

fn softirq_of(core: usize) -> Option<PathBuf> {
    let name = format!("ksoftirqd/{core}");
    let tasks = fs::read_dir("/proc").ok()?;
    let is_it = |path: &PathBuf| fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim() == name);
    let task = tasks.flatten().map(|entry| entry.path()).find(is_it)?;
    Some(task.join("schedstat"))
}
