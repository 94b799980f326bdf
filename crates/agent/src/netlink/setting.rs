//! What an interface is given: each setting with the message that makes it and the one that takes it back.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use futures::future::{BoxFuture, FutureExt, ready};
use ipnet::IpNet;
use rtnetlink::{
    Error, Handle, LinkUnspec, RouteMessageBuilder,
    packet_route::{
        AddressFamily,
        address::{AddressAttribute, AddressFlags, AddressMessage},
        neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage},
        route::{RouteAttribute, RouteFlags, RouteMessage, RouteScope, RouteType},
    },
};
use sekimori_core::address::Mac;

/// One setting. Links are named by index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// The link is up.
    Up {
        /// The link.
        link: u32,
    },
    /// The link has this Ethernet address.
    Ethernet {
        /// The link.
        link: u32,
        /// The address.
        mac: Mac,
    },
    /// The link has this address. No route comes with it.
    Address {
        /// The link.
        link: u32,
        /// The address, with its prefix length.
        address: IpNet,
    },
    /// The block is on the link itself.
    OnLink {
        /// The link.
        link: u32,
        /// The block.
        to: IpNet,
        /// Preference among routes to the same block; 0 is the kernel's choice.
        metric: u32,
    },
    /// The block is behind a gateway.
    Via {
        /// The link.
        link: u32,
        /// The block.
        to: IpNet,
        /// The gateway.
        gateway: IpAddr,
        /// The table that the route is in; `None` is the main one.
        table: Option<u32>,
    },
    /// The block is behind the other end of a link between two routers, whatever addresses the link has.
    Across {
        /// The link.
        link: u32,
        /// The block.
        to: IpNet,
        /// A neighbour on the link.
        gateway: IpAddr,
    },
    /// What goes to the block, and has no better route, is dropped in silence.
    Blackhole {
        /// The block.
        to: IpNet,
    },
    /// The neighbour has this Ethernet address, for ever.
    Neighbour {
        /// The link.
        link: u32,
        /// The neighbour.
        address: IpAddr,
        /// Its Ethernet address.
        mac: Mac,
    },
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up { link } => write!(f, "state up of link {link}"),
            Self::Ethernet { link, mac } => write!(f, "Ethernet address {mac} of link {link}"),
            Self::Address { link, address } => write!(f, "address {address} of link {link}"),
            Self::OnLink { link, to, .. } => write!(f, "route to {to} on link {link}"),
            Self::Via { link, to, gateway, table: None } => write!(f, "route to {to} via {gateway} on link {link}"),
            Self::Via { link, to, gateway, table: Some(table) } => {
                write!(f, "route to {to} via {gateway} on link {link} in table {table}")
            }
            Self::Across { link, to, gateway } => write!(f, "route to {to} across link {link} via {gateway}"),
            Self::Blackhole { to } => write!(f, "blackhole route to {to}"),
            Self::Neighbour { link, address, .. } => write!(f, "neighbour {address} of link {link}"),
        }
    }
}

