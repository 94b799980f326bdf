//! The words of a policy are those of a plain layout: every value is asked about every rule, and classes are compared whole.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// A field's runs of values by rule, and its greatest value.
struct Field {
    table: Table,
    runs: Vec<Vec<(u128, u128)>>,
    last: u128,
}

fn fields(lines: &[Line]) -> Vec<Field> {
    let narrow = u128::from(u32::MAX);
    let field = |table, last, runs: &dyn Fn(&Line) -> Vec<(u128, u128)>| Field {
        table,
        runs: lines.iter().map(runs).collect(),
        last,
    };
    let whole = |last| move |net: Option<(u128, u128)>| net.map_or(vec![(0, last)], |run| vec![run]);
    let v4 = |net: &IpNet| span4(net).map(|(first, last)| (u128::from(first), u128::from(last)));
    let own =
        |line: &Line, run: fn(&IpNet) -> bool, of: &dyn Fn(&IpNet) -> Option<(u128, u128)>, last| match &line.local {
            None => whole(last)(None),
            Some(net) if run(net) => whole(last)(of(net)),
            Some(_) => Vec::new(),
        };
    let is_v4 = |net: &IpNet| net.addr().is_ipv4();
    let mut fields = vec![
        field(Table::Services, narrow, &|line| {
            line.services.iter().map(|(first, last)| (u128::from(*first), u128::from(*last))).collect()
        }),
        field(Table::Peers4, narrow, &|line| line.peers.iter().filter_map(v4).collect()),
        field(Table::Peers6, u128::MAX, &|line| line.peers.iter().filter_map(span6).collect()),
        field(Table::Groups, narrow, &|line| {
            line.groups.iter().map(|group| (u128::from(*group), u128::from(*group))).collect()
        }),
    ];
    if lines.iter().any(|line| line.local.is_some()) {
        fields.push(field(Table::Locals4, narrow, &|line| own(line, is_v4, &v4, narrow)));
        fields.push(field(Table::Locals6, u128::MAX, &|line| {
            own(line, |net| !net.addr().is_ipv4(), &span6, u128::MAX)
        }));
    }
    if lines.iter().any(|line| line.source_ports.is_some()) {
        fields.push(field(Table::SourcePorts, narrow, &|line| {
            vec![line.source_ports.map_or((0, u128::from(NO_PORT)), |(a, b)| (u128::from(a), u128::from(b)))]
        }));
    }
    fields
}

/// What marks the class of these rules in a field.
fn asked(table: Table, lines: &[Line], rules: &BTreeSet<usize>) -> u32 {
    let has = |is: &dyn Fn(&Line) -> bool| table == Table::Services && rules.iter().any(|rule| is(&lines[*rule]));
    let marks = [
        (ASKS_LOCALS, has(&|line| line.local.is_some())),
        (ASKS_SOURCE_PORTS, has(&|line| line.source_ports.is_some())),
        (ASKS_GROUPS, has(&|line| !line.groups.is_empty())),
        (ASKS_PEERS, has(&|line| !line.peers.is_empty())),
    ];
    marks.iter().filter(|(_, is_asked)| *is_asked).fold(0, |marks, (mark, _)| marks | mark)
}

fn plain_side(words: &mut Vec<u64>, base: usize, side: &Side) {
    let lines = &side.lines;
    let summaries = lines.len().div_ceil(4_096);
    words[base] = pair(lines.len() as u32, words.len() as u32);
    words.extend(
        lines.iter().map(|line| u64::from(line.flags) << 40 | u64::from(line.action) << 32 | u64::from(line.slot)),
    );
    let mut known: Vec<(BTreeSet<usize>, u32)> = vec![(BTreeSet::new(), 0)];
    for Field { table, runs, last } in fields(lines) {
        let ends = runs.iter().flatten().flat_map(|(first, end)| [Some(*first), end.checked_add(1)]);
        let values: BTreeSet<u128> = ends.flatten().chain([0]).filter(|value| *value <= last).collect();
        let mut entries: Vec<(u128, u32)> = Vec::new();
        for value in values {
            let holds = |runs: &Vec<(u128, u128)>| runs.iter().any(|(first, last)| (*first..=*last).contains(&value));
            let rules: BTreeSet<usize> = (0..lines.len()).filter(|rule| holds(&runs[*rule])).collect();
            let at = known.iter().find(|(set, _)| *set == rules).map(|(_, at)| *at);
            let at = at.unwrap_or_else(|| plain_class(words, summaries, &rules));
            known.push((rules.clone(), at));
            let class = at | asked(table, lines, &rules);
            if entries.last().is_none_or(|(_, last)| *last != class) {
                entries.push((value, class));
            }
        }
        let indexed = if last == u128::MAX {
            index::wide(&entries)
        } else {
            index::narrow(&entries.iter().map(|(value, class)| (*value as u32, *class)).collect::<Vec<_>>())
        };
        if entries.len() > 1 {
            words.resize(words.len().next_multiple_of(8), 0);
        }
        words[base + table as usize] = pair(entries.len() as u32, words.len() as u32 | indexed.levels << 24);
        words.extend(indexed.words);
    }
    words[base + DEFAULTS_WORD as usize] = pair(side.flags, summaries as u32);
}

