//! Tells the server what was counted: what has changed, and again after each new connection everything.
//!
//! Where there are many, to find what has changed takes a while: that is done beside the changes, as the reading is.
//!
//! What is over is told until the server has said that it is written down; then its number may be given out again.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sekimori_core::feed::{Count, Counter, Gauges, TALLIES_PER_MESSAGE_MAX, Tally, TallyReport};

use crate::bpf::{counters::Over, read::Counts};

/// The teller of a connection, which is away while it counts.
#[derive(Debug, Default)]
pub struct Counters {
    here: Option<CounterTeller>,
    /// What the server has said to it, up to which report.
    written: u64,
}

impl Counters {
    /// A new connection: everything is told again. A teller that is away is of an earlier one.
    pub fn begin(&mut self) {
        *self = Self { here: Some(CounterTeller::default()), written: 0 };
    }

    /// The server has written down what is over, up to a report.
    pub fn written(&mut self, report: u64) {
        self.written = self.written.max(report);
    }

    /// The teller, to count with. One that was lost with its work has begun anew, and nothing is written down of what it will tell.
    pub fn take(&mut self) -> CounterTeller {
        if self.here.is_none() {
            self.begin();
        }
        let mut teller = self.here.take().unwrap_or_default();
        teller.written(self.written);
        teller
    }

    /// Takes it back; false if it is of an earlier connection, which nothing that it has to tell is for.
    pub fn give_back(&mut self, teller: CounterTeller) -> bool {
        let is_missed = self.here.is_none();
        self.here.get_or_insert(teller);
        is_missed
    }
}

/// What the server knows, as far as this connection goes.
#[derive(Debug, Default)]
pub struct CounterTeller {
    told: HashMap<u64, Vec<(Counter, Count, bool)>>,
    gauges: Gauges,
    number: u64,
    forgotten: u64,
    written: u64,
    is_whole: bool,
    /// Something could not be forgotten.
    is_stuck: bool,
    /// Numbers that are over, and that nothing was counted under.
    unused: Vec<Over>,
    /// Numbers that are over, by the report with the last of their totals.
    waiting: BTreeMap<u64, Vec<(u64, Over)>>,
}

impl CounterTeller {
    /// What is to be told of counts that were just read.
    pub fn tell(&mut self, counts: Counts) -> Vec<TallyReport> {
        let Counts { tallies, over, gauges } = counts;
        let counted: BTreeSet<u64> = tallies.iter().map(|tally| tally.life).collect();
        let (waiting, unused): (Vec<_>, Vec<_>) = over.into_iter().partition(|(life, _)| counted.contains(life));
        self.unused = unused.into_iter().map(|(_, over)| over).collect();
        let news: Vec<Tally> = tallies.into_iter().filter(|tally| self.is_news(tally)).collect();
        if news.is_empty() && self.is_whole && gauges == self.gauges {
            return Vec::new();
        }
        let mut reports: Vec<TallyReport> =
            news.chunks(TALLIES_PER_MESSAGE_MAX).map(|part| self.part(part)).collect();
        if reports.is_empty() {
            reports.push(self.part(&[]));
        }
        let told: BTreeSet<u64> = news.iter().filter(|tally| tally.is_over).map(|tally| tally.life).collect();
        self.wait_for(self.number, waiting.into_iter().filter(|(life, _)| told.contains(life)).collect());
        if let Some(last) = reports.last_mut() {
            last.gauges = Some(gauges.clone());
            last.is_whole = !self.is_whole;
        }
        (self.gauges, self.is_whole) = (gauges, true);
        reports
    }

    fn part(&mut self, tallies: &[Tally]) -> TallyReport {
        self.number += 1;
        let (number, forgotten) = (self.number, self.forgotten);
        TallyReport { number, forgotten, is_whole: false, tallies: tallies.to_vec(), gauges: None }
    }

    /// Notes a total; whether it is another than was told.
    fn is_news(&mut self, tally: &Tally) -> bool {
        let told = self.told.entry(tally.life).or_default();
        match told.iter_mut().find(|(counter, ..)| *counter == tally.counter) {
            Some((_, count, is_over)) => {
                let is_news = (*count, *is_over) != (tally.count, tally.is_over);
                (*count, *is_over) = (tally.count, tally.is_over);
                is_news
            }
            None => {
                told.push((tally.counter.clone(), tally.count, tally.is_over));
                true
            }
        }
    }

    fn wait_for(&mut self, report: u64, over: Vec<(u64, Over)>) {
        if !over.is_empty() {
            self.waiting.insert(report, over);
        }
    }

    /// The server has written down what is over, up to a report.
    pub fn written(&mut self, report: u64) {
        self.written = self.written.max(report);
    }

