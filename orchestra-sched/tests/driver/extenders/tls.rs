//! Extenders that are reached over TLS.

use std::{io, net::SocketAddr, sync::Arc};

use k8s_openapi::ByteString;
use orchestra_core::scheduler::Scheduler;
use orchestra_sched::{
    config::{Extender, ExtenderTlsConfig},
    extender::HttpExtender,
    framework::Framework,
    testing::pod,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::ring::default_provider,
        pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
        server::WebPkiClientVerifier,
    },
    server::TlsStream,
};

use super::{Answer, Server, filtering, snapshot, start, two_nodes};

/// Who certifies others.
struct Authority {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
struct Certified {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { certificate: params.self_signed(&key).unwrap(), issuer: Issuer::new(params, key) }
    }

    fn certify(&self, name: &str) -> Certified {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        Certified { certificate: params.signed_by(&key, &self.issuer).unwrap(), key }
    }

    /// As a configuration has it.
    fn data(&self) -> String {
        base64(&self.certificate.pem())
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        roots
    }
}

fn base64(text: &str) -> String {
    let json = json!(ByteString(text.as_bytes().to_vec()));
    json.as_str().unwrap().to_owned()
}

/// Takes connections of those who know TLS, and of whom `clients` knows, if that is given.
struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl TlsListener {
    async fn bind(certified: Certified, clients: Option<&Authority>) -> Self {
        let provider = Arc::new(default_provider());
        let config = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let config = match clients {
            None => config.unwrap().with_no_client_auth(),
            Some(authority) => {
                let roots = Arc::new(authority.roots());
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build().unwrap();
                config.unwrap().with_client_cert_verifier(verifier)
            }
        };
        let chain: Vec<CertificateDer<'static>> = vec![certified.certificate.der().clone()];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(certified.key.serialize_der()));
        let config = config.with_single_cert(chain, key).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { tcp, acceptor: TlsAcceptor::from(Arc::new(config)) }
    }
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.tcp.accept().await.unwrap();
            // Who does not trust it, or is not trusted, goes.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

/// An extender that takes node `n2` only.
async fn serve(certified: Certified, clients: Option<&Authority>) -> Server {
    let listener = TlsListener::bind(certified, clients).await;
    let origin = format!("https://{}", listener.tcp.local_addr().unwrap());
    Server::on(listener, &origin, |_, _| Answer::Json(json!({ "NodeNames": ["n2"] })))
}

fn over_tls(server: &Server, tls: ExtenderTlsConfig) -> Extender {
    Extender { enable_https: true, tls_config: Some(tls), ..filtering(server) }
}

fn trusting(authority: &Authority) -> ExtenderTlsConfig {
    ExtenderTlsConfig { ca_data: authority.data(), ..ExtenderTlsConfig::default() }
}

/// Where a pod goes if this extender is asked, or what is told.
async fn decided(extender: Extender) -> Result<String, String> {
    let extender = HttpExtender::new(extender)?;
    let plugin = orchestra_sched::plugins::NodeName;
    let (framework, nodes) = (Framework::builder().plugin(plugin).extender(extender).build(), snapshot(["n1", "n2"]));
    let decided = framework.decide(&pod("p").info(), &nodes, 7).outcome().await;
    decided.map(|placement| placement.node.to_string()).map_err(|error| error.to_string())
}

fn n2() -> Result<String, String> {
    Ok("n2".to_owned())
}

#[tokio::test]
async fn an_extender_whose_authority_is_trusted_is_asked_over_tls() {
    let authority = Authority::new();
    let server = serve(authority.certify("127.0.0.1"), None).await;
    let api = two_nodes();
    let running = start(&api, [over_tls(&server, trusting(&authority))]);
    api.add_pod("web", "1", Value::Null);
    api.until("bound", |state| state.bindings == ["web n2"]).await;
    assert_eq!(server.asked("filter")[0]["Pod"]["metadata"]["name"], "web");
    running.stop().await;
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused_and_that_is_told() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = serve(authority.certify("127.0.0.1"), None).await;
    let why = decided(over_tls(&server, trusting(&other))).await.unwrap_err();
    let begin = format!("Post \"{}/filter\": ", server.url());
    assert!(why.starts_with(&begin) && why.contains("invalid peer certificate"), "{why}");
    assert!(server.asked("filter").is_empty());
}

#[tokio::test]
async fn a_certificate_has_to_have_the_name_that_is_asked_for() {
    let authority = Authority::new();
    let server = serve(authority.certify("extender.example"), None).await;
    let why = decided(over_tls(&server, trusting(&authority))).await.unwrap_err();
    assert!(why.contains("certificate not valid for name \"127.0.0.1\""), "{why}");
    let named = |name: &str| {
        let tls = ExtenderTlsConfig { server_name: name.to_owned(), ..trusting(&authority) };
        decided(over_tls(&server, tls))
    };
    assert_eq!(named("extender.example").await, n2());
    let why = named("other.example").await.unwrap_err();
    assert!(why.contains("certificate not valid for name \"other.example\""), "{why}");
}

#[tokio::test]
async fn any_certificate_is_good_for_who_is_insecure_or_names_no_authority() {
    let server = serve(Authority::new().certify("extender.example"), None).await;
    let insecure = ExtenderTlsConfig { insecure: true, ..ExtenderTlsConfig::default() };
    assert_eq!(decided(over_tls(&server, insecure)).await, n2());
    assert_eq!(decided(Extender { tls_config: None, ..over_tls(&server, Default::default()) }).await, n2());
    // Without the flag for TLS, those are trusted whom the machine trusts.
    let unsaid = Extender { enable_https: false, tls_config: None, ..filtering(&server) };
    let why = decided(unsaid).await.unwrap_err();
    assert!(why.contains("certificate"), "{why}");
    let both = ExtenderTlsConfig { insecure: true, ..trusting(&Authority::new()) };
    let why = decided(over_tls(&server, both)).await.unwrap_err();
    assert_eq!(why, "specifying a root certificates file with the insecure flag is not allowed");
}

#[tokio::test]
async fn an_extender_that_asks_who_the_scheduler_is_is_told() {
    let authority = Authority::new();
    let server = serve(authority.certify("127.0.0.1"), Some(&authority)).await;
    let as_scheduler = |certified: Certified| ExtenderTlsConfig {
        cert_data: base64(&certified.certificate.pem()),
        key_data: base64(&certified.key.serialize_pem()),
        ..trusting(&authority)
    };
    assert_eq!(decided(over_tls(&server, as_scheduler(authority.certify("scheduler")))).await, n2());
    let begin = format!("Post \"{}/filter\": ", server.url());
    for unknown in [trusting(&authority), as_scheduler(Authority::new().certify("scheduler"))] {
        let why = decided(over_tls(&server, unknown)).await.unwrap_err();
        assert!(why.starts_with(&begin), "{why}");
    }
    assert_eq!(server.asked("filter").len(), 1);
}

#[tokio::test]
async fn what_is_no_certificate_is_told_before_anybody_is_asked() {
    let server = serve(Authority::new().certify("127.0.0.1"), None).await;
    let why = |data: &str| {
        let tls = ExtenderTlsConfig { ca_data: data.to_owned(), ..ExtenderTlsConfig::default() };
        HttpExtender::new(over_tls(&server, tls)).expect_err("it is no certificate")
    };
    let unreadable = "unable to load root certificates: unable to parse bytes as PEM block";
    assert_eq!(why(&base64("no certificate")), unreadable);
    assert!(why("no base64").contains("base64"), "{}", why("no base64"));
}

#[tokio::test]
async fn who_speaks_no_tls_is_told_of() {
    let server = Server::start(|_, _| Answer::Json(json!({}))).await;
    let extender = filtering(&server);
    let extender =
        Extender { url_prefix: extender.url_prefix.replace("http:", "https:"), enable_https: true, ..extender };
    let begin = format!("Post \"{}/filter\": ", extender.url_prefix);
    let why = decided(extender).await.unwrap_err();
    assert!(why.starts_with(&begin) && why.len() > begin.len(), "{why}");
}
