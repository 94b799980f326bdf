//! `core::verdict` from the rules and the interpreter from the tables must agree; incremental updates must
//! equal a rebuild; and no policy may be larger than the bound that the API relies on.

#![expect(clippy::panic, reason = "a test fails by panicking, in its helpers too")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use sekimori_compile::{
    abi::{self, Reason},
    layout::{direction_base, halves},
    tables::{Adopted, Name, RuleKey, Tables},
};
use sekimori_core::{
    bypass::BypassSet,
    capacity::{Ledger, policy_words},
    change::{Actor, Change, Commit, Row},
    feed::{Known, Slice},
    ids::{EniId, HostId},
    limits::BYPASS_ENTRIES_MAX,
    packet::{Decision, Packet, Why},
    rule::Direction,
    time::Timestamp,
    verdict,
    world::{Referent, Revision, World, group_set},
};
use sekimori_tests::{
    generate::{HOST, Universe},
    shrink::shrink,
};

const WORLDS: u64 = 2_500;
const PACKETS: usize = 100;

fn tables_of(world: &World) -> Tables {
    let mut tables = Tables::new(HostId::from(HOST), Adopted::default());
    let delta = tables.update(world, &world.to_changes());
    assert_eq!(delta.failures, vec![]);
    tables
}

/// What both say, where both have something to say: the tables know only ENIs of their host.
fn disagreement(world: &World, tables: &Tables, eni: &EniId, packet: &Packet) -> Option<String> {
    let finding = tables.judge(eni, packet)?;
    let expected = verdict::decide(world, world.eni(eni)?, packet);
    let untracked = verdict::is_untracked(world, world.eni(eni)?, packet, &expected.why);
    let found = tables.why(eni, packet, &finding);
    let same = finding.reason.passes() == expected.is_allowed()
        && found == expected.why
        && (finding.untracked == untracked || finding.reason != Reason::RuleAllow);
    if !same {
        return Some(format!("{packet:?} at {eni}: rules say {expected:?}, tables say {finding:?} ({found})"));
    }
    candidate_disagreement(world, tables, eni, packet)
}

/// The same by the candidates of the ENI's groups, which are asked about what has met the network ACL and comes from where it may.
fn candidate_disagreement(world: &World, tables: &Tables, eni: &EniId, packet: &Packet) -> Option<String> {
    let set = group_set(&world.eni(eni)?.groups);
    let found = tables.judge_candidate(eni, packet);
    if found.is_some() != world.has_candidate(&set) {
        return Some(format!("{eni} should have a candidate: {}", world.has_candidate(&set)));
    }
    let (found, candidate) = (found?, world.with_candidates(&set));
    let expected = verdict::decide_by_groups(&candidate, candidate.eni(eni)?, packet);
    let same = found.reason.passes() == expected.is_allowed() && tables.why(eni, packet, &found) == expected.why;
    (!same).then(|| format!("{packet:?} at {eni}: as candidates rules say {expected:?}, tables say {found:?}"))
}

#[test]
fn the_interpreter_agrees_with_the_verdict() {
    let mut judged = 0_u64;
    let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in 0..WORLDS {
        let mut universe = Universe::new(seed);
        let tables = tables_of(&universe.world);
        let enis = universe.enis();
        for _ in 0..PACKETS {
            let Some(eni) = enis.get(universe.chooser.below(enis.len())) else { break };
            let packet = universe.packet(eni);
            if let Some(message) = disagreement(&universe.world, &tables, &eni.id, &packet) {
                fail(seed, &universe.world, &eni.id, &packet, &message);
            }
            judged += 1;
            let Decision { why, .. } = verdict::decide(&universe.world, eni, &packet);
            *seen.entry(sekimori_core::feed::reason_name(&why)).or_default() += 1;
        }
    }
    println!("judged {judged} packets in {WORLDS} worlds (seeds 0..{WORLDS}): {seen:?}");
    assert!(judged >= 200_000, "{judged}");
    for reason in ["rule", "default", "intra-group", "spoofed", "bypass", "platform"] {
        assert!(seen.get(reason).is_some_and(|count| *count > 500), "too few packets were decided by {reason}");
    }
}

fn fail(seed: u64, world: &World, eni: &EniId, packet: &Packet, message: &str) -> ! {
    let small = shrink(world, |world| disagreement(world, &tables_of(world), eni, packet).is_some());
    panic!("seed {seed}: {message}\nsmallest world:\n{small:#?}");
}

