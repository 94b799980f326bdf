//! Reads the live flows for records: everything that another thread needs for it.

use std::{collections::BTreeMap, io};

use sekimori_compile::tables::Tables;
use sekimori_core::{
    flow_record::{TrafficKey, TrafficSum},
    ids::EniId,
};

use super::{DataPlane, clock::Moment, flows::FlowTables};
use crate::traffic::Sampler;

/// The tables of live flows, and whose they are.
pub struct FlowSource {
    flows: FlowTables,
    enis: BTreeMap<u32, EniId>,
}

impl FlowSource {
    /// What flows have grown by since the sampler's last sample.
    ///
    /// # Errors
    /// The kernel's.
    pub fn sample(&self, sampler: &mut Sampler, at: Moment) -> io::Result<Vec<(TrafficKey, TrafficSum)>> {
        sampler.sample(at, |slot| self.enis.get(&slot), |each| self.flows.for_each(each))
    }
}

impl DataPlane {
    /// What reads the live flows of the interfaces that are here now.
    ///
    /// # Errors
    /// When a descriptor cannot be copied.
    pub fn flow_source(&self, tables: &Tables) -> io::Result<FlowSource> {
        let enis = tables.entries().iter().map(|(slot, entry)| (*slot, entry.id.clone())).collect();
        Ok(FlowSource { flows: FlowTables::new(&self.maps)?, enis })
    }
}
