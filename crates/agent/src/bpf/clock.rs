//! The kernel's coarse clock, by which flows and events are dated, beside the calendar.

use std::{
    io,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use aya::programs::SchedClassifier;
use nix::time::{ClockId, clock_getres, clock_gettime};

use super::sys;

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/clock.bpf.o"));

/// Test runs need a frame and an interface that exists.
const FRAME: [u8; 64] = [0; 64];
const LOOPBACK: u32 = 1;
/// How often the two clocks are read until no tick has come in between.
const COMPARISONS: usize = 64;

const NANOSECONDS: u64 = 1_000_000_000;

/// The same moment by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Seconds since 1970.
    pub now_s: i64,
    /// The clock of `Flow::seen_ns`.
    pub coarse_ns: u64,
}

impl Moment {
    /// Now.
    ///
    /// # Errors
    /// The kernel's.
    pub fn now() -> io::Result<Self> {
        let now_s = i64::try_from(since_epoch().as_secs()).unwrap_or(i64::MAX);
        Ok(Self { now_s, coarse_ns: coarse_now_ns()? })
    }

    /// Seconds since 1970 at an earlier moment of the kernel's clock.
    #[must_use]
    pub fn seconds_at(self, coarse_ns: u64) -> i64 {
        self.now_s.saturating_sub_unsigned(self.coarse_ns.saturating_sub(coarse_ns) / NANOSECONDS)
    }
}

/// The clock of `Flow::seen_ns`.
///
/// # Errors
/// The kernel's.
pub fn coarse_now_ns() -> io::Result<u64> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE)?;
    Ok(now.tv_sec().unsigned_abs() * NANOSECONDS + now.tv_nsec().unsigned_abs())
}

/// From moments of the kernel's clock to milliseconds since 1970, by the clocks as they are now.
///
/// # Errors
/// The kernel's.
pub fn milliseconds() -> io::Result<impl Fn(u64) -> u64> {
    let (coarse_ns, now) = (coarse_now_ns()?, since_epoch());
    Ok(move |time_ns: u64| {
        let ago = Duration::from_nanos(coarse_ns.saturating_sub(time_ns));
        u64::try_from(now.saturating_sub(ago).as_millis()).unwrap_or(u64::MAX)
    })
}

/// The coarse clock by the kernel's jiffies, which programs read without a call: `jiffies * tick_ns + zero_ns`, wrapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Jiffies {
    /// A tick; 0 stands for "not known", and programs ask the clock itself.
    pub tick_ns: u64,
    /// The coarse clock when jiffies were zero.
    pub zero_ns: u64,
}

impl Jiffies {
    /// Compares the two clocks. Both go on with the kernel's tick, so between two ticks they stand still together.
    #[must_use]
    pub fn compare() -> Self {
        Self::try_compare().unwrap_or_else(|error| {
            tracing::warn!(%error, "the kernel's ticks cannot be compared with its clock; packets take a little longer");
            Self::default()
        })
    }

    fn try_compare() -> anyhow::Result<Self> {
        let mut ebpf = aya::Ebpf::load(OBJECT).context("cannot load the BPF object of the clock")?;
        let program = ebpf.program_mut("jiffies").context("the BPF object of the clock has no program")?;
        let program: &mut SchedClassifier = program.try_into()?;
        program.load()?;
        let half = |mark| {
            let run = sys::test_run(std::os::fd::AsFd::as_fd(program.fd()?), (&FRAME, mark), LOOPBACK, 1)?;
            anyhow::Ok(u64::from(run.action.cast_unsigned()))
        };
        let resolution = clock_getres(ClockId::CLOCK_MONOTONIC_COARSE)?;
        let tick_ns = resolution.tv_nsec().unsigned_abs();
        // Where timers are as coarse as the tick, a tick can be lost, and jiffies fall behind the clock for good.
        anyhow::ensure!(
            clock_getres(ClockId::CLOCK_MONOTONIC)? < resolution,
            "this kernel has no timers finer than a tick"
        );
        for _ in 0..COMPARISONS {
            let before = coarse_now_ns()?;
            let jiffies = half(1)? << 32 | half(0)?;
            if coarse_now_ns()? == before && tick_ns > 0 {
                return Ok(Self { tick_ns, zero_ns: before.wrapping_sub(jiffies.wrapping_mul(tick_ns)) });
            }
        }
        anyhow::bail!("{COMPARISONS} comparisons were interrupted by a tick of {tick_ns} ns")
    }
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
