//! The writer: order, group commit, refusals, and what happens when the store fails.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use sekimori_core::{
    command::InvariantCommand,
    ids::GroupId,
    invariant::Mode,
    refusal::Kind,
    world::{Revision, World},
};

use super::*;
use crate::{
    app::system,
    store::{MemStore, StoreError},
    testing::{Bench, authorize, new_account, new_group, new_vpc, revoke, set_invariant, small_world},
};

/// A store that notes how many commits came at once, waits for a permit, and fails from the n-th append on.
struct Gated {
    inner: MemStore,
    batches: Mutex<Vec<usize>>,
    permits: Mutex<std::sync::mpsc::Receiver<()>>,
    appends: AtomicUsize,
    fails_at: usize,
}

impl Gated {
    fn new(fails_at: usize) -> (Arc<Self>, std::sync::mpsc::Sender<()>) {
        let (sender, permits) = std::sync::mpsc::channel();
        let gated = Self {
            inner: MemStore::default(),
            batches: Mutex::default(),
            permits: Mutex::new(permits),
            appends: AtomicUsize::new(0),
            fails_at,
        };
        (Arc::new(gated), sender)
    }
}

impl Store for Gated {
    fn append(&self, expected: Revision, commits: &[Commit]) -> Result<(), StoreError> {
        self.permits.lock().unwrap().recv().unwrap();
        if self.appends.fetch_add(1, Ordering::SeqCst) >= self.fails_at {
            return Err(StoreError::Conflict { expected, found: Revision(99) });
        }
        self.batches.lock().unwrap().push(commits.len());
        self.inner.append(expected, commits)
    }

    fn read(&self) -> Result<World, StoreError> {
        self.inner.read()
    }

    fn log(&self, after: Revision, max: usize) -> Result<Vec<Commit>, StoreError> {
        self.inner.log(after, max)
    }
}

async fn with_group(bench: &Bench) -> GroupId {
    bench.commit(new_account("sealed")).await;
    let Outcome::Vpc(vpc) = bench.commit(new_vpc()).await else { panic!("no VPC") };
    let Outcome::Group(group) = bench.commit(new_group(&vpc)).await else { panic!("no group") };
    group
}

#[tokio::test]
async fn every_change_has_its_revision_and_is_in_the_store_when_it_is_answered() {
    let bench = Bench::new();
    let group = with_group(&bench).await;
    let (outcome, world) = bench.committer.commit(system("Test"), authorize(&group, 443)).await.unwrap();
    assert_eq!(world.revision(), Revision(4));
    assert!(matches!(outcome, Outcome::Rules(ids) if ids.len() == 1));
    assert_eq!(bench.store.read().unwrap().to_changes(), world.to_changes());
    assert_eq!(bench.store.log(Revision(3), 9).unwrap()[0].actor, system("Test"));
    assert_eq!(bench.committer.world().revision(), Revision(4));
}

#[tokio::test]
async fn a_refusal_and_a_repetition_change_nothing() {
    let bench = Bench::new();
    let group = with_group(&bench).await;
    bench.commit(authorize(&group, 443)).await;
    let refused = bench.committer.commit(system("Test"), authorize(&"sg-none".into(), 443)).await;
    let Err(CommitError::Refused(Refusal::Missing { kind: Kind::Group, .. })) = refused else {
        panic!("{refused:?}");
    };
    let (_, world) = bench.committer.commit(system("Test"), authorize(&group, 443)).await.unwrap();
    assert_eq!(world.revision(), Revision(4));
    assert_eq!(bench.store.log(Revision(0), 99).unwrap().len(), 4);
}

#[tokio::test]
async fn what_waits_is_committed_together_and_in_order() {
    let (store, permits) = Gated::new(usize::MAX);
    for _ in 0..3 {
        permits.send(()).unwrap();
    }
    let bench = Bench::on(Arc::clone(&store) as Arc<dyn Store>);
    let group = with_group(&bench).await;
    let answers: Vec<_> = (1..=20)
        .map(|port| {
            let (committer, command) = (bench.committer.clone(), authorize(&group, port));
            tokio::spawn(async move { committer.commit(system("Test"), command).await })
        })
        .collect();
    // Every task has put its command into the queue when all have had a turn.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    // Nothing is published or answered while the disk works.
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert_eq!(bench.committer.world().revision(), Revision(3));
    assert!(answers.iter().all(|answer| !answer.is_finished()));
    permits.send(()).unwrap();
    permits.send(()).unwrap();
    let mut revisions = Vec::new();
    for answer in answers {
        revisions.push(answer.await.unwrap().unwrap().1.revision().0);
    }
    revisions.sort_unstable();
    assert_eq!(revisions, (4..=23).collect::<Vec<_>>());
    let batches = store.batches.lock().unwrap().clone();
    assert_eq!(batches.iter().sum::<usize>(), 23);
    assert!(batches.len() <= 5, "{batches:?}");
    let log = bench.store.log(Revision(0), 99).unwrap();
    assert!(log.iter().map(|commit| commit.revision.0).eq(1..=23));
}

#[tokio::test]
async fn a_failed_append_acknowledges_nothing_and_ends_writing() {
    let (store, permits) = Gated::new(1);
    permits.send(()).unwrap();
    permits.send(()).unwrap();
    let bench = Bench::on(store);
    bench.commit(new_account("sealed")).await;
    let failed = bench.committer.commit(system("Test"), new_vpc()).await;
    assert!(matches!(failed, Err(CommitError::Store(_))), "{failed:?}");
    assert_eq!(bench.committer.world().revision(), Revision(1));
    let after = bench.committer.commit(system("Test"), new_vpc()).await;
    assert!(matches!(after, Err(CommitError::Stopped)), "{after:?}");
    assert!(!bench.committer.is_writing());
    bench.writer.stop().await;
}

