//! What the kernel is given is what the structures say.

use super::*;

/// The size of a structure is the sum of its fields: nothing of ours goes to the kernel by accident.
#[test]
fn structures_have_no_padding() {
    assert_eq!(size_of::<abi::Eni>(), 3 * 8 + 3 * 4 + 2 * 2 + 6 + 2 + 2 * 4 + 4 * 2);
    assert_eq!(size_of::<abi::Member>(), 2 * 4 + 16 + 2 * 4 + 4 * abi::GROUPS_MAX);
    assert_eq!(size_of::<abi::AddressKey>(), 20);
    assert_eq!(size_of::<abi::PortKey>(), 16);
    assert_eq!(size_of::<abi::FlowKey>(), 4 + 32 + 4 + 4);
    assert_eq!(size_of::<abi::FlowKey4>(), 4 + 8 + 4 + 4);
    assert_eq!(size_of::<abi::Flow>(), 16 + 4 + 4 + 32);
    assert_eq!(size_of::<abi::Budget>(), 4 * 4);
    assert_eq!(size_of::<abi::Counter>(), 16);
    assert_eq!(size_of::<abi::ReasonCounts>(), 2 * 8 * abi::REASONS as usize);
    assert_eq!(size_of::<abi::ShadowCounts>(), 8 * abi::SHADOW_CELLS as usize);
    assert_eq!(size_of::<abi::RuleName>(), 2 * abi::ID_BYTES);
    assert_eq!(size_of::<EventShare>(), 4 + 2 * 2 + 4 * 8);
    assert_eq!(size_of::<abi::Shadow>(), 2 * 8 + 2 * 4);
    assert_eq!(size_of::<abi::ShadowPair>(), 3 * 4 + 4);
    assert_eq!(size_of::<abi::ShadowWitness>(), 16 + 2 * 16 + 2 + 2);
    assert_eq!(size_of::<abi::ShadowSeen>(), 16);
}