fn plain_class(words: &mut Vec<u64>, summaries: usize, rules: &BTreeSet<usize>) -> u32 {
    let at = words.len() as u32;
    let bits = |word: usize| {
        (0..64).filter(|bit| rules.contains(&(word * 64 + bit))).fold(0, |bits, bit| bits | 1_u64 << bit)
    };
    let mut position = at + 2 * summaries as u32;
    for summary in 0..summaries {
        let full = (0..64).filter(|word| bits(summary * 64 + word) != 0);
        words.extend([full.clone().fold(0, |bits, word| bits | 1_u64 << word), u64::from(position)]);
        position += full.count() as u32;
    }
    words.extend((0..summaries * 64).map(bits).filter(|word| *word != 0));
    at
}

fn plain(rules: &Sides, acl: Option<&Sides>) -> Vec<u64> {
    let mut words = vec![0; HEADER_WORDS as usize];
    for direction in [Direction::Ingress, Direction::Egress] {
        plain_side(&mut words, direction_base(direction) as usize, rules.of(direction));
    }
    for direction in [Direction::Ingress, Direction::Egress] {
        match acl {
            Some(acl) => plain_side(&mut words, acl_base(direction) as usize, acl.of(direction)),
            None => words[(acl_base(direction) + DEFAULTS_WORD) as usize] = pair(DEFAULT_ALLOW, 0),
        }
    }
    words.resize(words.len().next_multiple_of(8), 0);
    words[0] = pair(MAGIC, words.len() as u32);
    words
}

fn service() -> impl Strategy<Value = (u32, u32)> {
    let ends = (prop::sample::select(vec![0_u32, 6 << 16, 17 << 16]), 0_u32..40, 0_u32..20);
    prop_oneof![
        4 => ends.prop_map(|(protocol, first, more)| (protocol | first, protocol | (first + more))),
        1 => Just((0, 0xff_ffff)),
        1 => Just((5, u32::MAX)),
    ]
}

fn block() -> impl Strategy<Value = IpNet> {
    let v4 = (0_u32..256, 24_u8..=32).prop_map(|(host, length)| {
        ipnet::Ipv4Net::new((0x0a00_0000 + host).into(), length).map_or_else(|_| IpNet::default(), IpNet::V4)
    });
    let v6 = (0_u128..64, 120_u8..=128).prop_map(|(host, length)| {
        ipnet::Ipv6Net::new(((0xfd00_u128 << 112) + host).into(), length).map_or_else(|_| IpNet::default(), IpNet::V6)
    });
    prop_oneof![
        4 => v4,
        2 => v6,
        1 => Just(IpNet::V4(ipnet::Ipv4Net::default())),
        1 => Just(IpNet::V6(ipnet::Ipv6Net::default())),
        1 => Just(IpNet::from(std::net::IpAddr::from([255, 255, 255, 255]))),
    ]
}

fn line() -> impl Strategy<Value = Line> {
    let rest = (prop::collection::vec(0_u32..6, 0..3), prop::option::weighted(0.1, block()));
    let ports = prop::option::weighted(0.1, (0_u16..50, 0_u16..50));
    let services = prop::collection::vec(service(), 1..4);
    (0_u32..3, 0_u32..2, services, prop::collection::vec(block(), 0..4), ports, rest).prop_map(
        |(slot, action, services, peers, source_ports, (groups, local))| Line {
            slot,
            action,
            flags: slot,
            services,
            source_ports: source_ports.map(|(first, more)| (first, first + more)),
            peers,
            groups,
            local: local.map(|net| net.trunc()),
        },
    )
}

fn sides(lines: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Sides> {
    let side =
        |lines| (prop::collection::vec(line(), lines), 0_u32..4).prop_map(|(lines, flags)| Side { lines, flags });
    (side(lines.into()), side((0..5).into())).prop_map(|(ingress, egress)| Sides { ingress, egress })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn words_are_those_of_a_plain_layout(rules in sides(0..150), acl in prop::option::of(sides(0..10))) {
        prop_assert_eq!(build(&rules, acl.as_ref()), Ok(plain(&rules, acl.as_ref())));
    }
}

/// Words that are not zero in more than one summary.
#[test]
fn words_of_many_rules_are_those_of_a_plain_layout() {
    let line = |number: u32| Line {
        slot: number,
        action: 1,
        services: vec![(number / 7, number / 7 + 3)],
        peers: if number.is_multiple_of(3) {
            Vec::new()
        } else {
            vec![IpNet::from(std::net::IpAddr::from((number / 40).to_be_bytes()))]
        },
        ..Line::default()
    };
    let rules = Sides { ingress: Side { lines: (0..4_500).map(line).collect(), flags: 0 }, egress: Side::default() };
    assert_eq!(build(&rules, None), Ok(plain(&rules, None)));
}
