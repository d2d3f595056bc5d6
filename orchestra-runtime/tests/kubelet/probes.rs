//! Probes and what follows from them, with commands that are scripted.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
    time::Duration,
};

use orchestra_runtime::container::{ExecScript, ImageScript, Scripted};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::node::{SECOND, Seen, started};

/// An image whose commands end with the code that is set.
fn checked() -> (ImageScript, Arc<AtomicI32>) {
    let code = Arc::new(AtomicI32::new(0));
    let says = Arc::clone(&code);
    let exec = ExecScript::new(move |_| {
        let mut scripted = Scripted::exits(says.load(Ordering::Relaxed));
        scripted.output.stderr = b"broken".to_vec();
        scripted
    });
    (ImageScript { exec: Some(exec), stop_time: Duration::from_millis(500), ..ImageScript::default() }, code)
}

fn check(more: Value) -> Value {
    let mut probe = json!({ "exec": { "command": ["check"] }, "periodSeconds": 1, "failureThreshold": 3 });
    probe.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    probe
}

fn with(probes: Value) -> Value {
    let mut container = json!({ "name": "c", "image": "app" });
    container.as_object_mut().unwrap().extend(probes.as_object().unwrap().clone());
    json!({ "containers": [container] })
}

fn is_started(pod: &Seen) -> bool {
    pod.0["status"]["containerStatuses"][0]["started"] == true
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_ready_while_its_probe_succeeds() {
    let (script, code) = checked();
    let node = started(&[("app", script)]).await;
    code.store(1, Ordering::Relaxed);
    node.add_pod("a", "app", with(json!({ "readinessProbe": check(json!({ "successThreshold": 2 })) }))).await;
    node.until("running", "a", |pod| pod.is_running() && !pod.is_ready()).await;
    sleep(SECOND * 5).await;
    assert!(!node.pod("a").await.unwrap().is_ready());
    code.store(0, Ordering::Relaxed);
    node.until("ready", "a", Seen::is_ready).await;
    code.store(1, Ordering::Relaxed);
    node.until("not ready", "a", |pod| !pod.is_ready()).await;
    let pod = node.pod("a").await.unwrap();
    assert_eq!(pod.condition("Ready").unwrap()["reason"], "ContainersNotReady");
    assert_eq!(pod.restarts(), 0);
    let events = node.events().await;
    assert!(
        events.iter().any(|e| e.starts_with("Warning Unhealthy spec.containers{c}: Readiness probe failed: broken"))
    );
}

#[tokio::test(start_paused = true)]
async fn an_unhealthy_container_is_killed_and_restarted() {
    let (script, code) = checked();
    let node = started(&[("app", script)]).await;
    node.add_pod("a", "app", with(json!({ "livenessProbe": check(json!({})) }))).await;
    node.until("ready", "a", Seen::is_ready).await;
    sleep(SECOND * 10).await;
    code.store(1, Ordering::Relaxed);
    node.until("restarted", "a", |pod| pod.restarts() == 1 && pod.is_ready()).await;
    code.store(0, Ordering::Relaxed);
    sleep(SECOND * 60).await;
    let pod = node.pod("a").await.unwrap();
    assert_eq!((pod.restarts(), pod.phase()), (1, "Running"));
    let events = node.events().await;
    for expected in [
        "Warning Unhealthy spec.containers{c}: Liveness probe failed: broken x3",
        "Normal Killing spec.containers{c}: Container c failed liveness probe, will be restarted",
    ] {
        assert!(events.iter().any(|event| event == expected), "{events:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_container_that_never_comes_up_backs_off() {
    let (script, code) = checked();
    let node = started(&[("app", script)]).await;
    code.store(1, Ordering::Relaxed);
    let startup = check(json!({ "failureThreshold": 2 }));
    node.add_pod("a", "app", with(json!({ "startupProbe": startup, "readinessProbe": check(json!({})) }))).await;
    node.until("running", "a", |pod| pod.is_running() && !is_started(pod)).await;
    node.until("held off", "a", |pod| pod.waiting() == "CrashLoopBackOff").await;
    let restarts = node.pod("a").await.unwrap().restarts();
    code.store(0, Ordering::Relaxed);
    node.until("started", "a", |pod| is_started(pod) && pod.is_ready()).await;
    assert_eq!(node.pod("a").await.unwrap().restarts(), restarts + 1);
    let killed = "Container c failed startup probe, will be restarted";
    assert!(node.events().await.iter().any(|event| event.contains(killed)));
}

#[tokio::test(start_paused = true)]
async fn an_unhealthy_container_that_never_restarts_fails_its_pod() {
    let (script, code) = checked();
    let node = started(&[("app", ImageScript { stop_time: Duration::MAX, ..script })]).await;
    code.store(1, Ordering::Relaxed);
    let liveness = check(json!({ "failureThreshold": 1, "terminationGracePeriodSeconds": 4 }));
    let mut spec = with(json!({ "livenessProbe": liveness }));
    spec["restartPolicy"] = json!("Never");
    node.add_pod("a", "app", spec).await;
    let failed = node.until("failed", "a", |pod| pod.phase() == "Failed").await;
    // A period until it is asked, then the probe's grace.
    assert_eq!(failed.as_secs(), 5);
    let state = &node.status("a").await["containerStatuses"][0]["state"];
    assert_eq!(state["terminated"]["exitCode"], 137);
    assert!(node.events().await.iter().any(|event| event.ends_with("Container c failed liveness probe")));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_takes_too_long_fails() {
    let exec = ExecScript::new(|_| Scripted { time: SECOND * 3, ..Scripted::default() });
    let node = started(&[("app", ImageScript { exec: Some(exec), ..ImageScript::default() })]).await;
    node.add_pod("a", "app", with(json!({ "readinessProbe": check(json!({ "timeoutSeconds": 2 })) }))).await;
    let expected = "Readiness probe failed: command timed out: \"check\" timed out after 2s";
    node.server.until("told", async || node.events().await.iter().any(|e| e.contains(expected)).then_some(())).await;
    assert!(!node.pod("a").await.unwrap().is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_goes_is_still_asked_whether_it_serves_but_not_whether_it_lives() {
    let (script, code) = checked();
    let node = started(&[("app", ImageScript { stop_time: SECOND * 20, ..script })]).await;
    let probes = json!({ "readinessProbe": check(json!({})), "livenessProbe": check(json!({})) });
    node.add_pod("a", "app", with(probes)).await;
    node.until("ready", "a", Seen::is_ready).await;
    node.delete_pod("a", 30).await;
    sleep(SECOND * 3).await;
    assert!(node.pod("a").await.unwrap().is_ready());
    code.store(1, Ordering::Relaxed);
    node.until("not ready", "a", |pod| !pod.is_ready()).await;
    node.until_gone("a").await;
    assert!(node.events().await.iter().all(|event| !event.contains("Liveness")));
}

#[tokio::test(start_paused = true)]
async fn where_no_command_can_be_run_the_runtimes_word_counts() {
    let node = started(&[]).await;
    let probes = json!({ "readinessProbe": check(json!({})), "livenessProbe": check(json!({})) });
    node.add_pod("a", "app", with(probes)).await;
    let ready = node.until("ready", "a", Seen::is_ready).await;
    sleep(SECOND * 60).await;
    assert!(node.pod("a").await.unwrap().is_ready());
    assert!(ready < SECOND * 2, "{ready:?}");
    assert!(node.events().await.iter().all(|event| !event.contains("Unhealthy")));
}

#[tokio::test(start_paused = true)]
async fn a_sidecar_is_waited_for_until_it_has_started() {
    let (script, code) = checked();
    let node = started(&[("app", script)]).await;
    code.store(1, Ordering::Relaxed);
    let startup = check(json!({ "failureThreshold": 100 }));
    let sidecar = json!({ "name": "s", "image": "app", "restartPolicy": "Always", "startupProbe": startup });
    node.add_pod("a", "nginx", json!({ "initContainers": [sidecar] })).await;
    sleep(SECOND * 10).await;
    let pod = node.pod("a").await.unwrap();
    assert_eq!((pod.phase(), pod.waiting()), ("Pending", "PodInitializing"));
    code.store(0, Ordering::Relaxed);
    node.until("ready", "a", Seen::is_ready).await;
}

#[tokio::test(start_paused = true)]
async fn a_kubelet_that_starts_again_changes_no_status() {
    let (script, _) = checked();
    let mut node = started(&[("app", script)]).await;
    let probes = json!({ "startupProbe": check(json!({})), "readinessProbe": check(json!({ "periodSeconds": 30 })) });
    node.add_pod("a", "app", with(probes)).await;
    node.until("ready", "a", Seen::is_ready).await;
    let before = node.status("a").await;
    node.stop().await;
    sleep(SECOND * 100).await;
    let writes = node.line.status_writes().len();
    node.start();
    sleep(SECOND * 100).await;
    assert_eq!((node.status("a").await, node.line.status_writes().len()), (before, writes));
}
