//! What tests share: a small world made by real commands, and the commits that make it.

use std::{net::IpAddr, sync::Arc};

use tokio::sync::Semaphore;

use sekimori_core::{
    apply::{State, apply},
    change::{Change, Commit},
    command::{
        Command, Context, EniSpec, InvariantCommand, NewAccount, NewGroup, NewInstances, NewRule, NewSubnet, NewVpc,
        Outcome, Revocation, VpcIpv6,
    },
    flow_log::{FlowLog, FlowLogConfig, LogDestinationKind, LoggedAddresses, LoggedTraffic},
    ids::{AccountId, EniId, GroupId, HostId, IdSource, SubnetId, VpcId},
    invariant::Mode,
    limits::LimitMode,
    live_flow::{BegunBy, FlowMatch, FlowState, FlowsWanted, LiveFlow, LiveFlows},
    packet::{Packet, Transport},
    resource::Resource,
    rule::{Action, Direction, Peer, PortRange, Protocol, RuleSpec, Service},
    time::Timestamp,
    world::{Dialect, Eni, Flavor, Revision, World},
};

use crate::{
    app::{App, DIAGNOSES_MAX, system},
    commit::{self, Committer, Writer, Writing},
    hosts::Hosts,
    past::Past,
    records::Records,
    replay::Replay,
    secrets::Secrets,
    store::{MemStore, Store},
    usage::Usage,
};

/// The account of the small world.
pub(crate) const ACCOUNT: &str = "1000000000000001";

/// The access key of the small world.
pub(crate) const KEY: &str = "LTAI5tTest";

/// A writer on a store of its own, with everything that it needs.
pub(crate) struct Bench {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) committer: Committer,
    pub(crate) hosts: Arc<Hosts>,
    pub(crate) replay: Arc<Replay>,
    pub(crate) usage: Arc<Usage>,
    pub(crate) writer: Writer,
    dir: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::on(Arc::new(MemStore::default()))
    }

    pub(crate) fn on(store: Arc<dyn Store>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let replay = Arc::new(Replay::open(dir.path(), Timestamp(0)).unwrap());
        let usage = Arc::new(Usage::open(dir.path(), Timestamp(0)).unwrap());
        let hosts = Arc::new(Hosts::default());
        let (at, by) = (Arc::clone(&store), Arc::clone(&replay));
        let writing = Writing { store: at, replay: by, hosts: Arc::clone(&hosts), limits: LimitMode::Cloud };
        let (committer, writer) = commit::start(writing, State::new(store.read().unwrap())).unwrap();
        Self { store, committer, hosts, replay, usage, writer, dir }
    }

    /// A writer on the small world.
    pub(crate) fn on_small_world() -> Self {
        let store = Arc::new(MemStore::default());
        store.append(Revision(0), &small_world().0).unwrap();
        Self::on(store)
    }

    /// What request handlers share.
    pub(crate) fn app(&self) -> App {
        App {
            committer: self.committer.clone(),
            hosts: Arc::clone(&self.hosts),
            secrets: Secrets::open(self.dir.path(), false).unwrap(),
            replay: Arc::clone(&self.replay),
            callers: Default::default(),
            busy: Default::default(),
            diagnoses: Semaphore::new(DIAGNOSES_MAX),
            questions: Default::default(),
            refusals: Default::default(),
            usage: Arc::clone(&self.usage),
            past: Past::of(Arc::clone(&self.store)),
            records: Arc::new(Records::new(self.dir.path())),
            stuck: Default::default(),
            region: "cn-hangzhou".to_owned(),
            limits: LimitMode::Cloud,
        }
    }

    pub(crate) async fn commit(&self, command: Command) -> Outcome {
        self.committer.commit(system("Test"), command).await.unwrap().0
    }
}

