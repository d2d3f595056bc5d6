//! The ways out of the API server: to kubelets, pods and nodes.

use std::{io, pin::Pin};

use async_trait::async_trait;
use axum::Router;
use k8s_openapi::api::core::v1::Node;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

/// A connection that bytes are sent over.
pub trait Connection: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Connection for T {}

/// An HTTP server that a request is passed on to.
pub enum Upstream {
    /// One in this process.
    Router(Router),
    /// One at the other end of a connection.
    Connection(Pin<Box<dyn Connection>>),
}

impl Upstream {
    /// The server at the other end of `connection`.
    pub fn connected(connection: impl Connection + 'static) -> Self {
        Self::Connection(Box::pin(connection))
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Router(_) => "Router",
            Self::Connection(_) => "Connection",
        })
    }
}

/// How the API server reaches what runs on nodes. [`Dial`] is the way of Kubernetes; who runs kubelets in the same process hands out their
/// routers instead.
#[async_trait]
pub trait Network: Send + Sync + 'static {
    /// The kubelet of a node. Errors are told to clients: `error dialing backend: ...`.
    async fn kubelet(&self, node: &Node) -> io::Result<Upstream>;

    /// What answers at a port of a pod or a node. `host` is an address, or a name that this machine resolves.
    async fn dial(&self, host: &str, port: u16) -> io::Result<Upstream>;
}

/// Connects over TCP: to kubelets at the address and the port that their node's status tells. There is no TLS yet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dial;

#[async_trait]
impl Network for Dial {
    async fn kubelet(&self, node: &Node) -> io::Result<Upstream> {
        let name = node.metadata.name.as_deref().unwrap_or_default();
        let no = |what| io::Error::new(io::ErrorKind::NotFound, format!("node {name} {what}"));
        let port = kubelet_port(node).ok_or_else(|| no("serves no kubelet API"))?;
        self.dial(address(node).ok_or_else(|| no("has no address"))?, port).await
    }

    async fn dial(&self, host: &str, port: u16) -> io::Result<Upstream> {
        match TcpStream::connect((host, port)).await {
            Ok(stream) => {
                // What people type is wanted at once.
                stream.set_nodelay(true)?;
                Ok(Upstream::connected(stream))
            }
            Err(error) => Err(io::Error::new(error.kind(), format!("dial tcp {host}:{port}: {error}"))),
        }
    }
}

/// The port that a node's kubelet serves its API at, if it does.
pub(super) fn kubelet_port(node: &Node) -> Option<u16> {
    let endpoint = node.status.as_ref()?.daemon_endpoints.as_ref()?.kubelet_endpoint.as_ref()?;
    u16::try_from(endpoint.port).ok().filter(|port| *port > 0)
}

/// The address that a node is reached at.
pub(super) fn address(node: &Node) -> Option<&str> {
    let addresses = node.status.as_ref()?.addresses.as_deref()?;
    let of = |kind: &str| addresses.iter().find(|address| address.type_ == kind);
    let found = ["InternalIP", "ExternalIP", "Hostname"].into_iter().find_map(of)?;
    Some(&found.address)
}
