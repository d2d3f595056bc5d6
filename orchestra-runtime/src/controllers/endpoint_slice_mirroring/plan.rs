//! From Endpoints to the slices that tell the same: a pure function.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use k8s_openapi::{
    api::{
        core::v1::{EndpointAddress, EndpointSubset, Endpoints},
        discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::CONTROLLER_NAME;
use crate::controllers::{
    endpoint_slice::{MANAGED_BY, Plan, SERVICE_NAME, packing},
    ownership, service_pods,
};

/// The most addresses of a subset that are mirrored, and so of a slice.
const MAX_ADDRESSES: usize = 1000;
/// Annotations that are about the Endpoints object itself.
const OWN_ANNOTATIONS: [&str; 2] = [service_pods::TRIGGER_TIME, "kubectl.kubernetes.io/last-applied-configuration"];

/// What slices cannot tell of the Endpoints.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Left {
    /// Addresses that are none.
    pub(super) invalid: usize,
    /// Addresses beyond the limit of a subset.
    pub(super) too_many: usize,
}

type Group = (Vec<EndpointPort>, BTreeMap<packing::Identity, Endpoint>);

/// What is to be done with the `existing` mirrored slices, and what they leave out.
pub(super) fn plan(endpoints: &Endpoints, existing: &[Arc<EndpointSlice>]) -> (Plan, Left) {
    let (groups, left) = groups(endpoints);
    let (labels, annotations) = (labels(endpoints), annotations(endpoints));
    let mut by_ports: BTreeMap<(String, String), Vec<Arc<EndpointSlice>>> = BTreeMap::new();
    let mut plan = Plan::default();
    for slice in existing {
        let key = (slice.address_type.clone(), packing::port_key(slice.ports.as_deref().unwrap_or_default()));
        match is_owned(slice, endpoints) {
            true => by_ports.entry(key).or_default().push(Arc::clone(slice)),
            false => plan.delete.push(Arc::clone(slice)),
        }
    }
    for ((address_type, key), (ports, wanted)) in groups {
        let slices = by_ports.remove(&(address_type.to_owned(), key)).unwrap_or_default();
        let packed = packing::pack(&slices, wanted, &labels, MAX_ADDRESSES);
        plan.create.extend(packed.created.into_iter().map(|made| EndpointSlice {
            metadata: metadata(endpoints, &labels),
            address_type: address_type.to_owned(),
            endpoints: Some(made),
            ports: Some(ports.clone()),
        }));
        plan.update.extend(packed.updated);
        plan.delete.extend(packed.deleted);
        let other = packed.unchanged.iter().filter(|slice| slice.metadata.annotations != annotations);
        plan.update.extend(other.map(|slice| EndpointSlice::clone(slice)));
    }
    plan.delete.extend(by_ports.into_values().flatten());
    for slice in plan.create.iter_mut().chain(&mut plan.update) {
        slice.metadata.annotations.clone_from(&annotations);
    }
    (plan, left)
}

