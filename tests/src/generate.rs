//! Worlds, packets and changes from small universes, so that rules collide, overlap and shadow each other.
//!
//! Everything follows from a seed. Worlds are made of [`Change`]s rather than commands, so that they hold
//! what no single API may say today (prefix lists beside five-tuples, all flavors, both families).

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use ipnet::{Ipv4Net, Ipv6Net};
use sekimori_core::{
    address::{Cidr, Family, Mac},
    bypass::BypassSet,
    change::Change,
    flow::{Quoted, Segment, TcpFlags},
    ids::{
        AccountId, EniId, GroupId, HostId, IdSource, InstanceId, NetworkAclId, PeeringId, PortListId, PrefixListId,
        RuleId, SubnetId, VpcId,
    },
    network_acl::{AclAssociation, AclEntry, NetworkAcl},
    packet::{Packet, Transport},
    peering::{Peering, PeeringSide, PeeringStatus},
    platform::{Platform, PlatformPolicy},
    rule::{Action, Direction, Peer, PortRange, Protocol, Rule, RuleSpec, Service},
    shadow::Shadow,
    time::Timestamp,
    world::{
        Account, Dialect, Eni, Flavor, Group, InnerAccess, Instance, InstanceState, ListChange, PortEntry, PortList,
        PrefixEntry, PrefixList, Referent, Subnet, Timeouts, Treatment, Vpc, VpcAttribute, World,
    },
};

/// The host that generated instances are placed on.
pub const HOST: &str = "host-a";

/// Two accounts, which share every VPC.
const ACCOUNTS: [&str; 2] = ["a", "b"];
/// Lists of each kind that there may be; rules may also name one that is not there.
const LISTS: usize = 3;
/// Network ACLs of each VPC, which only EC2 has.
const ACLS_OF_VPC: usize = 2;
/// Source and destination of DHCP: questions and answers.
const DHCP: [(u16, u16); 4] = [(68, 67), (67, 68), (546, 547), (547, 546)];
const PORTS: [u16; 9] = [0, 1, 22, 25, 53, 80, 443, 8080, 65_535];
const PROTOCOLS: [u8; 6] = [1, 6, 17, 47, 58, 132];
const V4: [&str; 12] = [
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.0.0.0/24",
    "10.0.0.1",
    "10.0.0.2/31",
    "10.0.0.5/30",
    "10.0.1.0/24",
    "198.51.100.0/24",
    "198.51.100.10",
    "203.0.113.0/25",
    "0.0.0.0/1",
    "128.0.0.0/1",
];
const V6: [&str; 8] = [
    "::/0",
    "fd00::/8",
    "fd00::/64",
    "fd00::1",
    "fd00::2/127",
    "2001:db8:ffff::/48",
    "2001:db8:ffff::10",
    "8000::/1",
];

/// A stream of choices.
pub struct Chooser {
    source: IdSource,
}

impl Chooser {
    /// Starts from a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { source: IdSource::new(seed) }
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.source.next_u64() % end.max(1) as u64) as usize
    }

    /// True once in `n`.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of these.
    pub fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        let index = self.below(items.len());
        items[index].clone()
    }

    /// A block of either family.
    pub fn cidr(&mut self) -> Cidr {
        if self.one_in(3) { self.cidr_of(Family::V6) } else { self.cidr_of(Family::V4) }
    }

    fn cidr_of(&mut self, family: Family) -> Cidr {
        let text = match family {
            Family::V4 => self.pick(&V4),
            Family::V6 => self.pick(&V6),
        };
        text.parse().unwrap_or(Cidr::WORLD_V4)
    }

    fn ports(&mut self) -> PortRange {
        let (one, other) = (self.pick(&PORTS), self.pick(&PORTS));
        PortRange::new(one.min(other), one.max(other)).unwrap_or(PortRange::ALL)
    }
}

/// A generated world and the names that its parts go by.
pub struct Universe {
    /// The choices that are still to come.
    pub chooser: Chooser,
    /// The world so far.
    pub world: World,
    flavor: Flavor,
    next_rule: u32,
}

