//! VPCs and subnets.

use std::{net::Ipv6Addr, sync::Arc};

use ipnet::{Ipv4Net, Ipv6Net};

use super::{Draft, missing, within};
use crate::{
    change::Change,
    command::{NetworkPatch, NewSubnet, NewVpc, Outcome, VpcIpv6},
    ids::{AccountId, SubnetId, VpcId},
    refusal::{Counted, Kind, Refusal},
    world::{Dialect, Flavor, Group, Subnet, Vpc, VpcAttribute},
};

/// Blocks that no VPC may use: loopback, link-local, shared address space, multicast and reserved. The
/// addresses of `<vpc-id>.outside` lie in documentation blocks, which are kept free for it.
const RESERVED: [&str; 8] = [
    "0.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "192.0.2.0/24",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/3",
];

impl Draft<'_> {
    pub(super) fn create_vpc(&mut self, new: &NewVpc) -> Result<Outcome, Refusal> {
        let NewVpc { account, region, name, description, cidr, ipv6, resource_group, tags } = new;
        within(Counted::Tags, self.limits(account).tags, tags.len())?;
        self.check_resource_group(account, resource_group)?;
        let owned = self.world.vpcs().filter(|vpc| vpc.account == *account && vpc.region == *region).count();
        within(Counted::Vpcs, self.limits(account).vpcs, owned + 1)?;
        let dialect = self.world.dialect_of(account);
        check_vpc_block(*cidr, dialect)?;
        let ipv6 = match ipv6 {
            VpcIpv6::Off => None,
            VpcIpv6::Any => Some(self.fresh_ipv6_block()),
            VpcIpv6::Block(block) => Some(check_vpc_ipv6(*block)?),
        };
        let id: VpcId = self.context.ids.fresh(dialect, "vpc", |id| self.world.vpc(id).is_some());
        let vpc = Vpc {
            id: id.clone(),
            account: account.clone(),
            region: region.clone(),
            name: name.clone(),
            description: description.clone(),
            cidr: *cidr,
            ipv6,
            further: Vec::new(),
            ways: None,
            resource_group: resource_group.clone(),
            tags: tags.clone(),
            shared_with: Vec::new(),
            attributes: VpcAttribute::of_new(),
            created_at: self.context.now,
        };
        self.put(Change::PutVpc(Arc::new(vpc.clone())));
        match dialect {
            Dialect::Ecs => {}
            Dialect::Ec2 => {
                self.default_group(account, &id)?;
                self.default_acl(&vpc);
            }
        }
        Ok(Outcome::Vpc(id))
    }

    pub(super) fn delete_vpc(&mut self, account: &AccountId, id: &VpcId) -> Result<Outcome, Refusal> {
        self.own_vpc(account, id)?;
        let subnet = self.world.subnets().find(|subnet| subnet.vpc == *id).map(|subnet| subnet.id.to_string());
        // What EC2 made with the VPC goes with it.
        let goes = |group: &Group| group.is_default && group.flavor == Flavor::Ec2;
        let inside: Vec<_> = self.world.groups().filter(|group| group.vpc == *id).cloned().collect();
        let acls: Vec<_> = self.world.network_acls().filter(|acl| acl.vpc == *id).cloned().collect();
        let acl = || acls.iter().find(|acl| !acl.is_default).map(|acl| acl.id.to_string());
        let group = || inside.iter().find(|group| !goes(group)).map(|group| group.id.to_string());
        let guest = || {
            let mut groups = self.world.groups();
            groups.find(|group| group.also_in.contains(id)).map(|group| group.id.to_string())
        };
        if let Some(by) = subnet.or_else(group).or_else(guest).or_else(acl) {
            return Err(Refusal::InUse { kind: Kind::Vpc, id: id.to_string(), by });
        }
        inside.iter().for_each(|group| self.drop_group(group));
        acls.iter().for_each(|acl| self.put(Change::DeleteNetworkAcl(acl.id.clone())));
        self.end_peerings_of(account, id);
        self.put(Change::DeleteVpc(id.clone()));
        Ok(Outcome::Done)
    }

    pub(super) fn create_subnet(&mut self, new: &NewSubnet) -> Result<Outcome, Refusal> {
        let NewSubnet { account, vpc, zone, name, description, cidr, ipv6_index, tags } = new;
        within(Counted::Tags, self.limits(account).tags, tags.len())?;
        let vpc = self.own_vpc(account, vpc)?;
        let siblings = self.world.subnets().filter(|subnet| subnet.vpc == vpc.id).count();
        within(Counted::Subnets, self.limits(account).subnets_per_vpc, siblings + 1)?;
        let dialect = self.world.dialect_of(account);
        check_subnet_block(*cidr, &vpc, dialect)?;
        let ipv6 = ipv6_index.map(|index| subnet_ipv6(&vpc, index)).transpose()?;
        self.check_free(&vpc, *cidr, ipv6)?;
        let prefix = match dialect {
            Dialect::Ecs => "vsw",
            Dialect::Ec2 => "subnet",
        };
        let id: SubnetId = self.context.ids.fresh(dialect, prefix, |id| self.world.subnet(id).is_some());
        let subnet = Subnet {
            id: id.clone(),
            vpc: vpc.id.clone(),
            account: account.clone(),
            zone: zone.clone(),
            name: name.clone(),
            description: description.clone(),
            cidr: *cidr,
            ipv6,
            resource_group: vpc.resource_group.clone(),
            tags: tags.clone(),
            acl: self.default_association(&vpc),
            created_at: self.context.now,
        };
        self.put(Change::PutSubnet(Arc::new(subnet)));
        Ok(Outcome::Subnet(id))
    }

    pub(super) fn delete_subnet(&mut self, account: &AccountId, id: &SubnetId) -> Result<Outcome, Refusal> {
        let owned = self.world.subnet(id).is_some_and(|subnet| subnet.account == *account);
        if !owned {
            return Err(missing(Kind::Subnet, id));
        }
        if let Some(eni) = self.world.enis().find(|eni| eni.subnet == *id) {
            let by = eni.instance.as_ref().map_or(eni.id.to_string(), ToString::to_string);
            return Err(Refusal::InUse { kind: Kind::Subnet, id: id.to_string(), by });
        }
        self.put(Change::DeleteSubnet(id.clone()));
        Ok(Outcome::Done)
    }

    pub(super) fn modify_vpc(
        &mut self,
        account: &AccountId,
        id: &VpcId,
        patch: &NetworkPatch,
        ipv6: VpcIpv6,
    ) -> Result<Outcome, Refusal> {
        let old = self.own_vpc(account, id)?;
        let mut vpc = Vpc::clone(&old);
        vpc.name = patch.name.clone().unwrap_or(vpc.name);
        vpc.description = patch.description.clone().unwrap_or(vpc.description);
        vpc.ipv6 = match (ipv6, old.ipv6) {
            (VpcIpv6::Off, known) | (VpcIpv6::Any, known @ Some(_)) => known,
            (VpcIpv6::Any, None) => Some(self.fresh_ipv6_block()),
            (VpcIpv6::Block(block), None) => Some(check_vpc_ipv6(block)?),
            (VpcIpv6::Block(block), Some(known)) if block == known => Some(known),
            (VpcIpv6::Block(block), Some(known)) => return Err(bad(block, &format!("the VPC has {known} already"))),
        };
        if vpc != *old {
            self.check_peers_of(&vpc)?;
            self.put(Change::PutVpc(Arc::new(vpc)));
        }
        Ok(Outcome::Done)
    }

    pub(super) fn set_vpc_attribute(
        &mut self,
        account: &AccountId,
        id: &VpcId,
        attribute: VpcAttribute,
        is_on: bool,
    ) -> Result<Outcome, Refusal> {
        let mut vpc = Vpc::clone(&*self.own_vpc(account, id)?);
        let is_new = if is_on { vpc.attributes.insert(attribute) } else { vpc.attributes.remove(&attribute) };
        if is_new {
            self.put(Change::PutVpc(Arc::new(vpc)));
        }
        Ok(Outcome::Done)
    }

    pub(super) fn modify_subnet(
        &mut self,
        account: &AccountId,
        id: &SubnetId,
        patch: &NetworkPatch,
        ipv6_index: Option<u8>,
    ) -> Result<Outcome, Refusal> {
        let old = self.own_subnet(account, id)?;
        let vpc = self.own_vpc(account, &old.vpc)?;
        let mut subnet = Subnet::clone(&old);
        subnet.name = patch.name.clone().unwrap_or(subnet.name);
        subnet.description = patch.description.clone().unwrap_or(subnet.description);
        if let Some(block) = ipv6_index.map(|index| subnet_ipv6(&vpc, index)).transpose()? {
            if let Some(known) = old.ipv6.filter(|known| *known != block) {
                return Err(bad(block, &format!("the subnet has {known} already")));
            }
            self.check_ipv6_free(&old, block)?;
            subnet.ipv6 = Some(block);
        }
        if subnet != *old {
            self.put(Change::PutSubnet(Arc::new(subnet)));
        }
        Ok(Outcome::Done)
    }

    fn check_ipv6_free(&self, subnet: &Subnet, block: Ipv6Net) -> Result<(), Refusal> {
        let is_it =
            |other: &&Arc<Subnet>| other.vpc == subnet.vpc && other.id != subnet.id && other.ipv6 == Some(block);
        match self.world.subnets().find(is_it) {
            Some(other) => Err(Refusal::Overlap { cidr: block.to_string(), other: other.id.to_string() }),
            None => Ok(()),
        }
    }

    pub(super) fn own_vpc(&self, account: &AccountId, id: &VpcId) -> Result<Arc<Vpc>, Refusal> {
        let vpc = self.world.vpc(id).filter(|vpc| vpc.account == *account);
        vpc.cloned().ok_or_else(|| missing(Kind::Vpc, id))
    }

    fn own_subnet(&self, account: &AccountId, id: &SubnetId) -> Result<Arc<Subnet>, Refusal> {
        let subnet = self.world.subnet(id).filter(|subnet| subnet.account == *account);
        subnet.cloned().ok_or_else(|| missing(Kind::Subnet, id))
    }

    /// A VPC that an account may have groups and interfaces in: its own, or one that is shared with it.
    pub(super) fn open_vpc(&self, account: &AccountId, id: &VpcId) -> Result<Arc<Vpc>, Refusal> {
        let vpc = self.world.vpc(id).filter(|vpc| vpc.is_open_to(account));
        vpc.cloned().ok_or_else(|| missing(Kind::Vpc, id))
    }

    /// A subnet that an account may have interfaces in.
    pub(super) fn open_subnet(&self, account: &AccountId, id: &SubnetId) -> Result<Arc<Subnet>, Refusal> {
        let is_open = |subnet: &Subnet| self.world.vpc(&subnet.vpc).is_some_and(|vpc| vpc.is_open_to(account));
        let subnet = self.world.subnet(id).filter(|subnet| is_open(subnet));
        subnet.cloned().ok_or_else(|| missing(Kind::Subnet, id))
    }

    /// A unique-local /56 (RFC 4193) that no other VPC has.
    fn fresh_ipv6_block(&mut self) -> Ipv6Net {
        loop {
            let bits = (0xfd_u128 << 120) | (u128::from(self.context.ids.next_u64() >> 16) << 72);
            let block = Ipv6Net::new(Ipv6Addr::from(bits), 56).unwrap_or_default().trunc();
            if self.world.vpcs().all(|vpc| vpc.ipv6 != Some(block)) {
                return block;
            }
        }
    }

    fn check_free(&self, vpc: &Vpc, cidr: Ipv4Net, ipv6: Option<Ipv6Net>) -> Result<(), Refusal> {
        for other in self.world.subnets().filter(|subnet| subnet.vpc == vpc.id) {
            if overlaps(cidr, other.cidr) {
                return Err(Refusal::Overlap { cidr: cidr.to_string(), other: other.id.to_string() });
            }
            if let Some(block) = ipv6.filter(|_| ipv6 == other.ipv6) {
                return Err(Refusal::Overlap { cidr: block.to_string(), other: other.id.to_string() });
            }
        }
        Ok(())
    }
}

