use jiff::Timestamp;
use k8s_openapi::{
    api::rbac::v1::{ClusterRoleBinding, RoleBinding, RoleRef, Subject},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde_json::{Value, json};

use super::{GROUP, validate_name};
use crate::apiserver::{
    age,
    field::{Error, Errors, Path, Shown},
    kinds::column::{self, text},
    strategy::{Column, RequestContext, Strategy},
    validation::name,
};

/// The rules of bindings of roles.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoleBindings;

/// The rules of bindings of roles for the whole cluster.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClusterRoleBindings;

impl Strategy for RoleBindings {
    type Object = RoleBinding;
    type Wire = RoleBinding;

    fn validate_name(&self, name: &str, _is_prefix: bool) -> Option<String> {
        validate_name(name)
    }

    fn default(&self, binding: &mut RoleBinding) {
        default(&mut binding.role_ref, binding.subjects.as_deref_mut());
    }

    fn validate(&self, _ctx: &RequestContext, binding: &RoleBinding) -> Errors {
        validate(&binding.role_ref, binding.subjects.as_deref(), true)
    }

    fn validate_update(&self, ctx: &RequestContext, new: &RoleBinding, old: &RoleBinding) -> Errors {
        let mut errors = self.validate(ctx, new);
        errors.extend(same_role(&new.role_ref, &old.role_ref));
        errors
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn cells(&self, binding: &RoleBinding, now: Timestamp) -> Vec<Value> {
        cells(&binding.metadata, &binding.role_ref, binding.subjects.as_deref(), now)
    }
}

impl Strategy for ClusterRoleBindings {
    type Object = ClusterRoleBinding;
    type Wire = ClusterRoleBinding;

    fn validate_name(&self, name: &str, _is_prefix: bool) -> Option<String> {
        validate_name(name)
    }

    fn default(&self, binding: &mut ClusterRoleBinding) {
        default(&mut binding.role_ref, binding.subjects.as_deref_mut());
    }

    fn validate(&self, _ctx: &RequestContext, binding: &ClusterRoleBinding) -> Errors {
        validate(&binding.role_ref, binding.subjects.as_deref(), false)
    }

    fn validate_update(&self, ctx: &RequestContext, new: &ClusterRoleBinding, old: &ClusterRoleBinding) -> Errors {
        let mut errors = self.validate(ctx, new);
        errors.extend(same_role(&new.role_ref, &old.role_ref));
        errors
    }

    fn columns(&self) -> &'static [Column] {
        CLUSTER_COLUMNS
    }

    fn cells(&self, binding: &ClusterRoleBinding, now: Timestamp) -> Vec<Value> {
        cells(&binding.metadata, &binding.role_ref, binding.subjects.as_deref(), now)
    }
}

/// Roles, users and groups are of this group unless something else is said.
fn default(role: &mut RoleRef, subjects: Option<&mut [Subject]>) {
    let group = |group: &mut Option<String>| {
        if group.as_ref().is_none_or(String::is_empty) {
            *group = Some(GROUP.to_owned());
        }
    };
    group(&mut role.api_group);
    for subject in subjects.into_iter().flatten() {
        if matches!(subject.kind.as_str(), "User" | "Group") {
            group(&mut subject.api_group);
        }
    }
}

fn validate(role: &RoleRef, subjects: Option<&[Subject]>, is_namespaced: bool) -> Errors {
    let path = Path::new("roleRef");
    let mut errors = Errors::new();
    let group = role.api_group.as_deref().unwrap_or_default();
    if group != GROUP {
        errors.push(Error::not_supported(&path.child("apiGroup"), group, &[GROUP]));
    }
    let kinds: &[&str] = if is_namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    if !kinds.contains(&role.kind.as_str()) {
        errors.push(Error::not_supported(&path.child("kind"), &role.kind, kinds));
    }
    let at = path.child("name");
    match role.name.as_str() {
        "" => errors.push(Error::required(&at, "")),
        named => errors.extend(validate_name(named).map(|error| Error::invalid(&at, named, error))),
    }
    for (index, each) in subjects.unwrap_or_default().iter().enumerate() {
        errors.extend(subject(each, is_namespaced, &Path::new("subjects").index(index)));
    }
    errors
}

/// What is wrong with somebody who is to have a role (`ValidateRoleBindingSubject`).
fn subject(subject: &Subject, is_namespaced: bool, path: &Path) -> Errors {
    let mut errors = Errors::new();
    let at = path.child("name");
    if subject.name.is_empty() {
        errors.push(Error::required(&at, ""));
    }
    let group = subject.api_group.as_deref().unwrap_or_default();
    match subject.kind.as_str() {
        "ServiceAccount" => {
            if !subject.name.is_empty() {
                let wrong = name::subdomain(&subject.name, false);
                errors.extend(wrong.map(|error| Error::invalid(&at, &subject.name, error)));
            }
            if !group.is_empty() {
                errors.push(Error::not_supported(&path.child("apiGroup"), group, &[""]));
            }
            if !is_namespaced && subject.namespace.as_ref().is_none_or(String::is_empty) {
                errors.push(Error::required(&path.child("namespace"), ""));
            }
        }
        "User" | "Group" => {
            if group != GROUP {
                errors.push(Error::not_supported(&path.child("apiGroup"), group, &[GROUP]));
            }
        }
        kind => errors.push(Error::not_supported(&path.child("kind"), kind, &["ServiceAccount", "User", "Group"])),
    }
    errors
}

/// Whom a role is given may change, and which one it is may not.
fn same_role(new: &RoleRef, old: &RoleRef) -> Option<Error> {
    let shown = || {
        let [group, kind, name] = [new.api_group.as_deref().unwrap_or_default(), &new.kind, &new.name];
        let [group, kind, name] = [group, kind, name].map(|text| json!(text));
        Shown::raw(format!(r#"{{"APIGroup":{group},"Kind":{kind},"Name":{name}}}"#))
    };
    (new != old).then(|| Error::invalid(&Path::new("roleRef"), shown(), "cannot change roleRef"))
}

fn cells(metadata: &ObjectMeta, role: &RoleRef, subjects: Option<&[Subject]>, now: Timestamp) -> Vec<Value> {
    let of = |kind: &str| {
        let subjects = subjects.unwrap_or_default().iter().filter(|subject| subject.kind == kind);
        let names: Vec<String> = subjects
            .map(|subject| match kind {
                "ServiceAccount" => format!("{}/{}", subject.namespace.as_deref().unwrap_or_default(), subject.name),
                _ => subject.name.clone(),
            })
            .collect();
        json!(names.join(", "))
    };
    vec![
        json!(metadata.name),
        json!(format!("{}/{}", role.kind, role.name)),
        json!(age::since(metadata.creation_timestamp.as_ref(), now)),
        of("User"),
        of("Group"),
        of("ServiceAccount"),
    ]
}

const fn wide(name: &'static str, description: &'static str) -> Column {
    Column { priority: 1, ..text(name, description) }
}

const COLUMNS: &[Column] = &[
    column::NAME,
    text(
        "Role",
        "RoleRef can reference a Role in the current namespace or a ClusterRole in the global namespace. If the RoleRef cannot be resolved, the Authorizer must return an error.",
    ),
    column::AGE,
    wide("Users", "Users in the roleBinding"),
    wide("Groups", "Groups in the roleBinding"),
    wide("ServiceAccounts", "ServiceAccounts in the roleBinding"),
];

const CLUSTER_COLUMNS: &[Column] = &[
    column::NAME,
    text(
        "Role",
        "RoleRef can only reference a ClusterRole in the global namespace. If the RoleRef cannot be resolved, the Authorizer must return an error.",
    ),
    column::AGE,
    wide("Users", "Users in the clusterRoleBinding"),
    wide("Groups", "Groups in the clusterRoleBinding"),
    wide("ServiceAccounts", "ServiceAccounts in the clusterRoleBinding"),
];
