//! What policies let pass, as boxes, kept from change to change for as long as it is so.

use std::sync::Arc;

use imbl::OrdMap;

use sekimori_core::{
    rule::Direction,
    space::{Set, TooComplex, resolve::Reader, view::Bounds},
    world::World,
};

use super::touched::Touched;
use crate::permits::Bearing;

/// Policies that are kept, each in both directions; one whose answers a network ACL looks at counts twice. Beyond them all are forgotten, and
/// computed again as they are needed.
pub const INVARIANT_POLICIES_KEPT_MAX: usize = 32_768;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Passing {
    known: OrdMap<(Direction, bool, Bearing), Arc<[Bounds]>>,
}

impl Passing {
    /// What a policy lets pass in a direction. Left out is what no rule has to do with: the discovery of neighbours and
    /// routers, and DHCP as far as the bypass set lets it pass.
    pub(super) fn of(
        &mut self,
        world: &World,
        bearing: &Bearing,
        direction: Direction,
    ) -> Result<Arc<[Bounds]>, TooComplex> {
        self.kept(world, bearing, (direction, false))
    }

    /// Those of them whose answers pass as well.
    pub(super) fn answered(
        &mut self,
        world: &World,
        bearing: &Bearing,
        direction: Direction,
    ) -> Result<Arc<[Bounds]>, TooComplex> {
        // Only a network ACL looks at answers.
        self.kept(world, bearing, (direction, bearing.guarded.is_some()))
    }

    fn kept(
        &mut self,
        world: &World,
        bearing: &Bearing,
        (direction, is_answered): (Direction, bool),
    ) -> Result<Arc<[Bounds]>, TooComplex> {
        let key = (direction, is_answered, bearing.clone());
        if let Some(known) = self.known.get(&key) {
            return Ok(Arc::clone(known));
        }
        let mut passing = bearing.judged(world, direction)?.difference(&dhcp(world, bearing, direction)?)?;
        if is_answered {
            passing = bearing.answered(world, &passing, direction)?;
        }
        let boxes: Arc<[Bounds]> = passing.boxes().collect();
        if self.known.len() >= 2 * INVARIANT_POLICIES_KEPT_MAX {
            self.known.clear();
        }
        self.known.insert(key, Arc::clone(&boxes));
        Ok(boxes)
    }

    pub(super) fn forget(&mut self, touched: &Touched) {
        for bearing in touched.bearings.union(&touched.named) {
            for direction in [Direction::Ingress, Direction::Egress] {
                for is_answered in [false, true] {
                    self.known.remove(&(direction, is_answered, bearing.clone()));
                }
            }
        }
    }
}

fn dhcp(world: &World, bearing: &Bearing, direction: Direction) -> Result<Set, TooComplex> {
    let reader = Reader::new(world, &bearing.vpc, []);
    let mut set = Set::empty();
    for entry in world.bypass().entries().iter().filter(|entry| entry.direction == direction && entry.is_dhcp()) {
        set = set.union(&reader.bypass(entry)?)?;
    }
    Ok(set)
}
