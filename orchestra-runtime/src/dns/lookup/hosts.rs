//! What a name leads to, whatever type of record is asked for.

use std::{borrow::Cow, net::IpAddr};

use hickory_proto::rr::Name;

use super::{Part, Subject};
use crate::dns::index::{Index, Port, Service, ServiceKind};

/// What there is under a name that exists.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// Nothing but names that end with it.
    Nothing,
    Hosts(Vec<Host<'a>>),
    /// Another name.
    Alias(&'a Name),
}

/// An address with a port of a service or an endpoint.
#[derive(Debug)]
pub(super) struct Host<'a> {
    pub(super) address: IpAddr,
    pub(super) port: Option<u16>,
    /// The label of an endpoint before its service's name, where that is how it is called.
    pub(super) hostname: Option<Cow<'a, str>>,
}

impl Host<'_> {
    pub(super) fn at(address: IpAddr) -> Self {
        Self { address, port: None, hostname: None }
    }
}

/// `None` if the name is nothing's and no name ends with it.
pub(super) fn find<'a>(index: &'a Index, subject: &Subject<'_>) -> Option<Found<'a>> {
    match *subject {
        Subject::Apex | Subject::Branch | Subject::SchemaVersion | Subject::NameServer => Some(Found::Nothing),
        Subject::Namespace(namespace) => index.has_namespace(namespace).then_some(Found::Nothing),
        Subject::Pod { namespace, address } => {
            index.has_namespace(namespace).then(|| Some(Found::Hosts(vec![Host::at(address?)])))?
        }
        Subject::Service { namespace, service, part } => {
            let service = index.service(namespace, service).filter(|_| index.has_namespace(namespace))?;
            of_service(index, service, part)
        }
        Subject::Unknown => None,
    }
}

fn of_service<'a>(index: &'a Index, service: &'a Service, part: Part<'_>) -> Option<Found<'a>> {
    match (&service.kind, part) {
        // What is elsewhere has neither endpoints nor ports here.
        (ServiceKind::External(name), Part::Whole) => Some(Found::Alias(name)),
        (ServiceKind::External(_), _) => None,
        (ServiceKind::Cluster(addresses), Part::Whole | Part::Port { .. }) => {
            let ports: Vec<&Port> = service.ports.iter().filter(|port| matches(port, part)).collect();
            let host = |address| ports.iter().map(move |port| Host { address, port: port.number, hostname: None });
            (!ports.is_empty()).then(|| Found::Hosts(addresses.iter().copied().flat_map(host).collect()))
        }
        (ServiceKind::Headless, _) | (ServiceKind::Cluster(_), Part::Endpoint(_)) => {
            let hosts = endpoints(index, service, part);
            // The specification wants no such name where no endpoint is ready.
            (!hosts.is_empty()).then_some(Found::Hosts(hosts))
        }
    }
}

fn endpoints<'a>(index: &'a Index, service: &Service, part: Part<'_>) -> Vec<Host<'a>> {
    let mut hosts = Vec::new();
    for slice in index.slices(&service.namespace, &service.name) {
        for endpoint in &slice.endpoints {
            if let Part::Endpoint(label) = part
                && !endpoint.is_called(label)
            {
                continue;
            }
            hosts.extend(slice.ports.iter().filter(|port| matches(port, part)).map(|port| Host {
                address: endpoint.address,
                port: port.number,
                hostname: Some(endpoint.hostname()),
            }));
        }
    }
    hosts
}

fn matches(port: &Port, part: Part<'_>) -> bool {
    match part {
        Part::Whole | Part::Endpoint(_) => true,
        Part::Port { name, protocol } => port.name.eq_ignore_ascii_case(name) && port.protocol == protocol,
    }
}
