//! Network ACLs: what may enter and leave a subnet, whatever the groups say (EC2; `spec/ec2.md` A3).
//!
//! An ACL is stateless: it looks at every packet, also at those of flows that the groups know, in either direction. Packets
//! between addresses of one subnet never meet it. Its entries are looked at by number; the first that matches decides, and what
//! matches none is denied.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use ipnet::{IpNet, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::{
    address::{Cidr, Family},
    ids::{AccountId, AclAssociationId, NetworkAclId, SubnetId, VpcId},
    rule::{Action, Direction, Peer, Protocol, RuleSpec, Service},
    tags::Tags,
    time::Timestamp,
    world::{Eni, Subnet, World},
};

/// The highest number that an entry may have; what no entry matches is denied after it.
pub const ACL_NUMBER_MAX: u16 = 32_766;

/// The entry of a default ACL that allows all IPv4, and the one that allows all IPv6.
pub const DEFAULT_ENTRIES: [(u16, Family); 2] = [(100, Family::V4), (101, Family::V6)];

/// The link-local addresses of IPv6: whoever sends from them or to them is on the link.
const LINK: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10);

/// A network ACL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkAcl {
    /// Its name.
    pub id: NetworkAclId,
    /// Its owner.
    pub account: AccountId,
    /// The VPC whose subnets may have it.
    pub vpc: VpcId,
    /// Whether it is the one that new subnets of the VPC get.
    pub is_default: bool,
    /// Ingress first, each direction by number, every number once in a direction.
    pub entries: Vec<AclEntry>,
    /// The owner's tags.
    pub tags: Tags,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An entry of a network ACL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AclEntry {
    /// Its number; lower ones decide first.
    pub number: u16,
    /// What it says, of packets as an interface in the subnet sees them. Its peer is a block.
    pub spec: RuleSpec,
}

impl AclEntry {
    /// Where it stands among the others.
    #[must_use]
    pub fn place(&self) -> (Direction, u16) {
        (self.spec.direction, self.number)
    }

    /// Whether it decides about every packet of a family in its direction.
    fn is_about_all(&self, family: Family) -> bool {
        let is_of_family = match &self.spec.peer {
            Peer::Cidr(cidr) => cidr.is_world() && cidr.family() == family,
            Peer::PrefixList(_) | Peer::Group { .. } => false,
        };
        is_of_family && self.spec.protocol == Protocol::Any
    }
}

/// Which ACL a subnet has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AclAssociation {
    /// Its name; a new one with every change.
    pub id: AclAssociationId,
    /// The ACL.
    pub acl: NetworkAclId,
}

impl NetworkAcl {
    /// The entries that the default ACL of a VPC is made with: everything is allowed.
    #[must_use]
    pub fn default_entries(family: Family) -> Vec<AclEntry> {
        let of_family = DEFAULT_ENTRIES.into_iter().filter(|(_, own)| *own == family);
        of_family.flat_map(|(number, family)| both_ways().map(move |way| allow_all(number, way, family))).collect()
    }

    /// Those of a direction, IPv4 first.
    #[must_use]
    pub fn default_entries_of(direction: Direction) -> [AclEntry; 2] {
        DEFAULT_ENTRIES.map(|(number, family)| allow_all(number, direction, family))
    }

    /// The entries of a direction, in the order in which they are looked at.
    pub fn entries_of(&self, direction: Direction) -> impl Iterator<Item = &AclEntry> {
        self.entries.iter().filter(move |entry| entry.spec.direction == direction)
    }

    /// The entry of a direction and number.
    #[must_use]
    pub fn entry(&self, direction: Direction, number: u16) -> Option<&AclEntry> {
        self.entries_of(direction).find(|entry| entry.number == number)
    }

    /// The ACL with an entry, in place of one that has its direction and number.
    pub fn put(&mut self, entry: AclEntry) {
        self.remove(entry.spec.direction, entry.number);
        let at = self.entries.partition_point(|other| other.place() < entry.place());
        self.entries.insert(at, entry);
    }

