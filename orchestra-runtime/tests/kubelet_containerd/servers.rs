//! Servers that are probed. They are this program, in containers that have the machine's files, as no image has such a thing.

use std::{convert::Infallible, env, fs, net::Ipv4Addr, path::Path, sync::Arc, time::Duration};

use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Body, Bytes, Incoming};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    runtime,
    time::sleep,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};
use tonic_health::{ServingStatus, server::health_reporter};
use tower::service_fn;

/// Set in the process that is to serve.
const SERVE: &str = "ORCHESTRA_TEST_SERVE";
/// gRPC's health service, whose service `orders` serves unless there is the file [`SICK`].
pub(crate) const HEALTH: u16 = 5000;
/// Takes connections of HTTP/2, and answers no request.
pub(crate) const HUNG: u16 = 5001;
/// Takes connections, and says nothing.
pub(crate) const SILENT: u16 = 5002;
/// A web server, which has one page.
pub(crate) const WEB: u16 = 5003;
/// A web server that speaks nothing but HTTP/2 over TLS, with the certificate of [`CERTIFICATE`] and [`KEY`], if they are there.
pub(crate) const HTTP2: u16 = 5004;
pub(crate) const SICK: &str = "/run/sick";
pub(crate) const CERTIFICATE: &str = "/run/certificate.pem";
pub(crate) const KEY: &str = "/run/key.pem";

/// A container that runs a command of the machine, among the machine's files. Its pod must have the volume [`machine_files`].
pub(crate) fn on_machine(name: &str, command: &[&str]) -> Value {
    let command = [&["chroot", "/machine"], command].concat();
    json!({
        "name": name, "command": command, "volumeMounts": [{ "name": "machine", "mountPath": "/machine" }],
        "env": [{ "name": "PATH", "value": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin" }],
    })
}

pub(crate) fn machine_files() -> Value {
    json!([{ "name": "machine", "hostPath": { "path": "/" } }])
}

/// A container with the servers of this file.
pub(crate) fn container() -> Value {
    let program = env::current_exe().expect("the test's own program");
    let program = program.to_str().expect("a plain path");
    let mut container = on_machine("servers", &[program, "--exact", "servers::serve", "--nocapture", "--ignored"]);
    container["env"].as_array_mut().expect("a list").push(json!({ "name": SERVE, "value": "1" }));
    container["readinessProbe"] = json!({ "tcpSocket": { "port": WEB }, "periodSeconds": 1 });
    container
}

#[test]
#[ignore = "it is what the other tests start as a server"]
fn serve() {
    if env::var_os(SERVE).is_none() {
        return;
    }
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::spawn(health());
        tokio::spawn(accept(HUNG, |stream| over_http(stream, service_fn(|_| std::future::pending::<Answered>()))));
        tokio::spawn(accept(SILENT, async |stream| {
            std::future::pending::<()>().await;
            drop(stream);
        }));
        if Path::new(CERTIFICATE).exists() {
            let acceptor = TlsAcceptor::from(Arc::new(http2_only()));
            tokio::spawn(accept(HTTP2, move |stream| {
                let acceptor = acceptor.clone();
                async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        over_http(stream, service_fn(greet)).await;
                    }
                }
            }));
        }
        accept(WEB, |stream| over_http(stream, service_fn(greet))).await;
    });
}

type Answered = Result<Response<Full<Bytes>>, Infallible>;

async fn greet(request: Request<Incoming>) -> Answered {
    let mut response = Response::new(Full::from("welcome"));
    if request.uri().path() != "/" {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    Ok(response)
}

async fn accept<F: Future<Output = ()> + Send + 'static>(port: u16, serve: impl Fn(TcpStream) -> F) {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await.unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream));
    }
}

async fn over_http<S, B>(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, service: S)
where
    S: tower::Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let builder = auto::Builder::new(TokioExecutor::new());
    let _ = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).await;
}

async fn health() {
    let (reporter, service) = health_reporter();
    tokio::spawn(async move {
        loop {
            let is_sick = fs::exists(SICK).unwrap();
            let status = if is_sick { ServingStatus::NotServing } else { ServingStatus::Serving };
            reporter.set_service_status("orders", status).await;
            sleep(Duration::from_millis(50)).await;
        }
    });
    accept(HEALTH, move |stream| over_http(stream, service.clone())).await;
}

fn http2_only() -> ServerConfig {
    let chain = CertificateDer::pem_file_iter(CERTIFICATE).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(KEY).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}
