//! A command becomes changes, or a refusal that changes nothing.
//!
//! Every command works on a draft of the world and is judged there: limits, duplicates, references, and
//! at the end whether the data plane can hold the result. Only a command that passes all of it leaves
//! changes behind.

mod account;
mod addresses;
mod association;
mod binding;
mod dispatch;
mod flow_logs;
mod group;
mod insights;
mod instance;
mod interface;
mod invariant;
mod lists;
mod network;
mod network_acl;
mod once;
mod operator;
mod peering;
mod report;
mod resource_group;
mod rules;
mod shadow;
mod snapshots;
mod tags;
#[cfg(test)]
mod tests;
mod together;
mod trial;
mod undo;

use std::sync::Arc;

use crate::{
    capacity::Ledger,
    change::Change,
    command::{Command, Context, Outcome},
    ids::{AccountId, GroupId},
    limits::Limits,
    refusal::{Counted, Kind, Refusal},
    world::{Group, World},
};

/// A world, and what it costs the data plane.
#[derive(Clone, Debug, Default)]
pub struct State {
    world: World,
    ledger: Ledger,
}

impl State {
    /// A state that holds this world. Costs are counted once, here.
    #[must_use]
    pub fn new(world: World) -> Self {
        let ledger = Ledger::count(&world);
        Self { world, ledger }
    }

    /// The world.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// What the world costs the data plane.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Numbers the state: the changes that led here were committed as this revision.
    #[must_use]
    pub fn at(mut self, revision: crate::world::Revision) -> Self {
        self.world = self.world.at(revision);
        self
    }
}

/// What a command did.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The state after it, still at the old revision.
    pub state: State,
    /// The changes that lead there. None: the command asked for what was so already.
    pub changes: Vec<Change>,
    /// What the client is told.
    pub outcome: Outcome,
}

impl Applied {
    /// The same with further changes behind.
    ///
    /// # Errors
    /// When the data plane cannot hold what they make.
    pub fn and(self, further: Vec<Change>) -> Result<Self, Refusal> {
        let Self { state, mut changes, outcome } = self;
        let mut world = state.world.clone();
        further.iter().for_each(|change| world.apply(change));
        let ledger = state.ledger.after(&state.world, &world, &further)?;
        changes.extend(further);
        Ok(Self { state: State { world, ledger }, changes, outcome })
    }
}

/// Carries a command out on a copy of the state.
///
/// # Errors
/// A [`Refusal`] that says what is wrong in neutral words; nothing has changed then.
pub fn apply(state: &State, command: &Command, context: &mut Context) -> Result<Applied, Refusal> {
    let mut draft = Draft { world: state.world.clone(), changes: Vec::new(), context };
    let outcome = draft.run(command)?;
    draft.begin_snapshots(&state.world);
    let Draft { world, changes, .. } = draft;
    let ledger = state.ledger.after(&state.world, &world, &changes)?;
    Ok(Applied { state: State { world, ledger }, changes, outcome })
}

/// A world that a command is being tried on, and what it has changed so far.
struct Draft<'a> {
    world: World,
    changes: Vec<Change>,
    context: &'a mut Context,
}

impl Draft<'_> {
    fn put(&mut self, change: Change) {
        self.world.apply(&change);
        self.changes.push(change);
    }

    fn limits(&self, account: &AccountId) -> Limits {
        Limits::of(self.context.limits, self.world.dialect_of(account))
    }

    /// A group that its owner may change: one that a cloud product manages is only looked at.
    fn own_group(&self, account: &AccountId, id: &GroupId) -> Result<Arc<Group>, Refusal> {
        let group = self.world.group(id).filter(|group| group.account == *account);
        let group = group.ok_or_else(|| missing(Kind::Group, id))?;
        if group.managed_by.is_some() {
            return Err(Refusal::Managed { group: id.clone() });
        }
        Ok(Arc::clone(group))
    }
}

fn missing(kind: Kind, id: impl ToString) -> Refusal {
    Refusal::Missing { kind, id: id.to_string() }
}

fn within(counted: Counted, limit: u32, wanted: usize) -> Result<(), Refusal> {
    let (limit, wanted) = (u64::from(limit), wanted as u64);
    if wanted > limit { Err(Refusal::Limit { counted, limit, wanted }) } else { Ok(()) }
}
