//! Who is there: instances in two VPCs of ECS and one of EC2, made through the APIs, with rules that never change and groups for those that do.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use anyhow::Context as _;
use ipnet::Ipv6Net;
use sekimori_agent::netlink::netns::NetNs;
use sekimori_core::address::Mac;
use serde_json::Value;

use super::model::{BY_DENY, FLOODED, OPEN_TCP, OPEN_UDP, Transport};
use crate::{
    api::borrow,
    ec2,
    ecs::{Client, ECS, VPC},
};

/// An instance, by what it is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Always may.
    Client(u8),
    /// May while it is in the clients' group.
    Mover(u8),
    /// Is asked.
    Server(u8),
    /// Is flooded.
    Victim,
    /// Floods and scans.
    Flooder,
    /// Loses its programs now and then.
    Bared,
    /// Two in a VPC of their own, where nothing may be dropped at all.
    Quiet(u8),
    /// Two in a VPC of EC2: one asks, the other is asked.
    Tenant(u8),
}

impl Place {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Client(0),
        Self::Client(1),
        Self::Mover(0),
        Self::Mover(1),
        Self::Server(0),
        Self::Server(1),
        Self::Victim,
        Self::Flooder,
        Self::Bared,
        Self::Quiet(0),
        Self::Quiet(1),
        Self::Tenant(0),
        Self::Tenant(1),
    ];
    /// Those with services.
    pub const SERVING: [Self; 6] =
        [Self::Server(0), Self::Server(1), Self::Victim, Self::Bared, Self::Quiet(1), Self::Tenant(1)];
    /// Those that begin new flows.
    pub const ASKING: [Self; 5] = [Self::Client(0), Self::Client(1), Self::Mover(0), Self::Mover(1), Self::Tenant(0)];
    /// Those with flows that never end.
    pub const TALKING: [Self; 4] = [Self::Client(0), Self::Client(1), Self::Quiet(0), Self::Tenant(0)];

    /// Whom it talks with all the time.
    #[must_use]
    pub fn partners(self) -> &'static [Self] {
        match self {
            Self::Client(_) => &[Self::Server(0), Self::Server(1), Self::Victim],
            Self::Quiet(_) => &[Self::Quiet(1)],
            Self::Tenant(_) => &[Self::Tenant(1)],
            Self::Mover(_) | Self::Server(_) | Self::Victim | Self::Flooder | Self::Bared => &[],
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(number) => write!(f, "client-{number}"),
            Self::Mover(number) => write!(f, "mover-{number}"),
            Self::Server(number) => write!(f, "server-{number}"),
            Self::Victim => f.write_str("victim"),
            Self::Flooder => f.write_str("flooder"),
            Self::Bared => f.write_str("bared"),
            Self::Quiet(number) => write!(f, "quiet-{number}"),
            Self::Tenant(number) => write!(f, "tenant-{number}"),
        }
    }
}

/// An instance.
#[derive(Debug)]
pub struct Host {
    /// What it is there for.
    pub place: Place,
    /// Its id, which is the name of its namespace.
    pub instance: String,
    /// Its interface's.
    pub eni: String,
    /// Its interface's Ethernet address.
    pub mac: Mac,
    /// IPv4, IPv6.
    pub addresses: [IpAddr; 2],
    /// Its namespace.
    pub ns: NetNs,
}

impl Host {
    /// A port of it.
    #[must_use]
    pub fn at(&self, family: usize, port: u16) -> SocketAddr {
        let [v4, v6] = self.addresses;
        SocketAddr::new(if family == 0 { v4 } else { v6 }, port)
    }
}

/// All of it.
#[derive(Debug)]
pub struct Estate {
    /// The VPC in which things happen.
    pub vpc: String,
    /// Its only network.
    pub vswitch: String,
    /// Whose members may.
    pub clients: String,
    /// What the servers have.
    pub servers: String,
    /// The groups of the tenants of EC2: who asks, and who is asked.
    pub tenants: [String; 2],
    hosts: Vec<Host>,
}

