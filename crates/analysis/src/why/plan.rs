//! The smallest change that makes every pair of a question pass, or none.
//!
//! Each step is tried on a copy of the world, by the same command that the API would make of it, and judged there: what is refused or
//! does not help is never told. Of the changes that help, the one is taken that decides the fewest packets beside those that were
//! asked about, then the one of the fewest steps, then the one whose group the fewest interfaces carry.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use ipnet::IpNet;

use sekimori_core::{
    address::{Cidr, Family},
    command::NewRule,
    ids::GroupId,
    limits::LimitMode,
    network_acl::{ACL_NUMBER_MAX, AclEntry},
    packet::{Packet, Transport, Why},
    rule::{Action, Direction, Peer, PortRange, Protocol, Rule, RuleSpec, Service},
    space::resolve::Reader,
    verdict,
    world::{Dialect, Eni, Flavor, Group, World},
};

use super::{
    Goal,
    cost::{Cost, Difference, Seen, Target},
    edit::{Edit, can_name},
    pairs::{Asked, Named, Scope},
};
use crate::trial::Trial;

/// Steps of one change.
pub const WHY_STEPS_MAX: usize = 16;
/// Steps that may be taken at one interface, one making room for the next.
const DEPTH_MAX: usize = 4;
/// The lowest priority that a rule may have.
const PRIORITY_LAST: u8 = 100;
/// Rules of an interface that are tried at another priority for one packet: those first that say least.
const MOVED_MAX: usize = 16;
/// The ports that answers go to when no source port is asked about (Amazon VPC guide, "Ephemeral ports").
const EPHEMERAL: (u16, u16) = (1_024, u16::MAX);

/// A change, and the world after it.
pub(super) struct Plan {
    pub(super) edits: Vec<Edit>,
    pub(super) after: World,
    pub(super) cost: Cost,
}

impl Plan {
    /// Whether a network ACL takes part, which every packet meets.
    pub(super) fn is_by_acl(&self) -> bool {
        self.edits.iter().any(|edit| match edit {
            Edit::PutEntry { .. } | Edit::DeleteEntry { .. } => true,
            Edit::Authorize { .. }
            | Edit::Revoke { .. }
            | Edit::Move { .. }
            | Edit::InnerDrop { .. }
            | Edit::Platform { .. } => false,
        })
    }
}

/// One interface on the way, and what it has to decide.
struct Probe<'a> {
    eni: &'a Arc<Eni>,
    packet: Packet,
    /// Whether it is the answer, which only a network ACL looks at.
    is_answer: bool,
    own: &'a Named,
    other: &'a Named,
}

/// Edits that are made at once.
struct Step {
    edits: Vec<Edit>,
    /// Whether they only make room for others.
    clears: bool,
    /// Whether they are for when nothing else is possible: a rule for each member where one for the group is refused.
    is_last: bool,
}

impl Step {
    /// Edits after which it is looked what decides then.
    fn clearing(edits: Vec<Edit>) -> Self {
        Self { edits, clears: true, is_last: false }
    }
}

/// How small a change is: packets beside those asked about, steps, interfaces that carry its groups, own blocks.
type Rank = (u128, usize, usize, usize);

/// Finds a change.
///
/// # Errors
/// Says what stands in the way.
pub(super) fn plan(
    world: &World,
    scope: &Scope,
    goal: Goal,
    (source_port, limits): (Option<u16>, LimitMode),
) -> Result<Plan, String> {
    let target = Target::of(&seen(scope), source_port).map_err(|error| error.to_string())?;
    let planner = Planner { world, scope, goal, target, source_port };
    let mut trial = Trial::of(world, limits);
    let mut edits: Vec<Edit> = Vec::new();
    for asked in &scope.asked {
        while !planner.is_met(trial.world(), asked) {
            let (more, next) = planner.best(&trial, asked)?;
            edits.extend(more);
            if edits.len() > WHY_STEPS_MAX {
                return Err(format!("it takes more than {WHY_STEPS_MAX} changes; ask about fewer ends"));
            }
            trial = next;
        }
    }
    if !scope.asked.iter().all(|asked| planner.is_met(trial.world(), asked)) {
        return Err("what helps one of the pairs undoes it for another; ask about them one by one".to_owned());
    }
    let (edits, trial) = planner.without_idle(world, limits, (edits, trial));
    let after = trial.world().clone();
    let cost = Difference { before: world, after: &after, edits: &edits, goal }.cost(&planner.target);
    Ok(Plan { edits, after, cost })
}

