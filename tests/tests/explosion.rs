//! Rule sets that are built to explode: each is let grow through the API's own commands until it is refused. What was accepted must
//! fit, by the bound that was published for it and in the words that are really built.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

use std::{net::Ipv4Addr, sync::Arc};

use ipnet::Ipv4Net;
use sekimori_compile::tables::{Adopted, Tables};
use sekimori_core::{
    address::{Cidr, Family},
    apply::{State, apply},
    capacity::policy_words,
    change::Change,
    command::{Command, Context, NewRule},
    ids::{GroupId, HostId, IdSource, PortListId, PrefixListId},
    limits::{HOST_POLICY_WORDS_PROMISED, HOST_PREFIX_LIST_ENTRIES_MAX, LimitMode, POLICY_WORDS_MAX},
    refusal::{Counted, Refusal},
    rule::{Action, Direction, Peer, PortRange, Protocol, RuleSpec, Service},
    time::Timestamp,
    verdict,
    world::{Eni, Flavor, ListChange, PortEntry, PortList, PrefixEntry, PrefixList, World, group_set},
};
use sekimori_tests::{
    generate::{HOST, Universe},
    plane::{TestPlane, is_root},
};

/// Rules in one command.
const BATCH: usize = 500;
/// Packets that an accepted policy is asked about.
const PACKETS: usize = 200;

/// The number-th rule of a set.
type Rules = fn(usize) -> RuleSpec;

fn rule(service: Service, peer: Peer) -> RuleSpec {
    RuleSpec::plain(Direction::Ingress, Action::Allow, (Protocol::TCP, service), peer)
}

/// Every range within the one before it: at the middle all of them match.
fn nested(number: usize) -> PortRange {
    let first = number as u16 % 32_768;
    PortRange::new(first, u16::MAX - first).unwrap_or(PortRange::ALL)
}

/// Each begins a port later and is half of all ports long: every class is another set of rules.
fn sliding(number: usize) -> PortRange {
    let first = (number * 7 % 32_768) as u16;
    PortRange::new(first, first + 32_767).unwrap_or(PortRange::ALL)
}

fn nested_ports(number: usize) -> RuleSpec {
    RuleSpec {
        source_ports: Some(sliding(number)),
        ..rule(Service::Ports(nested(number)), Peer::Cidr(Cidr::WORLD_V4))
    }
}

/// Blocks that lie in each other as deep as blocks can, all over the address space, on both ends.
fn nested_blocks(number: usize) -> RuleSpec {
    let block = |number: usize| {
        let length = 1 + (number % 32) as u8;
        let address = Ipv4Addr::from((number as u32).wrapping_mul(0x9e37_79b1));
        Cidr::from(ipnet::IpNet::V4(Ipv4Net::new(address, length).unwrap_or_default().trunc()))
    };
    let spec = rule(Service::Ports(sliding(number)), Peer::Cidr(block(number)));
    RuleSpec { local: Some(block(number / 2 + 1)), source_ports: Some(nested(number)), ..spec }
}

/// Lists of ports that cut all ports to pieces, each at other places, under priorities of their own.
fn combs(number: usize) -> RuleSpec {
    let spec = rule(Service::PortList(port_list_id(number % LISTS)), Peer::Cidr(Cidr::WORLD_V4));
    RuleSpec { priority: 1 + (number / LISTS % 100) as u8, source_ports: Some(nested(number / LISTS)), ..spec }
}

/// Lists of addresses, each of others.
fn listed(number: usize) -> RuleSpec {
    let spec = rule(Service::Ports(nested(number / LISTS)), Peer::PrefixList(prefix_list_id(number % LISTS)));
    RuleSpec { priority: 1 + (number / LISTS % 100) as u8, ..spec }
}

/// Lists of either kind.
const LISTS: usize = 64;

fn port_list_id(number: usize) -> PortListId {
    PortListId::from(format!("prl-{number}"))
}

