//! A registry on the loopback device that serves the images that were made by hand (the OCI's distribution specification, for reading),
//! and fails as it is told to.

use std::{
    fs,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use tokio::{net::TcpListener, task::JoinHandle, time::sleep};

use super::{Containerd, image};

/// How the registry behaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Behavior {
    /// It serves all that it has.
    #[default]
    Serves,
    /// It knows no manifest (404).
    KnowsNothing,
    /// It asks for a user's name and password (401), which must be these.
    Asks(String, String),
    /// It waits before each answer.
    Slow(Duration),
    /// It answers everything with 500.
    Broken,
}

/// The registry `registry.test`, until it is dropped.
pub(crate) struct Registry {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    /// By name and tag, without the registry's name: the manifest's digest.
    tags: Vec<(String, String, String)>,
    /// By digest: media type and content.
    blobs: Vec<(String, &'static str, Vec<u8>)>,
    behavior: Mutex<Behavior>,
    requests: Mutex<Vec<String>>,
}

impl Registry {
    /// Starts it, and tells containerd where it is.
    pub(crate) async fn start(node: &Containerd) -> Self {
        let images = node.images();
        let tags = images.named.iter().filter_map(|named| {
            let (name, tag) = named.name.split_once('/')?.1.split_once(':')?;
            Some((name.to_owned(), tag.to_owned(), named.manifest.clone()))
        });
        let blobs = images.blobs.iter().map(|blob| (blob.digest.clone(), blob.media_type, blob.content.clone()));
        let shared = Arc::new(Shared {
            tags: tags.collect(),
            blobs: blobs.collect(),
            behavior: Mutex::default(),
            requests: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        set_address(address);
        let router = Router::new().fallback(serve).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.expect("the registry serves") });
        Self { address, shared, server }
    }

    /// How it behaves from now on.
    pub(crate) fn set(&self, behavior: Behavior) {
        *self.shared.behavior.lock().expect("no panic before") = behavior;
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was asked for: `GET /v2/remote/manifests/latest`.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().expect("no panic before").clone()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Has containerd look for the registry there, and for Docker's. Where nobody listens, connections are refused.
pub(crate) fn set_address(address: SocketAddr) {
    for registry in [image::REGISTRY, "docker.io"] {
        set_address_of(registry, address);
    }
}

/// The same for a registry of another name.
pub(crate) fn set_address_of(registry: &str, address: SocketAddr) {
    let folder = format!("/etc/containerd/certs.d/{registry}");
    fs::create_dir_all(&folder).expect("a folder");
    // The server is what it turns to when the host fails: without it, to the world.
    let (server, host) = (format!("server = \"http://{address}\""), format!("[host.\"http://{address}\"]"));
    let hosts = format!("{server}\n{host}\ncapabilities = [\"pull\", \"resolve\"]\n");
    fs::write(format!("{folder}/hosts.toml"), hosts).expect("a file");
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    shared.requests.lock().expect("no panic before").push(format!("{method} {path}"));
    let behavior = shared.behavior.lock().expect("no panic before").clone();
    match behavior {
        Behavior::Serves => {}
        Behavior::KnowsNothing if path.contains("/manifests/") => {
            return error(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN");
        }
        Behavior::KnowsNothing => {}
        Behavior::Asks(user, password) => {
            if !is_from(&request, &user, &password) {
                let ask = [(header::WWW_AUTHENTICATE, "Basic realm=\"registry\"")];
                return (ask, error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED")).into_response();
            }
        }
        Behavior::Slow(time) => sleep(time).await,
        Behavior::Broken => return error(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN"),
    }
    answer(&shared, &method, &path)
}

fn is_from(request: &Request, user: &str, password: &str) -> bool {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let expected = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    request.headers().get(header::AUTHORIZATION).is_some_and(|given| given.as_bytes() == expected.as_bytes())
}

fn answer(shared: &Shared, method: &Method, path: &str) -> Response {
    let Some(path) = path.strip_prefix("/v2/") else { return StatusCode::NOT_FOUND.into_response() };
    let digest = if path.is_empty() {
        return StatusCode::OK.into_response();
    } else if let Some((name, reference)) = path.split_once("/manifests/") {
        shared.manifest(name, reference)
    } else {
        path.split_once("/blobs/").map(|(_name, digest)| digest.to_owned())
    };
    let blob = digest.and_then(|digest| shared.blobs.iter().find(|blob| blob.0 == digest));
    let Some((digest, media_type, content)) = blob else { return error(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN") };
    let response = Response::builder()
        .header(header::CONTENT_TYPE, *media_type)
        .header(header::CONTENT_LENGTH, content.len())
        .header("Docker-Content-Digest", digest);
    let body = if method == Method::HEAD { Body::empty() } else { Body::from(content.clone()) };
    response.body(body).expect("a response")
}

impl Shared {
    /// The digest of an image's manifest by tag or digest.
    fn manifest(&self, name: &str, reference: &str) -> Option<String> {
        let mut tags = self.tags.iter().filter(|tag| tag.0 == name);
        tags.find(|tag| tag.1 == reference || tag.2 == reference).map(|tag| tag.2.clone())
    }
}

fn error(status: StatusCode, code: &str) -> Response {
    let body = serde_json::json!({"errors": [{"code": code, "message": "the registry was told to"}]});
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
