//! Services as a question names them: the header of one packet.

use std::str::FromStr;

use sekimori_core::{packet::Transport, rule::Protocol};

use super::WhyError;

/// Reads `tcp/443` and its kin, names in any case. A bare `icmp` is an echo request.
///
/// # Errors
/// Names the text and the forms there are.
pub fn parse_service(text: &str, source: u16) -> Result<Transport, WhyError> {
    let bad = || WhyError::BadService(text.to_owned());
    let lower = text.to_ascii_lowercase();
    let (name, parts) = match lower.split_once('/') {
        Some((name, parts)) => (name, parts.split('/').collect()),
        None => (lower.as_str(), Vec::new()),
    };
    let known = match Protocol::of_name(name) {
        Some(Protocol::Number(known)) => Some(known),
        Some(Protocol::Any) | None => number(name),
    };
    let protocol = known.ok_or_else(bad)?;
    Ok(match (protocol, parts.as_slice()) {
        (6, ports) => Transport::Tcp { source, destination: one_port(text, "tcp", ports)? },
        (17, ports) => Transport::Udp { source, destination: one_port(text, "udp", ports)? },
        (1, []) => Transport::Icmp { protocol, kind: 8, code: 0 },
        (58, []) => Transport::Icmp { protocol, kind: 128, code: 0 },
        (1 | 58, [kind, code @ ..]) if code.len() <= 1 => {
            let code = code.first().map_or(Some(0), |code| number(code)).ok_or_else(bad)?;
            Transport::Icmp { protocol, kind: number(kind).ok_or_else(bad)?, code }
        }
        (_, []) => Transport::Other { protocol },
        _ => return Err(bad()),
    })
}

/// The port of a service, or what is needed in its stead.
fn one_port(text: &str, protocol: &'static str, parts: &[&str]) -> Result<u16, WhyError> {
    let (bad, service) = (|| WhyError::BadService(text.to_owned()), text.to_owned());
    match parts {
        [] | [""] => Err(WhyError::NoPort { service, protocol }),
        [port] => match port.split_once('-') {
            None => number(port).ok_or_else(bad),
            Some((first, last)) => {
                let (first, last) = (number(first).ok_or_else(bad)?, number(last).ok_or_else(bad)?);
                Err(WhyError::ManyPorts { service, protocol, first, last })
            }
        },
        _ => Err(bad()),
    }
}

/// A number as people write it: digits only, no sign.
fn number<T: FromStr>(text: &str) -> Option<T> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_in_any_case_and_as_numbers() {
        let read = |text: &str| parse_service(text, 7).ok();
        for (written, same) in
            [("TCP/443", "tcp/443"), ("6/443", "tcp/443"), ("Udp/53", "17/53"), ("ICMPv6", "58"), ("GRE", "47")]
        {
            assert!(read(written).is_some(), "{written}");
            assert_eq!(read(written), read(same), "{written}");
        }
        assert_eq!(read("0"), Some(Transport::Other { protocol: 0 }));
        for text in ["all", "tcp/80-", "tcp/a-b", "tcp/80-90/1", "+6", "gre/1", "47/1", "1/2/3/4"] {
            assert_eq!(parse_service(text, 7), Err(WhyError::BadService(text.to_owned())));
        }
    }

    #[test]
    fn without_one_port_it_is_told_what_is_needed() {
        let error = |text: &str| parse_service(text, 7).unwrap_err().to_string();
        for (text, protocol) in [("tcp", "tcp"), ("6", "tcp"), ("TCP/", "tcp"), ("udp", "udp"), ("17", "udp")] {
            let expected = format!(
                "`{text}` is not a service yet: the question is about one packet, which has a port; write {protocol}/443 or another port"
            );
            assert_eq!(error(text), expected);
        }
        assert_eq!(
            error("tcp/80-90"),
            "`tcp/80-90` is not a service but a range of ports, and the question is about one packet; name one of them: tcp/80 or tcp/90"
        );
    }
}