fn prefix_list_id(number: usize) -> PrefixListId {
    PrefixListId::from(format!("pl-{number}"))
}

/// A world with one basic group without rules and an ENI that carries nothing else, and lists of the sizes of `mode`.
fn estate(mode: LimitMode) -> (Universe, GroupId, Arc<Eni>) {
    for seed in 0..5_000 {
        let mut universe = Universe::new(seed);
        let carried = universe.enis().into_iter().find(|eni| {
            let group = eni.groups.first().and_then(|group| universe.world.group(group));
            let is_plain = |flavor, rules: usize| flavor == Flavor::EcsBasic && rules == 0;
            eni.groups.len() == 1 && group.is_some_and(|group| is_plain(group.flavor, group.rules.len()))
        });
        let Some(eni) = carried.filter(|eni| universe.world.is_on(eni, &HostId::from(HOST))) else { continue };
        let Some(group) = eni.groups.first().cloned() else { continue };
        let (ports, prefixes) = match mode {
            LimitMode::Cloud => (60, 60),
            LimitMode::Host => (400, 400),
        };
        for number in 0..LISTS {
            let change = port_list(&universe.world, &group, number, ports);
            universe.put(change);
            let change = prefix_list(&universe.world, &group, number, prefixes);
            universe.put(change);
        }
        return (universe, group, eni);
    }
    panic!("no seed gives such a world");
}

fn region_and_owner(world: &World, group: &GroupId) -> (String, sekimori_core::ids::AccountId) {
    let group = world.group(group).expect("the group is there");
    (world.vpc(&group.vpc).map(|vpc| vpc.region.clone()).unwrap_or_default(), group.account.clone())
}

fn port_list(world: &World, group: &GroupId, number: usize, entries: u32) -> Change {
    let (region, account) = region_and_owner(world, group);
    let step = 65_536 / entries;
    let ports = |at: u32| {
        let first = (at * step + number as u32 * 3 % step) as u16;
        PortRange::new(first, first.saturating_add(step as u16 / 2)).unwrap_or(PortRange::ALL)
    };
    Change::PutPortList(Arc::new(PortList {
        resource_group: String::new(),
        tags: Default::default(),
        id: port_list_id(number),
        account,
        region,
        name: String::new(),
        description: String::new(),
        entries_max: entries,
        entries: (0..entries).map(|at| PortEntry { ports: ports(at), description: String::new() }).collect(),
        created_at: Timestamp(0),
    }))
}

fn prefix_list(world: &World, group: &GroupId, number: usize, entries: u32) -> Change {
    let (region, account) = region_and_owner(world, group);
    let cidr = |at: u32| {
        let address = Ipv4Addr::from((at * LISTS as u32 + number as u32).wrapping_mul(0x0101_4953));
        Cidr::from(ipnet::IpNet::V4(Ipv4Net::from(address)))
    };
    Change::PutPrefixList(Arc::new(PrefixList {
        resource_group: String::new(),
        tags: Default::default(),
        id: prefix_list_id(number),
        account,
        region,
        name: String::new(),
        description: String::new(),
        family: Family::V4,
        entries_max: entries,
        entries: (0..entries).map(|at| PrefixEntry { cidr: cidr(at), description: String::new() }).collect(),
        version: 1,
        last_change: ListChange::Created,
        created_at: Timestamp(0),
    }))
}

/// Adds rules until one is refused; what was accepted, how many, and why the next was not.
fn grow(mode: LimitMode, universe: &Universe, group: &GroupId, rules: Rules) -> (State, usize, Refusal) {
    let mut context = Context { now: Timestamp(0), ids: IdSource::new(1), limits: mode, host: HostId::from(HOST) };
    let (_, account) = region_and_owner(&universe.world, group);
    let mut state = State::new(universe.world.clone());
    let mut accepted = 0;
    let mut batch = BATCH;
    loop {
        let specs = (accepted..accepted + batch).map(rules);
        let rules = specs.map(|spec| NewRule::new(spec, "")).collect();
        let command = Command::Authorize { account: account.clone(), group: group.clone(), rules };
        match apply(&state, &command, &mut context) {
            Ok(applied) => {
                accepted += applied.changes.len();
                let revision = state.world().revision().next();
                state = applied.state.at(revision);
            }
            Err(refusal) if batch == 1 => return (state, accepted, refusal),
            Err(_) => batch = (batch / 10).max(1),
        }
    }
}

