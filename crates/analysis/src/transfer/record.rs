//! One rule as names and texts, the common form of both kinds of file, and back.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use sekimori_core::{
    address::{Cidr, Family},
    command::NewRule,
    ids::AccountId,
    rule::{Action, Direction, Peer, PortRange, Protocol, Rule, RuleSpec, Service},
    world::Group,
};

use super::{TransferError, csv};

/// The columns, in the order in which they are written: those of `DescribeSecurityGroupAttribute`.
const COLUMNS: [&str; 17] = [
    "Direction",
    "Policy",
    "Priority",
    "IpProtocol",
    "PortRange",
    "PortRangeListId",
    "SourcePortRange",
    "SourceCidrIp",
    "Ipv6SourceCidrIp",
    "SourceGroupId",
    "SourcePrefixListId",
    "DestCidrIp",
    "Ipv6DestCidrIp",
    "DestGroupId",
    "DestPrefixListId",
    "GroupOwnerId",
    "Description",
];

/// The longest description of a rule, in characters (`spec/ecs.md` C).
const DESCRIPTION_CHARS_MAX: usize = 512;

/// A rule as it stands in a file: texts by column, whose names are lower-case letters and digits only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record(BTreeMap<String, String>);

/// A priority that is no priority of a rule.
pub(crate) enum Problem {
    /// Rules of the system, which have more than 100: nothing is made of them.
    SystemPriority(u64),
    /// What is wrong, and what would be right.
    Wrong(String),
}

impl From<String> for Problem {
    fn from(reason: String) -> Self {
        Self::Wrong(reason)
    }
}

// Writing.

fn texts(rule: &Rule, group: &Group) -> [String; 17] {
    let spec = &rule.spec;
    let (peer, local) = (end(&spec.peer), end_of_cidr(spec.local));
    let (source, dest) = match spec.direction {
        Direction::Ingress => (peer, local),
        Direction::Egress => (local, peer),
    };
    let owner = match &spec.peer {
        Peer::Group { account, .. } if *account != group.account => account.to_string(),
        Peer::Group { .. } | Peer::Cidr(_) | Peer::PrefixList(_) => String::new(),
    };
    let (ports, port_list) = match &spec.service {
        Service::Any | Service::Icmp { .. } => ("-1/-1".to_owned(), String::new()),
        Service::Ports(range) => (slashed(*range), String::new()),
        Service::PortList(id) => (String::new(), id.to_string()),
    };
    let policy = match spec.action {
        Action::Allow => "Accept",
        Action::Deny => "Drop",
    };
    let [source_v4, source_v6, source_group, source_list] = source;
    let [dest_v4, dest_v6, dest_group, dest_list] = dest;
    [
        spec.direction.to_string(),
        policy.to_owned(),
        spec.priority.to_string(),
        spec.protocol.to_string().to_uppercase(),
        ports,
        port_list,
        spec.source_ports.map(slashed).unwrap_or_default(),
        source_v4,
        source_v6,
        source_group,
        source_list,
        dest_v4,
        dest_v6,
        dest_group,
        dest_list,
        owner,
        rule.description.clone(),
    ]
}

/// A rule by the names of the parameters that the cloud's API has for it; what says nothing is left out.
pub(crate) fn columns(rule: &Rule, group: &Group) -> impl Iterator<Item = (&'static str, String)> + use<> {
    COLUMNS.into_iter().zip(texts(rule, group)).filter(|(_, text)| !text.is_empty())
}

/// IPv4 block, IPv6 block, group, prefix list: one of them, or none.
fn end(peer: &Peer) -> [String; 4] {
    let mut texts: [String; 4] = Default::default();
    match peer {
        Peer::Cidr(cidr) => return end_of_cidr(Some(*cidr)),
        Peer::Group { group, .. } => texts[2] = group.to_string(),
        Peer::PrefixList(id) => texts[3] = id.to_string(),
    }
    texts
}

fn end_of_cidr(cidr: Option<Cidr>) -> [String; 4] {
    let mut texts: [String; 4] = Default::default();
    let Some(cidr) = cidr else { return texts };
    match cidr.family() {
        Family::V4 => texts[0] = cidr.to_string(),
        Family::V6 => texts[1] = cidr.to_string(),
    }
    texts
}

fn slashed(range: PortRange) -> String {
    format!("{}/{}", range.first(), range.last())
}

pub(super) fn to_json(rules: &[&Rule], group: &Group) -> String {
    let object = |rule: &&Rule| {
        let pairs = COLUMNS.iter().zip(texts(rule, group));
        let value = |column: &str, text: String| match (column, text.parse::<u64>()) {
            ("Priority", Ok(priority)) => Value::from(priority),
            _ => Value::from(text),
        };
        Value::Object(pairs.map(|(column, text)| ((*column).to_owned(), value(column, text))).collect())
    };
    let array = Value::Array(rules.iter().map(object).collect());
    format!("{array:#}\n")
}

