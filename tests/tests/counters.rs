//! What was counted survives: every packet that a rule or an interface has counted is in the server's books once, under its own
//! name, whoever was killed in between, and whatever became of the rule, its number, the maps or the host.
//!
//! The laboratory is the agent's side, with real packets; the books are the server's own code on a real file. An agent that is
//! killed leaves the kernel as it is and nothing else; a server that is killed leaves the file as it was last written.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

use std::time::{Duration, Instant};

use sekimori_agent::run::counters::CounterTeller;
use sekimori_compile::abi::Reason;
use sekimori_core::{
    address::Family,
    change::Change,
    feed::TallyReport,
    ids::{EniId, GroupId, HostId, RuleId},
    rule::Direction,
    world::World,
};
use sekimori_server::counts::Counts;
use sekimori_tests::lab::{
    HOST, Lab,
    frames::{Frame, frame},
    pause,
};

const WORLD: &str = "
    group client basic isolated
      out deny udp/6667 to 0.0.0.0/0 as never
    group more basic isolated
      out deny udp/6668 to 0.0.0.0/0 as neither
    group server basic isolated
    instance a client
    instance b server";

/// How long counted packets may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// An agent and a server that talk when the test says so.
struct Station {
    lab: Lab,
    teller: CounterTeller,
    counts: Option<Counts>,
    books: tempfile::TempDir,
}

impl Station {
    fn new() -> Option<Self> {
        let lab = Lab::of(WORLD)?;
        let mut station =
            Self { lab, teller: CounterTeller::default(), counts: None, books: tempfile::tempdir().unwrap() };
        station.start_server();
        Some(station)
    }

    /// A second of the agent up to what it tells.
    fn count(&mut self) -> Vec<TallyReport> {
        self.lab.keep_house();
        let read = self.lab.enforcer().reader().unwrap().read().unwrap();
        let reports = self.teller.tell(read);
        let is_forgotten = self.lab.enforcer().forget_counted(&self.teller.forget());
        self.teller.forgot(is_forgotten);
        reports
    }

    /// The server takes reports in; returns what it says when it has written down what is over.
    fn hear(&mut self, reports: &[TallyReport]) -> Option<u64> {
        let (counts, host) = (self.counts.as_ref().unwrap(), HostId::from(HOST));
        let mut written = None;
        for report in reports {
            if counts.note(&host, report, &World::default()).is_awaited {
                written = counts.save(Some(&host)).unwrap();
            }
        }
        written
    }

    /// A second in which nobody is killed.
    fn second(&mut self) {
        let reports = self.count();
        if let Some(report) = self.hear(&reports) {
            self.teller.written(report);
        }
    }

    fn seconds(&mut self, many: usize) {
        (0..many).for_each(|_| self.second());
    }

    fn kill_agent(&mut self) {
        self.lab.close();
        self.teller = CounterTeller::default();
        self.lab.open();
    }

    fn kill_server(&mut self) {
        // The file is closed without a word more.
        self.counts = None;
        self.start_server();
    }

    fn start_server(&mut self) {
        self.counts = Some(Counts::open(self.books.path()).unwrap());
        self.teller = CounterTeller::default();
    }

    /// Sends packets that a rule of `a` denies, and waits until they are counted.
    fn send(&mut self, group: &str, label: &str, port: u16, packets: u64) {
        let key = self.rule(group, label);
        let before = self.in_kernel(&key);
        let (a, b) = (self.lab.host("a"), self.lab.host("b"));
        let ends = ((a.address(Family::V4), 30_000).into(), (b.address(Family::V4), port).into());
        let (denied, link) = (frame(Frame::Datagram(port), a.mac, ends), a.link());
        (0..packets).for_each(|_| link.try_send(&denied));
        let until = Instant::now() + PATIENCE;
        while self.in_kernel(&key) < before + packets {
            assert!(Instant::now() < until, "{} of {packets} packets were counted", self.in_kernel(&key) - before);
            pause(Duration::from_millis(1));
        }
    }

