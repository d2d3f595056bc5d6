//! A DNS client that sees everything.

use std::{net::SocketAddr, time::Duration};

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, Record, RecordType},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

/// No answer takes longer.
const LIMIT: Duration = Duration::from_secs(20);

pub(crate) fn question(name: &str, record_type: RecordType) -> Message {
    let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).expect("a name"), record_type));
    message
}

/// A question of a client that takes `size` bytes.
pub(crate) fn question_with_edns(name: &str, record_type: RecordType, size: u16) -> Message {
    let mut message = question(name, record_type);
    let mut edns = Edns::new();
    edns.set_max_payload(size);
    message.set_edns(edns);
    message
}

/// Sends bytes and returns the bytes that come back.
pub(crate) async fn exchange(server: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    socket.connect(server).await.expect("a server");
    socket.send(bytes).await.expect("it can be sent");
    let mut buffer = vec![0; 65_535];
    let length = timeout(LIMIT, socket.recv(&mut buffer)).await.expect("an answer in time").expect("an answer");
    buffer.truncate(length);
    buffer
}

pub(crate) async fn send(server: SocketAddr, message: &Message) -> Message {
    let bytes = exchange(server, &message.to_vec().expect("a message")).await;
    Message::from_vec(&bytes).expect("a message")
}

/// A connection, for one question after the other.
pub(crate) struct Connection(TcpStream);

impl Connection {
    pub(crate) async fn open(server: SocketAddr) -> Self {
        Self(TcpStream::connect(server).await.expect("a connection"))
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        let length = u16::try_from(bytes.len()).expect("no longer");
        self.0.write_all(&[&length.to_be_bytes(), bytes].concat()).await.expect("it can be sent");
    }

    pub(crate) async fn read(&mut self) -> Message {
        let length = timeout(LIMIT, self.0.read_u16()).await.expect("an answer in time").expect("an answer");
        let mut bytes = vec![0; length.into()];
        self.0.read_exact(&mut bytes).await.expect("all of it");
        Message::from_vec(&bytes).expect("a message")
    }

    /// Whether the server has no more to say.
    pub(crate) async fn has_ended(&mut self) -> bool {
        timeout(LIMIT, self.0.read_u16()).await.expect("in time").is_err()
    }

    pub(crate) async fn send(&mut self, message: &Message) -> Message {
        self.write(&message.to_vec().expect("a message")).await;
        self.read().await
    }
}

/// `code: name ttl type data`, one after the other, in alphabetical order.
pub(crate) fn summary(message: &Message) -> String {
    let mut answers: Vec<String> = message.answers.iter().map(text).collect();
    answers.sort_unstable();
    let code = match message.metadata.response_code {
        ResponseCode::NoError if answers.is_empty() => "NODATA".to_owned(),
        ResponseCode::NoError => String::new(),
        code => format!("{code:?} ").to_uppercase(),
    };
    format!("{code}{}", answers.join(", ")).trim_end().to_owned()
}

pub(crate) fn text(record: &Record) -> String {
    format!("{} {} {} {}", record.name, record.ttl, record.record_type(), record.data)
}
