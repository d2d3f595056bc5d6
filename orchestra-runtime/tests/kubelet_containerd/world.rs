//! A cluster of one node, whose containers are real.

use std::{fmt::Debug, net::SocketAddr, sync::Arc, time::Duration};

use k8s_openapi::{
    ClusterResourceScope, NamespaceResourceScope,
    api::core::v1::{Event, Node, Pod},
};
use kube::{
    Api,
    api::{AttachParams, DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams},
};
use orchestra_core::container_runtime::{ContainerFilter, ContainerRuntime, ContainerState, SandboxFilter};
use orchestra_runtime::{Cluster, container::CriRuntime};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt, time::sleep};

use crate::{
    containerd::{Containerd, image},
    process::{Process, Settings},
};

/// The node's name.
pub(crate) const NODE: &str = "n1";
/// How often it is looked.
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) struct World {
    cluster: Cluster,
    server: SocketAddr,
    pub(crate) runtime: Arc<CriRuntime>,
    pub(crate) kubelet: Option<Process>,
}

impl World {
    /// With a kubelet that has registered its node.
    pub(crate) async fn start(node: &Containerd) -> Self {
        let mut world = Self::without_kubelet(node).await;
        world.start_kubelet(Settings::default());
        world.until_node("True").await;
        world
    }

    pub(crate) async fn without_kubelet(node: &Containerd) -> Self {
        let cluster = Cluster::builder().nodes(0).start().await.unwrap();
        let server = cluster.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
        Self { cluster, server, runtime: Arc::new(CriRuntime::connect(node.socket())), kubelet: None }
    }

    pub(crate) async fn shut_down(mut self) {
        self.stop_kubelet();
        self.cluster.shut_down().await;
    }

    /// Starts a kubelet with these settings and those that all have.
    pub(crate) fn start_kubelet(&mut self, settings: Settings) {
        let server = format!("http://{}", self.server);
        let socket = "/run/containerd/containerd.sock".to_owned();
        self.kubelet = Some(Process::start(&Settings { server, socket, ..settings }));
    }

    pub(crate) fn stop_kubelet(&mut self) {
        self.kubelet.take().unwrap().stop();
    }

    pub(crate) fn kill_kubelet(&mut self) {
        self.kubelet.take().unwrap().kill();
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::default_namespaced(self.cluster.client())
    }

    pub(crate) async fn create<K>(&self, object: Value)
    where
        K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + Serialize
            + DeserializeOwned,
    {
        self.api::<K>().create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    }

    /// Creates an object that lives in no namespace.
    pub(crate) async fn create_in_cluster<K>(&self, object: Value)
    where
        K: kube::Resource<DynamicType = (), Scope = ClusterResourceScope>
            + Clone
            + Debug
            + Serialize
            + DeserializeOwned,
    {
        let api = Api::<K>::all(self.cluster.client());
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    }

