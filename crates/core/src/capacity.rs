//! What a policy costs the data plane, so that one which does not fit is refused before it is promised.
//!
//! The bound is computed from the rules alone. `compile` lays policies out independently; a property test
//! holds that no layout is ever larger than the bound here. All numbers are 64-bit words (see
//! `ARCHITECTURE.md`, the policy store).

use std::{collections::BTreeSet, sync::Arc};

use imbl::OrdMap;

use crate::{
    address::{Cidr, Family, number},
    change::Change,
    ids::{EniId, GroupId, HostId, SubnetId},
    limits::{
        BYPASS_ENTRIES_MAX, HOST_ADDRESSES_MAX, HOST_ENIS_MAX, HOST_GROUPS_MAX, HOST_POLICY_WORDS_PROMISED,
        HOST_RULES_MAX, HOST_VPCS_MAX, POLICY_RULES_MAX, POLICY_WORDS_MAX,
    },
    network_acl::NetworkAcl,
    platform::PLATFORM_RULES_MAX,
    refusal::{Counted, Refusal},
    rule::{Direction, Peer, PortRange, Protocol, RuleSpec, Service},
    world::{Group, GroupSet, Referent, World, group_set},
};

/// Words before the first table of a policy.
const HEADER_WORDS: u64 = 64;

/// Words of a block in which a table is laid out.
const BLOCK_WORDS: u64 = 8;

/// What the policies of a host cost, kept up to date change by change.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    words_by_set: OrdMap<GroupSet, u64>,
    words: u64,
    vpcs: u64,
    groups: u64,
    /// By the host that enforces them; what is on no host costs none.
    enis_by_host: OrdMap<HostId, u64>,
    addresses: u64,
    rules: u64,
}

impl Ledger {
    /// Counts a whole world.
    #[must_use]
    pub fn count(world: &World) -> Self {
        let mut ledger = Self::default();
        for set in world.group_sets() {
            ledger.set_words(world, set);
        }
        ledger.count_entities(world);
        world.enis().for_each(|eni| ledger.move_eni(None, world.home_of(eni)));
        ledger.rules = world.groups().map(|group| counted_rules(world, &group.id)).sum();
        ledger
    }

    /// Words promised to the policies of the host.
    #[must_use]
    pub fn words(&self) -> u64 {
        self.words
    }

    /// The ENIs of the host that has most of them.
    #[must_use]
    pub fn enis_of_fullest_host(&self) -> u64 {
        self.enis_by_host.values().copied().max().unwrap_or(0)
    }

    /// The ledger after some changes that led from one world to another.
    ///
    /// # Errors
    /// Refuses when a policy, or all of them together, would not fit the data plane.
    pub fn after(&self, before: &World, world: &World, changes: &[Change]) -> Result<Self, Refusal> {
        let mut after = self.clone();
        let hosts = after.recount(before, world, changes);
        let touched: BTreeSet<GroupSet> =
            changes.iter().flat_map(|change| touched_sets(before, world, change)).collect();
        for set in &touched {
            after.set_words(world, set);
            let words = after.words_by_set.get(set).copied().unwrap_or(0);
            if words > after.largest_allowed(self, set) {
                within(Counted::PolicyWords, POLICY_WORDS_MAX, words)?;
            }
            let rules = candidate(world, set).map_or(0, |world| most_rules(&world, set)).max(most_rules(world, set));
            within(Counted::PolicyRules, POLICY_RULES_MAX, rules)?;
        }
        after.check_totals(self, &hosts)?;
        Ok(after)
    }

    /// A change that makes a policy smaller is never refused, even one that is too large already.
    fn largest_allowed(&self, before: &Self, set: &GroupSet) -> u64 {
        before.words_by_set.get(set).copied().unwrap_or(0)
    }

