//! What of an ENI decides beside its policy, as flags of its entry.

use sekimori_core::world::{Eni, Flavor, Treatment, World};

use crate::abi;

/// `abi::ENI_*`, without `ENI_VALID`.
pub(super) fn flags_of(world: &World, eni: &Eni) -> u16 {
    let treatment = match world.treatment_of(eni) {
        Treatment::Reevaluate => 0,
        Treatment::Keep => abi::ENI_KEEP,
        Treatment::Reset => abi::ENI_RESET,
    };
    let check = if eni.source_check { abi::ENI_SOURCE_CHECK } else { 0 };
    let senders = match world.flavor_of(eni) {
        Some(Flavor::Ec2) => abi::ENI_SENDER_GROUPS,
        Some(Flavor::EcsBasic | Flavor::EcsEnterprise) | None => 0,
    };
    treatment | check | senders
}
