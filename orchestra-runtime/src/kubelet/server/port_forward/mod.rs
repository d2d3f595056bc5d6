//! `/portForward`: connections to the ports of a pod.

mod channels;
mod streams;

use std::{pin::Pin, sync::Arc};

use axum::{
    Extension,
    extract::{Path, Request},
    response::Response,
};
use futures::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use orchestra_core::container_runtime::{PortConnection, SandboxId};
use tokio_util::io::{CopyToBytes, SinkWriter, StreamReader};

use super::{Refusal, Server, pods, query::Query, spdy_upgrade, web_socket};

/// SPDY over the connection itself.
const SPDY: &str = "portforward.k8s.io";
/// SPDY in the messages of a WebSocket (KEP-4006).
const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";

/// A pod whose ports somebody wants to reach.
struct Target {
    server: Arc<Server>,
    sandbox: SandboxId,
    pod: String,
    uid: String,
}

impl Target {
    /// Connects with a port, or says why not in Kubernetes' words.
    async fn connect(&self, port: u16) -> Result<Pin<Box<dyn PortConnection>>, String> {
        self.server.runtime.port_forward(&self.sandbox, port).await.map_err(|error| self.failure(port, &error))
    }

    fn failure(&self, port: u16, error: &dyn std::fmt::Display) -> String {
        format!("error forwarding port {port} to pod {}, uid {}: {error}", self.pod, self.uid)
    }
}

pub(super) async fn serve(
    Extension(server): Extension<Arc<Server>>,
    Path((namespace, name)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Refusal> {
    let pod = server.served.pods.find(&namespace, &name)?;
    let sandbox = pods::sandbox(&*server.runtime, &pod).await?;
    let query = Query::of(request.uri());
    let (mut head, _) = request.into_parts();
    let served = server.served.clone();
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    let target = Target { server, sandbox, pod: name, uid };
    if web_socket::is_asked_for(&head.headers) {
        let protocols = [&[TUNNEL][..], &channels::PROTOCOLS].concat();
        let (upgrade, protocol) = web_socket::accept(&mut head, &protocols).await?;
        if protocol != TUNNEL {
            let ports = channels::ports(&query)?;
            return Ok(upgrade.on_upgrade(async move |socket| {
                served.run(channels::serve(socket, protocol, ports, target)).await;
            }));
        }
        return Ok(upgrade.on_upgrade(async move |socket| {
            let (sink, messages) = socket.split();
            let pieces = messages.filter_map(async |message| {
                use axum::extract::ws::Message;
                match message {
                    Ok(Message::Binary(piece)) => Some(Ok(piece)),
                    Ok(_) => None,
                    Err(error) => Some(Err(std::io::Error::other(error))),
                }
            });
            let sink = sink
                .sink_map_err(std::io::Error::other)
                .with(async |piece| Ok::<_, std::io::Error>(axum::extract::ws::Message::Binary(piece)));
            let reader = StreamReader::new(Box::pin(pieces));
            let writer = SinkWriter::new(CopyToBytes::new(Box::pin(sink)));
            served.run(streams::serve(tokio::io::join(reader, writer), target)).await;
        }));
    }
    if !spdy_upgrade::is_asked_for(&head.headers) {
        return Err(Refusal::bad_request("Upgrade request required"));
    }
    let (connection, _, answer) = spdy_upgrade::accept(&mut head, &[SPDY])?;
    served.spawn(async move {
        if let Ok(connection) = connection.await {
            streams::serve(TokioIo::new(connection), target).await;
        }
    });
    Ok(answer)
}
