//! The subresources that lead out of the API server: logs, exec, attach, port-forward and proxies (`pkg/registry/core/pod/rest`).
//!
//! ```text
//!   kubectl ── HTTP, WebSocket, SPDY ──► location: which node, which path ──► kubelet
//!                                            └── upgraded connections are passed on as bytes
//! ```

mod forward;
mod log_options;
mod network;
mod pods;
mod proxy;

use std::{any::Any, sync::Arc};

use axum::{body::Body, response::Response};
use http::{Method, Request};
use k8s_openapi::api::core::v1::Node;

use self::forward::{Told, forward, is_upgrade, no_answer, no_connection};
pub use self::network::{Connection, Dial, Network, Upstream};
use super::{
    ApiError,
    object::Object,
    registry::{Resource, Subresource},
    request::options::Query,
    server::Shared,
};

/// A request to such a subresource.
pub(super) struct Connect {
    pub(super) resource: Arc<Resource>,
    pub(super) subresource: Subresource,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    pub(super) query: Query,
}

impl Connect {
    /// The stored object of `resource` and `name` in the request's namespace.
    async fn object<T: Clone + 'static>(
        &self,
        shared: &Shared,
        resource: &Resource,
        name: &str,
    ) -> Result<T, ApiError> {
        let namespace = self.namespace.as_deref().filter(|_| resource.namespaced);
        object(shared, resource, namespace, name).await
    }
}

/// Serves the request: the answer is the kubelet's, the pod's, or an error of this server's own.
pub(super) async fn serve(
    shared: &Arc<Shared>,
    connect: Connect,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let method = request.method().clone();
    match (connect.subresource, &method) {
        (Subresource::Log, &Method::GET) => pods::log(shared, &connect, request).await,
        (Subresource::Exec | Subresource::Attach, &Method::GET | &Method::POST) => {
            pods::remote_command(shared, &connect, request).await
        }
        (Subresource::PortForward, &Method::GET | &Method::POST) => pods::port_forward(shared, &connect, request).await,
        (Subresource::Proxy, _) => proxy::serve(shared, &connect, request).await,
        _ => Err(ApiError::method_not_allowed()),
    }
}

/// Passes a request on to the kubelet of a node.
async fn to_kubelet(
    shared: &Arc<Shared>,
    node: &str,
    path: &str,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let node = find_node(shared, node).await?;
    let upstream = shared.network.kubelet(&node).await.map_err(|error| no_connection(&error))?;
    forward(shared, upstream, network::address(&node).unwrap_or_default(), path, request, no_connection).await
}

async fn find_node(shared: &Shared, name: &str) -> Result<Node, ApiError> {
    let nodes = shared.registry.find("", "v1", "nodes").ok_or_else(ApiError::no_such_path)?;
    object(shared, &nodes, None, name).await
}

async fn object<T: Clone + 'static>(
    shared: &Shared,
    resource: &Resource,
    namespace: Option<&str>,
    name: &str,
) -> Result<T, ApiError> {
    let stored = shared.stored(resource, &resource.key(namespace, name)).await?;
    let stored = stored.ok_or_else(|| ApiError::not_found(resource, name))?;
    let object: Box<dyn Object> = stored.decode(resource)?;
    let object = (&*object as &dyn Any).downcast_ref::<T>().cloned();
    object.ok_or_else(|| ApiError::not_supported(resource, "connect"))
}
