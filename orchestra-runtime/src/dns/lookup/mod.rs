//! The answer to a question: a pure function of what is in the cluster.

mod hosts;
mod records;
mod reverse;
mod subject;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use hickory_proto::{
    ProtoError,
    rr::{
        Name, RData, Record, RecordType,
        rdata::{CNAME, NS, TXT},
    },
};

use self::{
    hosts::{Found, Host, find},
    subject::{Part, Subject},
};
use super::{
    index::Index,
    zone::{SCHEMA_VERSION, SCHEMA_VERSION_TTL, Zone},
};

/// How many names in a row may be other names for something; CoreDNS' limit.
const MAX_ALIASES: usize = 10;

/// The answer to a question about the cluster.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    /// There is what is asked for.
    Records {
        answers: Vec<Record>,
        /// Addresses of what the answers name.
        additionals: Vec<Record>,
    },
    /// The name is there, but nothing of the type.
    NoData,
    /// The name is not there.
    NoName,
    /// The name is another one's, which is none of the cluster's: what that leads to is to be asked for elsewhere.
    Elsewhere { aliases: Vec<Record>, target: Name },
}

/// What questions are answered from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lookup<'a> {
    pub(super) zone: &'a Zone,
    pub(super) index: &'a Index,
    /// Where this server is reached.
    pub(super) own_addresses: &'a [IpAddr],
}

impl Lookup<'_> {
    /// Answers a question about a name in the zone. An error is a name that would be too long.
    pub(super) fn answer(&self, name: &Name, record_type: RecordType) -> Result<Answer, ProtoError> {
        let mut aliases = Vec::new();
        let mut name = name.clone();
        loop {
            let Some(labels) = self.zone.labels(&name) else {
                return Ok(Answer::Elsewhere { aliases, target: name });
            };
            let Some(target) = self.alias(&labels, record_type) else {
                return self.direct(&name, &labels, record_type).map(|answer| led_by(aliases, answer));
            };
            aliases.push(self.zone.record(&name, RData::CNAME(CNAME(target.clone()))));
            // In a circle, most likely.
            if aliases.len() > MAX_ALIASES {
                return Ok(Answer::NoData);
            }
            name = target.clone();
        }
    }

    /// The name that has to be asked for instead.
    fn alias(&self, labels: &[String], record_type: RecordType) -> Option<&Name> {
        match find(self.index, &Subject::of(labels)) {
            // As CoreDNS: SRV records of what is elsewhere are not followed.
            Some(Found::Alias(target)) if !matches!(record_type, RecordType::CNAME | RecordType::SRV) => Some(target),
            _ => None,
        }
    }

    fn direct(&self, name: &Name, labels: &[String], record_type: RecordType) -> Result<Answer, ProtoError> {
        let subject = Subject::of(labels);
        let answers = match (subject, record_type) {
            (Subject::Apex, RecordType::SOA) => vec![self.zone.start(self.index.serial())?],
            (Subject::Apex, RecordType::NS) => return self.name_server(name),
            (Subject::SchemaVersion, RecordType::TXT) => {
                let version = RData::TXT(TXT::new(vec![SCHEMA_VERSION.to_owned()]));
                vec![Record::from_rdata(name.clone(), SCHEMA_VERSION_TTL, version)]
            }
            (Subject::NameServer, _) => self.addresses(name, record_type, &self.name_servers()),
            _ => match find(self.index, &subject) {
                None => return Ok(Answer::NoName),
                Some(Found::Nothing) => Vec::new(),
                Some(Found::Alias(target)) if record_type == RecordType::CNAME => {
                    vec![self.zone.record(name, RData::CNAME(CNAME(target.clone())))]
                }
                Some(Found::Alias(_)) => Vec::new(),
                Some(Found::Hosts(hosts)) if record_type == RecordType::SRV => {
                    return self.services(name, labels, &hosts);
                }
                Some(Found::Hosts(hosts)) => self.addresses(name, record_type, &hosts),
            },
        };
        Ok(records(answers, Vec::new()))
    }

    fn name_server(&self, name: &Name) -> Result<Answer, ProtoError> {
        let server = self.zone.join(&["ns", "dns"])?;
        let addresses = self.name_servers().iter().map(|host| self.zone.address(&server, host.address)).collect();
        Ok(records(vec![self.zone.record(name, RData::NS(NS(server)))], addresses))
    }
}

fn records(answers: Vec<Record>, additionals: Vec<Record>) -> Answer {
    if answers.is_empty() { Answer::NoData } else { Answer::Records { answers, additionals } }
}

/// As CoreDNS, aliases that lead to nothing are not told of.
fn led_by(mut aliases: Vec<Record>, answer: Answer) -> Answer {
    match answer {
        Answer::Records { answers, additionals } => {
            aliases.extend(answers);
            Answer::Records { answers: aliases, additionals }
        }
        _ if !aliases.is_empty() => Answer::NoData,
        other => other,
    }
}
