//! [`ApiServer`]: a store, a table of kinds, and the router that serves them.

use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::Router;
use orchestra_core::{
    clock::{Clock, SystemClock},
    event_recorder::EventRecorder,
    random::Generator,
    store::Store,
};
use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{
    ApiError,
    admission::{self, Admission},
    advertise,
    aggregation::AggregatedApi,
    authentication::{AlwaysAdmin, Authenticator},
    authorization::{AlwaysAllow, Authorizer},
    bootstrap,
    connect::{Dial, Network},
    http,
    in_process::InProcess,
    kinds::service::{self, ServiceRanges},
    registry::{Registry, Resource},
    repair::{self, Recorders},
    service_account_token::Signer,
    verbs::Stored,
};
use crate::{
    RetryingStore,
    cache::{Cache, CacheError, Freshness},
};

/// How often addresses and ports are looked over, as kube-apiserver does.
const REPAIR_INTERVAL: Duration = Duration::from_secs(3 * 60);

/// Serves Kubernetes' API over a [`Store`]. Clones share it.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use std::sync::Arc;
/// use k8s_openapi::api::core::v1::Namespace;
/// use orchestra_store::{MemoryStore, apiserver::ApiServer};
///
/// let server = ApiServer::builder(Arc::new(MemoryStore::default())).start().await?;
/// let namespaces = kube::Api::<Namespace>::all(server.client("default"));
/// assert!(namespaces.get("kube-system").await.is_ok());
/// # Ok::<(), orchestra_store::apiserver::StartError>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct ApiServer {
    shared: Arc<Shared>,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An object that every cluster has could not be created.
    #[error("built-in object {path}: {error}")]
    Bootstrap {
        /// Where it would be.
        path: String,
        /// What went wrong.
        error: super::ApiError,
    },
}

/// What a server is made of; all but the store has a default.
pub struct ApiServerBuilder {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    generator: Generator,
    registry: Registry,
    authenticator: Arc<dyn Authenticator>,
    authorizer: Arc<dyn Authorizer>,
    admission: Vec<Arc<dyn Admission>>,
    service_ranges: Option<ServiceRanges>,
    service_account_key: Option<Vec<u8>>,
    network: Arc<dyn Network>,
}

impl ApiServerBuilder {
    /// The secret with which tokens of service accounts are signed. By default each server makes one for itself, and tokens end with it.
    #[must_use]
    pub fn service_account_key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.service_account_key = Some(key.into());
        self
    }

    /// The time that objects are stamped with; the system's by default.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Where uids and generated names come from; the operating system's entropy by default.
    #[must_use]
    pub fn generator(mut self, generator: Generator) -> Self {
        self.generator = generator;
        self
    }

    /// The kinds; Kubernetes' own by default ([`kinds::table`](super::kinds::table)).
    #[must_use]
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = registry;
        self
    }

    /// The networks that services get their addresses from; `10.96.0.0/12` by default. Replaces the row of services in the registry, if
    /// it has one.
    #[must_use]
    pub fn service_ranges(mut self, ranges: ServiceRanges) -> Self {
        self.service_ranges = Some(ranges);
        self
    }

    /// Who asks; by default everyone is an administrator.
    #[must_use]
    pub fn authenticator(mut self, authenticator: Arc<dyn Authenticator>) -> Self {
        self.authenticator = authenticator;
        self
    }

    /// Who may do what; by default everyone may do everything. Who is in the group `system:masters` may in any case, and health and
    /// discovery are open to all.
    #[must_use]
    pub fn authorizer(mut self, authorizer: Arc<dyn Authorizer>) -> Self {
        self.authorizer = authorizer;
        self
    }

    /// Adds an admission plugin after Kubernetes' own.
    #[must_use]
    pub fn admission(mut self, plugin: Arc<dyn Admission>) -> Self {
        self.admission.push(plugin);
        self
    }

    /// How kubelets and pods are reached; over TCP by default ([`Dial`]).
    #[must_use]
    pub fn network(mut self, network: Arc<dyn Network>) -> Self {
        self.network = network;
        self
    }

    /// Starts the server on the current tokio runtime, with the objects that every cluster has.
    pub async fn start(self) -> Result<ApiServer, StartError> {
        let Self {
            store,
            clock,
            generator,
            registry,
            authenticator,
            authorizer,
            admission,
            service_ranges,
            service_account_key,
            network,
        } = self;
        if let Some(ranges) = service_ranges
            && registry.find("", "v1", "services").is_some()
        {
            registry.insert(service::row_in(ranges));
        }
        let store: Arc<dyn Store> = Arc::new(RetryingStore::new(store));
        let caches = RwLock::default();
        let stop = CancellationToken::new();
        let shared = Shared {
            store,
            clock,
            generator,
            registry,
            authenticator,
            authorizer,
            admission,
            network,
            service_account_key,
            signer: OnceLock::new(),
            caches,
            stop,
        };
        let server = ApiServer { shared: Arc::new(shared) };
        server.shared.start_caches().await;
        bootstrap::run(&server.shared, service_ranges.unwrap_or_default()).await?;
        server.repair(&server.recorders()).await;
        Ok(server)
    }
}

