//! Packets between two namespaces: how many the core can move, and what each costs it.
//!
//! Client and server are processes on one core. The network's own work is done on the same core, in the name of
//! whoever sends, so a busy core is all that there is to measure. Rates are per second of the core's own time
//! for this work: what neighbours took away is left out, else they would be measured too.

use std::{
    io::{ErrorKind, Read, Write},
    net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::Command,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::ValueEnum;
use nix::{
    sys::{
        socket::{setsockopt, sockopt::ReceiveTimeout},
        time::TimeVal,
    },
    unistd::Pid,
};
use sekimori_agent::netlink::netns::within;
use serde::Serialize;

use crate::{
    core::{Core, Spent},
    lab::Way,
    world::{FILLER_PORT, OPEN_PORT},
};

/// Bytes of a request, an answer or a datagram.
const MESSAGE_BYTES: usize = 64;
/// Datagrams between two looks at what has arrived.
const BATCH: usize = 64;
/// The server ends when nobody asks for so long.
const PATIENCE_S: i64 = 10;
/// Bytes of one write of many.
const CHUNK_BYTES: usize = 128 * 1024;
/// Bytes of a MiB.
const MIB: f64 = 1_048_576.0;
/// The first byte of a request that is followed by as many bytes as the client likes.
const BULK: u8 = b'b';
/// The first byte of the last request.
const LAST: u8 = b'l';
/// Ports that are scanned. They lie among those that rules open to others.
const SCANNED_PORTS: u16 = 512;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// TCP: connect, one request, one answer, close.
    Connections,
    /// TCP: one request and one answer on a connection that stays.
    Transactions,
    /// UDP, one way: datagrams that arrive.
    Datagrams,
    /// UDP to ports that are closed to the client.
    Denied,
    /// TCP over IPv4, one way: MiB that arrive.
    BulkV4,
    /// The same over IPv6.
    BulkV6,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Connections, Self::Transactions, Self::Datagrams, Self::Denied, Self::BulkV4, Self::BulkV6];

    /// Whether it is bytes on one connection, which no number of rules changes.
    #[must_use]
    pub fn is_bulk(self) -> bool {
        matches!(self, Self::BulkV4 | Self::BulkV6)
    }

    /// What it is.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connections => "TCP connect/request/close",
            Self::Transactions => "TCP request/response",
            Self::Datagrams => "UDP one way",
            Self::Denied => "denied scan",
            Self::BulkV4 => "bulk TCP over IPv4",
            Self::BulkV6 => "bulk TCP over IPv6",
        }
    }
}

/// How much was done in what time.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Connections, transactions, packets or MiB.
    pub units: f64,
    /// The time.
    pub spent: Spent,
}

impl Work {
    /// Units in a second of the core.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.units / self.spent.cpu_ns * 1e9
    }

    /// Microseconds of the core for a unit.
    #[must_use]
    pub fn cpu_us(&self) -> f64 {
        self.spent.cpu_ns / self.units / 1e3
    }
}

/// Measures one thing on one way for so long.
///
/// # Errors
/// When packets that should pass do not, and the kernel's.
pub fn measure(core: &Core, way: &Way, metric: Metric, duration: Duration) -> anyhow::Result<Work> {
    let slice = Slice { core, way, duration, is_v6: metric == Metric::BulkV6 };
    match metric {
        Metric::Connections => slice.with_server(|server, pid| slice.connections(server, pid)),
        Metric::Transactions => slice.with_server(|server, pid| slice.transactions(server, pid)),
        Metric::Datagrams => slice.datagrams(),
        Metric::Denied => slice.denied(),
        Metric::BulkV4 | Metric::BulkV6 => slice.with_server(|server, pid| slice.bulk(server, pid)),
    }
}

struct Slice<'a> {
    core: &'a Core,
    way: &'a Way,
    duration: Duration,
    is_v6: bool,
}

