//! The driver against a scripted API server, under paused time.
#![allow(clippy::unwrap_used)]

mod api;
mod binding_cycle;
mod extenders;
mod gang;
mod metrics;
mod preemption;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use orchestra_core::{
    clock::TokioClock,
    event_recorder::EventRecorder,
    informer::InformerFactory,
    random::Generator,
    scheduler::{Diagnosis, Placement, PodInfo, ScheduleError, Scheduler, Snapshot},
};
use orchestra_sched::{
    config::{KubeSchedulerConfiguration, Registry},
    driver::SchedulerDriver,
    framework::Framework,
};
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::api::{Api, Fault};

struct Running {
    stop: CancellationToken,
    driver: JoinHandle<()>,
    informers: InformerFactory,
}

impl Running {
    async fn stop(self) {
        self.stop.cancel();
        self.driver.await.unwrap();
        self.informers.shut_down().await;
    }
}

fn start_with(api: &Api, change: impl FnOnce(SchedulerDriver) -> SchedulerDriver) -> Running {
    let client = api.client();
    let informers = InformerFactory::new(client.clone());
    let clock = Arc::new(TokioClock::starting_at("2026-01-01T00:00:00Z".parse().unwrap()));
    let recorder = EventRecorder::reporting(client.clone(), "default-scheduler", "default-scheduler-0", clock.clone());
    let scheduler = Arc::new(Framework::kubernetes());
    let generator = Generator::seeded(7);
    let driver = SchedulerDriver::new(client, informers.clone(), scheduler, recorder, clock, generator);
    let stop = CancellationToken::new();
    let driver = tokio::spawn(change(driver).run(stop.clone()));
    Running { stop, driver, informers }
}

fn start(api: &Api) -> Running {
    start_with(api, |driver| driver)
}

/// Runs [`Framework::kubernetes`] after `.0` calls that panic.
struct PanicsFirst(AtomicUsize);

