//! The real processes on a large store: from `sekimori up` until the kernel enforces everything, and the same after a kill, when the
//! kernel has it all. Meanwhile packets of a live flow must go on, and denied ones must not.
//!
//! The estate is on simulated hosts, whose agents are played by connections that ask for everything, and on this one: two instances,
//! and ENIs bound to interfaces that nobody has made yet. They have their policies and addresses in the kernel like any other.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, UdpSocket},
    os::{fd::AsFd, unix::net::UnixStream},
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use sekimori_agent::netlink::netns::{NetNs, within};
use sekimori_core::{
    change::{Actor, Commit},
    feed::{FEED_VERSION, FromAgent},
    ids::HostId,
    time::Timestamp,
    world::World,
};
use sekimori_server::store::{RedbStore, Store as _};
use serde::Serialize;

use crate::{
    scale,
    server::{Server, Whom},
    stop::Stop,
    world::{Builder, FILLER_PORT, OPEN_PORT},
};

/// ENIs with the same policy among those of this host.
const PER_POLICY: usize = 20;
/// Commits that are written to the store together.
const COMMITS_TOGETHER: usize = 500;
/// Between two packets of the flow that must go on.
const PACE: Duration = Duration::from_millis(2);
/// How long the last answers may take.
const LATE: Duration = Duration::from_secs(2);
/// How long what the agent does when nothing happens is watched.
const IDLE: Duration = Duration::from_secs(5);
/// Agents of simulated hosts that connect at the same time.
const AGENTS: usize = 10;

/// How much there is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// ENIs of all hosts.
    pub enis: usize,
    /// Those of this host.
    pub here: usize,
}

/// What a start costs.
#[derive(Clone, Debug, Serialize)]
pub struct StartCost {
    /// ENIs of all hosts.
    pub enis: usize,
    /// Groups.
    pub groups: usize,
    /// ENIs of this host.
    pub here: usize,
    /// MiB of the store.
    pub store_mib: f64,
    /// Seconds from `sekimori up` until the kernel, which had nothing of it, enforces everything.
    pub start_s: f64,
    /// The same after a kill, when the kernel has everything.
    pub restart_s: f64,
    /// Of that, by its log, the agent's own part: opening what is there, and from the server's welcome on.
    pub agent_s: f64,
    /// Packets of the live flow that were sent while that was so, and how many of them were lost.
    pub sent: u64,
    /// Those.
    pub lost: u64,
    /// Denied packets that were sent meanwhile, and passed.
    pub passed: u64,
    /// Simulated agents, and the seconds until each had everything.
    pub agents: usize,
    /// Those.
    pub agents_s: f64,
    /// Milliseconds of CPU that the agent takes in a second in which nothing happens: read-back, looks and the sweep of flows.
    pub idle_ms_per_s: f64,
    /// MiB of the server and of the agent.
    pub memory_mib: (f64, f64),
}

/// Measures.
///
/// # Errors
/// When a process does not start, and the kernel's.
pub fn measure(dir: &Path, size: Size, stop: &Stop) -> anyhow::Result<StartCost> {
    let mut server = Server::start(dir, stop)?;
    let client = server.client()?;
    let host = HostId::from(fs::read_to_string(dir.join("host"))?.trim());
    server.stop()?;
    let store = RedbStore::open(&dir.join("server"))?;
    let made = build(&store, &host, size, stop)?;
    drop(store);
    let store_mib = fs::metadata(dir.join("server").join("store.redb"))?.len() as f64 / 1_048_576.0;

    let started = Instant::now();
    server.start_again(stop)?;
    client.wait()?;
    let start_s = started.elapsed().as_secs_f64();
    let memory_mib = server.resident_mib()?;
    let idle_ms_per_s = idle(&server, stop)?;
    let agents_s = simulate(dir)?.as_secs_f64();

    let traffic = Traffic::new(&made)?;
    let restart = || -> anyhow::Result<f64> {
        server.kill(Whom::Both)?;
        let started = Instant::now();
        server.start_again(stop)?;
        client.wait()?;
        Ok(started.elapsed().as_secs_f64())
    };
    let (restart_s, sent, lost, passed) = traffic.during(restart)?;
    let agent_s = agent_part(&server.log())?;
    let (enis, groups, here) = (made.enis, made.groups, size.here);
    Ok(StartCost {
        enis,
        groups,
        here,
        store_mib,
        start_s,
        restart_s,
        agent_s,
        sent,
        lost,
        passed,
        agents: AGENTS,
        agents_s,
        idle_ms_per_s,
        memory_mib,
    })
}

