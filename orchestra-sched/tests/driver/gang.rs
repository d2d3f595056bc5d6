//! Pods that get nodes together, or none of them does.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use orchestra_core::scheduler::{Binding, PodInfo, Rejection, WaitingPods};
use orchestra_sched::framework::{Framework, Permit, PermitOutcome, Plugin, PreBind};
use serde_json::{Value, json};

use crate::{
    Running,
    api::{Api, Fault, State},
    start, start_with,
};

fn add_group(api: &Api, name: &str, policy: Value) {
    let metadata = json!({ "name": name, "namespace": "default", "uid": name });
    api.put("podgroups", json!({ "metadata": metadata, "spec": { "schedulingPolicy": policy } }));
}

fn add_gang(api: &Api, name: &str, count: usize) {
    add_group(api, name, json!({ "gang": { "minCount": count } }));
}

/// Pods `g-0`, `g-1`, ... of a group, each for a whole CPU.
fn add_pods(api: &Api, group: &str, count: usize, spec: &Value) {
    for index in 0..count {
        let mut spec = spec.clone();
        spec["schedulingGroup"] = json!({ "podGroupName": group });
        api.add_pod(&format!("{group}-{index}"), "1", spec);
    }
}

fn bound_of(state: &State, group: &str) -> usize {
    state.bindings.iter().filter(|binding| binding.starts_with(group)).count()
}

async fn a_while() {
    tokio::time::sleep(Duration::from_secs(30)).await;
}

const UNMET: &str = "waiting for minCount pods from a gang to be scheduled";

