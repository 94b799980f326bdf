//! The way to the agents: a local socket on which each gets the world and then every commit, in order.
//!
//! Frames are length-delimited JSON of [`sekimori_core::feed`]. Only one user may connect. An agent resumes
//! after the revision it names if the log still reaches back to it, and gets a snapshot otherwise. Commits
//! are read from the store's log in bounded batches as fast as the agent takes them, so a slow agent costs
//! no memory. An agent is told a [`Slice`] of the world: access keys never leave the server, and rules of groups that the
//! agent's host does not use stay there too. What is not told is left out of its commit, the commit is not.

use std::{collections::VecDeque, future::Future, path::Path, sync::Arc, time::Duration};

use axum::body::Bytes;
use futures::{SinkExt, StreamExt};
use tokio::{
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::timeout,
};
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};

use sekimori_core::{
    change::Change,
    feed::{FEED_VERSION, FromAgent, FromServer, MESSAGE_BYTES_MAX, SNAPSHOT_PART_CHANGES, Slice, TallyReport},
    ids::HostId,
    world::{Revision, World},
};

use crate::{
    commit::Committer,
    hosts::Hosts,
    local::{self, LocalError},
    outside,
    records::Records,
    store::{Store, StoreError},
    usage::Usage,
};

/// Connections at a time, those that have not said who they are included.
pub const FEED_CONNECTIONS_MAX: usize = 32;

/// Commits that are read from the log at a time.
pub const FEED_BATCH_COMMITS: usize = 64;

/// How long an agent may take to say who it is.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// How long one message may take to be handed over before the agent counts as gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest name of a host, in bytes.
const HOST_NAME_BYTES_MAX: usize = 255;

/// What the feed works with.
#[derive(Clone)]
pub struct Feed {
    /// Where commits are read.
    pub store: Arc<dyn Store>,
    /// Where new commits are announced.
    pub committer: Committer,
    /// Where reports go.
    pub hosts: Arc<Hosts>,
    /// Where uses of rules are noted.
    pub usage: Arc<Usage>,
    /// Where records of flow logs are written.
    pub records: Arc<Records>,
    /// The user that agents run as.
    pub agent_uid: u32,
}

/// What an agent has told that is written down: the start of the last minute of traffic, and the last report of counters.
#[derive(Clone, Copy, Debug, Default)]
struct Kept {
    recorded: Option<i64>,
    counted: Option<u64>,
}

impl Kept {
    /// What to tell the agent that knows as much as `before`.
    fn news(self, before: &Self) -> Vec<FromServer> {
        let recorded = self.recorded.filter(|_| self.recorded != before.recorded);
        let counted = self.counted.filter(|_| self.counted != before.counted);
        let recorded = recorded.map(|start_s| FromServer::Recorded { start_s });
        recorded.into_iter().chain(counted.map(|report| FromServer::Counted { report })).collect()
    }
}

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
enum FeedError {
    #[error("the agent has gone")]
    Gone,
    #[error("the agent did not answer in time")]
    Late,
    #[error("the agent sent what is not a message: {0}")]
    Garbled(serde_json::Error),
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a message cannot be written: {0}")]
    Unwritable(serde_json::Error),
}

type Incoming = FramedRead<OwnedReadHalf, LengthDelimitedCodec>;
type Outgoing = FramedWrite<OwnedWriteHalf, LengthDelimitedCodec>;

/// Listens on a path.
///
/// # Errors
/// When the socket cannot be made.
pub fn listen(path: &Path) -> Result<UnixListener, LocalError> {
    local::listen(path)
}

