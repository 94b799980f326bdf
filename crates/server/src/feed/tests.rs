//! The feed as an agent sees it: over a real socket.

use sekimori_core::{
    change::Commit,
    command::Outcome,
    feed::{ClosedEni, Count, Counter, Gauges, Known, Tally, TallyReport},
    flow_event::FlowInterest,
    ids::GroupId,
    live_flow::{FlowMatch, FlowsWanted, LiveFlows},
};

use super::*;
use crate::{
    live,
    store::MemStore,
    testing::{self, Bench, authorize, live_flow, new_account, new_group, new_vpc, small_world},
};

/// An agent that says what a test tells it to.
struct Agent {
    read: Incoming,
    write: FramedWrite<OwnedWriteHalf, LengthDelimitedCodec>,
}

impl Agent {
    async fn connect(path: &Path) -> Self {
        let (read, write) = UnixStream::connect(path).await.unwrap().into_split();
        Self { read: framed_read(read), write: framed_write(write) }
    }

    async fn hello(path: &Path, after: Option<u64>) -> Self {
        Self::of("rack-1", path, after).await
    }

    async fn of(host: &str, path: &Path, after: Option<u64>) -> Self {
        let mut agent = Self::connect(path).await;
        agent.say(&hello_of(host, FEED_VERSION, after)).await;
        assert_eq!(agent.hear().await, FromServer::Welcome { version: FEED_VERSION });
        agent
    }

    async fn say(&mut self, message: &FromAgent) {
        self.write.send(Bytes::from(serde_json::to_vec(message).unwrap())).await.unwrap();
    }

    async fn hear_bytes(&mut self) -> Vec<u8> {
        let frame = timeout(Duration::from_secs(5), self.read.next()).await.expect("the server says something");
        frame.expect("the connection is open").unwrap().to_vec()
    }

    async fn hear(&mut self) -> FromServer {
        loop {
            let heard = serde_json::from_slice(&self.hear_bytes().await).unwrap();
            if !matches!(heard, FromServer::Watch(_)) {
                return heard;
            }
        }
    }

    /// Hears which events are wanted, whatever else is said before.
    async fn hear_interest(&mut self) -> FlowInterest {
        loop {
            if let FromServer::Watch(interest) = serde_json::from_slice(&self.hear_bytes().await).unwrap() {
                return interest;
            }
        }
    }

    /// Hears a whole snapshot.
    async fn hear_snapshot(&mut self) -> (Vec<Change>, Revision, usize) {
        let (mut all, mut parts) = (Vec::new(), 0);
        loop {
            let FromServer::Snapshot { changes, complete } = self.hear().await else { panic!("not a snapshot") };
            all.extend(changes);
            parts += 1;
            if let Some(known) = complete {
                return (all, known.revision, parts);
            }
        }
    }

    async fn hear_commit(&mut self) -> Commit {
        let FromServer::Commit { commit, .. } = self.hear().await else { panic!("not a commit") };
        commit
    }

    async fn is_closed(&mut self) -> bool {
        loop {
            let next = timeout(Duration::from_secs(5), self.read.next()).await.expect("the connection ends");
            let Some(Ok(frame)) = next else { return true };
            if !matches!(serde_json::from_slice(&frame), Ok(FromServer::Watch(_))) {
                return false;
            }
        }
    }
}

fn hello(version: u32, after: Option<u64>) -> FromAgent {
    hello_of("rack-1", version, after)
}

fn hello_of(host: &str, version: u32, after: Option<u64>) -> FromAgent {
    let groups = || small_world().1.groups().map(|group| group.id.clone()).collect();
    let after = after.map(|revision| Known { revision: Revision(revision), groups: groups() });
    FromAgent::Hello { version, host: host.into(), after }
}

struct Lab {
    bench: Bench,
    dir: tempfile::TempDir,
}

impl Lab {
    fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("feed.sock")
    }
}

fn lab(bench: Bench, uid_offset: u32) -> Lab {
    let dir = tempfile::tempdir().unwrap();
    let feed = Feed {
        store: Arc::clone(&bench.store),
        committer: bench.committer.clone(),
        hosts: Arc::clone(&bench.hosts),
        usage: Arc::clone(&bench.usage),
        records: Arc::new(Records::new(dir.path())),
        agent_uid: nix::unistd::getuid().as_raw() + uid_offset,
    };
    let listener = listen(&dir.path().join("feed.sock")).unwrap();
    tokio::spawn(feed.serve(listener, std::future::pending::<()>()));
    Lab { bench, dir }
}

fn filled_bench() -> Bench {
    let store = Arc::new(MemStore::default());
    store.append(Revision(0), &small_world().0).unwrap();
    Bench::on(store)
}

