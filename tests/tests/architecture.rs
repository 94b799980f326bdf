//! The rules of the repository as tests: who may import whom, where `unsafe` may be, what a file and a
//! function may grow to. `ARCHITECTURE.md` holds the table in words.

#![expect(clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// Lines of a file, outside tables.
const FILE_LINES_MAX: usize = 700;
/// Files that are tables, or one long list of cases.
const TABLES: [&str; 12] = [
    "crates/cloud/src/ec2/catalog.rs",
    "crates/cloud/src/ec2/decode/table.rs",
    "crates/cloud/src/ec2/errors.rs",
    "crates/cloud/src/ec2/filters.rs",
    "crates/cloud/src/ec2/refusals.rs",
    "crates/cloud/src/ecs/catalog.rs",
    "crates/cloud/src/ecs/decode/table.rs",
    "crates/cloud/src/ecs/errors.rs",
    "crates/cloud/src/ecs/refusals.rs",
    "crates/core/src/apply/dispatch.rs",
    "tests/src/generate.rs",
    "bench/",
];
/// Lines of a function.
const FUNCTION_LINES_MAX: usize = 70;
/// Lines of the median function.
const FUNCTION_LINES_MEDIAN: usize = 8;

/// What each crate may import of ours.
const IMPORTS: [(&str, &[&str]); 7] = [
    ("core", &[]),
    ("compile", &["core"]),
    ("cloud", &["core"]),
    ("analysis", &["core"]),
    ("server", &["core", "cloud", "analysis"]),
    ("agent", &["core", "compile"]),
    ("cli", &["core", "compile", "cloud", "analysis", "server", "agent"]),
];

/// Crates that do no I/O, and so import none of these.
const PURE: [&str; 4] = ["core", "compile", "cloud", "analysis"];
const IMPURE: [&str; 18] = [
    "tokio",
    "hyper",
    "axum",
    "redb",
    "aya",
    "nix",
    "libc",
    "rtnetlink",
    "getrandom",
    "rand",
    "tracing",
    "ureq",
    "rustls",
    "futures",
    "tempfile",
    "tower",
    "socket2",
    "mio",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace exists")
}

/// Normal dependencies of every crate of the workspace, by short name.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo speaks JSON");
    let packages = metadata["packages"].as_array().expect("there are packages");
    let short = |value: &Value| value.as_str().unwrap_or_default().trim_start_matches("sekimori-").to_owned();
    let normal = |package: &Value| {
        let all = package["dependencies"].as_array().cloned().unwrap_or_default();
        all.iter().filter(|one| one["kind"].is_null()).map(|one| short(&one["name"])).collect()
    };
    packages.iter().map(|package| (short(&package["name"]), normal(package))).collect()
}

#[test]
fn crates_import_only_what_the_table_allows() {
    let dependencies = dependencies();
    let ours: BTreeSet<&str> = IMPORTS.iter().map(|(name, _)| *name).collect();
    for (name, allowed) in IMPORTS {
        let found = dependencies.get(name).unwrap_or_else(|| panic!("no crate `{name}`"));
        let imported: BTreeSet<&str> = found.iter().map(String::as_str).filter(|one| ours.contains(one)).collect();
        let forbidden: Vec<_> = imported.iter().filter(|one| !allowed.contains(one)).collect();
        assert!(forbidden.is_empty(), "`{name}` must not import {forbidden:?}");
    }
    for name in PURE {
        let impure: Vec<_> = IMPURE.iter().filter(|one| dependencies[name].contains(**one)).collect();
        assert!(impure.is_empty(), "`{name}` does no I/O and must not import {impure:?}");
    }
}

/// Every source file of ours with a suffix, relative to the root.
fn sources(suffix: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder can be read").flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() && !["target", ".git", "node_modules", "venv", ".venv"].contains(&name.as_str()) {
                folders.push(path);
            } else if name.ends_with(suffix) {
                let relative = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
                found.push((relative, fs::read_to_string(&path).expect("a source file is text")));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn every_file_says_what_it_is_for() {
    for (path, text) in sources(".rs") {
        assert!(text.starts_with("//!"), "`{path}` does not begin with a doc comment");
    }
    for suffix in [".c", ".h"] {
        for (path, text) in sources(suffix) {
            let first = text.lines().next().unwrap_or_default();
            assert!(first.contains("SPDX-License-Identifier"), "`{path}` does not begin with its licence");
        }
    }
}

#[test]
fn the_second_implementation_does_not_use_the_first() {
    for (path, text) in sources(".rs").into_iter().filter(|(path, _)| path.starts_with("crates/compile/")) {
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let uses = code.filter(|line| line.contains("verdict")).count();
        assert_eq!(uses, 0, "`{path}` must not use core::verdict");
    }
}

#[test]
fn unsafe_lives_in_one_module() {
    for (path, text) in sources(".rs") {
        let code = text.lines().map(str::trim_start).filter(|line| !line.starts_with("//"));
        let block = concat!("unsafe", " {");
        let uses = code.filter(|line| line.contains(block) || line.starts_with("unsafe ")).count();
        assert!(uses == 0 || path == "crates/agent/src/bpf/sys.rs", "`{path}` has `unsafe`");
    }
}

#[test]
fn files_stay_readable() {
    for (path, text) in sources(".rs").into_iter().filter(|(path, _)| !is_table(path)) {
        let lines = text.lines().count();
        assert!(
            lines <= FILE_LINES_MAX,
            "`{path}` has {lines} lines, more than {FILE_LINES_MAX}: one file, one subject"
        );
    }
}

fn is_table(path: &str) -> bool {
    TABLES.iter().any(|table| path.starts_with(table))
}

/// Functions outside tables as (path, name, lines). The sources are formatted, so a function ends with the first closing
/// brace that stands as far left as it began.
fn functions() -> Vec<(String, String, usize)> {
    let mut found = Vec::new();
    for (path, text) in sources(".rs").into_iter().filter(|(path, _)| !is_table(path)) {
        let lines: Vec<&str> = text.lines().collect();
        for (start, line) in lines.iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let Some(name) = function_name(line.trim_start()) else { continue };
            let end = format!("{}}}", " ".repeat(indent));
            let one_line = line.ends_with('}') || line.ends_with(';');
            let length =
                if one_line { 1 } else { lines[start..].iter().take_while(|line| **line != end).count() + 1 };
            found.push((path.clone(), name.to_owned(), length));
        }
    }
    found
}

fn function_name(line: &str) -> Option<&str> {
    let mut rest = line;
    for prefix in ["pub(crate) ", "pub(super) ", "pub ", "const ", "async "] {
        rest = rest.strip_prefix(prefix).unwrap_or(rest);
    }
    let rest = rest.strip_prefix("fn ")?;
    rest.split(['(', '<']).next()
}

#[test]
fn functions_stay_short() {
    let functions = functions();
    for (path, name, lines) in &functions {
        assert!(
            *lines <= FUNCTION_LINES_MAX,
            "`{name}` in `{path}` has {lines} lines, more than {FUNCTION_LINES_MAX}"
        );
    }
    let is_product = |path: &str| path.starts_with("crates/");
    let mut lengths: Vec<usize> =
        functions.iter().filter(|(path, _, _)| is_product(path)).map(|(_, _, lines)| *lines).collect();
    lengths.sort_unstable();
    let median = lengths.get(lengths.len() / 2).copied().unwrap_or_default();
    println!("{} functions, median {median} lines", lengths.len());
    assert!(median <= FUNCTION_LINES_MEDIAN, "the median function has {median} lines");
}
