//! One host's enforcement: world in, kernel out.
//!
//! The order of every step: the data plane first, local compute second. So a new interface finds its policy
//! in the kernel before it is up, and an interface that goes is closed before it is taken apart.

mod events;
mod read_back;
mod turns;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::Context as _;
use sekimori_compile::tables::{Delta, Tables};
use sekimori_core::{
    change::{Change, Commit},
    feed::{ClosedEni, Known},
    ids::{EniId, GroupId, HostId},
    world::{Eni, Revision, World},
};

use self::{events::Witness, read_back::Findings, turns::Look};
pub use self::{read_back::READ_BACK_ENTRIES, turns::ENTRIES_PER_STEP};
use crate::{
    bound::{self, Bindings},
    bpf::{AttachMode, Collection, DataPlane, counters::Over, maps::Image, read::Reader},
    local::{LocalCompute, Report, Touched},
};

/// Enforcement on one host.
pub struct Enforcer {
    host: HostId,
    plane: DataPlane,
    local: LocalCompute,
    bindings: Bindings,
    tables: Tables,
    world: World,
    /// The groups whose rules are in the world; see [`Known`]. `None` when the server must be asked for everything.
    groups: Option<BTreeSet<GroupId>>,
    is_following: bool,
    closed_by_plane: BTreeMap<EniId, String>,
    closed_by_local: BTreeMap<EniId, String>,
    findings: Findings,
    /// What others can take away is being looked at.
    look: Option<Look>,
    witness: Witness,
}

impl Enforcer {
    /// Opens the enforcement of a data directory. What an earlier process left goes on, untouched.
    ///
    /// # Errors
    /// When kernel or data directory refuse; the message says what and how to mend it.
    pub fn open(dir: &Path, host: HostId, attach: AttachMode) -> anyhow::Result<Self> {
        Self::open_with(dir, host, attach, Image::default())
    }

    /// The same with a program that was compiled elsewhere. Its flows may be arranged otherwise than this agent's; then it must
    /// not keep house.
    ///
    /// # Errors
    /// As [`Enforcer::open`].
    pub fn open_with(dir: &Path, host: HostId, attach: AttachMode, image: Image) -> anyhow::Result<Self> {
        let agent_dir = dir.join("agent");
        std::fs::create_dir_all(&agent_dir).with_context(|| format!("cannot create `{}`", agent_dir.display()))?;
        let local = LocalCompute::open(&agent_dir)?;
        let bindings = Bindings::open(&agent_dir)?;
        let (plane, adopted) = DataPlane::open_with(dir, attach, image)?;
        let tables = Tables::new(host.clone(), adopted);
        Ok(Self {
            host,
            plane,
            local,
            bindings,
            tables,
            world: World::default(),
            groups: None,
            is_following: false,
            closed_by_plane: BTreeMap::new(),
            closed_by_local: BTreeMap::new(),
            findings: Findings::default(),
            look: None,
            witness: Witness::default(),
        })
    }

    /// Whether live flows between two interfaces of this host may go past its routers. They may, if nothing is said.
    pub fn set_straight_path(&mut self, is_used: bool) {
        self.plane.set_straight_path(is_used);
    }

    /// The revision that is enforced; `None` before the first snapshot.
    #[must_use]
    pub fn applied(&self) -> Option<Revision> {
        (self.is_following && !self.plane.is_dirty() && self.plane.is_newest()).then(|| self.world.revision())
    }

    /// The last revision that was heard of; `None` before the first snapshot.
    #[must_use]
    pub fn heard(&self) -> Option<Revision> {
        self.is_following.then(|| self.world.revision())
    }

    /// The same, with the groups whose rules are known.
    #[must_use]
    pub fn known(&self) -> Option<Known> {
        let groups = self.groups.as_ref()?.iter().cloned().collect();
        self.heard().map(|revision| Known { revision, groups })
    }

    /// Interfaces that do not have their policy. They drop, or keep their last good one.
    #[must_use]
    pub fn closed(&self) -> Vec<ClosedEni> {
        let both = self.closed_by_local.iter().chain(&self.closed_by_plane);
        let both = both.map(|(eni, reason)| ClosedEni { eni: eni.clone(), reason: reason.clone() });
        both.chain(self.bindings.closed()).collect()
    }