async fn group_of(bench: &Bench) -> GroupId {
    bench.commit(new_account("sealed")).await;
    let Outcome::Vpc(vpc) = bench.commit(new_vpc()).await else { panic!("no VPC") };
    let Outcome::Group(group) = bench.commit(new_group(&vpc)).await else { panic!("no group") };
    group
}

#[tokio::test]
async fn a_new_agent_gets_the_world_and_then_every_commit() {
    let lab = lab(filled_bench(), 0);
    let mut agent = Agent::hello(&lab.path(), None).await;
    let (changes, revision, _) = agent.hear_snapshot().await;
    let world = lab.bench.committer.world();
    assert_eq!(revision, world.revision());
    let is_told = |change: &Change| !matches!(change, Change::PutKey(_) | Change::PutToken(_));
    let expected: Vec<Change> = world.to_changes().into_iter().filter(is_told).collect();
    // As JSON: a group's header is sent without its rules, which follow one by one.
    assert_eq!(serde_json::to_value(changes).unwrap(), serde_json::to_value(expected).unwrap());
    let group = world.groups().next().unwrap().id.clone();
    for port in 1..=100 {
        lab.bench.commit(authorize(&group, port)).await;
    }
    for step in 1..=100 {
        assert_eq!(agent.hear_commit().await.revision, Revision(revision.0 + step));
    }
}

#[tokio::test]
async fn an_agent_resumes_after_the_revision_it_has() {
    let lab = lab(filled_bench(), 0);
    let newest = lab.bench.committer.world().revision();
    let mut agent = Agent::hello(&lab.path(), Some(newest.0 - 2)).await;
    assert_eq!(agent.hear_commit().await.revision, Revision(newest.0 - 1));
    let last = agent.hear_commit().await;
    assert_eq!(last, small_world().0.last().unwrap().clone());
    let mut current = Agent::hello(&lab.path(), Some(newest.0)).await;
    let group = lab.bench.committer.world().groups().next().unwrap().id.clone();
    lab.bench.commit(authorize(&group, 80)).await;
    assert_eq!(current.hear_commit().await.revision, newest.next());
}

/// Of the rules an agent is sent those of its host's groups: in a snapshot, and when an interface begins to need them.
#[tokio::test]
async fn an_agent_is_sent_the_rules_of_its_own_groups() {
    let lab = lab(filled_bench(), 0);
    let world = lab.bench.committer.world();
    let group = world.groups().next().unwrap().id.clone();
    let mut other = Agent::of("rack-2", &lab.path(), None).await;
    let (changes, ..) = other.hear_snapshot().await;
    assert!(changes.iter().any(|change| matches!(change, Change::PutGroup(_))));
    assert!(!changes.iter().any(|change| matches!(change, Change::PutRule { .. })));
    let mut own = Agent::hello(&lab.path(), None).await;
    own.hear_snapshot().await;
    lab.bench.commit(authorize(&group, 8443)).await;
    assert_eq!(other.hear_commit().await.changes, vec![]);
    assert!(matches!(own.hear_commit().await.changes[..], [Change::PutRule { .. }]));

    // A group that nobody has, with rules; then the host gets an interface with it.
    let Outcome::Group(fresh) = lab.bench.commit(new_group(&world.vpcs().next().unwrap().id)).await else { panic!() };
    lab.bench.commit(authorize(&fresh, 1)).await;
    lab.bench.commit(authorize(&fresh, 2)).await;
    let subnet = world.subnets().next().unwrap().id.clone();
    lab.bench.commit(testing::new_instances(&subnet, &fresh)).await;
    for expected in [1, 0, 0] {
        assert_eq!(own.hear_commit().await.changes.len(), expected);
    }
    let FromServer::Commit { commit, groups } = own.hear().await else { panic!("not a commit") };
    assert_eq!(groups, vec![fresh]);
    let place = |is: fn(&Change) -> bool| commit.changes.iter().position(is).unwrap();
    let rules = commit.changes.iter().filter(|change| matches!(change, Change::PutRule { .. })).count();
    assert_eq!(rules, 2);
    assert!(
        place(|change| matches!(change, Change::PutRule { .. }))
            < place(|change| matches!(change, Change::PutEni(_)))
    );
}

#[tokio::test]
async fn an_agent_that_is_ahead_or_too_far_behind_gets_a_snapshot() {
    let lab = lab(filled_bench(), 0);
    let newest = lab.bench.committer.world().revision();
    let mut ahead = Agent::hello(&lab.path(), Some(newest.0 + 10)).await;
    assert_eq!(ahead.hear_snapshot().await.1, newest);
    /// A log that has forgotten its beginning.
    struct Short(MemStore);
    impl Store for Short {
        fn append(&self, expected: Revision, commits: &[Commit]) -> Result<(), StoreError> {
            self.0.append(expected, commits)
        }
        fn read(&self) -> Result<World, StoreError> {
            self.0.read()
        }
        fn log(&self, after: Revision, max: usize) -> Result<Vec<Commit>, StoreError> {
            self.0.log(after.max(Revision(4)), max)
        }
    }
    let store = MemStore::default();
    store.append(Revision(0), &small_world().0).unwrap();
    let short = self::lab(Bench::on(Arc::new(Short(store))), 0);
    let mut behind = Agent::hello(&short.path(), Some(2)).await;
    assert_eq!(behind.hear_snapshot().await.1, newest);
}

