use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use orchestra_core::ObjectKey;
use tokio::net::TcpListener;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use tracing::warn;

use super::{super::HealthCheck, Health};

/// The servers of health-check node ports, one for each Service of type LoadBalancer with the external policy `Local`.
#[derive(Debug)]
pub(in super::super) struct ServiceHealth {
    health: Health,
    servers: BTreeMap<ObjectKey, Server>,
    tasks: TaskTracker,
}

#[derive(Debug)]
struct Server {
    port: u16,
    endpoints: Arc<AtomicUsize>,
    _stop: DropGuard,
}

impl ServiceHealth {
    pub(in super::super) fn new(health: Health) -> Self {
        Self { health, servers: BTreeMap::new(), tasks: TaskTracker::new() }
    }

    /// Has a server for each of `checks` at each of `addresses`, and none else. One that cannot listen is tried again at the next call.
    pub(in super::super) async fn sync(&mut self, checks: &BTreeMap<ObjectKey, HealthCheck>, addresses: &[IpAddr]) {
        self.servers.retain(|key, server| checks.get(key).is_some_and(|check| check.port == server.port));
        for (key, check) in checks {
            if let Some(server) = self.servers.get(key) {
                server.endpoints.store(check.local_endpoints, Ordering::Relaxed);
                continue;
            }
            match self.start(key, *check, addresses).await {
                Ok(server) => drop(self.servers.insert(key.clone(), server)),
                Err(error) => warn!(%error, service = %key, port = check.port, "cannot serve the health check"),
            }
        }
    }

    /// Ends all servers.
    pub(in super::super) async fn shut_down(mut self) {
        self.servers.clear();
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn start(&self, key: &ObjectKey, check: HealthCheck, addresses: &[IpAddr]) -> std::io::Result<Server> {
        let mut listeners = Vec::new();
        for address in addresses {
            listeners.push(TcpListener::bind(SocketAddr::new(*address, check.port)).await?);
        }
        let endpoints = Arc::new(AtomicUsize::new(check.local_endpoints));
        let stop = CancellationToken::new();
        for listener in listeners {
            let (key, health, endpoints) = (key.clone(), self.health.clone(), Arc::clone(&endpoints));
            let router = Router::new()
                .fallback(move || async move { respond(&key, endpoints.load(Ordering::Relaxed), health.is_well()) });
            let stop = stop.clone();
            self.tasks.spawn(async move {
                let _ = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
            });
        }
        Ok(Server { port: check.port, endpoints, _stop: stop.drop_guard() })
    }
}

/// Kubernetes' answer, to the letter.
fn respond(key: &ObjectKey, endpoints: usize, well: bool) -> Response {
    let status = if endpoints > 0 && well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = format!(
        "{{\n\t\"service\": {{\n\t\t\"namespace\": \"{}\",\n\t\t\"name\": \"{}\"\n\t}},\n\t\"localEndpoints\": {endpoints},\n\t\"serviceProxyHealthy\": {well}\n}}",
        key.namespace().unwrap_or_default(),
        key.name(),
    );
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (HeaderName::from_static("x-load-balancing-endpoint-weight"), endpoints.to_string()),
    ];
    (status, headers, body).into_response()
}
