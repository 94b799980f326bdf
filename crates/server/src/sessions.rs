//! The TCP connections of this host that run over one of its cards: what ends when the card is bound. Packets in the middle of a
//! connection begin no flow, whatever the rules say.

use std::{
    fmt,
    fs::File,
    io::{self, BufRead as _, BufReader},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use nix::ifaddrs::getifaddrs;

/// Where the kernel lists the connections of each IP version.
const LISTS: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
/// Lines of a list that are read.
const LINES_MAX: usize = 65_536;
/// `TCP_ESTABLISHED`, as the lists have it.
const ESTABLISHED: &str = "01";
/// The port whose connections are named first: who locks himself out mostly does it here.
const SSH: u16 = 22;

/// Connections over an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sessions {
    interface: String,
    count: usize,
    /// One of them: this host's end, and the other.
    example: (SocketAddr, SocketAddr),
}

impl fmt::Display for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { interface, count, example: (own, other) } = self;
        let (noun, verb) = if *count == 1 { ("connection", "runs") } else { ("connections", "run") };
        write!(f, "{count} established TCP {noun} of this host {verb} over `{interface}`, from {other} to {own}")?;
        f.write_str(if *count == 1 { "" } else { " among them" })
    }
}

/// The connections that are established over an interface of this network namespace; `None` when there are none.
///
/// # Errors
/// The kernel's, when it does not list them.
pub(crate) fn over(interface: &str) -> io::Result<Option<Sessions>> {
    let own: Vec<IpAddr> =
        getifaddrs()?.filter(|one| one.interface_name == interface).filter_map(|one| address(&one)).collect();
    let mut found = Vec::new();
    for list in LISTS {
        let lines = match File::open(list) {
            Ok(file) => BufReader::new(file).lines(),
            // A kernel without the IP version.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for line in lines.take(LINES_MAX) {
            found.extend(established(&line?).filter(|(here, _)| own.contains(&here.ip())));
        }
    }
    let example = found.iter().find(|(here, _)| here.port() == SSH).or_else(|| found.first()).copied();
    Ok(example.map(|example| Sessions { interface: interface.to_owned(), count: found.len(), example }))
}

fn address(one: &nix::ifaddrs::InterfaceAddress) -> Option<IpAddr> {
    let found = one.address?;
    let v4 = found.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
    v4.or_else(|| found.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
}

/// Both ends of a line's connection, as packets have them: this host's first. `None` when it is not established.
fn established(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (here, there, state) = (words.next()?, words.next()?, words.next()?);
    (state == ESTABLISHED).then(|| Some((end(here)?, end(there)?))).flatten()
}

/// An end: words of 32 bits in the host's order, and a port.
fn end(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(words.concat()).ok()?))
        }
        _ => return None,
    };
    Some(SocketAddr::new(address.to_canonical(), u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn the_connections_of_a_card_are_those_with_its_addresses() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let _server = listener.accept().unwrap();
        let found = over("lo").unwrap().unwrap();
        assert!(found.count >= 2, "both ends are here: {found}");
        assert_eq!(over("no-such-card").unwrap(), None);
        let lists = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let ours = lists.lines().filter_map(established).filter(|(here, _)| here.port() == port);
        assert_eq!(ours.map(|(here, _)| here.to_string()).collect::<Vec<_>>(), [format!("127.0.0.1:{port}")]);
    }

    #[test]
    fn ends_are_read_as_packets_have_them() {
        if cfg!(target_endian = "little") {
            assert_eq!(end("0500000A:0016").unwrap().to_string(), "10.0.0.5:22");
            let mapped = "0000000000000000FFFF00000500000A:0016";
            assert_eq!(end(mapped).unwrap().to_string(), "10.0.0.5:22");
            assert_eq!(end("000000FD000000000000000011000000:01BB").unwrap().to_string(), "[fd00::11]:443");
        }
        for text in ["", "0500000A", "0500000A:x", "05:16", "zz00000A:0016"] {
            assert_eq!(end(text), None, "{text}");
        }
        let waiting = "   0: 0500000A:0016 07000000:C001 0A 00000000:00000000";
        assert_eq!(established(waiting), None);
        let sessions = Sessions {
            interface: "eth0".to_owned(),
            count: 3,
            example: ("10.0.0.5:22".parse().unwrap(), "203.0.113.7:5022".parse().unwrap()),
        };
        assert_eq!(
            sessions.to_string(),
            "3 established TCP connections of this host run over `eth0`, from 203.0.113.7:5022 to 10.0.0.5:22 among them"
        );
    }
}
