//! Ways between interfaces and what is outside of their VPC: routes and public addresses, as far as they are known.
//!
//! No command makes any of this and no data plane knows it: only worlds that were read from a real account have ways, and what is not
//! known is never counted as in the way. What is said here comes beside what [`crate::verdict`] says, and is about addresses outside, but for
//! the obstacles that every world knows: who is stopped, and addresses inside that nobody has.
//!
//! In EC2 a subnet's route table says where a packet goes, the longest block that holds its address first (Amazon VPC guide, "Route
//! priority"), and an internet gateway passes on only what has a public address (the same, "Internet gateways"): a translated one over
//! IPv4, its own over IPv6. An answer that has no way back counts as no way there. In ECS an address that has a public one of its own needs
//! no route; without one, nothing of the internet begins a flow towards it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::{
    address::Cidr,
    ids::{EniId, InstanceId, SubnetId, VpcId},
    packet::Packet,
    platform::{self, CLOUD_SERVICES},
    rule::Direction,
    world::{Dialect, Eni, World},
};

/// The ways of a VPC.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ways {
    /// What the route table of a subnet says. Where a subnet is absent it is not known.
    pub tables: BTreeMap<SubnetId, Arc<RouteTable>>,
    /// The own addresses of an interface that have a public one, with it. Where an interface is absent they are not known.
    pub publics: BTreeMap<EniId, BTreeMap<IpAddr, IpAddr>>,
}

/// A route table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTable {
    /// Its name.
    pub id: String,
    /// Its routes, but those within the VPC.
    pub routes: Vec<Route>,
    /// Where routes lead whose blocks are not known.
    pub unplaced: Vec<Target>,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The addresses that it is for.
    pub to: Cidr,
    /// Where it leads.
    pub target: Target,
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Target {
    /// What it is called: `igw-…`, `nat-…`.
    pub name: String,
    /// What it is.
    pub kind: TargetKind,
}

/// What a route leads to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetKind {
    /// The internet, there and back.
    Internet,
    /// What lets flows out and none in: a NAT gateway, an egress-only gateway, a gateway endpoint.
    Outgoing {
        /// The subnet from which a NAT gateway goes on, if it is known.
        from: Option<SubnetId>,
    },
    /// Nothing.
    Blackhole,
    /// Something beyond which nobody has looked: a transit gateway, a VPN, an appliance.
    Elsewhere,
}

/// What is missing between an interface and the other end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "missing", rename_all = "kebab-case")]
pub enum Gap {
    /// The interface's instance is stopped.
    Stopped {
        /// The instance.
        instance: InstanceId,
    },
    /// The other end is an address inside that no interface has.
    Nobody {
        /// The address.
        address: IpAddr,
    },
    /// The own address is none that the internet knows.
    PublicAddress {
        /// The address.
        address: IpAddr,
    },
    /// The other end has an address of the link, from which nobody outside begins anything.
    Link {
        /// The address.
        address: IpAddr,
    },
    /// No route of the subnet's table is for the other end.
    Route {
        /// The table.
        table: String,
    },
    /// The route leads to what no flow comes in by.
    WayIn {
        /// The table.
        table: String,
        /// What it leads to.
        target: String,
    },
    /// The route leads nowhere.
    Target {
        /// The table.
        table: String,
        /// What it should lead to.
        target: String,
    },
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped { instance } => write!(f, "{instance} is stopped, so it sends and takes nothing"),
            Self::Nobody { address } => write!(f, "{address} is inside of the VPC, and no interface has it"),
            Self::PublicAddress { address } => write!(f, "{address} has no public address"),
            Self::Link { address } => write!(f, "{address} is an address of the link, which nobody outside has"),
            Self::Route { table } => {
                write!(f, "route table {table} of the subnet has no route to an internet gateway")
            }
            Self::WayIn { table, target } => {
                write!(f, "route table {table} of the subnet leads to {target}, by which no flow comes in")
            }
            Self::Target { table, target } => {
                write!(f, "route table {table} of the subnet leads to {target}, which leads nowhere")
            }
        }
    }
}

/// The addresses of IPv4 that are not the internet's but may be somebody's whom a private network reaches (RFC 1918, and what
/// Alibaba Cloud keeps for its services).
const PRIVATE_V4: [Ipv4Net; 4] = [
    Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 8),
    Ipv4Net::new_assert(Ipv4Addr::new(172, 16, 0, 0), 12),
    Ipv4Net::new_assert(Ipv4Addr::new(192, 168, 0, 0), 16),
    CLOUD_SERVICES,
];
/// The addresses that are on the link, to which no route is asked for (RFC 3927, RFC 4291).
const LINK_V4: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16);
const LINK_V6: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10);
/// The addresses of IPv6 that the internet does not know (RFC 4193).
const LOCAL_V6: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7);

