//! What one port of a Service has in its family's table.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use super::{
    super::{Front, FrontRule, LocalTraffic, Policy, PortKey, PortRules, Target},
    element::{Key, SetName, Value},
    names::{endpoint_names, external_chain, firewall_chain, policy_chain},
    shape::{Kind, Shape, external, external_local},
    traffic::in_family,
};

/// The things in the table that are there for one port.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Items {
    /// Elements that are of this port alone.
    pub(super) elements: BTreeMap<(SetName, Key), Value>,
    /// Elements that other ports may have too.
    pub(super) members: BTreeSet<(SetName, Key)>,
    /// Chains that other ports may use too.
    pub(super) shapes: BTreeSet<Shape>,
    /// Chains of this port alone, with their rules.
    pub(super) chains: BTreeMap<String, Vec<String>>,
    /// Sets of clients, and how long a client stays.
    pub(super) affinity_sets: BTreeMap<String, Duration>,
}

impl Items {
    /// What `rules` come to.
    pub(super) fn of(key: &PortKey, rules: &PortRules, traffic: &LocalTraffic) -> Self {
        let mut items = Self::default();
        items.members.insert((SetName::ClusterIps, Key::Address(rules.cluster_ip)));
        items.members.extend(rules.loops.iter().map(|address| (SetName::HairpinEndpoints, Key::Loop(*address))));
        for front in rules.fronts.iter().filter(|front| !front.shadowed) {
            items.add_front(key, rules, front);
        }
        if rules.affinity.is_some() {
            items.add_affinity(key, rules, traffic);
        }
        if !rules.sources.is_empty() {
            let sources = in_family(&rules.sources, key.family);
            let rule = format!("{} saddr != {{ {sources} }} drop", key.family);
            items.chains.insert(firewall_chain(key), vec![rule]);
        }
        items
    }

    fn add_front(&mut self, key: &PortKey, rules: &PortRules, rule: &FrontRule) {
        let front = rule.front;
        let (open, closed) = match front.address {
            Some(_) => (SetName::ServiceIps, SetName::NoEndpointServices),
            None => (SetName::ServiceNodePorts, SetName::NoEndpointNodePorts),
        };
        let close = match rule.target {
            Target::Reject => Some(Value::Goto("reject-chain".to_owned())),
            Target::Drop => Some(Value::Drop),
            Target::External(Policy::Local) if rules.local.is_empty() => Some(Value::Drop),
            Target::Endpoints(_) | Target::External(_) => None,
        };
        self.elements.extend(close.map(|value| ((closed, Key::Front(front)), value)));
        let chain = match rules.affinity {
            Some(_) => affinity_chain(key, rule.target),
            None => self.shared_chain(rules, front, rule.target),
        };
        self.elements.extend(chain.map(|chain| ((open, Key::Front(front)), Value::Goto(chain))));
        if rule.firewalled {
            self.elements.insert((SetName::FirewallIps, Key::Front(front)), Value::Goto(firewall_chain(key)));
        }
    }

    /// The shared chain for a front, with the front's endpoints in the maps that it looks into.
    fn shared_chain(&mut self, rules: &PortRules, front: Front, target: Target) -> Option<String> {
        let policies: &[Policy] = match target {
            Target::Reject | Target::Drop => return None,
            Target::Endpoints(_) | Target::External(Policy::Cluster) => &[Policy::Cluster],
            Target::External(Policy::Local) => &[Policy::Cluster, Policy::Local],
        };
        let node_port = front.address.is_none();
        for policy in policies {
            let endpoints = match target {
                Target::Endpoints(policy) => rules.endpoints(policy),
                _ => rules.endpoints(*policy),
            };
            let map = match (node_port, policy) {
                (false, Policy::Cluster) => SetName::ServiceEndpoints,
                (false, Policy::Local) => SetName::ServiceLocalEndpoints,
                (true, Policy::Cluster) => SetName::NodePortEndpoints,
                (true, Policy::Local) => SetName::NodePortLocalEndpoints,
            };
            let numbered = endpoints.iter().enumerate();
            self.elements.extend(numbered.map(|(n, e)| ((map, Key::Slot(front, n)), Value::Endpoint(*e))));
        }
        let kind = match target {
            Target::Endpoints(policy) => Kind::Endpoints(rules.endpoints(policy).len()),
            Target::External(Policy::Local) => {
                Kind::ExternalLocal { cluster: rules.cluster.len(), local: rules.local.len() }
            }
            _ => Kind::External(rules.cluster.len()),
        };
        let shape = Shape { node_port, kind };
        self.shapes.extend(shape.next());
        self.shapes.insert(shape);
        Some(shape.name())
    }

    /// The chains of a port with session affinity: one for each policy, and one with a set of clients for each endpoint.
    fn add_affinity(&mut self, key: &PortKey, rules: &PortRules, traffic: &LocalTraffic) {
        for endpoint in rules.reachable() {
            let (chain, set) = endpoint_names(key, &endpoint);
            let note = format!("update @{set} {{ {} saddr }}", key.family);
            self.chains.insert(chain, vec![note, format!("meta l4proto {} dnat to {endpoint}", key.protocol)]);
            self.affinity_sets.extend(rules.affinity.map(|timeout| (set, timeout)));
        }
        for policy in [Policy::Cluster, Policy::Local] {
            let endpoints = rules.endpoints(policy);
            if !endpoints.is_empty() {
                self.chains.insert(policy_chain(key, policy), stay_or_draw(key, endpoints));
            }
        }
        let outside = rules.fronts.iter().find_map(|rule| match rule.target {
            Target::External(policy) => Some(policy),
            _ => None,
        });
        let cluster = policy_chain(key, Policy::Cluster);
        let local = (!rules.local.is_empty()).then(|| policy_chain(key, Policy::Local));
        let external = outside.map(|policy| match policy {
            Policy::Cluster => external(&cluster),
            Policy::Local => external_local(key.family, traffic, &cluster, local.as_deref()),
        });
        self.chains.extend(external.map(|rules| (external_chain(key), rules)));
    }
}

fn affinity_chain(key: &PortKey, target: Target) -> Option<String> {
    match target {
        Target::Reject | Target::Drop => None,
        Target::Endpoints(policy) => Some(policy_chain(key, policy)),
        Target::External(_) => Some(external_chain(key)),
    }
}

/// A client goes where it was before; a new one draws.
fn stay_or_draw(key: &PortKey, endpoints: &[SocketAddr]) -> Vec<String> {
    let names: Vec<(String, String)> = endpoints.iter().map(|endpoint| endpoint_names(key, endpoint)).collect();
    let mut rules: Vec<String> =
        names.iter().map(|(chain, set)| format!("{} saddr @{set} goto {chain}", key.family)).collect();
    let numbered = names.iter().enumerate().map(|(number, (chain, _))| format!("{number} : goto {chain}"));
    let numbered = numbered.collect::<Vec<_>>().join(", ");
    rules.push(format!("numgen random mod {} vmap {{ {numbered} }}", names.len()));
    rules
}
