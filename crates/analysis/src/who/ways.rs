//! What is told beside the lines of an answer about routes and public addresses.

use std::collections::{BTreeMap, BTreeSet};

use sekimori_core::{ids::InstanceId, ways::Gap, world::World};

use super::{Members, Passed, WHO_NAMES_MAX};
use crate::{led::Led, outside::Run, services::shortened, why::unseen};

/// What is told beside the lines of an answer.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Interfaces that rules let outside reach or be reached, and that nothing leads to.
    cut_off: BTreeMap<String, BTreeSet<String>>,
    unseen: BTreeSet<String>,
    /// Instances of the answer that are stopped.
    stopped: BTreeSet<InstanceId>,
}

impl Notes {
    /// Some interfaces are in a line of the answer.
    pub(super) fn shown(&mut self, world: &World, members: &Members) {
        let stopped = members.iter().filter_map(|(eni, _)| world.stopped_with(eni));
        self.stopped.extend(stopped.map(|instance| instance.id.clone()));
    }

    pub(super) fn add(&mut self, world: &World, members: &Members, (open, led): (&[(Passed, Run)], &Led)) {
        if open.is_empty() {
            return;
        }
        let gaps: BTreeSet<&Gap> = open.iter().flat_map(|(_, run)| led.missing(*run)).collect();
        let is_led = open.iter().any(|(_, run)| !led.within(*run).is_empty());
        for (eni, own) in members {
            self.unseen.extend(unseen(world, eni));
            for gap in gaps.iter().filter(|_| !is_led) {
                let reason = match gap {
                    Gap::Link { .. } => continue,
                    Gap::PublicAddress { .. } => "no public address".to_owned(),
                    Gap::Stopped { .. }
                    | Gap::Nobody { .. }
                    | Gap::Route { .. }
                    | Gap::WayIn { .. }
                    | Gap::Target { .. } => gap.to_string(),
                };
                let name = eni.instance.as_ref().map_or_else(|| eni.id.to_string(), ToString::to_string);
                self.cut_off.entry(reason).or_default().insert(format!("{name} ({own})"));
            }
        }
    }

    pub(super) fn told(&self) -> Vec<String> {
        let cut_off = self.cut_off.iter().map(|(reason, who)| {
            let who = shortened(who.iter().cloned().collect(), WHO_NAMES_MAX).join(", ");
            format!("groups let it pass, but nothing leads there: {who}: {reason}")
        });
        let stopped = (!self.stopped.is_empty()).then(|| {
            let who = shortened(self.stopped.iter().map(ToString::to_string).collect(), WHO_NAMES_MAX).join(", ");
            format!("stopped, so what is told of it is so once it runs: {who}")
        });
        cut_off.chain(self.unseen.iter().cloned()).chain(stopped).collect()
    }
}
