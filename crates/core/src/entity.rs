//! The things that are declared: accounts, networks, instances, interfaces, groups and lists.
//!
//! Plain data. What they mean together is [`crate::world`], [`crate::verdict`] and [`crate::flow`].

use std::{
    collections::BTreeSet,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
    sync::Arc,
};

use imbl::OrdMap;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::{
    address::{Cidr, Family, Mac},
    binding::Binding,
    ids::{AccountId, EniId, GroupId, HostId, InstanceId, KeyId, PortListId, PrefixListId, RuleId, SubnetId, VpcId},
    network_acl::AclAssociation,
    rule::{PortRange, Rule},
    tags::Tags,
    time::Timestamp,
    ways::Ways,
};

/// The number of a committed change. Zero is the empty world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl Revision {
    /// The revision after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Which cloud's API the keys of an account may call, and what its groups mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// Alibaba Cloud ECS.
    Ecs,
    /// Amazon EC2.
    Ec2,
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ecs => "ecs",
            Self::Ec2 => "ec2",
        })
    }
}

impl FromStr for Dialect {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "ecs" => Ok(Self::Ecs),
            "ec2" => Ok(Self::Ec2),
            other => Err(format!("`{other}` is not a dialect; use ecs or ec2")),
        }
    }
}

/// The kind of a group. It fixes the defaults and what a rule may say; all groups of an ENI have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Flavor {
    /// ECS `normal`: intra-group accept, outbound allowed by default.
    EcsBasic,
    /// ECS `enterprise`: isolated, both directions denied by default.
    EcsEnterprise,
    /// EC2: allow rules only, both directions denied by default.
    Ec2,
}

/// What a change does to live flows (design, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Treatment {
    /// A live flow is judged again in its original direction.
    Reevaluate,
    /// A tracked flow lives until it ends; an untracked one is judged again.
    Keep,
    /// As `Reevaluate`, and a TCP flow that is cut ends with RST to both sides.
    Reset,
}

impl FromStr for Treatment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "reevaluate" => Ok(Self::Reevaluate),
            "keep" => Ok(Self::Keep),
            "reset" => Ok(Self::Reset),
            other => Err(format!("`{other}` is not a treatment of live flows; use reevaluate, keep or reset")),
        }
    }
}

/// How long a flow may idle, in seconds. Each cloud's numbers: `spec/ecs.md` A3, `spec/ec2.md` A2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timeouts {
    /// TCP before the handshake is complete.
    pub tcp_opening_s: u32,
    /// TCP with a complete handshake.
    pub tcp_established_s: u32,
    /// TCP after both FINs or a RST.
    pub tcp_closed_s: u32,
    /// UDP seen in one direction, or a single request and reply.
    pub udp_s: u32,
    /// UDP seen in both directions more than once.
    pub udp_stream_s: u32,
    /// ICMP queries.
    pub icmp_s: u32,
    /// Every other protocol.
    pub other_s: u32,
}

/// Idle timeouts that an owner chooses; what is `None` stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeoutChoice {
    /// TCP with a complete handshake, in seconds.
    pub tcp_established_s: Option<u32>,
    /// TCP after both FINs or a RST, in seconds.
    pub tcp_closed_s: Option<u32>,
    /// UDP seen in one direction, or a single request and reply, in seconds.
    pub udp_s: Option<u32>,
    /// UDP seen in both directions more than once, in seconds.
    pub udp_stream_s: Option<u32>,
}

impl Timeouts {
    /// These, with what was chosen.
    #[must_use]
    pub fn with(self, choice: TimeoutChoice) -> Self {
        Self {
            tcp_established_s: choice.tcp_established_s.unwrap_or(self.tcp_established_s),
            tcp_closed_s: choice.tcp_closed_s.unwrap_or(self.tcp_closed_s),
            udp_s: choice.udp_s.unwrap_or(self.udp_s),
            udp_stream_s: choice.udp_stream_s.unwrap_or(self.udp_stream_s),
            ..self
        }
    }

