//! One ENI's veth pair: adopted as it is when it is whole, else made, closed, and only then set up.

use std::{net::IpAddr, os::fd::AsFd};

use super::{
    Guard, Port, START_CHECK_PAUSE, START_CHECKS_MAX,
    claim::Claim,
    error::LocalError,
    pair::{self, Found, Pair, Side},
    registry::Registry,
    router::Router,
    wanted::{GATEWAY_MAC, WantedPort},
};
use crate::netlink::{End, Netlink, NetlinkError, netns::NetNs, setting::Setting};

/// The two namespaces of a port.
pub(super) struct Place<'a> {
    pub(super) router: &'a Router,
    pub(super) ns: &'a NetNs,
    pub(super) netlink: &'a Netlink,
}

/// A port that is as wanted, and whether packets may take a moment to pass.
pub(super) struct Ready {
    pub(super) port: Port,
    pub(super) is_starting: bool,
}

/// Makes the kernel equal to what an ENI wants. A pair that is whole stays, with its connections.
pub(super) async fn ensure(
    place: &Place<'_>,
    wanted: &WantedPort,
    claim: Claim,
    registry: &mut Registry,
    guard: &mut impl Guard,
) -> Result<Ready, LocalError> {
    let near_side = Side { netlink: &place.router.netlink, end: End { name: &wanted.link, mac: GATEWAY_MAC } };
    let far_side = Side { netlink: place.netlink, end: End { name: &wanted.device, mac: wanted.mac } };
    let found = pair::find(near_side, far_side).await?;
    let pair = match found {
        Found::Whole(pair) => pair,
        Found::Parts { near, far: is_taken } => {
            if claim == Claim::New && (near || is_taken) {
                return Err(taken(wanted, near));
            }
            if claim == Claim::Known {
                registry.renew(&wanted.eni)?;
            }
            pair::make(near_side, far_side, place.ns, &found).await?
        }
    };
    close(place, wanted, &pair, guard).await?;
    let lost = lost(wanted, registry);
    furnish(place, wanted, &pair, &lost).await?;
    if !lost.is_empty() {
        registry.settle(&wanted.eni, &wanted.addresses)?;
    }
    let generation = registry.link(&wanted.eni).map_or(0, |link| link.generation);
    let port = Port { eni: wanted.eni.clone(), vpc: wanted.vpc.clone(), ifindex: pair.near.index, generation };
    Ok(Ready { port, is_starting: !pair.near.running })
}

/// Nothing may pass an interface that is about to be set up. One that cannot be closed is removed.
async fn close(
    place: &Place<'_>,
    wanted: &WantedPort,
    pair: &Pair,
    guard: &mut impl Guard,
) -> Result<(), LocalError> {
    if pair.near.up {
        return Ok(());
    }
    let closed = guard.close(&wanted.eni, place.router.as_fd(), place.router.ns.name(), pair.near.index);
    let Err(error) = closed else { return Ok(()) };
    place.router.netlink.delete_link(&wanted.link).await?;
    Err(LocalError::Guard { eni: wanted.eni.clone(), reason: format!("{error:#}") })
}

async fn furnish(place: &Place<'_>, wanted: &WantedPort, pair: &Pair, lost: &[IpAddr]) -> Result<(), LocalError> {
    let (near, far) = (pair.near.index, pair.far.index);
    if pair.far.mac != Some(wanted.mac) {
        place.netlink.make(&[Setting::Ethernet { link: far, mac: wanted.mac }]).await?;
    }
    place.router.netlink.make(&wanted.router_settings(near)).await?;
    place.netlink.make(&wanted.instance_settings(far)).await?;
    place.router.netlink.unmake(&wanted.stale_in_router(near, lost)).await?;
    place.netlink.unmake(&wanted.stale_in_instance(far, lost)).await?;
    Ok(wait_for_addresses(place.netlink, &wanted.addresses).await?)
}

/// A packet that arrives before the kernel knows an address for its own would be lost.
pub(super) async fn wait_for_addresses(netlink: &Netlink, addresses: &[IpAddr]) -> Result<(), NetlinkError> {
    let mut checks = 0;
    for address in addresses {
        let IpAddr::V6(address) = address else { continue };
        while checks < START_CHECKS_MAX && !netlink.is_own(*address).await? {
            checks += 1;
            tokio::time::sleep(START_CHECK_PAUSE).await;
        }
    }
    Ok(())
}

/// The addresses that the link may have and the ENI has not.
fn lost(wanted: &WantedPort, registry: &Registry) -> Vec<IpAddr> {
    let known = registry.link(&wanted.eni).into_iter().flat_map(|link| &link.addresses);
    known.filter(|address| !wanted.addresses.contains(address)).copied().collect()
}

/// A name that was ours for the first time just now is something else's.
fn taken(wanted: &WantedPort, is_in_router: bool) -> LocalError {
    let WantedPort { eni, vpc, instance, link, device, .. } = wanted;
    if is_in_router {
        return LocalError::LinkTaken { eni: eni.clone(), link: link.clone(), vpc: vpc.clone() };
    }
    LocalError::DeviceTaken { instance: instance.clone(), device: device.clone() }
}
