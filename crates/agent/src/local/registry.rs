//! The names that this data directory has made: nothing that is not listed here is ever touched.
//!
//! `local.jsonl` is a list of facts, one a line, the newest of a name counts. A fact is on the disk before the
//! name is made and until after it is gone, so what is found after a crash is known to be ours. A line is
//! written whole or counts as not written; the file is rewritten when it has grown to several times its content.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    net::IpAddr,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

use sekimori_core::{
    ids::{EniId, InstanceId, VpcId},
    world::Revision,
};
use serde::{Deserialize, Serialize};

use super::error::LocalError;

/// The list's name in the data directory of the agent.
pub const REGISTRY_FILE: &str = "local.jsonl";
/// Held by the process that uses the list.
const LOCK_FILE: &str = "local.lock";
/// How long the lock may take to come free.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
/// The version of the list's form.
const FORMAT: u32 = 1;
/// The largest list that is read.
const BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Lines beyond twice the content that start a rewrite.
const SPARE_LINES_MAX: usize = 1_024;

/// An instance: the namespace of its name, and the links of its ENIs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct InstanceRecord {
    pub(super) id: InstanceId,
    pub(super) vpc: VpcId,
    pub(super) links: BTreeMap<EniId, LinkRecord>,
    /// The start of the instance that the links were made for.
    #[serde(default)]
    pub(super) boot: Revision,
    /// How often one of its links was made, among those that are gone.
    #[serde(default)]
    pub(super) generation: u64,
}

/// A veth pair between the VPC's router and an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LinkRecord {
    /// The end in the router.
    pub(super) name: String,
    /// The end in the instance.
    pub(super) device: String,
    /// Every address that the link may have been given.
    pub(super) addresses: BTreeSet<IpAddr>,
    /// How often the link was made.
    pub(super) generation: u64,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fact {
    /// The first line.
    Format(u32),
    /// The VPC's two namespaces, and the link between them, are ours.
    Vpc(VpcId),
    /// They are gone.
    VpcGone(VpcId),
    /// The instance's names are ours.
    Instance(InstanceRecord),
    /// They are gone.
    InstanceGone(InstanceId),
}

/// The list, open and locked.
#[derive(Debug)]
pub(super) struct Registry {
    directory: PathBuf,
    /// `None` after a failed write: the next commit rewrites the file.
    file: Option<File>,
    lines: usize,
    content: Content,
    _lock: File,
}

#[derive(Clone, Debug, Default)]
struct Content {
    vpcs: BTreeMap<VpcId, ()>,
    instances: BTreeMap<InstanceId, InstanceRecord>,
    instances_by_eni: BTreeMap<EniId, InstanceId>,
}

impl Content {
    fn absorb(&mut self, fact: Fact) {
        match fact {
            Fact::Format(_) => {}
            Fact::Vpc(id) => drop(self.vpcs.insert(id, ())),
            Fact::VpcGone(id) => drop(self.vpcs.remove(&id)),
            Fact::Instance(record) => {
                self.forget(&record.id);
                for eni in record.links.keys() {
                    self.instances_by_eni.insert(eni.clone(), record.id.clone());
                }
                self.instances.insert(record.id.clone(), record);
            }
            Fact::InstanceGone(id) => self.forget(&id),
        }
    }

    fn forget(&mut self, id: &InstanceId) {
        let Some(old) = self.instances.remove(id) else { return };
        for eni in old.links.keys() {
            self.instances_by_eni.remove(eni);
        }
    }

    fn facts(&self) -> impl Iterator<Item = Fact> {
        let vpcs = self.vpcs.keys().cloned().map(Fact::Vpc);
        let instances = self.instances.values().cloned().map(Fact::Instance);
        std::iter::once(Fact::Format(FORMAT)).chain(vpcs).chain(instances)
    }
}

impl Registry {
    /// Opens the list of a directory; without one it is empty. A half-written last line is dropped.
    pub(super) fn open(directory: &Path) -> Result<Self, LocalError> {
        let lock = lock(directory)?;
        let content = read(&directory.join(REGISTRY_FILE))?;
        let mut registry = Self { directory: directory.to_owned(), file: None, lines: 0, content, _lock: lock };
        registry.rewrite().map_err(|error| registry.error("write", &error))?;
        Ok(registry)
    }

    pub(super) fn has_vpc(&self, id: &VpcId) -> bool {
        self.content.vpcs.contains_key(id)
    }

    pub(super) fn vpcs(&self) -> impl Iterator<Item = &VpcId> {
        self.content.vpcs.keys()
    }

    pub(super) fn instance(&self, id: &InstanceId) -> Option<&InstanceRecord> {
        self.content.instances.get(id)
    }

