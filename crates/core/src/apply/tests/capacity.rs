//! What is counted host by host: policies that fit one host fit each, and what leaves a host gives its room back.

use super::*;
use crate::{
    binding::{Binding, Side},
    capacity::Ledger,
    command::BindingCommand,
    ids::EniId,
    limits::HOST_POLICY_WORDS_PROMISED,
};

/// Rules of a group whose policy takes a fifth of a host, or somewhat more.
const LARGE: u16 = 7_000;

/// Port ranges inside each other: every class holds half of the rules, the worst that intervals can do.
fn nested(rules: u16) -> impl Iterator<Item = RuleSpec> {
    (0..rules).map(|step| RuleSpec {
        service: Service::Ports(PortRange::new(step, u16::MAX - step).expect("a range")),
        ..port(1, from("10.0.0.0/8"))
    })
}

impl Estate {
    fn large_group(&mut self) -> GroupId {
        let group = self.group(Flavor::EcsBasic);
        self.run(self.authorize(&group, nested(LARGE)));
        group
    }

    /// An interface on a host, of no instance.
    fn bound(&mut self, group: &GroupId, host: &str) -> Result<EniId, String> {
        let spec = EniSpec::new(self.subnet.clone(), vec![group.clone()]);
        let created = self.run(Command::CreateEni { account: self.account.clone(), spec });
        let Outcome::Eni(eni) = created else { panic!() };
        self.bind(&eni, host).map(|()| eni)
    }

    fn bind(&mut self, eni: &EniId, host: &str) -> Result<(), String> {
        let (interface, holder) = (eni.as_str().chars().rev().take(12).collect(), String::from("test"));
        let binding = Binding { host: host.into(), netns: None, interface, side: Side::Guest, holder };
        let bind = BindingCommand::Bind { eni: eni.clone(), binding, mac: None, is_moved: true };
        self.try_run(Command::Binding(bind)).map(drop)
    }

    fn ledger(&self) -> &Ledger {
        self.state.ledger()
    }

    fn words(&self, host: &str) -> u64 {
        self.ledger().of(&host.into()).words
    }
}

const REFUSED: &str = "words of all policies in the data plane of one host";

#[test]
fn every_host_has_room_of_its_own() {
    let mut estate = Estate::new(Dialect::Ecs);
    estate.context.limits = LimitMode::Host;
    let groups: Vec<GroupId> = (0..6).map(|_| estate.large_group()).collect();
    assert_eq!(estate.ledger().fullest(), Default::default(), "what nobody carries costs nothing");
    let mut enis = Vec::new();
    let mut over = None;
    for group in &groups {
        match estate.bound(group, "one") {
            Ok(eni) => enis.push(eni),
            Err(message) => {
                over = Some((group.clone(), message));
                break;
            }
        }
    }
    let (group, message) = over.expect("six do not fit");
    assert!(message.contains(REFUSED) && message.ends_with("on host `one`"), "{message}");
    let full = estate.words("one");
    assert!(enis.len() >= 4 && full > u64::from(HOST_POLICY_WORDS_PROMISED) / 2, "{full}");

    // Another host has as much room, and its interfaces take none of this one's.
    for group in groups.iter().take(enis.len()) {
        estate.bound(group, "two").expect("the other host has room");
    }
    assert_eq!((estate.words("one"), estate.words("two")), (full, full));
    // A second interface with a policy that is there costs no words.
    estate.bound(&groups[0], "one").expect("the policy is there");
    assert_eq!(estate.words("one"), full);

    // What was refused is on no host, and fits a third, but is not moved to where it does not.
    let left = estate.state.world().members(&group).next().map(|eni| eni.id.clone()).expect("it was made");
    estate.bind(&left, "three").expect("the third host is empty");
    let message = estate.bind(&left, "one").expect_err("refused");
    assert!(message.ends_with("on host `one`"), "{message}");
    assert!(estate.words("three") > 0);

    // What moves away gives its room back, and takes it where it goes.
    estate.bind(&enis[3], "three").expect("there is room");
    estate.bind(&left, "one").expect("there is room now");
    assert_eq!(estate.words("one"), full);
    let unbind = BindingCommand::Unbind { eni: left.clone(), holder: None };
    estate.run(Command::Binding(unbind));
    assert!(estate.words("one") < full);
    let (account, eni) = (estate.account.clone(), enis[3].clone());
    estate.bind(&eni, "one").expect("there is room again");
    assert_eq!(estate.words("three"), 0);
    let unbind = BindingCommand::Unbind { eni: eni.clone(), holder: None };
    estate.run(Command::Binding(unbind));
    estate.run(Command::DeleteEni { account, eni });
    assert!(estate.words("one") < full);
}

#[test]
fn a_set_that_grows_grows_on_every_host_that_has_it() {
    let mut estate = Estate::new(Dialect::Ecs);
    estate.context.limits = LimitMode::Host;
    let small = estate.a.clone();
    for host in ["one", "two"] {
        estate.bound(&small, host).expect("there is room");
    }
    let before = estate.words("one");
    for _ in 0..4 {
        let large = estate.large_group();
        estate.bound(&large, "two").expect("there is room");
    }
    estate.run(estate.authorize(&small, nested(100)));
    assert!(estate.words("one") > before);
    assert_eq!(estate.ledger().of(&"one".into()).rules, 100);
    assert_eq!(estate.ledger().of(&"two".into()).rules, 100 + 4 * u64::from(LARGE));
    // The first host would have room for it.
    let message = estate.try_run(estate.authorize(&small, nested(LARGE + 1_500))).expect_err("refused");
    assert!(message.contains(REFUSED) && message.ends_with("on host `two`"), "{message}");
}
