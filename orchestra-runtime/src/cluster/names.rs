//! What answers pods' questions for names.

use std::net::IpAddr;

use orchestra_core::random::Generator;

use super::{Cluster, ClusterError};
#[cfg(feature = "dns")]
use crate::dns::{self, ClusterDns, ClusterDnsBuilder};

#[cfg(feature = "dns")]
type Configure = Box<dyn FnOnce(ClusterDnsBuilder) -> ClusterDnsBuilder + Send>;

/// The cluster DNS that there is to be, if any.
#[derive(Default)]
pub(super) struct Names {
    #[cfg(feature = "dns")]
    configure: Option<Configure>,
}

#[cfg(feature = "dns")]
impl Names {
    pub(super) fn by(configure: impl FnOnce(ClusterDnsBuilder) -> ClusterDnsBuilder + Send + 'static) -> Self {
        Self { configure: Some(Box::new(configure)) }
    }

    /// Starts it, and returns the addresses that pods are to ask.
    pub(super) async fn start(self, cluster: &Cluster, generator: &Generator) -> Result<Vec<IpAddr>, ClusterError> {
        let Some(configure) = self.configure else { return Ok(Vec::new()) };
        let dns = ClusterDns::builder(cluster.context.client.clone())
            .informers(cluster.context.informers.clone())
            .clock(cluster.context.clock.clone())
            .generator(generator.fork())
            .publish_service();
        let dns = configure(dns).build()?;
        let addresses = dns::service_addresses(&cluster.client()).await?;
        cluster.parts.spawn(dns.run(cluster.stop.clone()));
        Ok(addresses)
    }
}

#[cfg(not(feature = "dns"))]
impl Names {
    pub(super) async fn start(self, _: &Cluster, _: &Generator) -> Result<Vec<IpAddr>, ClusterError> {
        Ok(Vec::new())
    }
}
