//! Worlds to measure in, made by the commands that clients' requests become.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context as _, bail};
use ipnet::Ipv4Net;
use sekimori_core::{
    address::{Cidr, Family},
    apply::{Applied, State, apply},
    binding::{Binding, Side},
    command::{
        AclCommand, BindingCommand, Command, Context, EniSpec, Member, NewAccount, NewGroup, NewInstances,
        NewPrefixList, NewRule, NewSubnet, NewVpc, Outcome, Revocation, ShadowCommand, VpcIpv6,
    },
    entity::PrefixEntry,
    ids::{AccountId, EniId, GroupId, HostId, IdSource, InstanceId, KeyId, PrefixListId, SubnetId, VpcId},
    limits::{HOST_PREFIX_LIST_ENTRIES_MAX, LimitMode},
    network_acl::AclEntry,
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

/// Entries of one prefix list: as many as one may have.
const LIST_ENTRIES: usize = HOST_PREFIX_LIST_ENTRIES_MAX as usize;

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
    flavor: Flavor,
    groups: usize,
}

impl Builder {
    /// An account of the ECS dialect and nothing else.
    ///
    /// # Errors
    /// The refusal of a command; it is a mistake here.
    pub fn new(seed: u64) -> anyhow::Result<Self> {
        Self::in_dialect(seed, Dialect::Ecs)
    }

    /// An account and nothing else.
    ///
    /// # Errors
    /// The refusal of a command; it is a mistake here.
    pub fn in_dialect(seed: u64, dialect: Dialect) -> anyhow::Result<Self> {
        let context = Context {
            now: Timestamp(0),
            ids: IdSource::new(seed),
            limits: LimitMode::Host,
            host: HostId::from(HOST),
        };
        let flavor = match dialect {
            Dialect::Ecs => Flavor::EcsBasic,
            Dialect::Ec2 => Flavor::Ec2,
        };
        let account = AccountId::from("bench");
        let mut builder = Self { state: State::default(), context, account, flavor, groups: 0 };
        let account = NewAccount {
            id: Some(builder.account.clone()),
            dialect,
            name: "bench".to_owned(),
            key: KeyId::from("bench"),
            sealed_secret: String::new(),
        };
        builder.run(&Command::CreateAccount(account))?;
        Ok(builder)
    }

    /// Goes on from the state of a server, with its first account of the ECS dialect, on its host.
    ///
    /// # Errors
    /// When there is no such account.
    pub fn of(world: World, host: HostId, seed: u64) -> anyhow::Result<Self> {
        let account = world.accounts().find(|account| account.dialect == Dialect::Ecs);
        let account = account.map(|account| account.id.clone()).context("there is no account")?;
        let context = Context { now: Timestamp(0), ids: IdSource::new(seed), limits: LimitMode::Host, host };
        Ok(Self { state: State::new(world), context, account, flavor: Flavor::EcsBasic, groups: 0 })
    }

