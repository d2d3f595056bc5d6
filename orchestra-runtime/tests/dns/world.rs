//! An API server with a DNS server beside it.

use std::net::SocketAddr;

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::RecordType,
};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{core::v1::Service, discovery::v1::EndpointSlice},
};
use kube::{Api, Client, Resource, api::PostParams};
use orchestra_runtime::dns::{ClusterDns, ClusterDnsBuilder, Upstream};
use orchestra_store::{MemoryStore, apiserver::ApiServer};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::ask::{question, send, summary};

pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) server: SocketAddr,
    pub(crate) running: Running,
}

/// A DNS server in a task of its own.
pub(crate) struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(dns: ClusterDns) -> Self {
        let stop = CancellationToken::new();
        Self { task: tokio::spawn(dns.run(stop.clone())), stop }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("it ends well");
    }
}

pub(crate) async fn api_server() -> Client {
    let store = std::sync::Arc::new(MemoryStore::default());
    ApiServer::builder(store).start().await.expect("the server starts").client("default")
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(|dns| dns).await
    }

    /// Answers questions about the cluster as soon as it is returned.
    pub(crate) async fn with(configure: impl FnOnce(ClusterDnsBuilder) -> ClusterDnsBuilder) -> Self {
        let client = api_server().await;
        let dns = ClusterDns::builder(client.clone()).listen(loopback()).upstream(Upstream::None);
        let dns = configure(dns).build().expect("a free port");
        let server = dns.addresses()[0];
        let world = Self { client, server, running: Running::start(dns) };
        let known = |message: &Message| message.metadata.response_code == ResponseCode::NoError;
        world.until("kubernetes.default.svc.cluster.local.", RecordType::A, known).await;
        world
    }

    pub(crate) async fn ask(&self, name: &str, record_type: RecordType) -> Message {
        send(self.server, &question(name, record_type)).await
    }

    /// What is answered, in short.
    pub(crate) async fn told(&self, name: &str, record_type: RecordType) -> String {
        summary(&self.ask(name, record_type).await)
    }

    /// Asks until the answer is as it should be. How long may pass is for the test's runner to say.
    pub(crate) async fn until(&self, name: &str, record_type: RecordType, holds: impl Fn(&Message) -> bool) -> Message {
        loop {
            let message = self.ask(name, record_type).await;
            if holds(&message) {
                return message;
            }
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn until_told(&self, name: &str, record_type: RecordType, expected: &str) {
        self.until(name, record_type, |message| summary(message) == expected).await;
    }

    pub(crate) async fn create<K>(&self, object: Value) -> K
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned
            + Serialize,
    {
        let object = serde_json::from_value(object).expect("an object");
        let api = Api::<K>::default_namespaced(self.client.clone());
        api.create(&PostParams::default(), &object).await.expect("it can be created")
    }

    pub(crate) async fn service(&self, name: &str, spec: Value) -> Service {
        self.create(json!({"metadata": {"name": name}, "spec": spec})).await
    }

    pub(crate) async fn slice(&self, service: &str, ports: Value, endpoints: Value) -> EndpointSlice {
        let labels = json!({"kubernetes.io/service-name": service});
        self.create(json!({"metadata": {"generateName": format!("{service}-"), "labels": labels},
            "addressType": "IPv4", "ports": ports, "endpoints": endpoints}))
            .await
    }
}

pub(crate) fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}
