//! Local compute: instances as network namespaces on this host, wired to their VPC's router.
//!
//! The kernel is made equal to the world, again and again, from whatever state it is in: nothing here relies on
//! having run before. Three things hold at any moment, also after a kill:
//!
//! * a name that this data directory has not listed (`registry`) is never entered, changed or removed;
//! * an interface is closed by the [`Guard`] before either of its ends is set up, so it never passes a packet
//!   that no policy has judged;
//! * a link that is whole is adopted as it is, so that connections survive a restart.
//!
//! An instance that is stopped keeps its namespace and has no link; a detached ENI has none either. Both keep their
//! addresses: others still know them by their groups, and nothing answers.
//!
//! Every ENI is a veth pair of its own between its instance and the router, without a bridge: what one instance
//! sends to another of its subnet passes the router too, and is judged at both ends.

mod claim;
mod drift;
mod error;
mod look;
mod pair;
mod peering;
mod port;
mod registry;
mod remove;
mod router;
#[cfg(test)]
mod tests;
mod wanted;

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::{AsFd, BorrowedFd},
    path::Path,
    time::Duration,
};

use sekimori_core::{
    ids::{EniId, HostId, InstanceId, PeeringId, VpcId},
    world::World,
};

use self::{
    claim::{Claim, Claims},
    peering::{Joined, WantedPeering},
    port::Place,
    registry::Registry,
    router::Router,
    wanted::{Here, TABLES, WantedInstance, WantedPort, WantedVpc},
};
pub use self::{
    drift::{Drift, Touched},
    error::LocalError,
    look::{LocalLook, Looked},
    registry::REGISTRY_FILE,
};
use crate::netlink::{
    LOOPBACK,
    netns::{self, Identity},
    setting::Setting,
    sysctl,
};

/// How often what was set up is looked at before it is left to start by itself.
const START_CHECKS_MAX: u32 = 500;
/// The time between two looks.
const START_CHECK_PAUSE: Duration = Duration::from_millis(1);

/// Closes and opens interfaces; implemented by the data plane.
pub trait Guard {
    /// Called before the interface is up: nothing may pass it until a policy is there.
    ///
    /// `netns` is the namespace of the host side, `namespace` its name. An interface that was closed before may be
    /// closed again (after a kill, or when somebody set the link down).
    ///
    /// # Errors
    /// Why it cannot be closed. It is removed then.
    fn close(&mut self, eni: &EniId, netns: BorrowedFd<'_>, namespace: &str, ifindex: u32) -> anyhow::Result<()>;

    /// The interface is gone.
    fn forget(&mut self, eni: &EniId);
}

/// The host side of an ENI that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The ENI.
    pub eni: EniId,
    /// Its VPC; the namespace of the link has this name.
    pub vpc: VpcId,
    /// The link's number in that namespace.
    pub ifindex: u32,
    /// Raised whenever the link is made anew, also across restarts: the same generation is the same link.
    pub generation: u64,
}

/// What became of a request to make the kernel equal to the world.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The ports that are there, of what was looked at.
    pub ports: Vec<Port>,
    /// The ENIs that have no port, or one that is not complete.
    pub failed: Vec<(EniId, LocalError)>,
    /// What went wrong and is no ENI's: removals, and what is outside a VPC.
    pub others: Vec<LocalError>,
}

impl Report {
    /// Whether everything is as wanted.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty() && self.others.is_empty()
    }

    fn fail(&mut self, instance: &WantedInstance, error: &LocalError) {
        if instance.ports.is_empty() {
            self.others.push(error.clone());
        }
        self.failed.extend(instance.ports.iter().map(|port| (port.eni.clone(), error.clone())));
    }
}

/// The namespaces and links of one data directory.
#[derive(Debug)]
pub struct LocalCompute {
    registry: Registry,
    routers: BTreeMap<VpcId, Router>,
    placed: BTreeMap<InstanceId, Placed>,
    joined: BTreeMap<PeeringId, Joined>,
}