    /// The defaults of a dialect.
    #[must_use]
    pub fn of(dialect: Dialect) -> Self {
        let common = Self {
            tcp_opening_s: 30,
            tcp_established_s: 910,
            tcp_closed_s: 3,
            udp_s: 30,
            udp_stream_s: 30,
            icmp_s: 30,
            other_s: 600,
        };
        match dialect {
            Dialect::Ecs => common,
            Dialect::Ec2 => Self { tcp_established_s: 432_000, tcp_closed_s: 10, udp_stream_s: 180, ..common },
        }
    }
}

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its number.
    pub id: AccountId,
    /// The API and the meaning of its groups.
    pub dialect: Dialect,
    /// A name for people.
    pub name: String,
    /// Overrides the flavor's treatment of live flows for every ENI of the account.
    pub treatment: Option<Treatment>,
    /// The names of its resource groups, by id; the default one is not among them.
    pub resource_groups: OrdMap<String, String>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An access key. The secret is sealed by the server before it comes here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKey {
    /// The public half.
    pub id: KeyId,
    /// Whose it is.
    pub account: AccountId,
    /// The secret, encrypted and authenticated with the server's master key, base64.
    pub sealed_secret: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A virtual private cloud.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vpc {
    /// Its name.
    pub id: VpcId,
    /// Its owner.
    pub account: AccountId,
    /// The region, in the owner's dialect.
    pub region: String,
    /// The owner's name for it; may be empty.
    pub name: String,
    /// The owner's words about it; may be empty.
    pub description: String,
    /// IPv4 block.
    pub cidr: Ipv4Net,
    /// IPv6 block, if enabled.
    pub ipv6: Option<Ipv6Net>,
    /// Further blocks. Only accounts that were read from files have any: no command adds one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further: Vec<IpNet>,
    /// How it is joined with what is outside, as far as that is known. Again, only accounts that were read from files have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ways: Option<Arc<Ways>>,
    /// ECS resource group; empty is the account's default one.
    pub resource_group: String,
    /// The owner's tags.
    pub tags: Tags,
    /// Other accounts that may have groups and interfaces in it, in order.
    pub shared_with: Vec<AccountId>,
    /// The attributes that are on (EC2).
    pub attributes: BTreeSet<VpcAttribute>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What the owner of a VPC in EC2 turns on and off. It is kept as it was said: there is no name server in a VPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum VpcAttribute {
    /// Whether names are resolved.
    DnsSupport,
    /// Whether instances get public names.
    DnsHostnames,
    /// Whether the use of addresses is measured.
    AddressUsageMetrics,
}

impl VpcAttribute {
    /// Those that are on in a new VPC.
    #[must_use]
    pub fn of_new() -> BTreeSet<Self> {
        BTreeSet::from([Self::DnsSupport])
    }
}

impl Vpc {
    /// Whether an account may have groups and interfaces in it.
    #[must_use]
    pub fn is_open_to(&self, account: &AccountId) -> bool {
        self.account == *account || self.shared_with.contains(account)
    }
}

/// A subnet of a VPC (vSwitch in ECS).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// Its name.
    pub id: SubnetId,
    /// The VPC it is part of.
    pub vpc: VpcId,
    /// Its owner.
    pub account: AccountId,
    /// The zone, in the owner's dialect.
    pub zone: String,
    /// The owner's name for it; may be empty.
    pub name: String,
    /// The owner's words about it; may be empty.
    pub description: String,
    /// IPv4 block.
    pub cidr: Ipv4Net,
    /// IPv6 block, if enabled.
    pub ipv6: Option<Ipv6Net>,
    /// ECS resource group; empty is the account's default one.
    pub resource_group: String,
    /// The owner's tags.
    pub tags: Tags,
    /// Its network ACL (EC2).
    pub acl: Option<AclAssociation>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Subnet {
    /// The first address of the block that an ENI may have, and the last.
    ///
    /// ECS reserves the first and the last three addresses of a vSwitch, EC2 the first four and the last.
    #[must_use]
    pub fn assignable(&self, dialect: Dialect) -> (Ipv4Addr, Ipv4Addr) {
        let (head, tail) = match dialect {
            Dialect::Ecs => (1, 3),
            Dialect::Ec2 => (4, 1),
        };
        let first = u32::from(self.cidr.network()).saturating_add(head);
        let last = u32::from(self.cidr.broadcast()).saturating_sub(tail);
        (Ipv4Addr::from(first), Ipv4Addr::from(last))
    }

    /// The router's address in the subnet: `.253` in ECS (last but two), `.1` in EC2.
    #[must_use]
    pub fn gateway(&self, dialect: Dialect) -> Ipv4Addr {
        Ipv4Addr::from(match dialect {
            Dialect::Ecs => u32::from(self.cidr.broadcast()).saturating_sub(2),
            Dialect::Ec2 => u32::from(self.cidr.network()).saturating_add(1),
        })
    }

    /// The IPv6 address number `index` of the subnet, counted from 0x10 to keep clear of the router.
    #[must_use]
    pub fn ipv6_at(&self, index: u64) -> Option<Ipv6Addr> {
        let net = self.ipv6?;
        Some(Ipv6Addr::from(u128::from(net.network()) + 0x10 + u128::from(index)))
    }
}

/// Whether an instance is meant to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InstanceState {
    /// Its interfaces are there.
    Running,
    /// Its interfaces are not there; it keeps its ENIs with their addresses.
    Stopped,
}

impl fmt::Display for InstanceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
        })
    }
}

