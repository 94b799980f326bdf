//! Invariants: whether who reaches whom is what the operator asserts, exactly, before a change is committed.
//!
//! A packet reaches its end when it leaves the sender and is let in by the receiver, as [`crate::who`] says of everybody. The writer asks
//! about every change, so what was computed is kept in a [`Checker`], and only pairs are looked at of which the change touches an interface or a
//! policy. When a change violates an invariant that held, it is refused, or is committed together with the fact.

mod may;
mod must_not;
mod passing;
mod sides;
mod touched;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use sekimori_core::{
    apply::Applied,
    change::Change,
    end::End,
    invariant::{Invariant, Mode, Statement, Verb, Violation, Witness},
    refusal::Refusal,
    rule::Direction,
    space::TooComplex,
    world::{Revision, World},
};

pub use self::passing::INVARIANT_POLICIES_KEPT_MAX;
use self::{
    passing::Passing,
    sides::{Members, Outside},
    touched::Touched,
};
use crate::services::judged;

/// Pairs of policies that one invariant is looked at for in one check.
pub const INVARIANT_PAIRS_MAX: usize = 1_048_576;

/// What is known about the ends of invariants, and about what policies let pass. It belongs to one world; cloning it costs nothing.
#[derive(Clone, Debug, Default)]
pub struct Checker {
    sides: OrdMap<End, Members>,
    passing: Passing,
}

/// An invariant that holds no longer, or again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Its name.
    pub name: String,
    /// What it says.
    pub statement: Statement,
    /// What shows that it does not hold; `None` when it holds again.
    pub witness: Option<Witness>,
}

/// Every invariant, looked at now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// By name.
    pub invariants: Vec<Judged>,
    /// The revision of the world that was asked.
    pub revision: Revision,
}

/// An invariant, and whether it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// Its name.
    pub name: String,
    /// What it says.
    pub statement: Statement,
    /// What becomes of a change that violates it.
    pub mode: Mode,
    /// Whether it holds.
    pub holds: bool,
    /// Since which revision it does not, as far as the log of changes knows.
    pub since: Option<Revision>,
    /// What shows that it does not, for programs.
    pub witness: Option<Witness>,
    /// The same in words.
    pub shown: Option<String>,
    /// Ends that mean nobody now: about them it holds whatever the rules say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nobody: Vec<String>,
}

impl Judged {
    /// An invariant as it was judged when something last touched it.
    #[must_use]
    pub fn known(world: &World, invariant: &Invariant) -> Self {
        let violation = invariant.violation.as_ref();
        Self::of(world, invariant, violation.map(|violation| violation.witness.clone()))
    }

    fn of(world: &World, invariant: &Invariant, witness: Option<Witness>) -> Self {
        let Statement { from, to, .. } = &invariant.statement;
        let nobody =
            [from, to].into_iter().filter(|end| sides::is_nobody(world, end)).map(ToString::to_string).collect();
        let Invariant { name, statement, mode, violation, .. } = invariant.clone();
        let since = violation.filter(|_| witness.is_some()).map(|violation| violation.since);
        let shown = witness.as_ref().map(ToString::to_string);
        Self { name, statement, mode, holds: witness.is_none(), since, witness, shown, nobody }
    }
}

/// Looks at every invariant of a world.
#[must_use]
pub fn check(world: &World) -> Report {
    let mut checker = Checker::default();
    let judged =
        world.invariants().iter().map(|invariant| Judged::of(world, invariant, checker.whole(world, invariant)));
    Report { invariants: judged.collect(), revision: world.revision() }
}

/// The result of a command with what it does to invariants, what is known afterwards, and what has turned.
pub type Held = (Applied, Checker, Vec<Turn>);

impl Checker {
    /// Holds the result of a command to the invariants. `self` belongs to the world before it.
    ///
    /// # Errors
    /// When one would be violated that is enforced and held before.
    pub fn hold(&self, before: &World, applied: Applied) -> Result<Held, Refusal> {
        let after = applied.state.world().clone();
        if after.invariants().is_empty() {
            return Ok((applied, Self::default(), Vec::new()));
        }
        let touched = Touched::by(before, &after, &applied.changes);
        let set: Vec<&str> = applied.changes.iter().filter_map(set_by).collect();
        if touched.is_nothing() && set.is_empty() {
            return Ok((applied, self.clone(), Vec::new()));
        }
        let mut next = self.followed(before, &after, &touched);
        let (mut facts, mut turns) = (Vec::new(), Vec::new());
        for invariant in after.invariants().iter() {
            let is_set = set.contains(&invariant.name.as_str());
            if touched.is_nothing() && !is_set {
                continue;
            }
            let witness = if is_set || touched.all || invariant.violation.is_some() {
                next.whole(&after, invariant)
            } else {
                next.part(&after, invariant, &touched)
            };
            let Some(violation) = turned(invariant, is_set, witness, before.revision().next())? else { continue };
            if violation.is_some() != invariant.violation.is_some() {
                let witness = violation.as_ref().map(|violation| violation.witness.clone());
                let (name, statement) = (invariant.name.clone(), invariant.statement.clone());
                turns.push(Turn { name, statement, witness });
            }
            facts.push(Change::PutInvariant(Invariant { violation, ..Invariant::clone(invariant) }.into()));
        }
        Ok((applied.and(facts)?, next, turns))
    }