    /// Numbers that may be given out again. They must be forgotten before anything is read again: what is being read now may
    /// still be about them.
    pub fn forget(&mut self) -> Vec<Over> {
        let later = self.waiting.split_off(&(self.written + 1));
        let written = std::mem::replace(&mut self.waiting, later);
        let mut over = std::mem::take(&mut self.unused);
        for (life, number) in written.into_values().flatten() {
            self.told.remove(&life);
            over.push(number);
        }
        over
    }

    /// Whether they were forgotten, so that nothing of them will be told again. Where not, the server keeps what it has been told
    /// on this connection apart.
    pub fn forgot(&mut self, is_forgotten: bool) {
        self.is_stuck |= !is_forgotten;
        if !self.is_stuck {
            self.forgotten = self.written;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(lives: &[(u64, u64, Option<u64>)]) -> Counts {
        let counter = |life| Counter::Rule { group: format!("sg-{life}").into(), rule: None };
        let tally = |(life, packets, departure): &(u64, u64, Option<u64>)| Tally {
            counter: counter(*life),
            life: *life,
            is_over: departure.is_some(),
            count: Count { packets: *packets, bytes: 0 },
        };
        let over = |(life, _, departure): &(u64, u64, Option<u64>)| {
            departure.map(|departure| (*life, Over::Rule(*life as u32, departure)))
        };
        Counts {
            tallies: lives.iter().filter(|(_, packets, _)| *packets > 0).map(tally).collect(),
            over: lives.iter().filter_map(over).collect(),
            gauges: Gauges::default(),
        }
    }

    fn told(reports: &[TallyReport]) -> Vec<(u64, u64, bool)> {
        let tallies = reports.iter().flat_map(|report| &report.tallies);
        tallies.map(|tally| (tally.life, tally.count.packets, tally.is_over)).collect()
    }

    #[test]
    fn what_has_changed_is_told_and_on_a_new_connection_everything() {
        let mut teller = CounterTeller::default();
        let reports = teller.tell(counts(&[(1, 5, None), (2, 7, None), (3, 0, Some(1))]));
        assert_eq!((told(&reports), teller.forget()), (vec![(1, 5, false), (2, 7, false)], vec![Over::Rule(3, 1)]));
        assert!(reports[0].is_whole && reports[0].gauges.is_some() && reports[0].number == 1);
        assert!(teller.tell(counts(&[(1, 5, None), (2, 7, None)])).is_empty());
        let reports = teller.tell(counts(&[(1, 6, None), (2, 7, None)]));
        assert_eq!((told(&reports), reports[0].is_whole), (vec![(1, 6, false)], false));
    }

    #[test]
    fn a_new_connection_is_told_everything_though_the_teller_of_the_last_one_is_away() {
        let mut counters = Counters::default();
        counters.begin();
        let mut teller = counters.take();
        teller.tell(counts(&[(1, 5, None), (2, 7, Some(4))]));
        counters.written(1);
        assert!(counters.give_back(teller));
        let mut teller = counters.take();
        assert_eq!(teller.forget(), [Over::Rule(2, 4)], "what was said meanwhile is heard");
        counters.begin();
        assert!(!counters.give_back(teller));
        let reports = counters.take().tell(counts(&[(1, 5, None)]));
        assert_eq!((told(&reports), reports[0].number, reports[0].is_whole), (vec![(1, 5, false)], 1, true));
    }

    #[test]
    fn a_number_is_forgotten_when_its_last_total_is_written_down() {
        let mut teller = CounterTeller::default();
        teller.tell(counts(&[(1, 5, None)]));
        let reports = teller.tell(counts(&[(1, 6, Some(4))]));
        assert_eq!((told(&reports), teller.forget()), (vec![(1, 6, true)], vec![]));
        teller.written(1);
        assert_eq!(teller.forget(), [], "that was before");
        teller.written(2);
        assert!(teller.tell(counts(&[(1, 6, Some(4))])).is_empty(), "what was being read meanwhile is no news");
        assert_eq!(teller.forget(), [Over::Rule(1, 4)]);
        assert_eq!(teller.forget(), []);
        teller.forgot(true);
        let reports = teller.tell(counts(&[(2, 1, None)]));
        assert_eq!((reports[0].number, reports[0].forgotten), (3, 2));
    }

    #[test]
    fn many_totals_are_told_in_parts_of_which_the_last_is_whole() {
        let mut teller = CounterTeller::default();
        let many: Vec<_> = (1..=TALLIES_PER_MESSAGE_MAX as u64 + 1).map(|life| (life, 1, Some(life))).collect();
        let reports = teller.tell(counts(&many));
        assert_eq!(
            reports.iter().map(|report| (report.number, report.is_whole)).collect::<Vec<_>>(),
            [(1, false), (2, true)]
        );
        teller.written(1);
        assert!(teller.forget().is_empty(), "a number waits for the last report of its reading");
        teller.written(2);
        assert_eq!(teller.forget().len(), many.len());
    }
}
