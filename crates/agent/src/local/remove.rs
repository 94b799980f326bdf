//! Taking away what the world has no longer: links first, all of a router at once, then names.

use std::collections::{BTreeMap, BTreeSet};

use sekimori_core::ids::{EniId, InstanceId, VpcId};

use super::{
    Guard, LocalCompute, Plan, Report,
    error::LocalError,
    registry::{Fact, InstanceRecord},
    router::{self, Router},
    wanted::WantedInstance,
};
use crate::netlink::netns;

/// Links that have to go.
#[derive(Debug, Default)]
struct Doomed {
    /// Whole instances.
    instances: Vec<InstanceRecord>,
    /// The ENIs that an instance has no longer, or has anew after a start, and what is left of its record.
    detached: Vec<(Vec<EniId>, InstanceRecord)>,
    /// The links, by router.
    links: BTreeMap<VpcId, Vec<String>>,
}

impl LocalCompute {
    /// Removes instances, and the links of ENIs that are not attached any more.
    pub(super) async fn remove_instances(&mut self, plan: &Plan, guard: &mut impl Guard, report: &mut Report) {
        let doomed = self.doomed(plan);
        let mut stuck = BTreeMap::new();
        for (vpc, links) in &doomed.links {
            if let Err(error) = self.remove_links(vpc, links).await {
                report.others.push(error.clone());
                stuck.insert(vpc.clone(), error);
            }
        }
        let mut facts = Vec::new();
        for record in doomed.instances.iter().filter(|record| !stuck.contains_key(&record.vpc)) {
            record.links.keys().for_each(|eni| guard.forget(eni));
            self.placed.remove(&record.id);
            match delete(record.id.as_str()) {
                Ok(()) => facts.push(Fact::InstanceGone(record.id.clone())),
                Err(error) => report.others.push(error),
            }
        }
        for (enis, left) in doomed.detached {
            if !stuck.contains_key(&left.vpc) {
                self.forget(&left.id, &enis, guard);
                facts.push(Fact::Instance(left));
            }
        }
        report.others.extend(self.registry.commit(facts).err());
    }

    /// Removes VPCs. One that still has something in it is left for the next time.
    pub(super) async fn remove_vpcs(&mut self, gone: &BTreeSet<VpcId>, report: &mut Report) {
        let mut facts = Vec::new();
        for id in gone {
            if self.registry.instances().any(|record| record.vpc == *id) {
                continue;
            }
            match self.remove_vpc(id).await {
                Ok(()) => facts.push(Fact::VpcGone(id.clone())),
                Err(error) => report.others.push(error),
            }
        }
        report.others.extend(self.registry.commit(facts).err());
    }

    fn doomed(&self, plan: &Plan) -> Doomed {
        let mut doomed = Doomed::default();
        for record in plan.instances_gone.iter().filter_map(|id| self.registry.instance(id)) {
            let links = record.links.values().map(|link| link.name.clone());
            doomed.links.entry(record.vpc.clone()).or_default().extend(links);
            doomed.instances.push(record.clone());
        }
        for wanted in &plan.instances {
            let Some(record) = self.registry.instance(&wanted.id) else { continue };
            let stays = |eni: &EniId| record.boot == wanted.boot && has(wanted, eni);
            let lost: Vec<_> = record.links.iter().filter(|(eni, _)| !stays(eni)).collect();
            if lost.is_empty() {
                continue;
            }
            let mut left = record.clone();
            left.boot = wanted.boot;
            left.links.retain(|eni, _| stays(eni));
            left.generation = lost.iter().map(|(_, link)| link.generation).fold(record.generation, u64::max);
            let links = lost.iter().map(|(_, link)| link.name.clone());
            doomed.links.entry(record.vpc.clone()).or_default().extend(links);
            doomed.detached.push((lost.into_iter().map(|(eni, _)| eni.clone()).collect(), left));
        }
        doomed
    }

    fn forget(&mut self, instance: &InstanceId, enis: &[EniId], guard: &mut impl Guard) {
        for eni in enis {
            guard.forget(eni);
            self.placed.get_mut(instance).and_then(|placed| placed.ports.remove(eni));
        }
    }

    /// Without a router there are no links.
    async fn remove_links(&mut self, vpc: &VpcId, links: &[String]) -> Result<(), LocalError> {
        if !self.routers.contains_key(vpc)
            && let Some(router) = Router::open(vpc)?
        {
            self.routers.insert(vpc.clone(), router);
        }
        let Some(router) = self.routers.get(vpc) else { return Ok(()) };
        Ok(router.netlink.delete_links(links).await?)
    }

    async fn remove_vpc(&mut self, id: &VpcId) -> Result<(), LocalError> {
        let router = match self.routers.remove(id) {
            Some(router) => Some(router),
            None => Router::open(id)?,
        };
        self.joined.retain(|_, joined| !joined.vpcs().contains(&id));
        router::remove(router, id).await
    }
}

fn has(instance: &WantedInstance, eni: &EniId) -> bool {
    instance.ports.iter().any(|port| port.eni == *eni)
}

fn delete(name: &str) -> Result<(), LocalError> {
    netns::delete(name).map_err(|error| LocalError::namespace("remove", name, &error))
}
