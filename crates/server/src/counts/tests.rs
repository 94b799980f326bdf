//! Whoever is killed, and whenever: nothing that an agent still has is lost, and nothing is counted twice.

use super::*;

const HOST: &str = "one";

fn rule(name: &str) -> Counter {
    Counter::Rule { group: "sg".into(), rule: Some(name.into()) }
}

fn tally(name: &str, life: u64, packets: u64) -> Tally {
    Tally { counter: rule(name), life, is_over: false, count: Count { packets, bytes: 10 * packets } }
}

fn over(name: &str, life: u64, packets: u64) -> Tally {
    Tally { is_over: true, ..tally(name, life, packets) }
}

/// A connection of an agent.
struct Agent<'a> {
    counts: &'a Counts,
    number: u64,
}

impl<'a> Agent<'a> {
    fn connect(counts: &'a Counts) -> Self {
        Self { counts, number: 0 }
    }

    fn tell(&mut self, forgotten: u64, tallies: Vec<Tally>) -> Noted {
        self.number += 1;
        let report =
            TallyReport { number: self.number, forgotten, is_whole: self.number == 1, tallies, gauges: None };
        self.counts.note(&HOST.into(), &report, &World::default())
    }

    fn written(&self) -> Option<u64> {
        self.counts.save(Some(&HOST.into())).unwrap()
    }
}

fn packets(counts: &Counts, name: &str) -> u64 {
    let found = counts.of(&HOST.into());
    let is_meant = |line: &&RuleCount| line.rule.as_ref().is_some_and(|rule| rule.as_str() == name);
    found.rules.iter().find(is_meant).map_or(0, |line| line.count.packets)
}

#[test]
fn totals_that_are_told_again_are_counted_once() {
    let counts = Counts::default();
    let mut agent = Agent::connect(&counts);
    let noted = agent.tell(0, vec![tally("r", 1, 5)]);
    assert_eq!((noted.rules.len(), noted.is_awaited), (1, false));
    assert_eq!(agent.tell(0, vec![tally("r", 1, 5)]).rules, []);
    agent.tell(0, vec![tally("r", 1, 9)]);
    let mut again = Agent::connect(&counts);
    again.tell(0, vec![tally("r", 1, 9)]);
    assert_eq!(packets(&counts, "r"), 9);
    assert_eq!(counts.total().rules[0].count, Count { packets: 9, bytes: 90 });
}

#[test]
fn a_boot_begins_new_lives_and_keeps_what_was_counted() {
    let dir = tempfile::tempdir().unwrap();
    {
        let counts = Counts::open(dir.path()).unwrap();
        Agent::connect(&counts).tell(0, vec![tally("r", 1, 5), tally("gone", 2, 4)]);
        counts.save(None).unwrap();
    }
    let counts = Counts::open(dir.path()).unwrap();
    Agent::connect(&counts).tell(0, vec![tally("r", 7, 2)]);
    assert_eq!((packets(&counts, "r"), packets(&counts, "gone")), (7, 4));
    counts.save(None).unwrap();
    drop(counts);
    let counts = Counts::open(dir.path()).unwrap();
    assert_eq!((packets(&counts, "r"), packets(&counts, "gone")), (7, 4));
}

/// The server dies before, or after, it has written a last total down, and before the agent hears of it.
#[test]
fn a_server_that_is_killed_around_a_last_total_counts_it_once() {
    for is_saved in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        {
            let counts = Counts::open(dir.path()).unwrap();
            let mut agent = Agent::connect(&counts);
            agent.tell(0, vec![tally("r", 1, 5)]);
            assert!(agent.tell(0, vec![over("r", 1, 6)]).is_awaited);
            if is_saved {
                assert_eq!(agent.written(), Some(2));
            }
        }
        let counts = Counts::open(dir.path()).unwrap();
        let mut agent = Agent::connect(&counts);
        agent.tell(0, vec![over("r", 1, 6)]);
        assert_eq!(packets(&counts, "r"), 6, "saved: {is_saved}");
        assert_eq!(agent.written(), Some(1));
        // The rule comes back under a number of its own.
        agent.tell(1, vec![tally("r", 2, 3)]);
        assert_eq!(packets(&counts, "r"), 9, "saved: {is_saved}");
    }
}

