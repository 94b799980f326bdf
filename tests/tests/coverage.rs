//! The coverage lists `docs/coverage/*.tsv` are true: every operation, parameter, filter and error code of the APIs that the
//! code has is in them and the other way round, and every test that they name is there and speaks about what it proves.
//!
//! `UPDATE_EXPECT=1 cargo test -p sekimori-tests --test coverage` writes what is missing in a list, with a test that
//! mentions it. What no test mentions is left for a person.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
};

use sekimori_cloud::{
    catalog::{Entry, Parameter, Presence},
    ec2, ecs,
};

/// One list, and where its truth is.
struct Coverage {
    list: &'static str,
    /// The sources of the dialect.
    sources: &'static str,
    /// Where tests are looked for.
    tests_in: &'static [&'static str],
    /// What the code has, with whether it is read and then ignored.
    entries: fn() -> Rows<bool>,
    /// Quoted words of the tables of codes that look like codes and are none.
    no_codes: &'static [&'static str],
    /// Rows of the specification that the code does not have. Lower it with every one that goes; never raise it.
    missing_max: usize,
    /// Rows of the code that no test speaks about. Lower it with every one that goes; never raise it.
    untested_max: usize,
}

const ECS: Coverage = Coverage {
    list: "docs/coverage/ecs.tsv",
    sources: "crates/cloud/src/ecs",
    tests_in: &[
        "crates/cloud/tests/it",
        "crates/cloud/src/ecs",
        "crates/cloud/src/sign",
        "crates/server/src",
        "tests/clients",
    ],
    entries: || rows_of(ecs::catalog::OPERATIONS, ecs::catalog::COMMON),
    no_codes: &["Source", "Dest", "SecurityGroupIds", "InstanceIds", "Signature"],
    missing_max: 0,
    untested_max: 0,
};

const EC2: Coverage = Coverage {
    list: "docs/coverage/ec2.tsv",
    sources: "crates/cloud/src/ec2",
    tests_in: &[
        "crates/cloud/tests/it/ec2",
        "crates/cloud/src/ec2",
        "crates/cloud/src/sign/aws",
        "crates/server/src",
        "tests/clients",
    ],
    entries: || {
        let mut rows = rows_of(ec2::catalog::OPERATIONS, ec2::catalog::COMMON);
        for entry in ec2::catalog::OPERATIONS {
            let filters = ec2::filters::names(entry.action).iter();
            rows.extend(filters.map(|name| (("filter".to_owned(), format!("{}:{name}", entry.name)), false)));
        }
        rows
    },
    no_codes: &["ALL"],
    missing_max: 0,
    untested_max: 4,
};

const HEADER: &str = "what\tname\tstate\ttest\twhy";
/// Tables of cases: a test that runs them speaks about everything in them.
const TABLES_OF_CASES: [&str; 2] = ["tests/clients/refusals.py", "tests/clients/test_codes.py"];

/// A line of a list, by what it is about: `operation`, `parameter`, `filter` or `error`, and the name.
type Rows<T = Row> = BTreeMap<(String, String), T>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Row {
    state: String,
    test: String,
    why: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace exists")
}

fn text_of(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_default()
}

fn listed(list: &str) -> Rows {
    let text = text_of(list);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.first(), Some(&HEADER), "`{list}` begins with its header");
    let mut rows = Rows::new();
    for line in &lines[1..] {
        let cells: Vec<&str> = line.split('\t').collect();
        let [what, name, state, test, why] = cells[..] else { panic!("`{line}` has not five columns") };
        let row = Row { state: state.to_owned(), test: test.to_owned(), why: why.to_owned() };
        assert!(["done", "different", "untested", "missing"].contains(&state), "`{line}` has no known state");
        assert!(rows.insert((what.to_owned(), name.to_owned()), row).is_none(), "`{what} {name}` is there twice");
    }
    rows
}

