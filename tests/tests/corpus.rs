//! Replays the fuzz corpus, and a fixed number of mutations of it, so that every run of the tests feeds the parsers
//! what a fuzzer would.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use sekimori_tests::{
    fuzz::{TARGETS, Target, mutate::mutated},
    generate::Chooser,
    plane::is_root,
};

/// Mutations of each corpus.
const MUTATIONS: u64 = 20_000;
/// The seed of the first one. Each has a seed of its own, so that one can be run again alone.
const SEED: u64 = 0x5ec1_0000_0000;
/// Seeds that a corpus has at least, and at most.
const SEEDS: std::ops::RangeInclusive<usize> = 10..=40;

fn corpus_of(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a folder can be read").path()).collect();
    files.sort();
    files.into_iter().map(|file| (file.clone(), fs::read(&file).expect("a seed can be read"))).collect()
}

fn run(target: Target, bytes: &[u8], what: &str) {
    let outcome = catch_unwind(AssertUnwindSafe(|| target(bytes)));
    assert!(
        outcome.is_ok(),
        "{what} fails with {} bytes: {}",
        bytes.len(),
        String::from_utf8_lossy(bytes).escape_debug()
    );
}

fn replay(name: &str) {
    let (_, target) = TARGETS.into_iter().find(|(known, _)| *known == name).expect("the target exists");
    let corpus = corpus_of(name);
    assert!(SEEDS.contains(&corpus.len()), "{name} has {} seeds", corpus.len());
    for (file, bytes) in &corpus {
        run(target, bytes, &file.display().to_string());
    }
    let seeds: Vec<Vec<u8>> = corpus.into_iter().map(|(_, bytes)| bytes).collect();
    println!("{name}: {} seeds, then mutations {SEED:#x}..{:#x}", seeds.len(), SEED + MUTATIONS);
    for seed in SEED..SEED + MUTATIONS {
        run(target, &mutated(&seeds, &mut Chooser::new(seed)), &format!("{name}, mutation {seed:#x},"));
    }
}

#[test]
fn ecs_call() {
    replay("ecs_call");
}

#[test]
fn ec2_call() {
    replay("ec2_call");
}

#[test]
fn addresses() {
    replay("addresses");
}

#[test]
fn feed() {
    replay("feed");
}

#[test]
fn rows() {
    replay("rows");
}

#[test]
fn native_query() {
    replay("native_query");
}

#[test]
fn policy_words() {
    replay("policy_words");
}

#[test]
fn frames() {
    if is_root("giving frames to the programs in the kernel") {
        replay("frames");
    }
}

#[test]
fn every_target_has_a_corpus_and_a_fuzzer() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let readme = fs::read_to_string(root.join("corpus/README.md")).expect("the corpus is described");
    let manifest = fs::read_to_string(root.join("Cargo.toml")).expect("the fuzz crate exists");
    for (name, _) in TARGETS {
        assert!(readme.contains(&format!("`{name}`")), "fuzz/corpus/README.md does not describe `{name}`");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "fuzz/Cargo.toml has no binary `{name}`");
        assert!(root.join(format!("fuzz_targets/{name}.rs")).exists(), "`{name}` has no fuzz target");
    }
    for entry in fs::read_dir(root.join("corpus")).expect("a folder can be read").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(name == "README.md" || TARGETS.iter().any(|(known, _)| *known == name), "`{name}` is no target");
    }
}
