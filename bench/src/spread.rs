//! Percentiles of a set of measurements.

/// Measurements in order, so that percentiles can be read off.
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
    sorted: Vec<f64>,
}

impl Spread {
    /// Takes measurements of one unit, in any order; `None` if there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        (!sorted.is_empty()).then_some(Self { sorted })
    }

    /// The smallest measurement that at least `percent` of 100 do not exceed (nearest rank).
    pub fn percentile(&self, percent: f64) -> f64 {
        let count = self.sorted.len();
        let rank = (percent / 100.0 * count as f64).ceil() as usize;
        self.sorted[rank.clamp(1, count) - 1]
    }

    /// The largest measurement.
    pub fn max(&self) -> f64 {
        self.percentile(100.0)
    }

    /// How many measurements are below `limit`.
    pub fn below(&self, limit: f64) -> usize {
        self.sorted.partition_point(|value| *value < limit)
    }
}

#[cfg(test)]
mod tests {
    use super::Spread;

    fn check(values: &[f64], percent: f64, expect: f64) {
        let spread = Spread::of(values.iter().copied()).expect("values");
        assert_eq!(spread.percentile(percent), expect, "p{percent} of {values:?}");
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        check(&hundred, 0.0, 1.0);
        check(&hundred, 1.0, 1.0);
        check(&hundred, 50.0, 50.0);
        check(&hundred, 99.0, 99.0);
        check(&hundred, 99.1, 100.0);
        check(&hundred, 100.0, 100.0);
        check(&[15.0, 20.0, 35.0, 40.0, 50.0], 30.0, 20.0);
        check(&[15.0, 20.0, 35.0, 40.0, 50.0], 40.0, 20.0);
        check(&[15.0, 20.0, 35.0, 40.0, 50.0], 50.0, 35.0);
        check(&[7.0], 50.0, 7.0);
        check(&[-3.0, 2.0], 99.0, 2.0);
    }

    #[test]
    fn nothing_measured_has_no_spread() {
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn below_counts_what_is_strictly_smaller() {
        let spread = Spread::of([0.0, -1.5, 3.0, -0.5]).expect("values");
        assert_eq!(spread.below(0.0), 2);
        assert_eq!(spread.below(-2.0), 0);
        assert_eq!(spread.below(10.0), 4);
        assert_eq!(spread.max(), 3.0);
    }
}
