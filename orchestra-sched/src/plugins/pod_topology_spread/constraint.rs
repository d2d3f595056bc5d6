//! A pod's constraints, and what they count.

use k8s_openapi::api::core::v1::{Toleration, TopologySpreadConstraint};
use orchestra_core::{
    scheduler::{NodeInfo, PodInfo},
    selector::label::{Operator, ParseError, Requirement, Selector},
};

use super::super::{
    node_affinity::Required,
    tally::Question,
    toleration::{may_go_to, tolerations},
};

/// One `topologySpreadConstraint`.
#[derive(Clone, PartialEq)]
pub(super) struct Constraint {
    pub(super) max_skew: i64,
    pub(super) key: String,
    pub(super) selector: Selector,
    pub(super) min_domains: i64,
    honors_affinity: bool,
    pub(super) honors_taints: bool,
}

impl Constraint {
    /// The pod's constraints that are required, or those that are not.
    pub(super) fn of(pod: &PodInfo, required: bool) -> Result<Vec<Self>, ParseError> {
        let all = pod.spec().and_then(|spec| spec.topology_spread_constraints.as_deref()).unwrap_or_default();
        let wanted = all.iter().filter(|constraint| (constraint.when_unsatisfiable == "DoNotSchedule") == required);
        wanted.map(|constraint| Self::read(pod, constraint)).collect()
    }

    /// Whether the pod has any of its own.
    pub(super) fn any(pod: &PodInfo) -> bool {
        pod.spec().is_some_and(|spec| spec.topology_spread_constraints.as_ref().is_some_and(|all| !all.is_empty()))
    }

    fn read(pod: &PodInfo, constraint: &TopologySpreadConstraint) -> Result<Self, ParseError> {
        let mut selector = constraint.label_selector.as_ref().map_or(Ok(Selector::nothing()), Selector::try_from)?;
        for key in constraint.match_label_keys.iter().flatten() {
            // KEP-3243: a key that the pod has no label of is passed over.
            if let Some(value) = pod.labels().get(key) {
                selector =
                    selector.and(Requirement { key: key.clone(), operator: Operator::In(vec![value.to_owned()]) });
            }
        }
        Ok(Self::new(constraint, selector))
    }

    /// The constraint, on the pods that `selector` selects.
    pub(super) fn new(constraint: &TopologySpreadConstraint, selector: Selector) -> Self {
        // KEP-3094: by default affinities are honored, and taints are not.
        let honors = |policy: &Option<String>, default| policy.as_ref().map_or(default, |policy| policy == "Honor");
        Self {
            max_skew: constraint.max_skew.into(),
            key: constraint.topology_key.clone(),
            selector,
            min_domains: constraint.min_domains.unwrap_or(1).into(),
            honors_affinity: honors(&constraint.node_affinity_policy, true),
            honors_taints: honors(&constraint.node_taints_policy, false),
        }
    }

    /// Whether pods like `pod` count.
    pub(super) fn counts(&self, pod: &PodInfo) -> bool {
        self.selector.matches(pod.labels())
    }
}

/// Whether the node has a value for each constraint.
pub(super) fn has_keys(constraints: &[Constraint], node: &NodeInfo) -> bool {
    constraints.iter().all(|constraint| node.labels().contains_key(&constraint.key))
}

/// How many pods that count there are, by the values of the constraints' keys.
#[derive(Clone, PartialEq)]
pub(super) struct Spread {
    namespace: Option<String>,
    pub(super) constraints: Vec<Constraint>,
    required: Option<Required>,
    tolerations: Vec<Toleration>,
    /// Whether a node has to have the labels of all constraints to count for one.
    pub(super) needs_all_keys: bool,
}

impl Spread {
    pub(super) fn of(pod: &PodInfo, constraints: Vec<Constraint>) -> Self {
        let honors_taints = constraints.iter().any(|constraint| constraint.honors_taints);
        Self {
            namespace: pod.key().namespace().map(str::to_owned),
            required: Required::of(pod).filter(|_| constraints.iter().any(|constraint| constraint.honors_affinity)),
            tolerations: if honors_taints { tolerations(pod).to_vec() } else { Vec::new() },
            constraints,
            needs_all_keys: true,
        }
    }

    /// The same, of nodes that have the labels of some constraints too.
    pub(super) fn of_any_keys(self) -> Self {
        Self { needs_all_keys: false, ..self }
    }

    /// Whether the node is looked at.
    pub(super) fn compares(&self, node: &NodeInfo) -> bool {
        !self.needs_all_keys || has_keys(&self.constraints, node)
    }

    /// Of each constraint, whether the node's pods count.
    pub(super) fn counts_node(&self, node: &NodeInfo) -> Vec<bool> {
        self.constraints.iter().map(|constraint| self.includes(constraint, node)).collect()
    }

    /// Whether the constraint counts pods like `pod`, wherever they are.
    pub(super) fn counts_pod(&self, key: usize, pod: &PodInfo) -> bool {
        pod.key().namespace() == self.namespace.as_deref() && !pod.is_terminating() && self.constraints[key].counts(pod)
    }

    fn includes(&self, constraint: &Constraint, node: &NodeInfo) -> bool {
        (!constraint.honors_affinity || self.required.as_ref().is_none_or(|required| required.matches(node)))
            && (!constraint.honors_taints || may_go_to(&self.tolerations, node))
    }
}

impl Question for Spread {
    fn keys(&self) -> Vec<String> {
        self.constraints.iter().map(|constraint| constraint.key.clone()).collect()
    }

    fn count(&self, key: usize, node: &NodeInfo) -> Option<u32> {
        let constraint = &self.constraints[key];
        if !self.compares(node) || !self.includes(constraint, node) {
            return None;
        }
        u32::try_from(node.pods().iter().filter(|pod| self.counts_pod(key, pod)).count()).ok()
    }
}
