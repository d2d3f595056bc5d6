//! Remote commands over WebSocket (`websocket.go` of the kubelet): a channel for each of the process' streams.

use axum::response::Response;
use http::request::Parts;

use super::{
    Ends, Target,
    ends::{Reader, Writer},
};
use crate::kubelet::server::{
    Refusal, Served,
    web_socket::{self, Encoding, Inputs, Writers},
};

/// With it, the client can end its input.
const V5: &str = "v5.channel.k8s.io";
const PROTOCOLS: [&str; 6] =
    ["", "channel.k8s.io", "base64.channel.k8s.io", "v4.channel.k8s.io", "v4.base64.channel.k8s.io", V5];

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;

/// How much input waits for the process.
const BUFFER: usize = 64 << 10;

pub(super) async fn serve(served: &Served, head: &mut Parts, target: Target) -> Result<Response, Refusal> {
    let (upgrade, protocol) = web_socket::accept(head, &PROTOCOLS).await?;
    let served = served.clone();
    Ok(upgrade.on_upgrade(async move |socket| {
        let encoding = Encoding::of(protocol);
        let (writers, messages) = Writers::new(encoding);
        let mut inputs = Inputs { encoding, channels: Vec::new(), closing: (protocol == V5).then_some(CLOSE) };
        let streams = target.streams;
        let mut reader = |channel| {
            let (near, far) = tokio::io::duplex(BUFFER);
            inputs.channels.push((channel, near));
            Box::pin(far) as Reader
        };
        let writer = |channel| Box::pin(writers.channel(channel)) as Writer;
        let ends = Ends {
            stdin: streams.stdin.then(|| reader(STDIN)),
            stdout: streams.stdout.then(|| writer(STDOUT)),
            stderr: streams.stderr.then(|| writer(STDERR)),
            resize: streams.tty.then(|| reader(RESIZE)),
            error: writer(ERROR),
            json: protocol == V5 || protocol.starts_with("v4."),
        };
        // The client learns from it that all is connected.
        let first = if streams.stdout {
            STDOUT
        } else if streams.stderr {
            STDERR
        } else {
            ERROR
        };
        let work = async move {
            writers.send(first, &[]).await;
            drop(writers);
            target.run(ends).await;
        };
        served.run(web_socket::carry(socket, messages, inputs, work)).await;
    }))
}
