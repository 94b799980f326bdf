//! The past of a small world.

use super::*;
use crate::testing::{Bench, small_world};

async fn ask(bench: &Bench, before: u64, filter: Filter, most: usize) -> (Vec<u64>, Option<u64>) {
    let past = Past::of(Arc::clone(&bench.store));
    let found = past.list(bench.committer.world(), Revision(before), filter, most).await.unwrap();
    (found.entries.iter().map(|entry| entry.revision.0).collect(), found.next.map(|next| next.0))
}

#[tokio::test]
async fn the_newest_come_first_and_the_rest_when_asked_again() {
    let bench = Bench::on_small_world();
    let newest = bench.committer.world().revision().0;
    let (all, next) = ask(&bench, newest + 1, Filter::default(), 1_000).await;
    assert_eq!((all, next), ((1..=newest).rev().collect(), None));
    let (mut seen, mut before) = (Vec::new(), newest + 1);
    loop {
        let (some, next) = ask(&bench, before, Filter::default(), 3).await;
        assert!(some.len() <= 3);
        seen.extend(some);
        let Some(next) = next else { break };
        before = next;
    }
    assert_eq!(seen, (1..=newest).rev().collect::<Vec<_>>());
    let nobody = Filter { who: Some("nobody".to_owned()), ..Filter::default() };
    assert_eq!(ask(&bench, newest + 1, nobody, 9).await, (Vec::new(), None));
}

#[tokio::test]
async fn the_world_is_as_it_was() {
    let bench = Bench::on_small_world();
    let past = Past::of(Arc::clone(&bench.store));
    let newest = bench.committer.world().revision();
    let (commits, last) = small_world();
    let mut expected = World::default();
    for commit in &commits {
        expected.commit(commit);
        let world = past.world(newest, At::Revision(commit.revision)).await.unwrap();
        assert_eq!((world.revision(), world.to_changes()), (commit.revision, expected.to_changes()));
    }
    let now = past.world(newest, At::Time(commits.last().unwrap().at)).await.unwrap();
    assert_eq!(now.revision(), last.revision());
    let never = past.world(newest, At::Time(Timestamp(i64::MIN))).await.unwrap();
    assert_eq!(never.revision(), Revision(0));
    let future = past.world(newest, At::Revision(newest.next())).await;
    assert!(matches!(future, Err(PastError::Future(..))));
}
