//! Floods: beginnings of connections that are never finished, at one interface that allows them, and scans of ports that nobody may
//! reach, at all. In turns with rests, so that both are seen: how it is under a flood, and how it is after one.

use std::{sync::atomic::Ordering, time::Duration};

use sekimori_core::ids::IdSource;
use sekimori_tests::lab::{
    frames::{Frame, frame},
    host::{Link, at},
    workload::ip,
};

use super::{
    Run,
    estate::{Host, Place},
    model::{FLOODED, NEVER},
};

/// Frames between two rests: everything else needs a CPU too.
const BURST: usize = 64;
/// The rest.
const REST: Duration = Duration::from_millis(4);
/// Bursts of a flood, and rests of the same length after it.
const BURSTS: u32 = 500;
/// The first source port of a flood.
const FIRST_PORT: u64 = 10_000;
/// How many there are: half-open connections of one IP version, at most.
const PORTS: u64 = 50_000;

/// Floods and scans until the end.
///
/// # Errors
/// The kernel's.
pub fn flood(run: &Run) -> anyhow::Result<()> {
    let (from, victim) = (run.estate.host(Place::Flooder)?, run.estate.host(Place::Victim)?);
    // What answers the victim's half of a connection would end it.
    for address in victim.addresses {
        ip(&format!("-n {} route add blackhole {address}", from.instance));
    }
    let link = at(&from.instance, "eth0").link();
    let mut chances = run.plan.chances("floods");
    loop {
        let is_scan = chances.next_u64().is_multiple_of(2);
        run.journal.note(if is_scan { "a scan begins" } else { "a flood begins" });
        for _ in 0..BURSTS {
            burst(run, &link, from, is_scan, &mut chances)?;
            if run.halt.pause(REST).is_err() {
                return Ok(());
            }
        }
        run.journal.note("it ends");
        if run.halt.pause(REST * BURSTS).is_err() {
            return Ok(());
        }
    }
}

fn burst(run: &Run, link: &Link, from: &Host, is_scan: bool, chances: &mut IdSource) -> anyhow::Result<()> {
    for _ in 0..BURST {
        let family = (chances.next_u64() % 2) as usize;
        let source = from.at(family, (FIRST_PORT + chances.next_u64() % PORTS) as u16);
        let (to, kind) = if is_scan {
            let places = [Place::Server(0), Place::Server(1), Place::Victim, Place::Client(0), Place::Quiet(1)];
            let place = places[(chances.next_u64() % places.len() as u64) as usize];
            let port = NEVER.start + (chances.next_u64() % NEVER.len() as u64) as u16;
            let kinds = [Frame::Syn(port), Frame::Datagram(port), Frame::Ack(port)];
            (place, kinds[(chances.next_u64() % 3) as usize])
        } else {
            (Place::Victim, Frame::Syn(FLOODED))
        };
        let to = run.estate.host(to)?.at(family, kind.port());
        // A full queue is what a flood makes.
        let sent = link.send(&frame(kind, from.mac.0, (source, to))).is_ok();
        run.counts.frames.fetch_add(u64::from(sent), Ordering::Relaxed);
    }
    Ok(())
}
