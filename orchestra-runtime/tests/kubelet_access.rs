//! A kubelet's API over TLS, for those who may use it.
#![allow(clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::{Router, routing::post};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::{
    authentication::v1::TokenRequest,
    core::v1::{Node, Pod, ServiceAccount},
};
use kube::{
    Api, Client,
    api::{AttachParams, DeleteParams, LogParams, PostParams},
    runtime::{conditions::is_pod_running, wait::await_condition},
};
use orchestra_runtime::{
    Cluster,
    container::{ExecScript, ImageScript, MemoryRuntime},
    kubelet::{Access, Kubelet, KubeletBuilder, ServerTls, SubjectAccessReviews, TlsDial, UserInfo},
};
use orchestra_store::apiserver::{
    Dial, Network, Upstream,
    authorization::{Attributes, Authorizer, ResourceTarget, Target, Verdict},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinHandle,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

/// An authority for clients' certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "clients");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn certificate(&self) -> String {
        self.0.as_ref().pem()
    }

    /// A certificate of somebody, and its key.
    fn identity(&self, name: &str, group: &str) -> (String, String) {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationName, group);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

/// A kubelet that serves its API on a socket.
struct World {
    cluster: Cluster,
    node: Node,
    stop: CancellationToken,
    kubelet: JoinHandle<()>,
}

impl World {
    async fn start(cluster: Cluster, configure: impl FnOnce(KubeletBuilder) -> KubeletBuilder) -> Self {
        let runtime = MemoryRuntime::new();
        let image = ImageScript {
            log_lines: vec!["one".to_owned()],
            exec: Some(ExecScript::basic()),
            ..ImageScript::default()
        };
        runtime.set_image("web", image);
        let kubelet =
            Kubelet::builder(cluster.client(), "n1", Arc::new(runtime)).listen("127.0.0.1:0".parse().unwrap());
        let stop = CancellationToken::new();
        let kubelet = tokio::spawn(configure(kubelet).build().run(stop.clone()));
        let nodes = Api::<Node>::all(cluster.client());
        let serves = |node: Option<&Node>| node.is_some_and(|node| node.status.is_some());
        let node = await_condition(nodes, "n1", serves).await.unwrap().unwrap();
        Self { cluster, node, stop, kubelet }
    }

    async fn end(self) {
        self.stop.cancel();
        self.kubelet.await.unwrap();
        self.cluster.shut_down().await;
    }

    /// What the kubelet answers to a request that comes by `network`.
    async fn ask(&self, network: &dyn Network, method: &str, path: &str, token: Option<&str>) -> (StatusCode, String) {
        let Upstream::Connection(connection) = network.kubelet(&self.node).await.unwrap() else {
            panic!("a connection")
        };
        let (mut sender, driver) = http1::handshake(TokioIo::new(connection)).await.unwrap();
        tokio::spawn(driver);
        let mut request = Request::builder().method(method).uri(path).header("host", "n1");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let answer = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
        let (head, body) = answer.into_parts();
        (head.status, String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap())
    }
}

fn user(name: &str) -> UserInfo {
    UserInfo { name: name.to_owned(), ..UserInfo::default() }
}