/// What the interfaces on the way see of a question, answers included.
fn seen(scope: &Scope) -> Vec<Seen> {
    let ways = [Direction::Egress, Direction::Ingress];
    let of = |asked: &Asked| {
        let all = ways.into_iter().filter_map(|way| asked.pair.packet(way));
        all.map(|(eni, packet)| (eni.id.clone(), packet, asked.outside)).collect::<Vec<_>>()
    };
    scope.asked.iter().flat_map(of).collect()
}

struct Planner<'a> {
    /// As it is before any change.
    world: &'a World,
    scope: &'a Scope,
    goal: Goal,
    target: Target,
    source_port: Option<u16>,
}

impl Planner<'_> {
    fn is_met(&self, world: &World, asked: &Asked) -> bool {
        let mut probes = self.probes(asked);
        match self.goal {
            Goal::Allow => probes.all(|probe| passes(world, &probe)),
            Goal::Stop => probes.any(|probe| !probe.is_answer && !passes(world, &probe)),
        }
    }

    /// The change without steps that the others do without: what was taken for one pair may be in what a later one needs.
    fn without_idle(
        &self,
        world: &World,
        limits: LimitMode,
        (mut edits, mut trial): (Vec<Edit>, Trial),
    ) -> (Vec<Edit>, Trial) {
        let mut index = 0;
        while index < edits.len() {
            let mut fewer = edits.clone();
            fewer.remove(index);
            let mut next = Trial::of(world, limits);
            let works = fewer.iter().all(|edit| next.run(&edit.command()).unwrap_or_default());
            if works && self.scope.asked.iter().all(|asked| self.is_met(next.world(), asked)) {
                (edits, trial) = (fewer, next);
            } else {
                index += 1;
            }
        }
        (edits, trial)
    }

    fn probes<'b>(&'b self, asked: &'b Asked) -> impl Iterator<Item = Probe<'b>> + use<'b> {
        let ends = |way: Direction| match way {
            Direction::Egress => (&self.scope.from, &self.scope.to),
            Direction::Ingress => (&self.scope.to, &self.scope.from),
        };
        let ways = [Direction::Egress, Direction::Ingress];
        let there = ways.into_iter().filter_map(move |way| Some((asked.pair.packet(way)?, way, false)));
        let back = ways.into_iter().filter_map(move |way| Some((asked.pair.answer(way)?, way.reverse(), true)));
        there.chain(back).map(move |((eni, packet), way, is_answer)| {
            let (own, other) = ends(way);
            Probe { eni, packet, is_answer, own, other }
        })
    }

    /// The best change for a pair as the world is now.
    fn best(&self, trial: &Trial, asked: &Asked) -> Result<(Vec<Edit>, Trial), String> {
        let world = trial.world();
        let probes = self.probes(asked);
        let open: Vec<Probe<'_>> = match self.goal {
            Goal::Allow => probes.filter(|probe| !passes(world, probe)).take(1).collect(),
            Goal::Stop => probes.filter(|probe| !probe.is_answer).collect(),
        };
        let found = open.iter().filter_map(|probe| self.satisfy(world, trial, (probe, &[]), DEPTH_MAX));
        let best = found.min_by(|(one, ..), (other, ..)| one.cmp(other));
        best.map(|(_, edits, trial)| (edits, trial)).ok_or_else(|| no_way(world, &open))
    }

    /// The best change at one interface, after what was done already.
    fn satisfy(
        &self,
        before: &World,
        trial: &Trial,
        (probe, done): (&Probe<'_>, &[Edit]),
        depth: usize,
    ) -> Option<(Rank, Vec<Edit>, Trial)> {
        let tried = |step: Step| {
            let mut next = trial.clone();
            let works = step.edits.iter().all(|edit| next.run(&edit.command()).unwrap_or_default());
            if !works || step.edits.is_empty() {
                return None;
            }
            let edits = [done, &step.edits].concat();
            let is_met = passes(next.world(), probe) == (self.goal == Goal::Allow);
            match (is_met, step.clears && depth > 1) {
                (true, _) => Some((self.rank(before, next.world(), &edits), edits, next)),
                (false, true) => self.satisfy(before, &next, (probe, &edits), depth - 1),
                (false, false) => None,
            }
        };
        let (last, steps): (Vec<Step>, Vec<Step>) =
            self.steps(trial.world(), probe).into_iter().partition(|step| step.is_last);
        let best =
            |steps: Vec<Step>| steps.into_iter().filter_map(&tried).min_by(|(one, ..), (other, ..)| one.cmp(other));
        best(steps).or_else(|| best(last))
    }

    fn rank(&self, before: &World, after: &World, edits: &[Edit]) -> Rank {
        let count = Difference { before, after, edits, goal: self.goal }.count(&self.target).unwrap_or(u128::MAX);
        let carriers = edits.iter().map(|edit| edit.interfaces(before).len()).sum();
        let is_narrowed = |edit: &&Edit| match edit {
            Edit::Authorize { rule, .. } => rule.spec.local.is_some(),
            Edit::Revoke { .. }
            | Edit::Move { .. }
            | Edit::InnerDrop { .. }
            | Edit::PutEntry { .. }
            | Edit::DeleteEntry { .. }
            | Edit::Platform { .. } => false,
        };
        (count, edits.len(), carriers, edits.iter().filter(is_narrowed).count())
    }

    /// What could be done next.
    fn steps(&self, world: &World, probe: &Probe<'_>) -> Vec<Step> {
        let decision = verdict::decide(world, probe.eni, &probe.packet);
        let by_groups = || match self.goal {
            Goal::Allow => self.opening(world, probe),
            Goal::Stop => self.closing(world, probe),
        };
        let mut steps = match &decision.why {
            Why::NetworkAcl { .. } => Vec::new(),
            Why::Platform { policy } => vec![Step::clearing(vec![Edit::Platform { policy: *policy }])],
            Why::IntraGroup { .. } => shared(world, probe),
            Why::Rule { .. } | Why::Default => by_groups(),
            Why::Bypass
            | Why::KnownFlow
            | Why::Spoofed
            | Why::MidStream
            | Why::Fragment
            | Why::Malformed
            | Why::NoPolicy
            | Why::TableFull
            | Why::HalfOpen
            | Why::NoWay { .. } => Vec::new(),
        };
        steps.extend(self.entries(world, probe));
        steps
    }

    /// Rules that let a packet pass, and rules whose absence does.
    fn opening(&self, world: &World, probe: &Probe<'_>) -> Vec<Step> {
        let (denying, allowing) = (matching(world, probe, Action::Deny), matching(world, probe, Action::Allow));
        let Some(first) = priorities(&denying).min() else {
            return self.rules(world, probe, (Action::Allow, PRIORITY_LAST));
        };
        let in_first: Vec<_> = denying.into_iter().filter(|(_, rule)| rule.spec.priority == first).collect();
        let mut steps = Vec::new();
        // At the same priority deny decides. What is there already goes before what would be new, where both do as little.
        if first > 1 {
            steps.extend(self.narrow(world, probe, &allowing).map(|one| self.moving([one], first - 1)));
            steps.extend(self.rules(world, probe, (Action::Allow, first - 1)));
        }
        let behind = priorities(&allowing).min().filter(|priority| *priority < PRIORITY_LAST).map(|last| last + 1);
        // Behind what allows, or as far as one that allows has room before it.
        let places: BTreeSet<u8> = behind.into_iter().chain((first == 1).then_some(2)).collect();
        steps.extend(places.into_iter().map(|place| self.moving(&in_first, place)));
        steps.push(revoking(in_first.iter()));
        steps
    }

    /// Rules that stop a packet, and rules whose absence does.
    fn closing(&self, world: &World, probe: &Probe<'_>) -> Vec<Step> {
        let (denying, allowing) = (matching(world, probe, Action::Deny), matching(world, probe, Action::Allow));
        let first = priorities(&allowing).min().unwrap_or(PRIORITY_LAST);
        let mut steps = Vec::new();
        // At the same priority deny decides. EC2 has no rule that denies.
        if let Some(Flavor::EcsBasic | Flavor::EcsEnterprise) = world.flavor_of(probe.eni) {
            steps.extend(self.narrow(world, probe, &denying).map(|one| self.moving([one], first)));
            steps.extend(self.rules(world, probe, (Action::Deny, first)));
            if let Some(behind) = priorities(&denying).min() {
                let before = allowing.iter().filter(|(_, rule)| rule.spec.priority < behind);
                steps.push(self.moving(before, behind));
            }
        }
        steps.push(revoking(allowing.iter()));
        steps
    }

    /// Gives rules another priority, after which it is looked what decides then. One that an earlier step adds has no id yet to be told by.
    fn moving<'b>(&self, rules: impl IntoIterator<Item = &'b Matching>, priority: u8) -> Step {
        let edit = |(group, rule): &'b Matching| {
            let known = self.world.group(&group.id)?.rules.get(&rule.id)?;
            let (account, group, rule) = (group.account.clone(), group.id.clone(), Rule::clone(known));
            Some(Edit::Move { account, group, rule, priority })
        };
        let edits: Option<Vec<Edit>> = rules.into_iter().map(edit).collect();
        Step::clearing(edits.unwrap_or_default())
    }

    /// The rules that say least about the interface's own end, of those that say something about a packet.
    fn narrow<'b>(
        &self,
        world: &World,
        probe: &Probe<'_>,
        rules: &'b [Matching],
    ) -> impl Iterator<Item = &'b Matching> + use<'b> {
        let (reader, own) = (Reader::new(world, &probe.eni.vpc, []), BTreeSet::from([probe.packet.local]));
        let says = |(_, rule): &Matching| reader.rule(&rule.spec).map_or(u128::MAX, |packets| packets.count_at(&own));
        let mut by: Vec<(u128, &Matching)> = rules.iter().map(|one| (says(one), one)).collect();
        by.sort_by_key(|(packets, (_, rule))| (*packets, rule.id.clone()));
        by.into_iter().take(MOVED_MAX).map(|(_, one)| one)
    }

    /// The narrowest rules for a packet: in each group, for each way to name the other end, with and without the own address.
    fn rules(&self, world: &World, probe: &Probe<'_>, (action, priority): (Action, u8)) -> Vec<Step> {
        let groups = probe.eni.groups.iter().filter_map(|id| world.group(id));
        let mut steps = Vec::new();
        for group in groups {
            for peer in peers(world, probe) {
                for local in own_blocks(group, probe) {
                    let spec = self.narrowest(world, group, probe);
                    let priority = if group.flavor == Flavor::Ec2 { 1 } else { priority };
                    let spec = RuleSpec { action, priority, local, peer: peer.clone(), ..spec };
                    let (account, group) = (group.account.clone(), group.id.clone());
                    let edit = Edit::Authorize { account, group, rule: NewRule::new(spec, "") };
                    let is_last = matches!((probe.other, &peer), (Named::Group(_), Peer::Cidr(_)));
                    steps.push(Step { edits: vec![edit], clears: false, is_last });
                }
            }
        }
        steps
    }

    /// What the API of the group's owner can say about the packet's service.
    fn narrowest(&self, world: &World, group: &Group, probe: &Probe<'_>) -> RuleSpec {
        let (transport, direction) = (probe.packet.transport, probe.packet.direction);
        let dialect = world.dialect_of(&group.account);
        // In ECS no range of ports begins before 1, but every rule without one is for port 0 as well.
        let can_say = |port: u16| group.flavor == Flavor::Ec2 || port > 0;
        let (service, sources) = match (transport, group.flavor) {
            (Transport::Tcp { destination, .. } | Transport::Udp { destination, .. }, flavor) => {
                let one = can_say(destination).then(|| Service::Ports(PortRange::one(destination)));
                let sources = self.source_port.filter(|port| flavor != Flavor::Ec2 && can_say(*port));
                (one.unwrap_or(Service::Any), sources.map(PortRange::one))
            }
            (Transport::Icmp { kind, code, .. }, Flavor::Ec2) => (Service::Icmp { kind, code: Some(code) }, None),
            (Transport::Icmp { .. } | Transport::Other { .. }, _) => (Service::Any, None),
        };
        let named = Protocol::Number(transport.protocol());
        let protocol = if can_name(dialect, named) { named } else { Protocol::Any };
        let spec = RuleSpec::plain(direction, Action::Allow, (protocol, service), host(probe.packet.peer));
        RuleSpec { source_ports: sources, ..spec }
    }

    /// Entries of the network ACL that lies on the way, before the one that decides; or that one's absence.
    fn entries(&self, world: &World, probe: &Probe<'_>) -> Vec<Step> {
        let Some((acl, decides)) = verdict::met_acl(world, probe.eni, &probe.packet) else { return Vec::new() };
        let is_admitted = decides.is_some_and(|entry| entry.spec.action == Action::Allow);
        // Alibaba Cloud's API sets all entries at once, so that no single one is proposed.
        if is_admitted == (self.goal == Goal::Allow) || world.dialect_of(&acl.account) == Dialect::Ecs {
            return Vec::new();
        }
        let direction = probe.packet.direction;
        let numbers = acl.entries_of(direction).map(|entry| entry.number).collect();
        let free = free_number(&numbers, decides.map(|entry| entry.number));
        let action = if self.goal == Goal::Allow { Action::Allow } else { Action::Deny };
        let (account, id) = (&acl.account, &acl.id);
        let put = free.map(|number| {
            let entry = AclEntry { number, spec: self.entry(probe, action) };
            Edit::PutEntry { account: account.clone(), acl: id.clone(), entry }
        });
        let delete = decides.map(|entry| Edit::DeleteEntry {
            account: account.clone(),
            acl: id.clone(),
            entry: entry.clone(),
        });
        put.into_iter().chain(delete).map(|edit| Step::clearing(vec![edit])).collect()
    }

    fn entry(&self, probe: &Probe<'_>, action: Action) -> RuleSpec {
        let (transport, direction) = (probe.packet.transport, probe.packet.direction);
        let service = match transport {
            Transport::Tcp { destination, .. } | Transport::Udp { destination, .. } => {
                let answers = PortRange::new(EPHEMERAL.0, EPHEMERAL.1).filter(|_| probe.is_answer);
                let answers = answers.filter(|_| self.source_port.is_none());
                Service::Ports(answers.unwrap_or(PortRange::one(destination)))
            }
            Transport::Icmp { kind, code, .. } => Service::Icmp { kind, code: Some(code) },
            Transport::Other { .. } => Service::Any,
        };
        let peer = match probe.other {
            Named::Internet => Peer::Cidr(Cidr::world(Family::of(probe.packet.peer))),
            Named::One | Named::Set | Named::Group(_) => host(probe.packet.peer),
        };
        RuleSpec::plain(direction, action, (Protocol::Number(transport.protocol()), service), peer)
    }
}

