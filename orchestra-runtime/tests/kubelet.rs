//! The kubelet with `MemoryRuntime` against a scripted API server, under paused time.
#![allow(clippy::unwrap_used)]

mod scripted_api;

use std::{sync::Arc, time::Duration};

use orchestra_core::{clock::TokioClock, informer::InformerFactory, random::Generator};
use orchestra_runtime::{
    container::{ImageScript, MemoryRuntime},
    kubelet::{Kubelet, KubeletBuilder, SharedPods},
};
use scripted_api::Api;
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

const SECOND: Duration = Duration::from_secs(1);

struct Node {
    api: Api,
    runtime: MemoryRuntime,
    clock: Arc<TokioClock>,
    stop: CancellationToken,
    running: Option<JoinHandle<()>>,
}

impl Node {
    fn with(scripts: Vec<(&str, ImageScript)>) -> Self {
        let clock = Arc::new(TokioClock::starting_at("2026-01-01T00:00:00Z".parse().unwrap()));
        let mut runtime = MemoryRuntime::new().clock(clock.clone());
        for (image, script) in scripts {
            runtime = runtime.image(image, script);
        }
        Self { api: Api::new(), runtime, clock, stop: CancellationToken::new(), running: None }
    }

    fn builder(&self) -> KubeletBuilder {
        Kubelet::builder(self.api.client(), "n1", Arc::new(self.runtime.clone()))
            .clock(self.clock.clone())
            .generator(Generator::seeded(1))
    }

    fn start(&mut self) {
        self.start_as(self.builder());
    }

    fn start_as(&mut self, builder: KubeletBuilder) {
        self.stop = CancellationToken::new();
        self.running = Some(tokio::spawn(builder.build().run(self.stop.clone())));
    }

    async fn stop(&mut self) {
        self.stop.cancel();
        self.running.take().unwrap().await.unwrap();
    }

    fn events(&self) -> Vec<String> {
        self.api.read(|state| state.events.clone())
    }
}

fn started(scripts: Vec<(&str, ImageScript)>) -> Node {
    let mut node = Node::with(scripts);
    node.start();
    node
}

fn crashing() -> ImageScript {
    ImageScript { exit_code_after: Some((SECOND, 1)), ..ImageScript::default() }
}

