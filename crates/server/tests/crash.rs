//! A writer that is killed at any moment: nothing that was acknowledged is lost, nothing is half there.
//!
//! The test runs itself as a child process that appends to a store and says so after every append; the child
//! is killed, and the store is opened again.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use sekimori_core::{
    change::{Actor, Change, Commit},
    ids::AccountId,
    time::Timestamp,
    world::{Account, Dialect, Revision, World},
};
use sekimori_server::store::{RedbStore, Store};

const DIR: &str = "SEKIMORI_CRASH_TEST_DIR";
const ROUNDS: u64 = 25;

/// Commit number `revision`: each makes an account and renames the first one, so that a lost or half commit shows.
fn commit(revision: u64) -> Commit {
    let account = |id: u64, name: String| {
        Change::PutAccount(Arc::new(Account {
            id: AccountId::from(format!("{id:016}")),
            dialect: Dialect::Ecs,
            name,
            treatment: None,
            resource_groups: Default::default(),
            created_at: Timestamp(0),
        }))
    };
    let actor =
        Actor { who: "system".to_owned(), operation: "Test".to_owned(), from: None, request_id: String::new() };
    let changes = vec![account(revision, "x".repeat(500)), account(0, format!("newest {revision}"))];
    Commit { revision: Revision(revision), at: Timestamp(0), actor, changes }
}

/// What the store must hold after this many commits.
fn expected(revision: u64) -> World {
    let mut world = World::default();
    (1..=revision).for_each(|revision| world.commit(&commit(revision)));
    world
}

/// Not a test of its own: the process that is killed.
#[test]
#[ignore = "started by the test below, with a directory"]
fn child() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let store = RedbStore::open(Path::new(&dir)).unwrap();
    let mut at = store.read().unwrap().revision().0;
    loop {
        let size = at % 3 + 1;
        let batch: Vec<Commit> = (at + 1..=at + size).map(commit).collect();
        store.append(Revision(at), &batch).unwrap();
        at += size;
        println!("acknowledged {at}");
        std::io::stdout().flush().unwrap();
    }
}

fn start(dir: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--ignored", "--nocapture", "--test-threads=1"]).env(DIR, dir);
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// Lets a child run for a while and kills it. Returns the newest revision that it acknowledged.
fn run_and_kill(dir: &Path, after: Duration) -> u64 {
    let mut child = start(dir);
    let output = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        let acknowledged =
            |line: String| line.rsplit_once("acknowledged ").and_then(|(_, number)| number.parse().ok());
        output.lines().map_while(Result::ok).filter_map(acknowledged).last().unwrap_or(0)
    });
    let (sender, never) = std::sync::mpsc::channel::<()>();
    assert!(never.recv_timeout(after).is_err());
    drop(sender);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

#[test]
fn a_killed_writer_loses_nothing_that_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let (mut newest, mut acknowledged_ever) = (0, 0);
    for round in 0..ROUNDS {
        // Some rounds end while the store is still being made or opened.
        let acknowledged = run_and_kill(dir.path(), Duration::from_millis(round * 7 % 120 + 1));
        let store = RedbStore::open(dir.path()).unwrap();
        let world = store.read().unwrap();
        let found = world.revision().0;
        assert!(found >= acknowledged && found >= newest, "round {round}: {found} of {acknowledged} and {newest}");
        assert_eq!(world.to_changes(), expected(found).to_changes(), "round {round}");
        let log = store.log(Revision(newest), usize::MAX).unwrap();
        assert!(log.iter().map(|commit| commit.revision.0).eq(newest + 1..=found), "round {round}");
        newest = found;
        acknowledged_ever = acknowledged_ever.max(acknowledged);
    }
    assert!(acknowledged_ever > 0, "no child lived long enough to append anything");
}
