use k8s_openapi::api::core::v1::Probe;

/// Results in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    last: Option<bool>,
    run: i32,
}

impl Tally {
    /// Counts a result, and tells whether it now counts for the container: after `successThreshold` or `failureThreshold` of its like.
    pub(super) fn count(&mut self, success: bool, probe: &Probe) -> bool {
        self.run = if self.last == Some(success) { self.run.saturating_add(1) } else { 1 };
        self.last = Some(success);
        let threshold =
            if success { probe.success_threshold.unwrap_or(1) } else { probe.failure_threshold.unwrap_or(3) };
        self.run >= threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_counts_when_it_came_as_often_in_a_row_as_asked_for() {
        let probe = Probe { success_threshold: Some(2), failure_threshold: Some(3), ..Probe::default() };
        let mut tally = Tally::default();
        let results = [true, true, true, false, false, true, false, false, false, false];
        let counted = results.map(|success| tally.count(success, &probe));
        assert_eq!(counted, [false, true, true, false, false, false, false, false, true, true]);
    }

    #[test]
    fn kubernetes_defaults_hold_where_nothing_is_set() {
        let mut tally = Tally::default();
        let counted = [false, false, false, true].map(|success| tally.count(success, &Probe::default()));
        assert_eq!(counted, [false, false, true, true]);
    }
}