#[tokio::test(start_paused = true)]
async fn a_pod_runs_with_kubernetes_events() {
    let script = ImageScript { pull_time: Duration::from_millis(1200), size: 123, ..ImageScript::default() };
    let node = started(vec![("nginx", script)]);
    node.api.add_pod("a", "nginx", json!({}));
    node.api.until("waiting", |state| state.waiting("a") == "ContainerCreating").await;
    node.api.until("running", |state| state.phase("a") == "Running" && state.is_ready("a")).await;
    node.api.until("events", |state| state.events.len() == 4).await;
    node.api.add_pod("b", "nginx", json!({}));
    node.api.until("running", |state| state.phase("b") == "Running" && state.is_ready("b")).await;
    node.api.until("events", |state| state.events.len() == 7).await;
    assert_eq!(
        node.events(),
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
    let (status, patches) = node.api.read(|state| (state.pods["b"]["status"].clone(), state.patches.clone()));
    assert_eq!((&status["podIP"], &status["qosClass"]), (&json!("10.244.0.3"), &json!("BestEffort")));
    assert_eq!(status["conditions"].as_array().unwrap().len(), 5);
    // What needs no time needs one write only.
    assert_eq!(patches.iter().filter(|(pod, _)| pod == "b").count(), 1);
    assert_eq!(patches.iter().filter(|(pod, _)| pod == "a").count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_crashing_container_restarts_with_growing_back_off() {
    let node = started(vec![("bad", crashing())]);
    node.api.add_pod("a", "bad", json!({}));
    let mut restarts = Vec::new();
    for count in 1..=6 {
        restarts.push(node.api.until("restart", |state| state.restarts("a") == count).await.as_secs());
        if count > 1 {
            node.api.until("back-off", |state| state.waiting("a") == "CrashLoopBackOff").await;
        }
    }
    let gaps: Vec<u64> = restarts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // A second to crash, then the back-off.
    assert_eq!(gaps, [11, 21, 41, 81, 161]);
    let events = node.events();
    let back_off = "Warning BackOff spec.containers{c}: Back-off restarting failed container c in pod a_default(uid-a)";
    assert!(events.iter().any(|event| event == back_off), "{events:#?}");
    assert!(events.iter().any(|event| event == "BackOff x2"), "{events:#?}");
    let status = node.api.read(|state| state.pods["a"]["status"].clone());
    assert_eq!((status["phase"].as_str(), &status["containerStatuses"][0]["ready"]), (Some("Running"), &json!(false)));
    assert_eq!(status["containerStatuses"][0]["lastState"]["terminated"]["exitCode"], 1);
    let message = &status["containerStatuses"][0]["state"]["waiting"]["message"];
    assert_eq!(message, "back-off 5m0s restarting failed container=c pod=a_default(uid-a)");
}

#[tokio::test(start_paused = true)]
async fn an_image_that_cannot_be_pulled_is_tried_again() {
    let failing = ImageScript { failing_pull: Some("not found".to_owned()), ..ImageScript::default() };
    let node = started(vec![("bad", failing)]);
    node.api.add_pod("a", "bad", json!({}));
    node.api.until("failed", |state| state.waiting("a") == "ErrImagePull").await;
    node.api.until("held off", |state| state.waiting("a") == "ImagePullBackOff").await;
    node.api.until("events", |state| state.events.len() == 5).await;
    assert_eq!(
        node.events(),
        [
            "Normal Pulling spec.containers{c}: Pulling image \"bad\"",
            "Warning Failed spec.containers{c}: Failed to pull image \"bad\": not found",
            "Warning Failed spec.containers{c}: Error: ErrImagePull",
            "Normal BackOff spec.containers{c}: Back-off pulling image \"bad\"",
            "Warning Failed spec.containers{c}: Error: ImagePullBackOff",
        ]
    );
    node.runtime.set_image("bad", ImageScript::default());
    let at = node.api.until("running", |state| state.phase("a") == "Running").await;
    assert_eq!(at.as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_pod_stops_gracefully_and_then_goes() {
    let slow = ImageScript { stop_time: SECOND * 5, ..ImageScript::default() };
    let node = started(vec![("slow", slow)]);
    node.api.add_pod("a", "slow", json!({}));
    let before = node.api.until("running", |state| state.phase("a") == "Running").await;
    node.api.delete_pod("a", 30);
    let after = node.api.until("gone", |state| state.pods.is_empty()).await;
    assert_eq!((after - before).as_secs(), 5);
    node.api.until("event", |state| state.events.len() == 5).await;
    assert_eq!(node.events()[4], "Normal Killing spec.containers{c}: Stopping container c");
    assert_eq!(node.runtime.counts(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_pod_removed_by_force_is_killed_at_once() {
    let stubborn = ImageScript { stop_time: Duration::MAX, ..ImageScript::default() };
    let node = started(vec![("stubborn", stubborn)]);
    node.api.add_pod("a", "stubborn", json!({}));
    node.api.until("running", |state| state.phase("a") == "Running").await;
    node.api.delete_pod("a", 1_000_000);
    sleep(SECOND).await;
    assert_eq!(node.runtime.counts(), (1, 1));
    node.api.drop_pod("a");
    sleep(SECOND).await;
    assert_eq!(node.runtime.counts(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn pods_that_never_restart_succeed_or_fail() {
    let good = ImageScript { exit_code_after: Some((SECOND, 0)), ..ImageScript::default() };
    let node = started(vec![("good", good), ("bad", crashing())]);
    node.api.add_pod("a", "good", json!({ "restartPolicy": "Never" }));
    node.api.add_pod("b", "bad", json!({ "restartPolicy": "Never" }));
    node.api.until("succeeded", |state| state.phase("a") == "Succeeded").await;
    node.api.until("failed", |state| state.phase("b") == "Failed").await;
    let ready = node.api.read(|state| state.pods["a"]["status"]["conditions"].clone());
    let ready = ready.as_array().unwrap().iter().find(|condition| condition["type"] == "Ready").unwrap().clone();
    assert_eq!((ready["status"].as_str(), ready["reason"].as_str()), (Some("False"), Some("PodCompleted")));
    node.api.delete_pod("a", 30);
    node.api.until("gone", |state| !state.pods.contains_key("a")).await;
}

#[tokio::test(start_paused = true)]
async fn init_containers_run_first() {
    let init = ImageScript { exit_code_after: Some((SECOND * 3, 0)), ..ImageScript::default() };
    let node = started(vec![("init", init)]);
    node.api.add_pod("a", "nginx", json!({ "initContainers": [{ "name": "i", "image": "init" }] }));
    node.api.until("initializing", |state| state.waiting("a") == "PodInitializing").await;
    let at = node.api.until("running", |state| state.phase("a") == "Running").await;
    assert_eq!(at.as_secs(), 3);
    assert!(node.events().iter().any(|event| event.contains("spec.initContainers{i}")));
}

#[tokio::test(start_paused = true)]
async fn pods_that_do_not_fit_are_refused() {
    let node = started(vec![]);
    let asks = |cpu: &str| json!({ "containers": [{ "name": "c", "image": "nginx", "resources": { "requests": { "cpu": cpu } } }] });
    node.api.add_pod("a", "nginx", asks("3"));
    node.api.until("running", |state| state.phase("a") == "Running").await;
    node.api.add_pod("b", "nginx", asks("2"));
    node.api.add_pod("c", "nginx", json!({ "nodeSelector": { "disk": "ssd" } }));
    node.api.until("refused", |state| state.phase("b") == "Failed" && state.phase("c") == "Failed").await;
    let status = |pod: &str| node.api.read(|state| state.pods[pod]["status"].clone());
    assert_eq!(status("b")["reason"], "OutOfcpu");
    assert_eq!(
        status("b")["message"],
        "Pod was rejected: Node didn't have enough resource: cpu, requested: 2000, used: 3000, capacity: 4000"
    );
    assert_eq!(status("c")["reason"], "NodeAffinity");
}

#[tokio::test(start_paused = true)]
async fn a_kubelet_that_starts_again_takes_over_what_runs_and_removes_orphans() {
    let mut node = started(vec![]);
    node.api.add_pod("a", "nginx", json!({}));
    node.api.add_pod("b", "nginx", json!({}));
    node.api.until("running", |state| state.is_ready("a") && state.is_ready("b")).await;
    let id = |node: &Node| node.api.read(|state| state.status("a", "/containerStatuses/0/containerID").cloned());
    let before = id(&node);
    node.stop().await;
    node.api.drop_pod("b");
    node.start();
    sleep(SECOND * 60).await;
    assert_eq!(node.runtime.counts(), (1, 1));
    assert_eq!(id(&node), before);
    assert_eq!(node.api.read(|state| state.restarts("a")), 0);
}

#[tokio::test(start_paused = true)]
async fn a_status_that_could_not_be_written_is_written_later() {
    let node = started(vec![]);
    node.api.change(|state| state.refuse_status.insert("a".to_owned()));
    node.api.add_pod("a", "nginx", json!({}));
    node.api.until("running", |state| state.is_ready("a")).await;
    assert_eq!(node.runtime.counts(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_node_registers_and_renews_its_lease() {
    let mut node = Node::with(vec![]);
    node.start_as(node.builder().labels([("zone", "a")]).capacity([("cpu", "8")]).node_events(true));
    node.api.until("lease", |state| state.leases.contains_key("n1")).await;
    let registered = node.api.read(|state| state.nodes["n1"].clone());
    assert_eq!(registered["metadata"]["labels"]["kubernetes.io/hostname"], "n1");
    assert_eq!(registered["metadata"]["labels"]["zone"], "a");
    assert_eq!(
        registered["status"]["allocatable"],
        json!({
            "cpu": "8", "memory": "8Gi", "pods": "110", "ephemeral-storage": "100Gi"
        })
    );
    let reasons: Vec<&Value> =
        registered["status"]["conditions"].as_array().unwrap().iter().map(|condition| &condition["reason"]).collect();
    assert_eq!(
        reasons,
        ["KubeletHasSufficientMemory", "KubeletHasNoDiskPressure", "KubeletHasSufficientPID", "KubeletReady"]
    );
    let renewed = |node: &Node| node.api.read(|state| state.leases["n1"]["spec"]["renewTime"].clone());
    let first = renewed(&node);
    sleep(SECOND * 11).await;
    assert_ne!(renewed(&node), first);
    assert_eq!(
        node.events(),
        ["Normal Starting : Starting kubelet.", "Normal NodeReady : Node n1 status is now: NodeReady"]
    );
}

#[tokio::test(start_paused = true)]
async fn readiness_follows_the_script() {
    let script =
        ImageScript { readiness: orchestra_runtime::container::Readiness::After(SECOND * 4), ..ImageScript::default() };
    let node = started(vec![("slow", script)]);
    node.api.add_pod("a", "slow", json!({}));
    node.api.until("running", |state| state.phase("a") == "Running" && !state.is_ready("a")).await;
    assert_eq!(node.api.until("ready", |state| state.is_ready("a")).await.as_secs(), 4);
}

#[tokio::test(start_paused = true)]
async fn the_same_again_gives_the_same_events() {
    let mut traces = Vec::new();
    for _ in 0..2 {
        let node = started(vec![("bad", crashing())]);
        for name in ["a", "b", "c"] {
            node.api.add_pod(name, if name == "b" { "bad" } else { "nginx" }, json!({}));
        }
        sleep(SECOND * 300).await;
        traces.push(node.api.read(|state| (state.events.clone(), state.patches.clone(), state.pods.clone())));
    }
    assert_eq!(traces[0], traces[1]);
}

#[tokio::test(start_paused = true)]
async fn kubelets_of_a_process_share_one_informer() {
    let mut node = Node::with(vec![]);
    let pods = SharedPods::new(&InformerFactory::new(node.api.client()));
    node.api.add_pod("a", "nginx", json!({}));
    node.start_as(node.builder().shared_pods(pods.clone()));
    let other = MemoryRuntime::new();
    let second = Kubelet::builder(node.api.client(), "n2", Arc::new(other.clone())).shared_pods(pods).build();
    tokio::spawn(second.run(node.stop.clone()));
    node.api.add_pod("b", "nginx", json!({}));
    node.api.until("running", |state| state.is_ready("a") && state.is_ready("b")).await;
    assert_eq!((node.runtime.counts(), other.counts()), ((2, 2), (0, 0)));
    node.api.delete_pod("a", 30);
    node.api.until("gone", |state| !state.pods.contains_key("a")).await;
    sleep(SECOND).await;
    assert_eq!(node.runtime.counts(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_made_by_a_call_whose_answer_was_lost_is_used() {
    use orchestra_core::container_runtime::{ContainerRuntime, SandboxConfig, SandboxMetadata, labels};
    let mut node = Node::with(vec![]);
    node.start();
    node.api.until("registered", |state| state.leases.contains_key("n1")).await;
    let metadata = SandboxMetadata { name: "a".into(), namespace: "default".into(), uid: "uid-a".into(), attempt: 0 };
    let labels = [(labels::POD_NAME, "a"), (labels::POD_NAMESPACE, "default"), (labels::POD_UID, "uid-a")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = SandboxConfig { metadata, labels: labels.into(), ..SandboxConfig::default() };
    node.runtime.run_pod_sandbox(config).await.unwrap();
    node.api.add_pod("a", "nginx", json!({}));
    node.api.until("running", |state| state.is_ready("a")).await;
    assert_eq!(node.runtime.counts(), (1, 1));
}
