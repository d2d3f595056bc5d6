//! One question to one server.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use hickory_proto::{
    op::{Header, MessageType, Query},
    serialize::binary::{BinDecodable, BinDecoder},
};
use tokio::net::{TcpStream, UdpSocket};

use crate::dns::{
    message::Transport,
    server::{read_message, write_message},
};

/// No answer by UDP is longer.
const MAX_UDP: usize = 65_535;

/// Sends `request` and waits for the message that answers it: one with its id and its question, which others can only guess.
pub(super) async fn exchange(
    request: &[u8],
    query: &Query,
    server: SocketAddr,
    transport: Transport,
) -> io::Result<Vec<u8>> {
    match transport {
        Transport::Udp => by_udp(request, query, server).await,
        Transport::Tcp => by_tcp(request, query, server).await,
    }
}

async fn by_udp(request: &[u8], query: &Query, server: SocketAddr) -> io::Result<Vec<u8>> {
    // A socket of its own: its port is one more thing to guess.
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(request).await?;
    let mut buffer = vec![0; MAX_UDP];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let answer = buffer.get(..length).unwrap_or_default();
        if answers(answer, request, query) {
            return Ok(answer.to_vec());
        }
    }
}

async fn by_tcp(request: &[u8], query: &Query, server: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    write_message(&mut stream, request).await?;
    let answer = read_message(&mut stream).await?;
    if answers(&answer, request, query) {
        Ok(answer)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is to another question"))
    }
}

fn answers(answer: &[u8], request: &[u8], query: &Query) -> bool {
    let mut decoder = BinDecoder::new(answer);
    let Ok(header) = Header::read(&mut decoder) else { return false };
    let asked = header.counts.queries == 0 || Query::read(&mut decoder).is_ok_and(|question| question == *query);
    answer.get(..2) == request.get(..2) && header.metadata.message_type == MessageType::Response && asked
}
