//! A flow that never rests: numbered messages at a steady pace, each of which must come back.

use std::{
    collections::BTreeSet,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use nix::sys::socket::SockProtocol;
use sekimori_core::address::Family;

use super::{Lab, fail, frames, must, pause};

/// The time between two messages.
const PACE: Duration = Duration::from_millis(2);
/// How long the last answers may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// What flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Datagrams to a port of the other host.
    Udp(u16),
    /// Echo requests, which the other host's kernel answers.
    Ping,
}

/// A running stream.
#[derive(Debug)]
pub struct Running {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    worker: JoinHandle<Result>,
}

/// What became of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Result {
    /// How many messages were sent.
    pub sent: u64,
    /// The numbers of those that never came back.
    pub lost: BTreeSet<u64>,
}

impl Lab {
    /// Starts a stream and waits for its first answer, so that its flow is known.
    pub fn stream(&mut self, from: &str, to: &str, family: Family, stream: Stream) -> Running {
        let line = Line::open(self, from, to, family, stream);
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (done, count) = (Arc::clone(&stop), Arc::clone(&answered));
        let worker = std::thread::spawn(move || run(&line, &done, &count));
        let until = Instant::now() + PATIENCE;
        while answered.load(Ordering::Relaxed) == 0 {
            if Instant::now() > until {
                fail(&format!("{stream:?} from `{from}` to `{to}` has no answer"));
            }
            pause(PACE);
        }
        Running { stop, answered, worker }
    }
}

impl Running {
    /// How many answers have come.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Stops it, and waits for the last answers.
    #[must_use]
    pub fn stop(self) -> Result {
        self.stop.store(true, Ordering::Relaxed);
        self.worker.join().unwrap_or_else(|_| fail("a stream has broken"))
    }
}

/// The sockets of a stream.
struct Line {
    client: UdpSocket,
    server: Option<UdpSocket>,
    is_v4: bool,
    id: u16,
}

impl Line {
    fn open(lab: &mut Lab, from: &str, to: &str, family: Family, stream: Stream) -> Self {
        let (from, to, id) = (lab.host(from), lab.host(to), lab.fresh_port());
        let (own, other) = (from.address(family), to.address(family));
        let is_v4 = family == Family::V4;
        match stream {
            Stream::Ping => {
                let protocol = if is_v4 { SockProtocol::Icmp } else { SockProtocol::IcmpV6 };
                Self { client: from.raw(own, other, protocol), server: None, is_v4, id }
            }
            Stream::Udp(port) => {
                let at = SocketAddr::new(other, port);
                let server = Some(to.udp(at));
                let client = from.udp(SocketAddr::new(own, id));
                must("connect a UDP socket", client.connect(at));
                Self { client, server, is_v4, id }
            }
        }
    }

    fn send(&self, number: u64) {
        let message = match self.server {
            Some(_) => number.to_be_bytes().to_vec(),
            None => frames::echo_request(self.is_v4, self.id, number as u16),
        };
        must("send a message", self.client.send(&message));
    }

    fn serve(&self) {
        let mut room = [0; 64];
        while let Some((length, from)) = self.server.as_ref().and_then(|server| server.recv_from(&mut room).ok()) {
            let Some(server) = &self.server else { return };
            must("answer a message", server.send_to(&room[..length], from));
        }
    }

    /// The number of the next answer. Echo requests have 16 bits for it: fewer are sent in any test.
    fn receive(&self) -> Option<u64> {
        let mut room = [0; 256];
        loop {
            let length = self.client.recv(&mut room).ok()?;
            let bytes = room.get(..length)?;
            let number = match self.server {
                Some(_) => bytes.try_into().ok().map(u64::from_be_bytes),
                None => {
                    let reply = frames::echo_reply(self.is_v4, bytes).filter(|(id, _)| *id == self.id);
                    reply.map(|(_, number)| u64::from(number))
                }
            };
            if number.is_some() {
                return number;
            }
        }
    }
}

fn run(line: &Line, stop: &AtomicBool, answered: &AtomicU64) -> Result {
    let mut result = Result::default();
    while !stop.load(Ordering::Relaxed) && result.sent < u64::from(u16::MAX) {
        line.send(result.sent);
        result.lost.insert(result.sent);
        result.sent += 1;
        receive(line, &mut result, answered);
        pause(PACE);
    }
    let until = Instant::now() + PATIENCE;
    while !result.lost.is_empty() && Instant::now() < until {
        receive(line, &mut result, answered);
        pause(PACE);
    }
    result
}

fn receive(line: &Line, result: &mut Result, answered: &AtomicU64) {
    line.serve();
    while let Some(number) = line.receive() {
        result.lost.remove(&number);
        answered.fetch_add(1, Ordering::Relaxed);
    }
}