impl Target {
    fn lets(&self, direction: Direction) -> bool {
        match (&self.kind, direction) {
            (TargetKind::Internet | TargetKind::Elsewhere, _) | (TargetKind::Outgoing { .. }, Direction::Egress) => {
                true
            }
            (TargetKind::Outgoing { .. }, Direction::Ingress) | (TargetKind::Blackhole, _) => false,
        }
    }
}

impl RouteTable {
    /// The route for an address: that with the longest block.
    #[must_use]
    pub fn route(&self, address: IpAddr) -> Option<&Route> {
        let holding = self.routes.iter().filter(|route| route.to.contains(address));
        holding.max_by_key(|route| route.to.network().prefix_len())
    }
}

impl World {
    /// The ways of a VPC, if any are known.
    #[must_use]
    pub fn ways(&self, vpc: &VpcId) -> Option<&Ways> {
        self.vpc(vpc)?.ways.as_deref()
    }

    /// Everything that is known to keep a packet, or the answer to it, from an interface or from the other end, whatever rules say; the
    /// first by itself is enough.
    #[must_use]
    pub fn obstacles(&self, eni: &Eni, packet: &Packet) -> Vec<Gap> {
        let stopped = self.stopped_with(eni).map(|instance| Gap::Stopped { instance: instance.id.clone() });
        let nobody = self.is_nobodys(eni, packet).then_some(Gap::Nobody { address: packet.peer });
        stopped.into_iter().chain(nobody).chain(self.gaps(eni, packet)).collect()
    }

    /// Whether the other end of a packet is an address inside that no interface has. Around an interface that others made there may be hosts
    /// that nobody has declared, and an instance that forwards may do so for whom it likes.
    fn is_nobodys(&self, eni: &Eni, packet: &Packet) -> bool {
        let may_bring = |eni: &Arc<Eni>| !eni.source_check || eni.binding.is_some();
        let brought = || self.joined_with(&eni.vpc).iter().any(|vpc| self.enis_in(vpc).any(may_bring));
        eni.binding.is_none()
            && self.eni_seen_from(&eni.vpc, packet.peer).is_none()
            && self.is_inside(&eni.vpc, packet.peer)
            && (packet.direction == Direction::Egress || !brought())
    }

    /// Everything that is known to be missing between an interface and the other end of a packet, if that is outside; the first by itself
    /// is enough to stop the packet or the answer to it.
    #[must_use]
    pub fn gaps(&self, eni: &Eni, packet: &Packet) -> Vec<Gap> {
        let Some(ways) = self.ways(&eni.vpc) else { return Vec::new() };
        if self.is_inside(&eni.vpc, packet.peer) {
            return Vec::new();
        }
        if is_on_link(packet.peer) {
            // Services of the cloud are there, which answer only.
            let gap = Gap::Link { address: packet.peer };
            return Some(gap).filter(|_| packet.direction == Direction::Ingress).into_iter().collect();
        }
        match self.dialect_of(&eni.account) {
            Dialect::Ec2 => self.gaps_by_route(ways, eni, packet),
            Dialect::Ecs => gaps_by_address(ways, eni, packet),
        }
    }

    /// The blocks by which ways tell addresses outside apart, as seen from an interface.
    #[must_use]
    pub fn blocks_of_ways(&self, eni: &Eni) -> Vec<Cidr> {
        let Some(ways) = self.ways(&eni.vpc) else { return Vec::new() };
        let own = ways.tables.get(&eni.subnet);
        let beyond = own.iter().flat_map(|table| &table.routes).filter_map(|route| match &route.target.kind {
            TargetKind::Outgoing { from: Some(subnet) } => ways.tables.get(subnet),
            TargetKind::Outgoing { from: None }
            | TargetKind::Internet
            | TargetKind::Blackhole
            | TargetKind::Elsewhere => None,
        });
        let tables: BTreeMap<&str, &Arc<RouteTable>> =
            own.into_iter().chain(beyond).map(|table| (table.id.as_str(), table)).collect();
        let routes = tables.into_values().flat_map(|table| &table.routes);
        let mut blocks: Vec<Cidr> = routes.map(|route| route.to).collect();
        blocks.extend(PRIVATE_V4.map(|block| Cidr::from(IpNet::V4(block))));
        blocks.extend([IpNet::V4(LINK_V4), IpNet::V6(LINK_V6)].map(Cidr::from));
        blocks
    }

