//! A veth pair between two namespaces: found whole, or taken apart and made again.

use crate::netlink::{End, Link, Netlink, NetlinkError, netns::NetNs};

/// One namespace and its socket.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    pub(super) netlink: &'a Netlink,
    pub(super) end: End<'a>,
}

/// What is there of a pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Both ends, each the other's peer.
    Whole(Pair),
    /// Not both.
    Parts {
        /// Whether a link has the name of the near end.
        near: bool,
        /// Whether a link has the name of the far end.
        far: bool,
    },
}

/// The two ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) near: Link,
    pub(super) far: Link,
}

/// Looks for the pair.
pub(super) async fn find(near: Side<'_>, far: Side<'_>) -> Result<Found, NetlinkError> {
    let (here, there) = tokio::join!(near.netlink.link(near.end.name), far.netlink.link(far.end.name));
    Ok(match (here?, there?) {
        (Some(here), Some(there)) if here.peer == Some(there.index) && there.peer == Some(here.index) => {
            Found::Whole(Pair { near: here, far: there })
        }
        (here, there) => Found::Parts { near: here.is_some(), far: there.is_some() },
    })
}

/// Makes the pair, both ends down, in place of whatever has the names. The caller knows the names to be ours.
pub(super) async fn make(near: Side<'_>, far: Side<'_>, far_ns: &NetNs, parts: &Found) -> Result<Pair, NetlinkError> {
    match parts {
        Found::Whole(pair) => return Ok(pair.clone()),
        Found::Parts { near: has_near, far: has_far } => {
            if *has_near {
                near.netlink.delete_link(near.end.name).await?;
            }
            if *has_far {
                far.netlink.delete_link(far.end.name).await?;
            }
        }
    }
    near.netlink.add_pair(near.end, far.end, far_ns).await?;
    match find(near, far).await? {
        Found::Whole(pair) => Ok(pair),
        Found::Parts { .. } => Err(near.netlink.vanished(near.end.name)),
    }
}
