//! What the slices of a Service should tell: its pods as endpoints, those with the same ports together.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use k8s_openapi::api::{
    core::v1::{ObjectReference, Pod, Service, ServiceSpec},
    discovery::v1::{Endpoint, EndpointConditions, EndpointPort},
};

use super::packing::{self, Identity};
use crate::lean_pod::LeanPod;
use crate::{
    controllers::{pod_state, service_pods},
    pods_by_node,
};

/// The families of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    /// The type of addresses of a slice.
    pub(super) fn address_type(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    fn has(self, address: IpAddr) -> bool {
        address.is_ipv4() == (self == Self::V4)
    }
}

/// The families of a Service: each has slices of its own.
pub(super) fn families(spec: &ServiceSpec) -> Vec<Family> {
    let said: Vec<&str> = spec.ip_families.iter().flatten().map(String::as_str).collect();
    let wanted = |family: Family| said.contains(&family.address_type());
    let known: Vec<Family> = [Family::V4, Family::V6].into_iter().filter(|family| wanted(*family)).collect();
    if !known.is_empty() {
        return known;
    }
    // An API server of before dual stack says none: the address tells, or the pods of a headless service may have either.
    match spec.cluster_ip.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok()) {
        Some(ip) if ip.is_ipv6() => vec![Family::V6],
        Some(_) => vec![Family::V4],
        None => vec![Family::V4, Family::V6],
    }
}

/// The endpoints that are reached at the same ports.
pub(super) struct Group {
    pub(super) ports: Vec<EndpointPort>,
    pub(super) endpoints: BTreeMap<Identity, Endpoint>,
}

/// The endpoints of one family by [`packing::port_key`]. `zone` tells in which zone a node is, if there is such a node at all.
pub(super) fn groups(
    service: &Service,
    spec: &ServiceSpec,
    pods: &[Arc<LeanPod>],
    family: Family,
    zone: impl Fn(&str) -> Option<Option<String>>,
) -> BTreeMap<String, Group> {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| service_pods::can_serve(pod, true)) {
        let ports = ports(spec, pod);
        let group =
            groups.entry(packing::port_key(&ports)).or_insert_with(|| Group { ports, endpoints: BTreeMap::new() });
        let zone = pods_by_node::node_of(pod).and_then(&zone);
        // A pod on a node that is gone will go too. Nobody is sent there, unless the Service asks for pods whatever their state.
        if zone.is_none() && !service_pods::publishes_not_ready(spec) {
            continue;
        }
        if let Some(endpoint) = endpoint(service, spec, pod, family, zone.flatten()) {
            group.endpoints.insert(packing::identity(&endpoint), endpoint);
        }
    }
    groups
}

