//! From the groups of an ENI to the rules of its policy in decision order, resolved to numbers.

use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use sekimori_core::{
    address::Family,
    ids::{GroupId, SubnetId, VpcId},
    network_acl::{self, AclEntry, NetworkAcl},
    platform::{self, MAIL_PORT, PlatformPolicy},
    rule::{self, Action, Direction, Peer, PortRange, Protocol, Rule, RuleSpec, Service},
    world::{Eni, Flavor, Group, GroupSet, Subnet, Vpc, World, group_set},
};

use crate::{
    build::{BuildError, Line, Side, Sides, build},
    layout::{
        ACTION_ALLOW, ACTION_BYPASS, ACTION_DENY, DEFAULT_ALLOW, OPEN_TCP4, OPEN_TCP6, OPEN_UDP4, OPEN_UDP6,
        RULE_INTRA, RULE_PLATFORM, RULE_WORLD,
    },
    slots::Slots,
    tables::RuleKey,
};

/// The numbers that a policy's words are made of.
#[derive(Clone, Debug)]
pub(crate) struct Numbers {
    pub(crate) groups: Slots<GroupId>,
    pub(crate) rules: Slots<RuleKey>,
}

/// Every service of every protocol.
const EVERY_SERVICE: (u32, u32) = (0, 0xff_ffff);

/// Where a policy holds: ENIs of a VPC that carry exactly these groups; behind a network ACL that denies anything, those of one
/// subnet only.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) set: GroupSet,
    pub(crate) vpc: VpcId,
    pub(crate) subnet: Option<SubnetId>,
    /// Whether it is the policy that these ENIs would have by the candidates of their groups. That is asked about flows which
    /// have met the network ACL already.
    pub(crate) is_candidate: bool,
}

impl Place {
    pub(crate) fn of(world: &World, eni: &Eni) -> Self {
        let subnet = world.is_guarded(&eni.subnet).then(|| eni.subnet.clone());
        Self { set: group_set(&eni.groups), vpc: eni.vpc.clone(), subnet, is_candidate: false }
    }

    /// What the candidates of the groups are for there.
    pub(crate) fn of_candidate(&self) -> Self {
        Self { set: Arc::clone(&self.set), vpc: self.vpc.clone(), subnet: None, is_candidate: true }
    }
}

/// The words of the policy of a place. A group that a rule names and that has no number yet fails the whole policy: without it
/// a deny rule would deny nobody.
pub(crate) fn words(world: &World, numbers: &Numbers, place: &Place) -> Result<Vec<u64>, BuildError> {
    let group = |id| if place.is_candidate { world.group_or_candidate(id) } else { world.group(id).cloned() };
    let groups = place.set.iter().filter_map(group).collect();
    let policy = Policy { world, numbers, vpc: world.vpc(&place.vpc).map(|vpc| &**vpc), groups };
    let [ingress, egress] = policy.rules();
    let rules = Sides {
        ingress: policy.side(Direction::Ingress, &ingress)?,
        egress: policy.side(Direction::Egress, &egress)?,
    };
    let acl = place.subnet.as_ref().and_then(|subnet| world.acl_of(subnet));
    let acl = acl.map(|(subnet, acl)| Sides {
        ingress: policy.acl_side(subnet, acl, Direction::Ingress),
        egress: policy.acl_side(subnet, acl, Direction::Egress),
    });
    build(&rules, acl.as_ref())
}

struct Policy<'a> {
    world: &'a World,
    numbers: &'a Numbers,
    vpc: Option<&'a Vpc>,
    groups: Vec<Arc<Group>>,
}