    pub(super) fn instances(&self) -> impl Iterator<Item = &InstanceRecord> {
        self.content.instances.values()
    }

    pub(super) fn instance_of(&self, eni: &EniId) -> Option<&InstanceId> {
        self.content.instances_by_eni.get(eni)
    }

    pub(super) fn link(&self, eni: &EniId) -> Option<&LinkRecord> {
        self.instance(self.instance_of(eni)?)?.links.get(eni)
    }

    /// Writes facts down, durably, and only then believes them.
    pub(super) fn commit(&mut self, facts: Vec<Fact>) -> Result<(), LocalError> {
        if facts.is_empty() {
            return Ok(());
        }
        let written = self.append(&facts);
        if let Err(error) = written {
            self.file = None;
            return Err(self.error("write", &error));
        }
        for fact in facts {
            self.content.absorb(fact);
        }
        let live = self.content.vpcs.len() + self.content.instances.len();
        if self.lines > 2 * live + SPARE_LINES_MAX {
            // The facts are on the disk already; a rewrite that fails is tried again at the next commit.
            let _ = self.rewrite();
        }
        Ok(())
    }

    /// Lists a link's next generation, before it is made again.
    pub(super) fn renew(&mut self, eni: &EniId) -> Result<(), LocalError> {
        self.change_link(eni, |link| link.generation += 1)
    }

    /// Lists that a link has these addresses and no other.
    pub(super) fn settle(&mut self, eni: &EniId, addresses: &[IpAddr]) -> Result<(), LocalError> {
        self.change_link(eni, |link| link.addresses = addresses.iter().copied().collect())
    }

    fn change_link(&mut self, eni: &EniId, change: impl FnOnce(&mut LinkRecord)) -> Result<(), LocalError> {
        let Some(old) = self.instance_of(eni).and_then(|id| self.instance(id)) else { return Ok(()) };
        let mut record = old.clone();
        let Some(link) = record.links.get_mut(eni) else { return Ok(()) };
        change(link);
        self.commit(vec![Fact::Instance(record)])
    }

    /// Deletes the list, when nothing is left that it could name.
    pub(super) fn remove(self) -> Result<(), LocalError> {
        for name in [REGISTRY_FILE, LOCK_FILE] {
            let removed = fs::remove_file(self.directory.join(name));
            removed.map_err(|error| self.error("remove", &error))?;
        }
        Ok(())
    }

    fn append(&mut self, facts: &[Fact]) -> io::Result<()> {
        if self.file.is_none() {
            self.rewrite()?;
        }
        let Some(file) = &mut self.file else { return Err(io::ErrorKind::NotFound.into()) };
        file.write_all(&lines(facts)?)?;
        file.sync_data()?;
        self.lines += facts.len();
        Ok(())
    }

    /// Replaces the file by one that says the same in the fewest lines.
    fn rewrite(&mut self) -> io::Result<()> {
        self.file = None;
        let facts: Vec<Fact> = self.content.facts().collect();
        let draft = self.directory.join(format!("{REGISTRY_FILE}.new"));
        let mut file = File::create(&draft)?;
        file.write_all(&lines(&facts)?)?;
        file.sync_all()?;
        let target = self.directory.join(REGISTRY_FILE);
        fs::rename(&draft, &target)?;
        File::open(&self.directory)?.sync_all()?;
        self.file = Some(OpenOptions::new().append(true).open(&target)?);
        self.lines = facts.len();
        Ok(())
    }

    fn error(&self, action: &'static str, error: &io::Error) -> LocalError {
        LocalError::Registry { action, file: self.directory.join(REGISTRY_FILE), reason: error.to_string() }
    }
}

/// A process that was just killed, or one that another is just starting, may hold the lock for a moment more.
fn lock(directory: &Path) -> Result<File, LocalError> {
    let file = directory.join(LOCK_FILE);
    let fail = |reason: String| LocalError::Registry { action: "lock", file: file.clone(), reason };
    fs::create_dir_all(directory).map_err(|error| fail(error.to_string()))?;
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&file);
    let lock = opened.map_err(|error| fail(error.to_string()))?;
    let (taken, outcome) = mpsc::channel();
    thread::spawn(move || taken.send(lock.lock().map(|()| lock)));
    match outcome.recv_timeout(LOCK_PATIENCE) {
        Ok(locked) => locked.map_err(|error| fail(error.to_string())),
        Err(_) => Err(fail("another process uses this data directory; stop it first".to_owned())),
    }
}

fn lines(facts: &[Fact]) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for fact in facts {
        serde_json::to_writer(&mut text, fact)?;
        text.push(b'\n');
    }
    Ok(text)
}