/// Tables with names in place of numbers, so that two histories can be compared.
fn canonical(tables: &Tables) -> BTreeMap<String, String> {
    let rules: BTreeMap<u32, String> = tables.rule_names().map(|(key, slot)| (slot, format!("{key:?}"))).collect();
    let mut canonical = BTreeMap::new();
    for (slot, entry) in tables.entries() {
        let words = tables.policies().find(|(id, _)| *id == entry.policy).map(|(_, words)| Arc::clone(words));
        let lines = words.map(|words| rules_in_order(&words, &rules));
        canonical.insert(format!("eni {}", entry.id), format!("{:?} {lines:?} {}", entry.timeouts, entry.flags));
        if let Some(shadow) = entry.shadow {
            let words = tables.policies().find(|(id, _)| *id == shadow.policy).map(|(_, words)| Arc::clone(words));
            let lines = words.map(|words| rules_in_order(&words, &rules));
            canonical.insert(format!("shadow of {}", entry.id), format!("{} {lines:?}", shadow.round));
        }
        assert_eq!(tables.eni_slot(&entry.id), Some(*slot));
    }
    for (key, member) in tables.members() {
        let address = abi::address_of(key.address);
        let owner = member.eni.and_then(|slot| tables.entries().get(&slot)).map(|entry| entry.id.to_string());
        let count = member.groups.len();
        canonical.insert(format!("member {address} of {}", key.vpc), format!("{owner:?} {count}"));
    }
    canonical
}

/// The rules of groups that interfaces of the host have have counters, and no others.
fn assert_counters(tables: &Tables, rebuilt: &Tables) {
    let names = |tables: &Tables| tables.rule_names().map(|(key, _)| key.clone()).collect::<BTreeSet<RuleKey>>();
    assert_eq!(names(tables), names(rebuilt));
}

/// The rules of both directions of a policy, by name, in decision order.
fn rules_in_order(words: &[u64], names: &BTreeMap<u32, String>) -> Vec<String> {
    let name = |record: u64| {
        let (high, slot) = halves(record);
        format!("{high} {}", names.get(&slot).map_or("-", String::as_str))
    };
    let side = |direction| {
        let (count, at) = halves(words[direction_base(direction) as usize]);
        words[at as usize..(at + count) as usize].iter().copied().map(name).collect::<Vec<_>>()
    };
    [side(Direction::Ingress), side(Direction::Egress)].concat()
}

#[test]
fn incremental_updates_equal_a_rebuild_after_every_step() {
    for seed in 0..400 {
        let mut universe = Universe::new(seed);
        let mut tables = tables_of(&universe.world);
        for step in 0..25 {
            let changes = universe.change();
            changes.iter().cloned().for_each(|change| universe.put(change));
            let delta = tables.update(&universe.world, &changes);
            assert_eq!(delta.failures, vec![], "seed {seed} step {step}");
            tables.mark(true);
            tables.thaw();
            let rebuilt = tables_of(&universe.world);
            assert_eq!(canonical(&tables), canonical(&rebuilt), "seed {seed} step {step}: {changes:?}");
            assert_counters(&tables, &rebuilt);
            for eni in universe.enis() {
                let packet = universe.packet(&eni);
                if let Some(message) = disagreement(&universe.world, &tables, &eni.id, &packet) {
                    panic!("seed {seed} step {step} after {changes:?}: {message}");
                }
            }
        }
    }
}

/// What an agent is told is all that its tables need: they are those of the whole world, and the rules of groups that its host
/// never used have stayed away. An agent that was away goes on from what it knows, or begins anew.
#[test]
fn a_slice_of_the_world_makes_the_same_tables_as_the_whole() {
    let (mut kept_back, mut begun_anew, mut resumed) = (0, 0, 0);
    for seed in 0..400 {
        let mut universe = Universe::new(seed);
        let mut whole = tables_of(&universe.world);
        let mut slice = Slice::new(HostId::from(HOST), None);
        let (mut agent, mut known) = told_anew(&mut slice, &universe.world);
        let mut tables = tables_of(&agent);
        for step in 0..25 {
            let changes = universe.change();
            changes.iter().cloned().for_each(|change| universe.put(change));
            whole.update(&universe.world, &changes);
            universe.world = universe.world.clone().at(universe.world.revision().next());
            if universe.chooser.below(5) == 0 {
                slice = Slice::new(HostId::from(HOST), Some(&known));
                resumed += 1;
            }
            let commit = commit_of(universe.world.revision(), changes.clone());
            if let Some((commit, groups)) = slice.next(commit) {
                agent.commit(&commit);
                known.groups.extend(groups);
                tables.update(&agent, &commit.changes);
            } else {
                let before = agent;
                (agent, known) = told_anew(&mut slice, &universe.world);
                tables.update(&agent, &agent.changes_from(&before));
                begun_anew += 1;
            }
            known.revision = agent.revision();
            known.groups.retain(|group| agent.group(group).is_some());
            slice.reach(&universe.world);
            assert_eq!(agent.revision(), universe.world.revision());
            assert_eq!(canonical(&tables), canonical(&whole), "seed {seed} step {step}: {changes:?}");
            for group in agent.groups() {
                let rules = universe.world.group(&group.id).map(|group| group.rules.clone()).unwrap_or_default();
                let expected = if known.groups.contains(&group.id) { rules.clone() } else { Default::default() };
                assert_eq!(group.rules, expected, "seed {seed} step {step}: {} after {changes:?}", group.id);
                kept_back += rules.len() - expected.len();
                let shadow = universe.world.shadows().get(&group.id);
                let expected = shadow.filter(|_| known.groups.contains(&group.id));
                assert_eq!(agent.shadows().get(&group.id), expected, "seed {seed} step {step}: {}", group.id);
            }
        }
    }
    println!("{kept_back} rules kept back, {resumed} times resumed, {begun_anew} times begun anew");
    assert!(kept_back > 1_000 && begun_anew > 10 && resumed > begun_anew);
}

