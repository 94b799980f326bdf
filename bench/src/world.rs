//! Worlds to measure in, made by the commands that clients' requests become.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::bail;
use ipnet::Ipv4Net;
use sekimori_core::{
    address::Cidr,
    apply::{Applied, State, apply},
    command::{
        Command, Context, EniSpec, Member, NewAccount, NewGroup, NewInstances, NewRule, NewSubnet, NewVpc, Outcome,
        Revocation, VpcIpv6,
    },
    ids::{AccountId, EniId, GroupId, HostId, IdSource, InstanceId, KeyId, SubnetId, VpcId},
    limits::LimitMode,
    rule::{Action, Direction, Peer, PortRange, Protocol, RuleSpec, Service},
    time::Timestamp,
    world::{Dialect, Flavor, World},
};

/// The host that everything is on.
pub const HOST: &str = "bench";
/// The port that the last rules open.
pub const OPEN_PORT: u16 = 500;
/// The first of the ports that the other rules open to others.
pub const FILLER_PORT: u16 = 1_024;

/// A rule that lets one block of addresses reach one port, and never the clients of the measurements.
#[derive(Clone, Copy, Debug)]
pub struct Filler {
    /// Who may.
    pub peer: Ipv4Net,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
}

/// That many of them: no two have a peer, or a service, in common.
pub fn fillers(count: usize) -> impl Iterator<Item = Filler> {
    let first = u32::from(Ipv4Addr::new(172, 16, 0, 0));
    (0..count as u32).map(move |index| Filler {
        peer: Ipv4Net::new(Ipv4Addr::from(first + index * 16), 28).unwrap_or_default(),
        protocol: if index % 2 == 0 { Protocol::TCP } else { Protocol::UDP },
        port: FILLER_PORT + (index % 60_000) as u16,
    })
}

/// An instance and its interface.
#[derive(Clone, Debug)]
pub struct Host {
    /// The instance.
    pub instance: InstanceId,
    /// Its primary ENI.
    pub eni: EniId,
    /// Its Ethernet address.
    pub mac: [u8; 6],
    /// Its addresses, IPv4 first.
    pub addresses: Vec<IpAddr>,
}

/// A VPC with a client and a server.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The VPC.
    pub vpc: VpcId,
    /// Who asks.
    pub client: Host,
    /// Who answers, behind the rules.
    pub server: Host,
    /// The group with the rules.
    pub group: GroupId,
}

/// A world in the making.
pub struct Builder {
    state: State,
    context: Context,
    account: AccountId,
}

impl Builder {
    /// An account and nothing else.
    ///
    /// # Errors
    /// The refusal of a command; it is a mistake here.
    pub fn new(seed: u64) -> anyhow::Result<Self> {
        let context = Context {
            now: Timestamp(0),
            ids: IdSource::new(seed),
            limits: LimitMode::Host,
            host: HostId::from(HOST),
        };
        let mut builder = Self { state: State::default(), context, account: AccountId::from("bench") };
        let account = NewAccount {
            id: Some(builder.account.clone()),
            dialect: Dialect::Ecs,
            name: "bench".to_owned(),
            key: KeyId::from("bench"),
            sealed_secret: String::new(),
        };
        builder.run(&Command::CreateAccount(account))?;
        Ok(builder)
    }

    /// The world so far.
    #[must_use]
    pub fn world(&self) -> &World {
        self.state.world()
    }

    /// What a command would do. The builder stays as it is.
    ///
    /// # Errors
    /// The refusal.
    pub fn attempt(&mut self, command: &Command) -> anyhow::Result<Applied> {
        Ok(apply(&self.state, command, &mut self.context)?)
    }

    /// Keeps what a command did.
    pub fn keep(&mut self, applied: Applied) -> Outcome {
        let revision = self.state.world().revision().next();
        self.state = applied.state.at(revision);
        applied.outcome
    }

