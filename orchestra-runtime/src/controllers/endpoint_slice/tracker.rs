use std::{collections::BTreeMap, sync::Arc, time::Duration};

use k8s_openapi::{api::discovery::v1::EndpointSlice, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use orchestra_core::{ObjectKey, informer::Change};
use parking_lot::Mutex;
use tokio::time::Instant;

/// After this time the informer has what was written, or it missed it: a slice may come and go while it lists anew.
const PATIENCE: Duration = Duration::from_secs(5);

/// Which states of slices the controller wrote and the informer has not shown yet.
///
/// Plans are made of what the informer shows. Made of slices of before the last write they would put the same endpoint into two of
/// them.
#[derive(Default)]
pub(in crate::controllers) struct Tracker {
    by_service: Mutex<BTreeMap<ObjectKey, Written>>,
}

struct Written {
    /// By uid. Versions grow with every write.
    slices: BTreeMap<String, State>,
    /// When the last was written.
    since: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Version(u64),
    Deleted,
}

impl Tracker {
    /// A slice was created or updated.
    pub(in crate::controllers) fn wrote(&self, service: &ObjectKey, slice: &ObjectMeta) {
        self.note(service, slice, State::Version(version(slice)));
    }

    /// A slice was deleted.
    pub(in crate::controllers) fn deleted(&self, service: &ObjectKey, slice: &ObjectMeta) {
        self.note(service, slice, State::Deleted);
    }

    fn note(&self, service: &ObjectKey, slice: &ObjectMeta, state: State) {
        let mut services = self.by_service.lock();
        let now = Instant::now();
        let written =
            services.entry(service.clone()).or_insert_with(|| Written { slices: BTreeMap::new(), since: now });
        written.since = now;
        written.slices.insert(slice.uid.clone().unwrap_or_default(), state);
    }

    /// Whether the informer does not show yet what was written.
    pub(in crate::controllers) fn is_behind(&self, service: &ObjectKey, shown: &[Arc<EndpointSlice>]) -> bool {
        let mut services = self.by_service.lock();
        let Some(written) = services.get_mut(service) else { return false };
        let find = |uid: &String| shown.iter().find(|slice| slice.metadata.uid.as_ref() == Some(uid));
        written.slices.retain(|uid, state| match (find(uid), *state) {
            (Some(slice), State::Version(wrote)) => version(&slice.metadata) < wrote,
            (None, State::Version(_)) | (Some(_), State::Deleted) => true,
            (None, State::Deleted) => false,
        });
        let behind = !written.slices.is_empty() && written.since.elapsed() < PATIENCE;
        if !behind {
            services.remove(service);
        }
        behind
    }

    /// Whether a change is somebody else's: not of a state that was written here.
    pub(in crate::controllers) fn is_foreign(&self, service: &ObjectKey, change: &Change<EndpointSlice>) -> bool {
        let mut services = self.by_service.lock();
        let metadata = &change.object().metadata;
        let uid = metadata.uid.as_deref().unwrap_or_default();
        let Some(written) = services.get_mut(service) else { return true };
        match (change, written.slices.get(uid).copied()) {
            (Change::Deleted(_), state) => {
                // It will not be shown any more, whoever deleted it.
                written.slices.remove(uid);
                state != Some(State::Deleted)
            }
            (_, Some(State::Version(wrote))) => version(metadata) > wrote,
            (_, Some(State::Deleted)) => false,
            (_, None) => true,
        }
    }

    /// Forgets a Service that is gone.
    pub(in crate::controllers) fn forget(&self, service: &ObjectKey) {
        self.by_service.lock().remove(service);
    }
}

fn version(metadata: &ObjectMeta) -> u64 {
    metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn slice(uid: &str, version: &str) -> Arc<EndpointSlice> {
        let metadata = json!({"name": uid, "uid": uid, "resourceVersion": version});
        Arc::new(serde_json::from_value(json!({"metadata": metadata, "addressType": "IPv4"})).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn plans_wait_until_writes_are_shown() {
        let tracker = Tracker::default();
        let service = ObjectKey::namespaced("default", "web");
        tracker.wrote(&service, &slice("a", "7").metadata);
        tracker.deleted(&service, &slice("b", "6").metadata);
        assert!(tracker.is_behind(&service, &[slice("a", "5"), slice("b", "6")]));
        assert!(tracker.is_behind(&service, &[slice("a", "7"), slice("b", "6")]));
        assert!(!tracker.is_behind(&service, &[slice("a", "8")]));
        tracker.wrote(&service, &slice("c", "9").metadata);
        assert!(tracker.is_behind(&service, &[]));
        tokio::time::advance(PATIENCE).await;
        assert!(!tracker.is_behind(&service, &[]), "what is never shown is not waited for");
    }

    #[tokio::test(start_paused = true)]
    async fn changes_of_others_are_told_apart() {
        let tracker = Tracker::default();
        let service = ObjectKey::namespaced("default", "web");
        tracker.wrote(&service, &slice("a", "7").metadata);
        let updated = |version| Change::Updated { old: slice("a", "1"), new: slice("a", version) };
        assert!(!tracker.is_foreign(&service, &updated("7")));
        assert!(tracker.is_foreign(&service, &updated("8")));
        assert!(tracker.is_foreign(&service, &Change::Deleted(slice("a", "8"))));
        assert!(!tracker.is_behind(&service, &[]), "what somebody deleted is not waited for");
    }
}
