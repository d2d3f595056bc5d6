use std::{net::SocketAddr, sync::Arc, time::Duration};

use k8s_openapi::api::{
    core::v1::{Node, Service},
    discovery::v1::EndpointSlice,
};
use kube::Client;
use orchestra_core::{
    ObjectKey,
    informer::{Change, InformerFactory, Subscription},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    Program, ProxyConfig,
    builder::{ClockHandle, KubeProxyBuilder},
    health::{Health, serve},
    monitor,
    pending::Pending,
    rules::service_of,
    sync::{BY_SERVICE, Informers, Syncer},
};

/// The proxy of one node: keeps the tables `kube-proxy` as the cluster's Services and EndpointSlices say.
///
/// ```no_run
/// # async fn example(client: kube::Client) {
/// use orchestra_runtime::proxy::KubeProxy;
/// use tokio_util::sync::CancellationToken;
///
/// let stop = CancellationToken::new();
/// tokio::spawn(KubeProxy::builder(client, "n1").healthz(([0, 0, 0, 0], 10256).into()).build().run(stop.clone()));
/// # }
/// ```
#[derive(Debug)]
pub struct KubeProxy {
    pub(super) informers: InformerFactory,
    pub(super) own_informers: bool,
    pub(super) node: String,
    pub(super) config: ProxyConfig,
    pub(super) clock: ClockHandle,
    pub(super) nft: Program,
    pub(super) conntrack: Program,
    pub(super) min_sync_period: Duration,
    pub(super) sync_period: Duration,
    pub(super) healthz: Option<SocketAddr>,
    pub(super) clean_up: bool,
}

impl KubeProxy {
    /// A proxy of the node of this name. It works in the network namespace of the process, and needs the right to (`CAP_NET_ADMIN`).
    pub fn builder(client: Client, node: &str) -> KubeProxyBuilder {
        KubeProxyBuilder::new(client, node)
    }

    /// Follows the cluster until `stop` is cancelled. What cannot be done is logged and tried again. The rules stay in force after it,
    /// unless [`clean_up`](KubeProxyBuilder::clean_up) says otherwise.
    pub async fn run(self, stop: CancellationToken) {
        let pending = Pending::default();
        let informers = Informers {
            services: self.informers.informer::<Service>(),
            slices: self.informers.informer::<EndpointSlice>(),
            nodes: self.informers.selected::<Node>(&format!("metadata.name={}", self.node)),
        };
        informers.slices.add_index(BY_SERVICE, |slice| vec![service_of(slice).to_string()]);
        let subscriptions = subscribe(&informers, &pending);
        // Failing for as long as two looks at the tables take is no longer a hiccup.
        let health = Health::new(self.sync_period * 2);
        let tables_changed = Notify::new();
        let mut sync = Syncer::new(&self, informers, pending, health.clone());
        let serving = async {
            match self.healthz {
                Some(address) => serve(address, health, Arc::clone(&self.clock.0), stop.clone()).await,
                None => stop.cancelled().await,
            }
        };
        let working = stop.run_until_cancelled(async {
            tokio::join!(monitor::watch(&tables_changed), sync.run(&tables_changed));
        });
        tokio::join!(serving, working);
        drop(subscriptions);
        sync.shut_down(self.clean_up).await;
        if self.own_informers {
            self.informers.shut_down().await;
        }
    }
}

/// Has the informers note what changes.
fn subscribe(informers: &Informers, pending: &Pending) -> [Subscription; 3] {
    let services = informers.services.subscribe({
        let pending = pending.clone();
        move |change| pending.service(ObjectKey::of(&**change.object()))
    });
    let slices = informers.slices.subscribe({
        let pending = pending.clone();
        move |change| {
            pending.service(service_of(change.object()));
            // It may have been another's before.
            if let Change::Updated { old, .. } = change {
                pending.service(service_of(old));
            }
        }
    });
    let nodes = informers.nodes.subscribe({
        let pending = pending.clone();
        move |change| {
            let (old, new) = (change.old(), change.new());
            // Most changes of a node are heartbeats.
            let same = |(old, new): (&Arc<Node>, &Arc<Node>)| super::sync::matters(old) == super::sync::matters(new);
            if !old.zip(new).is_some_and(same) {
                pending.node();
            }
        }
    });
    [services, slices, nodes]
}
