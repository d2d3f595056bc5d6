//! From an address back to a name.

use std::{collections::BTreeSet, net::IpAddr};

use hickory_proto::{
    ProtoError,
    rr::{Name, RData, Record, rdata::PTR},
};

use super::Lookup;

impl Lookup<'_> {
    /// PTR records for a name below `in-addr.arpa` or `ip6.arpa`; none if nothing in the cluster has the address.
    pub(in crate::dns) fn names(&self, reverse: &Name) -> Result<Vec<Record>, ProtoError> {
        let Some(address) = address(reverse) else { return Ok(Vec::new()) };
        let record = |name| self.zone.record(reverse, RData::PTR(PTR(name)));
        if let Some(service) = self.index.services_at(address).next() {
            return Ok(vec![record(self.zone.join(&[&service.name, &service.namespace, "svc"])?)]);
        }
        let mut names = BTreeSet::new();
        for slice in self.index.slices_at(address) {
            for endpoint in slice.endpoints.iter().filter(|endpoint| endpoint.address == address) {
                names.insert(self.zone.join(&[&endpoint.hostname(), &slice.service, &slice.namespace, "svc"])?);
            }
        }
        Ok(names.into_iter().map(record).collect())
    }
}

/// The address that a name below `in-addr.arpa` or `ip6.arpa` is for, if it has all of its parts.
fn address(reverse: &Name) -> Option<IpAddr> {
    let network = reverse.parse_arpa_name().ok()?;
    (network.prefix_len() == network.max_prefix_len()).then(|| network.addr())
}
