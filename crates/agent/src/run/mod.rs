//! The agent: listens to its server, makes the kernel follow, and reports what it enforces.
//!
//! A lost server changes nothing: enforcement goes on, and the agent asks again for what it missed. When
//! the agent ends, for whatever reason, enforcement stays in place.

pub mod counters;
mod down;
mod feed;
mod flows;
mod live;

use std::{
    future::Future,
    io,
    path::PathBuf,
    pin::pin,
    time::{Duration, Instant},
};

use sekimori_core::{
    feed::{ClosedEni, FromAgent, FromServer, TallyReport},
    flow_event::{FLOW_EVENTS_PER_MESSAGE_MAX, FlowEvent},
    flow_record::{TrafficKey, TrafficSum},
    ids::HostId,
    world::{Revision, World},
};
use tokio::{
    task::JoinHandle,
    time::{Interval, MissedTickBehavior},
};

pub use self::down::{DownReport, down};
use self::{
    counters::{CounterTeller, Counters},
    feed::Connection,
    flows::FlowTeller,
    live::LiveTeller,
};
use crate::{
    bpf::{AttachMode, Collection, clock::Moment, events::EniLosses},
    enforcer::Enforcer,
    traffic::Sampler,
};

/// How often drift is looked for, idle flows are ended and counters are read.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// Every so many of them it says again what it enforces, so that the server knows an agent that hangs (`server::hosts::SILENT_AFTER`).
const TICKS_PER_SIGN: u32 = 2;
/// How often programs are looked at, and entries of the maps compared: whatever is taken away is back within a second.
const WATCH: Duration = Duration::from_millis(250);
/// How long looking and comparing may take in one turn; between two, whatever the server has said goes first.
const TURN: Duration = Duration::from_millis(1);
/// Messages of the server that are followed in a row while anything else waits: then it has a turn. So a flood of changes does not
/// hide what is taken away: a round is some hundred turns at most.
const MESSAGES_IN_A_ROW_MAX: u32 = 8;
/// Every so many looks, namespaces and links are looked at as well.
const WATCHES_PER_THOROUGH_ONE: u32 = 2;
/// How often events are read from the ring, one message at most each time: a flood does not keep changes waiting.
const EVENTS_EVERY: Duration = Duration::from_millis(50);
/// The pause before a lost server is called again.
const RECONNECT: Duration = Duration::from_millis(200);
/// The same while server and agent are starting side by side.
const RECONNECT_AT_START: Duration = Duration::from_millis(50);

/// What an agent needs to know.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// The data directory.
    pub dir: PathBuf,
    /// The server's Unix socket.
    pub feed: PathBuf,
    /// The user that the server runs as; nobody else is listened to.
    pub server_uid: u32,
    /// The host that is enforced.
    pub host: HostId,
    /// How programs are put on interfaces.
    pub attach: AttachMode,
    /// Whether live flows between two interfaces of this host may go past its routers.
    pub straight_path: bool,
}

/// Runs until `shutdown` is ready. Enforcement stays in place.
///
/// # Errors
/// When the kernel or the data directory cannot be used at all. A server that is away is no error.
pub async fn run(config: AgentConfig, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut enforcer = Enforcer::open(&config.dir, config.host.clone(), config.attach)?;
    enforcer.set_straight_path(config.straight_path);
    let mut agent = Agent {
        enforcer,
        config,
        chores: Chores::default(),
        flows: FlowTeller::default(),
        live: LiveTeller::default(),
        counters: Counters::default(),
        reported: None,
        ticks: 0,
        reported_bound: None,
        away: None,
        opening: None,
    };
    agent.enforcer.close_bound().await;
    agent.opening = Some(began.elapsed());
    let mut shutdown = pin!(shutdown);
    loop {
        let pause = tokio::select! {
            () = &mut shutdown => return Ok(()),
            error = agent.serve() => agent.note_away(&error),
        };
        tokio::select! {
            () = &mut shutdown => return Ok(()),
            () = agent.wait_alone(pause) => {}
        }
    }
}