    fn check_totals(&self, before: &Self, hosts: &BTreeSet<HostId>) -> Result<(), Refusal> {
        let totals = [
            (Counted::HostPolicyWords, HOST_POLICY_WORDS_PROMISED, before.words, self.words),
            (Counted::HostVpcs, HOST_VPCS_MAX, before.vpcs, self.vpcs),
            (Counted::HostGroups, HOST_GROUPS_MAX, before.groups, self.groups),
            (Counted::HostAddresses, HOST_ADDRESSES_MAX, before.addresses, self.addresses),
            (Counted::HostRules, HOST_RULES_MAX, before.rules, self.rules),
        ];
        for (counted, limit, old, new) in totals {
            if new > old {
                within(counted, limit, new)?;
            }
        }
        for host in hosts {
            let of = |ledger: &Self| ledger.enis_by_host.get(host).copied().unwrap_or(0);
            if of(self) > of(before) {
                within(Counted::HostEnis, HOST_ENIS_MAX, of(self))?;
            }
        }
        Ok(())
    }

    fn set_words(&mut self, world: &World, set: &GroupSet) {
        let is_used = world.enis_with(set).next().is_some();
        // A set that ENIs of several VPCs may carry has a policy in each.
        let policies = world.vpcs_of(set).len().max(1) as u64;
        let acls: Vec<u64> =
            world.guarded_subnets_of(set).into_iter().map(|subnet| acl_words(world, subnet)).collect();
        let words = if is_used {
            // One more behind each network ACL that is asked, which is part of it.
            let all = policy_words(world, set).saturating_mul(policies + acls.len() as u64);
            let candidates =
                candidate(world, set).map_or(0, |world| policy_words(&world, set).saturating_mul(policies));
            all.saturating_add(acls.iter().sum()).saturating_add(candidates)
        } else {
            0
        };
        let old = self.words_by_set.remove(set).unwrap_or(0);
        self.words = self.words - old + words;
        if is_used {
            self.words_by_set.insert(Arc::clone(set), words);
        }
    }

    /// Counts what has changed; the hosts that have other ENIs than before.
    fn recount(&mut self, before: &World, world: &World, changes: &[Change]) -> BTreeSet<HostId> {
        self.count_entities(world);
        let groups: BTreeSet<&GroupId> = changes.iter().filter_map(group_of_rule).collect();
        for group in groups {
            let rules = |world: &World| counted_rules(world, group);
            self.rules = self.rules + rules(world) - rules(before);
        }
        let enis: BTreeSet<&EniId> = changes.iter().filter_map(eni_of).collect();
        let mut hosts = BTreeSet::new();
        for id in enis {
            let [was, is] = [before, world].map(|world| world.eni(id).and_then(|eni| world.home_of(eni)));
            self.move_eni(was, is);
            hosts.extend(is.cloned());
        }
        hosts
    }

    fn move_eni(&mut self, from: Option<&HostId>, to: Option<&HostId>) {
        if from == to {
            return;
        }
        if let Some(count) = from.and_then(|host| self.enis_by_host.get_mut(host)) {
            *count -= 1;
        }
        if let Some(host) = to {
            *self.enis_by_host.entry(host.clone()).or_default() += 1;
        }
    }

    fn count_entities(&mut self, world: &World) {
        self.vpcs = world.vpcs.len() as u64;
        self.groups = world.groups.len() as u64;
        self.addresses = world.address_count() as u64;
    }
}

/// An instance stays where it is, and comes and goes with its ENIs.
fn eni_of(change: &Change) -> Option<&EniId> {
    if let Change::PutEni(eni) = change {
        return Some(&eni.id);
    }
    let Change::DeleteEni(id) = change else { return None };
    Some(id)
}

fn group_of_rule(change: &Change) -> Option<&GroupId> {
    if let Change::PutShadow(shadow) = change {
        return Some(&shadow.group);
    }
    let (Change::PutRule { group, .. } | Change::DeleteRule { group, .. } | Change::DeleteShadow(group)) = change
    else {
        return None;
    };
    Some(group)
}

/// The rules of a group, and of its candidate: each has a counter.
fn counted_rules(world: &World, group: &GroupId) -> u64 {
    let live = world.group(group).map_or(0, |group| group.rules.len());
    (live + world.shadows().get(group).map_or(0, |shadow| shadow.rules.len())) as u64
}

