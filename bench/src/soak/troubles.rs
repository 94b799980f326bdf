//! Troubles, one at a time: processes are killed or ended and start again, programs are taken off an interface, names are deleted.
//! After each everything must stand again before the next begins.

use std::{
    fs,
    os::fd::AsFd,
    path::PathBuf,
    sync::{PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use sekimori_agent::bpf::{maps::BPFFS, sys};
use sekimori_core::ids::IdSource;

use super::{Counts, Run, estate::Place, watch::REPAIR_MAX};
use crate::{ecs::Client, server::Whom};

/// The least and the most that everything is left alone between two.
const REST: (Duration, Duration) = (Duration::from_millis(500), Duration::from_millis(2_500));
/// How long everything may take to stand again.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(50);
/// How long a killer waits for a call that it can interrupt.
const AMBUSH: Duration = Duration::from_secs(1);

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    ServerDies,
    UpDies,
    BothDie,
    IsEnded,
    ToEniIsTakenOff,
    FromEniIsTakenOff,
    NameIsDeleted,
}

impl Trouble {
    /// Those that no process dies of.
    const MILD: [Self; 3] = [Self::ToEniIsTakenOff, Self::FromEniIsTakenOff, Self::NameIsDeleted];
    const ALL: [Self; 7] = [
        Self::ServerDies,
        Self::UpDies,
        Self::BothDie,
        Self::IsEnded,
        Self::ToEniIsTakenOff,
        Self::FromEniIsTakenOff,
        Self::NameIsDeleted,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::ServerDies => "the server was killed",
            Self::UpDies => "the agent was killed",
            Self::BothDie => "server and agent were killed",
            Self::IsEnded => "server and agent were ended and started again",
            Self::ToEniIsTakenOff => "the program towards an interface was taken off",
            Self::FromEniIsTakenOff => "the program away from an interface was taken off",
            Self::NameIsDeleted => "the name of a map was deleted",
        }
    }
}

/// Makes troubles until the end.
///
/// # Errors
/// When something does not stand again.
pub fn make(run: &Run, client: &Client) -> anyhow::Result<()> {
    let mut chances = run.plan.chances("troubles");
    let mut left: Vec<Trouble> = Vec::new();
    loop {
        let range = (REST.1 - REST.0).as_millis() as u64;
        if run.halt.pause(REST.0 + Duration::from_millis(chances.next_u64() % range)).is_err() {
            return Ok(());
        }
        let is_calm = run.calm.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if is_calm {
            left.retain(|trouble| Trouble::MILD.contains(trouble));
        }
        if left.is_empty() {
            left = shuffled(if is_calm { &Trouble::MILD } else { &Trouble::ALL }, &mut chances);
        }
        let Some(trouble) = left.pop() else { continue };
        run.journal.trouble(trouble.name());
        Counts::note(&run.counts.troubles);
        happen(run, trouble).with_context(|| format!("after {}", trouble.name()))?;
        stands_again(run, client).with_context(|| format!("after {}", trouble.name()))?;
        run.journal.note("everything stands again");
    }
}

fn shuffled(all: &[Trouble], chances: &mut IdSource) -> Vec<Trouble> {
    let mut keyed: Vec<(u64, Trouble)> = all.iter().map(|trouble| (chances.next_u64(), *trouble)).collect();
    keyed.sort_by_key(|(key, _)| *key);
    keyed.into_iter().map(|(_, trouble)| trouble).collect()
}

fn happen(run: &Run, trouble: Trouble) -> anyhow::Result<()> {
    match trouble {
        Trouble::ServerDies => with_server(run, |server| server.kill(Whom::Server)),
        Trouble::UpDies => with_server(run, |server| {
            server.kill(Whom::Up)?;
            server.start_again(&run.halt)
        }),
        Trouble::BothDie => with_server(run, |server| {
            server.kill(Whom::Both)?;
            server.start_again(&run.halt)
        }),
        Trouble::IsEnded => with_server(run, |server| server.restart(&run.halt).map(drop)),
        Trouble::ToEniIsTakenOff => bare(run, "to"),
        Trouble::FromEniIsTakenOff => bare(run, "from"),
        Trouble::NameIsDeleted => forget_a_name(run),
    }
}

/// Does something to the processes while a change is on its way.
fn with_server(run: &Run, act: impl FnOnce(&mut crate::server::Server) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let until = Instant::now() + AMBUSH;
    while run.counts.under_way.load(Ordering::Relaxed) == 0 && Instant::now() < until {
        run.halt.pause(Duration::from_micros(100))?;
    }
    act(&mut run.server.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Where the agent keeps names of one kind.
fn pins(run: &Run, kind: &str) -> anyhow::Result<PathBuf> {
    let server = run.server.lock().unwrap_or_else(PoisonError::into_inner);
    let versions = fs::read_dir(server.dir().join(BPFFS))?;
    let newest = versions.flatten().map(|entry| entry.path()).max().context("nothing is pinned")?;
    Ok(newest.join(kind))
}

/// Takes a program off the interface that is there for it, and waits until it must be back.
fn bare(run: &Run, side: &str) -> anyhow::Result<()> {
    let pin = pins(run, "links")?.join(format!("{side}_{}", run.estate.host(Place::Bared)?.eni));
    let link = sys::open_pinned(&pin).with_context(|| format!("cannot open `{}`", pin.display()))?;
    run.breach.lock().unwrap_or_else(PoisonError::into_inner).open();
    sys::link_detach(link.as_fd())?;
    // Packets that were let through a moment before the end of the time may arrive a moment after it.
    run.halt.pause(REPAIR_MAX * 2)?;
    run.breach.lock().unwrap_or_else(PoisonError::into_inner).close();
    let back = sys::open_pinned(&pin).with_context(|| format!("cannot open `{}`", pin.display()))?;
    anyhow::ensure!(sys::link_info(back.as_fd())?.ifindex != 0, "it is not on again");
    Ok(())
}

fn forget_a_name(run: &Run) -> anyhow::Result<()> {
    let pin = pins(run, "maps")?.join("flows4");
    fs::remove_file(&pin).with_context(|| format!("cannot delete `{}`", pin.display()))?;
    run.halt.pause(REPAIR_MAX)?;
    anyhow::ensure!(pin.exists(), "it is not there again");
    Ok(())
}

/// Waits until the server serves and the kernel enforces what is committed.
fn stands_again(run: &Run, client: &Client) -> anyhow::Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        let ready = client.native("GET", "/healthz").and_then(|_| client.wait());
        let Err(error) = ready else { return Ok(()) };
        if run.halt.pause(LOOK).is_err() {
            return Ok(());
        }
        anyhow::ensure!(Instant::now() < until, "nothing stands after {PATIENCE:.0?}: {error:#}");
    }
}
