//! The kernel's coarse clock, by which flows and events are dated, beside the calendar.

use std::{
    io,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nix::time::{ClockId, clock_gettime};

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

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
