//! The Service by which pods reach the server: `kube-system/kube-dns`.

mod endpoints;
mod servers;
mod service;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use orchestra_core::{
    ObjectKey,
    clock::Clock,
    controller::{Action, Controller, ReconcileError, Watch},
    informer::{Informer, InformerFactory},
    manager::ControllerManager,
};
use serde_json::json;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

pub(super) use self::endpoints::reachable;
use self::servers::{Presence, Servers};
use super::DnsError;

const NAMESPACE: &str = "kube-system";
const NAME: &str = "kube-dns";
/// The first Service of every cluster, which has the first address of its range.
const KUBERNETES: (&str, &str) = ("default", "kubernetes");
/// How long a server that stops tries to take its endpoints back.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The addresses of the Service: those that it has, or the one that it will have.
pub(crate) async fn service_addresses(client: &Client) -> Result<Vec<IpAddr>, DnsError> {
    let services = |namespace| Api::<Service>::namespaced(client.clone(), namespace);
    if let Some(service) = services(NAMESPACE).get_opt(NAME).await? {
        let addresses: Vec<IpAddr> = service::addresses(&service).collect();
        return if addresses.is_empty() { Err(DnsError::Headless) } else { Ok(addresses) };
    }
    let first = services(KUBERNETES.0).get(KUBERNETES.1).await?;
    Ok(vec![service::reserved(&first)?])
}

/// What is kept so that pods reach the server.
pub(super) struct Publication {
    pub(super) client: Client,
    /// Where it is reached.
    pub(super) endpoints: Vec<SocketAddr>,
}

impl Publication {
    /// Keeps the Service and its endpoints until `stop`; then nobody is led here any more. Other servers' endpoints stay as long as these are
    /// there.
    pub(super) async fn keep(self, informers: InformerFactory, clock: Arc<dyn Clock>, stop: CancellationToken) {
        let servers = Servers::new(self.client.clone(), clock, endpoints::server(&self.endpoints));
        if stop.run_until_cancelled(servers.enter()).await.is_none() {
            return;
        }
        let slices = Api::<EndpointSlice>::namespaced(self.client.clone(), NAMESPACE);
        let names: Vec<String> = endpoints::slices(&self.endpoints).iter().map(ResourceExt::name_any).collect();
        let keeper = Keeper {
            client: self.client,
            servers: servers.clone(),
            endpoints: self.endpoints,
            services: informers.informer(),
            slices: informers.informer(),
        };
        tokio::select! {
            () = ControllerManager::new().with(keeper).run(stop) => {}
            () = servers.stay() => {}
        }
        let withdrawn = async {
            for name in names {
                if let Err(error) = slices.delete(&name, &DeleteParams::default()).await {
                    debug!(name, %error, "endpoints not withdrawn");
                }
            }
            if let Err(error) = servers.leave().await {
                debug!(%error, "others take this server for one that is there");
            }
        };
        let _ = timeout(LAST_WORDS, withdrawn).await;
    }
}

struct Keeper {
    client: Client,
    servers: Servers,
    endpoints: Vec<SocketAddr>,
    services: Informer<Service>,
    slices: Informer<EndpointSlice>,
}

#[async_trait]
impl Controller for Keeper {
    fn name(&self) -> &str {
        "cluster-dns-service"
    }

