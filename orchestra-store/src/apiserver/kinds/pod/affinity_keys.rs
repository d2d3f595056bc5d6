//! `matchLabelKeys` and `mismatchLabelKeys`: a new pod's own values of these labels go into the selectors beside them
//! (KEP-3633, KEP-3243).

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Pod, PodAffinityTerm, TopologySpreadConstraint, WeightedPodAffinityTerm},
    apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement},
};

type Labels = BTreeMap<String, String>;

/// Extends the selectors of a new pod.
pub(super) fn merge(pod: &mut Pod) {
    let (Some(labels), Some(spec)) = (&pod.metadata.labels, &mut pod.spec) else { return };
    if let Some(affinity) = spec.affinity.as_mut().and_then(|affinity| affinity.pod_affinity.as_mut()) {
        terms(
            &mut affinity.required_during_scheduling_ignored_during_execution,
            &mut affinity.preferred_during_scheduling_ignored_during_execution,
            labels,
        );
    }
    if let Some(affinity) = spec.affinity.as_mut().and_then(|affinity| affinity.pod_anti_affinity.as_mut()) {
        terms(
            &mut affinity.required_during_scheduling_ignored_during_execution,
            &mut affinity.preferred_during_scheduling_ignored_during_execution,
            labels,
        );
    }
    for TopologySpreadConstraint { label_selector, match_label_keys, .. } in
        spec.topology_spread_constraints.iter_mut().flatten()
    {
        extend(label_selector, match_label_keys.as_deref(), "In", labels);
    }
}

fn terms(
    required: &mut Option<Vec<PodAffinityTerm>>,
    preferred: &mut Option<Vec<WeightedPodAffinityTerm>>,
    labels: &Labels,
) {
    let preferred = preferred.iter_mut().flatten().map(|term| &mut term.pod_affinity_term);
    for term in required.iter_mut().flatten().chain(preferred) {
        extend(&mut term.label_selector, term.match_label_keys.as_deref(), "In", labels);
        extend(&mut term.label_selector, term.mismatch_label_keys.as_deref(), "NotIn", labels);
    }
}

fn extend(selector: &mut Option<LabelSelector>, keys: Option<&[String]>, operator: &str, labels: &Labels) {
    let Some(selector) = selector else { return };
    for key in keys.unwrap_or_default() {
        let Some(value) = labels.get(key) else { continue };
        selector.match_expressions.get_or_insert_default().push(LabelSelectorRequirement {
            key: key.clone(),
            operator: operator.to_owned(),
            values: Some(vec![value.clone()]),
        });
    }
}