    /// What routes of an interface's subnet lead to beyond which nobody has looked, in order.
    #[must_use]
    pub fn unseen_targets(&self, eni: &Eni) -> BTreeSet<&str> {
        let table = self.ways(&eni.vpc).and_then(|ways| ways.tables.get(&eni.subnet));
        let targets = table.into_iter().flat_map(|table| {
            let placed = table.routes.iter().map(|route| &route.target);
            placed.chain(&table.unplaced)
        });
        targets.filter(|target| target.kind == TargetKind::Elsewhere).map(|target| target.name.as_str()).collect()
    }

    /// Whether an own address of an interface is known to be none that the internet reaches.
    #[must_use]
    pub fn lacks_public_address(&self, eni: &Eni, own: IpAddr) -> bool {
        self.ways(&eni.vpc).is_some_and(|ways| no_public_address(ways, eni, own).is_some())
    }

    fn is_inside(&self, vpc: &VpcId, address: IpAddr) -> bool {
        let holds = |vpc: &VpcId| platform::blocks(self.vpc(vpc).map(|vpc| &**vpc)).any(|own| own.contains(&address));
        self.joined_with(vpc).iter().any(holds) || self.eni_seen_from(vpc, address).is_some()
    }

    fn gaps_by_route(&self, ways: &Ways, eni: &Eni, packet: &Packet) -> Vec<Gap> {
        let Some(table) = ways.tables.get(&eni.subnet) else { return Vec::new() };
        if table.unplaced.iter().any(|target| target.lets(packet.direction)) {
            return Vec::new();
        }
        let no_public = no_public_address(ways, eni, packet.local);
        let id = || table.id.clone();
        let Some(Route { target, .. }) = table.route(packet.peer) else {
            let no_route = Gap::Route { table: id() };
            // Whoever comes in needs a public address whatever the route will be.
            let first = no_public.filter(|_| packet.direction == Direction::Ingress);
            return first.into_iter().chain([no_route]).collect();
        };
        let name = || target.name.clone();
        match (&target.kind, packet.direction) {
            (TargetKind::Internet, _) => no_public.into_iter().collect(),
            (TargetKind::Elsewhere, _) => Vec::new(),
            (TargetKind::Blackhole, _) => vec![Gap::Target { table: id(), target: name() }],
            (TargetKind::Outgoing { .. }, Direction::Ingress) => {
                no_public.into_iter().chain([Gap::WayIn { table: id(), target: name() }]).collect()
            }
            (TargetKind::Outgoing { from }, Direction::Egress) => {
                let beyond = from.as_ref().and_then(|subnet| ways.tables.get(subnet));
                let is_stuck = beyond.is_some_and(|table| leads_nowhere(table, packet.peer));
                is_stuck.then(|| Gap::Target { table: id(), target: name() }).into_iter().collect()
            }
        }
    }
}

/// Whether the table of the subnet that a NAT gateway is in has no way for an address: such a gateway needs one of its own.
fn leads_nowhere(table: &RouteTable, address: IpAddr) -> bool {
    let goes_on = |target: &Target| matches!(target.kind, TargetKind::Internet | TargetKind::Elsewhere);
    !table.unplaced.iter().any(goes_on) && !table.route(address).is_some_and(|route| goes_on(&route.target))
}

fn gaps_by_address(ways: &Ways, eni: &Eni, packet: &Packet) -> Vec<Gap> {
    let is_internet = match packet.peer {
        IpAddr::V4(peer) => !PRIVATE_V4.iter().any(|block| block.contains(&peer)),
        // Whether an IPv6 address may be reached is the gateway's to say, which is not looked at.
        IpAddr::V6(_) => false,
    };
    let is_asked = is_internet && packet.direction == Direction::Ingress;
    no_public_address(ways, eni, packet.local).filter(|_| is_asked).into_iter().collect()
}

/// The gap, if the own address is known to be none that the internet reaches.
fn no_public_address(ways: &Ways, eni: &Eni, own: IpAddr) -> Option<Gap> {
    let is_private = match own {
        IpAddr::V4(_) => ways.publics.get(&eni.id).is_some_and(|publics| !publics.contains_key(&own)),
        IpAddr::V6(own) => LOCAL_V6.contains(&own),
    };
    is_private.then_some(Gap::PublicAddress { address: own })
}

fn is_on_link(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => LINK_V4.contains(&address),
        IpAddr::V6(address) => LINK_V6.contains(&address),
    }
}