    /// The ACL without an entry.
    pub fn remove(&mut self, direction: Direction, number: u16) {
        self.entries.retain(|entry| entry.place() != (direction, number));
    }

    /// Whether nothing that enters or leaves a subnet is denied, as far as a look at first entries tells. An ACL of which this is
    /// true need not be asked.
    #[must_use]
    pub fn allows_all(&self, subnet: &Subnet) -> bool {
        let families = [Some(Family::V4), subnet.ipv6.map(|_| Family::V6)];
        let is_open = |direction, family| {
            let about = |entry: &&AclEntry| match &entry.spec.peer {
                Peer::Cidr(cidr) => cidr.family() == family,
                Peer::PrefixList(_) | Peer::Group { .. } => true,
            };
            let first = self.entries_of(direction).find(about);
            first.is_some_and(|entry| entry.spec.action == Action::Allow && entry.is_about_all(family))
        };
        families.into_iter().flatten().all(|family| both_ways().all(|direction| is_open(direction, family)))
    }
}

fn both_ways() -> impl Iterator<Item = Direction> {
    [Direction::Ingress, Direction::Egress].into_iter()
}

fn allow_all(number: u16, direction: Direction, family: Family) -> AclEntry {
    let peer = Peer::Cidr(Cidr::world(family));
    AclEntry { number, spec: RuleSpec::plain(direction, Action::Allow, (Protocol::Any, Service::Any), peer) }
}

/// The peers that an interface of a subnet reaches without leaving it: the subnet's own blocks, and what is on the link. Without
/// an IPv6 block there is nothing else to reach over IPv6.
#[must_use]
pub fn neighbours(subnet: &Subnet) -> Vec<IpNet> {
    let v6 = subnet.ipv6.map_or_else(|| vec![Ipv6Net::default()], |block| vec![block, LINK]);
    std::iter::once(IpNet::V4(subnet.cidr)).chain(v6.into_iter().map(IpNet::V6)).collect()
}

impl Subnet {
    /// Whether the subnet has an ACL.
    #[must_use]
    pub fn has_acl(&self, acl: &NetworkAclId) -> bool {
        self.acl.as_ref().is_some_and(|own| own.acl == *acl)
    }
}

impl World {
    /// A subnet with its ACL.
    #[must_use]
    pub fn acl_of(&self, subnet: &SubnetId) -> Option<(&Subnet, &NetworkAcl)> {
        let subnet = self.subnet(subnet)?;
        let acl = self.network_acl(&subnet.acl.as_ref()?.acl)?;
        Some((subnet, acl))
    }

    /// The ENIs of the subnets that have an ACL.
    pub fn enis_behind<'a>(&'a self, acl: &'a NetworkAcl) -> impl Iterator<Item = &'a Arc<Eni>> {
        let is_behind = |eni: &&Arc<Eni>| self.subnet(&eni.subnet).is_some_and(|subnet| subnet.has_acl(&acl.id));
        self.enis_in(&acl.vpc).filter(is_behind)
    }

    /// The ENIs of a subnet, if they may meet another ACL than before, or meet it with others than before.
    pub fn enis_regarded<'a>(&'a self, before: &World, id: &'a SubnetId) -> impl Iterator<Item = &'a Arc<Eni>> {
        let seen = |world: &World| world.subnet(id).map(|subnet| (subnet.acl.clone(), subnet.cidr, subnet.ipv6));
        let subnet = self.subnet(id).filter(|_| seen(before) != seen(self));
        subnet.into_iter().flat_map(|subnet| self.enis_in(&subnet.vpc)).filter(move |eni| eni.subnet == *id)
    }

    /// The default ACL of a VPC.
    #[must_use]
    pub fn default_acl(&self, vpc: &VpcId) -> Option<&NetworkAcl> {
        self.network_acls().find(|acl| acl.vpc == *vpc && acl.is_default).map(|acl| &**acl)
    }
}

/// Whether an ENI of a subnet and a peer are on one link.
#[must_use]
pub fn is_neighbour(subnet: &Subnet, peer: IpAddr) -> bool {
    neighbours(subnet).iter().any(|block| block.contains(&peer))
}
