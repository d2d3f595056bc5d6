//! Pods come up: events, statuses, init containers, readiness.

use std::{sync::Arc, time::Duration};

use orchestra_core::informer::InformerFactory;
use orchestra_runtime::{
    container::{ImageScript, MemoryRuntime, Readiness},
    kubelet::{Kubelet, SharedPods},
};
use serde_json::json;
use tokio::time::sleep;

use crate::node::{Node, SECOND, Seen, crashing, started};

#[tokio::test(start_paused = true)]
async fn a_pod_runs_with_kubernetes_events() {
    let script = ImageScript { pull_time: Duration::from_millis(1200), size: 123, ..ImageScript::default() };
    let node = started(&[("nginx", script)]).await;
    node.add_pod("a", "nginx", json!({})).await;
    node.until("waiting", "a", |pod| pod.waiting() == "ContainerCreating").await;
    node.until("running", "a", |pod| pod.is_running() && pod.is_ready()).await;
    node.until_events(4).await;
    node.add_pod("b", "nginx", json!({})).await;
    node.until("running", "b", |pod| pod.is_running() && pod.is_ready()).await;
    assert_eq!(
        node.until_events(7).await,
        [
            "Normal Pulling spec.containers{c}: Pulling image \"nginx\"",
            "Normal Pulled spec.containers{c}: Successfully pulled image \"nginx\" in 1.2s (1.2s including waiting). \
             Image size: 123 bytes.",
            "Normal Created spec.containers{c}: Container created",
            "Normal Started spec.containers{c}: Container started",
            "Normal Pulled spec.containers{c}: Container image \"nginx\" already present on machine and can be \
             accessed by the pod",
            "Normal Created spec.containers{c}: Container created",
            "Normal Started spec.containers{c}: Container started",
        ]
    );
    let status = node.status("b").await;
    assert_eq!((&status["podIP"], &status["qosClass"]), (&json!("10.244.0.3"), &json!("BestEffort")));
    assert_eq!(status["conditions"].as_array().unwrap().len(), 5);
    // What needs no time needs one write only.
    let writes = node.line.status_writes();
    assert_eq!(writes.iter().filter(|(pod, _)| pod == "b").count(), 1);
    assert_eq!(writes.iter().filter(|(pod, _)| pod == "a").count(), 2);
}

#[tokio::test(start_paused = true)]
async fn init_containers_without_a_script_end_at_once_and_sidecars_do_not() {
    let node = started(&[]).await;
    let init = json!([
        { "name": "i", "image": "busybox" },
        { "name": "s", "image": "busybox", "restartPolicy": "Always" },
    ]);
    node.add_pod("a", "nginx", json!({ "initContainers": init })).await;
    node.until("running", "a", Seen::is_running).await;
    let status = node.status("a").await;
    let states = [0, 1].map(|i| status["initContainerStatuses"][i]["state"].clone());
    assert_eq!(states[0]["terminated"]["reason"], "Completed", "{states:?}");
    assert!(states[1]["running"].is_object(), "{states:?}");
}

#[tokio::test(start_paused = true)]
async fn init_containers_run_first() {
    let init = ImageScript { exit_code_after: Some((SECOND * 3, 0)), ..ImageScript::default() };
    let node = started(&[("init", init)]).await;
    node.add_pod("a", "nginx", json!({ "initContainers": [{ "name": "i", "image": "init" }] })).await;
    node.until("initializing", "a", |pod| pod.waiting() == "PodInitializing").await;
    assert_eq!(node.until("running", "a", Seen::is_running).await.as_secs(), 3);
    assert!(node.events().await.iter().any(|event| event.contains("spec.initContainers{i}")));
}

#[tokio::test(start_paused = true)]
async fn readiness_follows_the_script() {
    let script = ImageScript { readiness: Readiness::After(SECOND * 4), ..ImageScript::default() };
    let node = started(&[("slow", script)]).await;
    node.add_pod("a", "slow", json!({})).await;
    node.until("running", "a", |pod| pod.is_running() && !pod.is_ready()).await;
    assert_eq!(node.until("ready", "a", Seen::is_ready).await.as_secs(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_status_that_could_not_be_written_is_written_later() {
    let node = started(&[]).await;
    node.line.fail_status_of("a");
    node.add_pod("a", "nginx", json!({})).await;
    node.until("running", "a", Seen::is_ready).await;
    assert_eq!(node.runtime.counts(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_same_again_gives_the_same_events() {
    let mut traces = Vec::new();
    for _ in 0..2 {
        let node = started(&[("bad", crashing())]).await;
        for name in ["a", "b", "c"] {
            node.add_pod(name, if name == "b" { "bad" } else { "nginx" }, json!({})).await;
        }
        sleep(SECOND * 300).await;
        let mut pods = Vec::new();
        for name in ["a", "b", "c"] {
            pods.push(node.pod(name).await.unwrap().0);
        }
        traces.push((node.events().await, node.line.status_writes(), pods));
    }
    assert_eq!(traces[0], traces[1]);
}

#[tokio::test(start_paused = true)]
async fn kubelets_of_a_process_share_one_informer() {
    let mut node = Node::with(&[]).await;
    let pods = SharedPods::new(&InformerFactory::new(node.client()));
    node.add_pod("a", "nginx", json!({})).await;
    node.start_as(node.builder().shared_pods(pods.clone()));
    let other = MemoryRuntime::new();
    let second = Kubelet::builder(node.client(), "n2", Arc::new(other.clone())).shared_pods(pods).build();
    tokio::spawn(second.run(node.stop.clone()));
    node.add_pod("b", "nginx", json!({})).await;
    node.until("running", "a", Seen::is_ready).await;
    node.until("running", "b", Seen::is_ready).await;
    assert_eq!((node.runtime.counts(), other.counts()), ((2, 2), (0, 0)));
    node.add_pod_to("n2", "c", "nginx", json!({})).await;
    node.until("running", "c", Seen::is_ready).await;
    assert_eq!((node.runtime.counts(), other.counts()), ((2, 2), (1, 1)));
    node.delete_pod("a", 30).await;
    node.until_gone("a").await;
    sleep(SECOND).await;
    assert_eq!((node.runtime.counts(), other.counts()), ((1, 1), (1, 1)));
}
