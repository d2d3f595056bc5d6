//! Passes a request on, and the bytes of a connection that is upgraded.

use std::sync::Arc;

use axum::{body::Body, response::Response};
use futures::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri, header};
use hyper::{
    client::conn::http1,
    upgrade::{self, OnUpgrade},
};
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tower::ServiceExt;
use tracing::debug;

use super::{ApiError, Upstream};
use crate::apiserver::server::Shared;

/// Headers that are about one connection only.
const OF_A_CONNECTION: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Whether the request is to change the protocol of its connection.
pub(super) fn is_upgrade(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CONNECTION).into_iter().filter_map(|value| value.to_str().ok());
    let asked = values.flat_map(|value| value.split(',')).any(|token| token.trim().eq_ignore_ascii_case("upgrade"));
    asked && headers.contains_key(header::UPGRADE)
}

/// Sends `request`, with `path` for its URI, to `upstream`, and returns the answer, or what `told` makes of a failure.
pub(super) async fn forward(
    shared: &Arc<Shared>,
    upstream: Upstream,
    host: &str,
    path: &str,
    mut request: Request<Body>,
    told: Told,
) -> Result<Response, ApiError> {
    *request.uri_mut() = path.parse::<Uri>().map_err(|error| ApiError::bad_request(format!("{path:?}: {error}")))?;
    let upgrades = is_upgrade(request.headers());
    let headers = request.headers_mut();
    // Who the client is was between it and this server.
    headers.remove(header::AUTHORIZATION);
    if !upgrades {
        OF_A_CONNECTION.iter().for_each(|name| drop(headers.remove(name)));
    }
    if let Ok(host) = HeaderValue::try_from(host) {
        headers.insert(header::HOST, host);
    }
    match upstream {
        // It finds the client's connection in the request, and takes it over by itself.
        Upstream::Router(router) => router.oneshot(request).await.map_err(|never| match never {}),
        Upstream::Connection(connection) => send(shared, TokioIo::new(connection), request, told).await,
    }
}

async fn send(
    shared: &Arc<Shared>,
    connection: TokioIo<std::pin::Pin<Box<dyn super::Connection>>>,
    mut request: Request<Body>,
    told: Told,
) -> Result<Response, ApiError> {
    let failed = |error: hyper::Error| told(&error);
    let client = request.extensions_mut().remove::<OnUpgrade>();
    *request.version_mut() = http::Version::HTTP_11;
    let (mut sender, driver) = http1::handshake(connection).await.map_err(failed)?;
    // It ends with the answer, or with the connection that it becomes.
    tokio::spawn(shared.stop.clone().run_until_cancelled_owned(driver.with_upgrades()));
    let mut answer = sender.send_request(request).await.map_err(failed)?;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        let client = client.ok_or_else(|| ApiError::bad_request("this connection cannot be upgraded"))?;
        let upstream = upgrade::on(&mut answer);
        let stop = shared.stop.clone();
        tokio::spawn(async move {
            stop.run_until_cancelled(join(client, upstream)).await;
        });
        return Ok(answer.map(|_| Body::empty()));
    }
    let stop = shared.stop.clone().cancelled_owned();
    Ok(answer.map(|body| Body::from_stream(Body::new(body).into_data_stream().take_until(stop))))
}

/// Copies both ways until both are done.
async fn join(client: OnUpgrade, upstream: OnUpgrade) {
    let (Ok(client), Ok(upstream)) = futures::future::join(client, upstream).await else { return };
    let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
    if let Err(error) = copy_bidirectional(&mut client, &mut upstream).await {
        debug!(%error, "an upgraded connection broke");
    }
}

/// What a client is told of an upstream that cannot be reached.
pub(super) type Told = fn(&dyn std::fmt::Display) -> ApiError;

/// What is told where a connection is wanted.
pub(super) fn no_connection(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::unclassified(500, format!("error dialing backend: {error}"))
}

/// What is told where an answer is wanted (`proxy.Transport`).
pub(super) fn no_answer(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::nobody_serves(format!("error trying to reach service: {error}"))
}
