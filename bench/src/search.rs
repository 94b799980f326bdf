//! Ways to find the entry of a list that has an address, beside each other: the search that policies are looked up with, a
//! binary search over the same entries, the kernel's trie of prefixes, and its hash, which knows no prefixes.
//!
//! Each run looks for an address of its own, so that a large list does not stay in the caches.

use std::net::Ipv4Addr;

use anyhow::Context as _;
use aya::{Ebpf, EbpfLoader, programs::SchedClassifier};
use ipnet::{IpNet, Ipv4Net};
use sekimori_agent::bpf::sys::{self, Shared};
use sekimori_compile::{
    build::{Line, Side, Sides, build},
    layout::{ACTION_ALLOW, Table, direction_base, pair},
};
use sekimori_core::{limits::HOST_POLICY_WORDS, rule::Direction};
use serde::Serialize;

use crate::{stats::Stats, stop::Stop};

/// Entries of the lists. Of each two entries one is a prefix and one is what lies between two of them, so the largest list has
/// a million of them in a table.
pub const SIZES: [u32; 4] = [10, 1_000, 10_000, 500_000];
/// Every program, with what it is called in the results.
const WAYS: [(&str, &str); 4] = [
    ("blocks", "blocks of a cache line (`bpf/search.h`)"),
    ("binary", "binary search"),
    ("longest_prefix", "LPM trie"),
    ("hash", "hash, exact addresses only"),
];
/// Only draws the address.
const DRAW: &str = "draw";
/// The length of the prefixes.
const LENGTH: u8 = 28;
/// Where the policy begins in the store, and the run of entries.
const POLICY: u32 = 64;
const RUN: u32 = HOST_POLICY_WORDS / 2;
const LOOPBACK: u32 = 1;
const REPEAT: u32 = 100_000;
const FRAME: [u8; 64] = [0; 64];

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/search.bpf.o"));

/// What one search costs.
#[derive(Clone, Debug, Serialize)]
pub struct SearchCost {
    /// How it is done.
    pub way: &'static str,
    /// Prefixes in the list.
    pub prefixes: u32,
    /// Nanoseconds, without drawing the address and without the call.
    pub ns: Stats,
}

/// Measures every way at every size, interleaved.
///
/// # Errors
/// The kernel's, or a list that cannot be laid out.
pub fn measure(rounds: usize, stop: &Stop) -> anyhow::Result<Vec<SearchCost>> {
    let mut costs = Vec::new();
    for prefixes in SIZES {
        let list = List::load(prefixes)?;
        let mut values = WAYS.map(|_| Vec::new());
        for _ in 0..rounds {
            stop.check()?;
            let drawn = list.run(DRAW)?;
            for ((program, _), values) in WAYS.iter().zip(&mut values) {
                values.push(list.run(program)? - drawn);
            }
        }
        let found = WAYS
            .iter()
            .zip(values)
            .filter_map(|((_, way), values)| Some(SearchCost { way, prefixes, ns: Stats::of(values)? }));
        costs.extend(found);
    }
    Ok(costs)
}

struct List {
    ebpf: Ebpf,
}

impl List {
    fn load(prefixes: u32) -> anyhow::Result<Self> {
        let step = u32::MAX / prefixes;
        let words = policy(prefixes, step)?;
        let table = direction_base(Direction::Ingress) + Table::Peers4 as u32;
        let entries = 2 * prefixes;
        let mut ebpf = EbpfLoader::new()
            .override_global("PREFIXES", &prefixes, true)
            .override_global("STEP", &step, true)
            .override_global("POLICY", &POLICY, true)
            .override_global("TABLE", &table, true)
            .override_global("RUN", &RUN, true)
            .override_global("RUN_ENTRIES", &entries, true)
            .map_max_entries("trie", prefixes)
            .map_max_entries("exact", prefixes)
            .load(OBJECT)
            .context("cannot load the searches")?;
        for name in WAYS.map(|(program, _)| program).into_iter().chain([DRAW]) {
            let program: &mut SchedClassifier = ebpf.program_mut(name).context("no such program")?.try_into()?;
            program.load().with_context(|| format!("the kernel refuses `{name}`"))?;
        }
        let list = Self { ebpf };
        list.fill(prefixes, step, &words)?;
        Ok(list)
    }

    fn fill(&self, prefixes: u32, step: u32, words: &[u64]) -> anyhow::Result<()> {
        let mut store: Shared<u64> = Shared::map_dense(self.map("policies")?, HOST_POLICY_WORDS as usize)?;
        store.set_run(POLICY as usize, words);
        let run = (0..prefixes).flat_map(|n| {
            let first = first(n * step);
            [pair(first, 1), pair(first + (1 << (32 - LENGTH)), 0)]
        });
        store.set_run(RUN as usize, &run.collect::<Vec<_>>());
        let (trie, exact) = (self.map("trie")?, self.map("exact")?);
        for n in 0..prefixes {
            // The key of a trie: the length, then the address as in a packet.
            let key = pair(first(n * step).to_be(), u32::from(LENGTH));
            sys::update(trie, &key, &1_u32)?;
            sys::update(exact, &(n * step), &1_u32)?;
        }
        Ok(())
    }

    fn map(&self, name: &str) -> anyhow::Result<std::os::fd::BorrowedFd<'_>> {
        sekimori_agent::bpf::maps::fd_of(self.ebpf.map(name).with_context(|| format!("no map `{name}`"))?)
    }

    fn run(&self, program: &str) -> anyhow::Result<f64> {
        let program: &SchedClassifier = self.ebpf.program(program).context("no such program")?.try_into()?;
        let fd = std::os::fd::AsFd::as_fd(program.fd()?);
        Ok(f64::from(sys::test_run(fd, (&FRAME, 0), LOOPBACK, REPEAT)?.duration_ns))
    }
}

/// The first address of the prefix that has an address.
fn first(address: u32) -> u32 {
    address & !((1 << (32 - LENGTH)) - 1)
}

/// A policy whose only rule names all prefixes.
fn policy(prefixes: u32, step: u32) -> anyhow::Result<Vec<u64>> {
    let net = |n: u32| anyhow::Ok(IpNet::V4(Ipv4Net::new(Ipv4Addr::from(first(n * step)), LENGTH)?));
    let line = Line {
        slot: 1,
        action: ACTION_ALLOW,
        services: vec![(0, 0xff_ffff)],
        peers: (0..prefixes).map(net).collect::<anyhow::Result<_>>()?,
        ..Line::default()
    };
    Ok(build(&Sides { ingress: Side { lines: vec![line], flags: 0 }, egress: Side::default() }, None)?)
}
