//! A node with its kubelet, runtime and API server.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use orchestra_core::random::Generator;
use orchestra_runtime::{
    container::{ImageScript, MemoryRuntime},
    kubelet::{Kubelet, KubeletBuilder},
};
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{line::Line, server::Server};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) struct Node {
    pub(crate) server: Server,
    pub(crate) line: Line,
    pub(crate) runtime: MemoryRuntime,
    pub(crate) stop: CancellationToken,
    begun: Instant,
    running: Option<JoinHandle<()>>,
}

/// A node whose kubelet runs.
pub(crate) async fn started(scripts: &[(&str, ImageScript)]) -> Node {
    let mut node = Node::with(scripts).await;
    node.start();
    node
}

/// An image whose containers crash a second after their start.
pub(crate) fn crashing() -> ImageScript {
    ImageScript { exit_code_after: Some((SECOND, 1)), ..ImageScript::default() }
}

impl Node {
    pub(crate) async fn with(scripts: &[(&str, ImageScript)]) -> Self {
        let server = Server::start().await;
        let runtime = MemoryRuntime::new().clock(server.clock.clone()).keep_configs();
        scripts.iter().for_each(|(image, script)| runtime.set_image(image, script.clone()));
        Self {
            server,
            line: Line::new(),
            runtime,
            stop: CancellationToken::new(),
            begun: Instant::now(),
            running: None,
        }
    }

    /// The kubelet's client.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.line.wrap(self.server.api.router()), "default")
    }

    pub(crate) fn builder(&self) -> KubeletBuilder {
        Kubelet::builder(self.client(), "n1", Arc::new(self.runtime.clone()))
            .clock(self.server.clock.clone())
            .generator(Generator::seeded(1))
    }

    pub(crate) fn start(&mut self) {
        self.start_as(self.builder());
    }

    pub(crate) fn start_as(&mut self, builder: KubeletBuilder) {
        self.stop = CancellationToken::new();
        self.running = Some(tokio::spawn(builder.build().run(self.stop.clone())));
    }

    pub(crate) async fn stop(&mut self) {
        self.stop.cancel();
        self.running.take().unwrap().await.unwrap();
    }

    fn pods(&self) -> Api<Pod> {
        Api::default_namespaced(self.server.client())
    }

    /// Creates a pod of one container that is bound to the node; `spec` replaces parts of its spec.
    pub(crate) async fn add_pod(&self, name: &str, image: &str, spec: Value) {
        self.add_pod_to("n1", name, image, spec).await;
    }

    pub(crate) async fn add_pod_to(&self, node: &str, name: &str, image: &str, mut spec: Value) {
        spec["nodeName"] = json!(node);
        self.create_pod(name, image, &spec).await;
    }

    pub(crate) async fn add_unbound_pod(&self, name: &str, image: &str) {
        self.create_pod(name, image, &json!({})).await;
    }

    async fn create_pod(&self, name: &str, image: &str, spec: &Value) {
        let container = json!({ "name": "c", "image": image, "imagePullPolicy": "IfNotPresent" });
        let mut pod = json!({ "metadata": { "name": name }, "spec": { "containers": [container] } });
        pod["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        self.pods().create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    }

    /// Binds the pod to the node, as a scheduler does.
    pub(crate) async fn bind(&self, pod: &str) {
        let binding = json!({ "metadata": { "name": pod }, "target": { "kind": "Node", "name": "n1" } });
        let (pods, params) = (self.pods(), PostParams::default());
        let _: Value = pods.create_subresource("binding", pod, &params, &binding).await.unwrap();
    }

    /// As `kubectl delete`; without grace it is as `--force`.
    pub(crate) async fn delete_pod(&self, name: &str, grace: u32) {
        self.pods().delete(name, &DeleteParams::default().grace_period(grace)).await.unwrap();
    }

    /// As `kubectl set image`.
    pub(crate) async fn set_image(&self, pod: &str, image: &str) {
        let patch = json!({ "spec": { "containers": [{ "name": "c", "image": image }] } });
        self.pods().patch(pod, &PatchParams::default(), &Patch::Strategic(patch)).await.unwrap();
    }

    /// The pod as the API server has it.
    pub(crate) async fn pod(&self, name: &str) -> Option<Seen> {
        let pod = self.pods().get_opt(name).await.unwrap();
        pod.map(|pod| Seen(serde_json::to_value(pod).unwrap()))
    }

    pub(crate) async fn status(&self, pod: &str) -> Value {
        self.pod(pod).await.unwrap().0["status"].clone()
    }

    pub(crate) async fn uid(&self, pod: &str) -> String {
        self.pods().get(pod).await.unwrap().uid().unwrap()
    }

    /// Waits until the pod is as `condition` says, and returns how long after the start that was.
    pub(crate) async fn until(&self, what: &str, pod: &str, condition: impl Fn(&Seen) -> bool) -> Duration {
        self.server.until(what, async || self.pod(pod).await.filter(&condition).map(drop)).await;
        self.begun.elapsed()
    }

    /// Waits until there is no such pod, and returns how long after the start that was.
    pub(crate) async fn until_gone(&self, pod: &str) -> Duration {
        self.server.until("end", async || self.pod(pod).await.is_none().then_some(())).await;
        self.begun.elapsed()
    }

    /// Every event, in the order in which they were last written, as `type reason path: message`, with how often where it was more than
    /// once.
    pub(crate) async fn events(&self) -> Vec<String> {
        let api = Api::<Event>::default_namespaced(self.server.client());
        let mut events = api.list(&ListParams::default()).await.unwrap().items;
        events.sort_by_key(|event| event.resource_version().unwrap().parse::<u64>().unwrap());
        events.iter().map(describe).collect()
    }

    /// Waits until there is an event that has this in it.
    pub(crate) async fn until_events_with(&self, part: &str) -> Vec<String> {
        let has = |events: &Vec<String>| events.iter().any(|event| event.contains(part));
        self.server.until("event", async || Some(self.events().await).filter(has)).await
    }

    /// Waits until there are so many events.
    pub(crate) async fn until_events(&self, count: usize) -> Vec<String> {
        self.server.until("events", async || Some(self.events().await).filter(|events| events.len() == count)).await
    }
}

fn describe(event: &Event) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let path = text(&event.involved_object.field_path);
    let line = format!("{} {} {path}: {}", text(&event.type_), text(&event.reason), text(&event.message));
    match event.count {
        Some(count) if count > 1 => format!("{line} x{count}"),
        _ => line,
    }
}

/// A pod as seen in the API.
pub(crate) struct Seen(pub(crate) Value);

impl Seen {
    fn first_container(&self) -> &Value {
        &self.0["status"]["containerStatuses"][0]
    }

    pub(crate) fn phase(&self) -> &str {
        self.0["status"]["phase"].as_str().unwrap_or_default()
    }

    pub(crate) fn is_running(&self) -> bool {
        self.phase() == "Running"
    }

    pub(crate) fn condition(&self, kind: &str) -> Option<&Value> {
        self.0["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.condition("Ready").is_some_and(|ready| ready["status"] == "True")
    }

    /// The reason for which the pod's first container waits.
    pub(crate) fn waiting(&self) -> &str {
        self.first_container()["state"]["waiting"]["reason"].as_str().unwrap_or_default()
    }

    pub(crate) fn restarts(&self) -> u64 {
        self.first_container()["restartCount"].as_u64().unwrap_or(0)
    }
}
