//! The API server through the client that programs use.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Namespace, Node, Pod, Service},
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams},
};
use orchestra_store::{MemoryStore, apiserver::ApiServer};
use serde_json::json;

async fn client() -> Client {
    let server = ApiServer::builder(Arc::new(MemoryStore::default())).start().await.expect("a server");
    server.client("default")
}

fn object<T: serde::de::DeserializeOwned>(json: serde_json::Value) -> T {
    serde_json::from_value(json).expect("an object of the type")
}

fn config_map(name: &str) -> ConfigMap {
    object(json!({"metadata": {"name": name, "labels": {"app": name}}, "data": {"k": "v"}}))
}

#[tokio::test]
async fn what_is_created_can_be_read_listed_changed_and_deleted() {
    let api = Api::<ConfigMap>::default_namespaced(client().await);
    let created = api.create(&PostParams::default(), &config_map("a")).await.unwrap();
    assert!(created.uid().is_some() && created.resource_version().is_some());
    api.create(&PostParams::default(), &config_map("b")).await.unwrap();
    let selected = api.list(&ListParams::default().labels("app=b")).await.unwrap();
    assert_eq!(selected.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["b"]);
    assert_eq!(selected.items[0].data.as_ref().unwrap()["k"], "v");
    let patch = Patch::Merge(json!({"data": {"k": "w"}}));
    let patched = api.patch("a", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(patched.data.unwrap()["k"], "w");
    let stale = api.replace("a", &PostParams::default(), &created).await.unwrap_err();
    assert!(matches!(stale, kube::Error::Api(status) if status.reason == "Conflict"));
    api.delete("a", &DeleteParams::default()).await.unwrap();
    assert!(api.get_opt("a").await.unwrap().is_none());
}

#[tokio::test]
async fn pages_show_one_state() {
    let api = Api::<ConfigMap>::default_namespaced(client().await);
    for i in 0..5 {
        api.create(&PostParams::default(), &config_map(&format!("c{i}"))).await.unwrap();
    }
    let first = api.list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!(first.metadata.remaining_item_count, Some(3));
    api.delete("c3", &DeleteParams::default()).await.unwrap();
    let token = first.metadata.continue_.unwrap();
    let rest = api.list(&ListParams::default().continue_token(&token)).await.unwrap();
    assert_eq!(rest.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["c2", "c3", "c4"]);
}

#[tokio::test]
async fn a_watch_tells_what_was_there_and_what_happens() {
    let api = Api::<ConfigMap>::default_namespaced(client().await);
    api.create(&PostParams::default(), &config_map("a")).await.unwrap();
    let mut events = api.watch(&WatchParams::default(), "0").await.unwrap().boxed();
    assert!(matches!(events.try_next().await.unwrap(), Some(WatchEvent::Added(a)) if a.name_any() == "a"));
    api.delete("a", &DeleteParams::default()).await.unwrap();
    assert!(matches!(events.try_next().await.unwrap(), Some(WatchEvent::Deleted(a)) if a.name_any() == "a"));
}

#[tokio::test]
async fn a_bound_pod_goes_after_its_grace() {
    let client = client().await;
    let pods = Api::<Pod>::default_namespaced(client.clone());
    let pod = object(json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}));
    let pod = pods.create(&PostParams::default(), &pod).await.unwrap();
    assert_eq!(pod.spec.as_ref().unwrap().service_account_name.as_deref(), Some("default"));
    let binding = json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}});
    let _: serde_json::Value = pods.create_subresource("binding", "p", &PostParams::default(), &binding).await.unwrap();
    assert_eq!(pods.get("p").await.unwrap().spec.unwrap().node_name.as_deref(), Some("n1"));
    pods.delete("p", &DeleteParams::default()).await.unwrap();
    assert_eq!(pods.get("p").await.unwrap().metadata.deletion_grace_period_seconds, Some(30));
    pods.delete("p", &DeleteParams::default().grace_period(0)).await.unwrap();
    assert!(pods.get_opt("p").await.unwrap().is_none());
}

