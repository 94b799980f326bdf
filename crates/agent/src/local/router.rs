//! A VPC on this host: the router's namespace and the namespace of the addresses outside.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read, Seek},
    os::fd::{AsFd, BorrowedFd},
};

use sekimori_core::ids::VpcId;

use super::{
    error::LocalError,
    pair::{self, Side},
    port::wait_for_addresses,
    wanted::{GATEWAY_MAC, OUTSIDE_LINK, OUTSIDE_MAC, WantedVpc, outside_name},
};
use crate::netlink::{
    End, LOOPBACK, Netlink,
    netns::{self, Identity, NetNs},
    setting::Setting,
    sysctl,
};

/// Bytes of the kernel's tables of links and of routes that are read at a time: some 30 lines.
const LISTED_BYTES: usize = 4_096;

/// What stands behind the name of a link in the kernel's table of routes.
const ROUTE_MARK: char = '\t';

/// A list of the links that routes lead to, on its way.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Their names.
    pub(super) names: BTreeSet<String>,
    is_begun: bool,
    /// The start of a line that was not read to its end.
    line: Vec<u8>,
}

/// A router that exists.
#[derive(Debug)]
pub(super) struct Router {
    pub(super) ns: NetNs,
    pub(super) netlink: Netlink,
    pub(super) identity: Identity,
    /// The kernel's table of the links inside.
    links: File,
    /// The kernel's table of the routes of IPv4 inside: none leads to a link that is down.
    routes: File,
    /// The outside as it was made last; `None` until it is complete.
    outside: Option<(Identity, WantedVpc)>,
}

impl Router {
    /// The router of a VPC if its namespace exists, for work that only takes things away.
    pub(super) fn open(vpc: &VpcId) -> Result<Option<Self>, LocalError> {
        let name = vpc.as_str();
        let fail = |error| LocalError::namespace("open", name, &error);
        let Some(ns) = NetNs::open(name).map_err(fail)? else { return Ok(None) };
        let netlink = Netlink::open(&ns, sysctl::ROUTER).map_err(fail)?;
        Self::new(ns, netlink).map(Some)
    }

    /// The router of a VPC, made if need be. One that lost its name to somebody gets it back with everything in it.
    pub(super) async fn ensure(previous: Option<Self>, vpc: &VpcId) -> Result<Self, LocalError> {
        let name = vpc.as_str();
        let known = netns::identity(name).map_err(|error| LocalError::namespace("look up", name, &error))?;
        let router = match previous {
            Some(router) if known == Some(router.identity) => return Ok(router),
            Some(router) if known.is_none() => {
                router.ns.publish().map_err(|error| LocalError::namespace("rename", name, &error))?;
                router
            }
            Some(_) | None => {
                let (ns, netlink) = open_or_create(name, sysctl::ROUTER)?;
                Self::new(ns, netlink)?
            }
        };
        router.netlink.make(&[Setting::Up { link: LOOPBACK }]).await?;
        Ok(router)
    }

    /// What the VPC needs besides its ENIs. Without `thorough`, what was complete and still exists is believed.
    pub(super) async fn furnish(&mut self, wanted: &WantedVpc, thorough: bool) -> Result<(), LocalError> {
        let name = outside_name(&wanted.id);
        let known = netns::identity(&name).map_err(|error| LocalError::namespace("look up", &name, &error))?;
        let complete = self.outside.as_ref().is_some_and(|(id, vpc)| known == Some(*id) && vpc == wanted);
        if complete && !thorough {
            return Ok(());
        }
        self.outside = None;
        self.netlink.make(&wanted.router_settings()).await?;
        let (ns, netlink) = open_or_create(&name, sysctl::HOST)?;
        netlink.make(&[Setting::Up { link: LOOPBACK }]).await?;
        let near = Side { netlink: &self.netlink, end: End { name: OUTSIDE_LINK.0, mac: GATEWAY_MAC } };
        let far = Side { netlink: &netlink, end: End { name: OUTSIDE_LINK.1, mac: OUTSIDE_MAC } };
        let found = pair::find(near, far).await?;
        let pair = pair::make(near, far, &ns, &found).await?;
        self.netlink.make(&wanted.uplink_settings(pair.near.index)).await?;
        netlink.make(&wanted.outside_settings(pair.far.index)).await?;
        wait_for_addresses(&netlink, &wanted.outside_addresses()).await?;
        let identity = ns.identity().map_err(|error| LocalError::namespace("look up", &name, &error))?;
        self.outside = Some((identity, wanted.clone()));
        Ok(())
    }