/// An instance that was made or adopted.
#[derive(Debug)]
struct Placed {
    vpc: VpcId,
    identity: Identity,
    ports: BTreeMap<EniId, (WantedPort, Port)>,
}

/// What to look at.
#[derive(Debug, Default)]
struct Plan {
    vpcs: BTreeMap<VpcId, WantedVpc>,
    instances: Vec<WantedInstance>,
    /// Peering connections; `None` is one that has to go.
    peerings: BTreeMap<PeeringId, Option<WantedPeering>>,
    vpcs_gone: BTreeSet<VpcId>,
    instances_gone: BTreeSet<InstanceId>,
    /// Whether what was complete is looked at again.
    is_thorough: bool,
}

impl Plan {
    fn want(&mut self, instance: WantedInstance) {
        self.vpcs.insert(instance.vpc.id.clone(), instance.vpc.clone());
        self.instances.push(instance);
    }
}

impl LocalCompute {
    /// Opens the list of names of an agent's data directory. Nothing is made or removed yet.
    ///
    /// # Errors
    /// When another process uses the directory, or the list cannot be read or is damaged.
    pub fn open(dir: &Path) -> Result<Self, LocalError> {
        let registry = Registry::open(dir)?;
        Ok(Self { registry, routers: BTreeMap::new(), placed: BTreeMap::new(), joined: BTreeMap::new() })
    }

    /// Makes the kernel equal to the world's instances on this host: repairs, completes and removes.
    pub async fn reconcile(&mut self, world: &World, host: &HostId, guard: &mut impl Guard) -> Report {
        let mut report = Report::default();
        let mut plan = Plan { is_thorough: true, ..Plan::default() };
        let here = Here { host, has_ipv6: sysctl::has_ipv6() };
        for instance in world.instances() {
            let wanted = WantedInstance::of(world, &here, instance, &mut report.failed);
            wanted.into_iter().for_each(|wanted| plan.want(wanted));
        }
        let is_here = |id: &InstanceId| world.instance(id).is_some_and(|instance| instance.host == *host);
        let listed = self.registry.instances().map(|record| &record.id);
        plan.instances_gone = listed.filter(|id| !is_here(id)).cloned().collect();
        for id in self.registry.vpcs() {
            self.plan_vpc(&mut plan, world, &here, id);
        }
        self.plan_peerings(&mut plan, world, &here, BTreeSet::new());
        self.settle(plan, guard, &mut report).await;
        report
    }

    /// The same for what a commit touched, and nothing else ([`Touched::of`]), or for what drifted
    /// ([`Drift::touched`]). The report is about what was touched.
    pub async fn apply(
        &mut self,
        world: &World,
        host: &HostId,
        touched: &[Touched],
        guard: &mut impl Guard,
    ) -> Report {
        let mut report = Report::default();
        let mut plan = Plan::default();
        let here = Here { host, has_ipv6: sysctl::has_ipv6() };
        let (mut instances, mut peerings) = (BTreeSet::new(), BTreeSet::new());
        for one in touched {
            match one {
                Touched::Peering(id) => {
                    self.doubt(id);
                    peerings.insert(id.clone());
                }
                Touched::Vpc(id) => {
                    self.plan_vpc(&mut plan, world, &here, id);
                    instances.extend(self.instances_of_lost(id));
                }
                Touched::Outside(id) => {
                    if let Some(router) = self.routers.get_mut(id) {
                        router.doubt_outside();
                    }
                    self.plan_vpc(&mut plan, world, &here, id);
                }
                Touched::Instance(id) => drop(instances.insert(id.clone())),
                Touched::Eni(id) => instances.extend(self.instances_of_changed(world, id, &mut report)),
            }
        }
        for id in instances {
            let instance = world.instance(&id).filter(|instance| instance.host == *host);
            match instance {
                Some(instance) => {
                    let wanted = WantedInstance::of(world, &here, instance, &mut report.failed);
                    wanted.into_iter().for_each(|wanted| plan.want(wanted));
                }
                None => drop(plan.instances_gone.insert(id)),
            }
        }
        let looked_at: BTreeSet<_> =
            plan.instances.iter().flat_map(|one| one.ports.iter().map(|port| &port.eni)).collect();
        report.ports.retain(|port| !looked_at.contains(&port.eni));
        self.plan_peerings(&mut plan, world, &here, peerings);
        self.settle(plan, guard, &mut report).await;
        report
    }