#[tokio::test]
async fn a_large_world_comes_in_parts() {
    let store = Arc::new(MemStore::default());
    let commits: Vec<Commit> = (1..=10_000).map(testing::account_commit).collect();
    store.append(Revision(0), &commits).unwrap();
    let lab = lab(Bench::on(store), 0);
    let mut agent = Agent::hello(&lab.path(), None).await;
    let (changes, revision, parts) = agent.hear_snapshot().await;
    assert_eq!((changes.len(), revision, parts), (10_002, Revision(10_000), 3));
}

#[tokio::test]
async fn keys_are_never_sent() {
    let bench = Bench::new();
    let lab = lab(bench, 0);
    let mut follower = Agent::hello(&lab.path(), None).await;
    follower.hear_snapshot().await;
    group_of(&lab.bench).await;
    let newest = lab.bench.committer.world().revision();
    assert_eq!(lab.bench.committer.world().keys().count(), 1);
    let mut seen = Vec::new();
    for _ in 0..newest.0 {
        seen.extend(follower.hear_bytes().await);
    }
    let mut fresh = Agent::hello(&lab.path(), None).await;
    seen.extend(fresh.hear_bytes().await);
    let mut resumed = Agent::hello(&lab.path(), Some(0)).await;
    let first = resumed.hear_commit().await;
    assert_eq!((first.revision, first.changes.len()), (Revision(1), 1));
    let text = String::from_utf8(seen).unwrap();
    assert!(text.contains(testing::ACCOUNT));
    assert!(!text.contains("sealed") && !text.contains(testing::KEY));
}

#[tokio::test]
async fn another_user_another_version_and_another_beginning_are_refused() {
    let stranger = lab(Bench::new(), 1);
    let mut agent = Agent::connect(&stranger.path()).await;
    let FromServer::Refused { reason } = agent.hear().await else { panic!("must be refused") };
    assert!(reason.contains("may not use this socket"), "{reason}");
    assert!(agent.is_closed().await);

    let lab = lab(Bench::new(), 0);
    let nameless = FromAgent::Hello { version: FEED_VERSION, host: "".into(), after: None };
    let reports = FromAgent::Counters(TallyReport::default());
    for (first, expected) in [
        (hello(FEED_VERSION + 1, None), "speaks version"),
        (nameless, "is not a host name"),
        (reports, "must be a hello"),
    ] {
        let mut agent = Agent::connect(&lab.path()).await;
        agent.say(&first).await;
        let FromServer::Refused { reason } = agent.hear().await else { panic!("must be refused") };
        assert!(reason.contains(expected), "{reason}");
        assert!(agent.is_closed().await);
    }
    assert!(lab.bench.hosts.all().is_empty());
}

#[tokio::test]
async fn garbage_ends_the_connection_and_nothing_else() {
    let lab = lab(Bench::new(), 0);
    let mut agent = Agent::hello(&lab.path(), None).await;
    agent.hear_snapshot().await;
    agent.write.send(Bytes::from_static(b"{\"Nonsense\":1}")).await.unwrap();
    assert!(agent.is_closed().await);
    assert!(!lab.bench.hosts.all()[0].connected);
    Agent::hello(&lab.path(), None).await.hear_snapshot().await;
}

/// A report of one total that is over, and of live flows.
fn counted(flows: u64, flows_v6: u64) -> TallyReport {
    let counter = Counter::Rule { group: "sg-gone".into(), rule: Some("sgr-gone".into()) };
    let tally = Tally { counter, life: 1, is_over: true, count: Count { packets: 3, bytes: 180 } };
    let gauges = Some(Gauges { flows, flows_v6, ..Gauges::default() });
    TallyReport { number: 1, forgotten: 0, is_whole: true, tallies: vec![tally], gauges }
}