    /// The identity of the outside, once it is complete.
    pub(super) fn outside(&self) -> Option<Identity> {
        self.outside.as_ref().map(|(identity, _)| *identity)
    }

    /// What is outside has to be looked at before it is believed to be complete again.
    pub(super) fn doubt_outside(&mut self) {
        self.outside = None;
    }

    /// The names of the links inside. Not through netlink, whose listing takes the kernel time that grows with the
    /// square of the number of links: it looks for the number of every other end's namespace.
    pub(super) fn links(&self) -> io::Result<BTreeSet<String>> {
        whole(&self.links, ':')
    }

    /// The names of the links inside that routes of IPv4 lead to: those that are there and up, and have theirs.
    pub(super) fn reached(&self) -> io::Result<BTreeSet<String>> {
        whole(&self.routes, ROUTE_MARK)
    }

    /// Goes on with a list of those; whether it is whole. Another list that is begun meanwhile cuts this one short.
    pub(super) fn list(&self, listing: &mut Listing) -> io::Result<bool> {
        go_on(&self.routes, listing, ROUTE_MARK)
    }

    fn new(ns: NetNs, netlink: Netlink) -> Result<Self, LocalError> {
        let identity = ns.identity().map_err(|error| LocalError::namespace("look up", ns.name(), &error))?;
        let open = |name: &str| {
            let opened = netns::within(ns.as_fd(), || File::open(format!("/proc/thread-self/net/{name}"))).flatten();
            opened.map_err(|error| LocalError::namespace("look into", ns.name(), &error))
        };
        let (links, routes) = (open("dev")?, open("route")?);
        Ok(Self { ns, netlink, identity, links, routes, outside: None })
    }
}

fn whole(table: &File, mark: char) -> io::Result<BTreeSet<String>> {
    let mut listing = Listing::default();
    while !go_on(table, &mut listing, mark)? {}
    Ok(listing.names)
}

/// Goes on reading a table of the kernel, of which each line begins with the name of a link and a mark behind it; whether it was read to its end.
fn go_on(mut table: &File, listing: &mut Listing, mark: char) -> io::Result<bool> {
    if !listing.is_begun {
        table.rewind()?;
        listing.is_begun = true;
    }
    let mut part = [0; LISTED_BYTES];
    let count = table.read(&mut part)?;
    listing.line.extend_from_slice(part.get(..count).unwrap_or_default());
    let whole = listing.line.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let lines: Vec<u8> = listing.line.drain(..whole).collect();
    let lines = String::from_utf8_lossy(&lines);
    let names = lines.lines().filter_map(|line| line.split_once(mark));
    listing.names.extend(names.map(|(name, _)| name.trim_start().to_owned()));
    Ok(count == 0)
}

impl AsFd for Router {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ns.as_fd()
    }
}

/// Removes both namespaces of a VPC, and the link between them.
pub(super) async fn remove(router: Option<Router>, vpc: &VpcId) -> Result<(), LocalError> {
    if let Some(router) = router {
        router.netlink.delete_link(OUTSIDE_LINK.0).await?;
    }
    for name in [outside_name(vpc), vpc.to_string()] {
        netns::delete(&name).map_err(|error| LocalError::namespace("remove", &name, &error))?;
    }
    Ok(())
}

/// A namespace that the caller knows to be ours: the one that exists, or a new one in place of a leftover file.
pub(super) fn open_or_create(
    name: &str,
    sysctls: &[(&'static str, &'static str)],
) -> Result<(NetNs, Netlink), LocalError> {
    let fail = |action| move |error| LocalError::namespace(action, name, &error);
    if let Some(ns) = NetNs::open(name).map_err(fail("open"))? {
        let netlink = Netlink::open(&ns, sysctls).map_err(fail("enter"))?;
        return Ok((ns, netlink));
    }
    netns::delete(name).map_err(fail("clear"))?;
    Netlink::create(name, sysctls).map_err(fail("create"))
}