#[tokio::test]
async fn an_api_server_with_a_certificate_reaches_containers_and_nobody_else_does() {
    let (authority, others) = (Authority::new(), Authority::new());
    let tls = ServerTls::self_signed(["127.0.0.1"]).unwrap();
    let dial = TlsDial::new(tls.certificate()).unwrap();
    let (certificate, key) = authority.identity("kube-apiserver-kubelet-client", "system:masters");
    let network = dial.clone().identity(&certificate, &key).unwrap();
    let cluster = Cluster::builder().nodes(0).api_server(move |server| server.network(Arc::new(network)));
    let tls = tls.client_authority(&authority.certificate()).unwrap();
    let world = World::start(cluster.start().await.unwrap(), |kubelet| kubelet.tls(tls)).await;

    let pods = Api::<Pod>::default_namespaced(world.cluster.client());
    let pod = json!({ "metadata": { "name": "p" }, "spec": { "containers": [{ "name": "c", "image": "web" }] } });
    pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    await_condition(pods.clone(), "p", is_pod_running()).await.unwrap();
    assert_eq!(pods.logs("p", &LogParams::default()).await.unwrap(), "one\n");
    // Upgrades are a matter of connections over the network.
    let address = world.cluster.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let client = Client::try_from(kube::Config::new(format!("http://{address}").parse().unwrap())).unwrap();
    let pods = Api::<Pod>::default_namespaced(client);
    let mut process = pods.exec("p", ["echo", "hello"], &AttachParams::default().stdin(false)).await.unwrap();
    let mut said = String::new();
    process.stdout().unwrap().read_to_string(&mut said).await.unwrap();
    assert_eq!(said.trim(), "hello");

    let nobody = world.ask(&dial, "GET", "/pods", None).await;
    assert_eq!(nobody, (StatusCode::UNAUTHORIZED, "Unauthorized".to_owned()));
    // That the authority knows somebody is no reason to let them have the containers.
    let (certificate, key) = authority.identity("system:node:n2", "system:nodes");
    let known = dial.clone().identity(&certificate, &key).unwrap();
    let refused = world.ask(&known, "POST", "/run/default/p/c?cmd=ls", None).await;
    assert_eq!(refused.0, StatusCode::INTERNAL_SERVER_ERROR, "this API server does not say what they may do");

    let (certificate, key) = others.identity("kube-apiserver-kubelet-client", "system:masters");
    let stranger = dial.identity(&certificate, &key).unwrap();
    // By TLS 1.3 a client hears only after its end of the handshake that it is not believed.
    if let Ok(Upstream::Connection(connection)) = stranger.kubelet(&world.node).await {
        let (mut sender, driver) = http1::handshake(TokioIo::new(connection)).await.unwrap();
        tokio::spawn(driver);
        let request = Request::get("/pods").header("host", "n1").body(Empty::<Bytes>::new()).unwrap();
        sender.send_request(request).await.unwrap_err();
    }
    Dial.kubelet(&world.node).await.expect("it listens, but speaks TLS only");
    world.end().await;
}

/// An API server that knows of one token, and lets its user see figures.
fn reviewer() -> Client {
    let tokens = async |review: Bytes| {
        let mut review: Value = serde_json::from_slice(&review).unwrap();
        let known = review["spec"]["token"] == "good";
        let user = json!({ "username": "jane", "groups": ["watchers"] });
        review["status"] = json!({ "authenticated": known, "user": if known { user } else { Value::Null } });
        review.to_string()
    };
    let access = async |review: Bytes| {
        let mut review: Value = serde_json::from_slice(&review).unwrap();
        let spec = &review["spec"];
        let asked = &spec["resourceAttributes"];
        assert_eq!(
            (&asked["resource"], &asked["name"], &asked["version"]),
            (&json!("nodes"), &json!("n1"), &json!("v1"))
        );
        let allowed = spec["user"] == "jane"
            && spec["groups"] == json!(["watchers"])
            && asked["verb"] == "get"
            && asked["subresource"] == "stats";
        review["status"] = json!({ "allowed": allowed });
        review.to_string()
    };
    let router = Router::new()
        .route("/apis/authentication.k8s.io/v1/tokenreviews", post(tokens))
        .route("/apis/authorization.k8s.io/v1/subjectaccessreviews", post(access));
    Client::new(router, "default")
}

