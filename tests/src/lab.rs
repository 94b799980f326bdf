//! A laboratory: one world enforced in the real kernel, and instances to send packets between.
//!
//! The world is written as text ([`fixture`]), the enforcer is driven directly, and what became of a packet is
//! told from both sides: what arrived, and what the data plane counted ([`observe`]). Whatever a lab makes it
//! removes, also when its test fails. It never touches a name that it has not made.

pub mod api;
pub mod crafted;
pub mod echo;
pub mod events;
pub mod fixture;
pub mod flood;
pub mod frames;
pub mod host;
pub mod interfaces;
pub mod names;
pub mod observe;
pub mod probe;
pub mod traffic;
pub mod wire;
pub mod workload;

use std::{
    collections::BTreeMap,
    fmt::Debug,
    hash::{BuildHasher, RandomState},
    path::Path,
    time::Duration,
};

use sekimori_agent::{
    bpf::{AttachMode, maps::Image},
    enforcer::Enforcer,
    run::{DownReport, down},
};
use sekimori_core::{
    apply::{State, apply},
    change::{Actor, Change, Commit},
    command::{Command, Context, NewAccount, Outcome},
    feed::{Difference, Slice},
    ids::{AccountId, HostId, IdSource},
    limits::LimitMode,
    time::Timestamp,
    world::{Dialect, World},
};
use tokio::runtime::Runtime;

use self::names::Names;
use crate::plane::is_root;

/// The host of every lab.
pub const HOST: &str = "lab";

/// What one test works with.
pub struct Lab {
    enforcer: Option<Enforcer>,
    runtime: Runtime,
    state: State,
    /// What the enforcer is told of the world, as a server would.
    slice: Slice,
    context: Context,
    account: AccountId,
    names: Names,
    next_port: u16,
    /// Namespaces of workloads that Sekimori did not make, by instance.
    workloads: BTreeMap<String, String>,
    attach: AttachMode,
    image: Image,
    dir: tempfile::TempDir,
}

