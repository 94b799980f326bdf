//! Peering connections: a link between the routers of two VPCs of this host, and at each end routes to the other's blocks.
//!
//! The routers are ours, and so is whatever has the name of such a link in them: nothing is listed, and a link that nobody
//! wants is found by its name. No program sits here: a packet is judged where it leaves one ENI and where it
//! reaches another.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;
use sekimori_core::{
    ids::{PeeringId, VpcId},
    world::World,
};

use super::{
    Here, LocalCompute, Plan, Report,
    error::LocalError,
    pair::{self, Side},
    router::Router,
    wanted::{GATEWAY_MAC, WantedVpc, hashed_name},
};
use crate::netlink::{End, netns::Identity, setting::Setting};

/// The first letter of such a link's name; an ENI's begins with another.
const NAME: char = 'p';
/// The other router, as seen from either end. Nobody has these addresses: each end knows the other by its Ethernet address.
const ACROSS_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 0, 2);
const ACROSS_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);

/// A connection between two VPCs that have a router here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WantedPeering {
    id: PeeringId,
    ends: [WantedVpc; 2],
}

impl WantedPeering {
    /// What a connection needs; `None` when it is not active, or one of its VPCs is unknown.
    fn of(world: &World, id: &PeeringId, has_ipv6: bool) -> Option<Self> {
        let peering = world.peerings().get(id).filter(|peering| peering.is_active())?;
        let end = |vpc: &VpcId| WantedVpc::of(world, vpc, has_ipv6);
        Some(Self { id: id.clone(), ends: [end(&peering.requester.vpc)?, end(&peering.accepter.vpc)?] })
    }

    fn link(&self) -> String {
        link_name(&self.id)
    }

    /// What the end in one router is given: the way to the blocks of the other VPC.
    fn settings(link: u32, other: &WantedVpc) -> Vec<Setting> {
        let mut all = vec![Setting::Up { link }];
        all.push(Setting::Neighbour { link, address: ACROSS_V4.into(), mac: GATEWAY_MAC });
        all.push(Setting::Across { link, to: IpNet::V4(other.block()), gateway: ACROSS_V4.into() });
        if let Some(block) = other.ipv6_block() {
            all.push(Setting::Neighbour { link, address: ACROSS_V6.into(), mac: GATEWAY_MAC });
            all.push(Setting::Across { link, to: IpNet::V6(block), gateway: ACROSS_V6.into() });
        }
        all
    }
}

/// A connection that was made or adopted, or begun, and the routers it is between.
#[derive(Debug)]
pub(super) struct Joined {
    wanted: WantedPeering,
    routers: [Identity; 2],
    /// Whether it is as wanted, as far as is known; what failed half-way, or was touched, is looked at again.
    pub(super) is_complete: bool,
}

impl Joined {
    pub(super) fn link(&self) -> String {
        self.wanted.link()
    }

    /// The VPCs at its ends.
    pub(super) fn vpcs(&self) -> [&VpcId; 2] {
        self.wanted.ends.each_ref().map(|end| &end.id)
    }
}

fn link_name(id: &PeeringId) -> String {
    hashed_name(NAME, id.as_str())
}

/// Whether a link has a name that only a peering connection's has.
fn is_link_name(name: &str) -> bool {
    name.len() == 15 && name.strip_prefix(NAME).is_some_and(|hash| hash.chars().all(|c| c.is_ascii_hexdigit()))
}

impl LocalCompute {
    /// Adds the connections of every VPC that is planned for, and those that were touched.
    pub(super) fn plan_peerings(
        &self,
        plan: &mut Plan,
        world: &World,
        here: &Here<'_>,
        touched: BTreeSet<PeeringId>,
    ) {
        let of_vpcs = plan.vpcs.keys().flat_map(|vpc| world.peerings().of(vpc).map(|(_, id)| id.clone()));
        let lost =
            self.joined.iter().filter(|(_, joined)| joined.vpcs().iter().any(|vpc| plan.vpcs.contains_key(*vpc)));
        let all: BTreeSet<PeeringId> = of_vpcs.chain(lost.map(|(id, _)| id.clone())).chain(touched).collect();
        for id in all {
            let wanted = WantedPeering::of(world, &id, here.has_ipv6);
            plan.peerings.insert(id, wanted);
        }
    }