    /// Follows to a whole world: the first one takes over from an earlier process, a later one is reached
    /// by the changes that lead to it. `groups` are those whose rules are in it.
    ///
    /// # Errors
    /// When an interface of this host has a group of which the rules are not there. Then nothing is followed.
    pub async fn follow_world(&mut self, world: World, groups: Vec<GroupId>) -> anyhow::Result<()> {
        let groups = groups.into_iter().collect();
        check_groups(&world, &self.host, &groups, world.enis().map(|eni| &**eni))?;
        self.groups = Some(groups);
        let changes = world.changes_from(&self.world);
        let delta = self.tables.update(&world, &changes);
        self.witness.note_names(&delta, self.plane.maps());
        let written = if self.is_following {
            self.plane.follow(&delta, &self.tables)
        } else {
            self.plane.adopt(&mut self.tables, &delta)
        };
        self.note_plane(written, true);
        self.witness.note_revision(world.revision(), &delta);
        self.world = world;
        self.is_following = true;
        self.bindings.release(&self.world, &self.host, None, &mut self.plane).await;
        let report = self.local.reconcile(&self.world, &self.host, &mut self.plane).await;
        self.bindings.secure(&self.world, &self.host, None, &mut self.plane).await;
        self.closed_by_local.clear();
        self.attach_adopted(&report);
        self.note_local(report);
        self.take_over();
        if let Err(error) = self.plane.forget_programs() {
            tracing::warn!(%error, "programs that nothing needs cannot be looked for");
        }
        Ok(())
    }

    /// Takes the place of another version's agent, if one has run here.
    fn take_over(&mut self) {
        if let Err(error) = self.plane.take_over(&self.tables) {
            tracing::error!(
                error = format!("{error:#}"),
                "another version still decides at some interface; trying again"
            );
        }
    }

    /// Local compute adopts an interface that is up as it is. If its programs are not known to be there (a
    /// pin was removed, or the kernel has no tcx), they are attached again.
    fn attach_adopted(&mut self, report: &Report) {
        for port in &report.ports {
            let router = self.local.router(&port.vpc).filter(|_| !self.plane.is_closed(&port.eni, port.ifindex));
            if let Some(router) = router
                && let Err(error) = self.plane.close(&port.eni, router, port.vpc.as_str(), port.ifindex)
            {
                let reason = format!("its programs cannot be attached: {error:#}");
                tracing::error!(eni = %port.eni, reason, "an interface is not protected");
                self.closed_by_plane.insert(port.eni.clone(), reason);
            }
            // An earlier agent may have been told not to use the straight path, or may not have known what this one does.
            self.plane.note_routed(&port.eni);
        }
    }

    /// Follows one commit, which brings the rules of some more groups.
    ///
    /// # Errors
    /// When an interface of this host has a group of which the rules are not there. Then the commit is not followed, and no
    /// later one can be: what is known is forgotten, so that the server is asked for everything.
    pub async fn follow(&mut self, commit: &Commit, groups: Vec<GroupId>) -> anyhow::Result<()> {
        let mut world = self.world.clone();
        world.commit(commit);
        let mut known = self.groups.take().unwrap_or_default();
        known.extend(groups);
        let changed = commit.changes.iter().filter_map(|change| match change {
            Change::PutEni(eni) => Some(&**eni),
            _ => None,
        });
        check_groups(&world, &self.host, &known, changed)?;
        for change in &commit.changes {
            if let Change::DeleteGroup(id) = change {
                known.remove(id);
            }
        }
        self.groups = Some(known);
        self.world = world;
        let delta = self.tables.update(&self.world, &commit.changes);
        self.witness.note_names(&delta, self.plane.maps());
        let written = self.plane.follow(&delta, &self.tables);
        self.note_plane(written, false);
        self.witness.note_revision(commit.revision, &delta);
        self.note_written(&delta);
        for change in &commit.changes {
            if let Change::DeleteEni(eni) = change {
                self.closed_by_plane.remove(eni);
                self.closed_by_local.remove(eni);
            }
        }
        let enis = bound::touched(&commit.changes);
        self.bindings.release(&self.world, &self.host, Some(&enis), &mut self.plane).await;
        self.touch(&Touched::of(&commit.changes)).await;
        self.bindings.secure(&self.world, &self.host, Some(&enis), &mut self.plane).await;
        Ok(())
    }

    /// Closes what was bound when an agent ran here last, before any world is known: it drops, or keeps its last good policy.
    pub async fn close_bound(&mut self) {
        self.bindings.look(true, &mut self.plane).await;
    }

    /// Closes bound interfaces that have appeared, where an announcement came.
    pub async fn look_at_bound(&mut self) {
        self.bindings.look(false, &mut self.plane).await;
    }

    /// The interfaces that others make.
    #[must_use]
    pub fn bindings(&self) -> &Bindings {
        &self.bindings
    }

    /// Repairs what failed or was taken away since, in one go: once a second while there is no server, and nothing to wait for it.
    pub async fn repair(&mut self) {
        self.retry();
        self.watch(true).await;
        self.read_back();
    }