#[tokio::test]
async fn reports_are_kept_and_a_lost_connection_is_noticed() {
    let lab = lab(filled_bench(), 0);
    let mut agent = Agent::hello(&lab.path(), None).await;
    let (_, revision, _) = agent.hear_snapshot().await;
    let closed = vec![ClosedEni { eni: "eni-1".into(), reason: "no room".to_owned() }];
    agent.say(&FromAgent::Applied { revision, closed: closed.clone() }).await;
    agent.say(&FromAgent::Counters(counted(7, 2))).await;
    timeout(Duration::from_secs(5), lab.bench.hosts.wait_for(revision)).await.unwrap();
    while lab.bench.hosts.all()[0].flows() != [5, 2] {
        tokio::task::yield_now().await;
    }
    assert_eq!(agent.hear().await, FromServer::Counted { report: 1 }, "it may forget what is over");
    assert_eq!(lab.bench.hosts.counts.total().rules[0].count.packets, 3);
    let status = lab.bench.hosts.all().remove(0);
    assert_eq!((status.connected, status.applied, status.closed), (true, Some(revision), closed));
    drop(agent);
    while lab.bench.hosts.all()[0].connected {
        tokio::task::yield_now().await;
    }
    assert_eq!(lab.bench.hosts.applied(), Some(revision));
}

#[tokio::test]
async fn an_agent_that_does_not_read_costs_nothing_and_misses_nothing() {
    let lab = lab(Bench::new(), 0);
    let mut agent = Agent::hello(&lab.path(), None).await;
    agent.hear_snapshot().await;
    let group = group_of(&lab.bench).await;
    // Far more than fits into the socket's buffers.
    for round in 0..40_u16 {
        for port in 1..=50 {
            lab.bench.commit(authorize(&group, port)).await;
        }
        for port in 1..=50 {
            lab.bench.commit(testing::revoke(&group, port)).await;
        }
        assert_eq!(lab.bench.committer.world().revision(), Revision(3 + 100 * (u64::from(round) + 1)));
    }
    for revision in 1..=4_003 {
        assert_eq!(agent.hear_commit().await.revision, Revision(revision));
    }
}

#[tokio::test]
async fn what_is_stored_but_not_the_worlds_yet_is_not_told() {
    let lab = lab(filled_bench(), 0);
    let newest = small_world().0.pop().unwrap();
    let stored = Commit { revision: newest.revision.next(), ..newest.clone() };
    lab.bench.store.append(newest.revision, &[stored]).unwrap();
    let mut agent = Agent::hello(&lab.path(), Some(newest.revision.0 - 1)).await;
    assert_eq!(agent.hear_commit().await.revision, newest.revision);
    // The next thing that is said is what is asked for next.
    let wanted = FlowsWanted { any: vec![FlowMatch::default()], most: 1 };
    let hosts = Arc::clone(&lab.bench.hosts);
    let asking = tokio::spawn(async move { live::ask(&hosts, vec![("rack-1".into(), wanted)]).await });
    let heard = agent.hear().await;
    assert!(matches!(heard, FromServer::LiveFlows { .. }), "{heard:?}");
    asking.abort();
}

#[tokio::test]
async fn an_agent_hears_whether_events_are_wanted_and_tells_them() {
    let lab = lab(filled_bench(), 0);
    let mut agent = Agent::hello(&lab.path(), None).await;
    assert_eq!(agent.hear_interest().await, FlowInterest::default());
    let flows = Arc::clone(&lab.bench.hosts.flows);
    let watcher = flows.watch().unwrap();
    assert_eq!(agent.hear_interest().await, FlowInterest { allowed: true, denied: true, records: false });
    let mut news = flows.news();
    agent.say(&FromAgent::Flows(Default::default())).await;
    timeout(Duration::from_secs(5), news.changed()).await.unwrap().unwrap();
    drop(watcher);
    assert_eq!(agent.hear_interest().await, FlowInterest::default());
}

#[tokio::test]
async fn a_question_about_live_flows_is_asked_until_it_is_answered() {
    let lab = lab(filled_bench(), 0);
    let mut agent = Agent::hello(&lab.path(), None).await;
    agent.hear_snapshot().await;
    let wanted = FlowsWanted { any: vec![FlowMatch { port: Some(22), ..FlowMatch::default() }], most: 3 };
    let asking = tokio::spawn({
        let (hosts, wanted) = (Arc::clone(&lab.bench.hosts), wanted.clone());
        async move { live::ask(&hosts, vec![("rack-1".into(), wanted)]).await }
    });
    let asked = agent.hear().await;
    assert_eq!(asked, FromServer::LiveFlows { request: 1, wanted });
    // The connection is lost before the answer: the next one is asked the same.
    let mut again = Agent::hello(&lab.path(), None).await;
    drop(agent);
    again.hear_snapshot().await;
    assert_eq!(again.hear().await, asked);
    let world = lab.bench.committer.world();
    let flows = vec![live_flow(world.enis().next().unwrap(), "192.0.2.9", 22)];
    again.say(&FromAgent::LiveFlows(LiveFlows { request: 1, flows, untold: 4, ..LiveFlows::default() })).await;
    let heard = asking.await.unwrap();
    assert_eq!((heard.flows.len(), heard.untold(), heard.missing().len()), (1, 4, 0));
}