impl Lab {
    /// The world of a text, enforced; `None` without root, where that is allowed.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        Self::with_image(text, Image::default())
    }

    /// The same, by an agent with another image than its own.
    #[must_use]
    pub fn with_image(text: &str, image: Image) -> Option<Self> {
        if !is_root("a laboratory of network namespaces") {
            return None;
        }
        let mut lab = Self::new(if text.contains(" ec2") { Dialect::Ec2 } else { Dialect::Ecs });
        lab.image = image;
        lab.build(text);
        lab.open();
        Some(lab)
    }

    /// The same, with programs as clsact filters, as on a kernel without tcx.
    #[must_use]
    pub fn with_filters(text: &str) -> Option<Self> {
        let mut lab = Self::of(text)?;
        lab.down();
        lab.attach = AttachMode::Clsact;
        lab.open();
        Some(lab)
    }

    fn new(dialect: Dialect) -> Self {
        let ids = IdSource::new(RandomState::new().hash_one(std::process::id()));
        let context = Context { now: Timestamp(0), ids, limits: LimitMode::Host, host: HostId::from(HOST) };
        let mut lab = Self {
            enforcer: None,
            runtime: must("start a runtime", runtime()),
            state: State::default(),
            slice: Slice::new(HostId::from(HOST), None),
            context,
            account: AccountId::from(""),
            names: Names::default(),
            next_port: 20_000,
            workloads: BTreeMap::new(),
            attach: AttachMode::Auto,
            image: Image::default(),
            dir: must("make a data directory", tempfile::tempdir()),
        };
        let new =
            NewAccount { id: None, dialect, name: "lab".to_owned(), key: "key".into(), sealed_secret: String::new() };
        let outcome = lab.run(&Command::CreateAccount(new));
        let Outcome::Account(account) = outcome else { fail(&format!("no account but {outcome:?}")) };
        lab.account = account;
        lab
    }

    /// Carries a command out and enforces what it changed. It must be accepted and enforced.
    pub fn run(&mut self, command: &Command) -> Outcome {
        let applied = must(&format!("carry out {command:?}"), apply(&self.state, command, &mut self.context));
        self.commit(applied.state, applied.changes);
        self.must_be_applied();
        applied.outcome
    }

    /// Enforces changes as one commit, for what no command says. They must be enforced.
    pub fn change(&mut self, changes: Vec<Change>) {
        self.try_change(changes);
        self.must_be_applied();
    }

    /// As [`Lab::change`], while writes to the kernel may fail.
    pub fn try_change(&mut self, changes: Vec<Change>) {
        let mut world = self.world().clone();
        changes.iter().for_each(|change| world.apply(change));
        self.commit(State::new(world), changes);
    }

    fn commit(&mut self, state: State, changes: Vec<Change>) {
        let revision = self.world().revision().next();
        self.state = state.at(revision);
        if let Some(enforcer) = &mut self.enforcer {
            let commit = Commit { revision, at: Timestamp(0), actor: actor(), changes };
            let Some((commit, groups)) = self.slice.next(commit) else { fail("the slice has lost its world") };
            must("follow a commit", self.runtime.block_on(enforcer.follow(&commit, groups)));
        }
    }

    /// Whether the newest revision is enforced, at every interface.
    #[must_use]
    pub fn is_applied(&self) -> bool {
        let Some(enforcer) = &self.enforcer else { return true };
        enforcer.applied() == Some(self.world().revision()) && enforcer.closed().is_empty()
    }

    fn must_be_applied(&self) {
        if let Some(enforcer) = self.enforcer.as_ref().filter(|_| !self.is_applied()) {
            fail(&format!("enforced is {:?}, closed are {:?}", enforcer.applied(), enforcer.closed()));
        }
    }

    /// Opens the enforcer, as a starting agent does, and follows the world.
    pub fn open(&mut self) {
        self.try_open();
        self.must_be_applied();
    }

    fn try_open(&mut self) {
        let opened = Enforcer::open_with(self.dir.path(), HostId::from(HOST), self.attach, self.image);
        let mut enforcer = must("open the enforcer", opened);
        let (facts, known) = self.slice.begin(self.state.world());
        let mut world = World::default().at(known.revision);
        facts.iter().for_each(|fact| world.apply(fact));
        must("follow the world", self.runtime.block_on(enforcer.follow_world(world, known.groups)));
        self.enforcer = Some(enforcer);
    }

    /// Opens the enforcer as an agent does whose server is away: it closes what was bound, and knows no world.
    pub fn open_unheard(&mut self) {
        let opened = Enforcer::open_with(self.dir.path(), HostId::from(HOST), self.attach, self.image);
        let mut enforcer = must("open the enforcer", opened);
        self.runtime.block_on(enforcer.close_bound());
        self.enforcer = Some(enforcer);
    }

    /// What the next agent is.
    pub fn set_image(&mut self, image: Image) {
        self.image = image;
    }

    /// Drops the enforcer. Everything in the kernel stays, as after the death of an agent.
    pub fn close(&mut self) {
        self.enforcer = None;
    }

    /// What a running agent does once a second: repair, and give back what nothing uses.
    pub fn keep_house(&mut self) {
        let Some(enforcer) = &mut self.enforcer else { return };
        self.runtime.block_on(enforcer.repair());
        let mut collection = must("begin a collection", enforcer.begin_collection());
        must("collect", collection.run());
        enforcer.end_collection(collection);
    }

    /// What a running agent does several times a second; returns what it found.
    pub fn watch(&mut self) -> Vec<Difference> {
        let Some(enforcer) = &mut self.enforcer else { return Vec::new() };
        self.runtime.block_on(enforcer.watch(true));
        enforcer.take_read_back(Some(0)).map(|report| report.differences).unwrap_or_default()
    }

    /// One step of what a running agent does in turns; whether there is more.
    pub fn step(&mut self) -> bool {
        let Some(enforcer) = &mut self.enforcer else { return false };
        self.runtime.block_on(enforcer.take_turn(Duration::ZERO));
        enforcer.has_turns()
    }

    /// Compares everything with the kernel and repairs what differs; returns what it found.
    pub fn verify(&mut self) -> Vec<Difference> {
        let Some(enforcer) = &mut self.enforcer else { return Vec::new() };
        self.runtime.block_on(enforcer.verify());
        enforcer.take_read_back(Some(0)).map(|report| report.differences).unwrap_or_default()
    }

    /// Removes everything that the lab has made in the kernel.
    pub fn down(&mut self) -> DownReport {
        self.close();
        must("take the lab down", self.runtime.block_on(down(self.dir.path())))
    }

    /// The enforcer; it must be open.
    pub fn enforcer(&mut self) -> &mut Enforcer {
        let Some(enforcer) = &mut self.enforcer else { fail("the enforcer is closed") };
        enforcer
    }

    /// The world as it is declared.
    #[must_use]
    pub fn world(&self) -> &World {
        self.state.world()
    }

    /// The data directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A port that no probe of this lab has used.
    pub fn fresh_port(&mut self) -> u16 {
        self.next_port += 1;
        self.next_port
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.enforcer = None;
        match self.runtime.block_on(down(self.dir.path())) {
            Ok(report) if report.left.is_empty() => {}
            other => eprintln!("a lab could not be removed: {other:?}"),
        }
    }
}

fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

fn actor() -> Actor {
    Actor { who: "lab".to_owned(), operation: "test".to_owned(), from: None, request_id: String::new() }
}

/// Waits a moment.
pub fn pause(time: Duration) {
    let until = std::time::Instant::now() + time;
    while let Some(left) = until.checked_duration_since(std::time::Instant::now()) {
        std::thread::park_timeout(left);
    }
}

/// What a lab cannot do without.
pub fn must<T, E: Debug>(what: &str, result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| fail(&format!("cannot {what}: {error:?}")))
}

/// Ends the test.
#[expect(clippy::panic, reason = "a lab that cannot do its work fails its test")]
pub fn fail(why: &str) -> ! {
    panic!("{why}")
}
