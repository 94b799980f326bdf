//! Live flows of real connections: the agent tells them as they are, `diff` says which of them a change ends, and those end when it is made.

#![expect(clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use sekimori_analysis::{
    diff::{self, Ending},
    lockout::cut_flows,
};
use sekimori_core::{
    address::Family,
    change::Change,
    ids::RuleId,
    limits::LIVE_FLOWS_TOLD_MAX,
    live_flow::{BegunBy, FlowMatch, FlowState, FlowsWanted, LiveFlow},
    rule::Direction,
    world::{Treatment, World},
};
use sekimori_tests::lab::{Lab, echo::Stream, pause};

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// How long a stream may stand still on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(5);

const WORLD: &str = "
    group client basic isolated
    group server basic isolated
      in allow tcp/22 from any as ssh
      in allow tcp/443 from group:client as https
      in allow udp/53 from any as dns
    instance a client
    instance b server";

fn read(lab: &mut Lab, any: Vec<FlowMatch>, most: u32) -> (Vec<LiveFlow>, u64) {
    let source = lab.enforcer().live_source().expect("the tables can be opened");
    let answer = source.answer(7, &FlowsWanted { any, most });
    assert_eq!((answer.request, &answer.failure), (7, &None));
    assert_eq!(answer.revision, Some(lab.world().revision()));
    (answer.flows, answer.untold)
}

/// The flows of an instance, but for what its kernel sends on its own.
fn of(lab: &mut Lab, instance: &str) -> Vec<LiveFlow> {
    let eni = lab.eni(instance).id.clone();
    let (flows, untold) = read(lab, vec![FlowMatch::of_eni(&eni)], LIVE_FLOWS_TOLD_MAX);
    assert!(untold == 0 && flows.iter().all(|flow| flow.eni == eni));
    flows.into_iter().filter(|flow| matches!(flow.first.transport.protocol(), 6 | 17)).collect()
}

fn to_port(flows: &[LiveFlow], port: u16) -> Vec<&LiveFlow> {
    flows.iter().filter(|flow| flow.destination().1 == Some(port)).collect()
}

/// The rules that the server's group has under a label.
fn rules(lab: &Lab, label: &str) -> Vec<RuleId> {
    let deleted = |change: Change| if let Change::DeleteRule { rule, .. } = change { Some(rule) } else { None };
    lab.without_rule("server", label).into_iter().filter_map(deleted).collect()
}

/// The world without these rules, and what makes it so.
fn without(lab: &Lab, label: &str) -> (World, Vec<Change>) {
    let changes = lab.without_rule("server", label);
    let mut after = lab.world().clone();
    changes.iter().for_each(|change| after.apply(change));
    (after, changes)
}

#[test]
fn the_flow_that_a_change_is_said_to_end_ends_and_the_others_go_on() {
    for family in FAMILIES {
        let Some(mut lab) = Lab::of(WORLD) else { return };
        let mut ssh = lab.connect("a", "b", 22, family);
        let mut https = lab.connect("a", "b", 443, family);
        let dns = lab.stream("a", "b", family, Stream::Udp(53));
        for wire in [&mut ssh, &mut https] {
            assert_eq!(lab.talk(wire).to_string(), "passes [a: known-flow] [b: known-flow]");
        }
        let (a, b) = (lab.host("a").address(family), lab.host("b").address(family));
        let there = of(&mut lab, "b");
        assert_eq!(there.len(), 3, "{there:#?}");
        for (port, label, state) in [
            (22, "ssh", FlowState::Established),
            (443, "https", FlowState::Established),
            (53, "dns", FlowState::Answered),
        ] {
            let [flow] = to_port(&there, port)[..] else { panic!("one flow to {port}: {there:#?}") };
            assert_eq!((flow.source().0, flow.destination().0, flow.first.direction), (a, b, Direction::Ingress));
            assert_eq!((flow.state, flow.is_untracked, flow.icmp_id), (state, false, 0));
            let BegunBy::Rule { rule, .. } = &flow.begun_by else { panic!("a rule let it begin: {flow:?}") };
            assert!(rules(&lab, label).contains(rule), "{label}: {rule}");
            assert!(
                flow.packets[0] >= 1 && flow.packets[1] >= 1 && flow.bytes[0] >= 40 * flow.packets[0],
                "{flow:?}"
            );
            assert!(flow.idle_s <= 5, "{flow:?}");
        }
        // The other end holds the same flows, begun by its default.
        let here = of(&mut lab, "a");
        assert_eq!(here.len(), 3);
        assert!(
            here.iter().all(|flow| flow.first.direction == Direction::Egress && flow.begun_by == BegunBy::NoRule)
        );
        let (before, (after, changes)) = (lab.world().clone(), without(&lab, "ssh"));
        let all: Vec<LiveFlow> = here.iter().chain(&there).cloned().collect();
        let told = diff::live(&before, &after, &all);
        assert_eq!(told.looked_at, 6);
        let [ending] = &told.ending[..] else { panic!("one flow ends: {told:#?}") };
        assert_eq!((&ending.flow.first, ending.ending), (&to_port(&there, 22)[0].first, Ending::Ends));
        assert_eq!(diff::touched(&before, &after), BTreeSet::from([lab.eni("b").id.clone()]));
        let [cut] = &cut_flows(&before, &after, &all)[..] else { panic!("one flow is cut") };
        assert_eq!(cut.flow.first, ending.flow.first);
        lab.change(changes);
        let ended = of(&mut lab, "b");
        let waiting: Vec<_> = ended.iter().filter(|flow| !flow.goes_on(lab.world())).collect();
        assert!(
            waiting.len() == 1 && waiting[0].destination().1 == Some(22),
            "it waits for its next packet: {ended:#?}"
        );
        assert_eq!(waiting[0].begun_by, BegunBy::Gone);
        assert!(lab.talk(&mut ssh).to_string().starts_with("dropped"), "it has ended");
        assert_eq!(lab.talk(&mut https).to_string(), "passes [a: known-flow] [b: known-flow]");
        assert_eq!(to_port(&of(&mut lab, "b"), 22), Vec::<&LiveFlow>::new(), "and is told no more");
        let answered = dns.answered();
        let began = Instant::now();
        while dns.answered() == answered && began.elapsed() < PATIENCE {
            pause(Duration::from_millis(5));
        }
        assert!(dns.answered() > answered);
        assert!(dns.stop().lost.is_empty(), "the flow beside it has not noticed");
    }
}

