//! What the names of a Service lead to.

use std::net::IpAddr;

use hickory_proto::rr::Name;
use k8s_openapi::api::core::v1;

/// A Service, as far as DNS is concerned.
#[derive(Debug)]
pub(in crate::dns) struct Service {
    pub(in crate::dns) namespace: String,
    pub(in crate::dns) name: String,
    pub(in crate::dns) kind: ServiceKind,
    pub(in crate::dns) ports: Vec<Port>,
}

#[derive(Debug)]
pub(in crate::dns) enum ServiceKind {
    /// Its addresses are its own, of one family or of both.
    Cluster(Vec<IpAddr>),
    /// Its addresses are its endpoints'.
    Headless,
    /// It is another name for something else.
    External(Name),
}

/// A port, of a service or of its endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::dns) struct Port {
    /// Empty if it has none. Kubernetes lets port names be lower case only.
    pub(in crate::dns) name: String,
    /// In lower case, as in `_tcp`.
    pub(in crate::dns) protocol: String,
    /// `None` where there is no port at all: addresses are found, SRV records are not.
    pub(in crate::dns) number: Option<u16>,
}

impl Port {
    pub(super) fn new(name: Option<&str>, protocol: Option<&str>, number: Option<i32>) -> Self {
        Self {
            name: name.unwrap_or_default().to_owned(),
            protocol: protocol.unwrap_or("TCP").to_ascii_lowercase(),
            number: number.and_then(|number| u16::try_from(number).ok()),
        }
    }

    /// The port of those that have none.
    pub(super) fn absent() -> Self {
        Self { name: String::new(), protocol: String::new(), number: None }
    }
}

impl Service {
    /// `None` if no name leads to it: an external name that is none.
    pub(super) fn of(service: &v1::Service) -> Option<Self> {
        let spec = service.spec.as_ref()?;
        let port = |port: &v1::ServicePort| Port::new(port.name.as_deref(), port.protocol.as_deref(), Some(port.port));
        let mut ports: Vec<Port> = spec.ports.iter().flatten().map(port).collect();
        if ports.is_empty() {
            ports.push(Port::absent());
        }
        Some(Self {
            namespace: service.metadata.namespace.clone()?,
            name: service.metadata.name.clone()?,
            kind: ServiceKind::of(spec)?,
            ports,
        })
    }

    /// Its own addresses.
    pub(super) fn addresses(&self) -> &[IpAddr] {
        match &self.kind {
            ServiceKind::Cluster(addresses) => addresses,
            ServiceKind::Headless | ServiceKind::External(_) => &[],
        }
    }
}

impl ServiceKind {
    fn of(spec: &v1::ServiceSpec) -> Option<Self> {
        if spec.type_.as_deref() == Some("ExternalName") {
            return external_name(spec.external_name.as_deref()?).map(Self::External);
        }
        let addresses = match spec.cluster_ips.as_deref() {
            Some(addresses) if !addresses.is_empty() => addresses,
            _ => spec.cluster_ip.as_slice(),
        };
        if addresses.iter().any(|address| address == "None") {
            return Some(Self::Headless);
        }
        Some(Self::Cluster(addresses.iter().filter_map(|address| address.parse().ok()).collect()))
    }
}

/// An address is no name, and CoreDNS does not let it pass for one.
fn external_name(name: &str) -> Option<Name> {
    if name.parse::<IpAddr>().is_ok() {
        return None;
    }
    let mut name = Name::from_ascii(name).ok()?;
    name.set_fqdn(true);
    Some(name)
}
