//! What became of a packet: what came back, and what the data plane counted on the way.
//!
//! Nothing is expected here. A packet was dropped when a drop was counted and nothing came back for a while
//! after; one that is neither answered nor counted as dropped is *lost*, which no test wants.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use sekimori_compile::{abi::Reason, tables::RuleKey};
use sekimori_core::{ids::EniId, rule::Direction};

use super::{Lab, host::Host, must, pause};

/// How long nothing comes back of a packet that was dropped in silence.
const SILENCE: Duration = Duration::from_millis(150);
/// How long something that passes may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);
/// The time between two looks.
const LOOK: Duration = Duration::from_millis(1);

/// Something that was sent, and may be answered.
pub trait Attempt {
    /// Does what can be done without waiting; says how it ended.
    fn poll(&mut self) -> Option<Answer>;

    /// Whether it ends with an answer, so that what was counted on the way back belongs to it.
    fn is_answered(&self) -> bool {
        true
    }
}

/// What came back, or did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It arrived, and where there is an answer that arrived too.
    Passes,
    /// A RST, or an ICMP error.
    Refused,
    /// Nothing, and a drop was counted.
    Dropped,
    /// Nothing, and nothing was counted.
    Lost,
}

/// What became of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What the sender saw.
    pub answer: Answer,
    /// What was counted at the ENIs on the way, as `[host: reason]`.
    pub way: Vec<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.answer {
            Answer::Passes => "passes",
            Answer::Refused => "refused",
            Answer::Dropped => "dropped",
            Answer::Lost => "LOST",
        })?;
        self.way.iter().try_for_each(|stop| write!(f, " {stop}"))
    }
}

/// What the data plane has counted.
#[derive(Clone, Debug, Default)]
struct Counts {
    reasons: BTreeMap<(EniId, Direction, Reason), u64>,
    rules: BTreeMap<RuleKey, u64>,
}

impl Counts {
    fn since(&self, before: &Self) -> Self {
        Self { reasons: grown(&self.reasons, &before.reasons), rules: grown(&self.rules, &before.rules) }
    }

    fn reasons_at(&self, eni: &EniId, direction: Direction) -> impl Iterator<Item = Reason> + use<'_> {
        let from = (eni.clone(), direction, Reason::Bypass);
        let last = Reason::ALL.last().copied().unwrap_or(Reason::Bypass);
        let to = (eni.clone(), direction, last);
        self.reasons.range(from..=to).map(|((_, _, reason), _)| *reason)
    }

    fn has_drops(&self) -> bool {
        self.reasons.keys().any(|(_, _, reason)| !reason.passes())
    }
}

fn grown<K: Ord + Clone>(now: &BTreeMap<K, u64>, before: &BTreeMap<K, u64>) -> BTreeMap<K, u64> {
    let growth = now.iter().map(|(key, count)| (key.clone(), count - before.get(key).copied().unwrap_or(0)));
    growth.filter(|(_, count)| *count > 0).collect()
}

/// Whether a reason is about the first packet of a flow, or a drop: others are counted for every packet.
fn decides(reason: Reason) -> bool {
    use Reason::{Bypass, KnownError, KnownFlow, KnownFragment};
    !matches!(reason, Bypass | KnownError | KnownFlow | KnownFragment)
}

fn is_rules(reason: Reason) -> bool {
    matches!(reason, Reason::RuleAllow | Reason::RuleDeny | Reason::IntraGroup)
}

impl Lab {
    /// Watches an attempt from one host to another until its end is known.
    pub fn observe(&mut self, from: &Host, to: &Host, start: impl FnOnce() -> Box<dyn Attempt>) -> Finding {
        let before = self.counts_at(&[from, to]);
        let mut attempt = start();
        let began = Instant::now();
        let mut dropped: Option<Instant> = None;
        let answer = loop {
            if let Some(answer) = attempt.poll() {
                break answer;
            }
            if dropped.is_none() && self.counts_at(&[from, to]).since(&before).has_drops() {
                dropped = Some(Instant::now());
            }
            if dropped.is_some_and(|since| since.elapsed() > SILENCE) {
                break Answer::Dropped;
            }
            if began.elapsed() > PATIENCE {
                break Answer::Lost;
            }
            pause(LOOK);
        };
        let counts = self.counts_at(&[from, to]).since(&before);
        let mut way = self.way_there(from, to, (&counts, answer));
        if attempt.is_answered() {
            way.extend(self.way_back(from, to, &counts));
        }
        Finding { answer, way }
    }

