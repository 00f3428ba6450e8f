//! The load of a slave as balancing compares it. Must not know slaves.

/// Calls in flight on a slave, relative to its capacity and weight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    calls: u128,
    capacity: u128,
    weight: u128,
}

impl Load {
    /// The load of `calls` on a slave with this capacity (0: no limit) and weight (percent).
    pub(super) fn new(calls: usize, capacity: usize, weight: u32) -> Self {
        Self { calls: calls as u128, capacity: capacity as u128, weight: weight.into() }
    }

    /// Returns whether this load is the smaller one. Compares the calls in flight for each unit of weight; where both
    /// slaves have a capacity, the share of it in use for each unit of weight.
    pub(crate) fn is_less_than(self, other: Self) -> bool {
        let (mine, others) = match (self.capacity, other.capacity) {
            (0, _) | (_, 0) => (1, 1),
            both => both,
        };
        // a/(ca·wa) < b/(cb·wb) without division.
        self.calls * others * other.weight < other.calls * mine * self.weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_are_compared_by_share_of_capacity_and_weight() {
        let (small, big) = (Load::new(1, 2, 100), Load::new(4, 10, 100));
        assert!(big.is_less_than(small), "4 of 10 against 1 of 2");
        assert!(!Load::new(4, 10, 50).is_less_than(small), "4 of 5 against 1 of 2");
    }

    #[test]
    fn without_capacity_calls_are_compared_by_weight() {
        let (one, none) = (Load::new(1, 0, 100), Load::new(0, 0, 100));
        assert!(none.is_less_than(one) && !one.is_less_than(none));
        assert!(Load::new(2, 0, 300).is_less_than(one), "2 for 300 against 1 for 100");
    }
}
