//! The kernel's tables of live flows: one for each IP version, seen as one.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

use sekimori_compile::abi::{Flow, FlowKey, FlowKey4};

use super::{maps::Maps, sys};

/// Both tables, for whoever reads or ends flows.
pub(super) struct FlowTables {
    v4: OwnedFd,
    v6: OwnedFd,
}

impl FlowTables {
    /// The tables of these maps.
    pub(super) fn new(maps: &Maps) -> io::Result<Self> {
        let own = |name| maps.fd(name)?.try_clone_to_owned();
        Ok(Self { v4: own("flows4")?, v6: own("flows6")? })
    }

    /// Calls `each` for every flow. One that comes or goes meanwhile may be seen or not.
    pub(super) fn for_each(&self, mut each: impl FnMut(&FlowKey, &Flow)) -> io::Result<()> {
        sys::for_each(self.v4.as_fd(), |key: &FlowKey4, flow| each(&FlowKey::from(*key), flow))?;
        sys::for_each(self.v6.as_fd(), each)
    }

    /// One flow.
    pub(super) fn get(&self, key: &FlowKey) -> io::Result<Option<Flow>> {
        match key.narrow() {
            Some(key) => sys::lookup(self.v4.as_fd(), &key),
            None => sys::lookup(self.v6.as_fd(), key),
        }
    }

    /// Takes a flow out; one that is not there is no error.
    pub(super) fn delete(&self, key: &FlowKey) -> io::Result<()> {
        match key.narrow() {
            Some(key) => sys::delete(self.v4.as_fd(), &key),
            None => sys::delete(self.v6.as_fd(), key),
        }
    }
}