#[tokio::test(start_paused = true)]
async fn a_gang_without_room_for_all_binds_none_and_all_at_once_when_there_is() {
    let api = Api::default();
    api.add_node("n1", "3");
    add_gang(&api, "g", 4);
    add_pods(&api, "g", 4, &json!({}));
    let running = start(&api);
    api.until("told", |state| (0..4).all(|index| state.condition(&format!("g-{index}")).is_some())).await;
    a_while().await;
    assert_eq!(api.change(|state| state.bindings.clone()), Vec::<String>::new());
    assert!(api.change(|state| state.group_condition("g") == Some(("False", "Unschedulable"))));
    let told = |state: &State, name: &str| state.condition(name).map(|(_, message)| message.to_owned());
    let messages: Vec<String> =
        api.change(|state| (0..4).filter_map(|index| told(state, &format!("g-{index}"))).collect());
    assert_eq!(messages.iter().filter(|message| *message == UNMET).count(), 3, "{messages:?}");
    let full = |message: &&String| message.starts_with("0/1 nodes are available: 1 Insufficient cpu.");
    assert_eq!(messages.iter().filter(full).count(), 1, "{messages:?}");

    api.add_node("n2", "1");
    api.until("all bound", |state| state.bindings.len() == 4).await;
    assert_eq!(api.change(|state| state.lists.clone()), [4], "in one transaction");
    api.until("told", |state| state.group_condition("g") == Some(("True", "Scheduled"))).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn pods_wait_for_their_group_and_for_the_others_and_nothing_is_said_of_them() {
    let api = Api::default();
    api.add_node("n1", "8");
    add_pods(&api, "g", 2, &json!({}));
    let running = start(&api);
    a_while().await;
    add_gang(&api, "g", 3);
    a_while().await;
    assert_eq!(api.change(|state| (state.bindings.len(), state.events.len())), (0, 0));
    api.add_pod("late", "1", json!({ "schedulingGroup": { "podGroupName": "g" } }));
    api.until("all bound", |state| state.bindings.len() == 3).await;
    assert_eq!(api.change(|state| state.lists.clone()), [3]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn two_gangs_that_each_find_half_of_the_room_do_not_wait_for_each_other() {
    let api = Api::default();
    api.add_node("n1", "3");
    api.add_node("n2", "3");
    for group in ["g", "h"] {
        add_gang(&api, group, 4);
    }
    for index in 0..4 {
        for group in ["g", "h"] {
            api.add_pod(&format!("{group}-{index}"), "1", json!({ "schedulingGroup": { "podGroupName": group } }));
        }
    }
    let running = start(&api);
    api.until("one is bound", |state| state.bindings.len() == 4).await;
    a_while().await;
    let of = |api: &Api| api.change(|state| (bound_of(state, "g"), bound_of(state, "h")));
    let first = of(&api);
    assert!(matches!(first, (4, 0) | (0, 4)), "{first:?}");
    // What does not need so much goes on.
    api.add_pod("alone", "1", json!({}));
    api.until("alone is bound", |state| state.node_of("alone").is_some()).await;
    api.add_node("n3", "3");
    api.until("the other is bound", |state| state.bindings.len() == 9).await;
    assert_eq!(of(&api), (4, 4));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn more_pods_than_a_gang_needs_are_on_their_own() {
    let api = Api::default();
    api.add_node("n1", "3");
    add_gang(&api, "g", 2);
    add_pods(&api, "g", 5, &json!({}));
    let running = start(&api);
    api.until("three are bound", |state| state.bindings.len() == 3).await;
    api.until("two are told", |state| {
        (0..5)
            .filter(|index| state.condition(&format!("g-{index}")).is_some_and(|(why, _)| why == "Unschedulable"))
            .count()
            == 2
    })
    .await;
    api.until("scheduled", |state| state.group_condition("g") == Some(("True", "Scheduled"))).await;
    a_while().await;
    assert!(api.change(|state| state.group_condition("g") == Some(("True", "Scheduled"))), "it stays so");
    api.add_node("n2", "1");
    api.until("a fourth is bound", |state| state.bindings.len() == 4).await;
    assert_eq!(api.change(|state| state.lists.clone()), [3], "later ones are bound singly");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_pods_of_a_basic_group_are_scheduled_one_by_one() {
    let api = Api::default();
    api.add_node("n1", "2");
    add_group(&api, "g", json!({ "basic": {} }));
    add_pods(&api, "g", 3, &json!({}));
    let running = start(&api);
    api.until("two are bound", |state| state.bindings.len() == 2).await;
    api.until("told", |state| state.group_condition("g") == Some(("True", "Scheduled"))).await;
    a_while().await;
    assert_eq!(api.change(|state| (state.bindings.len(), state.lists.len())), (2, 0));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn pods_that_have_a_node_count_when_a_scheduler_begins() {
    let api = Api::default();
    api.add_node("n1", "4");
    add_gang(&api, "g", 4);
    for (index, node) in [Some("n1"), Some("n1"), None, None].into_iter().enumerate() {
        let mut spec = json!({ "schedulingGroup": { "podGroupName": "g" } });
        if let Some(node) = node {
            spec["nodeName"] = json!(node);
        }
        api.add_pod(&format!("g-{index}"), "1", spec);
    }
    let running = start(&api);
    api.until("the rest is bound", |state| state.bindings.len() == 2).await;
    assert_eq!(api.change(|state| state.lists.clone()), [2]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_cannot_be_bound_keeps_its_gang_from_it_and_the_rest_is_tried_again() {
    let api = Api::default();
    api.add_node("n1", "4");
    add_gang(&api, "g", 3);
    add_pods(&api, "g", 3, &json!({}));
    api.change(|state| state.faults.push_back(Fault::Refused(409)));
    let running = start(&api);
    api.until("told", |state| (0..3).all(|index| state.condition(&format!("g-{index}")).is_some())).await;
    assert!(api.change(|state| state.condition("g-0").unwrap().0 == "SchedulerError" && state.bindings.is_empty()));
    api.until("all bound", |state| state.bindings.len() == 3).await;
    assert_eq!(api.change(|state| state.lists.clone()), [3]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_gang_that_lost_a_pod_waits_for_another() {
    let api = Api::default();
    api.add_node("n1", "2");
    add_gang(&api, "g", 3);
    add_pods(&api, "g", 3, &json!({}));
    let running = start(&api);
    api.until("told", |state| state.condition("g-2").is_some()).await;
    api.delete_pod("g-1");
    api.add_node("n2", "4");
    a_while().await;
    assert!(api.change(|state| state.bindings.is_empty()));
    api.add_pod("g-3", "1", json!({ "schedulingGroup": { "podGroupName": "g" } }));
    api.until("bound", |state| state.bindings.len() == 3).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_deleted_while_its_gang_is_bound_leaves_room_for_others() {
    let api = Api::default();
    api.add_node("n1", "3");
    add_gang(&api, "g", 3);
    add_pods(&api, "g", 3, &json!({}));
    // The watch does not tell of the deletion before the bindings are posted.
    let slow = Points { waits: ["g-0"].into(), ..Points::default() };
    let running = run(&api, slow);
    tokio::time::sleep(Duration::from_secs(1)).await;
    api.change(State::hold);
    api.delete_pod("g-1");
    a_while().await;
    assert!(api.change(|state| state.bindings.is_empty()), "the server does not find one of the three");
    for _ in 0..20 {
        api.change(State::release_one);
    }
    api.add_pod("alone", "3", json!({}));
    for _ in 0..20 {
        api.change(State::release_one);
    }
    api.until("alone is bound", |state| state.node_of("alone").is_some()).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_found_out_for_each_pod() {
    let api = Api::default();
    api.add_node("n1", "4");
    add_gang(&api, "g", 3);
    add_pods(&api, "g", 3, &json!({}));
    api.change(|state| state.faults.push_back(Fault::AnswerLost));
    let running = start(&api);
    api.until("all events", |state| state.events.iter().filter(|event| event.starts_with("Scheduled")).count() == 3)
        .await;
    assert_eq!(api.change(|state| state.lists.clone()), [3], "once");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_knows_no_lists_gets_bindings_one_by_one() {
    let api = Api::default();
    api.add_node("n1", "4");
    api.change(|state| state.lacks_lists = true);
    add_gang(&api, "g", 3);
    add_pods(&api, "g", 3, &json!({}));
    let running = start(&api);
    api.until("all bound", |state| state.bindings.len() == 3).await;
    api.until("told", |state| state.group_condition("g") == Some(("True", "Scheduled"))).await;
    running.stop().await;
}

/// Has some pods wait for a while at `Permit`, denies others, and fails before others are bound.
#[derive(Clone, Default)]
struct Points {
    waits: BTreeSet<&'static str>,
    denied: BTreeMap<&'static str, &'static str>,
    fails: BTreeSet<&'static str>,
}

impl Plugin for Points {
    fn name(&self) -> &'static str {
        "Points"
    }
    fn as_permit(&self) -> Option<&dyn Permit> {
        Some(self)
    }
    fn as_pre_bind(&self) -> Option<&dyn PreBind> {
        Some(self)
    }
}

impl Permit for Points {
    fn permit(&self, pod: &PodInfo, _: &str, waiting: &WaitingPods) -> PermitOutcome {
        let (name, id) = (pod.key().name(), pod.id().clone());
        if let Some(why) = self.denied.get(name) {
            return PermitOutcome::Reject(Rejection::new(*why));
        }
        if !self.waits.contains(name) {
            return PermitOutcome::Allow;
        }
        let waiting = waiting.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(10)).await;
            waiting.allow(&id, "Points");
        });
        PermitOutcome::Wait(Duration::from_secs(60))
    }
}

#[async_trait]
impl PreBind for Points {
    async fn pre_bind(&self, binding: Binding<'_>) -> Result<(), String> {
        if self.fails.contains(binding.pod.key().name()) { Err("told to fail".to_owned()) } else { Ok(()) }
    }
}

fn run(api: &Api, points: Points) -> Running {
    let framework = Framework::builder().default_plugins().plugin(points).build();
    start_with(api, |driver| driver.with_scheduler("default-scheduler", Arc::new(framework)))
}

#[tokio::test(start_paused = true)]
async fn what_comes_before_is_done_for_each_and_one_that_fails_keeps_all_from_being_bound() {
    let api = Api::default();
    api.add_node("n1", "4");
    add_gang(&api, "g", 3);
    add_pods(&api, "g", 3, &json!({}));
    let running = run(&api, Points { fails: ["g-1"].into(), ..Points::default() });
    api.until("told", |state| (0..3).all(|index| state.condition(&format!("g-{index}")).is_some())).await;
    let why = "running PreBind plugin \"Points\": told to fail";
    let other = format!("failed to bind other pod from a pod group: {why}");
    let told = api.change(|state| {
        [0, 1].map(|index| state.condition(&format!("g-{index}")).map(|(_, message)| message.to_owned()))
    });
    assert_eq!(told, [Some(other), Some(why.to_owned())]);
    a_while().await;
    assert!(api.change(|state| state.bindings.is_empty()));
    // Its room is free for others.
    api.add_pod("alone", "4", json!({ "priority": 9 }));
    api.until("alone is bound", |state| state.node_of("alone").is_some()).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_that_waits_for_a_permission_has_its_gang_wait() {
    let api = Api::default();
    api.add_node("n1", "4");
    add_gang(&api, "g", 3);
    add_pods(&api, "g", 3, &json!({}));
    let running = run(&api, Points { waits: ["g-2"].into(), ..Points::default() });
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert!(api.change(|state| state.bindings.is_empty()));
    api.until("all bound", |state| state.bindings.len() == 3).await;
    assert_eq!(api.change(|state| state.lists.clone()), [3]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_that_is_denied_keeps_all_from_being_bound() {
    let api = Api::default();
    api.add_node("n1", "4");
    add_gang(&api, "g", 3);
    add_pods(&api, "g", 3, &json!({}));
    let running = run(&api, Points { denied: [("g-1", "not today")].into(), ..Points::default() });
    api.until("told", |state| (0..3).all(|index| state.condition(&format!("g-{index}")).is_some())).await;
    let told = |name: &str| api.change(|state| state.condition(name).map(|(_, message)| message.to_owned())).unwrap();
    assert_eq!(told("g-1"), "0/1 nodes are available: 1 not today.");
    assert_eq!(told("g-0"), format!("0/1 nodes are available: 1 {UNMET}."));
    assert!(api.change(|state| state.bindings.is_empty()));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn others_go_for_a_gang_only_if_all_of_it_fits_then() {
    let api = Api::default();
    for node in ["n1", "n2"] {
        api.add_node(node, "1");
        api.add_pod(&format!("low-{node}"), "1", json!({ "priority": 1, "nodeName": node }));
    }
    add_gang(&api, "g", 3);
    add_pods(&api, "g", 3, &json!({ "priority": 9 }));
    let running = start(&api);
    api.until("told", |state| state.condition("g-2").is_some()).await;
    a_while().await;
    assert!(api.change(|state| state.pod("low-n1").is_some() && state.pod("low-n2").is_some()), "in vain");
    assert!(api.change(|state| state.nominations.is_empty()));
    api.add_node("n3", "1");
    api.until("all bound", |state| state.bindings.len() == 3).await;
    assert!(api.change(|state| state.pod("low-n1").is_none() && state.pod("low-n2").is_none()));
    assert_eq!(api.change(|state| state.lists.clone()), [3]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_room_of_a_gang_is_kept_while_others_go_for_it() {
    let api = Api::default();
    api.add_node("n1", "1");
    api.add_node("n2", "1");
    api.add_pod("low", "1", json!({ "priority": 1, "nodeName": "n1" }));
    api.change(|state| state.is_graceful = true);
    add_gang(&api, "g", 2);
    add_pods(&api, "g", 2, &json!({ "priority": 9 }));
    let running = start(&api);
    let waiting = "pod group is waiting for preemption to complete";
    api.until("the victim goes", |state| state.pod("low").unwrap()["metadata"]["deletionTimestamp"].is_string()).await;
    api.until("told", |state| (0..2).any(|i| state.condition(&format!("g-{i}")).is_some_and(|(_, m)| m == waiting)))
        .await;
    api.until("nominated", |state| state.nominations.len() == 2).await;
    api.add_pod("mid", "1", json!({ "priority": 5 }));
    a_while().await;
    assert!(api.change(|state| state.bindings.is_empty()), "the free node is promised too");
    api.delete_pod("low");
    api.until("all bound", |state| state.bindings.len() == 2).await;
    assert!(api.change(|state| state.node_of("mid").is_none()));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_scheduler_that_fails_for_one_fails_for_all() {
    struct Fails;
    impl Plugin for Fails {
        fn name(&self) -> &'static str {
            "Fails"
        }
        fn as_pre_filter(&self) -> Option<&dyn orchestra_sched::framework::PreFilter> {
            Some(self)
        }
    }
    impl orchestra_sched::framework::PreFilter for Fails {
        fn pre_filter(
            &self,
            _: &mut orchestra_sched::framework::CycleState,
            pod: &PodInfo,
            _: &orchestra_core::scheduler::Snapshot,
        ) -> orchestra_sched::framework::PreFilterOutcome {
            assert_ne!(pod.key().name(), "g-1", "told to");
            orchestra_sched::framework::PreFilterOutcome::Skip
        }
    }
    let api = Api::default();
    api.add_node("n1", "4");
    add_gang(&api, "g", 3);
    add_pods(&api, "g", 3, &json!({}));
    let framework = Arc::new(Framework::builder().default_plugins().plugin(Fails).build());
    let running = start_with(&api, |driver| driver.with_scheduler("default-scheduler", framework));
    api.until("told", |state| (0..3).all(|index| state.condition(&format!("g-{index}")).is_some())).await;
    let told = |name: &str| {
        api.change(|state| state.condition(name).map(|(why, text)| (why.to_owned(), text.to_owned()))).unwrap()
    };
    let why = "plugin \"Fails\" panicked: ";
    assert!(told("g-1").1.starts_with(why), "{:?}", told("g-1"));
    assert!(told("g-2").1.starts_with(&format!("failed to schedule other pod from a pod group: {why}")));
    assert_eq!(told("g-0").0, "SchedulerError");
    assert!(api.change(|state| state.group_condition("g") == Some(("False", "SchedulerError"))));
    assert!(api.change(|state| state.bindings.is_empty()));
    running.stop().await;
}
