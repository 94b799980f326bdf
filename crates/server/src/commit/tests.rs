//! The writer: order, group commit, refusals, and what happens when the store fails.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use sekimori_core::{
    ids::GroupId,
    refusal::Kind,
    world::{Revision, World},
};

use super::*;
use crate::{
    app::system,
    store::{MemStore, StoreError},
    testing::{Bench, authorize, new_account, new_group, new_vpc},
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
