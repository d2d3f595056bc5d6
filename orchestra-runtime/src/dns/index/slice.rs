//! What the endpoints of a Service lead to.

use std::{borrow::Cow, net::IpAddr};

use k8s_openapi::api::discovery::v1;

use super::Port;

/// The label by which an EndpointSlice names its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// The endpoints of an EndpointSlice that are ready.
#[derive(Debug)]
pub(in crate::dns) struct Slice {
    pub(in crate::dns) namespace: String,
    pub(in crate::dns) service: String,
    pub(super) name: String,
    pub(in crate::dns) ports: Vec<Port>,
    pub(in crate::dns) endpoints: Vec<Endpoint>,
}

/// One address of an endpoint.
#[derive(Debug)]
pub(in crate::dns) struct Endpoint {
    pub(in crate::dns) address: IpAddr,
    hostname: Option<String>,
}

impl Slice {
    /// `None` if it is no Service's.
    pub(super) fn of(slice: &v1::EndpointSlice) -> Option<Self> {
        let service = slice.metadata.labels.as_ref()?.get(SERVICE_NAME)?;
        let port = |port: &v1::EndpointPort| Port::new(port.name.as_deref(), port.protocol.as_deref(), port.port);
        let mut ports: Vec<Port> = slice.ports.iter().flatten().map(port).collect();
        if ports.is_empty() {
            ports.push(Port::absent());
        }
        let endpoints = slice.endpoints.iter().flatten();
        Some(Self {
            namespace: slice.metadata.namespace.clone()?,
            service: service.clone(),
            name: slice.metadata.name.clone()?,
            ports,
            endpoints: endpoints.filter(|endpoint| is_ready(endpoint)).flat_map(addresses).collect(),
        })
    }
}

/// Unknown is ready, as the API says. A Service with `publishNotReadyAddresses` has all its endpoints ready: their controller sees to it.
fn is_ready(endpoint: &v1::Endpoint) -> bool {
    endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
}

fn addresses(endpoint: &v1::Endpoint) -> impl Iterator<Item = Endpoint> {
    let addresses = endpoint.addresses.iter().filter_map(|address| address.parse().ok());
    addresses.map(|address| Endpoint { address, hostname: endpoint.hostname.clone().filter(|name| !name.is_empty()) })
}

impl Endpoint {
    /// Its label before the name of its service: its hostname, or else its address with dashes, as CoreDNS makes it.
    pub(in crate::dns) fn hostname(&self) -> Cow<'_, str> {
        match (&self.hostname, self.address) {
            (Some(hostname), _) => Cow::Borrowed(hostname),
            (None, IpAddr::V4(address)) => Cow::Owned(address.to_string().replace('.', "-")),
            (None, IpAddr::V6(address)) => {
                let mut label = address.to_string().replace(':', "-");
                // A label does not end with a dash.
                if label.ends_with('-') {
                    label.push('0');
                }
                Cow::Owned(label)
            }
        }
    }

    /// Whether `label`, in lower case, is its hostname.
    pub(in crate::dns) fn is_called(&self, label: &str) -> bool {
        self.hostname().eq_ignore_ascii_case(label)
    }
}
