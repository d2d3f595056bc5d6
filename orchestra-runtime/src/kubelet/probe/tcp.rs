use std::{io, time::Duration};

use k8s_openapi::api::core::v1::{Container, TCPSocketAction};
use tokio::{net::TcpStream, time::Instant};

use super::{Address, address, check::Answer};

/// Connects: that is all it takes to pass.
pub(super) async fn probe(action: &TCPSocketAction, container: &Container, pod: &Address, timeout: Duration) -> Answer {
    let target = address::port(&action.port, container).and_then(|port| Ok((pod.host(action.host.as_deref())?, port)));
    match target {
        Ok((host, port)) => match dial(&host, port, Instant::now() + timeout).await {
            Ok(_) => Answer::Success,
            Err(message) => Answer::Failure(message),
        },
        Err(message) => Answer::Errored(message),
    }
}

/// Connects to a TCP port, or says in the words of Kubernetes why that failed.
pub(super) async fn dial(host: &str, port: u16, deadline: Instant) -> Result<TcpStream, String> {
    let address = address::join(host, port);
    match tokio::time::timeout_at(deadline, TcpStream::connect(&address)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(format!("dial tcp {address}: {}", words(&error))),
        Err(_) => Err(format!("dial tcp {address}: i/o timeout")),
    }
}

/// An error of a connection as Go prints it.
pub(super) fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "read: connection reset by peer".to_owned(),
        io::ErrorKind::HostUnreachable => "connect: no route to host".to_owned(),
        io::ErrorKind::NetworkUnreachable => "connect: network is unreachable".to_owned(),
        _ => error.to_string(),
    }
}