pub(super) fn overlaps(one: Ipv4Net, other: Ipv4Net) -> bool {
    one.contains(&other.network()) || other.contains(&one.network())
}

fn bad(cidr: impl ToString, reason: &str) -> Refusal {
    Refusal::BadCidr { cidr: cidr.to_string(), reason: reason.to_owned() }
}

fn check_vpc_block(cidr: Ipv4Net, dialect: Dialect) -> Result<(), Refusal> {
    if cidr.addr() != cidr.network() {
        return Err(bad(cidr, "its host bits are not zero"));
    }
    let (largest, smallest) = match dialect {
        Dialect::Ecs => (8, 28),
        Dialect::Ec2 => (16, 28),
    };
    if !(largest..=smallest).contains(&cidr.prefix_len()) {
        return Err(bad(cidr, &format!("a VPC is between /{largest} and /{smallest}")));
    }
    let reserved = RESERVED.iter().filter_map(|text| text.parse::<Ipv4Net>().ok());
    if reserved.into_iter().any(|block| overlaps(cidr, block)) {
        return Err(bad(cidr, "it is reserved; use a block of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16"));
    }
    Ok(())
}

fn check_vpc_ipv6(block: Ipv6Net) -> Result<Ipv6Net, Refusal> {
    let reserved = ["2001:db8:ffff::/48", "fe80::/10", "ff00::/8", "::/8"];
    let mut reserved = reserved.iter().filter_map(|text| text.parse::<Ipv6Net>().ok());
    if block.prefix_len() != 56 || block.addr() != block.network() {
        return Err(bad(block, "the IPv6 block of a VPC is a /56 whose host bits are zero"));
    }
    if reserved.any(|other| other.contains(&block.network())) {
        return Err(bad(block, "it is reserved; use a global or unique-local block"));
    }
    Ok(block)
}

fn check_subnet_block(cidr: Ipv4Net, vpc: &Vpc, dialect: Dialect) -> Result<(), Refusal> {
    if cidr.addr() != cidr.network() {
        return Err(bad(cidr, "its host bits are not zero"));
    }
    let smallest = match dialect {
        Dialect::Ecs => 29,
        Dialect::Ec2 => 28,
    };
    if !(16..=smallest).contains(&cidr.prefix_len()) {
        return Err(bad(cidr, &format!("a subnet is between /16 and /{smallest}")));
    }
    if !vpc.cidr.contains(&cidr) {
        return Err(bad(cidr, &format!("it is not within {} of its VPC", vpc.cidr)));
    }
    Ok(())
}

fn subnet_ipv6(vpc: &Vpc, index: u8) -> Result<Ipv6Net, Refusal> {
    let block = vpc.ipv6.ok_or_else(|| Refusal::NoIpv6 { kind: Kind::Vpc, id: vpc.id.to_string() })?;
    let bits = u128::from(block.network()) | (u128::from(index) << 64);
    Ipv6Net::new(Ipv6Addr::from(bits), 64).map_err(|_| bad(block, "it cannot be divided into /64 blocks"))
}
