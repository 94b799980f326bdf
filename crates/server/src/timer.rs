//! The timer: has what is due done by the writer, like every other change.
//!
//! It only decides when to ask. What is due, and what is done about it, is `core`'s; a timer that comes late, because
//! the server was down, finds the same work and does it then.

use std::{sync::Arc, time::Duration};

use sekimori_core::{
    command::{Command, Outcome, TrialCommand},
    refusal::{Kind, Refusal},
    time::Timestamp,
    trial::Trial,
    world::World,
};

use crate::{
    app::system,
    commit::{CommitError, Committer},
    outside,
    stuck::Stuck,
};

/// How often it is looked whether something is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Something that is done when its time has come.
struct Chore {
    /// The operation that the log names.
    operation: &'static str,
    command: fn() -> Command,
    next_due: fn(&World) -> Option<Timestamp>,
}

const CHORES: [Chore; 3] = [
    Chore {
        operation: "KeepSnapshots",
        command: || Command::KeepSnapshots,
        next_due: |world| world.snapshots().next_due(),
    },
    Chore {
        operation: "KeepPeerings",
        command: || Command::KeepPeerings,
        next_due: |world| world.peerings().next_due(),
    },
    Chore {
        operation: "ForgetTerminated",
        command: || Command::ForgetTerminated,
        next_due: |world| world.terminated().next_due(),
    },
];