/// A pod as an endpoint; none if it has no address of the family.
fn endpoint(
    service: &Service,
    spec: &ServiceSpec,
    pod: &Pod,
    family: Family,
    zone: Option<String>,
) -> Option<Endpoint> {
    let addresses = service_pods::addresses(pod).filter_map(|address| address.parse::<IpAddr>().ok());
    let addresses: Vec<String> =
        addresses.filter(|address| family.has(*address)).map(|address| address.to_string()).collect();
    if addresses.is_empty() {
        return None;
    }
    let serving = pod_state::is_ready(pod);
    let terminating = pod.metadata.deletion_timestamp.is_some();
    let ready = service_pods::publishes_not_ready(spec) || (serving && !terminating);
    Some(Endpoint {
        addresses,
        conditions: Some(EndpointConditions {
            ready: Some(ready),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        target_ref: Some(target(pod)),
        node_name: pods_by_node::node_of(pod).map(str::to_owned),
        zone,
        hostname: service_pods::hostname(pod, service),
        ..Endpoint::default()
    })
}

/// The reference to a pod that endpoints have.
fn target(pod: &Pod) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".to_owned()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

/// The ports of a Service as a pod has them; those whose name it does not have are left out.
fn ports(spec: &ServiceSpec, pod: &Pod) -> Vec<EndpointPort> {
    let ports = spec.ports.iter().flatten().filter_map(|port| {
        Some(EndpointPort {
            name: Some(port.name.clone().unwrap_or_default()),
            port: Some(service_pods::find_port(pod, port)?),
            protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
            app_protocol: port.app_protocol.clone(),
        })
    });
    ports.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn service(spec: Value) -> Service {
        serde_json::from_value(json!({"metadata": {"name": "web", "namespace": "default"}, "spec": spec})).unwrap()
    }

    fn pod(name: &str, ips: &[&str], port: i32) -> Arc<LeanPod> {
        let ips: Vec<_> = ips.iter().map(|ip| json!({"ip": ip})).collect();
        let ports = json!([{"name": "http", "containerPort": port, "protocol": "TCP"}]);
        let pod = json!({
            "metadata": {"name": name, "namespace": "default", "uid": name},
            "spec": {"nodeName": "n1", "containers": [{"name": "c", "ports": ports}]},
            "status": {"podIPs": ips, "conditions": [{"type": "Ready", "status": "True"}]},
        });
        Arc::new(serde_json::from_value::<Pod>(pod).unwrap().into())
    }

    fn of(service: &Service, pods: &[Arc<LeanPod>], family: Family) -> Vec<Group> {
        let zone = |node: &str| (node == "n1").then(|| Some("z".to_owned()));
        groups(service, service.spec.as_ref().unwrap(), pods, family, zone).into_values().collect()
    }

    #[test]
    fn an_endpoint_tells_where_the_pod_is_and_how_it_is() {
        let service = service(json!({"ports": [{"port": 80, "targetPort": "http"}]}));
        let groups = of(&service, &[pod("a", &["10.0.0.1", "fd00::1"], 8080)], Family::V4);
        let endpoint = serde_json::to_value(groups[0].endpoints.values().next()).unwrap();
        assert_eq!(
            endpoint,
            json!({
                "addresses": ["10.0.0.1"], "conditions": {"ready": true, "serving": true, "terminating": false},
                "nodeName": "n1", "zone": "z",
                "targetRef": {"kind": "Pod", "namespace": "default", "name": "a", "uid": "a"},
            })
        );
        let ports = serde_json::to_value(&groups[0].ports).unwrap();
        assert_eq!(ports, json!([{"name": "", "port": 8080, "protocol": "TCP"}]));
        let six = of(&service, &[pod("a", &["10.0.0.1", "FD00::1"], 8080)], Family::V6);
        assert_eq!(six[0].endpoints.values().next().unwrap().addresses, ["fd00::1"]);
    }

    #[test]
    fn pods_with_different_ports_are_of_different_groups() {
        let service = service(json!({"ports": [{"port": 80, "targetPort": "http"}]}));
        let pods = [pod("a", &["10.0.0.1"], 8080), pod("b", &["10.0.0.2"], 9090), pod("c", &["10.0.0.3"], 8080)];
        let mut sizes: Vec<_> = of(&service, &pods, Family::V4).iter().map(|group| group.endpoints.len()).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [1, 2]);
    }

    #[test]
    fn a_pod_that_goes_serves_until_it_ends_but_is_not_ready() {
        let service = service(json!({"ports": [{"port": 80, "targetPort": 80}]}));
        let mut leaving = Pod::clone(&pod("a", &["10.0.0.1"], 80));
        leaving.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        let groups = of(&service, &[Arc::new(leaving.into())], Family::V4);
        let conditions = groups[0].endpoints.values().next().unwrap().conditions.clone().unwrap();
        assert_eq!(
            (conditions.ready, conditions.serving, conditions.terminating),
            (Some(false), Some(true), Some(true))
        );
    }

    #[test]
    fn pods_of_nodes_that_are_gone_are_left_out_unless_asked_for() {
        let mut lost = Pod::clone(&pod("a", &["10.0.0.1"], 80));
        lost.spec.as_mut().unwrap().node_name = Some("gone".to_owned());
        let lost = [Arc::new(LeanPod::from(lost))];
        let counted = |spec: Value| of(&service(spec), &lost, Family::V4)[0].endpoints.len();
        assert_eq!(counted(json!({"ports": [{"port": 80}]})), 0);
        assert_eq!(counted(json!({"ports": [{"port": 80}], "publishNotReadyAddresses": true})), 1);
    }

    #[test]
    fn families_are_those_of_the_service() {
        let of = |spec: Value| families(service(spec).spec.as_ref().unwrap());
        assert_eq!(of(json!({"ipFamilies": ["IPv6", "IPv4"]})), [Family::V4, Family::V6]);
        assert_eq!(of(json!({"clusterIP": "fd00::a"})), [Family::V6]);
        assert_eq!(of(json!({"clusterIP": "None"})), [Family::V4, Family::V6]);
    }
}
