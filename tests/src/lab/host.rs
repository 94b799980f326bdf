//! Places that packets start from and arrive at: the namespaces of instances and of what is outside a VPC.
//!
//! Sockets are opened on a thread that has entered the namespace and are then used from anywhere; none blocks.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    sync::Arc,
};

use nix::{
    errno::Errno,
    ifaddrs::getifaddrs,
    sys::socket::{
        AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, connect, sendto,
        setsockopt, socket, sockopt::RcvBufForce,
    },
};
use sekimori_agent::netlink::netns::{NetNs, within};
use sekimori_core::{address::Family, ids::EniId};

use super::{Lab, fail, must};

/// The addresses of every outside.
const OUTSIDE: [&str; 2] = ["198.51.100.10", "2001:db8:ffff::10"];
/// The only link of an outside.
const OUTSIDE_DEVICE: &str = "eth0";
/// Room for frames that are looked at later.
const FRAMES_BYTES: usize = 32 * 1024 * 1024;
/// The largest frame that is received.
pub const FRAME_BYTES_MAX: usize = 65_536 + 14;

/// A namespace that packets start from or arrive at.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its name in the lab.
    pub name: String,
    /// Its ENI, if it is an instance.
    pub eni: Option<EniId>,
    /// The Ethernet address of its link.
    pub mac: [u8; 6],
    device: String,
    addresses: Vec<IpAddr>,
    ns: Arc<NetNs>,
}

impl Lab {
    /// An instance, or one of its secondary ENIs (`web#1`), or `outside`, or `outside@VPC`.
    #[must_use]
    pub fn host(&self, name: &str) -> Host {
        let (first, vpc) = name.split_once('@').unwrap_or((name, "main"));
        if first == "outside" {
            let addresses = OUTSIDE.iter().map(|text| must("read an address", text.parse())).collect();
            let ns = namespace(&format!("{}.outside", self.vpc_id(vpc)));
            let (name, device) = (name.to_owned(), OUTSIDE_DEVICE.to_owned());
            return Host { name, eni: None, mac: [2, 0, 0, 0, 0, 0x10], device, addresses, ns };
        }
        let eni = self.eni(name);
        let (instance, _) = name.split_once('#').unwrap_or((name, ""));
        let (addresses, mac) = (eni.addresses.clone(), eni.mac.0);
        let (ns, device) = match self.workloads.get(name) {
            Some(workload) => (namespace(workload), "eth0".to_owned()),
            None => (namespace(self.instance_id(instance).as_str()), format!("eth{}", eni.device_index)),
        };
        Host { name: name.to_owned(), eni: Some(eni.id.clone()), mac, device, addresses, ns }
    }
}

/// Any link of any namespace, for frames.
#[must_use]
pub fn at(ns: &str, device: &str) -> Host {
    let (name, device) = (format!("{device} of {ns}"), device.to_owned());
    Host { name, eni: None, mac: [0; 6], device, addresses: Vec::new(), ns: namespace(ns) }
}

fn namespace(name: &str) -> Arc<NetNs> {
    let found = must(&format!("open the namespace {name}"), NetNs::open(name));
    Arc::new(found.unwrap_or_else(|| fail(&format!("no namespace {name}"))))
}

impl Host {
    /// Its first address of a family.
    #[must_use]
    pub fn address(&self, family: Family) -> IpAddr {
        let found = self.addresses.iter().find(|address| Family::of(**address) == family);
        *found.unwrap_or_else(|| fail(&format!("`{}` has no {family:?} address", self.name)))
    }

    /// Runs something inside.
    pub fn within<T: Send>(&self, f: impl FnOnce() -> io::Result<T> + Send) -> T {
        must(&format!("work inside `{}`", self.name), within(self.ns.as_fd(), f).flatten())
    }

    /// A TCP server.
    #[must_use]
    pub fn listen(&self, at: SocketAddr) -> TcpListener {
        self.within(|| {
            let listener = TcpListener::bind(at)?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        })
    }

    /// A TCP client on its way to a server.
    #[must_use]
    pub fn call(&self, from: SocketAddr, to: SocketAddr) -> TcpStream {
        self.within(|| {
            let fd = open(Family::of(to.ip()), SockType::Stream, None)?;
            bind(fd.as_raw_fd(), &SockaddrStorage::from(from))?;
            match connect(fd.as_raw_fd(), &SockaddrStorage::from(to)) {
                Ok(()) | Err(Errno::EINPROGRESS) => Ok(TcpStream::from(fd)),
                Err(error) => Err(error.into()),
            }
        })
    }

    /// A UDP socket.
    #[must_use]
    pub fn udp(&self, at: SocketAddr) -> UdpSocket {
        self.within(|| {
            let socket = UdpSocket::bind(at)?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        })
    }

    /// A socket for one IP protocol, between two addresses.
    #[must_use]
    pub fn raw(&self, from: IpAddr, to: IpAddr, protocol: SockProtocol) -> UdpSocket {
        self.within(|| {
            let fd = open(Family::of(from), SockType::Raw, Some(protocol))?;
            bind(fd.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(from, 0)))?;
            connect(fd.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(to, 0)))?;
            Ok(UdpSocket::from(fd))
        })
    }

    /// The link itself: any frame can be sent, and every frame that passes is seen.
    #[must_use]
    pub fn link(&self) -> Link {
        self.within(|| {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let fd = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)?;
            setsockopt(&fd, RcvBufForce, &FRAMES_BYTES)?;
            let mut links = getifaddrs()?.filter(|one| one.interface_name == self.device);
            let address = links.find_map(|one| one.address?.as_link_addr().copied());
            let address = address.ok_or_else(|| io::Error::other(format!("there is no {}", self.device)))?;
            Ok(Link { socket: UdpSocket::from(fd), address })
        })
    }
}

fn open(family: Family, kind: SockType, protocol: Option<SockProtocol>) -> io::Result<OwnedFd> {
    let family = match family {
        Family::V4 => AddressFamily::Inet,
        Family::V6 => AddressFamily::Inet6,
    };
    Ok(socket(family, kind, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, protocol)?)
}

/// A link of a host.
#[derive(Debug)]
pub struct Link {
    socket: UdpSocket,
    address: LinkAddr,
}

impl Link {
    /// Sends a frame as it is, where a program on this very link may drop it: the kernel tells the sender then.
    pub fn try_send(&self, frame: &[u8]) {
        match self.send(frame) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => {}
            Err(error) => fail(&format!("cannot send a frame: {error}")),
        }
    }

    /// Sends a frame as it is.
    ///
    /// # Errors
    /// The kernel's; a full queue is one.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        sendto(self.socket.as_raw_fd(), frame, &self.address, MsgFlags::empty())?;
        Ok(())
    }

    /// The next frame that passed, in either direction; `None` when there is none yet.
    pub fn receive<'a>(&self, room: &'a mut [u8]) -> Option<&'a [u8]> {
        let length = self.socket.recv(room).ok()?;
        room.get(..length)
    }
}
