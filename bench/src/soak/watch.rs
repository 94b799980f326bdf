//! Watches where packets would arrive that nobody may send: on the link itself, before any socket. What arrives has passed.

use std::{
    net::UdpSocket,
    os::fd::AsFd,
    sync::PoisonError,
    time::{Duration, Instant},
};

use sekimori_agent::netlink::netns::within;
use sekimori_tests::lab::host::{FRAME_BYTES_MAX, at};

use super::{
    Run,
    estate::{Host, Place},
    model::NEVER,
};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(2);
/// Within so long a program that was taken off is back.
pub const REPAIR_MAX: Duration = Duration::from_secs(1);
/// Between two datagrams to the interface that loses its programs.
const KNOCK: Duration = Duration::from_millis(5);

/// When an interface was bared, and how long one was open at most.
#[derive(Clone, Debug, Default)]
pub struct Breach {
    since: Option<Instant>,
    longest: Duration,
}

impl Breach {
    /// Its programs are taken off now.
    pub fn open(&mut self) {
        self.since = Some(Instant::now());
    }

    /// They must be back.
    pub fn close(&mut self) {
        self.since = None;
    }

    /// The longest that packets passed.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// A packet has arrived; how long it was open, if it was allowed to be.
    fn arrival(&mut self) -> Result<(), Option<Duration>> {
        let open = self.since.map(|since| since.elapsed()).ok_or(None)?;
        self.longest = self.longest.max(open);
        if open <= REPAIR_MAX { Ok(()) } else { Err(Some(open)) }
    }
}

/// Watches a place until the end.
///
/// # Errors
/// The kernel's.
pub fn watch(run: &Run, place: Place) -> anyhow::Result<()> {
    let host = run.estate.host(place)?;
    let link = at(&host.instance, "eth0").link();
    let mut room = vec![0; FRAME_BYTES_MAX];
    while run.halt.pause(LOOK).is_ok() {
        while let Some(frame) = link.receive(&mut room) {
            if let Some(port) = goes_to(frame, host).filter(|port| NEVER.contains(port)) {
                arrived(run, place, port);
            }
        }
    }
    Ok(())
}

fn arrived(run: &Run, place: Place, port: u16) {
    if place != Place::Bared {
        return run.find(format!("a packet to port {port}, which nobody may reach, arrived at {place}"));
    }
    let mut breach = run.breach.lock().unwrap_or_else(PoisonError::into_inner);
    match breach.arrival() {
        Ok(()) => {}
        Err(None) => run.find(format!("a denied packet to port {port} arrived at {place}, whose programs are on")),
        Err(Some(open)) => run.find(format!("{place} was still open {open:.1?} after its programs were taken off")),
    }
}

/// The port that a frame towards a host goes to, if it is TCP or UDP without IPv6 extension headers, as ours are.
fn goes_to(frame: &[u8], host: &Host) -> Option<u16> {
    if frame.get(..6)? != host.mac.0 {
        return None;
    }
    let (protocol, transport) = match frame.get(12..14)? {
        [0x08, 0x00] => (*frame.get(23)?, 14 + usize::from(frame.get(14)? & 15) * 4),
        [0x86, 0xdd] => (*frame.get(20)?, 54),
        _ => return None,
    };
    let port = frame.get(transport + 2..transport + 4)?;
    matches!(protocol, 6 | 17).then(|| u16::from_be_bytes([port[0], port[1]]))
}

/// Sends datagrams that are denied to the interface that loses its programs, until the end.
///
/// # Errors
/// The kernel's.
pub fn knock(run: &Run) -> anyhow::Result<()> {
    let bared = run.estate.host(Place::Bared)?;
    within(run.estate.host(Place::Client(0))?.ns.as_fd(), || {
        let sockets = [UdpSocket::bind("0.0.0.0:0")?, UdpSocket::bind("[::]:0")?];
        while run.halt.pause(KNOCK).is_ok() {
            for (family, socket) in sockets.iter().enumerate() {
                // While nothing is bound there, an open moment is answered with an error, which is heard here.
                let _ = socket.send_to(b"knock", bared.at(family, NEVER.end - 1));
            }
        }
        Ok(())
    })?
}
