//! What the data plane tells of single packets, in the lab's names.

use sekimori_core::{flow_event::FlowEvent, flow_event::FlowInterest, ids::EniId};

use super::{Lab, must};
use crate::lab::names::Names;

impl Lab {
    /// Says that somebody reads events from now on, or that nobody does.
    pub fn want_events(&mut self, is_wanted: bool) {
        let interest = FlowInterest { allowed: is_wanted, denied: is_wanted, records: is_wanted };
        must("want events", self.enforcer().want_flows(interest));
    }

    /// Every event that was not read yet.
    pub fn take_events(&mut self) -> Vec<FlowEvent> {
        self.enforcer().take_events(usize::MAX)
    }

    /// The same as lines: at whom, which way, the decision, by what, and between whom. Discovery and what the kernels of
    /// instances send on their own is left out.
    pub fn told(&mut self) -> Vec<String> {
        let events = self.take_events();
        events
            .iter()
            .filter(|event| event.reason != "bypass" && event.protocol != 0)
            .map(|event| self.line(event))
            .collect()
    }

    fn line(&self, event: &FlowEvent) -> String {
        let verdict = if event.passed { "allow" } else { "deny" };
        let at = self.instance_of(&event.eni);
        let port = event.destination().1.map_or_else(String::new, |port| format!(" to port {port}"));
        let icmp = event.icmp.map_or_else(String::new, |icmp| match icmp.kind {
            8 | 128 => format!(" echo request, code {}", icmp.code),
            other => format!(" icmp {other}.{}", icmp.code),
        });
        let by = match (&event.group, &event.rule) {
            (Some(group), Some(rule)) => {
                let label = self.names.labels.get(&(group.clone(), rule.clone()));
                format!("{} of {}", label.map_or("?", String::as_str), Names::of(&self.names.groups, group))
            }
            (Some(group), None) => format!("intra-group of {}", Names::of(&self.names.groups, group)),
            (None, _) => event.reason.clone(),
        };
        format!("{at} {}: {verdict} by {by}{port}{icmp}", event.direction)
    }

    fn instance_of(&self, eni: &EniId) -> String {
        let instance = self.world().eni(eni).and_then(|eni| eni.instance.clone());
        instance.map_or_else(|| "?".to_owned(), |id| Names::of(&self.names.instances, &id).to_owned())
    }
}
