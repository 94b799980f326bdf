//! Flows that never end: numbered messages at a steady pace, over TCP and UDP, IPv4 and IPv6. Whatever happens to rules that are not
//! theirs, to processes and to others' traffic, each goes on.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream, UdpSocket},
    os::fd::AsFd,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use sekimori_agent::netlink::netns::within;

use super::{
    Counts, Run,
    estate::Place,
    model::{OPEN_TCP, OPEN_UDP},
    services::is_late,
};

/// Between two messages of a flow.
const PACE: Duration = Duration::from_millis(20);
/// A TCP flow that is silent for so long is broken: what is lost once comes again much sooner.
const SILENCE_MAX: Duration = Duration::from_secs(8);
/// A datagram that has not come back for so long is lost.
const LATE: Duration = Duration::from_secs(4);
/// Datagrams lost one after another that are a hole and no accident: a fifth of a second.
const HOLE: u64 = 10;

/// Keeps flows from a place alive until the end.
///
/// # Errors
/// When one does not begin, and the kernel's.
pub fn stream(run: &Run, from: Place) -> anyhow::Result<()> {
    within(run.estate.host(from)?.ns.as_fd(), || {
        let (mut calls, mut queries) = (Vec::new(), Vec::new());
        for to in from.partners() {
            for family in 0..2 {
                let name = |port| format!("{from} -> {to} at {port}");
                let host = run.estate.host(*to)?;
                let (tcp, udp) = (host.at(family, OPEN_TCP), host.at(family, OPEN_UDP));
                calls.push(Call::begin(name(tcp), tcp)?);
                queries.push(Query::begin(name(udp), udp)?);
            }
        }
        while run.halt.pause(PACE).is_ok() {
            calls.iter_mut().try_for_each(|call| call.turn(run))?;
            queries.iter_mut().try_for_each(|query| query.turn(run))?;
        }
        Ok(())
    })?
}

/// A TCP connection.
struct Call {
    name: String,
    stream: TcpStream,
    heard: Instant,
    bytes_owed: usize,
}

impl Call {
    fn begin(name: String, to: SocketAddr) -> anyhow::Result<Self> {
        let stream =
            TcpStream::connect_timeout(&to, SILENCE_MAX).with_context(|| format!("{name} does not begin"))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self { name, stream, heard: Instant::now(), bytes_owed: 0 })
    }

    fn turn(&mut self, run: &Run) -> anyhow::Result<()> {
        let mut room = [0; 1_024];
        loop {
            match self.stream.read(&mut room) {
                Ok(0) => anyhow::bail!("{} was closed", self.name),
                Ok(length) => {
                    self.bytes_owed = self.bytes_owed.saturating_sub(length);
                    self.heard = Instant::now();
                    run.counts.echoes.fetch_add(length as u64 / 8, Ordering::Relaxed);
                }
                Err(error) if is_late(error.kind()) => break,
                Err(error) => return Err(error).with_context(|| format!("{} broke", self.name)),
            }
        }
        let silent = self.heard.elapsed();
        anyhow::ensure!(
            self.bytes_owed == 0 || silent < SILENCE_MAX,
            "{} has been silent for {silent:.1?}, with {} bytes on their way",
            self.name,
            self.bytes_owed
        );
        match self.stream.write(&[b'm'; 8]) {
            Ok(length) => self.bytes_owed += length,
            Err(error) if is_late(error.kind()) => {}
            Err(error) => return Err(error).with_context(|| format!("{} broke", self.name)),
        }
        Ok(())
    }
}

/// Datagrams, and who has not come back.
struct Query {
    name: String,
    socket: UdpSocket,
    next: u64,
    away: BTreeMap<u64, Instant>,
    last_lost: Option<u64>,
    lost_in_a_row: u64,
}

impl Query {
    fn begin(name: String, to: SocketAddr) -> anyhow::Result<Self> {
        let own = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(own)?;
        socket.set_nonblocking(true)?;
        socket.connect(to)?;
        Ok(Self { name, socket, next: 0, away: BTreeMap::new(), last_lost: None, lost_in_a_row: 0 })
    }

    fn turn(&mut self, run: &Run) -> anyhow::Result<()> {
        let mut room = [0; 8];
        loop {
            match self.socket.recv(&mut room) {
                Ok(_) => {
                    Counts::note(&run.counts.echoes);
                    self.away.remove(&u64::from_be_bytes(room));
                }
                Err(error) if is_late(error.kind()) => break,
                Err(error) => return Err(error).with_context(|| format!("{} broke", self.name)),
            }
        }
        while let Some((number, at)) = self.away.first_key_value().map(|(number, at)| (*number, *at)) {
            if at.elapsed() < LATE {
                break;
            }
            self.away.remove(&number);
            self.lose(run, number)?;
        }
        self.socket.send(&self.next.to_be_bytes()).with_context(|| format!("{} cannot send", self.name))?;
        self.away.insert(self.next, Instant::now());
        self.next += 1;
        Ok(())
    }

    fn lose(&mut self, run: &Run, number: u64) -> anyhow::Result<()> {
        Counts::note(&run.counts.lost);
        run.journal.note(format!("{}: datagram {number} was lost, sent {LATE:.0?} ago", self.name));
        let follows = self.last_lost.is_some_and(|last| last + 1 == number);
        self.lost_in_a_row = if follows { self.lost_in_a_row + 1 } else { 1 };
        self.last_lost = Some(number);
        anyhow::ensure!(
            self.lost_in_a_row < HOLE,
            "{}: {HOLE} datagrams in a row were lost, the first {LATE:.0?} ago",
            self.name
        );
        Ok(())
    }
}