impl Policy<'_> {
    fn side(&self, direction: Direction, rules: &[Ranked<'_>]) -> Result<Side, BuildError> {
        let mut lines: Vec<Line> = self.bypass(direction).collect();
        lines.extend(self.platform(direction));
        lines.extend(self.intra_groups());
        lines.reserve(rules.len());
        for ranked in rules {
            lines.push(self.line(ranked)?);
        }
        Ok(Side { lines, flags: self.default_flag(direction) | open_flags(rules) })
    }

    /// What no rule judges, and neighbours in the subnet, do not meet the ACL.
    fn acl_side(&self, subnet: &Subnet, acl: &NetworkAcl, direction: Direction) -> Side {
        let neighbours = Line {
            action: ACTION_ALLOW,
            services: vec![EVERY_SERVICE],
            peers: network_acl::neighbours(subnet),
            ..Line::default()
        };
        let entry = |entry: &AclEntry| Line { slot: u32::from(entry.number), ..self.blocks_line(&entry.spec) };
        let first = self.bypass(direction).chain([neighbours]);
        Side { lines: first.chain(acl.entries_of(direction).map(entry)).collect(), flags: 0 }
    }

    fn bypass(&self, direction: Direction) -> impl Iterator<Item = Line> {
        let entries = self.world.bypass().entries().iter();
        entries
            .filter(move |entry| entry.direction == direction)
            .map(|entry| Line { action: ACTION_BYPASS, ..self.blocks_line(&entry.as_rule()) })
    }

    /// Platform policies come before everything that a group can say.
    fn platform(&self, direction: Direction) -> impl Iterator<Item = Line> {
        let lines = |policy: PlatformPolicy| match policy {
            PlatformPolicy::Mail => vec![Line {
                action: action(policy.action()),
                services: vec![run(6, PortRange::one(MAIL_PORT))],
                peers: outside(self.vpc),
                ..Line::default()
            }],
            PlatformPolicy::CloudServices | PlatformPolicy::DhcpServers => {
                policy.rules().iter().map(|spec| self.blocks_line(spec)).collect()
            }
        };
        let lines = self.world.platform().active(direction).flat_map(lines);
        lines.map(|line| Line { flags: RULE_PLATFORM, ..line })
    }

    /// The hidden rules come first: no rule of the group's owner can undo them (`spec/ecs.md` A2, 2).
    fn intra_groups(&self) -> impl Iterator<Item = Line> {
        let accepting = self.groups.iter().filter(|group| group.accepts_inner());
        accepting.filter_map(|group| {
            let number = self.numbers.groups.get(&group.id)?;
            // Number 0 counts for nobody: a rule without a counter still decides.
            let slot = self.numbers.rules.get(&(group.id.clone(), None)).unwrap_or(0);
            let services = vec![EVERY_SERVICE];
            Some(Line {
                slot,
                action: ACTION_ALLOW,
                flags: RULE_INTRA,
                services,
                groups: vec![number],
                ..Line::default()
            })
        })
    }

    /// The rules of both directions, in decision order, with their counters. Groups come by id, and the rules and the
    /// counters of each by the rule's id: what is of equal rank is in order already, and a counter is never far.
    fn rules(&self) -> [Vec<Ranked<'_>>; 2] {
        let mut sides = [Vec::new(), Vec::new()];
        let [ingress, egress] = &mut sides;
        for group in &self.groups {
            let first = (group.id.clone(), None);
            let mut counters = self.numbers.rules.from(&first).take_while(|((of, _), _)| *of == group.id).peekable();
            for rule in group.rules.values() {
                let id = Some(&rule.id);
                while counters.next_if(|((_, rule), _)| rule.as_ref() < id).is_some() {}
                let slot = counters.peek().filter(|((_, rule), _)| rule.as_ref() == id).map(|(_, slot)| *slot);
                let ranked = Ranked { rank: rule::rank(group.flavor, rule), rule, slot: slot.unwrap_or(0) };
                match rule.spec.direction {
                    Direction::Ingress => ingress.push(ranked),
                    Direction::Egress => egress.push(ranked),
                }
            }
        }
        sides.iter_mut().for_each(|side| side.sort_by_key(|ranked| ranked.rank));
        sides
    }

    fn line(&self, Ranked { rule, slot, .. }: &Ranked<'_>) -> Result<Line, BuildError> {
        let spec = &rule.spec;
        Ok(Line {
            slot: *slot,
            flags: if spec.peer.is_world() { RULE_WORLD } else { 0 },
            groups: self.peer_groups(&spec.peer)?,
            local: spec.local.map(|cidr| cidr.network()),
            ..self.blocks_line(spec)
        })
    }

    /// What a rule says without groups and own addresses.
    fn blocks_line(&self, spec: &RuleSpec) -> Line {
        Line {
            action: action(spec.action),
            services: self.services(spec),
            source_ports: spec.source_ports.map(|range| (range.first(), range.last())),
            peers: self.blocks(&spec.peer),
            ..Line::default()
        }
    }

    fn blocks(&self, peer: &Peer) -> Vec<IpNet> {
        match peer {
            Peer::Cidr(cidr) => vec![cidr.network()],
            Peer::PrefixList(id) => {
                let entries = self.world.prefix_list(id).map(|list| list.entries.as_slice()).unwrap_or_default();
                entries.iter().map(|entry| entry.cidr.network()).collect()
            }
            Peer::Group { .. } => Vec::new(),
        }
    }

    fn peer_groups(&self, peer: &Peer) -> Result<Vec<u32>, BuildError> {
        let Peer::Group { group, .. } = peer else { return Ok(Vec::new()) };
        match self.numbers.groups.get(group) {
            Some(number) => Ok(vec![number]),
            None if self.world.group(group).is_some() => Err(BuildError::Unnumbered(group.clone())),
            None => Ok(Vec::new()),
        }
    }

    fn services(&self, spec: &RuleSpec) -> Vec<(u32, u32)> {
        let Protocol::Number(protocol) = spec.protocol else { return vec![EVERY_SERVICE] };
        match &spec.service {
            Service::Any => vec![run(protocol, PortRange::ALL)],
            Service::Ports(range) => vec![run(protocol, *range)],
            Service::PortList(id) => {
                let entries = self.world.port_list(id).map(|list| list.entries.as_slice()).unwrap_or_default();
                entries.iter().map(|entry| run(protocol, entry.ports)).collect()
            }
            Service::Icmp { kind, code } => {
                let first = u16::from_be_bytes([*kind, code.unwrap_or(0)]);
                let last = u16::from_be_bytes([*kind, code.unwrap_or(u8::MAX)]);
                PortRange::new(first, last).map(|range| run(protocol, range)).into_iter().collect()
            }
        }
    }

    fn default_flag(&self, direction: Direction) -> u32 {
        match (self.groups.first().map(|group| group.flavor), direction) {
            (Some(Flavor::EcsBasic), Direction::Egress) => DEFAULT_ALLOW,
            (Some(Flavor::EcsBasic | Flavor::EcsEnterprise | Flavor::Ec2) | None, _) => 0,
        }
    }
}

