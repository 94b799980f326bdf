//! Sorted values with an index above them, laid out in blocks of a cache line.
//!
//! A binary search among a thousand values waits for ten lines, one after the other; a search that chooses among the
//! children of a block waits for one line per level. The layout is described in [`crate::layout`].

use crate::layout::{BLOCK_WORDS, NARROW_FAN, NARROW_LEAF, WIDE_FAN};

/// The words of a table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Indexed {
    /// Levels above the entries.
    pub(crate) levels: u32,
    /// Level after level, the highest first, then the entries.
    pub(crate) words: Vec<u64>,
}

/// A table of 32-bit values. Entries are ascending and of different values.
pub(crate) fn narrow(entries: &[(u32, u32)]) -> Indexed {
    let leaves: Vec<u32> =
        entries.chunks(NARROW_LEAF).filter_map(|leaf| leaf.first()).map(|(first, _)| *first).collect();
    let (levels, mut words) = levels(leaves, NARROW_FAN, |children| {
        let mut block = [u64::MAX; BLOCK_WORDS];
        for (slot, first) in children.iter().enumerate() {
            let shift = 32 * (slot % 2);
            if let Some(word) = block.get_mut(slot / 2) {
                *word = *word & !(u64::from(u32::MAX) << shift) | u64::from(first.wrapping_sub(1)) << shift;
            }
        }
        block
    });
    let filled = if levels == 0 && entries.len() == 1 { 1 } else { entries.len().next_multiple_of(NARROW_LEAF) };
    let end = words.len() + filled;
    words.extend(entries.iter().map(|(first, class)| crate::layout::pair(*first, *class)));
    let last = words.last().copied().unwrap_or(0);
    words.resize(end, last);
    Indexed { levels, words }
}

/// A table of 128-bit values. Its lowest level is of the values themselves, and after it come their classes.
pub(crate) fn wide(entries: &[(u128, u32)]) -> Indexed {
    let values = entries.iter().map(|(first, _)| *first).collect();
    let (levels, mut words) = levels(values, WIDE_FAN, |children| {
        let mut block = [u64::MAX; BLOCK_WORDS];
        let (highs, lows) = block.split_at_mut(WIDE_FAN);
        for ((high, low), first) in highs.iter_mut().zip(lows).zip(children) {
            let before = first.wrapping_sub(1);
            (*high, *low) = ((before >> 64) as u64, before as u64);
        }
        block
    });
    words.extend(entries.iter().map(|(_, class)| u64::from(*class)));
    Indexed { levels, words }
}

/// Levels of blocks until one block has everything. A block holds, for each of its children, the value before the child's
/// first: what is greater than that is in the child or after it. Places without a child hold what nothing is greater than.
fn levels<V: Copy>(mut firsts: Vec<V>, fan: usize, block: impl Fn(&[V]) -> [u64; BLOCK_WORDS]) -> (u32, Vec<u64>) {
    let mut levels: Vec<Vec<u64>> = Vec::new();
    while firsts.len() > 1 {
        let mut level = Vec::with_capacity(firsts.len().div_ceil(fan) * BLOCK_WORDS);
        firsts.chunks(fan).for_each(|children| level.extend_from_slice(&block(children)));
        levels.push(level);
        firsts = firsts.iter().step_by(fan).copied().collect();
    }
    levels.reverse();
    (levels.len() as u32, levels.concat())
}

#[cfg(test)]
mod tests {
    use sekimori_core::limits::POLICY_WORDS_MAX;

    use super::*;

    /// The search that the program does, written out plainly.
    fn search_narrow(table: &Indexed, entries: usize, value: u32) -> u32 {
        let leaves = entries.div_ceil(NARROW_LEAF);
        let (mut at, mut place) = (0, 0);
        for level in (1..=table.levels).rev() {
            let block = &table.words[at + place * BLOCK_WORDS..][..BLOCK_WORDS];
            let keys = block.iter().flat_map(|word| [*word as u32, (*word >> 32) as u32]);
            place = place * NARROW_FAN + keys.skip(1).filter(|before| *before < value).count();
            at += leaves.div_ceil(NARROW_FAN.pow(level)) * BLOCK_WORDS;
        }
        let leaf = &table.words[at + place * NARROW_LEAF..];
        let below = leaf.iter().take(NARROW_LEAF).take_while(|word| (**word >> 32) as u32 <= value);
        below.last().map_or(0, |word| *word as u32)
    }

