//! The cluster's domain, and the records that are the same whatever is in the cluster.

use std::{fmt, net::IpAddr};

use hickory_proto::{
    ProtoError,
    rr::{
        Name, RData, Record,
        rdata::{A, AAAA, SOA},
    },
};

/// The version of Kubernetes' specification that is followed.
pub(super) const SCHEMA_VERSION: &str = "1.1.0";
/// How long that may be kept, as in the specification's example.
pub(super) const SCHEMA_VERSION_TTL: u32 = 28_800;
/// CoreDNS' limit for how long the start of a zone may be kept.
const MAX_SOA_TTL: u32 = 300;
/// Times, in seconds, for secondary servers, of which there are none: CoreDNS'.
const REFRESH: i32 = 7_200;
const RETRY: i32 = 1_800;
const EXPIRE: i32 = 86_400;

/// A domain that this server speaks for: the cluster's, or one of those that addresses lead back by.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Zone {
    pub(super) name: Name,
    /// How long its records may be kept, in seconds.
    pub(super) ttl: u32,
}

impl Zone {
    /// The labels of `name` before this zone's, last first, in lower case; `None` if it is not in this zone or not ASCII.
    pub(super) fn labels(&self, name: &Name) -> Option<Vec<String>> {
        let mut labels = name.iter().rev();
        for own in self.name.iter().rev() {
            labels.next().filter(|label| label.eq_ignore_ascii_case(own))?;
        }
        Some(labels.map(|label| String::from_utf8_lossy(label).to_ascii_lowercase()).collect())
    }

    /// Whether `name` is in it.
    pub(super) fn holds(&self, name: &Name) -> bool {
        self.name.zone_of(name)
    }

    /// A name in it: `labels` before its own, first first.
    pub(super) fn join(&self, labels: &[&str]) -> Result<Name, ProtoError> {
        // As bytes: text would be taken for internationalised names.
        Name::from_labels(labels.iter().map(|label| label.as_bytes()))?.append_name(&self.name)
    }

    pub(super) fn record(&self, name: &Name, data: RData) -> Record {
        Record::from_rdata(name.clone(), self.ttl, data)
    }

    /// An A or AAAA record.
    pub(super) fn address(&self, name: &Name, address: IpAddr) -> Record {
        let data = match address {
            IpAddr::V4(address) => RData::A(A(address)),
            IpAddr::V6(address) => RData::AAAA(AAAA(address)),
        };
        self.record(name, data)
    }

    /// The start of the zone. It goes with each answer that something is not there, for as long as that may be kept (RFC 2308).
    pub(super) fn start(&self, serial: u32) -> Result<Record, ProtoError> {
        let (server, mailbox) = (self.join(&["ns", "dns"])?, self.join(&["hostmaster"])?);
        let soa = SOA::new(server, mailbox, serial, REFRESH, RETRY, EXPIRE, self.ttl);
        Ok(Record::from_rdata(self.name.clone(), self.ttl.min(MAX_SOA_TTL), RData::SOA(soa)))
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zone").field("name", &self.name.to_ascii()).field("ttl", &self.ttl).finish()
    }
}
