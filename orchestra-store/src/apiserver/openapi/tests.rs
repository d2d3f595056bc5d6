use super::*;
use crate::apiserver::discovery::tests::registry;

const CONTAINERS: &str = "/components/schemas/io.k8s.api.core.v1.PodSpec/properties/containers";

#[test]
fn kinds_have_schemas_with_merge_keys() {
    let document = v3(&Group::all(&registry()), &["api", "v1"]).unwrap();
    let containers = document.pointer(CONTAINERS).unwrap();
    assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
    assert_eq!(containers["x-kubernetes-patch-strategy"], "merge");
    assert_eq!(containers["items"]["$ref"], "#/components/schemas/io.k8s.api.core.v1.Container");
    let pod = &document["components"]["schemas"]["io.k8s.api.core.v1.Pod"];
    assert_eq!(pod["x-kubernetes-group-version-kind"], json!([{"group": "", "kind": "Pod", "version": "v1"}]));
    assert!(pod["description"].as_str().unwrap().starts_with("Pod is a collection"));
}

#[test]
fn patches_validate_fields() {
    let document = v3(&Group::all(&registry()), &["apis", "apps", "v1"]).unwrap();
    let patch = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    let names: Vec<&Value> = patch["parameters"].as_array().unwrap().iter().map(|p| &p["name"]).collect();
    assert!(names.contains(&&json!("fieldValidation")));
    assert!(patch["requestBody"]["content"].get("application/strategic-merge-patch+json").is_some());
}

#[test]
fn every_reference_of_version_2_is_defined() {
    let document = v2(&Group::all(&registry()));
    fn check(value: &Value, definitions: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| check(item, definitions)),
            Value::Object(fields) => {
                if let Some(Value::String(address)) = fields.get("$ref") {
                    let name = address.strip_prefix("#/definitions/").unwrap();
                    assert!(definitions.get(name).is_some(), "{name}");
                }
                fields.values().for_each(|field| check(field, definitions));
            }
            _ => {}
        }
    }
    check(&document, &document["definitions"]);
}

#[test]
fn the_index_names_each_version() {
    let index = index(&Group::all(&registry()));
    let address = index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().unwrap();
    assert!(address.starts_with("/openapi/v3/apis/apps/v1?hash="));
}

#[test]
fn the_patch_table_names_fields_that_there_are() {
    let registry = crate::apiserver::kinds::table();
    let document = v2(&Group::all(&registry));
    let definitions = document["definitions"].as_object().unwrap();
    for (name, schema) in definitions {
        let Some(ty) = name.strip_prefix("io.k8s.api.").or_else(|| name.strip_prefix("io.k8s.apimachinery.pkg.apis."))
        else {
            continue;
        };
        for crate::apiserver::patch::schema::Field(field, merge, below) in crate::apiserver::patch::schema::fields(ty) {
            let property = &schema["properties"][field];
            assert_eq!(property["type"] == "array", merge.merges_items(), "{name}.{field}");
            let target = property["$ref"].as_str().or_else(|| property["items"]["$ref"].as_str()).unwrap_or_default();
            assert!(target.ends_with(below), "{name}.{field} is {target}, not {below}");
            if let Some(key) = merge.key() {
                let item = &definitions[target.trim_start_matches("#/definitions/")];
                assert!(item["properties"].get(key).is_some(), "{name}.{field} has no {key}");
            }
        }
    }
}