impl Scheduler for PanicsFirst {
    fn schedule(&self, pod: &PodInfo, snapshot: &Snapshot, seed: u64) -> Result<Placement, ScheduleError> {
        let left = self.0.load(Ordering::SeqCst);
        if left > 0 {
            self.0.store(left - 1, Ordering::SeqCst);
            panic!("out of luck");
        }
        Framework::kubernetes().schedule(pod, snapshot, seed)
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiting_pod_is_bound_and_an_event_says_so() {
    let api = Api::default();
    api.add_node("n1", "4");
    api.add_pod("web", "1", json!({}));
    let running = start(&api);
    api.until("event", |state| state.events == ["Scheduled web: Successfully assigned default/web to n1"]).await;
    assert_eq!(api.change(|state| state.bindings.clone()), ["web n1"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_unschedulable_pod_says_why_and_is_bound_when_a_fitting_node_comes() {
    let api = Api::default();
    api.add_node("n1", "1");
    api.add_pod("toolarge", "2", json!({}));
    let running = start(&api);
    // The words are those of Kubernetes 1.36.
    let message = "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, \
                   preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
    api.until("condition", |state| state.condition("toolarge") == Some(("Unschedulable", message))).await;
    api.until("event", |state| state.events == [format!("FailedScheduling toolarge: {message}")]).await;
    let condition = api.change(|state| state.pod("toolarge").unwrap()["status"]["conditions"][0].clone());
    assert_eq!(condition["type"], "PodScheduled");
    assert_eq!(condition["status"], "False");
    assert_eq!(condition["observedGeneration"], 1);

    api.add_node("n2", "4");
    api.until("bound", |state| state.node_of("toolarge") == Some("n2")).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_waits_for_the_first_node() {
    let api = Api::default();
    api.add_pod("early", "1", json!({}));
    let running = start(&api);
    let words = Some(("Unschedulable", "no nodes available to schedule pods"));
    api.until("condition", |state| state.condition("early") == words).await;
    api.add_node("n1", "4");
    api.until("bound", |state| state.node_of("early") == Some("n1")).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn no_node_is_given_more_than_it_has_and_freed_room_is_used() {
    let api = Api::default();
    for node in ["n1", "n2", "n3"] {
        api.add_node(node, "4");
    }
    for i in 0..20 {
        api.add_pod(&format!("p{i:02}"), "1", json!({}));
    }
    let running = start(&api);
    let waiting = |state: &api::State| {
        (0..20).filter(|i| state.condition(&format!("p{i:02}")).is_some_and(|(r, _)| r == "Unschedulable")).count()
    };
    api.until("full", |state| state.bindings.len() == 12 && waiting(state) == 8).await;
    for node in ["n1", "n2", "n3"] {
        let on_node = api.change(|state| state.bindings.iter().filter(|binding| binding.ends_with(node)).count());
        assert_eq!(on_node, 4, "{node}");
    }
    let first = api.change(|state| state.bindings[0].clone());
    let (pod, node) = first.split_once(' ').unwrap();
    api.delete_pod(pod);
    api.until("one more", |state| state.bindings.len() == 13).await;
    assert!(api.change(|state| state.bindings[12].ends_with(node)));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_binding_frees_the_room_and_is_tried_again() {
    let api = Api::default();
    api.add_node("n1", "1");
    api.add_pod("web", "1", json!({}));
    api.change(|state| state.faults.extend([Fault::Refused(500), Fault::Refused(409)]));
    let running = start(&api);
    api.until("bound", |state| state.node_of("web") == Some("n1")).await;
    let words = "binding rejected: running Bind plugin \"DefaultBinder\": refused";
    assert_eq!(api.change(|state| state.condition("web").unwrap().1.to_owned()), words);
    assert_eq!(api.change(|state| state.bindings.len()), 1);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_binding_whose_answer_is_lost_counts() {
    let api = Api::default();
    api.add_node("n1", "1");
    api.add_pod("web", "1", json!({}));
    api.change(|state| state.faults.push_back(Fault::AnswerLost));
    let running = start(&api);
    api.until("event", |state| state.events == ["Scheduled web: Successfully assigned default/web to n1"]).await;
    assert_eq!(api.change(|state| state.bindings.clone()), ["web n1"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_binding_of_which_nothing_is_known_keeps_its_room() {
    let api = Api::default();
    api.add_node("n1", "1");
    api.add_pod("web", "1", json!({"priority": 1}));
    api.add_pod("other", "1", json!({}));
    api.change(|state| {
        state.faults.push_back(Fault::AnswerLost);
        state.failing_reads = 5;
        state.hold();
    });
    let running = start(&api);
    api.until("event", |state| state.events.iter().any(|event| event.starts_with("Scheduled web"))).await;
    assert_eq!(api.change(|state| (state.bindings.clone(), state.failing_reads)), (vec!["web n1".to_owned()], 0));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn each_scheduler_sees_only_the_pods_that_ask_for_it() {
    let api = Api::default();
    api.add_node("n1", "4");
    api.add_pod("foreign", "1", json!({ "schedulerName": "foreign" }));
    api.add_pod("second", "1", json!({ "schedulerName": "second" }));
    api.add_pod("first", "1", json!({}));
    let running = start_with(&api, |driver| driver.with_scheduler("second", Arc::new(Framework::kubernetes())));
    api.until("two bound", |state| state.bindings.len() == 2).await;
    assert_eq!(api.change(|state| state.node_of("foreign").map(str::to_owned)), None);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_costs_one_attempt() {
    let api = Api::default();
    api.add_node("n1", "4");
    api.add_pod("web", "1", json!({}));
    let panics = Arc::new(PanicsFirst(AtomicUsize::new(1)));
    let running = start_with(&api, |driver| driver.with_scheduler("default-scheduler", panics));
    api.until("bound", |state| state.node_of("web") == Some("n1")).await;
    let words = Some(("SchedulerError", "the scheduler panicked: out of luck"));
    assert!(api.change(|state| state.condition("web") == words));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_gated_pod_waits_for_its_gates_to_go() {
    let api = Api::default();
    api.add_node("n1", "4");
    api.add_pod("gated", "1", json!({ "schedulingGates": [{ "name": "quota" }] }));
    api.add_pod("open", "1", json!({}));
    let running = start(&api);
    api.until("open bound", |state| state.bindings == ["open n1"]).await;
    api.edit_pod("gated", |pod| pod["spec"]["schedulingGates"] = json!([]));
    api.until("gated bound", |state| state.bindings == ["open n1", "gated n1"]).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn higher_priorities_are_served_first() {
    let api = Api::default();
    api.add_node("n1", "1");
    api.add_pod("low", "1", json!({ "priority": 1 }));
    api.add_pod("high", "1", json!({ "priority": 9 }));
    let running = start(&api);
    api.until("low waits", |state| state.condition("low").is_some()).await;
    assert_eq!(api.change(|state| state.bindings.clone()), ["high n1"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn news_from_before_the_binding_does_not_bring_a_pod_back() {
    let api = Api::default();
    api.add_node("n1", "4");
    api.add_pod("web", "1", json!({}));
    api.change(|state| state.faults.push_back(Fault::Refused(500)));
    let running = start(&api);
    api.until("refused", |state| state.events.len() == 1).await;
    api.change(api::State::hold);
    api.edit_pod("web", |pod| pod["metadata"]["labels"] = json!({ "late": "news" }));
    api.until("bound", |state| state.events.len() == 2).await;
    api.change(api::State::release_one);
    // Time enough for another attempt, were the pod in the queue again.
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(
        api.change(|state| state.events[1..].to_vec()),
        ["Scheduled web: Successfully assigned default/web to n1"]
    );
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_deleted_before_its_binding_leaves_its_room() {
    let api = Api::default();
    api.add_node("n1", "1");
    api.add_pod("gone", "1", json!({ "priority": 1 }));
    api.change(|state| state.faults.push_back(Fault::Refused(500)));
    let running = start(&api);
    api.until("refused", |state| state.condition("gone").is_some()).await;
    api.delete_pod("gone");
    api.add_pod("next", "1", json!({}));
    api.until("next bound", |state| state.bindings == ["next n1"]).await;
    running.stop().await;
}

async fn placements(pods: usize) -> Vec<String> {
    let api = Api::default();
    for i in 0..10 {
        api.add_node(&format!("n{i}"), "64");
    }
    for i in 0..pods {
        api.add_pod(&format!("p{i}"), "10m", json!({}));
    }
    let running = start(&api);
    api.until("all bound", |state| state.bindings.len() == pods).await;
    running.stop().await;
    api.change(|state| state.bindings.clone())
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_placements() {
    let (first, second) = (placements(50).await, placements(50).await);
    assert_eq!(first, second);
}

/// A claim that waits for its first consumer, and a volume for it that node `n2` reaches.
fn with_waiting_claim(api: &Api) {
    api.add_node("n1", "4");
    api.add_node("n2", "4");
    let class = json!({ "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": { "name": "local" },
        "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer" });
    api.put("storageclasses", class);
    let field = json!({ "key": "metadata.name", "operator": "In", "values": ["n2"] });
    let volume = json!({ "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": "v" },
        "spec": { "capacity": { "storage": "1Gi" }, "accessModes": ["ReadWriteOnce"], "storageClassName": "local",
                  "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchFields": [field] }] } } },
        "status": { "phase": "Available" } });
    api.put("persistentvolumes", volume);
    api.put("persistentvolumeclaims", claim());
}

fn claim() -> Value {
    json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": { "name": "c", "namespace": "default", "uid": "c" },
        "spec": { "accessModes": ["ReadWriteOnce"], "storageClassName": "local",
                  "resources": { "requests": { "storage": "1Gi" } } } })
}

/// Claim `c` as the controller of volumes leaves it when it has bound it to `v`.
fn bound_claim() -> Value {
    let mut bound = claim();
    bound["spec"]["volumeName"] = json!("v");
    bound["metadata"]["annotations"] = json!({ "pv.kubernetes.io/bind-completed": "yes" });
    bound
}

fn using_claim() -> Value {
    json!({ "volumes": [{ "name": "data", "persistentVolumeClaim": { "claimName": "c" } }] })
}

fn is_kept(state: &api::State) -> bool {
    let volume = state.find("persistentvolumes", &json!({ "metadata": { "name": "v" } }));
    volume.is_some_and(|volume| volume["spec"]["claimRef"]["uid"] == "c")
}

/// A scheduler, and a pod `p` that waits until its claim is bound to the volume that is kept for it.
async fn with_waiting_pod() -> (Api, Running) {
    let api = Api::default();
    with_waiting_claim(&api);
    let running = start(&api);
    api.add_pod("p", "1", using_claim());
    api.until("the volume is kept for the claim", is_kept).await;
    (api, running)
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_bound_when_its_volume_is() {
    let (api, running) = with_waiting_pod().await;
    assert!(api.change(|state| state.bindings.is_empty()), "the controller of volumes has not bound the claim");
    api.put("persistentvolumeclaims", bound_claim());
    api.until("the pod is bound", |state| state.bindings == ["p n2"]).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn volumes_are_not_waited_for_where_their_plugin_takes_no_part_at_pre_bind() {
    let api = Api::default();
    with_waiting_claim(&api);
    let point = orchestra_sched::framework::ExtensionPoint::PreBind;
    let framework = Arc::new(Framework::builder().default_plugins().order(point, ["DynamicResources"]).build());
    let running = start_with(&api, |driver| driver.with_scheduler("default-scheduler", framework));
    api.add_pod("p", "1", using_claim());
    api.until("the pod is bound", |state| state.bindings == ["p n2"]).await;
    assert!(!api.change(|state| is_kept(state)), "nobody kept the volume");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_is_taken_from_the_pod_is_told() {
    let (api, running) = with_waiting_pod().await;
    api.change(|state| {
        let mut volume = state.find("persistentvolumes", &json!({ "metadata": { "name": "v" } })).unwrap().clone();
        volume["spec"]["claimRef"]["uid"] = json!("other");
        volume["spec"]["claimRef"]["name"] = json!("other");
        state.put("persistentvolumes", volume, "MODIFIED");
    });
    let expected = "FailedScheduling p: running PreBind plugin \"VolumeBinding\": binding volumes: ClaimRef got reset for pv \"v\"";
    api.until("the failure is told", |state| state.events.iter().any(|event| event == expected)).await;
    let unbindable = "node(s) didn't find available persistent volumes to bind";
    api.until("the pod waits", |state| state.condition("p").is_some_and(|(_, why)| why.contains(unbindable))).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_whose_claim_comes_later_waits_for_it() {
    let api = Api::default();
    api.add_node("n1", "4");
    let running = start(&api);
    api.add_pod("p", "1", using_claim());
    let missing = "persistentvolumeclaim \"c\" not found";
    api.until("the claim is missed", |state| state.condition("p").is_some_and(|(_, why)| why.contains(missing))).await;
    let mut unbound = claim();
    unbound["spec"]["storageClassName"] = json!("");
    api.put("persistentvolumeclaims", unbound.clone());
    let immediate = "pod has unbound immediate PersistentVolumeClaims";
    api.until("the claim is unbound", |state| state.condition("p").is_some_and(|(_, why)| why.contains(immediate)))
        .await;
    unbound["spec"]["volumeName"] = json!("v");
    unbound["metadata"]["annotations"] = json!({ "pv.kubernetes.io/bind-completed": "yes" });
    let volume = json!({ "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": "v" }, "spec": {} });
    api.put("persistentvolumes", volume);
    api.put("persistentvolumeclaims", unbound);
    api.until("the pod is bound", |state| state.bindings == ["p n1"]).await;
    running.stop().await;
}

/// A scheduler, and a pod `p` that waits until a volume is provisioned for its claim on `n1`; what the claim is then.
async fn with_pod_that_waits_for_provisioning() -> (Api, Running, Value) {
    let api = Api::default();
    api.add_node("n1", "4");
    let class = json!({ "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": { "name": "local" },
        "provisioner": "disks.example", "volumeBindingMode": "WaitForFirstConsumer" });
    api.put("storageclasses", class);
    api.put("persistentvolumeclaims", claim());
    let running = start(&api);
    api.add_pod("p", "1", using_claim());
    let told = |state: &api::State| state.find("persistentvolumeclaims", &claim()).cloned().unwrap();
    let node = "/metadata/annotations/volume.kubernetes.io~1selected-node";
    api.until("a node is selected", |state| told(state).pointer(node) == Some(&json!("n1"))).await;
    let claim = api.change(|state| told(state));
    (api, running, claim)
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_is_told_of_after_its_claim_is_noticed_at_once() {
    let (api, running, mut claim) = with_pod_that_waits_for_provisioning().await;
    claim["spec"]["volumeName"] = json!("v");
    claim["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] = json!("yes");
    api.put("persistentvolumeclaims", claim);
    tokio::time::sleep(Duration::from_millis(100)).await; // of paused time: until nothing else is to be done
    assert!(api.change(|state| state.bindings.is_empty()), "the volume is not there");
    let put = Instant::now();
    api.put(
        "persistentvolumes",
        json!({ "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": "v" } }),
    );
    api.until("the pod is bound", |state| state.bindings == ["p n1"]).await;
    assert_eq!(put.elapsed(), Duration::ZERO);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_ends_the_wait_for_a_volume_is_noticed_at_once() {
    fn delete(state: &mut api::State, plural: &'static str, name: &str) {
        let namespace = if plural == "nodes" { Value::Null } else { json!("default") };
        let metadata = json!({ "name": name, "namespace": namespace });
        let gone = state.find(plural, &json!({ "metadata": metadata })).unwrap().clone();
        state.put(plural, gone, "DELETED");
    }
    let failed = |state: &api::State| state.events.iter().any(|event| event.starts_with("FailedScheduling p: running"));
    for (plural, name) in [("nodes", "n1"), ("persistentvolumeclaims", "c")] {
        let (api, running, _) = with_pod_that_waits_for_provisioning().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let since = Instant::now();
        api.change(|state| delete(state, plural, name));
        api.until("the failure is told", failed).await;
        assert_eq!(since.elapsed(), Duration::ZERO, "of {plural}");
        running.stop().await;
    }
    // Of a pod that is gone nothing is told, but its room is free.
    let (api, running, _) = with_pod_that_waits_for_provisioning().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let since = Instant::now();
    api.delete_pod("p");
    api.add_pod("large", "4", json!({}));
    api.until("its room is used", |state| state.bindings == ["large n1"]).await;
    assert_eq!(since.elapsed(), Duration::ZERO);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn pods_that_share_a_waiting_claim_are_bound_together() {
    let api = Api::default();
    with_waiting_claim(&api);
    api.add_pod("p", "1", using_claim());
    api.add_pod("q", "1", using_claim());
    api.change(api::State::hold);
    let running = start(&api);
    api.until("the volume is kept for the claim", is_kept).await;
    api.put("persistentvolumeclaims", bound_claim());
    // Where both pods are going to be, the volume, and the claim.
    for _ in 0..4 {
        api.change(api::State::release_one);
    }
    api.until("both pods are bound", |state| state.bindings.len() == 2).await;
    assert_eq!(api.change(|state| state.events.iter().find(|event| event.starts_with("Failed")).cloned()), None);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_not_served_has_no_objects() {
    let api = Api::default();
    api.change(|state| state.lacks_storage = true);
    api.add_node("n1", "4");
    api.add_pod("p", "1", json!({}));
    let running = start(&api);
    api.until("the pod is bound", |state| state.bindings == ["p n1"]).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_whose_node_goes_while_its_volume_is_bound_is_tried_again() {
    let (api, running) = with_waiting_pod().await;
    api.change(|state| {
        let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n2", "uid": "n2" } });
        state.put("nodes", node, "DELETED");
    });
    api.put("persistentvolumeclaims", bound_claim());
    let expected = "FailedScheduling p: running PreBind plugin \"VolumeBinding\": binding volumes: \
                    failed to get node \"n2\": node \"n2\" not found";
    api.until("the failure is told", |state| state.events.iter().any(|event| event == expected)).await;
    assert!(api.change(|state| state.bindings.is_empty()));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn volumes_are_written_no_more_at_once_than_bindings() {
    let api = Api::default();
    with_waiting_claim(&api);
    api.add_node("n3", "100");
    api.add_node("n4", "100");
    api.change(|state| state.is_slow = true);
    for i in 0..200 {
        let name = format!("c{i:03}");
        let mut claim = claim();
        claim["metadata"]["name"] = json!(name);
        claim["metadata"]["uid"] = json!(name);
        api.put("persistentvolumeclaims", claim);
        let volume = json!({ "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": format!("v{i:03}") },
            "spec": { "capacity": { "storage": "1Gi" }, "accessModes": ["ReadWriteOnce"], "storageClassName": "local" },
            "status": { "phase": "Available" } });
        api.put("persistentvolumes", volume);
        let volumes = json!([{ "name": "data", "persistentVolumeClaim": { "claimName": name } }]);
        api.add_pod(&name, "100m", json!({ "volumes": volumes }));
    }
    let running = start(&api);
    let is_kept = |state: &api::State, i: usize| {
        let volume = state.find("persistentvolumes", &json!({ "metadata": { "name": format!("v{i:03}") } }));
        volume.is_some_and(|volume| volume["spec"]["claimRef"].is_object())
    };
    api.until("most volumes are kept", |state| (0..200).filter(|i| is_kept(state, *i)).count() >= 199).await;
    assert_eq!(api.change(|state| state.most_writing), 128);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_configuration_has_the_schedulers_that_it_names_and_no_others() {
    let api = Api::default();
    api.add_node("n1", "4");
    api.add_node("n2", "4");
    api.add_pod("taken", "1", json!({ "nodeName": "n2" }));
    api.add_pod("packed", "1", json!({ "schedulerName": "packing" }));
    api.add_pod("other", "1", json!({}));
    let config = KubeSchedulerConfiguration::from_yaml(
        "{ apiVersion: kubescheduler.config.k8s.io/v1, kind: KubeSchedulerConfiguration, profiles: [{ schedulerName: packing,
           plugins: { multiPoint: { disabled: [{ name: NodeResourcesBalancedAllocation }] } },
           pluginConfig: [{ name: NodeResourcesFit, args: { scoringStrategy: { type: MostAllocated } } }] }] }",
    )
    .unwrap();
    let running = start_with(&api, |driver| driver.with_configuration(&config, &Registry::kubernetes()).unwrap());
    api.until("the pod is bound", |state| state.bindings == ["packed n2"]).await;
    running.stop().await;
    assert!(api.change(|state| state.condition("other").is_none()), "it waits for a scheduler that is not here");
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_of_a_node_is_no_news() {
    let api = Api::default();
    api.add_node("n1", "4");
    let scheduler = Arc::new(Refuses::default());
    let running = start_with(&api, |driver| driver.with_scheduler("default-scheduler", scheduler.clone()));
    api.add_pod("web", "1", json!({}));
    api.until("told", |state| state.condition("web").is_some()).await;
    let attempts = || scheduler.0.load(Ordering::SeqCst);
    let mut node = api.change(|state| state.find("nodes", &json!({ "metadata": { "name": "n1" } })).unwrap().clone());
    let mut tell = async |path: &str, value: Value| {
        let before = attempts();
        *node.pointer_mut(path).unwrap() = value;
        api.put("nodes", node.clone());
        tokio::time::sleep(Duration::from_secs(20)).await;
        attempts() - before
    };
    assert_eq!(tell("/status", json!({ "conditions": [{ "type": "Ready", "status": "True" }] })).await, 1);
    assert_eq!(tell("/status/conditions/0", json!({ "type": "Ready", "status": "True", "reason": "again" })).await, 0);
    assert_eq!(tell("/status/conditions/0/status", json!("False")).await, 1);
    assert_eq!(tell("/metadata", json!({ "name": "n1", "uid": "n1", "annotations": { "a": "b" } })).await, 1);
    assert_eq!(
        tell(
            "/status",
            json!({ "conditions": [{ "type": "Ready", "status": "False" }],
        "declaredFeatures": ["X"] })
        )
        .await,
        1
    );
    running.stop().await;
}

/// Takes no node, whatever happens, and counts how often it is asked.
#[derive(Default)]
struct Refuses(AtomicUsize);

impl Scheduler for Refuses {
    fn schedule(&self, _: &PodInfo, snapshot: &Snapshot, _: u64) -> Result<Placement, ScheduleError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Err(Diagnosis::new(snapshot.len()).into())
    }
}