impl Universe {
    /// A world from a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut chooser = Chooser::new(seed);
        let flavor = chooser.pick(&[Flavor::EcsBasic, Flavor::EcsBasic, Flavor::EcsEnterprise, Flavor::Ec2]);
        let mut universe = Self { chooser, world: World::default(), flavor, next_rule: 0 };
        universe.populate();
        universe
    }

    fn populate(&mut self) {
        for id in ACCOUNTS {
            self.put(Change::PutAccount(Arc::new(self.account(id, None))));
        }
        for vpc in 0..=self.chooser.below(2) {
            self.add_vpc(vpc);
        }
        for list in 0..2 {
            let change = self.prefix_list(list);
            self.put(change);
            let change = self.port_list(list);
            self.put(change);
        }
        for group in 0..=self.chooser.below(4) {
            let change = self.group(group);
            self.put(change);
        }
        for eni in 0..=self.chooser.below(5) {
            self.add_instance(eni);
        }
        for _ in 0..self.chooser.below(16) {
            let change = self.rule();
            self.put(change);
        }
        if self.chooser.one_in(4) {
            let items = ["none", "dhcp", "udp/53@10.0.0.1", "tcp/80@::/0"];
            let item = self.chooser.pick(&items);
            let bypass = BypassSet::from_items([item]).unwrap_or_default();
            self.put(Change::PutBypass(Arc::new(bypass)));
        }
        if self.chooser.one_in(3) {
            let change = self.platform();
            self.put(change);
        }
        if self.chooser.one_in(2) {
            let change = self.peering();
            change.into_iter().for_each(|change| self.put(change));
        }
        for _ in 0..self.chooser.below(3) {
            let change = self.shadow();
            self.put(change);
        }
    }

    /// Makes a change and counts a revision.
    pub fn put(&mut self, change: Change) {
        self.world.apply(&change);
        let next = self.world.revision().next();
        self.world = self.world.clone().at(next);
    }

    /// One random change of something that enforcement depends on, not yet made.
    pub fn change(&mut self) -> Vec<Change> {
        match self.chooser.below(17) {
            0..=3 => vec![self.rule()],
            4 | 5 => self.drop_rule().into_iter().collect(),
            6 => self.regroup().into_iter().collect(),
            7 => self.regroup_or_move().into_iter().collect(),
            8 => {
                let index = self.chooser.below(4);
                vec![self.group(index)]
            }
            9 => self.change_of_list(),
            10 => self.remove_or_add_instance(),
            11 => vec![self.platform()],
            12 => self.peering().into_iter().collect(),
            13 => self.change_of_acl(),
            14 => vec![self.shadow()],
            15 => self.drop_shadow().into_iter().collect(),
            _ => {
                let treatment = self.chooser.pick(&[None, Some(Treatment::Keep), Some(Treatment::Reevaluate)]);
                let id = self.chooser.pick(&ACCOUNTS);
                vec![Change::PutAccount(Arc::new(self.account(id, treatment)))]
            }
        }
    }

    /// A list is made or edited, or goes: with the rules that name it, as an account would have it, or from under
    /// them, which no API allows and enforcement survives.
    pub fn change_of_list(&mut self) -> Vec<Change> {
        let index = self.chooser.below(LISTS);
        let is_prefix_list = self.chooser.one_in(2);
        match self.chooser.below(4) {
            0 => self.drop_list(index, is_prefix_list),
            1 => self.edit_list(index, is_prefix_list).into_iter().collect(),
            _ if is_prefix_list => vec![self.prefix_list(index)],
            _ => vec![self.port_list(index)],
        }
    }

    fn drop_list(&mut self, index: usize, is_prefix_list: bool) -> Vec<Change> {
        let (prefixes, ports) = (prefix_list_id(index), port_list_id(index));
        let (referent, gone) = if is_prefix_list {
            (Referent::PrefixList(prefixes.clone()), Change::DeletePrefixList(prefixes))
        } else {
            (Referent::PortList(ports.clone()), Change::DeletePortList(ports))
        };
        let with_rules = !self.chooser.one_in(3);
        let naming = self.world.referrers(&referent).filter(|_| with_rules).cloned();
        let mut changes: Vec<Change> = naming.map(|(group, rule)| Change::DeleteRule { group, rule }).collect();
        changes.push(gone);
        changes
    }

    /// One entry more or one less, of a list that is there.
    fn edit_list(&mut self, index: usize, is_prefix_list: bool) -> Option<Change> {
        let grows = self.chooser.one_in(2);
        if is_prefix_list {
            let mut list = PrefixList::clone(self.world.prefix_list(&prefix_list_id(index))?);
            if grows || list.entries.is_empty() {
                let cidr = self.chooser.cidr_of(list.family).canonical();
                list.entries.push(PrefixEntry { cidr, description: String::new() });
            } else {
                list.entries.remove(self.chooser.below(list.entries.len()));
            }
            return Some(Change::PutPrefixList(Arc::new(list)));
        }
        let mut list = PortList::clone(self.world.port_list(&port_list_id(index))?);
        if grows || list.entries.is_empty() {
            list.entries.push(PortEntry { ports: self.chooser.ports(), description: String::new() });
        } else {
            list.entries.remove(self.chooser.below(list.entries.len()));
        }
        Some(Change::PutPortList(Arc::new(list)))
    }

    /// The two VPCs are peered, or not any more. No address is in both.
    fn peering(&mut self) -> Option<Change> {
        let vpcs: Vec<PeeringSide> = self.world.vpcs().map(|vpc| PeeringSide::of(vpc)).collect();
        let [requester, accepter] = <[PeeringSide; 2]>::try_from(vpcs).ok()?;
        let id = PeeringId::from("pcx-0");
        if self.chooser.one_in(6) {
            return Some(Change::DeletePeering(id));
        }
        let statuses =
            [PeeringStatus::Active, PeeringStatus::Active, PeeringStatus::PendingAcceptance, PeeringStatus::Deleted];
        Some(Change::PutPeering(Arc::new(Peering {
            id,
            region: "r".to_owned(),
            requester,
            accepter,
            status: self.chooser.pick(&statuses),
            ended_by: None,
            why_failed: String::new(),
            tags: Default::default(),
            created_at: Timestamp(0),
            changed_at: Timestamp(0),
        })))
    }

    fn platform(&mut self) -> Change {
        let toggled = PlatformPolicy::ALL.into_iter();
        Change::PutPlatform(
            toggled.fold(Platform::default(), |platform, policy| platform.with(policy, self.chooser.one_in(2))),
        )
    }

    /// ENIs, in order of id.
    #[must_use]
    pub fn enis(&self) -> Vec<Arc<Eni>> {
        self.world.enis().cloned().collect()
    }

    /// A packet at an ENI, as likely as not to or from something that rules speak of.
    pub fn packet(&mut self, eni: &Eni) -> Packet {
        let direction = self.chooser.pick(&[Direction::Ingress, Direction::Egress]);
        let local =
            if self.chooser.one_in(24) { self.address(Family::V4) } else { self.chooser.pick(&eni.addresses) };
        let family = Family::of(local);
        let mut peer = self.address(family);
        while peer == local {
            peer = self.address(family);
        }
        let transport = self.transport(family);
        let is_forwarded = direction == Direction::Ingress && self.chooser.one_in(6);
        Packet { direction, local, peer, transport, is_forwarded }
    }

    /// A packet as [`Self::packet`] makes it, or one that says something of the link: discovery and its neighbours among the kinds of
    /// ICMPv6, from addresses that hold on the link only, from none, and from others' addresses.
    pub fn packet_or_discovery(&mut self, eni: &Eni) -> Packet {
        let packet = Packet { is_forwarded: false, ..self.packet(eni) };
        if !self.chooser.one_in(4) {
            return packet;
        }
        let own = eni.addresses.iter().copied().find(IpAddr::is_ipv6);
        let local = if self.chooser.one_in(4) { self.of_link() } else { own.unwrap_or_else(|| self.of_link()) };
        let mut peer = self.of_link();
        while peer == local {
            peer = self.of_link();
        }
        let kind = self.chooser.pick(&[129, 130, 132, 133, 134, 135, 136, 137, 138, 143, 144]);
        let transport = Transport::Icmp { protocol: 58, kind, code: self.chooser.pick(&[0, 1]) };
        Packet { local, peer, transport, ..packet }
    }

    fn of_link(&mut self) -> IpAddr {
        let special = [
            Ipv6Addr::UNSPECIFIED,
            Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1),
            Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1),
        ];
        if self.chooser.one_in(2) { IpAddr::V6(self.chooser.pick(&special)) } else { self.address(Family::V6) }
    }

    /// A packet with all that live flows look at.
    pub fn segment(&mut self, eni: &Eni) -> Segment {
        let packet = self.packet(eni);
        let flags = self.flags();
        let icmp_id = self.chooser.pick(&[1, 2]);
        let quoted = self.quoted(&packet);
        Segment { packet, flags, icmp_id, quoted }
    }

    fn flags(&mut self) -> TcpFlags {
        let syn = TcpFlags { syn: true, ..TcpFlags::default() };
        let ack = TcpFlags { ack: true, ..TcpFlags::default() };
        let syn_ack = TcpFlags { syn: true, ack: true, ..TcpFlags::default() };
        let fin = TcpFlags { fin: true, ack: true, ..TcpFlags::default() };
        let rst = TcpFlags { rst: true, ..TcpFlags::default() };
        self.chooser.pick(&[syn, syn, syn, syn_ack, ack, ack, fin, rst])
    }

    fn quoted(&mut self, packet: &Packet) -> Option<Quoted> {
        let Transport::Icmp { protocol, kind, .. } = packet.transport else { return None };
        if !sekimori_core::flow::is_error(protocol, kind) {
            return None;
        }
        let transport = self.transport(Family::of(packet.local));
        let (source, destination) = match packet.direction {
            Direction::Ingress => (packet.local, packet.peer),
            Direction::Egress => (packet.peer, packet.local),
        };
        Some(Quoted { source, destination, transport, icmp_id: self.chooser.pick(&[1, 2]) })
    }

    fn transport(&mut self, family: Family) -> Transport {
        let protocol = self.chooser.pick(&PROTOCOLS);
        let (source, destination) = match protocol == 17 && self.chooser.one_in(8) {
            true => self.chooser.pick(&DHCP),
            false => (self.chooser.pick(&PORTS), self.chooser.pick(&PORTS)),
        };
        match (protocol, family) {
            (6, _) => Transport::Tcp { source, destination },
            (17, _) => Transport::Udp { source, destination },
            (1, Family::V4) => {
                let kind = self.chooser.pick(&[8, 0, 3, 11, 13, 5]);
                Transport::Icmp { protocol: 1, kind, code: self.chooser.pick(&[0, 1]) }
            }
            (58, Family::V6) => {
                let kind = self.chooser.pick(&[128, 129, 1, 2, 135, 143, 138]);
                Transport::Icmp { protocol: 58, kind, code: self.chooser.pick(&[0, 1]) }
            }
            // ICMP of the other family is an ordinary protocol without ports.
            (1 | 58, _) => Transport::Other { protocol: 47 },
            (other, _) => Transport::Other { protocol: other },
        }
    }

    fn address(&mut self, family: Family) -> IpAddr {
        let last = self.chooser.below(8) as u16;
        let outside = self.chooser.one_in(4);
        match (family, outside) {
            (Family::V4, false) => IpAddr::V4(Ipv4Addr::new(10, 0, 0, last as u8)),
            (Family::V4, true) => IpAddr::V4(self.chooser.pick(&[
                Ipv4Addr::new(198, 51, 100, 10),
                Ipv4Addr::new(203, 0, 113, 200),
                Ipv4Addr::new(10, 0, 1, 7),
                Ipv4Addr::new(255, 255, 255, 254),
                Ipv4Addr::new(100, 64, 0, 7),
                Ipv4Addr::new(100, 127, 255, 255),
            ])),
            (Family::V6, false) => IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last)),
            (Family::V6, true) => IpAddr::V6(self.chooser.pick(&[
                Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0x10),
                Ipv6Addr::new(0xffee, 0, 0, 0, 0, 0, 0, 1),
            ])),
        }
    }

    fn account(&self, id: &str, treatment: Option<Treatment>) -> Account {
        let dialect = match self.flavor {
            Flavor::EcsBasic | Flavor::EcsEnterprise => Dialect::Ecs,
            Flavor::Ec2 => Dialect::Ec2,
        };
        Account {
            id: AccountId::from(id),
            dialect,
            name: id.to_owned(),
            treatment,
            resource_groups: Default::default(),
            created_at: Timestamp(0),
        }
    }

    fn add_vpc(&mut self, index: usize) {
        let id = VpcId::from(format!("vpc-{index}"));
        let cidr = Ipv4Net::new(Ipv4Addr::new(10, 0, 0, 0), 24).unwrap_or_default();
        let ipv6 = Ipv6Net::new(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0), 64).ok();
        let further =
            ["10.0.2.0/24", "192.0.2.0/31"].iter().take(index).filter_map(|block| block.parse().ok()).collect();
        let account = AccountId::from("a");
        let (name, description, zone) = (String::new(), String::new(), String::new());
        let created_at = Timestamp(0);
        let vpc = Vpc {
            resource_group: String::new(),
            tags: Default::default(),
            id: id.clone(),
            account: account.clone(),
            region: "r".to_owned(),
            name: name.clone(),
            description: description.clone(),
            cidr,
            ipv6,
            further,
            ways: None,
            shared_with: vec![AccountId::from("b")],
            attributes: VpcAttribute::of_new(),
            created_at,
        };
        self.put(Change::PutVpc(Arc::new(vpc)));
        let subnet = Subnet {
            resource_group: String::new(),
            tags: Default::default(),
            id: SubnetId::from(format!("subnet-{index}")),
            vpc: id.clone(),
            account,
            zone,
            name,
            description,
            cidr,
            ipv6,
            acl: None,
            created_at,
        };
        self.put(Change::PutSubnet(Arc::new(subnet)));
        if self.flavor == Flavor::Ec2 {
            for number in 0..ACLS_OF_VPC {
                let acl = self.network_acl(&id, number);
                self.put(acl);
            }
            let behind = self.behind_acl(&id);
            behind.into_iter().for_each(|change| self.put(change));
        }
    }

    /// A network ACL of a VPC, with any entries, or with those that allow everything.
    fn network_acl(&mut self, vpc: &VpcId, number: usize) -> Change {
        let mut acl = NetworkAcl {
            id: acl_id(vpc, number),
            account: AccountId::from("a"),
            vpc: vpc.clone(),
            is_default: number == 0,
            entries: Vec::new(),
            tags: Default::default(),
            created_at: Timestamp(0),
        };
        if self.chooser.one_in(2) {
            let open = [Family::V4, Family::V6].into_iter().flat_map(NetworkAcl::default_entries);
            open.for_each(|entry| acl.put(entry));
        }
        for _ in 0..self.chooser.below(6) {
            let entry = self.acl_entry();
            acl.put(entry);
        }
        Change::PutNetworkAcl(Arc::new(acl))
    }

    fn acl_entry(&mut self) -> AclEntry {
        let protocol =
            if self.chooser.one_in(2) { Protocol::Any } else { Protocol::Number(self.chooser.pick(&PROTOCOLS)) };
        let service = match protocol {
            Protocol::TCP | Protocol::UDP => Service::Ports(self.chooser.ports()),
            other => self.service(other),
        };
        let spec = RuleSpec {
            direction: self.chooser.pick(&[Direction::Ingress, Direction::Egress]),
            action: self.chooser.pick(&[Action::Allow, Action::Allow, Action::Deny]),
            priority: 1,
            protocol,
            service,
            source_ports: None,
            peer: Peer::Cidr(self.chooser.cidr().canonical()),
            local: None,
        };
        AclEntry { number: self.chooser.pick(&[1, 2, 99, 100, 101, 32_766]), spec }
    }

    /// The subnet of a VPC gets an ACL, and blocks that hold fewer or more of the addresses.
    fn behind_acl(&mut self, vpc: &VpcId) -> Option<Change> {
        let subnet = self.world.subnets().find(|subnet| subnet.vpc == *vpc)?;
        let mut subnet = Subnet::clone(subnet);
        let acl = acl_id(vpc, self.chooser.below(ACLS_OF_VPC));
        let association = self.chooser.below(1_000);
        subnet.acl = Some(AclAssociation { id: format!("aclassoc-{association}").as_str().into(), acl });
        subnet.cidr = Ipv4Net::new(Ipv4Addr::new(10, 0, 0, 0), self.chooser.pick(&[24, 30, 31])).unwrap_or_default();
        let length = self.chooser.pick(&[None, Some(64), Some(126)]);
        subnet.ipv6 = length.and_then(|length| Ipv6Net::new(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0), length).ok());
        Some(Change::PutSubnet(Arc::new(subnet)))
    }

    fn change_of_acl(&mut self) -> Vec<Change> {
        let vpcs: Vec<VpcId> = self.world.vpcs().map(|vpc| vpc.id.clone()).collect();
        let vpc = self.chooser.pick(&vpcs);
        match (self.flavor, self.chooser.one_in(2)) {
            (Flavor::EcsBasic | Flavor::EcsEnterprise, _) => vec![self.rule()],
            (Flavor::Ec2, true) => self.behind_acl(&vpc).into_iter().collect(),
            (Flavor::Ec2, false) => {
                let number = self.chooser.below(ACLS_OF_VPC);
                vec![self.network_acl(&vpc, number)]
            }
        }
    }

    fn add_instance(&mut self, index: usize) {
        let vpcs: Vec<VpcId> = self.world.vpcs().map(|vpc| vpc.id.clone()).collect();
        let vpc = self.chooser.pick(&vpcs);
        let changes = self.instance(index, &vpc);
        changes.into_iter().for_each(|change| self.put(change));
    }

    fn instance(&mut self, index: usize, vpc: &VpcId) -> Vec<Change> {
        let owners: Vec<AccountId> =
            self.world.groups().filter(|group| group.is_for(vpc)).map(|group| group.account.clone()).collect();
        if owners.is_empty() {
            return Vec::new();
        }
        let account = self.chooser.pick(&owners);
        let groups = self.some_groups(vpc, &account);
        if groups.is_empty() {
            return Vec::new();
        }
        let id = InstanceId::from(format!("i-{index}"));
        let subnet = SubnetId::from(format!("subnet-{}", vpc.as_str().trim_start_matches("vpc-")));
        let instance = Instance {
            resource_group: String::new(),
            tags: Default::default(),
            id: id.clone(),
            account: account.clone(),
            vpc: vpc.clone(),
            subnet: subnet.clone(),
            host: HostId::from(if self.chooser.one_in(5) { "host-b" } else { HOST }),
            name: String::new(),
            description: String::new(),
            image: String::new(),
            instance_type: String::new(),
            disk: Default::default(),
            created_at: Timestamp(0),
            state: InstanceState::Running,
            state_since: self.world.revision().next(),
            launch: None,
        };
        let last = index as u16 + 1;
        let mut addresses = vec![IpAddr::V4(Ipv4Addr::new(10, 0, 0, last as u8))];
        addresses.push(IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last)));
        let eni = Eni {
            resource_group: String::new(),
            tags: Default::default(),
            id: EniId::from(format!("eni-{index}")),
            account,
            vpc: vpc.clone(),
            subnet,
            instance: Some(id),
            device_index: 0,
            mac: Mac([2, 0, 0, 0, 0, index as u8]),
            addresses,
            groups,
            treatment: None,
            timeouts: Timeouts::of(Dialect::Ecs),
            source_check: !self.chooser.one_in(5),
            created_at: Timestamp(0),
            name: String::new(),
            description: String::new(),
            delete_on_release: true,
            managed_by: None,
            moved_in: self.world.revision().next(),
            binding: None,
        };
        vec![Change::PutInstance(Arc::new(instance)), Change::PutEni(Arc::new(eni))]
    }

    fn some_groups(&mut self, vpc: &VpcId, account: &AccountId) -> Vec<GroupId> {
        let is_theirs = |group: &&Arc<Group>| group.is_for(vpc) && group.account == *account;
        let all: Vec<GroupId> = self.world.groups().filter(is_theirs).map(|group| group.id.clone()).collect();
        let mut chosen: Vec<GroupId> = all.iter().filter(|_| self.chooser.one_in(2)).cloned().collect();
        if chosen.is_empty() && !all.is_empty() {
            chosen.push(self.chooser.pick(&all));
        }
        chosen
    }

    fn remove_or_add_instance(&mut self) -> Vec<Change> {
        let index = self.chooser.below(6);
        let id = InstanceId::from(format!("i-{index}"));
        if self.world.instance(&id).is_some() {
            let eni = EniId::from(format!("eni-{index}"));
            let others = self.world.enis_of(&id).filter(|other| other.id != eni);
            let mut changes: Vec<Change> = others.map(|other| placed(other, None)).collect();
            changes.extend([Change::DeleteEni(eni), Change::DeleteInstance(id)]);
            return changes;
        }
        let vpcs: Vec<VpcId> = self.world.vpcs().map(|vpc| vpc.id.clone()).collect();
        let vpc = self.chooser.pick(&vpcs);
        self.instance(index, &vpc)
    }

    fn regroup_or_move(&mut self) -> Option<Change> {
        if self.chooser.one_in(2) { self.regroup() } else { self.move_eni() }
    }

    /// Detaches an attached ENI, or attaches a free one to some instance of its VPC.
    fn move_eni(&mut self) -> Option<Change> {
        let enis = self.enis();
        let eni = enis.get(self.chooser.below(enis.len()))?;
        if eni.instance.is_some() {
            return Some(placed(eni, None));
        }
        let instances: Vec<InstanceId> =
            self.world.instances().filter(|one| one.vpc == eni.vpc).map(|one| one.id.clone()).collect();
        let instance = instances.get(self.chooser.below(instances.len()))?;
        Some(placed(eni, Some(instance.clone())))
    }

    fn regroup(&mut self) -> Option<Change> {
        let enis = self.enis();
        let eni = enis.get(self.chooser.below(enis.len()))?;
        let groups = self.some_groups(&eni.vpc, &eni.account);
        let source_check = eni.source_check;
        Some(Change::PutEni(Arc::new(Eni { groups, source_check, ..Eni::clone(eni) })))
    }

    fn group(&mut self, index: usize) -> Change {
        let id = GroupId::from(format!("sg-{index}"));
        let vpcs: Vec<VpcId> = self.world.vpcs().map(|vpc| vpc.id.clone()).collect();
        let vpc = self.world.group(&id).map_or_else(|| self.chooser.pick(&vpcs), |group| group.vpc.clone());
        let known = self.world.group(&id).map(|group| group.also_in.clone());
        let also_in = known.unwrap_or_else(|| self.guests(&vpcs, &vpc));
        let account = AccountId::from(if index % 2 == 1 { "b" } else { "a" });
        let inner_access = self.chooser.pick(&[InnerAccess::Accept, InnerAccess::Drop]);
        Change::PutGroup(Arc::new(Group {
            id,
            account,
            vpc,
            also_in,
            flavor: self.flavor,
            name: String::new(),
            description: String::new(),
            inner_access,
            resource_group: String::new(),
            tags: Default::default(),
            managed_by: None,
            is_protected: false,
            is_default: false,
            created_at: Timestamp(0),
            rules: Default::default(),
        }))
    }

    /// Further VPCs of a group, which only EC2 has.
    fn guests(&mut self, vpcs: &[VpcId], own: &VpcId) -> Vec<VpcId> {
        match self.flavor {
            Flavor::EcsBasic | Flavor::EcsEnterprise => Vec::new(),
            Flavor::Ec2 => {
                let others = vpcs.iter().filter(|vpc| *vpc != own);
                others.filter(|_| self.chooser.one_in(2)).cloned().collect()
            }
        }
    }

    fn prefix_list(&mut self, index: usize) -> Change {
        let family = if index == 0 { Family::V4 } else { Family::V6 };
        let count = self.chooser.below(4);
        let entry = |universe: &mut Self| PrefixEntry {
            cidr: universe.chooser.cidr_of(family).canonical(),
            description: String::new(),
        };
        let entries = (0..count).map(|_| entry(self)).collect();
        Change::PutPrefixList(Arc::new(PrefixList {
            resource_group: String::new(),
            tags: Default::default(),
            id: prefix_list_id(index),
            account: AccountId::from("a"),
            region: "r".to_owned(),
            name: String::new(),
            description: String::new(),
            family,
            entries_max: 8,
            entries,
            version: 1,
            last_change: ListChange::Created,
            created_at: Timestamp(0),
        }))
    }

    fn port_list(&mut self, index: usize) -> Change {
        let count = self.chooser.below(4);
        let entry = |universe: &mut Self| PortEntry { ports: universe.chooser.ports(), description: String::new() };
        let entries = (0..count).map(|_| entry(self)).collect();
        Change::PutPortList(Arc::new(PortList {
            resource_group: String::new(),
            tags: Default::default(),
            id: port_list_id(index),
            account: AccountId::from("a"),
            region: "r".to_owned(),
            name: String::new(),
            description: String::new(),
            entries_max: 8,
            entries,
            created_at: Timestamp(0),
        }))
    }

    fn rule(&mut self) -> Change {
        let groups: Vec<GroupId> = self.world.groups().map(|group| group.id.clone()).collect();
        let group = self.chooser.pick(&groups);
        self.next_rule += 1;
        let id = RuleId::from(format!("sgr-{}", self.next_rule));
        let spec = self.spec(&groups);
        let rule = Rule { id, spec, description: String::new(), tags: Default::default(), created_at: Timestamp(0) };
        Change::PutRule { group, rule: Arc::new(rule) }
    }

    fn spec(&mut self, groups: &[GroupId]) -> RuleSpec {
        let is_ec2 = self.flavor == Flavor::Ec2;
        let protocol =
            if self.chooser.one_in(4) { Protocol::Any } else { Protocol::Number(self.chooser.pick(&PROTOCOLS)) };
        let action = if is_ec2 { Action::Allow } else { self.chooser.pick(&[Action::Allow, Action::Deny]) };
        RuleSpec {
            direction: self.chooser.pick(&[Direction::Ingress, Direction::Egress]),
            action,
            priority: if is_ec2 { 1 } else { self.chooser.pick(&[1, 1, 2, 100]) },
            protocol,
            service: self.service(protocol),
            source_ports: (protocol.has_ports() && self.chooser.one_in(4)).then(|| self.chooser.ports()),
            peer: self.peer(groups),
            local: self.chooser.one_in(5).then(|| self.chooser.cidr()),
        }
    }

    fn service(&mut self, protocol: Protocol) -> Service {
        match protocol {
            Protocol::TCP | Protocol::UDP => match self.chooser.below(5) {
                0 => Service::Any,
                1 => Service::PortList(port_list_id(self.chooser.below(LISTS))),
                2 => Service::Ports(PortRange::ALL),
                _ => Service::Ports(self.chooser.ports()),
            },
            Protocol::ICMP | Protocol::ICMPV6 if self.chooser.one_in(2) => Service::Icmp {
                kind: self.chooser.pick(&[8, 0, 128, 129, 3]),
                code: self.chooser.pick(&[None, Some(0), Some(1)]),
            },
            Protocol::Any | Protocol::Number(_) => Service::Any,
        }
    }

    fn peer(&mut self, groups: &[GroupId]) -> Peer {
        match self.chooser.below(6) {
            0 => Peer::PrefixList(prefix_list_id(self.chooser.below(LISTS))),
            1 | 2 => {
                let group = self.chooser.pick(groups);
                let owner = self.world.group(&group).map(|found| found.account.clone());
                Peer::Group { group, account: owner.unwrap_or_else(|| AccountId::from("a")) }
            }
            _ => Peer::Cidr(self.chooser.cidr()),
        }
    }

    /// A group gets a candidate: some of its rules and some others.
    fn shadow(&mut self) -> Change {
        let groups: Vec<Arc<Group>> = self.world.groups().cloned().collect();
        let group = self.chooser.pick(&groups);
        let base: Vec<Arc<Rule>> = group.rules.values().cloned().collect();
        let mut rules: Vec<Arc<Rule>> = base.iter().filter(|_| !self.chooser.one_in(3)).cloned().collect();
        for _ in 0..self.chooser.below(5) {
            let Change::PutRule { rule, .. } = self.rule() else { continue };
            rules.push(rule);
        }
        let number = self.chooser.source.next_u64();
        Change::PutShadow(Arc::new(Shadow { group: group.id.clone(), rules, base, number, set_at: Timestamp(0) }))
    }

    fn drop_shadow(&mut self) -> Option<Change> {
        let shadowed: Vec<GroupId> = self.world.shadows().iter().map(|shadow| shadow.group.clone()).collect();
        Some(Change::DeleteShadow(shadowed.get(self.chooser.below(shadowed.len()))?.clone()))
    }

    fn drop_rule(&mut self) -> Option<Change> {
        let rules: Vec<(GroupId, RuleId)> = self
            .world
            .groups()
            .flat_map(|group| group.rules.keys().map(|rule| (group.id.clone(), rule.clone())))
            .collect();
        let (group, rule) = rules.get(self.chooser.below(rules.len()))?.clone();
        Some(Change::DeleteRule { group, rule })
    }
}

fn acl_id(vpc: &VpcId, number: usize) -> NetworkAclId {
    NetworkAclId::from(format!("acl-{vpc}-{number}"))
}

fn prefix_list_id(index: usize) -> PrefixListId {
    PrefixListId::from(format!("pl-{index}"))
}

fn port_list_id(index: usize) -> PortListId {
    PortListId::from(format!("prl-{index}"))
}

/// The fact that an ENI is attached to an instance, at a place that no other ENI takes, or to none.
fn placed(eni: &Eni, instance: Option<InstanceId>) -> Change {
    let [.., number] = eni.mac.0;
    let device_index = if instance.is_some() { number + 1 } else { 0 };
    Change::PutEni(Arc::new(Eni { instance, device_index, ..eni.clone() }))
}
