//! Gates, and how pods spread.

use std::collections::{HashMap, HashSet};

use k8s_openapi::api::core::v1::{PodSpec, TopologySpreadConstraint};

use super::{affinity::match_keys, invalid, one_of};
use crate::apiserver::{
    field::{Error, Errors, Path},
    validation::{label_selector, name, qualified_name},
};

const POSITIVE: &str = "must be greater than zero";

pub(super) fn readiness_gates(spec: &PodSpec, path: &Path) -> Errors {
    let gates = spec.readiness_gates.iter().flatten().enumerate();
    gates
        .flat_map(|(index, gate)| {
            let path = path.index(index).child("conditionType");
            invalid(&path, &gate.condition_type, qualified_name::key(&gate.condition_type))
        })
        .collect()
}

pub(super) fn gates(spec: &PodSpec, path: &Path) -> Errors {
    let mut errors = Errors::new();
    let mut seen = HashSet::new();
    for (index, gate) in spec.scheduling_gates.iter().flatten().enumerate() {
        let path = path.index(index);
        errors.extend(invalid(&path, &gate.name, qualified_name::key(&gate.name)));
        if !seen.insert(&gate.name) {
            errors.push(Error::duplicate(&path, &gate.name));
        }
    }
    errors
}

/// The group of pods that the pod is scheduled with (KEP-4671).
pub(super) fn group(spec: &PodSpec, path: &Path) -> Errors {
    let Some(group) = &spec.scheduling_group else { return Errors::new() };
    match &group.pod_group_name {
        Some(name) => invalid(&path.child("podGroupName"), name, name::subdomain(name, false)),
        None => vec![Error::invalid(path, "", "must specify one of: `podGroupName`")],
    }
}

pub(super) fn spread(spec: &PodSpec, path: &Path) -> Errors {
    let constraints = spec.topology_spread_constraints.as_deref().unwrap_or_default();
    // Of equal constraints each but the last is to blame.
    let mut last = HashMap::new();
    for (index, constraint) in constraints.iter().enumerate() {
        last.insert((&constraint.topology_key, &constraint.when_unsatisfiable), index);
    }
    let mut errors = Errors::new();
    for (index, constraint) in constraints.iter().enumerate() {
        let path = path.index(index);
        errors.extend(one(constraint, &path));
        let (key, action) = (&constraint.topology_key, &constraint.when_unsatisfiable);
        if last.get(&(key, action)) != Some(&index) {
            let path = path.child("{topologyKey, whenUnsatisfiable}");
            errors.push(Error::duplicate(&path, &format!("{{{key}, {action}}}")));
        }
    }
    errors
}

fn one(constraint: &TopologySpreadConstraint, path: &Path) -> Errors {
    let mut errors = Errors::new();
    if constraint.max_skew <= 0 {
        errors.push(Error::invalid(&path.child("maxSkew"), constraint.max_skew, POSITIVE));
    }
    let key_path = path.child("topologyKey");
    if constraint.topology_key.is_empty() {
        errors.push(Error::required(&key_path, "can not be empty"));
    } else {
        errors.extend(label_selector::key(&constraint.topology_key, &key_path));
    }
    let action = &constraint.when_unsatisfiable;
    let actions = ["DoNotSchedule", "ScheduleAnyway"];
    if !actions.contains(&action.as_str()) {
        errors.push(Error::not_supported(&path.child("whenUnsatisfiable"), action, &actions));
    }
    if let Some(domains) = constraint.min_domains {
        let path = path.child("minDomains");
        if domains <= 0 {
            errors.push(Error::invalid(&path, domains, POSITIVE));
        }
        if action != "DoNotSchedule" {
            let why = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
            errors.push(Error::invalid(&path, domains, why));
        }
    }
    let policies = [
        ("nodeAffinityPolicy", &constraint.node_affinity_policy),
        ("nodeTaintsPolicy", &constraint.node_taints_policy),
    ];
    for (field, policy) in policies {
        if policy.is_some() {
            one_of(&path.child(field), policy.as_ref(), &["Honor", "Ignore"], &mut errors);
        }
    }
    let has_selector = constraint.label_selector.is_some();
    match_keys(constraint.match_label_keys.as_deref(), has_selector, &path.child("matchLabelKeys"), &mut errors);
    if let Some(selector) = &constraint.label_selector {
        errors.extend(label_selector::validate(selector, &path.child("labelSelector")));
    }
    errors
}
