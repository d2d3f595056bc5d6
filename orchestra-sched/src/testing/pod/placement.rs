//! What a pod says about where it may and would rather run.

use k8s_openapi::api::core::v1::{
    NodeAffinity, NodeSelectorTerm, PodAffinityTerm, PreferredSchedulingTerm, Toleration, TopologySpreadConstraint,
    WeightedPodAffinityTerm,
};

use super::{super::words, PodBuilder};

impl PodBuilder {
    /// A label that its node must have (`nodeSelector`).
    #[must_use]
    pub fn node_selector(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.spec().node_selector.get_or_insert_default().insert(key.into(), value.into());
        self
    }

    /// A taint that it tolerates: `key=value:Effect`. Without value it tolerates any value, without effect any effect.
    #[must_use]
    #[track_caller]
    pub fn tolerate(mut self, taint: &str) -> Self {
        let toleration = words::toleration(taint);
        self.spec().tolerations.get_or_insert_default().push(toleration);
        self
    }

    /// Has it tolerate every taint.
    #[must_use]
    pub fn tolerate_everything(mut self) -> Self {
        let all = Toleration { operator: Some("Exists".to_owned()), ..Toleration::default() };
        self.spec().tolerations.get_or_insert_default().push(all);
        self
    }

    /// What its node must be like (required node affinity), as a label selector: `zone in (a,b), !spot, cores>4`. Called again,
    /// it adds an alternative: nodes that either selects will do.
    #[must_use]
    #[track_caller]
    pub fn require(mut self, selector: &str) -> Self {
        let term = node_term(selector);
        let required = self.node_affinity().required_during_scheduling_ignored_during_execution.get_or_insert_default();
        required.node_selector_terms.push(term);
        self
    }

    /// What its node had better be like (preferred node affinity), with a weight of 1 to 100.
    #[must_use]
    #[track_caller]
    pub fn prefer(mut self, weight: i32, selector: &str) -> Self {
        let term = PreferredSchedulingTerm { weight, preference: node_term(selector) };
        self.node_affinity().preferred_during_scheduling_ignored_during_execution.get_or_insert_default().push(term);
        self
    }

    /// Pods that must be in the same place (pod affinity): `affinity("app=cache", "zone")`.
    #[must_use]
    #[track_caller]
    pub fn affinity(mut self, selector: &str, topology_key: &str) -> Self {
        let term = pod_term(selector, topology_key);
        let affinity = self.spec().affinity.get_or_insert_default().pod_affinity.get_or_insert_default();
        affinity.required_during_scheduling_ignored_during_execution.get_or_insert_default().push(term);
        self
    }

    /// Pods that must not be in the same place (pod anti-affinity): `anti_affinity("app=web", "kubernetes.io/hostname")`.
    #[must_use]
    #[track_caller]
    pub fn anti_affinity(mut self, selector: &str, topology_key: &str) -> Self {
        let term = pod_term(selector, topology_key);
        let affinity = self.spec().affinity.get_or_insert_default().pod_anti_affinity.get_or_insert_default();
        affinity.required_during_scheduling_ignored_during_execution.get_or_insert_default().push(term);
        self
    }

    /// Pods that had better be in the same place, with a weight of 1 to 100.
    #[must_use]
    #[track_caller]
    pub fn prefer_affinity(mut self, weight: i32, selector: &str, topology_key: &str) -> Self {
        let term = WeightedPodAffinityTerm { weight, pod_affinity_term: pod_term(selector, topology_key) };
        let affinity = self.spec().affinity.get_or_insert_default().pod_affinity.get_or_insert_default();
        affinity.preferred_during_scheduling_ignored_during_execution.get_or_insert_default().push(term);
        self
    }

    /// Pods that had better not be in the same place, with a weight of 1 to 100.
    #[must_use]
    #[track_caller]
    pub fn prefer_anti_affinity(mut self, weight: i32, selector: &str, topology_key: &str) -> Self {
        let term = WeightedPodAffinityTerm { weight, pod_affinity_term: pod_term(selector, topology_key) };
        let affinity = self.spec().affinity.get_or_insert_default().pod_anti_affinity.get_or_insert_default();
        affinity.preferred_during_scheduling_ignored_during_execution.get_or_insert_default().push(term);
        self
    }

    /// By how many the selected pods may differ between the values of a node's label: `spread(1, "zone", "app=web")`
    /// (`topologySpreadConstraints`, `DoNotSchedule`).
    #[must_use]
    #[track_caller]
    pub fn spread(self, max_skew: i32, topology_key: &str, selector: &str) -> Self {
        self.constraint(max_skew, topology_key, selector, "DoNotSchedule")
    }

    /// The same as a wish (`ScheduleAnyway`).
    #[must_use]
    #[track_caller]
    pub fn prefer_spread(self, max_skew: i32, topology_key: &str, selector: &str) -> Self {
        self.constraint(max_skew, topology_key, selector, "ScheduleAnyway")
    }

    #[track_caller]
    fn constraint(mut self, max_skew: i32, key: &str, selector: &str, when_unsatisfiable: &str) -> Self {
        let constraint = TopologySpreadConstraint {
            max_skew,
            topology_key: key.to_owned(),
            when_unsatisfiable: when_unsatisfiable.to_owned(),
            label_selector: Some(words::label_selector(selector)),
            ..TopologySpreadConstraint::default()
        };
        self.spec().topology_spread_constraints.get_or_insert_default().push(constraint);
        self
    }

    fn node_affinity(&mut self) -> &mut NodeAffinity {
        self.spec().affinity.get_or_insert_default().node_affinity.get_or_insert_default()
    }
}

#[track_caller]
fn node_term(selector: &str) -> NodeSelectorTerm {
    NodeSelectorTerm { match_expressions: Some(words::node_requirements(selector)), match_fields: None }
}

#[track_caller]
fn pod_term(selector: &str, topology_key: &str) -> PodAffinityTerm {
    PodAffinityTerm {
        label_selector: Some(words::label_selector(selector)),
        topology_key: topology_key.to_owned(),
        ..PodAffinityTerm::default()
    }
}
