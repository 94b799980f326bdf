//! From "which values does each rule match" to "which rules match each value".

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, BuildHasherDefault, Hasher, RandomState},
};

/// A value of a field, and where a run of them begins or ends.
pub(crate) trait Value: Copy + Eq {
    /// A value with a rule and whether a run of the rule begins there: in the order of the values.
    type Event: Copy + Ord;
    /// The least.
    const FIRST: Self;
    /// The next one, if there is any.
    fn next(self) -> Option<Self>;
    /// What happens here.
    fn event(self, what: u32) -> Self::Event;
    /// Where it happens, and what.
    fn parts(event: Self::Event) -> (Self, u32);
}

impl Value for u32 {
    type Event = u64;
    const FIRST: Self = 0;

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn event(self, what: u32) -> u64 {
        crate::layout::pair(self, what)
    }

    fn parts(event: u64) -> (Self, u32) {
        crate::layout::halves(event)
    }
}

impl Value for u128 {
    type Event = (u128, u32);
    const FIRST: Self = 0;

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn event(self, what: u32) -> (u128, u32) {
        (self, what)
    }

    fn parts(event: (u128, u32)) -> (Self, u32) {
        event
    }
}

/// Where runs of values begin and end, each with its rule.
pub(crate) struct Events<V: Value>(Vec<V::Event>);

impl<V: Value> Events<V> {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// A rule matches from one value to another, both included.
    pub(crate) fn add(&mut self, rule: usize, (first, last): (V, V)) {
        let what = (rule as u32) << 1;
        self.0.push(first.event(what | 1));
        // What holds to the last value has no end.
        self.0.extend(last.next().map(|past| past.event(what)));
    }
}

/// The rules that match a value, while a sweep goes over the values of a field.
pub(crate) struct Active {
    /// How many runs of each rule hold.
    depth: Vec<u32>,
    /// A bit for each rule.
    words: Vec<u64>,
    /// A bit for each word that is not zero.
    summaries: Vec<u64>,
    /// What is different for different sets of rules, as far as chance goes.
    key: u64,
    /// Nobody who writes rules knows it, so nobody makes keys that are equal.
    secret: u64,
}

impl Active {
    /// None of so many rules.
    pub(crate) fn new(rules: usize) -> Self {
        let words = rules.div_ceil(64);
        let secret = RandomState::new().hash_one(rules);
        Self { depth: vec![0; rules], words: vec![0; words], summaries: vec![0; words.div_ceil(64)], key: 0, secret }
    }

    fn clear(&mut self) {
        self.depth.fill(0);
        self.words.fill(0);
        self.summaries.fill(0);
        self.key = 0;
    }

    /// One of the words is not zero, for each bit.
    pub(crate) fn summaries(&self) -> &[u64] {
        &self.summaries
    }

    /// The words that are not zero, with their numbers, ascending.
    pub(crate) fn words(&self) -> impl Iterator<Item = (usize, u64)> {
        let bits = self.summaries.iter().enumerate().flat_map(|(summary, bits)| {
            let mut left = *bits;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
                left &= left - 1;
                Some(summary * 64 + bit)
            })
        });
        bits.map(|number| (number, self.words.get(number).copied().unwrap_or(0)))
    }

    fn step(&mut self, rule: usize, begins: bool) {
        let Some(depth) = self.depth.get_mut(rule) else { return };
        *depth = if begins { *depth + 1 } else { depth.saturating_sub(1) };
        let flips = if begins { *depth == 1 } else { *depth == 0 };
        if flips {
            self.flip(rule);
        }
    }

    fn flip(&mut self, rule: usize) {
        let (number, bit) = (rule / 64, 1 << (rule % 64));
        let Some(word) = self.words.get_mut(number) else { return };
        *word ^= bit;
        if let Some(summary) = self.summaries.get_mut(number / 64) {
            let bit = 1 << (number % 64);
            *summary = if *word == 0 { *summary & !bit } else { *summary | bit };
        }
        self.key ^= mixed(self.secret.wrapping_add(rule as u64));
    }
}

