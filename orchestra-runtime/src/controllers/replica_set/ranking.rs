//! Which pods of a replica set go first when there are too many.

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use crate::controllers::pod_state::{self, Availability};
use crate::lean_pod::LeanPod;

/// The annotation by which users say how much a pod is worth (KEP-2255); lower goes first.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// What the order of deletion looks at, in this order.
struct Rank {
    assigned: bool,
    phase: u8,
    ready: bool,
    /// Unlike in Kubernetes, which may delete available pods before ones that are ready only for a moment. A deployment counts on it.
    available: bool,
    cost: i32,
    /// Related pods on the same node.
    doubled: usize,
    ready_since: Option<Timestamp>,
    restarts: i32,
    created: Option<Timestamp>,
    uid: String,
}

impl Rank {
    fn of(pod: &Pod, doubled: usize, min_ready_seconds: i32, now: Timestamp) -> Self {
        let annotations = pod.metadata.annotations.as_ref();
        Self {
            assigned: node(pod).is_some(),
            phase: match pod_state::phase(pod) {
                "Pending" => 0,
                "Unknown" => 1,
                _ => 2,
            },
            ready: pod_state::is_ready(pod),
            available: pod_state::availability(pod, min_ready_seconds, now) == Availability::Available,
            cost: annotations.and_then(|all| all.get(DELETION_COST)?.parse().ok()).unwrap_or(0),
            doubled,
            ready_since: pod_state::ready_since(pod),
            restarts: pod_state::max_restarts(pod),
            created: pod.metadata.creation_timestamp.as_ref().map(|time| time.0),
            uid: pod.metadata.uid.clone().unwrap_or_default(),
        }
    }

    /// What goes first is less.
    fn compare(&self, other: &Self, now: Timestamp) -> Ordering {
        let by_ready_time = || match self.ready && other.ready {
            true => younger_first((self.ready_since, &self.uid), (other.ready_since, &other.uid), now),
            false => Ordering::Equal,
        };
        self.assigned
            .cmp(&other.assigned)
            .then(self.phase.cmp(&other.phase))
            .then(self.ready.cmp(&other.ready))
            .then(self.available.cmp(&other.available))
            .then(self.cost.cmp(&other.cost))
            .then(other.doubled.cmp(&self.doubled))
            .then_with(by_ready_time)
            .then(other.restarts.cmp(&self.restarts))
            .then_with(|| younger_first((self.created, &self.uid), (other.created, &other.uid), now))
    }
}

/// The younger first, but ages of the same order of magnitude are equal and then ordered by uid: that spreads what goes over
/// pods of like age (KEP-2185).
fn younger_first(a: (Option<Timestamp>, &str), b: (Option<Timestamp>, &str), now: Timestamp) -> Ordering {
    if a.0 == b.0 {
        return Ordering::Equal;
    }
    let (Some(a_time), Some(b_time)) = (a.0, b.0) else { return a.0.is_some().cmp(&b.0.is_some()) };
    let magnitude = |time: Timestamp| now.duration_since(time).as_nanos().checked_ilog2();
    magnitude(a_time).cmp(&magnitude(b_time)).then_with(|| a.1.cmp(b.1))
}

fn node(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref().filter(|name| !name.is_empty())
}

