//! Looks whether programs and names are still where they were put, and puts them back.

use std::{io, os::fd::BorrowedFd};

use sekimori_core::{
    feed::{Difference, Part},
    ids::EniId,
};

use super::{
    DataPlane,
    check::difference,
    links::{LinkFault, SIDES},
    maps,
};

/// What was found at the links of some interfaces.
pub struct Restored {
    /// How they were not as they were left.
    pub found: Vec<Difference>,
    /// ENIs that have lost a program: those must be closed again.
    pub lost: Vec<EniId>,
    /// Why one could not be looked at.
    pub unseen: Option<Difference>,
    /// The last of them; none when there were none.
    pub last: Option<EniId>,
}

impl DataPlane {
    /// Puts back the names of maps, and the bpffs itself; says what it found.
    pub fn restore_names(&mut self) -> Vec<Difference> {
        let mut found = self.restore_mount();
        match self.maps.pin_again(&self.home) {
            Ok(lost) => found.extend(lost.into_iter().map(|name| difference(Part::Pin, name, "was removed"))),
            Err(error) => found.push(unrepaired(Part::Pin, "of the maps", "cannot be looked at", &error)),
        }
        found
    }

    /// Puts back the names of the programs of so many namespaces after one of them, or from the first on; says what it found, and which
    /// was last. The next start would verify programs without a name again.
    pub fn restore_programs(&self, last: Option<u64>, count: usize) -> (Vec<Difference>, Option<u64>) {
        let (lost, last) = self.attachments.pin_programs_again(last, count);
        let found = match lost {
            Ok(lost) => lost.into_iter().map(|name| difference(Part::Pin, name, "was removed")).collect(),
            Err(error) => vec![unrepaired(Part::Pin, "of a program", "cannot be put back", &error)],
        };
        (found, last)
    }

    /// Puts back programs of so many interfaces after one of them, or from the first on, that were replaced; with `is_exact` also
    /// the names of their links, which are asked whether they are the very object's.
    pub fn restore_links(&mut self, last: Option<&EniId>, count: usize, is_exact: bool) -> Restored {
        let enis = self.attachments.enis_after(last, count);
        let (faults, looked) = self.attachments.look(&enis, is_exact);
        let (mut found, mut lost) = (Vec::new(), Vec::new());
        for (eni, side, fault) in faults {
            let program = SIDES.get(side).map_or("", |(start, _)| start.trim_end_matches('_'));
            found.push(difference(Part::Program, format!("{program} {eni}"), words(fault)));
            self.mend(&eni, side, fault, &mut found, &mut lost);
        }
        lost.dedup();
        let unseen = |error: &io::Error| unrepaired(Part::Program, "of some interface", "cannot be looked at", error);
        Restored { found, lost, unseen: looked.as_ref().err().map(unseen), last: enis.into_iter().next_back() }
    }

    fn mend(&mut self, eni: &EniId, side: usize, fault: LinkFault, found: &mut [Difference], lost: &mut Vec<EniId>) {
        let is_mended = match fault {
            LinkFault::Detached => Ok(false),
            LinkFault::Foreign | LinkFault::Unpinned => self.attachments.mend(eni, side),
        };
        match is_mended {
            Ok(true) => {}
            Ok(false) => lost.push(eni.clone()),
            Err(error) => {
                if let Some(difference) = found.last_mut() {
                    difference.failure = Some(error.to_string());
                }
            }
        }
    }

    /// So many ENIs whose programs are clsact filters, in turns after one of them. A filter leaves no trace to look at, so whether
    /// it is there is told by putting it there: [`DataPlane::mend_filters`].
    #[must_use]
    pub fn filtered_after(&self, last: Option<&EniId>, count: usize) -> Vec<EniId> {
        self.attachments.filtered_after(last, count)
    }

    /// Puts the filters of an ENI back that are not there; says what it found.
    pub fn mend_filters(&mut self, eni: &EniId, netns: BorrowedFd<'_>) -> Option<Difference> {
        let lost = difference(Part::Program, eni, words(LinkFault::Detached));
        match self.attachments.mend_filters(eni, netns) {
            Ok(is_lost) => is_lost.then_some(lost),
            Err(error) => Some(Difference { failure: Some(format!("{error:#}")), ..lost }),
        }
    }

    /// The bpffs itself. What was pinned lives on in this process, and is pinned again.
    fn restore_mount(&self) -> Vec<Difference> {
        let bpffs = self.home.bpffs();
        if maps::is_bpffs(bpffs) {
            return Vec::new();
        }
        let dir = bpffs.parent().unwrap_or(bpffs);
        let failure = maps::mount_bpffs(dir).err().map(|error| format!("{error:#}"));
        let subject = bpffs.display().to_string();
        vec![Difference { part: Part::Pin, subject, found: "was unmounted".to_owned(), failure }]
    }
}

fn words(fault: LinkFault) -> &'static str {
    match fault {
        LinkFault::Detached => "was detached",
        LinkFault::Foreign => "was replaced by another program",
        LinkFault::Unpinned => "has lost its name",
    }
}

fn unrepaired(part: Part, subject: &str, found: &str, error: &io::Error) -> Difference {
    Difference { failure: Some(error.to_string()), ..difference(part, subject, found) }
}
