//! What the Endpoints of a Service should tell.

use std::{net::IpAddr, sync::Arc};

use k8s_openapi::api::core::v1::{
    EndpointAddress, EndpointPort, EndpointSubset, ObjectReference, Pod, Service, ServiceSpec,
};
use orchestra_core::endpoint_subsets::repack;

use crate::lean_pod::LeanPod;
use crate::{
    controllers::{pod_state, service_pods},
    pods_by_node,
};

/// The most addresses of an Endpoints object; slices have no such limit.
const MAX_ADDRESSES: usize = 1000;

/// The subsets, and whether there are more addresses than they may hold.
pub(super) fn of(service: &Service, spec: &ServiceSpec, pods: &[Arc<LeanPod>]) -> (Vec<EndpointSubset>, bool) {
    let include_terminating = service_pods::publishes_not_ready(spec);
    let mut subsets = Vec::new();
    for pod in pods.iter().filter(|pod| service_pods::can_serve(pod, include_terminating)) {
        let Some(address) = address(service, spec, pod) else { continue };
        let ready = service_pods::publishes_not_ready(spec) || pod_state::is_ready(pod);
        let subset = |ports: Option<Vec<EndpointPort>>| {
            let addresses = Some(vec![address.clone()]);
            match ready {
                true => EndpointSubset { addresses, ports, ..EndpointSubset::default() },
                false => EndpointSubset { not_ready_addresses: addresses, ports, ..EndpointSubset::default() },
            }
        };
        if spec.ports.iter().flatten().next().is_none() {
            if spec.cluster_ip.as_deref() == Some("None") {
                subsets.push(subset(None));
            }
            continue;
        }
        subsets.extend(spec.ports.iter().flatten().filter_map(|port| {
            let number = service_pods::find_port(pod, port)?;
            let (name, protocol, app_protocol) = (port.name.clone(), port.protocol.clone(), port.app_protocol.clone());
            let name = name.filter(|name| !name.is_empty());
            let protocol = Some(protocol.unwrap_or_else(|| "TCP".to_owned()));
            Some(subset(Some(vec![EndpointPort { name, port: number, protocol, app_protocol }])))
        }));
    }
    let mut subsets = repack(&subsets);
    let truncated = truncate(&mut subsets, MAX_ADDRESSES);
    (subsets, truncated)
}

/// The address of a pod, of the first family of the Service; none if it has none of that family.
fn address(service: &Service, spec: &ServiceSpec, pod: &Pod) -> Option<EndpointAddress> {
    let mut addresses = service_pods::addresses(pod).filter_map(|address| address.parse::<IpAddr>().ok());
    let cluster_ip = spec.cluster_ip.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok());
    let is_ipv6 = match spec.ip_families.iter().flatten().next() {
        Some(family) => Some(family == "IPv6"),
        None => cluster_ip.map(|ip| ip.is_ipv6()),
    };
    let ip = addresses.find(|address| is_ipv6.is_none_or(|six| address.is_ipv6() == six))?;
    Some(EndpointAddress {
        ip: ip.to_string(),
        hostname: service_pods::hostname(pod, service),
        node_name: pods_by_node::node_of(pod).map(str::to_owned),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".to_owned()),
            namespace: pod.metadata.namespace.clone(),
            name: pod.metadata.name.clone(),
            uid: pod.metadata.uid.clone(),
            ..ObjectReference::default()
        }),
    })
}

