//! The kernel's network configuration, spoken through netlink: links, addresses, routes and neighbours.
//!
//! A [`Netlink`] is a socket that was opened inside one namespace and stays bound to it, so later requests need
//! no change of namespace. Nothing here runs `ip`, and nothing decides what should exist: see [`crate::local`].

pub mod netns;
pub mod rules;
pub mod setting;
pub mod sysctl;

use std::{
    collections::BTreeMap,
    io,
    net::Ipv6Addr,
    os::fd::{AsFd, AsRawFd},
};

use futures::{StreamExt, future::join_all};
use nix::errno::Errno;
use rtnetlink::{
    Handle, LinkDelRequest, LinkMessageBuilder, LinkUnspec, LinkVeth, MulticastGroup, RouteMessageBuilder,
    new_multicast_connection,
    packet_route::{
        link::{InfoData, InfoVeth, LinkAttribute, LinkFlags, LinkLayerType, LinkMessage, State},
        route::RouteType,
    },
};
use sekimori_core::address::Mac;
use tokio::{runtime, task::AbortHandle};

use self::{netns::NetNs, setting::Setting};

/// The longest name of a link, in bytes (`IFNAMSIZ` less the final zero).
pub const LINK_NAME_BYTES_MAX: usize = 15;

/// The loopback link of every namespace.
pub const LOOPBACK: u32 = 1;

/// The device group of links that are deleted together; it holds nothing at any other time.
const DOOMED_GROUP: u32 = 0x5345_4b49;

/// A request that the kernel refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot {action} in namespace `{namespace}`: {reason}")]
pub struct NetlinkError {
    /// What was asked.
    pub action: String,
    /// Where.
    pub namespace: String,
    /// What the kernel said.
    pub reason: String,
    errno: Option<Errno>,
}

/// A link as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number in its namespace.
    pub index: u32,
    /// Its name there.
    pub name: String,
    /// Whether frames on it have Ethernet headers.
    pub is_ethernet: bool,
    /// The number of a veth's other end in that end's namespace.
    pub peer: Option<u32>,
    /// Its Ethernet address.
    pub mac: Option<Mac>,
    /// Whether it is set up.
    pub up: bool,
    /// Whether the kernel has seen both ends up, and packets can pass.
    pub running: bool,
}

/// One end of a veth pair that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End<'a> {
    /// The link's name.
    pub name: &'a str,
    /// Its Ethernet address.
    pub mac: Mac,
}

/// A netlink socket in one namespace. It must be used on the runtime that it was opened on.
#[derive(Debug)]
pub struct Netlink {
    namespace: String,
    handle: Handle,
    task: AbortHandle,
}

