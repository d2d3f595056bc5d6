use serde_json::{Value, json};

use crate::harness::{MERGE, Server, failure};

const VOLUMES: &str = "/api/v1/persistentvolumes";
const CLAIMS: &str = "/api/v1/namespaces/default/persistentvolumeclaims";
const CLASSES: &str = "/apis/storage.k8s.io/v1/storageclasses";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

fn claim(name: &str, class: Value) -> String {
    let spec = json!({"accessModes": ["ReadWriteOnce"], "storageClassName": class,
        "resources": {"requests": {"storage": "1Gi"}}});
    json!({"metadata": {"name": name}, "spec": spec}).to_string()
}

fn class(name: &str, is_default: bool) -> String {
    let annotations = json!({"storageclass.kubernetes.io/is-default-class": is_default.to_string()});
    let metadata = json!({"name": name, "annotations": annotations});
    json!({"metadata": metadata, "provisioner": "example.org/disks", "allowVolumeExpansion": true}).to_string()
}

#[tokio::test]
async fn new_volumes_and_claims_are_held_until_nobody_uses_them() {
    let server = Server::start().await;
    let spec = json!({"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/data"}});
    let volume = server.post(VOLUMES, json!({"metadata": {"name": "v"}, "spec": spec}).to_string()).await.json();
    assert_eq!(volume["metadata"]["finalizers"], json!(["kubernetes.io/pv-protection"]));
    assert_eq!(volume["status"]["phase"], "Pending");
    let held = server.post(CLAIMS, claim("c", Value::Null)).await.json();
    assert_eq!(held["metadata"]["finalizers"], json!(["kubernetes.io/pvc-protection"]));
    assert_eq!(held["status"], json!({"phase": "Pending"}));

    let deleted = server.ask("DELETE", &format!("{CLAIMS}/c")).await.json();
    assert_eq!((&deleted["kind"], &deleted["metadata"]["name"]), (&json!("PersistentVolumeClaim"), &json!("c")));
    let table = server.accepting(CLAIMS, TABLE).await.json();
    assert_eq!(table["rows"][0]["cells"][1], "Terminating");
    let released = json!({"metadata": {"finalizers": null}}).to_string();
    server.with_body("PATCH", &format!("{CLAIMS}/c"), MERGE, released).await;
    assert_eq!(server.get(&format!("{CLAIMS}/c")).await.code, 404);
}

#[tokio::test]
async fn a_claim_that_names_no_class_gets_the_default_one() {
    let server = Server::start().await;
    assert_eq!(server.post(CLASSES, class("slow", false)).await.code, 201);
    assert_eq!(server.post(CLAIMS, claim("before", Value::Null)).await.json()["spec"].get("storageClassName"), None);
    assert_eq!(server.post(CLASSES, class("fast", true)).await.code, 201);
    assert_eq!(server.post(CLAIMS, claim("c", Value::Null)).await.json()["spec"]["storageClassName"], "fast");
    assert_eq!(server.post(CLAIMS, claim("none", json!(""))).await.json()["spec"]["storageClassName"], "");
    assert_eq!(server.post(CLAIMS, claim("other", json!("slow"))).await.json()["spec"]["storageClassName"], "slow");
}

#[tokio::test]
async fn a_claim_grows_when_it_is_bound_and_its_class_allows_it() {
    let server = Server::start().await;
    server.post(CLASSES, class("fast", false)).await;
    for (name, class) in [("c", json!("fast")), ("plain", json!(""))] {
        server.post(CLAIMS, claim(name, class)).await;
    }
    let grow = async |name: &str| {
        let more = json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}}).to_string();
        server.with_body("PATCH", &format!("{CLAIMS}/{name}"), MERGE, more).await
    };
    let refused =
        |name: &str, why: &str| failure(403, &format!("persistentvolumeclaims \"{name}\" is forbidden: {why}"));
    assert_eq!(grow("c").await.failure(), refused("c", "Only bound persistent volume claims can be expanded"));
    for name in ["c", "plain"] {
        let bound = json!({"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}}).to_string();
        server.with_body("PATCH", &format!("{CLAIMS}/{name}/status"), MERGE, bound).await;
    }
    assert_eq!(grow("c").await.json()["spec"]["resources"]["requests"]["storage"], "2Gi");
    let why = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize";
    assert_eq!(grow("plain").await.failure(), refused("plain", why));
}
