//! Instances: made with their ENIs, started and stopped, changed and deleted.

use std::sync::Arc;

use super::{Draft, interface::check_unmanaged, missing, within};
use crate::{
    change::Change,
    command::{EniSpec, InstancePatch, NewInstances, Outcome, Power, PowerChange},
    ids::{AccountId, InstanceId},
    refusal::{Counted, Kind, Refusal},
    terminated::Terminated,
    world::{Dialect, Eni, Instance, InstanceState, Launch, Subnet},
};

impl Draft<'_> {
    pub(super) fn run_instances(&mut self, new: &NewInstances) -> Result<Outcome, Refusal> {
        let NewInstances { account, primary, secondary, attached, amount, .. } = new;
        let limits = self.limits(account);
        within(Counted::Tags, limits.tags, new.tags.len())?;
        self.check_resource_group(account, &new.resource_group)?;
        within(Counted::InstancesOfCall, limits.instances_per_call, *amount as usize)?;
        let subnet = self.open_subnet(account, &primary.subnet)?;
        let primary = self.with_groups(account, primary, &subnet)?;
        let mut made = Vec::new();
        let reservation = self.reservation(account);
        for index in 0..*amount {
            let launch = reservation.clone().map(|reservation| Launch { reservation, index });
            let id = self.start(new, &subnet, launch);
            self.make_eni(account, &primary, Some((&id, 0)))?;
            for spec in secondary {
                let eni = self.make_eni(account, spec, None)?;
                self.attach_eni(account, &eni, &id)?;
            }
            for eni in attached {
                self.attach_eni(account, eni, &id)?;
            }
            made.push(id);
        }
        self.check_group_sizes(account, &primary.groups)?;
        // All of them are in the instance's VPC, so in one region.
        if let Some(spec) = secondary.first() {
            self.check_secondary_enis(account, &spec.subnet)?;
        }
        for spec in secondary {
            self.check_group_sizes(account, &spec.groups)?;
        }
        Ok(Outcome::Instances(made))
    }

    /// The same ENI with the groups that each of several will carry: found and judged once.
    fn with_groups(&mut self, account: &AccountId, spec: &EniSpec, subnet: &Subnet) -> Result<EniSpec, Refusal> {
        let groups = self.groups_or_default(account, &spec.groups, subnet)?;
        Ok(EniSpec { groups, ..spec.clone() })
    }

    /// A name for the call, which EC2 groups instances by.
    fn reservation(&mut self, account: &AccountId) -> Option<String> {
        match self.world.dialect_of(account) {
            Dialect::Ecs => None,
            Dialect::Ec2 => Some(self.context.ids.fresh(Dialect::Ec2, "r", |_: &String| false)),
        }
    }

    fn start(&mut self, new: &NewInstances, subnet: &Subnet, launch: Option<Launch>) -> InstanceId {
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
            disk: new.disk.clone(),
            resource_group: new.resource_group.clone(),
            tags: new.tags.clone(),
            created_at: self.context.now,
            state: InstanceState::Running,
            state_since: self.world.revision().next(),
            launch,
        };
        self.put(Change::PutInstance(Arc::new(instance)));
        id
    }

    pub(super) fn delete_instances(
        &mut self,
        account: &AccountId,
        instances: &[InstanceId],
        is_forced: bool,
    ) -> Result<Outcome, Refusal> {
        // To terminate what is terminated already is no error.
        let is_left =
            |id: &&InstanceId| self.world.terminated().get(id).is_none_or(|gone| gone.instance.account != *account);
        let owned = instances.iter().filter(is_left).map(|id| self.own_instance(account, id));
        let mut deleted = Vec::with_capacity(instances.len());
        for instance in owned.collect::<Result<Vec<_>, _>>()? {
            let id = &instance.id;
            if instance.state == InstanceState::Running && !is_forced {
                return Err(Refusal::InstanceState { instance: id.clone(), state: instance.state });
            }
            let enis: Vec<Arc<Eni>> = self.world.enis_of(id).cloned().collect();
            for eni in enis {
                if eni.is_primary() || eni.delete_on_release {
                    self.put(Change::DeleteEni(eni.id.clone()));
                } else {
                    self.release(&eni);
                }
            }
            self.put(Change::DeleteInstance(id.clone()));
            self.go_on_showing(&instance);
            deleted.push((id.clone(), instance.state));
        }
        Ok(Outcome::Deleted(deleted))
    }

    /// EC2 shows a terminated instance for a while.
    pub(super) fn go_on_showing(&mut self, instance: &Instance) {
        match self.world.dialect_of(&instance.account) {
            Dialect::Ecs => return,
            Dialect::Ec2 => {}
        }
        for id in self.world.terminated().surplus(&instance.account) {
            self.put(Change::DeleteTerminated(id));
        }
        let region = self.world.region_of(&instance.vpc).to_owned();
        let gone = Terminated { instance: instance.clone(), region, at: self.context.now };
        self.put(Change::PutTerminated(Arc::new(gone)));
    }

    pub(super) fn forget_terminated(&mut self) -> Outcome {
        for id in self.world.terminated().due(self.context.now) {
            self.put(Change::DeleteTerminated(id));
        }
        Outcome::Done
    }

    pub(super) fn modify_instance(
        &mut self,
        account: &AccountId,
        id: &InstanceId,
        patch: &InstancePatch,
    ) -> Result<Outcome, Refusal> {
        let old = self.own_instance(account, id)?;
        let InstancePatch { groups, name, description } = patch.clone();
        let mut instance = Instance::clone(&old);
        instance.name = name.unwrap_or(instance.name);
        instance.description = description.unwrap_or(instance.description);
        if instance != *old {
            self.put(Change::PutInstance(Arc::new(instance)));
        }
        if let (Some(groups), Some(eni)) = (groups, self.world.primary_eni(id).cloned()) {
            check_unmanaged(&eni)?;
            self.regroup(account, &eni, &groups)?;
        }
        Ok(Outcome::Done)
    }

    /// Starts, stops or reboots. One that cannot is a refusal of all, or is left as it is and told.
    pub(super) fn set_power(
        &mut self,
        account: &AccountId,
        instances: &[InstanceId],
        power: Power,
        is_all_or_none: bool,
    ) -> Result<Outcome, Refusal> {
        let mut all = Vec::with_capacity(instances.len());
        for id in instances {
            let before = self.own_instance(account, id).ok().map(|instance| instance.state);
            let refused = self.switch(account, id, power).err();
            match refused {
                Some(refusal) if is_all_or_none => return Err(refusal),
                Some(_) => all.push(PowerChange { instance: id.clone(), before, after: before, refused }),
                None => {
                    let after = Some(power.makes());
                    all.push(PowerChange { instance: id.clone(), before, after, refused });
                }
            }
        }
        Ok(Outcome::Power(all))
    }

    fn switch(&mut self, account: &AccountId, id: &InstanceId, power: Power) -> Result<(), Refusal> {
        let old = self.own_instance(account, id)?;
        if old.state != power.needs() {
            return Err(Refusal::InstanceState { instance: id.clone(), state: old.state });
        }
        let state_since = self.world.revision().next();
        let instance = Instance { state: power.makes(), state_since, ..Instance::clone(&old) };
        self.put(Change::PutInstance(Arc::new(instance)));
        Ok(())
    }

    pub(super) fn own_instance(&self, account: &AccountId, id: &InstanceId) -> Result<Arc<Instance>, Refusal> {
        let instance = self.world.instance(id).filter(|instance| instance.account == *account);
        instance.cloned().ok_or_else(|| missing(Kind::Instance, id))
    }
}
