//! Pods that take the places of less important ones.

use std::{sync::Arc, time::Duration};

use orchestra_core::scheduler::{PodInfo, WaitingPods};
use orchestra_sched::framework::{Framework, Permit, PermitOutcome, Plugin};
use serde_json::{Value, json};

use crate::{
    Running,
    api::{self, Api, Fault},
    start, start_with,
};

/// Node `n1` with one CPU, which pod `low` has.
fn full_node(api: &Api) {
    api.add_node("n1", "1");
    api.add_pod("low", "1", json!({ "priority": 1, "nodeName": "n1" }));
}

/// Pod `high`, which wants the place of `low` on a [`full_node`] of an API server that is `prepared`.
fn preempting(prepared: impl FnOnce(&mut api::State)) -> (Api, Running) {
    let api = Api::default();
    full_node(&api);
    api.change(prepared);
    let running = start(&api);
    api.add_pod("high", "1", json!({ "priority": 9 }));
    (api, running)
}

fn nominated(state: &api::State, pod: &str) -> Option<String> {
    state.pod(pod)?.pointer("/status/nominatedNodeName")?.as_str().map(str::to_owned)
}

fn is_going(state: &api::State, pod: &str) -> bool {
    state.pod(pod).is_none_or(|pod| pod.pointer("/metadata/deletionTimestamp").is_some())
}

/// Time enough for several attempts.
async fn a_while() {
    tokio::time::sleep(Duration::from_secs(30)).await;
}

/// Adds a node that is large enough, so that a pod is tried again, but takes none.
fn add_cordoned(api: &Api, name: &str) {
    let allocatable = json!({ "cpu": "8", "memory": "8Gi", "pods": "110" });
    let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": name, "uid": name },
        "spec": { "unschedulable": true }, "status": { "allocatable": allocatable } });
    api.put("nodes", node);
}

fn attempts(api: &Api, pod: &str) -> usize {
    let failed = format!("FailedScheduling {pod}: ");
    api.change(|state| state.events.iter().filter(|event| event.starts_with(&failed)).count())
}