impl ApiServer {
    /// Begins a server over `store`, through a [`RetryingStore`] with its default limits: what a store cannot do for a moment is
    /// tried again, and writes whose outcome is unknown are read back before they are answered.
    pub fn builder(store: Arc<dyn Store>) -> ApiServerBuilder {
        ApiServerBuilder {
            store,
            clock: Arc::new(SystemClock),
            generator: Generator::default(),
            registry: super::kinds::table(),
            authenticator: Arc::new(AlwaysAdmin),
            authorizer: Arc::new(AlwaysAllow),
            admission: admission::kubernetes(),
            service_ranges: None,
            service_account_key: None,
            network: Arc::new(Dial),
        }
    }

    /// The router: the same for HTTP and for clients in this process.
    pub fn router(&self) -> Router {
        Router::new().fallback(http::serve).with_state(Arc::clone(&self.shared))
    }

    /// A client in this process, without a socket; `namespace` is its default namespace.
    pub fn client(&self, namespace: &str) -> kube::Client {
        kube::Client::new(InProcess(self.router()), namespace)
    }

    /// The kinds that are served; rows may be added while the server runs.
    pub fn registry(&self) -> &Registry {
        &self.shared.registry
    }

    /// Compares, every three minutes until `stop`, who has which address and port with what the services say, and puts right what
    /// differs: as [`start`](ApiServerBuilder::start) does once. Services that cannot be helped are told of by events.
    pub async fn repair_allocations(self, stop: CancellationToken) {
        let recorders = self.recorders();
        while stop.run_until_cancelled(tokio::time::sleep(REPAIR_INTERVAL)).await.is_some() {
            self.repair(&recorders).await;
        }
    }

    /// Keeps the server among the endpoints of the Service `kubernetes` until `stop`, as one that is reached at `address`; the address of
    /// no one machine stands for that of this one. Several servers over one store are all endpoints. One that only this machine reaches
    /// is none, and returns at once.
    pub async fn advertise(self, address: SocketAddr, stop: CancellationToken) {
        advertise::run(&*self.shared.store, self.client("default"), address, stop).await;
    }

    /// Who tells of what cannot be repaired.
    fn recorders(&self) -> Recorders {
        let recorder = |component: &str| {
            let clock = Arc::clone(&self.shared.clock);
            EventRecorder::reporting(self.client("default"), component, &format!("{component}-orchestra"), clock)
        };
        Recorders(vec![
            ("ClusterIP", recorder("ipallocator-repair-controller")),
            ("Port", recorder("portallocator-repair-controller")),
        ])
    }

    async fn repair(&self, recorders: &Recorders) {
        if let Err(error) = repair::run(&self.shared, recorders).await {
            warn!(%error, "addresses and ports of services were not looked over");
        }
    }

    /// Serves a version of an API group by another server in this process, from now on.
    pub fn aggregate(&self, api: AggregatedApi) {
        self.shared.registry.aggregate(api);
    }

    /// Ends all watches and refuses new ones, so that connections can be closed. Other requests are still answered.
    pub fn end_watches(&self) {
        self.shared.stop.cancel();
    }
}

impl fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiServer").field("registry", &self.shared.registry).finish_non_exhaustive()
    }
}

/// What the verbs work with.
pub(super) struct Shared {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) generator: Generator,
    pub(super) registry: Registry,
    pub(super) authenticator: Arc<dyn Authenticator>,
    pub(super) authorizer: Arc<dyn Authorizer>,
    pub(super) admission: Vec<Arc<dyn Admission>>,
    service_account_key: Option<Vec<u8>>,
    signer: OnceLock<Option<Signer>>,
    pub(super) network: Arc<dyn Network>,
    /// By where the objects are stored.
    caches: RwLock<HashMap<String, Cache>>,
    pub(super) stop: CancellationToken,
}

impl Shared {
    /// Who signs tokens of service accounts.
    pub(super) fn signer(&self) -> Result<&Signer, ApiError> {
        let signer = self.signer.get_or_init(|| {
            // Made when it is first needed: what is random elsewhere does not depend on it.
            let made = || [self.generator.uid(), self.generator.uid(), self.generator.uid()].concat().into_bytes();
            Signer::new(&self.service_account_key.clone().unwrap_or_else(made))
        });
        signer.as_ref().ok_or_else(|| ApiError::internal("no key to sign tokens of service accounts with"))
    }

    /// The watch cache of the objects of a row, started when it is first asked for. Rows that share their objects share it.
    pub(super) fn cache(&self, resource: &Resource) -> Cache {
        let prefix = &resource.storage_prefix;
        if let Some(cache) = self.caches.read().get(prefix) {
            return cache.clone();
        }
        let start = || Cache::start(Arc::clone(&self.store), prefix);
        self.caches.write().entry(prefix.clone()).or_insert_with(start).clone()
    }

    /// Starts the caches before anything is written, so that a watch can begin at any version that a client gets to see.
    async fn start_caches(&self) {
        let rows = self.registry.rows();
        let caches: Vec<Cache> = rows.iter().filter(|row| row.answers.is_none()).map(|row| self.cache(row)).collect();
        // A store that does not answer yet is asked again by the caches themselves.
        let first = caches.iter().map(|cache| cache.read(Freshness::NotOlderThan(0)));
        futures::future::join_all(first).await;
    }

    /// The stored object of a row at `key`, as new as the store.
    pub(super) async fn stored(&self, resource: &Resource, key: &str) -> Result<Option<Stored>, CacheError> {
        Ok(self.cache(resource).get(key, Freshness::Latest).await?.map(|entry| Stored::from(&*entry)))
    }
}
