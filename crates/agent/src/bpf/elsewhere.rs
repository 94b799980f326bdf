//! Programs on interfaces that this program did not make: either way round, and taken off again.

use std::os::fd::BorrowedFd;

use sekimori_compile::abi::PortKey;
use sekimori_core::{binding::Side, ids::EniId};

use super::DataPlane;

/// An interface.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    /// Its namespace.
    pub netns: BorrowedFd<'a>,
    /// The namespace's name, for messages.
    pub namespace: &'a str,
    /// The namespace's cookie.
    pub cookie: u64,
    /// The interface's number there.
    pub ifindex: u32,
}

impl DataPlane {
    /// Closes a bound interface, as [`DataPlane::close`] does one of local compute.
    ///
    /// # Errors
    /// When the programs cannot be attached: the interface is as open as it was.
    pub fn close_at(&mut self, eni: &EniId, at: &At<'_>, side: Side) -> anyhow::Result<()> {
        self.bound.insert(eni.clone());
        let netns = self.attachments.attach(eni, at.netns, (at.namespace, at.ifindex), side)?;
        self.rebind(eni, Some(PortKey { netns, ifindex: at.ifindex, reserved: 0 }))?;
        Ok(())
    }

    /// Makes the programs of a namespace ready, so that an interface that appears there gets them at once.
    ///
    /// # Errors
    /// When the kernel refuses them.
    pub fn prepare(&mut self, cookie: u64) -> anyhow::Result<()> {
        self.attachments.prepare(cookie)
    }

    /// Nothing is waited for in a namespace any more.
    pub fn unprepare(&mut self, cookie: u64) {
        self.attachments.unprepare(cookie);
    }

    /// Has an interface drop everything: its programs know no ENI for it.
    ///
    /// # Errors
    /// When the programs cannot be attached.
    pub fn seal(&mut self, eni: &EniId, at: &At<'_>, side: Side) -> anyhow::Result<()> {
        self.bound.insert(eni.clone());
        self.rebind(eni, None)?;
        self.attachments.attach(eni, at.netns, (at.namespace, at.ifindex), side)?;
        Ok(())
    }

    /// Whether both programs are known to be on this interface, and it is known as the ENI's.
    #[must_use]
    pub fn is_judged_at(&self, eni: &EniId, at: &At<'_>) -> bool {
        let is_here = |port: PortKey| (port.netns, port.ifindex) == (at.cookie, at.ifindex);
        self.attachments.port(eni).is_some_and(is_here)
            && (self.attachments.is_attached(eni) || self.attachments.is_filtered(eni))
            && self.bound.contains(eni)
    }

    /// The number of the interface in a namespace at which an ENI's programs are.
    #[must_use]
    pub fn judged_in(&self, eni: &EniId, cookie: u64) -> Option<u32> {
        let port = self.attachments.port(eni).filter(|port| port.netns == cookie)?;
        (self.attachments.is_attached(eni) || self.attachments.is_filtered(eni)).then_some(port.ifindex)
    }

    /// The ENI that an interface is known as.
    #[must_use]
    pub fn eni_at(&self, cookie: u64, ifindex: u32) -> Option<&EniId> {
        self.attachments.eni_at(cookie, ifindex)
    }

    /// Its programs are not believed to be there: they are put on again when it is looked at next.
    pub fn doubt(&mut self, eni: &EniId) {
        self.bound.remove(eni);
    }

    /// A bound interface is gone, or its ENI is not to be enforced there any more.
    pub fn forget_bound(&mut self, eni: &EniId) {
        // Not known as bound: there is nothing of it, or local compute has an interface for the ENI.
        if self.bound.remove(eni) || self.attachments.port(eni).is_some() {
            self.forget(eni);
        }
    }

    /// Whether anything is kept for an ENI at an interface.
    #[must_use]
    pub fn is_bound(&self, eni: &EniId) -> bool {
        self.bound.contains(eni) || self.attachments.port(eni).is_some()
    }

    /// Takes filters off an interface; links go with [`DataPlane::forget_bound`].
    ///
    /// # Errors
    /// The kernel's.
    pub fn detach(&self, eni: &EniId, netns: BorrowedFd<'_>, ifindex: u32) -> anyhow::Result<()> {
        if self.attachments.is_filtered(eni) { super::attach::detach_filters(netns, ifindex) } else { Ok(()) }
    }
}
