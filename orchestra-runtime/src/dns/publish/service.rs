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

/// The labels that kubeadm gives the Service; monitoring finds it by them.
const LABELS: [(&str, &str); 3] =
    [("k8s-app", "kube-dns"), ("kubernetes.io/cluster-service", "true"), ("kubernetes.io/name", "CoreDNS")];
const PORT: i32 = 53;
/// The names of its ports.
pub(super) const PORTS: [(&str, &str); 2] = [("dns", "UDP"), ("dns-tcp", "TCP")];
/// How far the address is from the first of the range: it is the tenth.
const OFFSET: u8 = 9;

/// Why there is no Service.
#[derive(Debug, thiserror::Error)]
#[error("the Service default/kubernetes has no address, so the range of addresses is unknown")]
pub(super) struct NoRange;

/// The Service, with an address in the range whose first one `first` has.
pub(super) fn desired(first: &Service) -> Result<Service, NoRange> {
    let address = first.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()?.parse().ok()).ok_or(NoRange)?;
    let metadata = ObjectMeta {
        namespace: Some(NAMESPACE.to_owned()),
        name: Some(NAME.to_owned()),
        labels: Some(labels()),
        ..ObjectMeta::default()
    };
    let spec =
        ServiceSpec { cluster_ip: Some(tenth(address).to_string()), ports: Some(ports()), ..ServiceSpec::default() };
    Ok(Service { metadata, spec: Some(spec), ..Service::default() })
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
