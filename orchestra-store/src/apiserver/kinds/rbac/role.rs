use jiff::Timestamp;
use k8s_openapi::{
    api::rbac::v1::{ClusterRole, PolicyRule, Role},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde_json::{Value, json};

use super::validate_name;
use crate::apiserver::{
    field::{Error, Errors, Path, Shown},
    kinds::column,
    strategy::{Column, RequestContext, Strategy},
    validation::label_selector,
};

/// The rules of roles.
#[derive(Clone, Copy, Debug, Default)]
pub struct Roles;

/// The rules of roles for the whole cluster.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClusterRoles;

impl Strategy for Roles {
    type Object = Role;
    type Wire = Role;

    fn validate_name(&self, name: &str, _is_prefix: bool) -> Option<String> {
        validate_name(name)
    }

    fn validate(&self, _ctx: &RequestContext, role: &Role) -> Errors {
        rules(role.rules.as_deref(), true)
    }

    fn columns(&self) -> &'static [Column] {
        column::DEFAULT
    }

    fn cells(&self, role: &Role, _now: Timestamp) -> Vec<Value> {
        cells(&role.metadata)
    }
}

impl Strategy for ClusterRoles {
    type Object = ClusterRole;
    type Wire = ClusterRole;

    fn validate_name(&self, name: &str, _is_prefix: bool) -> Option<String> {
        validate_name(name)
    }

    fn validate(&self, _ctx: &RequestContext, role: &ClusterRole) -> Errors {
        let mut errors = rules(role.rules.as_deref(), false);
        let Some(aggregation) = &role.aggregation_rule else { return errors };
        let path = Path::new("aggregationRule").child("clusterRoleSelectors");
        let selectors = aggregation.cluster_role_selectors.as_deref().unwrap_or_default();
        if selectors.is_empty() {
            let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
            errors.push(Error::required(&path, detail));
        }
        let selectors = selectors.iter().enumerate();
        errors.extend(selectors.flat_map(|(index, each)| label_selector::validate(each, &path.index(index))));
        errors
    }

    fn columns(&self) -> &'static [Column] {
        column::DEFAULT
    }

    fn cells(&self, role: &ClusterRole, _now: Timestamp) -> Vec<Value> {
        cells(&role.metadata)
    }
}

fn rules(rules: Option<&[PolicyRule]>, is_namespaced: bool) -> Errors {
    let rules = rules.unwrap_or_default().iter().enumerate();
    rules.flat_map(|(index, each)| rule(each, is_namespaced, &Path::new("rules").index(index))).collect()
}

/// What is wrong with a rule (`ValidatePolicyRule`).
fn rule(rule: &PolicyRule, is_namespaced: bool, path: &Path) -> Errors {
    let mut errors = Errors::new();
    if rule.verbs.is_empty() {
        errors.push(Error::required(&path.child("verbs"), "verbs must contain at least one value"));
    }
    let has = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    if has(&rule.non_resource_urls) {
        let at = path.child("nonResourceURLs");
        let mut wrong = |detail| errors.push(Error::invalid(&at, Shown::json(&rule.non_resource_urls), detail));
        if is_namespaced {
            wrong("namespaced rules cannot apply to non-resource URLs");
        }
        if [&rule.api_groups, &rule.resources, &rule.resource_names].into_iter().any(has) {
            wrong("rules cannot apply to both regular resources and non-resource URLs");
        }
        return errors;
    }
    for (field, list, detail) in [
        ("apiGroups", &rule.api_groups, "resource rules must supply at least one api group"),
        ("resources", &rule.resources, "resource rules must supply at least one resource"),
    ] {
        if !has(list) {
            errors.push(Error::required(&path.child(field), detail));
        }
    }
    errors
}

fn cells(metadata: &ObjectMeta) -> Vec<Value> {
    vec![json!(metadata.name), json!(metadata.creation_timestamp)]
}
