//! What a change makes of live flows that kernels hold: those that it ends, and how.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use sekimori_core::{
    ids::{EniId, InstanceId},
    live_flow::LiveFlow,
    packet::Decision,
    world::World,
};

use super::{
    flows::{DIFF_FLOWS_MAX, Ending, decided, ending_of},
    places::looked_at,
    suspects::Suspects,
    told::packet_words,
};

/// A live flow that the change ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveEnding {
    /// The flow.
    #[serde(flatten)]
    pub flow: LiveFlow,
    /// The instance of its interface.
    pub instance: Option<InstanceId>,
    /// The packet that began it, in words.
    pub text: String,
    /// What becomes of such a packet before.
    pub before: Option<Decision>,
    /// What becomes of it after; nothing where its interface is not there, or nothing leads it there.
    pub after: Option<Decision>,
    /// How the flow ends.
    pub ending: Ending,
}

/// Live flows, and those of them that the change ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveChanged {
    /// Flows that were looked at: those of every interface that something changes about.
    pub looked_at: usize,
    /// Those that the change ends, those first that had a packet last.
    pub ending: Vec<LiveEnding>,
    /// Those that are not told.
    pub ending_untold: usize,
}

/// The interfaces that something changes about: nothing else about live flows is otherwise after the change.
#[must_use]
pub fn touched(before: &World, after: &World) -> BTreeSet<EniId> {
    let suspects = Suspects::between(before, after);
    if suspects.differences.is_empty() {
        return BTreeSet::new();
    }
    let mut touched = looked_at(before, after, &suspects);
    touched.extend(suspects.differences.treated.iter().cloned());
    touched
}

/// The live flows that a change ends. Those that have ended before it, and wait for their next packet to find that out, are not its own.
pub fn live<'a>(before: &World, after: &World, flows: impl IntoIterator<Item = &'a LiveFlow>) -> LiveChanged {
    let mut changed = LiveChanged::default();
    for flow in flows {
        changed.looked_at += 1;
        let Some(ending) = ending(before, after, flow) else { continue };
        if changed.ending.len() >= DIFF_FLOWS_MAX {
            changed.ending_untold += 1;
            continue;
        }
        let (old, new) = (before.eni(&flow.eni), after.eni(&flow.eni));
        let [was, is] = decided((before, old), (after, new), &flow.first);
        changed.ending.push(LiveEnding {
            instance: old.and_then(|eni| eni.instance.clone()),
            text: packet_words(&flow.first),
            before: was,
            after: is,
            ending,
            flow: flow.clone(),
        });
    }
    changed
}

