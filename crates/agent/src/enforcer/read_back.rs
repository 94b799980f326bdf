//! Compares what the kernel holds with what was written there, repairs what differs, and tells it.
//!
//! Three ways lead here: what a change has just written is compared next; everything else again and again, a bounded
//! number of entries at a time; and everything together when it is asked for. Programs, names and namespaces, which others can
//! take away, are looked at several times a second. The first two, and the looks, are done in turns: see `turns.rs`.

use std::{collections::VecDeque, sync::Arc};

use sekimori_compile::tables::{Delta, PolicyId};
use sekimori_core::{
    feed::{DIFFERENCES_MAX, Difference, Part, ReadBack},
    ids::EniId,
};

use super::Enforcer;
use crate::{
    bpf::{Next, Object, Round},
    local::{Drift, Port, Touched},
};

/// Entries of the maps that are compared at a time, in as many turns as that takes.
pub const READ_BACK_ENTRIES: usize = 4_096;
/// Words of a policy that take as long to compare as another entry.
const WORDS_PER_ENTRY: usize = 64;
/// Words of a policy that are compared at a time, and count as so many entries as they take as long as.
const WORDS_AT_A_TIME: usize = 4_096;
/// What a reading of some of a hash counts for.
const READING_WEIGHT: usize = 64;
/// Entries that were written and wait to be compared; beyond these, everything is compared anew.
const WRITTEN_MAX: usize = 65_536;

/// What is to be compared, and what was found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    written: VecDeque<Object>,
    /// The round that is on its way.
    round: Option<Round>,
    /// A policy that is compared in part.
    begun: Option<BegunPolicy>,
    /// Entries of the round that are still to be compared this time.
    pub(super) left: usize,
    checked: u64,
    found: u64,
    differences: Vec<Difference>,
    /// Whether everything was compared since the last report.
    is_round_complete: bool,
    /// What was missing of local compute when it was looked at last.
    missing: Vec<Drift>,
    /// The interface whose filters were looked at last.
    filtered: Option<EniId>,
}

/// A policy of which some words have been compared.
#[derive(Debug)]
struct BegunPolicy {
    id: PolicyId,
    words: Arc<Vec<u64>>,
    compared: usize,
    wrong: usize,
}

/// Objects that differ, and how.
type Wrong = Vec<(Object, Difference)>;

impl Findings {
    pub(super) fn note(&mut self, difference: Difference) {
        tracing::warn!(%difference, "the kernel was not as it was left");
        self.found += 1;
        if self.differences.len() < DIFFERENCES_MAX {
            self.differences.push(difference);
        }
    }
}

impl Enforcer {
    /// Has what a step has written compared next.
    pub(super) fn note_written(&mut self, delta: &Delta) {
        let written = Object::of(delta);
        if self.findings.written.len() + written.len() > WRITTEN_MAX {
            self.findings.written.clear();
            self.findings.round = None;
        } else {
            self.findings.written.extend(written);
        }
    }

    /// What is not wholly written differs, and is being written.
    fn is_comparable(&self) -> bool {
        self.is_following && !self.plane.is_dirty()
    }

    /// Whether there are entries to compare.
    pub(super) fn has_entries(&self) -> bool {
        let findings = &self.findings;
        self.is_comparable() && (findings.begun.is_some() || !findings.written.is_empty() || findings.left > 0)
    }

    /// Compares about so many entries: the rest of a policy, what was written lately, the rest of this time's part of the round.
    /// After the last entry of a round there is nothing to do until the next time.
    pub(super) fn compare_some(&mut self, count: usize, wrong: &mut Wrong) {
        let mut done = 0;
        while done < count && self.has_entries() {
            if self.findings.begun.is_some() {
                done += self.compare_words(wrong);
            } else if let Some(object) = self.findings.written.pop_front() {
                self.compare(object, wrong);
                done += 1;
            } else {
                let spent = self.compare_next(wrong);
                self.findings.left = self.findings.left.saturating_sub(spent);
                done += spent;
            }
        }
    }

    /// Compares the next entry of the round; returns what it counts for. A new round begins if there is none.
    fn compare_next(&mut self, wrong: &mut Wrong) -> usize {
        let mut round = self.findings.round.take().unwrap_or_default();
        let next = self.plane.next_of(&mut round, &self.tables);
        match next {
            Next::Object(object) => {
                self.findings.round = Some(round);
                self.compare(object, wrong);
                1
            }
            Next::Read => {
                self.findings.round = Some(round);
                READING_WEIGHT
            }
            Next::Over => {
                self.findings.is_round_complete = true;
                self.findings.left = 0;
                1
            }
        }
    }

    /// Compares an entry, or begins to compare a policy; either counts for one.
    fn compare(&mut self, object: Object, wrong: &mut Wrong) {
        self.findings.checked += 1;
        if let Object::Policy(id, words) = object {
            self.findings.begun = Some(BegunPolicy { id, words, compared: 0, wrong: 0 });
            return;
        }
        match self.plane.check(&object, &self.tables) {
            Ok(difference) => wrong.extend(difference.map(|difference| (object, difference))),
            Err(error) => tracing::warn!(%error, "cannot read the kernel's tables"),
        }
    }

    /// Compares the next words of the policy that is begun. One that went out of use meanwhile has none.
    fn compare_words(&mut self, wrong: &mut Wrong) -> usize {
        let Some(mut begun) = self.findings.begun.take() else { return 0 };
        let end = begun.words.len().min(begun.compared + WORDS_AT_A_TIME);
        let Some(found) = self.plane.wrong_words(begun.id, &begun.words, begun.compared..end) else { return 1 };
        let weight = (end / WORDS_PER_ENTRY).saturating_sub(begun.compared / WORDS_PER_ENTRY);
        self.findings.checked += weight as u64;
        (begun.compared, begun.wrong) = (end, begun.wrong + found);
        if end < begun.words.len() {
            self.findings.begun = Some(begun);
        } else if let Some(difference) = Object::wrong_policy(begun.id, begun.wrong, end) {
            wrong.push((Object::Policy(begun.id, begun.words), difference));
        }
        weight.max(1)
    }

