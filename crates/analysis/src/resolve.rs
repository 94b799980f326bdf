//! What people call an interface: an ENI id, or the id of an instance for its primary ENI.

use std::sync::Arc;

use sekimori_core::world::{Eni, World};

/// The ENI that a name means, if it means one.
pub(crate) fn eni<'a>(world: &'a World, name: &str) -> Option<&'a Arc<Eni>> {
    world.eni(&name.into()).or_else(|| world.primary_eni(&name.into()))
}