/// How a change ends a live flow, if it does.
pub(crate) fn ending(before: &World, after: &World, flow: &LiveFlow) -> Option<Ending> {
    let old = before.eni(&flow.eni).filter(|_| flow.goes_on(before))?;
    let new = after.eni(&flow.eni).map(|eni| &**eni);
    ending_of((before, old), (after, new), &flow.first, flow.is_untracked)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sekimori_core::{
        binding::{Binding, Side},
        change::Change,
        live_flow::{BegunBy, FlowState},
        packet::{Packet, Transport},
        rule::Direction,
        world::{Eni, Treatment},
    };

    use super::*;
    use crate::fixture;

    const WORLD: &str = "
        sg web drop
        web: in allow tcp 22 from 192.0.2.0/24
        web: in allow udp 53 from 192.0.2.0/24
        eni a 10.0.0.1 in web
        eni b 10.0.0.2 in web";

    fn flow(eni: &str, transport: Transport) -> LiveFlow {
        let local = if eni == "eni-a" { [10, 0, 0, 1] } else { [10, 0, 0, 2] };
        LiveFlow {
            eni: eni.into(),
            first: Packet {
                direction: Direction::Ingress,
                local: local.into(),
                peer: [192, 0, 2, 7].into(),
                transport,
                is_forwarded: false,
            },
            icmp_id: 0,
            begun_by: BegunBy::NoRule,
            state: FlowState::Established,
            is_untracked: false,
            packets: [2, 1],
            bytes: [200, 100],
            idle_s: 1,
        }
    }

    fn ssh(eni: &str) -> LiveFlow {
        flow(eni, Transport::Tcp { source: 50_000, destination: 22 })
    }

    fn dns(eni: &str) -> LiveFlow {
        flow(eni, Transport::Udp { source: 50_000, destination: 53 })
    }

    fn with(world: &World, changes: impl IntoIterator<Item = Change>) -> World {
        let mut after = world.clone();
        changes.into_iter().for_each(|change| after.apply(&change));
        after
    }

    fn without(rule: &str) -> Change {
        Change::DeleteRule { group: "sg-web".into(), rule: rule.into() }
    }

    fn edited(world: &World, id: &str, edit: impl FnOnce(&mut Eni)) -> Change {
        let mut eni = Eni::clone(world.eni(&id.into()).unwrap());
        edit(&mut eni);
        Change::PutEni(Arc::new(eni))
    }

    fn ends(before: &World, after: &World, flow: &LiveFlow) -> Option<Ending> {
        ending(before, after, flow)
    }

    #[test]
    fn a_rule_ends_the_flows_that_only_it_allows_at_all_interfaces_that_have_it() {
        let before = fixture::world(WORLD);
        let after = with(&before, [without("r1")]);
        let flows = [ssh("eni-a"), dns("eni-a"), ssh("eni-b")];
        let changed = live(&before, &after, &flows);
        let told: Vec<_> =
            changed.ending.iter().map(|one| (one.flow.eni.as_str(), one.ending, one.text.as_str())).collect();
        assert_eq!(
            told,
            [
                ("eni-a", Ending::Ends, "tcp/22 from 192.0.2.7 port 50000 to 10.0.0.1"),
                ("eni-b", Ending::Ends, "tcp/22 from 192.0.2.7 port 50000 to 10.0.0.2"),
            ]
        );
        assert_eq!((changed.looked_at, changed.ending_untold), (3, 0));
        let is_allowed = |decision: &Option<Decision>| decision.as_ref().map(Decision::is_allowed);
        assert_eq!(
            (is_allowed(&changed.ending[0].before), is_allowed(&changed.ending[0].after)),
            (Some(true), Some(false))
        );
        let touched: Vec<String> = touched(&before, &after).iter().map(ToString::to_string).collect();
        assert_eq!(touched, ["eni-a", "eni-b"]);
        assert!(super::touched(&before, &before).is_empty());
        // What has ended already is not ended by what comes after.
        assert_eq!(live(&after, &with(&after, [without("r2")]), &flows[..1]).ending, []);
    }

    #[test]
    fn the_treatment_of_the_interface_says_how_and_whether_it_ends() {
        let plain = fixture::world(WORLD);
        let treated = |treatment| with(&plain, [edited(&plain, "eni-a", |eni| eni.treatment = Some(treatment))]);
        let untracked = |flow: LiveFlow| LiveFlow { is_untracked: true, ..flow };
        for (treatment, flow, expected) in [
            (Treatment::Reset, ssh("eni-a"), Some(Ending::Reset)),
            (Treatment::Reset, dns("eni-a"), Some(Ending::Ends)),
            (Treatment::Reevaluate, dns("eni-a"), Some(Ending::Ends)),
            (Treatment::Keep, ssh("eni-a"), None),
            (Treatment::Keep, untracked(ssh("eni-a")), Some(Ending::Untracked)),
        ] {
            let before = treated(treatment);
            let after = with(&before, [without("r1"), without("r2")]);
            assert_eq!(ends(&before, &after, &flow), expected, "{treatment:?} {flow:?}");
            // It is kept though its rule is gone, until its interface is.
            let gone = with(&after, [Change::DeleteEni("eni-a".into())]);
            let still = (treatment == Treatment::Keep && !flow.is_untracked).then_some(Ending::Gone);
            assert_eq!(ends(&after, &gone, &flow), still, "{treatment:?} {flow:?}");
        }
    }

    #[test]
    fn an_interface_that_leaves_its_host_takes_its_flows_with_it() {
        let before = fixture::world(WORLD);
        let bound = |host: &str| {
            edited(&before, "eni-a", |eni| {
                let (interface, side, holder) = ("tap0".to_owned(), Side::Guest, String::new());
                eni.binding = Some(Binding { host: host.into(), netns: None, interface, side, holder });
            })
        };
        let (here, there) = (with(&before, [bound("one")]), with(&before, [bound("two")]));
        assert_eq!(ends(&here, &there, &ssh("eni-a")), Some(Ending::Gone));
        assert_eq!(ends(&here, &here, &ssh("eni-a")), None);
    }

    #[test]
    fn what_is_told_is_bounded_and_the_rest_is_counted() {
        let before = fixture::world(WORLD);
        let after = with(&before, [without("r1")]);
        let many = vec![ssh("eni-a"); DIFF_FLOWS_MAX + 7];
        let changed = live(&before, &after, &many);
        assert_eq!((changed.ending.len(), changed.ending_untold, changed.looked_at), (DIFF_FLOWS_MAX, 7, many.len()));
    }
}