struct Agent {
    config: AgentConfig,
    enforcer: Enforcer,
    chores: Chores,
    flows: FlowTeller,
    live: LiveTeller,
    counters: Counters,
    reported: Option<(Option<Revision>, Vec<ClosedEni>)>,
    /// Seconds that house was kept in.
    ticks: u32,
    /// How often the states of bound interfaces had changed when they were told last.
    reported_bound: Option<u64>,
    /// Why the server was not there when it was called last.
    away: Option<String>,
    /// How long it took to open what an earlier process left, until that is told.
    opening: Option<Duration>,
}

/// A sample of the live flows: when, by whom, and what they have grown by.
type Sampled = (Moment, Sampler, io::Result<Vec<(TrafficKey, TrafficSum)>>);

/// Work that waits for the kernel, and is done beside the changes.
#[derive(Default)]
struct Chores {
    collection: Option<JoinHandle<(Collection, io::Result<()>)>>,
    counting: Option<JoinHandle<(CounterTeller, io::Result<Vec<TallyReport>>)>>,
    losses: Option<JoinHandle<io::Result<Vec<EniLosses>>>>,
    sampling: Option<JoinHandle<Sampled>>,
    sampler: Sampler,
    watches: u32,
}

impl Agent {
    /// Follows a server until it is lost; returns why.
    async fn serve(&mut self) -> anyhow::Error {
        match self.try_serve().await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    /// Tells why there is no server, once for each reason, and returns the pause before it is called again. That nobody
    /// listens is no news before the first contact: both are starting.
    fn note_away(&mut self, error: &anyhow::Error) -> Duration {
        let text = format!("{error:#}");
        let is_starting = self.enforcer.heard().is_none() && is_nobody_there(error);
        if self.away.as_ref() != Some(&text) {
            if is_starting {
                tracing::debug!(error = text, "the server is not there yet");
            } else {
                tracing::warn!(error = text, "the server is away; enforcement goes on");
            }
            self.away = Some(text);
        }
        if is_starting { RECONNECT_AT_START } else { RECONNECT }
    }

    async fn try_serve(&mut self) -> anyhow::Result<std::convert::Infallible> {
        let after = self.enforcer.known();
        let mut server = Connection::open(&self.config, after).await?;
        self.away = None;
        let welcomed = Instant::now();
        let mut snapshot = World::default();
        let (mut tick, mut watch, mut events) = (every(HOUSEKEEPING), every(WATCH), every(EVENTS_EVERY));
        self.reported = None;
        self.flows.begin();
        self.live.begin();
        self.counters.begin();
        self.reported_bound = None;
        self.report(&mut server).await?;
        let mut in_a_row = 0;
        loop {
            let is_others_turn = in_a_row >= MESSAGES_IN_A_ROW_MAX;
            let has_turns = self.enforcer.has_turns();
            tokio::select! {
                // What comes at intervals, then what the server has said, and last what can wait.
                biased;
                _ = watch.tick() => self.begin_watch(),
                _ = events.tick(), if self.enforcer.tells_flows() => {
                    let seen = self.take_events();
                    self.flows.tell(&mut server, seen)?;
                    self.flows.tell_traffic(&mut server)?;
                }
                _ = tick.tick() => {
                    self.keep_house().await;
                    self.ticks = self.ticks.wrapping_add(1);
                    if self.ticks.is_multiple_of(TICKS_PER_SIGN) {
                        self.reported = None;
                    }
                    self.report(&mut server).await?;
                    for report in self.count().await {
                        server.send(&FromAgent::Counters(report)).await?;
                    }
                }
                message = server.receive(), if !is_others_turn => {
                    in_a_row += 1;
                    let request = self.handle(message?, &mut snapshot).await?;
                    self.tell_start(welcomed);
                    self.report(&mut server).await?;
                    self.tell_read_back(&mut server, request).await?;
                    self.live.read(&self.enforcer);
                }
                answer = self.live.answer() => {
                    server.send(&FromAgent::LiveFlows(answer)).await?;
                    self.live.read(&self.enforcer);
                }
                () = self.enforcer.bindings().news() => {
                    self.enforcer.look_at_bound().await;
                    self.report(&mut server).await?;
                }
                // Not before the runtime has looked for what has come meanwhile.
                () = tokio::task::yield_now(), if has_turns || is_others_turn => {
                    in_a_row = 0;
                    self.enforcer.take_turn(TURN).await;
                    self.report(&mut server).await?;
                    self.tell_read_back(&mut server, None).await?;
                }
            }
        }
    }

    /// Says once what of a start was the agent's own.
    fn tell_start(&mut self, welcomed: Instant) {
        if self.enforcer.applied().is_some()
            && let Some(opening) = self.opening.take()
        {
            let (opening_ms, following_ms) = (opening.as_millis(), welcomed.elapsed().as_millis());
            tracing::info!(opening_ms, following_ms, "everything is enforced");
        }
    }

    /// The next events; what was refused is noted for records.
    fn take_events(&mut self) -> Vec<FlowEvent> {
        let seen = self.enforcer.take_events(FLOW_EVENTS_PER_MESSAGE_MAX);
        if self.enforcer.interest().records {
            self.flows.note(&seen);
        }
        let wanted = self.enforcer.interest().allowed;
        if wanted { seen } else { Vec::new() }
    }

    /// Does what the server says; returns the number of a question.
    async fn handle(&mut self, message: FromServer, snapshot: &mut World) -> anyhow::Result<Option<u64>> {
        match message {
            FromServer::Welcome { .. } => {}
            FromServer::Snapshot { changes, complete } => {
                changes.iter().for_each(|change| snapshot.apply(change));
                if let Some(known) = complete {
                    let world = std::mem::take(snapshot).at(known.revision);
                    self.enforcer.follow_world(world, known.groups).await?;
                }
            }
            FromServer::Commit { commit, groups } => {
                let expected = self.enforcer.world().revision().next();
                anyhow::ensure!(commit.revision == expected, "expected revision {expected}, got {}", commit.revision);
                self.enforcer.follow(&commit, groups).await?;
            }
            FromServer::Verify { request } => {
                self.enforcer.verify().await;
                return Ok(Some(request));
            }
            FromServer::LiveFlows { request, wanted } => self.live.ask(request, wanted),
            FromServer::Watch(interest) => {
                if let Err(error) = self.enforcer.want_flows(interest) {
                    tracing::warn!(%error, "events of flows cannot be told");
                }
            }
            FromServer::Recorded { start_s } => self.flows.ledger.written(start_s),
            FromServer::Counted { report } => self.counters.written(report),
            FromServer::Refused { reason } => anyhow::bail!("the server refuses this agent: {reason}"),
        }
        Ok(None)
    }

    /// Has what others may have taken away looked at, and the next entries compared.
    fn begin_watch(&mut self) {
        let is_thorough = self.chores.watches.wrapping_add(1).is_multiple_of(WATCHES_PER_THOROUGH_ONE);
        if self.enforcer.begin_look(is_thorough) {
            self.chores.watches = self.chores.watches.wrapping_add(1);
        }
        self.enforcer.begin_read_back();
    }

    async fn tell_read_back(&mut self, server: &mut Connection, request: Option<u64>) -> anyhow::Result<()> {
        match self.enforcer.take_read_back(request) {
            Some(report) => server.send(&FromAgent::ReadBack(report)).await,
            None => Ok(()),
        }
    }

    async fn report(&mut self, server: &mut Connection) -> anyhow::Result<()> {
        // First what is bound: whoever waits for the revision asks for it next.
        let changes = self.enforcer.bindings().changes();
        if self.reported_bound != Some(changes) {
            server.send(&FromAgent::Bound(self.enforcer.bindings().report())).await?;
            self.reported_bound = Some(changes);
        }
        let now = (self.enforcer.applied(), self.enforcer.closed());
        if self.reported.as_ref() == Some(&now) {
            return Ok(());
        }
        if let (Some(revision), closed) = now.clone() {
            server.send(&FromAgent::Applied { revision, closed }).await?;
        }
        self.reported = Some(now);
        Ok(())
    }

    /// Without a server there is still a house to keep.
    async fn wait_alone(&mut self, pause: Duration) {
        let end = tokio::time::Instant::now() + pause;
        while tokio::time::timeout_at(end, self.enforcer.bindings().news()).await.is_ok() {
            self.enforcer.look_at_bound().await;
        }
        match self.enforcer.heard() {
            Some(_) => {
                self.take_events();
                self.enforcer.repair().await;
                self.keep_house().await;
            }
            // What was bound may be in a namespace that was not there yet.
            None => self.enforcer.close_bound().await,
        }
    }

    /// Tries again what failed, and collects.
    async fn keep_house(&mut self) {
        if self.enforcer.heard().is_none() {
            return;
        }
        self.enforcer.retry();
        self.collect().await;
        self.count_losses().await;
        self.sample().await;
    }

    async fn collect(&mut self) {
        if let Some(done) = take_finished(&mut self.chores.collection).await {
            let (collection, result) = done;
            match result {
                Ok(()) => self.enforcer.end_collection(collection),
                Err(error) => tracing::warn!(%error, "cannot collect what is unused"),
            }
        }
        if self.chores.collection.is_some() {
            return;
        }
        match self.enforcer.begin_collection() {
            Ok(mut collection) => {
                let work = move || {
                    let result = collection.run();
                    (collection, result)
                };
                self.chores.collection = Some(tokio::task::spawn_blocking(work));
            }
            Err(error) => tracing::warn!(%error, "cannot begin to collect what is unused"),
        }
    }

    /// Notes what of the events was lost, while anybody reads them.
    async fn count_losses(&mut self) {
        if let Some(read) = take_finished(&mut self.chores.losses).await {
            match read {
                Ok(losses) => self.flows.note_losses(losses),
                Err(error) => tracing::warn!(%error, "cannot read how many events were lost"),
            }
        }
        if self.chores.losses.is_some() || !self.enforcer.tells_flows() {
            return;
        }
        match self.enforcer.loss_reader() {
            Ok(reader) => self.chores.losses = Some(tokio::task::spawn_blocking(move || reader.read())),
            Err(error) => tracing::warn!(%error, "cannot read how many events were lost"),
        }
    }

    /// Notes by how much flows have grown, while there is a flow log.
    async fn sample(&mut self) {
        let ended = take_finished(&mut self.chores.sampling).await;
        if let Some((at, sampler, grown)) = ended {
            self.chores.sampler = sampler;
            match grown {
                Ok(grown) => {
                    self.flows.note_short(at.now_s);
                    self.flows.ledger.passed(at.now_s, grown);
                }
                Err(error) => tracing::warn!(%error, "live flows cannot be read for records"),
            }
        }
        if !self.enforcer.interest().records {
            self.chores.sampler = Sampler::default();
            return;
        }
        if self.chores.sampling.is_some() {
            return;
        }
        match (self.enforcer.flow_source(), Moment::now()) {
            (Ok(source), Ok(at)) => {
                let mut sampler = std::mem::take(&mut self.chores.sampler);
                self.chores.sampling = Some(tokio::task::spawn_blocking(move || {
                    let grown = source.sample(&mut sampler, at);
                    (at, sampler, grown)
                }));
            }
            (Err(error), _) | (_, Err(error)) => tracing::warn!(%error, "live flows cannot be read for records"),
        }
    }

    /// What is to be told of the counters that were read since the last call. What may be forgotten is, before they are read again.
    async fn count(&mut self) -> Vec<TallyReport> {
        let counted = take_finished(&mut self.chores.counting).await;
        if self.chores.counting.is_some() || self.enforcer.heard().is_none() {
            return Vec::new();
        }
        let reports = counted.and_then(|(teller, reports)| self.counters.give_back(teller).then_some(reports));
        let reports = reports.transpose().inspect_err(|error| tracing::warn!(%error, "cannot read counters"));
        let mut teller = self.counters.take();
        let is_forgotten = self.enforcer.forget_counted(&teller.forget());
        teller.forgot(is_forgotten);
        match self.enforcer.reader() {
            Ok(reader) => {
                self.chores.counting = Some(tokio::task::spawn_blocking(move || {
                    let reports = reader.read().map(|counts| teller.tell(counts));
                    (teller, reports)
                }));
            }
            Err(error) => {
                self.counters.give_back(teller);
                tracing::warn!(%error, "cannot read counters");
            }
        }
        reports.ok().flatten().unwrap_or_default()
    }
}

fn every(pause: Duration) -> Interval {
    let mut interval = tokio::time::interval(pause);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

fn is_nobody_there(error: &anyhow::Error) -> bool {
    let cause = error.root_cause().downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(cause, Some(io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused))
}

/// The result of a task that has ended.
async fn take_finished<T>(task: &mut Option<JoinHandle<T>>) -> Option<T> {
    if !task.as_ref()?.is_finished() {
        return None;
    }
    let ended = task.take()?.await;
    ended.inspect_err(|error| tracing::error!(%error, "a task of the agent ended badly")).ok()
}
