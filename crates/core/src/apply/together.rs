//! Several commands as one: all of them, or none.

use super::Draft;
use crate::{
    command::{Command, Outcome},
    limits::COMMANDS_TOGETHER_MAX,
    refusal::{Counted, Refusal},
    world::Revision,
};

impl Draft<'_> {
    /// Carries commands out one after the other on the same draft. The outcome is the last one's.
    pub(super) fn together(&mut self, at: Option<Revision>, commands: &[Command]) -> Result<Outcome, Refusal> {
        let found = self.world.revision();
        if let Some(expected) = at.filter(|at| *at != found) {
            return Err(Refusal::Outdated { expected, found });
        }
        super::within(Counted::CommandsTogether, COMMANDS_TOGETHER_MAX, commands.len())?;
        let mut outcome = Outcome::Done;
        for command in commands {
            outcome = self.run(command)?;
        }
        Ok(outcome)
    }
}
