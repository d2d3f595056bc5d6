//! What plugins do between a decision and the pod's being bound.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use orchestra_core::scheduler::{Binding, NodeInfo, Placement, PodInfo, Rejection, Snapshot, WaitingPods};
use orchestra_sched::framework::{
    Bind, BindOutcome, CycleState, Framework, Permit, PermitOutcome, Plugin, PostBind, PreBind, PreFilter,
    PreFilterOutcome, Reserve,
};
use serde_json::json;

use crate::{Running, api::Api, start_with};

/// Does at each point what it is told for the pod's name, and writes down that it was asked.
#[derive(Clone, Default)]
struct Scripted {
    log: Arc<Mutex<Vec<String>>>,
    permits: BTreeMap<&'static str, PermitOutcome>,
    /// Pods that wait, by the plugin's handle to them.
    waiting: Arc<Mutex<Option<WaitingPods>>>,
    fails_at: BTreeMap<&'static str, &'static str>,
    panics_at: BTreeMap<&'static str, &'static str>,
}

impl Scripted {
    fn note(&self, point: &'static str, pod: &PodInfo) -> Result<(), String> {
        self.log.lock().unwrap().push(format!("{point} {}", pod.key().name()));
        assert_ne!(self.panics_at.get(pod.key().name()), Some(&point), "told to");
        if self.fails_at.get(pod.key().name()) == Some(&point) { Err("told to fail".to_owned()) } else { Ok(()) }
    }

    fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

impl Plugin for Scripted {
    fn name(&self) -> &'static str {
        "Scripted"
    }
    fn as_pre_filter(&self) -> Option<&dyn PreFilter> {
        Some(self)
    }
    fn as_reserve(&self) -> Option<&dyn Reserve> {
        Some(self)
    }
    fn as_permit(&self) -> Option<&dyn Permit> {
        Some(self)
    }
    fn as_pre_bind(&self) -> Option<&dyn PreBind> {
        Some(self)
    }
    fn as_bind(&self) -> Option<&dyn Bind> {
        Some(self)
    }
    fn as_post_bind(&self) -> Option<&dyn PostBind> {
        Some(self)
    }
}

impl PreFilter for Scripted {
    fn pre_filter(&self, _: &mut CycleState, pod: &PodInfo, _: &Snapshot) -> PreFilterOutcome {
        assert_ne!(self.panics_at.get(pod.key().name()), Some(&"pre_filter"), "told to");
        PreFilterOutcome::Skip
    }
}

impl Reserve for Scripted {
    fn reserve(&self, _: &CycleState, pod: &PodInfo, _: &NodeInfo, _: &mut Placement) {
        let _ = self.note("reserve", pod);
    }
    fn unreserve(&self, pod: &PodInfo, _: &str, _: &WaitingPods) {
        let _ = self.note("unreserve", pod);
    }
}

impl Permit for Scripted {
    fn permit(&self, pod: &PodInfo, _: &str, waiting: &WaitingPods) -> PermitOutcome {
        let _ = self.note("permit", pod);
        *self.waiting.lock().unwrap() = Some(waiting.clone());
        self.permits.get(pod.key().name()).cloned().unwrap_or(PermitOutcome::Allow)
    }
}

#[async_trait]
impl PreBind for Scripted {
    fn is_needed(&self, pod: &PodInfo, _: &Placement) -> bool {
        !pod.key().name().starts_with("plain")
    }
    async fn pre_bind(&self, binding: Binding<'_>) -> Result<(), String> {
        self.note("pre_bind", binding.pod)
    }
    async fn undo(&self, binding: Binding<'_>) {
        let _ = self.note("undo", binding.pod);
    }
}

#[async_trait]
impl Bind for Scripted {
    async fn bind(&self, binding: Binding<'_>) -> BindOutcome {
        match self.note("bind", binding.pod) {
            Ok(()) => BindOutcome::Skip,
            Err(error) => BindOutcome::Failed(error),
        }
    }
}

impl PostBind for Scripted {
    fn post_bind(&self, pod: &PodInfo, _: &str) {
        let _ = self.note("post_bind", pod);
    }
}

