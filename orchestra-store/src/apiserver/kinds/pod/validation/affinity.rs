//! Affinity to nodes and to other pods.

use k8s_openapi::api::core::v1::{
    Affinity, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodAffinityTerm,
};

use super::invalid;
use crate::apiserver::{
    field::{Error, Errors, Path},
    validation::{label_selector, name, qualified_name},
};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
const OPERATOR: &str = "not a valid selector operator";

pub(super) fn affinity(affinity: &Affinity, path: &Path) -> Errors {
    let mut errors = Errors::new();
    if let Some(rules) = &affinity.node_affinity {
        node_affinity(rules, &path.child("nodeAffinity"), &mut errors);
    }
    let mut pods = |rules: Option<&Vec<PodAffinityTerm>>, preferred: Vec<(i32, &PodAffinityTerm)>, path: Path| {
        for (index, term) in rules.into_iter().flatten().enumerate() {
            pod_term(term, &path.child(REQUIRED).index(index), &mut errors);
        }
        for (index, (weight, term)) in preferred.into_iter().enumerate() {
            let path = path.child(PREFERRED).index(index);
            errors.extend(check_weight(weight, &path));
            pod_term(term, &path.child("podAffinityTerm"), &mut errors);
        }
    };
    if let Some(rules) = &affinity.pod_affinity {
        let preferred = rules.preferred_during_scheduling_ignored_during_execution.iter().flatten();
        let preferred = preferred.map(|term| (term.weight, &term.pod_affinity_term)).collect();
        let required = rules.required_during_scheduling_ignored_during_execution.as_ref();
        pods(required, preferred, path.child("podAffinity"));
    }
    if let Some(rules) = &affinity.pod_anti_affinity {
        let preferred = rules.preferred_during_scheduling_ignored_during_execution.iter().flatten();
        let preferred = preferred.map(|term| (term.weight, &term.pod_affinity_term)).collect();
        let required = rules.required_during_scheduling_ignored_during_execution.as_ref();
        pods(required, preferred, path.child("podAntiAffinity"));
    }
    errors
}

fn node_affinity(rules: &NodeAffinity, path: &Path, errors: &mut Errors) {
    if let Some(selector) = &rules.required_during_scheduling_ignored_during_execution {
        node_selector(selector, &path.child(REQUIRED), errors);
    }
    let preferred = rules.preferred_during_scheduling_ignored_during_execution.iter().flatten();
    for (index, term) in preferred.enumerate() {
        let path = path.child(PREFERRED).index(index);
        errors.extend(check_weight(term.weight, &path));
        node_term(&term.preference, &path.child("preference"), errors);
    }
}

/// Which nodes are meant, at `path`.
pub(in crate::apiserver::kinds) fn node_selector(selector: &NodeSelector, path: &Path, errors: &mut Errors) {
    let path = path.child("nodeSelectorTerms");
    if selector.node_selector_terms.is_empty() {
        errors.push(Error::required(&path, "must have at least one node selector term"));
    }
    for (index, term) in selector.node_selector_terms.iter().enumerate() {
        node_term(term, &path.index(index), errors);
    }
}

fn check_weight(weight: i32, path: &Path) -> Option<Error> {
    (!(1..=100).contains(&weight)).then(|| Error::invalid(&path.child("weight"), weight, "must be in the range 1-100"))
}

fn node_term(term: &NodeSelectorTerm, path: &Path, errors: &mut Errors) {
    for (index, requirement) in term.match_expressions.iter().flatten().enumerate() {
        node_requirement(requirement, &path.child("matchExpressions").index(index), errors);
    }
    for (index, requirement) in term.match_fields.iter().flatten().enumerate() {
        node_field(requirement, &path.child("matchFields").index(index), errors);
    }
}

fn node_requirement(requirement: &NodeSelectorRequirement, path: &Path, errors: &mut Errors) {
    let values = requirement.values.as_deref().unwrap_or_default();
    let values_path = path.child("values");
    match requirement.operator.as_str() {
        "In" | "NotIn" if values.is_empty() => {
            let why = "must be specified when `operator` is 'In' or 'NotIn'";
            errors.push(Error::required(&values_path, why));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.push(Error::forbidden(&values_path, why));
        }
        "Gt" | "Lt" if values.len() != 1 => {
            let why = "must be specified single value when `operator` is 'Lt' or 'Gt'";
            errors.push(Error::required(&values_path, why));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        operator => errors.push(Error::invalid(&path.child("operator"), operator, OPERATOR)),
    }
    errors.extend(label_selector::key(&requirement.key, &path.child("key")));
    for (index, value) in values.iter().enumerate() {
        errors.extend(invalid(&values_path.index(index), value, qualified_name::label_value(value)));
    }
}

/// A requirement on a node's field, of which there is one: its name.
fn node_field(requirement: &NodeSelectorRequirement, path: &Path, errors: &mut Errors) {
    let values = requirement.values.as_deref().unwrap_or_default();
    match requirement.operator.as_str() {
        "In" | "NotIn" if values.len() != 1 => {
            let why = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
            errors.push(Error::required(&path.child("values"), why));
        }
        "In" | "NotIn" => {}
        operator => errors.push(Error::invalid(&path.child("operator"), operator, OPERATOR)),
    }
    if requirement.key != "metadata.name" {
        errors.push(Error::invalid(&path.child("key"), &requirement.key, "not a valid field selector key"));
        return;
    }
    for (index, value) in values.iter().enumerate() {
        errors.extend(invalid(&path.child("values").index(index), value, name::subdomain(value, false)));
    }
}

fn pod_term(term: &PodAffinityTerm, path: &Path, errors: &mut Errors) {
    if let Some(selector) = &term.label_selector {
        errors.extend(label_selector::validate(selector, &path.child("labelSelector")));
    }
    if let Some(selector) = &term.namespace_selector {
        errors.extend(label_selector::validate(selector, &path.child("namespaceSelector")));
    }
    for namespace in term.namespaces.iter().flatten() {
        errors.extend(invalid(&path.child("namespace"), namespace, name::label(namespace, false)));
    }
    let lists = [("matchLabelKeys", &term.match_label_keys), ("mismatchLabelKeys", &term.mismatch_label_keys)];
    for (field, keys) in lists {
        match_keys(keys.as_deref(), term.label_selector.is_some(), &path.child(field), errors);
    }
    let key_path = path.child("topologyKey");
    if term.topology_key.is_empty() {
        errors.push(Error::required(&key_path, "can not be empty"));
    }
    errors.extend(label_selector::key(&term.topology_key, &key_path));
}

/// Labels of the pod itself that go into a selector.
pub(super) fn match_keys(keys: Option<&[String]>, has_selector: bool, path: &Path, errors: &mut Errors) {
    let keys = keys.unwrap_or_default();
    if !keys.is_empty() && !has_selector {
        errors.push(Error::forbidden(path, "must not be specified when labelSelector is not set"));
    }
    for (index, key) in keys.iter().enumerate() {
        errors.extend(label_selector::key(key, &path.index(index)));
    }
}
