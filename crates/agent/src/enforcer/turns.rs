//! The agent's looking and comparing, in turns: one task follows the changes and does this as well, so it is done in steps of
//! microseconds, and between two turns whatever the server has said goes first.
//!
//! Every step looks at what there is and compares it with what is wanted *now*. So what changes between two turns is no difference,
//! and a repair never goes back to what was wanted before.

use std::time::{Duration, Instant};

use sekimori_core::{
    feed::{Difference, Part},
    ids::EniId,
};

use super::{Enforcer, read_back::READ_BACK_ENTRIES};
use crate::{
    bound::Again,
    bpf::{Object, Restored},
    local::{LocalLook, Looked, Port},
};

/// Interfaces whose programs are looked at in one step: by two links, and in a thorough round two names, each.
const INTERFACES_PER_STEP: usize = 8;
/// Namespaces whose programs' names are looked at in one step: two each.
const NAMESPACES_PER_STEP: usize = 8;
/// Interfaces with filters in place of links that are looked at in a thorough round.
const FILTERS_PER_ROUND: usize = 64;
/// Those of one step.
const FILTERS_PER_STEP: usize = 2;
/// Entries that are compared in one step.
pub const ENTRIES_PER_STEP: usize = 64;

/// A round of looking at what others can take away: programs and names of maps; if it is thorough also names of programs and
/// links, namespaces, links between them, and filters.
#[derive(Debug)]
pub(super) struct Look {
    is_thorough: bool,
    stage: Stage,
    /// Whether it was told that some interface cannot be looked at.
    is_unseen_told: bool,
}

#[derive(Debug)]
enum Stage {
    /// Interfaces that others make.
    Bound,
    Names,
    /// The names of the programs of namespaces, after the one that was last.
    Programs(Option<u64>),
    /// The programs of interfaces, after the one that was last.
    Links(Option<EniId>),
    Local(LocalLook),
    Filters {
        left: usize,
    },
}

/// How long there is for some work.
#[derive(Clone, Copy)]
struct Turn {
    until: Option<Instant>,
}

impl Turn {
    fn is_over(self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }
}

impl Enforcer {
    /// Has a new round of looking begin, unless one is still on its way; whether it does. With `is_thorough` it looks at names of
    /// links, namespaces and links between them as well.
    pub fn begin_look(&mut self, is_thorough: bool) -> bool {
        if !self.is_following || self.look.is_some() {
            return false;
        }
        self.look = Some(Look { is_thorough, stage: Stage::Bound, is_unseen_told: false });
        true
    }

    /// Has the next entries of the maps compared.
    pub fn begin_read_back(&mut self) {
        self.findings.left = READ_BACK_ENTRIES;
    }

    /// Whether there is anything to look at or to compare.
    #[must_use]
    pub fn has_turns(&self) -> bool {
        self.look.is_some() || self.has_entries()
    }

    /// Looks and compares for so long, or one step if that takes longer.
    pub async fn take_turn(&mut self, length: Duration) {
        self.go_on(Turn { until: Instant::now().checked_add(length) }).await;
    }

    /// Looks at what others can take away, and puts it back: one round from its beginning to its end.
    pub async fn watch(&mut self, is_thorough: bool) {
        self.look = None;
        self.begin_look(is_thorough);
        self.look_on(Turn { until: None }).await;
    }

    /// Compares as many entries as are compared at a time, and repairs those that differ. What was written lately comes first.
    pub fn read_back(&mut self) {
        self.begin_read_back();
        self.compare_on(Turn { until: None });
    }

    async fn go_on(&mut self, turn: Turn) {
        self.look_on(turn).await;
        if self.look.is_none() {
            self.compare_on(turn);
        }
    }

    /// What a step has written is compared before anything else is, and both after the programs, whose loss opens an interface.
    fn compare_on(&mut self, turn: Turn) {
        let mut wrong: Vec<(Object, Difference)> = Vec::new();
        while self.has_entries() {
            self.compare_some(ENTRIES_PER_STEP, &mut wrong);
            if turn.is_over() {
                break;
            }
        }
        self.mend(wrong);
    }

