//! A data directory, a world and a guard to test local compute with; what it makes it removes.

use std::{
    collections::BTreeSet,
    hash::{BuildHasher, RandomState},
    io::{ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    ifaddrs::getifaddrs,
    net::if_::InterfaceFlags,
    sys::socket::{
        AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, recv, sendto, setsockopt, socket,
        sockopt::ReceiveTimeout,
    },
    sys::time::TimeVal,
};
use sekimori_core::{
    apply::{State, apply},
    change::Change,
    command::{Command, Context, EniSpec, NewAccount, NewGroup, NewInstances, NewSubnet, NewVpc, Outcome, VpcIpv6},
    ids::{AccountId, EniId, GroupId, HostId, IdSource, InstanceId, SubnetId, VpcId},
    limits::LimitMode,
    time::Timestamp,
    world::{Dialect, Flavor, World},
};

use super::super::{Guard, LocalCompute, Port, Report, Touched};
use crate::netlink::netns::{NetNs, within};

/// How long a packet that should arrive may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether the test can run; says so when it cannot.
pub(super) fn can_run() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    let must = std::env::var_os("SEKIMORI_REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(is_root || !must, "SEKIMORI_REQUIRE_ALL=1, but the tests of local compute need root");
    if !is_root {
        eprintln!("SKIPPED: the tests of local compute need root");
    }
    is_root
}

/// Remembers what it was asked, and insists that interfaces are down when it is asked to close them.
#[derive(Debug, Default)]
pub(super) struct TestGuard {
    pub(super) world: World,
    pub(super) closed: Vec<(EniId, u32)>,
    pub(super) forgotten: Vec<EniId>,
    pub(super) refuse: BTreeSet<EniId>,
    /// Looks at nothing: listing interfaces takes longer than what is measured.
    pub(super) is_blind: bool,
}

impl Guard for TestGuard {
    fn close(&mut self, eni: &EniId, netns: BorrowedFd<'_>, namespace: &str, ifindex: u32) -> anyhow::Result<()> {
        if self.is_blind {
            return Ok(());
        }
        let known = self.world.eni(eni).expect("an ENI of the world");
        assert_eq!(namespace, known.vpc.as_str());
        let name = within(netns, || nix::net::if_::if_indextoname(ifindex)).unwrap().unwrap();
        assert!(!is_up(netns, name.to_str().unwrap()), "the router's end of {eni} is up before it is closed");
        let instance = NetNs::open(known.instance.as_ref().unwrap().as_str()).unwrap().unwrap();
        let device = format!("eth{}", known.device_index);
        assert!(!is_up(instance.as_fd(), &device), "the instance's end of {eni} is up before it is closed");
        anyhow::ensure!(!self.refuse.contains(eni), "told to refuse");
        self.closed.push((eni.clone(), ifindex));
        Ok(())
    }

    fn forget(&mut self, eni: &EniId) {
        self.forgotten.push(eni.clone());
    }
}

/// Whether a link of a namespace is set up; it must exist.
pub(super) fn is_up(ns: BorrowedFd<'_>, device: &str) -> bool {
    let flags = within(ns, || {
        let mut all = getifaddrs().unwrap();
        all.find(|one| one.interface_name == device).map(|one| one.flags)
    });
    flags.unwrap().unwrap_or_else(|| panic!("no link {device}")).contains(InterfaceFlags::IFF_UP)
}

/// What one test works with.
pub(super) struct Lab {
    directory: PathBuf,
    _temporary: Option<tempfile::TempDir>,
    pub(super) local: Option<LocalCompute>,
    pub(super) guard: TestGuard,
    pub(super) host: HostId,
    pub(super) account: AccountId,
    state: State,
    context: Context,
    is_left: bool,
}

impl Drop for Lab {
    /// Removes the namespaces also after a failed assertion.
    fn drop(&mut self) {
        drop(self.local.take());
        if self.is_left {
            return;
        }
        let directory = self.directory.clone();
        let removed = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let local = LocalCompute::open(&directory).unwrap();
            runtime.block_on(local.remove_all(&mut TestGuard::default()))
        });
        let removed = removed.join();
        let is_clean = removed.is_ok_and(|report| report.is_complete());
        assert!(is_clean || std::thread::panicking(), "namespaces are left behind");
    }
}