fn told_anew(slice: &mut Slice, world: &World) -> (World, Known) {
    let (facts, known) = slice.begin(world);
    let mut told = World::default().at(known.revision);
    facts.iter().for_each(|fact| told.apply(fact));
    (told, known)
}

fn commit_of(revision: Revision, changes: Vec<Change>) -> Commit {
    let actor = Actor { who: "test".into(), operation: "test".into(), from: None, request_id: String::new() };
    Commit { revision, at: Timestamp(0), actor, changes }
}

/// As above, with nothing but lists coming, changing and going: a delta writes the policies that name the list, and no
/// more.
#[test]
fn changes_of_lists_reach_the_policies_that_name_them_and_no_other() {
    let mut written = 0;
    for seed in 0..400 {
        let mut universe = Universe::new(seed);
        let mut tables = tables_of(&universe.world);
        for step in 0..15 {
            let changes = universe.change_of_list();
            let before = universe.world.clone();
            changes.iter().cloned().for_each(|change| universe.put(change));
            let delta = tables.update(&universe.world, &changes);
            let named = policies_naming(&before, &changes);
            assert!(delta.policies.len() <= named, "seed {seed} step {step}: {named} name it, {delta:?}");
            assert!(delta.members.is_empty() && delta.failures.is_empty(), "seed {seed} step {step}: {delta:?}");
            written += delta.policies.len();
            tables.mark(true);
            tables.thaw();
            assert_eq!(canonical(&tables), canonical(&tables_of(&universe.world)), "seed {seed} step {step}");
            for eni in universe.enis() {
                let packet = universe.packet(&eni);
                if let Some(message) = disagreement(&universe.world, &tables, &eni.id, &packet) {
                    panic!("seed {seed} step {step} after {changes:?}: {message}");
                }
            }
        }
    }
    assert!(written > 500, "only {written} policies were touched");
}

/// How many policies have a rule that names a list of these changes, or that goes with it.
fn policies_naming(world: &World, changes: &[Change]) -> usize {
    let referent = |change: &Change| match change.row() {
        Row::PrefixList(id) => Some(Referent::PrefixList(id)),
        Row::PortList(id) => Some(Referent::PortList(id)),
        _ => None,
    };
    let lists: Vec<Referent> = changes.iter().filter_map(referent).collect();
    let by_rules = lists.iter().flat_map(|list| world.referrers(list)).map(|(group, _)| group);
    let by_candidates = lists.iter().flat_map(|list| world.shadows().namers(list));
    let sets = by_rules.chain(by_candidates).flat_map(|group| world.group_sets_with(group));
    // A set of groups has a policy in each VPC whose interfaces carry it.
    let enis = sets.flat_map(|set| world.enis_with(set).map(move |id| (set, id)));
    let places: BTreeSet<_> = enis.filter_map(|(set, id)| Some((set, &world.eni(id)?.vpc))).collect();
    // And one more beside it, if it has candidates.
    places.iter().map(|(set, _)| 1 + usize::from(world.has_candidate(set))).sum()
}

#[test]
fn a_change_that_touches_nothing_here_writes_nothing() {
    let mut universe = Universe::new(7);
    let mut tables = tables_of(&universe.world);
    let again = tables.update(&universe.world, &universe.world.to_changes());
    assert_eq!(again, Default::default());
    let account = universe.world.accounts().next().cloned().expect("the universe has an account");
    universe.put(Change::PutAccount(account));
}

