//! Pods that are taken to have come or gone, as preemption does.

/// How the cluster is taken to differ from what was counted: pods that came or went on trial.
#[derive(Default)]
pub(super) struct Trial {
    differences: Vec<(Part, usize, String, i64)>,
    /// How much more there is of all that required affinity means.
    pub(super) attracting: i64,
}

/// What differs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Of the forbidden keys, by their number.
    Forbidden,
    /// Of the wishes, by their number.
    Wishes,
}

impl Trial {
    pub(super) fn note(&mut self, part: Part, number: usize, value: &str, difference: i64) {
        let is_same = |known: &(Part, usize, String, i64)| (known.0, known.1, &*known.2) == (part, number, value);
        match self.differences.iter().position(is_same) {
            Some(index) => {
                self.differences[index].3 += difference;
                if self.differences[index].3 == 0 {
                    self.differences.swap_remove(index);
                }
            }
            None => self.differences.push((part, number, value.to_owned(), difference)),
        }
    }

    pub(super) fn of(&self, part: Part, number: usize, value: &str) -> i64 {
        let known = self.differences.iter().find(|known| (known.0, known.1, &*known.2) == (part, number, value));
        known.map_or(0, |known| known.3)
    }
}