#[tokio::test]
async fn tokens_are_reviewed_and_so_is_what_their_users_may_do() {
    let access = Access::default()
        .token("secret", user("static"))
        .token_reviews(reviewer())
        .authorizer(Arc::new(SubjectAccessReviews::new(reviewer())));
    let cluster = Cluster::builder().nodes(0).start().await.unwrap();
    let world = World::start(cluster, |kubelet| kubelet.access(access)).await;
    let unauthorized = (StatusCode::UNAUTHORIZED, "Unauthorized".to_owned());
    assert_eq!(world.ask(&Dial, "GET", "/stats/summary", None).await, unauthorized);
    assert_eq!(world.ask(&Dial, "GET", "/stats/summary", Some("bad")).await, unauthorized);
    assert_eq!(world.ask(&Dial, "GET", "/stats/summary", Some("good")).await.0, StatusCode::OK);
    let refused = world.ask(&Dial, "GET", "/pods", Some("good")).await;
    let words = "Forbidden (user=jane, verb=get, resource=nodes, subresource(s)=[pods proxy])\n";
    assert_eq!(refused, (StatusCode::FORBIDDEN, words.to_owned()));
    let refused = world.ask(&Dial, "POST", "/run/default/p/c?cmd=ls", Some("secret")).await;
    let words = "Forbidden (user=static, verb=create, resource=nodes, subresource(s)=[proxy])\n";
    assert_eq!(refused, (StatusCode::FORBIDDEN, words.to_owned()));
    world.end().await;
}

/// Lets one service account see nodes' figures, and nobody anything else.
struct FiguresForReader;

#[async_trait]
impl Authorizer for FiguresForReader {
    async fn authorize(&self, asked: &Attributes) -> Verdict {
        let figures = ResourceTarget {
            version: "v1".to_owned(),
            resource: "nodes".to_owned(),
            subresource: "stats".to_owned(),
            name: "n1".to_owned(),
            ..ResourceTarget::default()
        };
        let is_reader = asked.user.name == "system:serviceaccount:default:reader"
            && asked.user.groups.iter().any(|group| group == "system:serviceaccounts");
        match is_reader && asked.verb == "get" && asked.target == Target::Resource(figures) {
            true => Verdict::allow(""),
            false => Verdict::no_opinion(""),
        }
    }
}