/// A rule in its place.
struct Ranked<'a> {
    rank: rule::Rank,
    rule: &'a Rule,
    /// Its counter. Number 0 counts for nobody: a rule without a counter still decides.
    slot: u32,
}

/// What makes the other direction's flows untracked (`spec/ec2.md` A2).
fn open_flags(rules: &[Ranked<'_>]) -> u32 {
    let specs = rules.iter().map(|ranked| &ranked.rule.spec);
    specs.filter(|spec| is_wide_open(spec)).fold(0, |flags, spec| flags | open_flag(spec))
}

fn run(protocol: u8, range: PortRange) -> (u32, u32) {
    let base = u32::from(protocol) << 16;
    (base | u32::from(range.first()), base | u32::from(range.last()))
}

fn action(action: Action) -> u32 {
    match action {
        Action::Deny => ACTION_DENY,
        Action::Allow => ACTION_ALLOW,
    }
}

/// What the mail policy looks at: every address outside the VPC.
fn outside(vpc: Option<&Vpc>) -> Vec<IpNet> {
    let outside = |every: IpNet| {
        let own = platform::blocks(vpc).filter(|block| block.addr().is_ipv4() == every.addr().is_ipv4());
        own.fold(vec![every], |left, block| left.into_iter().flat_map(|net| without(net, block)).collect())
    };
    let worlds = [IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())];
    worlds.into_iter().flat_map(outside).collect()
}

/// A block without another one: the other half at every length. Half by half they are two runs of addresses.
fn without(whole: IpNet, block: IpNet) -> Vec<IpNet> {
    let mut inner = block.trunc();
    if !whole.contains(&inner) {
        return if inner.contains(&whole) { Vec::new() } else { vec![whole] };
    }
    let mut rest = Vec::new();
    while let Some(outer) = inner.supernet().filter(|outer| whole.contains(outer)) {
        let other = outer.subnets(inner.prefix_len()).into_iter().flatten().find(|half| *half != inner);
        rest.extend(other);
        inner = outer;
    }
    rest
}

fn is_wide_open(spec: &RuleSpec) -> bool {
    let every_port = match &spec.service {
        Service::Any => true,
        Service::Ports(range) => *range == PortRange::ALL,
        Service::PortList(_) | Service::Icmp { .. } => false,
    };
    spec.action == Action::Allow
        && every_port
        && spec.peer.is_world()
        && spec.local.is_none()
        && spec.source_ports.is_none()
}

fn open_flag(spec: &RuleSpec) -> u32 {
    let Peer::Cidr(cidr) = &spec.peer else { return 0 };
    let (tcp, udp) = match cidr.family() {
        Family::V4 => (OPEN_TCP4, OPEN_UDP4),
        Family::V6 => (OPEN_TCP6, OPEN_UDP6),
    };
    match spec.protocol {
        Protocol::Any => tcp | udp,
        Protocol::TCP => tcp,
        Protocol::UDP => udp,
        Protocol::Number(_) => 0,
    }
}
