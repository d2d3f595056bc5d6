//! Every namespace has the certificate authority that the volumes of its pods project.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    runtime::wait::await_condition,
};
use orchestra_runtime::Cluster;
use serde_json::{Value, json};

const NAME: &str = "kube-root-ca.crt";

async fn until(api: &Api<ConfigMap>, holds: impl Fn(&ConfigMap) -> bool) -> ConfigMap {
    let found = await_condition(api.clone(), NAME, |found: Option<&ConfigMap>| found.is_some_and(&holds));
    tokio::time::timeout(Duration::from_secs(10), found).await.unwrap().unwrap().unwrap()
}

fn is_right(config_map: &ConfigMap) -> bool {
    let object = serde_json::to_value(config_map).unwrap();
    let description = object["metadata"]["annotations"]["kubernetes.io/description"].as_str().unwrap_or_default();
    // Without TLS there is no authority.
    object["data"] == json!({"ca.crt": ""})
        && description.starts_with("Contains a CA bundle that can be used to verify")
}

#[tokio::test(start_paused = true)]
async fn a_new_namespace_gets_what_the_volumes_of_its_pods_project() {
    let cluster = Cluster::builder().start().await.unwrap();
    let namespaces = Api::<Namespace>::all(cluster.client());
    let team = serde_json::from_value(json!({"metadata": {"name": "team"}})).unwrap();
    namespaces.create(&PostParams::default(), &team).await.unwrap();
    for namespace in ["default", "kube-system", "kube-public", "kube-node-lease", "team"] {
        until(&Api::namespaced(cluster.client(), namespace), is_right).await;
    }
    let pod = json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}});
    let pods = Api::<Pod>::namespaced(cluster.client(), "team");
    let pod = pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    let volumes = serde_json::to_value(pod.spec.unwrap().volumes).unwrap();
    let projected: Vec<&Value> = volumes[0]["projected"]["sources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|source| &source["configMap"]["name"])
        .collect();
    assert!(projected.contains(&&json!(NAME)), "{volumes}");
    cluster.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_changed_or_deleted_is_put_right() {
    let cluster = Cluster::builder().nodes(0).start().await.unwrap();
    let api = Api::<ConfigMap>::default_namespaced(cluster.client());
    let first = until(&api, is_right).await;
    for change in [
        json!({"data": {"ca.crt": "forged"}}),
        json!({"data": {"ca.crt": null, "other": "x"}, "metadata": {"annotations": {"kubernetes.io/description": ""}}}),
    ] {
        api.patch(NAME, &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
        until(&api, is_right).await;
    }
    let mine = json!({"metadata": {"labels": {"mine": "stays"}}, "data": {"ca.crt": "forged"}});
    api.patch(NAME, &PatchParams::default(), &Patch::Merge(mine)).await.unwrap();
    let repaired = until(&api, is_right).await;
    assert_eq!((repaired.labels()["mine"].as_str(), repaired.uid()), ("stays", first.uid()));
    api.delete(NAME, &DeleteParams::default()).await.unwrap();
    let again = until(&api, |found| is_right(found) && found.uid() != first.uid()).await;
    assert!(again.labels().is_empty());
    cluster.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_namespace_can_go_with_it() {
    let cluster = Cluster::builder().nodes(0).start().await.unwrap();
    let namespaces = Api::<Namespace>::all(cluster.client());
    let team = serde_json::from_value(json!({"metadata": {"name": "team"}})).unwrap();
    let uid = namespaces.create(&PostParams::default(), &team).await.unwrap().uid().unwrap();
    until(&Api::namespaced(cluster.client(), "team"), is_right).await;
    namespaces.delete("team", &DeleteParams::default()).await.unwrap();
    let gone = await_condition(namespaces, "team", kube::runtime::conditions::is_deleted(&uid));
    tokio::time::timeout(Duration::from_secs(60), gone).await.unwrap().unwrap();
    cluster.shut_down().await;
}
