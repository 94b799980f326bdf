//! ENIs at interfaces of others: each interface is one ENI's, and each ENI is at one place.

use std::sync::Arc;

use super::{Draft, missing};
use crate::{
    address::Mac,
    binding::{Binding, BindingRefusal},
    change::Change,
    command::{BindingCommand, Outcome},
    ids::EniId,
    refusal::{Kind, Refusal},
    world::{Eni, Instance},
};

impl Draft<'_> {
    pub(super) fn run_binding(&mut self, command: &BindingCommand) -> Result<Outcome, Refusal> {
        match command {
            BindingCommand::Bind { eni, binding, mac, is_moved } => self.bind_eni(eni, binding, *mac, *is_moved),
            BindingCommand::Unbind { eni, holder } => self.unbind_eni(eni, holder.as_deref()),
        }
    }

    fn bind_eni(
        &mut self,
        id: &EniId,
        binding: &Binding,
        mac: Option<Mac>,
        is_moved: bool,
    ) -> Result<Outcome, Refusal> {
        let old = self.world.eni(id).cloned().ok_or_else(|| missing(Kind::Eni, id))?;
        binding.check()?;
        self.check_host(&old, binding)?;
        let is_elsewhere = |at: &Binding| !at.is_same_interface(binding) || at.side != binding.side;
        if let Some(at) = old.binding.as_ref().filter(|at| !is_moved && is_elsewhere(at)) {
            return Err(BindingRefusal::Elsewhere { eni: id.clone(), place: at.to_string() }.into());
        }
        let eni = Eni { binding: Some(binding.clone()), mac: mac.unwrap_or(old.mac), ..Eni::clone(&old) };
        self.check_alone(&eni, binding)?;
        if eni != *old {
            self.put(Change::PutEni(Arc::new(eni)));
        }
        Ok(Outcome::Done)
    }

    fn unbind_eni(&mut self, id: &EniId, holder: Option<&str>) -> Result<Outcome, Refusal> {
        let old = self.world.eni(id).cloned().ok_or_else(|| missing(Kind::Eni, id))?;
        match (&old.binding, holder) {
            (None, None) => Err(BindingRefusal::NotBound { eni: id.clone() }.into()),
            // Whoever held it has let it go already, and another may hold it now.
            (None, Some(_)) => Ok(Outcome::Done),
            (Some(binding), Some(holder)) if binding.holder != holder => Ok(Outcome::Done),
            (Some(_), _) => {
                self.put(Change::PutEni(Arc::new(Eni { binding: None, ..Eni::clone(&old) })));
                Ok(Outcome::Done)
            }
        }
    }

    /// An ENI is on one host only: its instance's, if it has one.
    fn check_host(&self, eni: &Eni, binding: &Binding) -> Result<(), BindingRefusal> {
        let instance = eni.instance.as_ref().and_then(|id| self.world.instance(id));
        match instance.filter(|instance| instance.host != binding.host) {
            None => Ok(()),
            Some(instance) => Err(BindingRefusal::OtherHost {
                eni: eni.id.clone(),
                instance: instance.id.clone(),
                host: instance.host.clone(),
            }),
        }
    }

    /// Refuses an interface that is another ENI's, and an Ethernet address that two bound ENIs of a VPC would have.
    fn check_alone(&self, eni: &Eni, binding: &Binding) -> Result<(), BindingRefusal> {
        let Mac(mac) = eni.mac;
        if mac == [0; 6] || mac[0] & 1 != 0 {
            return Err(BindingRefusal::Mac { mac: eni.mac });
        }
        for (other, at) in self.world.bound().filter(|(other, _)| other.id != eni.id) {
            if at.is_same_interface(binding) {
                return Err(BindingRefusal::InterfaceTaken { eni: other.id.clone(), place: at.to_string() });
            }
            if other.mac == eni.mac && other.vpc == eni.vpc {
                return Err(BindingRefusal::MacTaken { mac: eni.mac, eni: other.id.clone() });
            }
        }
        Ok(())
    }
}

/// Refuses to attach an ENI to an instance of another host than it is bound on.
pub(super) fn check_bound_here(eni: &Eni, instance: &Instance) -> Result<(), BindingRefusal> {
    match eni.binding.as_ref().filter(|binding| binding.host != instance.host) {
        None => Ok(()),
        Some(binding) => Err(BindingRefusal::BoundOnOtherHost {
            eni: eni.id.clone(),
            instance: instance.id.clone(),
            host: binding.host.clone(),
        }),
    }
}