/// What was made.
struct Made {
    client: String,
    server: String,
    to: std::net::IpAddr,
    enis: usize,
    groups: usize,
}

/// Carries commands out and writes what they changed to the store, as a server does.
fn build(store: &RedbStore, host: &HostId, size: Size, stop: &Stop) -> anyhow::Result<Made> {
    let before = store.read()?;
    // Namespaces are named by ids, so ids must differ from those of everybody else.
    let seed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
    let mut builder = Builder::of(before.clone(), host.clone(), seed)?;
    let pair = builder.pair(10, false)?;
    let elsewhere = HostId::from("simulated-0");
    scale::furnish(&mut builder, size.enis - size.here, &elsewhere)?;
    builder.settle_on(host);
    let (vpc, subnets) = builder.wide_network((size.here / scale::SUBNET_ENIS + 1) as u8)?;
    let named = builder.group(&vpc)?;
    for first in (0..size.here).step_by(PER_POLICY) {
        stop.check()?;
        let subnet = subnets.get(first / scale::SUBNET_ENIS).context("there is no subnet")?;
        let group = builder.group(&vpc)?;
        builder.refer(&group, &named)?;
        for number in first..size.here.min(first + PER_POLICY) {
            builder.bound(subnet, &group, format!("bench{number}"))?;
        }
    }
    append(store, &before, builder.world())?;
    let to = pair.server.addresses.first().copied().context("the server has no address")?;
    Ok(Made {
        client: pair.client.instance.to_string(),
        server: pair.server.instance.to_string(),
        to,
        enis: builder.world().eni_count(),
        groups: builder.world().groups().count(),
    })
}

/// Writes the way from one world to another, in commits of a few hundred facts.
fn append(store: &RedbStore, before: &World, after: &World) -> anyhow::Result<()> {
    let changes = after.changes_from(before);
    let mut revision = before.revision();
    let actor =
        Actor { who: "bench".to_owned(), operation: "bench".to_owned(), from: None, request_id: String::new() };
    let commits: Vec<Commit> = changes
        .chunks(COMMITS_TOGETHER)
        .map(|some| {
            revision = revision.next();
            Commit { revision, at: Timestamp(0), actor: actor.clone(), changes: some.to_vec() }
        })
        .collect();
    let mut newest = before.revision();
    for some in commits.chunks(COMMITS_TOGETHER) {
        store.append(newest, some)?;
        newest = some.last().map_or(newest, |commit| commit.revision);
    }
    Ok(())
}

/// What the agent says of its last start, in seconds.
fn agent_part(log: &str) -> anyhow::Result<f64> {
    let line = log.lines().rfind(|line| line.contains("everything is enforced"));
    let line = line.context("the agent does not say that everything is enforced")?;
    let part = |name: &str| -> anyhow::Result<f64> {
        let word = line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        Ok(word.with_context(|| format!("`{line}` has no `{name}`"))?.parse::<f64>()? / 1e3)
    };
    Ok(part("opening_ms")? + part("following_ms")?)
}

/// What the agent's process takes of the CPU while nothing happens.
fn idle(server: &Server, stop: &Stop) -> anyhow::Result<f64> {
    let before = server.agent_cpu()?;
    stop.pause(IDLE)?;
    let spent = server.agent_cpu()?.saturating_sub(before);
    Ok(spent.as_secs_f64() * 1e3 / IDLE.as_secs_f64())
}

