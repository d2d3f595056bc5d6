use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::oneshot, time::Instant};

use super::{PodInfo, Rejection};
use crate::go_duration;

/// The pods that have a node and wait for a permission to be bound there. A clone is another handle to the same.
///
/// ```
/// # use std::{sync::Arc, time::Duration};
/// # use k8s_openapi::api::core::v1::Pod;
/// # use orchestra_core::scheduler::{PodInfo, WaitingPods};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let waiting = WaitingPods::default();
/// let pod = Arc::new(PodInfo::from(Pod::default()));
/// let permission = waiting.wait(pod.clone(), "n1".into(), [("Quorum", Duration::from_secs(60))]);
/// assert_eq!(waiting.list()[0].pending, ["Quorum"]);
/// waiting.allow(pod.id(), "Quorum");
/// assert_eq!(permission.await, Ok(()));
/// assert!(waiting.list().is_empty());
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct WaitingPods {
    by_id: Arc<Mutex<BTreeMap<Arc<str>, Entry>>>,
}

/// No patience is longer: so that no sum of times is out of range.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

#[derive(Debug)]
struct Entry {
    pod: Arc<PodInfo>,
    node: Arc<str>,
    pending: BTreeSet<&'static str>,
    decided: oneshot::Sender<Result<(), Rejection>>,
    identity: Arc<()>,
}

/// A pod that waits for permissions.
#[derive(Clone, Debug)]
pub struct WaitingPod {
    /// The pod.
    pub pod: Arc<PodInfo>,
    /// The node that was chosen for it.
    pub node: Arc<str>,
    /// Whose permissions are missing, in order of their names.
    pub pending: Vec<&'static str>,
}

impl WaitingPods {
    /// Has `pod` wait for the permissions of these plugins, for so long each. The future ends with the first rejection or with the last
    /// permission; dropping it ends the wait.
    pub fn wait(
        &self,
        pod: Arc<PodInfo>,
        node: Arc<str>,
        plugins: impl IntoIterator<Item = (&'static str, Duration)>,
    ) -> impl Future<Output = Result<(), Rejection>> + Send + 'static {
        let since = Instant::now();
        let mut plugins: Vec<_> = plugins.into_iter().map(|(name, patience)| (name, patience.min(LONGEST))).collect();
        plugins.sort_by_key(|(_, patience)| *patience);
        let (decided, mut decision) = oneshot::channel();
        let pending = plugins.iter().map(|(plugin, _)| *plugin).collect();
        let id = pod.id().clone();
        let wait = Wait { pods: self.clone(), id: id.clone(), identity: Arc::default() };
        let identity = Arc::clone(&wait.identity);
        self.by_id.lock().insert(id.clone(), Entry { pod, node, pending, decided, identity });
        if plugins.is_empty() {
            self.allow(&id, "");
        }
        async move {
            // Of a pod that waits in its place there is another decision.
            let replaced = || Err(Rejection::new("waits no longer"));
            for (plugin, patience) in plugins {
                match tokio::time::timeout_at(since + patience, &mut decision).await {
                    Ok(decided) => return decided.unwrap_or_else(|_| replaced()),
                    Err(_) if wait.pods.is_pending(&wait.id, plugin) => {
                        let reason = format!(
                            "rejected due to timeout after waiting {} at plugin {plugin}",
                            go_duration(patience)
                        );
                        return Err(Rejection::new(reason).by(plugin));
                    }
                    Err(_) => {}
                }
            }
            // All patience is over, and none of them was waited for: it is decided, whichever way.
            decision.await.unwrap_or_else(|_| replaced())
        }
    }

    /// All that wait, in order of their ids.
    pub fn list(&self) -> Vec<WaitingPod> {
        let waiting = |entry: &Entry| WaitingPod {
            pod: Arc::clone(&entry.pod),
            node: Arc::clone(&entry.node),
            pending: entry.pending.iter().copied().collect(),
        };
        self.by_id.lock().values().map(waiting).collect()
    }

