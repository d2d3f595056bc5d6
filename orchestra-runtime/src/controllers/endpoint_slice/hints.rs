//! Hints by which proxies prefer endpoints that are near (`trafficDistribution`, KEP-4444 and KEP-3015).

use k8s_openapi::api::{
    core::v1::ServiceSpec,
    discovery::v1::{Endpoint, EndpointHints, ForNode, ForZone},
};

/// Whose traffic an endpoint is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Distribution {
    /// Everybody's.
    Cluster,
    /// That of its zone.
    SameZone,
    /// That of its node, then that of its zone.
    SameNode,
}

impl Distribution {
    /// What a Service asks for.
    pub(super) fn of(spec: &ServiceSpec) -> Self {
        match spec.traffic_distribution.as_deref() {
            Some("PreferClose" | "PreferSameZone") => Self::SameZone,
            Some("PreferSameNode") => Self::SameNode,
            _ => Self::Cluster,
        }
    }

    /// The hints of an endpoint. One that is not ready has none to begin with, and keeps what it has, as proxies do not look at them.
    fn hints(self, endpoint: &Endpoint) -> Option<EndpointHints> {
        if self == Self::Cluster {
            return None;
        }
        let ready = endpoint.conditions.as_ref().and_then(|conditions| conditions.ready);
        if ready != Some(true) {
            return endpoint.hints.clone();
        }
        let for_zones = endpoint.zone.clone().map(|name| vec![ForZone { name }]);
        let node = endpoint.node_name.clone().filter(|_| self == Self::SameNode);
        let for_nodes = node.map(|name| vec![ForNode { name }]);
        (for_zones.is_some() || for_nodes.is_some()).then_some(EndpointHints { for_nodes, for_zones })
    }

    /// Whether all of these have the right hints.
    pub(super) fn fits(self, endpoints: &[Endpoint]) -> bool {
        endpoints.iter().all(|endpoint| endpoint.hints == self.hints(endpoint))
    }

    /// Gives all of these the right hints.
    pub(super) fn apply(self, endpoints: &mut [Endpoint]) {
        for endpoint in endpoints {
            endpoint.hints = self.hints(endpoint);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn hinted(distribution: &str, ready: bool) -> Value {
        let spec = serde_json::from_value(json!({"trafficDistribution": distribution})).unwrap();
        let endpoint = json!({"addresses": ["10.0.0.1"], "conditions": {"ready": ready}, "nodeName": "n", "zone": "z"});
        let mut endpoints = [serde_json::from_value(endpoint).unwrap()];
        Distribution::of(&spec).apply(&mut endpoints);
        assert!(Distribution::of(&spec).fits(&endpoints));
        serde_json::to_value(&endpoints[0].hints).unwrap()
    }

    #[test]
    fn endpoints_are_for_their_zone_and_node() {
        assert_eq!(hinted("PreferClose", true), json!({"forZones": [{"name": "z"}]}));
        assert_eq!(hinted("PreferSameZone", true), json!({"forZones": [{"name": "z"}]}));
        assert_eq!(hinted("PreferSameNode", true), json!({"forZones": [{"name": "z"}], "forNodes": [{"name": "n"}]}));
        assert_eq!(hinted("PreferSameNode", false), Value::Null);
        assert_eq!(hinted("", true), Value::Null);
    }

    #[test]
    fn hints_that_are_no_longer_asked_for_go() {
        let hints = json!({"forZones": [{"name": "z"}]});
        let endpoint: Endpoint = serde_json::from_value(json!({"addresses": ["10.0.0.1"], "hints": hints})).unwrap();
        assert!(!Distribution::Cluster.fits(std::slice::from_ref(&endpoint)));
        let mut endpoints = [endpoint];
        Distribution::Cluster.apply(&mut endpoints);
        assert_eq!(endpoints[0].hints, None);
    }
}
