use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use orchestra_core::ObjectKey;
use parking_lot::Mutex;
use tokio::time::Instant;

/// After this time a write whose effect never showed up is not waited for any more, as in client-go's users.
const TIMEOUT: Duration = Duration::from_secs(300);

/// What replica sets have written and not seen yet.
///
/// The pod informer lags behind the controller's own writes. Until it has shown them, counting pods would create or delete
/// too many.
#[derive(Default)]
pub(super) struct Expectations {
    by_owner: Mutex<BTreeMap<String, Expected>>,
    in_doubt: Mutex<BTreeSet<String>>,
}

struct Expected {
    creations: i64,
    deletions: BTreeSet<ObjectKey>,
    since: Instant,
}

impl Default for Expected {
    fn default() -> Self {
        Self { creations: 0, deletions: BTreeSet::new(), since: Instant::now() }
    }
}

impl Expectations {
    /// `count` pods are about to be created for the replica set with uid `owner`.
    pub(super) fn expect_creations(&self, owner: &str, count: usize) {
        let expected = Expected { creations: i64::try_from(count).unwrap_or(i64::MAX), ..Expected::default() };
        self.by_owner.lock().insert(owner.to_owned(), expected);
    }

    /// These pods are about to be deleted.
    pub(super) fn expect_deletions(&self, owner: &str, pods: impl IntoIterator<Item = ObjectKey>) {
        let expected = Expected { deletions: pods.into_iter().collect(), ..Expected::default() };
        self.by_owner.lock().insert(owner.to_owned(), expected);
    }

    /// A pod was created, or will not be.
    pub(super) fn created(&self, owner: &str) {
        if let Some(expected) = self.by_owner.lock().get_mut(owner) {
            expected.creations -= 1;
        }
    }

    /// A pod is being deleted, or will not be.
    pub(super) fn deleted(&self, owner: &str, pod: &ObjectKey) {
        if let Some(expected) = self.by_owner.lock().get_mut(owner) {
            expected.deletions.remove(pod);
        }
    }

    /// Whether all that was written has been seen.
    pub(super) fn are_met(&self, owner: &str) -> bool {
        self.by_owner.lock().get(owner).is_none_or(|expected| {
            (expected.creations <= 0 && expected.deletions.is_empty()) || expected.since.elapsed() > TIMEOUT
        })
    }

    /// A write may have happened or not: what to expect is not known until the server was asked.
    pub(super) fn doubt(&self, owner: &str) {
        self.in_doubt.lock().insert(owner.to_owned());
    }

    /// Whether the server must be asked.
    pub(super) fn is_in_doubt(&self, owner: &str) -> bool {
        self.in_doubt.lock().contains(owner)
    }

    /// The informer shows what the server has.
    pub(super) fn settle(&self, owner: &str) {
        self.in_doubt.lock().remove(owner);
    }

    /// The replica set is gone.
    pub(super) fn forget(&self, owner: &str) {
        self.settle(owner);
        self.by_owner.lock().remove(owner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn creations_are_met_when_all_were_seen() {
        let expectations = Expectations::default();
        assert!(expectations.are_met("rs"));
        expectations.expect_creations("rs", 2);
        expectations.created("rs");
        assert!(!expectations.are_met("rs"));
        expectations.created("rs");
        assert!(expectations.are_met("rs"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deletion_is_counted_once_however_often_it_is_told() {
        let expectations = Expectations::default();
        let pod = |name: &str| ObjectKey::namespaced("default", name);
        expectations.expect_deletions("rs", [pod("a"), pod("b")]);
        expectations.deleted("rs", &pod("a"));
        expectations.deleted("rs", &pod("a"));
        assert!(!expectations.are_met("rs"));
        expectations.deleted("rs", &pod("b"));
        assert!(expectations.are_met("rs"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_never_shows_up_is_given_up() {
        let expectations = Expectations::default();
        expectations.expect_creations("rs", 1);
        tokio::time::sleep(TIMEOUT + Duration::from_secs(1)).await;
        assert!(expectations.are_met("rs"));
    }
}
