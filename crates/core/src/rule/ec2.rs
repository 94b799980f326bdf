//! How EC2 writes what a rule says: protocols and the two numbers beside them. Its API and the files that its tools print say it alike.

use super::{PortRange, Protocol, Service};

/// A protocol as EC2 writes it: four have names, `-1` is all, the others are numbers.
#[must_use]
pub fn protocol(protocol: Protocol) -> String {
    match protocol {
        Protocol::Any => "-1".to_owned(),
        Protocol::TCP => "tcp".to_owned(),
        Protocol::UDP => "udp".to_owned(),
        Protocol::ICMP => "icmp".to_owned(),
        Protocol::ICMPV6 => "icmpv6".to_owned(),
        Protocol::Number(number) => number.to_string(),
    }
}

/// A protocol as EC2 writes it in an entry of a network ACL: `-1` is all, and none has a name.
#[must_use]
pub fn protocol_number(protocol: Protocol) -> String {
    match protocol {
        Protocol::Any => "-1".to_owned(),
        Protocol::Number(number) => number.to_string(),
    }
}

/// A protocol as a client writes it, in any case.
#[must_use]
pub fn read_protocol(text: &str) -> Option<Protocol> {
    match text.to_ascii_lowercase().as_str() {
        "-1" => Some(Protocol::Any),
        "tcp" => Some(Protocol::TCP),
        "udp" => Some(Protocol::UDP),
        "icmp" => Some(Protocol::ICMP),
        "icmpv6" => Some(Protocol::ICMPV6),
        number => number.parse().ok().map(Protocol::Number),
    }
}

/// First and last port, or ICMP type and code; `None` where a rule has none.
#[must_use]
pub fn numbers(protocol: Protocol, service: &Service) -> Option<(i64, i64)> {
    match service {
        Service::Ports(ports) => Some((i64::from(ports.first()), i64::from(ports.last()))),
        Service::Icmp { kind, code } => Some((i64::from(*kind), code.map_or(-1, i64::from))),
        Service::Any if matches!(protocol, Protocol::ICMP | Protocol::ICMPV6) => Some((-1, -1)),
        // EC2 has no port lists.
        Service::Any | Service::PortList(_) => None,
    }
}

/// What two numbers that are told of a rule mean; `None` if they mean nothing. Without them, and where they are `-1`, it is
/// everything. Those of protocols without ports and types are no error and mean nothing.
#[must_use]
pub fn service(protocol: Protocol, first: Option<i64>, last: Option<i64>) -> Option<Service> {
    let first = first.filter(|first| *first >= 0);
    match (protocol, first) {
        (Protocol::TCP | Protocol::UDP, Some(first)) => {
            let (first, last) = (u16::try_from(first).ok()?, u16::try_from(last?).ok()?);
            PortRange::new(first, last).map(Service::Ports)
        }
        (Protocol::ICMP | Protocol::ICMPV6, Some(kind)) => {
            let code = last.filter(|code| *code >= 0).map(u8::try_from).transpose().ok()?;
            Some(Service::Icmp { kind: u8::try_from(kind).ok()?, code })
        }
        (Protocol::Any | Protocol::Number(_), _) => Some(Service::Any),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_named_protocols_are_their_names() {
        for (sent, shown) in
            [("6", "tcp"), ("TCP", "tcp"), ("17", "udp"), ("1", "icmp"), ("58", "icmpv6"), ("47", "47")]
        {
            assert_eq!(protocol(read_protocol(sent).unwrap()), shown);
        }
        for known in (0..=u8::MAX).map(Protocol::Number).chain([Protocol::Any]) {
            assert_eq!(read_protocol(&protocol(known)), Some(known));
            assert_eq!(read_protocol(&protocol_number(known)), Some(known));
        }
        for unknown in ["all", "esp", "256", "-2", ""] {
            assert_eq!(read_protocol(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn numbers_are_read_as_they_are_written() {
        let port = |first, last| Service::Ports(PortRange::new(first, last).unwrap());
        let icmp = |kind, code| Service::Icmp { kind, code };
        for (of, known) in [
            (Protocol::TCP, port(0, 65_535)),
            (Protocol::UDP, port(53, 53)),
            (Protocol::ICMP, icmp(8, None)),
            (Protocol::ICMPV6, icmp(128, Some(0))),
            (Protocol::ICMP, Service::Any),
            (Protocol::Any, Service::Any),
            (Protocol::GRE, Service::Any),
        ] {
            let told = numbers(of, &known);
            assert_eq!(service(of, told.map(|(first, _)| first), told.map(|(_, last)| last)), Some(known));
        }
        for (of, first, last) in [(Protocol::TCP, 80, 79), (Protocol::TCP, 1, 65_536), (Protocol::ICMP, 256, -1)] {
            assert_eq!(service(of, Some(first), Some(last)), None, "{of} {first} {last}");
        }
        assert_eq!(service(Protocol::TCP, Some(80), None), None);
    }
}
