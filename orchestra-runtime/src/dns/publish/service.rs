use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use serde_json::{Value, json};

use super::{NAME, NAMESPACE};
use crate::dns::DnsError;

/// The labels that kubeadm gives the Service; monitoring finds it by them.
const LABELS: [(&str, &str); 3] =
    [("k8s-app", "kube-dns"), ("kubernetes.io/cluster-service", "true"), ("kubernetes.io/name", "CoreDNS")];
const PORT: i32 = 53;
/// The names of its ports.
pub(super) const PORTS: [(&str, &str); 2] = [("dns", "UDP"), ("dns-tcp", "TCP")];
/// How far the address is from the first of the range: it is the tenth.
const OFFSET: u8 = 9;

/// The Service, with an address in the range whose first one `first` has.
pub(super) fn desired(first: &Service) -> Result<Service, DnsError> {
    let address = reserved(first)?;
    let metadata = ObjectMeta {
        namespace: Some(NAMESPACE.to_owned()),
        name: Some(NAME.to_owned()),
        labels: Some(labels()),
        ..ObjectMeta::default()
    };
    let spec = ServiceSpec { cluster_ip: Some(address.to_string()), ports: Some(ports()), ..ServiceSpec::default() };
    Ok(Service { metadata, spec: Some(spec), ..Service::default() })
}

/// The address that the Service is to have, in the range whose first one `first` has.
pub(super) fn reserved(first: &Service) -> Result<IpAddr, DnsError> {
    addresses(first).next().map(tenth).ok_or(DnsError::NoRange)
}

/// The addresses that a Service has.
pub(super) fn addresses(service: &Service) -> impl Iterator<Item = IpAddr> {
    service.spec.iter().flat_map(|spec| spec.cluster_ips.iter().flatten()).filter_map(|address| address.parse().ok())
}

fn labels() -> BTreeMap<String, String> {
    LABELS.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn ports() -> Vec<ServicePort> {
    let port = |(name, protocol): (&str, &str)| ServicePort {
        name: Some(name.to_owned()),
        port: PORT,
        protocol: Some(protocol.to_owned()),
        ..ServicePort::default()
    };
    PORTS.into_iter().map(port).collect()
}

fn tenth(first: IpAddr) -> IpAddr {
    match first {
        IpAddr::V4(first) => Ipv4Addr::from(u32::from(first).saturating_add(OFFSET.into())).into(),
        IpAddr::V6(first) => Ipv6Addr::from(u128::from(first).saturating_add(OFFSET.into())).into(),
    }
}

/// A patch that puts right what somebody changed; what else there is stays.
pub(super) fn repair(found: &Service) -> Option<Value> {
    let has =
        |(key, value): &(&str, &str)| found.metadata.labels.iter().any(|all| all.get(*key).is_some_and(|v| v == value));
    let found_ports: Vec<_> = found.spec.iter().flat_map(|spec| spec.ports.iter().flatten()).collect();
    let serves = |wanted: &ServicePort| {
        let same = |port: &&ServicePort| {
            (&port.name, port.port, &port.protocol) == (&wanted.name, wanted.port, &wanted.protocol)
        };
        found_ports.iter().any(same)
    };
    if !ports().iter().all(serves) {
        return Some(json!({"metadata": {"labels": labels()}, "spec": {"ports": ports()}}));
    }
    (!LABELS.iter().all(has)).then(|| json!({"metadata": {"labels": labels()}}))
}

/// What goes with the Service is owned by it.
pub(super) fn owner(service: &Service) -> OwnerReference {
    OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Service".to_owned(),
        name: NAME.to_owned(),
        uid: service.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}
