//! What is to be in force, as values: [`RuleSet`] and the pure functions that make it.
//!
//! ```text
//!   Service, its EndpointSlices, ProxyNode ──► service_rules ──► ServiceRules ─┐
//!   ProxyConfig, ProxyNode ────────────────────────────────────────────────────┴──► RuleSet
//! ```

mod choose;
mod endpoints;
mod port;
mod service;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use orchestra_core::ObjectKey;

pub(super) use self::service::without_contained;
pub use self::{
    port::{Front, FrontRule, Policy, PortKey, PortRules, Target},
    service::{HealthCheck, ServiceRules, service_rules},
};
use super::{ProxyConfig, ProxyNode};

/// The label of an EndpointSlice that names its Service.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// All rules of one node. The same objects give the same rules, in whatever order they came.
///
/// ```
/// use orchestra_runtime::proxy::{ProxyConfig, ProxyNode, RuleSet, Target};
///
/// let service = serde_json::from_value(serde_json::json!({
///     "metadata": {"namespace": "default", "name": "web"},
///     "spec": {"clusterIP": "10.96.0.10", "ports": [{"port": 80}]},
/// })).unwrap();
/// let rules = RuleSet::of(&[service], &[], &ProxyNode::named("n1"), &ProxyConfig::default());
/// let (key, port) = rules.ports().next().unwrap();
/// assert_eq!(key.to_string(), "default/web");
/// assert_eq!(port.fronts[0].target, Target::Reject); // there is no endpoint
/// ```
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    node: ProxyNode,
    config: ProxyConfig,
    ports: BTreeMap<PortKey, Arc<PortRules>>,
    health_checks: BTreeMap<ObjectKey, HealthCheck>,
    /// Who claims a front, in order: the first one has it.
    claims: HashMap<(super::Family, Front), Vec<PortKey>>,
}

impl RuleSet {
    /// Rules of a node without Services.
    pub fn new(node: ProxyNode, config: ProxyConfig) -> Self {
        Self { node, config, ..Self::default() }
    }

    /// The rules for all of `services` with the EndpointSlices that name them.
    pub fn of(services: &[Service], slices: &[EndpointSlice], node: &ProxyNode, config: &ProxyConfig) -> Self {
        let mut by_service: HashMap<ObjectKey, Vec<&EndpointSlice>> = HashMap::new();
        for slice in slices {
            by_service.entry(service_of(slice)).or_default().push(slice);
        }
        let mut rules = Self::new(node.clone(), config.clone());
        for service in services {
            let key = ObjectKey::of(service);
            let slices = by_service.get(&key).map(Vec::as_slice).unwrap_or_default();
            rules.set_service(&key, service_rules(service, slices, node));
        }
        rules
    }

    /// Puts `rules` in the place of those that the Service `key` had; default ones remove it.
    pub fn set_service(&mut self, key: &ObjectKey, rules: ServiceRules) {
        let had: Vec<PortKey> = self.ports_of(key).map(|(port, _)| port.clone()).collect();
        for port in had {
            self.remove(&port);
        }
        for (port, rules) in rules.ports {
            self.insert(port, rules);
        }
        match rules.health_check {
            Some(check) => self.health_checks.insert(key.clone(), check),
            None => self.health_checks.remove(key),
        };
    }

    /// Sets the node. The rules of Services stay as they are: those that depend on the node are to be set again.
    pub fn set_node(&mut self, node: ProxyNode) {
        self.node = node;
    }

    /// The node that the rules are for.
    pub fn node(&self) -> &ProxyNode {
        &self.node
    }

    /// What the administrator says.
    pub fn config(&self) -> &ProxyConfig {
        &self.config
    }

    /// The rules of each port of each Service, in order.
    pub fn ports(&self) -> impl Iterator<Item = (&PortKey, &Arc<PortRules>)> {
        self.ports.iter()
    }

    /// The health checks that this node answers, by Service.
    pub fn health_checks(&self) -> &BTreeMap<ObjectKey, HealthCheck> {
        &self.health_checks
    }

    /// The rules of the port `key`.
    pub fn port(&self, key: &PortKey) -> Option<&Arc<PortRules>> {
        self.ports.get(key)
    }

    fn ports_of(&self, service: &ObjectKey) -> impl Iterator<Item = (&PortKey, &Arc<PortRules>)> {
        let first = PortKey {
            service: service.clone(),
            port: "".into(),
            protocol: super::Protocol::Tcp,
            family: super::Family::Ipv4,
        };
        self.ports.range(first..).take_while(move |(key, _)| key.service == *service)
    }

    fn insert(&mut self, key: PortKey, rules: Arc<PortRules>) {
        let fronts: Vec<Front> = rules.fronts.iter().map(|rule| rule.front).collect();
        self.ports.insert(key.clone(), rules);
        for front in fronts {
            let claims = self.claims.entry((key.family, front)).or_default();
            let place = claims.binary_search(&key).unwrap_or_else(|place| place);
            claims.insert(place, key.clone());
            self.settle(key.family, front);
        }
    }

    fn remove(&mut self, key: &PortKey) {
        let Some(rules) = self.ports.remove(key) else { return };
        for rule in &rules.fronts {
            let place = (key.family, rule.front);
            if let Some(claims) = self.claims.get_mut(&place) {
                claims.retain(|claim| claim != key);
                if claims.is_empty() {
                    self.claims.remove(&place);
                }
            }
            self.settle(key.family, rule.front);
        }
    }

    /// Tells those who claim `front` whether they have it.
    fn settle(&mut self, family: super::Family, front: Front) {
        for (place, key) in self.claims.get(&(family, front)).into_iter().flatten().enumerate() {
            let Some(rules) = self.ports.get_mut(key) else { continue };
            let shadowed = place > 0;
            if rules.fronts.iter().any(|rule| rule.front == front && rule.shadowed != shadowed) {
                let rules = Arc::make_mut(rules);
                rules.fronts.iter_mut().filter(|rule| rule.front == front).for_each(|rule| rule.shadowed = shadowed);
            }
        }
    }
}

/// The Service that `slice` is of; one without a name if it does not say.
pub fn service_of(slice: &EndpointSlice) -> ObjectKey {
    let name = slice.metadata.labels.as_ref().and_then(|labels| labels.get(SERVICE_NAME));
    ObjectKey::new(slice.metadata.namespace.as_deref(), name.map_or("", String::as_str))
}
