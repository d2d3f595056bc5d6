use k8s_openapi::api::scheduling::v1alpha2::Workload;

use super::{workload::Workloads, *};
use crate::apiserver::kinds::testing::{context, object, texts};

fn group(spec: Value) -> PodGroup {
    object(json!({ "metadata": { "name": "g" }, "spec": spec }))
}

fn workload(spec: Value) -> Workload {
    object(json!({ "metadata": { "name": "w" }, "spec": spec }))
}

fn gang(count: i32) -> Value {
    json!({ "schedulingPolicy": { "gang": { "minCount": count } } })
}

fn group_errors(spec: Value) -> Vec<String> {
    texts(&PodGroups.validate(&context(), &group(spec)))
}

fn workload_errors(spec: Value) -> Vec<String> {
    texts(&Workloads.validate(&context(), &workload(spec)))
}

#[test]
fn a_group_has_one_policy_and_a_gang_a_size() {
    assert_eq!(group_errors(gang(4)), Vec::<String>::new());
    assert_eq!(group_errors(json!({ "schedulingPolicy": { "basic": {} } })), Vec::<String>::new());
    assert_eq!(
        group_errors(json!({})),
        [r#"spec.schedulingPolicy: Invalid value: "": must specify one of: `basic`, `gang`"#]
    );
    let both = json!({ "schedulingPolicy": { "basic": {}, "gang": { "minCount": 1 } } });
    assert_eq!(
        group_errors(both),
        [
            "spec.schedulingPolicy: Invalid value: \"{`basic`, `gang`}\": exactly one of `basic`, `gang` is required, but multiple fields are set"
        ]
    );
    assert_eq!(group_errors(gang(0)), ["spec.schedulingPolicy.gang.minCount: Required value"]);
    assert_eq!(
        group_errors(gang(-1)),
        ["spec.schedulingPolicy.gang.minCount: Invalid value: -1: must be greater than or equal to 1"]
    );
}

#[test]
fn a_template_is_named_as_a_whole() {
    let with = |reference: Value| {
        let mut spec = gang(1);
        spec["podGroupTemplateRef"] = reference;
        group_errors(spec)
    };
    assert_eq!(
        with(json!({ "workload": { "workloadName": "w.x", "podGroupTemplateName": "t" } })),
        Vec::<String>::new()
    );
    assert_eq!(with(json!({})), [r#"spec.podGroupTemplateRef: Invalid value: "": must specify one of: `workload`"#]);
    assert_eq!(
        with(json!({ "workload": {} })),
        [
            "spec.podGroupTemplateRef.workload.workloadName: Required value",
            "spec.podGroupTemplateRef.workload.podGroupTemplateName: Required value"
        ]
    );
}

#[test]
fn policies_and_references_stay_as_they_are() {
    let changed = |new: Value, old: Value| texts(&PodGroups.validate_update(&context(), &group(new), &group(old)));
    assert_eq!(changed(gang(4), gang(4)), Vec::<String>::new());
    assert_eq!(
        changed(gang(3), gang(4)),
        [r#"spec.schedulingPolicy: Invalid value: {"gang":{"minCount":3}}: field is immutable"#]
    );
    let template = |name: &str| workload(json!({ "podGroupTemplates": [{ "name": name }] }));
    let errors = Workloads.validate_update(&context(), &template("a"), &template("b"));
    assert!(texts(&errors)[0].starts_with("spec.podGroupTemplates: Invalid value: "), "{errors:?}");
}

#[test]
fn what_is_behind_closed_gates_is_dropped() {
    let mut spec = gang(2);
    spec["priority"] = json!(7);
    spec["disruptionMode"] = json!("PodGroup");
    spec["schedulingConstraints"] = json!({ "topology": [{ "key": "rack" }] });
    let mut new = group(spec);
    PodGroups.prepare_for_create(&context(), &mut new);
    assert_eq!(new, group(gang(2)));
}

#[test]
fn a_workload_has_one_to_eight_templates_with_names_of_their_own() {
    let templates = |names: &[&str]| {
        let template = |name: &&str| json!({ "name": name, "schedulingPolicy": { "basic": {} } });
        json!({ "podGroupTemplates": names.iter().map(template).collect::<Vec<_>>() })
    };
    assert_eq!(workload_errors(templates(&["a", "b"])), Vec::<String>::new());
    assert_eq!(workload_errors(templates(&[])), ["spec.podGroupTemplates: Required value"]);
    assert_eq!(
        workload_errors(templates(&["a", "b", "c", "d", "e", "f", "g", "h", "i"])),
        ["spec.podGroupTemplates: Too many: 9: must have at most 8 items"]
    );
    assert!(workload_errors(templates(&["a", "a"]))[0].starts_with("spec.podGroupTemplates[1]: Duplicate value: "));
    assert_eq!(workload_errors(templates(&[""])), ["spec.podGroupTemplates[0].name: Required value"]);
}

#[test]
fn a_controller_is_named_by_kind_and_name() {
    let with = |reference: Value| {
        let template = json!([{ "name": "t", "schedulingPolicy": { "basic": {} } }]);
        workload_errors(json!({ "controllerRef": reference, "podGroupTemplates": template }))
    };
    assert_eq!(with(json!({ "apiGroup": "batch", "kind": "Job", "name": "j" })), Vec::<String>::new());
    assert_eq!(
        with(json!({ "kind": "", "name": "a/b" })),
        [
            "spec.controllerRef.kind: Required value",
            r#"spec.controllerRef.name: Invalid value: "a/b": may not contain '/'"#
        ]
    );
}

#[test]
fn an_update_of_the_status_changes_nothing_else_and_conditions_are_checked() {
    let old = group(gang(4));
    let mut new = group(gang(3));
    new.status = object(json!({ "conditions": [{
        "type": "PodGroupScheduled", "status": "Maybe", "reason": "", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }] }));
    PodGroups.prepare_for_status_update(&context(), &mut new, &old);
    assert_eq!(new.spec, old.spec);
    assert_eq!(
        texts(&PodGroups.validate_status_update(&context(), &new, &old)),
        [
            r#"status.conditions[0].status: Unsupported value: "Maybe": supported values: "False", "True", "Unknown""#,
            "status.conditions[0].reason: Required value: must be set",
        ]
    );
}
