use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use hickory_proto::rr::Name;
use kube::Client;
use orchestra_core::{
    clock::{Clock, SystemClock},
    informer::InformerFactory,
    random::Generator,
};

use super::{
    ClusterDns, DnsError, Upstream,
    forward::Forwarder,
    publish::{Publication, reachable},
    resolver::Resolver,
    server::Sockets,
    zone::Zone,
};

/// Where addresses lead back to names.
const REVERSE: [&str; 2] = ["in-addr.arpa.", "ip6.arpa."];

/// What a [`ClusterDns`] is made of.
pub struct ClusterDnsBuilder {
    client: Client,
    informers: Option<InformerFactory>,
    listen: Vec<SocketAddr>,
    domain: String,
    ttl: u32,
    upstream: Upstream,
    publish: bool,
    advertise: Vec<IpAddr>,
    clock: Arc<dyn Clock>,
    generator: Generator,
}

impl ClusterDnsBuilder {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            informers: None,
            listen: Vec::new(),
            domain: "cluster.local".to_owned(),
            ttl: 30,
            upstream: Upstream::ResolvConf("/etc/resolv.conf".to_owned()),
            publish: false,
            advertise: Vec::new(),
            clock: Arc::new(SystemClock),
            generator: Generator::default(),
        }
    }

    /// Listens on `address`, for UDP and TCP; port 0 is any that is free. May be called more than once, and must be once.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen.push(address);
        self
    }

    /// The cluster's domain; `cluster.local` by default. It is what kubelets give pods to search.
    #[must_use]
    pub fn domain(mut self, domain: &str) -> Self {
        domain.clone_into(&mut self.domain);
        self
    }

    /// How long answers about the cluster may be kept, in seconds, also that something is not there; 30 by default, as in CoreDNS'
    /// configuration by kubeadm.
    #[must_use]
    pub fn ttl(mut self, seconds: u32) -> Self {
        self.ttl = seconds;
        self
    }

    /// Who is asked what is not in the cluster; by default the servers in `/etc/resolv.conf`.
    #[must_use]
    pub fn upstream(mut self, upstream: Upstream) -> Self {
        self.upstream = upstream;
        self
    }

    /// Shares informers with other parts in this process, in place of some of its own.
    #[must_use]
    pub fn informers(mut self, informers: InformerFactory) -> Self {
        self.informers = Some(informers);
        self
    }

    /// Keeps the Service `kube-dns` in the namespace `kube-system`, at the tenth address of the cluster's range as kubeadm has it, and
    /// its endpoints, which are the addresses that are listened on. Servers in a cluster may do so side by side, each for its own
    /// addresses.
    #[must_use]
    pub fn publish_service(mut self) -> Self {
        self.publish = true;
        self
    }

    /// The address by which pods reach this server, where it listens on all of them. May be called once for each family.
    #[must_use]
    pub fn advertise(mut self, address: IpAddr) -> Self {
        self.advertise.push(address);
        self
    }

    /// The time, of which zones' serial numbers are made; the system's by default.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The randomness that addresses are shuffled by and that questions to other servers are marked with.
    #[must_use]
    pub fn generator(mut self, generator: Generator) -> Self {
        self.generator = generator;
        self
    }

    /// Takes the addresses; they are served when the server is run.
    pub fn build(self) -> Result<ClusterDns, DnsError> {
        let zone = self.zone()?;
        let reverse = REVERSE.iter().filter_map(|name| Name::from_ascii(name).ok());
        let reverse = reverse.map(|name| Zone { name, ttl: self.ttl }).collect();
        let (sockets, addresses) = bind(&self.listen)?;
        let endpoints = reachable(&addresses, &self.advertise);
        if self.publish && endpoints.is_empty() {
            return Err(DnsError::Unreachable);
        }
        let servers = self.upstream.servers().map_err(|(path, source)| DnsError::ResolvConf { path, source })?;
        // Asking oneself goes round in circles.
        let servers = servers.into_iter().filter(|server| !addresses.contains(server)).collect();
        let own_addresses = endpoints.iter().map(SocketAddr::ip).collect();
        let forwarder = Forwarder::new(servers, self.generator.fork());
        let resolver = Resolver::new(zone, reverse, own_addresses, forwarder, self.generator);
        Ok(ClusterDns {
            publication: self.publish.then(|| Publication { client: self.client.clone(), endpoints }),
            client: self.client,
            informers: self.informers,
            clock: self.clock,
            resolver: Arc::new(resolver),
            sockets,
            addresses,
        })
    }

    fn zone(&self) -> Result<Zone, DnsError> {
        let failed = |reason: String| DnsError::Domain { domain: self.domain.clone(), reason };
        let domain = self.domain.strip_suffix('.').unwrap_or(&self.domain);
        if !domain.split('.').all(is_label) {
            return Err(failed("it has parts that are not letters, digits and dashes".to_owned()));
        }
        let mut name = Name::from_ascii(domain).map_err(|error| failed(error.to_string()))?;
        name.set_fqdn(true);
        Ok(Zone { name: name.to_lowercase(), ttl: self.ttl })
    }
}

fn is_label(label: &str) -> bool {
    !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn bind(listen: &[SocketAddr]) -> Result<(Vec<Sockets>, Vec<SocketAddr>), DnsError> {
    let mut bound = (Vec::new(), Vec::new());
    for &address in listen {
        let failed = |source| DnsError::Listen { address, source };
        let sockets = Sockets::bind(address).map_err(failed)?;
        bound.1.push(sockets.address().map_err(failed)?);
        bound.0.push(sockets);
    }
    if listen.is_empty() { Err(DnsError::NoAddress) } else { Ok(bound) }
}

impl fmt::Debug for ClusterDnsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterDnsBuilder")
            .field("domain", &self.domain)
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}