/// Whether a packet gets past an interface.
fn passes(world: &World, probe: &Probe<'_>) -> bool {
    match probe.is_answer {
        true => verdict::refused_by_acl(world, probe.eni, &probe.packet).is_none(),
        false => verdict::decide(world, probe.eni, &probe.packet).is_allowed(),
    }
}

/// A number for an entry that decides before the one that does, or before the end if none does. As late as there is room: the later it is,
/// the fewer packets it takes from entries of which none says anything about the packet.
fn free_number(numbers: &BTreeSet<u16>, decides: Option<u16>) -> Option<u16> {
    let behind = numbers.last().map_or(Some(100), |last| last.checked_add(10));
    if let (None, Some(behind)) = (decides, behind.filter(|number| *number <= ACL_NUMBER_MAX)) {
        return Some(behind);
    }
    let mut end = decides.unwrap_or(ACL_NUMBER_MAX.saturating_add(1));
    for last in numbers.range(..end).rev().copied().chain([0]) {
        let middle = last + (end - last) / 2;
        if middle > last {
            return Some(middle);
        }
        end = last;
    }
    None
}

/// A rule that says something about a packet, and its group.
type Matching = (Arc<Group>, Rule);

fn priorities(rules: &[Matching]) -> impl Iterator<Item = u8> + use<'_> {
    rules.iter().map(|(_, rule)| rule.spec.priority)
}