/// The world in which the candidates of a set of groups are their rules, if it has any.
fn candidate(world: &World, set: &GroupSet) -> Option<World> {
    world.has_candidate(set).then(|| world.with_candidates(set))
}

fn within(counted: Counted, limit: u32, wanted: u64) -> Result<(), Refusal> {
    let limit = u64::from(limit);
    if wanted > limit { Err(Refusal::Limit { counted, limit, wanted }) } else { Ok(()) }
}

/// The group sets whose policy may differ after a change.
fn touched_sets(before: &World, world: &World, change: &Change) -> Vec<GroupSet> {
    let of_group = |group: &GroupId| world.group_sets_with(group).cloned().collect::<Vec<_>>();
    let of_referrers = |referent: &Referent| {
        let groups = world.referrers(referent).map(|(group, _)| group).chain(world.shadows().namers(referent));
        groups.flat_map(|group| world.group_sets_with(group)).cloned().collect()
    };
    let of_eni = |world: &World, eni: &EniId| world.eni(eni).map(|eni| group_set(&eni.groups));
    match change {
        Change::PutEni(eni) => of_eni(before, &eni.id).into_iter().chain([group_set(&eni.groups)]).collect(),
        Change::DeleteEni(eni) => of_eni(before, eni).into_iter().collect(),
        Change::PutGroup(group) => of_group(&group.id),
        Change::PutRule { group, .. } | Change::DeleteRule { group, .. } | Change::DeleteShadow(group) => {
            of_group(group)
        }
        Change::PutShadow(shadow) => of_group(&shadow.group),
        Change::PutPrefixList(list) => of_referrers(&Referent::PrefixList(list.id.clone())),
        Change::PutPortList(list) => of_referrers(&Referent::PortList(list.id.clone())),
        Change::PutBypass(_) | Change::PutPlatform(_) => world.group_sets().cloned().collect(),
        Change::PutNetworkAcl(acl) => world.enis_behind(acl).map(|eni| group_set(&eni.groups)).collect(),
        Change::PutSubnet(subnet) => {
            world.enis_regarded(before, &subnet.id).map(|eni| group_set(&eni.groups)).collect()
        }
        // No ENI carries a group that is deleted, and no rule names a list that is: `apply` refuses both.
        Change::DeleteGroup(_) | Change::DeletePrefixList(_) | Change::DeletePortList(_) => Vec::new(),
        Change::PutAccount(_)
        | Change::PutKey(_)
        | Change::DeleteKey(_)
        | Change::PutTerminated(_)
        | Change::DeleteTerminated(_)
        | Change::PutVpc(_)
        | Change::DeleteVpc(_)
        | Change::DeleteSubnet(_)
        | Change::PutInstance(_)
        | Change::DeleteInstance(_)
        | Change::PutToken(_)
        | Change::DeleteToken { .. }
        | Change::PutSnapshotPolicy(_)
        | Change::DeleteSnapshotPolicy(_)
        | Change::PutSnapshot(_)
        | Change::DeleteSnapshot(_)
        | Change::PutReport(_)
        | Change::DeleteReport { .. }
        | Change::PutInvariant(_)
        | Change::DeleteInvariant(_)
        | Change::PutTrial(_)
        | Change::DeleteTrial(_)
        | Change::PutFlowLog(_)
        | Change::DeleteFlowLog(_)
        | Change::PutInsightsPath(_)
        | Change::DeleteInsightsPath(_)
        | Change::PutInsightsAnalysis(_)
        | Change::DeleteInsightsAnalysis(_)
        | Change::PutPrefixListVersion(_)
        | Change::DeletePrefixListVersion { .. }
        | Change::PutPeering(_)
        | Change::DeletePeering(_)
        | Change::DeleteNetworkAcl(_) => Vec::new(),
    }
}

/// The rules that decide in the fuller direction of a policy, hidden ones included.
fn most_rules(world: &World, set: &GroupSet) -> u64 {
    let rules = |direction| Rules::of(world, set, direction).specs.len() as u64;
    rules(Direction::Ingress).max(rules(Direction::Egress)) + hidden(set)
}

