use std::{pin::Pin, time::Duration};

use http_body_util::Full;
use hyper::{
    body::Bytes,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::Instant;

use crate::kubelet::probe::{
    head::{Head, Headed},
    tcp::dial,
};

/// How long it waits after a connection that did not come up, as gRPC's clients do at first.
const PAUSE: Duration = Duration::from_secs(1);

type Driver = http2::Connection<TokioIo<Headed>, Full<Bytes>, TokioExecutor>;

/// A connection to a server that speaks HTTP/2.
pub(super) struct Connection {
    pub(super) sender: SendRequest<Full<Bytes>>,
    /// To be polled, or nothing is sent or received.
    pub(super) driver: Pin<Box<Driver>>,
}

/// Tries until there is one; `None` if there was none in time. So a server that speaks another protocol is one that cannot be connected to, as in
/// Kubernetes.
pub(super) async fn connect(host: &str, port: u16, deadline: Instant) -> Option<Connection> {
    loop {
        match tokio::time::timeout_at(deadline, attempt(host, port, deadline)).await {
            Ok(Some(connection)) => return Some(connection),
            Ok(None) if Instant::now() + PAUSE < deadline => tokio::time::sleep(PAUSE).await,
            Ok(None) => {
                tokio::time::sleep_until(deadline).await;
                return None;
            }
            Err(_) => return None,
        }
    }
}

async fn attempt(host: &str, port: u16, deadline: Instant) -> Option<Connection> {
    let (stream, head) = Headed::new(dial(host, port, deadline).await.ok()?);
    let (sender, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.ok()?;
    let mut driver = Box::pin(driver);
    settled(driver.as_mut(), &head).await.then_some(Connection { sender, driver })
}

/// Drives the connection until the server has told its settings; false if it ends before.
async fn settled(mut driver: Pin<&mut Driver>, head: &Head) -> bool {
    while !head.is_http2() {
        tokio::select! {
            biased;
            () = head.grown() => {}
            _ = &mut driver => return false,
        }
    }
    true
}
