//! Answers that other servers give, or finish.

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, Record},
};

use super::{
    message::{MAX_UDP_REQUEST, Request, Transport},
    resolver::{Reply, Resolver},
};

/// A request that others are to be asked about.
#[derive(Debug)]
pub(super) struct Later {
    request: Request,
    /// Other names that led to what is to be asked; the client's own request is passed on if there is none.
    aliases: Vec<Record>,
    target: Name,
}

impl Resolver {
    pub(super) fn elsewhere(&self, request: Request, aliases: Vec<Record>, target: Option<Name>) -> Reply {
        if !self.forwarder.has_servers() && aliases.is_empty() {
            return Reply::Now(request.error(ResponseCode::Refused));
        }
        let target = target.unwrap_or_else(|| request.query.name().clone());
        Reply::Later(Box::new(Later { request, aliases, target }))
    }

    /// Answers what others are to be asked about; `bytes` is the request.
    pub(super) async fn ask(&self, later: Later, bytes: &[u8]) -> Vec<u8> {
        let Later { request, aliases, target } = later;
        let Ok(_permit) = self.forwarded.try_acquire() else {
            return request.error(ResponseCode::Refused);
        };
        if aliases.is_empty() {
            return self.passed_on(&request, bytes).await;
        }
        let asked = self.forwarder.has_servers();
        let mut message = request.reply(if asked { ResponseCode::ServFail } else { ResponseCode::NoError });
        message.metadata.authoritative = true;
        message.metadata.recursion_available = asked;
        message.answers = aliases;
        if let Some(answer) = self.about(Query::query(target, request.query.query_type())).await {
            message.metadata.response_code = answer.metadata.response_code;
            message.answers.extend(answer.answers);
            message.authorities = answer.authorities;
        }
        self.shuffle(&mut message.answers);
        request.encode(message)
    }

    /// Another server's answer to the client's own request.
    async fn passed_on(&self, request: &Request, bytes: &[u8]) -> Vec<u8> {
        match self.forwarder.ask(bytes, &request.query, request.transport).await {
            Some(mut answer) => {
                if let Some(id) = answer.get_mut(..2) {
                    id.copy_from_slice(&request.id().to_be_bytes());
                }
                answer
            }
            None => request.error(ResponseCode::ServFail),
        }
    }

    /// Another server's answer to a question of our own, the whole of it.
    async fn about(&self, query: Query) -> Option<Message> {
        let mut message = Message::new(0, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(query.clone());
        let mut edns = Edns::new();
        edns.set_max_payload(MAX_UDP_REQUEST);
        message.set_edns(edns);
        let bytes = message.to_vec().ok()?;
        let answer = self.forwarder.ask(&bytes, &query, Transport::Udp).await?;
        let answer = Message::from_vec(&answer).ok()?;
        if !answer.metadata.truncation {
            return Some(answer);
        }
        let answer = self.forwarder.ask(&bytes, &query, Transport::Tcp).await?;
        Message::from_vec(&answer).ok()
    }
}
