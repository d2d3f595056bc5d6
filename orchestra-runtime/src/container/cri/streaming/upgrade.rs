//! A SPDY session with the runtime's streaming server: a request that asks to speak SPDY from then on.

use std::{sync::Arc, time::Duration};

use axum::body::{self, Body};
use http::{Request, Response, StatusCode, Uri, header};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use orchestra_core::container_runtime::RuntimeError;
use tokio::{net::TcpStream, time::timeout};
use tracing::debug;

use crate::spdy::{self, Session};

/// How much of an explanation is read.
const EXPLANATION: usize = 16 * 1024;

/// Begins a session at `url` in which streams mean what `protocol` says.
pub(super) async fn upgrade(url: &str, protocol: &str, deadline: Duration) -> Result<Arc<Session>, RuntimeError> {
    let begin = async {
        let response = ask(url, protocol).await?;
        let upgraded = hyper::upgrade::on(response).await.map_err(unreachable)?;
        let (session, _offers, driver) = spdy::client(TokioIo::new(upgraded));
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                debug!(%error, "a session with the runtime's streaming server failed");
            }
        });
        Ok(Arc::new(session))
    };
    let late = |_| RuntimeError::DeadlineExceeded(format!("no answer of the streaming server after {deadline:?}"));
    timeout(deadline, begin).await.map_err(late)?
}

async fn ask(url: &str, protocol: &str) -> Result<Response<Incoming>, RuntimeError> {
    let failed = |why: &str| RuntimeError::Failed(format!("the runtime's streaming URL {url:?}: {why}"));
    let uri: Uri = url.parse().map_err(|_| failed("is none"))?;
    if uri.scheme_str() != Some("http") {
        return Err(failed("TLS between kubelet and container runtime is not supported"));
    }
    let authority = uri.authority().ok_or_else(|| failed("names no host"))?;
    let host = authority.host().trim_matches(['[', ']']);
    let connection = TcpStream::connect((host, authority.port_u16().unwrap_or(80))).await.map_err(unreachable)?;
    // Keys that are pressed are not to wait for each other.
    connection.set_nodelay(true).map_err(unreachable)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(connection)).await.map_err(unreachable)?;
    tokio::spawn(connection.with_upgrades());
    let request = Request::post(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header(header::HOST, authority.as_str())
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "SPDY/3.1")
        .header("X-Stream-Protocol-Version", protocol)
        .body(Body::empty())
        .map_err(|error| failed(&error.to_string()))?;
    let response = sender.send_request(request).await.map_err(unreachable)?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(response);
    }
    let status = response.status();
    let why = body::to_bytes(Body::new(response.into_body()), EXPLANATION).await.unwrap_or_default();
    Err(RuntimeError::Failed(format!(
        "unable to upgrade connection ({status}): {}",
        String::from_utf8_lossy(&why).trim()
    )))
}

pub(super) fn unreachable(error: impl std::fmt::Display) -> RuntimeError {
    RuntimeError::Unavailable(format!("streaming server: {error}"))
}