/// What was accepted fits: by the bound, in words, and it decides what the rules say.
fn check(universe: &mut Universe, state: &State, eni: &Eni) -> (u64, u64) {
    let world = state.world();
    let bound = policy_words(world, &group_set(&eni.groups));
    let mut tables = Tables::new(HostId::from(HOST), Adopted::default());
    let delta = tables.update(world, &world.to_changes());
    assert_eq!(delta.failures, vec![]);
    let slot = tables.eni_slot(&eni.id).expect("the ENI is on this host");
    let policy = tables.entries().get(&slot).map(|entry| entry.policy);
    let words = tables.policies().find(|(id, _)| Some(*id) == policy).map_or(0, |(_, words)| words.len() as u64);
    assert!(words <= bound && bound <= u64::from(POLICY_WORDS_MAX), "{words} words, bound {bound}");
    let promised = state.ledger().fullest().words;
    assert!((bound..=u64::from(HOST_POLICY_WORDS_PROMISED)).contains(&promised), "{promised}");
    for _ in 0..PACKETS {
        let packet = universe.packet(eni);
        let Some(finding) = tables.judge(&eni.id, &packet) else { continue };
        let expected = verdict::decide(world, eni, &packet);
        assert_eq!(tables.why(&eni.id, &packet, &finding), expected.why, "{packet:?}");
    }
    (words, bound)
}

const SETS: [(&str, Rules); 4] =
    [("nested ports", nested_ports), ("nested blocks", nested_blocks), ("combs", combs), ("lists", listed)];

#[test]
fn what_is_built_to_explode_is_refused_before_it_does() {
    for (name, rules) in SETS {
        let (mut universe, group, eni) = estate(LimitMode::Host);
        let (state, accepted, refusal) = grow(LimitMode::Host, &universe, &group, rules);
        let (Refusal::Limit { counted, limit, wanted } | Refusal::HostLimit { counted, limit, wanted, .. }) = refusal
        else {
            panic!("{name}: {refusal:?}")
        };
        let (words, bound) = check(&mut universe, &state, &eni);
        println!("{name}: {accepted} rules, {words} words (bound {bound}), then {counted:?}: {wanted} of {limit}");
        assert!(accepted >= 100, "{name}: only {accepted} rules");
        let is_size = matches!(counted, Counted::PolicyWords | Counted::HostPolicyWords);
        let is_count = matches!(counted, Counted::PolicyRules | Counted::RulesOfGroup | Counted::RulesOfEni);
        assert!(is_size || is_count, "{name}: {counted:?}");
        assert!(wanted > limit, "{name}");
    }
}

/// A million addresses in a thousand lists, more than interfaces may have rules, are one policy.
#[test]
fn a_million_entries_of_lists_fit_one_policy() {
    let (mut universe, _, eni, state) = a_million_entries();
    let (words, bound) = check(&mut universe, &state, &eni);
    println!("{} entries: {words} words (bound {bound})", MANY_LISTS as u32 * HOST_PREFIX_LIST_ENTRIES_MAX);
    assert!(words > 2_000_000, "{words}");
}

