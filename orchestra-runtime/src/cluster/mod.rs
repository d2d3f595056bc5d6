//! [`Cluster`]: all parts of orchestra put together in one process.

mod builder;
mod serve;

use std::{fmt, net::SocketAddr, sync::Arc};

use k8s_openapi::api::core::v1::Node;
use kube::Client;
use orchestra_core::{condition, controller::ControllerContext, informer::InformerFactory};
use orchestra_store::apiserver::ApiServer;
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::builder::{ClusterBuilder, ClusterError};

/// A running cluster: API server, scheduler, controllers, and kubelets.
///
/// Dropping it does not stop its parts; [`shut_down`](Self::shut_down) does.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use k8s_openapi::api::core::v1::Node;
/// use orchestra_runtime::Cluster;
///
/// let cluster = Cluster::builder().nodes(2).start().await?;
/// let nodes = kube::Api::<Node>::all(cluster.client()).list(&Default::default()).await?;
/// assert_eq!(nodes.items.len(), 2);
/// cluster.shut_down().await;
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
pub struct Cluster {
    server: ApiServer,
    context: ControllerContext,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// Ends connections over the network, after the parts in this process have stopped.
    hang_up: CancellationToken,
}

impl Cluster {
    /// Begins a cluster of one node with everything in memory.
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder::default()
    }

    /// A client in this process whose default namespace is `default`.
    pub fn client(&self) -> Client {
        self.context.client.clone()
    }

    /// A client in this process with another default namespace.
    pub fn client_in(&self, namespace: &str) -> Client {
        self.server.client(namespace)
    }

    /// The API server.
    pub fn server(&self) -> &ApiServer {
        &self.server
    }

    /// The informers that the cluster's own parts share.
    pub fn informers(&self) -> &InformerFactory {
        &self.context.informers
    }

    /// What a controller is made with, to run more of them beside the cluster's own.
    pub fn context(&self) -> &ControllerContext {
        &self.context
    }

    /// Serves the API over HTTP on `address` (port 0 for any free one) and returns where.
    pub async fn serve(&self, address: SocketAddr) -> std::io::Result<SocketAddr> {
        serve::serve(self.server.router(), address, &self.tasks, self.hang_up.clone()).await
    }

    /// A kubeconfig for a client that reaches the API at `address`.
    pub fn kubeconfig(&self, address: SocketAddr) -> String {
        serve::kubeconfig(address)
    }

    /// Stops all parts and waits until they have ended. Containers of runtimes that outlive the process keep running.
    pub async fn shut_down(self) {
        self.stop.cancel();
        self.server.end_watches();
        self.hang_up.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.context.informers.shut_down().await;
    }

    /// Waits until the nodes named are ready.
    async fn ready(&self, names: &[String]) {
        let nodes = self.context.informers.informer::<Node>();
        let changed = Arc::new(Notify::new());
        let notify = Arc::clone(&changed);
        let subscription = nodes.subscribe(move |_| notify.notify_one());
        let is_ready = |name: &String| {
            let node = nodes.get(&orchestra_core::ObjectKey::cluster(name));
            let conditions = node.as_ref().and_then(|node| node.status.as_ref()).and_then(|s| s.conditions.as_deref());
            conditions.is_some_and(|conditions| condition::is_true(conditions, "Ready"))
        };
        while !names.iter().all(is_ready) {
            changed.notified().await;
        }
        drop(subscription);
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("server", &self.server).finish_non_exhaustive()
    }
}
