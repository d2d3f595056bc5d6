//! Pods of a class of runtimes.

use k8s_openapi::api::{core::v1::Pod, node::v1::RuntimeClass};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::{Value, json};

use crate::node::{Node, Seen, started};

async fn add_class(node: &Node, more: Value) {
    let mut class = json!({ "metadata": { "name": "sandboxed" }, "handler": "kata" });
    class.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let classes = Api::<RuntimeClass>::all(node.server.client());
    classes.create(&PostParams::default(), &serde_json::from_value(class).unwrap()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pod_runs_with_the_handler_of_its_class_and_takes_what_that_takes() {
    let node = started(&[]).await;
    let overhead = json!({ "podFixed": { "cpu": "3500m", "memory": "64Mi" } });
    add_class(&node, json!({ "overhead": overhead })).await;
    node.add_pod("a", "nginx", json!({ "runtimeClassName": "sandboxed" })).await;
    node.until("ready", "a", Seen::is_ready).await;
    assert_eq!(node.runtime.sandbox_config("a").unwrap().runtime_handler, "kata");
    assert_eq!(node.pod("a").await.unwrap().0["spec"]["overhead"], overhead["podFixed"]);
    // It counts: there is no room for another one.
    node.add_pod("b", "nginx", json!({ "runtimeClassName": "sandboxed" })).await;
    node.until("refused", "b", |pod| pod.phase() == "Failed").await;
    assert_eq!(node.status("b").await["reason"], "OutOfcpu");
    node.add_pod("c", "nginx", json!({})).await;
    node.until("ready", "c", Seen::is_ready).await;
    assert_eq!(node.runtime.sandbox_config("c").unwrap().runtime_handler, "");
}

#[tokio::test(start_paused = true)]
async fn a_class_that_is_not_there_is_refused_and_one_that_went_is_told_of() {
    let node = started(&[]).await;
    let pods = Api::<Pod>::default_namespaced(node.server.client());
    let container = json!({ "name": "c", "image": "nginx" });
    let spec = json!({ "runtimeClassName": "sandboxed", "containers": [container] });
    let pod: Pod = serde_json::from_value(json!({ "metadata": { "name": "a" }, "spec": spec })).unwrap();
    let refused = pods.create(&PostParams::default(), &pod).await.unwrap_err().to_string();
    assert!(
        refused.contains("pods \"a\" is forbidden: pod rejected: RuntimeClass \"sandboxed\" not found"),
        "{refused}"
    );
    add_class(&node, json!({ "scheduling": { "nodeSelector": { "kubernetes.io/os": "linux" } } })).await;
    let made = pods.create(&PostParams::default(), &pod).await.unwrap();
    assert_eq!(made.spec.unwrap().node_selector.unwrap()["kubernetes.io/os"], "linux");
    let classes = Api::<RuntimeClass>::all(node.server.client());
    classes.delete("sandboxed", &DeleteParams::default()).await.unwrap();
    node.bind("a").await;
    let told = "Warning FailedCreatePodSandBox : Failed to create pod sandbox: runtimeclass.node.k8s.io \"sandboxed\" not found";
    node.until_events_with(told).await;
    add_class(&node, json!({})).await;
    node.until("ready", "a", Seen::is_ready).await;
}