fn rows_of<A, V>(operations: &[Entry<A, V>], common: &[Parameter]) -> Rows<bool> {
    let mut all = Rows::new();
    let mut put = |what: &str, name: String, is_ignored: bool| all.insert((what.to_owned(), name), is_ignored);
    for parameter in common {
        put("parameter", format!("*.{}", parameter.name), parameter.presence == Presence::Ignored);
    }
    for entry in operations {
        put("operation", entry.name.to_owned(), false);
        for parameter in entry.parameters {
            let is_ignored = matches!(parameter.presence, Presence::Ignored | Presence::Refused);
            put("parameter", format!("{}.{}", entry.name, parameter.name), is_ignored);
        }
    }
    all
}

fn coded(of: &Coverage) -> Rows<bool> {
    let mut all = (of.entries)();
    all.extend(codes(of).into_iter().map(|code| (("error".to_owned(), code), false)));
    all
}

/// Error codes, as texts in the tables of codes. Names of parameters look the same and are left out.
fn codes(of: &Coverage) -> BTreeSet<String> {
    let quoted = |path: &str| -> BTreeSet<String> {
        let text = text_of(path);
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        code.split('"').skip(1).step_by(2).filter(|word| is_code(word)).map(str::to_owned).collect()
    };
    let mut codes = quoted(&format!("{}/errors.rs", of.sources));
    codes.extend(quoted(&format!("{}/refusals.rs", of.sources)));
    let more = fs::read_dir(root().join(of.sources).join("errors")).into_iter().flatten();
    for file in more.map(|entry| entry.expect("a folder can be read").file_name()) {
        codes.extend(quoted(&format!("{}/errors/{}", of.sources, file.to_string_lossy())));
    }
    let names = quoted(&format!("{}/catalog.rs", of.sources));
    codes.into_iter().filter(|code| !names.contains(code) && !of.no_codes.contains(&code.as_str())).collect()
}

fn is_code(word: &str) -> bool {
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_uppercase()) && part.chars().all(|c| c.is_ascii_alphanumeric())
    };
    word.len() > 2 && word.split('.').all(is_part)
}

/// Every test, with the text that speaks for it.
fn tests(of: &Coverage) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders: Vec<PathBuf> = of.tests_in.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).expect("a folder of tests can be read");
        for path in entries.map(|entry| entry.expect("a folder can be read").path()) {
            if path.is_dir() && !path.ends_with("node_modules") {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| ["rs", "py"].iter().any(|known| kind == *known)) {
                let relative = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
                found.extend(tests_of(&relative));
            }
        }
    }
    found
}

fn tests_of(path: &str) -> Vec<(String, String)> {
    let text = text_of(path);
    let mut found: Vec<(String, String)> = Vec::new();
    let (mut current, mut is_test) = (None::<(String, String)>, path.ends_with(".py"));
    for line in text.lines() {
        let name = line.trim_start().strip_prefix(if path.ends_with(".py") { "def test_" } else { "fn " });
        if let Some(name) = name.and_then(|rest| rest.split(['(', '<']).next()) {
            found.extend(current.take());
            let name = if path.ends_with(".py") { format!("test_{name}") } else { name.to_owned() };
            current = is_test.then(|| (format!("{path}::{name}"), String::new()));
        }
        is_test = path.ends_with(".py") || line.trim() == "#[test]" || line.trim().starts_with("#[tokio::test");
        if let Some((_, body)) = &mut current {
            body.push_str(line);
            body.push('\n');
        }
    }
    found.extend(current);
    let tables: String = TABLES_OF_CASES.iter().map(|table| text_of(table)).collect();
    for (_, body) in found.iter_mut().filter(|(_, body)| body.contains("refusals.") || body.contains("NOT_PROVOKED"))
    {
        body.push_str(&tables);
    }
    found
}

/// The words that a test must contain to speak about a row: the operation or code, and the last part of a parameter.
fn words_of((what, name): &(String, String)) -> Vec<&str> {
    if what == "filter" {
        return name.split(':').filter(|word| *word != "<key>").collect();
    }
    if what != "parameter" {
        return vec![name];
    }
    let mut parts = name.split('.');
    let operation = parts.next().unwrap_or_default();
    let last = parts.rfind(|part| !matches!(*part, "N" | "*")).unwrap_or_default();
    match (operation, last) {
        ("*", last) => vec![last],
        // The estate of the tests sends the region with every call.
        (operation, "RegionId") => vec![operation],
        (operation, last) => vec![operation, last],
    }
}

