//! A replica set's status, from its pods.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus},
    apimachinery::pkg::apis::meta::v1::Time,
};
use orchestra_core::selector::label::Selector;

use crate::controllers::pod_state::{self, Availability};
use crate::lean_pod::LeanPod;

/// Why the wanted number of pods could not be reached.
#[derive(Debug)]
pub(super) struct Failure {
    /// `FailedCreate` or `FailedDelete`.
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// A status and when it will change by the passing of time alone.
pub(super) struct Computed {
    pub(super) status: ReplicaSetStatus,
    pub(super) next_available: Option<Duration>,
}

/// The status of `set`, whose pods are `pods` (those that terminate included).
pub(super) fn compute(set: &ReplicaSet, pods: &[Arc<LeanPod>], failure: Option<&Failure>, now: Timestamp) -> Computed {
    let template = set.spec.as_ref().and_then(|spec| spec.template.as_ref()?.metadata.as_ref()?.labels.as_ref());
    let template = template.map(Selector::from_labels).unwrap_or_default();
    let min_ready = set.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
    let (mut active, mut labeled, mut ready, mut available, mut terminating) = (0, 0, 0, 0, 0);
    let mut next: Option<Duration> = None;
    for pod in pods {
        if !pod_state::is_active(pod) {
            terminating += i32::from(pod_state::is_terminating(pod));
            continue;
        }
        active += 1;
        labeled += i32::from(template.matches_optional(pod.metadata.labels.as_ref()));
        ready += i32::from(pod_state::is_ready(pod));
        match pod_state::availability(pod, min_ready, now) {
            Availability::Available => available += 1,
            Availability::In(left) => {
                let left = left.unsigned_abs();
                next = Some(next.map_or(left, |next| next.min(left)));
            }
            Availability::Unready => {}
        }
    }
    let count = |count: i32| (count != 0).then_some(count);
    let status = ReplicaSetStatus {
        replicas: active,
        fully_labeled_replicas: count(labeled),
        ready_replicas: count(ready),
        available_replicas: count(available),
        terminating_replicas: Some(terminating),
        observed_generation: set.metadata.generation,
        conditions: conditions(set.status.as_ref().and_then(|status| status.conditions.as_deref()), failure, now),
    };
    Computed { status, next_available: next }
}

/// The first failure stays told until there is none.
fn conditions(
    old: Option<&[ReplicaSetCondition]>,
    failure: Option<&Failure>,
    now: Timestamp,
) -> Option<Vec<ReplicaSetCondition>> {
    let is_failure = |condition: &&ReplicaSetCondition| condition.type_ == "ReplicaFailure";
    let old = old.unwrap_or_default();
    let mut conditions: Vec<_> = old.iter().filter(|condition| !is_failure(condition)).cloned().collect();
    if let Some(failure) = failure {
        conditions.push(old.iter().find(is_failure).cloned().unwrap_or_else(|| ReplicaSetCondition {
            type_: "ReplicaFailure".to_owned(),
            status: "True".to_owned(),
            reason: Some(failure.reason.to_owned()),
            message: Some(failure.message.clone()),
            last_transition_time: Some(Time(now)),
        }));
    }
    (!conditions.is_empty()).then_some(conditions)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_count_by_what_they_are() {
        let set: ReplicaSet = serde_json::from_value(json!({
            "metadata": {"generation": 3},
            "spec": {
                "minReadySeconds": 10, "selector": {},
                "template": {"metadata": {"labels": {"app": "a", "tier": "x"}}, "spec": {"containers": []}},
            },
        }))
        .unwrap();
        let pod = |labels, ready: Option<&str>, deleted: Option<&str>, phase| {
            let conditions: Vec<_> = ready
                .map(|at| json!({"type": "Ready", "status": "True", "lastTransitionTime": at}))
                .into_iter()
                .collect();
            let pod: Pod = serde_json::from_value(json!({
                "metadata": {"labels": labels, "deletionTimestamp": deleted},
                "status": {"phase": phase, "conditions": conditions},
            }))
            .unwrap();
            Arc::new(LeanPod::from(pod))
        };
        let full = json!({"app": "a", "tier": "x"});
        let pods = [
            pod(full.clone(), Some("2026-01-01T00:00:00Z"), None, "Running"),
            pod(json!({"app": "a"}), Some("2026-01-01T00:00:55Z"), None, "Running"),
            pod(full.clone(), None, None, "Pending"),
            pod(full.clone(), None, Some("2026-01-01T00:01:00Z"), "Running"),
            pod(full, None, None, "Failed"),
        ];
        let computed = compute(&set, &pods, None, "2026-01-01T00:01:00Z".parse().unwrap());
        let status = computed.status;
        assert_eq!((status.replicas, status.fully_labeled_replicas), (3, Some(2)));
        assert_eq!((status.ready_replicas, status.available_replicas), (Some(2), Some(1)));
        assert_eq!((status.terminating_replicas, status.observed_generation), (Some(1), Some(3)));
        assert_eq!(computed.next_available, Some(Duration::from_secs(5)));
    }

    #[test]
    fn a_failure_is_told_until_it_is_over() {
        let now = Timestamp::UNIX_EPOCH;
        let failure = Failure { reason: "FailedCreate", message: "no".into() };
        let told = conditions(None, Some(&failure), now).unwrap();
        assert_eq!(told[0].reason.as_deref(), Some("FailedCreate"));
        assert_eq!(conditions(Some(&told), None, now), None);
    }
}
