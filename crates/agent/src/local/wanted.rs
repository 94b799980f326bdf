//! What the world wants on this host, as namespaces, links and settings. Pure: nothing here asks the kernel.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use sekimori_core::{
    address::Mac,
    ids::{EniId, HostId, InstanceId, VpcId},
    world::{Eni, Instance, InstanceState, Revision, World},
};

use super::error::LocalError;
use crate::netlink::{rules::SourceRule, setting::Setting};

/// The router's Ethernet address on every link: each link is a network of its own.
pub(super) const GATEWAY_MAC: Mac = Mac([0xee, 0xff, 0xff, 0xff, 0xff, 0xff]);
/// The router's IPv6 address on every link.
const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
/// The outside's Ethernet address.
pub(super) const OUTSIDE_MAC: Mac = Mac([0x02, 0, 0, 0, 0, 0x10]);
/// The router's address towards the outside.
const OUTSIDE_GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 0, 1);
/// The addresses of the outside; the first is the one that it asks from.
const OUTSIDE_V4: [Ipv4Addr; 2] = [Ipv4Addr::new(198, 51, 100, 10), Ipv4Addr::new(203, 0, 113, 10)];
/// The IPv6 address of the outside.
const OUTSIDE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0x10);
/// The outside's link in the router, and its end in the outside.
pub(super) const OUTSIDE_LINK: (&str, &str) = ("outside", "eth0");
/// The length of an IPv6 subnet.
const IPV6_SUBNET_LENGTH: u8 = 64;
/// The routing tables of an instance's secondary interfaces: what leaves from one of their addresses leaves through
/// them. Above every number that people choose by hand.
pub(super) const TABLES: Range<u32> = 0x5345_4b00..0x5345_4c00;
/// The default routes.
const EVERYTHING: [IpNet; 2] = [
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0)),
];

/// This host.
#[derive(Clone, Copy, Debug)]
pub(super) struct Here<'a> {
    pub(super) host: &'a HostId,
    /// Whether its kernel can do IPv6.
    pub(super) has_ipv6: bool,
}

/// A VPC: the router's namespace has its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WantedVpc {
    pub(super) id: VpcId,
    cidr: Ipv4Net,
    ipv6: Option<Ipv6Net>,
    /// Whether the kernel can do IPv6 at all; without, the outside has none.
    has_ipv6: bool,
}

/// An instance: the namespace has its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WantedInstance {
    pub(super) id: InstanceId,
    pub(super) vpc: WantedVpc,
    /// Its interfaces; none while it is stopped.
    pub(super) ports: Vec<WantedPort>,
    /// The revision that started it last: links of an earlier one are made anew.
    pub(super) boot: Revision,
}

/// An ENI of an instance: a veth pair between router and instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WantedPort {
    pub(super) eni: EniId,
    pub(super) vpc: VpcId,
    pub(super) instance: InstanceId,
    /// The end in the router.
    pub(super) link: String,
    /// The end in the instance.
    pub(super) device: String,
    pub(super) mac: Mac,
    pub(super) addresses: Vec<IpAddr>,
    device_index: u8,
    subnet_length: u8,
    gateway: Ipv4Addr,
}

/// The namespace of the addresses outside a VPC.
pub(super) fn outside_name(vpc: &VpcId) -> String {
    format!("{vpc}.outside")
}

impl WantedVpc {
    pub(super) fn of(world: &World, id: &VpcId, has_ipv6: bool) -> Option<Self> {
        let vpc = world.vpc(id)?;
        Some(Self { id: id.clone(), cidr: vpc.cidr, ipv6: vpc.ipv6, has_ipv6 })
    }

    pub(super) fn block(&self) -> Ipv4Net {
        self.cidr
    }

    /// Its IPv6 block, as far as the kernel can do IPv6.
    pub(super) fn ipv6_block(&self) -> Option<Ipv6Net> {
        self.ipv6.filter(|_| self.has_ipv6)
    }

    /// The router's settings that are no link's: its own addresses never leave through the default route.
    pub(super) fn router_settings(&self) -> Vec<Setting> {
        let blocks = std::iter::once(IpNet::V4(self.cidr)).chain(self.ipv6_block().map(IpNet::V6));
        blocks.map(|to| Setting::Blackhole { to }).collect()
    }