impl Drop for Netlink {
    /// Closes the socket, which would keep the namespace alive.
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Netlink {
    /// Makes settings inside a namespace and opens a socket there.
    ///
    /// # Errors
    /// When the namespace cannot be entered, a setting cannot be made, or the socket cannot be opened.
    pub fn open(ns: &NetNs, sysctls: &[(&'static str, &'static str)]) -> io::Result<Self> {
        let runtime = runtime::Handle::current();
        netns::within(ns.as_fd(), || Self::here(ns.name(), sysctls, &runtime))?
    }

    /// Opens a socket inside a namespace that also hears of every change of a link there, and changes no setting. The kernel may
    /// lose announcements when many come at once.
    ///
    /// # Errors
    /// When the namespace cannot be entered, or the socket cannot be opened.
    pub fn watch(ns: &NetNs, changed: impl Fn() + Send + Sync + 'static) -> io::Result<Self> {
        let runtime = runtime::Handle::current();
        let (handle, task) = netns::within(ns.as_fd(), || {
            let _entered = runtime.enter();
            let (connection, handle, mut announcements) = new_multicast_connection(&[MulticastGroup::Link])?;
            let task = runtime.spawn(async move {
                let hear = async {
                    while announcements.next().await.is_some() {
                        changed()
                    }
                };
                futures::join!(connection, hear);
            });
            Ok::<_, io::Error>((handle, task.abort_handle()))
        })??;
        Ok(Self { namespace: ns.name().to_owned(), handle, task })
    }

    /// Makes a namespace with these settings, and opens a socket there.
    ///
    /// # Errors
    /// `AlreadyExists` when the name exists; else what the kernel refused.
    pub fn create(name: &str, sysctls: &[(&'static str, &'static str)]) -> io::Result<(NetNs, Self)> {
        let runtime = runtime::Handle::current();
        netns::create(name, || Self::here(name, sysctls, &runtime))
    }

    fn here(
        namespace: &str,
        sysctls: &[(&'static str, &'static str)],
        runtime: &runtime::Handle,
    ) -> io::Result<Self> {
        sysctl::set(sysctls)?;
        let _entered = runtime.enter();
        let (connection, handle, _unsolicited) = rtnetlink::new_connection()?;
        let task = runtime.spawn(connection).abort_handle();
        Ok(Self { namespace: namespace.to_owned(), handle, task })
    }

    /// A link by name.
    ///
    /// # Errors
    /// When the kernel cannot be asked; that there is no such link is no error.
    pub async fn link(&self, name: &str) -> Result<Option<Link>, NetlinkError> {
        let mut found = Box::pin(self.handle.link().get().match_name(name).execute());
        match found.next().await {
            Some(Ok(message)) => Ok(Some(describe(&message))),
            None => Ok(None),
            Some(Err(error)) => {
                let error = self.error(format!("look up link `{name}`"), &error);
                if error.errno == Some(Errno::ENODEV) { Ok(None) } else { Err(error) }
            }
        }
    }

    /// A link by number.
    ///
    /// # Errors
    /// As [`Netlink::link`].
    pub async fn link_at(&self, index: u32) -> Result<Option<Link>, NetlinkError> {
        let mut found = Box::pin(self.handle.link().get().match_index(index).execute());
        match found.next().await {
            Some(Ok(message)) => Ok(Some(describe(&message))),
            None => Ok(None),
            Some(Err(error)) => {
                let error = self.error(format!("look up link {index}"), &error);
                if error.errno == Some(Errno::ENODEV) { Ok(None) } else { Err(error) }
            }
        }
    }

    /// Every link, by name.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub async fn links(&self) -> Result<BTreeMap<String, Link>, NetlinkError> {
        let mut found = Box::pin(self.handle.link().get().execute());
        let mut links = BTreeMap::new();
        while let Some(message) = found.next().await {
            let link = describe(&message.map_err(|error| self.error("list links".to_owned(), &error))?);
            links.insert(link.name.clone(), link);
        }
        Ok(links)
    }

