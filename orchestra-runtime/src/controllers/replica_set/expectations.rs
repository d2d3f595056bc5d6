use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use orchestra_core::ObjectKey;
use parking_lot::Mutex;
use tokio::time::Instant;

/// After this time without its effect a write is in doubt: the informer may have missed what was made and gone again while it listed anew.
const PATIENCE: Duration = Duration::from_secs(5);

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
    /// When the last of them was written or seen.
    since: Instant,
}

impl Expected {
    fn are_met(&self) -> bool {
        self.creations <= 0 && self.deletions.is_empty()
    }
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
            expected.since = Instant::now();
        }
    }

    /// A pod is being deleted, or will not be.
    pub(super) fn deleted(&self, owner: &str, pod: &ObjectKey) {
        if let Some(expected) = self.by_owner.lock().get_mut(owner)
            && expected.deletions.remove(pod)
        {
            expected.since = Instant::now();
        }
    }

    /// For how long yet to wait for something that was written and has not been seen; `None` if all has, or if the rest is in doubt.
    pub(super) fn wait(&self, owner: &str) -> Option<Duration> {
        let by_owner = self.by_owner.lock();
        let expected = by_owner.get(owner).filter(|expected| !expected.are_met())?;
        PATIENCE.checked_sub(expected.since.elapsed()).filter(|left| !left.is_zero())
    }

    /// A write may have happened or not: what to expect is not known until the server was asked.
    pub(super) fn doubt(&self, owner: &str) {
        self.in_doubt.lock().insert(owner.to_owned());
    }

    /// Whether the server must be asked.
    pub(super) fn is_in_doubt(&self, owner: &str) -> bool {
        self.in_doubt.lock().contains(owner)
            || self.by_owner.lock().get(owner).is_some_and(|expected| !expected.are_met())
    }

    /// The informer shows what the server has.
    pub(super) fn settle(&self, owner: &str) {
        self.in_doubt.lock().remove(owner);
        self.by_owner.lock().remove(owner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn are_met(expectations: &Expectations) -> bool {
        expectations.wait("rs").is_none() && !expectations.is_in_doubt("rs")
    }

    #[tokio::test(start_paused = true)]
    async fn creations_are_met_when_all_were_seen() {
        let expectations = Expectations::default();
        assert!(are_met(&expectations));
        expectations.expect_creations("rs", 2);
        expectations.created("rs");
        assert!(expectations.wait("rs").is_some());
        expectations.created("rs");
        assert!(are_met(&expectations));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deletion_is_counted_once_however_often_it_is_told() {
        let expectations = Expectations::default();
        let pod = |name: &str| ObjectKey::namespaced("default", name);
        expectations.expect_deletions("rs", [pod("a"), pod("b")]);
        expectations.deleted("rs", &pod("a"));
        expectations.deleted("rs", &pod("a"));
        assert!(expectations.wait("rs").is_some());
        expectations.deleted("rs", &pod("b"));
        assert!(are_met(&expectations));
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_show_up_is_in_doubt_until_the_server_was_asked() {
        let expectations = Expectations::default();
        expectations.expect_creations("rs", 1);
        assert_eq!(expectations.wait("rs"), Some(PATIENCE));
        tokio::time::sleep(PATIENCE).await;
        assert!(expectations.wait("rs").is_none() && expectations.is_in_doubt("rs"));
        expectations.settle("rs");
        assert!(are_met(&expectations));
    }
}