impl Estate {
    /// Makes it.
    ///
    /// # Errors
    /// What the server refuses.
    pub fn build(client: &Client, ec2: &ec2::Client) -> anyhow::Result<Self> {
        let (vpc, vswitch) = network(client, "10.0.0.0/16", "10.0.1.0/24")?;
        let (clients, servers) = (group(client, &vpc, "clients")?, group(client, &vpc, "servers")?);
        let (victims, flooders) = (group(client, &vpc, "victims")?, group(client, &vpc, "flooders")?);
        let others = group(client, &vpc, "others")?;
        let denied = format!("{}/{}", BY_DENY[0], BY_DENY[BY_DENY.len() - 1]);
        for target in [&servers, &victims] {
            open(client, target, "TCP", &one(OPEN_TCP), &clients)?;
            open(client, target, "UDP", &one(OPEN_UDP), &clients)?;
        }
        ["TCP", "UDP"].into_iter().try_for_each(|protocol| open(client, &servers, protocol, &denied, &clients))?;
        open(client, &victims, "TCP", &one(FLOODED), &flooders)?;
        let (quiet_vpc, quiet_vswitch) = network(client, "10.1.0.0/16", "10.1.1.0/24")?;
        let (askers, answerers) = (group(client, &quiet_vpc, "askers")?, group(client, &quiet_vpc, "answerers")?);
        open(client, &answerers, "TCP", &one(OPEN_TCP), &askers)?;
        open(client, &answerers, "UDP", &one(OPEN_UDP), &askers)?;
        let tenancy = Tenancy::build(ec2)?;
        let hosts = Place::ALL.into_iter().map(|place| {
            let (network, group) = match place {
                Place::Tenant(number) => return tenancy.host(client, ec2, number),
                Place::Client(_) => (&vswitch, &clients),
                Place::Mover(_) | Place::Bared => (&vswitch, &others),
                Place::Server(_) => (&vswitch, &servers),
                Place::Victim => (&vswitch, &victims),
                Place::Flooder => (&vswitch, &flooders),
                Place::Quiet(0) => (&quiet_vswitch, &askers),
                Place::Quiet(_) => (&quiet_vswitch, &answerers),
            };
            host(client, place, network, group)
        });
        let hosts = hosts.collect::<anyhow::Result<Vec<_>>>()?;
        client.wait()?;
        Ok(Self { vpc, vswitch, clients, servers, tenants: tenancy.groups, hosts })
    }

    /// One of its instances.
    ///
    /// # Errors
    /// There is none.
    pub fn host(&self, place: Place) -> anyhow::Result<&Host> {
        self.hosts.iter().find(|host| host.place == place).with_context(|| format!("there is no {place}"))
    }
}

/// A port, as rules say it.
#[must_use]
pub fn one(port: u16) -> String {
    format!("{port}/{port}")
}

fn network(client: &Client, vpc: &str, vswitch: &str) -> anyhow::Result<(String, String)> {
    let vpc = client.make(VPC, "CreateVpc", &[("CidrBlock", vpc), ("EnableIpv6", "true")], "VpcId")?;
    let zone = format!("{}-a", client.region());
    let vswitch = [("VpcId", &*vpc), ("CidrBlock", vswitch), ("ZoneId", &zone), ("Ipv6CidrBlock", "1")];
    let vswitch = client.make(VPC, "CreateVSwitch", &vswitch, "VSwitchId")?;
    Ok((vpc, vswitch))
}

fn group(client: &Client, vpc: &str, name: &str) -> anyhow::Result<String> {
    let group = [("VpcId", vpc), ("SecurityGroupName", name)];
    let group = client.make(ECS, "CreateSecurityGroup", &group, "SecurityGroupId")?;
    let closed = [("SecurityGroupId", group.as_str()), ("InnerAccessPolicy", "Drop")];
    client.call(ECS, "ModifySecurityGroupPolicy", &closed)?;
    Ok(group)
}

fn open(client: &Client, group: &str, protocol: &str, ports: &str, peer: &str) -> anyhow::Result<()> {
    let rule = [
        ("SecurityGroupId", group),
        ("IpProtocol", protocol),
        ("PortRange", ports),
        ("SourceGroupId", peer),
        ("Priority", "50"),
    ];
    client.call(ECS, "AuthorizeSecurityGroup", &rule).map(drop)
}

/// What an instance is made from.
#[must_use]
pub fn new_instance<'a>(vswitch: &'a str, group: &'a str) -> [(&'a str, &'a str); 5] {
    [
        ("VSwitchId", vswitch),
        ("SecurityGroupId", group),
        ("ImageId", "soak"),
        ("InstanceType", "soak"),
        ("Ipv6AddressCount", "1"),
    ]
}

/// The VPC of EC2.
struct Tenancy {
    subnet: String,
    groups: [String; 2],
}