    /// What is known after a change.
    fn followed(&self, before: &World, after: &World, touched: &Touched) -> Self {
        if touched.all {
            return Self::default();
        }
        let mut next = self.clone();
        next.passing.forget(touched);
        let used =
            |end: &End| after.invariants().iter().any(|it| it.statement.from == *end || it.statement.to == *end);
        let ends: Vec<End> = self.sides.keys().cloned().collect();
        for end in ends {
            if !used(&end) {
                next.sides.remove(&end);
            } else if let Some(members) = next.sides.get_mut(&end) {
                touched.enis.iter().for_each(|eni| members.follow(&end, eni, before, after));
            }
        }
        next
    }

    fn members(&mut self, world: &World, end: &End) -> Members {
        if let Some(known) = self.sides.get(end) {
            return known.clone();
        }
        let members = Members::of(world, end);
        self.sides.insert(end.clone(), members.clone());
        members
    }

    /// What shows that an invariant does not hold, wherever it is.
    fn whole(&mut self, world: &World, invariant: &Invariant) -> Option<Witness> {
        let (from, to) = self.ends(world, invariant);
        let mut asked = Asked::about(world, &mut self.passing, invariant);
        shown(asked.first(&[(&from, &to)], (&from, &to)))
    }

    /// What shows that it does not hold, among what is touched.
    fn part(&mut self, world: &World, invariant: &Invariant, touched: &Touched) -> Option<Witness> {
        let (from, to) = self.ends(world, invariant);
        let [of_from, of_to] = [&from, &to].map(|all| all.only(world, &touched.enis, &touched.bearings));
        let mut asked = Asked::about(world, &mut self.passing, invariant);
        shown(asked.first(&[(&of_from, &to), (&from, &of_to)], (&of_from, &of_to)))
    }

    fn ends(&mut self, world: &World, invariant: &Invariant) -> (Members, Members) {
        let Statement { from, to, .. } = &invariant.statement;
        (self.members(world, from), self.members(world, to))
    }
}

/// The name of an invariant that a change sets.
fn set_by(change: &Change) -> Option<&str> {
    let Change::PutInvariant(invariant) = change else { return None };
    Some(&invariant.name)
}

/// What is to be written down of an invariant; `None` when it is known already.
fn turned(
    invariant: &Invariant,
    is_set: bool,
    witness: Option<Witness>,
    revision: Revision,
) -> Result<Option<Option<Violation>>, Refusal> {
    match (&invariant.violation, witness) {
        (None, None) => Ok(None),
        (None, Some(witness)) if invariant.mode == Mode::Enforce => {
            let (name, statement) = (invariant.name.clone(), Box::new(invariant.statement.clone()));
            let witness = Box::new(witness);
            Err(if is_set {
                Refusal::InvariantBroken { name, statement, witness }
            } else {
                Refusal::Invariant { name, statement, witness }
            })
        }
        (None, Some(witness)) => Ok(Some(Some(Violation { since: revision, witness }))),
        (Some(_), None) => Ok(Some(None)),
        (Some(old), Some(witness)) if old.witness == witness => Ok(None),
        (Some(old), Some(witness)) => Ok(Some(Some(Violation { since: old.since, witness }))),
    }
}

/// Why an invariant cannot be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Trouble {
    #[error("whether it would hold cannot be told: {0}")]
    TooComplex(#[from] TooComplex),
    #[error(
        "whether it would hold cannot be told: its ends make more than {INVARIANT_PAIRS_MAX} pairs of policies; name a group or a tag \
         that fewer interfaces have"
    )]
    TooMany,
}

fn shown(found: Result<Option<Witness>, Trouble>) -> Option<Witness> {
    found.unwrap_or_else(|trouble| Some(Witness::TooComplex(trouble.to_string())))
}

fn bounded(from: &Members, to: &Members) -> Result<(), Trouble> {
    if from.len().saturating_mul(to.len()) > INVARIANT_PAIRS_MAX { Err(Trouble::TooMany) } else { Ok(()) }
}

/// An invariant that is looked at.
struct Asked<'a> {
    world: &'a World,
    passing: &'a mut Passing,
    invariant: &'a Invariant,
    /// The services that it is about, without what no rule decides.
    services: Vec<(u32, u32)>,
}

impl<'a> Asked<'a> {
    fn about(world: &'a World, passing: &'a mut Passing, invariant: &'a Invariant) -> Self {
        let named = invariant.statement.services.iter().map(|served| served.span());
        let services = if invariant.statement.services.is_empty() { vec![(0, 0xff_ffff)] } else { named.collect() };
        let services = services.into_iter().flat_map(judged).collect();
        Self { world, passing, invariant, services }
    }

    /// Whether some of these services are asked about.
    fn has(&self, (first, last): (u32, u32)) -> bool {
        self.services.iter().any(|(from, to)| *from <= last && first <= *to)
    }

    /// The first thing that shows a violation: between members of pairs, or between members and what is outside.
    fn first(
        &mut self,
        pairs: &[(&Members, &Members)],
        (senders, receivers): (&Members, &Members),
    ) -> Result<Option<Witness>, Trouble> {
        let Statement { from, to, verb, .. } = &self.invariant.statement;
        for (from, to) in pairs.iter().filter(|(from, to)| from.len() > 0 && to.len() > 0) {
            let found = match verb {
                Verb::MustNotReach => must_not::between(self, from, to)?,
                Verb::MayReach => may::between(self, from, to)?,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        let outer =
            [(Outside::of(from), receivers, Direction::Ingress), (Outside::of(to), senders, Direction::Egress)];
        for (meant, inner, direction) in outer {
            let Some(meant) = meant else { continue };
            let found = match verb {
                Verb::MustNotReach => must_not::outside(self, meant, inner, direction)?,
                Verb::MayReach => may::outside(self, meant, inner, direction)?,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
