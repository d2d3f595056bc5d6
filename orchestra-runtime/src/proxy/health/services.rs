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
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use tracing::warn;

use super::{super::HealthCheck, Health};
use crate::http_server;

/// The servers of health-check node ports, one for each Service of type LoadBalancer with the external policy `Local`.
#[derive(Debug)]
pub(in super::super) struct ServiceHealth {
    health: Health,
    servers: BTreeMap<(ObjectKey, IpAddr), Server>,
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

    /// Has a server for each of `checks` at each of `addresses`, and none else. Whether all listen: the port of one that cannot may still be in
    /// use by one that ends.
    pub(in super::super) async fn sync(
        &mut self,
        checks: &BTreeMap<ObjectKey, HealthCheck>,
        addresses: &[IpAddr],
    ) -> bool {
        self.servers.retain(|(key, address), server| {
            addresses.contains(address) && checks.get(key).is_some_and(|check| check.port == server.port)
        });
        let mut all_listen = true;
        for (key, check) in checks {
            for address in addresses {
                let place = (key.clone(), *address);
                if let Some(server) = self.servers.get(&place) {
                    server.endpoints.store(check.local_endpoints, Ordering::Relaxed);
                    continue;
                }
                match self.start(key, *check, *address).await {
                    Ok(server) => drop(self.servers.insert(place, server)),
                    Err(error) => {
                        all_listen = false;
                        warn!(%error, service = %key, %address, port = check.port, "cannot serve the health check");
                    }
                }
            }
        }
        all_listen
    }

    /// Ends all servers.
    pub(in super::super) async fn shut_down(mut self) {
        self.servers.clear();
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn start(&self, key: &ObjectKey, check: HealthCheck, address: IpAddr) -> std::io::Result<Server> {
        let endpoints = Arc::new(AtomicUsize::new(check.local_endpoints));
        let (key, health, told) = (key.clone(), self.health.clone(), Arc::clone(&endpoints));
        let router = Router::new()
            .fallback(move || async move { respond(&key, told.load(Ordering::Relaxed), health.is_well()) });
        let stop = CancellationToken::new();
        http_server::serve(router, SocketAddr::new(address, check.port), &self.tasks, stop.clone()).await?;
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

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, time::Duration};

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        time::{sleep, timeout},
    };

    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// Servers, and checks of the Service `name` at a port that is free.
    async fn servers(name: &str) -> (ServiceHealth, BTreeMap<ObjectKey, HealthCheck>, SocketAddr) {
        let free = TcpListener::bind((LOOPBACK, 0)).await.unwrap().local_addr().unwrap();
        let servers = ServiceHealth::new(Health::new(Duration::from_secs(60)));
        (servers, checks(name, free.port()), free)
    }

    fn checks(name: &str, port: u16) -> BTreeMap<ObjectKey, HealthCheck> {
        BTreeMap::from([(ObjectKey::namespaced("default", name), HealthCheck { port, local_endpoints: 1 })])
    }

    async fn asked(address: SocketAddr) -> TcpStream {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: n1\r\n\r\n").await.unwrap();
        let mut answer = [0; 12];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        client
    }

    #[tokio::test]
    async fn a_client_that_does_not_finish_its_request_does_not_hold_up_the_end() {
        let (mut servers, checks, address) = servers("web").await;
        assert!(servers.sync(&checks, &[LOOPBACK]).await);
        let mut client = asked(address).await;
        client.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
        assert!(timeout(Duration::from_secs(60), servers.shut_down()).await.is_ok());
    }

    #[tokio::test]
    async fn addresses_that_are_known_later_answer_too_and_ports_go_from_one_service_to_another() {
        let (mut servers, of_web, address) = servers("web").await;
        assert!(servers.sync(&of_web, &[]).await);
        assert!(servers.sync(&of_web, &[LOOPBACK]).await);
        asked(address).await;
        let of_db = checks("db", address.port());
        while !servers.sync(&of_db, &[LOOPBACK]).await {
            sleep(Duration::from_millis(1)).await;
        }
        asked(address).await;
        servers.shut_down().await;
    }
}
