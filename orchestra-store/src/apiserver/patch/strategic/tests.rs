use serde_json::json;

use super::*;

fn deployment(containers: &Value) -> Value {
    json!({"spec": {"template": {"spec": {"containers": containers}}}})
}

fn containers(original: &Value, patch: &Value) -> Result<Value, ApiError> {
    let patched = apply("apps.v1.Deployment", deployment(original), deployment(patch))?;
    Ok(patched.pointer("/spec/template/spec/containers").cloned().unwrap_or_default())
}

fn names(containers: &Value) -> Vec<&str> {
    containers.as_array().into_iter().flatten().filter_map(|c| c["name"].as_str()).collect()
}

#[test]
fn items_merge_by_key_and_new_ones_come_first() {
    let merged = containers(
        &json!([{"name": "nginx", "image": "nginx"}]),
        &json!([{"name": "side", "image": "busybox"}, {"name": "nginx", "env": [{"name": "A", "value": "1"}]}]),
    );
    let expected = json!([{"name": "side", "image": "busybox"}, {"name": "nginx", "image": "nginx", "env": [{"name": "A", "value": "1"}]}]);
    assert_eq!(merged.unwrap(), expected);
}

#[test]
fn an_item_is_deleted_by_its_key() {
    let original = json!([{"name": "side"}, {"name": "nginx"}]);
    let merged = containers(&original, &json!([{"name": "side", "$patch": "delete"}])).unwrap();
    assert_eq!(names(&merged), ["nginx"]);
}

#[test]
fn a_list_is_replaced() {
    let patch = json!([{"$patch": "replace"}, {"name": "b", "image": "x"}]);
    assert_eq!(containers(&json!([{"name": "a"}]), &patch).unwrap(), json!([{"name": "b", "image": "x"}]));
}

#[test]
fn an_item_without_its_key_is_named() {
    let error = containers(&json!([{"name": "a"}]), &json!([{"image": "x"}])).unwrap_err();
    assert_eq!(error.code(), 500);
    assert_eq!(error.to_string(), "map: map[image:x] does not contain declared merge key: name");
}

#[test]
fn the_order_is_set() {
    let original = json!({"containers": [{"name": "nginx"}]});
    let patch = json!({
        "$setElementOrder/containers": [{"name": "nginx"}, {"name": "b"}],
        "containers": [{"name": "b", "image": "busybox"}]
    });
    let patched = apply("core.v1.PodSpec", original.clone(), patch).unwrap();
    assert_eq!(names(&patched["containers"]), ["nginx", "b"]);
    let patch = json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "nginx"}]});
    let patched = apply("core.v1.PodSpec", patched.clone(), patch).unwrap();
    assert_eq!(names(&patched["containers"]), ["b", "nginx"]);
}

#[test]
fn keys_that_are_not_retained_go() {
    let original = json!({"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}});
    let patch = json!({"strategy": {"$retainKeys": ["type"], "type": "Recreate"}});
    assert_eq!(
        apply("apps.v1.DeploymentSpec", original.clone(), patch).unwrap(),
        json!({"strategy": {"type": "Recreate"}})
    );
    let patch = json!({"strategy": {"$retainKeys": [], "type": "Recreate"}});
    assert_eq!(apply("apps.v1.DeploymentSpec", original.clone(), patch).unwrap_err().code(), 400);
}

#[test]
fn finalizers_are_a_set() {
    let original = json!({"metadata": {"finalizers": ["a", "b"]}});
    let merged = apply("Object", original.clone(), json!({"metadata": {"finalizers": ["b", "c"]}})).unwrap();
    let finalizers = merged["metadata"]["finalizers"].as_array().unwrap().len();
    assert_eq!(finalizers, 3);
    let patch = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}});
    assert_eq!(apply("Object", original.clone(), patch).unwrap(), json!({"metadata": {"finalizers": ["b"]}}));
}

#[test]
fn nulls_delete_and_are_never_added() {
    let original = json!({"data": {"a": "1"}});
    let patch = json!({"data": {"a": null, "b": null}, "more": {"c": null, "d": "2"}});
    assert_eq!(apply("Object", original.clone(), patch).unwrap(), json!({"data": {}, "more": {"d": "2"}}));
}

#[test]
fn lists_without_a_key_are_replaced() {
    let original = json!({"tolerations": [{"key": "a"}]});
    let patch = json!({"tolerations": [{"key": "b"}]});
    assert_eq!(apply("core.v1.PodSpec", original.clone(), patch.clone()).unwrap(), patch);
}

#[test]
fn what_the_patch_does_not_name_keeps_its_place() {
    let original = json!({"containers": [{"name": "a"}, {"name": "b"}, {"name": "c"}]});
    let patch = json!({"containers": [{"name": "b", "image": "x"}]});
    let patched = apply("core.v1.PodSpec", original.clone(), patch).unwrap();
    assert_eq!(names(&patched["containers"]), ["a", "b", "c"]);
}

#[test]
fn long_lists_merge_in_linear_time() {
    let finalizers: Vec<String> = (0..200_000).map(|i| i.to_string()).collect();
    let original = json!({"metadata": {"finalizers": finalizers}});
    let patched = apply("Object", original.clone(), original.clone()).unwrap();
    assert_eq!(patched, original);
}

mod any_patch {
    use proptest::prelude::*;

    use super::*;

    fn json() -> impl Strategy<Value = Value> {
        let key = prop::sample::select(vec![
            "name",
            "containers",
            "env",
            "finalizers",
            "metadata",
            "spec",
            "$patch",
            "$retainKeys",
            "$setElementOrder/containers",
            "$setElementOrder/finalizers",
            "$deleteFromPrimitiveList/finalizers",
        ]);
        let text = prop::sample::select(vec!["a", "b", "delete", "replace", "merge"]);
        let leaf = prop_oneof![Just(Value::Null), Just(json!(1)), text.prop_map(Value::from)];
        leaf.prop_recursive(6, 64, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((key.clone(), inner), 0..4)
                    .prop_map(|fields| fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn is_merged_or_refused(original in json(), patch in json()) {
            for root in ["core.v1.Pod", "core.v1.PodSpec", "Object"] {
                let _ = apply(root, original.clone(), patch.clone());
            }
        }

        #[test]
        fn leaves_no_directive_in_what_it_adds(patch in json().prop_filter("an object", Value::is_object)) {
            if let Ok(patched) = apply("core.v1.Pod", json!({}), patch) {
                prop_assert!(!patched.to_string().contains("\"$"), "{patched}");
            }
        }
    }
}