/// Agents of other hosts ask for everything at the same time; how long until the last one has it.
fn simulate(dir: &Path) -> anyhow::Result<Duration> {
    let socket = dir.join("server").join("feed.sock");
    let started = Instant::now();
    thread::scope(|scope| {
        let begun: Vec<_> = (1..=AGENTS)
            .map(|number| {
                let socket = &socket;
                scope.spawn(move || ask_for_everything(socket, &HostId::from(format!("simulated-{number}").as_str())))
            })
            .collect();
        begun
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|_| anyhow::bail!("an agent has panicked")))
    })?;
    Ok(started.elapsed())
}

/// The words of the feed are JSON, each behind its length in four bytes. The last part of a snapshot says what the whole is.
fn ask_for_everything(socket: &Path, host: &HostId) -> anyhow::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    let hello = FromAgent::Hello { version: FEED_VERSION, host: host.clone(), after: None };
    let hello = serde_json::to_vec(&hello)?;
    stream.write_all(&u32::try_from(hello.len())?.to_be_bytes())?;
    stream.write_all(&hello)?;
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length).context("the server does not go on")?;
        let mut message = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut message)?;
        let is_part = message.starts_with(b"{\"Snapshot\"");
        if is_part && !message.ends_with(b"\"complete\":null}}") {
            return Ok(());
        }
    }
}

/// A flow that is live, and packets that are denied.
struct Traffic {
    client: UdpSocket,
    scanner: UdpSocket,
    server: UdpSocket,
    closed: UdpSocket,
    to: SocketAddr,
}

impl Traffic {
    fn new(made: &Made) -> anyhow::Result<Self> {
        let open = |name: &str| NetNs::open(name)?.with_context(|| format!("no namespace `{name}`"));
        let (from, at) = (open(&made.client)?, open(&made.server)?);
        let to = SocketAddr::new(made.to, OPEN_PORT);
        let bind = |ns: &NetNs, at: SocketAddr| -> anyhow::Result<UdpSocket> {
            let socket = within(ns.as_fd(), || UdpSocket::bind(at))??;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        let any = SocketAddr::from(([0, 0, 0, 0], 0));
        let server = bind(&at, to)?;
        let closed = bind(&at, SocketAddr::new(made.to, FILLER_PORT))?;
        Ok(Self { client: bind(&from, any)?, scanner: bind(&from, any)?, server, closed, to })
    }

    /// Sends while something is done: what that returns, messages sent and lost, and denied ones that passed.
    fn during<T>(&self, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(T, u64, u64, u64)> {
        let (is_over, sent, back, passed) =
            (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let pause = Stop::default();
        let turn = || {
            let mut room = [0; 8];
            passed.fetch_add(u64::from(self.closed.recv(&mut room).is_ok()), Ordering::Relaxed);
            while let Ok((length, from)) = self.server.recv_from(&mut room) {
                // It is counted when it is back.
                let _ = self.server.send_to(room.get(..length).unwrap_or_default(), from);
            }
            while self.client.recv(&mut room).is_ok() {
                back.fetch_add(1, Ordering::Relaxed);
            }
        };
        let done = thread::scope(|scope| {
            let sender = scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let is_sent = self.client.send_to(b"message.", self.to).is_ok();
                    sent.fetch_add(u64::from(is_sent), Ordering::Relaxed);
                    // The firewall is at the other end: what is denied is sent.
                    let _ = self.scanner.send_to(b"message.", SocketAddr::new(self.to.ip(), FILLER_PORT));
                    turn();
                    let _ = pause.pause(PACE);
                }
                let until = Instant::now() + LATE;
                while back.load(Ordering::Relaxed) < sent.load(Ordering::Relaxed) && Instant::now() < until {
                    turn();
                    let _ = pause.pause(PACE);
                }
            });
            let done = work();
            is_over.store(true, Ordering::Relaxed);
            sender.join().map_err(|_| anyhow::anyhow!("the sender has panicked"))?;
            done
        })?;
        let (sent, back) = (sent.load(Ordering::Relaxed), back.load(Ordering::Relaxed));
        anyhow::ensure!(sent > 0 && back > 0, "nothing was sent, or nothing came back");
        Ok((done, sent, sent - back, passed.load(Ordering::Relaxed)))
    }
}
