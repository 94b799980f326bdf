//! Secondary ENIs and the state of instances, by the names of a lab: `web#1` is the ENI at place 1 of `web`.

use sekimori_compile::abi;
use sekimori_core::{
    command::{Command, EniPatch, EniSpec, InstancePatch, Outcome, Power},
    ids::EniId,
    world::TimeoutChoice,
};

use super::{Lab, fail};

impl Lab {
    /// Makes an ENI with one IPv4 and one IPv6 address in the subnet of an instance, and attaches it there.
    pub fn add_eni(&mut self, instance: &str, groups: &[&str]) -> EniId {
        let groups = groups.iter().map(|group| self.group_id(group)).collect();
        let spec = EniSpec::new(self.eni(instance).subnet.clone(), groups).with_ipv6(1);
        let outcome = self.run(&Command::CreateEni { account: self.account.clone(), spec });
        let Outcome::Eni(eni) = outcome else { fail(&format!("no ENI but {outcome:?}")) };
        self.attach_eni(&eni, instance);
        eni
    }

    /// Attaches an ENI.
    pub fn attach_eni(&mut self, eni: &EniId, instance: &str) {
        let (account, instance) = (self.account.clone(), self.instance_id(instance));
        self.run(&Command::AttachEni { account, eni: eni.clone(), instance });
    }

    /// Detaches an ENI.
    pub fn detach_eni(&mut self, eni: &EniId, instance: &str) {
        let (account, instance) = (self.account.clone(), self.instance_id(instance));
        self.run(&Command::DetachEni { account, eni: eni.clone(), instance });
    }

    /// Starts, stops or reboots an instance.
    pub fn switch(&mut self, instance: &str, power: Power) {
        let (account, instances) = (self.account.clone(), vec![self.instance_id(instance)]);
        self.run(&Command::SetPower { account, instances, power, is_all_or_none: true });
    }

    /// Gives an instance exactly these groups.
    pub fn regroup(&mut self, instance: &str, groups: &[&str]) {
        let groups = Some(groups.iter().map(|group| self.group_id(group)).collect());
        let patch = InstancePatch { groups, ..InstancePatch::default() };
        let (account, instance) = (self.account.clone(), self.instance_id(instance));
        self.run(&Command::ModifyInstance { account, instance, patch });
    }

    /// Chooses idle timeouts of an ENI.
    pub fn choose_timeouts(&mut self, name: &str, timeouts: TimeoutChoice) {
        let (account, eni) = (self.account.clone(), self.eni(name).id.clone());
        let patch = EniPatch { timeouts, ..EniPatch::default() };
        self.run(&Command::ModifyEni { account, eni, patch });
    }

    /// What the kernel holds of an ENI.
    pub fn kernel_eni(&mut self, name: &str) -> abi::Eni {
        let eni = self.eni(name).id.clone();
        let slot =
            self.enforcer().tables().eni_slot(&eni).unwrap_or_else(|| fail(&format!("`{name}` has no number")));
        self.enforcer().plane().maps().enis.get(slot as usize)
    }
}
