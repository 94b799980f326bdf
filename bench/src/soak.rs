//! The soak: for minutes, traffic, floods, changes through the API, deaths of processes and a foreign hand on the kernel's links, all
//! at once. All the time no packet that is denied may pass, nothing that is allowed may break, and memory and store must not grow.
//!
//! What may pass is known at every moment by [`model`]; what nobody can know, because a change is on its way, is not judged.
//! Order and choice of everything come from one seed, which is told; when things happen depends on the machine.

pub mod estate;
pub mod floods;
pub mod journal;
pub mod model;
pub mod monitor;
pub mod probes;
pub mod services;
pub mod streams;
pub mod troubles;
pub mod watch;
pub mod writers;

use std::{
    fmt::{self, Write as _},
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread::{self, Scope, ScopedJoinHandle},
    time::{Duration, Instant},
};

use sekimori_core::ids::IdSource;

use self::{
    estate::{Estate, Place},
    journal::Journal,
    model::Model,
    monitor::Memory,
    watch::Breach,
};
use crate::{ec2, ecs::Client, server::Server, stop::Stop};

/// Changes of ten minutes.
const CHANGES_IN_TEN_MINUTES: u64 = 10_000;
/// The part of the time in which processes die. In the rest they live, so that growth of their memory can be seen.
const DEADLY_PART: f64 = 0.6;
/// How long the last changes may take when the time is over.
const OVERTIME: Duration = Duration::from_secs(60);
/// Between two looks at whether it is over.
const LOOK: Duration = Duration::from_millis(100);

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How long.
    pub duration: Duration,
    /// Where every choice comes from.
    pub seed: u64,
}

impl Plan {
    /// How many changes are made.
    #[must_use]
    pub fn changes(&self) -> u64 {
        CHANGES_IN_TEN_MINUTES * self.duration.as_secs().max(1) / 600
    }

    /// Random numbers of one worker.
    #[must_use]
    pub fn chances(&self, worker: &str) -> IdSource {
        let name = worker.bytes().fold(self.seed, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
        IdSource::new(name)
    }
}

/// What was seen how often.
#[derive(Debug, Default)]
pub struct Counts {
    /// Changes that the server acknowledged.
    pub changes: AtomicU64,
    /// Calls that are on their way.
    pub under_way: AtomicU64,
    /// Calls that had no answer and were made again.
    pub repeated: AtomicU64,
    /// New flows that were allowed, and passed.
    pub passed: AtomicU64,
    /// New flows that were denied, and did not pass.
    pub dropped: AtomicU64,
    /// New flows that met a change, and were not judged.
    pub unsettled: AtomicU64,
    /// Messages of live flows that came back.
    pub echoes: AtomicU64,
    /// Datagrams of live flows that did not.
    pub lost: AtomicU64,
    /// Frames of floods and scans.
    pub frames: AtomicU64,
    /// Deaths and other troubles.
    pub troubles: AtomicU64,
}

impl Counts {
    /// One more.
    pub fn note(count: &AtomicU64) {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// What every worker has.
pub struct Run {
    /// What is to be done.
    pub plan: Plan,
    /// Raised at the end, or when something has been found.
    pub halt: Stop,
    /// What has been seen.
    pub journal: Journal,
    /// How often.
    pub counts: Counts,
    /// What may pass.
    pub model: Model,
    /// Who is there.
    pub estate: Estate,
    /// The processes.
    pub server: Mutex<Server>,
    /// The open moment of the interface whose programs are taken off.
    pub breach: Mutex<Breach>,
    /// Whether processes live from now on.
    pub calm: Mutex<Option<Instant>>,
    /// What the processes hold.
    pub memory: Mutex<Memory>,
}

impl Run {
    /// Notes what must not be, and ends the run.
    pub fn find(&self, what: impl fmt::Display) {
        self.journal.find(&what);
        self.halt.raise();
    }

    fn work(&self, name: &str, work: impl FnOnce() -> anyhow::Result<()>) {
        if let Err(error) = work()
            && self.halt.check().is_ok()
        {
            self.find(format!("{name}: {error:#}"));
        }
    }
}

/// Soaks; returns the summary.
///
/// # Errors
/// What was found, when, and what had happened before.
pub fn soak(dir: &Path, plan: Plan, tells: bool, stop: &Stop) -> anyhow::Result<String> {
    let server = Server::start(dir, stop)?;
    let client = server.client()?;
    let ec2 = server.ec2_client()?;
    let estate = Estate::build(&client, &ec2)?;
    let run = Run {
        plan,
        halt: Stop::default(),
        journal: Journal::new(tells),
        counts: Counts::default(),
        model: model::at_first(),
        estate,
        server: Mutex::new(server),
        breach: Mutex::default(),
        calm: Mutex::default(),
        memory: Mutex::default(),
    };
    thread::scope(|scope| {
        let workers = begin(&run, (&client, &ec2), scope);
        let ended = supervise(&run, stop);
        run.halt.raise();
        for worker in workers {
            if worker.join().is_err() {
                run.journal.find(&"a worker has panicked");
            }
        }
        ended
    })?;
    if !run.journal.has_found() {
        run.work("at the end", || monitor::judge_end(&run, &client));
        run.memory.lock().unwrap_or_else(PoisonError::into_inner).judge(&run);
    }
    let log = run.server.lock().unwrap_or_else(PoisonError::into_inner).log();
    monitor::judge_log(&run, &log);
    anyhow::ensure!(!run.journal.has_found(), "{}", run.journal.to_report(&plan, &log));
    Ok(summary(&run))
}

type Worker<'scope> = ScopedJoinHandle<'scope, ()>;

/// Starts everything.
fn begin<'scope>(
    run: &'scope Run,
    (client, ec2): (&'scope Client, &'scope ec2::Client),
    scope: &'scope Scope<'scope, '_>,
) -> Vec<Worker<'scope>> {
    let mut workers = Vec::new();
    let mut start = |name: String, work: Box<dyn FnOnce() -> anyhow::Result<()> + Send + 'scope>| {
        workers.push(scope.spawn(move || run.work(&name, work)));
    };
    let (ready, all_ready) = mpsc::channel::<()>();
    for place in Place::SERVING {
        let ready = ready.clone();
        start(format!("services of {place}"), Box::new(move || services::serve(run, place, ready)));
        start(format!("watch at {place}"), Box::new(move || watch::watch(run, place)));
    }
    drop(ready);
    // Nobody is asked before everybody listens; ends when they do, or one of them has failed.
    while all_ready.recv().is_ok() {}
    for place in Place::ASKING {
        start(format!("probes of {place}"), Box::new(move || probes::probe(run, place)));
    }
    for place in Place::TALKING {
        start(format!("streams of {place}"), Box::new(move || streams::stream(run, place)));
    }
    for writer in writers::ALL {
        let (client, ec2) = (client.sibling(), ec2.sibling());
        start(format!("writer of {writer:?}"), Box::new(move || writers::write(run, writer, &client, &ec2)));
    }
    let (one, other) = (client.sibling(), client.sibling());
    start("floods".to_owned(), Box::new(move || floods::flood(run)));
    start("breach".to_owned(), Box::new(move || watch::knock(run)));
    start("troubles".to_owned(), Box::new(move || troubles::make(run, &one)));
    start("monitor".to_owned(), Box::new(move || monitor::watch(run, &other)));
    workers
}

