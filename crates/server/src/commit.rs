//! The one writer: a thread that owns the state, judges commands in order and makes them durable.
//!
//! Commands wait in a bounded queue. The thread takes what is there, up to [`GROUP_COMMIT_MAX`], applies it
//! command by command, appends all resulting commits to the store in one durable write, publishes the new
//! state, and only then answers. A command that changes nothing makes no revision. When an append fails,
//! nothing is published or acknowledged and the thread ends: what the disk holds is not known any more, so
//! nothing may be written until a restart has read it back.
//!
//! Every command is held to the invariants before it is part of a batch; what is known of them follows the batch.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
};

use tokio::sync::{mpsc, oneshot, watch};

use sekimori_analysis::invariant::{Checker, Turn};
use sekimori_core::{
    apply::{Applied, State, apply},
    change::{Actor, Commit},
    command::{Command, Context, Outcome},
    limits::LimitMode,
    refusal::Refusal,
    time::Timestamp,
    world::{Revision, World},
};

use crate::{
    hosts::Hosts,
    outside::{self, NoEntropy},
    replay::Replay,
    store::Store,
};

/// Commands that wait for the writer; more are turned away.
pub const COMMIT_QUEUE_MAX: usize = 1_024;

/// Commands that share one durable write.
pub const GROUP_COMMIT_MAX: usize = 256;

/// Why a command was not carried out.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommitError {
    /// The command makes no sense in this world; nothing has changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store failed. Whether the change was kept is known after a restart.
    #[error("the store failed: {0}; the server writes no more until it is restarted")]
    Store(Arc<str>),
    /// Too many commands wait.
    #[error("{COMMIT_QUEUE_MAX} changes are waiting already; try again in a moment")]
    Overloaded,
    /// The writer has ended.
    #[error("the server writes no more; see its log for the reason and restart it")]
    Stopped,
    /// No randomness for new ids.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
}

/// The answer to a command: what it did, and the world right after it.
pub type Committed = Result<(Outcome, World), CommitError>;

/// What the writer works with.
pub struct Writing {
    /// Where commits go.
    pub store: Arc<dyn Store>,
    /// Nonces that must be on disk before what they asked for.
    pub replay: Arc<Replay>,
    /// Where new instances are placed.
    pub hosts: Arc<Hosts>,
    /// Which limits hold.
    pub limits: LimitMode,
}

/// The way to the writer, for everyone.
#[derive(Clone, Debug)]
pub struct Committer {
    queue: mpsc::Sender<Message>,
    states: watch::Receiver<State>,
}

/// The writer thread.
#[derive(Debug)]
pub struct Writer {
    queue: mpsc::Sender<Message>,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
enum Message {
    Job(Box<Job>),
    Stop,
}

#[derive(Debug)]
struct Job {
    actor: Actor,
    command: Command,
    answer: oneshot::Sender<Committed>,
}

/// Starts the writer on a state that the store holds.
///
/// # Errors
/// When the system starts no thread.
pub fn start(writing: Writing, state: State) -> std::io::Result<(Committer, Writer)> {
    let (queue, jobs) = mpsc::channel(COMMIT_QUEUE_MAX);
    let (published, states) = watch::channel(state.clone());
    let desk = Desk { writing, state, checker: Checker::default(), published };
    let thread = thread::Builder::new().name("writer".to_owned()).spawn(move || desk.run(jobs))?;
    Ok((Committer { queue: queue.clone(), states }, Writer { queue, thread }))
}

impl Committer {
    /// Has a command carried out; durable when this returns.
    ///
    /// # Errors
    /// See [`CommitError`].
    pub async fn commit(&self, actor: Actor, command: Command) -> Committed {
        let (answer, answered) = oneshot::channel();
        let job = Message::Job(Box::new(Job { actor, command, answer }));
        self.queue.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => CommitError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => CommitError::Stopped,
        })?;
        answered.await.map_err(|_| CommitError::Stopped)?
    }

    /// The newest committed state.
    #[must_use]
    pub fn state(&self) -> State {
        self.states.borrow().clone()
    }

    /// The newest committed world.
    #[must_use]
    pub fn world(&self) -> World {
        self.states.borrow().world().clone()
    }

    /// The newest committed states, one after the other; some may be skipped.
    #[must_use]
    pub fn states(&self) -> watch::Receiver<State> {
        self.states.clone()
    }

    /// Whether commands are still carried out.
    #[must_use]
    pub fn is_writing(&self) -> bool {
        !self.queue.is_closed()
    }
}

impl Writer {
    /// Carries out what waits, then ends the thread.
    pub async fn stop(self) {
        // A writer that has ended already has closed the queue; then there is nothing to wait for.
        if self.queue.send(Message::Stop).await.is_err() {
            tracing::debug!("the writer had ended before it was stopped");
        }
        let joined = tokio::task::spawn_blocking(move || self.thread.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the writer thread did not end well");
        }
    }
}