    /// Removes everything that the data directory has made, and the list itself when nothing is left.
    pub async fn remove_all(mut self, guard: &mut impl Guard) -> Report {
        let mut report = Report::default();
        let plan = Plan {
            instances_gone: self.registry.instances().map(|record| record.id.clone()).collect(),
            vpcs_gone: self.registry.vpcs().cloned().collect(),
            ..Plan::default()
        };
        self.settle(plan, guard, &mut report).await;
        if report.is_complete() {
            report.others.extend(self.registry.remove().err());
        }
        report
    }

    /// Whether an ENI is to have a port on a host.
    #[must_use]
    pub fn wants(world: &World, host: &HostId, eni: &EniId) -> bool {
        let port = world.eni(eni).and_then(|eni| WantedPort::of(world, eni));
        port.is_some_and(|port| world.instance(&port.instance).is_some_and(|instance| instance.host == *host))
    }

    /// The ports that were made or adopted.
    pub fn ports(&self) -> impl Iterator<Item = &Port> {
        self.placed.values().flat_map(|placed| placed.ports.values().map(|(_, port)| port))
    }

    /// The namespace of a VPC's router, where the host sides of its ENIs are.
    #[must_use]
    pub fn router(&self, vpc: &VpcId) -> Option<BorrowedFd<'_>> {
        self.routers.get(vpc).map(AsFd::as_fd)
    }

    /// A VPC's namespaces are made with its first instance here, and removed with the VPC.
    fn plan_vpc(&self, plan: &mut Plan, world: &World, here: &Here<'_>, id: &VpcId) {
        if !self.registry.has_vpc(id) {
            return;
        }
        match WantedVpc::of(world, id, here.has_ipv6) {
            Some(vpc) => drop(plan.vpcs.insert(id.clone(), vpc)),
            None => drop(plan.vpcs_gone.insert(id.clone())),
        }
    }

    /// The instances that may have lost their links with their router.
    fn instances_of_lost(&self, vpc: &VpcId) -> Vec<InstanceId> {
        let known = netns::identity(vpc.as_str()).ok().flatten();
        if self.routers.get(vpc).is_some_and(|router| known == Some(router.identity)) {
            return Vec::new();
        }
        let listed = self.registry.instances().filter(|record| record.vpc == *vpc);
        listed.map(|record| record.id.clone()).collect()
    }

    /// The instances of an ENI, before and now, unless nothing has changed that the kernel knows.
    fn instances_of_changed(&self, world: &World, id: &EniId, report: &mut Report) -> Vec<InstanceId> {
        let eni = world.eni(id);
        let before = self.registry.instance_of(id);
        let placed = before.and_then(|instance| self.placed.get(instance)?.ports.get(id));
        let wanted = eni.and_then(|eni| WantedPort::of(world, eni));
        if let (Some((old, port)), Some(new)) = (placed, &wanted)
            && old == new
        {
            report.ports.push(port.clone());
            return Vec::new();
        }
        let now = eni.and_then(|eni| eni.instance.clone());
        before.cloned().into_iter().chain(now).collect()
    }

    /// Removes before it makes, so that names and addresses are free for their next owner.
    async fn settle(&mut self, plan: Plan, guard: &mut impl Guard, report: &mut Report) {
        self.remove_instances(&plan, guard, report).await;
        let Plan { vpcs, instances, peerings, vpcs_gone, is_thorough, .. } = plan;
        let claims = claim::claim(&mut self.registry, &self.routers, vpcs, instances, report);
        let refused = self.ensure_routers(&claims.vpcs, is_thorough, report).await;
        let mut starting = Vec::new();
        self.settle_peerings(peerings, is_thorough, report, &mut starting).await;
        for instance in &claims.instances {
            let made = match refused.get(&instance.vpc.id) {
                Some(error) => Err(error.clone()),
                None => self.ensure_instance(instance, &claims, guard, report, &mut starting).await,
            };
            if let Err(error) = made {
                report.fail(instance, &error);
            }
        }
        self.remove_vpcs(&vpcs_gone, report).await;
        self.wait_until_running(&starting).await;
    }

    /// Returns the VPCs that have no router. What is outside a VPC holds up no instance.
    async fn ensure_routers(
        &mut self,
        vpcs: &[WantedVpc],
        is_thorough: bool,
        report: &mut Report,
    ) -> BTreeMap<VpcId, LocalError> {
        let mut refused = BTreeMap::new();
        for vpc in vpcs {
            match Router::ensure(self.routers.remove(&vpc.id), &vpc.id).await {
                Err(error) => {
                    report.others.push(error.clone());
                    refused.insert(vpc.id.clone(), error);
                }
                Ok(mut router) => {
                    report.others.extend(router.furnish(vpc, is_thorough).await.err());
                    self.routers.insert(vpc.id.clone(), router);
                }
            }
        }
        refused
    }

    async fn ensure_instance(
        &mut self,
        wanted: &WantedInstance,
        claims: &Claims,
        guard: &mut impl Guard,
        report: &mut Report,
        starting: &mut Vec<(VpcId, String)>,
    ) -> Result<(), LocalError> {
        let Self { registry, routers, placed, joined: _ } = self;
        let Some(router) = routers.get(&wanted.vpc.id) else { return Ok(()) };
        let name = wanted.id.as_str();
        // Whoever lives in a namespace without a name keeps its network.
        if let Some(known) = placed.get(&wanted.id) {
            netns::give_back(name, known.identity).map_err(|error| LocalError::namespace("rename", name, &error))?;
        }
        let (ns, netlink) = router::open_or_create(name, sysctl::HOST)?;
        netlink.make(&[Setting::Up { link: LOOPBACK }]).await?;
        let place = Place { router, ns: &ns, netlink: &netlink };
        let mut ports = BTreeMap::new();
        for port in &wanted.ports {
            let claim = claims.links.get(&port.eni).copied().unwrap_or(Claim::Known);
            match port::ensure(&place, port, claim, registry, guard).await {
                Err(error) => report.failed.push((port.eni.clone(), error)),
                Ok(ready) => {
                    if ready.is_starting {
                        starting.push((port.vpc.clone(), port.link.clone()));
                    }
                    report.ports.push(ready.port.clone());
                    ports.insert(port.eni.clone(), (port.clone(), ready.port));
                }
            }
        }
        netlink.set_source_rules(TABLES, &wanted.source_rules()).await?;
        let identity = ns.identity().map_err(|error| LocalError::namespace("look up", name, &error))?;
        placed.insert(wanted.id.clone(), Placed { vpc: wanted.vpc.id.clone(), identity, ports });
        Ok(())
    }

    /// The kernel starts a link's queue a moment after both ends are up; a packet sent before would be lost.
    async fn wait_until_running(&self, starting: &[(VpcId, String)]) {
        let mut checks = 0;
        for (vpc, link) in starting {
            let Some(router) = self.routers.get(vpc) else { continue };
            while checks < START_CHECKS_MAX {
                match router.netlink.link(link).await {
                    Ok(Some(found)) if !found.running => checks += 1,
                    Ok(_) | Err(_) => break,
                }
                tokio::time::sleep(START_CHECK_PAUSE).await;
            }
        }
    }
}
