//! The sockets of each kind of probe.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
};

use nix::sys::socket::SockProtocol;

use super::{Answer, Attempt, Host, frames};
use crate::lab::{
    host::{FRAME_BYTES_MAX, Link},
    must,
};

/// From, to.
type Hosts<'a> = (&'a Host, &'a Host);
/// From, to.
type Ends = (SocketAddr, SocketAddr);

/// A TCP connection with a byte each way.
pub(super) struct Handshake {
    listener: Option<TcpListener>,
    client: TcpStream,
    server: Option<TcpStream>,
    has_asked: bool,
}

impl Handshake {
    pub(super) fn start((from, to): Hosts<'_>, ends: Ends, has_server: bool) -> Self {
        let listener = has_server.then(|| to.listen(ends.1));
        Self { listener, client: from.call(ends.0, ends.1), server: None, has_asked: false }
    }
}

impl Attempt for Handshake {
    fn poll(&mut self) -> Option<Answer> {
        if self.client.take_error().ok()?.is_some() {
            return Some(Answer::Refused);
        }
        if !self.has_asked && self.client.peer_addr().is_ok() {
            self.has_asked = self.client.write_all(b"?").is_ok();
        }
        if let (None, Some(listener)) = (&self.server, &self.listener) {
            self.server = listener.accept().ok().map(|(stream, _)| stream);
            self.server.as_ref().map(|server| server.set_nonblocking(true));
        }
        let mut byte = [0];
        if let Some(server) = &mut self.server
            && server.read_exact(&mut byte).is_ok()
        {
            server.write_all(b"!").ok()?;
        }
        match self.client.read(&mut byte) {
            Ok(1) => Some(Answer::Passes),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Some(Answer::Refused),
            Ok(_) | Err(_) => None,
        }
    }
}

/// A UDP datagram that comes back as it was.
pub(super) struct Datagram {
    server: Option<UdpSocket>,
    client: UdpSocket,
    bytes: usize,
}

impl Datagram {
    pub(super) fn start((from, to): Hosts<'_>, ends: Ends, has_server: bool, bytes: usize) -> Self {
        let server = has_server.then(|| to.udp(ends.1));
        let client = from.udp(ends.0);
        must("connect a UDP socket", client.connect(ends.1));
        must("send a datagram", client.send(&vec![0x5a; bytes]));
        Self { server, client, bytes }
    }
}

impl Attempt for Datagram {
    fn poll(&mut self) -> Option<Answer> {
        let mut room = vec![0; self.bytes + 1];
        if let Some(server) = &self.server
            && let Ok((length, from)) = server.recv_from(&mut room)
        {
            server.send_to(room.get(..length)?, from).ok()?;
        }
        answer_of(self.client.recv(&mut room), |length| length == self.bytes)
    }
}

fn answer_of(received: std::io::Result<usize>, is_it: impl FnOnce(usize) -> bool) -> Option<Answer> {
    match received {
        Ok(length) => is_it(length).then_some(Answer::Passes),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(_) => Some(Answer::Refused),
    }
}

/// An echo request, which the kernel at the other end answers.
pub(super) struct Echo {
    client: UdpSocket,
    id: u16,
    is_v4: bool,
}

impl Echo {
    pub(super) fn start((from, _): Hosts<'_>, ends: Ends) -> Self {
        let is_v4 = ends.0.is_ipv4();
        let protocol = if is_v4 { SockProtocol::Icmp } else { SockProtocol::IcmpV6 };
        let client = from.raw(ends.0.ip(), ends.1.ip(), protocol);
        let id = ends.0.port();
        must("send an echo request", client.send(&frames::echo_request(is_v4, id, 1)));
        Self { client, id, is_v4 }
    }
}

impl Attempt for Echo {
    fn poll(&mut self) -> Option<Answer> {
        let mut room = [0; 256];
        loop {
            let length = self.client.recv(&mut room).ok()?;
            if frames::echo_reply(self.is_v4, room.get(..length)?).is_some_and(|(id, _)| id == self.id) {
                return Some(Answer::Passes);
            }
        }
    }
}

/// A packet of a protocol without ports for rules, answered by the other end's socket.
pub(super) struct Sctp {
    server: UdpSocket,
    client: UdpSocket,
    is_v4: bool,
}

impl Sctp {
    pub(super) fn start((from, to): Hosts<'_>, ends: Ends) -> Self {
        let server = to.raw(ends.1.ip(), ends.0.ip(), SockProtocol::Sctp);
        let client = from.raw(ends.0.ip(), ends.1.ip(), SockProtocol::Sctp);
        must("send a packet", client.send(b"a question"));
        Self { server, client, is_v4: ends.0.is_ipv4() }
    }

    /// What a raw socket receives has its IP header in IPv4.
    fn receive(&self, socket: &UdpSocket) -> Option<Vec<u8>> {
        let mut room = [0; 256];
        let length = socket.recv(&mut room).ok()?;
        Some(room.get(if self.is_v4 { 20 } else { 0 }..length)?.to_vec())
    }
}

impl Attempt for Sctp {
    fn poll(&mut self) -> Option<Answer> {
        if self.receive(&self.server).is_some_and(|body| body == b"a question") {
            self.server.send(b"an answer").ok()?;
        }
        let answer = self.receive(&self.client)?;
        (answer == b"an answer").then_some(Answer::Passes)
    }
}

/// A frame made by hand, looked for at the other end's link.
pub(super) struct Arrival {
    link: Link,
    room: Vec<u8>,
}

impl Arrival {
    pub(super) fn start((from, to): Hosts<'_>, frame: &[u8]) -> Self {
        let link = to.link();
        from.link().try_send(frame);
        Self { link, room: vec![0; FRAME_BYTES_MAX] }
    }
}

impl Attempt for Arrival {
    fn poll(&mut self) -> Option<Answer> {
        while let Some(frame) = self.link.receive(&mut self.room) {
            if frames::is_marked(frame) {
                return Some(Answer::Passes);
            }
        }
        None
    }

    fn is_answered(&self) -> bool {
        false
    }
}