#[tokio::test]
async fn a_deployment_can_be_scaled_and_its_status_patched() {
    let api = Api::<Deployment>::default_namespaced(client().await);
    let deployment = object(json!({
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "c", "image": "nginx"}]},
            },
        },
    }));
    api.create(&PostParams::default(), &deployment).await.unwrap();
    let scaled = api.patch_scale("web", &PatchParams::default(), &Patch::Merge(json!({"spec": {"replicas": 3}}))).await;
    assert_eq!(scaled.unwrap().spec.unwrap().replicas, Some(3));
    let status = Patch::Merge(json!({"status": {"replicas": 2}, "spec": {"replicas": 9}}));
    let seen = api.patch_status("web", &PatchParams::default(), &status).await.unwrap();
    assert_eq!(seen.spec.unwrap().replicas, Some(3));
    assert_eq!(seen.status.unwrap().replicas, Some(2));
    assert_eq!(seen.metadata.generation, Some(2));
}

#[tokio::test]
async fn services_get_addresses_of_their_own() {
    let api = Api::<Service>::default_namespaced(client().await);
    let service = |name: &str| object(json!({"metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}}));
    let mut addresses = Vec::new();
    for name in ["a", "b"] {
        let created: Service = api.create(&PostParams::default(), &service(name)).await.unwrap();
        addresses.push(created.spec.unwrap().cluster_ip.unwrap());
    }
    assert!(addresses.iter().all(|address| address.starts_with("10.")));
    assert_ne!(addresses[0], addresses[1]);
}

#[tokio::test]
async fn bad_bodies_get_a_status_and_store_nothing() {
    let client = client().await;
    let send = async |body: Vec<u8>| {
        let request = http::Request::post("/api/v1/namespaces/default/configmaps").body(body).unwrap();
        match client.request::<serde_json::Value>(request).await.unwrap_err() {
            kube::Error::Api(status) => status.code,
            other => panic!("not a status: {other}"),
        }
    };
    assert_eq!(send(b"{\"metadata\":{\"name\":\"x\"".to_vec()).await, 400);
    assert_eq!(send(b"{\"metadata\":{\"name\":\"\xff\"}}".to_vec()).await, 400);
    assert_eq!(send([vec![b'['; 100_000], vec![b']'; 100_000]].concat()).await, 400);
    let deep = format!("{{\"metadata\":{{\"name\":\"x\"}},\"data\":{}{}}}", "{\"a\":".repeat(5000), "}".repeat(5000));
    assert_eq!(send(deep.into_bytes()).await, 400);
    assert_eq!(send(vec![b' '; (3 << 20) + 1]).await, 413);
    assert!(Api::<ConfigMap>::default_namespaced(client).list(&ListParams::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn a_namespace_that_ends_takes_nothing_new() {
    let client = client().await;
    let namespaces = Api::<Namespace>::all(client.clone());
    namespaces.create(&PostParams::default(), &object(json!({"metadata": {"name": "dying"}}))).await.unwrap();
    namespaces.delete("dying", &DeleteParams::default()).await.unwrap();
    let late = Api::<ConfigMap>::namespaced(client, "dying").create(&PostParams::default(), &config_map("late")).await;
    assert!(matches!(late, Err(kube::Error::Api(status)) if status.code == 403));
    assert!(Api::<Node>::all(namespaces.into_client()).list(&ListParams::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn devices_in_use_are_for_namespaces_that_are_labelled_for_that() {
    use k8s_openapi::api::{core::v1::Namespace, resource::v1::ResourceClaim};
    let client = client().await;
    let claim: ResourceClaim = object(json!({
        "metadata": { "name": "c" },
        "spec": { "devices": { "requests": [{ "name": "r", "exactly": { "deviceClassName": "gpu", "adminAccess": true } }] } },
    }));
    let refused =
        Api::<ResourceClaim>::namespaced(client.clone(), "default").create(&PostParams::default(), &claim).await;
    let kube::Error::Api(status) = refused.unwrap_err() else { panic!("not an answer of the server") };
    assert_eq!(
        status.message,
        "ResourceClaim.resource.k8s.io \"c\" is invalid: spec.devices.requests[0].exactly.adminAccess: Forbidden: admin access to devices requires the `resource.kubernetes.io/admin-access: true` label on the containing namespace"
    );
    let labels = json!({ "resource.kubernetes.io/admin-access": "true" });
    let namespace: Namespace = object(json!({ "metadata": { "name": "admin", "labels": labels } }));
    Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
    let created =
        Api::<ResourceClaim>::namespaced(client, "admin").create(&PostParams::default(), &claim).await.unwrap();
    assert_eq!(created.spec.devices.unwrap().requests.unwrap()[0].exactly.as_ref().unwrap().count, Some(1));
}
