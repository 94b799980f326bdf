//! Medians and spreads. Nothing here measures.

use serde::Serialize;

/// Repeated measurements of one thing.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Stats {
    /// The one in the middle.
    pub median: f64,
    /// A quarter of them are below.
    pub quarter: f64,
    /// A quarter of them are above.
    pub three_quarters: f64,
    /// The smallest.
    pub least: f64,
    /// One of a hundred is above.
    pub p99: f64,
    /// How many there are.
    pub count: usize,
}

impl Stats {
    /// Of these; `None` without any.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            median: at(&sorted, 0.5)?,
            quarter: at(&sorted, 0.25)?,
            three_quarters: at(&sorted, 0.75)?,
            least: at(&sorted, 0.0)?,
            p99: at(&sorted, 0.99)?,
            count: sorted.len(),
        })
    }

    /// Half of the range that holds the middle half of the measurements.
    #[must_use]
    pub fn spread(&self) -> f64 {
        (self.three_quarters - self.quarter) / 2.0
    }

    /// How far the median may be off, 95 of 100 times, if measurements do not depend on each other (McGill, Tukey and Larsen 1978).
    #[must_use]
    pub fn margin(&self) -> f64 {
        1.57 * (self.three_quarters - self.quarter) / (self.count.max(1) as f64).sqrt()
    }
}

/// The value at a place between 0 and 1, between its neighbours if need be.
fn at(sorted: &[f64], place: f64) -> Option<f64> {
    let position = place * sorted.len().checked_sub(1)? as f64;
    let below = sorted.get(position.floor() as usize)?;
    let above = sorted.get(position.ceil() as usize)?;
    Some(below + (above - below) * position.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_an_even_number_lies_between_two() {
        let stats = Stats::of([4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!((stats.median, stats.quarter, stats.three_quarters, stats.least), (2.5, 1.75, 3.25, 1.0));
        assert_eq!(stats.spread(), 0.75);
    }

    #[test]
    fn nothing_has_no_median() {
        assert!(Stats::of([]).is_none());
    }
}
