//! One chain: what decides about packets of one direction at one interface, line by line in the order of section 3 of the
//! design. The order of rules is [`sekimori_core::rule::order`]'s, and never computed a second time here.

use std::net::IpAddr;

use sekimori_core::{
    address::{Cidr, Family},
    network_acl::{self, NetworkAcl},
    platform::{self, MAIL_PORT, PlatformPolicy},
    rule::{Action, Direction, Peer, PortRange, Protocol, RuleSpec, Service},
    verdict,
    world::{Eni, Subnet, World},
};

use super::{NftError, chain_name, name, sets::Sets};
use crate::effective;

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];
/// The protocols whose packets have ports.
const WITH_PORTS: [(u8, &str); 2] = [(6, "tcp"), (17, "udp")];
/// ICMP and ICMPv6.
const WITH_TYPES: [(u8, Family, &str); 2] = [(1, Family::V4, "icmp"), (58, Family::V6, "icmpv6")];

struct Writer<'a> {
    world: &'a World,
    eni: &'a Eni,
    direction: Direction,
    sets: &'a mut Sets,
    text: String,
}

/// Writes the chain. On a host that forwards to the interface, its Ethernet address is checked as well.
pub(super) fn write(
    world: &World,
    eni: &Eni,
    direction: Direction,
    is_outside: bool,
    sets: &mut Sets,
) -> Result<String, NftError> {
    let name = chain_name(&eni.id, direction)?;
    let acl = world.is_guarded(&eni.subnet).then(|| world.acl_of(&eni.subnet)).flatten();
    let mut writer = Writer { world, eni, direction, sets, text: String::new() };
    if let Some((subnet, acl)) = acl {
        writer.network_acl(&name, subnet, acl)?;
    }
    writer.text.push_str(&format!("  chain {name} {{\n"));
    writer.discovery();
    if acl.is_some() {
        writer.line(&format!("jump {name}-acl"));
    }
    writer.line("ct state established accept");
    writer.line("ct state related meta l4proto { 1, 58 } accept comment \"errors of known flows\"");
    writer.bypass()?;
    if eni.source_check {
        writer.source_check(is_outside);
    }
    writer.line("tcp flags & (fin | syn | rst | ack) != syn counter drop comment \"begins no connection\"");
    writer.platform()?;
    writer.intra_groups()?;
    writer.rules()?;
    let default = verdict::default_action(world.flavor_of(eni), direction);
    writer.line(&format!("counter {} comment \"default\"", verb(default)));
    writer.text.push_str("  }\n");
    Ok(writer.text)
}

