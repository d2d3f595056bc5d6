//! Messages: what a request asks, and how an answer is made to fit.

use std::iter;

use hickory_proto::{
    op::{Edns, Header, Message, MessageType, Metadata, OpCode, Query, ResponseCode, emit_message_parts},
    rr::{DNSClass, Record},
    serialize::binary::{BinDecodable, BinDecoder, BinEncoder},
};

/// The largest message that is accepted by UDP, as what is sent with EDNS says: one that needs no fragments on any usual network.
pub(super) const MAX_UDP_REQUEST: u16 = 1_232;
/// What a client without EDNS takes (RFC 1035).
const MIN_UDP_ANSWER: u16 = 512;
/// The largest answer by UDP, whatever the client would take.
const MAX_UDP_ANSWER: u16 = 4_096;
/// How long an OPT record without options is.
const OPT_LENGTH: u16 = 11;

/// How a request came, and its answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

/// A request with one question, in the class of the Internet.
#[derive(Debug)]
pub(super) struct Request {
    metadata: Metadata,
    edns: Option<Edns>,
    pub(super) query: Query,
    pub(super) transport: Transport,
}

/// What is not answered as a question.
#[derive(Debug)]
pub(super) enum Rejected {
    /// It is no request, so that an answer might be one too: there is none.
    Ignored,
    /// It is refused with this message.
    Refused(Vec<u8>),
}

impl Request {
    pub(super) fn read(bytes: &[u8], transport: Transport) -> Result<Self, Rejected> {
        let mut decoder = BinDecoder::new(bytes);
        let header = Header::read(&mut decoder).map_err(|_| Rejected::Ignored)?;
        if header.metadata.message_type != MessageType::Query {
            return Err(Rejected::Ignored);
        }
        if header.metadata.op_code != OpCode::Query {
            return Err(refused(&header.metadata, ResponseCode::NotImp));
        }
        let Ok(message) = Message::from_vec(bytes) else {
            return Err(refused(&header.metadata, ResponseCode::FormErr));
        };
        let Message { metadata, mut queries, edns, .. } = message;
        let (Some(query), true) = (queries.pop(), queries.is_empty()) else {
            return Err(refused(&metadata, ResponseCode::FormErr));
        };
        let request = Self { metadata, edns, query, transport };
        if request.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
            return Err(Rejected::Refused(request.error(ResponseCode::BADVERS)));
        }
        if !matches!(request.query.query_class(), DNSClass::IN | DNSClass::ANY) {
            return Err(Rejected::Refused(request.error(ResponseCode::Refused)));
        }
        Ok(request)
    }

    /// The beginning of an answer.
    pub(super) fn reply(&self, code: ResponseCode) -> Message {
        let mut message = Message::new(self.metadata.id, MessageType::Response, OpCode::Query);
        message.metadata = Metadata::response_from_request(&self.metadata);
        message.metadata.response_code = code;
        message.add_query(self.query.clone());
        message.edns = self.edns.as_ref().map(own_edns);
        message
    }

    /// An answer that says no more than that it is none.
    pub(super) fn error(&self, code: ResponseCode) -> Vec<u8> {
        self.encode(self.reply(code))
    }

    pub(super) fn id(&self) -> u16 {
        self.metadata.id
    }

    /// As bytes, no longer than the client takes.
    pub(super) fn encode(&self, message: Message) -> Vec<u8> {
        encode(message, self.max_size())
    }

    fn max_size(&self) -> u16 {
        match (self.transport, &self.edns) {
            (Transport::Tcp, _) => u16::MAX,
            (Transport::Udp, Some(edns)) => edns.max_payload().clamp(MIN_UDP_ANSWER, MAX_UDP_ANSWER),
            (Transport::Udp, None) => MIN_UDP_ANSWER,
        }
    }
}

/// What this server can do, for one that says what it can (RFC 6891).
fn own_edns(theirs: &Edns) -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(MAX_UDP_REQUEST).set_dnssec_ok(theirs.flags().dnssec_ok);
    edns
}

fn refused(request: &Metadata, code: ResponseCode) -> Rejected {
    let mut message = Message::new(request.id, MessageType::Response, request.op_code);
    message.metadata = Metadata::response_from_request(request);
    message.metadata.response_code = code;
    Rejected::Refused(encode(message, MIN_UDP_ANSWER))
}

/// Leaves out what does not fit: first what is only helpful, then answers, which is told (RFC 2181, section 9).
fn encode(mut message: Message, max_size: u16) -> Vec<u8> {
    if let Some(bytes) = within(&message, max_size) {
        return bytes;
    }
    message.additionals.clear();
    if let Some(bytes) = within(&message, max_size) {
        return bytes;
    }
    shorten(&mut message, max_size);
    // What has no answers and no question but the client's own fits.
    within(&message, max_size).unwrap_or_default()
}

fn within(message: &Message, max_size: u16) -> Option<Vec<u8>> {
    message.to_vec().ok().filter(|bytes| bytes.len() <= usize::from(max_size))
}

/// Leaves as many answers as fit, with the sign that there are more.
fn shorten(message: &mut Message, max_size: u16) {
    let mut bytes = Vec::new();
    let mut encoder = BinEncoder::new(&mut bytes);
    encoder.set_max_size(max_size.saturating_sub(OPT_LENGTH));
    let written = emit_message_parts(
        &message.metadata,
        &mut message.queries.iter(),
        &mut message.answers.iter(),
        &mut iter::empty::<&Record>(),
        &mut iter::empty::<&Record>(),
        None,
        None,
        &mut encoder,
    );
    let count = written.map_or(0, |header| usize::from(header.counts.answers));
    message.answers.truncate(count);
    message.authorities.clear();
    message.metadata.truncation = true;
}
