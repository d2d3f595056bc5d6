//! Serves a router over HTTP.

use std::{net::SocketAddr, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use rustix::net::sockopt;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::debug;

/// How long to wait after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
/// How long requests in progress may take when the server stops.
const GRACE: Duration = Duration::from_secs(5);

/// After how long a silent client is asked whether it is there, how often again, and how many times before it is gone: as Go's servers.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const KEEP_ALIVE_PROBES: u32 = 9;

/// How long a client may take to send a request's headers, counted from the answer before it: what Go's servers, and so kube-apiserver, allow
/// between two requests (`IdleTimeout`).
const HEADERS: Duration = Duration::from_secs(90);

/// How long a request's headers may be together: what Go's servers, and so kube-apiserver, allow (`http.DefaultMaxHeaderBytes`).
const MAX_HEADER_BYTES: u32 = 1 << 20;
/// How many headers a request may have. Go does not count them; here each takes room in every request that is read, so there is a limit,
/// far beyond the groups of a user that a proxy passes on one by one.
const MAX_HEADERS: usize = 1_000;

/// Serves `router` in a task of `tasks`, HTTP/1.1 and HTTP/2 without TLS, until `stop`.
pub(crate) async fn serve(
    router: Router,
    address: SocketAddr,
    tasks: &TaskTracker,
    stop: CancellationToken,
) -> std::io::Result<SocketAddr> {
    accept(address, tasks, stop, move |stream, stop| speak(router.clone(), stream, stop)).await
}

/// Listens, and has `each` connection looked after in a task of `tasks`, until `stop`.
pub(crate) async fn accept<F>(
    address: SocketAddr,
    tasks: &TaskTracker,
    stop: CancellationToken,
    each: impl Fn(TcpStream, CancellationToken) -> F + Send + 'static,
) -> std::io::Result<SocketAddr>
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let connections = tasks.clone();
    tasks.spawn(async move {
        while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((stream, _)) => {
                    // Answers are small and wanted at once.
                    let _ = stream.set_nodelay(true);
                    if let Err(error) = keep_alive(&stream) {
                        debug!(%error, "clients that vanish are not noticed");
                    }
                    connections.spawn(each(stream, stop.clone()));
                }
                // One client's failure, or too many open files: the next may do better.
                Err(error) => {
                    debug!(%error, "connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    });
    Ok(address)
}

/// Serves `router` on one connection.
pub(crate) async fn speak(
    router: Router,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    stop: CancellationToken,
) {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS);
    server.http1().max_headers(MAX_HEADERS).max_buf_size(MAX_HEADER_BYTES as usize);
    server.http2().max_header_list_size(MAX_HEADER_BYTES);
    let serving = server.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            match tokio::time::timeout(GRACE, serving).await {
                Ok(ended) => ended,
                // The client does not finish its request.
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        debug!(%error, "connection ended");
    }
}

/// Has the kernel notice clients that went without a word: watches, logs that are followed and commands would be kept for them for ever.
fn keep_alive(stream: &TcpStream) -> rustix::io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEP_ALIVE)?;
    sockopt::set_tcp_keepintvl(stream, KEEP_ALIVE)?;
    sockopt::set_tcp_keepcnt(stream, KEEP_ALIVE_PROBES)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[tokio::test]
    async fn silent_clients_are_asked_whether_they_are_there() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        keep_alive(&stream).unwrap();
        assert!(sockopt::socket_keepalive(&stream).unwrap());
        let times = (sockopt::tcp_keepidle(&stream).unwrap(), sockopt::tcp_keepintvl(&stream).unwrap());
        assert_eq!(times, (KEEP_ALIVE, KEEP_ALIVE));
        assert_eq!(sockopt::tcp_keepcnt(&stream).unwrap(), KEEP_ALIVE_PROBES);
    }
}