/// An upper bound of the words that the policy of a group set takes, both directions.
#[must_use]
pub fn policy_words(world: &World, set: &GroupSet) -> u64 {
    let both = [Direction::Ingress, Direction::Egress];
    let rules = both.into_iter().map(|direction| Rules::of(world, set, direction));
    HEADER_WORDS + rules.map(|rules| direction_words(world, &rules)).sum::<u64>()
}

/// The same for what a network ACL adds to a policy.
fn acl_words(world: &World, subnet: &SubnetId) -> u64 {
    let Some((_, acl)) = world.acl_of(subnet) else { return 0 };
    let both = [Direction::Ingress, Direction::Egress].into_iter();
    let rules = both.map(|direction| Rules::of_acl(acl, direction));
    rules.map(|rules| direction_words(world, &rules)).sum()
}

/// The rules of one direction, with what the policy adds of its own accord.
struct Rules {
    specs: Vec<RuleSpec>,
    /// Hidden rules: see [`hidden`].
    hidden: u64,
}

impl Rules {
    fn of(world: &World, set: &GroupSet, direction: Direction) -> Self {
        let groups = set.iter().filter_map(|id| world.group(id));
        let rules = groups.flat_map(|group: &Arc<Group>| group.rules.values());
        let specs = rules.map(|rule| &rule.spec).filter(|spec| spec.direction == direction).cloned().collect();
        Self { specs, hidden: hidden(set) }
    }

    /// The bypass set, and the neighbours in the subnet, come before the entries.
    fn of_acl(acl: &NetworkAcl, direction: Direction) -> Self {
        let specs = acl.entries_of(direction).map(|entry| entry.spec.clone()).collect();
        Self { specs, hidden: (BYPASS_ENTRIES_MAX + 1) as u64 }
    }
}

/// Hidden rules of a direction: one for each group (intra-group accept), each bypass entry and each platform policy.
fn hidden(set: &GroupSet) -> u64 {
    (set.len() + BYPASS_ENTRIES_MAX + PLATFORM_RULES_MAX) as u64
}

type Span = (u128, u128);

fn direction_words(world: &World, rules: &Rules) -> u64 {
    let count = rules.specs.len() as u64 + rules.hidden;
    let bitmap = count.div_ceil(64);
    let summary = bitmap.div_ceil(64);
    // Each hidden rule spans at most all of a field, so it adds one to every depth and two ends to every
    // table: the bound counts it as a word of every class instead of looking at it.
    let hidden_words = rules.hidden.div_ceil(64);
    let field = |spans: Vec<Span>, table_words: fn(u64) -> u64| {
        let (classes, words) = depths(spans, bitmap);
        let classes = classes + 2 * rules.hidden;
        words + classes * (2 * summary + 2 * hidden_words) + table_words(classes) + bitmap
    };
    let each = |spans: &dyn Fn(&RuleSpec) -> Vec<Span>| rules.specs.iter().flat_map(spans).collect::<Vec<_>>();
    let optional = |wanted: bool, spans: Vec<Span>, words| if wanted { field(spans, words) } else { 0 };
    let has_local = rules.specs.iter().any(|spec| spec.local.is_some());
    count
        + field(each(&|spec| service_spans(world, spec)), narrow_words)
        + field(each(&|spec| peer_spans(world, &spec.peer, Family::V4)), narrow_words)
        + field(each(&|spec| peer_spans(world, &spec.peer, Family::V6)), wide_words)
        + field(each(&|spec| group_spans(&spec.peer)), narrow_words)
        + field(each(&|spec| port_span(spec.source_ports.unwrap_or(PortRange::ALL))), narrow_words)
        + optional(has_local, each(&|spec| local_spans(spec, Family::V4)), narrow_words)
        + optional(has_local, each(&|spec| local_spans(spec, Family::V6)), wide_words)
}

