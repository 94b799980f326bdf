//! New flows: each passes or not as the model says, if the model says the same before and after.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    os::fd::{AsFd, AsRawFd},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use nix::{
    errno::Errno,
    sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, socket},
};
use sekimori_agent::netlink::netns::within;
use sekimori_core::ids::IdSource;

use super::{
    Counts, Run,
    estate::Place,
    model::{Fate, Path, State, Transport},
    services::is_late,
};

/// Attempts of one place at a time.
const ATTEMPTS_MAX: usize = 16;
/// Between two looks at them; one begins each time.
const LOOK: Duration = Duration::from_millis(10);
/// How long an allowed flow may take: a lost packet is sent again after 1 and after 3 seconds, on a machine that does much else.
pub const ALLOWED_PATIENCE: Duration = Duration::from_secs(10);
/// How long nothing must come where nothing may.
const DENIED_PATIENCE: Duration = Duration::from_millis(300);
/// After so long a datagram is sent again.
const AGAIN: Duration = Duration::from_millis(500);

/// Where flows come from, each from a port of its own: EC2 lets a flow go on when its rule is gone, so one from the port of an older one would
/// pass. All are used before one is used again, which is longer than a flow lives; the kernel chooses others for streams.
const PORTS: std::ops::Range<u16> = 10_000..32_768;

/// Begins flows from a place until the end.
///
/// # Errors
/// The kernel's.
pub fn probe(run: &Run, from: Place) -> anyhow::Result<()> {
    let mut chances = run.plan.chances(&from.to_string());
    within(run.estate.host(from)?.ns.as_fd(), || {
        let mut attempts: Vec<Attempt> = Vec::new();
        let mut ports = PORTS.cycle();
        while run.halt.pause(LOOK).is_ok() {
            if attempts.len() < ATTEMPTS_MAX {
                let port = ports.next().context("there are no ports")?;
                attempts.extend(Attempt::begin(run, from, port, &mut chances)?);
            }
            attempts.retain_mut(|attempt| match attempt.answer() {
                None => true,
                Some(answer) => {
                    attempt.judge(run, answer);
                    false
                }
            });
        }
        Ok(())
    })?
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Passed,
    Refused,
    Silence,
}

enum Socket {
    Tcp(TcpStream),
    Udp(UdpSocket),
}

/// A flow that begins.
struct Attempt {
    path: Path,
    to: SocketAddr,
    before: State,
    began: Instant,
    sent: Instant,
    socket: Socket,
}

impl Attempt {
    fn begin(run: &Run, from: Place, port: u16, chances: &mut IdSource) -> anyhow::Result<Option<Self>> {
        let Some((path, before)) = run.model.any(from, chances) else { return Ok(None) };
        let to = run.estate.host(path.to)?.at((chances.next_u64() % 2) as usize, path.port);
        let socket = match path.transport {
            Transport::Tcp => Socket::Tcp(call(port, to)?),
            Transport::Udp => Socket::Udp(ask(port, to)?),
        };
        let now = Instant::now();
        Ok(Some(Self { path, to, before, began: now, sent: now, socket }))
    }

    /// How it ended, if it has.
    fn answer(&mut self) -> Option<Answer> {
        let is_allowed = self.before.fate == Fate::Passes;
        let heard = match &self.socket {
            Socket::Tcp(stream) => connected(stream),
            Socket::Udp(socket) => heard(socket),
        };
        if heard.is_some() {
            return heard;
        }
        if let Socket::Udp(socket) = &self.socket
            && is_allowed
            && self.sent.elapsed() > AGAIN
        {
            // What is wrong with the socket is heard next time.
            let _ = socket.send(b"?");
            self.sent = Instant::now();
        }
        let patience = if is_allowed { ALLOWED_PATIENCE } else { DENIED_PATIENCE };
        (self.began.elapsed() > patience).then_some(Answer::Silence)
    }

    fn judge(&self, run: &Run, answer: Answer) {
        let Self { path, to, before, began, .. } = self;
        if run.model.look(path) != Some(*before) {
            return Counts::note(&run.counts.unsettled);
        }
        match (before.fate, answer) {
            (Fate::Passes, Answer::Passed) => Counts::note(&run.counts.passed),
            (Fate::Dropped, Answer::Silence) => Counts::note(&run.counts.dropped),
            (fate, answer) => {
                let after = began.elapsed().as_millis();
                run.find(format!("{path} at {to} is {fate:?} and ended with {answer:?}, begun {after} ms before"));
            }
        }
    }
}

/// A port of this host, for a flow to somebody.
fn own(port: u16, to: SocketAddr) -> SocketAddr {
    let any = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    SocketAddr::new(any, port)
}

fn call(port: u16, to: SocketAddr) -> anyhow::Result<TcpStream> {
    let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)?;
    bind(fd.as_raw_fd(), &SockaddrStorage::from(own(port, to)))?;
    match connect(fd.as_raw_fd(), &SockaddrStorage::from(to)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(TcpStream::from(fd)),
        Err(error) => Err(error.into()),
    }
}

fn ask(port: u16, to: SocketAddr) -> anyhow::Result<UdpSocket> {
    let socket = UdpSocket::bind(own(port, to))?;
    socket.set_nonblocking(true)?;
    socket.connect(to)?;
    socket.send(b"?")?;
    Ok(socket)
}

fn connected(stream: &TcpStream) -> Option<Answer> {
    if stream.take_error().ok().flatten().is_some() {
        return Some(Answer::Refused);
    }
    stream.peer_addr().is_ok().then_some(Answer::Passed)
}

fn heard(socket: &UdpSocket) -> Option<Answer> {
    match socket.recv(&mut [0; 8]) {
        Ok(_) => Some(Answer::Passed),
        Err(error) if is_late(error.kind()) || error.kind() == ErrorKind::Interrupted => None,
        Err(_) => Some(Answer::Refused),
    }
}