#[tokio::test(start_paused = true)]
async fn a_pod_takes_the_place_of_a_less_important_one() {
    let (api, running) = preempting(|state| state.is_graceful = true);
    let preempted = "Preempted low: Preempted by pod high on node n1";
    api.until("preempted", |state| state.events.iter().any(|event| event == preempted)).await;
    api.until("nominated", |state| nominated(state, "high").as_deref() == Some("n1")).await;
    let event = api.change(|state| state.last_event.clone());
    let of = |pod: &str| json!({ "apiVersion": "v1", "kind": "Pod", "namespace": "default", "name": pod, "uid": pod });
    for (field, pod) in [("involvedObject", "low"), ("related", "high")] {
        let mut reference = event[field].clone();
        reference.as_object_mut().unwrap().remove("resourceVersion");
        assert_eq!(reference, of(pod));
    }
    assert_eq!((&event["type"], &event["action"]), (&json!("Normal"), &json!("Preempting")));
    let message = "default-scheduler: preempting to accommodate a higher priority pod";
    assert!(api.change(|state| {
        state.condition_of("low", "DisruptionTarget") == Some(("PreemptionByScheduler", message))
            && state.condition("high") == Some(("Unschedulable", "0/1 nodes are available: 1 Insufficient cpu."))
    }));
    a_while().await;
    assert!(api.change(|state| state.bindings.is_empty()), "the victim is not gone yet");
    api.delete_pod("low");
    api.until("bound", |state| state.bindings == ["high n1"]).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_room_is_kept_while_the_victim_goes() {
    let (api, running) = preempting(|state| state.is_graceful = true);
    api.until("the victim goes", |state| is_going(state, "low")).await;
    for (name, priority) in [("mid", 5), ("same", 9)] {
        api.add_pod(name, "1", json!({ "priority": priority }));
        api.until("it waits", |state| state.condition(name).is_some()).await;
    }
    api.delete_pod("low");
    api.until("bound", |state| state.bindings == ["high n1"]).await;
    a_while().await;
    assert_eq!(api.change(|state| state.bindings.clone()), ["high n1"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn no_others_are_taken_away_while_the_victim_goes() {
    let api = Api::default();
    for node in ["n1", "n2"] {
        api.add_node(node, "1");
        api.add_pod(&format!("low-{node}"), "1", json!({ "priority": 1, "nodeName": node }));
    }
    api.change(|state| state.is_graceful = true);
    let running = start(&api);
    api.add_pod("high", "1", json!({ "priority": 9 }));
    let going = |state: &api::State| ["low-n1", "low-n2"].iter().filter(|pod| is_going(state, pod)).count();
    api.until("a victim goes", |state| going(state) == 1).await;
    // What happens elsewhere has the pod tried again.
    for n in 0..5 {
        add_cordoned(&api, &format!("cordoned-{n}"));
        a_while().await;
    }
    let words = "not eligible due to a terminating pod on the nominated node.";
    assert!(api.change(|state| state.condition("high").unwrap().1.ends_with(words)));
    assert_eq!(api.change(|state| (going(state), state.bindings.len(), state.nominations.len())), (1, 0, 1));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_not_tried_while_its_victims_are_told_to_go() {
    let (api, running) = preempting(|state| state.deletions_take = Duration::from_secs(20));
    api.until("it waits", |state| state.condition("high").is_some()).await;
    for n in 0..5 {
        tokio::time::sleep(Duration::from_secs(3)).await;
        add_cordoned(&api, &format!("cordoned-{n}"));
    }
    assert_eq!(attempts(&api, "high"), 1);
    assert!(!api.change(|state| is_going(state, "low")));
    // The loop goes on meanwhile.
    api.add_node("n2", "1");
    api.add_pod("other", "1", json!({}));
    api.until("other bound", |state| state.bindings == ["other n2"]).await;
    api.until("bound", |state| state.bindings == ["other n2", "high n1"]).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_deletion_is_tried_again() {
    for code in [403, 500] {
        let api = Api::default();
        full_node(&api);
        api.change(|state| state.refused_deletions.extend([code, code]));
        let running = start(&api);
        api.add_pod("high", "1", json!({ "priority": 9 }));
        api.until("bound", |state| state.bindings == ["high n1"]).await;
        assert!(api.change(|state| state.refused_deletions.is_empty()));
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_victim_that_went_by_itself_is_as_good() {
    let (api, running) = preempting(|state| state.deletions_take = Duration::from_secs(5));
    api.until("it waits", |state| state.condition("high").is_some()).await;
    api.delete_pod("low");
    api.until("bound", |state| state.bindings == ["high n1"]).await;
    assert!(api.change(|state| !state.events.iter().any(|event| event.starts_with("Preempted"))));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn another_pod_of_the_victims_name_is_left_alone() {
    let (api, running) = preempting(|state| state.deletions_take = Duration::from_secs(5));
    api.until("it waits", |state| state.condition("high").is_some()).await;
    api.delete_pod("low");
    api.add_pod("low", "1", json!({ "priority": 10, "nodeName": "n1" }));
    api.edit_pod("low", |pod| pod["metadata"]["uid"] = json!("another"));
    a_while().await;
    assert!(api.change(|state| state.pod("low").is_some() && !is_going(state, "low") && state.bindings.is_empty()));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_whose_nominated_node_goes_finds_another() {
    let (api, running) = preempting(|state| state.is_graceful = true);
    api.until("nominated", |state| nominated(state, "high").as_deref() == Some("n1")).await;
    api.change(|state| {
        let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n1", "uid": "n1" } });
        state.put("nodes", node, "DELETED");
    });
    api.until("it waits for none", |state| nominated(state, "high").is_none()).await;
    api.add_node("n2", "1");
    api.until("bound", |state| state.bindings == ["high n2"]).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn less_important_pods_lose_the_room_that_they_were_promised() {
    let api = Api::default();
    full_node(&api);
    api.change(|state| state.is_graceful = true);
    let running = start(&api);
    api.add_pod("mid", "1", json!({ "priority": 5 }));
    api.until("mid waits", |state| nominated(state, "mid").as_deref() == Some("n1")).await;
    api.add_pod("high", "1", json!({ "priority": 9 }));
    api.until("high waits", |state| nominated(state, "high").as_deref() == Some("n1")).await;
    api.until("mid lost it", |state| nominated(state, "mid").is_none()).await;
    api.delete_pod("low");
    api.until("bound", |state| state.bindings == ["high n1"]).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_room_of_a_pod_that_is_deleted_is_free() {
    let (api, running) = preempting(|state| state.is_graceful = true);
    api.until("nominated", |state| nominated(state, "high").is_some()).await;
    api.add_pod("mid", "1", json!({ "priority": 5 }));
    api.until("mid waits", |state| state.condition("mid").is_some()).await;
    api.delete_pod("high");
    api.delete_pod("low");
    api.until("bound", |state| state.bindings == ["mid n1"]).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_scheduler_that_begins_keeps_what_was_promised() {
    let api = Api::default();
    full_node(&api);
    api.add_pod("high", "1", json!({ "priority": 9 }));
    api.edit_pod("high", |pod| pod["status"]["nominatedNodeName"] = json!("n1"));
    api.edit_pod("low", |pod| {
        pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:30Z");
        let condition = json!({ "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler" });
        pod["status"]["conditions"] = json!([condition]);
    });
    api.add_node("n2", "1");
    api.add_pod("other", "1", json!({ "priority": 10, "nodeName": "n2" }));
    let running = start(&api);
    api.add_pod("mid", "1", json!({ "priority": 5 }));
    api.until("both wait", |state| ["mid", "high"].iter().all(|pod| state.condition(pod).is_some())).await;
    api.delete_pod("low");
    api.until("bound", |state| state.bindings == ["high n1"]).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_nomination_ends_with_a_binding_that_is_refused() {
    let (api, running) = preempting(|state| state.faults.push_back(Fault::Refused(422)));
    api.until("bound", |state| state.bindings == ["high n1"]).await;
    assert_eq!(api.change(|state| state.nominations.clone()), ["high n1", "high -"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_must_not_preempt_waits() {
    let api = Api::default();
    full_node(&api);
    let running = start(&api);
    api.add_pod("high", "1", json!({ "priority": 9, "preemptionPolicy": "Never" }));
    let words = "preemption: not eligible due to preemptionPolicy=Never.";
    api.until("it waits", |state| state.condition("high").is_some_and(|(_, why)| why.ends_with(words))).await;
    a_while().await;
    assert!(api.change(|state| !is_going(state, "low") && state.nominations.is_empty()));
    running.stop().await;
}

/// Has less important pods wait for a permission that nobody gives.
struct WaitIfLow;

impl Plugin for WaitIfLow {
    fn name(&self) -> &'static str {
        "WaitIfLow"
    }

    fn as_permit(&self) -> Option<&dyn Permit> {
        Some(self)
    }
}

impl Permit for WaitIfLow {
    fn permit(&self, pod: &PodInfo, _: &str, _: &WaitingPods) -> PermitOutcome {
        if pod.priority() < 5 { PermitOutcome::Wait(Duration::from_secs(600)) } else { PermitOutcome::Allow }
    }
}

#[tokio::test(start_paused = true)]
async fn a_victim_that_is_not_bound_yet_loses_its_place_only() {
    let api = Api::default();
    api.add_node("n1", "1");
    let scheduler = Arc::new(Framework::builder().default_plugins().plugin(WaitIfLow).build());
    let running = start_with(&api, |driver| driver.with_scheduler("default-scheduler", scheduler));
    api.add_pod("low", "1", json!({ "priority": 1 }));
    a_while().await;
    assert_eq!(api.change(|state| nominated(state, "low")).as_deref(), Some("n1"), "where it is going to be is told");
    api.add_pod("high", "1", json!({ "priority": 9 }));
    api.until("bound", |state| state.bindings == ["high n1"]).await;
    api.until("low hopes no more", |state| nominated(state, "low").is_none()).await;
    api.until("low is told", |state| state.condition("low").is_some_and(|(_, why)| why.contains("Insufficient cpu")))
        .await;
    let told = |state: &api::State, what: &str| state.events.iter().any(|event| event == what);
    assert!(api.change(|state| {
        told(state, "Preempted low: Preempted by pod high on node n1")
            && told(state, "FailedScheduling low: 0/1 nodes are available: 1 preempted.")
    }));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn many_pods_take_the_places_of_many() {
    let api = Api::default();
    for n in 0..10 {
        let node = format!("n{n}");
        api.add_node(&node, "2");
        for v in ["a", "b"] {
            api.add_pod(&format!("low-{n}-{v}"), "1", json!({ "priority": 1, "nodeName": node }));
        }
    }
    let running = start(&api);
    for n in 0..15 {
        api.add_pod(&format!("high-{n:02}"), "1", json!({ "priority": 9 }));
    }
    api.until("all bound", |state| state.bindings.len() == 15).await;
    let left: Vec<Value> = api.change(|state| {
        let lows = (0..10).flat_map(|n| ["a", "b"].map(|v| format!("low-{n}-{v}")));
        lows.filter_map(|name| state.pod(&name).cloned()).collect()
    });
    assert_eq!(left.len(), 5, "no more went than had to");
    running.stop().await;
}
