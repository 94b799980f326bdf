//! ENIs at interfaces that others make and take away: taps, veths, cards of the host. Found, closed, and watched.
//!
//! Nothing here makes an interface. One that appears under a bound name gets the programs at once: the kernel announces it,
//! and a look twice a second finds what an announcement was lost of. It drops everything until its ENI's policy is there. An
//! interface whose ENI is no more, or somewhere else now, is set down before it is let go, if it leads to a workload.

mod place;
mod record;

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::AsFd,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use sekimori_core::{
    binding::{Binding, Netns, Side},
    change::Change,
    feed::{BoundInterface, BoundState, ClosedEni},
    ids::{EniId, HostId},
    world::World,
};
use tokio::sync::Notify;

pub use self::record::RECORD_FILE;
use self::{place::Place, record::Wanted};
use crate::{
    bpf::{At, DataPlane, detach_filters},
    netlink::Link,
};

/// So many interfaces of a namespace are looked up one by one; for more, all links there are listed.
const LOOKED_UP_ALONE_MAX: usize = 8;

/// The bound interfaces of a host.
#[derive(Debug)]
pub struct Bindings {
    directory: PathBuf,
    wanted: BTreeMap<EniId, Wanted>,
    /// Whether the record says something else.
    is_unwritten: bool,
    places: BTreeMap<Option<Netns>, Place>,
    states: BTreeMap<EniId, BoundInterface>,
    /// How often a state has changed.
    changes: u64,
    /// Those whose interface was not there at the last look, by name: until it is listed there is nothing to do for them.
    absent: BTreeMap<EniId, Arc<str>>,
    news: Arc<Notify>,
}

/// What became of a program that was put on an interface again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Again {
    /// It is there.
    Done,
    /// The interface is not.
    Gone,
    /// It is not there, and why.
    Failed(String),
}

/// How it stands at an interface, and what is wrong.
type Standing = (BoundState, String);