pub(super) fn to_csv(rules: &[&Rule], group: &Group) -> String {
    let mut lines = vec![csv::line(COLUMNS)];
    lines.extend(rules.iter().map(|rule| csv::line(texts(rule, group).iter().map(String::as_str))));
    lines.join("\r\n") + "\r\n"
}

// Reading.

/// The rules of a file, and the region that it tells.
pub(super) fn read(text: &str) -> Result<(Vec<Record>, Option<String>), TransferError> {
    let trimmed = text.trim_start_matches('\u{feff}').trim_start();
    if trimmed.starts_with(['[', '{']) {
        let value: Value = serde_json::from_str(trimmed).map_err(|error| unreadable(&error))?;
        return from_json(&value);
    }
    let mut rows = csv::read(text).map_err(|reason| unreadable(&reason))?.into_iter();
    let header: Vec<String> = rows.next().unwrap_or_default().iter().map(|name| column(name)).collect();
    if !header.iter().any(|name| name == "direction") {
        return Err(unreadable(&"the first row names no column `Direction`"));
    }
    let record = |row: Vec<String>| Record(header.iter().cloned().zip(row).collect());
    Ok((rows.map(record).collect(), None))
}

fn unreadable(reason: &impl ToString) -> TransferError {
    TransferError::Unreadable(reason.to_string())
}

/// The array, alone or inside the reply of `DescribeSecurityGroupAttribute`.
pub(super) fn from_json(value: &Value) -> Result<(Vec<Record>, Option<String>), TransferError> {
    let region = value.get("RegionId").and_then(Value::as_str).map(str::to_owned);
    let mut found = value;
    for name in ["Permissions", "permissions", "Permission", "permission", "rules", "Rules"] {
        found = found.get(name).unwrap_or(found);
    }
    let Value::Array(items) = found else { return Err(unreadable(&"there is no array of rules")) };
    let record = |item: &Value| match item {
        Value::Object(fields) => Ok(from_object(fields)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(unreadable(&format!("`{item}` is not a rule")))
        }
    };
    Ok((items.iter().map(record).collect::<Result<_, _>>()?, region))
}

fn from_object(fields: &Map<String, Value>) -> Record {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    Record(fields.iter().map(|(name, value)| (column(name), text(value))).collect())
}

/// A column's name without case and punctuation, and without its synonyms.
fn column(name: &str) -> String {
    let plain: String = name.chars().filter(|c| c.is_ascii_alphanumeric()).collect::<String>().to_ascii_lowercase();
    match plain.as_str() {
        "action" => "policy",
        "protocol" => "ipprotocol",
        "port" | "ports" | "destportrange" => "portrange",
        "sourceport" | "sourceports" => "sourceportrange",
        "remark" | "remarks" => "description",
        "sourcegroupownerid" | "destgroupownerid" | "sourcegroupowneraccount" | "destgroupowneraccount" => {
            "groupownerid"
        }
        other => other,
    }
    .to_owned()
}

impl Record {
    fn text(&self, column: &str) -> Option<&str> {
        self.0.get(column).map(|text| text.trim()).filter(|text| !text.is_empty())
    }

    /// What the rule is called, if the record tells it.
    pub(super) fn name(&self) -> Option<String> {
        self.text("securitygroupruleid").map(str::to_owned)
    }

    /// The rule that the record says, in a group of an account.
    pub(super) fn rule(&self, account: &AccountId) -> Result<NewRule, Problem> {
        let direction = self.direction()?;
        let protocol = self.protocol()?;
        let (own, other) = match direction {
            Direction::Ingress => ("dest", "source"),
            Direction::Egress => ("source", "dest"),
        };
        let peer = self.peer(other, account)?;
        let local = self.cidr(own)?;
        check_families(protocol, &peer, local)?;
        let spec = RuleSpec {
            direction,
            action: self.action()?,
            priority: self.priority()?,
            protocol,
            service: self.service(protocol)?,
            source_ports: self.source_ports(protocol)?,
            peer,
            local,
        };
        Ok(NewRule::new(spec, self.description()?))
    }

    fn direction(&self) -> Result<Direction, String> {
        match self.text("direction").unwrap_or_default().to_ascii_lowercase().as_str() {
            "ingress" | "in" | "inbound" => Ok(Direction::Ingress),
            "egress" | "out" | "outbound" => Ok(Direction::Egress),
            other => Err(format!("direction `{other}` is neither ingress nor egress")),
        }
    }

    fn action(&self) -> Result<Action, String> {
        match self.text("policy").unwrap_or("accept").to_ascii_lowercase().as_str() {
            "accept" | "allow" => Ok(Action::Allow),
            "drop" | "deny" | "refuse" | "reject" => Ok(Action::Deny),
            other => Err(format!("policy `{other}` is neither Accept nor Drop")),
        }
    }