    fn in_kernel(&mut self, key: &(GroupId, RuleId)) -> u64 {
        let key = (key.0.clone(), Some(key.1.clone()));
        let enforcer = self.lab.enforcer();
        let slot = enforcer.tables().rule_slot(&key).unwrap();
        enforcer.plane().rule_count(slot).unwrap().packets
    }

    fn slot(&mut self, key: &(GroupId, RuleId)) -> Option<u32> {
        self.lab.enforcer().tables().rule_slot(&(key.0.clone(), Some(key.1.clone())))
    }

    /// The only rule of a label.
    fn rule(&self, group: &str, label: &str) -> (GroupId, RuleId) {
        match self.lab.without_rule(group, label).as_slice() {
            [Change::DeleteRule { group, rule }] => (group.clone(), rule.clone()),
            others => panic!("{others:?}"),
        }
    }

    /// Packets in the books.
    fn booked(&self, key: &(GroupId, RuleId)) -> u64 {
        let total = self.counts.as_ref().unwrap().total();
        let line = total.rules.iter().find(|line| line.group == key.0 && line.rule.as_ref() == Some(&key.1));
        line.map_or(0, |line| line.count.packets)
    }

    fn dropped_at(&self, eni: &EniId) -> u64 {
        let counts = self.counts.as_ref().unwrap();
        counts.packets_of(&HostId::from(HOST), eni, Direction::Egress, Reason::RuleDeny.name())
    }
}

#[test]
fn a_rule_that_lives_less_than_a_second_is_counted() {
    let Some(mut station) = Station::new() else { return };
    station.seconds(2);
    station.lab.allow("client", "out deny udp/7001 to 0.0.0.0/0 as short");
    let short = station.rule("client", "short");
    station.send("client", "short", 7_001, 5);
    station.lab.revoke("client", "short");
    station.seconds(4);
    assert_eq!(station.booked(&short), 5);
}

#[test]
fn a_number_that_another_rule_gets_brings_it_nothing() {
    let Some(mut station) = Station::new() else { return };
    let mut before = None;
    for (round, packets) in [(0, 4), (1, 6), (2, 3)] {
        let label = format!("round{round}");
        station.lab.allow("client", &format!("out deny udp/7001 to 0.0.0.0/0 as {label}"));
        let rule = station.rule("client", &label);
        let slot = station.slot(&rule);
        station.send("client", &label, 7_001, packets);
        station.second();
        station.send("client", &label, 7_001, 1);
        station.lab.revoke("client", &label);
        station.seconds(4);
        assert_eq!(station.booked(&rule), packets + 1, "{label}");
        assert!(before.is_none() || before == slot, "the number was to be used again: {before:?} {slot:?}");
        before = slot;
    }
}

/// Each step is cut off by a kill of the agent, of the server, of both, or of nobody.
#[test]
fn whoever_is_killed_between_report_and_confirmation_nothing_is_lost_or_doubled() {
    let Some(mut station) = Station::new() else { return };
    let (mut sent, mut lives) = (0, Vec::new());
    let never = station.rule("client", "never");
    for round in 0..24_usize {
        let label = format!("round{round}");
        station.lab.allow("client", &format!("out deny udp/7001 to 0.0.0.0/0 as {label}"));
        lives.push(station.rule("client", &label));
        station.send("client", &label, 7_001, 2);
        station.send("client", "never", 6_667, 3);
        sent += 3;
        if round % 2 == 0 {
            station.second();
        }
        station.lab.revoke("client", &label);
        station.seconds(round % 3);
        let (kills, step) = (round % 4, round / 4 % 3);
        let kill = |station: &mut Station| {
            if kills & 1 != 0 {
                station.kill_agent();
            }
            if kills & 2 != 0 {
                station.kill_server();
            }
        };
        let reports = station.count();
        if step == 0 {
            kill(&mut station);
        }
        // Whoever died takes what was on its way along.
        let written = if step == 0 && kills != 0 { None } else { station.hear(&reports) };
        if step == 1 {
            kill(&mut station);
        }
        if let Some(report) = written.filter(|_| step != 1 || kills == 0) {
            station.teller.written(report);
        }
        if step == 2 {
            kill(&mut station);
        }
    }
    station.seconds(5);
    assert_eq!(station.booked(&never), sent);
    let booked: Vec<u64> = lives.iter().map(|rule| station.booked(rule)).collect();
    assert_eq!(booked, vec![2; lives.len()]);
    let eni = station.lab.eni("a").id.clone();
    assert_eq!(station.dropped_at(&eni), sent + 2 * lives.len() as u64);
}

