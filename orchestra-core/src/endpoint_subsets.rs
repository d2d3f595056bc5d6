//! The one form in which Endpoints list who serves what: addresses with the same ports together (`pkg/api/v1/endpoints`).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset};

/// What makes two addresses the same: the IP, and the uid of the object behind it, empty where none is named.
type AddressKey = (String, String);
type PortKey = (String, i32, String, Option<String>);
/// Who offers a port, and whether they are ready.
type Offering = BTreeMap<AddressKey, bool>;

/// Puts subsets into their one form: addresses that offer the same ports and are equally ready stand together, each once, sorted.
///
/// An address that is both ready and not ready for a port is not ready for it. The API server stores every Endpoints object so, and
/// whoever compares two of them compares these forms.
///
/// ```
/// use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset};
/// use orchestra_core::endpoint_subsets::repack;
///
/// let subset = |ip: &str, port| EndpointSubset {
///     addresses: Some(vec![EndpointAddress { ip: ip.to_owned(), ..EndpointAddress::default() }]),
///     ports: Some(vec![EndpointPort { port, ..EndpointPort::default() }]),
///     ..EndpointSubset::default()
/// };
/// let packed = repack(&[subset("10.0.0.2", 80), subset("10.0.0.1", 80)]);
/// let ips: Vec<_> = packed[0].addresses.iter().flatten().map(|address| &*address.ip).collect();
/// assert_eq!((packed.len(), ips), (1, vec!["10.0.0.1", "10.0.0.2"]));
/// ```
pub fn repack(subsets: &[EndpointSubset]) -> Vec<EndpointSubset> {
    let mut addresses: BTreeMap<AddressKey, EndpointAddress> = BTreeMap::new();
    // None stands for subsets without ports, as headless services may have them.
    let mut by_port: BTreeMap<Option<PortKey>, (Option<EndpointPort>, Offering)> = BTreeMap::new();
    for subset in subsets {
        let ports = subset.ports.iter().flatten().map(Some);
        let none = subset.ports.iter().flatten().next().is_none().then_some(None);
        for port in ports.chain(none) {
            let (_, offering) = by_port.entry(port.map(port_key)).or_insert_with(|| (port.cloned(), BTreeMap::new()));
            for (address, ready) in of_subset(subset) {
                let key = address_key(address);
                addresses.entry(key.clone()).or_insert_with(|| address.clone());
                offering.entry(key).and_modify(|before| *before &= ready).or_insert(ready);
            }
        }
    }
    let mut by_offer: BTreeMap<Vec<(AddressKey, bool)>, Vec<EndpointPort>> = BTreeMap::new();
    for (port, offering) in by_port.into_values().filter(|(_, offering)| !offering.is_empty()) {
        by_offer.entry(offering.into_iter().collect()).or_default().extend(port);
    }
    let some = |list: Vec<EndpointAddress>| (!list.is_empty()).then_some(list);
    let pick = |offering: &[(AddressKey, bool)], wanted: bool| {
        let picked = offering.iter().filter(|(_, ready)| *ready == wanted);
        some(picked.filter_map(|(key, _)| addresses.get(key).cloned()).collect())
    };
    let packed = by_offer.into_iter().map(|(offering, ports)| EndpointSubset {
        addresses: pick(&offering, true),
        not_ready_addresses: pick(&offering, false),
        ports: (!ports.is_empty()).then_some(ports),
    });
    packed.collect()
}

/// The addresses of a subset, each with whether it is ready.
fn of_subset(subset: &EndpointSubset) -> impl Iterator<Item = (&EndpointAddress, bool)> {
    let ready = subset.addresses.iter().flatten().map(|address| (address, true));
    ready.chain(subset.not_ready_addresses.iter().flatten().map(|address| (address, false)))
}

fn address_key(address: &EndpointAddress) -> AddressKey {
    let uid = address.target_ref.as_ref().and_then(|target| target.uid.clone());
    (address.ip.clone(), uid.unwrap_or_default())
}

fn port_key(port: &EndpointPort) -> PortKey {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    (text(&port.name), port.port, text(&port.protocol), port.app_protocol.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn packed(subsets: Value) -> Value {
        let subsets: Vec<EndpointSubset> = serde_json::from_value(subsets).unwrap();
        let once = repack(&subsets);
        assert_eq!(repack(&once), once, "packing twice changes something");
        serde_json::to_value(once).unwrap()
    }

    #[test]
    fn addresses_with_the_same_ports_stand_together() {
        let given = json!([
            {"addresses": [{"ip": "10.0.0.2"}], "ports": [{"name": "a", "port": 1}, {"name": "b", "port": 2}]},
            {"addresses": [{"ip": "10.0.0.1"}], "ports": [{"name": "b", "port": 2}]},
            {"addresses": [{"ip": "10.0.0.1"}], "ports": [{"name": "a", "port": 1}]},
        ]);
        assert_eq!(
            packed(given),
            json!([{
                "addresses": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}],
                "ports": [{"name": "a", "port": 1}, {"name": "b", "port": 2}],
            }])
        );
    }

    #[test]
    fn not_ready_outweighs_ready_port_by_port() {
        let given = json!([
            {"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 1}, {"port": 2}]},
            {"notReadyAddresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 1}]},
        ]);
        assert_eq!(
            packed(given),
            json!([
                {"notReadyAddresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 1}]},
                {"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 2}]},
            ])
        );
    }

    #[test]
    fn addresses_without_ports_are_kept_and_objects_of_one_ip_told_apart() {
        let target = |uid: &str| json!({"ip": "10.0.0.1", "targetRef": {"uid": uid}});
        let given = json!([{"addresses": [target("b"), target("a"), target("b")]}]);
        assert_eq!(packed(given), json!([{"addresses": [target("a"), target("b")]}]));
        assert_eq!(packed(json!([{"ports": [{"port": 1}]}])), json!([]));
    }
}