fn read(file: &Path) -> Result<Content, LocalError> {
    let fail = |reason: String| LocalError::Registry { action: "read", file: file.to_owned(), reason };
    let mut text = Vec::new();
    match File::open(file) {
        Ok(open) => open.take(BYTES_MAX + 1).read_to_end(&mut text).map_err(|error| fail(error.to_string()))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Content::default()),
        Err(error) => return Err(fail(error.to_string())),
    };
    if text.len() as u64 > BYTES_MAX {
        return Err(fail(format!("it is larger than {BYTES_MAX} bytes; it is not a list of this program")));
    }
    let mut content = Content::default();
    // What follows the last line end was never acknowledged, so nothing was made because of it.
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    for (number, line) in text[..whole].split_inclusive(|byte| *byte == b'\n').enumerate() {
        let fact = parse(line, number == 0).map_err(|reason| fail(format!("line {}: {reason}", number + 1)))?;
        content.absorb(fact);
    }
    Ok(content)
}

fn parse(line: &[u8], first: bool) -> Result<Fact, String> {
    let damaged = |error: serde_json::Error| {
        format!("{error}; the file is damaged: restore it, or remove it and the namespaces that it lists by hand")
    };
    let fact: Fact = serde_json::from_slice(line).map_err(damaged)?;
    match (&fact, first) {
        (Fact::Format(FORMAT), _) => Ok(fact),
        (Fact::Format(other), _) => Err(format!(
            "the list has format {other}, and this program reads {FORMAT}; use the program that wrote it"
        )),
        (_, true) => Err("the first line does not say the format; the file is damaged: restore it".to_owned()),
        (Fact::Vpc(_) | Fact::VpcGone(_) | Fact::Instance(_) | Fact::InstanceGone(_), false) => Ok(fact),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str, generation: u64) -> InstanceRecord {
        let link = LinkRecord {
            name: format!("e-{id}"),
            device: "eth0".to_owned(),
            addresses: ["10.0.0.1".parse().unwrap()].into(),
            generation,
        };
        let links = [(format!("eni-{id}").into(), link)].into();
        InstanceRecord { id: id.into(), vpc: "vpc-1".into(), links, boot: Revision(1), generation: 0 }
    }

    #[test]
    fn what_is_committed_is_read_back_and_a_torn_line_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let mut registry = Registry::open(directory.path()).unwrap();
        registry.commit(vec![Fact::Vpc("vpc-1".into()), Fact::Instance(record("i-1", 1))]).unwrap();
        registry.commit(vec![Fact::Instance(record("i-2", 1)), Fact::Instance(record("i-1", 2))]).unwrap();
        registry.commit(vec![Fact::InstanceGone("i-2".into())]).unwrap();
        drop(registry);
        let file = directory.path().join(REGISTRY_FILE);
        let mut torn = OpenOptions::new().append(true).open(&file).unwrap();
        torn.write_all(br#"{"instance_gone":"i-1"}"#).unwrap();
        let registry = Registry::open(directory.path()).unwrap();
        assert!(registry.has_vpc(&"vpc-1".into()));
        assert_eq!(registry.instances().collect::<Vec<_>>(), [&record("i-1", 2)]);
        assert_eq!(registry.link(&"eni-i-1".into()).unwrap().generation, 2);
        assert_eq!(registry.instance_of(&"eni-i-2".into()), None);
    }

    #[test]
    fn a_damaged_or_foreign_list_is_refused_and_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(REGISTRY_FILE);
        for text in ["{}\n", "{\"vpc\":\"vpc-1\"}\n", "{\"format\":2}\n", "{\"format\":1}\nx\n", "\0\0\n"] {
            fs::write(&file, text).unwrap();
            let error = Registry::open(directory.path()).unwrap_err().to_string();
            assert!(error.contains(REGISTRY_FILE), "{error}");
            assert_eq!(fs::read_to_string(&file).unwrap(), text, "the file is left as it was");
        }
    }

    #[test]
    fn one_process_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let first = Registry::open(directory.path()).unwrap();
        let error = Registry::open(directory.path()).unwrap_err().to_string();
        assert!(error.contains("another process"), "{error}");
        drop(first);
        Registry::open(directory.path()).unwrap().remove().unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_file_does_not_grow_without_end() {
        let directory = tempfile::tempdir().unwrap();
        let mut registry = Registry::open(directory.path()).unwrap();
        for generation in 0..2 * SPARE_LINES_MAX as u64 {
            registry.commit(vec![Fact::Instance(record("i-1", generation))]).unwrap();
        }
        let text = fs::read_to_string(directory.path().join(REGISTRY_FILE)).unwrap();
        assert!(text.lines().count() <= SPARE_LINES_MAX + 4);
    }
}
