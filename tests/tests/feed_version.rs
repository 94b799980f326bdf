//! The version of the feed is raised with its types: what server and agent say to each other is read from the source, type by type, and
//! compared with what it was when the version was raised last.
//!
//! After raising `FEED_VERSION`, `UPDATE_EXPECT=1 cargo test --test feed_version` writes down the types of the new version.

#![expect(clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
};

use sekimori_core::feed::FEED_VERSION;

/// What the two sides say, and the ids, which are types that a macro makes.
const ROOTS: [&str; 3] = ["FromAgent", "FromServer", "$name"];
/// What [`sekimori_core::feed::Slice`] tells no agent of, though a change could hold it.
const UNTOLD: [&str; 12] = [
    "AccessKey",
    "FlowLog",
    "InsightsAnalysis",
    "InsightsPath",
    "Invariant",
    "PrefixListVersion",
    "Report",
    "Snapshot",
    "SnapshotPolicy",
    "Terminated",
    "Token",
    "Trial",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are in the workspace").to_owned()
}

fn sources(directory: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(fs::read_to_string(&path).expect("a source file"));
        }
    }
}

/// The texts of types that are written and read, by name, without what does not matter: comments, spaces, and attributes but serde's.
fn types(source: &str, found: &mut BTreeMap<String, BTreeSet<String>>) {
    let lines = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut chunk = String::new();
    for line in lines.map(|line| line.split(" // ").next().unwrap_or_default()) {
        chunk.push_str(line);
        chunk.push('\n');
        // What begins at the edge ends there.
        if !line.starts_with(char::is_whitespace) && (line.ends_with(['}', ';'])) {
            item(&std::mem::take(&mut chunk), found);
        }
    }
}

fn item(chunk: &str, found: &mut BTreeMap<String, BTreeSet<String>>) {
    let Some(name) = name_of(chunk) else { return };
    let mut kept = without_attributes(chunk);
    kept.retain(|letter| !letter.is_whitespace());
    for end in ['}', ')', ']', '>'] {
        kept = kept.replace(&format!(",{end}"), &end.to_string());
    }
    found.entry(name).or_default().insert(kept);
}

/// The type that a piece of source declares, or writes or reads by hand.
fn name_of(chunk: &str) -> Option<String> {
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '$';
    let word = |text: &str| text.chars().take_while(|letter| is_word(*letter)).collect::<String>();
    for line in chunk.lines().map(str::trim) {
        if line.starts_with("impl") {
            let traits = ["Serialize for ", "Deserialize<'de> for "];
            return traits.iter().find_map(|name| line.split_once(name)).map(|(_, rest)| word(rest));
        }
        let bare =
            line.trim_start_matches("pub(crate) ").trim_start_matches("pub(super) ").trim_start_matches("pub ");
        if let Some(rest) = bare.strip_prefix("struct ").or_else(|| bare.strip_prefix("enum ")) {
            let is_written = chunk.contains("Serialize") || chunk.contains("Deserialize");
            return Some(word(rest)).filter(|_| is_written);
        }
    }
    None
}

fn without_attributes(chunk: &str) -> String {
    let (mut kept, mut rest) = (String::new(), chunk);
    while let Some(at) = rest.find("#[") {
        let (before, attribute) = rest.split_at(at);
        let mut depth = 0;
        let end = attribute.find(|letter: char| {
            depth += i32::from(letter == '[') - i32::from(letter == ']');
            letter == ']' && depth == 0
        });
        let (attribute, after) = attribute.split_at(end.map_or(attribute.len(), |end| end + 1));
        kept.push_str(before);
        kept.push_str(if attribute.starts_with("#[serde") { attribute } else { "" });
        rest = after;
    }
    kept + rest
}

/// A digest of each type that the roots hold, by name.
fn digests(found: &BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, String> {
    let mut digests = BTreeMap::new();
    let mut open: Vec<String> = ROOTS.map(str::to_owned).to_vec();
    while let Some(name) = open.pop() {
        let Some(texts) = found.get(&name).filter(|_| !digests.contains_key(&name)) else { continue };
        let whole = texts.iter().cloned().collect::<Vec<_>>().join(";");
        let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        digests.insert(name, format!("{:016x}", whole.bytes().fold(0xcbf2_9ce4_8422_2325, fnv)));
        let words = whole.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        open.extend(words.filter(|word| found.contains_key(*word) && !UNTOLD.contains(word)).map(str::to_owned));
    }
    digests
}

fn of_sources(sources: &[String]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    sources.iter().for_each(|source| types(source, &mut found));
    digests(&found)
}

#[test]
fn types_do_not_change_without_the_version() {
    let mut all = Vec::new();
    sources(&root().join("crates/core/src"), &mut all);
    let now = of_sources(&all);
    assert!(now.len() > 50, "the types of the feed are found: {now:?}");
    let path = root().join("tests/tests/feed_types.txt");
    let known = fs::read_to_string(&path).unwrap_or_default();
    let version = known.lines().next().and_then(|line| line.strip_prefix("version ")?.parse::<u32>().ok());
    let lines: Vec<String> = now.iter().map(|(name, digest)| format!("{name} {digest}")).collect();
    let text = format!("version {FEED_VERSION}\n{}\n", lines.join("\n"));
    if text == known {
        return;
    }
    let is_raised = version.is_none_or(|version| version < FEED_VERSION);
    if is_raised && env::var_os("UPDATE_EXPECT").is_some() {
        return fs::write(&path, text).expect("the list of types can be written");
    }
    let (old, new): (BTreeSet<&str>, BTreeSet<&str>) =
        (known.lines().skip(1).collect(), text.lines().skip(1).collect());
    let changed: BTreeSet<&str> =
        old.symmetric_difference(&new).filter_map(|line| line.split_whitespace().next()).collect();
    let remedy = if is_raised {
        "the version is raised: write the types down with UPDATE_EXPECT=1"
    } else {
        "raise FEED_VERSION in crates/core/src/feed.rs, then run this test with UPDATE_EXPECT=1"
    };
    panic!("types of the feed are not what they were in version {version:?}: {changed:?}; {remedy}");
}

#[test]
fn a_type_is_its_fields_and_how_they_are_written() {
    let of = |source: &str| of_sources(&[source.to_owned()]);
    let whole = "#[derive(Clone, Serialize, Deserialize)]\npub enum FromAgent {\n    /// A.\n    A(Arc<Held>),\n}\n\n\
                 #[derive(Serialize, Deserialize)]\npub struct Held {\n    pub one: u32,\n}\n\n\
                 #[derive(Serialize, Deserialize)]\npub struct Apart(u8);\n";
    let known = of(whole);
    assert_eq!(known.keys().collect::<Vec<_>>(), ["FromAgent", "Held"]);
    assert_eq!(
        of(&whole.replace("/// A.", "/// Else.").replace("Clone, ", "").replace("Held {\n", "Held {  ")),
        known
    );
    for changed in [
        whole.replace("one: u32", "one: u64"),
        whole.replace("one: u32,", "one: u32,\n    pub two: u8,"),
        whole.replace("    pub one", "    #[serde(default)]\n    pub one"),
        whole.replace("A(", "B("),
        format!("{whole}\nimpl Serialize for Held {{\n    fn serialize() {{}}\n}}\n"),
    ] {
        assert_ne!(of(&changed), known, "{changed}");
    }
    assert_eq!(of(&whole.replace("Apart(u8)", "Apart(u16)")), known);
}
