use super::*;
use crate::apiserver::kinds::testing::{context, object, texts};

fn claim(devices: Value) -> ResourceClaim {
    let mut claim = object(json!({ "metadata": { "name": "c" }, "spec": { "devices": devices } }));
    ResourceClaims.default(&mut claim);
    claim
}

fn errors(devices: Value) -> Vec<String> {
    texts(&ResourceClaims.validate(&context(), &claim(devices)))
}

fn exactly(changes: Value) -> Value {
    let mut exactly = json!({ "deviceClassName": "gpu" });
    exactly.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    json!({ "requests": [{ "name": "r", "exactly": exactly }] })
}

#[test]
fn one_device_is_asked_for_if_nothing_is_said() {
    let claim = claim(exactly(json!({ "tolerations": [{ "key": "a", "value": "b" }] })));
    let requests = claim.spec.devices.unwrap().requests.unwrap();
    let exactly = requests[0].exactly.as_ref().unwrap();
    assert_eq!((exactly.allocation_mode.as_deref(), exactly.count), (Some("ExactCount"), Some(1)));
    assert_eq!(exactly.tolerations.as_ref().unwrap()[0].operator.as_deref(), Some("Equal"));
}

#[test]
fn a_request_is_exact_or_has_alternatives() {
    let sub = |name: &str| json!({ "name": name, "deviceClassName": "gpu" });
    assert_eq!(errors(exactly(json!({}))), Vec::<String>::new());
    assert_eq!(
        errors(json!({ "requests": [{ "name": "r", "firstAvailable": [sub("a"), sub("b")] }] })),
        Vec::<String>::new()
    );
    assert_eq!(
        errors(json!({ "requests": [{ "name": "r" }] })),
        ["spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required"]
    );
    let both = json!({ "name": "r", "exactly": { "deviceClassName": "gpu" }, "firstAvailable": [sub("a")] });
    assert_eq!(
        errors(json!({ "requests": [both] })),
        [
            "spec.devices.requests[0]: Invalid value: null: exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set"
        ]
    );
    assert_eq!(
        errors(json!({ "requests": [{ "name": "r", "firstAvailable": [sub("a"), sub("a")] }] })),
        ["spec.devices.requests[0].firstAvailable[1]: Duplicate value: \"a\""]
    );
    let twice = json!({ "name": "r", "exactly": { "deviceClassName": "gpu" } });
    assert_eq!(errors(json!({ "requests": [twice, twice] })), ["spec.devices.requests[1]: Duplicate value: \"r\""]);
}