impl Lab {
    pub(super) fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let mut lab = Self::at(temporary.path(), RandomState::new().hash_one(std::process::id()));
        lab._temporary = Some(temporary);
        lab
    }

    /// The same seed gives the same names.
    pub(super) fn at(directory: &Path, seed: u64) -> Self {
        let host = HostId::from("host-1");
        let context =
            Context { now: Timestamp(0), ids: IdSource::new(seed), limits: LimitMode::Host, host: host.clone() };
        let mut lab = Self {
            directory: directory.to_owned(),
            _temporary: None,
            local: None,
            guard: TestGuard::default(),
            host,
            account: "1".into(),
            state: State::default(),
            context,
            is_left: false,
        };
        let new = NewAccount {
            id: None,
            dialect: Dialect::Ecs,
            name: "test".to_owned(),
            key: "key".into(),
            sealed_secret: String::new(),
        };
        let Outcome::Account(account) = lab.run(&Command::CreateAccount(new)).0 else { panic!("no account") };
        lab.account = account;
        lab.local = Some(LocalCompute::open(directory).unwrap());
        lab
    }

    pub(super) fn world(&self) -> &World {
        self.state.world()
    }

    /// Carries a command out on the world only.
    pub(super) fn run(&mut self, command: &Command) -> (Outcome, Vec<Change>) {
        let applied = apply(&self.state, command, &mut self.context).unwrap();
        self.state = applied.state;
        (applied.outcome, applied.changes)
    }

    /// Numbers the world anew, as a commit does.
    pub(super) fn count_up(&mut self) {
        let next = self.world().revision().next();
        self.state = std::mem::take(&mut self.state).at(next);
    }

    /// Makes one change that no command makes yet.
    pub(super) fn change(&mut self, change: &Change) {
        let mut world = self.world().clone();
        world.apply(change);
        self.state = State::new(world);
    }

    /// A VPC with one subnet and one group: the IPv4 block is both.
    pub(super) fn network(&mut self, cidr: &str) -> Network {
        let account = self.account.clone();
        let text = String::new;
        let cidr = cidr.parse().unwrap();
        let ipv6 = VpcIpv6::Any;
        let (resource_group, tags) = (text(), Default::default());
        let (name, description) = (text(), text());
        let new =
            NewVpc { account: account.clone(), region: text(), name, description, cidr, ipv6, resource_group, tags };
        let Outcome::Vpc(vpc) = self.run(&Command::CreateVpc(new)).0 else { panic!("no VPC") };
        let new = NewSubnet {
            tags: Default::default(),
            account: account.clone(),
            vpc: vpc.clone(),
            zone: text(),
            name: text(),
            description: text(),
            cidr,
            ipv6_index: Some(0),
        };
        let Outcome::Subnet(subnet) = self.run(&Command::CreateSubnet(new)).0 else { panic!("no subnet") };
        let new = NewGroup {
            account,
            vpc: vpc.clone(),
            flavor: Flavor::EcsBasic,
            name: "g".to_owned(),
            description: text(),
            resource_group: text(),
            tags: Default::default(),
            managed_by: None,
        };
        let Outcome::Group(group) = self.run(&Command::CreateGroup(new)).0 else { panic!("no group") };
        Network { vpc, subnet, group }
    }

    /// Instances with one IPv4 and one IPv6 address each, in the world only; sorted, as reports are.
    pub(super) fn instances(&mut self, network: &Network, amount: u32) -> (Vec<InstanceId>, Vec<Change>) {
        let new = NewInstances {
            resource_group: String::new(),
            tags: Default::default(),
            account: self.account.clone(),
            primary: EniSpec::new(network.subnet.clone(), vec![network.group.clone()]).with_ipv6(1),
            secondary: Vec::new(),
            attached: Vec::new(),
            amount,
            name: String::new(),
            description: String::new(),
            image: "x".to_owned(),
            instance_type: "x".to_owned(),
            disk: Default::default(),
        };
        let (outcome, changes) = self.run(&Command::RunInstances(Box::new(new)));
        let Outcome::Instances(mut ids) = outcome else { panic!("no instances") };
        ids.sort();
        (ids, changes)
    }

    /// Reconciles; the report is for the test to judge.
    pub(super) async fn try_reconcile(&mut self) -> Report {
        let world = self.world().clone();
        self.guard.world = world.clone();
        self.local.as_mut().unwrap().reconcile(&world, &self.host, &mut self.guard).await
    }

    /// Reconciles, and all must be well.
    pub(super) async fn reconcile(&mut self) -> Vec<Port> {
        let report = self.try_reconcile().await;
        assert!(report.is_complete(), "{report:?}");
        report.ports
    }

    /// Applies what changes touched, and all must be well.
    pub(super) async fn apply(&mut self, changes: &[Change]) -> Vec<Port> {
        self.touch(&Touched::of(changes)).await
    }

    pub(super) async fn touch(&mut self, touched: &[Touched]) -> Vec<Port> {
        let world = self.world().clone();
        self.guard.world = world.clone();
        let report = self.local.as_mut().unwrap().apply(&world, &self.host, touched, &mut self.guard).await;
        assert!(report.is_complete(), "{report:?}");
        report.ports
    }

    /// As after a restart of the agent.
    pub(super) fn reopen(&mut self) {
        drop(self.local.take());
        self.local = Some(LocalCompute::open(&self.directory).unwrap());
    }

    /// Leaves everything as it is for the next lab in the same directory.
    pub(super) fn leave(mut self) {
        self.is_left = true;
    }

    pub(super) fn local(&self) -> &LocalCompute {
        self.local.as_ref().unwrap()
    }

    pub(super) fn eni(&self, instance: &InstanceId) -> EniId {
        self.world().primary_eni(instance).unwrap().id.clone()
    }

    pub(super) fn address(&self, instance: &InstanceId, ipv6: bool) -> IpAddr {
        let addresses = &self.world().primary_eni(instance).unwrap().addresses;
        *addresses.iter().find(|address| address.is_ipv6() == ipv6).unwrap()
    }
}

