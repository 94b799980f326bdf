//! Services as exact sets in one form: which protocols, ports or types, from which source ports; and the words for them.
//!
//! Two sets that hold the same services are equal, so that what reaches alike can be told together.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

use sekimori_core::{
    address::{Family, number},
    space::{Set, view::Bounds},
};

/// Words of one set of services; the rest is counted.
pub(crate) const SERVICE_WORDS_MAX: usize = 64;
/// Runs of addresses that are told of one set; the rest is counted.
pub(crate) const RANGES_TOLD_MAX: usize = 64;

/// `protocol << 16 | port`, as in [`Bounds::services`].
type Span = (u32, u32);
type Ports = (u16, u16);

/// The discovery of neighbours and routers (ICMPv6 types 133 to 137), which no rule decides.
const DISCOVERY: Span = (58 << 16 | 133 << 8, 58 << 16 | 137 << 8 | 0xff);
/// Every type and code of ICMPv6.
const ICMP_V6: Span = (58 << 16, 58 << 16 | 0xffff);

const EVERY_PORT: Ports = (0, u16::MAX);

/// A set of services: runs in order, each with the source ports that it goes with. Runs that follow each other differ in these.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Services(Vec<(Span, Vec<Ports>)>);

impl Services {
    /// The services of some boxes, whatever their addresses.
    pub(crate) fn of<'a>(boxes: impl IntoIterator<Item = &'a Bounds>) -> Self {
        let boxes: Vec<(Span, Ports)> = boxes.into_iter().map(|bounds| (bounds.services, bounds.sources)).collect();
        if let [(span, ports)] = boxes.as_slice() {
            return Self(vec![(*span, vec![*ports])]);
        }
        let mut starts: Vec<u32> = boxes.iter().flat_map(|((first, last), _)| [*first, last + 1]).collect();
        starts.sort_unstable();
        starts.dedup();
        let mut services = Self::default();
        for run in starts.windows(2) {
            let [first, end] = run else { continue };
            let within = boxes.iter().filter(|((from, to), _)| from <= first && end - 1 <= *to);
            services.push((*first, end - 1), merged(within.map(|(_, ports)| *ports).collect()));
        }
        services
    }

    fn push(&mut self, (first, last): Span, ports: Vec<Ports>) {
        if ports.is_empty() {
            return;
        }
        match self.0.last_mut() {
            Some(((_, end), before)) if *end + 1 == first && *before == ports => *end = last,
            Some(_) | None => self.0.push(((first, last), ports)),
        }
    }

    /// The services that are in both.
    pub(crate) fn meet(&self, other: &Self) -> Self {
        let mut both = Self::default();
        let mut others = other.0.iter().peekable();
        let mut own = self.0.iter().peekable();
        while let (Some((span, ports)), Some((other_span, other_ports))) = (own.peek(), others.peek()) {
            let (first, last) = (span.0.max(other_span.0), span.1.min(other_span.1));
            if first <= last {
                both.push((first, last), common(ports, other_ports));
            }
            if span.1 < other_span.1 {
                own.next();
            } else {
                others.next();
            }
        }
        both
    }

    /// The same as they are told: discovery is no service that a rule opens, so it is not told by itself, but it is not cut out of the whole
    /// of ICMPv6 either.
    pub(crate) fn told(self) -> Self {
        let has_whole = |((first, last), _): &(Span, Vec<Ports>)| *first <= ICMP_V6.0 && ICMP_V6.1 <= *last;
        let has_some = |((first, last), _): &(Span, Vec<Ports>)| *first <= DISCOVERY.1 && DISCOVERY.0 <= *last;
        if self.0.iter().any(has_whole) || !self.0.iter().any(has_some) {
            return self;
        }
        let mut told = Self::default();
        for (span, ports) in self.0 {
            judged(span).for_each(|part| told.push(part, ports.clone()));
        }
        told
    }

    /// Whether there is none.
    pub(crate) fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// The first number of a run that is not among the services, from whatever source port.
    pub(crate) fn gap(&self, (first, last): Span) -> Option<u32> {
        let mut next = first;
        for ((from, to), _) in &self.0 {
            if *to < next {
                continue;
            }
            if *from > next || next > last {
                break;
            }
            next = to + 1;
        }
        (next <= last).then_some(next)
    }

    /// `tcp/22`, `udp/67 from port 68`, `icmp/8/0`, `all`.
    pub(crate) fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        for (span, ports) in &self.0 {
            for name in names(*span) {
                words.extend(ports.iter().map(|ports| format!("{name}{}", source(*ports))));
            }
        }
        shortened(words, SERVICE_WORDS_MAX)
    }
}