impl Slice<'_> {
    fn server(&self) -> SocketAddr {
        let mut addresses = self.way.pair.server.addresses.iter().copied();
        let address = addresses.find(|address| address.is_ipv6() == self.is_v6);
        SocketAddr::new(address.unwrap_or(IpAddr::from([127, 0, 0, 1])), OPEN_PORT)
    }

    /// Runs a client while a server, in a process of its own, answers.
    fn with_server(
        &self,
        client: impl FnOnce(SocketAddr, Pid) -> anyhow::Result<Work> + Send,
    ) -> anyhow::Result<Work> {
        let address = self.server();
        let listener = within(self.way.server.as_fd(), || TcpListener::bind(address))??;
        setsockopt(&listener, ReceiveTimeout, &TimeVal::new(PATIENCE_S, 0))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", "--core", &self.core.number.to_string()]).stdin(OwnedFd::from(listener));
        // Ctrl-C is for us; the server ends when nobody asks.
        let mut server = command.process_group(0).spawn().context("cannot start the server")?;
        let pid = Pid::from_raw(server.id().cast_signed());
        let work = within(self.way.client.as_fd(), || {
            self.core.pin()?;
            let work = client(address, pid)?;
            ask_last(address).map(|()| work)
        });
        let work = work.map_err(anyhow::Error::from).flatten();
        if work.is_err() {
            server.kill()?;
        }
        let status = server.wait()?;
        let work = work?;
        anyhow::ensure!(status.success(), "the server ended with {status}");
        Ok(work)
    }

    /// Repeats a unit of work, first for a moment that does not count.
    fn repeat(&self, server: Option<Pid>, mut unit: impl FnMut() -> anyhow::Result<f64>) -> anyhow::Result<Work> {
        let warm_until = Instant::now() + self.duration / 10;
        while Instant::now() < warm_until {
            unit()?;
        }
        let started = self.core.start(server)?;
        let until = Instant::now() + self.duration;
        let mut units = 0.0;
        while Instant::now() < until {
            units += unit()?;
        }
        anyhow::ensure!(units > 0.0, "nothing arrived");
        Ok(Work { units, spent: self.core.spent(&started)? })
    }

    fn connections(&self, server: SocketAddr, pid: Pid) -> anyhow::Result<Work> {
        let mut answer = [0; MESSAGE_BYTES];
        self.repeat(Some(pid), || {
            let mut stream = TcpStream::connect(server).context("no connection")?;
            stream.write_all(&[0; MESSAGE_BYTES])?;
            stream.read_exact(&mut answer)?;
            let rest = stream.read(&mut answer)?;
            anyhow::ensure!(rest == 0, "the server says too much");
            Ok(1.0)
        })
    }

    fn transactions(&self, server: SocketAddr, pid: Pid) -> anyhow::Result<Work> {
        let mut stream = TcpStream::connect(server).context("no connection")?;
        stream.set_nodelay(true)?;
        let mut request = [0; MESSAGE_BYTES];
        request[0] = MORE;
        self.repeat(Some(pid), || {
            stream.write_all(&request)?;
            stream.read_exact(&mut [0; MESSAGE_BYTES])?;
            Ok(1.0)
        })
    }

    /// What is on its way when the time is over arrives after it; it is as much with every firewall.
    fn bulk(&self, server: SocketAddr, pid: Pid) -> anyhow::Result<Work> {
        let mut stream = TcpStream::connect(server).context("no connection")?;
        let mut request = [0; MESSAGE_BYTES];
        request[0] = BULK;
        stream.write_all(&request)?;
        let chunk = vec![0; CHUNK_BYTES];
        let work = self.repeat(Some(pid), || {
            stream.write_all(&chunk)?;
            Ok(CHUNK_BYTES as f64 / MIB)
        })?;
        stream.shutdown(Shutdown::Write)?;
        let rest = stream.read(&mut request)?;
        anyhow::ensure!(rest == 0, "the server says too much");
        Ok(work)
    }

    /// One thread sends and receives in turn: two would measure how the scheduler divides the core between them.
    fn datagrams(&self) -> anyhow::Result<Work> {
        let address = self.server();
        let receiver = within(self.way.server.as_fd(), || UdpSocket::bind(address))??;
        receiver.set_nonblocking(true)?;
        within(self.way.client.as_fd(), || {
            self.core.pin()?;
            let sender = UdpSocket::bind(("0.0.0.0", 0))?;
            sender.connect(address)?;
            self.repeat(None, || {
                for _ in 0..BATCH {
                    sender.send(&[0; MESSAGE_BYTES])?;
                }
                drain(&receiver)
            })
        })?
    }

    fn denied(&self) -> anyhow::Result<Work> {
        let server = self.server();
        within(self.way.client.as_fd(), || {
            self.core.pin()?;
            let sender = UdpSocket::bind(("0.0.0.0", 0))?;
            let mut port = 0;
            self.repeat(None, || {
                for _ in 0..BATCH {
                    port = (port + 1) % SCANNED_PORTS;
                    let closed = SocketAddr::new(server.ip(), FILLER_PORT + port);
                    sender.send_to(&[0; MESSAGE_BYTES], closed)?;
                }
                Ok(BATCH as f64)
            })
        })?
    }
}

/// The first byte of a request that is not the last of its connection.
const MORE: u8 = b'm';

fn drain(receiver: &UdpSocket) -> anyhow::Result<f64> {
    let mut arrived = 0.0;
    loop {
        match receiver.recv(&mut [0; MESSAGE_BYTES]) {
            Ok(_) => arrived += 1.0,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(arrived),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The server's process: answers one connection after the other on the socket that is its standard input, until
/// the last request.
///
/// # Errors
/// When nobody asks, and the kernel's.
pub fn serve(core: &Core) -> anyhow::Result<()> {
    core.pin()?;
    let listener = TcpListener::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let mut request = [0; MESSAGE_BYTES];
    loop {
        let (mut stream, _) = listener.accept().context("nobody asked")?;
        stream.set_nodelay(true)?;
        while stream.read_exact(&mut request).is_ok() {
            if request[0] != BULK {
                stream.write_all(&[0; MESSAGE_BYTES])?;
            }
            if request[0] == LAST {
                return Ok(());
            }
            if request[0] == BULK {
                let mut room = vec![0; CHUNK_BYTES];
                while stream.read(&mut room)? > 0 {}
                break;
            }
            if request[0] != MORE {
                break;
            }
        }
    }
}

fn ask_last(server: SocketAddr) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(server)?;
    stream.write_all(&[LAST; MESSAGE_BYTES])?;
    stream.read_exact(&mut [0; MESSAGE_BYTES])?;
    Ok(())
}