impl Bindings {
    /// What was bound when an agent of this directory ran last. Nothing is done yet.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn open(directory: &Path) -> anyhow::Result<Self> {
        let wanted = record::read(directory)?;
        Ok(Self {
            directory: directory.to_owned(),
            wanted,
            is_unwritten: false,
            places: BTreeMap::new(),
            states: BTreeMap::new(),
            changes: 0,
            absent: BTreeMap::new(),
            news: Arc::new(Notify::new()),
        })
    }

    /// Lets go of what the world has not bound here any more; `touched` limits it to these ENIs. To be called before local
    /// compute, which may make an interface of its own for one of them.
    pub async fn release(
        &mut self,
        world: &World,
        host: &HostId,
        touched: Option<&BTreeSet<EniId>>,
        plane: &mut DataPlane,
    ) {
        if touched.is_some_and(BTreeSet::is_empty) {
            return;
        }
        let is_touched = |eni: &EniId| touched.is_none_or(|touched| touched.contains(eni));
        let is_over = |eni: &EniId, old: &Wanted| {
            let new = wanted(world, host, eni);
            new.is_none_or(|new| !new.binding.is_same_interface(&old.binding) || new.binding.side != old.binding.side)
        };
        let over = self.wanted.iter().filter(|(eni, old)| is_touched(eni) && is_over(eni, old));
        let over: Vec<(EniId, Wanted)> = over.map(|(eni, old)| (eni.clone(), old.clone())).collect();
        for (eni, old) in over {
            // An interface that was renamed, and is bound by its new name now, is the same one.
            if let Some(new) = wanted(world, host, &eni)
                && new.binding.netns == old.binding.netns
                && new.binding.side == old.binding.side
                && self
                    .former(&eni, &old.binding, None, plane)
                    .await
                    .is_ok_and(|former| former.is_some_and(|link| link.name == new.binding.interface))
            {
                self.is_unwritten = true;
                self.wanted.insert(eni, new);
                continue;
            }
            // Whoever unbinds an ENI wants the interface without it; an ENI that is gone carries nothing.
            let is_unbound = world.eni(&eni).is_some_and(|eni| eni.binding.is_none());
            self.end(&eni, &old, !is_unbound, plane).await;
            self.wanted.remove(&eni);
            self.is_unwritten = true;
        }
        let used: BTreeSet<Option<Netns>> = self.wanted.values().map(|wanted| wanted.binding.netns.clone()).collect();
        self.leave(|netns, _| !used.contains(netns), plane);
    }

    /// Closes what the world has bound here since.
    pub async fn secure(
        &mut self,
        world: &World,
        host: &HostId,
        touched: Option<&BTreeSet<EniId>>,
        plane: &mut DataPlane,
    ) {
        let new: Vec<(EniId, Wanted)> = match touched {
            Some(touched) => {
                touched.iter().filter_map(|eni| Some((eni.clone(), wanted(world, host, eni)?))).collect()
            }
            None => {
                let all = world.bound().map(|(eni, _)| &eni.id);
                all.filter_map(|eni| Some((eni.clone(), wanted(world, host, eni)?))).collect()
            }
        };
        let mut by_place = ByPlace::default();
        for (eni, wanted) in new {
            if self.wanted.get(&eni) != Some(&wanted) {
                self.is_unwritten = true;
                self.absent.remove(&eni);
            }
            by_place.add(&wanted, &eni, self.absent.get(&eni));
            self.wanted.insert(eni, wanted);
        }
        self.write();
        self.settle_all(by_place, plane).await;
    }

    /// Looks at interfaces and closes those that have appeared: at those of namespaces with news, or `all`.
    pub async fn look(&mut self, all: bool, plane: &mut DataPlane) {
        let lost = self.leave(|netns, place| place.is_lost(netns.as_ref()), plane);
        let news: BTreeSet<Option<Netns>> =
            self.places.iter().filter(|(_, place)| place.take_news()).map(|(netns, _)| netns.clone()).collect();
        let is_due = |netns: &Option<Netns>| all || lost.contains(netns) || news.contains(netns);
        let (mut by_place, mut absent) = (ByPlace::default(), self.absent.iter().peekable());
        for (eni, wanted) in self.wanted.iter().filter(|(_, wanted)| is_due(&wanted.binding.netns)) {
            while absent.next_if(|(other, _)| *other < eni).is_some() {}
            by_place.add(wanted, eni, absent.next_if(|(other, _)| *other == eni).map(|(_, interface)| interface));
        }
        self.settle_all(by_place, plane).await;
    }

    /// Ready when a link has changed in a namespace where something is bound.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// Puts programs back that somebody took off.
    pub async fn attach_again(&mut self, lost: &[EniId], plane: &mut DataPlane) -> BTreeMap<EniId, Again> {
        let mut done = BTreeMap::new();
        for eni in lost {
            if !self.wanted.contains_key(eni) {
                continue;
            }
            plane.doubt(eni);
            self.settle(eni, None, plane).await;
            let is_absent = |found: &BoundInterface| found.state == BoundState::Absent;
            if self.states.get(eni).is_none_or(is_absent) {
                plane.forget_bound(eni);
            }
            let again = match self.states.get(eni).map(|found| (found.state, found.note.clone())) {
                None | Some((BoundState::Absent, _)) => Again::Gone,
                Some((BoundState::Judged, _)) => Again::Done,
                Some((BoundState::Closed | BoundState::Open, note)) => Again::Failed(note),
            };
            done.insert(eni.clone(), again);
        }
        done
    }

    /// The filters of an ENI where the kernel has no tcx: put back, and what was found.
    pub fn mend_filters(&self, eni: &EniId, plane: &mut DataPlane) -> Option<sekimori_core::feed::Difference> {
        let place = self.places.get(&self.wanted.get(eni)?.binding.netns)?;
        plane.mend_filters(eni, place.ns.as_fd())
    }

    /// How it stands at every one.
    #[must_use]
    pub fn report(&self) -> Vec<BoundInterface> {
        self.states.values().cloned().collect()
    }

    /// Another number whenever the report is another.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Those that are there and do not have their policy.
    pub fn closed(&self) -> impl Iterator<Item = ClosedEni> {
        let closed =
            self.states.values().filter(|found| matches!(found.state, BoundState::Closed | BoundState::Open));
        closed.map(|found| ClosedEni { eni: found.eni.clone(), reason: found.note.clone() })
    }

    /// Lets go of everything, for good.
    pub async fn remove(mut self) -> anyhow::Result<()> {
        for (_, wanted) in std::mem::take(&mut self.wanted) {
            drop(self.open_place(&wanted.binding.netns));
            if let Ok((place, Some(link))) = self.find(&wanted.binding).await {
                detach_filters(place.ns.as_fd(), link.index)?;
            }
        }
        record::remove(&self.directory).context("cannot remove the record of bound interfaces")
    }

    /// Settles some. Where there are many in a namespace, its links are listed at once, and those that are still not there are
    /// passed over.
    async fn settle_all(&mut self, by_place: ByPlace, plane: &mut DataPlane) {
        for (netns, enis) in by_place.0 {
            let listed = if enis.len() > LOOKED_UP_ALONE_MAX { self.list(&netns).await } else { None };
            let is_prepared = self.places.get(&netns).is_some_and(|place| plane.prepare(place.cookie).is_ok());
            let is_there =
                |interface: &Arc<str>| listed.as_ref().is_none_or(|listed| listed.contains_key(&**interface));
            for (eni, absent) in enis {
                if !is_prepared || absent.as_ref().is_none_or(is_there) {
                    self.settle(&eni, listed.as_ref(), plane).await;
                }
            }
        }
    }

    /// The links of a namespace. Why they cannot be listed is found, and told, by the look-up of each.
    async fn list(&mut self, netns: &Option<Netns>) -> Option<BTreeMap<String, Link>> {
        self.open_place(netns).ok()?;
        self.places.get(netns)?.netlink.links().await.ok()
    }

    /// Settles one; `listed` are the links of its namespace, if they are known.
    async fn settle(&mut self, eni: &EniId, listed: Option<&BTreeMap<String, Link>>, plane: &mut DataPlane) {
        let Some(wanted) = self.wanted.get(eni).cloned() else { return };
        let standing = self.try_settle(eni, &wanted, listed, plane).await;
        if matches!(standing, Ok((BoundState::Absent, _))) && !plane.is_bound(eni) {
            self.absent.entry(eni.clone()).or_insert_with(|| Arc::from(wanted.binding.interface.as_str()));
        } else {
            self.absent.remove(eni);
        }
        // In an error it cannot be told whether the interface is there: a namespace may outlive its name. What is on it stays
        // on it.
        let (state, note) = standing.unwrap_or_else(|error| (BoundState::Absent, format!("{error:#}")));
        let found = BoundInterface { eni: eni.clone(), state, note };
        if self.states.get(eni) != Some(&found) {
            tracing::info!(%eni, at = %wanted.binding, state = %found.state, note = found.note, "a bound interface");
            self.states.insert(eni.clone(), found);
            self.changes += 1;
        }
    }

    async fn try_settle(
        &mut self,
        eni: &EniId,
        wanted: &Wanted,
        listed: Option<&BTreeMap<String, Link>>,
        plane: &mut DataPlane,
    ) -> anyhow::Result<Standing> {
        let (interface, side) = (&wanted.binding.interface, wanted.binding.side);
        self.open_place(&wanted.binding.netns)?;
        let place = self.place(&wanted.binding)?;
        let link = match listed {
            Some(listed) => listed.get(interface).cloned(),
            None => place.netlink.link(interface).await?,
        };
        plane.prepare(place.cookie)?;
        let former = self.former(eni, &wanted.binding, link.as_ref(), plane).await?;
        let at = |link: &Link| At {
            netns: place.ns.as_fd(),
            namespace: place.ns.name(),
            cookie: place.cookie,
            ifindex: link.index,
        };
        let Some(link) = link else {
            // What was closed stays closed, whatever it is called.
            if let Some(link) = former {
                if !plane.is_judged_at(eni, &at(&link)) {
                    plane.close_at(eni, &at(&link), side)?;
                }
                return Ok((BoundState::Judged, called_otherwise(&wanted.binding, &link)));
            }
            plane.forget_bound(eni);
            return Ok((BoundState::Absent, format!("there is no interface {} now", wanted.binding)));
        };
        let at = at(&link);
        if let Some(reason) = unfit(interface, &link) {
            plane.seal(eni, &at, side)?;
            return Ok((BoundState::Closed, reason));
        }
        if let Some(other) = plane.eni_at(place.cookie, link.index).filter(|other| *other != eni) {
            let reason = format!("`{interface}` is the interface of `{other}` already; unbind one of them");
            return Ok((BoundState::Closed, reason));
        }
        // The name decides where there are two. The one that had it leads to a workload that must not be without rules.
        if let Some(former) = former.filter(|_| side == Side::Guest) {
            tracing::warn!(%eni, former = former.name, "another interface has the name of a bound one, which is set down");
            place.netlink.set_down(former.index).await?;
        }
        if !plane.is_judged_at(eni, &at)
            && let Err(error) = plane.close_at(eni, &at, side)
        {
            return Ok(self.refuse(&wanted.binding, &link, &error).await);
        }
        Ok((BoundState::Judged, complaint(wanted, &link)))
    }

    /// An interface that cannot be closed is set down, if it leads to a workload; one that has gone meanwhile is none.
    async fn refuse(&self, binding: &Binding, link: &Link, error: &anyhow::Error) -> Standing {
        if let Ok((_, None)) = self.find(binding).await {
            return (BoundState::Absent, format!("there is no interface {binding} now"));
        }
        let place = self.places.get(&binding.netns).filter(|_| binding.side == Side::Guest);
        let is_down = match place {
            Some(place) => place.netlink.set_down(link.index).await.is_ok(),
            None => false,
        };
        if is_down {
            return (BoundState::Closed, format!("its programs cannot be attached, so it was set down: {error:#}"));
        }
        (BoundState::Open, format!("it is NOT enforced: its programs cannot be attached: {error:#}"))
    }

    /// Lets go of one: an interface whose ENI is no more is set down first.
    async fn end(&mut self, eni: &EniId, old: &Wanted, is_gone: bool, plane: &mut DataPlane) {
        // A namespace that is gone has no interface either.
        drop(self.open_place(&old.binding.netns));
        let found = match self.find(&old.binding).await {
            Ok((_, Some(link))) => Some(link),
            Ok((_, None)) | Err(_) => self.former(eni, &old.binding, None, plane).await.ok().flatten(),
        };
        // What was another's when this one was bound to it has stayed the other's.
        if let (Ok(place), Some(link)) = (self.place(&old.binding), found)
            && plane.eni_at(place.cookie, link.index).is_none_or(|holder| holder == eni)
        {
            if is_gone
                && old.binding.side == Side::Guest
                && let Err(error) = place.netlink.set_down(link.index).await
            {
                tracing::warn!(%eni, %error, "an interface whose ENI is gone could not be set down");
            }
            if let Err(error) = plane.detach(eni, place.ns.as_fd(), link.index) {
                tracing::warn!(%eni, error = format!("{error:#}"), "an interface could not be let go wholly");
            }
        }
        plane.forget_bound(eni);
        self.absent.remove(eni);
        self.changes += u64::from(self.states.remove(eni).is_some());
    }

    fn open_place(&mut self, netns: &Option<Netns>) -> anyhow::Result<()> {
        if !self.places.contains_key(netns) {
            self.places.insert(netns.clone(), Place::open(netns.as_ref(), &self.news)?);
        }
        Ok(())
    }

    fn place(&self, binding: &Binding) -> anyhow::Result<&Place> {
        self.places.get(&binding.netns).context("the network namespace is not open")
    }

    /// The namespace of a binding, and the interface if it is there.
    async fn find(&self, binding: &Binding) -> anyhow::Result<(&Place, Option<Link>)> {
        let place = self.place(binding)?;
        let link = place.netlink.link(&binding.interface).await?;
        Ok((place, link))
    }

    /// The interface that an ENI is judged at, if it is there and is not the one of that name: it was renamed. An error says that it is
    /// not known whether it is there.
    async fn former(
        &self,
        eni: &EniId,
        binding: &Binding,
        named: Option<&Link>,
        plane: &DataPlane,
    ) -> anyhow::Result<Option<Link>> {
        let place = self.place(binding)?;
        match plane.judged_in(eni, place.cookie) {
            Some(ifindex) if named.is_none_or(|named| named.index != ifindex) => {
                Ok(place.netlink.link_at(ifindex).await?)
            }
            Some(_) | None => Ok(None),
        }
    }

    /// Closes namespaces; returns which.
    fn leave(
        &mut self,
        is_over: impl Fn(&Option<Netns>, &Place) -> bool,
        plane: &mut DataPlane,
    ) -> BTreeSet<Option<Netns>> {
        let (over, stay): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.places).into_iter().partition(|(netns, place)| is_over(netns, place));
        self.places = stay;
        over.values().for_each(|place| plane.unprepare(place.cookie));
        over.into_keys().collect()
    }

    /// Writes the record, if it says something else. A record that cannot be written is tried again with the next change.
    fn write(&mut self) {
        if !self.is_unwritten {
            return;
        }
        let written = record::write(&self.directory, &self.wanted);
        self.is_unwritten = written.is_err();
        if let Err(error) = written {
            tracing::warn!(
                error = format!("{error:#}"),
                "the next start will not know what is bound before its server tells it"
            );
        }
    }
}

