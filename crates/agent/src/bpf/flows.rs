//! The kernel's tables of live flows: one for each IP version, seen as one.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use sekimori_compile::abi::{Flow, FlowKey, FlowKey4};

use super::{
    budget::{Budgets, Tally},
    maps::Maps,
    sys,
};

/// Both tables, for whoever reads or ends flows.
pub(super) struct FlowTables {
    v4: OwnedFd,
    v6: OwnedFd,
}

impl FlowTables {
    /// The tables of these maps.
    pub(super) fn new(maps: &Maps) -> io::Result<Self> {
        let own = |name| maps.fd(name)?.try_clone_to_owned();
        Ok(Self { v4: own("flows4")?, v6: own("flows6")? })
    }

    /// Calls `each` for every flow. One that comes or goes meanwhile may be seen or not.
    pub(super) fn for_each(&self, mut each: impl FnMut(&FlowKey, &Flow)) -> io::Result<()> {
        sys::for_each(self.v4.as_fd(), |key: &FlowKey4, flow| each(&FlowKey::from(*key), flow))?;
        sys::for_each(self.v6.as_fd(), each)
    }

    /// One flow.
    pub(super) fn get(&self, key: &FlowKey) -> io::Result<Option<Flow>> {
        match key.narrow() {
            Some(key) => sys::lookup(self.v4.as_fd(), &key),
            None => sys::lookup(self.v6.as_fd(), key),
        }
    }

    /// Takes a flow out and gives its room back; one that is not there is no error.
    pub(super) fn end(&self, budgets: &Budgets, key: &FlowKey) -> io::Result<()> {
        let Some(flow) = self.get(key)? else { return Ok(()) };
        let half_open = i32::from(flow.is_half_open(key.protocol));
        let mut gone = [0, 0, 0];
        match key.narrow() {
            Some(narrow) => sys::delete_run(self.v4.as_fd(), &[narrow], |_| gone = [1, 0, half_open]),
            None => sys::delete_run(self.v6.as_fd(), &[*key], |_| gone = [0, 1, half_open]),
        }?;
        budgets.give_back(key.eni, gone);
        Ok(())
    }

    /// Takes out the flows of which `has_ended` says that they have ended, and gives their room back. Tells what is left.
    ///
    /// The tables are read some thousand flows at a time, and what has ended among these is taken out at once: no step takes
    /// longer when there is more of it, and a flow has little time to come back to life between the two.
    pub(super) fn end_where(
        &self,
        budgets: &Budgets,
        mut has_ended: impl FnMut(&FlowKey, &Flow) -> bool,
    ) -> io::Result<Tally> {
        let mut left = budgets.tally();
        let (v4, v6) = (self.v4.as_fd(), self.v6.as_fd());
        sys::for_each_run(v4, |keys: &[FlowKey4], flows: &[Flow]| {
            let wide = keys.iter().map(|key| FlowKey::from(*key));
            end_of_run((v4, 0), (keys, flows), wide, (budgets, &mut left), &mut has_ended)
        })?;
        sys::for_each_run(v6, |keys: &[FlowKey], flows: &[Flow]| {
            end_of_run((v6, 1), (keys, flows), keys.iter().copied(), (budgets, &mut left), &mut has_ended)
        })?;
        Ok(left)
    }
}

/// Takes out what has ended of one run of a table's flows.
fn end_of_run<K: sys::Plain>(
    (table, version): (BorrowedFd<'_>, usize),
    (keys, flows): (&[K], &[Flow]),
    wide: impl Iterator<Item = FlowKey>,
    (budgets, left): (&Budgets, &mut Tally),
    has_ended: &mut impl FnMut(&FlowKey, &Flow) -> bool,
) -> io::Result<()> {
    let mut ended: Vec<K> = Vec::new();
    let mut whose: Vec<(u32, bool)> = Vec::new();
    for ((key, flow), wide) in keys.iter().zip(flows).zip(wide) {
        let of = (wide.eni, flow.is_half_open(wide.protocol));
        if has_ended(&wide, flow) {
            ended.push(*key);
            whose.push(of);
        } else {
            left.note(of.0, version, of.1);
        }
    }
    if ended.is_empty() {
        return Ok(());
    }
    let mut gone = budgets.tally();
    let result = sys::delete_run(table, &ended, |at| {
        if let Some((eni, is_half_open)) = whose.get(at) {
            gone.note(*eni, version, *is_half_open);
        }
    });
    gone.iter().for_each(|(eni, gone)| budgets.give_back(eni, gone));
    result
}
