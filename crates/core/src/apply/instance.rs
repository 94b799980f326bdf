//! Instances and their primary ENIs.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use super::{Draft, missing, within};
use crate::{
    address::Mac,
    change::Change,
    command::{NewInstances, Outcome},
    ids::{AccountId, EniId, GroupId, InstanceId},
    limits::ENI_ADDRESSES_MAX,
    refusal::{Counted, Kind, Refusal},
    tags::Tags,
    world::{Eni, Instance, Subnet, Timeouts},
};

impl Draft<'_> {
    pub(super) fn run_instances(&mut self, new: &NewInstances) -> Result<Outcome, Refusal> {
        let NewInstances { account, subnet, groups, amount, address, ipv6_count, .. } = new;
        let limits = self.limits(account);
        within(Counted::Tags, limits.tags, new.tags.len())?;
        self.check_resource_group(account, &new.resource_group)?;
        within(Counted::InstancesOfCall, limits.instances_per_call, *amount as usize)?;
        within(Counted::AddressesOfEni, ENI_ADDRESSES_MAX as u32 - 1, *ipv6_count as usize)?;
        let subnet = self.open_subnet(account, subnet)?;
        if *ipv6_count > 0 && subnet.ipv6.is_none() {
            return Err(Refusal::NoIpv6 { kind: Kind::Subnet, id: subnet.id.to_string() });
        }
        let groups = self.attachable(account, groups, &subnet)?;
        let mut made = Vec::new();
        for _ in 0..*amount {
            let v4 = self.take_ipv4(&subnet, *address)?;
            let mut addresses = vec![IpAddr::V4(v4)];
            addresses.extend(self.free_ipv6(&subnet, *ipv6_count).map(IpAddr::V6));
            made.push(self.start(new, &subnet, &groups, addresses)?);
        }
        self.check_group_sizes(account, &groups)?;
        Ok(Outcome::Instances(made))
    }

    fn start(
        &mut self,
        new: &NewInstances,
        subnet: &Subnet,
        groups: &[GroupId],
        addresses: Vec<IpAddr>,
    ) -> Result<InstanceId, Refusal> {
        let NewInstances { account, name, description, image, instance_type, .. } = new;
        let dialect = self.world.dialect_of(account);
        let id: InstanceId = self.context.ids.fresh(dialect, "i", |id| self.world.instance(id).is_some());
        let instance = Instance {
            id: id.clone(),
            account: account.clone(),
            vpc: subnet.vpc.clone(),
            subnet: subnet.id.clone(),
            host: self.context.host.clone(),
            name: if name.is_empty() { id.to_string() } else { name.clone() },
            description: description.clone(),
            image: image.clone(),
            instance_type: instance_type.clone(),
            resource_group: new.resource_group.clone(),
            tags: new.tags.clone(),
            created_at: self.context.now,
            created_in: self.world.revision().next(),
        };
        self.put(Change::PutInstance(Arc::new(instance)));
        let eni_id: EniId = self.context.ids.fresh(dialect, "eni", |id| self.world.eni(id).is_some());
        let eni = Eni {
            id: eni_id,
            account: account.clone(),
            vpc: subnet.vpc.clone(),
            subnet: subnet.id.clone(),
            instance: Some(id.clone()),
            device_index: 0,
            mac: self.fresh_mac(),
            addresses,
            groups: groups.to_vec(),
            treatment: None,
            timeouts: Timeouts::of(dialect),
            source_check: true,
            resource_group: new.resource_group.clone(),
            tags: Tags::default(),
            created_at: self.context.now,
        };
        self.put(Change::PutEni(Arc::new(eni)));
        Ok(id)
    }

    pub(super) fn delete_instances(
        &mut self,
        account: &AccountId,
        instances: &[InstanceId],
    ) -> Result<Outcome, Refusal> {
        for id in instances {
            let owned = self.world.instance(id).is_some_and(|instance| instance.account == *account);
            if !owned {
                return Err(missing(Kind::Instance, id));
            }
            let enis: Vec<EniId> = self.world.enis_of(id).map(|eni| eni.id.clone()).collect();
            for eni in enis {
                self.put(Change::DeleteEni(eni));
            }
            self.put(Change::DeleteInstance(id.clone()));
        }
        Ok(Outcome::Done)
    }

    fn take_ipv4(&self, subnet: &Subnet, wanted: Option<Ipv4Addr>) -> Result<Ipv4Addr, Refusal> {
        let dialect = self.world.dialect_of(&subnet.account);
        let (first, last) = subnet.assignable(dialect);
        let free = |address: &Ipv4Addr| {
            *address != subnet.gateway(dialect) && self.world.eni_at(&subnet.vpc, IpAddr::V4(*address)).is_none()
        };
        let Some(wanted) = wanted else {
            let mut range = (u32::from(first)..=u32::from(last)).map(Ipv4Addr::from);
            return range.find(free).ok_or_else(|| Refusal::SubnetFull { subnet: subnet.id.to_string() });
        };
        let refuse = |reason: &str| Refusal::BadAddress {
            address: wanted.to_string(),
            subnet: subnet.id.to_string(),
            reason: reason.to_owned(),
        };
        if !(first..=last).contains(&wanted) {
            return Err(refuse("it is outside the block or reserved"));
        }
        if free(&wanted) { Ok(wanted) } else { Err(refuse("another interface has it")) }
    }

    fn free_ipv6(&self, subnet: &Subnet, count: u32) -> impl Iterator<Item = std::net::Ipv6Addr> {
        let candidates = (0_u64..).map_while(|index| subnet.ipv6_at(index));
        let free = candidates.filter(|address| self.world.eni_at(&subnet.vpc, IpAddr::V6(*address)).is_none());
        free.take(count as usize).collect::<Vec<_>>().into_iter()
    }

    /// A locally administered MAC. Every ENI has a link of its own, so two may share one without harm.
    fn fresh_mac(&mut self) -> Mac {
        let [_, _, a, b, c, d, e, f] = self.context.ids.next_u64().to_be_bytes();
        Mac([(a & 0xfc) | 0x02, b, c, d, e, f])
    }
}