impl Setting {
    /// Asks the kernel for it. One that is there already is left as it is.
    pub(super) fn make(&self, handle: &Handle) -> BoxFuture<'static, Result<(), Error>> {
        match self {
            Self::Up { link } => {
                let message = LinkUnspec::new_with_index(*link).up().build();
                handle.link().set(message).execute().boxed()
            }
            Self::Ethernet { link, mac } => {
                let message = LinkUnspec::new_with_index(*link).address(mac.0.to_vec()).build();
                handle.link().set(message).execute().boxed()
            }
            Self::Address { link, address } => {
                let mut request = handle.address().add(*link, address.addr(), address.prefix_len()).replace();
                complete(request.message_mut());
                request.execute().boxed()
            }
            Self::OnLink { .. } | Self::Via { .. } | Self::Across { .. } | Self::Blackhole { .. } => {
                let Some(message) = self.route() else { return ready(Ok(())).boxed() };
                handle.route().add(message).replace().execute().boxed()
            }
            Self::Neighbour { link, address, mac } => {
                let request = handle.neighbours().add(*link, *address).link_layer_address(&mac.0);
                request.replace().execute().boxed()
            }
        }
    }

    /// Takes it back. `None`: it cannot be taken back alone; it ends with its link.
    pub(super) fn unmake(&self, handle: &Handle) -> Option<BoxFuture<'static, Result<(), Error>>> {
        match self {
            Self::Up { .. } | Self::Ethernet { .. } => None,
            Self::Address { link, address } => {
                let mut request = handle.address().add(*link, address.addr(), address.prefix_len());
                let message = request.message_mut().clone();
                Some(handle.address().del(message).execute().boxed())
            }
            Self::OnLink { .. } | Self::Via { .. } | Self::Across { .. } | Self::Blackhole { .. } => {
                Some(handle.route().del(self.route()?).execute().boxed())
            }
            Self::Neighbour { link, address, .. } => {
                Some(handle.neighbours().del(neighbour(*link, *address)).execute().boxed())
            }
        }
    }

    fn route(&self) -> Option<RouteMessage> {
        match self {
            Self::Up { .. } | Self::Ethernet { .. } | Self::Address { .. } | Self::Neighbour { .. } => None,
            Self::OnLink { link, to, metric } => Some(on_link(*link, *to, *metric)),
            Self::Via { link, to, gateway, table } => {
                let mut message = via(*link, *to, *gateway)?;
                message.attributes.extend(table.map(RouteAttribute::Table));
                Some(message)
            }
            Self::Across { link, to, gateway } => {
                let mut message = via(*link, *to, *gateway)?;
                message.header.flags |= RouteFlags::Onlink;
                Some(message)
            }
            Self::Blackhole { to } => Some(blackhole(*to)),
        }
    }
}

/// No prefix route and no broadcast address (point to point), and no wait for duplicate detection.
fn complete(message: &mut AddressMessage) {
    message.attributes.retain(|attribute| !matches!(attribute, AddressAttribute::Broadcast(_)));
    message.attributes.push(AddressAttribute::Flags(AddressFlags::Noprefixroute | AddressFlags::Nodad));
}

fn on_link(link: u32, to: IpNet, metric: u32) -> RouteMessage {
    let mut message = match to {
        IpNet::V4(net) => {
            let builder = RouteMessageBuilder::<Ipv4Addr>::new().scope(RouteScope::Link);
            builder.destination_prefix(net.network(), net.prefix_len()).output_interface(link).build()
        }
        IpNet::V6(net) => {
            let builder = RouteMessageBuilder::<Ipv6Addr>::new();
            builder.destination_prefix(net.network(), net.prefix_len()).output_interface(link).build()
        }
    };
    if metric > 0 {
        message.attributes.push(RouteAttribute::Priority(metric));
    }
    message
}

/// `None` when the families differ: there is no such route.
fn via(link: u32, to: IpNet, gateway: IpAddr) -> Option<RouteMessage> {
    match (to, gateway) {
        (IpNet::V4(net), IpAddr::V4(gateway)) => {
            let builder = RouteMessageBuilder::<Ipv4Addr>::new().gateway(gateway).output_interface(link);
            Some(builder.destination_prefix(net.network(), net.prefix_len()).build())
        }
        (IpNet::V6(net), IpAddr::V6(gateway)) => {
            let builder = RouteMessageBuilder::<Ipv6Addr>::new().gateway(gateway).output_interface(link);
            Some(builder.destination_prefix(net.network(), net.prefix_len()).build())
        }
        (IpNet::V4(_), IpAddr::V6(_)) | (IpNet::V6(_), IpAddr::V4(_)) => None,
    }
}

fn blackhole(to: IpNet) -> RouteMessage {
    match to {
        IpNet::V4(net) => {
            let builder = RouteMessageBuilder::<Ipv4Addr>::new().kind(RouteType::BlackHole);
            builder.destination_prefix(net.network(), net.prefix_len()).build()
        }
        IpNet::V6(net) => {
            let builder = RouteMessageBuilder::<Ipv6Addr>::new().kind(RouteType::BlackHole);
            builder.destination_prefix(net.network(), net.prefix_len()).build()
        }
    }
}

fn neighbour(link: u32, address: IpAddr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.ifindex = link;
    let (family, destination) = match address {
        IpAddr::V4(address) => (AddressFamily::Inet, NeighbourAddress::Inet(address)),
        IpAddr::V6(address) => (AddressFamily::Inet6, NeighbourAddress::Inet6(address)),
    };
    message.header.family = family;
    message.attributes.push(NeighbourAttribute::Destination(destination));
    message
}