impl Writer<'_> {
    fn line(&mut self, text: &str) {
        self.text.push_str(&format!("    {text}\n"));
    }

    fn decide(&mut self, matches: &[String], action: Action, comment: &str) {
        self.decide_as(verb(action), matches, comment);
    }

    fn decide_as(&mut self, verb: &str, matches: &[String], comment: &str) {
        for text in matches {
            let gap = if text.is_empty() { "" } else { " " };
            self.line(&format!("{text}{gap}counter {verb} comment \"{comment}\""));
        }
    }

    /// The network ACL of the subnet, a chain that every packet goes through before conntrack is asked. What it lets pass goes
    /// on.
    fn network_acl(&mut self, chain: &str, subnet: &Subnet, acl: &NetworkAcl) -> Result<(), NftError> {
        self.text.push_str(&format!("  chain {chain}-acl {{\n"));
        let id = name("", acl.id.as_str(), "")?;
        for spec in self.bypassed() {
            let matches = self.matches(&spec)?;
            self.decide_as("return", &matches, "bypass set");
        }
        for block in network_acl::neighbours(subnet) {
            let cidr = Cidr::from(block);
            if let Some(near) = self.peer(&Peer::Cidr(cidr), cidr.family())? {
                self.decide_as("return", &[near], "within the subnet");
            }
        }
        for entry in acl.entries_of(self.direction) {
            let verb = if entry.spec.action == Action::Allow { "return" } else { "drop" };
            let matches = self.matches(&entry.spec)?;
            self.decide_as(verb, &matches, &format!("entry {} of {id}", entry.number));
        }
        self.line(&format!("counter drop comment \"no entry of {id}\""));
        self.text.push_str("  }\n");
        Ok(())
    }

    /// IPv6 neighbour and router discovery (RFC 4861), and the listener messages that it depends on (RFC 3810). Who is checked may
    /// say that it is there, and is no router.
    fn discovery(&mut self) {
        match (self.direction, self.eni.source_check) {
            (Direction::Egress, true) => {
                let from = self.own_or_placeless(Family::V6);
                self.line("icmpv6 type { 134, 137 } ip6 hoplimit 255 counter drop comment \"spoofed\"");
                self.line(&format!("icmpv6 type {{ 133, 135, 136 }} ip6 hoplimit 255 {from} accept"));
            }
            (Direction::Egress, false) | (Direction::Ingress, _) => {
                self.line("icmpv6 type 133-137 ip6 hoplimit 255 accept");
            }
        }
        self.line("icmpv6 type { 130, 131, 132, 143 } ip6 saddr { ::, fe80::/10 } accept");
    }

    fn bypassed(&self) -> Vec<RuleSpec> {
        let entries = self.world.bypass().entries().iter().filter(|entry| entry.direction == self.direction);
        entries.map(sekimori_core::bypass::BypassEntry::as_rule).collect()
    }

    /// What is sent from an address of the interface, or by who has none yet.
    fn own_or_placeless(&self, family: Family) -> String {
        let unspecified = if family == Family::V4 { "0.0.0.0" } else { "::, fe80::/10" };
        let own = self.own(family).map_or_else(String::new, |own| format!(", {own}"));
        format!("{} saddr {{ {unspecified}{own} }}", word(family))
    }

    /// A listed entry does not let an ENI send from a foreign address.
    fn bypass(&mut self) -> Result<(), NftError> {
        for spec in self.bypassed() {
            let Peer::Cidr(peer) = spec.peer else { continue };
            let family = peer.family();
            let own = match (self.direction, self.eni.source_check) {
                (Direction::Egress, true) => format!("{} ", self.own_or_placeless(family)),
                (Direction::Egress, false) | (Direction::Ingress, _) => String::new(),
            };
            let matches: Vec<String> = self.matches(&spec)?.iter().map(|text| format!("{own}{text}")).collect();
            self.decide(&matches, Action::Allow, "bypass set");
        }
        Ok(())
    }

    fn source_check(&mut self, is_outside: bool) {
        let side = self.own_side();
        if is_outside && self.direction == Direction::Egress {
            self.line(&format!("ether saddr != {} counter drop comment \"spoofed\"", self.eni.mac));
        }
        for family in FAMILIES {
            let foreign = match self.own(family) {
                Some(own) => format!("{} {side} != {{ {own} }}", word(family)),
                None => every(family).to_owned(),
            };
            self.decide(&[foreign], Action::Deny, "spoofed");
        }
    }

    /// Platform policies come before everything that a group can say.
    fn platform(&mut self) -> Result<(), NftError> {
        let world = self.world;
        for policy in world.platform().active(self.direction) {
            let mut matches = Vec::new();
            if policy == PlatformPolicy::Mail {
                matches.extend(FAMILIES.map(|family| self.mail(family)));
            }
            for spec in policy.rules() {
                matches.extend(self.matches(&spec)?);
            }
            self.decide(&matches, policy.action(), &format!("platform policy {policy}"));
        }
        Ok(())
    }

    fn mail(&self, family: Family) -> String {
        let blocks = platform::blocks(self.world.vpc(&self.eni.vpc).map(|vpc| &**vpc));
        let own: Vec<String> =
            blocks.filter(|block| Family::of(block.addr()) == family).map(|block| block.to_string()).collect();
        let outside = match own.is_empty() {
            true => every(family).to_owned(),
            false => format!("{} {} != {{ {} }}", word(family), self.peer_side(), own.join(", ")),
        };
        format!("{outside} tcp dport {MAIL_PORT}")
    }

    fn intra_groups(&mut self) -> Result<(), NftError> {
        for group in effective::accepting(self.world, self.eni) {
            let side = self.peer_side();
            for family in FAMILIES {
                let set = self.sets.group(self.world, &self.eni.vpc, &group.id, family)?;
                let members = format!("{} {side} @{set}", word(family));
                self.decide(&[members], Action::Allow, &format!("intra-group accept of {}", group.id));
            }
        }
        Ok(())
    }

    fn rules(&mut self) -> Result<(), NftError> {
        for (group, rule) in effective::merged(self.world, self.eni, self.direction) {
            let comment = format!("{} of {}", name("", rule.id.as_str(), "")?, name("", group.id.as_str(), "")?);
            let matches = self.matches(&rule.spec)?;
            if matches.is_empty() {
                self.line(&format!("# {comment}: no packet is of this kind"));
            }
            self.decide(&matches, rule.spec.action, &comment);
        }
        Ok(())
    }

    /// The packets of a rule: one text for each family and kind of service.
    fn matches(&mut self, spec: &RuleSpec) -> Result<Vec<String>, NftError> {
        let mut all = Vec::new();
        for family in FAMILIES {
            let Some(local) = self.local(spec.local.as_ref(), family) else { continue };
            let Some(peer) = self.peer(&spec.peer, family)? else { continue };
            for service in self.services(spec, family)? {
                let parts = [peer.as_str(), local.as_str(), service.as_str()];
                let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
                all.push(parts.join(" "));
            }
        }
        Ok(all)
    }

    fn peer(&mut self, peer: &Peer, family: Family) -> Result<Option<String>, NftError> {
        let (word, side) = (word(family), self.peer_side());
        Ok(match peer {
            Peer::Cidr(cidr) if cidr.family() != family => None,
            Peer::Cidr(cidr) if cidr.is_world() => Some(every(family).to_owned()),
            Peer::Cidr(cidr) => Some(format!("{word} {side} {}", cidr.network())),
            Peer::PrefixList(id) => match self.world.prefix_list(id).filter(|list| list.family == family) {
                Some(_) => Some(format!("{word} {side} @{}", self.sets.prefix_list(self.world, id, family)?)),
                None => None,
            },
            Peer::Group { group, .. } => {
                Some(format!("{word} {side} @{}", self.sets.group(self.world, &self.eni.vpc, group, family)?))
            }
        })
    }

    fn local(&self, local: Option<&Cidr>, family: Family) -> Option<String> {
        match local {
            None => Some(String::new()),
            Some(cidr) if cidr.family() != family => None,
            Some(cidr) if cidr.is_world() => Some(every(family).to_owned()),
            Some(cidr) => Some(format!("{} {} {}", word(family), self.own_side(), cidr.network())),
        }
    }

    fn services(&mut self, spec: &RuleSpec, family: Family) -> Result<Vec<String>, NftError> {
        let destination = match &spec.service {
            Service::Any if spec.source_ports.is_none() => {
                return Ok(vec![match spec.protocol {
                    Protocol::Any => String::new(),
                    Protocol::Number(number) => format!("meta l4proto {number}"),
                }]);
            }
            Service::Icmp { kind, code } => {
                let has_ports = spec.source_ports.is_some();
                let types = WITH_TYPES.iter().filter(|(number, ..)| !has_ports && spec.protocol.matches(*number));
                return Ok(types.map(|of| icmp(*of, family, *kind, *code)).collect());
            }
            Service::Any => None,
            Service::Ports(range) => ports(*range),
            Service::PortList(id) => Some(format!("@{}", self.sets.port_list(self.world, id)?)),
        };
        let source = spec.source_ports.and_then(ports);
        let covered = WITH_PORTS.iter().filter(|(number, _)| spec.protocol.matches(*number));
        let service = |(number, word): &(u8, &str)| {
            let ends = [("dport", &destination), ("sport", &source)].into_iter();
            let ends = ends.filter_map(|(which, ports)| Some(format!("{word} {which} {}", ports.as_ref()?)));
            let ends = ends.collect::<Vec<_>>().join(" ");
            if ends.is_empty() { format!("meta l4proto {number}") } else { ends }
        };
        Ok(covered.map(service).collect())
    }

    /// The interface's own addresses of a family.
    fn own(&self, family: Family) -> Option<String> {
        let own = self.eni.addresses.iter().filter(|address| Family::of(**address) == family);
        let own: Vec<String> = own.map(IpAddr::to_string).collect();
        (!own.is_empty()).then(|| own.join(", "))
    }

    fn own_side(&self) -> &'static str {
        match self.direction {
            Direction::Ingress => "daddr",
            Direction::Egress => "saddr",
        }
    }

    fn peer_side(&self) -> &'static str {
        match self.direction {
            Direction::Ingress => "saddr",
            Direction::Egress => "daddr",
        }
    }
}

fn verb(action: Action) -> &'static str {
    match action {
        Action::Allow => "accept",
        Action::Deny => "drop",
    }
}

fn word(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}

fn every(family: Family) -> &'static str {
    match family {
        Family::V4 => "meta nfproto ipv4",
        Family::V6 => "meta nfproto ipv6",
    }
}

/// `None`: every port.
fn ports(range: PortRange) -> Option<String> {
    (range != PortRange::ALL).then(|| super::sets::run(range))
}

/// ICMP over IPv6, and the other way round, has no word in nftables, but bytes.
fn icmp((number, own, word): (u8, Family, &str), family: Family, kind: u8, code: Option<u8>) -> String {
    let (start, code_word) = match own == family {
        true => (format!("{word} type {kind}"), format!("{word} code")),
        false => (format!("meta l4proto {number} @th,0,8 {kind}"), "@th,8,8".to_owned()),
    };
    code.map_or_else(|| start.clone(), |code| format!("{start} {code_word} {code}"))
}