/// The endpoints by type of address and by ports.
fn groups(endpoints: &Endpoints) -> (BTreeMap<(&'static str, String), Group>, Left) {
    let (mut groups, mut left) = (BTreeMap::new(), Left::default());
    for subset in endpoints.subsets.iter().flatten() {
        let ports = ports(subset);
        let key = packing::port_key(&ports);
        let ready = subset.addresses.iter().flatten().map(|address| (address, true));
        let all = ready.chain(subset.not_ready_addresses.iter().flatten().map(|address| (address, false)));
        for (index, (address, ready)) in all.enumerate() {
            let Ok(ip) = address.ip.parse::<IpAddr>() else {
                left.invalid += 1;
                continue;
            };
            if index >= MAX_ADDRESSES {
                left.too_many += 1;
                continue;
            }
            let address_type = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
            let (_, wanted): &mut Group =
                groups.entry((address_type, key.clone())).or_insert_with(|| (ports.clone(), BTreeMap::new()));
            let endpoint = endpoint(address, ip, ready);
            wanted.insert(packing::identity(&endpoint), endpoint);
        }
    }
    (groups, left)
}

fn ports(subset: &EndpointSubset) -> Vec<EndpointPort> {
    let ports = subset.ports.iter().flatten().map(|port| EndpointPort {
        name: Some(port.name.clone().unwrap_or_default()),
        port: Some(port.port),
        protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
        app_protocol: port.app_protocol.clone(),
    });
    ports.collect()
}

fn endpoint(address: &EndpointAddress, ip: IpAddr, ready: bool) -> Endpoint {
    Endpoint {
        addresses: vec![ip.to_string()],
        conditions: Some(EndpointConditions { ready: Some(ready), ..EndpointConditions::default() }),
        target_ref: address.target_ref.clone(),
        node_name: address.node_name.clone(),
        hostname: address.hostname.clone().filter(|hostname| !hostname.is_empty()),
        ..Endpoint::default()
    }
}

fn metadata(endpoints: &Endpoints, labels: &BTreeMap<String, String>) -> ObjectMeta {
    ObjectMeta {
        generate_name: Some(format!("{}-", endpoints.metadata.name.as_deref().unwrap_or_default())),
        namespace: endpoints.metadata.namespace.clone(),
        labels: Some(labels.clone()),
        owner_references: Some(vec![ownership::controller_reference(endpoints)]),
        ..ObjectMeta::default()
    }
}

fn labels(endpoints: &Endpoints) -> BTreeMap<String, String> {
    let mut labels = endpoints.metadata.labels.clone().unwrap_or_default();
    labels.insert(SERVICE_NAME.to_owned(), endpoints.metadata.name.clone().unwrap_or_default());
    labels.insert(MANAGED_BY.to_owned(), CONTROLLER_NAME.to_owned());
    labels
}

fn annotations(endpoints: &Endpoints) -> Option<BTreeMap<String, String>> {
    let mut annotations = endpoints.metadata.annotations.clone()?;
    annotations.retain(|key, _| !OWN_ANNOTATIONS.contains(&key.as_str()));
    (!annotations.is_empty()).then_some(annotations)
}

fn is_owned(slice: &EndpointSlice, endpoints: &Endpoints) -> bool {
    let mut owners = slice.metadata.owner_references.iter().flatten();
    owners.any(|owner| owner.kind == "Endpoints" && Some(&owner.uid) == endpoints.metadata.uid.as_ref())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn endpoints(subsets: Value) -> Endpoints {
        let metadata = json!({
            "name": "db", "namespace": "default", "uid": "u", "labels": {"team": "a"},
            "annotations": {"note": "x", "kubectl.kubernetes.io/last-applied-configuration": "{}"},
        });
        serde_json::from_value(json!({"metadata": metadata, "subsets": subsets})).unwrap()
    }

    fn stored(plan: Plan) -> Vec<Arc<EndpointSlice>> {
        let named = plan.create.into_iter().enumerate().map(|(i, mut slice)| {
            slice.metadata.name = Some(format!("db-{i}"));
            Arc::new(slice)
        });
        named.collect()
    }

    #[test]
    fn each_family_and_set_of_ports_has_a_slice() {
        let given = endpoints(json!([
            {"addresses": [{"ip": "192.0.2.1", "hostname": "a"}, {"ip": "2001:db8::1"}], "notReadyAddresses": [{"ip": "192.0.2.2"}],
                "ports": [{"name": "sql", "port": 5432}]},
            {"addresses": [{"ip": "192.0.2.3"}], "ports": [{"port": 80, "protocol": "UDP"}]},
        ]));
        let (made, left) = plan(&given, &[]);
        assert_eq!((made.create.len(), left), (3, Left::default()));
        let slice = serde_json::to_value(&made.create[0]).unwrap();
        assert_eq!(slice["ports"], json!([{"name": "", "port": 80, "protocol": "UDP"}]));
        let slice = serde_json::to_value(&made.create[1]).unwrap();
        assert_eq!(
            slice["endpoints"],
            json!([
                {"addresses": ["192.0.2.1"], "conditions": {"ready": true}, "hostname": "a"},
                {"addresses": ["192.0.2.2"], "conditions": {"ready": false}},
            ])
        );
        assert_eq!(slice["metadata"]["annotations"], json!({"note": "x"}));
        assert_eq!(
            slice["metadata"]["labels"],
            json!({
                "team": "a", "kubernetes.io/service-name": "db",
                "endpointslice.kubernetes.io/managed-by": "endpointslicemirroring-controller.k8s.io",
            })
        );
        assert_eq!(made.create[2].address_type, "IPv6");
        let existing = stored(made);
        let (again, _) = plan(&given, &existing);
        assert_eq!((again.create.len(), again.update.len(), again.delete.len()), (0, 0, 0));
        let (emptied, _) = plan(&endpoints(json!([])), &existing);
        assert_eq!(emptied.delete.len(), 3);
    }

    #[test]
    fn annotations_follow() {
        let subsets = json!([{"addresses": [{"ip": "192.0.2.1"}], "ports": [{"port": 80}]}]);
        let mut given = endpoints(subsets);
        let existing = stored(plan(&given, &[]).0);
        given.metadata.annotations = None;
        let (plan, _) = plan(&given, &existing);
        assert_eq!((plan.update.len(), plan.update[0].metadata.annotations.clone()), (1, None));
    }

    #[test]
    fn what_cannot_be_mirrored_is_counted() {
        let ips: Vec<_> = (0..1002).map(|i| json!({"ip": format!("10.0.{}.{}", i / 250, i % 250)})).collect();
        let mut given = endpoints(json!([{"addresses": ips, "ports": [{"port": 80}]}]));
        let subset = &mut given.subsets.as_mut().unwrap()[0];
        subset.addresses.as_mut().unwrap()[3].ip = "x".to_owned();
        let (plan, left) = plan(&given, &[]);
        assert_eq!(left, Left { invalid: 1, too_many: 2 });
        assert_eq!(plan.create[0].endpoints.as_ref().unwrap().len(), 999);
    }
}