impl Tenancy {
    fn build(ec2: &ec2::Client) -> anyhow::Result<Self> {
        let network = [("CidrBlock", "10.2.0.0/16"), ("AmazonProvidedIpv6CidrBlock", "true")];
        let vpc = ec2.make("CreateVpc", &network, "vpcId")?;
        let told = ec2.call("DescribeVpcs", &[("VpcId.1", &vpc)])?;
        // The first 64 of the block's own first 56 bits.
        let block: Ipv6Net = tag(&told, "ipv6CidrBlock")?.parse()?;
        let block = Ipv6Net::new(block.network(), 64)?.to_string();
        let subnet = [("VpcId", vpc.as_str()), ("CidrBlock", "10.2.1.0/24"), ("Ipv6CidrBlock", &block)];
        let subnet = ec2.make("CreateSubnet", &subnet, "subnetId")?;
        let group = |name: &str| {
            let group = [("VpcId", vpc.as_str()), ("GroupName", name), ("GroupDescription", name)];
            ec2.make("CreateSecurityGroup", &group, "groupId")
        };
        let groups = [group("askers")?, group("asked")?];
        for port in [OPEN_TCP, OPEN_UDP] {
            let rule = permission(&groups, port);
            ec2.call("AuthorizeSecurityGroupIngress", &borrow(&rule))?;
        }
        Ok(Self { subnet, groups })
    }

    fn host(&self, client: &Client, ec2: &ec2::Client, number: u8) -> anyhow::Result<Host> {
        let group = self.groups.get(usize::from(number)).context("there are two tenants")?;
        let new = [
            ("ImageId", "ami-0123456789abcdef0"),
            ("InstanceType", "t3.micro"),
            ("MinCount", "1"),
            ("MaxCount", "1"),
            ("SubnetId", &self.subnet),
            ("SecurityGroupId.1", group),
            ("Ipv6AddressCount", "1"),
        ];
        let answer = ec2.call("RunInstances", &new)?;
        let addresses = [tag(&answer, "privateIpAddress")?.parse()?, tag(&answer, "ipv6Address")?.parse()?];
        let (eni, mac) = (tag(&answer, "networkInterfaceId")?, tag(&answer, "macAddress")?);
        placed(client, Place::Tenant(number), tag(&answer, "instanceId")?, (eni, &mac), addresses)
    }
}

/// A rule of EC2 that lets the first group ask the second at a port.
#[must_use]
pub fn permission([from, to]: &[String; 2], port: u16) -> Vec<(String, String)> {
    let port_text = port.to_string();
    let rule = [
        ("GroupId", to.as_str()),
        ("IpPermissions.1.IpProtocol", &Transport::of(port).name().to_lowercase()),
        ("IpPermissions.1.FromPort", &port_text),
        ("IpPermissions.1.ToPort", &port_text),
        ("IpPermissions.1.Groups.1.GroupId", from),
    ];
    rule.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn tag(xml: &str, name: &str) -> anyhow::Result<String> {
    ec2::first(xml, name).map(str::to_owned).with_context(|| format!("no `{name}` in {xml}"))
}

fn host(client: &Client, place: Place, vswitch: &str, group: &str) -> anyhow::Result<Host> {
    let made = client.call(ECS, "RunInstances", &new_instance(vswitch, group))?;
    let instance = text(&made, "/InstanceIdSets/InstanceIdSet/0")?;
    let told = client.call(ECS, "DescribeNetworkInterfaces", &[("InstanceId", &instance)])?;
    let told =
        told.pointer("/NetworkInterfaceSets/NetworkInterfaceSet/0").context("the instance has no interface")?;
    let addresses =
        [text(told, "/PrivateIpAddress")?.parse()?, text(told, "/Ipv6Sets/Ipv6Set/0/Ipv6Address")?.parse()?];
    let (eni, mac) = (text(told, "/NetworkInterfaceId")?, text(told, "/MacAddress")?);
    placed(client, place, instance, (eni, &mac), addresses)
}

/// An instance whose namespace is there.
fn placed(
    client: &Client,
    place: Place,
    instance: String,
    (eni, mac): (String, &str),
    addresses: [IpAddr; 2],
) -> anyhow::Result<Host> {
    client.wait()?;
    let ns = NetNs::open(&instance)?.with_context(|| format!("`{instance}` has no namespace"))?;
    let mac = mac.parse().ok().with_context(|| format!("`{mac}` is no Ethernet address"))?;
    Ok(Host { place, instance, eni, mac, addresses, ns })
}

fn text(answer: &Value, at: &str) -> anyhow::Result<String> {
    let found = answer.pointer(at).and_then(Value::as_str);
    found.map(str::to_owned).with_context(|| format!("no `{at}` in {answer}"))
}
