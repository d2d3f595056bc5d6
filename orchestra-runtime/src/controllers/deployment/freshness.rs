use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::apps::v1::ReplicaSet;
use parking_lot::Mutex;

/// Which replica sets' newest states the controller knows of, so that it does not decide on older ones.
///
/// The informer lags behind the controller's own writes, and a write whose answer got lost may have happened or not. Deciding on
/// one set while the cache shows another as it was would exceed the bounds of a rollout.
#[derive(Default)]
pub(super) struct Freshness {
    by_deployment: Mutex<BTreeMap<String, Known>>,
}

#[derive(Default)]
struct Known {
    /// The newest version seen of each set, by uid.
    versions: BTreeMap<String, u64>,
    /// A write may have happened.
    in_doubt: bool,
}

/// Versions of one resource can be compared as numbers (KEP-5504).
fn version(set: &ReplicaSet) -> Option<u64> {
    set.metadata.resource_version.as_deref()?.parse().ok()
}

impl Freshness {
    /// A set of the deployment was written or read at the server.
    pub(super) fn saw(&self, deployment: &str, set: &ReplicaSet) {
        let (Some(uid), Some(version)) = (set.metadata.uid.clone(), version(set)) else { return };
        let mut all = self.by_deployment.lock();
        let newest = all.entry(deployment.to_owned()).or_default().versions.entry(uid).or_default();
        *newest = version.max(*newest);
    }

    /// A write to a set of the deployment may or may not have happened.
    pub(super) fn doubt(&self, deployment: &str) {
        self.by_deployment.lock().entry(deployment.to_owned()).or_default().in_doubt = true;
    }

    /// Whether `cached` is at least as new as all that is known.
    pub(super) fn is_current(&self, deployment: &str, cached: &[Arc<ReplicaSet>]) -> bool {
        let mut all = self.by_deployment.lock();
        let Some(known) = all.get(deployment) else { return true };
        let is_new = |(uid, known): (&String, &u64)| {
            let cached = cached.iter().find(|set| set.metadata.uid.as_ref() == Some(uid));
            cached.and_then(|set| version(set)).is_some_and(|version| version >= *known)
        };
        let is_current = !known.in_doubt && known.versions.iter().all(is_new);
        if is_current {
            all.remove(deployment);
        }
        is_current
    }

    /// The set is gone, and will not show up.
    pub(super) fn forget_set(&self, deployment: &str, set: &ReplicaSet) {
        if let (Some(known), Some(uid)) = (self.by_deployment.lock().get_mut(deployment), &set.metadata.uid) {
            known.versions.remove(uid);
        }
    }

    /// The deployment is gone, or the server is asked anew.
    pub(super) fn forget(&self, deployment: &str) {
        self.by_deployment.lock().remove(deployment);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(version: &str) -> Arc<ReplicaSet> {
        let mut set = ReplicaSet::default();
        set.metadata.uid = Some("set".into());
        set.metadata.resource_version = Some(version.into());
        Arc::new(set)
    }

    #[test]
    fn a_cache_is_current_when_it_shows_the_last_write() {
        let freshness = Freshness::default();
        assert!(freshness.is_current("d", &[]));
        freshness.saw("d", &set("100"));
        assert!(!freshness.is_current("d", &[]));
        assert!(!freshness.is_current("d", &[set("99")]));
        assert!(freshness.is_current("d", &[set("100")]));
        assert!(freshness.is_current("d", &[set("99")]));
    }

    #[test]
    fn doubt_lasts_until_the_server_was_asked() {
        let freshness = Freshness::default();
        freshness.doubt("d");
        assert!(!freshness.is_current("d", &[set("1")]));
        freshness.forget("d");
        assert!(freshness.is_current("d", &[set("1")]));
    }
}