/// The `count` of `pods` to delete. `related` are the pods of all replica sets of the same owner: pods that share a node with
/// many of them go early.
pub(super) fn choose(
    pods: &[Arc<LeanPod>],
    related: &[Arc<LeanPod>],
    count: usize,
    min_ready_seconds: i32,
    now: Timestamp,
) -> Vec<Arc<LeanPod>> {
    if count >= pods.len() {
        return pods.to_vec();
    }
    let mut on_node = BTreeMap::<&str, usize>::new();
    for name in related.iter().filter(|pod| pod_state::is_active(pod)).filter_map(|pod| node(pod)) {
        *on_node.entry(name).or_default() += 1;
    }
    let doubled = |pod: &Pod| node(pod).and_then(|name| on_node.get(name)).copied().unwrap_or(0);
    let mut ranked: Vec<_> =
        pods.iter().map(|pod| (Rank::of(pod, doubled(pod), min_ready_seconds, now), pod)).collect();
    ranked.sort_by(|a, b| a.0.compare(&b.0, now));
    ranked.into_iter().take(count).map(|(_, pod)| Arc::clone(pod)).collect()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::{Value, json};

    use super::*;

    const NOW: &str = "2026-01-01T12:00:00Z";

    fn pod(name: &str, node: Option<&str>, phase: &str, ready: Option<&str>) -> Pod {
        let conditions: Vec<Value> = ready
            .map(|since| json!({"type": "Ready", "status": "True", "lastTransitionTime": since}))
            .into_iter()
            .collect();
        serde_json::from_value(json!({
            "metadata": {"name": name, "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"containers": [], "nodeName": node},
            "status": {"phase": phase, "conditions": conditions},
        }))
        .unwrap()
    }

    fn order(pods: &[Pod], related: &[Pod]) -> Vec<String> {
        let shared = |pods: &[Pod]| pods.iter().cloned().map(LeanPod::from).map(Arc::new).collect::<Vec<_>>();
        // One that outlasts all others makes `choose` rank them all.
        let mut all = shared(pods);
        let mut last = pod("zz", Some("quiet"), "Running", Some("2025-01-01T00:00:00Z"));
        last.metadata.annotations = Some([(DELETION_COST.to_owned(), "1000".to_owned())].into());
        all.push(Arc::new(last.into()));
        let chosen = choose(&all, &shared(related), pods.len(), 60, NOW.parse().unwrap());
        chosen.iter().map(|pod| pod.metadata.name.clone().unwrap()).collect()
    }

    #[test]
    fn what_serves_least_goes_first() {
        let since = Some("2026-01-01T01:00:00Z");
        let pods = [
            pod("ready", Some("n"), "Running", since),
            pod("running", Some("n"), "Running", None),
            pod("unknown", Some("n"), "Unknown", None),
            pod("pending", Some("n"), "Pending", None),
            pod("unassigned", None, "Pending", None),
        ];
        assert_eq!(order(&pods, &[]), ["unassigned", "pending", "unknown", "running", "ready"]);
    }

    #[test]
    fn cheap_goes_before_doubled_up_before_young() {
        let since = Some("2026-01-01T01:00:00Z");
        let mut cheap = pod("cheap", Some("a"), "Running", since);
        cheap.metadata.annotations = Some([(DELETION_COST.to_owned(), "-1".to_owned())].into());
        let pods = [
            pod("old", Some("a"), "Running", since),
            pod("young", Some("a"), "Running", Some("2026-01-01T11:58:50Z")),
            pod("doubled", Some("b"), "Running", since),
            pod("not yet available", Some("a"), "Running", Some("2026-01-01T11:59:01Z")),
            cheap,
        ];
        let related = [pods[2].clone(), pods[2].clone()];
        assert_eq!(order(&pods, &related), ["not yet available", "cheap", "doubled", "young", "old"]);
    }

    #[test]
    fn like_ages_are_ordered_by_uid_and_restarts_count() {
        let pods = [
            pod("b", Some("n"), "Running", Some("2026-01-01T01:00:00Z")),
            pod("a", Some("n"), "Running", Some("2026-01-01T01:30:00Z")),
        ];
        assert_eq!(order(&pods, &[]), ["a", "b"]);

        let mut crashing = pod("z", Some("n"), "Running", None);
        crashing.status.as_mut().unwrap().container_statuses = serde_json::from_value(
            json!([{"name": "c", "ready": false, "restartCount": 3, "image": "", "imageID": ""}]),
        )
        .unwrap();
        let mut newer = pod("newer", Some("n"), "Running", None);
        newer.metadata.creation_timestamp = Some(Time("2026-01-01T11:59:59Z".parse().unwrap()));
        assert_eq!(order(&[pod("older", Some("n"), "Running", None), newer, crashing], &[]), ["z", "newer", "older"]);
    }
}