/// Waits until it is over.
fn supervise(run: &Run, stop: &Stop) -> anyhow::Result<()> {
    let started = Instant::now();
    loop {
        stop.pause(LOOK)?;
        if run.halt.check().is_err() {
            return Ok(());
        }
        let elapsed = started.elapsed();
        if elapsed >= run.plan.duration.mul_f64(DEADLY_PART) {
            run.calm.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
        }
        let changes = run.counts.changes.load(Ordering::Relaxed);
        if elapsed >= run.plan.duration && changes >= run.plan.changes() {
            return Ok(());
        }
        if elapsed >= run.plan.duration + OVERTIME {
            run.find(format!("only {changes} of {} changes were made", run.plan.changes()));
        }
    }
}

fn summary(run: &Run) -> String {
    let Counts { changes, under_way: _, repeated, passed, dropped, unsettled, echoes, lost, frames, troubles } =
        &run.counts;
    let value = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "soaked for {} s with seed {}: nothing was found", run.journal.seconds(), run.plan.seed);
    let _ = writeln!(text, "  changes     {} acknowledged, {} calls repeated", value(changes), value(repeated));
    let _ = writeln!(
        text,
        "  new flows   {} allowed passed, {} denied did not, {} met a change",
        value(passed),
        value(dropped),
        value(unsettled)
    );
    let _ = writeln!(text, "  live flows  {} messages came back, {} datagrams lost", value(echoes), value(lost));
    let _ = writeln!(text, "  floods      {} frames, none that is denied arrived", value(frames));
    let _ = writeln!(text, "  troubles    {}: {}", value(troubles), run.journal.troubles());
    let breach = run.breach.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = writeln!(
        text,
        "  programs that were taken off an interface were back after {:.0?} at most",
        breach.longest()
    );
    let _ = write!(text, "{}", run.memory.lock().unwrap_or_else(PoisonError::into_inner));
    text
}
