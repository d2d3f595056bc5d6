//! A node whose machine is about to stop.

use std::time::Duration;

use k8s_openapi::api::core::v1::Node as ApiNode;
use kube::Api;
use orchestra_core::container_runtime::{ContainerRuntime, SandboxFilter, SandboxState};
use orchestra_runtime::{container::ImageScript, kubelet::NodeShutdown};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::node::{Node, SECOND, Seen};

/// A node whose kubelet runs, and what tells it that the machine is about to stop.
async fn started(scripts: &[(&str, ImageScript)], total: Duration, critical: Duration) -> (Node, NodeShutdown) {
    let mut node = Node::with(scripts).await;
    let shutdown = NodeShutdown::default();
    node.start_as(node.builder().shutdown_grace(total, critical).shutdown(shutdown.clone()).node_events(true));
    (node, shutdown)
}

fn stopping_in(stop_time: Duration) -> ImageScript {
    ImageScript { stop_time, ..ImageScript::default() }
}

fn condition(status: &Value, kind: &str) -> Value {
    let mut all = status["conditions"].as_array().into_iter().flatten();
    all.find(|condition| condition["type"] == kind).cloned().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn pods_end_by_priority_and_the_node_is_not_ready_and_takes_no_more() {
    let scripts = [("slow", stopping_in(SECOND * 3)), ("stubborn", stopping_in(SECOND * 1000))];
    let (node, shutdown) = started(&scripts, SECOND * 30, SECOND * 10).await;
    node.add_pod("regular", "slow", json!({})).await;
    node.add_pod("stubborn", "stubborn", json!({ "terminationGracePeriodSeconds": 100 })).await;
    node.add_pod("hasty", "stubborn", json!({ "terminationGracePeriodSeconds": 1 })).await;
    node.add_pod("critical", "slow", json!({ "priorityClassName": "system-node-critical" })).await;
    for pod in ["regular", "stubborn", "hasty", "critical"] {
        node.until("ready", pod, Seen::is_ready).await;
    }
    let begun = Instant::now();
    shutdown.begin();
    shutdown.ended().await;
    // Twenty seconds for the regular ones, and as long as the critical one takes.
    assert!((SECOND * 23..SECOND * 24).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    let message = "Pod was terminated in response to imminent node shutdown.";
    let mut ends = Vec::new();
    for (pod, code) in [("hasty", 137), ("regular", 0), ("stubborn", 137), ("critical", 0)] {
        node.until("failed", pod, |pod| pod.phase() == "Failed").await;
        let status = node.status(pod).await;
        assert_eq!((status["reason"].as_str(), status["message"].as_str()), (Some("Terminated"), Some(message)));
        let disrupted = condition(&status, "DisruptionTarget");
        assert_eq!((&disrupted["status"], &disrupted["reason"]), (&json!("True"), &json!("TerminationByKubelet")));
        let ended = &status["containerStatuses"][0]["state"]["terminated"];
        assert_eq!(ended["exitCode"], code, "{pod}");
        ends.push(ended["finishedAt"].as_str().unwrap().to_owned());
    }
    assert!(ends.is_sorted() && ends[2] < ends[3], "{ends:?}");
    let api = Api::<ApiNode>::all(node.server.client());
    let told = async || {
        let status = serde_json::to_value(api.get("n1").await.unwrap().status).unwrap();
        let ready = condition(&status, "Ready");
        (ready["status"] == "False").then_some(ready)
    };
    let ready = node.server.until("not ready", told).await;
    assert_eq!((&ready["reason"], &ready["message"]), (&json!("KubeletNotReady"), &json!("node is shutting down")));
    node.add_pod("late", "slow", json!({})).await;
    node.until("refused", "late", |pod| pod.phase() == "Failed").await;
    let status = node.status("late").await;
    let message = "Pod was rejected: Pod was rejected as the node is shutting down.";
    assert_eq!((status["reason"].as_str(), status["message"].as_str()), (Some("NodeShutdown"), Some(message)));
    assert_eq!(condition(&status, "DisruptionTarget"), Value::Null);
    let events = node.events().await;
    for event in [
        "Normal NodeShutdown : Shutdown manager detected shutdown event",
        "Normal NodeNotReady : Node n1 status is now: NodeNotReady",
        "Warning NodeShutdown : Pod was rejected as the node is shutting down.",
    ] {
        assert!(events.iter().any(|told| told == event), "{event}: {events:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_about_to_start_has_not_ended() {
    let pulled = ImageScript { pull_time: SECOND * 5, ..ImageScript::default() };
    let (node, shutdown) = started(&[("large", pulled)], SECOND * 30, SECOND * 10).await;
    node.add_pod("a", "large", json!({})).await;
    node.until_events_with("Pulling image").await;
    shutdown.begin();
    shutdown.ended().await;
    // Nothing starts behind the back of who stops the machine now.
    let ready = SandboxFilter { state: Some(SandboxState::Ready), ..SandboxFilter::default() };
    assert_eq!(node.runtime.list_pod_sandboxes(ready).await.unwrap(), []);
    node.until("failed", "a", |pod| pod.phase() == "Failed").await;
}

#[tokio::test(start_paused = true)]
async fn a_node_without_pods_is_done_at_once_and_stays_not_ready() {
    let (node, shutdown) = started(&[], SECOND * 30, SECOND * 10).await;
    let api = Api::<ApiNode>::all(node.server.client());
    node.server.until("registration", async || api.get_opt("n1").await.unwrap()).await;
    let begun = Instant::now();
    shutdown.begin();
    shutdown.ended().await;
    assert!(begun.elapsed() < SECOND, "{:?}", begun.elapsed());
    node.server
        .until("not ready", async || {
            let status = serde_json::to_value(api.get("n1").await.unwrap().status).unwrap();
            (condition(&status, "Ready")["status"] == "False").then_some(())
        })
        .await;
}
