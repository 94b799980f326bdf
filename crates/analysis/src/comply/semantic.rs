//! Controls over the exact sets of packets that pass: what is open, to how many, and the lines that open it.

use std::{cmp::Reverse, collections::BTreeMap};

use sekimori_core::{
    address::{Cidr, Family, from_number},
    ids::RuleId,
    packet::Packet,
    rule::{Direction, Peer, PortRange, Protocol},
    space::{
        Set, TooComplex,
        reach::{Reach, reach},
    },
    ways::Gap,
    world::{Group, World},
};

use super::{
    Cause, OPENS_TOLD_MAX,
    control::Ask,
    exposure::{self, Exposure, Part, Run, WITH_PORTS},
    literal::{BOTH, Forbidden},
    parameters::PortSet,
    world::{self, ALL_PORTS_MIN},
};
use crate::{led::CutOff, portions::Decider, services::names, text};

/// Notes about rules that wait for the first member of a group; more are counted.
const NOTES_MAX: usize = 100;

/// Causes of one group, by what lets pass, while they are found in one policy after another.
pub(super) struct Causes<'a> {
    world: &'a World,
    group: &'a Group,
    /// The default has no rule.
    found: BTreeMap<Option<RuleId>, Cause>,
    /// What the newest line of a cause says, as long as the next one may widen its ports.
    newest: BTreeMap<Option<RuleId>, (Run, String)>,
}

impl<'a> Causes<'a> {
    pub(super) fn new(world: &'a World, group: &'a Group) -> Self {
        Self { world, group, found: BTreeMap::new(), newest: BTreeMap::new() }
    }

    /// Notes what a part lets pass that it should not.
    pub(super) fn add(&mut self, exposure: &Exposure, part: &Part, opens: &str, packets: &Set) {
        let (rule, text) = match &part.decider {
            Some(Decider::Rule(group, rule)) => (Some(rule.clone()), text::rule_of(self.world, group, rule)),
            Some(Decider::Bypass | Decider::Platform(_) | Decider::IntraGroup(_)) | None => {
                (None, format!("no rule matches: the default of {} lets it pass", text::flavor(self.group.flavor)))
            }
        };
        let opens = format!("{opens}{}", self.merged(exposure));
        let new = || Cause { rule: rule.clone(), ..Cause::because(text) };
        let cause = self.found.entry(rule.clone()).or_insert_with(new);
        if !cause.opens.contains(&opens) {
            cause.opens.push(opens);
        }
        if cause.witness.is_none() {
            cause.witness = packets.witness().map(|packet| witness(&packet));
        }
    }

    /// The same of ports that everyone reaches; ports next to each other are told as one range.
    fn add_run(&mut self, exposure: &Exposure, part: &Part, (run, direction): (&Run, Direction), packets: &Set) {
        let rule = match &part.decider {
            Some(Decider::Rule(_, rule)) => Some(rule.clone()),
            Some(Decider::Bypass | Decider::Platform(_) | Decider::IntraGroup(_)) | None => None,
        };
        let mut run = run.clone();
        let merged = self.merged(exposure);
        let before = self.newest.get(&rule).filter(|(before, at)| before.precedes(&run) && *at == merged);
        if let Some((before, _)) = before {
            run.ports = PortRange::new(before.ports.first(), run.ports.last()).unwrap_or(run.ports);
            if let Some(cause) = self.found.get_mut(&rule) {
                cause.opens.pop();
            }
        }
        let toward = if direction == Direction::Ingress { "from" } else { "to" };
        let said = format!("{} {toward} {}", ports_of(run.protocol, run.ports), world::share(run.family, run.peers));
        self.add(exposure, part, &said, packets);
        self.newest.insert(rule, (run, merged));
    }

    pub(super) fn into_causes(self) -> Vec<Cause> {
        let told = |cause: Cause| Cause { opens: told(cause.opens), ..cause };
        self.found.into_values().map(told).collect()
    }

    /// Where it is so, if the group is not by itself there.
    fn merged(&self, exposure: &Exposure) -> String {
        let others: Vec<&str> =
            exposure.groups.iter().filter(|id| **id != self.group.id).map(|id| id.as_str()).collect();
        match (others.is_empty(), exposure.enis) {
            (true, _) => String::new(),
            (false, 1) => format!(", merged with {} at 1 interface", others.join(" + ")),
            (false, enis) => format!(", merged with {} at {enis} interfaces", others.join(" + ")),
        }
    }
}