/// The rules of an interface that say something about a packet, in no order.
fn matching(world: &World, probe: &Probe<'_>, action: Action) -> Vec<Matching> {
    let groups = probe.eni.groups.iter().filter_map(|id| world.group(id));
    let rules = groups.flat_map(|group| group.rules.values().map(move |rule| (Arc::clone(group), Rule::clone(rule))));
    let says =
        |rule: &Rule| rule.spec.action == action && verdict::matches(world, probe.eni, &rule.spec, &probe.packet);
    rules.filter(|(_, rule)| says(rule)).collect()
}

fn revoking<'a>(rules: impl Iterator<Item = &'a Matching>) -> Step {
    let revoke = |(group, rule): &Matching| {
        let (account, group) = (group.account.clone(), group.id.clone());
        Edit::Revoke { account, group, rule: rule.clone() }
    };
    Step::clearing(rules.map(revoke).collect())
}

/// No group that both ends carry lets its members meet.
fn shared(world: &World, probe: &Probe<'_>) -> Vec<Step> {
    let peer = world.eni_seen_from(&probe.eni.vpc, probe.packet.peer);
    let shares = |id: &GroupId| peer.is_some_and(|peer| peer.groups.contains(id));
    let groups = probe.eni.groups.iter().filter(|id| shares(id)).filter_map(|id| world.group(id));
    let edit = |group: &Arc<Group>| Edit::InnerDrop { account: group.account.clone(), group: group.id.clone() };
    let edits = groups.filter(|group| group.accepts_inner()).map(edit).collect();
    vec![Step::clearing(edits)]
}