/// A host whose kernel holds these flows: it answers whatever is asked about them. Returns the number of its connection.
pub(crate) fn live_host(hosts: &Arc<Hosts>, name: &str, flows: Vec<LiveFlow>) -> u64 {
    let host = HostId::from(name);
    let session = hosts.connect(&host).unwrap();
    let (hosts, mut news) = (Arc::clone(hosts), hosts.live.news(&host));
    tokio::spawn(async move {
        let mut asked = 0;
        while news.changed().await.is_ok() {
            for (request, FlowsWanted { any, most: _ }) in hosts.live.after(&host, asked) {
                let is_wanted = |flow: &&LiveFlow| {
                    let is_of = |one: &FlowMatch| one.eni.as_ref().is_none_or(|eni| *eni == flow.eni);
                    any.iter().any(|one| is_of(one) && one.is_begun_by(&flow.first))
                };
                let flows = flows.iter().filter(is_wanted).cloned().collect();
                hosts.live.note(&host, LiveFlows { request, flows, ..LiveFlows::default() });
                asked = request;
            }
        }
    });
    session
}

/// An established connection from outside to a port of an interface.
pub(crate) fn live_flow(eni: &Eni, peer: &str, port: u16) -> LiveFlow {
    live_flow_at(&eni.id, eni.addresses[0], peer, port)
}

/// The same to an address of it.
pub(crate) fn live_flow_at(eni: &EniId, local: IpAddr, peer: &str, port: u16) -> LiveFlow {
    LiveFlow {
        eni: eni.clone(),
        first: Packet {
            direction: Direction::Ingress,
            local,
            peer: peer.parse().unwrap(),
            transport: Transport::Tcp { source: 50_000, destination: port },
            is_forwarded: false,
        },
        icmp_id: 0,
        begun_by: BegunBy::NoRule,
        state: FlowState::Established,
        is_untracked: false,
        packets: [3, 2],
        bytes: [300, 200],
        idle_s: 4,
    }
}

pub(crate) fn new_account(sealed_secret: &str) -> Command {
    Command::CreateAccount(NewAccount {
        id: Some(AccountId::from(ACCOUNT)),
        dialect: Dialect::Ecs,
        name: "default".to_owned(),
        key: KEY.into(),
        sealed_secret: sealed_secret.to_owned(),
    })
}

/// The active flow log `fl-1` of EC2, with the usual files.
pub(crate) fn flow_log(traffic: LoggedTraffic, interval_s: u32, resource: Resource) -> FlowLog {
    FlowLog {
        id: "fl-1".into(),
        account: ACCOUNT.into(),
        region: "us-east-1".to_owned(),
        resource,
        name: String::new(),
        description: String::new(),
        resource_group: String::new(),
        config: FlowLogConfig {
            traffic,
            destination_kind: LogDestinationKind::S3,
            destination: "arn:aws:s3:::bucket".to_owned(),
            log_group: String::new(),
            role: String::new(),
            cross_account_role: String::new(),
            format: "${version}".to_owned(),
            interval_s,
            files: None,
            addresses: LoggedAddresses::Both,
            paths: Vec::new(),
        },
        tags: Default::default(),
        created_at: Timestamp(0),
        active_since: Some(Timestamp(0)),
    }
}

pub(crate) fn new_vpc() -> Command {
    Command::CreateVpc(NewVpc {
        resource_group: String::new(),
        tags: Default::default(),
        account: ACCOUNT.into(),
        region: "cn-hangzhou".to_owned(),
        name: String::new(),
        description: String::new(),
        cidr: "10.0.0.0/8".parse().unwrap(),
        ipv6: VpcIpv6::Any,
    })
}

pub(crate) fn new_subnet(vpc: &VpcId) -> Command {
    Command::CreateSubnet(NewSubnet {
        tags: Default::default(),
        account: ACCOUNT.into(),
        vpc: vpc.clone(),
        zone: "cn-hangzhou-a".to_owned(),
        name: String::new(),
        description: String::new(),
        cidr: "10.1.0.0/24".parse().unwrap(),
        ipv6_index: Some(1),
    })
}

pub(crate) fn new_group(vpc: &VpcId) -> Command {
    Command::CreateGroup(NewGroup {
        account: ACCOUNT.into(),
        vpc: vpc.clone(),
        flavor: Flavor::EcsBasic,
        name: "web".to_owned(),
        description: String::new(),
        resource_group: String::new(),
        tags: Default::default(),
        managed_by: None,
    })
}