/// One to be settled; with its interface, if that was not there at the last look.
type Due = (EniId, Option<Arc<str>>);

/// Those to be settled, by namespace.
#[derive(Default)]
struct ByPlace(BTreeMap<Option<Netns>, Vec<Due>>);

impl ByPlace {
    fn add(&mut self, wanted: &Wanted, eni: &EniId, absent: Option<&Arc<str>>) {
        let (netns, one) = (&wanted.binding.netns, (eni.clone(), absent.cloned()));
        match self.0.get_mut(netns) {
            Some(enis) => enis.push(one),
            None => drop(self.0.insert(netns.clone(), vec![one])),
        }
    }
}

/// The ENIs that changes may have bound, unbound or deleted.
#[must_use]
pub fn touched(changes: &[Change]) -> BTreeSet<EniId> {
    let eni = |change: &Change| match change {
        Change::PutEni(eni) => Some(eni.id.clone()),
        Change::DeleteEni(id) => Some(id.clone()),
        _ => None,
    };
    changes.iter().filter_map(eni).collect()
}

/// An interface as it is now, for whoever is about to bind it.
///
/// # Errors
/// When the namespace or its interfaces cannot be looked at. That there is no such interface is none.
pub async fn look_up(netns: Option<&Netns>, interface: &str) -> anyhow::Result<Option<Link>> {
    let place = Place::open(netns, &Arc::new(Notify::new()))?;
    Ok(place.netlink.link(interface).await?)
}