/// Keeps the time for as long as the server writes.
pub(crate) async fn keep(committer: Committer, stuck: Arc<Stuck>) {
    while committer.is_writing() {
        keep_once(&committer, &stuck).await;
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Does what is due. A failure is told, and tried again at the next look.
async fn keep_once(committer: &Committer, stuck: &Stuck) {
    roll_back_due(committer, stuck).await;
    for chore in &CHORES {
        while chore.is_due(&committer.world()) {
            let done = committer.commit(system(chore.operation), (chore.command)()).await;
            if let Err(error) = done {
                tracing::warn!(%error, operation = chore.operation, "what is due cannot be done");
                break;
            }
        }
    }
}

/// Rolls back what nobody has confirmed in time. One that is refused keeps none of the others, is told once, and is tried again.
async fn roll_back_due(committer: &Committer, stuck: &Stuck) {
    let due = committer.world().trials().due(outside::now());
    stuck.keep(&due.iter().map(|trial| trial.id.as_str()).collect::<Vec<_>>());
    for Trial { id, .. } in due.iter().map(|trial| &**trial) {
        let command = Command::Trial(TrialCommand::RollBack { id: id.clone() });
        match committer.commit(system("RollBackChange"), command).await {
            Ok((outcome, _)) => tell(&outcome),
            // Somebody has confirmed it or rolled it back just now.
            Err(CommitError::Refused(Refusal::Missing { kind: Kind::Trial, .. })) => {}
            Err(error) => {
                if stuck.note(id, &error.to_string()) {
                    tracing::warn!(trial = %id, %error, "a change that nobody has confirmed in time cannot be rolled back");
                }
            }
        }
    }
    let world = committer.world();
    let left: Vec<&str> =
        due.iter().map(|trial| trial.id.as_str()).filter(|id| world.trials().get(id).is_some()).collect();
    stuck.keep(&left);
}

/// Tells what nobody asked for just now.
fn tell(outcome: &Outcome) {
    if let Outcome::RolledBack { trial, restored, left } = outcome {
        let said = match (restored.is_empty(), left.is_empty()) {
            (false, true) => "is rolled back",
            (false, false) => "is rolled back in part",
            (true, false) => "is not rolled back: nothing of it is as it left it",
            (true, true) => "has nothing to roll back",
        };
        let restored = restored.len();
        tracing::warn!(%trial, restored, ?left, "a change that nobody has confirmed in time {said}");
    }
}

impl Chore {
    fn is_due(&self, world: &World) -> bool {
        (self.next_due)(world).is_some_and(|due| due <= outside::now())
    }
}

#[cfg(test)]
mod tests {
    use sekimori_core::{
        change::{Change, Commit},
        command::InvariantCommand,
        snapshot::{Retention, SNAPSHOTS_AT_ONCE_MAX, Snapshot},
        time::Timestamp,
    };

    use super::*;
    use crate::{
        store::{MemStore, Store},
        testing::{ACCOUNT, Bench, authorize, revoke, set_invariant, small_world},
    };

    /// A bench whose only group has snapshots that were begun, and taken, at these times.
    fn bench(snapshots: impl Iterator<Item = (i64, Option<i64>)>) -> Bench {
        let (mut commits, world) = small_world();
        let group = world.groups().next().unwrap().id.clone();
        let snapshot = |(number, (of, taken_at)): (usize, (i64, Option<i64>))| Snapshot {
            id: format!("sgss-{number}").into(),
            account: ACCOUNT.into(),
            group: group.clone(),
            policies: Vec::new(),
            retention: Retention::default(),
            rules: Vec::new(),
            of: Timestamp(of),
            taken_at: taken_at.map(Timestamp),
        };
        let changes = snapshots.enumerate().map(snapshot).map(|one| Change::PutSnapshot(Arc::new(one))).collect();
        let (revision, at) = (world.revision().next(), Timestamp(0));
        commits.push(Commit { revision, at, actor: system("Test"), changes });
        let store = MemStore::default();
        store.append(sekimori_core::world::Revision(0), &commits).unwrap();
        Bench::on(Arc::new(store))
    }

    #[tokio::test]
    async fn what_is_due_is_done_and_nothing_else() {
        let now = outside::now().0;
        let bench = bench([(now - 400, None), (9, Some(10)), (now - 400, Some(now - 100))].into_iter());
        keep_once(&bench.committer, &Stuck::default()).await;
        let world = bench.committer.world();
        let taken: Vec<(String, bool)> = world
            .snapshots()
            .iter()
            .map(|one| (one.id.to_string(), one.taken_at.is_some_and(|at| at.0 >= now)))
            .collect();
        assert_eq!(taken, [("sgss-0".to_owned(), true), ("sgss-2".to_owned(), false)]);
        let revision = world.revision();
        keep_once(&bench.committer, &Stuck::default()).await;
        assert_eq!(bench.committer.world().revision(), revision, "nothing is due, so nothing is written");
        let log = bench.store.log(sekimori_core::world::Revision(revision.0 - 1), 1).unwrap().remove(0);
        assert_eq!((log.actor.who.as_str(), log.actor.operation.as_str()), ("system", "KeepSnapshots"));
    }

    #[tokio::test]
    async fn many_at_a_time_take_several_commands() {
        let many = 2 * SNAPSHOTS_AT_ONCE_MAX + 1;
        let bench = bench((0..many).map(|_| (9, Some(10))));
        let before = bench.committer.world().revision().0;
        keep_once(&bench.committer, &Stuck::default()).await;
        let world = bench.committer.world();
        assert_eq!((world.snapshots().iter().count(), world.revision().0), (0, before + 3));
    }

    #[tokio::test]
    async fn a_change_whose_time_was_up_while_no_server_ran_is_undone_by_the_next() {
        let bench = Bench::on_small_world();
        let group = bench.committer.world().groups().next().unwrap().id.clone();
        let before = bench.committer.world();
        let begin = |port, within_s| {
            let command = Box::new(authorize(&group, port));
            Command::Trial(TrialCommand::Begin { command, operations: vec!["Test".to_owned()], within_s })
        };
        bench.commit(begin(81, 3_600)).await;
        bench.commit(begin(80, 1)).await;
        let rules = |bench: &Bench| bench.committer.world().group(&group).unwrap().rules.len();
        assert_eq!(rules(&bench), 3);
        keep_once(&bench.committer, &Stuck::default()).await;
        assert_eq!(rules(&bench), 3, "it may still be confirmed");
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        // Another server on the same store, as after a crash.
        let again = Bench::on(Arc::clone(&bench.store));
        assert_eq!(again.committer.world().trials().len(), 2);
        keep_once(&again.committer, &Stuck::default()).await;
        let world = again.committer.world();
        assert_eq!((rules(&again), world.trials().len()), (2, 1), "the other one goes on waiting");
        let log = again.store.log(sekimori_core::world::Revision(world.revision().0 - 1), 1).unwrap().remove(0);
        assert_eq!((log.actor.who.as_str(), log.actor.operation.as_str()), ("system", "RollBackChange"));
        let id = world.trials().iter().next().unwrap().id.clone();
        again.commit(Command::Trial(TrialCommand::RollBack { id })).await;
        assert_eq!(again.committer.world().to_changes(), before.to_changes());
    }

    #[tokio::test]
    async fn a_rollback_that_an_invariant_forbids_is_told_keeps_no_other_and_is_made_when_it_may_be() {
        let bench = Bench::on_small_world();
        let group = bench.committer.world().groups().next().unwrap().id.clone();
        let begin = |command, within_s| {
            let command = Box::new(command);
            Command::Trial(TrialCommand::Begin { command, operations: vec!["Test".to_owned()], within_s })
        };
        bench.commit(begin(authorize(&group, 80), 1)).await;
        bench.commit(begin(revoke(&group, 443), 1)).await;
        bench.commit(set_invariant("closed", &format!("internet must-not reach {group} tcp/443"))).await;
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        let stuck = Stuck::default();
        keep_once(&bench.committer, &stuck).await;
        let world = bench.committer.world();
        let [left] = world.trials().iter().collect::<Vec<_>>()[..] else { panic!("the older one is rolled back") };
        let why = stuck.why(&left.id).unwrap();
        assert!(why.contains("`closed`"), "{why}");
        assert_eq!(world.group(&group).unwrap().rules.len(), 0, "it stays closed");
        let revision = world.revision();
        keep_once(&bench.committer, &stuck).await;
        assert_eq!((bench.committer.world().revision(), stuck.count()), (revision, 1), "it is tried again");
        let name = "closed".to_owned();
        bench.commit(Command::Invariant(InvariantCommand::Remove { name })).await;
        keep_once(&bench.committer, &stuck).await;
        let world = bench.committer.world();
        assert_eq!((world.trials().len(), stuck.count(), world.group(&group).unwrap().rules.len()), (0, 0, 1));
    }
}
