use k8s_openapi::api::core::v1::{Container, PodSpec};
use orchestra_core::scheduler::{ClusterEvent, EventKind, NodeInfo, PodInfo, Rejection, Snapshot};

use crate::framework::{CycleState, Filter, Plugin, PreFilter, PreFilterOutcome, Requeue};

/// Keeps pods off nodes that do not declare what the pods need of them (`status.declaredFeatures`, KEP-5328).
///
/// A pod names no feature itself: what it needs is seen in its spec. The features are those that Kubernetes 1.36 looks for when pods are
/// scheduled.
#[derive(Clone, Copy, Debug, Default)]
pub struct NodeDeclaredFeatures;

/// A feature, and whether a pod needs it.
type Feature = (&'static str, fn(&PodSpec) -> bool);

const FEATURES: [Feature; 2] = [
    ("RestartAllContainersOnContainerExits", restarts_all_containers),
    ("UserNamespacesHostNetworkSupport", has_own_users_in_the_hosts_network),
];

fn restarts_all_containers(spec: &PodSpec) -> bool {
    let rules = |container: &Container| {
        let rules = container.restart_policy_rules.iter().flatten();
        rules.clone().any(|rule| rule.action == "RestartAllContainers")
    };
    spec.containers.iter().chain(spec.init_containers.iter().flatten()).any(rules)
}

fn has_own_users_in_the_hosts_network(spec: &PodSpec) -> bool {
    spec.host_network == Some(true) && spec.host_users == Some(false)
}

/// The features that a pod needs.
fn needed(pod: &PodInfo) -> Vec<&'static str> {
    let needs = |(name, needs): &Feature| pod.spec().is_some_and(needs).then_some(*name);
    FEATURES.iter().filter_map(needs).collect()
}

/// What the pod of a decision needs.
struct Needed(Vec<&'static str>);

impl Plugin for NodeDeclaredFeatures {
    fn name(&self) -> &'static str {
        "NodeDeclaredFeatures"
    }

    fn as_pre_filter(&self) -> Option<&dyn PreFilter> {
        Some(self)
    }

    fn as_filter(&self) -> Option<&dyn Filter> {
        Some(self)
    }

    fn as_requeue(&self) -> Option<&dyn Requeue> {
        Some(self)
    }
}

impl PreFilter for NodeDeclaredFeatures {
    fn pre_filter(&self, state: &mut CycleState, pod: &PodInfo, _: &Snapshot) -> PreFilterOutcome {
        let needed = needed(pod);
        if needed.is_empty() {
            return PreFilterOutcome::Skip;
        }
        state.write(Needed(needed));
        PreFilterOutcome::Continue
    }
}

impl Filter for NodeDeclaredFeatures {
    fn filter(&self, state: &CycleState, _: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let needed = state.read::<Needed>().map_or(&[][..], |needed| &needed.0);
        let declared = node.declared_features();
        match needed.iter().all(|name| declared.iter().any(|declared| declared == name)) {
            true => Ok(()),
            false => Err(Rejection::new("node(s) didn't match Pod's required features").unresolvable()),
        }
    }
}

impl Requeue for NodeDeclaredFeatures {
    fn concerns(&self, kind: EventKind) -> bool {
        matches!(kind, EventKind::NodeAdded | EventKind::NodeUpdated | EventKind::PodUpdated)
    }

