//! The ring of events and what belongs to it: who wants them, and how many were not told.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
};

use aya::maps::{Map, MapData, RingBuf};
use sekimori_compile::{
    event::{Event, EventShare},
    tables::Tables,
};
use sekimori_core::{flow_event::EventLosses, ids::EniId};

use super::{DataPlane, sys};

/// The reading end of the ring. There is one reader at a time.
pub struct EventRing {
    ring: RingBuf<MapData>,
}

impl EventRing {
    /// Takes out the next events, the oldest first.
    pub fn take(&mut self, most: usize) -> Vec<Event> {
        let mut events = Vec::new();
        while events.len() < most
            && let Some(item) = self.ring.next()
        {
            events.extend(Event::read(&item));
        }
        events
    }
}

/// What reads how many events were not told: everything that another thread needs for it.
pub struct LossReader {
    shares: OwnedFd,
    cpus: usize,
    enis: Vec<(EniId, u32)>,
}

/// What was lost at one ENI since the maps were made: of flows that began, of drops.
pub type EniLosses = (EniId, [EventLosses; 2]);

impl LossReader {
    /// What was lost, by ENI.
    ///
    /// # Errors
    /// The kernel's.
    pub fn read(&self) -> io::Result<Vec<EniLosses>> {
        self.enis.iter().map(|(eni, slot)| Ok((eni.clone(), self.at(*slot)?))).collect()
    }

    fn at(&self, slot: u32) -> io::Result<[EventLosses; 2]> {
        let shares: Vec<EventShare> = sys::lookup_per_cpu(self.shares.as_fd(), slot, self.cpus)?;
        let of = |kind: usize| EventLosses {
            rate_limit: shares.iter().map(|share| share.limited[kind]).sum(),
            ring_full: shares.iter().map(|share| share.unroomed[kind]).sum(),
            server_slow: 0,
        };
        Ok([of(0), of(1)])
    }
}

impl DataPlane {
    /// The reading end of the ring, where the last reader left it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn event_ring(&self) -> io::Result<EventRing> {
        let data = MapData::from_fd(self.maps.fd("events")?.try_clone_to_owned()?).map_err(io::Error::other)?;
        let ring = RingBuf::try_from(Map::RingBuf(data)).map_err(io::Error::other)?;
        Ok(EventRing { ring })
    }

    /// Says which events somebody reads: `event::EVENTS_*`.
    pub fn want_events(&mut self, wanted: u32) {
        self.maps.events_wanted.store_u32(0, 0, wanted);
    }

    /// What reads the losses.
    ///
    /// # Errors
    /// When a descriptor cannot be copied.
    pub fn loss_reader(&self, tables: &Tables) -> io::Result<LossReader> {
        let shares = self.maps.fd("event_shares")?.try_clone_to_owned()?;
        let enis = tables.entries().iter().map(|(slot, entry)| (entry.id.clone(), *slot)).collect();
        Ok(LossReader { shares, cpus: self.cpus, enis })
    }
}
