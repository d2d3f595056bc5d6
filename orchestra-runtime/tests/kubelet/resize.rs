//! In-place resize.

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{Patch, PatchParams, Request},
};
use orchestra_runtime::container::ImageScript;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::node::{Node, SECOND, Seen, started};

fn amounts(cpu: &str, memory: &str) -> Value {
    json!({ "cpu": cpu, "memory": memory })
}

fn with_resources(requests: &Value, limits: &Value, policy: Value) -> Value {
    let resources = json!({ "requests": requests, "limits": limits });
    json!({ "containers": [{ "name": "c", "image": "nginx", "resources": resources, "resizePolicy": policy }] })
}

/// A pod that runs, with these requests and twice that CPU and memory as limits.
async fn running(node: &Node, name: &str, policy: Value) {
    let spec = with_resources(&amounts("500m", "1Gi"), &amounts("1", "2Gi"), policy);
    node.add_pod(name, "nginx", spec).await;
    node.until("ready", name, Seen::is_ready).await;
}

/// As `kubectl patch --subresource resize`.
async fn resize(node: &Node, pod: &str, requests: Value, limits: Value) -> Result<Value, kube::Error> {
    let resources = json!({ "requests": requests, "limits": limits });
    let patch = json!({ "spec": { "containers": [{ "name": "c", "resources": resources }] } });
    let request = Request::new("/api/v1/namespaces/default/pods");
    let patch = Patch::Strategic(patch);
    let request = request.patch_subresource("resize", pod, &PatchParams::default(), &patch).unwrap();
    node.server.client().request(request).await
}

fn container(pod: &Seen) -> &Value {
    &pod.0["status"]["containerStatuses"][0]
}

/// Whether the container has so much CPU and the pod is at rest.
fn has(cpu: &'static str) -> impl Fn(&Seen) -> bool {
    move |pod| {
        container(pod)["resources"]["limits"]["cpu"] == cpu
            && pod.condition("PodResizeInProgress").is_none()
            && pod.condition("PodResizePending").is_none()
    }
}