    fn may_help(&self, event: &ClusterEvent, _: &PodInfo) -> bool {
        match event {
            ClusterEvent::NodeUpdated { old, new } => old.declared_features() != new.declared_features(),
            ClusterEvent::PodUpdated { old, new } => needed(old) != needed(new),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::{super::testing::*, *};

    fn restarting(place: &str) -> PodInfo {
        let rules = json!([{ "action": "RestartAllContainers", "exitCodes": { "operator": "In", "values": [42] } }]);
        pod(json!({ place: [{ "name": "c", "restartPolicy": "Never", "restartPolicyRules": rules }] }))
    }

    fn declaring(features: Value) -> NodeInfo {
        node(json!({ "status": { "declaredFeatures": features } }))
    }

    fn lacks() -> Option<(String, bool)> {
        Some(("node(s) didn't match Pod's required features".to_owned(), false))
    }

    #[test]
    fn a_pod_that_restarts_all_containers_needs_a_node_that_can() {
        for place in ["containers", "initContainers"] {
            let able = declaring(json!(["Another", "RestartAllContainersOnContainerExits"]));
            assert_eq!(verdict(&NodeDeclaredFeatures, &restarting(place), &able), None);
            for other in [json!(null), json!([]), json!(["Another"])] {
                assert_eq!(verdict(&NodeDeclaredFeatures, &restarting(place), &declaring(other)), lacks());
            }
        }
    }

    #[test]
    fn a_pod_with_its_own_users_in_the_hosts_network_needs_a_node_that_can() {
        let both = pod(json!({ "hostNetwork": true, "hostUsers": false }));
        let able = declaring(json!(["UserNamespacesHostNetworkSupport"]));
        assert_eq!(verdict(&NodeDeclaredFeatures, &both, &able), None);
        assert_eq!(verdict(&NodeDeclaredFeatures, &both, &declaring(json!([]))), lacks());
        for one in [
            json!({ "hostNetwork": true }),
            json!({ "hostUsers": false }),
            json!({ "hostNetwork": true, "hostUsers": true }),
        ] {
            assert_eq!(verdict(&NodeDeclaredFeatures, &pod(one), &declaring(json!([]))), None);
        }
    }

    #[test]
    fn a_pod_that_needs_nothing_fits_everywhere_and_the_plugin_is_not_asked() {
        let rules = json!([{ "action": "Restart", "exitCodes": { "operator": "In", "values": [1] } }]);
        let plain = pod(json!({ "containers": [{ "name": "c", "restartPolicyRules": rules }] }));
        let mut state = CycleState::default();
        let outcome = NodeDeclaredFeatures.pre_filter(&mut state, &plain, &Snapshot::default());
        assert_eq!(outcome, PreFilterOutcome::Skip);
    }

    #[test]
    fn a_pod_may_need_several() {
        let mut both = json!({ "hostNetwork": true, "hostUsers": false });
        both["containers"] = json!([{ "name": "c", "restartPolicyRules": [{ "action": "RestartAllContainers" }] }]);
        let one = declaring(json!(["UserNamespacesHostNetworkSupport"]));
        assert_eq!(verdict(&NodeDeclaredFeatures, &pod(both.clone()), &one), lacks());
        let two = declaring(json!(["RestartAllContainersOnContainerExits", "UserNamespacesHostNetworkSupport"]));
        assert_eq!(verdict(&NodeDeclaredFeatures, &pod(both), &two), None);
    }

    #[test]
    fn a_node_that_comes_or_declares_something_else_is_worth_another_attempt() {
        let (none, some) = (Arc::new(declaring(json!([]))), Arc::new(declaring(json!(["X"]))));
        let helps = |event| NodeDeclaredFeatures.may_help(&event, &restarting("containers"));
        assert!(helps(ClusterEvent::NodeAdded(none.clone())));
        assert!(helps(ClusterEvent::NodeUpdated { old: none.clone(), new: some }));
        assert!(!helps(ClusterEvent::NodeUpdated { old: none.clone(), new: none }));
        assert!(!NodeDeclaredFeatures.concerns(EventKind::PodReleased));
    }

    #[test]
    fn a_pod_that_needs_something_else_is_worth_another_attempt() {
        let (old, same, other) = (restarting("containers"), restarting("containers"), pod(json!({})));
        let helps = |new: PodInfo| {
            let event = ClusterEvent::PodUpdated { old: Arc::new(old.clone()), new: Arc::new(new) };
            NodeDeclaredFeatures.may_help(&event, &old)
        };
        assert!(helps(other) && !helps(same));
    }
}
