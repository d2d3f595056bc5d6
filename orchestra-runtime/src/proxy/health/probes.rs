use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use orchestra_core::clock::Clock;
use tokio::time::sleep;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

use super::Health;
use crate::http_server;

/// How long after it could not listen a server tries again, as kube-proxy's.
const PAUSE: Duration = Duration::from_secs(5);

/// Serves `/healthz` and `/livez` until `stop` is cancelled. Load balancers that have no health check of their own ask the former, so it fails
/// for a node that is about to go (KEP-3836); the latter is of the proxy alone.
pub(in super::super) async fn serve(
    address: SocketAddr,
    health: Health,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    let answer = move |ask: fn(&Health) -> bool| {
        let (health, clock) = (health.clone(), Arc::clone(&clock));
        get(move || async move { respond(&health, &*clock, ask(&health)) })
    };
    let router = Router::new()
        .route("/healthz", answer(|health| health.is_well() && health.is_eligible()))
        .route("/livez", answer(Health::is_well));
    let tasks = TaskTracker::new();
    let serving = async {
        while let Err(error) = http_server::serve(router.clone(), address, &tasks, stop.clone()).await {
            warn!(%error, %address, "cannot serve healthz, trying again");
            sleep(PAUSE).await;
        }
    };
    stop.run_until_cancelled(serving).await;
    stop.cancelled().await;
    tasks.close();
    tasks.wait().await;
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
