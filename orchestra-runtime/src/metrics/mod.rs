//! [`MetricsServer`]: what nodes and pods use, as the API group `metrics.k8s.io`, for `kubectl top`.
//!
//! ```text
//!   kubelets ── /stats/summary, every 15 s, through the API server ──► two samples of each container
//!                                                                          │ their difference
//!   kubectl top ──► API server ──► /apis/metrics.k8s.io/v1beta1 ◄──────────┘
//! ```
//!
//! It does what `metrics-server` does for Kubernetes, and like that it tells nothing of what it has seen only once.

mod api;
mod samples;
mod summary;

use std::{fmt, sync::Arc, time::Duration};

use axum::Router;
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Node;
use kube::Client;
use orchestra_core::informer::{Informer, InformerFactory};
use orchestra_store::apiserver::AggregatedApi;
use parking_lot::RwLock;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use self::{samples::Samples, summary::Summary};
use crate::lean_pod::LeanPod;

/// How often kubelets are asked, as `metrics-server` does (`--metric-resolution`).
const RESOLUTION: Duration = Duration::from_secs(15);
/// Kubelets tell times in seconds.
const SHORTEST: Duration = Duration::from_secs(1);
/// How long a kubelet may take to answer (`--kubelet-request-timeout`).
const PATIENCE: Duration = Duration::from_secs(10);
/// How many kubelets are asked at once.
const CONCURRENCY: usize = 32;

/// Asks all kubelets what their pods use, and serves the metrics API. Clones share it.
///
/// ```no_run
/// # async fn example(client: kube::Client, server: orchestra_store::apiserver::ApiServer) {
/// use orchestra_core::informer::InformerFactory;
/// use orchestra_runtime::metrics::MetricsServer;
/// use tokio_util::sync::CancellationToken;
///
/// let metrics = MetricsServer::new(client.clone(), &InformerFactory::new(client));
/// server.aggregate(metrics.api());
/// tokio::spawn(metrics.run(CancellationToken::new()));
/// # }
/// ```
#[derive(Clone)]
pub struct MetricsServer {
    client: Client,
    view: View,
    resolution: Duration,
}

/// What is served. It has no client: the API server keeps it, and must not keep itself by it.
#[derive(Clone)]
struct View {
    nodes: Informer<Node>,
    pods: Informer<LeanPod>,
    samples: Arc<RwLock<Samples>>,
}

impl MetricsServer {
    /// A server that reaches kubelets through the API server of `client` (`nodes/proxy`).
    pub fn new(client: Client, informers: &InformerFactory) -> Self {
        let view = View { nodes: informers.informer(), pods: informers.informer(), samples: Arc::default() };
        Self { client, view, resolution: RESOLUTION }
    }

    /// How often kubelets are asked; every 15 seconds by default. What is told is the average between two answers.
    #[must_use]
    pub fn resolution(mut self, resolution: Duration) -> Self {
        self.resolution = resolution.max(SHORTEST);
        self
    }

    /// The API group, to be served by an API server.
    pub fn api(&self) -> AggregatedApi {
        AggregatedApi {
            group: "metrics.k8s.io".to_owned(),
            version: "v1beta1".to_owned(),
            resources: api::resources(),
            router: self.router(),
        }
    }

    /// The API by itself.
    pub fn router(&self) -> Router {
        api::router(self.view.clone())
    }

    /// Asks kubelets until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let asking = async {
            let mut ticks = interval_at(Instant::now() + self.resolution, self.resolution);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                self.ask_all().await;
            }
        };
        stop.run_until_cancelled(asking).await;
    }

    async fn ask_all(&self) {
        let names: Vec<String> = self.view.nodes.list().iter().filter_map(|node| node.metadata.name.clone()).collect();
        let answers = stream::iter(names).map(async |name| {
            let summary = self.ask(&name).await?;
            Some((name, summary))
        });
        let answers: Vec<_> = answers.buffer_unordered(CONCURRENCY).filter_map(async |answer| answer).collect().await;
        self.view.samples.write().add(answers);
    }

    async fn ask(&self, node: &str) -> Option<Summary> {
        let request = http::Request::get(format!("/api/v1/nodes/{node}/proxy/stats/summary")).body(Vec::new()).ok()?;
        match timeout(PATIENCE, self.client.request::<Summary>(request)).await {
            Ok(Ok(summary)) => Some(summary),
            Ok(Err(error)) => {
                debug!(%node, %error, "a kubelet does not tell what its pods use");
                None
            }
            Err(_) => {
                debug!(%node, "a kubelet does not answer");
                None
            }
        }
    }
}

impl fmt::Debug for MetricsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsServer").finish_non_exhaustive()
    }
}