/// Leaves `max` addresses at most, ready ones before others, each subset's share of them; whether any had to go.
fn truncate(subsets: &mut [EndpointSubset], max: usize) -> bool {
    let count = |list: &Option<Vec<EndpointAddress>>| list.as_ref().map_or(0, Vec::len);
    let ready: usize = subsets.iter().map(|subset| count(&subset.addresses)).sum();
    let not_ready: usize = subsets.iter().map(|subset| count(&subset.not_ready_addresses)).sum();
    if ready + not_ready <= max {
        return false;
    }
    let cut_ready = ready > max;
    let (total, room) = if cut_ready { (ready, max) } else { (not_ready, max - ready) };
    let mut left = room;
    for subset in subsets {
        let list = if cut_ready { &mut subset.addresses } else { &mut subset.not_ready_addresses };
        if let Some(addresses) = list {
            // Shares are rounded up, so that the last subset may get less.
            let share = (addresses.len() * room).div_ceil(total).min(left);
            addresses.truncate(share);
            left -= addresses.len();
        }
        list.take_if(|addresses| addresses.is_empty());
        if cut_ready {
            subset.not_ready_addresses = None;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn service(spec: Value) -> Service {
        serde_json::from_value(json!({"metadata": {"name": "web", "namespace": "default"}, "spec": spec})).unwrap()
    }

    fn pod(name: &str, ip: &str, ready: bool) -> Arc<LeanPod> {
        let ready = if ready { "True" } else { "False" };
        let pod = json!({
            "metadata": {"name": name, "namespace": "default", "uid": name},
            "spec": {"nodeName": "n1", "containers": []},
            "status": {"podIPs": [{"ip": ip}], "conditions": [{"type": "Ready", "status": ready}]},
        });
        Arc::new(serde_json::from_value::<Pod>(pod).unwrap().into())
    }

    fn told(spec: Value, pods: &[Arc<LeanPod>]) -> Value {
        let service = service(spec);
        serde_json::to_value(of(&service, service.spec.as_ref().unwrap(), pods).0).unwrap()
    }

    fn address(name: &str, ip: &str) -> Value {
        json!({"ip": ip, "nodeName": "n1",
            "targetRef": {"kind": "Pod", "namespace": "default", "name": name, "uid": name}})
    }

    #[test]
    fn ready_pods_and_others_stand_apart() {
        let pods = [pod("a", "10.0.0.1", true), pod("b", "10.0.0.2", false)];
        let ports = json!([{"port": 80, "protocol": "TCP"}]);
        assert_eq!(
            told(json!({"ports": [{"port": 80}]}), &pods),
            json!([{"addresses": [address("a", "10.0.0.1")], "notReadyAddresses": [address("b", "10.0.0.2")], "ports": ports}])
        );
        assert_eq!(
            told(json!({"ports": [{"port": 80}], "publishNotReadyAddresses": true}), &pods),
            json!([{"addresses": [address("a", "10.0.0.1"), address("b", "10.0.0.2")], "ports": ports}])
        );
    }

    #[test]
    fn a_headless_service_needs_no_ports() {
        let pods = [pod("a", "10.0.0.1", true)];
        assert_eq!(told(json!({"clusterIP": "None"}), &pods), json!([{"addresses": [address("a", "10.0.0.1")]}]));
        assert_eq!(told(json!({"clusterIP": "None", "ipFamilies": ["IPv6"]}), &pods), json!([]));
    }

    #[test]
    fn more_than_fit_are_cut_off_in_proportion_and_not_ready_ones_first() {
        let addresses = |count: usize| -> Option<Vec<EndpointAddress>> {
            let one = |i: usize| EndpointAddress { ip: format!("10.0.0.{i}"), ..EndpointAddress::default() };
            (count > 0).then(|| (0..count).map(one).collect())
        };
        let counts = |given: &[(usize, usize)], max| {
            let subset = |(ready, not_ready): &(usize, usize)| EndpointSubset {
                addresses: addresses(*ready),
                not_ready_addresses: addresses(*not_ready),
                ports: None,
            };
            let mut subsets: Vec<_> = given.iter().map(subset).collect();
            let cut = truncate(&mut subsets, max);
            let count = |list: &Option<Vec<EndpointAddress>>| list.as_ref().map_or(0, Vec::len);
            let counts: Vec<_> = subsets.iter().map(|s| (count(&s.addresses), count(&s.not_ready_addresses))).collect();
            (counts, cut)
        };
        assert_eq!(counts(&[(5, 3), (2, 0)], 10), (vec![(5, 3), (2, 0)], false));
        assert_eq!(counts(&[(5, 4), (2, 2)], 10), (vec![(5, 2), (2, 1)], true));
        assert_eq!(counts(&[(9, 4), (3, 2)], 10), (vec![(8, 0), (2, 0)], true));
    }
}
