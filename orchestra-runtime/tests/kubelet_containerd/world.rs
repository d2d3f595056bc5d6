//! A cluster of one node, whose containers are real.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::{
    Api,
    api::{DeleteParams, ListParams, PostParams},
};
use orchestra_core::container_runtime::{ContainerId, ContainerRuntime};
use orchestra_runtime::{Cluster, container::CriRuntime};
use serde_json::Value;
use tokio::time::sleep;

use crate::containerd::Containerd;

/// How often it is looked.
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) runtime: Arc<CriRuntime>,
}

impl World {
    pub(crate) async fn start(node: &Containerd) -> Self {
        let runtime = Arc::new(CriRuntime::connect(node.socket()));
        let builder = Cluster::builder().node_with("n1", runtime.clone(), |kubelet| {
            kubelet.root_directory("/var/lib/kubelet").cluster_dns(["10.96.0.10".parse().unwrap()])
        });
        Self { cluster: builder.start().await.unwrap(), runtime }
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::default_namespaced(self.cluster.client())
    }

    pub(crate) async fn create<K>(&self, object: Value)
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::Serialize
            + serde::de::DeserializeOwned,
    {
        self.api::<K>().create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    }

    /// Waits until the pod is as `condition` says.
    pub(crate) async fn until(&self, what: &str, pod: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let mut tries = 0;
        loop {
            let seen = serde_json::to_value(self.api::<Pod>().get(pod).await.unwrap()).unwrap();
            if condition(&seen) {
                return seen;
            }
            tries += 1;
            if tries % 500 == 0 {
                println!("{pod} is not {what}: {}\n{:?}", seen["status"], self.events().await);
            }
            sleep(PAUSE).await;
        }
    }

    pub(crate) async fn running(&self, pod: &str) -> Value {
        self.until("running", pod, |pod| pod["status"]["phase"] == "Running").await
    }

    pub(crate) async fn delete(&self, pod: &str) {
        let pods = self.api::<Pod>();
        pods.delete(pod, &DeleteParams::default().grace_period(1)).await.unwrap();
        while pods.get_opt(pod).await.unwrap().is_some() {
            sleep(PAUSE).await;
        }
    }

    pub(crate) async fn events(&self) -> Vec<String> {
        let events = self.api::<Event>().list(&ListParams::default()).await.unwrap();
        let text = |text: Option<String>| text.unwrap_or_default();
        events.into_iter().map(|event| format!("{}: {}", text(event.reason), text(event.message))).collect()
    }

    /// What a shell in the pod's first container says.
    pub(crate) async fn shell(&self, pod: &Value, command: &str) -> String {
        let id = pod["status"]["containerStatuses"][0]["containerID"].as_str().unwrap();
        let id = ContainerId(id.strip_prefix("containerd://").unwrap().into());
        let command = ["/bin/sh", "-c", command].map(str::to_owned).to_vec();
        let output = self.runtime.exec_sync(&id, command, Some(Duration::from_secs(20))).await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        format!("{}{}", text(&output.stdout), text(&output.stderr)).trim_end().to_owned()
    }
}
