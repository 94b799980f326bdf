//! Probes as text: `a -> b tcp/443`, sent and answered by real sockets, or a frame made by hand.
//!
//! ```text
//! FROM -> TO WHAT [v4|v6] [OPTION VALUE]...
//! ```
//! WHAT is `tcp/PORT`, `udp/PORT`, `ping` or `sctp`, which are answered by whoever they arrive at; or a frame that
//! only has to arrive: `syn/PORT`, `ack/PORT` (a segment of no connection), `datagram/PORT`, `fragment/PROTOCOL`
//! (a later fragment alone), `unreachable/PORT` (an ICMP error that quotes a datagram of TO from that port),
//! `protocol/NUMBER`. Options: `server none`, `size BYTES`, `sport PORT`, `src ADDRESS` and `mac ADDRESS` (frames),
//! `to ADDRESS`. Without a family both are tried, and must agree.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use anyhow::{Context as _, bail};
use expect_test::Expect;
use sekimori_core::address::{Family, Mac};

use super::{
    Lab,
    frames::{self, Frame},
    host::Host,
    must,
    observe::{Answer, Attempt, Finding},
};

mod attempts;

use attempts::{Arrival, Datagram, Echo, Handshake, Sctp};

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Tcp(u16),
    Udp(u16),
    Ping,
    Sctp,
    Frame(Frame),
}

/// One probe.
#[derive(Clone, Debug)]
pub struct Probe {
    from: String,
    to: String,
    what: What,
    family: Option<Family>,
    has_server: bool,
    bytes: usize,
    source_port: Option<u16>,
    source: Option<IpAddr>,
    mac: Option<Mac>,
    destination: Option<IpAddr>,
}

impl FromStr for Probe {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let mut words = text.split_whitespace();
        let mut word = |what: &str| words.next().with_context(|| format!("`{text}` has no {what}"));
        let from = word("sender")?.to_owned();
        word("arrow")?;
        let to = word("receiver")?.to_owned();
        let what = what(word("packet")?)?;
        let mut probe = Self {
            from,
            to,
            what,
            family: None,
            has_server: true,
            bytes: 8,
            source_port: None,
            source: None,
            mac: None,
            destination: None,
        };
        while let Some(key) = words.next() {
            probe.set(key, &mut words).with_context(|| format!("`{key}` in `{text}`"))?;
        }
        Ok(probe)
    }
}

fn what(word: &str) -> anyhow::Result<What> {
    let (name, number) = word.split_once('/').unwrap_or((word, "0"));
    let number: u16 = number.parse().with_context(|| format!("`{word}` has no number"))?;
    Ok(match name {
        "tcp" => What::Tcp(number),
        "udp" => What::Udp(number),
        "ping" => What::Ping,
        "sctp" => What::Sctp,
        "syn" => What::Frame(Frame::Syn(number)),
        "ack" => What::Frame(Frame::Ack(number)),
        "datagram" => What::Frame(Frame::Datagram(number)),
        "fragment" => What::Frame(Frame::Fragment(u8::try_from(number)?)),
        "unreachable" => What::Frame(Frame::Unreachable(number)),
        "protocol" => What::Frame(Frame::Protocol(u8::try_from(number)?)),
        other => bail!("`{other}` cannot be sent"),
    })
}

impl Probe {
    fn set<'a>(&mut self, key: &str, words: &mut impl Iterator<Item = &'a str>) -> anyhow::Result<()> {
        let mut value = || words.next().context("has no value");
        match key {
            "v4" => self.family = Some(Family::V4),
            "v6" => self.family = Some(Family::V6),
            "server" => self.has_server = value()? != "none",
            "size" => self.bytes = value()?.parse()?,
            "sport" => self.source_port = Some(value()?.parse()?),
            "src" => self.source = Some(value()?.parse()?),
            "mac" => self.mac = Some(value()?.parse().map_err(anyhow::Error::msg)?),
            "to" => self.destination = Some(value()?.parse()?),
            _ => bail!("is not an option of a probe"),
        }
        self.family = self.family.or(self.source.or(self.destination).map(Family::of));
        Ok(())
    }
}

impl Lab {
    /// Sends every probe of an expected text, and compares what became of it with what the text says.
    pub fn check(&mut self, expected: Expect) {
        let lines = expected.data().lines().map(str::trim).filter(|line| !line.is_empty());
        let seen: Vec<String> = lines.map(|line| self.see(split(line).0)).collect();
        expected.assert_eq(&format!("{}\n", seen.join("\n")));
    }

    /// Sends one probe in each family that it asks for; says what became of it, as `check` expects it.
    fn see(&mut self, text: &str) -> String {
        let probe: Probe = must(&format!("read the probe `{text}`"), text.parse());
        let families = probe.family.map_or(vec![Family::V4, Family::V6], |family| vec![family]);
        let findings: Vec<(Family, Finding)> =
            families.into_iter().map(|family| (family, self.send(&probe, family))).collect();
        match findings.as_slice() {
            [(_, one)] => format!("{text}: {one}"),
            [(_, one), (_, other)] if one == other => format!("{text}: {one}"),
            all => {
                let name = |family: &Family| if *family == Family::V4 { "v4" } else { "v6" };
                let lines = all.iter().map(|(family, finding)| format!("{text} {}: {finding}", name(family)));
                lines.collect::<Vec<_>>().join("\n")
            }
        }
    }

    /// What became of one probe in one family.
    pub fn try_probe(&mut self, text: &str, family: Family) -> Finding {
        let probe: Probe = must(&format!("read the probe `{text}`"), text.parse());
        self.send(&probe, family)
    }

    fn send(&mut self, probe: &Probe, family: Family) -> Finding {
        let (from, to) = (self.host(&probe.from), self.host(&probe.to));
        let ends = self.ends(probe, &from, &to, family);
        let at = (&from, &to);
        self.observe(&from, &to, || match probe.what {
            What::Tcp(_) => Box::new(Handshake::start(at, ends, probe.has_server)),
            What::Udp(_) => Box::new(Datagram::start(at, ends, probe.has_server, probe.bytes)),
            What::Ping => Box::new(Echo::start(at, ends)),
            What::Sctp => Box::new(Sctp::start(at, ends)),
            What::Frame(frame) => {
                let mac = probe.mac.map_or(from.mac, |mac| mac.0);
                let source = probe.source.unwrap_or(ends.0.ip());
                let ends = (SocketAddr::new(source, ends.0.port()), ends.1);
                Box::new(Arrival::start(at, &frames::frame(frame, mac, ends)))
            }
        })
    }

    fn ends(&mut self, probe: &Probe, from: &Host, to: &Host, family: Family) -> (SocketAddr, SocketAddr) {
        let source_port = probe.source_port.unwrap_or_else(|| self.fresh_port());
        let port = match probe.what {
            What::Tcp(port) | What::Udp(port) => port,
            What::Frame(frame) => frame.port(),
            What::Ping | What::Sctp => 0,
        };
        let destination = probe.destination.unwrap_or_else(|| to.address(family));
        (SocketAddr::new(from.address(family), source_port), SocketAddr::new(destination, port))
    }
}

/// A line is a probe, a colon and a space, and a finding; IPv6 addresses have no space after their colons.
fn split(line: &str) -> (&str, &str) {
    line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""))
}