    fn run(&mut self, command: &Command) -> anyhow::Result<Outcome> {
        let applied = self.attempt(command)?;
        Ok(self.keep(applied))
    }

    /// A VPC with a subnet.
    ///
    /// # Errors
    /// The refusal of a command.
    pub fn network(&mut self, ipv6: bool) -> anyhow::Result<(VpcId, SubnetId)> {
        let vpc = NewVpc {
            resource_group: String::new(),
            tags: Default::default(),
            account: self.account.clone(),
            region: "bench".to_owned(),
            name: String::new(),
            description: String::new(),
            cidr: Ipv4Net::new(Ipv4Addr::new(10, 0, 0, 0), 16)?,
            ipv6: if ipv6 { VpcIpv6::Any } else { VpcIpv6::Off },
        };
        let Outcome::Vpc(vpc) = self.run(&Command::CreateVpc(vpc))? else { bail!("no VPC was made") };
        let subnet = NewSubnet {
            tags: Default::default(),
            account: self.account.clone(),
            vpc: vpc.clone(),
            zone: "bench-a".to_owned(),
            name: String::new(),
            description: String::new(),
            cidr: Ipv4Net::new(Ipv4Addr::new(10, 0, 0, 0), 16)?,
            ipv6_index: ipv6.then_some(0),
        };
        let Outcome::Subnet(subnet) = self.run(&Command::CreateSubnet(subnet))? else { bail!("no subnet was made") };
        Ok((vpc, subnet))
    }

    /// A group that lets out everything and lets in nothing.
    ///
    /// # Errors
    /// The refusal of the command.
    pub fn group(&mut self, vpc: &VpcId) -> anyhow::Result<GroupId> {
        let group = NewGroup {
            account: self.account.clone(),
            vpc: vpc.clone(),
            flavor: Flavor::EcsBasic,
            name: "bench".to_owned(),
            description: String::new(),
            resource_group: String::new(),
            tags: Default::default(),
            managed_by: None,
        };
        let Outcome::Group(group) = self.run(&Command::CreateGroup(group))? else { bail!("no group was made") };
        Ok(group)
    }

    /// An instance with one group.
    ///
    /// # Errors
    /// The refusal of the command.
    pub fn host(&mut self, subnet: &SubnetId, group: &GroupId, ipv6: bool) -> anyhow::Result<Host> {
        let instances = NewInstances {
            resource_group: String::new(),
            tags: Default::default(),
            account: self.account.clone(),
            primary: EniSpec::new(subnet.clone(), vec![group.clone()]).with_ipv6(u32::from(ipv6)),
            secondary: Vec::new(),
            attached: Vec::new(),
            amount: 1,
            name: String::new(),
            description: String::new(),
            image: "bench".to_owned(),
            instance_type: "bench".to_owned(),
            disk: Default::default(),
        };
        let outcome = self.run(&Command::RunInstances(Box::new(instances)))?;
        let Outcome::Instances(made) = outcome else { bail!("no instance was made") };
        let Some(instance) = made.into_iter().next() else { bail!("no instance was made") };
        let Some(eni) = self.world().primary_eni(&instance) else { bail!("{instance} has no interface") };
        let (id, mac, addresses) = (eni.id.clone(), eni.mac.0, eni.addresses.clone());
        Ok(Host { instance, eni: id, mac, addresses })
    }

    /// A client, and a server with `rules` rules of which the last ones let the client in.
    ///
    /// # Errors
    /// The refusal of a command.
    pub fn pair(&mut self, rules: usize, ipv6: bool) -> anyhow::Result<Pair> {
        let (vpc, subnet) = self.network(ipv6)?;
        let clients = self.group(&vpc)?;
        let group = self.group(&vpc)?;
        let client = self.host(&subnet, &clients, ipv6)?;
        let server = self.host(&subnet, &group, ipv6)?;
        let last: Vec<NewRule> = client.addresses.iter().flat_map(|address| let_in(*address)).collect();
        let mut all: Vec<NewRule> = fillers(rules.saturating_sub(last.len())).map(filler_rule).collect();
        all.extend(last);
        self.authorize(&group, all)?;
        Ok(Pair { vpc, client, server, group })
    }