/// The parts of a policy that are a group's, and those of others.
fn divided<'a>(exposure: &'a Exposure, group: &Group) -> (Vec<&'a Part>, Vec<&'a Part>) {
    exposure.parts.iter().partition(|part| part.is_of(&group.id))
}

/// The parts of a group that are to blame when a measure of what passes is as great as `needed`: nobody's if others reach that without
/// the group and the group not by itself. Of its parts, those that reach it alone; if none does, the greatest until it is reached.
pub(super) fn blamed<'a>(
    (own, others): (&[&'a Part], &[&'a Part]),
    needed: u128,
    measure: &dyn Fn(&[&Part]) -> Result<u128, TooComplex>,
) -> Result<Vec<&'a Part>, TooComplex> {
    let all: Vec<&Part> = own.iter().chain(others).copied().collect();
    if own.is_empty() || measure(&all)? < needed {
        return Ok(Vec::new());
    }
    let is_by_itself = measure(own)? >= needed;
    if !is_by_itself && measure(others)? >= needed {
        return Ok(Vec::new());
    }
    let mut measured = Vec::new();
    for part in own {
        measured.push((measure(&[part])?, *part));
    }
    let alone: Vec<&Part> = measured.iter().filter(|(own, _)| *own >= needed).map(|(_, part)| *part).collect();
    if !alone.is_empty() {
        return Ok(alone);
    }
    measured.sort_by_key(|(own, _)| Reverse(*own));
    let mut together: Vec<&Part> = if is_by_itself { Vec::new() } else { others.to_vec() };
    let mut chosen = Vec::new();
    for (_, part) in measured.into_iter().filter(|(own, _)| *own > 0) {
        together.push(part);
        chosen.push(part);
        if measure(&together)? >= needed {
            break;
        }
    }
    Ok(chosen)
}

/// Lines, if they are not too many to be read.
pub(super) fn told(mut lines: Vec<String>) -> Vec<String> {
    let more = lines.len().saturating_sub(OPENS_TOLD_MAX);
    if more > 0 {
        lines.truncate(OPENS_TOLD_MAX);
        lines.push(format!("and {more} more"));
    }
    lines
}

/// `tcp/22 from 1.0.0.0`: what the other end looks like; the own one is any interface that carries the groups.
pub(super) fn witness(packet: &Packet) -> String {
    let toward = match packet.direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    };
    format!("{} {toward} {}", text::transport(packet.transport), packet.peer)
}

/// `tcp 22-25`.
pub(super) fn ports_of(protocol: u8, ports: PortRange) -> String {
    format!("{} {}", Protocol::Number(protocol), text::ports(Some(ports)))
}

/// The forbidden ports that everyone reaches.
pub(super) fn open_ports(ask: &Ask<'_>, group: &Group, forbidden: &Forbidden) -> Result<Vec<Cause>, TooComplex> {
    let mut causes = Causes::new(ask.world, group);
    for exposure in ask.exposures.of(ask.world, group, Direction::Ingress)? {
        for run in exposure.everyone.iter().filter(|run| forbidden.families.contains(&run.family)) {
            let Some(set) = forbidden.of(run.protocol) else { continue };
            for ports in set.within(run.ports) {
                let run = Run { ports, ..run.clone() };
                blame(&mut causes, (group, &exposure), &run, Direction::Ingress)?;
            }
        }
    }
    Ok(causes.into_causes())
}

/// Whether everyone reaches any port through a group.
pub(super) fn is_public(ask: &Ask<'_>, group: &Group) -> Result<bool, TooComplex> {
    let every = || PortSet::default().others();
    let forbidden = Forbidden { tcp: every(), udp: every(), families: BOTH };
    Ok(!open_ports(ask, group, &forbidden)?.is_empty())
}

/// Notes the lines of the group that open ports to everyone, port by port as far as lines tell them apart.
fn blame(
    causes: &mut Causes<'_>,
    (group, exposure): (&Group, &Exposure),
    run: &Run,
    direction: Direction,
) -> Result<(), TooComplex> {
    let (own, others) = divided(exposure, group);
    for run in run.cut(&exposure.parts, direction)? {
        let wrong = run.packets(direction)?;
        let measure = |parts: &[&Part]| public_peers(parts, &wrong, direction);
        for part in blamed((&own, &others), world::everyone_min(run.family), &measure)? {
            causes.add_run(exposure, part, (&run, direction), &part.packets.intersection(&wrong)?);
        }
    }
    Ok(())
}