#[test]
fn a_reboot_begins_anew_in_the_kernel_and_goes_on_in_the_books() {
    let Some(mut station) = Station::new() else { return };
    let never = station.rule("client", "never");
    let eni = station.lab.eni("a").id.clone();
    station.send("client", "never", 6_667, 7);
    station.seconds(2);
    // The bpffs, with every map, goes with a reboot.
    assert!(station.lab.down().left.is_empty());
    station.counts.as_ref().unwrap().save(None).unwrap();
    station.kill_server();
    station.teller = CounterTeller::default();
    station.lab.open();
    assert_eq!(station.in_kernel(&never), 0);
    station.send("client", "never", 6_667, 2);
    station.seconds(2);
    assert_eq!((station.booked(&never), station.dropped_at(&eni)), (9, 9));
}

#[test]
fn a_group_that_is_not_in_use_when_the_agent_starts_keeps_its_counts() {
    let Some(mut station) = Station::new() else { return };
    station.lab.join("a", "more");
    let neither = station.rule("more", "neither");
    station.send("more", "neither", 6_668, 4);
    station.lab.close();
    station.lab.leave("a", "more");
    station.teller = CounterTeller::default();
    station.lab.open();
    station.seconds(4);
    assert_eq!((station.booked(&neither), station.slot(&neither)), (4, None));
    station.lab.join("a", "more");
    station.send("more", "neither", 6_668, 3);
    station.seconds(2);
    assert_eq!(station.booked(&neither), 7);
}

#[test]
fn a_group_that_leaves_the_host_gives_its_numbers_back_and_keeps_its_counts() {
    let Some(mut station) = Station::new() else { return };
    station.lab.join("a", "more");
    let neither = station.rule("more", "neither");
    let first = station.slot(&neither);
    station.send("more", "neither", 6_668, 4);
    station.lab.leave("a", "more");
    assert_eq!(station.slot(&neither), None);
    station.seconds(4);
    assert_eq!(station.booked(&neither), 4);
    // Its number is free for another's rule.
    let labels: Vec<String> = (0..4).map(|number| format!("extra{number}")).collect();
    for (number, label) in labels.iter().enumerate() {
        station.lab.allow("client", &format!("out deny udp/{} to 0.0.0.0/0 as {label}", 7_001 + number));
    }
    let rules: Vec<_> = labels.iter().map(|label| station.rule("client", label)).collect();
    let taken: Vec<_> = rules.iter().map(|rule| station.slot(rule)).collect();
    assert!(first.is_some() && taken.contains(&first), "{first:?} {taken:?}");
    station.lab.join("a", "more");
    station.send("more", "neither", 6_668, 3);
    station.seconds(2);
    assert_eq!(station.booked(&neither), 7);
}

#[test]
fn the_number_of_an_interface_that_is_gone_brings_the_next_one_nothing() {
    let Some(mut station) = Station::new() else { return };
    let slot = |station: &mut Station, name: &str| {
        let eni = station.lab.eni(name).id.clone();
        (station.lab.enforcer().tables().eni_slot(&eni).unwrap(), eni)
    };
    station.lab.remove_instance("a");
    station.lab.add_instance("main", "a", &["client"]);
    let (first, old) = slot(&mut station, "a");
    station.send("client", "never", 6_667, 5);
    station.lab.remove_instance("a");
    station.seconds(4);
    assert_eq!(station.dropped_at(&old), 5);
    // The first interface's number and this one's are free again; the least is taken first.
    station.lab.add_instance("main", "c", &["server"]);
    station.lab.add_instance("main", "a", &["client"]);
    let (second, new) = slot(&mut station, "a");
    assert_eq!(second, first);
    station.send("client", "never", 6_667, 2);
    station.seconds(2);
    assert_eq!((station.dropped_at(&old), station.dropped_at(&new)), (5, 2));
}
