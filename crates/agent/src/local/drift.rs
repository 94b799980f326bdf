//! What somebody took away by hand since it was made. Looks, and changes nothing.
//!
//! Names are looked up in the file system, links with one listing of routes for each router: cheap enough for every second.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
};

use sekimori_core::{
    change::Change,
    ids::{EniId, InstanceId, PeeringId, VpcId},
};

use super::{
    LocalCompute, Placed,
    peering::Joined,
    router::Router,
    wanted::{OUTSIDE_LINK, WantedPort, outside_name},
};
use crate::netlink::netns::{self, Identity};

/// What [`LocalCompute::apply`] is to look at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Touched {
    /// The VPC's namespaces.
    Vpc(VpcId),
    /// What is outside the VPC, and the link that leads there.
    Outside(VpcId),
    /// The instance's namespace and all of its ENIs.
    Instance(InstanceId),
    /// The ENI, if anything that the kernel knows of it has changed.
    Eni(EniId),
    /// The link between two routers.
    Peering(PeeringId),
}

impl Touched {
    /// What changes touch, each once.
    #[must_use]
    pub fn of(changes: &[Change]) -> Vec<Self> {
        let all: BTreeSet<Self> = changes.iter().filter_map(Self::by).collect();
        all.into_iter().collect()
    }

    fn by(change: &Change) -> Option<Self> {
        match change {
            Change::PutVpc(vpc) => Some(Self::Vpc(vpc.id.clone())),
            Change::DeleteVpc(id) => Some(Self::Vpc(id.clone())),
            Change::PutInstance(instance) => Some(Self::Instance(instance.id.clone())),
            Change::DeleteInstance(id) => Some(Self::Instance(id.clone())),
            Change::PutEni(eni) => Some(Self::Eni(eni.id.clone())),
            Change::DeleteEni(id) => Some(Self::Eni(id.clone())),
            Change::PutPeering(peering) => Some(Self::Peering(peering.id.clone())),
            Change::DeletePeering(id) => Some(Self::Peering(id.clone())),
            Change::PutBypass(_)
            | Change::PutPlatform(_)
            | Change::PutAccount(_)
            | Change::PutKey(_)
            | Change::DeleteKey(_)
            | Change::PutTerminated(_)
            | Change::DeleteTerminated(_)
            | Change::PutSubnet(_)
            | Change::PutNetworkAcl(_)
            | Change::DeleteNetworkAcl(_)
            | Change::PutShadow(_)
            | Change::DeleteShadow(_)
            | Change::DeleteSubnet(_)
            | Change::PutGroup(_)
            | Change::DeleteGroup(_)
            | Change::PutRule { .. }
            | Change::DeleteRule { .. }
            | Change::PutPrefixList(_)
            | Change::DeletePrefixList(_)
            | Change::PutPortList(_)
            | Change::DeletePortList(_)
            | Change::PutToken(_)
            | Change::DeleteToken { .. }
            | Change::PutSnapshotPolicy(_)
            | Change::DeleteSnapshotPolicy(_)
            | Change::PutSnapshot(_)
            | Change::DeleteSnapshot(_)
            | Change::PutReport(_)
            | Change::DeleteReport { .. }
            | Change::PutInvariant(_)
            | Change::DeleteInvariant(_)
            | Change::PutTrial(_)
            | Change::DeleteTrial(_)
            | Change::PutFlowLog(_)
            | Change::DeleteFlowLog(_)
            | Change::PutInsightsPath(_)
            | Change::DeleteInsightsPath(_)
            | Change::PutInsightsAnalysis(_)
            | Change::DeleteInsightsAnalysis(_)
            | Change::PutPrefixListVersion(_)
            | Change::DeletePrefixListVersion { .. } => None,
        }
    }
}

/// Something that was there and is not, or not the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Drift {
    /// The router's namespace.
    Router(VpcId),
    /// The namespace outside the VPC.
    Outside(VpcId),
    /// The router's link to the outside, or the routes that lead to it.
    Uplink(VpcId),
    /// The instance's namespace.
    Instance(InstanceId),
    /// The ENI's link in the router, or the routes that lead to it: a link that is set down loses them.
    Link {
        /// The ENI.
        eni: EniId,
        /// Its instance.
        instance: InstanceId,
    },
    /// The link of a peering connection.
    Peering(PeeringId),
}