/// The words of a table of 32-bit values with so many entries: the entries in blocks, and the index above these.
fn narrow_words(entries: u64) -> u64 {
    let blocks = entries.div_ceil(BLOCK_WORDS);
    (BLOCK_WORDS - 1) + (blocks + index_blocks(blocks, 16)) * BLOCK_WORDS
}

/// The same for 128-bit values: an index down to the entries, and a word for each.
fn wide_words(entries: u64) -> u64 {
    (BLOCK_WORDS - 1) + index_blocks(entries, 4) * BLOCK_WORDS + entries
}

fn index_blocks(mut children: u64, fan: u64) -> u64 {
    let mut blocks = 0;
    while children > 1 {
        children = children.div_ceil(fan);
        blocks += children;
    }
    blocks
}

/// The number of classes that spans cut a field into, and the sum over them of the words that hold a rule.
fn depths(spans: Vec<Span>, bitmap: u64) -> (u64, u64) {
    let mut ends: Vec<(u128, i64)> = Vec::with_capacity(spans.len() * 2);
    for (first, last) in spans {
        ends.push((first, 1));
        ends.extend(last.checked_add(1).map(|past| (past, -1)));
    }
    ends.sort_unstable();
    let (mut classes, mut words, mut depth) = (1_u64, 0_u64, 0_i64);
    for (index, (at, step)) in ends.iter().enumerate() {
        depth += step;
        let is_last_here = ends.get(index + 1).is_none_or(|(next, _)| next != at);
        if is_last_here {
            classes += 1;
            words += bitmap.min(depth.unsigned_abs());
        }
    }
    (classes, words)
}

fn service_spans(world: &World, spec: &RuleSpec) -> Vec<Span> {
    let at = |protocol: u8, first: u16, last: u16| {
        let base = u128::from(protocol) << 16;
        (base | u128::from(first), base | u128::from(last))
    };
    let Protocol::Number(protocol) = spec.protocol else { return vec![(0, 0xff_ffff)] };
    match &spec.service {
        Service::Any => vec![at(protocol, 0, u16::MAX)],
        Service::Ports(range) => vec![at(protocol, range.first(), range.last())],
        Service::PortList(id) => {
            let entries = world.port_list(id).map(|list| list.entries.as_slice()).unwrap_or_default();
            entries.iter().map(|entry| at(protocol, entry.ports.first(), entry.ports.last())).collect()
        }
        Service::Icmp { kind, code } => {
            let base = u16::from(*kind) << 8;
            vec![code.map_or(at(protocol, base, base | 0xff), |code| {
                at(protocol, base | u16::from(code), base | u16::from(code))
            })]
        }
    }
}

fn port_span(range: PortRange) -> Vec<Span> {
    vec![(u128::from(range.first()), u128::from(range.last()))]
}

fn peer_spans(world: &World, peer: &Peer, family: Family) -> Vec<Span> {
    match peer {
        Peer::Cidr(cidr) => cidr_span(cidr, family).into_iter().collect(),
        Peer::PrefixList(id) => {
            let entries = world.prefix_list(id).map(|list| list.entries.as_slice()).unwrap_or_default();
            entries.iter().filter_map(|entry| cidr_span(&entry.cidr, family)).collect()
        }
        Peer::Group { .. } => Vec::new(),
    }
}

/// One point for each named group; which point does not matter for the size.
fn group_spans(peer: &Peer) -> Vec<Span> {
    match peer {
        Peer::Cidr(_) | Peer::PrefixList(_) => Vec::new(),
        Peer::Group { group, .. } => {
            let point =
                group.as_str().bytes().fold(0_u128, |sum, byte| sum.wrapping_mul(257).wrapping_add(byte.into()));
            vec![(point, point)]
        }
    }
}

fn local_spans(spec: &RuleSpec, family: Family) -> Vec<Span> {
    match &spec.local {
        Some(cidr) => cidr_span(cidr, family).into_iter().collect(),
        None => vec![(0, u128::MAX)],
    }
}

fn cidr_span(cidr: &Cidr, family: Family) -> Option<Span> {
    let net = cidr.network();
    (cidr.family() == family).then(|| (number(net.network()), number(net.broadcast())))
}
