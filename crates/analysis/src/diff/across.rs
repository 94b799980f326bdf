//! What gets from one VPC to another and does so in one of two worlds only, because they are peered there and not in the other.
//!
//! It is what the rules of both ends let pass in the world where something leads there, as [`crate::who`] tells it. Rules of the other world do not
//! matter: nothing leads there.

use std::collections::BTreeSet;

use sekimori_core::{ids::VpcId, world::World};

use super::{
    Crossing, DIFF_CROSSINGS_MAX, DiffError,
    around::{Joint, joints},
};
use crate::who::{self, WhoError};

/// Everything that crosses, in both directions, and how many lines are not told.
pub(super) fn crossings(
    (before, after): (&World, &World),
    joined: &BTreeSet<VpcId>,
) -> Result<(Vec<Crossing>, usize), DiffError> {
    let (mut crossings, mut untold) = (Vec::new(), 0);
    for Joint { one, other, effect } in joints(before, after, joined) {
        for (from, to) in [(&one, &other), (&other, &one)] {
            let lines = match who::across(effect.of((before, after)), from, to) {
                Ok(lines) => lines,
                Err(WhoError::TooComplex(error)) => {
                    return Err(DiffError::TooComplex { groups: format!("of {from} and {to}"), error });
                }
                Err(why) => {
                    return Err(DiffError::Crossing { from: from.clone(), to: to.clone(), why: why.to_string() });
                }
            };
            let room = DIFF_CROSSINGS_MAX.saturating_sub(crossings.len());
            untold += lines.len().saturating_sub(room);
            crossings.extend(lines.into_iter().take(room).map(|reach| Crossing { effect, reach }));
        }
    }
    Ok((crossings, untold))
}