    fn search_wide(table: &Indexed, entries: usize, value: u128) -> u32 {
        let (mut at, mut place) = (0, 0);
        for level in (1..=table.levels).rev() {
            let block = &table.words[at + place * BLOCK_WORDS..][..BLOCK_WORDS];
            let keys = (0..WIDE_FAN).map(|slot| u128::from(block[slot]) << 64 | u128::from(block[WIDE_FAN + slot]));
            place = place * WIDE_FAN + keys.skip(1).filter(|before| *before < value).count();
            at += entries.div_ceil(WIDE_FAN.pow(level)) * BLOCK_WORDS;
        }
        table.words[at + place] as u32
    }

    #[test]
    fn every_value_is_found_at_every_size() {
        for size in (1_u32..300).chain([2_047, 2_048, 2_049, 40_000]) {
            let step = u32::MAX / size.max(2);
            let first = |n: u32| if n + 1 == size && size > 1 { u32::MAX } else { n * step };
            let entries: Vec<_> = (0..size).map(|n| (first(n), n + 7)).collect();
            let wide_entries: Vec<_> = entries
                .iter()
                .map(|(first, class)| (u128::from(*first) << 70 | u128::from(*first), *class))
                .collect();
            let (narrow, wide) = (narrow(&entries), wide(&wide_entries));
            let probes = (0..size).step_by((size as usize / 97).max(1)).chain([size - 1]);
            for n in probes {
                for near in [first(n).wrapping_sub(1), first(n), first(n).wrapping_add(1)] {
                    let expected =
                        entries.iter().rev().find(|(first, _)| *first <= near).map_or(0, |(_, class)| *class);
                    assert_eq!(search_narrow(&narrow, entries.len(), near), expected, "{near} of {size}");
                }
                let value = wide_entries[n as usize].0;
                assert_eq!(search_wide(&wide, entries.len(), value), n + 7, "{value} of {size}");
                assert_eq!(search_wide(&wide, entries.len(), value + 1), n + 7, "after {value} of {size}");
                if n > 0 {
                    assert_eq!(search_wide(&wide, entries.len(), value - 1), n + 6, "before {value} of {size}");
                }
            }
            assert_eq!(search_wide(&wide, entries.len(), u128::MAX), size + 6);
        }
    }

    /// The levels that the program looks at, `NARROW_LEVELS` and `WIDE_LEVELS` of `bpf/search.h`.
    #[test]
    fn the_largest_policy_has_no_more_levels_than_are_looked_at() {
        let levels = |mut children: usize, fan: usize| {
            let (mut levels, mut blocks) = (0, 0);
            while children > 1 {
                children = children.div_ceil(fan);
                (levels, blocks) = (levels + 1, blocks + children);
            }
            (levels, blocks)
        };
        let most = POLICY_WORDS_MAX as usize;
        assert_eq!(levels(most / NARROW_LEAF, NARROW_FAN).0, 5);
        let wide_words = |entries: usize| entries + levels(entries, WIDE_FAN).1 * BLOCK_WORDS;
        let (mut fits, mut exceeds) = (1, most);
        while exceeds - fits > 1 {
            let middle = usize::midpoint(fits, exceeds);
            *(if wide_words(middle) <= most { &mut fits } else { &mut exceeds }) = middle;
        }
        assert_eq!(levels(fits, WIDE_FAN).0, 10);
    }

    #[test]
    fn one_value_needs_no_block() {
        assert_eq!(narrow(&[(0, 9)]), Indexed { levels: 0, words: vec![9] });
        assert_eq!(wide(&[(0, 9)]), Indexed { levels: 0, words: vec![9] });
        assert_eq!(narrow(&[(0, 0), (5, 9)]).words.len(), BLOCK_WORDS);
    }
}