    fn priority(&self) -> Result<u8, Problem> {
        let text = self.text("priority").unwrap_or("1");
        let bad = || format!("priority `{text}` is not a number from 1 to 100");
        let number: u64 = text.parse().map_err(|_| bad())?;
        match u8::try_from(number) {
            Ok(priority @ 1..=100) => Ok(priority),
            Ok(0) => Err(bad().into()),
            Ok(_) | Err(_) => Err(Problem::SystemPriority(number)),
        }
    }

    fn protocol(&self) -> Result<Protocol, String> {
        let text = self.text("ipprotocol").unwrap_or_default();
        let word = text.to_ascii_lowercase();
        if word == "-1" {
            return Ok(Protocol::Any);
        }
        let read = || Protocol::of_name(&word).or_else(|| word.parse().ok().map(Protocol::Number));
        read().ok_or_else(|| format!("`{text}` is not a protocol; use tcp, udp, icmp, gre or all"))
    }

    fn service(&self, protocol: Protocol) -> Result<Service, String> {
        if let Some(list) = self.text("portrangelistid") {
            let list = Service::PortList(list.into());
            let wrong = || format!("protocol {protocol} has no ports; a port list needs tcp or udp");
            return if protocol.has_ports() { Ok(list) } else { Err(wrong()) };
        }
        match self.ports("portrange", protocol)? {
            Some(range) => Ok(Service::Ports(range)),
            None => Ok(Service::Any),
        }
    }

    fn source_ports(&self, protocol: Protocol) -> Result<Option<PortRange>, String> {
        self.ports("sourceportrange", protocol)
    }

    fn ports(&self, column: &str, protocol: Protocol) -> Result<Option<PortRange>, String> {
        let Some(text) = self.text(column).filter(|text| !matches!(*text, "-1/-1" | "-1" | "all" | "All")) else {
            return Ok(None);
        };
        if !protocol.has_ports() {
            return Err(format!("protocol {protocol} has no ports; leave `{text}` out or write -1/-1"));
        }
        let (first, last) = text.split_once(['/', '-']).unwrap_or((text, text));
        let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
        let range = port(first).zip(port(last)).and_then(|(first, last)| PortRange::new(first, last));
        range.map(Some).ok_or_else(|| format!("`{text}` is not a port range; write 22/22 or 8000/8080"))
    }

    /// The one thing that an end names; an address wins over a group, a group over a list, as in the API.
    fn peer(&self, end: &str, account: &AccountId) -> Result<Peer, String> {
        if let Some(cidr) = self.cidr(end)? {
            return Ok(Peer::Cidr(cidr));
        }
        if let Some(group) = self.text(&format!("{end}groupid")) {
            let account = self.text("groupownerid").map_or_else(|| account.clone(), AccountId::from);
            return Ok(Peer::Group { group: group.into(), account });
        }
        if let Some(list) = self.text(&format!("{end}prefixlistid")) {
            return Ok(Peer::PrefixList(list.into()));
        }
        self.plain_peer(account)
    }

    /// `Peer` with or without `PeerType`: a block, a group or a list by the look of it.
    fn plain_peer(&self, account: &AccountId) -> Result<Peer, String> {
        let text = self.text("peer").ok_or("no peer is named; give an address, a group or a prefix list")?;
        if text.starts_with("sg-") {
            return Ok(Peer::Group { group: text.into(), account: account.clone() });
        }
        if text.starts_with("pl-") {
            return Ok(Peer::PrefixList(text.into()));
        }
        text.parse().map(Peer::Cidr).map_err(|error: sekimori_core::address::CidrError| error.to_string())
    }

    fn cidr(&self, end: &str) -> Result<Option<Cidr>, String> {
        let text = self.text(&format!("{end}cidrip")).or_else(|| self.text(&format!("ipv6{end}cidrip")));
        let cidr = text.map(str::parse::<Cidr>).transpose();
        cidr.map_err(|error| error.to_string())
    }

    fn description(&self) -> Result<String, String> {
        let text = self.text("description").unwrap_or_default();
        let control = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
        if text.chars().count() > DESCRIPTION_CHARS_MAX || text.contains(control) {
            return Err(format!("the description is longer than {DESCRIPTION_CHARS_MAX} characters, or not text"));
        }
        Ok(text.to_owned())
    }
}

fn check_families(protocol: Protocol, peer: &Peer, local: Option<Cidr>) -> Result<(), String> {
    let of_peer = match peer {
        Peer::Cidr(cidr) => Some(*cidr),
        Peer::Group { .. } | Peer::PrefixList(_) => None,
    };
    for cidr in [of_peer, local].into_iter().flatten() {
        if protocol.family().is_some_and(|family| family != cidr.family()) {
            return Err(format!("protocol {protocol} does not run over the family of `{cidr}`"));
        }
    }
    match (of_peer, local) {
        (Some(peer), Some(local)) if peer.family() != local.family() => {
            Err(format!("`{peer}` and `{local}` are of two families; use one family in a rule"))
        }
        (Some(peer), Some(local)) if peer == local => Err(format!("both ends are `{peer}`; they must differ")),
        (Some(_) | None, _) => Ok(()),
    }
}
