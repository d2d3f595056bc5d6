use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use orchestra_core::clock::Clock;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Health;

/// Serves `/healthz` and `/livez` until `stop` is cancelled. Load balancers that have no health check of their own ask the former, so it fails
/// for a node that is about to go (KEP-3836); the latter is of the proxy alone.
pub(in super::super) async fn serve(
    address: SocketAddr,
    health: Health,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    let listener = match TcpListener::bind(address).await {
        Ok(listener) => listener,
        Err(error) => return warn!(%error, %address, "cannot serve healthz"),
    };
    let answer = move |ask: fn(&Health) -> bool| {
        let (health, clock) = (health.clone(), Arc::clone(&clock));
        get(move || async move { respond(&health, &*clock, ask(&health)) })
    };
    let router = Router::new()
        .route("/healthz", answer(|health| health.is_well() && health.is_eligible()))
        .route("/livez", answer(Health::is_well));
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await {
        warn!(%error, %address, "healthz is not served any more");
    }
}

/// `lastUpdated` is now as long as the proxy is well, as Kubernetes has it since it does nothing where nothing changes.
fn respond(health: &Health, clock: &dyn Clock, well: bool) -> Response {
    let now = clock.now();
    let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = format!(
        "{{\"lastUpdated\": \"{now}\",\"currentTime\": \"{now}\", \"nodeEligible\": {}}}",
        health.is_eligible()
    );
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (status, headers, body).into_response()
}