#[tokio::test(start_paused = true)]
async fn a_running_container_gets_what_it_is_to_have_and_is_not_restarted() {
    let node = started(&[]).await;
    running(&node, "a", json!([])).await;
    let before = container(&node.pod("a").await.unwrap())["containerID"].clone();
    let answer = resize(&node, "a", amounts("1", "2Gi"), amounts("2", "4Gi")).await.unwrap();
    assert_eq!((&answer["metadata"]["generation"], &answer["kind"]), (&json!(2), &json!("Pod")));
    node.until("resized", "a", has("2")).await;
    let pod = node.pod("a").await.unwrap();
    let status = container(&pod);
    assert_eq!(status["allocatedResources"], amounts("1", "2Gi"));
    assert_eq!(status["resources"], json!({ "requests": amounts("1", "2Gi"), "limits": amounts("2", "4Gi") }));
    assert_eq!((&status["containerID"], &status["restartCount"]), (&before, &json!(0)));
    assert_eq!(pod.0["status"]["observedGeneration"], 2);
    let limits = node.runtime.container_config("a", "c").unwrap().resources;
    assert_eq!((limits.cpu_quota, limits.cpu_shares, limits.memory_limit), (200_000, 1024, 4 << 30));
    let details = r#"{"containers":[{"name":"c","resources":{"limits":{"cpu":"2","memory":"4Gi"},"requests":{"cpu":"1","memory":"2Gi"}}}],"generation":2}"#;
    let events = node.events().await;
    for what in ["Normal ResizeStarted : Pod resize started", "Normal ResizeCompleted : Pod resize completed"] {
        assert!(events.contains(&format!("{what}: {details}")), "{events:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_container_is_restarted_if_its_policy_says_so() {
    let node = started(&[]).await;
    running(&node, "a", json!([{ "resourceName": "memory", "restartPolicy": "RestartContainer" }])).await;
    resize(&node, "a", amounts("1", "1Gi"), amounts("2", "2Gi")).await.unwrap();
    node.until("resized", "a", has("2")).await;
    assert_eq!(node.pod("a").await.unwrap().restarts(), 0);
    resize(&node, "a", amounts("1", "2Gi"), amounts("4", "4Gi")).await.unwrap();
    node.until("restarted", "a", |pod| has("4")(pod) && pod.restarts() == 1 && pod.is_ready()).await;
    assert_eq!(node.runtime.container_config("a", "c").unwrap().resources.memory_limit, 4 << 30);
    let events = node.until_events_with("ResizeCompleted : Pod resize completed: {\"containers\":[{\"name\":\"c\",\"resources\":{\"limits\":{\"cpu\":\"4\"").await;
    let restart = "Normal Killing spec.containers{c}: Container c resize requires restart";
    assert!(events.iter().any(|event| event == restart), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn what_the_node_never_has_is_infeasible() {
    let node = started(&[]).await;
    running(&node, "a", json!([])).await;
    resize(&node, "a", amounts("5", "1Gi"), amounts("6", "2Gi")).await.unwrap();
    let pending = |pod: &Seen| pod.condition("PodResizePending").is_some();
    node.until("pending", "a", pending).await;
    let pod = node.pod("a").await.unwrap();
    let condition = pod.condition("PodResizePending").unwrap();
    assert_eq!((&condition["status"], &condition["reason"]), (&json!("True"), &json!("Infeasible")));
    assert_eq!(condition["message"], "Node didn't have enough capacity: cpu, requested: 5000, capacity: 4000");
    assert_eq!(condition["observedGeneration"], 2);
    assert_eq!(container(&pod)["resources"]["limits"]["cpu"], "1");
    assert_eq!(container(&pod)["allocatedResources"]["cpu"], "500m");
    let told = node.events().await;
    assert!(
        told.iter().any(|event| event.starts_with("Warning ResizeInfeasible : Pod resize Infeasible: {")),
        "{told:?}"
    );
    // What fits is granted.
    resize(&node, "a", amounts("3", "1Gi"), amounts("3", "2Gi")).await.unwrap();
    node.until("resized", "a", has("3")).await;
}

#[tokio::test(start_paused = true)]
async fn what_others_have_is_waited_for() {
    let node = started(&[]).await;
    running(&node, "a", json!([])).await;
    let other = with_resources(&amounts("2", "1Gi"), &amounts("2", "2Gi"), json!([]));
    node.add_pod("b", "nginx", other).await;
    node.until("ready", "b", Seen::is_ready).await;
    resize(&node, "a", amounts("3", "1Gi"), amounts("3", "2Gi")).await.unwrap();
    let deferred =
        |pod: &Seen| pod.condition("PodResizePending").is_some_and(|pending| pending["reason"] == "Deferred");
    node.until("deferred", "a", deferred).await;
    let pod = node.pod("a").await.unwrap();
    let message = "Node didn't have enough resource: cpu, requested: 3000, used: 2000, capacity: 4000";
    assert_eq!(pod.condition("PodResizePending").unwrap()["message"], message);
    // A kubelet that starts again knows what the pod has, and what it waits for.
    assert_eq!(node.runtime.container_config("a", "c").unwrap().resources.cpu_quota, 100_000);
    node.delete_pod("b", 0).await;
    node.until("resized", "a", has("3")).await;
    assert_eq!(node.runtime.container_config("a", "c").unwrap().resources.cpu_quota, 300_000);
}

#[tokio::test(start_paused = true)]
async fn a_kubelet_that_starts_again_goes_on_with_a_resize() {
    let mut node = started(&[]).await;
    running(&node, "a", json!([])).await;
    node.stop().await;
    resize(&node, "a", amounts("1", "2Gi"), amounts("2", "4Gi")).await.unwrap();
    node.start();
    node.until("resized", "a", has("2")).await;
    assert_eq!(node.pod("a").await.unwrap().restarts(), 0);
    assert_eq!(node.runtime.container_config("a", "c").unwrap().resources.cpu_quota, 200_000);
    node.stop().await;
    resize(&node, "a", amounts("5", "2Gi"), amounts("5", "4Gi")).await.unwrap();
    node.start();
    node.until("refused", "a", |pod| pod.condition("PodResizePending").is_some()).await;
    assert_eq!(container(&node.pod("a").await.unwrap())["resources"]["limits"]["cpu"], "2");
}

#[tokio::test(start_paused = true)]
async fn memory_that_a_container_has_is_not_taken_from_it() {
    let large = ImageScript { memory: 3 << 29, ..ImageScript::default() };
    let node = started(&[("nginx", large)]).await;
    running(&node, "a", json!([])).await;
    resize(&node, "a", amounts("500m", "1Gi"), amounts("1", "1Gi")).await.unwrap();
    let failed = |pod: &Seen| pod.condition("PodResizeInProgress").is_some_and(|now| now["reason"] == "Error");
    node.until("failed", "a", failed).await;
    let pod = node.pod("a").await.unwrap();
    let message = pod.condition("PodResizeInProgress").unwrap()["message"].clone();
    let why = "attempting to set container \"c\" memory limit (1073741824) below current usage (1610612736)";
    assert_eq!(message, format!("cannot decrease memory limits: {why}"));
    assert_eq!(container(&pod)["resources"]["limits"]["memory"], "2Gi");
    sleep(SECOND * 60).await;
    let told = node.events().await;
    let errors = told.iter().filter(|event| event.starts_with("Warning ResizeError : Pod resize error: {"));
    assert_eq!(errors.count(), 1, "{told:?}");
    // It goes on with what it can have.
    resize(&node, "a", amounts("500m", "1Gi"), amounts("1", "2Gi")).await.unwrap();
    node.until("at rest", "a", |pod| pod.condition("PodResizeInProgress").is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn resources_change_in_no_other_way() {
    let node = started(&[]).await;
    running(&node, "a", json!([])).await;
    let resources = json!({ "requests": amounts("1", "1Gi") });
    let patch = Patch::Strategic(json!({ "spec": { "containers": [{ "name": "c", "resources": resources }] } }));
    let pods = Api::<Pod>::default_namespaced(node.server.client());
    let refused = pods.patch("a", &PatchParams::default(), &patch).await.unwrap_err().to_string();
    assert!(refused.contains("pod updates may not change fields other than"), "{refused}");
    let refused = resize(&node, "a", amounts("1", "2Gi"), amounts("1", "2Gi")).await.unwrap_err().to_string();
    assert!(refused.contains("Pod QOS Class may not change as a result of resizing"), "{refused}");
}
