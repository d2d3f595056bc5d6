//! Cluster DNS: names for Services and their endpoints, by Kubernetes' [specification] 1.1.0 and as CoreDNS' `kubernetes` plugin
//! answers in kubeadm's configuration.
//!
//! ```text
//!   API server ──► informers ──► feed ──► index ◄── lookup ── resolver ◄── server: UDP, TCP ◄── pods
//!       ▲     Namespaces, Services, EndpointSlices                │
//!       └── publish: Service kube-dns, its endpoints              └──► forward: the machine's own servers
//! ```
//!
//! | name, below the cluster's domain | type | answer |
//! |---|---|---|
//! | `web.shop.svc` | A, AAAA | the Service's addresses; those of its ready endpoints if it is headless |
//! | `web-0.web.shop.svc` | A, AAAA | those of the endpoint with this hostname, or with dashes in its address |
//! | `_http._tcp.web.shop.svc` | SRV | the Service's port of this name, or its endpoints' if it is headless |
//! | `docs.shop.svc`, an ExternalName | any | CNAME, and what that leads to |
//! | `10-1-2-3.shop.pod` | A, AAAA | the address, whether a pod has it or not |
//! | `dns-version` | TXT | `1.1.0` |
//!
//! Addresses of Services and endpoints lead back to these names by PTR. What is none of the cluster's is asked of other servers.
//!
//! [specification]: https://github.com/kubernetes/dns/blob/master/docs/specification.md

mod builder;
mod elsewhere;
mod error;
mod feed;
mod forward;
mod index;
mod lookup;
mod message;
mod publish;
mod resolver;
mod server;
mod zone;

use std::{fmt, net::SocketAddr, sync::Arc};

use kube::Client;
use orchestra_core::{clock::Clock, informer::InformerFactory};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info};

pub(crate) use self::publish::service_addresses;
pub use self::{builder::ClusterDnsBuilder, error::DnsError, forward::Upstream};
use self::{publish::Publication, resolver::Resolver, server::Sockets};

/// A DNS server for the pods of a cluster.
///
/// ```no_run
/// # async fn example(client: kube::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use orchestra_runtime::dns::ClusterDns;
/// use tokio_util::sync::CancellationToken;
///
/// let dns = ClusterDns::builder(client).listen("10.0.0.5:53".parse()?).publish_service().build()?;
/// let stop = CancellationToken::new();
/// tokio::spawn(dns.run(stop.clone()));
/// # Ok(()) }
/// ```
pub struct ClusterDns {
    client: Client,
    informers: Option<InformerFactory>,
    clock: Arc<dyn Clock>,
    resolver: Arc<Resolver>,
    sockets: Vec<Sockets>,
    addresses: Vec<SocketAddr>,
    publication: Option<Publication>,
}

impl ClusterDns {
    /// Begins a server of what `client` can see of a cluster.
    pub fn builder(client: Client) -> ClusterDnsBuilder {
        ClusterDnsBuilder::new(client)
    }

    /// Where it listens, in the order in which the addresses were given.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Answers requests until `stop` is cancelled. Until all Services are known, questions about the cluster are answered by SERVFAIL,
    /// which clients take for a reason to ask again.
    pub async fn run(self, stop: CancellationToken) {
        let (own, informers) = match self.informers {
            Some(shared) => (None, shared),
            None => {
                let own = InformerFactory::new(self.client);
                (Some(own.clone()), own)
            }
        };
        let tasks = TaskTracker::new();
        if let Err(error) = server::serve(self.sockets, &self.resolver, &tasks, &stop) {
            error!(%error, "sockets cannot be served");
            return;
        }
        info!(addresses = ?self.addresses, "cluster DNS serves");
        let feeding = feed::feed(self.resolver, informers.clone(), Arc::clone(&self.clock));
        tasks.spawn(stop.clone().run_until_cancelled_owned(feeding));
        if let Some(publication) = self.publication {
            tasks.spawn(publication.keep(informers, self.clock, stop.clone()));
        }
        stop.cancelled().await;
        tasks.close();
        tasks.wait().await;
        if let Some(own) = own {
            own.shut_down().await;
        }
    }
}

impl fmt::Debug for ClusterDns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterDns").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}