/// The disk that an instance starts from, as requested: local compute has no disks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemDisk {
    /// Its category, in the owner's dialect.
    pub category: String,
    /// Its performance level, in the owner's dialect; may be empty.
    pub performance_level: String,
    /// Its size in GiB.
    pub size_gib: u32,
    /// The owner's name for it; may be empty.
    pub name: String,
    /// The owner's words about it; may be empty.
    pub description: String,
}

impl Default for SystemDisk {
    fn default() -> Self {
        Self {
            category: "cloud_essd".to_owned(),
            performance_level: String::new(),
            size_gib: 40,
            name: String::new(),
            description: String::new(),
        }
    }
}

/// A virtual machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its name.
    pub id: InstanceId,
    /// Its owner.
    pub account: AccountId,
    /// The VPC it runs in.
    pub vpc: VpcId,
    /// The subnet of its primary ENI.
    pub subnet: SubnetId,
    /// The host it is placed on.
    pub host: HostId,
    /// The owner's name for it.
    pub name: String,
    /// The owner's words about it; may be empty.
    pub description: String,
    /// Image id as requested; local compute does not read it.
    pub image: String,
    /// Instance type as requested; local compute does not read it.
    pub instance_type: String,
    /// Its system disk.
    pub disk: SystemDisk,
    /// ECS resource group; empty is the account's default one.
    pub resource_group: String,
    /// The owner's tags.
    pub tags: Tags,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whether it is meant to run.
    pub state: InstanceState,
    /// The revision that made, started, stopped or rebooted it last: its host has done so once it has applied this.
    pub state_since: Revision,
    /// The call that it was started by (EC2).
    pub launch: Option<Launch>,
}

/// The call that an instance was started by, and its place in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// The reservation, common to all instances of one call.
    pub reservation: String,
    /// Counted from zero.
    pub index: u32,
}

/// An elastic network interface: what groups are attached to and what is enforced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eni {
    /// Its name.
    pub id: EniId,
    /// Its owner.
    pub account: AccountId,
    /// The VPC it is in.
    pub vpc: VpcId,
    /// The subnet it is in.
    pub subnet: SubnetId,
    /// The instance it is attached to.
    pub instance: Option<InstanceId>,
    /// Its place in the instance; 0 is the primary ENI, and one that is attached to no instance.
    pub device_index: u8,
    /// Its Ethernet address.
    pub mac: Mac,
    /// Its private addresses, the primary IPv4 address first.
    pub addresses: Vec<IpAddr>,
    /// Its groups, in the order of attachment, without repetition, never empty.
    pub groups: Vec<GroupId>,
    /// Overrides the account's and the flavor's treatment of live flows.
    pub treatment: Option<Treatment>,
    /// Idle timeouts.
    pub timeouts: Timeouts,
    /// Whether only its own addresses may be sent from it (`SourceDestCheck`).
    pub source_check: bool,
    /// ECS resource group; empty is the account's default one.
    pub resource_group: String,
    /// The owner's tags.
    pub tags: Tags,
    /// When it was made.
    pub created_at: Timestamp,
    /// The owner's name for it; may be empty.
    pub name: String,
    /// The owner's words about it; may be empty.
    pub description: String,
    /// Whether it is deleted with its instance. A primary ENI always is.
    pub delete_on_release: bool,
    /// The cloud product that manages it: its owner may look at it and change nothing.
    pub managed_by: Option<u64>,
    /// The revision that attached or detached it last; zero for one that never was.
    pub moved_in: Revision,
    /// The interface that it is enforced at, where that is not of this program's making.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Binding>,
}

impl Eni {
    /// Whether it is the primary ENI of an instance.
    #[must_use]
    pub fn is_primary(&self) -> bool {
        self.device_index == 0 && self.instance.is_some()
    }
}

/// What happens between ENIs that share an `EcsBasic` group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum InnerAccess {
    /// They reach each other before any rule.
    Accept,
    /// Nothing; the rules decide.
    Drop,
}

