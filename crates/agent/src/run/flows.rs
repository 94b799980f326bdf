//! Tells the server of flows that begin and of drops. What it does not take at once is counted, never waited for.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use sekimori_core::{
    feed::FromAgent,
    flow_event::{EventLosses, FlowEvent, FlowReport},
    flow_record::TrafficPart,
    ids::EniId,
};

use super::feed::Connection;
use crate::{bpf::events::EniLosses, traffic::Ledger};

/// What was lost, and what the server knows of it.
#[derive(Debug, Default)]
pub(super) struct FlowTeller {
    lost: EventLosses,
    told: EventLosses,
    /// The kernel's totals, as they were read last.
    known: Option<BTreeMap<EniId, [EventLosses; 2]>>,
    /// Interfaces of which drops were lost since this was asked last.
    short: BTreeSet<EniId>,
    /// Traffic on its way to be recorded.
    pub(super) ledger: Ledger,
    outbox: VecDeque<TrafficPart>,
}

impl FlowTeller {
    /// Tells events, and losses that are news.
    pub(super) fn tell(&mut self, server: &mut Connection, events: Vec<FlowEvent>) -> anyhow::Result<()> {
        if events.is_empty() && self.lost == self.told {
            return Ok(());
        }
        let (count, lost) = (events.len() as u64, self.lost);
        if server.offer(&FromAgent::Flows(FlowReport { events, lost }))? {
            self.told = lost;
        } else {
            self.lost.server_slow += count;
        }
        Ok(())
    }

    /// Takes in what was refused.
    pub(super) fn note(&mut self, events: &[FlowEvent]) {
        events.iter().for_each(|event| self.ledger.refused(event));
    }

    /// A new connection: what the server has not written down is told again.
    pub(super) fn begin(&mut self) {
        self.outbox.clear();
        self.ledger.begin();
    }

    /// Tells of traffic, as far as the server takes it at once.
    pub(super) fn tell_traffic(&mut self, server: &mut Connection) -> anyhow::Result<()> {
        if self.outbox.is_empty() {
            self.outbox.extend(self.ledger.oldest());
        }
        while let Some(part) = self.outbox.front() {
            if !server.offer(&FromAgent::Traffic(part.clone()))? {
                break;
            }
            self.outbox.pop_front();
        }
        Ok(())
    }

    /// Notes which interfaces' drops were not all told: their records are incomplete.
    pub(super) fn note_short(&mut self, now_s: i64) {
        for eni in std::mem::take(&mut self.short) {
            self.ledger.skip(now_s, &eni);
        }
    }

    /// Takes in the kernel's totals. What was there when they were read first is an earlier agent's.
    pub(super) fn note_losses(&mut self, totals: Vec<EniLosses>) {
        let totals: BTreeMap<EniId, [EventLosses; 2]> = totals.into_iter().collect();
        if let Some(known) = &self.known {
            for (eni, now) in &totals {
                let before = known.get(eni).copied().unwrap_or(*now);
                self.short.extend((now[1].total() > before[1].total()).then(|| eni.clone()));
                for (now, before) in now.iter().zip(before) {
                    self.lost.rate_limit += now.rate_limit.saturating_sub(before.rate_limit);
                    self.lost.ring_full += now.ring_full.saturating_sub(before.ring_full);
                }
            }
        }
        self.known = Some(totals);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn losses(eni: &str, limited: u64, full: u64) -> EniLosses {
        let of = |rate_limit| EventLosses { rate_limit, ring_full: full, server_slow: 0 };
        (eni.into(), [of(limited), of(2 * limited)])
    }

    #[test]
    fn losses_are_what_the_totals_grow_by() {
        let mut teller = FlowTeller::default();
        teller.note_losses(vec![losses("a", 10, 1)]);
        assert_eq!(teller.lost, EventLosses::default(), "an earlier agent's");
        teller.note_losses(vec![losses("a", 13, 1), losses("b", 50, 9)]);
        assert_eq!((teller.lost.rate_limit, teller.lost.ring_full), (9, 0), "b's number may have been another's");
        teller.note_losses(vec![losses("b", 51, 10)]);
        teller.note_losses(vec![losses("a", 13, 1), losses("b", 51, 10)]);
        assert_eq!((teller.lost.rate_limit, teller.lost.ring_full, teller.lost.total()), (12, 2, 14));
    }
}
