use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::apiserver::{
    kinds::testing::{context, object, texts},
    strategy::Strategy,
};

#[test]
fn rules_are_about_objects_or_about_paths() {
    let role = |rule: Value| texts(&Roles.validate(&context(), &object(json!({ "rules": [rule] }))));
    let cluster = |rule: Value| texts(&ClusterRoles.validate(&context(), &object(json!({ "rules": [rule] }))));
    assert!(role(json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]})).is_empty());
    assert_eq!(
        role(json!({"verbs": []})),
        [
            "rules[0].verbs: Required value: verbs must contain at least one value",
            "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
            "rules[0].resources: Required value: resource rules must supply at least one resource",
        ]
    );
    let paths = json!({"verbs": ["get"], "nonResourceURLs": ["/metrics"]});
    assert!(cluster(paths.clone()).is_empty());
    let wrong =
        r#"rules[0].nonResourceURLs: Invalid value: ["/metrics"]: namespaced rules cannot apply to non-resource URLs"#;
    assert_eq!(role(paths), [wrong]);
    let both = json!({"verbs": ["get"], "nonResourceURLs": ["/"], "resources": ["pods"]});
    let wrong = r#"rules[0].nonResourceURLs: Invalid value: ["/"]: rules cannot apply to both regular resources and non-resource URLs"#;
    assert_eq!(cluster(both), [wrong]);
    let aggregated = ClusterRoles.validate(&context(), &object(json!({"aggregationRule": {}})));
    let wrong = "aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if aggregationRule is non-nil";
    assert_eq!(texts(&aggregated), [wrong]);
}

fn binding(role: Value, subjects: Value) -> k8s_openapi::api::rbac::v1::RoleBinding {
    let mut binding = object(json!({"metadata": {"name": "b"}, "roleRef": role, "subjects": subjects}));
    RoleBindings.default(&mut binding);
    binding
}

#[test]
fn bindings_say_what_is_given_to_whom() {
    let role = json!({"kind": "Role", "name": "reader"});
    let good = binding(
        role.clone(),
        json!([{"kind": "User", "name": "a"}, {"kind": "ServiceAccount", "name": "b", "namespace": "ns"}]),
    );
    assert!(RoleBindings.validate(&context(), &good).is_empty());
    assert_eq!(good.subjects.as_ref().unwrap()[0].api_group.as_deref(), Some(GROUP));
    assert_eq!(
        RoleBindings.cells(&good, Timestamp::UNIX_EPOCH),
        [json!("b"), json!("Role/reader"), json!("<unknown>"), json!("a"), json!(""), json!("ns/b")]
    );
    let bad = binding(json!({"kind": "Pod", "name": "", "apiGroup": "x"}), json!([{"kind": "Robot", "name": ""}]));
    assert_eq!(
        texts(&RoleBindings.validate(&context(), &bad)),
        [
            r#"roleRef.apiGroup: Unsupported value: "x": supported values: "rbac.authorization.k8s.io""#,
            r#"roleRef.kind: Unsupported value: "Pod": supported values: "Role", "ClusterRole""#,
            "roleRef.name: Required value",
            "subjects[0].name: Required value",
            r#"subjects[0].kind: Unsupported value: "Robot": supported values: "ServiceAccount", "User", "Group""#,
        ]
    );
}

#[test]
fn the_role_of_a_binding_stays() {
    let of = |name: &str| binding(json!({"kind": "Role", "name": name}), json!([]));
    let wrong = r#"roleRef: Invalid value: {"APIGroup":"rbac.authorization.k8s.io","Kind":"Role","Name":"writer"}: cannot change roleRef"#;
    assert_eq!(texts(&RoleBindings.validate_update(&context(), &of("writer"), &of("reader"))), [wrong]);
}

#[test]
fn cluster_roles_are_given_to_accounts_of_a_namespace() {
    let mut binding = object(json!({"roleRef": {"kind": "Role", "name": "x"},
        "subjects": [{"kind": "ServiceAccount", "name": "a"}]}));
    ClusterRoleBindings.default(&mut binding);
    assert_eq!(
        texts(&ClusterRoleBindings.validate(&context(), &binding)),
        [
            r#"roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole""#,
            "subjects[0].namespace: Required value",
        ]
    );
    assert!(Roles.validate_name("system:node", false).is_none());
}