/// A VPC with one subnet and one group.
#[derive(Clone, Debug)]
pub(super) struct Network {
    pub(super) vpc: VpcId,
    pub(super) subnet: SubnetId,
    pub(super) group: GroupId,
}

/// A namespace that must exist.
pub(super) fn ns(name: &str) -> NetNs {
    NetNs::open(name).unwrap().unwrap_or_else(|| panic!("no namespace {name}"))
}

/// Opens a TCP connection between two namespaces, and returns its ends: client, server.
pub(super) fn connect(from: &NetNs, to: &NetNs, address: IpAddr) -> std::io::Result<(TcpStream, TcpStream)> {
    let listener = within(to.as_fd(), || TcpListener::bind((address, 0)))??;
    let port = listener.local_addr()?.port();
    let client = within(from.as_fd(), || TcpStream::connect_timeout(&SocketAddr::new(address, port), PATIENCE))??;
    let (server, _) = listener.accept()?;
    client.set_read_timeout(Some(PATIENCE))?;
    server.set_read_timeout(Some(PATIENCE))?;
    Ok((client, server))
}

/// Sends bytes both ways over a connection.
pub(super) fn talk(ends: &mut (TcpStream, TcpStream)) -> std::io::Result<()> {
    let mut heard = [0; 4];
    ends.0.write_all(b"ping")?;
    ends.1.read_exact(&mut heard)?;
    ends.1.write_all(&heard)?;
    ends.0.read_exact(&mut heard)?;
    if heard == *b"ping" { Ok(()) } else { Err(ErrorKind::InvalidData.into()) }
}

/// Whether an address answers an echo request from a namespace within the time.
pub(super) fn pings(from: &NetNs, to: IpAddr, patience: Duration) -> bool {
    within(from.as_fd(), || echo(to, patience)).unwrap()
}

fn echo(to: IpAddr, patience: Duration) -> bool {
    let (family, protocol, request, reply) = match to {
        IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp, 8, 0),
        IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6, 128, 129),
    };
    let raw = socket(family, SockType::Raw, SockFlag::empty(), protocol).unwrap();
    let wait = TimeVal::new(patience.as_secs() as _, patience.subsec_micros() as _);
    setsockopt(&raw, ReceiveTimeout, &wait).unwrap();
    // Type, code, checksum (the kernel's work in ICMPv6), identifier, sequence.
    let mut packet = [request, 0, 0, 0, 0x53, 0x4b, 0, 1];
    if to.is_ipv4() {
        let sum: u32 = packet.chunks(2).map(|two| u32::from(two[0]) << 8 | u32::from(two[1])).sum();
        let folded = (sum & 0xffff) + (sum >> 16);
        packet[2..4].copy_from_slice(&(!(folded as u16)).to_be_bytes());
    }
    if sendto(raw.as_raw_fd(), &packet, &SockaddrStorage::from(SocketAddr::new(to, 0)), MsgFlags::empty()).is_err() {
        return false;
    }
    let mut heard = [0_u8; 256];
    let until = std::time::Instant::now() + patience;
    while std::time::Instant::now() < until {
        let Ok(length) = recv(raw.as_raw_fd(), &mut heard, MsgFlags::empty()) else { return false };
        let header = if to.is_ipv4() { 20 } else { 0 };
        if length >= header + 8 && heard[header] == reply && heard[header + 4..header + 6] == [0x53, 0x4b] {
            return true;
        }
    }
    false
}
