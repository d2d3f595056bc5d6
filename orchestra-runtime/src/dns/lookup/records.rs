//! Records of hosts.

use std::collections::HashSet;

use hickory_proto::{
    ProtoError,
    rr::{Name, RData, Record, RecordType, rdata::SRV},
};

use super::{Answer, Host, Lookup, records};
use crate::dns::index::ServiceKind;

/// What the weights of a service's hosts are together, as CoreDNS has it: they are the same for all.
const WEIGHT: usize = 100;

impl Lookup<'_> {
    /// Each address of the family that `record_type` is for, once.
    pub(super) fn addresses(&self, name: &Name, record_type: RecordType, hosts: &[Host<'_>]) -> Vec<Record> {
        let mut seen = HashSet::new();
        let wanted = hosts.iter().filter(|host| match record_type {
            RecordType::A => host.address.is_ipv4(),
            RecordType::AAAA => host.address.is_ipv6(),
            _ => false,
        });
        let wanted = wanted.filter(|host| hosts.len() == 1 || seen.insert(host.address));
        wanted.map(|host| self.zone.address(name, host.address)).collect()
    }

    /// The ports of a service, or of its endpoints, and the addresses that they are at.
    pub(super) fn services(&self, name: &Name, labels: &[String], hosts: &[Host<'_>]) -> Result<Answer, ProtoError> {
        let weight = u16::try_from((WEIGHT / hosts.len().max(1)).max(1)).unwrap_or(1);
        let (mut seen_ports, mut seen_addresses) = (HashSet::new(), HashSet::new());
        let (mut answers, mut additionals) = (Vec::new(), Vec::new());
        for host in hosts {
            let Some(port) = host.port else { continue };
            let hostname = host.hostname.as_deref();
            let target = self.target(labels, hostname)?;
            if seen_ports.insert((hostname, port)) {
                answers.push(self.zone.record(name, RData::SRV(SRV::new(0, weight, port, target.clone()))));
            }
            if seen_addresses.insert((hostname, host.address)) {
                additionals.push(self.zone.address(&target, host.address));
            }
        }
        Ok(records(answers, additionals))
    }

    /// The name of a service, or of one of its endpoints, by the labels of a name that is asked for.
    fn target(&self, labels: &[String], hostname: Option<&str>) -> Result<Name, ProtoError> {
        let service = labels.iter().take(3).rev().map(String::as_str);
        self.zone.join(&hostname.into_iter().chain(service).collect::<Vec<_>>())
    }

    /// Where this server is reached: by the Services that have one of its own addresses as an endpoint, or else by these themselves.
    pub(super) fn name_servers(&self) -> Vec<Host<'static>> {
        let mut addresses = Vec::new();
        for slice in self.own_addresses.iter().flat_map(|address| self.index.slices_at(*address)) {
            match self.index.service(&slice.namespace, &slice.service).map(|service| &service.kind) {
                Some(ServiceKind::Cluster(own)) => addresses.extend_from_slice(own),
                Some(ServiceKind::Headless) => {
                    addresses.extend(slice.endpoints.iter().map(|endpoint| endpoint.address))
                }
                Some(ServiceKind::External(_)) | None => {}
            }
        }
        if addresses.is_empty() {
            addresses.extend_from_slice(self.own_addresses);
        }
        addresses.into_iter().map(Host::at).collect()
    }
}
