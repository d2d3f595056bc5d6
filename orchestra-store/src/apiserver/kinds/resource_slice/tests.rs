use super::*;
use crate::apiserver::kinds::testing::{context, object, texts};

fn slice(spec: Value) -> ResourceSlice {
    let mut whole = json!({ "driver": "gpu.example.com", "nodeName": "n1",
        "pool": { "name": "n1", "generation": 1, "resourceSliceCount": 1 } });
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    object(json!({ "metadata": { "name": "s" }, "spec": whole }))
}

fn errors(spec: Value) -> Vec<String> {
    texts(&ResourceSlices.validate(&context(), &slice(spec)))
}

fn device(parts: Value) -> Vec<String> {
    let mut device = json!({ "name": "gpu-0" });
    device.as_object_mut().unwrap().extend(parts.as_object().unwrap().clone());
    errors(json!({ "devices": [device] }))
}

#[test]
fn a_slice_is_of_a_pool_of_a_driver() {
    assert_eq!(errors(json!({})), Vec::<String>::new());
    assert_eq!(errors(json!({ "driver": "" }))[0], "spec.driver: Required value");
    let pool = |name: &str, generation: i64, count: i64| {
        errors(json!({ "pool": { "name": name, "generation": generation, "resourceSliceCount": count } }))
    };
    assert_eq!(pool("a/b.c", 0, 1), Vec::<String>::new());
    assert_eq!(
        pool("n1", -1, 0),
        [
            "spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero",
            "spec.pool.generation: Invalid value: -1: must be greater than or equal to zero"
        ]
    );
    assert_eq!(pool("", 0, 1), ["spec.pool.name: Required value"]);
    assert!(pool("a//b", 0, 1)[0].starts_with("spec.pool.name: Invalid value: \"\": a lowercase RFC 1123 subdomain"));
}

#[test]
fn nodes_are_named_in_one_of_four_ways() {
    let ways = |ways: Value| {
        let mut slice = slice(json!({}));
        slice.spec.node_name = None;
        let mut spec = serde_json::to_value(&slice.spec).unwrap();
        spec.as_object_mut().unwrap().extend(ways.as_object().unwrap().clone());
        slice.spec = object(spec);
        texts(&ResourceSlices.validate(&context(), &slice))
    };
    let term = json!({ "matchExpressions": [{ "key": "zone", "operator": "Exists" }] });
    for one in [
        json!({ "nodeName": "n1" }),
        json!({ "allNodes": true }),
        json!({ "perDeviceNodeSelection": true }),
        json!({ "nodeSelector": { "nodeSelectorTerms": [term] } }),
    ] {
        assert_eq!(ways(one.clone()), Vec::<String>::new(), "{one}");
    }
    let required = "spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    assert_eq!(ways(json!({})), [required]);
    assert_eq!(
        ways(json!({ "nodeName": "n1", "allNodes": true })),
        [
            r#"spec: Invalid value: "{`nodeName`, `allNodes`}": exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required, but multiple fields are set"#
        ]
    );
    assert_eq!(
        ways(json!({ "allNodes": false })),
        ["spec.allNodes: Invalid value: false: must be either unset or set to true", required]
    );
    let two = ways(json!({ "nodeSelector": { "nodeSelectorTerms": [term, term] } }));
    assert!(two[0].ends_with("must have exactly one node selector term"), "{two:?}");
}

#[test]
fn what_a_slice_is_of_stays() {
    let old = slice(json!({}));
    let pool = json!({ "name": "n2", "generation": 2, "resourceSliceCount": 1 });
    let new = slice(json!({ "driver": "b.example.com", "nodeName": "n2", "pool": pool }));
    assert_eq!(
        texts(&ResourceSlices.validate_update(&context(), &new, &old)),
        [
            r#"spec.pool.name: Invalid value: "n2": field is immutable"#,
            r#"spec.driver: Invalid value: "b.example.com": field is immutable"#,
            r#"spec.nodeName: Invalid value: "n2": field is immutable"#,
        ]
    );
    assert_eq!(ResourceSlices.changes_generation(&new, &old), Some(true));
    assert_eq!(ResourceSlices.fields(&old), ["n1", "gpu.example.com"]);
}