    /// The router's settings for the link to the outside.
    pub(super) fn uplink_settings(&self, link: u32) -> Vec<Setting> {
        let mut all = vec![Setting::Up { link }, address(link, OUTSIDE_GATEWAY.into(), 32)];
        if self.has_ipv6 {
            all.push(address(link, GATEWAY_V6.into(), IPV6_SUBNET_LENGTH));
        }
        for outside in self.outside_addresses() {
            all.push(Setting::OnLink { link, to: outside.into(), metric: 0 });
            all.push(Setting::Neighbour { link, address: outside, mac: OUTSIDE_MAC });
        }
        let [v4, v6] = EVERYTHING;
        all.push(Setting::Via { link, to: v4, gateway: OUTSIDE_V4[0].into(), table: None });
        if self.has_ipv6 {
            all.push(Setting::Via { link, to: v6, gateway: OUTSIDE_V6.into(), table: None });
        }
        all
    }

    /// The settings of the outside itself.
    pub(super) fn outside_settings(&self, link: u32) -> Vec<Setting> {
        let mut all = vec![Setting::Up { link }];
        all.extend(
            self.outside_addresses().into_iter().map(|outside| Setting::Address { link, address: outside.into() }),
        );
        all.push(Setting::OnLink { link, to: IpAddr::V4(OUTSIDE_GATEWAY).into(), metric: 0 });
        all.extend(gateways(link, OUTSIDE_GATEWAY, self.has_ipv6, None));
        all
    }

    pub(super) fn outside_addresses(&self) -> Vec<IpAddr> {
        let v6 = self.has_ipv6.then_some(IpAddr::V6(OUTSIDE_V6));
        OUTSIDE_V4.into_iter().map(IpAddr::V4).chain(v6).collect()
    }
}

impl WantedInstance {
    /// What an instance needs here; `None` when it is not this host's. Interfaces that cannot be placed are
    /// told apart.
    pub(super) fn of(
        world: &World,
        here: &Here<'_>,
        instance: &Instance,
        broken: &mut Vec<(EniId, LocalError)>,
    ) -> Option<Self> {
        if instance.host != *here.host {
            return None;
        }
        let Some(vpc) = WantedVpc::of(world, &instance.vpc, here.has_ipv6) else {
            let error = LocalError::NoVpc { instance: instance.id.clone(), vpc: instance.vpc.clone() };
            broken.extend(world.enis_of(&instance.id).map(|eni| (eni.id.clone(), error.clone())));
            return None;
        };
        let is_running = instance.state == InstanceState::Running;
        let mut ports = Vec::new();
        // One that is bound to an interface of somebody else's has none of ours.
        for eni in world.enis_of(&instance.id).filter(|eni| is_running && eni.binding.is_none()) {
            match WantedPort::of(world, eni) {
                Some(port) => ports.push(port),
                None => {
                    let error = LocalError::NoSubnet { eni: eni.id.clone(), subnet: eni.subnet.clone() };
                    broken.push((eni.id.clone(), error));
                }
            }
        }
        Some(Self { id: instance.id.clone(), vpc, ports, boot: instance.state_since })
    }

    /// The source rules of the instance: its answers leave through the interface that was asked.
    pub(super) fn source_rules(&self) -> Vec<SourceRule> {
        let of_port = |port: &WantedPort| {
            let table = port.table();
            let own = port.addresses.clone().into_iter();
            own.filter_map(move |from| Some(SourceRule { from, table: table? })).collect::<Vec<_>>()
        };
        self.ports.iter().flat_map(of_port).collect()
    }
}

impl WantedPort {
    /// What an ENI needs; `None` when it is not attached to a running instance, or is bound, or its subnet is unknown.
    pub(super) fn of(world: &World, eni: &Eni) -> Option<Self> {
        let subnet = world.subnet(&eni.subnet)?;
        let instance = world.instance(eni.instance.as_ref()?)?;
        if instance.state != InstanceState::Running || eni.binding.is_some() {
            return None;
        }
        Some(Self {
            eni: eni.id.clone(),
            vpc: eni.vpc.clone(),
            instance: instance.id.clone(),
            link: link_name(&eni.id),
            device: format!("eth{}", eni.device_index),
            mac: eni.mac,
            addresses: eni.addresses.clone(),
            device_index: eni.device_index,
            subnet_length: subnet.cidr.prefix_len(),
            gateway: subnet.gateway(world.dialect_of(&eni.account)),
        })
    }