    fn watches(&self) -> Vec<Watch> {
        let service = |service: &Service| {
            let place = (service.namespace().unwrap_or_default(), service.name_any());
            [(NAMESPACE, NAME), KUBERNETES].contains(&(&place.0, &place.1))
        };
        vec![
            Watch::mapped(&self.services, move |change| {
                key().filter(|_| service(change.object())).into_iter().collect()
            }),
            Watch::mapped(&self.slices, |change| {
                key().filter(|_| endpoints::is_published(change.object())).into_iter().collect()
            }),
        ]
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, ReconcileError> {
        let Some(service) = self.services.get(key) else {
            return self.create_service().await;
        };
        if service.spec.iter().flat_map(|spec| &spec.selector).any(|selector| !selector.is_empty()) {
            warn!(service = %key, "the Service has a selector, so it leads to other servers");
            self.withdraw_slices().await?;
            return Ok(Action::Done);
        }
        if let Some(repair) = service::repair(&service) {
            let api = Api::<Service>::namespaced(self.client.clone(), NAMESPACE);
            api.patch(NAME, &PatchParams::default(), &Patch::Merge(repair)).await?;
        }
        self.keep_slices(&service).await?;
        // One that ends without a word is noticed then.
        Ok(self.remove_abandoned().await?.map_or(Action::Done, Action::RequeueAfter))
    }
}

/// What all that is watched is about.
fn key() -> Option<ObjectKey> {
    Some(ObjectKey::namespaced(NAMESPACE, NAME))
}

impl Keeper {
    async fn create_service(&self) -> Result<Action, ReconcileError> {
        let (namespace, name) = KUBERNETES;
        // Its address tells the range's. It is there in a moment, and wakes the controller.
        let Some(first) = self.services.get(&ObjectKey::namespaced(namespace, name)) else { return Ok(Action::Done) };
        let service = service::desired(&first)?;
        let api = Api::<Service>::namespaced(self.client.clone(), NAMESPACE);
        match api.create(&PostParams::default(), &service).await {
            // It is told of in a moment.
            Err(kube::Error::Api(error)) if error.is_already_exists() => {}
            created => drop(created?),
        }
        Ok(Action::Done)
    }

    async fn keep_slices(&self, service: &Service) -> Result<(), kube::Error> {
        let api = Api::<EndpointSlice>::namespaced(self.client.clone(), NAMESPACE);
        for mut slice in endpoints::slices(&self.endpoints) {
            let name = slice.name_any();
            slice.metadata.owner_references = Some(vec![service::owner(service)]);
            match self.slices.get(&ObjectKey::namespaced(NAMESPACE, &name)) {
                None => match api.create(&PostParams::default(), &slice).await {
                    Err(kube::Error::Api(error)) if error.is_already_exists() => {}
                    created => drop(created?),
                },
                Some(found) if endpoints::differ(&found, &slice) => {
                    let metadata =
                        json!({"labels": slice.metadata.labels, "ownerReferences": slice.metadata.owner_references});
                    let patch = json!({"metadata": metadata, "endpoints": slice.endpoints, "ports": slice.ports});
                    api.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await?;
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Takes this server's slices away.
    async fn withdraw_slices(&self) -> Result<(), kube::Error> {
        let api = Api::<EndpointSlice>::namespaced(self.client.clone(), NAMESPACE);
        for name in endpoints::slices(&self.endpoints).iter().map(ResourceExt::name_any) {
            if self.slices.get(&ObjectKey::namespaced(NAMESPACE, &name)).is_some() {
                absent(api.delete(&name, &DeleteParams::default()).await)?;
            }
        }
        Ok(())
    }

    /// Removes the slices of servers that are not there any more, then their Leases, and tells when the next of the others may be gone.
    async fn remove_abandoned(&self) -> Result<Option<Duration>, kube::Error> {
        let api = Api::<EndpointSlice>::namespaced(self.client.clone(), NAMESPACE);
        let own: Vec<String> = endpoints::slices(&self.endpoints).iter().map(ResourceExt::name_any).collect();
        let published =
            self.slices.list_namespace(NAMESPACE).into_iter().filter(|slice| endpoints::is_published(slice));
        let (mut next, mut leases) = (None, Vec::new());
        for slice in published.filter(|slice| !own.contains(&slice.name_any())) {
            match self.servers.presence(&slice).await? {
                Presence::There(left) => next = next.into_iter().chain([left]).min(),
                Presence::Gone(lease) => {
                    absent(api.delete(&slice.name_any(), &DeleteParams::default()).await)?;
                    leases.extend(lease);
                }
            }
        }
        for lease in leases {
            self.servers.bury(*lease).await?;
        }
        Ok(next)
    }
}

/// What is gone is as good as deleted: another server was faster.
fn absent<T>(deleted: Result<T, kube::Error>) -> Result<(), kube::Error> {
    match deleted {
        Err(kube::Error::Api(error)) if error.is_not_found() => Ok(()),
        deleted => deleted.map(drop),
    }
}
