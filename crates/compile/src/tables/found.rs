//! An ENI as a world has it, looked up once: where many are touched, that is most of the work.

use std::sync::Arc;

use sekimori_core::{
    ids::{EniId, HostId},
    world::{Eni, World},
};

/// See the module.
pub(super) struct Found {
    pub(super) id: EniId,
    pub(super) eni: Option<Arc<Eni>>,
    is_here: bool,
}

impl Found {
    pub(super) fn of(id: &EniId, world: &World, host: &HostId) -> Self {
        let eni = world.eni(id).cloned();
        let is_here = eni.as_ref().is_some_and(|eni| world.is_on(eni, host));
        Self { id: id.clone(), eni, is_here }
    }

    /// If it is on the host.
    pub(super) fn here(&self) -> Option<&Eni> {
        self.eni.as_deref().filter(|_| self.is_here)
    }
}
