//! Commands that are tried on a copy of the world, so that a plan promises nothing that the writer refuses.

use sekimori_core::{
    apply::{State, apply},
    command::{Command, Context},
    ids::{HostId, IdSource},
    limits::LimitMode,
    time::Timestamp,
    world::World,
};

use crate::invariant::Checker;

/// A copy of the world that follows what is tried.
#[derive(Clone)]
pub(crate) struct Trial {
    state: State,
    limits: LimitMode,
    checker: Checker,
}

impl Trial {
    pub(crate) fn of(world: &World, limits: LimitMode) -> Self {
        Self { state: State::new(world.clone()), limits, checker: Checker::default() }
    }

    pub(crate) fn world(&self) -> &World {
        self.state.world()
    }

    /// Carries a command out on the copy. Whether it changed anything; or the refusal in words.
    pub(crate) fn run(&mut self, command: &Command) -> Result<bool, String> {
        // Names and times of the copy are never seen.
        let mut context =
            Context { now: Timestamp(0), ids: IdSource::new(0), limits: self.limits, host: HostId::from("") };
        let applied = apply(&self.state, command, &mut context).map_err(|refusal| refusal.to_string())?;
        let held = self.checker.hold(self.state.world(), applied).map_err(|refusal| refusal.to_string())?;
        let (applied, checker, _) = held;
        (self.state, self.checker) = (applied.state, checker);
        Ok(!applied.changes.is_empty())
    }
}