/// How many peers reach the same few packets through some parts.
pub(super) fn public_peers(parts: &[&Part], wrong: &Set, direction: Direction) -> Result<u128, TooComplex> {
    let reached = within(parts, wrong, direction)?;
    Ok(reached.iter().map(Reach::peer_count).max().unwrap_or(0))
}

/// Who reaches some packets through some parts.
fn within(parts: &[&Part], packets: &Set, direction: Direction) -> Result<Vec<Reach>, TooComplex> {
    let meeting = parts.iter().filter(|part| part.packets.meets(packets));
    let sets: Vec<Set> = meeting.map(|part| part.packets.intersection(packets)).collect::<Result<_, _>>()?;
    reach(&sets.iter().collect::<Vec<_>>(), direction)
}

/// All ports of TCP or UDP are open to everyone, or everyone is reached on all of them.
pub(super) fn open_to_everyone(ask: &Ask<'_>, group: &Group, direction: Direction) -> Result<Vec<Cause>, TooComplex> {
    let mut causes = Causes::new(ask.world, group);
    for exposure in ask.exposures.of(ask.world, group, direction)? {
        let (own, others) = divided(&exposure, group);
        for family in [Family::V4, Family::V6] {
            for protocol in WITH_PORTS {
                let is_it = |run: &&Run| (run.family, run.protocol) == (family, protocol);
                let measure = |parts: &[&Part]| {
                    let runs = exposure::everyone(parts, direction)?;
                    Ok(runs.iter().filter(is_it).map(|run| u128::from(width(run.ports))).sum())
                };
                for part in blamed((&own, &others), u128::from(ALL_PORTS_MIN), &measure)? {
                    for run in exposure.everyone.iter().filter(is_it) {
                        let packets = part.packets.intersection(&run.packets(direction)?)?;
                        if !packets.is_empty() {
                            causes.add_run(&exposure, part, (run, direction), &packets);
                        }
                    }
                }
            }
        }
    }
    Ok(causes.into_causes())
}

fn width(ports: PortRange) -> u64 {
    u64::from(ports.last()) - u64::from(ports.first()) + 1
}

/// Some peer reaches all ports of TCP or UDP.
pub(super) fn all_ports(ask: &Ask<'_>, group: &Group) -> Result<Vec<Cause>, TooComplex> {
    let mut causes = Causes::new(ask.world, group);
    for exposure in ask.exposures.of(ask.world, group, Direction::Ingress)? {
        for protocol in WITH_PORTS {
            let question = Widest {
                packets: Set::of_ports(Direction::Ingress, protocol, PortRange::ALL),
                needed: ALL_PORTS_MIN,
                weights: &|reached| {
                    let ports = |reach: &Reach| Some((width(reach.ports(protocol)?), reach.numbers().to_vec()));
                    reached.iter().filter_map(ports).collect()
                },
                what: format!("all ports of {}", Protocol::Number(protocol)),
            };
            question.ask(&mut causes, (group, &exposure))?;
        }
    }
    Ok(causes.into_causes())
}

/// Some peer sends packets of every protocol.
pub(super) fn all_protocols(ask: &Ask<'_>, group: &Group) -> Result<Vec<Cause>, TooComplex> {
    let mut causes = Causes::new(ask.world, group);
    for exposure in ask.exposures.of(ask.world, group, Direction::Ingress)? {
        let question = Widest {
            packets: Set::everything(Direction::Ingress),
            needed: PROTOCOLS,
            weights: &|reached| (0..=u8::MAX).map(|protocol| (1, peers_of(reached, protocol))).collect(),
            what: "every protocol".to_owned(),
        };
        question.ask(&mut causes, (group, &exposure))?;
    }
    Ok(causes.into_causes())
}

/// The numbers of protocols.
const PROTOCOLS: u64 = 256;

/// Addresses that something of some weight is open to.
type Weighted = (u64, Vec<(u128, u128)>);

