//! The world as text, one fact a line. Names are the test's own; ids are made by the commands.
//!
//! ```text
//! vpc NAME CIDR                       (without one: `main`, 10.0.0.0/16)
//! account NAME                        (another one; `main` is open to it)
//! group NAME basic|enterprise|ec2 [isolated] [in VPC] [by ACCOUNT]
//!   in|out allow|deny SERVICE from|to PEER[,PEER] [prio N] [sport A-B] [local CIDR] [as LABEL]
//! prefixes NAME CIDR...
//! ports NAME A-B...
//! instance NAME GROUP... [in VPC] [by ACCOUNT]    (one IPv4 and one IPv6 address)
//! ```
//! SERVICE is `all`, `tcp/443`, `udp/80-90`, `tcp/list:NAME`, `icmp/8.0` or a protocol number; `ping` is ICMP or
//! ICMPv6, whichever the peer's family has. PEER is a CIDR, `any` (both families), `host:NAME`, `group:NAME` or
//! `list:NAME`; every peer makes a rule of its own.

use std::str::FromStr;

use anyhow::{Context as _, anyhow, bail};
use sekimori_core::{
    address::{Cidr, Family},
    ids::{PortListId, PrefixListId},
    rule::{Action, Direction, Peer, PortRange, Protocol, RuleSpec, Service},
    world::Flavor,
};

use super::{Lab, must};

/// A rule as text, before its names are looked up.
#[derive(Clone, Debug)]
pub struct RuleText {
    direction: Direction,
    action: Action,
    /// Without a protocol: `ping`.
    protocol: Option<Protocol>,
    service: Service,
    peers: Vec<PeerText>,
    priority: u8,
    source_ports: Option<PortRange>,
    local: Option<Cidr>,
    /// The name that findings give it.
    pub label: String,
}

#[derive(Clone, Debug)]
enum PeerText {
    Cidr(Cidr),
    Group(String),
    List(String),
    Host(String),
}

impl FromStr for RuleText {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let mut words = text.split_whitespace();
        let mut word = |what: &str| words.next().with_context(|| format!("`{text}` has no {what}"));
        let direction = direction(word("direction")?)?;
        let action = action(word("action")?)?;
        let label = word("service")?.to_owned();
        let (protocol, service) = service(&label)?;
        word("`from` or `to`")?;
        let peers = word("peer")?.split(',').map(peers).collect::<anyhow::Result<Vec<_>>>()?.concat();
        let mut rule =
            Self { direction, action, protocol, service, peers, priority: 1, source_ports: None, local: None, label };
        while let Some(key) = words.next() {
            let value = words.next().with_context(|| format!("`{key}` in `{text}` has no value"))?;
            rule.set(key, value)?;
        }
        Ok(rule)
    }
}

impl RuleText {
    fn set(&mut self, key: &str, value: &str) -> anyhow::Result<()> {
        match key {
            "prio" => self.priority = value.parse()?,
            "sport" => self.source_ports = Some(range(value)?),
            "local" => self.local = Some(value.parse()?),
            "as" => self.label = value.to_owned(),
            other => bail!("`{other}` is not an option of a rule"),
        }
        Ok(())
    }

    /// What the rule says: one specification for each peer and family.
    #[must_use]
    pub fn specs(&self, lab: &Lab) -> Vec<RuleSpec> {
        self.peers.iter().flat_map(|peer| peer.resolve(lab)).flat_map(|peer| self.with_peer(&peer)).collect()
    }

    fn with_peer(&self, peer: &Peer) -> Vec<RuleSpec> {
        let protocols = match (self.protocol, peer) {
            (Some(protocol), _) => vec![protocol],
            (None, Peer::Cidr(cidr)) if cidr.family() == Family::V4 => vec![Protocol::ICMP],
            (None, Peer::Cidr(_)) => vec![Protocol::ICMPV6],
            (None, Peer::PrefixList(_) | Peer::Group { .. }) => vec![Protocol::ICMP, Protocol::ICMPV6],
        };
        let spec = |protocol| RuleSpec {
            direction: self.direction,
            action: self.action,
            priority: self.priority,
            protocol,
            service: self.service.clone(),
            source_ports: self.source_ports,
            peer: peer.clone(),
            local: self.local,
        };
        protocols.into_iter().map(spec).collect()
    }
}

impl PeerText {
    fn resolve(&self, lab: &Lab) -> Vec<Peer> {
        match self {
            Self::Cidr(cidr) => vec![Peer::Cidr(*cidr)],
            Self::List(name) => vec![Peer::PrefixList(prefix_list_id(name))],
            Self::Group(name) => vec![Peer::Group { group: lab.group_id(name), account: lab.owner_of(name) }],
            Self::Host(name) => {
                let addresses = lab.eni(name).addresses.clone();
                addresses
                    .iter()
                    .map(|address| Peer::Cidr(must("write a CIDR", address.to_string().parse())))
                    .collect()
            }
        }
    }
}

