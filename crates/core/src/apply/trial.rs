//! Changes on trial: begun and confirmed. What undoes them is in [`super::undo`].

use std::sync::Arc;

use super::{Draft, missing, within};
use crate::{
    change::Change,
    command::{Command, Outcome, TrialCommand},
    refusal::{Counted, Kind, Refusal},
    time::Timestamp,
    trial::{TRIAL_FACTS_MAX, TRIALS_MAX, Trial, TrialRefusal, Undo, Undoing, rows},
};

impl Draft<'_> {
    pub(super) fn run_trial(&mut self, command: &TrialCommand) -> Result<Outcome, Refusal> {
        match command {
            TrialCommand::Begin { command, operations, within_s } => self.begin_trial(command, operations, *within_s),
            TrialCommand::Confirm { id, even_late } => {
                let trial = self.trial_of(id)?;
                if trial.until <= self.context.now && !even_late {
                    return Err(TrialRefusal::Late(id.clone()).into());
                }
                self.put(Change::DeleteTrial(id.clone()));
                Ok(Outcome::Done)
            }
            TrialCommand::RollBack { id } => {
                let trial = self.trial_of(id)?;
                self.roll_back(&trial)
            }
        }
    }

    fn trial_of(&self, id: &str) -> Result<Arc<Trial>, Refusal> {
        self.world.trials().get(id).cloned().ok_or_else(|| missing(Kind::Trial, id))
    }

    fn begin_trial(&mut self, command: &Command, operations: &[String], within_s: u32) -> Result<Outcome, Refusal> {
        let (before, begun) = (self.world.clone(), self.changes.len());
        let outcome = Box::new(self.run(command)?);
        let mut facts = Vec::new();
        for row in rows(self.changes.get(begun..).unwrap_or_default()) {
            let (was, is) = (before.fact(&row), self.world.fact(&row));
            if was == is {
                continue;
            }
            match row.undoing(was.is_some(), is.is_some()) {
                Undoing::Apart => {}
                Undoing::Possible => facts.push(Undo { before: was, after: is }),
                Undoing::Impossible(word) => {
                    return Err(TrialRefusal::NotUndoable(row.name(), word.to_owned()).into());
                }
            }
        }
        if facts.is_empty() {
            return Ok(Outcome::Trial(None, outcome));
        }
        within(Counted::TrialFacts, TRIAL_FACTS_MAX, facts.len())?;
        within(Counted::Trials, TRIALS_MAX, self.world.trials().len() + 1)?;
        let now = self.context.now;
        let id = loop {
            let id = format!("trial-{:08x}", self.context.ids.next_u64() >> 32);
            if self.world.trials().get(&id).is_none() {
                break id;
            }
        };
        let (revision, until) = (before.revision().next(), Timestamp(now.0.saturating_add(i64::from(within_s))));
        let operations = operations.to_vec();
        let trial = Trial { id: id.clone(), revision, operations, made_at: now, until, facts };
        self.put(Change::PutTrial(Arc::new(trial)));
        Ok(Outcome::Trial(Some(id), outcome))
    }
}
