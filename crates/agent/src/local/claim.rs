//! Which names are taken for ours, before anything is made: what exists and is not ours is refused here.

use std::collections::{BTreeMap, BTreeSet};

use sekimori_core::ids::{EniId, VpcId};

use super::{
    Report,
    error::LocalError,
    registry::{Fact, InstanceRecord, LinkRecord, Registry},
    router::Router,
    wanted::{WantedInstance, WantedPort, WantedVpc, outside_name},
};
use crate::netlink::netns;

/// How a link stands in the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// It was listed just now for the first time: whatever has its name is not ours.
    New,
    /// It was listed before, and cannot exist: its next generation is listed already.
    Again,
    /// It was listed before, and may exist.
    Known,
}

/// What may be made.
#[derive(Debug, Default)]
pub(super) struct Claims {
    pub(super) vpcs: Vec<WantedVpc>,
    pub(super) instances: Vec<WantedInstance>,
    pub(super) links: BTreeMap<EniId, Claim>,
    facts: Vec<Fact>,
}

/// Takes the names of what is wanted, durably. What cannot have its names is left out and reported. Links in one
/// of the open `routers` may exist, even if somebody has taken the router's name away.
pub(super) fn claim(
    registry: &mut Registry,
    routers: &BTreeMap<VpcId, Router>,
    vpcs: BTreeMap<VpcId, WantedVpc>,
    instances: Vec<WantedInstance>,
    report: &mut Report,
) -> Claims {
    let mut claims = Claims::default();
    let refused = claims.take_vpcs(registry, vpcs);
    for instance in instances {
        let taken = match refused.get(&instance.vpc.id) {
            Some(error) => Err(error.clone()),
            None => claims.take_instance(registry, routers.contains_key(&instance.vpc.id), &instance),
        };
        match taken {
            Ok(()) => claims.instances.push(instance),
            Err(error) => report.fail(&instance, &error),
        }
    }
    let facts = std::mem::take(&mut claims.facts);
    if let Err(error) = registry.commit(facts) {
        claims.instances.iter().for_each(|instance| report.fail(instance, &error));
        return Claims::default();
    }
    claims
}

impl Claims {
    /// Returns those that cannot be had.
    fn take_vpcs(&mut self, registry: &Registry, vpcs: BTreeMap<VpcId, WantedVpc>) -> BTreeMap<VpcId, LocalError> {
        let mut refused = BTreeMap::new();
        for (id, vpc) in vpcs {
            let names = [id.to_string(), outside_name(&id)];
            let free = names.iter().try_for_each(|name| must_be_free(name));
            match free {
                Err(error) if !registry.has_vpc(&id) => drop(refused.insert(id, error)),
                Ok(()) if !registry.has_vpc(&id) => {
                    self.facts.push(Fact::Vpc(id));
                    self.vpcs.push(vpc);
                }
                Ok(()) | Err(_) => self.vpcs.push(vpc),
            }
        }
        refused
    }

    fn take_instance(
        &mut self,
        registry: &Registry,
        has_router: bool,
        wanted: &WantedInstance,
    ) -> Result<(), LocalError> {
        let name = wanted.id.as_str();
        let old = registry.instance(&wanted.id);
        let exists = look_up(name)?;
        if old.is_none() && exists {
            return Err(LocalError::Foreign { name: name.to_owned() });
        }
        let is_afresh = !exists || !(has_router || look_up(wanted.vpc.id.as_str())?);
        let record = self.record(wanted, old, is_afresh);
        if Some(&record) != old {
            self.facts.push(Fact::Instance(record));
        }
        Ok(())
    }

    fn record(&mut self, wanted: &WantedInstance, old: Option<&InstanceRecord>, is_afresh: bool) -> InstanceRecord {
        let mut links = old.map(|record| record.links.clone()).unwrap_or_default();
        let earlier = old.map_or(0, |record| record.generation);
        for port in &wanted.ports {
            let before = links.get(&port.eni);
            let claim = match before {
                None => Claim::New,
                Some(_) if is_afresh => Claim::Again,
                Some(_) => Claim::Known,
            };
            let link = next(port, before, claim, earlier);
            links.insert(port.eni.clone(), link);
            self.links.insert(port.eni.clone(), claim);
        }
        let (id, vpc) = (wanted.id.clone(), wanted.vpc.id.clone());
        // Links of an earlier start that could not be removed are still to be removed.
        let boot = old.filter(|record| !record.links.is_empty()).map_or(wanted.boot, |record| record.boot);
        InstanceRecord { id, vpc, links, boot, generation: earlier }
    }
}

/// A link that is listed for the first time begins after the links that the instance had before.
fn next(port: &WantedPort, before: Option<&LinkRecord>, claim: Claim, earlier: u64) -> LinkRecord {
    let generation = before.map_or(earlier, |link| link.generation);
    let (generation, mut addresses) = match claim {
        Claim::New | Claim::Again => (generation + 1, BTreeSet::new()),
        Claim::Known => (generation, before.map(|link| link.addresses.clone()).unwrap_or_default()),
    };
    addresses.extend(&port.addresses);
    LinkRecord { name: port.link.clone(), device: port.device.clone(), addresses, generation }
}

fn must_be_free(name: &str) -> Result<(), LocalError> {
    if look_up(name)? { Err(LocalError::Foreign { name: name.to_owned() }) } else { Ok(()) }
}

fn look_up(name: &str) -> Result<bool, LocalError> {
    netns::exists(name).map_err(|error| LocalError::namespace("look up", name, &error))
}