/// What the writer thread owns.
struct Desk {
    writing: Writing,
    state: State,
    /// What is known of the invariants in that state.
    checker: Checker,
    published: watch::Sender<State>,
}

impl Desk {
    fn run(mut self, mut jobs: mpsc::Receiver<Message>) {
        let mut is_open = true;
        while is_open && let Some(first) = jobs.blocking_recv() {
            let mut batch = Vec::new();
            let mut next = Some(first);
            while let Some(message) = next {
                match message {
                    Message::Job(job) => batch.push(*job),
                    Message::Stop => is_open = false,
                }
                next = if is_open && batch.len() < GROUP_COMMIT_MAX { jobs.try_recv().ok() } else { None };
            }
            is_open &= self.carry_out(batch);
        }
    }

    /// Carries out a batch. False when the store failed.
    fn carry_out(&mut self, batch: Vec<Job>) -> bool {
        let mut now = (self.state.clone(), self.checker.clone());
        let (mut commits, mut turns) = (Vec::new(), Vec::new());
        let mut answers = Vec::with_capacity(batch.len());
        for job in batch {
            let (answer, committed) = self.judge(&mut now, &mut turns, job);
            commits.extend(committed);
            answers.push(answer);
        }
        if let Err(error) = self.make_durable(&commits) {
            tracing::error!(%error, "a commit failed; the server answers questions but writes no more");
            let failed = CommitError::Store(error.into());
            answers.into_iter().for_each(|(caller, _)| answer(caller, Err(failed.clone())));
            return false;
        }
        if !commits.is_empty() {
            (self.state, self.checker) = now;
            turns.iter().for_each(|(revision, turn)| tell(*revision, turn));
            commits.iter().for_each(|commit| self.writing.hosts.latency.committed(commit.revision));
            self.published.send_replace(self.state.clone());
        }
        answers.into_iter().for_each(|(caller, result)| answer(caller, result));
        true
    }

    /// Applies one command to the state of the batch.
    fn judge(
        &self,
        (state, checker): &mut (State, Checker),
        turns: &mut Vec<(Revision, Turn)>,
        job: Job,
    ) -> ((oneshot::Sender<Committed>, Committed), Option<Commit>) {
        let Job { actor, command, answer } = job;
        let held = self.apply(state, &command).and_then(|(applied, at)| {
            let (applied, next, turned) = checker.hold(state.world(), applied)?;
            Ok((applied, next, turned, at))
        });
        let (Applied { state: after, changes, outcome }, next, turned, at) = match held {
            Ok(held) => held,
            Err(error) => return ((answer, Err(error)), None),
        };
        if changes.is_empty() {
            return ((answer, Ok((outcome, state.world().clone()))), None);
        }
        let revision = state.world().revision().next();
        (*state, *checker) = (after.at(revision), next);
        turns.extend(turned.into_iter().map(|turn| (revision, turn)));
        let commit = Commit { revision, at, actor, changes };
        ((answer, Ok((outcome, state.world().clone()))), Some(commit))
    }

    fn apply(&self, state: &State, command: &Command) -> Result<(Applied, Timestamp), CommitError> {
        applied(&self.writing.hosts, self.writing.limits, state, command)
    }

    /// The nonces first: a change that is kept must never be done again by a copy of its request.
    fn make_durable(&self, commits: &[Commit]) -> Result<(), String> {
        if commits.is_empty() {
            return Ok(());
        }
        self.writing.replay.flush().map_err(|error| error.to_string())?;
        let expected = self.state.world().revision();
        self.writing.store.append(expected, commits).map_err(|error| error.to_string())
    }
}

/// What a command does to a copy of a state, and when that was; invariants are not asked.
pub(crate) fn applied(
    hosts: &Hosts,
    limits: LimitMode,
    state: &State,
    command: &Command,
) -> Result<(Applied, Timestamp), CommitError> {
    let (now, host) = (outside::now(), hosts.placement(state.world()));
    let mut context = Context { now, ids: outside::id_source()?, limits, host };
    Ok((apply(state, command, &mut context)?, now))
}

/// The result of a command on a copy of a state, held to the invariants. Nothing changes.
pub(crate) fn tried(
    hosts: &Hosts,
    limits: LimitMode,
    state: &State,
    command: &Command,
) -> Result<Applied, CommitError> {
    let (applied, _) = applied(hosts, limits, state, command)?;
    Ok(Checker::default().hold(state.world(), applied)?.0)
}

/// Tells that an invariant holds no longer, or again.
fn tell(revision: Revision, Turn { name, statement, witness }: &Turn) {
    match witness {
        Some(witness) => {
            tracing::warn!(%name, %statement, %revision, "an invariant does not hold any more");
            tracing::debug!(%name, %witness, "why it does not");
        }
        None => tracing::info!(%name, %statement, %revision, "an invariant holds again"),
    }
}

/// Answers a caller. One that no longer listens has given up its request; the change stays.
fn answer(caller: oneshot::Sender<Committed>, result: Committed) {
    drop(caller.send(result));
}

#[cfg(test)]
mod tests;
