use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Extension, Router};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
        server::WebPkiClientVerifier,
    },
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::debug;

use super::{TlsError, authorities, identity};
use crate::{http_server, kubelet::server::access::PeerCertificate};

/// How long a client may take to begin TLS, as long as Go's servers allow for all before the first request's end.
const PATIENCE: Duration = Duration::from_secs(32);

/// How a kubelet proves who it is, and whose clients it believes (`--tls-cert-file`, `--tls-private-key-file`, `--client-ca-file`).
///
/// ```
/// use orchestra_runtime::kubelet::ServerTls;
///
/// let tls = ServerTls::self_signed(["node-1", "10.0.0.1"])?;
/// assert!(tls.certificate().starts_with("-----BEGIN CERTIFICATE-----"));
/// # Ok::<(), orchestra_runtime::kubelet::TlsError>(())
/// ```
#[derive(Clone)]
pub struct ServerTls {
    certificate: String,
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
    config: Arc<ServerConfig>,
    knows_clients: bool,
}

impl ServerTls {
    /// With a certificate, which may be followed by those of authorities between it and the root, and its key, all in PEM.
    ///
    /// # Errors
    /// When they cannot be read, or the key is of another certificate.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, TlsError> {
        let (chain, key) = identity(certificate.as_bytes(), key.as_bytes())?;
        Self::new(certificate.to_owned(), chain, key)
    }

    /// With a certificate that is made now, for these names and addresses of the node. Whoever is to believe it has to be given
    /// [it](Self::certificate).
    ///
    /// # Errors
    /// When a name is none.
    pub fn self_signed<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Result<Self, TlsError> {
        let made = rcgen::generate_simple_self_signed(names.into_iter().map(Into::into).collect::<Vec<String>>())?;
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        Self::new(made.cert.pem(), vec![made.cert.der().clone()], key.into())
    }

    fn new(
        certificate: String,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, TlsError> {
        let config = builder()?.with_no_client_auth().with_single_cert(chain.clone(), key.clone_key())?;
        Ok(Self { certificate, chain, key: Arc::new(key), config: with_protocols(config), knows_clients: false })
    }

    /// Believes clients whose certificates are of one of these authorities, in PEM: the common name is the user's, the organizations are the
    /// groups. Clients need not show any, but are nobody then. Unless [`access`](crate::kubelet::KubeletBuilder::access) says otherwise,
    /// those of the group `system:masters` may do everything, and others what the kubelet's API server grants them by SubjectAccessReviews. An
    /// API server that does not serve these grants nothing.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn client_authority(mut self, certificates: &str) -> Result<Self, TlsError> {
        let roots = Arc::new(authorities(certificates.as_bytes())?);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::new(ring::default_provider()));
        let verifier = verifier.allow_unauthenticated().build();
        let verifier = verifier.map_err(|error| tokio_rustls::rustls::Error::General(error.to_string()))?;
        let config = builder()?.with_client_cert_verifier(verifier);
        let config = config.with_single_cert(self.chain.clone(), self.key.clone_key())?;
        (self.config, self.knows_clients) = (with_protocols(config), true);
        Ok(self)
    }

    /// The certificate in PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    pub(in crate::kubelet) fn knows_clients(&self) -> bool {
        self.knows_clients
    }

    /// Serves `router` over TLS as [`http_server::serve`] does without. Requests know by an extension whose client certificate was shown.
    pub(in crate::kubelet) async fn serve(
        &self,
        router: Router,
        address: SocketAddr,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> io::Result<SocketAddr> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.config));
        let each = move |stream, stop| connection(acceptor.clone(), router.clone(), stream, stop);
        http_server::accept(address, tasks, stop, each).await
    }
}

async fn connection(acceptor: TlsAcceptor, router: Router, stream: TcpStream, stop: CancellationToken) {
    let stream = match stop.run_until_cancelled(timeout(PATIENCE, acceptor.accept(stream))).await {
        Some(Ok(Ok(stream))) => stream,
        Some(Ok(Err(error))) => return debug!(%error, "a client did not begin TLS"),
        Some(Err(_)) | None => return,
    };
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let router = match shown {
        Some(certificate) => router.layer(Extension(PeerCertificate(certificate.to_vec()))),
        None => router,
    };
    http_server::speak(router, stream, stop).await;
}

fn builder() -> Result<tokio_rustls::rustls::ConfigBuilder<ServerConfig, tokio_rustls::rustls::WantsVerifier>, TlsError>
{
    let provider = Arc::new(ring::default_provider());
    Ok(ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?)
}

fn with_protocols(mut config: ServerConfig) -> Arc<ServerConfig> {
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}
