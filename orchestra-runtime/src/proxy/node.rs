use std::net::IpAddr;

use k8s_openapi::api::core::v1::Node;

use super::Family;

/// The label that names a node's zone.
const ZONE: &str = "topology.kubernetes.io/zone";

/// The node that rules are made for: what of it the choice of endpoints depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyNode {
    /// Its name: endpoints with this `nodeName` are local.
    pub name: String,
    /// Its zone, for topology hints.
    pub zone: Option<String>,
    /// Its addresses, the primary one of each family first.
    pub addresses: Vec<IpAddr>,
}

impl ProxyNode {
    /// A node of which no more than the name is known.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// The first address of `family`, which `--nodeport-addresses=primary` means.
    pub fn primary(&self, family: Family) -> Option<IpAddr> {
        self.addresses.iter().copied().find(|address| Family::of(*address) == family)
    }
}

/// Internal addresses come before external ones, as Kubernetes' components choose a node's address; host names say nothing.
impl From<&Node> for ProxyNode {
    fn from(node: &Node) -> Self {
        let told = node.status.iter().flat_map(|status| status.addresses.iter().flatten());
        let of_type = |wanted: &'static str| {
            told.clone().filter(move |told| told.type_ == wanted).filter_map(|told| told.address.parse().ok())
        };
        Self {
            name: node.metadata.name.clone().unwrap_or_default(),
            zone: node.metadata.labels.as_ref().and_then(|labels| labels.get(ZONE)).cloned(),
            addresses: of_type("InternalIP").chain(of_type("ExternalIP")).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_internal_address_of_a_family_is_primary() {
        let node: Node = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "a"}},
            "status": {"addresses": [
                {"type": "Hostname", "address": "n1"}, {"type": "ExternalIP", "address": "203.0.113.7"},
                {"type": "InternalIP", "address": "10.0.0.5"}, {"type": "InternalIP", "address": "10.0.0.6"},
                {"type": "ExternalIP", "address": "2001:db8::7"}, {"type": "InternalIP", "address": "soon"},
            ]},
        }))
        .unwrap();
        let node = ProxyNode::from(&node);
        assert_eq!((node.name.as_str(), node.zone.as_deref()), ("n1", Some("a")));
        assert_eq!(node.primary(Family::Ipv4), Some([10, 0, 0, 5].into()));
        assert_eq!(node.primary(Family::Ipv6), "2001:db8::7".parse().ok());
        assert_eq!(ProxyNode::named("n1").primary(Family::Ipv4), None);
    }
}
