use serde_json::json;

use super::*;
use crate::apiserver::{
    registry::Subresource,
    row,
    strategy::{Column, Strategy},
};

pub(in crate::apiserver) struct Plain<T>(std::marker::PhantomData<fn() -> T>);

impl<T: crate::apiserver::object::ApiObject + schemars::JsonSchema> Strategy for Plain<T> {
    type Object = T;
    type Wire = T;

    fn columns(&self) -> &'static [Column] {
        &[]
    }

    fn cells(&self, _: &T, _: jiff::Timestamp) -> Vec<Value> {
        Vec::new()
    }
}

pub(in crate::apiserver) fn registry() -> Registry {
    use k8s_openapi::api::{apps::v1::Deployment, core::v1 as core};
    fn plain<T>() -> Plain<T> {
        Plain(std::marker::PhantomData)
    }
    Registry::new()
        .with(
            row(plain::<core::Pod>())
                .short_names(&["po"])
                .categories(&["all"])
                .subresources(&[Subresource::Status, Subresource::Eviction]),
        )
        .with(row(plain::<core::Namespace>()).cluster_scoped().short_names(&["ns"]))
        .with(
            row(plain::<Deployment>())
                .short_names(&["deploy"])
                .categories(&["all"])
                .subresources(&[Subresource::Status, Subresource::Scale]),
        )
}

fn get(path: &str, accept: Option<&str>) -> Option<(&'static str, Bytes)> {
    respond(&registry(), path, &Method::GET, accept).map(Result::unwrap)
}

fn json_of(path: &str) -> Value {
    serde_json::from_slice(&get(path, None).unwrap().1).unwrap()
}

#[test]
fn groups_and_versions() {
    assert_eq!(json_of("/api")["versions"], json!(["v1"]));
    let expected = json!({
        "kind": "APIGroup", "apiVersion": "v1", "name": "apps",
        "versions": [{"groupVersion": "apps/v1", "version": "v1"}],
        "preferredVersion": {"groupVersion": "apps/v1", "version": "v1"}
    });
    assert_eq!(json_of("/apis/apps"), expected);
    assert!(get("/apis/nosuch.io/v1", None).is_none());
    assert!(get("/nosuch", None).is_none());
}

#[test]
fn resources_with_their_parts() {
    let list = json_of("/apis/apps/v1");
    assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("APIResourceList"), &json!("v1")));
    let scale = json!({
        "name": "deployments/scale", "singularName": "", "namespaced": true,
        "group": "autoscaling", "version": "v1", "kind": "Scale", "verbs": ["get", "patch", "update"]
    });
    assert_eq!(list["resources"][1], scale);
    let core = json_of("/api/v1");
    assert!(core.get("apiVersion").is_none());
    let verbs = json!(["create", "delete", "get", "list", "patch", "update", "watch"]);
    assert_eq!(core["resources"][0]["verbs"], verbs);
}

#[test]
fn aggregated_discovery_is_given_when_asked_for() {
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let (content_type, body) = get("/apis", Some(accept)).unwrap();
    assert_eq!(content_type, "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
    let list: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(list["apiVersion"], "apidiscovery.k8s.io/v2");
    let deployment = &list["items"][0]["versions"][0]["resources"][0];
    assert_eq!(deployment["responseKind"], json!({"group": "", "version": "", "kind": "Deployment"}));
    assert_eq!(deployment["subresources"][0]["responseKind"]["group"], "autoscaling");
}

#[test]
fn a_new_row_is_seen() {
    let registry = registry();
    let asked = || respond(&registry, "/apis/apps/v1", &Method::GET, None);
    let before = asked();
    registry.insert(row(Plain::<k8s_openapi::api::apps::v1::ReplicaSet>(std::marker::PhantomData)));
    assert_ne!(before, asked());
}