#[tokio::test]
async fn our_own_api_server_says_which_service_accounts_may_use_a_kubelet() {
    let cluster = Cluster::builder().nodes(0).api_server(|server| server.authorizer(Arc::new(FiguresForReader)));
    let cluster = cluster.start().await.unwrap();
    let tls = ServerTls::self_signed(["127.0.0.1"]).unwrap();
    let dial = TlsDial::new(tls.certificate()).unwrap();
    let client = cluster.client();
    let access =
        Access::default().token_reviews(client.clone()).authorizer(Arc::new(SubjectAccessReviews::new(client.clone())));
    let world = World::start(cluster, |kubelet| kubelet.tls(tls).access(access)).await;
    let accounts = Api::<ServiceAccount>::default_namespaced(client);
    let token = async |name: &str| {
        let account = serde_json::from_value(json!({ "metadata": { "name": name } })).unwrap();
        accounts.create(&PostParams::default(), &account).await.unwrap();
        let request = accounts.create_token_request(name, &PostParams::default(), &TokenRequest::default()).await;
        request.unwrap().status.unwrap().token.unwrap()
    };
    let (reader, other) = (token("reader").await, token("other").await);

    let unauthorized = (StatusCode::UNAUTHORIZED, "Unauthorized".to_owned());
    assert_eq!(world.ask(&dial, "GET", "/stats/summary", Some(&reader)).await.0, StatusCode::OK);
    assert_eq!(world.ask(&dial, "GET", "/stats/summary", Some("no token")).await, unauthorized);
    assert_eq!(world.ask(&dial, "GET", "/stats/summary", None).await, unauthorized);
    let refused = world.ask(&dial, "GET", "/stats/summary", Some(&other)).await;
    let words =
        "Forbidden (user=system:serviceaccount:default:other, verb=get, resource=nodes, subresource(s)=[stats])\n";
    assert_eq!(refused, (StatusCode::FORBIDDEN, words.to_owned()));
    assert_eq!(world.ask(&dial, "GET", "/pods", Some(&reader)).await.0, StatusCode::FORBIDDEN);
    accounts.delete("reader", &DeleteParams::default()).await.unwrap();
    assert_eq!(world.ask(&dial, "GET", "/stats/summary", Some(&reader)).await, unauthorized);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn clients_have_ninety_seconds_for_the_headers_of_each_request() {
    const LIMIT: Duration = Duration::from_secs(90);
    let access = Access::default().token("secret", user("static"));
    let cluster = Cluster::builder().nodes(0).start().await.unwrap();
    let world = World::start(cluster, |kubelet| kubelet.access(access)).await;
    let connect = async || match Dial.kubelet(&world.node).await.unwrap() {
        Upstream::Connection(connection) => connection,
        Upstream::Router(_) => panic!("a connection"),
    };
    let begin = b"GET /healthz HTTP/1.1\r\nHost: n1\r\n";

    let mut slow = connect().await;
    slow.write_all(begin).await.unwrap();
    let begun = Instant::now();
    let mut answer = Vec::new();
    slow.read_to_end(&mut answer).await.unwrap();
    assert!(begun.elapsed() >= LIMIT, "{:?}", begun.elapsed());
    assert!(!String::from_utf8_lossy(&answer).contains(" 200 "), "it was never asked");

    let mut slow = connect().await;
    slow.write_all(begin).await.unwrap();
    sleep(LIMIT - Duration::from_secs(1)).await;
    slow.write_all(b"Authorization: Bearer secret\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 512];
    let length = slow.read(&mut answer).await.unwrap();
    assert!(answer[..length].starts_with(b"HTTP/1.1 200 OK\r\n"), "it was in time");
    // A connection that is kept for another request has as long.
    let begun = Instant::now();
    slow.read_to_end(&mut answer).await.unwrap();
    assert!(begun.elapsed() >= LIMIT, "{:?}", begun.elapsed());
    world.end().await;
}

#[tokio::test]
async fn connections_are_upgraded_by_get_and_post_and_nothing_else() {
    let access = Access::default().token("secret", user("static"));
    let cluster = Cluster::builder().nodes(0).start().await.unwrap();
    let world = World::start(cluster, |kubelet| kubelet.access(access)).await;
    for path in ["/exec/default/p/c?command=ls&output=1", "/attach/default/p/c?output=1", "/portForward/default/p"] {
        for method in ["HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"] {
            let (code, _) = world.ask(&Dial, method, path, Some("secret")).await;
            assert_eq!(code, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        }
        for method in ["GET", "POST"] {
            let (code, _) = world.ask(&Dial, method, path, Some("secret")).await;
            assert_ne!(code, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        }
    }
    world.end().await;
}

#[tokio::test]
async fn an_api_server_that_does_not_answer_lets_nobody_in() {
    let silent = Client::new(Router::new(), "default");
    let access = Access::default()
        .token("secret", user("static"))
        .token_reviews(silent.clone())
        .authorizer(Arc::new(SubjectAccessReviews::new(silent)));
    let cluster = Cluster::builder().nodes(0).start().await.unwrap();
    let world = World::start(cluster, |kubelet| kubelet.access(access)).await;
    assert_eq!(world.ask(&Dial, "GET", "/healthz", Some("other")).await.0, StatusCode::UNAUTHORIZED);
    let (code, text) = world.ask(&Dial, "GET", "/healthz", Some("secret")).await;
    assert_eq!(code, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(text, "Authorization error (user=static, verb=get, resource=nodes, subresource=healthz)");
    world.end().await;
}

#[test]
fn keys_of_others_and_what_is_no_certificate_are_refused() {
    let (one, other) = (Authority::new().identity("a", "g"), Authority::new().identity("b", "g"));
    assert!(ServerTls::from_pem(&one.0, &one.1).is_ok());
    assert!(ServerTls::from_pem(&one.0, &other.1).is_err());
    let error = ServerTls::from_pem("nothing", &one.1).unwrap_err();
    assert!(error.to_string().starts_with("no certificate: "), "{error}");
    assert!(TlsDial::new("").is_err());
}