    /// The settings of the end in the router.
    pub(super) fn router_settings(&self, link: u32) -> Vec<Setting> {
        let mut all = vec![Setting::Up { link }, address(link, self.gateway.into(), 32)];
        if self.has_ipv6() {
            all.push(address(link, GATEWAY_V6.into(), IPV6_SUBNET_LENGTH));
        }
        all.extend(self.addresses.iter().flat_map(|address| self.reach(link, *address)));
        all
    }

    /// The settings of the end in the instance. The primary ENI has the default route; every other has one in a table
    /// of its own.
    pub(super) fn instance_settings(&self, link: u32) -> Vec<Setting> {
        let mut all = vec![Setting::Up { link }];
        all.extend(self.addresses.iter().map(|address| self.own(link, *address)));
        let metric = u32::from(self.device_index);
        all.push(Setting::OnLink { link, to: IpAddr::V4(self.gateway).into(), metric });
        all.extend(gateways(link, self.gateway, self.has_ipv6(), self.table()));
        all
    }

    /// What has to go from the router when the ENI has lost these addresses.
    pub(super) fn stale_in_router(&self, link: u32, lost: &[IpAddr]) -> Vec<Setting> {
        lost.iter().flat_map(|address| self.reach(link, *address)).collect()
    }

    /// What has to go from the instance when the ENI has lost these addresses.
    pub(super) fn stale_in_instance(&self, link: u32, lost: &[IpAddr]) -> Vec<Setting> {
        lost.iter().map(|address| self.own(link, *address)).collect()
    }

    /// The table of a secondary ENI.
    fn table(&self) -> Option<u32> {
        (self.device_index > 0).then(|| TABLES.start + u32::from(self.device_index))
    }

    fn has_ipv6(&self) -> bool {
        self.addresses.iter().any(IpAddr::is_ipv6)
    }

    fn reach(&self, link: u32, address: IpAddr) -> [Setting; 2] {
        [Setting::OnLink { link, to: address.into(), metric: 0 }, Setting::Neighbour { link, address, mac: self.mac }]
    }

    fn own(&self, link: u32, own: IpAddr) -> Setting {
        let length = if own.is_ipv6() { IPV6_SUBNET_LENGTH } else { self.subnet_length };
        address(link, own, length)
    }
}

/// The way out of an instance or the outside: the router's neighbour entries, and default routes in a table.
fn gateways(link: u32, v4: Ipv4Addr, has_ipv6: bool, table: Option<u32>) -> Vec<Setting> {
    let neighbour = |address| Setting::Neighbour { link, address, mac: GATEWAY_MAC };
    let [all_v4, all_v6] = EVERYTHING;
    let mut all = vec![neighbour(IpAddr::V4(v4)), Setting::Via { link, to: all_v4, gateway: v4.into(), table }];
    if has_ipv6 {
        all.push(neighbour(IpAddr::V6(GATEWAY_V6)));
        all.push(Setting::Via { link, to: all_v6, gateway: GATEWAY_V6.into(), table });
    }
    all
}

fn address(link: u32, address: IpAddr, length: u8) -> Setting {
    Setting::Address { link, address: IpNet::new(address, length).unwrap_or_else(|_| address.into()) }
}

/// The name of an ENI's link in the router.
fn link_name(eni: &EniId) -> String {
    hashed_name('e', eni.as_str())
}

/// A letter and 56 bits of the id's FNV-1a hash: the 15 characters that a link's name may have.
pub(super) fn hashed_name(letter: char, id: &str) -> String {
    let hash = id
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{letter}{:014x}", hash >> 8)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::netlink::LINK_NAME_BYTES_MAX;

    #[test]
    fn link_names_fit_and_differ() {
        let names: BTreeSet<String> = (0..10_000).map(|n| link_name(&format!("eni-{n}").into())).collect();
        assert_eq!(names.len(), 10_000);
        assert!(names.iter().all(|name| name.len() == LINK_NAME_BYTES_MAX));
    }

    #[test]
    fn the_name_of_a_link_never_changes() {
        assert_eq!(link_name(&"eni-bp1abcdefghijklmnopq".into()), "eaee439ed05d6e3");
    }
}
