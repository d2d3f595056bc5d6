//! What goes wrong on a node, and how it is mended.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Node as NodeObject;
use kube::Api;
use orchestra_core::container_runtime::{ContainerFilter, ContainerRuntime, SandboxFilter};
use orchestra_runtime::{
    container::ImageScript,
    kubelet::{Kubelet, KubeletBuilder},
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    faulty::Faulty,
    node::{Node, SECOND, Seen, crashing, started},
};

fn first(status: &Value) -> &Value {
    &status["containerStatuses"][0]
}

#[tokio::test(start_paused = true)]
async fn a_container_that_cannot_be_started_counts_as_ended() {
    let words = "exec: \"x\": executable file not found in $PATH";
    let broken = ImageScript { failing_start: Some(words.to_owned()), ..ImageScript::default() };
    let node = started(&[("broken", broken)]).await;
    node.add_pod("a", "broken", json!({})).await;
    node.until("held off", "a", |pod| pod.waiting() == "CrashLoopBackOff").await;
    let status = node.status("a").await;
    let last = &first(&status)["lastState"]["terminated"];
    assert_eq!((&last["exitCode"], &last["reason"]), (&json!(128), &json!("StartError")));
    assert!(node.events().await.iter().any(|event| event.contains(&format!("Error: {words}"))));
    node.add_pod("b", "broken", json!({ "restartPolicy": "Never" })).await;
    node.until("failed", "b", |pod| pod.phase() == "Failed").await;
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_log_stands_in_for_a_message() {
    let script = ImageScript { log_lines: (0..100).map(|line| format!("line {line}")).collect(), ..crashing() };
    let node = started(&[("bad", script)]).await;
    let container = json!({ "name": "c", "image": "bad", "terminationMessagePolicy": "FallbackToLogsOnError" });
    node.add_pod("a", "bad", json!({ "restartPolicy": "Never", "containers": [container] })).await;
    node.until("failed", "a", |pod| pod.phase() == "Failed").await;
    let status = node.status("a").await;
    let message = first(&status)["state"]["terminated"]["message"].as_str().unwrap();
    assert!(message.starts_with("line 20\n") && message.ends_with("line 99\n"), "{message}");
    node.add_pod("b", "bad", json!({ "restartPolicy": "Never" })).await;
    node.until("failed", "b", |pod| pod.phase() == "Failed").await;
    assert_eq!(first(&node.status("b").await)["state"]["terminated"]["message"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn a_pod_whose_sandbox_died_begins_anew_in_another() {
    let node = started(&[]).await;
    node.add_pod("a", "nginx", json!({ "initContainers": [{ "name": "i", "image": "busybox" }] })).await;
    node.until("ready", "a", Seen::is_ready).await;
    let sandbox = node.runtime.list_pod_sandboxes(SandboxFilter::default()).await.unwrap().remove(0);
    node.runtime.stop_pod_sandbox(&sandbox.id).await.unwrap();
    node.until("restarted", "a", |pod| pod.is_ready() && pod.restarts() == 1).await;
    let status = node.status("a").await;
    assert_eq!(status["initContainerStatuses"][0]["restartCount"], 1);
    assert_eq!(first(&status)["lastState"]["terminated"]["exitCode"], 137);
    assert!(node.events().await.iter().any(|event| event.contains("SandboxChanged")));
    // The old one goes with the last container in it.
    node.delete_pod("a", 30).await;
    node.until_gone("a").await;
    assert_eq!(node.runtime.list_pod_sandboxes(SandboxFilter::default()).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn containers_that_others_removed_are_restarted_and_counted() {
    let mut node = started(&[]).await;
    node.add_pod("a", "nginx", json!({})).await;
    node.until("ready", "a", Seen::is_ready).await;
    for count in 1..=2 {
        // Once while a kubelet looks, once while none does.
        if count == 2 {
            node.stop().await;
        }
        for container in node.runtime.list_containers(ContainerFilter::default()).await.unwrap() {
            node.runtime.remove_container(&container.id).await.unwrap();
        }
        if count == 2 {
            node.start();
        }
        node.until("restarted", "a", |pod| pod.restarts() == count && pod.is_ready()).await;
        let status = node.status("a").await;
        let last = &first(&status)["lastState"]["terminated"];
        assert_eq!((&last["reason"], &last["exitCode"]), (&json!("ContainerStatusUnknown"), &json!(137)), "{count}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_last_container_that_ended_is_kept() {
    let node = started(&[("bad", crashing())]).await;
    node.add_pod("a", "bad", json!({})).await;
    node.until("restarts", "a", |pod| pod.restarts() == 4).await;
    sleep(SECOND * 10).await;
    assert_eq!(node.runtime.counts(), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_active_for_as_long_as_its_deadline() {
    let node = started(&[("slow", ImageScript { stop_time: SECOND * 4, ..ImageScript::default() })]).await;
    node.add_pod("a", "slow", json!({ "activeDeadlineSeconds": 20 })).await;
    node.until("ready", "a", Seen::is_ready).await;
    assert_eq!(node.until("failed", "a", |pod| pod.phase() == "Failed").await.as_secs(), 24);
    let status = node.status("a").await;
    let words = "Pod was active on the node longer than the specified deadline";
    assert_eq!((&status["reason"], &status["message"]), (&json!("DeadlineExceeded"), &json!(words)));
    assert!(first(&status)["state"]["terminated"].is_object());
    assert!(node.events().await.contains(&format!("Normal DeadlineExceeded : {words}")));
}

/// A kubelet whose runtime can be taken away.
fn on(node: &Node, runtime: &Faulty) -> KubeletBuilder {
    Kubelet::builder(node.client(), "n1", Arc::new(runtime.clone())).clock(node.server.clock.clone())
}

async fn ready_condition(node: &Node) -> (String, String, String) {
    let node = Api::<NodeObject>::all(node.server.client()).get("n1").await.unwrap();
    let conditions = node.status.unwrap().conditions.unwrap();
    let ready = conditions.into_iter().find(|condition| condition.type_ == "Ready").unwrap();
    (ready.status, ready.reason.unwrap(), ready.message.unwrap())
}

#[tokio::test(start_paused = true)]
async fn nothing_is_concluded_from_a_runtime_that_does_not_answer() {
    let mut node = Node::with(&[]).await;
    let runtime = Faulty::new(node.runtime.clone());
    node.start_as(on(&node, &runtime));
    node.add_pod("a", "nginx", json!({})).await;
    node.until("ready", "a", Seen::is_ready).await;
    let before = node.status("a").await;
    runtime.fall();
    node.add_pod("b", "nginx", json!({})).await;
    sleep(SECOND * 60).await;
    assert_eq!(node.status("a").await, before);
    assert_eq!(node.pod("b").await.unwrap().phase(), "Pending");
    let (status, reason, message) = ready_condition(&node).await;
    assert_eq!((status.as_str(), reason.as_str()), ("False", "KubeletNotReady"));
    assert!(message.contains("container runtime is down"), "{message}");
    runtime.rise();
    node.until("ready", "b", Seen::is_ready).await;
    sleep(SECOND * 20).await;
    assert_eq!(node.status("a").await, before);
    assert_eq!(ready_condition(&node).await.1, "KubeletReady");
    assert_eq!(node.runtime.counts(), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_kubelet_killed_in_any_phase_of_a_pod_goes_on() {
    let pull = SECOND * 3;
    let script = ImageScript { pull_time: pull, start_time: SECOND * 3, stop_time: SECOND * 3, ..Default::default() };
    for second in 0..=7 {
        let mut node = Node::with(&[("slow", script.clone())]).await;
        node.start();
        node.add_pod("a", "slow", json!({})).await;
        sleep(SECOND * second).await;
        node.stop().await;
        node.start();
        node.until("ready", "a", Seen::is_ready).await;
        let status = node.status("a").await;
        assert_eq!(first(&status)["restartCount"], 0, "killed after {second} s");
        assert_eq!(node.runtime.counts(), (1, 1));
        node.delete_pod("a", 30).await;
        sleep(SECOND * (second % 4)).await;
        node.stop().await;
        node.start();
        node.until_gone("a").await;
        assert_eq!(node.runtime.counts(), (0, 0));
    }
}