    /// What has got nowhere has not come to the other end: what passes by the bypass there meanwhile is a neighbour that asks whether
    /// another is still there.
    fn way_there(&self, from: &Host, to: &Host, (counts, answer): (&Counts, Answer)) -> Vec<String> {
        let there = [(from, Direction::Egress), (to, Direction::Ingress)];
        let mut way = Vec::new();
        for (host, direction) in there {
            let Some(eni) = &host.eni else { continue };
            let is_asking =
                |reason: &Reason| (answer, direction, *reason) == (Answer::Lost, Direction::Ingress, Reason::Bypass);
            let reasons = counts.reasons_at(eni, direction).filter(|reason| !is_asking(reason));
            let Some(reason) = deciding(reasons) else { continue };
            way.push(format!("[{}: {}]", host.name, self.words(reason, direction, counts)));
            if !reason.passes() {
                break;
            }
        }
        way
    }

    fn way_back(&self, from: &Host, to: &Host, counts: &Counts) -> Vec<String> {
        let back = [(to, Direction::Egress), (from, Direction::Ingress)];
        let mut way = Vec::new();
        for (host, direction) in back {
            let reasons = host.eni.iter().flat_map(|eni| counts.reasons_at(eni, direction));
            for reason in reasons.filter(|reason| !matches!(reason, Reason::Bypass | Reason::KnownFlow)) {
                way.push(format!("[back at {}: {}]", host.name, self.words(reason, direction, counts)));
            }
        }
        way
    }

    /// A reason in words, with the names of the rules that were counted for it.
    fn words(&self, reason: Reason, direction: Direction, counts: &Counts) -> String {
        let of_rule = |(group, rule): &RuleKey| {
            let found = self.world().group(group)?.rules.get(rule.as_ref()?)?;
            let label = self.names.labels.get(&(group.clone(), found.id.clone()))?;
            (found.spec.direction == direction).then(|| label.clone())
        };
        let rules: Vec<String> = counts.rules.keys().filter_map(of_rule).collect();
        match reason {
            Reason::RuleAllow => format!("allow {}", rules.join("+")),
            Reason::RuleDeny => format!("deny {}", rules.join("+")),
            Reason::IntraGroup => {
                let groups = counts.rules.keys().filter(|(_, rule)| rule.is_none()).map(|(group, _)| group);
                let named = groups.map(|group| self.world().group(group).map_or("?", |found| found.name.as_str()));
                format!("intra-group {}", named.collect::<Vec<_>>().join("+"))
            }
            Reason::PlatformAllow => "platform allow".to_owned(),
            Reason::PlatformDeny => "platform deny".to_owned(),
            Reason::DefaultAllow => "default allow".to_owned(),
            Reason::DefaultDeny => "default deny".to_owned(),
            other => other.name().to_owned(),
        }
    }

    /// What was counted at the ENIs of some hosts. Every rule that decided is counted once: so many packets
    /// as rules have decided, so many have a rule's reason.
    fn counts_at(&mut self, hosts: &[&Host]) -> Counts {
        let mut counts = Counts::default();
        let enforcer = self.enforcer();
        let rules: Vec<(RuleKey, u32)> = enforcer.tables().rule_names().map(|(key, at)| (key.clone(), at)).collect();
        let enis = hosts.iter().filter_map(|host| host.eni.clone());
        let slots: Vec<(EniId, u32)> =
            enis.filter_map(|eni| Some((eni.clone(), enforcer.tables().eni_slot(&eni)?))).collect();
        for (key, at) in rules {
            let count = must("read a rule's counter", enforcer.plane().rule_count(at));
            counts.rules.insert(key, count.packets);
        }
        for (eni, slot) in slots {
            for (direction, reason, packets) in must("read counters", enforcer.plane().reason_counts(slot)) {
                counts.reasons.insert((eni.clone(), direction, reason), packets);
            }
        }
        counts
    }

    /// How many packets were counted at an instance for a reason.
    pub fn count(&mut self, instance: &str, direction: Direction, reason: Reason) -> u64 {
        let host = self.host(instance);
        let counts = self.counts_at(&[&host]);
        let counted = counts.reasons.iter().filter(|((_, side, why), _)| (*side, *why) == (direction, reason));
        counted.map(|(_, count)| count).sum()
    }

    /// Packets that rules have decided at two instances: by the rules' counters, and by the ENIs' reasons.
    pub fn decided_by_rules(&mut self, instances: [&str; 2]) -> (u64, u64) {
        let hosts = instances.map(|name| self.host(name));
        let counts = self.counts_at(&[&hosts[0], &hosts[1]]);
        let reasons = counts.reasons.iter().filter(|((_, _, reason), _)| is_rules(*reason));
        (counts.rules.values().sum(), reasons.map(|(_, count)| count).sum())
    }
}

/// The reason to tell: a drop before a decision before what is counted for every packet.
fn deciding(reasons: impl Iterator<Item = Reason>) -> Option<Reason> {
    let is_common = |reason| (!decides(reason), reason == Reason::Bypass);
    reasons.min_by_key(|reason| (reason.passes(), *reason != Reason::FlowEnded, is_common(*reason), *reason))
}