#[test]
fn no_policy_is_larger_than_its_bound() {
    for seed in 0..WORLDS {
        let mut universe = Universe::new(seed);
        if seed % 2 == 1 {
            let items = (1..=BYPASS_ENTRIES_MAX / 4).map(|number| format!("udp/{}@10.0.{number}.0/24", 20 * number));
            let bypass = BypassSet::from_items(items.collect::<Vec<_>>().iter().map(String::as_str));
            universe.put(Change::PutBypass(Arc::new(bypass.expect("these are items"))));
        }
        let tables = tables_of(&universe.world);
        for entry in tables.entries().values() {
            let words =
                tables.policies().find(|(id, _)| *id == entry.policy).map_or(0, |(_, words)| words.len() as u64);
            let eni = universe.world.eni(&entry.id).expect("an entry is an ENI of the world");
            let bound = policy_words(&universe.world, &group_set(&eni.groups));
            assert!(words <= bound, "seed {seed}: {words} words, bound {bound}");
            let Some(shadow) = entry.shadow else { continue };
            let words =
                tables.policies().find(|(id, _)| *id == shadow.policy).map_or(0, |(_, words)| words.len() as u64);
            let set = group_set(&eni.groups);
            let bound = policy_words(&universe.world.with_candidates(&set), &set);
            assert!(words <= bound, "seed {seed}: {words} words of a candidate, bound {bound}");
        }
    }
}

/// What is kept up change by change is what is counted anew, and no host is asked to hold more than it was promised.
#[test]
fn a_ledger_that_follows_is_one_that_counts_and_bounds_what_hosts_hold() {
    let hosts = [HOST, "host-b"].map(HostId::from);
    let (mut rules, mut gone, mut shared) = (0, 0, 0);
    for seed in 0..600 {
        let mut universe = Universe::new(seed);
        let mut ledger = Ledger::count(&universe.world);
        let mut tables = hosts.clone().map(|host| Tables::new(host, Adopted::default()));
        for (tables, host) in tables.iter_mut().zip(&hosts) {
            tables.update(&universe.world, &universe.world.to_changes());
            assert_held(tables, &ledger, host);
        }
        for step in 0..25 {
            let (before, changes) = (universe.world.clone(), universe.change());
            changes.iter().cloned().for_each(|change| universe.put(change));
            let after = ledger.after(&before, &universe.world, &changes);
            let after = after.unwrap_or_else(|refusal| panic!("seed {seed} step {step}: {refusal}"));
            let counted = Ledger::count(&universe.world);
            assert_eq!(after, counted, "seed {seed} step {step}: {changes:?}");
            for (tables, host) in tables.iter_mut().zip(&hosts) {
                tables.update(&universe.world, &changes);
                assert_held(tables, &after, host);
                rules += after.of(host).rules;
                gone += u64::from(after.of(host).words < ledger.of(host).words);
            }
            shared += u64::from(hosts.iter().all(|host| after.of(host).words > 0));
            ledger = after;
        }
    }
    println!("{rules} rules in use, {gone} times a host held less, {shared} times both held something");
    assert!(rules > 100_000 && gone > 1_000 && shared > 4_000, "{rules} {gone} {shared}");
}

fn assert_held(tables: &Tables, ledger: &Ledger, host: &HostId) {
    let promised = ledger.of(host);
    let words: u64 = tables.policies().map(|(_, words)| words.len() as u64).sum();
    assert!(words <= promised.words, "{words} words on {host}, promised {promised:?}");
    assert_eq!(words == 0, promised.words == 0, "{words} words on {host}, promised {promised:?}");
    let counters = tables.rule_names().filter(|((_, rule), _)| rule.is_some()).count() as u64;
    // A rule that is in a candidate as well has one counter for both.
    assert!(counters <= promised.rules, "{counters} counters on {host}, promised {promised:?}");
    assert_eq!(tables.entries().len() as u64, promised.enis);
}

#[test]
fn an_adopted_policy_keeps_its_number() {
    let mut universe = Universe::new(3);
    let first = tables_of(&universe.world);
    let mut adopted = Adopted { last_policy: 9, ..Adopted::default() };
    adopted.rules = first.rule_names().map(|(key, slot)| (key.clone(), slot)).collect();
    adopted.policies = first.policies().map(|(id, words)| (words.to_vec(), id)).collect();
    adopted.enis = first.entries().iter().map(|(slot, entry)| (entry.id.clone(), *slot)).collect();
    adopted.groups.push(("sg-gone".into(), 40));
    let mut second = Tables::new(HostId::from(HOST), adopted);
    let delta = second.update(&universe.world, &universe.world.to_changes());
    let ids = |tables: &Tables| tables.entries().values().map(|entry| entry.policy).collect::<Vec<_>>();
    let contents = |tables: &Tables| tables.policies().map(|(_, words)| words.to_vec()).collect::<Vec<_>>();
    if contents(&first) == contents(&second) {
        assert_eq!(ids(&first), ids(&second));
        assert_eq!(delta.policies, vec![]);
    }
    assert!(second.forget_unused().contains(&Name::Group(40, None)));
    assert!(matches!(
        first.why(
            &"eni-0".into(),
            &universe.packet(&universe.enis()[0].clone()),
            &sekimori_compile::interpret::Finding { reason: Reason::Spoofed, slot: 0, entry: None, untracked: false }
        ),
        Why::Spoofed
    ));
}