    async fn look_on(&mut self, turn: Turn) {
        while let Some(look) = self.look.take() {
            self.look = self.step(look).await;
            if turn.is_over() {
                return;
            }
        }
    }

    /// Does one step of a round; returns the rest of it.
    async fn step(&mut self, mut look: Look) -> Option<Look> {
        look.stage = match look.stage {
            Stage::Bound => {
                self.bindings.look(look.is_thorough, &mut self.plane).await;
                Stage::Names
            }
            Stage::Names => {
                let found = self.plane.restore_names();
                found.into_iter().for_each(|difference| self.findings.note(difference));
                if look.is_thorough { Stage::Programs(None) } else { Stage::Links(None) }
            }
            Stage::Programs(last) => {
                let (found, last) = self.plane.restore_programs(last, NAMESPACES_PER_STEP);
                found.into_iter().for_each(|difference| self.findings.note(difference));
                last.map_or(Stage::Links(None), |last| Stage::Programs(Some(last)))
            }
            Stage::Links(last) => {
                let mut restored = self.plane.restore_links(last.as_ref(), INTERFACES_PER_STEP, look.is_thorough);
                let unseen = restored.unseen.take().filter(|_| !look.is_unseen_told);
                look.is_unseen_told |= unseen.is_some();
                unseen.into_iter().for_each(|difference| self.findings.note(difference));
                let last = restored.last.take();
                self.put_back(restored, look.is_thorough).await;
                match last {
                    Some(last) => Stage::Links(Some(last)),
                    None if look.is_thorough => Stage::Local(LocalLook::default()),
                    None => return None,
                }
            }
            Stage::Local(local) => self.look_at_local(local).await,
            Stage::Filters { left: 0 } => return None,
            Stage::Filters { left } => {
                self.mend_filters(left.min(FILTERS_PER_STEP));
                Stage::Filters { left: left.saturating_sub(FILTERS_PER_STEP) }
            }
        };
        Some(look)
    }

    async fn look_at_local(&mut self, mut local: LocalLook) -> Stage {
        match self.local.look(&mut local) {
            Looked::Some => return Stage::Local(local),
            Looked::All if self.is_local_whole() => {}
            // What is missing is looked for at once: what was seen in turns may be over.
            Looked::All | Looked::Suspicious => self.repair_local().await,
        }
        Stage::Filters { left: self.plane.filtered_after(None, FILTERS_PER_ROUND).len() }
    }

    /// Closes again what has lost a program, and tells what was found.
    async fn put_back(&mut self, restored: Restored, is_thorough: bool) {
        let bound = self.bindings.attach_again(&restored.lost, &mut self.plane).await;
        let again = self.attach_again(&restored.lost);
        if is_thorough && again.iter().any(|(_, failure)| failure.is_some()) {
            self.repair_local().await;
        }
        for difference in restored.found {
            let of_bound =
                bound.iter().find(|(eni, _)| difference.is_program_of(eni)).map(|(_, again)| again.clone());
            match of_bound {
                None => {}
                Some(Again::Gone) => continue,
                Some(Again::Done) => {
                    self.findings.note(difference);
                    continue;
                }
                Some(Again::Failed(failure)) => {
                    self.findings.note(Difference { failure: Some(failure), ..difference });
                    continue;
                }
            }
            let is_of = |port: &Port| difference.subject.ends_with(port.eni.as_str());
            let attached = again.iter().find(|(port, _)| difference.part == Part::Program && is_of(port));
            match attached {
                None | Some((_, None)) => self.findings.note(difference),
                // An interface that is gone has no program, and is told of itself.
                Some((port, Some(_))) if !is_thorough || self.local.ports().all(|there| there != port) => {}
                Some((_, failure)) => self.findings.note(Difference { failure: failure.clone(), ..difference }),
            }
        }
    }
}