/// A security group with its rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub id: GroupId,
    /// Its owner.
    pub account: AccountId,
    /// The VPC whose ENIs may carry it.
    pub vpc: VpcId,
    /// Further VPCs whose ENIs may carry it, in the order of association (EC2).
    pub also_in: Vec<VpcId>,
    /// Its kind.
    pub flavor: Flavor,
    /// The owner's name for it; may be empty in ECS.
    pub name: String,
    /// The owner's words about it; may be empty in ECS.
    pub description: String,
    /// Intra-group policy; meaningful for `EcsBasic`.
    pub inner_access: InnerAccess,
    /// ECS resource group; empty is the account's default one.
    pub resource_group: String,
    /// The owner's tags.
    pub tags: Tags,
    /// The cloud product that manages it: its owner may look at it and change nothing (`spec/ecs.md` A6).
    pub managed_by: Option<u64>,
    /// Whether it may not be deleted.
    pub is_protected: bool,
    /// Whether it is what an ENI of its VPC gets when no group is named.
    pub is_default: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its rules. Stored one by one, so left out of the header.
    #[serde(skip)]
    pub rules: OrdMap<RuleId, Arc<Rule>>,
}

impl Group {
    /// The VPCs whose ENIs may carry it, its own first.
    pub fn vpcs(&self) -> impl Iterator<Item = &VpcId> {
        std::iter::once(&self.vpc).chain(&self.also_in)
    }

    /// Whether ENIs of a VPC may carry it.
    #[must_use]
    pub fn is_for(&self, vpc: &VpcId) -> bool {
        self.vpcs().any(|own| own == vpc)
    }

    /// Whether there is a VPC whose ENIs may carry either.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        self.vpcs().any(|vpc| other.is_for(vpc))
    }

    /// Whether ENIs that share the group reach each other before any rule.
    #[must_use]
    pub fn accepts_inner(&self) -> bool {
        match (self.flavor, self.inner_access) {
            (Flavor::EcsBasic, InnerAccess::Accept) => true,
            (Flavor::EcsBasic, InnerAccess::Drop) | (Flavor::EcsEnterprise | Flavor::Ec2, _) => false,
        }
    }
}

/// An entry of a prefix list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrefixEntry {
    /// The block, canonical.
    pub cidr: Cidr,
    /// The owner's words about it; may be empty.
    pub description: String,
}

/// What was done to a prefix list last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ListChange {
    /// It was made.
    #[default]
    Created,
    /// It was edited.
    Modified,
    /// It took the entries of an older version.
    Restored,
}

/// The entries that a prefix list once had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrefixListVersion {
    /// The list.
    pub list: PrefixListId,
    /// Which version of it.
    pub version: u64,
    /// Its entries then.
    pub entries: Vec<PrefixEntry>,
}

/// A named list of address blocks of one family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrefixList {
    /// Its name.
    pub id: PrefixListId,
    /// Its owner.
    pub account: AccountId,
    /// The region whose groups may name it, in the owner's dialect.
    pub region: String,
    /// The owner's name for it.
    pub name: String,
    /// The owner's words about it; may be empty.
    pub description: String,
    /// The family of every entry.
    pub family: Family,
    /// How many entries it may hold; a rule that names it costs this many rules.
    pub entries_max: u32,
    /// Its entries.
    pub entries: Vec<PrefixEntry>,
    /// Which version of it these entries are, counted from one.
    pub version: u64,
    /// What was done to it last.
    pub last_change: ListChange,
    /// ECS resource group; empty is the account's default one.
    pub resource_group: String,
    /// The owner's tags.
    pub tags: Tags,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An entry of a port list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortEntry {
    /// The ports.
    pub ports: PortRange,
    /// The owner's words about it; may be empty.
    pub description: String,
}

/// A named list of port ranges.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortList {
    /// Its name.
    pub id: PortListId,
    /// Its owner.
    pub account: AccountId,
    /// The region whose groups may name it, in the owner's dialect.
    pub region: String,
    /// The owner's name for it.
    pub name: String,
    /// The owner's words about it; may be empty.
    pub description: String,
    /// How many entries it may hold; a rule that names it costs this many rules.
    pub entries_max: u32,
    /// Its entries.
    pub entries: Vec<PortEntry>,
    /// ECS resource group; empty is the account's default one.
    pub resource_group: String,
    /// The owner's tags.
    pub tags: Tags,
    /// When it was made.
    pub created_at: Timestamp,
}