/// Whether there is a peer for whom enough is open.
struct Widest<'a> {
    /// The packets that count.
    packets: Set,
    needed: u64,
    /// What is open to whom, of the reaches of one family; what is open to the same peer adds up.
    weights: &'a dyn Fn(&[Reach]) -> Vec<Weighted>,
    what: String,
}

impl Widest<'_> {
    fn ask(&self, causes: &mut Causes<'_>, (group, exposure): (&Group, &Exposure)) -> Result<(), TooComplex> {
        // What comes before every rule opens more than rules can, and is no rule.
        let (own, others) = divided(exposure, group);
        let others: Vec<&Part> = others.into_iter().filter(|part| part.is_rule()).collect();
        for family in [Family::V4, Family::V6] {
            let all: Vec<&Part> = own.iter().chain(&others).copied().collect();
            let [total, mine, theirs] = [&all, &own, &others].map(|parts| self.open_to(parts, &self.packets, family));
            let Some(peer) = self.worst([&total?, &mine?, &theirs?]) else { continue };
            let only = at(family, peer)?.intersection(&self.packets)?;
            let measure = |parts: &[&Part]| {
                let open = self.open_to(parts, &only, family)?;
                Ok(open.iter().filter(|(_, spans)| !spans.is_empty()).map(|(weight, _)| u128::from(*weight)).sum())
            };
            for part in blamed((&own, &others), u128::from(self.needed), &measure)? {
                let said = format!("{} from {}, among others", self.what, from_number(family, peer));
                causes.add(exposure, part, &said, &part.packets.intersection(&only)?);
            }
        }
        Ok(())
    }

    fn open_to(&self, parts: &[&Part], packets: &Set, family: Family) -> Result<Vec<Weighted>, TooComplex> {
        let reached = within(parts, packets, Direction::Ingress)?;
        let of_family: Vec<Reach> = reached.into_iter().filter(|reach| reach.family == family).collect();
        Ok((self.weights)(&of_family))
    }

    /// The first peer for whom the group opens enough: by itself, or together with others who do not open enough without it.
    fn worst(&self, [total, own, others]: [&[Weighted]; 3]) -> Option<u128> {
        let mut changes: BTreeMap<u128, [(u64, u64); 3]> = BTreeMap::new();
        for (place, open) in [total, own, others].into_iter().enumerate() {
            for (weight, (first, last)) in
                open.iter().flat_map(|(weight, spans)| spans.iter().map(move |span| (weight, *span)))
            {
                if let Some((more, _)) = changes.entry(first).or_default().get_mut(place) {
                    *more += weight;
                }
                let next = last.checked_add(1).and_then(|next| changes.entry(next).or_default().get_mut(place));
                if let Some((_, less)) = next {
                    *less += weight;
                }
            }
        }
        let mut sums = [0_u64; 3];
        for (at, change) in changes {
            for (sum, (more, less)) in sums.iter_mut().zip(change) {
                *sum = (*sum + more).saturating_sub(less);
            }
            let [total, own, others] = sums;
            if own >= self.needed || (total >= self.needed && others < self.needed) {
                return Some(at);
            }
        }
        None
    }
}

/// The peers that send any packet of a protocol, each of them in one span.
fn peers_of(reaches: &[Reach], protocol: u8) -> Vec<(u128, u128)> {
    let has = |reach: &&Reach| {
        let (first, last) = reach.protocols();
        first <= protocol && protocol <= last
    };
    let mut spans: Vec<(u128, u128)> =
        reaches.iter().filter(has).flat_map(|reach| reach.numbers().to_vec()).collect();
    spans.sort_unstable();
    spans.dedup_by(|next, before| {
        let is_joined = next.0 <= before.1.saturating_add(1);
        if is_joined {
            before.1 = before.1.max(next.1);
        }
        is_joined
    });
    spans
}

/// The packets of one peer.
fn at(family: Family, peer: u128) -> Result<Set, TooComplex> {
    Set::of_peers(Direction::Ingress, &[Cidr::from(ipnet::IpNet::from(from_number(family, peer)))])
}