pub(crate) fn new_instances(subnet: &SubnetId, group: &GroupId) -> Command {
    Command::RunInstances(Box::new(NewInstances {
        resource_group: String::new(),
        tags: Default::default(),
        account: ACCOUNT.into(),
        primary: EniSpec::new(subnet.clone(), vec![group.clone()]).with_ipv6(1),
        secondary: Vec::new(),
        attached: Vec::new(),
        amount: 2,
        name: String::new(),
        description: String::new(),
        image: "any".to_owned(),
        instance_type: "any".to_owned(),
        disk: Default::default(),
    }))
}

fn spec(port: u16) -> RuleSpec {
    RuleSpec {
        direction: Direction::Ingress,
        action: Action::Allow,
        priority: 1,
        protocol: Protocol::TCP,
        service: Service::Ports(PortRange::one(port)),
        source_ports: None,
        peer: Peer::Cidr("0.0.0.0/0".parse().unwrap()),
        local: None,
    }
}

/// Opens a port of a group to the world.
pub(crate) fn authorize(group: &GroupId, port: u16) -> Command {
    let rules = vec![NewRule::new(spec(port), "")];
    Command::Authorize { account: ACCOUNT.into(), group: group.clone(), rules }
}

/// Enforces an invariant.
pub(crate) fn set_invariant(name: &str, statement: &str) -> Command {
    let (name, statement, mode) = (name.to_owned(), statement.parse().unwrap(), Mode::Enforce);
    Command::Invariant(InvariantCommand::Set { name, statement, mode })
}

/// Takes that back.
pub(crate) fn revoke(group: &GroupId, port: u16) -> Command {
    let rules = Revocation::Specs(vec![spec(port)]);
    Command::Revoke { account: ACCOUNT.into(), group: group.clone(), direction: Direction::Ingress, rules }
}

/// The commits that make the small world, and the world: an account, a VPC with a subnet, a group with one
/// rule and one that was revoked, two instances.
pub(crate) fn small_world() -> (Vec<Commit>, World) {
    let mut history = History::default();
    history.run(&new_account("sealed"));
    let Outcome::Vpc(vpc) = history.run(&new_vpc()) else { panic!("no VPC") };
    let Outcome::Subnet(subnet) = history.run(&new_subnet(&vpc)) else { panic!("no subnet") };
    let Outcome::Group(group) = history.run(&new_group(&vpc)) else { panic!("no group") };
    history.run(&authorize(&group, 443));
    history.run(&authorize(&group, 22));
    history.run(&revoke(&group, 22));
    history.run(&new_instances(&subnet, &group));
    (history.commits, history.state.world().clone())
}

#[derive(Default)]
struct History {
    state: State,
    commits: Vec<Commit>,
}

impl History {
    fn run(&mut self, command: &Command) -> Outcome {
        let revision = self.state.world().revision().next();
        let mut context = Context {
            now: Timestamp(1_700_000_000),
            ids: IdSource::new(revision.0),
            limits: LimitMode::Cloud,
            host: HostId::from("rack-1"),
        };
        let applied = apply(&self.state, command, &mut context).unwrap();
        let (at, actor) = (context.now, system("Test"));
        self.commits.push(Commit { revision, at, actor, changes: applied.changes });
        self.state = applied.state.at(revision);
        applied.outcome
    }
}

/// A commit of one account, for tests that need many.
pub(crate) fn account_commit(revision: u64) -> Commit {
    let account = sekimori_core::world::Account {
        id: AccountId::from(format!("{revision:016}")),
        dialect: Dialect::Ecs,
        name: format!("account {revision}"),
        treatment: None,
        resource_groups: Default::default(),
        created_at: Timestamp(0),
    };
    Commit {
        revision: Revision(revision),
        at: Timestamp(0),
        actor: system("Test"),
        changes: vec![Change::PutAccount(Arc::new(account))],
    }
}