#[test]
fn devices_are_so_many_each_with_its_name() {
    let devices = |count: usize, taint: bool| -> Vec<Value> {
        let taints = if taint { json!([{ "key": "a", "effect": "NoSchedule" }]) } else { json!([]) };
        (0..count).map(|i| json!({ "name": format!("gpu-{i}"), "taints": taints })).collect()
    };
    assert_eq!(errors(json!({ "devices": devices(128, false) })), Vec::<String>::new());
    assert_eq!(
        errors(json!({ "devices": devices(129, false) })),
        ["spec.devices: Too many: 129: must have at most 128 items"]
    );
    assert_eq!(
        errors(json!({ "devices": devices(65, true) })),
        ["spec.devices: Too many: 65: must have at most 64 items"]
    );
    let twice = json!({ "devices": [{ "name": "a" }, { "name": "a" }] });
    assert_eq!(errors(twice), ["spec.devices[1]: Duplicate value: \"a\""]);
    let counters = json!({ "devices": [], "sharedCounters": [{ "name": "c", "counters": { "a": { "value": "1" } } }] });
    assert_eq!(errors(counters), [r#"spec: Invalid value: "": only one of `sharedCounters` or `devices` is allowed"#]);
}

#[test]
fn attributes_have_one_value_and_a_name() {
    let named = |name: &str, value: Value| device(json!({ "attributes": { name: value } }));
    assert_eq!(named("model", json!({ "string": "a" })), Vec::<String>::new());
    assert_eq!(named("a.example.com/model", json!({ "version": "1.0.0" })), Vec::<String>::new());
    let path = "spec.devices[0].attributes";
    assert_eq!(
        named("model", json!({})),
        [format!(r#"{path}[model]: Invalid value: "": exactly one value must be specified"#)]
    );
    assert!(named("model", json!({ "int": 1, "bool": true }))[0].ends_with("exactly one value must be specified"));
    assert_eq!(
        named("v", json!({ "version": "v1" })),
        [format!(r#"{path}[v].version: Invalid value: "v1": must be a string compatible with semver.org spec 2.0.0"#)]
    );
    assert!(
        named("a-b", json!({ "int": 1 }))[0]
            .starts_with(&format!("{path}: Invalid value: \"a-b\": a valid C identifier"))
    );
    assert_eq!(
        named("a/b/c", json!({ "int": 1 })),
        [format!(r#"{path}: Invalid value: "a/b/c": must not contain more than one slash"#)]
    );
    assert_eq!(
        named("s", json!({ "string": "x".repeat(65) })),
        [format!("{path}[s].string: Too long: may not be more than 64 bytes")]
    );
    let many: Value = (0..33).map(|i| (format!("a{i}"), json!({ "int": i }))).collect::<serde_json::Map<_, _>>().into();
    assert_eq!(
        device(json!({ "attributes": many })),
        ["spec.devices[0]: Invalid value: 33: the total number of attributes and capacities must not exceed 32"]
    );
}

#[test]
fn a_policy_of_requests_is_for_shared_capacity() {
    let memory = |shared: bool, policy: Value| {
        let capacity = json!({ "memory": { "value": "10", "requestPolicy": policy } });
        device(json!({ "allowMultipleAllocations": shared, "capacity": capacity }))
    };
    let policy = "spec.devices[0].capacity[memory].requestPolicy";
    let values = json!({ "default": "2", "validValues": ["2", "4"] });
    assert_eq!(memory(true, values.clone()), Vec::<String>::new());
    assert_eq!(memory(false, values), [format!("{policy}: Forbidden: allowMultipleAllocations must be true")]);
    assert_eq!(
        memory(true, json!({ "validValues": ["2"] })),
        [format!("{policy}.default: Required value: required when validValues is defined")]
    );
    assert_eq!(
        memory(true, json!({ "default": "3", "validValues": ["4", "2", "20"] })),
        [
            format!(r#"{policy}.validValues[1]: Invalid value: "2": values must be sorted in ascending order"#),
            format!(r#"{policy}.validValues[2]: Invalid value: "20": option is larger than capacity value: 10"#),
            format!(
                r#"{policy}.validValues: Invalid value: "3": default value is not valid according to the requestPolicy"#
            ),
        ]
    );
    assert_eq!(
        memory(true, json!({ "default": "2", "validRange": { "min": "2", "max": "8", "step": "2" } })),
        Vec::<String>::new()
    );
    assert_eq!(
        memory(true, json!({ "default": "1", "validRange": { "min": "2", "max": "20", "step": "0" } })),
        [
            format!(r#"{policy}.validRange.default: Invalid value: "1": default is less than min: 2"#),
            format!(r#"{policy}.validRange.max: Invalid value: "20": max is larger than capacity value: 10"#),
            format!(r#"{policy}.validRange.step: Invalid value: "0": must be greater than zero"#),
        ]
    );
    assert_eq!(
        memory(true, json!({ "default": "3", "validRange": { "min": "2", "step": "2" } })),
        [format!(
            r#"{policy}.validRange.step: Invalid value: "3": value is not a multiple of a given step (2) from (2)"#
        )]
    );
}

#[test]
fn taints_counters_and_conditions_are_checked() {
    assert_eq!(
        device(json!({ "taints": [{ "key": "a", "effect": "Nothing" }] })),
        [
            r#"spec.devices[0].taints[0].effect: Unsupported value: "Nothing": supported values: "NoExecute", "NoSchedule", "None""#
        ]
    );
    assert_eq!(
        device(json!({ "consumesCounters": [{ "counterSet": "c", "counters": {} }] })),
        ["spec.devices[0].consumesCounters[0].counters: Required value"]
    );
    let conditions = device(json!({ "bindingConditions": ["ready"] }));
    assert!(
        conditions[0].ends_with("bindingFailureConditions are required to use bindingConditions"),
        "{conditions:?}"
    );
    assert_eq!(
        device(json!({ "bindingConditions": ["a"], "bindingFailureConditions": ["a"] })),
        [
            r#"spec.devices[0].bindingFailureConditions[0]: Invalid value: "a": bindingFailureConditions must not overlap with bindingConditions"#
        ]
    );
    assert!(
        device(json!({ "allNodes": true }))[0].contains("can only be set if `perDeviceNodeSelection` is set to true")
    );
}

#[test]
fn a_taint_without_a_time_is_one_from_now_on() {
    let mut slice = slice(json!({ "devices": [{ "name": "a", "taints": [{ "key": "k", "effect": "NoExecute" }] }] }));
    ResourceSlices.prepare_for_create(&context(), &mut slice);
    let taints = slice.spec.devices.unwrap()[0].taints.clone().unwrap();
    assert_eq!(taints[0].time_added.as_ref().unwrap().0, Timestamp::UNIX_EPOCH);
}