    /// Tries again what failed: once a second.
    pub fn retry(&mut self) {
        self.retry_closed();
        // What lags is among what is closed, and was tried just now, unless its ENI has gone meanwhile.
        if self.plane.is_dirty() || self.closed_by_plane.is_empty() && !self.plane.is_newest() {
            let written = self.plane.resync(&self.tables);
            self.note_plane(written, true);
        }
        self.take_over();
    }

    /// What could not be had may be free by now: room in the store, a number.
    fn retry_closed(&mut self) {
        if self.closed_by_plane.is_empty() {
            return;
        }
        let enis = self.closed_by_plane.keys().filter_map(|id| self.world.eni(id)).cloned();
        let groups = enis.clone().flat_map(|eni| eni.groups.clone()).filter_map(|id| self.world.group(&id).cloned());
        let changes: Vec<Change> = groups.map(Change::PutGroup).chain(enis.map(Change::PutEni)).collect();
        let delta = self.tables.update(&self.world, &changes);
        let written = self.plane.follow(&delta, &self.tables).and_then(|closed| {
            let again = self.plane.resync(&self.tables)?;
            Ok(closed.into_iter().chain(again).collect())
        });
        self.note_plane(written, true);
    }

    async fn touch(&mut self, touched: &[Touched]) {
        if touched.is_empty() {
            return;
        }
        let report = self.local.apply(&self.world, &self.host, touched, &mut self.plane).await;
        for port in &report.ports {
            self.closed_by_local.remove(&port.eni);
        }
        // What is detached or stopped is not missed.
        let (world, host) = (&self.world, &self.host);
        self.closed_by_local.retain(|eni, _| LocalCompute::wants(world, host, eni));
        self.note_local(report);
    }

    fn note_plane(&mut self, written: std::io::Result<Vec<ClosedEni>>, is_whole: bool) {
        match written {
            Ok(closed) => {
                if is_whole {
                    self.closed_by_plane.clear();
                }
                self.closed_by_plane.extend(closed.into_iter().map(|closed| (closed.eni, closed.reason)));
            }
            Err(error) => tracing::error!(%error, "a change could not be written whole; trying again"),
        }
    }

    fn note_local(&mut self, report: Report) {
        for error in report.others {
            tracing::warn!(%error, "local compute is not complete");
        }
        for (eni, error) in report.failed {
            tracing::warn!(%eni, %error, "an interface is not there");
            self.closed_by_local.insert(eni, error.to_string());
        }
    }

    /// See [`DataPlane::begin_collection`].
    ///
    /// # Errors
    /// When a descriptor cannot be copied.
    pub fn begin_collection(&mut self) -> std::io::Result<Collection> {
        self.plane.begin_collection(&mut self.tables, self.closed_by_plane.is_empty())
    }

    /// See [`DataPlane::end_collection`].
    pub fn end_collection(&mut self, collection: Collection) {
        self.plane.end_collection(collection, &mut self.tables);
        self.witness.note_collection();
    }

    /// What reads the counters.
    ///
    /// # Errors
    /// When a descriptor cannot be copied.
    pub fn reader(&self) -> std::io::Result<Reader> {
        self.plane.reader(&self.tables)
    }

    /// What was counted under these numbers is written down: they may be given out again. Returns whether nothing of it will
    /// be found again.
    pub fn forget_counted(&mut self, over: &[Over]) -> bool {
        let names = over.iter().filter_map(|over| over.forget(&mut self.tables)).collect();
        let delta = Delta { names, ..Delta::default() };
        self.witness.note_names(&delta, self.plane.maps());
        let versions: BTreeSet<u32> = over.iter().filter_map(|over| over.version()).collect();
        let cleared = versions.into_iter().try_for_each(|version| self.plane.forget_earlier(version));
        let cleared = cleared.and_then(|()| self.plane.write(&delta));
        cleared.inspect_err(|error| tracing::warn!(%error, "counters of what is gone could not be cleared")).is_ok()
    }

    /// The data plane.
    pub fn plane(&mut self) -> &mut DataPlane {
        &mut self.plane
    }

    /// The tables that the data plane follows.
    #[must_use]
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// The world that is followed.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }
}

/// A policy that is built without the rules of one of its groups could allow what one of them denies.
fn check_groups<'a>(
    world: &World,
    host: &HostId,
    known: &BTreeSet<GroupId>,
    enis: impl Iterator<Item = &'a Eni>,
) -> anyhow::Result<()> {
    for eni in enis.filter(|eni| world.is_on(eni, host)) {
        if let Some(group) = eni.groups.iter().find(|group| !known.contains(*group)) {
            anyhow::bail!("the server did not send the rules of `{group}`, which `{}` has", eni.id);
        }
    }
    Ok(())
}
