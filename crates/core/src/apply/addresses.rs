//! Private addresses of interfaces: which a subnet has free, and which of them an interface gets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Draft, within};
use crate::{
    command::NewAddresses,
    ids::AccountId,
    limits::ENI_ADDRESSES_MAX,
    refusal::{Counted, Kind, Refusal},
    world::Subnet,
};

/// IPv6 addresses at the beginning of a subnet that no interface gets.
const IPV6_RESERVED: u128 = 0x10;

impl Draft<'_> {
    /// An interface's addresses: those it has, followed by new ones, the first of which is its primary.
    pub(super) fn with_addresses(
        &self,
        subnet: &Subnet,
        has: Vec<IpAddr>,
        new: &NewAddresses,
    ) -> Result<Vec<IpAddr>, Refusal> {
        check_counts(&self.limits(&subnet.account), &has, new)?;
        let mut all = has;
        for address in &new.ipv4 {
            all.push(IpAddr::V4(self.take_ipv4(subnet, &all, Some(*address))?));
        }
        for _ in 0..new.ipv4_count {
            all.push(IpAddr::V4(self.take_ipv4(subnet, &all, None)?));
        }
        for address in &new.ipv6 {
            all.push(IpAddr::V6(self.take_ipv6(subnet, &all, *address)?));
        }
        if new.ipv6_count > 0 {
            let free = self.free_ipv6(subnet, &all, new.ipv6_count)?;
            all.extend(free.into_iter().map(IpAddr::V6));
        }
        Ok(all)
    }

    /// An IPv4 address for an interface that is to have some already.
    pub(super) fn take_ipv4(
        &self,
        subnet: &Subnet,
        has: &[IpAddr],
        wanted: Option<Ipv4Addr>,
    ) -> Result<Ipv4Addr, Refusal> {
        let dialect = self.world.dialect_of(&subnet.account);
        let (first, last) = subnet.assignable(dialect);
        let free =
            |address: &Ipv4Addr| *address != subnet.gateway(dialect) && self.is_free(subnet, has, (*address).into());
        let Some(wanted) = wanted else {
            // Side by side with those that are taken: a look-up for each would be felt in a large subnet.
            let mut taken = self.world.addresses_from(&subnet.vpc, first.into()).peekable();
            let mut range = (u32::from(first)..=u32::from(last)).map(Ipv4Addr::from);
            let found = range.find(|address| {
                let is_taken = taken.next_if(|taken| taken == address).is_some();
                !is_taken && *address != subnet.gateway(dialect) && !has.contains(&(*address).into())
            });
            return found.ok_or_else(|| Refusal::SubnetFull { subnet: subnet.id.to_string() });
        };
        if !(first..=last).contains(&wanted) || wanted == subnet.gateway(dialect) {
            return Err(outside(subnet, wanted.into()));
        }
        if free(&wanted) { Ok(wanted) } else { Err(taken(subnet, wanted.into())) }
    }

    fn take_ipv6(&self, subnet: &Subnet, has: &[IpAddr], wanted: Ipv6Addr) -> Result<Ipv6Addr, Refusal> {
        let block = subnet.ipv6.ok_or_else(|| no_ipv6(subnet))?;
        let index = u128::from(wanted).wrapping_sub(u128::from(block.network()));
        if !block.contains(&wanted) || index < IPV6_RESERVED {
            return Err(outside(subnet, wanted.into()));
        }
        if self.is_free(subnet, has, wanted.into()) { Ok(wanted) } else { Err(taken(subnet, wanted.into())) }
    }

    fn free_ipv6(&self, subnet: &Subnet, has: &[IpAddr], count: u32) -> Result<Vec<Ipv6Addr>, Refusal> {
        if subnet.ipv6.is_none() {
            return Err(no_ipv6(subnet));
        }
        let candidates = (0_u64..).map_while(|index| subnet.ipv6_at(index));
        let free = candidates.filter(|address| self.is_free(subnet, has, (*address).into()));
        Ok(free.take(count as usize).collect())
    }

    fn is_free(&self, subnet: &Subnet, has: &[IpAddr], address: IpAddr) -> bool {
        !has.contains(&address) && self.world.eni_at(&subnet.vpc, address).is_none()
    }

    /// Refuses more addresses in the groups of an interface than they may have.
    pub(super) fn check_sizes_of(&self, account: &AccountId, eni: &crate::ids::EniId) -> Result<(), Refusal> {
        let groups = self.world.eni(eni).map(|eni| eni.groups.clone()).unwrap_or_default();
        self.check_group_sizes(account, &groups)
    }
}

fn check_counts(limits: &crate::limits::Limits, has: &[IpAddr], new: &NewAddresses) -> Result<(), Refusal> {
    let ipv4 = has.iter().filter(|address| address.is_ipv4()).count();
    let ipv6 = has.len() - ipv4;
    let ipv4 = ipv4.saturating_add(new.ipv4.len()).saturating_add(new.ipv4_count as usize);
    let ipv6 = ipv6.saturating_add(new.ipv6.len()).saturating_add(new.ipv6_count as usize);
    within(Counted::Ipv4OfEni, limits.ipv4_per_eni, ipv4)?;
    within(Counted::Ipv6OfEni, limits.ipv6_per_eni, ipv6)?;
    within(Counted::AddressesOfEni, ENI_ADDRESSES_MAX as u32, ipv4 + ipv6)
}

fn no_ipv6(subnet: &Subnet) -> Refusal {
    Refusal::NoIpv6 { kind: Kind::Subnet, id: subnet.id.to_string() }
}

fn outside(subnet: &Subnet, address: IpAddr) -> Refusal {
    let reason = "it is outside the block or reserved".to_owned();
    Refusal::BadAddress { address: address.to_string(), subnet: subnet.id.to_string(), reason }
}

fn taken(subnet: &Subnet, address: IpAddr) -> Refusal {
    Refusal::AddressTaken { address: address.to_string(), subnet: subnet.id.to_string() }
}