/// A number for a number, of which each bit depends on each (the last step of `SplitMix64`).
fn mixed(number: u64) -> u64 {
    let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let once = (spread ^ (spread >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let twice = (once ^ (once >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    twice ^ (twice >> 31)
}

/// Goes over a field once: entries `(first value, class)`, each of which holds up to the next one. `class` names the set of
/// rules that match from here on.
pub(crate) fn sweep<V: Value>(
    mut events: Events<V>,
    active: &mut Active,
    mut class: impl FnMut(&Active) -> u32,
) -> Vec<(V, u32)> {
    events.0.sort_unstable();
    active.clear();
    let mut entries: Vec<(V, u32)> = Vec::with_capacity(events.0.len() + 1);
    let mut at = V::FIRST;
    let mut rest = events.0.as_slice();
    loop {
        while let Some((event, tail)) = rest.split_first() {
            let (here, what) = V::parts(*event);
            if here != at {
                break;
            }
            active.step((what >> 1) as usize, what & 1 == 1);
            rest = tail;
        }
        let found = class(active);
        if entries.last().is_none_or(|(_, last)| *last != found) {
            entries.push((at, found));
        }
        let Some(event) = rest.first() else { return entries };
        (at, _) = V::parts(*event);
    }
}

/// Where the classes of a direction lie: equal ones are stored once.
#[derive(Default)]
pub(crate) struct Classes(HashMap<u64, u32, BuildHasherDefault<AsIs>>);

impl Classes {
    /// The position of the class of these rules, at the end of the words if it is new.
    pub(crate) fn place(&mut self, active: &Active, words: &mut Vec<u64>) -> u32 {
        let mut key = active.key;
        while let Some(at) = self.0.get(&key) {
            if is_at(active, words, *at as usize) {
                return *at;
            }
            // Another with the same key. There are fewer of them than classes.
            key = key.wrapping_add(1);
        }
        let at = words.len() as u32;
        let mut position = at + 2 * active.summaries.len() as u32;
        for summary in &active.summaries {
            words.extend([*summary, u64::from(position)]);
            position += summary.count_ones();
        }
        words.extend(active.words().map(|(_, word)| word));
        self.0.insert(key, at);
        at
    }
}

/// Whether the class there is of these rules.
fn is_at(active: &Active, words: &[u64], at: usize) -> bool {
    let heads = words.get(at..).unwrap_or_default().chunks(2).map(|head| head.first());
    let is_same = active.summaries.iter().zip(heads).all(|(summary, head)| head == Some(summary));
    let stored = words.get(at + 2 * active.summaries.len()..).unwrap_or_default();
    is_same && active.words().zip(stored).all(|((_, word), stored)| word == *stored)
}

/// Keys that are spread already.
#[derive(Default)]
pub(crate) struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The entries of spans `(first, last, rule)`, with the numbers of the rules of their classes.
    fn swept<V: Value>(spans: &[(V, V, usize)], rules: usize) -> Vec<(V, Vec<usize>)> {
        let mut events = Events::new();
        spans.iter().for_each(|(first, last, rule)| events.add(*rule, (*first, *last)));
        let mut sets: Vec<Vec<usize>> = Vec::new();
        let entries = sweep(events, &mut Active::new(rules), |active| {
            let bits = active.words().flat_map(|(number, word)| {
                (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| number * 64 + bit)
            });
            let set: Vec<usize> = bits.collect();
            let known = sets.iter().position(|known| *known == set);
            known.unwrap_or_else(|| {
                sets.push(set);
                sets.len() - 1
            }) as u32
        });
        entries.into_iter().map(|(at, class)| (at, sets[class as usize].clone())).collect()
    }

    #[test]
    fn overlapping_spans_give_one_class_per_set_of_rules() {
        let spans = [(10_u32, 20, 0), (15, 30, 1), (40, 40, 1), (12, 18, 0)];
        let expected: [(u32, &[usize]); 7] =
            [(0, &[]), (10, &[0]), (15, &[0, 1]), (21, &[1]), (31, &[]), (40, &[1]), (41, &[])];
        assert_eq!(swept(&spans, 2), expected.map(|(at, set)| (at, set.to_vec())));
    }

    #[test]
    fn a_span_to_the_end_of_the_field_needs_no_end() {
        assert_eq!(swept(&[(0, u128::MAX, 64)], 65), vec![(0, vec![64])]);
        assert_eq!(swept(&[(7, u32::MAX, 64)], 65), vec![(0, vec![]), (7, vec![64])]);
    }

    #[test]
    fn classes_of_one_key_stay_apart() {
        let mut active = Active::new(5_000);
        let (mut classes, mut words) = (Classes::default(), Vec::new());
        let mut places = Vec::new();
        for rule in [3, 4_999, 70] {
            active.flip(rule);
            active.key = 9;
            places.push(classes.place(&active, &mut words));
        }
        assert_eq!(places, [0, 5, 11]);
        assert_eq!(words[..5], [1, 4, 0, 5, 8]);
        active.flip(70);
        active.key = 9;
        assert_eq!(classes.place(&active, &mut words), 5);
        assert_eq!(words.len(), 18);
    }
}