/// The ways to name the other end.
fn peers(world: &World, probe: &Probe<'_>) -> Vec<Peer> {
    let address = host(probe.packet.peer);
    match probe.other {
        Named::One => vec![address],
        // One rule for a group that is among those meant is one for many of them, if it is for nobody else.
        Named::Set => {
            let eni = world.eni_seen_from(&probe.eni.vpc, probe.packet.peer);
            let groups = eni.into_iter().flat_map(|eni| &eni.groups).filter_map(|id| world.group(id));
            let named = groups.map(|group| Peer::Group { group: group.id.clone(), account: group.account.clone() });
            named.chain([address]).collect()
        }
        Named::Internet => vec![Peer::Cidr(Cidr::world(Family::of(probe.packet.peer)))],
        Named::Group(id) => {
            let group =
                world.group(id).map(|group| Peer::Group { group: id.clone(), account: group.account.clone() });
            group.into_iter().chain([address]).collect()
        }
    }
}

/// The ways to name the interface's own end; a rule of EC2 has none.
fn own_blocks(group: &Group, probe: &Probe<'_>) -> Vec<Option<Cidr>> {
    let own = cidr(probe.packet.local);
    match (group.flavor, probe.own) {
        (Flavor::Ec2, _) | (Flavor::EcsBasic | Flavor::EcsEnterprise, Named::Internet) => vec![None],
        (Flavor::EcsBasic | Flavor::EcsEnterprise, Named::One | Named::Set | Named::Group(_)) => {
            vec![None, Some(own)]
        }
    }
}

fn cidr(address: IpAddr) -> Cidr {
    Cidr::from(IpNet::from(address))
}

fn host(address: IpAddr) -> Peer {
    Peer::Cidr(cidr(address))
}

/// Why nothing helps, as far as it can be told.
fn no_way(world: &World, open: &[Probe<'_>]) -> String {
    let reason = |probe: &Probe<'_>| {
        let why = verdict::decide(world, probe.eni, &probe.packet).why;
        format!("{} at {}: {why}", probe.packet.direction, probe.eni.id)
    };
    let reasons: Vec<String> = open.iter().map(reason).collect();
    format!("no rule, entry or policy that the account may change helps: {}", reasons.join("; "))
}