    /// A pair whose rules overlap as badly as they can for a bit-vector: every other rule has the client for a
    /// peer and no port in common with it, the others the opposite.
    ///
    /// # Errors
    /// The refusal of a command.
    pub fn adversarial_pair(&mut self, rules: usize) -> anyhow::Result<Pair> {
        let pair = self.pair(2, true)?;
        let all = fillers(rules).enumerate().map(|(index, filler)| {
            let mut rule = filler_rule(filler);
            if index % 2 == 0 {
                rule.spec.peer = Peer::Cidr(Cidr::WORLD_V4);
                rule.spec.protocol = Protocol::UDP;
            } else {
                rule.spec.service = Service::Ports(PortRange::ALL);
            }
            rule
        });
        self.authorize(&pair.group, all.collect())?;
        Ok(pair)
    }

    fn authorize(&mut self, group: &GroupId, rules: Vec<NewRule>) -> anyhow::Result<()> {
        let command = self.authorization(group, rules);
        self.run(&command).map(drop)
    }

    /// The command that adds rules to a group.
    #[must_use]
    pub fn authorization(&self, group: &GroupId, rules: Vec<NewRule>) -> Command {
        Command::Authorize { account: self.account.clone(), group: group.clone(), rules }
    }

    /// The command that takes rules from a group.
    #[must_use]
    pub fn revocation(&self, group: &GroupId, rules: &[NewRule]) -> Command {
        let (account, group, direction) = (self.account.clone(), group.clone(), Direction::Ingress);
        let specs = rules.iter().map(|rule| rule.spec.clone()).collect();
        Command::Revoke { account, group, direction, rules: Revocation::Specs(specs) }
    }

    /// Lets the members of one group reach a port of another's.
    ///
    /// # Errors
    /// The refusal of the command.
    pub fn refer(&mut self, group: &GroupId, peer: &GroupId) -> anyhow::Result<()> {
        let peer = Peer::Group { group: peer.clone(), account: self.account.clone() };
        self.authorize(group, vec![rule(peer, Protocol::TCP, OPEN_PORT, 1)])
    }

    /// The command that gives an ENI a group, or takes it.
    #[must_use]
    pub fn membership(&self, group: &GroupId, eni: &EniId, joins: bool) -> Command {
        let (account, group, member) = (self.account.clone(), group.clone(), Member::Eni(eni.clone()));
        match joins {
            true => Command::JoinGroup { account, group, member },
            false => Command::LeaveGroup { account, group, member },
        }
    }
}

/// The rule of a filler; it decides before those of `let_in`.
#[must_use]
pub fn filler_rule(filler: Filler) -> NewRule {
    let cidr = Cidr::from(ipnet::IpNet::V4(filler.peer));
    rule(Peer::Cidr(cidr), filler.protocol, filler.port, 1)
}

/// The last rules: TCP and UDP from one address to [`OPEN_PORT`].
fn let_in(address: IpAddr) -> [NewRule; 2] {
    let peer = Peer::Cidr(Cidr::from(ipnet::IpNet::from(address)));
    [Protocol::TCP, Protocol::UDP].map(|protocol| rule(peer.clone(), protocol, OPEN_PORT, 100))
}

fn rule(peer: Peer, protocol: Protocol, port: u16, priority: u8) -> NewRule {
    let spec = RuleSpec {
        direction: Direction::Ingress,
        action: Action::Allow,
        priority,
        protocol,
        service: Service::Ports(PortRange::one(port)),
        source_ports: None,
        peer,
        local: None,
    };
    NewRule::new(spec, "")
}