/// Peers that are not private reach something.
pub(super) fn from_the_internet(ask: &Ask<'_>, group: &Group) -> Result<Vec<Cause>, TooComplex> {
    let mut causes = Causes::new(ask.world, group);
    let outside = world::not_private(Direction::Ingress)?;
    for exposure in ask.exposures.of(ask.world, group, Direction::Ingress)? {
        for part in exposure.parts.iter().filter(|part| part.is_of(&group.id)) {
            let packets = part.packets.intersection(&outside)?;
            for reach in reach(&[&packets], Direction::Ingress)? {
                causes.add(&exposure, part, &described(&reach, Direction::Ingress), &packets);
            }
        }
    }
    Ok(causes.into_causes())
}

/// The lines of a group that let anything pass in one direction, whoever else lets it pass.
pub(super) fn lets_pass(ask: &Ask<'_>, group: &Group, direction: Direction) -> Result<Vec<Cause>, TooComplex> {
    let mut causes = Causes::new(ask.world, group);
    for exposure in ask.exposures.of(ask.world, group, direction)? {
        for part in exposure.parts.iter().filter(|part| part.is_of(&group.id)) {
            for reach in reach(&[&part.packets], direction)? {
                causes.add(&exposure, part, &described(&reach, direction), &part.packets);
            }
        }
    }
    Ok(causes.into_causes())
}

/// Blocks and ranges of addresses that are told of one reach.
const SPANS_TOLD_MAX: usize = 4;

/// `tcp 22 from 0.0.0.0-9.255.255.255, 11.0.0.0-255.255.255.255`.
pub(crate) fn described(reach: &Reach, direction: Direction) -> String {
    let toward = if direction == Direction::Ingress { "from" } else { "to" };
    let range = |(first, last): (std::net::IpAddr, std::net::IpAddr)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    let spans = told_spans(reach.peers().map(range).collect());
    format!("{} {toward} {spans}", services(reach))
}

fn told_spans(mut spans: Vec<String>) -> String {
    let more = spans.len().saturating_sub(SPANS_TOLD_MAX);
    spans.truncate(SPANS_TOLD_MAX);
    let told = spans.join(", ");
    if more == 0 { told } else { format!("{told} and {more} more ranges") }
}

/// The services of a reach: a protocol with its ports, or a run of protocols, whose ends may be parts of one.
fn services(reach: &Reach) -> String {
    match reach.protocols() {
        (0, u8::MAX) => "all".to_owned(),
        (first, last) if first == last => match reach.ports(first) {
            Some(ports) if matches!(first, 6 | 17) => ports_of(first, ports),
            Some(ports) if matches!(first, 1 | 58) && ports != PortRange::ALL => {
                let type_code = |number: u16| format!("type {} code {}", number >> 8, number & 0xff);
                let (low, high) = (type_code(ports.first()), type_code(ports.last()));
                let name = Protocol::Number(first);
                if low == high { format!("{name} {low}") } else { format!("{name} {low} to {high}") }
            }
            Some(_) | None => Protocol::Number(first).to_string(),
        },
        _ => names(reach.services()).join(", "),
    }
}

/// Rules that name a group which nobody carries: they open nothing now, and something with the first member.
pub(super) fn waiting_rules(world: &World, only: Option<&str>) -> Vec<String> {
    let mut notes = Vec::new();
    for group in world.groups().filter(|group| only.is_none_or(|id| group.id.as_str() == id)) {
        for rule in group.rules.values() {
            let Peer::Group { group: peer, .. } = &rule.spec.peer else { continue };
            if world.members(peer).next().is_none() {
                let said = text::rule_of(world, &group.id, &rule.id);
                notes.push(format!("{said}: nobody carries {peer}, so it opens nothing until somebody does"));
            }
        }
    }
    let more = notes.len().saturating_sub(NOTES_MAX);
    if more > 0 {
        notes.truncate(NOTES_MAX);
        notes.push(format!("and {more} more rules that name groups without members"));
    }
    notes
}

/// Says of a group that was found open that no interface which carries it is known to be reached from the internet: the finding stands,
/// for the next interface may be.
pub(super) fn cut_off(world: &World, ways: &mut CutOff<'_>, group: &str) -> Option<String> {
    let group = world.group(&group.into())?;
    let gaps: Vec<Gap> = world.members(&group.id).map(|eni| ways.gap(eni)).collect::<Option<_>>()?;
    let first = gaps.first()?;
    let named = text::named(group.id.as_str(), &group.name);
    let count = gaps.len();
    Some(format!(
        "{named}: none of the {count} interfaces that carry it is reached from the internet as things are: {first}"
    ))
}