/// The parts of a run of services that rules decide about.
pub(crate) fn judged((first, last): Span) -> impl Iterator<Item = Span> {
    let parts = if last < DISCOVERY.0 || DISCOVERY.1 < first {
        [Some((first, last)), None]
    } else {
        let before = (first < DISCOVERY.0).then_some((first, DISCOVERY.0 - 1));
        [before, (DISCOVERY.1 < last).then_some((DISCOVERY.1 + 1, last))]
    };
    parts.into_iter().flatten()
}

/// What is told of a list that may be long.
pub(crate) fn shortened(mut words: Vec<String>, most: usize) -> Vec<String> {
    let more = words.len().saturating_sub(most);
    words.truncate(most);
    words.extend((more > 0).then(|| format!("and {more} more")));
    words
}

fn merged(mut ports: Vec<Ports>) -> Vec<Ports> {
    ports.sort_unstable();
    let mut runs: Vec<Ports> = Vec::new();
    for (first, last) in ports {
        match runs.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
            Some(_) | None => runs.push((first, last)),
        }
    }
    runs
}

fn common(one: &[Ports], other: &[Ports]) -> Vec<Ports> {
    let meet = |own: &Ports| {
        let own = *own;
        other.iter().map(move |other| (own.0.max(other.0), own.1.min(other.1))).filter(|(first, last)| first <= last)
    };
    merged(one.iter().flat_map(meet).collect())
}

fn source((first, last): Ports) -> String {
    match (first, last) {
        EVERY_PORT => String::new(),
        (first, last) if first == last => format!(" from port {first}"),
        (first, last) => format!(" from ports {first}-{last}"),
    }
}

/// A run of services, protocol by protocol; protocols that follow each other whole are one word.
pub(crate) fn names((mut first, last): Span) -> Vec<String> {
    if (first, last) == (0, 0xff_ffff) {
        return vec!["all".to_owned()];
    }
    let mut names = Vec::new();
    while first <= last {
        let (protocol, end) = (first >> 16, first | 0xffff);
        if first & 0xffff == 0 && end <= last {
            // As many whole protocols as follow each other.
            let until = if last & 0xffff == 0xffff { last >> 16 } else { (last >> 16) - 1 };
            names.push(protocols(protocol, until));
            first = (until << 16 | 0xffff) + 1;
        } else {
            names.extend(parts(protocol, first & 0xffff, last.min(end) & 0xffff));
            first = end + 1;
        }
    }
    names
}

fn protocols(first: u32, last: u32) -> String {
    if first == last { name(first) } else { format!("protocols {first}-{last}") }
}

fn name(protocol: u32) -> String {
    match protocol {
        1 => "icmp".to_owned(),
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        47 => "gre".to_owned(),
        58 => "icmpv6".to_owned(),
        other => format!("protocol {other}"),
    }
}

/// Some ports of a protocol, or types and codes.
fn parts(protocol: u32, first: u32, last: u32) -> Vec<String> {
    let name = name(protocol);
    let run = |first: u32, last: u32| if first == last { first.to_string() } else { format!("{first}-{last}") };
    if !matches!(protocol, 1 | 58) {
        return vec![format!("{name}/{}", run(first, last))];
    }
    let (kinds, codes) = ((first >> 8, last >> 8), (first & 0xff, last & 0xff));
    match (kinds, codes) {
        ((from, to), (0, 0xff)) => vec![format!("{name}/{}", run(from, to))],
        ((from, to), _) if from == to => vec![format!("{name}/{from}/{}", run(codes.0, codes.1))],
        ((from, _), (0, _)) => {
            let rest = parts(protocol, last & !0xff, last);
            [parts(protocol, from << 8, (last & !0xff) - 1), rest].concat()
        }
        ((from, _), _) => [parts(protocol, first, from << 8 | 0xff), parts(protocol, (from + 1) << 8, last)].concat(),
    }
}

/// Packets of a set with the same services: at which own addresses, and to or from whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) services: Services,
    pub(crate) own: (IpAddr, IpAddr),
    pub(crate) peers: Vec<(IpAddr, IpAddr)>,
}

/// A set, row by row. Rows may tell of the same addresses, never of the same packets.
pub(crate) fn rows(set: &Set) -> Vec<Row> {
    type Ends = (IpAddr, IpAddr);
    let mut by_ends: BTreeMap<(Ends, Ends), Vec<Bounds>> = BTreeMap::new();
    for bounds in set.boxes() {
        by_ends.entry((bounds.own, bounds.peers)).or_default().push(bounds);
    }
    let mut rows: BTreeMap<(Ends, Services), Vec<Ends>> = BTreeMap::new();
    for ((own, peers), boxes) in by_ends {
        rows.entry((own, Services::of(&boxes))).or_default().push(peers);
    }
    let joined = |((own, services), peers)| Row { services, own, peers: joined(peers) };
    rows.into_iter().map(joined).collect()
}

