//! From a request to its answer.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicBool, Ordering},
};

use hickory_proto::{
    ProtoError,
    op::{Query, ResponseCode},
    rr::{Record, RecordType},
};
use orchestra_core::random::Generator;
use parking_lot::RwLock;
use tokio::sync::Semaphore;

use super::{
    elsewhere::Later,
    forward::Forwarder,
    index::Index,
    lookup::{Answer, Lookup},
    message::{Rejected, Request, Transport},
    zone::Zone,
};

/// How many questions may wait for other servers' answers, as in CoreDNS' configuration by kubeadm.
const MAX_FORWARDED: usize = 1_000;

/// Answers requests.
#[derive(Debug)]
pub(super) struct Resolver {
    /// The cluster's domain.
    pub(super) zone: Zone,
    /// `in-addr.arpa` and `ip6.arpa`.
    pub(super) reverse: Vec<Zone>,
    pub(super) index: RwLock<Index>,
    /// Whether the index has all that there is.
    pub(super) synced: AtomicBool,
    pub(super) own_addresses: Vec<IpAddr>,
    pub(super) forwarder: Forwarder,
    pub(super) generator: Generator,
    /// Room for those who wait for other servers.
    pub(super) forwarded: Semaphore,
}

/// What becomes of a request.
#[derive(Debug)]
pub(super) enum Reply {
    /// It is answered.
    Now(Vec<u8>),
    /// It is not.
    Never,
    /// Others are to be asked.
    Later(Box<Later>),
}

impl Resolver {
    pub(super) fn new(
        zone: Zone,
        reverse: Vec<Zone>,
        own_addresses: Vec<IpAddr>,
        forwarder: Forwarder,
        generator: Generator,
    ) -> Self {
        Self {
            zone,
            reverse,
            index: RwLock::default(),
            synced: AtomicBool::new(false),
            own_addresses,
            forwarder,
            generator,
            forwarded: Semaphore::new(MAX_FORWARDED),
        }
    }

    /// Answers a request if the cluster's state is all that it takes.
    pub(super) fn reply(&self, bytes: &[u8], transport: Transport) -> Reply {
        let request = match Request::read(bytes, transport) {
            Ok(request) => request,
            Err(Rejected::Ignored) => return Reply::Never,
            Err(Rejected::Refused(message)) => return Reply::Now(message),
        };
        let (name, record_type) = (request.query.name(), request.query.query_type());
        if matches!(record_type, RecordType::AXFR | RecordType::IXFR) {
            return Reply::Now(request.error(ResponseCode::Refused));
        }
        let zone = [&self.zone].into_iter().chain(&self.reverse).find(|zone| zone.holds(name));
        let Some(zone) = zone else { return self.elsewhere(request, Vec::new(), None) };
        if !self.synced.load(Ordering::Acquire) {
            // As CoreDNS: what is not known yet is not said not to be.
            return Reply::Now(request.error(ResponseCode::ServFail));
        }
        self.in_zone(request, zone)
    }

    fn in_zone(&self, request: Request, zone: &Zone) -> Reply {
        match self.look_up(&request.query, zone) {
            Ok(Answer::Elsewhere { aliases, target }) => self.elsewhere(request, aliases, Some(target)),
            Ok(Answer::NoName) if *zone != self.zone && self.forwarder.has_servers() => {
                self.elsewhere(request, Vec::new(), None)
            }
            Ok(answer) => Reply::Now(self.tell(&request, zone, answer)),
            // A name in an answer would be too long.
            Err(_) => Reply::Now(request.error(ResponseCode::ServFail)),
        }
    }

    fn look_up(&self, query: &Query, zone: &Zone) -> Result<Answer, ProtoError> {
        let index = self.index.read();
        let lookup = Lookup { zone: &self.zone, index: &index, own_addresses: &self.own_addresses };
        if *zone == self.zone {
            return lookup.answer(query.name(), query.query_type());
        }
        let names = lookup.names(query.name())?;
        Ok(match (names.is_empty(), query.query_type()) {
            (true, _) => Answer::NoName,
            (false, RecordType::PTR) => Answer::Records { answers: names, additionals: Vec::new() },
            (false, _) => Answer::NoData,
        })
    }

    fn tell(&self, request: &Request, zone: &Zone, answer: Answer) -> Vec<u8> {
        let code = if answer == Answer::NoName { ResponseCode::NXDomain } else { ResponseCode::NoError };
        let mut message = request.reply(code);
        message.metadata.authoritative = true;
        message.metadata.recursion_available = self.forwarder.has_servers();
        match answer {
            Answer::Records { answers, additionals } => {
                message.answers = answers;
                message.additionals = additionals;
                self.shuffle(&mut message.answers);
            }
            // With how long it may be remembered that there is nothing (RFC 2308).
            _ => message.authorities.extend(zone.start(self.index.read().serial())),
        }
        request.encode(message)
    }

    /// Puts addresses in any order, so that clients that take the first spread over all; other names stay before them.
    pub(super) fn shuffle(&self, records: &mut [Record]) {
        let is_address = |record: &Record| matches!(record.record_type(), RecordType::A | RecordType::AAAA);
        let first = records.iter().position(is_address).unwrap_or(records.len());
        let Some(addresses) = records.get_mut(first..) else { return };
        for last in (1..addresses.len()).rev() {
            addresses.swap(last, self.generator.below(last as u64 + 1) as usize);
        }
    }
}