/// The id of a prefix list.
#[must_use]
pub fn prefix_list_id(name: &str) -> PrefixListId {
    PrefixListId::from(format!("pl-{name}"))
}

/// The id of a port list.
#[must_use]
pub fn port_list_id(name: &str) -> PortListId {
    PortListId::from(format!("prl-{name}"))
}

fn direction(word: &str) -> anyhow::Result<Direction> {
    match word {
        "in" => Ok(Direction::Ingress),
        "out" => Ok(Direction::Egress),
        other => Err(anyhow!("`{other}` is neither `in` nor `out`")),
    }
}

fn action(word: &str) -> anyhow::Result<Action> {
    match word {
        "allow" => Ok(Action::Allow),
        "deny" => Ok(Action::Deny),
        other => Err(anyhow!("`{other}` is neither `allow` nor `deny`")),
    }
}

fn service(word: &str) -> anyhow::Result<(Option<Protocol>, Service)> {
    let (name, detail) = word.split_once('/').map_or((word, None), |(name, detail)| (name, Some(detail)));
    let protocol = match name {
        "ping" => return Ok((None, Service::Any)),
        "all" => Protocol::Any,
        "tcp" => Protocol::TCP,
        "udp" => Protocol::UDP,
        "icmp" => Protocol::ICMP,
        "icmpv6" => Protocol::ICMPV6,
        number => Protocol::Number(number.parse().with_context(|| format!("`{number}` is not a protocol"))?),
    };
    let service = match (detail, protocol) {
        (None, _) => Service::Any,
        (Some(kind), Protocol::ICMP | Protocol::ICMPV6) => icmp(kind)?,
        (Some(ports), _) => match ports.strip_prefix("list:") {
            Some(list) => Service::PortList(port_list_id(list)),
            None => Service::Ports(range(ports)?),
        },
    };
    Ok((Some(protocol), service))
}

fn icmp(word: &str) -> anyhow::Result<Service> {
    let (kind, code) = word.split_once('.').map_or((word, None), |(kind, code)| (kind, Some(code)));
    Ok(Service::Icmp { kind: kind.parse()?, code: code.map(str::parse).transpose()? })
}

/// `80` or `80-90`.
pub(super) fn range(word: &str) -> anyhow::Result<PortRange> {
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    PortRange::new(first.parse()?, last.parse()?).with_context(|| format!("`{word}` is not a range of ports"))
}

fn peers(word: &str) -> anyhow::Result<Vec<PeerText>> {
    if word == "any" {
        return Ok(vec![PeerText::Cidr(Cidr::WORLD_V4), PeerText::Cidr(Cidr::WORLD_V6)]);
    }
    // An IPv6 block has colons too, and is no word before them.
    Ok(vec![match word.split_once(':') {
        Some(("group", name)) => PeerText::Group(name.to_owned()),
        Some(("list", name)) => PeerText::List(name.to_owned()),
        Some(("host", name)) => PeerText::Host(name.to_owned()),
        Some(_) | None => PeerText::Cidr(word.parse()?),
    }])
}

impl Lab {
    /// Makes what a text says, line by line.
    pub fn build(&mut self, text: &str) {
        let mut group = None;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            must(&format!("understand `{line}`"), self.add(line, &mut group));
        }
    }

    fn add(&mut self, line: &str, group: &mut Option<String>) -> anyhow::Result<()> {
        let (line, owner) = line.split_once(" by ").map_or((line, None), |(line, owner)| (line, Some(owner)));
        let owner = self.account_named(owner);
        let (statement, vpc) = line.split_once(" in ").filter(|_| !line.starts_with("in ")).unwrap_or((line, "main"));
        let words: Vec<&str> = statement.split_whitespace().collect();
        match words.as_slice() {
            ["in" | "out", ..] => {
                self.allow(group.as_deref().context("a rule needs a group before it")?, line);
            }
            ["vpc", name, cidr] => self.add_vpc(name, cidr),
            ["account", name] => self.add_account(name),
            ["group", name, flavor, rest @ ..] => {
                self.add_group_of(&owner, vpc, name, flavor_of(flavor)?, rest.contains(&"isolated"));
                *group = Some((*name).to_owned());
            }
            ["prefixes", name, cidrs @ ..] => {
                let list = self.prefix_list(name, cidrs);
                self.change(vec![list]);
            }
            ["ports", name, ranges @ ..] => {
                let list = self.port_list(name, ranges);
                self.change(vec![list]);
            }
            ["instance", name, groups @ ..] => self.add_instance_of(&owner, vpc, name, groups),
            _ => bail!("no such statement"),
        }
        Ok(())
    }
}

fn flavor_of(word: &str) -> anyhow::Result<Flavor> {
    match word {
        "basic" => Ok(Flavor::EcsBasic),
        "enterprise" => Ok(Flavor::EcsEnterprise),
        "ec2" => Ok(Flavor::Ec2),
        other => Err(anyhow!("`{other}` is not a flavor; use basic, enterprise or ec2")),
    }
}