impl Feed {
    /// Serves every agent that connects, until told to stop; then lets go of all of them.
    pub async fn serve(self, listener: UnixListener, stop: impl Future) {
        let places = Arc::new(Semaphore::new(FEED_CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        tokio::pin!(stop);
        loop {
            let accepted = tokio::select! {
                biased;
                _ = &mut stop => break,
                accepted = accept(&listener, &places) => accepted,
                Some(_) = connections.join_next() => continue,
            };
            let Some((stream, place)) = accepted else { continue };
            let feed = self.clone();
            connections.spawn(async move {
                feed.talk(stream).await;
                drop(place);
            });
        }
        connections.shutdown().await;
    }

    async fn talk(&self, stream: UnixStream) {
        let peer = local::check_peer(&stream, self.agent_uid);
        let (read, write) = stream.into_split();
        let (mut incoming, mut outgoing) = (framed_read(read), framed_write(write));
        let ended = match peer {
            Ok(()) => self.greet(&mut incoming, &mut outgoing).await,
            Err(reason) => Err(FeedError::Refused(reason)),
        };
        let Err(error) = ended else { return };
        if let FeedError::Refused(reason) = &error {
            tracing::warn!(reason, "an agent was refused");
            let refusal = FromServer::Refused { reason: reason.clone() };
            if let Err(error) = send(&mut outgoing, &refusal).await {
                tracing::debug!(%error, "the agent did not wait for the reason");
            }
        } else {
            tracing::info!(reason = %error, "an agent's connection ended");
        }
    }

    /// Hears who the agent is, and serves it until one side ends.
    async fn greet(&self, incoming: &mut Incoming, outgoing: &mut Outgoing) -> Result<(), FeedError> {
        let hello = timeout(HELLO_TIMEOUT, receive(incoming)).await.map_err(|_| FeedError::Late)??;
        let FromAgent::Hello { version, host, after } = hello else {
            return Err(FeedError::Refused("the first message must be a hello; update the agent".to_owned()));
        };
        check_hello(version, &host)?;
        let session = self.hosts.connect(&host).map_err(|error| FeedError::Refused(error.to_string()))?;
        let revision = after.as_ref().map(|known| known.revision);
        tracing::info!(%host, after = revision.map(|revision| revision.0), "an agent has connected");
        let slice = Slice::new(host.clone(), after.as_ref());
        let (keep, kept) = watch::channel(Kept::default());
        let ended = tokio::select! {
            ended = self.tell(outgoing, &host, revision, slice, kept) => ended,
            ended = self.hear(incoming, &host, session, keep) => ended,
        };
        self.hosts.disconnect(&host, session);
        ended
    }

    /// Tells an agent everything after a revision, for as long as it listens.
    async fn tell(
        &self,
        outgoing: &mut Outgoing,
        host: &HostId,
        after: Option<Revision>,
        mut slice: Slice,
        mut kept: watch::Receiver<Kept>,
    ) -> Result<(), FeedError> {
        send(outgoing, &FromServer::Welcome { version: FEED_VERSION }).await?;
        let mut states = self.committer.states();
        let mut questions = self.hosts.verifier.questions(host);
        let mut interest = self.hosts.flows.interest();
        let (mut live, mut asked) = (self.hosts.live.news(host), 0);
        let (mut told, mut confirmed) = (after, Kept::default());
        loop {
            let world = states.borrow_and_update().world().clone();
            let mut at = match told {
                Some(revision) if revision <= world.revision() => revision,
                Some(_) | None => send_snapshot(outgoing, &world, &mut slice).await?,
            };
            while at < world.revision() {
                at = self.send_batch(outgoing, at, &world, &mut slice).await?;
            }
            if at == world.revision() {
                slice.reach(&world);
            }
            told = Some(at);
            tokio::select! {
                changed = states.changed() => changed.map_err(|_| FeedError::Gone)?,
                changed = questions.changed() => {
                    changed.map_err(|_| FeedError::Gone)?;
                    let request = *questions.borrow_and_update();
                    send(outgoing, &FromServer::Verify { request }).await?;
                }
                changed = live.changed() => {
                    changed.map_err(|_| FeedError::Gone)?;
                    for (request, wanted) in self.hosts.live.after(host, asked) {
                        send(outgoing, &FromServer::LiveFlows { request, wanted }).await?;
                        asked = request;
                    }
                }
                changed = interest.changed() => {
                    changed.map_err(|_| FeedError::Gone)?;
                    let wanted = *interest.borrow_and_update();
                    send(outgoing, &FromServer::Watch(wanted)).await?;
                }
                changed = kept.changed() => {
                    changed.map_err(|_| FeedError::Gone)?;
                    let now = *kept.borrow_and_update();
                    for message in now.news(&std::mem::replace(&mut confirmed, now)) {
                        send(outgoing, &message).await?;
                    }
                }
            }
        }
    }

    /// Sends the next commits, or a snapshot where the log has none that follow.
    async fn send_batch(
        &self,
        outgoing: &mut Outgoing,
        after: Revision,
        world: &World,
        slice: &mut Slice,
    ) -> Result<Revision, FeedError> {
        let store = Arc::clone(&self.store);
        let read = tokio::task::spawn_blocking(move || store.log(after, FEED_BATCH_COMMITS));
        let commits = read.await.map_err(|_| FeedError::Gone)??;
        if commits.first().is_none_or(|commit| commit.revision != after.next()) {
            return send_snapshot(outgoing, world, slice).await;
        }
        let mut at = after;
        // The log may be ahead of the world: a commit is stored before everybody sees it. Who is told more than that would seem to be of
        // another history when it is looked at next, and get a snapshot.
        for commit in commits.into_iter().take_while(|commit| commit.revision <= world.revision()) {
            at = commit.revision;
            let told = slice.next(commit).map(|(commit, groups)| encode(&FromServer::Commit { commit, groups }));
            match told.transpose()?.filter(|bytes| bytes.len() <= MESSAGE_BYTES_MAX) {
                Some(bytes) => send_bytes(outgoing, bytes).await?,
                None => return send_snapshot(outgoing, &self.committer.world(), slice).await,
            }
        }
        Ok(at)
    }

    /// Adds what was counted; returns the report up to which the host may forget what is over.
    async fn count(&self, host: &HostId, session: u64, report: TallyReport) -> Option<u64> {
        let world = self.committer.world();
        let noted = self.hosts.count(host, session, report, &world);
        self.usage.note(host, &noted.rules, outside::now(), &world);
        if !noted.is_awaited {
            return None;
        }
        let (counts, host) = (Arc::clone(&self.hosts.counts), host.clone());
        let saved = tokio::task::spawn_blocking(move || counts.save(Some(&host))).await.ok()?;
        saved.inspect_err(|error| tracing::warn!(%error, "what was counted cannot be written down")).ok()?
    }

    /// Hears reports, for as long as the agent speaks.
    async fn hear(
        &self,
        incoming: &mut Incoming,
        host: &HostId,
        session: u64,
        kept: watch::Sender<Kept>,
    ) -> Result<(), FeedError> {
        loop {
            let message = receive(incoming).await?;
            self.hosts.hear(host, session);
            match message {
                FromAgent::Applied { revision, closed } => self.hosts.report(host, session, revision, closed),
                FromAgent::Counters(report) => {
                    let counted = self.count(host, session, report).await;
                    kept.send_if_modified(|kept| {
                        counted.is_some() && {
                            kept.counted = counted;
                            true
                        }
                    });
                }
                FromAgent::Traffic(part) => {
                    let (records, host, world) = (Arc::clone(&self.records), host.clone(), self.committer.world());
                    let written = tokio::task::spawn_blocking(move || records.note(&host, part, &world)).await;
                    if let Ok(Some(start_s)) = written {
                        kept.send_modify(|kept| kept.recorded = Some(start_s));
                    }
                }
                FromAgent::Flows(report) => self.hosts.flows.note(host, report, &self.committer.world()),
                FromAgent::LiveFlows(answer) => self.hosts.live.note(host, answer),
                FromAgent::Bound(bound) => self.hosts.report_bound(host, session, bound),
                FromAgent::ReadBack(report) => self.hosts.verifier.note(host, report, outside::now()),
                FromAgent::Hello { .. } => {
                    return Err(FeedError::Refused("there was a hello already; connect again instead".to_owned()));
                }
            }
        }
    }
}

/// The next connection, when there is a place for it.
async fn accept(listener: &UnixListener, places: &Arc<Semaphore>) -> Option<(UnixStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(error) => {
            tracing::warn!(%error, "an agent could not be let in");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

fn check_hello(version: u32, host: &HostId) -> Result<(), FeedError> {
    if version != FEED_VERSION {
        return Err(FeedError::Refused(format!(
            "the agent speaks version {version} of the feed, the server {FEED_VERSION}; run both from one release"
        )));
    }
    let name = host.as_str();
    if name.is_empty() || name.len() > HOST_NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(FeedError::Refused(format!("`{name}` is not a host name; use 1 to {HOST_NAME_BYTES_MAX} bytes")));
    }
    Ok(())
}

/// Sends a whole world, and returns its revision. A part that turns out too long is sent in halves.
async fn send_snapshot(outgoing: &mut Outgoing, world: &World, slice: &mut Slice) -> Result<Revision, FeedError> {
    let (told, known) = slice.begin(world);
    let mut parts: VecDeque<Vec<Change>> = told.chunks(SNAPSHOT_PART_CHANGES).map(<[Change]>::to_vec).collect();
    if parts.is_empty() {
        parts.push_back(Vec::new());
    }
    while let Some(changes) = parts.pop_front() {
        let message = FromServer::Snapshot { changes, complete: parts.is_empty().then(|| known.clone()) };
        let bytes = encode(&message)?;
        if bytes.len() > MESSAGE_BYTES_MAX
            && let FromServer::Snapshot { mut changes, .. } = message
            && changes.len() > 1
        {
            let second = changes.split_off(changes.len() / 2);
            parts.push_front(second);
            parts.push_front(changes);
            continue;
        }
        send_bytes(outgoing, bytes).await?;
    }
    Ok(known.revision)
}

fn codec() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().max_frame_length(MESSAGE_BYTES_MAX).new_codec()
}

fn framed_read(half: OwnedReadHalf) -> Incoming {
    FramedRead::new(half, codec())
}

fn framed_write(half: OwnedWriteHalf) -> Outgoing {
    FramedWrite::new(half, codec())
}

async fn receive(incoming: &mut Incoming) -> Result<FromAgent, FeedError> {
    let frame = incoming.next().await.ok_or(FeedError::Gone)??;
    serde_json::from_slice(&frame).map_err(FeedError::Garbled)
}

async fn send(outgoing: &mut Outgoing, message: &FromServer) -> Result<(), FeedError> {
    send_bytes(outgoing, encode(message)?).await
}

fn encode(message: &FromServer) -> Result<Vec<u8>, FeedError> {
    serde_json::to_vec(message).map_err(FeedError::Unwritable)
}

async fn send_bytes(outgoing: &mut Outgoing, bytes: Vec<u8>) -> Result<(), FeedError> {
    let sent = timeout(SEND_TIMEOUT, outgoing.send(Bytes::from(bytes))).await;
    Ok(sent.map_err(|_| FeedError::Late)??)
}

#[cfg(test)]
mod tests;
