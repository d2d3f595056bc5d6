//! The Service `kubernetes` leads to the API servers that are there.

#![allow(clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::{
    core::v1::{Endpoints, Service},
    discovery::v1::EndpointSlice,
};
use kube::Api;
use orchestra_store::{MemoryStore, apiserver::ApiServer};
use tokio_util::sync::CancellationToken;

struct World {
    store: MemoryStore,
    server: ApiServer,
}

impl World {
    async fn start() -> Self {
        let store = MemoryStore::default();
        let server = ApiServer::builder(Arc::new(store.clone())).start().await.unwrap();
        Self { store, server }
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::default_namespaced(self.server.client("default"))
    }

    /// Waits until the slice tells these addresses.
    async fn until_told(&self, wanted: &[&str]) -> EndpointSlice {
        let looking = async {
            loop {
                let slice = self.api::<EndpointSlice>().get_opt("kubernetes").await.unwrap();
                let told = slice.iter().flat_map(|slice| slice.endpoints.iter().flatten());
                if told.map(|endpoint| endpoint.addresses[0].as_str()).eq(wanted.iter().copied())
                    && let Some(slice) = slice
                {
                    return slice;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(600), looking).await.expect("the slice tells it")
    }
}

#[tokio::test(start_paused = true)]
async fn every_server_over_a_store_is_an_endpoint_until_it_stops() {
    let world = World::start().await;
    let other = ApiServer::builder(Arc::new(world.store.clone())).start().await.unwrap();
    let (stop, stop_other) = (CancellationToken::new(), CancellationToken::new());
    let one = tokio::spawn(world.server.clone().advertise("192.0.2.1:6443".parse().unwrap(), stop.clone()));
    let two = tokio::spawn(other.advertise("192.0.2.2:6443".parse().unwrap(), stop_other.clone()));
    let slice = world.until_told(&["192.0.2.1", "192.0.2.2"]).await;
    assert_eq!(slice.metadata.labels.unwrap()["kubernetes.io/service-name"], "kubernetes");
    assert_eq!(slice.ports.unwrap()[0].port, Some(6443));
    stop_other.cancel();
    two.await.unwrap();
    world.until_told(&["192.0.2.1"]).await;
    let endpoints = world.api::<Endpoints>().get("kubernetes").await.unwrap().subsets.unwrap();
    assert_eq!(endpoints[0].addresses.as_ref().unwrap()[0].ip, "192.0.2.1");
    stop.cancel();
    one.await.unwrap();
    world.until_told(&[]).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_gone_without_a_word_is_no_endpoint_after_a_while() {
    let world = World::start().await;
    let killed =
        tokio::spawn(world.server.clone().advertise("192.0.2.1:6443".parse().unwrap(), CancellationToken::new()));
    world.until_told(&["192.0.2.1"]).await;
    killed.abort();
    let stop = CancellationToken::new();
    let next = tokio::spawn(world.server.clone().advertise("192.0.2.2:7443".parse().unwrap(), stop.clone()));
    world.until_told(&["192.0.2.1", "192.0.2.2"]).await;
    world.until_told(&["192.0.2.2"]).await;
    let service = world.api::<Service>().get("kubernetes").await.unwrap().spec.unwrap();
    let target = serde_json::to_value(&service.ports.unwrap()[0].target_port).unwrap();
    assert_eq!(target, 7443);
    stop.cancel();
    next.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_only_its_machine_reaches_is_no_endpoint() {
    let world = World::start().await;
    world.server.clone().advertise("127.0.0.1:6443".parse().unwrap(), CancellationToken::new()).await;
    assert!(world.api::<EndpointSlice>().get_opt("kubernetes").await.unwrap().is_none());
}