    /// Repairs what differs, and tells it.
    pub(super) fn mend(&mut self, wrong: Wrong) {
        if wrong.is_empty() {
            return;
        }
        let (objects, differences): (Vec<Object>, Vec<Difference>) = wrong.into_iter().unzip();
        let repaired = self.plane.repair(objects, &mut self.tables);
        let failure = repaired.as_ref().err().map(|error| format!("{error}; it is tried again"));
        self.note_plane(repaired, false);
        for difference in differences {
            self.findings.note(Difference { failure: failure.clone(), ..difference });
        }
    }

    /// Puts filters back, of some interfaces at a time. An interface that is gone is told of itself.
    pub(super) fn mend_filters(&mut self, count: usize) {
        for eni in self.plane.filtered_after(self.findings.filtered.as_ref(), count) {
            let port = self.local.ports().find(|port| port.eni == eni);
            let router = port.and_then(|port| self.local.router(&port.vpc));
            let found = match router {
                Some(router) => self.plane.mend_filters(&eni, router),
                None => self.bindings.mend_filters(&eni, &mut self.plane),
            };
            self.findings.filtered = Some(eni);
            found.into_iter().for_each(|difference| self.findings.note(difference));
        }
    }

    /// Closes interfaces again that have lost a program. They open with their policy, at once.
    pub(super) fn attach_again(&mut self, lost: &[EniId]) -> Vec<(Port, Option<String>)> {
        let mut done = Vec::new();
        for eni in lost {
            let port = self.local.ports().find(|port| port.eni == *eni).cloned();
            let Some(port) = port else { continue };
            let Some(router) = self.local.router(&port.vpc) else { continue };
            let closed = self.plane.close(eni, router, port.vpc.as_str(), port.ifindex);
            done.push((port, closed.err().map(|error| format!("{error:#}"))));
        }
        done
    }

    /// Whether nothing of local compute is known to be missing.
    pub(super) fn is_local_whole(&self) -> bool {
        self.closed_by_local.is_empty() && self.findings.missing.is_empty()
    }

    /// Repairs namespaces and links that somebody took away.
    pub(super) async fn repair_local(&mut self) {
        let missing = self.local.check();
        let mut touched: Vec<Touched> = missing.iter().map(Drift::touched).collect();
        touched.extend(self.closed_by_local.keys().cloned().map(Touched::Eni));
        self.touch(&touched).await;
        if missing.is_empty() {
            self.findings.missing.clear();
            return;
        }
        let left = self.local.check();
        for drift in
            missing.iter().filter(|drift| !self.findings.missing.contains(drift)).cloned().collect::<Vec<_>>()
        {
            let failure = left.contains(&drift).then(|| "it is tried again".to_owned());
            self.findings.note(told(&drift, failure));
        }
        self.findings.missing = left;
    }

    /// Compares everything now, and repairs what differs.
    pub async fn verify(&mut self) {
        if !self.is_following {
            return;
        }
        self.watch(true).await;
        if self.plane.is_dirty() {
            let written = self.plane.resync(&self.tables);
            self.note_plane(written, true);
        }
        self.findings.written.clear();
        (self.findings.begun, self.findings.round) = (None, Some(Round::default()));
        let mut wrong = Vec::new();
        while self.findings.round.is_some() || self.findings.begun.is_some() {
            if self.findings.begun.is_some() {
                self.compare_words(&mut wrong);
            } else {
                self.compare_next(&mut wrong);
            }
        }
        let names = self.plane.wrong_names(&self.tables);
        self.findings.checked += self.tables.names().len() as u64;
        wrong.extend(names.into_iter().map(|name| (Object::Name(name.clone()), Object::wrong_name(&name))));
        self.mend(wrong);
    }

    /// What was found since it was taken last, if that is news: a difference, or that everything was compared. `request` is the
    /// number of the question that asks.
    pub fn take_read_back(&mut self, request: Option<u64>) -> Option<ReadBack> {
        let findings = &mut self.findings;
        if request.is_none() && findings.found == 0 && !findings.is_round_complete {
            return None;
        }
        findings.is_round_complete = false;
        let (checked, found) = (std::mem::take(&mut findings.checked), std::mem::take(&mut findings.found));
        let differences = std::mem::take(&mut findings.differences);
        Some(ReadBack { request, revision: self.applied(), checked, found, differences })
    }
}

/// What is told of a namespace.
const NAMESPACE_LOST: &str = "was removed or replaced";
/// What is told of a link.
const LINK_LOST: &str = "was removed, replaced or set down, or has lost its routes";

fn told(drift: &Drift, failure: Option<String>) -> Difference {
    let (part, subject) = match drift {
        Drift::Router(vpc) => (Part::Namespace, vpc.to_string()),
        Drift::Outside(vpc) => (Part::Namespace, format!("{vpc}.outside")),
        Drift::Uplink(vpc) => (Part::Link, format!("{vpc}.outside")),
        Drift::Instance(instance) => (Part::Namespace, instance.to_string()),
        Drift::Link { eni, .. } => (Part::Link, eni.to_string()),
        Drift::Peering(id) => (Part::Link, id.to_string()),
    };
    let found = if part == Part::Link { LINK_LOST } else { NAMESPACE_LOST };
    Difference { part, subject, found: found.to_owned(), failure }
}