    /// Gives the permission of `plugin` to the pod with this [`id`](PodInfo::id). With the last one it is bound.
    pub fn allow(&self, id: &str, plugin: &str) {
        let mut by_id = self.by_id.lock();
        let Some(entry) = by_id.get_mut(id) else { return };
        entry.pending.remove(plugin);
        if entry.pending.is_empty()
            && let Some(entry) = by_id.remove(id)
        {
            // Who waited may have given up; then there is nothing to tell.
            let _ = entry.decided.send(Ok(()));
        }
    }

    /// Refuses the permission of `plugin`: the pod gives its node up and is tried again when something happens that may help. `false` if
    /// it does not wait.
    pub fn reject(&self, id: &str, plugin: &str, reason: impl Into<String>) -> bool {
        let Some(entry) = self.by_id.lock().remove(id) else { return false };
        entry.decided.send(Err(Rejection::new(reason.into()).by(plugin.to_owned()))).is_ok()
    }

    fn is_pending(&self, id: &str, plugin: &str) -> bool {
        self.by_id.lock().get(id).is_some_and(|entry| entry.pending.contains(plugin))
    }
}

/// Takes a pod out when it waits no longer, but not another that waits in its place.
struct Wait {
    pods: WaitingPods,
    id: Arc<str>,
    identity: Arc<()>,
}

impl Drop for Wait {
    fn drop(&mut self) {
        let mut by_id = self.pods.by_id.lock();
        if by_id.get(&self.id).is_some_and(|entry| Arc::ptr_eq(&entry.identity, &self.identity)) {
            by_id.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn pod() -> Arc<PodInfo> {
        let mut pod = Pod::default();
        pod.metadata.uid = Some("u".to_owned());
        Arc::new(pod.into())
    }

    #[tokio::test]
    async fn all_permissions_are_needed() {
        let waiting = WaitingPods::default();
        let permission = waiting.wait(pod(), "n1".into(), [("A", MINUTE), ("B", MINUTE)]);
        waiting.allow("u", "A");
        waiting.allow("u", "A");
        assert_eq!(waiting.list()[0].pending, ["B"]);
        waiting.allow("u", "B");
        assert_eq!(permission.await, Ok(()));
    }

    #[tokio::test]
    async fn one_rejection_is_enough() {
        let waiting = WaitingPods::default();
        let permission = waiting.wait(pod(), "n1".into(), [("A", MINUTE), ("B", MINUTE)]);
        waiting.reject("u", "B", "no quorum");
        assert_eq!(permission.await, Err(Rejection::new("no quorum").by("B")));
        assert!(waiting.list().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_patience_of_a_plugin_that_gave_its_permission_does_not_count() {
        let waiting = WaitingPods::default();
        let permission = waiting.wait(pod(), "n1".into(), [("A", MINUTE), ("B", 2 * MINUTE)]);
        waiting.allow("u", "A");
        let expected = Rejection::new("rejected due to timeout after waiting 2m0s at plugin B").by("B");
        assert_eq!(permission.await, Err(expected));
        assert!(waiting.list().is_empty());
    }

    #[tokio::test]
    async fn a_wait_for_nobody_is_over_at_once() {
        assert_eq!(WaitingPods::default().wait(pod(), "n1".into(), []).await, Ok(()));
    }

    #[tokio::test]
    async fn who_waits_in_the_place_of_another_is_not_taken_out_with_it() {
        let waiting = WaitingPods::default();
        let first = waiting.wait(pod(), "n1".into(), [("A", MINUTE)]);
        let second = waiting.wait(pod(), "n1".into(), [("A", MINUTE)]);
        assert_eq!(first.await, Err(Rejection::new("waits no longer")));
        waiting.allow("u", "A");
        assert_eq!(second.await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn patience_counts_from_when_the_wait_was_asked_for() {
        let waiting = WaitingPods::default();
        let permission = waiting.wait(pod(), "n1".into(), [("A", MINUTE)]);
        tokio::time::sleep(MINUTE).await;
        let since = Instant::now();
        assert!(permission.await.is_err());
        assert_eq!(since.elapsed(), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_is_over() {
        let waiting = WaitingPods::default();
        drop(waiting.wait(pod(), "n1".into(), [("A", MINUTE)]));
        assert!(waiting.list().is_empty());
    }
}