    /// What is made from now on is on this host.
    pub fn settle_on(&mut self, host: &HostId) {
        self.context.host = host.clone();
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

    /// A VPC with some subnets of 4,096 addresses.
    ///
    /// # Errors
    /// The refusal of a command.
    pub fn wide_network(&mut self, subnets: u8) -> anyhow::Result<(VpcId, Vec<SubnetId>)> {
        let vpc = self.vpc(Ipv4Net::new(Ipv4Addr::new(10, 0, 0, 0), 8)?, false)?;
        let made = (0..subnets).map(|number| {
            let cidr = Ipv4Net::new(Ipv4Addr::new(10, 1 + number / 16, (number % 16) * 16, 0), 20)?;
            self.subnet(&vpc, cidr, false)
        });
        let made = made.collect::<anyhow::Result<_>>()?;
        Ok((vpc, made))
    }

    /// A VPC with a subnet.
    ///
    /// # Errors
    /// The refusal of a command.
    pub fn network(&mut self, ipv6: bool) -> anyhow::Result<(VpcId, SubnetId)> {
        let cidr = Ipv4Net::new(Ipv4Addr::new(10, 0, 0, 0), 16)?;
        let vpc = self.vpc(cidr, ipv6)?;
        let subnet = self.subnet(&vpc, cidr, ipv6)?;
        Ok((vpc, subnet))
    }

    fn vpc(&mut self, cidr: Ipv4Net, ipv6: bool) -> anyhow::Result<VpcId> {
        let vpc = NewVpc {
            resource_group: String::new(),
            tags: Default::default(),
            account: self.account.clone(),
            region: "bench".to_owned(),
            name: String::new(),
            description: String::new(),
            cidr,
            ipv6: if ipv6 { VpcIpv6::Any } else { VpcIpv6::Off },
        };
        let Outcome::Vpc(vpc) = self.run(&Command::CreateVpc(vpc))? else { bail!("no VPC was made") };
        Ok(vpc)
    }

    fn subnet(&mut self, vpc: &VpcId, cidr: Ipv4Net, ipv6: bool) -> anyhow::Result<SubnetId> {
        let subnet = NewSubnet {
            tags: Default::default(),
            account: self.account.clone(),
            vpc: vpc.clone(),
            zone: "bench-a".to_owned(),
            name: String::new(),
            description: String::new(),
            cidr,
            ipv6_index: ipv6.then_some(0),
        };
        let Outcome::Subnet(subnet) = self.run(&Command::CreateSubnet(subnet))? else { bail!("no subnet was made") };
        Ok(subnet)
    }

    /// A group that lets out everything and lets in nothing.
    ///
    /// # Errors
    /// The refusal of the command.
    pub fn group(&mut self, vpc: &VpcId) -> anyhow::Result<GroupId> {
        self.groups += 1;
        let group = NewGroup {
            account: self.account.clone(),
            vpc: vpc.clone(),
            flavor: self.flavor,
            name: format!("bench-{}", self.groups),
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
        let spec = EniSpec::new(subnet.clone(), vec![group.clone()]).with_ipv6(u32::from(ipv6));
        let made = self.instances(spec, 1)?;
        let instance = made.into_iter().next().context("no instance was made")?;
        let Some(eni) = self.world().primary_eni(&instance) else { bail!("{instance} has no interface") };
        let (id, mac, addresses) = (eni.id.clone(), eni.mac.0, eni.addresses.clone());
        Ok(Host { instance, eni: id, mac, addresses })
    }

    /// So many instances at once, with one group and an IPv4 address each; their interfaces.
    ///
    /// # Errors
    /// The refusal of a command.
    pub fn hosts(&mut self, subnet: &SubnetId, group: &GroupId, amount: u32) -> anyhow::Result<Vec<EniId>> {
        let spec = EniSpec::new(subnet.clone(), vec![group.clone()]);
        let made = self.instances(spec, amount)?;
        let primary = |instance: &InstanceId| self.world().primary_eni(instance).map(|eni| eni.id.clone());
        Ok(made.iter().filter_map(primary).collect())
    }

    fn instances(&mut self, primary: EniSpec, amount: u32) -> anyhow::Result<Vec<InstanceId>> {
        let instances = NewInstances {
            resource_group: String::new(),
            tags: Default::default(),
            account: self.account.clone(),
            primary,
            secondary: Vec::new(),
            attached: Vec::new(),
            amount,
            name: String::new(),
            description: String::new(),
            image: "bench".to_owned(),
            instance_type: "bench".to_owned(),
            disk: Default::default(),
        };
        let outcome = self.run(&Command::RunInstances(Box::new(instances)))?;
        let Outcome::Instances(made) = outcome else { bail!("no instances were made") };
        Ok(made)
    }

    /// An interface of this host that somebody else is to make: it is judged as soon as it appears.
    ///
    /// # Errors
    /// The refusal of a command.
    pub fn bound(&mut self, subnet: &SubnetId, group: &GroupId, interface: String) -> anyhow::Result<EniId> {
        let spec = EniSpec::new(subnet.clone(), vec![group.clone()]);
        let outcome = self.run(&Command::CreateEni { account: self.account.clone(), spec })?;
        let Outcome::Eni(eni) = outcome else { bail!("no interface was made") };
        let (host, holder) = (self.context.host.clone(), "bench".to_owned());
        let binding = Binding { host, netns: None, interface, side: Side::Guest, holder };
        let bind = BindingCommand::Bind { eni: eni.clone(), binding, mac: None, is_moved: false };
        self.run(&Command::Binding(bind))?;
        Ok(eni)
    }

    /// A server whose rules name prefix lists of so many entries together, none of which has the client; and a last rule that
    /// lets it in.
    ///
    /// # Errors
    /// The refusal of a command: so many entries may not fit the data plane.
    pub fn listed_pair(&mut self, entries: usize) -> anyhow::Result<Pair> {
        let (vpc, subnet) = self.network(false)?;
        let (clients, group) = (self.group(&vpc)?, self.group(&vpc)?);
        let client = self.host(&subnet, &clients, false)?;
        let mut rules = Vec::new();
        for first in (0..entries).step_by(LIST_ENTRIES) {
            let list = self.prefix_list(first..entries.min(first + LIST_ENTRIES))?;
            rules.push(rule(Peer::PrefixList(list), Protocol::TCP, OPEN_PORT, 1));
        }
        rules.extend(client.addresses.iter().flat_map(|address| let_in(*address)));
        // Before anybody has the group, so that its size is counted once.
        self.authorize(&group, rules)?;
        let server = self.host(&subnet, &group, false)?;
        Ok(Pair { vpc, client, server, group })
    }

    /// No two entries touch, so that none is joined with another.
    fn prefix_list(&mut self, entries: std::ops::Range<usize>) -> anyhow::Result<PrefixListId> {
        let first = u32::from(Ipv4Addr::new(100, 64, 0, 0));
        let entry = |index: usize| -> anyhow::Result<PrefixEntry> {
            let block = Ipv4Net::new(Ipv4Addr::from(first + index as u32 * 2), 32)?;
            Ok(PrefixEntry { cidr: Cidr::from(ipnet::IpNet::V4(block)), description: String::new() })
        };
        let list = NewPrefixList {
            account: self.account.clone(),
            region: "bench".to_owned(),
            name: format!("from-{}", entries.start),
            description: String::new(),
            family: Family::V4,
            entries_max: LIST_ENTRIES as u32,
            entries: entries.map(entry).collect::<anyhow::Result<_>>()?,
            resource_group: String::new(),
            tags: Default::default(),
        };
        let Outcome::PrefixList(list) = self.run(&Command::CreatePrefixList(list))? else {
            bail!("no list was made")
        };
        Ok(list)
    }

    /// A client and a server in two subnets, whose ACLs are the ones that they were made with; the server's may be another, whose
    /// entries let everything through, the client with the last.
    ///
    /// # Errors
    /// The refusal of a command.
    pub fn guarded_pair(&mut self, rules: usize, acl_entries: Option<u16>) -> anyhow::Result<Pair> {
        let vpc = self.vpc(Ipv4Net::new(Ipv4Addr::new(10, 0, 0, 0), 16)?, false)?;
        let near = self.subnet(&vpc, Ipv4Net::new(Ipv4Addr::new(10, 0, 1, 0), 24)?, false)?;
        let far = self.subnet(&vpc, Ipv4Net::new(Ipv4Addr::new(10, 0, 2, 0), 24)?, false)?;
        let (clients, group) = (self.group(&vpc)?, self.group(&vpc)?);
        let (client, server) = (self.host(&near, &clients, false)?, self.host(&far, &group, false)?);
        let last: Vec<NewRule> = client.addresses.iter().flat_map(|address| let_in(*address)).collect();
        let others = fillers(rules.saturating_sub(last.len())).map(filler_rule);
        self.authorize(&group, others.chain(last).map(without_priority).collect())?;
        if let Some(entries) = acl_entries {
            self.guard(&vpc, &far, entries)?;
        }
        Ok(Pair { vpc, client, server, group })
    }

    fn guard(&mut self, vpc: &VpcId, subnet: &SubnetId, entries: u16) -> anyhow::Result<()> {
        let run = |builder: &mut Self, command| {
            let account = builder.account.clone();
            builder.run(&Command::NetworkAcl { account, command })
        };
        let made = run(self, AclCommand::Create { vpc: vpc.clone(), tags: Default::default() })?;
        let Outcome::NetworkAcl(acl) = made else { bail!("no network ACL was made") };
        for direction in [Direction::Ingress, Direction::Egress] {
            for number in 1..=entries {
                let filler = fillers(usize::from(number)).last().context("there is no block")?;
                let block = Cidr::from(ipnet::IpNet::V4(filler.peer));
                let peer = Peer::Cidr(if number == entries { Cidr::WORLD_V4 } else { block });
                let spec = RuleSpec::plain(direction, Action::Allow, (Protocol::Any, Service::Any), peer);
                let entry = AclEntry { number, spec };
                run(self, AclCommand::PutEntry { acl: acl.clone(), entry, is_new: true })?;
            }
        }
        let association = self.world().subnet(subnet).and_then(|subnet| subnet.acl.as_ref());
        let association = association.map(|acl| acl.id.clone()).context("the subnet has no network ACL")?;
        run(self, AclCommand::Associate { association, acl }).map(drop)
    }

    /// A pair whose group has a candidate: the same rules without the first.
    ///
    /// # Errors
    /// The refusal of a command.
    pub fn shadowed_pair(&mut self, rules: usize) -> anyhow::Result<Pair> {
        let pair = self.pair(rules, true)?;
        let found = self.world().group(&pair.group).context("there is no group")?;
        let others = found.rules.values().skip(1).map(|rule| NewRule::new(rule.spec.clone(), "")).collect();
        self.run(&Command::Shadow(ShadowCommand::Set { group: pair.group.clone(), rules: others }))?;
        Ok(pair)
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

    /// Adds rules to a group.
    ///
    /// # Errors
    /// The refusal of the command.
    pub fn authorize(&mut self, group: &GroupId, rules: Vec<NewRule>) -> anyhow::Result<()> {
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

/// Rules of EC2 have no priorities: all have the same.
fn without_priority(mut rule: NewRule) -> NewRule {
    rule.spec.priority = 1;
    rule
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
