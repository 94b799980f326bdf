//! Invariants: set and removed by order of the operator. Whether they hold is no matter of this module.

use std::sync::Arc;

use super::{Draft, missing, within};
use crate::{
    change::Change,
    command::{InvariantCommand, Outcome},
    end::End,
    invariant::{INVARIANTS_MAX, Invariant, Mode, Statement, is_name},
    refusal::{Counted, Kind, Refusal},
};

impl Draft<'_> {
    pub(super) fn run_invariant(&mut self, command: &InvariantCommand) -> Result<Outcome, Refusal> {
        match command {
            InvariantCommand::Set { name, statement, mode } => self.set_invariant(name, statement, *mode),
            InvariantCommand::Remove { name } => {
                self.world.invariants().get(name).ok_or_else(|| missing(Kind::Invariant, name))?;
                self.put(Change::DeleteInvariant(name.clone()));
                Ok(Outcome::Done)
            }
        }
    }

    fn set_invariant(&mut self, name: &str, statement: &Statement, mode: Mode) -> Result<Outcome, Refusal> {
        if !is_name(name) {
            return Err(Refusal::InvariantName { name: name.to_owned() });
        }
        self.check_end(&statement.from)?;
        self.check_end(&statement.to)?;
        let old = self.world.invariants().get(name).cloned();
        if old.as_ref().is_some_and(|old| old.statement == *statement && old.mode == mode) {
            return Ok(Outcome::Done);
        }
        if old.is_none() {
            within(Counted::Invariants, INVARIANTS_MAX, self.world.invariants().len() + 1)?;
        }
        self.put(Change::PutInvariant(Arc::new(Invariant {
            name: name.to_owned(),
            statement: statement.clone(),
            mode,
            set_at: self.context.now,
            violation: None,
        })));
        Ok(Outcome::Done)
    }

    /// What an end names must be there when it is set: an invariant about a name that was mistyped would hold for ever.
    fn check_end(&self, end: &End) -> Result<(), Refusal> {
        let world = &self.world;
        let (kind, id, is_there) = match end {
            End::Internet | End::Block(_) | End::Name(_) | End::Tags(_) => return Ok(()),
            End::Instance(id) => (Kind::Instance, id.as_str(), world.instance(id).is_some()),
            End::Eni(id) => (Kind::Eni, id.as_str(), world.eni(id).is_some()),
            End::Group(id) => (Kind::Group, id.as_str(), world.group(id).is_some()),
            End::Vpc(id) => (Kind::Vpc, id.as_str(), world.vpc(id).is_some()),
            End::Subnet(id) => (Kind::Subnet, id.as_str(), world.subnet(id).is_some()),
        };
        if is_there { Ok(()) } else { Err(missing(kind, id)) }
    }
}
