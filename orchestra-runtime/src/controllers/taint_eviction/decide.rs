use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use orchestra_core::scheduler::{Effect, Taint, tolerates};

/// What is to become of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// It stays.
    Stay,
    /// It stays so long if nothing changes.
    StayFor(Duration),
    /// It goes now.
    Go,
}

/// The taints of a node that have pods evicted.
pub(super) fn no_execute(node: &Node) -> Vec<Taint> {
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    taints.filter_map(Taint::read).filter(|taint| taint.effect == Effect::NoExecute).collect()
}

/// Decides about a pod on a node with these taints. Of a pod's tolerations the first that covers a taint counts; of several taints the
/// one that is tolerated for the shortest time.
pub(super) fn decide(taints: &[Taint], pod: &Pod) -> Decision {
    let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
    let mut shortest = None;
    for taint in taints {
        let Some(toleration) = tolerations.iter().find(|toleration| tolerates(toleration, taint)) else {
            return Decision::Go;
        };
        if let Some(seconds) = toleration.toleration_seconds {
            // Zero and below mean at once.
            let seconds = u64::try_from(seconds).unwrap_or(0);
            shortest = Some(shortest.map_or(seconds, |shortest: u64| shortest.min(seconds)));
        }
    }
    match shortest {
        None => Decision::Stay,
        Some(0) => Decision::Go,
        Some(seconds) => Decision::StayFor(Duration::from_secs(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn decision(taints: &[&str], tolerations: Value) -> Decision {
        let mut taints: Vec<_> = taints.iter().map(|key| json!({"key": key, "effect": "NoExecute"})).collect();
        taints.push(json!({"key": "other", "effect": "NoSchedule"}));
        let node = json!({"metadata": {}, "spec": {"taints": taints}});
        let pod = json!({"metadata": {}, "spec": {"containers": [], "tolerations": tolerations}});
        decide(&no_execute(&serde_json::from_value(node).unwrap()), &serde_json::from_value(pod).unwrap())
    }

    fn tolerating(key: &str, seconds: Option<i64>) -> Value {
        json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds})
    }

    #[test]
    fn a_pod_stays_as_long_as_it_tolerates_all_taints() {
        let for_seconds = |seconds| Decision::StayFor(Duration::from_secs(seconds));
        for (taints, tolerations, expected) in [
            (&[][..], json!([]), Decision::Stay),
            (&["a"], json!([]), Decision::Go),
            (&["a"], json!([tolerating("a", None)]), Decision::Stay),
            (&["a"], json!([tolerating("a", Some(300))]), for_seconds(300)),
            (&["a"], json!([tolerating("a", Some(-1))]), Decision::Go),
            (&["a", "b"], json!([tolerating("a", Some(300))]), Decision::Go),
            (&["a", "b"], json!([tolerating("a", Some(300)), tolerating("b", Some(20))]), for_seconds(20)),
            (&["a", "b"], json!([tolerating("a", None), tolerating("b", Some(20))]), for_seconds(20)),
            (&["a"], json!([{"operator": "Exists"}, tolerating("a", Some(5))]), Decision::Stay),
        ] {
            assert_eq!(decision(taints, tolerations.clone()), expected, "{taints:?} {tolerations}");
        }
    }
}
