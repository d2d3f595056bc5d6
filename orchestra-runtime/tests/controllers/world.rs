//! An API server with all controllers and nothing else.

use std::fmt::Debug;

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::Deployment,
        core::v1::{Event, Pod},
    },
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use orchestra_core::{
    controller::ControllerContext, informer::InformerFactory, manager::ControllerManager, random::Generator,
};
use orchestra_runtime::controllers;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::server::Server;

pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) server: Server,
    _stop: DropGuard,
}

impl World {
    pub(crate) async fn start() -> Self {
        let server = Server::start().await;
        let client = server.client();
        let context = ControllerContext {
            client: client.clone(),
            informers: InformerFactory::new(client.clone()),
            clock: server.clock.clone(),
            generator: Generator::seeded(1),
        };
        let all = controllers::all(&context, server.api.registry().changes()).into_iter();
        let manager = all.fold(ControllerManager::new(), ControllerManager::with_arc);
        let stop = CancellationToken::new();
        tokio::spawn(manager.run(stop.clone()));
        Self { client, server, _stop: stop.drop_guard() }
    }

    /// Looks until there is something.
    pub(crate) async fn until<T>(&self, what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
        self.server.until(what, look).await
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::default_namespaced(self.client.clone())
    }

    pub(crate) async fn create<K>(&self, object: Value) -> K
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Serialize + DeserializeOwned + Clone + Debug,
    {
        let object: K = serde_json::from_value(object).unwrap();
        self.api().create(&PostParams::default(), &object).await.unwrap()
    }

    pub(crate) async fn list<K>(&self) -> Vec<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned + Clone + Debug,
    {
        self.api::<K>().list(&ListParams::default()).await.unwrap().items
    }

    pub(crate) async fn patch<K>(&self, name: &str, patch: Value) -> K
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned + Clone + Debug,
    {
        self.api::<K>().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap()
    }

    /// Says that all pods run and are ready; those that are being deleted end.
    pub(crate) async fn play_kubelet(&self) {
        for pod in self.list::<Pod>().await {
            let name = pod.name_any();
            if pod.metadata.deletion_timestamp.is_some() {
                let _ = self.api::<Pod>().delete(&name, &DeleteParams::default().grace_period(0)).await;
                continue;
            }
            let ready = json!({"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"});
            let status = json!({"status": {"phase": "Running", "conditions": [ready]}});
            let _ = self.api::<Pod>().patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await;
        }
    }

    /// Waits, running pods all the while, until the deployment's rollout is done.
    pub(crate) async fn rolled_out(&self, name: &str, replicas: i32) -> Deployment {
        self.until("rollout", async || {
            self.play_kubelet().await;
            let deployment = self.api::<Deployment>().get(name).await.unwrap();
            let status = deployment.status.clone().unwrap_or_default();
            let done = status.observed_generation == deployment.metadata.generation
                && [status.replicas, status.updated_replicas, status.available_replicas] == [Some(replicas); 3];
            done.then_some(deployment)
        })
        .await
    }

    /// The messages about replica sets that were scaled, in their order.
    pub(crate) async fn scalings(&self) -> Vec<String> {
        let mut events = self.list::<Event>().await;
        events.retain(|event| event.reason.as_deref() == Some("ScalingReplicaSet"));
        events.sort_by_key(|event| event.resource_version().and_then(|version| version.parse::<u64>().ok()));
        events.into_iter().filter_map(|event| event.message).collect()
    }
}
