//! [`Cluster`]: all parts of orchestra put together in one process.

mod builder;
mod error;
mod kubeconfig;
mod names;
mod network;
mod nodes;
mod ready;
mod start;

use std::{fmt, net::SocketAddr, sync::Arc};

use kube::Client;
use orchestra_core::{controller::ControllerContext, informer::InformerFactory};
use orchestra_store::apiserver::ApiServer;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::network::InProcess;
pub use self::{
    builder::ClusterBuilder,
    error::{ClusterError, NodeNotReady},
};
use crate::http_server;

/// The namespace of clients that name none.
const DEFAULT_NAMESPACE: &str = "default";

/// A running cluster: API server, scheduler, controllers, and kubelets; kube-proxy and cluster DNS where they are wanted.
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
    network: Arc<InProcess>,
    parts: TaskTracker,
    stop: CancellationToken,
    connections: TaskTracker,
    /// Ends the connections, after the parts in this process have stopped.
    hang_up: CancellationToken,
}

impl Cluster {
    /// Begins a cluster of one node with everything in memory.
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder::default()
    }

    /// A client in this process whose default namespace is `default`.
    pub fn client(&self) -> Client {
        self.client_in(DEFAULT_NAMESPACE)
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

    /// What a controller is made with, to run more of them beside the cluster's own. Its client is that of the cluster's own parts, with
    /// what [`ClusterBuilder::wrap_transport`] put before it.
    pub fn context(&self) -> &ControllerContext {
        &self.context
    }

    /// Serves the API over HTTP on `address` (port 0 for any free one) and returns where. The Service `kubernetes` leads there, if others
    /// than this machine can reach it.
    pub async fn serve(&self, address: SocketAddr) -> std::io::Result<SocketAddr> {
        let address =
            http_server::serve(self.server.router(), address, &self.connections, self.hang_up.clone()).await?;
        self.parts.spawn(self.server.clone().advertise(address, self.stop.clone()));
        Ok(address)
    }

    /// A kubeconfig for a client that reaches the API at `address`, on this machine if that is the address of no one machine.
    pub fn kubeconfig(&self, address: SocketAddr) -> String {
        kubeconfig::kubeconfig(address)
    }

    /// Stops all parts and waits until they have ended. Containers of runtimes that outlive the process keep running.
    pub async fn shut_down(self) {
        self.stop.cancel();
        self.parts.close();
        self.parts.wait().await;
        self.context.informers.shut_down().await;
        self.server.end_watches();
        self.hang_up.cancel();
        self.connections.close();
        self.connections.wait().await;
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("server", &self.server).finish_non_exhaustive()
    }
}
