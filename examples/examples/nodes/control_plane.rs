//! What the nodes share: a cluster without nodes of its own, served on the network between them, and its DNS.

use std::{net::SocketAddr, sync::Arc};

use kube::{Client, Config};
use orchestra_core::clock::SystemClock;
use orchestra_runtime::{Cluster, dns::ClusterDns};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Error, network::GATEWAY};

pub(crate) struct ControlPlane {
    cluster: Cluster,
    address: SocketAddr,
    dns: JoinHandle<()>,
    stop: CancellationToken,
}

impl ControlPlane {
    /// Serves it on free ports of [`GATEWAY`].
    pub(crate) async fn start() -> Result<Self, Error> {
        let cluster = Cluster::builder().nodes(0).start().await?;
        let address = cluster.serve((GATEWAY, 0).into()).await?;
        let dns = ClusterDns::builder(cluster.client())
            .listen((GATEWAY, 0).into())
            .informers(cluster.informers().clone())
            .clock(Arc::new(SystemClock))
            .publish_service()
            .build()?;
        let stop = CancellationToken::new();
        let dns = tokio::spawn(dns.run(stop.clone()));
        Ok(Self { cluster, address, dns, stop })
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
        self.stop.cancel();
        if let Err(error) = self.dns.await {
            eprintln!("DNS: {error}");
        }
        self.cluster.shut_down().await;
    }
}

/// A client of the API server at `address`.
pub(crate) fn client(address: SocketAddr) -> Result<Client, Error> {
    Ok(Client::try_from(Config::new(format!("http://{address}").parse()?))?)
}
