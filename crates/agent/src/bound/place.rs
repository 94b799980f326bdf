//! A network namespace in which something is bound: open, and watched for interfaces that come and go.
//!
//! An open namespace lives as long as it is open, so one that lost its name must be let go soon: its interfaces die with it.

use std::{
    io,
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Context as _;
use sekimori_core::binding::Netns;
use tokio::sync::Notify;

use crate::{
    bpf::sys,
    netlink::{
        Netlink,
        netns::{self, Identity, NetNs, within},
    },
};

/// An open namespace.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) ns: NetNs,
    pub(super) netlink: Netlink,
    /// How programs know it.
    pub(super) cookie: u64,
    identity: Identity,
    has_news: Arc<AtomicBool>,
}

impl Place {
    /// Opens a namespace; `None` is the one that this process runs in. `news` is told when a link of it changes.
    pub(super) fn open(netns: Option<&Netns>, news: &Arc<Notify>) -> anyhow::Result<Self> {
        let ns = open(netns)?;
        let cookie =
            within(ns.as_fd(), sys::netns_cookie)?.context("the kernel does not tell a namespace's cookie")?;
        let identity = ns.identity()?;
        let has_news = Arc::new(AtomicBool::new(true));
        let (flag, news) = (Arc::clone(&has_news), Arc::clone(news));
        let netlink = Netlink::watch(&ns, move || {
            flag.store(true, Ordering::SeqCst);
            news.notify_one();
        })?;
        Ok(Self { ns, netlink, cookie, identity, has_news })
    }

    /// Whether the name stands for another namespace now, or for none. What cannot be looked up is not known to be lost.
    pub(super) fn is_lost(&self, netns: Option<&Netns>) -> bool {
        let found = match netns.map(|netns| (netns.name(), netns.as_str())) {
            None => return false,
            Some((Some(name), _)) => netns::identity(name),
            Some((None, path)) => netns::identity_at(path),
        };
        found.is_ok_and(|found| found != Some(self.identity))
    }

    /// Whether a link has changed since this was asked last.
    pub(super) fn take_news(&self) -> bool {
        self.has_news.swap(false, Ordering::SeqCst)
    }
}

/// Opens a namespace as its user names it.
pub(super) fn open(netns: Option<&Netns>) -> anyhow::Result<NetNs> {
    let Some(netns) = netns else { return NetNs::own().context("cannot open the namespace of this process") };
    let opened = match netns.name() {
        Some(name) => NetNs::open(name),
        None => NetNs::at(netns.as_str()),
    };
    let gone = || io::Error::new(io::ErrorKind::NotFound, format!("there is no network namespace `{netns}` now"));
    Ok(opened.with_context(|| format!("cannot open the network namespace `{netns}`"))?.ok_or_else(gone)?)
}