#[test]
fn counts_classes_and_modes_are_checked() {
    let at = |changes: Value| errors(exactly(changes));
    let prefix = "spec.devices.requests[0].exactly";
    assert_eq!(at(json!({ "count": -1 })), [format!("{prefix}.count: Invalid value: -1: must be greater than zero")]);
    assert_eq!(
        at(json!({ "allocationMode": "All", "count": 1 })),
        [format!("{prefix}.count: Invalid value: 1: must not be specified when allocationMode is 'All'")]
    );
    assert_eq!(
        at(json!({ "allocationMode": "Some" })),
        [format!(r#"{prefix}.allocationMode: Unsupported value: "Some": supported values: "All", "ExactCount""#)]
    );
    assert_eq!(at(json!({ "deviceClassName": "" })), [format!("{prefix}.deviceClassName: Required value")]);
    assert_eq!(
        at(json!({ "tolerations": [{ "operator": "Exists", "value": "x" }] })),
        [format!(r#"{prefix}.tolerations[0].value: Invalid value: "x": must be empty for operator `Exists`"#)]
    );
    let selectors = at(json!({ "selectors": [{ "cel": { "expression": "1 +" } }] }));
    assert!(
        selectors[0].starts_with(&format!(
            "{prefix}.selectors[0].cel.expression: Invalid value: \"1 +\": compilation failed: "
        ))
    );
}

#[test]
fn constraints_and_parameters_name_requests_of_the_claim() {
    let with = |part: &str, item: Value| {
        let mut devices = exactly(json!({}));
        devices[part] = json!([item]);
        errors(devices)
    };
    assert_eq!(
        with("constraints", json!({ "requests": ["r"], "matchAttribute": "a.example.com/numa" })),
        Vec::<String>::new()
    );
    assert_eq!(
        with("constraints", json!({ "requests": ["x"], "matchAttribute": "a.example.com/numa" })),
        [
            r#"spec.devices.constraints[0].requests[0]: Invalid value: "x": must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"#
        ]
    );
    assert_eq!(
        with("constraints", json!({ "matchAttribute": "numa" })),
        [
            r#"spec.devices.constraints[0].matchAttribute: Invalid value: "numa": a fully qualified name must be a domain and a name separated by a slash"#
        ]
    );
    assert!(
        with("constraints", json!({}))[0].starts_with("spec.devices.constraints[0]: Required value: exactly one of")
    );
    let config = json!({ "requests": ["r", "r"], "opaque": { "driver": "a.example.com", "parameters": {} } });
    assert_eq!(with("config", config), ["spec.devices.config[0].requests[1]: Duplicate value: \"r\""]);
}

#[test]
fn what_is_asked_for_stays() {
    let (old, new) = (claim(exactly(json!({}))), claim(exactly(json!({ "count": 2 }))));
    let errors = texts(&ResourceClaims.validate_update(&context(), &new, &old));
    assert!(
        errors[0].starts_with("spec: Invalid value: {") && errors[0].ends_with(": field is immutable"),
        "{errors:?}"
    );
    assert!(ResourceClaims.validate_update(&context(), &old, &old).is_empty());
}

fn with_status(status: Value) -> ResourceClaim {
    let mut claim = claim(exactly(json!({})));
    claim.status = object(status);
    claim
}

fn result(device: &str) -> Value {
    json!({ "request": "r", "driver": "gpu.example.com", "pool": "n1", "device": device })
}

fn status_errors(new: Value, old: Value) -> Vec<String> {
    texts(&ResourceClaims.validate_status_update(&context(), &with_status(new), &with_status(old)))
}

#[test]
fn only_an_allocated_claim_is_reserved_for_256_at_most() {
    let allocation = json!({ "devices": { "results": [result("gpu-0")] } });
    let users = |count: usize| -> Vec<Value> {
        (0..count).map(|i| json!({ "resource": "pods", "name": "p", "uid": format!("u{i}") })).collect()
    };
    let reserved = |count: usize| json!({ "allocation": allocation, "reservedFor": users(count) });
    assert_eq!(status_errors(reserved(256), json!({})), Vec::<String>::new());
    assert_eq!(
        status_errors(reserved(257), json!({})),
        ["status.reservedFor: Too many: 257: must have at most 256 items"]
    );
    assert_eq!(
        status_errors(json!({ "reservedFor": users(1) }), json!({})),
        ["status.reservedFor: Forbidden: may not be specified when `allocated` is not set"]
    );
    let twice = json!({ "allocation": allocation, "reservedFor": [users(1)[0], users(1)[0]] });
    assert_eq!(status_errors(twice, json!({})), ["status.reservedFor[1]: Duplicate value: \"u0\""]);
    assert_eq!(
        status_errors(
            json!({ "allocation": allocation, "reservedFor": [{ "resource": "pods", "name": "", "uid": "" }] }),
            json!({})
        ),
        ["status.reservedFor[0].name: Required value", "status.reservedFor[0].uid: Required value"]
    );
    let mut going = with_status(reserved(2));
    going.metadata.deletion_timestamp = object(json!("2026-01-01T00:00:00Z"));
    let errors = texts(&ResourceClaims.validate_status_update(&context(), &going, &with_status(reserved(1))));
    assert_eq!(
        errors,
        [
            "status.reservedFor: Forbidden: new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"
        ]
    );
    assert!(ResourceClaims.validate_status_update(&context(), &going, &with_status(reserved(2))).is_empty());
}

#[test]
fn an_allocation_is_valid_and_stays_until_it_is_taken_back() {
    let allocated = |device: &str| json!({ "allocation": { "devices": { "results": [result(device)] } } });
    assert_eq!(status_errors(allocated("gpu-0"), json!({})), Vec::<String>::new());
    let errors = status_errors(allocated("gpu-1"), allocated("gpu-0"));
    assert!(errors[0].starts_with("status.allocation: Invalid value") && errors[0].ends_with("field is immutable"));
    assert_eq!(status_errors(json!({}), allocated("gpu-0")), Vec::<String>::new());
    let mut foreign = result("gpu-0");
    foreign["request"] = json!("other");
    let errors = status_errors(json!({ "allocation": { "devices": { "results": [foreign] } } }), json!({}));
    assert!(errors[0].starts_with("status.allocation.devices.results[0].request: Invalid value: \"other\""));
}

#[test]
fn drivers_tell_of_allocated_devices_only() {
    let device = json!({ "driver": "gpu.example.com", "pool": "n1", "device": "gpu-0" });
    let allocated = json!({ "allocation": { "devices": { "results": [result("gpu-0")] } }, "devices": [device] });
    assert_eq!(status_errors(allocated.clone(), json!({})), Vec::<String>::new());
    assert_eq!(
        status_errors(json!({ "devices": [device] }), json!({})),
        [r#"status.devices[0]: Invalid value: "gpu.example.com/n1/gpu-0": must be an allocated device in the claim"#]
    );
    let (mut new, old) = (with_status(json!({ "devices": [device] })), with_status(allocated));
    ResourceClaims.prepare_for_status_update(&context(), &mut new, &old);
    assert_eq!(new.status.unwrap().devices, None, "it goes with the allocation");
}

#[test]
fn tables_show_the_state() {
    let state = |claim: &ResourceClaim| ResourceClaims.cells(claim, Timestamp::UNIX_EPOCH)[1].clone();
    let allocation = json!({ "devices": { "results": [result("gpu-0")] } });
    let user = json!({ "resource": "pods", "name": "p", "uid": "u" });
    assert_eq!(state(&with_status(json!({}))), "pending");
    assert_eq!(state(&with_status(json!({ "allocation": allocation }))), "allocated");
    let mut claim = with_status(json!({ "allocation": allocation, "reservedFor": [user] }));
    assert_eq!(state(&claim), "allocated,reserved");
    claim.metadata.deletion_timestamp = object(json!("2026-01-01T00:00:00Z"));
    assert_eq!(state(&claim), "deleted,allocated,reserved");
}
