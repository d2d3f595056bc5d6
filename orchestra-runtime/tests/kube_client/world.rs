//! A served cluster, and a client that knows nothing of it but its kubeconfig.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap, core::v1::Pod};
use kube::{
    Api, Client, Config,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig},
    runtime::{conditions::is_pod_running, wait::await_condition},
};
use orchestra_runtime::{
    Cluster,
    container::{ExecScript, ImageScript, MemoryRuntime, PortScript},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) client: Client,
}

impl World {
    /// One node, whose image `web` has logs, runs commands, and answers at port 80.
    pub(crate) async fn start() -> Self {
        let web = ImageScript {
            log_lines: vec!["one".to_owned(), "two".to_owned()],
            exec: Some(ExecScript::basic()),
            ports: BTreeMap::from([(80, PortScript::Echo)]),
            ..ImageScript::default()
        };
        let cluster = Cluster::builder().node("n1", Arc::new(MemoryRuntime::new().image("web", web)));
        let cluster = cluster.start().await.unwrap();
        let address = cluster.serve(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let client = client(&cluster.kubeconfig(address)).await;
        Self { cluster, client }
    }

    pub(crate) async fn end(self) {
        self.cluster.shut_down().await;
    }

    /// The objects of the namespace `default`.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::default_namespaced(self.client.clone())
    }

    pub(crate) async fn config_map(&self, name: &str) -> ConfigMap {
        let map = of(json!({"metadata": {"name": name, "labels": {"name": name}}, "data": {"a": "1"}}));
        self.api().create(&PostParams::default(), &map).await.unwrap()
    }

    /// A pod that runs.
    pub(crate) async fn pod(&self, name: &str) -> Pod {
        let container = json!({"name": "main", "image": "web", "ports": [{"containerPort": 80}]});
        let pod = of(json!({"metadata": {"name": name, "labels": {"app": name}}, "spec": {"containers": [container]}}));
        self.api::<Pod>().create(&PostParams::default(), &pod).await.unwrap();
        await_condition(self.api(), name, is_pod_running()).await.unwrap().unwrap()
    }
}

/// The client of a kubeconfig.
pub(crate) async fn client(kubeconfig: &str) -> Client {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

pub(crate) fn of<T: DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).unwrap()
}

pub(crate) fn deployment(name: &str, replicas: i32) -> Deployment {
    let labels = json!({"app": name});
    of(json!({
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "web"}]}},
        },
    }))
}