    /// Asks for an object's deletion.
    pub(crate) async fn begin_delete_of<K>(&self, name: &str)
    where
        K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        self.api::<K>().delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// Waits until an object is gone.
    pub(crate) async fn until_absent<K>(&self, name: &str)
    where
        K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        while self.api::<K>().get_opt(name).await.unwrap().is_some() {
            sleep(PAUSE).await;
        }
    }

    /// Creates a pod of this spec, whose containers have the image [`BUSYBOX`](image::BUSYBOX) unless they say otherwise.
    pub(crate) async fn add(&self, name: &str, mut spec: Value) {
        for list in ["initContainers", "containers"] {
            for (number, container) in spec[list].as_array_mut().into_iter().flatten().enumerate() {
                let container = container.as_object_mut().unwrap();
                container.entry("name").or_insert_with(|| format!("c{number}").into());
                container.entry("image").or_insert_with(|| image::BUSYBOX.into());
                container.entry("imagePullPolicy").or_insert_with(|| "IfNotPresent".into());
            }
        }
        self.create::<Pod>(json!({ "metadata": { "name": name }, "spec": spec })).await;
    }

    pub(crate) async fn patch<K>(&self, name: &str, patch: Value)
    where
        K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        self.api::<K>().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    /// The pod as it is; null if it is not there.
    pub(crate) async fn pod(&self, name: &str) -> Value {
        serde_json::to_value(self.api::<Pod>().get_opt(name).await.unwrap()).unwrap()
    }

    /// Waits until the pod is as `condition` says.
    pub(crate) async fn until(&self, what: &str, pod: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let mut tries = 0;
        loop {
            let seen = self.pod(pod).await;
            if condition(&seen) {
                return seen;
            }
            tries += 1;
            if tries % 500 == 0 {
                println!("{pod} is not {what}: {}\n{:#?}", seen["status"], self.events().await);
            }
            sleep(PAUSE).await;
        }
    }

    /// Waits until the pod's first container is as `condition` says.
    pub(crate) async fn until_first(&self, what: &str, pod: &str, condition: impl Fn(&Value) -> bool) -> Value {
        self.until(what, pod, |pod| condition(&pod["status"]["containerStatuses"][0])).await
    }

    /// Waits until the pod's first container waits for this reason, and returns the message.
    pub(crate) async fn waits(&self, pod: &str, reason: &str) -> String {
        let waiting = |pod: &Value| pod["status"]["containerStatuses"][0]["state"]["waiting"].clone();
        let pod = self.until(reason, pod, |pod| waiting(pod)["reason"] == reason).await;
        waiting(&pod)["message"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) async fn running(&self, pod: &str) -> Value {
        self.until("running", pod, |pod| pod["status"]["phase"] == "Running").await
    }

    /// Waits until the pod is ready.
    pub(crate) async fn ready(&self, pod: &str) -> Value {
        self.until("ready", pod, |pod| condition(&pod["status"], "Ready")["status"] == "True").await
    }

    /// Has the pod end, and waits until it has.
    pub(crate) async fn delete(&self, pod: &str) {
        self.begin_delete(pod, 1).await;
        self.gone(pod).await;
    }

    pub(crate) async fn begin_delete(&self, pod: &str, grace: u32) {
        self.api::<Pod>().delete(pod, &DeleteParams::default().grace_period(grace)).await.unwrap();
    }

    pub(crate) async fn gone(&self, pod: &str) {
        self.until("gone", pod, Value::is_null).await;
    }

    /// All events of the namespace, as `reason: message`.
    pub(crate) async fn events(&self) -> Vec<String> {
        let events = self.api::<Event>().list(&ListParams::default()).await.unwrap();
        let text = |text: Option<String>| text.unwrap_or_default();
        events.into_iter().map(|event| format!("{}: {}", text(event.reason), text(event.message))).collect()
    }

    /// Waits for an event that begins so, and returns it.
    pub(crate) async fn event(&self, beginning: &str) -> String {
        let mut tries = 0;
        loop {
            let events = self.events().await;
            if let Some(found) = events.iter().find(|event| event.starts_with(beginning)) {
                return found.clone();
            }
            tries += 1;
            if tries % 500 == 0 {
                println!("no event {beginning:?}: {events:#?}");
            }
            sleep(PAUSE).await;
        }
    }

    /// The node's condition of this type, as soon as it has this status.
    pub(crate) async fn node_condition(&self, kind: &str, status: &str) -> Value {
        let mut tries = 0;
        loop {
            let node = Api::<Node>::all(self.cluster.client()).get_opt(NODE).await.unwrap();
            let node = serde_json::to_value(node).unwrap();
            let found = condition(&node["status"], kind);
            if found["status"] == status {
                return found;
            }
            tries += 1;
            if tries % 500 == 0 {
                println!("the node is not {kind}={status}: {}", node["status"]["conditions"]);
            }
            sleep(PAUSE).await;
        }
    }

    /// Waits until the node is ready, or is not.
    pub(crate) async fn until_node(&self, ready: &str) -> Value {
        self.node_condition("Ready", ready).await
    }

    /// What a shell in the pod's first container says.
    pub(crate) async fn shell(&self, pod: &Value, command: &str) -> String {
        let (pod, container) = (&pod["metadata"]["name"], &pod["spec"]["containers"][0]["name"]);
        let to = AttachParams::default().container(container.as_str().unwrap());
        let command = ["/bin/sh", "-c", command];
        let mut process = self.api::<Pod>().exec(pod.as_str().unwrap(), command, &to).await.unwrap();
        let (mut stdout, mut stderr) = (process.stdout().unwrap(), process.stderr().unwrap());
        let (mut output, mut errors) = (String::new(), String::new());
        let read = futures::future::try_join(stdout.read_to_string(&mut output), stderr.read_to_string(&mut errors));
        read.await.unwrap();
        format!("{output}{errors}").trim_end().to_owned()
    }

    /// The log of the pod's only container.
    pub(crate) async fn log(&self, pod: &str) -> String {
        self.api::<Pod>().logs(pod, &LogParams::default()).await.unwrap()
    }

    /// Waits until the runtime answers.
    pub(crate) async fn until_runtime(&self) {
        while self.runtime.list_pod_sandboxes(SandboxFilter::default()).await.is_err() {
            sleep(PAUSE).await;
        }
    }

    pub(crate) async fn running_containers(&self) -> usize {
        let filter = ContainerFilter { state: Some(ContainerState::Running), ..ContainerFilter::default() };
        self.runtime.list_containers(filter).await.unwrap().len()
    }

    /// How many sandboxes and containers the runtime has.
    pub(crate) async fn count(&self) -> (usize, usize) {
        let sandboxes = self.runtime.list_pod_sandboxes(SandboxFilter::default()).await.unwrap();
        let containers = self.runtime.list_containers(ContainerFilter::default()).await.unwrap();
        (sandboxes.len(), containers.len())
    }
}

/// The condition of this type in a status; null if there is none.
pub(crate) fn condition(status: &Value, kind: &str) -> Value {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().find(|condition| condition["type"] == kind).cloned().unwrap_or_default()
}
