//! What is asked: every port of a place answers, and says back what it is told. Whether a packet gets there is the firewall's matter.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Ipv6Addr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsFd,
    sync::mpsc::Sender,
    thread::{self, Scope},
    time::Duration,
};

use nix::sys::{
    socket::{setsockopt, sockopt::ReceiveTimeout},
    time::TimeVal,
};
use sekimori_agent::netlink::netns::within;

use super::{
    Run,
    estate::Place,
    model::{BY_ALLOW, BY_DENY, BY_GROUP, BY_PERMISSION, FLOODED, NEVER, OPEN_TCP, OPEN_UDP, Transport},
};

/// How long a service waits before it looks whether it is over.
const TURN: Duration = Duration::from_millis(200);
/// Bytes of a message, at most.
const MESSAGE_BYTES_MAX: usize = 64;

/// Serves until the end. `ready` is dropped when every port listens.
///
/// # Errors
/// The kernel's.
pub fn serve(run: &Run, place: Place, ready: Sender<()>) -> anyhow::Result<()> {
    within(run.estate.host(place)?.ns.as_fd(), || {
        thread::scope(|scope| {
            let ports = [OPEN_TCP, OPEN_UDP, FLOODED].into_iter().chain(BY_ALLOW).chain(BY_DENY).chain(BY_GROUP);
            let begun =
                ports.chain(BY_PERMISSION).chain(NEVER.take(2)).try_for_each(|port| match Transport::of(port) {
                    Transport::Tcp => listen(run, port, scope),
                    Transport::Udp => receive(run, port, scope),
                });
            drop(ready);
            begun
        })
    })?
}

fn listen<'scope>(run: &'scope Run, port: u16, scope: &'scope Scope<'scope, '_>) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))?;
    setsockopt(&listener, ReceiveTimeout, &TimeVal::new(0, TURN.as_micros() as i64))?;
    scope.spawn(move || {
        while run.halt.check().is_ok() {
            if let Ok((stream, _)) = listener.accept() {
                scope.spawn(move || converse(run, stream));
            }
        }
    });
    Ok(())
}

/// Says back what it is told until the other end has had enough.
fn converse(run: &Run, mut stream: TcpStream) {
    let mut room = [0; MESSAGE_BYTES_MAX];
    if stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(TURN))).is_err() {
        return;
    }
    while run.halt.check().is_ok() {
        match stream.read(&mut room) {
            Ok(0) => return,
            Ok(length) => {
                if stream.write_all(room.get(..length).unwrap_or_default()).is_err() {
                    return;
                }
            }
            Err(error) if is_late(error.kind()) => {}
            Err(_) => return,
        }
    }
}

fn receive<'scope>(run: &'scope Run, port: u16, scope: &'scope Scope<'scope, '_>) -> anyhow::Result<()> {
    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port))?;
    socket.set_read_timeout(Some(TURN))?;
    scope.spawn(move || {
        let mut room = [0; MESSAGE_BYTES_MAX];
        while run.halt.check().is_ok() {
            if let Ok((length, from)) = socket.recv_from(&mut room) {
                // Whoever asked may be gone.
                let _ = socket.send_to(room.get(..length).unwrap_or_default(), from);
            }
        }
    });
    Ok(())
}

/// Whether nothing has come yet.
pub(super) fn is_late(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