/// Runs of addresses in order, those that follow each other as one.
pub(crate) fn joined(mut ranges: Vec<(IpAddr, IpAddr)>) -> Vec<(IpAddr, IpAddr)> {
    ranges.sort_unstable();
    let mut runs: Vec<(IpAddr, IpAddr)> = Vec::new();
    for (first, last) in ranges {
        match runs.last_mut() {
            Some((_, end))
                if Family::of(*end) == Family::of(first) && number(first) <= number(*end).saturating_add(1) =>
            {
                *end = last.max(*end);
            }
            Some(_) | None => runs.push((first, last)),
        }
    }
    runs
}

/// `10.0.0.0/8`, `10.0.0.1`, or `10.0.0.3-10.0.0.9` for what is no block.
pub(crate) fn range((first, last): (IpAddr, IpAddr)) -> String {
    if first == last {
        return first.to_string();
    }
    let mut blocks: Vec<IpNet> = match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => Ipv4Subnets::new(first, last, 0).take(2).map(IpNet::V4).collect(),
        (IpAddr::V6(first), IpAddr::V6(last)) => Ipv6Subnets::new(first, last, 0).take(2).map(IpNet::V6).collect(),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => Vec::new(),
    };
    match (blocks.pop(), blocks.is_empty()) {
        (Some(block), true) => block.to_string(),
        (Some(_) | None, _) => format!("{first}-{last}"),
    }
}

/// Runs of addresses in words.
pub(crate) fn ranges(runs: &[(IpAddr, IpAddr)]) -> Vec<String> {
    shortened(runs.iter().map(|run| range(*run)).collect(), RANGES_TOLD_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn services(boxes: &[(Span, Ports)]) -> Services {
        let address: IpAddr = "10.0.0.1".parse().unwrap();
        let bounds = |(services, sources): &(Span, Ports)| Bounds {
            direction: sekimori_core::rule::Direction::Ingress,
            family: Family::V4,
            services: *services,
            sources: *sources,
            peers: (address, address),
            own: (address, address),
        };
        let boxes: Vec<Bounds> = boxes.iter().map(bounds).collect();
        Services::of(&boxes)
    }

    const TCP: u32 = 6 << 16;

    #[test]
    fn what_is_the_same_is_equal_however_it_was_cut() {
        let whole = services(&[((TCP, TCP | 99), EVERY_PORT)]);
        let cut =
            [((TCP | 50, TCP | 99), (9, u16::MAX)), ((TCP, TCP | 99), (0, 8)), ((TCP, TCP | 49), (9, u16::MAX))];
        assert_eq!(services(&cut), whole);
        assert_eq!(whole.meet(&services(&[((0, 0xff_ffff), EVERY_PORT)])), whole);
        assert_eq!(whole.meet(&services(&[((TCP | 100, TCP | 101), EVERY_PORT)])), Services::default());
    }

    #[test]
    fn services_are_told_as_people_write_them() {
        let words = |boxes: &[(Span, Ports)]| services(boxes).words().join(", ");
        assert_eq!(words(&[((0, 0xff_ffff), EVERY_PORT)]), "all");
        assert_eq!(words(&[((TCP, TCP | 0xffff), EVERY_PORT)]), "tcp");
        assert_eq!(
            words(&[((TCP | 22, TCP | 22), EVERY_PORT), ((TCP | 80, TCP | 90), EVERY_PORT)]),
            "tcp/22, tcp/80-90"
        );
        assert_eq!(words(&[((17 << 16 | 67, 17 << 16 | 67), (68, 68))]), "udp/67 from port 68");
        assert_eq!(words(&[((1 << 16 | 8 << 8, 1 << 16 | 8 << 8), EVERY_PORT)]), "icmp/8/0");
        assert_eq!(
            words(&[((1 << 16 | 8 << 8 | 3, 1 << 16 | 10 << 8 | 4), EVERY_PORT)]),
            "icmp/8/3-255, icmp/9, icmp/10/0-4"
        );
        assert_eq!(
            words(&[((0, TCP | 21), EVERY_PORT), ((TCP | 23, 0xff_ffff), EVERY_PORT)]),
            "protocols 0-5, tcp/0-21, tcp/23-65535, protocols 7-255"
        );
    }

    #[test]
    fn runs_of_addresses_are_blocks_where_they_can_be() {
        let range = |first: &str, last: &str| range((first.parse().unwrap(), last.parse().unwrap()));
        assert_eq!(range("0.0.0.0", "255.255.255.255"), "0.0.0.0/0");
        assert_eq!(range("10.0.0.4", "10.0.0.7"), "10.0.0.4/30");
        assert_eq!(range("10.0.0.3", "10.0.0.7"), "10.0.0.3-10.0.0.7");
        assert_eq!(range("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), "::/0");
    }
}
