//! Percentiles of one block and medians over blocks. Knows nothing of what is measured.

use std::fmt;

/// Latencies of one block, in nanoseconds, sorted.
#[derive(Debug, Default)]
pub(crate) struct Latencies(Vec<u32>);

impl Latencies {
    /// Takes samples in any order.
    pub(crate) fn new(mut nanos: Vec<u32>) -> Self {
        nanos.sort_unstable();
        Self(nanos)
    }

    /// How many samples there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The sample that `percent` of all do not exceed (nearest rank), in microseconds; 0 without samples.
    pub(crate) fn percentile(&self, percent: f64) -> f64 {
        // Nearest rank is a whole number within the vector's length by construction.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let rank = (percent / 100.0 * self.0.len() as f64).ceil() as usize;
        let index = rank.clamp(1, self.0.len().max(1)) - 1;
        self.0.get(index).map_or(0.0, |nanos| f64::from(*nanos) / 1000.0)
    }
}

/// One quantity over several rounds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rounds(Vec<f64>);

impl Rounds {
    /// Adds a round's value.
    pub(crate) fn push(&mut self, value: f64) {
        let at = self.0.partition_point(|v| *v < value);
        self.0.insert(at, value);
    }

    /// The middle value, or the mean of the two middle ones; 0 without rounds.
    pub(crate) fn median(&self) -> f64 {
        let n = self.0.len();
        match n {
            0 => 0.0,
            n if n % 2 == 1 => self.0[n / 2],
            n => f64::midpoint(self.0[n / 2 - 1], self.0[n / 2]),
        }
    }

    /// Smallest value; 0 without rounds.
    pub(crate) fn min(&self) -> f64 {
        self.0.first().copied().unwrap_or(0.0)
    }

    /// Largest value; 0 without rounds.
    pub(crate) fn max(&self) -> f64 {
        self.0.last().copied().unwrap_or(0.0)
    }
}

impl FromIterator<f64> for Rounds {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut rounds = Self::default();
        for value in values {
            rounds.push(value);
        }
        rounds
    }
}

/// `median (min–max)`, with one decimal below 100 and thousands set apart above 9 999.
impl fmt::Display for Rounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}–{})", number(self.median()), number(self.min()), number(self.max()))
    }
}

/// A number as the report writes it.
pub(crate) fn number(value: f64) -> String {
    if value.abs() < 99.95 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    if digits.len() <= 4 {
        return digits;
    }
    let mut out = String::with_capacity(digits.len() + 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-9
    }

    #[test]
    fn percentiles_are_nearest_rank() {
        let latencies = Latencies::new((1..=100).rev().map(|us| us * 1000).collect());
        assert_eq!(latencies.len(), 100);
        assert!(close(latencies.percentile(50.0), 50.0));
        assert!(close(latencies.percentile(99.0), 99.0));
        assert!(close(latencies.percentile(100.0), 100.0));
        assert!(close(latencies.percentile(0.0), 1.0));
        assert!(close(Latencies::new(vec![7000]).percentile(99.0), 7.0));
        assert!(close(Latencies::default().percentile(99.0), 0.0));
    }

    #[test]
    fn rounds_give_median_and_spread_in_any_order() {
        let odd: Rounds = [9.0, 1.0, 4.0].into_iter().collect();
        assert!(close(odd.median(), 4.0) && close(odd.min(), 1.0) && close(odd.max(), 9.0));
        let even: Rounds = [4.0, 2.0].into_iter().collect();
        assert!(close(even.median(), 3.0));
        assert!(close(Rounds::default().median(), 0.0));
        assert_eq!(odd.to_string(), "4.0 (1.0–9.0)");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(number(1.25), "1.2");
        assert_eq!(number(99.96), "100");
        assert_eq!(number(9999.4), "9999");
        assert_eq!(number(117_600.0), "117 600");
        assert_eq!(number(1_234_567.0), "1 234 567");
    }
}
