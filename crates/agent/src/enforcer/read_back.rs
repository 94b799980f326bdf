//! Compares what the kernel holds with what was written there, repairs what differs, and tells it.
//!
//! Three ways lead here: what a change has just written is compared at once; everything else again and again, a bounded
//! number of entries at a time; and everything together when it is asked for. Programs, names and namespaces, which others can
//! take away, are looked at several times a second.

use std::collections::VecDeque;

use sekimori_compile::tables::Delta;
use sekimori_core::{
    feed::{DIFFERENCES_MAX, Difference, Part, ReadBack},
    ids::EniId,
};

use super::Enforcer;
use crate::{
    bound::Again,
    bpf::Object,
    local::{Drift, Port, Touched},
};

/// Entries of the maps that are compared at a time.
pub const READ_BACK_ENTRIES: usize = 4_096;
/// Interfaces with filters in place of links that are looked at, each time namespaces are.
const FILTERS_AT_A_TIME: usize = 64;
/// Entries that were written and wait to be compared; beyond these, everything is compared anew.
const WRITTEN_MAX: usize = 65_536;

/// What is to be compared, and what was found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    written: VecDeque<Object>,
    rest: VecDeque<Object>,
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

impl Findings {
    fn note(&mut self, difference: Difference) {
        tracing::warn!(%difference, "the kernel was not as it was left");
        self.found += 1;
        if self.differences.len() < DIFFERENCES_MAX {
            self.differences.push(difference);
        }
    }

    /// The next entry.
    fn next(&mut self) -> Option<Object> {
        self.written.pop_front().or_else(|| self.rest.pop_front())
    }
}

impl Enforcer {
    /// Has what a step has written compared next.
    pub(super) fn note_written(&mut self, delta: &Delta) {
        let written = Object::of(delta);
        if self.findings.written.len() + written.len() > WRITTEN_MAX {
            self.findings.written.clear();
            self.findings.rest.clear();
        } else {
            self.findings.written.extend(written);
        }
    }

    /// Compares some entries and repairs those that differ: what was written lately first. After the last entry a new
    /// round begins.
    pub fn read_back(&mut self) {
        if self.is_comparable() && self.findings.written.is_empty() && self.findings.rest.is_empty() {
            self.begin_round();
        }
        self.compare_some(Findings::next);
        self.findings.is_round_complete |= self.is_comparable() && self.findings.rest.is_empty();
    }

    /// Compares some of what was written lately.
    pub fn read_back_written(&mut self) {
        self.compare_some(|findings| findings.written.pop_front());
    }

    /// What is not wholly written differs, and is being written.
    fn is_comparable(&self) -> bool {
        self.is_following && !self.plane.is_dirty()
    }

    fn compare_some(&mut self, next: impl Fn(&mut Findings) -> Option<Object>) {
        if !self.is_comparable() {
            return;
        }
        let (mut left, mut wrong) = (READ_BACK_ENTRIES, Vec::new());
        while left > 0
            && let Some(object) = next(&mut self.findings)
        {
            left = left.saturating_sub(object.weight());
            wrong.extend(self.compare(object));
        }
        self.mend(wrong);
    }

    /// What there is to compare, in a new round.
    fn begin_round(&mut self) {
        match self.plane.strays(&self.tables) {
            Ok(strays) => self.findings.rest.extend(strays),
            Err(error) => tracing::warn!(%error, "cannot read the kernel's tables"),
        }
        self.findings.rest.extend(self.plane.objects(&self.tables));
    }

    fn compare(&mut self, object: Object) -> Option<(Object, Difference)> {
        self.findings.checked += object.weight() as u64;
        match self.plane.check(&object, &self.tables) {
            Ok(difference) => Some((object, difference?)),
            Err(error) => {
                tracing::warn!(%error, "cannot read the kernel's tables");
                None
            }
        }
    }

    fn mend(&mut self, wrong: Vec<(Object, Difference)>) {
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

    /// Looks at what others can take away, and puts it back: programs and names; with `is_thorough` also namespaces
    /// and links.
    pub async fn watch(&mut self, is_thorough: bool) {
        if !self.is_following {
            return;
        }
        self.bindings.look(is_thorough, &mut self.plane).await;
        let (found, lost) = self.plane.restore(is_thorough);
        let bound = self.bindings.attach_again(&lost, &mut self.plane).await;
        let again = self.attach_again(&lost);
        if is_thorough {
            self.repair_local().await;
            self.mend_filters();
        }
        for difference in found {
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

    /// Puts filters back, of some interfaces at a time. An interface that is gone is told of itself.
    fn mend_filters(&mut self) {
        for eni in self.plane.filtered_after(self.findings.filtered.as_ref()).into_iter().take(FILTERS_AT_A_TIME) {
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
    fn attach_again(&mut self, lost: &[EniId]) -> Vec<(Port, Option<String>)> {
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
        self.findings.rest.clear();
        self.begin_round();
        let mut wrong = Vec::new();
        while let Some(object) = self.findings.next() {
            wrong.extend(self.compare(object));
        }
        let names = self.plane.wrong_names(&self.tables);
        self.findings.checked += self.tables.names().len() as u64;
        wrong.extend(names.into_iter().map(|name| (Object::Name(name.clone()), Object::wrong_name(&name))));
        self.findings.is_round_complete = true;
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

fn told(drift: &Drift, failure: Option<String>) -> Difference {
    let (part, subject) = match drift {
        Drift::Router(vpc) => (Part::Namespace, vpc.to_string()),
        Drift::Outside(vpc) => (Part::Namespace, format!("{vpc}.outside")),
        Drift::Instance(instance) => (Part::Namespace, instance.to_string()),
        Drift::Link { eni, .. } => (Part::Link, eni.to_string()),
        Drift::Peering(id) => (Part::Link, id.to_string()),
    };
    Difference { part, subject, found: "was removed or replaced".to_owned(), failure }
}