    /// Sets a link down.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn set_down(&self, index: u32) -> Result<(), NetlinkError> {
        let message = LinkUnspec::new_with_index(index).down().build();
        let set = self.handle.link().set(message).execute().await;
        set.map_err(|error| self.error(format!("set link {index} down"), &error))
    }

    /// Whether packets to an IPv6 address are this namespace's own. The kernel comes to that a moment after it has
    /// accepted the address.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub async fn is_own(&self, address: Ipv6Addr) -> Result<bool, NetlinkError> {
        let message = RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(address, 128).build();
        let mut found = Box::pin(self.handle.route().get(message).execute());
        match found.next().await {
            Some(Ok(route)) => Ok(route.header.kind == RouteType::Local),
            None => Ok(false),
            Some(Err(error)) => {
                let error = self.error(format!("look up the route to {address}"), &error);
                if error.errno == Some(Errno::ENETUNREACH) { Ok(false) } else { Err(error) }
            }
        }
    }

    /// Makes a veth pair: one end here, the other in `other`. Both are down.
    ///
    /// # Errors
    /// When either name is taken, or the kernel refuses.
    pub async fn add_pair(&self, here: End<'_>, there: End<'_>, other: &NetNs) -> Result<(), NetlinkError> {
        let peer = LinkMessageBuilder::<LinkUnspec>::new()
            .name(there.name)
            .address(there.mac.0.to_vec())
            .setns_by_fd(other.as_fd().as_raw_fd())
            .build();
        let pair = LinkMessageBuilder::<LinkVeth>::new(here.name, there.name)
            .address(here.mac.0.to_vec())
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
            .build();
        let made = self.handle.link().add(pair).execute().await;
        made.map_err(|error| {
            let what = format!("make link `{}` with `{}` in namespace `{}`", here.name, there.name, other.name());
            self.error(what, &error)
        })
    }

    /// Deletes a link by name, and with it a veth's other end. A link that does not exist is no error.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn delete_link(&self, name: &str) -> Result<(), NetlinkError> {
        let message = LinkUnspec::new_with_name(name).build();
        let request = LinkDelRequest::new_with_message(self.handle.clone(), message);
        let Err(error) = request.execute().await else { return Ok(()) };
        let error = self.error(format!("delete link `{name}`"), &error);
        if error.errno == Some(Errno::ENODEV) { Ok(()) } else { Err(error) }
    }

    /// Deletes links by name, as [`Netlink::delete_link`] does, in one step however many there are: each deletion
    /// alone waits for the packets in flight.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn delete_links(&self, names: &[String]) -> Result<(), NetlinkError> {
        if let [name] = names {
            return self.delete_link(name).await;
        }
        let mark = |name: &String| {
            let group = LinkAttribute::Group(DOOMED_GROUP);
            let message = LinkUnspec::new_with_name(name).append_extra_attribute(group).build();
            self.handle.link().set(message).execute()
        };
        let outcomes = join_all(names.iter().map(mark)).await;
        for (name, error) in names.iter().zip(outcomes).filter_map(|(name, outcome)| Some((name, outcome.err()?))) {
            let error = self.error(format!("mark link `{name}` for deletion"), &error);
            if error.errno != Some(Errno::ENODEV) {
                return Err(error);
            }
        }
        let message = LinkMessageBuilder::<LinkUnspec>::new()
            .append_extra_attribute(LinkAttribute::Group(DOOMED_GROUP))
            .build();
        let request = LinkDelRequest::new_with_message(self.handle.clone(), message);
        let Err(error) = request.execute().await else { return Ok(()) };
        let error = self.error(format!("delete {} links", names.len()), &error);
        if error.errno == Some(Errno::ENODEV) { Ok(()) } else { Err(error) }
    }

    /// Makes settings, in order. All are tried.
    ///
    /// # Errors
    /// The first that the kernel refused.
    pub async fn make(&self, settings: &[Setting]) -> Result<(), NetlinkError> {
        let outcomes = join_all(settings.iter().map(|setting| setting.make(&self.handle))).await;
        let mut refused =
            settings.iter().zip(outcomes).filter_map(|(setting, outcome)| Some((setting, outcome.err()?)));
        match refused.next() {
            Some((setting, error)) => Err(self.error(format!("set {setting}"), &error)),
            None => Ok(()),
        }
    }

    /// Takes settings back. One that is not there is no error; one that ends with its link is passed over.
    ///
    /// # Errors
    /// The first that the kernel refused.
    pub async fn unmake(&self, settings: &[Setting]) -> Result<(), NetlinkError> {
        for setting in settings {
            let Some(request) = setting.unmake(&self.handle) else { continue };
            let Err(error) = request.await else { continue };
            let error = self.error(format!("remove {setting}"), &error);
            let absent = [Errno::ESRCH, Errno::ENOENT, Errno::EADDRNOTAVAIL, Errno::ENODEV].map(Some);
            if !absent.contains(&error.errno) {
                return Err(error);
            }
        }
        Ok(())
    }

    /// The error for a link that was made and is not there any more.
    pub(crate) fn vanished(&self, name: &str) -> NetlinkError {
        NetlinkError {
            action: format!("find link `{name}`"),
            namespace: self.namespace.clone(),
            reason: "it was removed as soon as it was made".to_owned(),
            errno: Some(Errno::ENODEV),
        }
    }

    fn error(&self, action: String, error: &rtnetlink::Error) -> NetlinkError {
        let (reason, errno) = match error {
            rtnetlink::Error::NetlinkError(message) => {
                (message.to_io().to_string(), Some(Errno::from_raw(message.raw_code().abs())))
            }
            other => (other.to_string(), None),
        };
        NetlinkError { action, namespace: self.namespace.clone(), reason, errno }
    }
}

fn describe(message: &LinkMessage) -> Link {
    let flags = message.header.flags;
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        is_ethernet: message.header.link_layer_type == LinkLayerType::Ether,
        peer: None,
        mac: None,
        up: flags.contains(LinkFlags::Up),
        running: false,
    };
    for attribute in &message.attributes {
        if let LinkAttribute::IfName(name) = attribute {
            link.name.clone_from(name);
        }
        if let LinkAttribute::Link(index) = attribute {
            link.peer = Some(*index);
        }
        if let LinkAttribute::OperState(state) = attribute {
            link.running = *state == State::Up;
        }
        if let LinkAttribute::Address(bytes) = attribute {
            link.mac = <[u8; 6]>::try_from(bytes.as_slice()).ok().map(Mac);
        }
    }
    link
}
