//! What the nodes share: a cluster without nodes of its own, served on the network between them, and its DNS.

use std::net::SocketAddr;

use kube::{Client, Config};
use orchestra_runtime::Cluster;

use super::{Error, network::GATEWAY};

pub(crate) struct ControlPlane {
    cluster: Cluster,
    address: SocketAddr,
}

impl ControlPlane {
    /// Serves both on free ports of [`GATEWAY`]. Pods ask the Service of DNS, at its own port.
    pub(crate) async fn start() -> Result<Self, Error> {
        let cluster = Cluster::builder().nodes(0).dns(|dns| dns.listen((GATEWAY, 0).into())).start().await?;
        let address = cluster.serve((GATEWAY, 0).into()).await?;
        Ok(Self { cluster, address })
    }

    /// Where the API is served.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A client over the network, as that of any other program.
    pub(crate) fn client(&self) -> Result<Client, Error> {
        client(self.address)
    }

    pub(crate) fn kubeconfig(&self) -> String {
        self.cluster.kubeconfig(self.address)
    }

    pub(crate) async fn end(self) {
        self.cluster.shut_down().await;
    }
}

/// A client of the API server at `address`.
pub(crate) fn client(address: SocketAddr) -> Result<Client, Error> {
    Ok(Client::try_from(Config::new(format!("http://{address}").parse()?))?)
}
