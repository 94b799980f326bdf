//! Makes a failing world small: takes away one fact after another for as long as the failure stays.

use sekimori_core::{change::Change, world::World};

/// The world of some facts.
#[must_use]
pub fn world_of(changes: &[Change]) -> World {
    let mut world = World::default();
    changes.iter().for_each(|change| world.apply(change));
    world
}

/// The smallest list of facts found that still fails. `fails` must fail for the world itself.
pub fn shrink(world: &World, fails: impl Fn(&World) -> bool) -> Vec<Change> {
    let mut facts = world.to_changes();
    let mut index = facts.len();
    while index > 0 {
        index -= 1;
        let mut fewer = facts.clone();
        fewer.remove(index);
        if fails(&world_of(&fewer)) {
            facts = fewer;
        }
    }
    facts
}
