//! Sums by the value of a label.

use std::{collections::HashMap, sync::Arc};

/// A sum for each value of a label.
#[derive(Clone, Default)]
pub(super) struct Sums {
    by_value: HashMap<Arc<str>, i64>,
    total: i64,
}

/// What a node adds to one of several [`Sums`].
#[derive(Clone)]
pub(super) struct Posting {
    /// Which one.
    pub(super) slot: usize,
    value: Arc<str>,
    amount: i64,
}

impl Sums {
    /// Adds `amount` for `value`; `slot` is noted for the way back.
    pub(super) fn post(&mut self, slot: usize, value: &str, amount: i64) -> Posting {
        let known = self.by_value.get_key_value(value).map(|(value, _)| value.clone());
        let value = known.unwrap_or_else(|| value.into());
        *self.by_value.entry(value.clone()).or_default() += amount;
        self.total += amount;
        Posting { slot, value, amount }
    }

    /// Takes back what was posted.
    pub(super) fn take_back(&mut self, posting: Posting) {
        self.total -= posting.amount;
        // Sums of more and less may be nothing while parts of them are there, so that there may be no entry.
        let sum = self.by_value.entry(posting.value.clone()).or_default();
        *sum -= posting.amount;
        if *sum == 0 {
            self.by_value.remove(&posting.value);
        }
    }

    /// The sum for `value`.
    pub(super) fn of(&self, value: &str) -> i64 {
        self.by_value.get(value).copied().unwrap_or(0)
    }

    /// The sum for all values.
    pub(super) fn total(&self) -> i64 {
        self.total
    }

    /// Whether it is nothing for every value.
    pub(super) fn is_zero(&self) -> bool {
        self.by_value.values().all(|sum| *sum == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_posted_can_be_taken_back_in_any_order() {
        let mut sums = Sums::default();
        let postings = [5, -5, 2].map(|amount| sums.post(0, "a", amount));
        assert_eq!((sums.of("a"), sums.of("b"), sums.total()), (2, 0, 2));
        let [five, minus_five, two] = postings;
        sums.take_back(two);
        assert!(sums.is_zero());
        sums.take_back(five);
        assert_eq!((sums.of("a"), sums.is_zero()), (-5, false));
        sums.take_back(minus_five);
        assert!(sums.is_zero() && sums.by_value.is_empty());
    }
}
