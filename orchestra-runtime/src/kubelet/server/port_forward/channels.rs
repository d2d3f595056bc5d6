//! Port forwarding over WebSocket (`websocket.go` of the kubelet): two channels for each port, one for data and one for errors. Each port is
//! good for one connection.

use axum::extract::ws::WebSocket;
use futures::future;
use tokio::io::{AsyncWriteExt, DuplexStream, copy_bidirectional, join};

use super::{Query, Refusal, Target};
use crate::kubelet::server::web_socket::{self, Encoding, Inputs, Writers};

pub(super) const PROTOCOLS: [&str; 3] = ["", "v4.channel.k8s.io", "v4.base64.channel.k8s.io"];

/// How many ports fit into the channels.
const MAX_PORTS: usize = 100;
/// How much data waits for the port.
const BUFFER: usize = 64 << 10;

/// The ports of a request, in their order.
pub(super) fn ports(query: &Query) -> Result<Vec<u16>, Refusal> {
    let texts = query.all("port").flat_map(|ports| ports.split(',')).filter(|port| !port.is_empty());
    let parse = |text: &str| {
        let port = text.parse::<u16>().ok().filter(|port| *port > 0);
        port.ok_or_else(|| Refusal::bad_request(format!("port {text:?} is not a port")))
    };
    let ports = texts.map(parse).collect::<Result<Vec<_>, _>>()?;
    match ports.len() {
        0 => Err(Refusal::bad_request("query parameter \"port\" is required")),
        1..=MAX_PORTS => Ok(ports),
        _ => Err(Refusal::bad_request(format!("there may be at most {MAX_PORTS} ports"))),
    }
}

pub(super) async fn serve(socket: WebSocket, protocol: &'static str, ports: Vec<u16>, target: Target) {
    let encoding = Encoding::of(protocol);
    let (writers, messages) = Writers::new(encoding);
    let mut inputs = Inputs { encoding, channels: Vec::new(), closing: None };
    let mut forwards = Vec::new();
    for (port, number) in ports.into_iter().zip(0_u8..) {
        let (near, far) = tokio::io::duplex(BUFFER);
        inputs.channels.push((number * 2, near));
        forwards.push(forward(&target, port, number * 2, far, writers.clone()));
    }
    drop(writers);
    let work = async { drop(future::join_all(forwards).await) };
    web_socket::carry(socket, messages, inputs, work).await;
}

async fn forward(target: &Target, port: u16, channel: u8, input: DuplexStream, writers: Writers) {
    // Both channels begin with the number of the port.
    writers.send(channel, &port.to_le_bytes()).await;
    writers.send(channel + 1, &port.to_le_bytes()).await;
    let mut client = join(input, writers.channel(channel));
    let failure = match target.connect(port).await {
        Ok(mut connection) => {
            copy_bidirectional(&mut client, &mut connection).await.err().map(|error| target.failure(port, &error))
        }
        Err(failure) => Some(failure),
    };
    if let Some(failure) = failure {
        // Nobody is left to tell if this fails.
        let _ = writers.channel(channel + 1).write_all(failure.as_bytes()).await;
    }
}