#[test]
fn a_kept_flow_goes_on_and_its_rule_is_not_taken_for_another() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    lab.treat("b", Treatment::Keep);
    let mut ssh = lab.connect("a", "b", 22, Family::V4);
    let there = of(&mut lab, "b");
    let (before, (after, changes)) = (lab.world().clone(), without(&lab, "ssh"));
    assert_eq!(diff::live(&before, &after, &there).ending, []);
    let [cut] = &cut_flows(&before, &after, &there)[..] else { panic!("nobody could begin it again") };
    assert_eq!(cut.ending, None);
    lab.change(changes);
    assert_eq!(lab.talk(&mut ssh).to_string(), "passes [a: known-flow] [b: known-flow]");
    let kept = of(&mut lab, "b");
    let [flow] = to_port(&kept, 22)[..] else { panic!("it goes on: {kept:#?}") };
    assert!(flow.goes_on(lab.world()));
    assert_eq!((&flow.begun_by, flow.state), (&BegunBy::Gone, FlowState::Established));
}

#[test]
fn only_what_is_asked_for_is_told_and_no_more_than_that() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    let wires: Vec<_> = (0..3).map(|_| lab.connect("a", "b", 22, Family::V4)).collect();
    let _https = lab.connect("a", "b", 443, Family::V6);
    let b = lab.eni("b").id.clone();
    let ssh = FlowMatch { port: Some(22), protocol: Some(6), ..FlowMatch::of_eni(&b) };
    let (all, untold) = read(&mut lab, vec![ssh.clone()], 100);
    assert_eq!((all.len(), untold), (3, 0));
    let (some, untold) = read(&mut lab, vec![ssh.clone()], 2);
    assert_eq!((some.len(), untold), (2, 1));
    let a = lab.host("a").address(Family::V4);
    let from_a = FlowMatch { peer: a.to_string().parse().ok(), ..FlowMatch::default() };
    let (flows, _) = read(&mut lab, vec![from_a], 100);
    assert!(flows.len() == 3 && flows.iter().all(|flow| flow.eni == b && flow.first.peer == a), "{flows:#?}");
    for wanted in [
        FlowMatch { protocol: Some(17), ..ssh.clone() },
        FlowMatch { direction: Some(Direction::Egress), ..ssh.clone() },
        FlowMatch { peer: "192.0.2.0/24".parse().ok(), ..ssh.clone() },
        FlowMatch::of_eni(&"eni-of-another-host".into()),
    ] {
        assert_eq!(read(&mut lab, vec![wanted.clone()], 100), (Vec::new(), 0), "{wanted:?}");
    }
    assert_eq!(read(&mut lab, Vec::new(), 100).0, []);
    // A connection that both sides have closed has ended, though its entry is there for a while.
    drop(wires);
    let until = Instant::now() + Duration::from_secs(5);
    while !read(&mut lab, vec![ssh.clone()], 100).0.is_empty() {
        assert!(Instant::now() < until, "closed connections have ended");
        pause(Duration::from_millis(10));
    }
}
