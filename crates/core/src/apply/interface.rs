//! Network interfaces: made, attached, changed, detached and deleted.
//!
//! The primary ENI is made and deleted with its instance and never leaves it. A secondary ENI is a thing of its own:
//! it keeps its addresses and groups wherever it is, also while it is attached to nothing.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use super::{Draft, binding::check_bound_here, missing, within};
use crate::{
    address::Mac,
    change::Change,
    command::{EniPatch, EniSpec, NewAddresses, Outcome},
    ids::{AccountId, EniId, GroupId, InstanceId, SubnetId},
    refusal::{Counted, Kind, Refusal},
    world::{Eni, Revision, Timeouts},
};

impl Draft<'_> {
    pub(super) fn create_eni(&mut self, account: &AccountId, spec: &EniSpec) -> Result<Outcome, Refusal> {
        within(Counted::Tags, self.limits(account).tags, spec.tags.len())?;
        self.check_resource_group(account, &spec.resource_group)?;
        let id = self.make_eni(account, spec, None)?;
        self.check_secondary_enis(account, &spec.subnet)?;
        self.check_sizes_of(account, &id)?;
        Ok(Outcome::Eni(id))
    }

    /// Makes an ENI, in its place in an instance or in none. The sizes of its groups are for the caller to check.
    pub(super) fn make_eni(
        &mut self,
        account: &AccountId,
        spec: &EniSpec,
        place: Option<(&InstanceId, u8)>,
    ) -> Result<EniId, Refusal> {
        let subnet = self.open_subnet(account, &spec.subnet)?;
        let groups = self.groups_or_default(account, &spec.groups, &subnet)?;
        let primary = self.take_ipv4(&subnet, &[], spec.primary)?;
        let addresses = self.with_addresses(&subnet, vec![IpAddr::V4(primary)], &spec.more)?;
        let dialect = self.world.dialect_of(account);
        let id: EniId = self.context.ids.fresh(dialect, "eni", |id| self.world.eni(id).is_some());
        let eni = Eni {
            id: id.clone(),
            account: account.clone(),
            vpc: subnet.vpc.clone(),
            subnet: subnet.id.clone(),
            instance: place.map(|(instance, _)| instance.clone()),
            device_index: place.map_or(0, |(_, index)| index),
            mac: self.fresh_mac(),
            addresses,
            groups,
            treatment: None,
            timeouts: Timeouts::of(dialect).with(spec.timeouts),
            source_check: spec.source_check,
            created_at: self.context.now,
            name: spec.name.clone(),
            description: spec.description.clone(),
            delete_on_release: spec.delete_on_release,
            managed_by: None,
            resource_group: spec.resource_group.clone(),
            tags: spec.tags.clone(),
            moved_in: place.map_or(Revision::default(), |_| self.world.revision().next()),
            binding: None,
        };
        self.put(Change::PutEni(Arc::new(eni)));
        Ok(id)
    }

    pub(super) fn delete_eni(&mut self, account: &AccountId, id: &EniId) -> Result<Outcome, Refusal> {
        let eni = self.own_eni(account, id)?;
        must_be_free(&eni)?;
        self.put(Change::DeleteEni(id.clone()));
        Ok(Outcome::Done)
    }

    pub(super) fn attach_eni(
        &mut self,
        account: &AccountId,
        id: &EniId,
        instance: &InstanceId,
    ) -> Result<Outcome, Refusal> {
        let eni = self.own_eni(account, id)?;
        let target = self.own_instance(account, instance)?;
        must_be_free(&eni)?;
        check_bound_here(&eni, &target)?;
        if eni.vpc != target.vpc {
            return Err(Refusal::VpcMismatch { one: id.to_string(), other: instance.to_string() });
        }
        let zone = |subnet: &SubnetId| self.world.subnet(subnet).map(|subnet| subnet.zone.clone());
        if zone(&eni.subnet) != zone(&target.subnet) {
            let zone = zone(&eni.subnet).unwrap_or_default();
            return Err(Refusal::ZoneMismatch { eni: id.clone(), zone, instance: instance.clone() });
        }
        let taken: BTreeSet<u8> = self.world.enis_of(instance).map(|eni| eni.device_index).collect();
        within(Counted::EnisOfInstance, self.limits(account).enis_per_instance, taken.len() + 1)?;
        let free = (1..=u8::MAX).find(|index| !taken.contains(index));
        let moved_in = self.world.revision().next();
        let device_index = free.unwrap_or(u8::MAX);
        let eni = Eni { instance: Some(instance.clone()), device_index, moved_in, ..Eni::clone(&eni) };
        self.put(Change::PutEni(Arc::new(eni)));
        Ok(Outcome::Done)
    }

    pub(super) fn detach_eni(
        &mut self,
        account: &AccountId,
        id: &EniId,
        instance: &InstanceId,
    ) -> Result<Outcome, Refusal> {
        let eni = self.own_eni(account, id)?;
        self.own_instance(account, instance)?;
        if eni.instance.as_ref() != Some(instance) {
            return Err(Refusal::EniNotAttached { eni: id.clone(), instance: instance.clone() });
        }
        if eni.is_primary() {
            return Err(Refusal::PrimaryEni { eni: id.clone(), instance: instance.clone() });
        }
        self.release(&eni);
        Ok(Outcome::Done)
    }

    /// Takes an ENI from its instance; its addresses stay its own.
    pub(super) fn release(&mut self, eni: &Eni) {
        let moved_in = self.world.revision().next();
        let eni = Eni { instance: None, device_index: 0, moved_in, ..eni.clone() };
        self.put(Change::PutEni(Arc::new(eni)));
    }

    pub(super) fn modify_eni(
        &mut self,
        account: &AccountId,
        id: &EniId,
        patch: &EniPatch,
    ) -> Result<Outcome, Refusal> {
        let old = self.own_eni(account, id)?;
        let EniPatch { groups, name, description, timeouts, source_check, delete_on_release } = patch.clone();
        if let (Some(_), Some(instance), true) = (&groups, &old.instance, old.is_primary()) {
            return Err(Refusal::PrimaryEni { eni: id.clone(), instance: instance.clone() });
        }
        let mut eni = Eni::clone(&old);
        eni.name = name.unwrap_or(eni.name);
        eni.description = description.unwrap_or(eni.description);
        eni.timeouts = eni.timeouts.with(timeouts);
        eni.source_check = source_check.unwrap_or(eni.source_check);
        eni.delete_on_release = delete_on_release.unwrap_or(eni.delete_on_release);
        match groups {
            Some(groups) => self.regroup(account, &eni, &groups)?,
            None if eni != *old => self.put(Change::PutEni(Arc::new(eni))),
            None => {}
        }
        Ok(Outcome::Done)
    }

    /// Gives an ENI exactly these groups, which may be of another flavor than before, and writes it down.
    pub(super) fn regroup(&mut self, account: &AccountId, eni: &Eni, groups: &[GroupId]) -> Result<(), Refusal> {
        let groups = self.attachable(account, groups, (eni.id.as_str(), &eni.vpc))?;
        let new: Vec<GroupId> = groups.iter().filter(|group| !eni.groups.contains(group)).cloned().collect();
        let eni = Eni { groups, ..eni.clone() };
        if self.world.eni(&eni.id).is_none_or(|known| **known != eni) {
            self.put(Change::PutEni(Arc::new(eni)));
        }
        self.check_group_sizes(account, &new)
    }

    pub(super) fn assign_addresses(
        &mut self,
        account: &AccountId,
        id: &EniId,
        new: &NewAddresses,
    ) -> Result<Outcome, Refusal> {
        let eni = self.own_eni(account, id)?;
        let subnet = self.open_subnet(account, &eni.subnet)?;
        let addresses = self.with_addresses(&subnet, eni.addresses.clone(), new)?;
        let added = addresses.iter().skip(eni.addresses.len()).copied().collect();
        if addresses.len() > eni.addresses.len() {
            self.put(Change::PutEni(Arc::new(Eni { addresses, ..Eni::clone(&eni) })));
        }
        self.check_group_sizes(account, &eni.groups)?;
        Ok(Outcome::Addresses { eni: id.clone(), addresses: added })
    }

    pub(super) fn unassign_addresses(
        &mut self,
        account: &AccountId,
        id: &EniId,
        lost: &[IpAddr],
    ) -> Result<Outcome, Refusal> {
        let mut eni = Eni::clone(&*self.own_eni(account, id)?);
        for address in lost {
            let place = eni.addresses.iter().skip(1).position(|own| own == address);
            let Some(place) = place else {
                return Err(Refusal::AddressNotAssigned { eni: id.clone(), address: address.to_string() });
            };
            eni.addresses.remove(place + 1);
        }
        self.put(Change::PutEni(Arc::new(eni)));
        Ok(Outcome::Done)
    }

    /// An ENI that its owner may change: one that a cloud product manages is only looked at.
    pub(super) fn own_eni(&self, account: &AccountId, id: &EniId) -> Result<Arc<Eni>, Refusal> {
        let eni = self.world.eni(id).filter(|eni| eni.account == *account);
        let eni = eni.ok_or_else(|| missing(Kind::Eni, id))?;
        check_unmanaged(eni)?;
        Ok(Arc::clone(eni))
    }

    /// Refuses more secondary ENIs than an account may have in the region of a subnet.
    pub(super) fn check_secondary_enis(&self, account: &AccountId, subnet: &SubnetId) -> Result<(), Refusal> {
        let region_of = |id: &SubnetId| self.world.subnet(id).map(|subnet| self.world.region_of(&subnet.vpc));
        let region = region_of(subnet);
        let is_counted =
            |eni: &&Arc<Eni>| eni.account == *account && !eni.is_primary() && region_of(&eni.subnet) == region;
        let count = self.world.enis().filter(is_counted).count();
        within(Counted::SecondaryEnis, self.limits(account).secondary_enis, count)
    }

    /// A locally administered MAC. Every ENI has a link of its own, so two may share one without harm.
    fn fresh_mac(&mut self) -> Mac {
        let [_, _, a, b, c, d, e, f] = self.context.ids.next_u64().to_be_bytes();
        Mac([(a & 0xfc) | 0x02, b, c, d, e, f])
    }
}

pub(super) fn check_unmanaged(eni: &Eni) -> Result<(), Refusal> {
    if eni.managed_by.is_some() { Err(Refusal::ManagedEni { eni: eni.id.clone() }) } else { Ok(()) }
}

fn must_be_free(eni: &Eni) -> Result<(), Refusal> {
    match &eni.instance {
        None => Ok(()),
        Some(instance) if eni.is_primary() => {
            Err(Refusal::PrimaryEni { eni: eni.id.clone(), instance: instance.clone() })
        }
        Some(instance) => Err(Refusal::EniAttached { eni: eni.id.clone(), instance: instance.clone() }),
    }
}
