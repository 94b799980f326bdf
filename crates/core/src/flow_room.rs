//! How the room of a host's flow tables is shared out among its ENIs, so that no flood at one of them takes what is another's.
//!
//! Half of a table is theirs in equal shares; the rest is a pool, which every ENI that has used up its share borrows from. An ENI's
//! share is rounded down to a power of two parts, so that it seldom changes when ENIs come and go; what the rounding
//! leaves is the pool's as well.

use serde::{Deserialize, Serialize};

use crate::limits::{ENI_HALF_OPEN_MAX, HOST_FLOWS_MAX};

/// The room for flows of each IP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowRoom {
    /// Flows that are an ENI's own.
    pub share: u32,
    /// Flows that all ENIs together may have beyond their shares.
    pub pool: u32,
    /// Half-open flows of an ENI, both IP versions together: TCP that began towards it and has not come further.
    pub half_open: u32,
}

impl FlowRoom {
    /// The room of a table of this many flows, for this many ENIs.
    #[must_use]
    pub fn of(flows_max: u32, enis: u32) -> Self {
        let share = flows_max / 2 / enis.max(1).next_power_of_two();
        Self { share, pool: flows_max - share * enis, half_open: ENI_HALF_OPEN_MAX }
    }

    /// The room of a host with this many ENIs.
    #[must_use]
    pub fn of_host(enis: usize) -> Self {
        Self::of(HOST_FLOWS_MAX, u32::try_from(enis).unwrap_or(u32::MAX))
    }

    /// How many of an ENI's flows are beyond its share.
    #[must_use]
    pub fn borrowed(self, flows: u32) -> u32 {
        flows.saturating_sub(self.share)
    }

    /// Whether an ENI may have another flow of an IP version: it has this many, and all have borrowed this many.
    #[must_use]
    pub fn has_room(self, flows: u32, borrowed: u32) -> bool {
        flows < self.share || borrowed < self.pool
    }
}

/// How a host's flow tables are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowUse {
    /// Flows of each IP version (IPv4, IPv6) beyond the shares of their ENIs.
    pub borrowed: [u64; 2],
    /// How many there may be.
    pub pool: u64,
    /// Half-open flows of the ENI that has most.
    pub half_open: u64,
}

impl FlowUse {
    /// That of two hosts together.
    #[must_use]
    pub fn with(self, other: &Self) -> Self {
        let sum = |version: usize| self.borrowed[version].saturating_add(other.borrowed[version]);
        let (pool, half_open) = (self.pool.saturating_add(other.pool), self.half_open.max(other.half_open));
        Self { borrowed: [sum(0), sum(1)], pool, half_open }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::HOST_ENIS_MAX;

    #[test]
    fn shares_and_pool_are_the_table_for_any_number_of_enis() {
        for enis in (0..=HOST_ENIS_MAX as usize).step_by(7).chain([1, 2, HOST_ENIS_MAX as usize]) {
            let FlowRoom { share, pool, half_open } = FlowRoom::of_host(enis);
            assert_eq!(share * enis as u32 + pool, HOST_FLOWS_MAX, "{enis}");
            assert!(pool >= HOST_FLOWS_MAX / 2, "{enis}: {pool}");
            assert!(share >= HOST_FLOWS_MAX / 2 / HOST_ENIS_MAX, "{enis}: {share}");
            assert!(share as usize * enis.max(1) * 4 >= HOST_FLOWS_MAX as usize, "{enis}: {share}");
            assert_eq!(half_open, ENI_HALF_OPEN_MAX);
        }
    }

    #[test]
    fn an_eni_borrows_only_beyond_its_share() {
        let room = FlowRoom::of(16, 2);
        assert_eq!((room.share, room.pool), (4, 8));
        assert!(room.has_room(3, 8), "its own");
        assert!(room.has_room(4, 7), "the last of the pool");
        assert!(!room.has_room(4, 8));
        assert_eq!([3, 4, 6].map(|flows| room.borrowed(flows)), [0, 0, 2]);
    }
}