#[tokio::test]
async fn a_full_queue_turns_commands_away() {
    let (store, permits) = Gated::new(usize::MAX);
    let bench = Bench::on(store);
    let waiting: Vec<_> = (0..COMMIT_QUEUE_MAX + GROUP_COMMIT_MAX + 2)
        .map(|_| {
            let committer = bench.committer.clone();
            tokio::spawn(async move { committer.commit(system("Test"), new_account("sealed")).await })
        })
        .collect();
    // The writer holds one batch and waits for the disk; the two that find no place are answered at once.
    while waiting.iter().filter(|answer| answer.is_finished()).count() < 2 {
        tokio::task::yield_now().await;
    }
    let more = bench.committer.commit(system("Test"), new_vpc()).await;
    assert!(matches!(more, Err(CommitError::Overloaded)), "{more:?}");
    drop(waiting);
    for _ in 0..COMMIT_QUEUE_MAX {
        permits.send(()).unwrap();
    }
    bench.writer.stop().await;
}

#[tokio::test]
async fn stopping_carries_out_what_waits() {
    let bench = Bench::new();
    let waiting = tokio::spawn({
        let committer = bench.committer.clone();
        async move { committer.commit(system("Test"), new_account("sealed")).await }
    });
    while bench.committer.world().revision() == Revision(0) && !waiting.is_finished() {
        tokio::task::yield_now().await;
    }
    bench.writer.stop().await;
    assert!(waiting.await.unwrap().is_ok());
    let after = bench.committer.commit(system("Test"), new_vpc()).await;
    assert!(matches!(after, Err(CommitError::Stopped)), "{after:?}");
}

#[tokio::test]
async fn instances_are_placed_on_the_host_that_is_connected() {
    let bench = Bench::new();
    let group = with_group(&bench).await;
    let vpc = bench.committer.world().vpcs().next().unwrap().id.clone();
    let Outcome::Subnet(subnet) = bench.commit(crate::testing::new_subnet(&vpc)).await else { panic!("no subnet") };
    bench.hosts.connect(&"rack-7".into()).unwrap();
    bench.commit(crate::testing::new_instances(&subnet, &group)).await;
    let world = bench.committer.world();
    assert!(world.instances().all(|instance| instance.host.as_str() == "rack-7"));
    assert_eq!(world.instances().count(), 2);
}

#[tokio::test]
async fn commands_of_one_batch_are_held_to_the_invariants_that_were_set_before_them() {
    let (store, permits) = Gated::new(usize::MAX);
    store.inner.append(Revision(0), &small_world().0).unwrap();
    let bench = Bench::on(Arc::clone(&store) as Arc<dyn Store>);
    let group = bench.committer.world().groups().next().unwrap().id.clone();
    let no_ssh = set_invariant("no-ssh", &format!("internet must-not reach {group} tcp/22"));
    // The first one is on its way to the disk while the others gather.
    let commands = [authorize(&group, 80), no_ssh, authorize(&group, 22), authorize(&group, 81), revoke(&group, 443)];
    let mut answers = Vec::new();
    for command in commands {
        let committer = bench.committer.clone();
        answers.push(tokio::spawn(async move { committer.commit(system("Test"), command).await }));
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
    (0..3).for_each(|_| permits.send(()).unwrap());
    let mut told = Vec::new();
    for answer in answers {
        told.push(answer.await.unwrap().map(|(_, world)| world.revision().0).map_err(|error| error.to_string()));
    }
    let refused = told.remove(2).unwrap_err();
    assert!(refused.contains("invariant `no-ssh`") && refused.contains("tcp/22"), "{refused}");
    assert_eq!(told, [Ok(9), Ok(10), Ok(11), Ok(12)]);
    let world = store.read().unwrap();
    assert_eq!(world.to_changes(), bench.committer.world().to_changes());
    assert_eq!(world.group(&group).unwrap().rules.len(), 2, "ports 80 and 81");
}

#[tokio::test]
async fn invariants_and_how_they_are_violated_outlive_the_server() {
    let bench = Bench::on_small_world();
    let group = bench.committer.world().groups().next().unwrap().id.clone();
    let statement = format!("internet must-not reach {group} tcp/22");
    let Command::Invariant(InvariantCommand::Set { name, statement, .. }) = set_invariant("no-ssh", &statement)
    else {
        panic!("no invariant");
    };
    bench.commit(Command::Invariant(InvariantCommand::Set { name, statement, mode: Mode::Warn })).await;
    bench.commit(set_invariant("no-rdp", &format!("internet must-not reach {group} tcp/3389"))).await;
    bench.commit(authorize(&group, 22)).await;
    let since = bench.committer.world().revision();
    let again = Bench::on(Arc::clone(&bench.store));
    let world = again.committer.world();
    let violation = world.invariants().get("no-ssh").unwrap().violation.clone().unwrap();
    assert_eq!((violation.since, world.revision()), (since, since));
    let refused = again.committer.commit(system("Test"), authorize(&group, 3389)).await;
    assert!(matches!(refused, Err(CommitError::Refused(Refusal::Invariant { .. }))), "{refused:?}");
    again.commit(revoke(&group, 22)).await;
    assert!(again.committer.world().invariants().iter().all(|invariant| invariant.violation.is_none()));
    let log = again.store.log(since, 1).unwrap().remove(0);
    assert!(log.changes.iter().any(|change| matches!(change, sekimori_core::change::Change::PutInvariant(_))));
}
