//! What a kubelet serves: Kubernetes' kubelet API, by which the API server reaches containers.
//!
//! ```text
//!   /containerLogs/{namespace}/{pod}/{container}
//!   /exec/{namespace}/{pod}/{container}      /attach/...      WebSocket or SPDY
//!   /portForward/{namespace}/{pod}                            WebSocket, SPDY, or SPDY in WebSocket messages
//!   /run/{namespace}/{pod}/{container}?cmd=...
//!   /pods   /stats/summary   /metrics/resource   /healthz
//! ```
//!
//! All streaming protocols end here: the API server passes the bytes of upgraded connections on as they are.

pub(super) mod access;
mod idle;
mod logs;
mod node_cpu;
mod pods;
mod port_forward;
mod query;
mod refusal;
mod remote_command;
mod run;
mod spdy_upgrade;
mod stats;
mod web_socket;

use std::sync::{Arc, LazyLock};

use axum::{
    Extension, Router,
    extract::Request,
    handler::Handler,
    response::IntoResponse,
    routing::{MethodRouter, get, post},
};
use http::{StatusCode, header};
use k8s_openapi::{List, api::core::v1::Pod};
use orchestra_core::{clock::Clock, container_runtime::ContainerRuntime};
use parking_lot::Mutex;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

pub(super) use self::{access::Access, pods::Pods};
use self::{node_cpu::NodeCpu, refusal::Refusal};
use super::Machine;

/// What the requests of one kubelet share.
pub(super) struct Server {
    pub(super) node: String,
    pub(super) runtime: Arc<dyn ContainerRuntime>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) machine: Option<Machine>,
    pub(super) served: Served,
}

/// The part of it that the kubelet's other parts have to do with.
#[derive(Clone, Default)]
pub(super) struct Served {
    pub(super) pods: Arc<Pods>,
    cpu: Arc<Mutex<NodeCpu>>,
    pub(super) stop: CancellationToken,
    /// Its connections.
    pub(super) tasks: TaskTracker,
}

impl Served {
    /// Ends all that is served, and waits until it has ended.
    pub(super) async fn end(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Does `work` in a task that ends with the kubelet.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let served = self.clone();
        self.tasks.spawn(async move { served.run(work).await });
    }

    /// Does `work` until the kubelet ends, which waits for this.
    async fn run(&self, work: impl Future<Output = ()>) {
        let _held = self.tasks.token();
        self.stop.run_until_cancelled(work).await;
    }
}

/// Who answers what, for all kubelets of the process: a copy for each would take 40 KB a node.
static ROUTES: LazyLock<Router> = LazyLock::new(|| {
    Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/pods", get(list_pods))
        .route("/stats/summary", get(stats::summary))
        .route("/metrics/resource", get(stats::resource))
        .route("/containerLogs/{namespace}/{pod}/{container}", get(logs::serve))
        .route("/exec/{namespace}/{pod}/{container}", get_or_post(remote_command::exec))
        .route("/attach/{namespace}/{pod}/{container}", get_or_post(remote_command::attach))
        .route("/portForward/{namespace}/{pod}", get_or_post(port_forward::serve))
        .route("/run/{namespace}/{pod}/{container}", post(run::serve))
});

/// What upgrades a connection: by `GET` over WebSocket, by `POST` over SPDY. Not `HEAD`, which else goes where `GET` does: who may do that is
/// another matter.
fn get_or_post<H: Handler<T, ()>, T: 'static>(handler: H) -> MethodRouter {
    get(handler.clone()).post(handler).head(async || StatusCode::METHOD_NOT_ALLOWED)
}

/// The kubelet's API.
pub(super) fn router(server: Server) -> Router {
    let server = Arc::new(server);
    Router::new().fallback(async move |mut request: Request| {
        request.extensions_mut().insert(Arc::clone(&server));
        ROUTES.clone().oneshot(request).await
    })
}

/// The kubelet's API for those whom `access` lets use it.
pub(super) fn guarded(server: Server, access: Access) -> Router {
    let (node, router, access) = (server.node.clone(), router(server), Arc::new(access));
    Router::new().fallback(async move |request: Request| {
        let (head, body) = request.into_parts();
        match access.check(&node, &head).await {
            Ok(()) => router.clone().oneshot(Request::from_parts(head, body)).await.into_response(),
            Err(refusal) => refusal.into_response(),
        }
    })
}

async fn list_pods(Extension(server): Extension<Arc<Server>>) -> Result<impl IntoResponse, Refusal> {
    let items = server.served.pods.all().iter().map(|pod| Pod::clone(pod)).collect();
    let json = serde_json::to_vec(&List::<Pod> { items, ..List::default() }).map_err(Refusal::internal)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], json))
}