    /// A connection that changed, or was found not to be whole, is not believed to be complete.
    pub(super) fn doubt(&mut self, id: &PeeringId) {
        if let Some(joined) = self.joined.get_mut(id) {
            joined.is_complete = false;
        }
    }

    /// Makes, adopts and removes the links between routers; the ends that were made are told as starting.
    pub(super) async fn settle_peerings(
        &mut self,
        peerings: BTreeMap<PeeringId, Option<WantedPeering>>,
        is_thorough: bool,
        report: &mut Report,
        starting: &mut Vec<(VpcId, String)>,
    ) {
        for (id, wanted) in &peerings {
            let settled = match wanted {
                Some(wanted) => self.join(wanted, is_thorough, starting).await,
                None => self.part(id).await,
            };
            report.others.extend(settled.err());
        }
        if is_thorough {
            report.others.extend(self.remove_strangers(&peerings).await.err());
        }
    }

    /// A connection whose other router is not here waits for it.
    async fn join(
        &mut self,
        wanted: &WantedPeering,
        is_thorough: bool,
        starting: &mut Vec<(VpcId, String)>,
    ) -> Result<(), LocalError> {
        let [one, other] = wanted.ends.each_ref();
        let (Some(near), Some(far)) = (self.routers.get(&one.id), self.routers.get(&other.id)) else {
            return Ok(());
        };
        let routers = [near.identity, far.identity];
        let is_it = |known: &Joined| known.is_complete && known.wanted == *wanted && known.routers == routers;
        if !is_thorough && self.joined.get(&wanted.id).is_some_and(is_it) {
            return Ok(());
        }
        let joined = self.joined.entry(wanted.id.clone());
        let joined = joined.insert_entry(Joined { wanted: wanted.clone(), routers, is_complete: false }).into_mut();
        let name = wanted.link();
        let near_side = side(near, &name);
        let far_side = side(far, &name);
        let found = pair::find(near_side, far_side).await?;
        let pair = pair::make(near_side, far_side, &far.ns, &found).await?;
        near.netlink.make(&WantedPeering::settings(pair.near.index, other)).await?;
        far.netlink.make(&WantedPeering::settings(pair.far.index, one)).await?;
        for (vpc, link) in [(&one.id, pair.near), (&other.id, pair.far)] {
            if !link.running {
                starting.push((vpc.clone(), name.clone()));
            }
        }
        joined.is_complete = true;
        Ok(())
    }

    /// With one end goes the other, and the routes with them.
    async fn part(&mut self, id: &PeeringId) -> Result<(), LocalError> {
        let Some(joined) = self.joined.get(id) else { return Ok(()) };
        for router in joined.vpcs().into_iter().filter_map(|vpc| self.routers.get(vpc)) {
            router.netlink.delete_link(&joined.link()).await?;
        }
        self.joined.remove(id);
        Ok(())
    }

    /// Links of connections that ended while nobody looked.
    async fn remove_strangers(
        &self,
        peerings: &BTreeMap<PeeringId, Option<WantedPeering>>,
    ) -> Result<(), LocalError> {
        let wanted: BTreeSet<String> = peerings.values().flatten().map(WantedPeering::link).collect();
        for (vpc, router) in &self.routers {
            let links = router.links().map_err(|error| LocalError::namespace("look into", vpc.as_str(), &error))?;
            let strange: Vec<String> =
                links.into_iter().filter(|name| is_link_name(name) && !wanted.contains(name)).collect();
            if !strange.is_empty() {
                router.netlink.delete_links(&strange).await?;
            }
        }
        Ok(())
    }
}

fn side<'a>(router: &'a Router, name: &'a str) -> Side<'a> {
    Side { netlink: &router.netlink, end: End { name, mac: GATEWAY_MAC } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_known_by_its_name() {
        let name = link_name(&"pcx-0123456789abcdef0".into());
        assert!(is_link_name(&name), "{name}");
        for other in ["p", "outside", "eaee439ed05d6e3", "p-mine", "pppppppppppppppp"] {
            assert!(!is_link_name(other), "{other}");
        }
    }
}