/// The host's end of the veth that a container has as `interface`, by name; `None` when it has no such end here.
///
/// # Errors
/// When the container's namespace, or the interfaces of this one, cannot be looked at.
pub async fn other_end(netns: &Netns, interface: &str) -> anyhow::Result<Option<String>> {
    let Some(inside) = look_up(Some(netns), interface).await? else { return Ok(None) };
    let here = Place::open(None, &Arc::new(Notify::new()))?;
    let Some(index) = inside.peer else { return Ok(None) };
    let outside = here.netlink.link_at(index).await?;
    Ok(outside.filter(|link| link.peer == Some(inside.index)).map(|link| link.name))
}

fn wanted(world: &World, host: &HostId, eni: &EniId) -> Option<Wanted> {
    let eni = world.eni(eni)?;
    let binding = eni.binding.clone().filter(|binding| binding.host == *host)?;
    Some(Wanted { binding, mac: eni.mac })
}

/// Why an interface cannot be judged at.
fn unfit(name: &str, link: &Link) -> Option<String> {
    (!link.is_ethernet).then(|| {
        format!(
            "`{name}` does not carry Ethernet frames, so nothing passes it; bind a tap, a veth or an Ethernet card"
        )
    })
}

/// What a user should know of an interface that was renamed.
fn called_otherwise(binding: &Binding, link: &Link) -> String {
    let (old, new) = (&binding.interface, &link.name);
    format!("it is called `{new}` now and judged there; bind it by that name, or another `{old}` will take its place")
}

/// What a user should know of an interface that is judged at.
fn complaint(wanted: &Wanted, link: &Link) -> String {
    match (wanted.binding.side, link.mac) {
        (Side::Own, Some(mac)) if mac != wanted.mac => format!(
            "it has the Ethernet address {mac} and its ENI {}, so what it sends is dropped as spoofed; bind it again with --mac {mac}",
            wanted.mac
        ),
        (Side::Own | Side::Guest, _) => String::new(),
    }
}