/// The store holds eight versions of such a policy. What no interface uses any more is given back once a second, and at once where there is no room.
#[test]
fn many_versions_of_a_large_policy_within_a_moment_find_room() {
    if !is_root("to fill the policy store") {
        return;
    }
    let (_, group, eni, mut state) = a_million_entries();
    let mut plane = TestPlane::new().expect("a data plane");
    plane.enforce(state.world()).expect("the world is enforced");
    let mut context = context();
    let (_, account) = region_and_owner(state.world(), &group);
    for port in 5_000..5_009 {
        let service = (Protocol::TCP, Service::Ports(PortRange::one(port)));
        let spec = RuleSpec::plain(Direction::Egress, Action::Deny, service, Peer::Cidr(Cidr::WORLD_V4));
        let rules = vec![NewRule::new(spec, "")];
        let command = Command::Authorize { account: account.clone(), group: group.clone(), rules };
        let applied = apply(&state, &command, &mut context).unwrap_or_else(|refusal| panic!("{refusal}"));
        let revision = state.world().revision().next();
        state = applied.state.at(revision);
        let delta = plane.tables.update(state.world(), &applied.changes);
        assert_eq!(plane.plane.follow(&delta, &plane.tables).expect("it is written"), [], "{port}");
        assert!(plane.plane.is_newest(), "{port}");
        let slot = plane.tables.eni_slot(&eni.id).expect("the ENI is on this host");
        let policy = plane.tables.entries().get(&slot).map(|entry| entry.policy.0);
        let found = plane.plane.maps().enis.get(slot as usize).policy >> 32;
        assert_eq!(Some(found as u32), policy, "{port}");
    }
}

fn context() -> Context {
    Context { now: Timestamp(0), ids: IdSource::new(1), limits: LimitMode::Host, host: HostId::from(HOST) }
}

/// An estate of which one interface has rules for a thousand lists.
fn a_million_entries() -> (Universe, GroupId, Arc<Eni>, State) {
    let (mut universe, group, eni) = estate(LimitMode::Host);
    let each = HOST_PREFIX_LIST_ENTRIES_MAX;
    for number in 0..MANY_LISTS {
        let mut list = prefix_list(&universe.world, &group, number, each);
        if let Change::PutPrefixList(list) = &mut list {
            let cidr =
                |at: u32| Cidr::from(ipnet::IpNet::V4(Ipv4Net::from(listed_address(number as u32 * each + at))));
            let list = Arc::make_mut(list);
            list.entries = (0..each).map(|at| PrefixEntry { cidr: cidr(at), description: String::new() }).collect();
        }
        universe.put(list);
    }
    let (_, account) = region_and_owner(&universe.world, &group);
    let mut context = context();
    let let_in = |number| {
        let peer = Peer::PrefixList(prefix_list_id(number));
        NewRule::new(rule(Service::Ports(PortRange::one(443)), peer), "")
    };
    let rules = (0..MANY_LISTS).map(let_in).collect();
    let command = Command::Authorize { account, group: group.clone(), rules };
    let applied = apply(&State::new(universe.world.clone()), &command, &mut context);
    let state = applied.unwrap_or_else(|refusal| panic!("{refusal}")).state;
    (universe, group, eni, state)
}

/// Lists of a million entries together.
const MANY_LISTS: usize = 1_000;

/// Addresses of which no two are neighbours, all over what peers may be.
fn listed_address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x1000_0000 + number * 2_048)
}

/// Under a cloud's own quotas the bound of words is never what a client meets.
#[test]
fn what_the_clouds_quotas_allow_fits() {
    for (name, rules) in SETS {
        let (mut universe, group, eni) = estate(LimitMode::Cloud);
        let (state, accepted, refusal) = grow(LimitMode::Cloud, &universe, &group, rules);
        let Refusal::Limit { counted, .. } = refusal else { panic!("{name}: {refusal:?}") };
        let (words, bound) = check(&mut universe, &state, &eni);
        println!("{name}: {accepted} rules, {words} words (bound {bound}), then {counted:?}");
        assert!(accepted >= 16, "{name}: only {accepted} rules");
        assert!(matches!(counted, Counted::RulesOfEni | Counted::RulesOfGroup), "{name}: {counted:?}");
        assert!(bound <= u64::from(POLICY_WORDS_MAX) / 8, "{name}: {bound}");
    }
}