/// The agent dies before, or after, it has forgotten what was over, and before it says so.
#[test]
fn an_agent_that_is_killed_around_a_confirmation_counts_once() {
    for has_forgotten in [false, true] {
        let counts = Counts::default();
        let mut agent = Agent::connect(&counts);
        agent.tell(0, vec![over("r", 1, 6)]);
        assert_eq!(agent.written(), Some(1));
        let mut next = Agent::connect(&counts);
        let told = if has_forgotten { vec![tally("r", 2, 1)] } else { vec![over("r", 1, 6), tally("r", 2, 1)] };
        next.tell(0, told.clone());
        assert_eq!(packets(&counts, "r"), 7);
        next.tell(0, vec![tally("r", 2, 4)]);
        assert_eq!(packets(&counts, "r"), 10);
        Agent::connect(&counts).tell(0, vec![tally("r", 2, 4)]);
        assert_eq!(packets(&counts, "r"), 10);
    }
}

#[test]
fn a_number_that_is_used_again_does_not_carry_over() {
    let counts = Counts::default();
    let mut agent = Agent::connect(&counts);
    agent.tell(0, vec![tally("old", 1, 6)]);
    agent.tell(0, vec![over("old", 1, 8)]);
    assert_eq!(agent.written(), Some(2));
    agent.tell(2, vec![tally("new", 2, 1)]);
    assert_eq!((packets(&counts, "old"), packets(&counts, "new")), (8, 1));
    let cell = counts.hosts().get(&HostId::from(HOST)).unwrap().cells.get(&rule("old")).cloned().unwrap();
    assert_eq!(cell.lives, BTreeMap::new(), "it cannot be told again");
}

#[test]
fn parts_of_a_report_are_whole_together() {
    let counts = Counts::default();
    Agent::connect(&counts).tell(0, vec![tally("a", 1, 1), tally("b", 2, 1), tally("c", 3, 1)]);
    let part = |number, is_whole, tallies| TallyReport { number, forgotten: 0, is_whole, tallies, gauges: None };
    counts.note(&HOST.into(), &part(1, false, vec![tally("a", 1, 2)]), &World::default());
    counts.note(&HOST.into(), &part(2, true, vec![tally("b", 2, 2)]), &World::default());
    let hosts = counts.hosts();
    let lives = |name| hosts.get(&HostId::from(HOST)).unwrap().cells.get(&rule(name)).unwrap().lives.len();
    assert_eq!((lives("a"), lives("b"), lives("c")), (1, 1, 0));
}

#[test]
fn counts_are_bounded_and_hosts_are_summed() {
    let (counts, world) = (Counts::default(), World::default());
    for host in 0..3 * HOSTS_MAX {
        let report = TallyReport {
            number: 1,
            is_whole: true,
            tallies: vec![tally("r", host as u64, 1)],
            ..TallyReport::default()
        };
        counts.note(&host.to_string().into(), &report, &world);
    }
    assert_eq!(counts.hosts_counted().len(), 2 * HOSTS_MAX);
    assert_eq!(counts.total().rules[0].count.packets, 2 * HOSTS_MAX as u64);
    let many = (0..=HOST_COUNTERS_MAX as u64).map(|life| tally(&life.to_string(), 100 + life, 1)).collect();
    counts.note(&"0".into(), &TallyReport { number: 2, tallies: many, ..TallyReport::default() }, &world);
    assert_eq!(counts.of(&"0".into()).rules, []);
}

#[test]
fn a_damaged_file_is_put_aside() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("counts.redb"), [7; 9_000]).unwrap();
    let counts = Counts::open(dir.path()).unwrap();
    assert!(counts.hosts_counted().is_empty() && dir.path().join("counts.redb.damaged").exists());
}