fn speaks(body: &str, words: &[&str]) -> bool {
    words.iter().all(|word| body.contains(word))
}

/// Writes a row for everything that the code has, with the first test that speaks about it.
fn update(rows: &mut Rows, of: &Coverage) {
    let (coded, tests) = (coded(of), tests(of));
    let is_kept = |what: &str, row: &Row| match row.state.as_str() {
        "missing" => true,
        "different" => what != "parameter",
        _ => false,
    };
    rows.retain(|key, row| coded.contains_key(key) || is_kept(&key.0, row));
    for (key, is_ignored) in &coded {
        let row = rows.entry(key.clone()).or_default();
        let words = words_of(key);
        let speaks_now = tests.get(&row.test).is_some_and(|body| speaks(body, &words));
        if row.state == "missing" || row.state.is_empty() {
            row.state = if *is_ignored { "different" } else { "done" }.to_owned();
        }
        if !speaks_now && (matches!(row.state.as_str(), "done" | "untested") || !tests.contains_key(&row.test)) {
            let mut speaking = tests.iter().filter(|(_, body)| speaks(body, &words));
            row.test = speaking.next().map(|(name, _)| name.clone()).unwrap_or_default();
        }
        if row.state == "untested" && !row.test.is_empty() {
            row.state = "done".to_owned();
        }
    }
    let line = |((what, name), row): (&(String, String), &Row)| {
        format!("{what}\t{name}\t{}\t{}\t{}\n", row.state, row.test, row.why)
    };
    let lines: String = rows.iter().map(line).collect();
    fs::write(root().join(of.list), format!("{HEADER}\n{lines}")).expect("the list can be written");
}

#[test]
fn the_list_of_ecs_is_true() {
    check(&ECS);
}

#[test]
fn the_list_of_ec2_is_true() {
    check(&EC2);
}

fn check(of: &Coverage) {
    let mut rows = listed(of.list);
    if env::var_os("UPDATE_EXPECT").is_some() {
        update(&mut rows, of);
    }
    let (coded, tests) = (coded(of), tests(of));
    let mut wrong: Vec<String> = Vec::new();
    for ((what, name), _) in coded.iter().filter(|(key, _)| !rows.contains_key(*key)) {
        wrong.push(format!("{what} {name} is in the code and not in the list"));
    }
    for (key, row) in &rows {
        let (what, name) = key;
        match (row.state.as_str(), coded.get(key)) {
            ("missing", None) => {}
            ("missing", Some(_)) => wrong.push(format!("{what} {name} is in the code and listed as missing")),
            ("different", None) if what != "parameter" && !row.why.is_empty() => {}
            (_, None) => wrong.push(format!("{what} {name} is in the list and not in the code")),
            ("done", Some(true)) => wrong.push(format!("{what} {name} is ignored, so it is different: say why")),
            ("different", Some(_)) if row.why.is_empty() => wrong.push(format!("{what} {name} does not say why")),
            (_, Some(_)) => {}
        }
        if row.state == "done" && !tests.get(&row.test).is_some_and(|body| speaks(body, &words_of(key))) {
            wrong.push(format!("{what} {name} names `{}`, which does not speak about it", row.test));
        }
        if row.state == "different" && !row.test.is_empty() && !tests.contains_key(&row.test) {
            wrong.push(format!("{what} {name} names `{}`, which is not there", row.test));
        }
    }
    let count = |state: &str| rows.values().filter(|row| row.state == state).count();
    let (missing, untested) = (count("missing"), count("untested"));
    println!("{} rows, {missing} missing, {untested} untested", rows.len());
    assert!(wrong.is_empty(), "{} things are wrong with `{}`:\n{}", wrong.len(), of.list, wrong.join("\n"));
    assert!(untested <= of.untested_max, "{untested} rows are untested, more than {}", of.untested_max);
    assert!(missing <= of.missing_max, "{missing} rows are missing, more than {}", of.missing_max);
}
