//! From "which values does each rule match" to "which rules match each value".

use std::collections::HashMap;

/// A rule and a run of values that it matches, both ends included.
pub(crate) struct Span {
    pub(crate) first: u128,
    pub(crate) last: u128,
    pub(crate) rule: usize,
}

/// The non-zero words of a bitmap of rules, as (word number, word), ascending.
pub(crate) type Bitmap = Vec<(u32, u64)>;

/// A partition of a field's values: entry `(first, class)` holds up to the next entry.
pub(crate) struct Partition {
    pub(crate) entries: Vec<(u128, usize)>,
    /// Distinct bitmaps, in the order of first use.
    pub(crate) classes: Vec<Bitmap>,
}

/// Sweeps over a field once. Memory is linear in the number of spans times the rules that overlap.
pub(crate) fn partition(spans: &[Span], rules: usize) -> Partition {
    let mut events: Vec<(u128, usize, bool)> = Vec::with_capacity(spans.len() * 2);
    for span in spans {
        events.push((span.first, span.rule, true));
        events.extend(span.last.checked_add(1).map(|past| (past, span.rule, false)));
    }
    events.sort_unstable();
    let mut sweep = Sweep::new(rules);
    let mut rest = events.as_slice();
    sweep.advance(&mut rest, 0);
    sweep.emit(0);
    while let Some((at, _, _)) = rest.first().copied() {
        sweep.advance(&mut rest, at);
        sweep.emit(at);
    }
    Partition { entries: sweep.entries, classes: sweep.classes }
}

struct Sweep {
    depth: Vec<u32>,
    active: Vec<u64>,
    ids: HashMap<Bitmap, usize>,
    entries: Vec<(u128, usize)>,
    classes: Vec<Bitmap>,
}

impl Sweep {
    fn new(rules: usize) -> Self {
        Self {
            depth: vec![0; rules],
            active: vec![0; rules.div_ceil(64)],
            ids: HashMap::new(),
            entries: Vec::new(),
            classes: Vec::new(),
        }
    }

    /// Takes every event at a value.
    fn advance(&mut self, events: &mut &[(u128, usize, bool)], at: u128) {
        while let Some(((here, rule, begins), tail)) = events.split_first() {
            if *here != at {
                return;
            }
            self.step(*rule, *begins);
            *events = tail;
        }
    }

    fn step(&mut self, rule: usize, begins: bool) {
        let (Some(depth), Some(word)) = (self.depth.get_mut(rule), self.active.get_mut(rule / 64)) else { return };
        *depth = if begins { *depth + 1 } else { depth.saturating_sub(1) };
        let bit = 1 << (rule % 64);
        *word = if *depth > 0 { *word | bit } else { *word & !bit };
    }

    fn emit(&mut self, at: u128) {
        let words = self.active.iter().enumerate().filter(|(_, word)| **word != 0);
        let bitmap: Bitmap = words.map(|(number, word)| (number as u32, *word)).collect();
        let classes = &mut self.classes;
        let class = *self.ids.entry(bitmap).or_insert_with_key(|bitmap| {
            classes.push(bitmap.clone());
            classes.len() - 1
        });
        if self.entries.last().is_none_or(|(_, last)| *last != class) {
            self.entries.push((at, class));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_spans_give_one_class_per_set_of_rules() {
        let span = |first, last, rule| Span { first, last, rule };
        let partition = partition(&[span(10, 20, 0), span(15, 30, 1), span(40, 40, 1), span(12, 18, 0)], 2);
        let seen: Vec<_> =
            partition.entries.iter().map(|(at, class)| (*at, partition.classes[*class].clone())).collect();
        assert_eq!(
            seen,
            vec![
                (0, vec![]),
                (10, vec![(0, 1)]),
                (15, vec![(0, 3)]),
                (21, vec![(0, 2)]),
                (31, vec![]),
                (40, vec![(0, 2)]),
                (41, vec![]),
            ]
        );
    }

    #[test]
    fn a_span_to_the_end_of_the_field_needs_no_end() {
        let partition = partition(&[Span { first: 0, last: u128::MAX, rule: 64 }], 65);
        assert_eq!(partition.entries, vec![(0, 0)]);
        assert_eq!(partition.classes, vec![vec![(1, 1)]]);
    }
}
