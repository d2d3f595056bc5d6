use std::{io, sync::Arc};

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Node;
use orchestra_store::apiserver::{Dial, Network, Upstream};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, ConfigBuilder, client::WantsClientCert, crypto::ring, pki_types::ServerName},
};

use super::{TlsError, authorities, identity};

/// How an API server reaches kubelets that serve [over TLS](super::ServerTls): by the address and the port that their node's status tells, as
/// [`Dial`], which it uses for all else. It sends them no tokens of clients.
///
/// ```no_run
/// # async fn example(authority: &str, certificate: &str, key: &str) -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
/// use orchestra_runtime::{Cluster, kubelet::TlsDial};
///
/// let network = TlsDial::new(authority)?.identity(certificate, key)?;
/// let cluster = Cluster::builder().nodes(0).api_server(|server| server.network(Arc::new(network))).start().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct TlsDial {
    authorities: Vec<u8>,
    connector: TlsConnector,
}

impl TlsDial {
    /// Believes kubelets whose certificates are of one of these authorities, in PEM (`--kubelet-certificate-authority`), or are among these,
    /// and name the node's address.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn new(authorities: &str) -> Result<Self, TlsError> {
        let config = builder(authorities.as_bytes())?.with_no_client_auth();
        Ok(Self { authorities: authorities.as_bytes().to_vec(), connector: connector(config) })
    }

    /// Shows kubelets this certificate, in PEM, with its key (`--kubelet-client-certificate`, `--kubelet-client-key`).
    ///
    /// # Errors
    /// When they cannot be read, or the key is of another certificate.
    pub fn identity(mut self, certificate: &str, key: &str) -> Result<Self, TlsError> {
        let (chain, key) = identity(certificate.as_bytes(), key.as_bytes())?;
        self.connector = connector(builder(&self.authorities)?.with_client_auth_cert(chain, key)?);
        Ok(self)
    }
}

fn builder(trusted: &[u8]) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, TlsError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    Ok(builder.with_safe_default_protocol_versions()?.with_root_certificates(authorities(trusted)?))
}

/// Upgrades are a matter of HTTP/1.1.
fn connector(config: ClientConfig) -> TlsConnector {
    TlsConnector::from(Arc::new(config))
}

#[async_trait]
impl Network for TlsDial {
    async fn kubelet(&self, node: &Node) -> io::Result<Upstream> {
        let Upstream::Connection(connection) = Dial.kubelet(node).await? else {
            return Err(io::Error::other("the kubelet is not at the other end of a connection"));
        };
        let host = address(node).unwrap_or_default().to_owned();
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        let secured = self.connector.connect(name, connection).await;
        secured.map(Upstream::connected).map_err(|error| io::Error::new(error.kind(), format!("tls: {error}")))
    }

    async fn dial(&self, host: &str, port: u16) -> io::Result<Upstream> {
        Dial.dial(host, port).await
    }
}

/// The address that [`Dial`] reaches a node at.
fn address(node: &Node) -> Option<&str> {
    let addresses = node.status.as_ref()?.addresses.as_deref()?;
    let of = |kind: &str| addresses.iter().find(|address| address.type_ == kind);
    Some(&["InternalIP", "ExternalIP", "Hostname"].into_iter().find_map(of)?.address)
}

impl std::fmt::Debug for TlsDial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsDial").finish_non_exhaustive()
    }
}