fn run(api: &Api, plugin: &Scripted) -> Running {
    let framework = Framework::builder().plugin(plugin.clone()).default_plugins().build();
    start_with(api, |driver| driver.with_scheduler("default-scheduler", Arc::new(framework)))
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn every_point_is_asked_in_its_order_and_who_skips_leaves_binding_to_the_next() {
    let (api, plugin) = (Api::default(), Scripted::default());
    api.add_node("n1", "4");
    api.add_pod("p", "1", json!({}));
    let running = run(&api, &plugin);
    api.until("the pod is bound", |state| state.bindings == ["p n1"]).await;
    running.stop().await;
    assert_eq!(plugin.log(), ["reserve p", "permit p", "pre_bind p", "bind p", "post_bind p"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_pod_does_not_need_is_not_done_before_it_is_bound() {
    let (api, plugin) = (Api::default(), Scripted::default());
    api.add_node("n1", "4");
    api.add_pod("plain", "1", json!({}));
    let running = run(&api, &plugin);
    api.until("the pod is bound", |state| state.bindings == ["plain n1"]).await;
    running.stop().await;
    assert_eq!(plugin.log(), ["reserve plain", "permit plain", "bind plain", "post_bind plain"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_done_before_is_undone_if_the_pod_is_not_bound_and_only_then() {
    let order = |point: &'static str| async move {
        let permits = BTreeMap::from([("p", PermitOutcome::Reject(Rejection::new("no")))]);
        let permits = if point == "permit" { permits } else { BTreeMap::new() };
        let plugin = Scripted { permits, fails_at: BTreeMap::from([("p", point)]), ..Scripted::default() };
        let api = Api::default();
        api.add_node("n1", "1");
        api.add_pod("p", "1", json!({}));
        let running = run(&api, &plugin);
        api.until("it is told", |state| state.condition("p").is_some()).await;
        running.stop().await;
        plugin.log().join(", ")
    };
    assert_eq!(order("pre_bind").await, "reserve p, permit p, pre_bind p, unreserve p, undo p");
    assert_eq!(order("bind").await, "reserve p, permit p, pre_bind p, bind p, unreserve p, undo p");
    assert_eq!(order("permit").await, "reserve p, permit p, unreserve p");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_waits_for_a_permission_keeps_its_room_and_holds_nobody_up() {
    let api = Api::default();
    let permits = BTreeMap::from([("slow", PermitOutcome::Wait(MINUTE))]);
    let plugin = Scripted { permits, ..Scripted::default() };
    api.add_node("n1", "2");
    api.add_pod("slow", "1", json!({ "priority": 9 }));
    api.add_pod("quick", "1", json!({ "priority": 5 }));
    api.add_pod("late", "1", json!({}));
    let running = run(&api, &plugin);
    api.until("no room is left", |state| state.condition("late").is_some()).await;
    assert!(api.change(|state| state.bindings == ["quick n1"]));
    let waiting = plugin.waiting.lock().unwrap().clone().unwrap();
    assert_eq!(waiting.list().len(), 1);
    waiting.allow("slow", "Scripted");
    api.until("the pod is bound", |state| state.bindings == ["quick n1", "slow n1"]).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_denied_gives_its_room_up_and_says_why() {
    let api = Api::default();
    let denied = PermitOutcome::Reject(Rejection::new("not on a Friday"));
    let permits = BTreeMap::from([("denied", denied), ("slow", PermitOutcome::Wait(MINUTE / 2))]);
    let plugin = Scripted { permits, ..Scripted::default() };
    api.add_node("n1", "1");
    api.add_pod("denied", "1", json!({ "priority": 9, "preemptionPolicy": "Never" }));
    api.add_pod("slow", "1", json!({ "priority": 5, "preemptionPolicy": "Never" }));
    api.add_pod("late", "1", json!({}));
    let running = run(&api, &plugin);
    api.until("others have the room", |state| state.bindings == ["late n1"]).await;
    running.stop().await;
    let words = |name: &str| {
        let condition = api.change(|state| state.condition(name).map(|(reason, text)| format!("{reason}: {text}")));
        condition.unwrap()
    };
    assert_eq!(words("denied"), "Unschedulable: 0/1 nodes are available: 1 not on a Friday.");
    let late = "rejected due to timeout after waiting 30s at plugin Scripted";
    let events = api.change(|state| state.events.clone());
    let expected = format!("FailedScheduling slow: 0/1 nodes are available: 1 {late}.");
    assert!(events.contains(&expected), "{events:#?}");
    assert!(
        plugin.log().contains(&"unreserve denied".to_owned()) && plugin.log().contains(&"unreserve slow".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn a_waiting_pod_that_is_deleted_gives_its_room_up_at_once() {
    let api = Api::default();
    let permits = BTreeMap::from([("gone", PermitOutcome::Wait(10 * MINUTE))]);
    let plugin = Scripted { permits, ..Scripted::default() };
    api.add_node("n1", "1");
    api.add_pod("gone", "1", json!({ "priority": 9 }));
    api.add_pod("late", "1", json!({}));
    let running = run(&api, &plugin);
    api.until("no room is left", |state| state.condition("late").is_some()).await;
    api.delete_pod("gone");
    api.until("the other has it", |state| state.bindings == ["late n1"]).await;
    assert!(plugin.waiting.lock().unwrap().as_ref().unwrap().list().is_empty());
    running.stop().await;
    assert!(plugin.log().contains(&"unreserve gone".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_told_with_its_plugin_and_tried_again() {
    for (point, told) in [
        ("pre_bind", "running PreBind plugin \"Scripted\": told to fail"),
        ("bind", "binding rejected: running Bind plugin \"Scripted\": told to fail"),
    ] {
        let api = Api::default();
        let plugin = Scripted { fails_at: BTreeMap::from([("p", point)]), ..Scripted::default() };
        api.add_node("n1", "1");
        api.add_pod("p", "1", json!({}));
        let running = run(&api, &plugin);
        api.until("it is told", |state| state.condition("p") == Some(("SchedulerError", told))).await;
        let attempts = || plugin.log().iter().filter(|line| *line == "unreserve p").count();
        while attempts() < 2 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        running.stop().await;
        assert!(api.change(|state| state.bindings.is_empty()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_panics_costs_its_pod_an_attempt_and_is_named() {
    for point in ["pre_filter", "permit", "pre_bind", "bind"] {
        let api = Api::default();
        let plugin = Scripted { panics_at: BTreeMap::from([("p", point)]), ..Scripted::default() };
        api.add_node("n1", "1");
        api.add_pod("p", "1", json!({ "priority": 9 }));
        api.add_pod("q", "1", json!({}));
        let running = run(&api, &plugin);
        let named = |text: &str| text.contains("Scripted") && text.contains("panicked: ");
        api.until("it is told", |state| state.condition("p").is_some_and(|(_, text)| named(text))).await;
        api.until("the other is bound", |state| state.bindings == ["q n1"]).await;
        running.stop().await;
    }
}
