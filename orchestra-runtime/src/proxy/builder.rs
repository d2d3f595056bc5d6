use std::{net::SocketAddr, sync::Arc, time::Duration};

use kube::Client;
use orchestra_core::{
    clock::{Clock, SystemClock},
    informer::InformerFactory,
};

use super::{KubeProxy, Program, ProxyConfig};

/// Sets up a [`KubeProxy`]; everything has a default.
#[derive(Debug)]
pub struct KubeProxyBuilder {
    proxy: KubeProxy,
}

impl KubeProxyBuilder {
    pub(super) fn new(client: Client, node: &str) -> Self {
        Self {
            proxy: KubeProxy {
                informers: InformerFactory::new(client),
                own_informers: true,
                node: node.to_owned(),
                config: ProxyConfig::default(),
                clock: ClockHandle(Arc::new(SystemClock)),
                nft: Program::new("nft"),
                conntrack: Program::new("conntrack"),
                min_sync_period: Duration::from_secs(1),
                sync_period: Duration::from_secs(30),
                healthz: None,
                clean_up: false,
            },
        }
    }

    /// What the administrator says of the rules.
    #[must_use]
    pub fn config(mut self, config: ProxyConfig) -> Self {
        self.proxy.config = config;
        self
    }

    /// Reads from informers that other parts of the process share, instead of its own.
    #[must_use]
    pub fn informers(mut self, informers: InformerFactory) -> Self {
        self.proxy.informers = informers;
        self.proxy.own_informers = false;
        self
    }

    /// Takes wall time from `clock`: what healthz tells.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.proxy.clock = ClockHandle(clock);
        self
    }

    /// The programs to work with; `nft` and `conntrack` by default. Ones that work in another network namespace than this process leave the
    /// proxy without the kernel's word of deleted tables, and its servers where the process is.
    #[must_use]
    pub fn programs(mut self, nft: Program, conntrack: Program) -> Self {
        self.proxy.nft = nft;
        self.proxy.conntrack = conntrack;
        self
    }

    /// The shortest time from one change of the rules to the next (`--nftables-min-sync-period`; 1 s).
    #[must_use]
    pub fn min_sync_period(mut self, period: Duration) -> Self {
        self.proxy.min_sync_period = period;
        self
    }

    /// How often the tables are looked at, and the longest time until a failed change is tried again (`--nftables-sync-period`; 30 s).
    #[must_use]
    pub fn sync_period(mut self, period: Duration) -> Self {
        self.proxy.sync_period = period;
        self
    }

    /// Serves `/healthz` and `/livez` (`--healthz-bind-address`; kube-proxy's is 0.0.0.0:10256). By default nothing is served.
    #[must_use]
    pub fn healthz(mut self, address: SocketAddr) -> Self {
        self.proxy.healthz = Some(address);
        self
    }

    /// Whether to remove the tables at the end. By default they stay, so that Services work on while a proxy is replaced.
    #[must_use]
    pub fn clean_up(mut self, clean_up: bool) -> Self {
        self.proxy.clean_up = clean_up;
        self
    }

    /// The proxy, to be run.
    pub fn build(self) -> KubeProxy {
        self.proxy
    }
}

/// A clock that can be shown.
pub(super) struct ClockHandle(pub(super) Arc<dyn Clock>);

impl std::fmt::Debug for ClockHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}
