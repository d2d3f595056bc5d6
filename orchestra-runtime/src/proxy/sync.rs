//! Brings the rules of what changed into force.

use std::{net::IpAddr, time::Duration};

use k8s_openapi::api::{
    core::v1::{Node, Service},
    discovery::v1::EndpointSlice,
};
use orchestra_core::{ObjectKey, informer::Informer};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use tracing::{info, warn};

use super::{
    Applier, Family, KubeProxy, NftError, NodePortAddresses, Program, ProxyNode, RuleSet, ServiceRules,
    conntrack::forget_stale,
    health::{Health, ServiceHealth},
    pace::Pace,
    pending::Pending,
    rules::service_rules,
};

/// The index of EndpointSlices by Service.
pub(super) const BY_SERVICE: &str = "kube-proxy: service";

/// The taint of a node that the cluster autoscaler is about to remove.
const ABOUT_TO_GO: &str = "ToBeDeletedByClusterAutoscaler";

/// How long after it could not listen for a health check it tries again.
const LISTEN_PAUSE: Duration = Duration::from_secs(5);

/// Where objects are read.
pub(super) struct Informers {
    pub(super) services: Informer<Service>,
    pub(super) slices: Informer<EndpointSlice>,
    pub(super) nodes: Informer<Node>,
}

/// What of a node the proxy depends on: itself and whether load balancers should use it.
pub(super) fn matters(node: &Node) -> (ProxyNode, bool) {
    let mut taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    let eligible = node.metadata.deletion_timestamp.is_none() && !taints.any(|taint| taint.key == ABOUT_TO_GO);
    (ProxyNode::from(node), eligible)
}

/// The work itself.
pub(super) struct Syncer {
    informers: Informers,
    pending: Pending,
    health: Health,
    service_health: ServiceHealth,
    node: ObjectKey,
    rules: RuleSet,
    applier: Applier,
    conntrack: Program,
    pace: Pace,
    look_period: Duration,
    /// When to try again to listen for health checks, if one cannot.
    listen_at: Option<Instant>,
}

impl Syncer {
    pub(super) fn new(proxy: &KubeProxy, informers: Informers, pending: Pending, health: Health) -> Self {
        Self {
            informers,
            pending,
            service_health: ServiceHealth::new(health.clone()),
            health,
            node: ObjectKey::cluster(&proxy.node),
            rules: RuleSet::new(ProxyNode::named(&proxy.node), proxy.config.clone()),
            applier: Applier::new(proxy.nft.clone()),
            conntrack: proxy.conntrack.clone(),
            pace: Pace::new(proxy.min_sync_period, proxy.sync_period),
            look_period: proxy.sync_period,
            listen_at: None,
        }
    }

    /// Works until the future is dropped. Nothing is touched before all objects are known: half of them would cut connections off.
    pub(super) async fn run(&mut self, tables_changed: &Notify) {
        self.informers.services.synced().await;
        self.informers.slices.synced().await;
        self.informers.nodes.synced().await;
        self.pending.node();
        let mut look_at = Instant::now() + self.look_period;
        loop {
            if self.pending.any() {
                self.health.queued();
            }
            let next = self.pace.next(self.pending.any());
            tokio::select! {
                () = at(next) => self.sync().await,
                () = self.pending.changed() => {}
                () = at(self.applier.tidy_at()) => self.tidy().await,
                () = at(self.listen_at) => self.answer_health_checks().await,
                () = tables_changed.notified() => self.look().await,
                () = sleep_until(look_at) => {
                    self.look().await;
                    look_at = Instant::now() + self.look_period;
                }
            }
        }
    }

    /// Ends the servers, and removes the tables if told to.
    pub(super) async fn shut_down(mut self, clean_up: bool) {
        self.service_health.shut_down().await;
        if clean_up && let Err(error) = self.applier.clean_up().await {
            warn!(%error, "the tables are left");
        }
    }

    async fn sync(&mut self) {
        self.take_changes();
        let outcome = self.applier.apply(&self.rules).await;
        self.pace.ran(outcome.is_ok());
        match outcome {
            Err(error) => {
                self.health.queued();
                return warn!(%error, "the rules are not in force; trying again");
            }
            Ok(change) => {
                if change.full {
                    info!(ports = change.ports.len(), "the tables were made anew");
                }
                if let Err(error) = forget_stale(&self.conntrack, &self.rules, &change.ports).await {
                    warn!(%error, "stale UDP connections are left");
                }
            }
        }
        self.health.synced();
        self.answer_health_checks().await;
    }

    async fn answer_health_checks(&mut self) {
        let all_listen = self.service_health.sync(self.rules.health_checks(), &self.health_addresses()).await;
        self.listen_at = (!all_listen).then(|| Instant::now() + LISTEN_PAUSE);
    }

    fn take_changes(&mut self) {
        let changes = self.pending.take();
        if changes.node {
            let node = self.informers.nodes.get(&self.node);
            let (node, eligible) = match node {
                Some(node) => matters(&node),
                None => (ProxyNode::named(self.node.name()), true),
            };
            self.health.set_eligible(eligible);
            self.rules.set_node(node);
            for service in self.informers.services.list() {
                self.take(&ObjectKey::of(&*service));
            }
        }
        for key in &changes.services {
            self.take(key);
        }
    }

    fn take(&mut self, key: &ObjectKey) {
        let rules = match self.informers.services.get(key) {
            Some(service) => {
                let slices = self.informers.slices.by_index(BY_SERVICE, &key.to_string());
                let slices: Vec<&EndpointSlice> = slices.iter().map(|slice| &**slice).collect();
                service_rules(&service, &slices, self.rules.node())
            }
            None => ServiceRules::default(),
        };
        self.rules.set_service(key, rules);
    }

    async fn tidy(&mut self) {
        if let Err(error) = self.applier.tidy().await {
            self.repair(&error);
        }
    }

    /// Looks whether the tables are as they were left.
    async fn look(&mut self) {
        match self.applier.is_intact().await {
            Ok(true) => {}
            Ok(false) => {
                warn!("somebody else has changed the tables; they are made anew");
                self.make_anew();
            }
            Err(error) => self.repair(&error),
        }
    }

    fn repair(&mut self, error: &NftError) {
        warn!(%error, "the tables are not as they were left; they are made anew");
        self.make_anew();
    }

    fn make_anew(&mut self) {
        self.applier.forget();
        self.pending.node();
    }

    /// Where health checks listen: where node ports answer, if that is one address, else everywhere.
    fn health_addresses(&self) -> Vec<IpAddr> {
        match self.rules.config().node_port_addresses {
            NodePortAddresses::Primary => {
                Family::ALL.iter().filter_map(|family| self.rules.node().primary(*family)).collect()
            }
            NodePortAddresses::Cidrs(_) => vec![[0_u16; 8].into()],
        }
    }
}

/// Waits until `time`, or for ever.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
