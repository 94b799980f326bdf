//! Changes on trial: made, and undone by themselves unless somebody confirms them in time.
//!
//! What undoes one is kept beside it, fact by fact, in the world: so it outlives a restart, and a server that was away when the time was
//! up does it when it is back. A fact is undone field by field (`trial::fields`), each only while it is as the change left it; what was changed since
//! is left, and told.

mod fields;

use std::{collections::BTreeSet, sync::Arc};

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use crate::{
    change::{Change, Row},
    time::Timestamp,
    world::{Revision, World},
};

/// Changes that are on trial at a time.
pub const TRIALS_MAX: u32 = 64;
/// Facts that one of them may change.
pub const TRIAL_FACTS_MAX: u32 = 4_096;
/// The longest that one waits to be confirmed, in seconds: a day.
pub const TRIAL_WITHIN_S_MAX: u32 = 24 * 60 * 60;

/// A change on trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Its name.
    pub id: String,
    /// The revision that made the change.
    pub revision: Revision,
    /// What was asked for.
    pub operations: Vec<String>,
    /// When it was made.
    pub made_at: Timestamp,
    /// When it is undone.
    pub until: Timestamp,
    /// What it changed, in the order of rows.
    pub facts: Vec<Undo>,
}

/// One fact that a change on trial made, changed or took away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// As it was; nothing for what was made.
    pub before: Option<Change>,
    /// As the change left it; nothing for what it took away.
    pub after: Option<Change>,
}

/// Why a trial is not begun or confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum TrialRefusal {
    /// It changes what does not come back.
    #[error("`{0}` {1}; make this change without a time to confirm it in")]
    NotUndoable(String, String),
    /// The time is up.
    #[error("the time to confirm `{0}` was up; it is being rolled back")]
    Late(String),
}

/// Every change on trial, by name.
#[derive(Clone, Debug, Default)]
pub struct Trials {
    by_id: OrdMap<String, Arc<Trial>>,
}

impl Trials {
    /// One of them.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Arc<Trial>> {
        self.by_id.get(id)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Trial>> {
        self.by_id.values()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Those whose time is up, the newest first: what an older one left may be what a newer one found.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> Vec<Arc<Trial>> {
        let mut due: Vec<Arc<Trial>> = self.by_id.values().filter(|trial| trial.until <= now).cloned().collect();
        due.sort_by_key(|trial| std::cmp::Reverse(trial.revision));
        due
    }

    pub(crate) fn put(&mut self, trial: &Arc<Trial>) {
        self.by_id.insert(trial.id.clone(), Arc::clone(trial));
    }

    pub(crate) fn delete(&mut self, id: &str) {
        self.by_id.remove(id);
    }
}

impl World {
    /// Changes that wait to be confirmed.
    #[must_use]
    pub fn trials(&self) -> &Trials {
        &self.trials
    }
}

impl Undo {
    /// What it is about.
    #[must_use]
    pub fn row(&self) -> Option<Row> {
        self.before.as_ref().or(self.after.as_ref()).map(Change::row)
    }

    /// What undoes it as the row is now; nothing when nothing of it is as the change left it.
    pub(crate) fn back(&self, now: Option<&Change>) -> Option<Back> {
        let row = self.row()?;
        let whole = |change| Some(Back { row: row.clone(), change, kept: Vec::new() });
        match (&self.before, &self.after, now) {
            (Some(before), after, now) if after.as_ref() == now => whole(before.clone()),
            (None, Some(after), Some(now)) if after == now || fields::is_relabelled(after, now) => {
                whole(row.clone().into_delete()?)
            }
            (Some(before), Some(after), Some(now)) => {
                let (change, told) = fields::merge(before, after, now).filter(|(_, told)| told.is_back())?;
                Some(Back { row, change, kept: told.kept })
            }
            (_, _, _) => None,
        }
    }

    /// The same with what an older change did to the row undone before it; nothing when there is nothing left to give back.
    pub(crate) fn without(&self, older: &[Self], needed: &BTreeSet<Row>) -> Option<Self> {
        let row = self.row()?;
        let of_row = older.iter().find(|undo| undo.row().as_ref() == Some(&row)).filter(|_| !needed.contains(&row));
        let Some(back) = of_row.and_then(|undo| undo.back(self.before.as_ref())) else { return Some(self.clone()) };
        let before = Some(back.change).filter(|change| !change.is_delete());
        (before != self.after).then(|| Self { before, after: self.after.clone() })
    }
}

/// What undoes a fact, or what of it is as the change left it.
#[derive(Debug)]
pub(crate) struct Back {
    /// What it is about.
    pub(crate) row: Row,
    /// The change that undoes it.
    pub(crate) change: Change,
    /// Fields that somebody has changed since, by name.
    pub(crate) kept: Vec<&'static str>,
}

/// What becomes of a row when the change that wrote it is undone.
pub(crate) enum Undoing {
    /// It is what it was.
    Possible,
    /// It keeps itself, and is not undone: memories of requests, snapshots, reports.
    Apart,
    /// It does not come back, or does not go: in words, which way out there is included.
    Impossible(&'static str),
}

impl Row {
    /// What becomes of the row if it was there before, and is there after, or not.
    pub(crate) fn undoing(&self, was: bool, is: bool) -> Undoing {
        match self {
            Self::Bypass
            | Self::Platform
            | Self::Vpc(_)
            | Self::Peering(_)
            | Self::NetworkAcl(_)
            | Self::Subnet(_)
            | Self::PrefixList(_)
            | Self::PrefixListVersion(..)
            | Self::PortList(_)
            | Self::Group(_)
            | Self::Rule(..)
            | Self::Shadow(_)
            | Self::Eni(_)
            | Self::FlowLog(_) => Undoing::Possible,
            Self::Instance(_) if is => Undoing::Possible,
            Self::Instance(_) => Undoing::Impossible(
                "does not come back once it is deleted, for what ran in it is gone with it: stop it on trial instead, and delete it when \
                 that is confirmed",
            ),
            Self::Account(_) if was && is => Undoing::Possible,
            Self::Account(_) | Self::Key(_) => {
                Undoing::Impossible("does not go by itself once somebody may have asked with it")
            }
            Self::InsightsPath(_) | Self::InsightsAnalysis(_) => {
                Undoing::Impossible("is a question about packets and changes none, so there is nothing to try")
            }
            Self::Token(..)
            | Self::Terminated(_)
            | Self::SnapshotPolicy(_)
            | Self::Snapshot(_)
            | Self::Report(..)
            | Self::Invariant(_)
            | Self::Trial(_) => Undoing::Apart,
        }
    }
}

/// The changes that undo some facts, in an order in which they can be made: what goes first from the end, then what comes from the beginning.
pub(crate) fn undone(facts: &[Back]) -> Vec<Change> {
    let changes: Vec<Change> = facts.iter().map(|back| back.change.clone()).collect();
    let (mut gone, mut back): (Vec<Change>, Vec<Change>) = changes.into_iter().partition(Change::is_delete);
    gone.sort_by_key(|change| std::cmp::Reverse(change.row()));
    back.sort_by_key(Change::row);
    gone.into_iter().chain(back).collect()
}

/// The rows that some changes write, each once and in order.
pub(crate) fn rows(changes: &[Change]) -> BTreeSet<Row> {
    changes.iter().map(Change::row).collect()
}