impl Drift {
    /// What [`LocalCompute::apply`] has to look at to repair it.
    #[must_use]
    pub fn touched(&self) -> Touched {
        match self {
            Self::Router(vpc) | Self::Outside(vpc) => Touched::Vpc(vpc.clone()),
            Self::Uplink(vpc) => Touched::Outside(vpc.clone()),
            Self::Instance(instance) | Self::Link { instance, .. } => Touched::Instance(instance.clone()),
            Self::Peering(id) => Touched::Peering(id.clone()),
        }
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Router(vpc) => write!(f, "namespace `{vpc}` was removed or replaced"),
            Self::Outside(vpc) => write!(f, "namespace `{}` was removed or replaced", outside_name(vpc)),
            Self::Uplink(vpc) => {
                write!(f, "the link of VPC `{vpc}` to the outside was removed, set down or lost its routes")
            }
            Self::Instance(instance) => write!(f, "namespace `{instance}` was removed or replaced"),
            Self::Link { eni, instance } => {
                write!(f, "the link of ENI `{eni}` of instance `{instance}` was removed, set down or lost its routes")
            }
            Self::Peering(id) => {
                write!(f, "the link of peering connection `{id}` was removed, set down or not completed")
            }
        }
    }
}

impl LocalCompute {
    /// What was made or adopted here and is not there any more. Work of microseconds for each instance.
    #[must_use]
    pub fn check(&self) -> Vec<Drift> {
        let mut all = Vec::new();
        let mut links = BTreeMap::new();
        for (vpc, router) in &self.routers {
            all.extend(router.lost(vpc));
            match router.reached() {
                Ok(present) => {
                    all.extend(router.lost_uplink(vpc, &present));
                    links.insert(vpc.clone(), present);
                }
                Err(error) => tracing::warn!(%vpc, %error, "cannot list the links of a router"),
            }
        }
        for (id, placed) in &self.placed {
            all.extend(lost_of(id, placed, links.get(&placed.vpc)));
        }
        all.extend(self.lost_peerings(&links));
        all
    }

    /// Peerings whose link is not in both routers; `links` are those of each that routes lead to.
    pub(super) fn lost_peerings(&self, links: &BTreeMap<VpcId, BTreeSet<String>>) -> Vec<Drift> {
        let is_lost = |joined: &Joined| {
            let name = joined.link();
            let is_there = |vpc: &VpcId| links.get(vpc).is_none_or(|links| links.contains(&name));
            !joined.is_complete || !joined.vpcs().into_iter().all(is_there)
        };
        let lost = self.joined.iter().filter(|(_, joined)| is_lost(joined));
        lost.map(|(id, _)| Drift::Peering(id.clone())).collect()
    }
}

impl Router {
    /// Which namespaces of a VPC are not there, or not the same.
    pub(super) fn lost(&self, vpc: &VpcId) -> Vec<Drift> {
        let router = is_lost(vpc.as_str(), self.identity).then(|| Drift::Router(vpc.clone()));
        let is_lost_outside = self.outside().is_some_and(|outside| is_lost(&outside_name(vpc), outside));
        router.into_iter().chain(is_lost_outside.then(|| Drift::Outside(vpc.clone()))).collect()
    }
}

impl Router {
    /// Whether no route leads to the outside any more; `reached` are the links that routes lead to.
    pub(super) fn lost_uplink(&self, vpc: &VpcId, reached: &BTreeSet<String>) -> Option<Drift> {
        let outside = self.outside().filter(|outside| !is_lost(&outside_name(vpc), *outside));
        outside.filter(|_| !reached.contains(OUTSIDE_LINK.0)).map(|_| Drift::Uplink(vpc.clone()))
    }
}

pub(super) fn lost_of(id: &InstanceId, placed: &Placed, links: Option<&BTreeSet<String>>) -> Vec<Drift> {
    if is_lost(id.as_str(), placed.identity) {
        return vec![Drift::Instance(id.clone())];
    }
    let Some(links) = links else { return Vec::new() };
    let is_lost = |wanted: &WantedPort| wanted.addresses.iter().any(IpAddr::is_ipv4) && !links.contains(&wanted.link);
    let lost = placed.ports.values().filter(|(wanted, _)| is_lost(wanted));
    lost.map(|(wanted, _)| Drift::Link { eni: wanted.eni.clone(), instance: id.clone() }).collect()
}

/// What cannot be looked up is not known to be lost.
fn is_lost(name: &str, known: Identity) -> bool {
    netns::identity(name).is_ok_and(|found| found != Some(known))
}
