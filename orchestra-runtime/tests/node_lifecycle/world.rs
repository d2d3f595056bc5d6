//! A cluster of the nodes `n1`, `n2` and so on, whose kubelets can be stopped and started one by one.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Event, Node, Pod},
};
use kube::{
    Api, ResourceExt,
    api::{ListParams, PostParams},
    runtime::wait::{Condition, await_condition},
};
use orchestra_core::clock::TokioClock;
use orchestra_runtime::{Cluster, container::MemoryRuntime, kubelet::Kubelet};
use serde_json::json;
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

/// Nothing that a test waits for takes longer.
const DEADLINE: Duration = Duration::from_secs(3600);

pub(crate) struct World {
    pub(crate) cluster: Cluster,
    clock: Arc<TokioClock>,
    runtimes: BTreeMap<String, MemoryRuntime>,
    running: BTreeMap<String, (CancellationToken, JoinHandle<()>)>,
    began: Instant,
}

impl World {
    pub(crate) async fn start(nodes: u16) -> Self {
        let clock = Arc::new(TokioClock::starting_at("2026-01-01T00:00:00Z".parse().unwrap()));
        let cluster = Cluster::builder().clock(clock.clone()).seed(1).nodes(0).start().await.unwrap();
        let runtimes = (1..=nodes).map(|i| (format!("n{i}"), MemoryRuntime::new())).collect();
        let mut world = Self { cluster, clock, runtimes, running: BTreeMap::new(), began: Instant::now() };
        for node in world.runtimes.keys().cloned().collect::<Vec<_>>() {
            world.start_kubelet(&node);
            world
                .node(&node, |node: Option<&Node>| node.is_some_and(|node| taints(node).is_empty() && is_ready(node)))
                .await;
        }
        world
    }

    pub(crate) fn start_kubelet(&mut self, node: &str) {
        let stop = CancellationToken::new();
        let runtime = Arc::new(self.runtimes[node].clone());
        let kubelet = Kubelet::builder(self.cluster.client(), node, runtime).clock(self.clock.clone()).build();
        self.running.insert(node.to_owned(), (stop.clone(), tokio::spawn(kubelet.run(stop))));
    }

    pub(crate) async fn stop_kubelet(&mut self, node: &str) {
        let (stop, running) = self.running.remove(node).unwrap();
        stop.cancel();
        running.await.unwrap();
    }

    pub(crate) async fn end(mut self) {
        for node in self.running.keys().cloned().collect::<Vec<_>>() {
            self.stop_kubelet(&node).await;
        }
        self.cluster.shut_down().await;
    }

    /// How many seconds have passed.
    pub(crate) fn seconds(&self) -> u64 {
        self.began.elapsed().as_secs()
    }

    pub(crate) fn runtime(&self, node: &str) -> &MemoryRuntime {
        &self.runtimes[node]
    }

    pub(crate) fn nodes(&self) -> Api<Node> {
        Api::all(self.cluster.client())
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::default_namespaced(self.cluster.client())
    }

    /// Waits for a state of a node.
    pub(crate) async fn node(&self, name: &str, condition: impl Condition<Node>) -> Option<Node> {
        timeout(DEADLINE, await_condition(self.nodes(), name, condition)).await.unwrap().unwrap()
    }

    /// Waits for a state of a pod.
    pub(crate) async fn pod(&self, name: &str, condition: impl Condition<Pod>) -> Option<Pod> {
        timeout(DEADLINE, await_condition(self.pods(), name, condition)).await.unwrap().unwrap()
    }

    /// Creates a pod bound to `node`; `spec` adds to its spec. Returns it when it is ready.
    pub(crate) async fn run_pod(&self, name: &str, node: &str, spec: serde_json::Value) -> Pod {
        let mut pod = json!({"metadata": {"name": name}, "spec": {"nodeName": node}});
        pod["spec"]["containers"] = json!([{"name": "c", "image": "nginx"}]);
        pod["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        self.pods().create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
        self.pod(name, |pod: Option<&Pod>| pod.is_some_and(is_pod_ready)).await.unwrap()
    }

    /// Creates a deployment and waits until its pods are ready.
    pub(crate) async fn deploy(&self, replicas: i32) {
        let template = json!({
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "nginx"}]},
        });
        let selector = json!({"matchLabels": {"app": "web"}});
        let spec = json!({"replicas": replicas, "selector": selector, "template": template});
        let deployment = serde_json::from_value(json!({"metadata": {"name": "web"}, "spec": spec})).unwrap();
        let api = Api::<Deployment>::default_namespaced(self.cluster.client());
        api.create(&PostParams::default(), &deployment).await.unwrap();
        self.available(replicas).await;
    }

    /// Waits until so many pods of the deployment are available.
    pub(crate) async fn available(&self, replicas: i32) {
        let available = |deployment: Option<&Deployment>| {
            let status = deployment.and_then(|deployment| deployment.status.as_ref());
            status.and_then(|status| status.available_replicas).unwrap_or(0) == replicas
        };
        let api = Api::<Deployment>::default_namespaced(self.cluster.client());
        timeout(DEADLINE, await_condition(api, "web", available)).await.unwrap().unwrap();
    }

    /// The pods on a node.
    pub(crate) async fn pods_on(&self, node: &str) -> Vec<Pod> {
        let on = ListParams::default().fields(&format!("spec.nodeName={node}"));
        self.pods().list(&on).await.unwrap().items
    }

    /// The events with this reason: the object's kind, and the message.
    pub(crate) async fn events(&self, reason: &str) -> Vec<(String, String)> {
        let with_reason = ListParams::default().fields(&format!("reason={reason}"));
        let events = Api::<Event>::all(self.cluster.client()).list(&with_reason).await.unwrap();
        let text = |event: &Event| {
            (event.involved_object.kind.clone().unwrap_or_default(), event.message.clone().unwrap_or_default())
        };
        events.iter().map(text).collect()
    }
}

pub(crate) fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

pub(crate) fn is_pod_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// A node's taints as kubectl writes them, without what their keys have in common.
pub(crate) fn taints(node: &Node) -> Vec<String> {
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    taints.map(|taint| format!("{}:{}", taint.key.trim_start_matches("node.kubernetes.io/"), taint.effect)).collect()
}

/// Whether a node has exactly these taints.
pub(crate) fn has_taints(expected: &'static [&'static str]) -> impl Condition<Node> {
    move |node: Option<&Node>| node.is_some_and(|node| taints(node) == expected)
}

pub(crate) fn is_terminating(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

pub(crate) fn names(pods: &[Pod]) -> Vec<String> {
    pods.iter().map(ResourceExt::name_any).collect()
}
