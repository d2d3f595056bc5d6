use std::{sync::Arc, time::Duration};

use orchestra_runtime::{
    Cluster,
    container::{ImageScript, memory::MemoryRuntime},
};

use crate::harness::{Kubectl, holds};

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_pod_is_replaced() {
    let Some(kubectl) = Kubectl::start().await else { return };
    kubectl.nginx().await;
    let pods = kubectl.run("get pods -o name").await;
    let victim = pods.lines().next().unwrap();
    assert_eq!(kubectl.run(&format!("delete {victim}")).await, format!("pod \"{}\" deleted\n", &victim[4..]));
    kubectl.run("wait --for=jsonpath={.status.readyReplicas}=2 deployment/nginx --timeout=50s").await;
    let now = kubectl.run("get pods -o name").await;
    assert!(!now.contains(victim), "{now}");
    kubectl.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crashing_container_restarts_and_then_backs_off() {
    let script = ImageScript { exit_code_after: Some((Duration::from_millis(10), 1)), ..ImageScript::default() };
    let runtime = MemoryRuntime::new().image("crash", script);
    let Some(kubectl) = Kubectl::with(Cluster::builder().node("node-1", Arc::new(runtime))).await else { return };
    kubectl.run("run crash --image=crash").await;
    let mut pods = kubectl.watch("get pods -w");
    pods.line_with(&["crash", "0/1", "CrashLoopBackOff"]).await;
    let mut events = kubectl.watch("get events --watch");
    events
        .line_with(&[
            "Warning",
            "BackOff",
            "pod/crash",
            "Back-off restarting failed container crash in pod crash_default",
        ])
        .await;
    kubectl.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_fits_nowhere_says_why_and_is_bound_when_it_fits() {
    let Some(kubectl) = Kubectl::start().await else { return };
    kubectl.run("cordon node-1").await;
    kubectl.run("cordon node-2").await;
    kubectl.run("run waiting --image=nginx").await;
    let mut events = kubectl.watch("get events --watch");
    let said = events.line_with(&["FailedScheduling", "pod/waiting"]).await;
    assert!(holds(&said, &["0/2 nodes are available", "2 node(s) were unschedulable"]), "{said}");
    kubectl.run("uncordon node-2").await;
    kubectl.run("wait --for=condition=Ready pod/waiting --timeout=50s").await;
    assert_eq!(kubectl.run("get pod waiting -o jsonpath={.spec.nodeName}").await, "node-2");
    kubectl.end().await;
}
