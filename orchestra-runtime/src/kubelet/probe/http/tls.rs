use std::{io, sync::Arc};

use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::task::JoinSet;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        AlertDescription, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::ring,
        pki_types::{CertificateDer, ServerName, UnixTime},
    },
};

use super::{
    NOT_TLS,
    exchange::{Opened, io_words, plain, words},
    request::{self, Headers},
    url::Url,
};
use crate::kubelet::probe::head::{Head, Headed};

const HTTP2: &[u8] = b"h2";

/// Asks over TLS, by HTTP/2 if the server chooses it.
pub(super) async fn secured(stream: Headed, head: &Head, url: &Url, headers: &Headers) -> Result<Opened, String> {
    let stream = connect(stream, &url.host).await.map_err(|error| match error.kind() {
        _ if head.begins_with(b"HTTP/") => NOT_TLS.to_owned(),
        io::ErrorKind::UnexpectedEof => "EOF".to_owned(),
        _ => io_words(&error),
    })?;
    if stream.get_ref().1.alpn_protocol() != Some(HTTP2) {
        return plain(stream, &Head::default(), url, headers).await;
    }
    let request = request::http2(url, headers)?;
    let failed = |error: hyper::Error| words(&error, &Head::default());
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(failed)?;
    let mut driver = JoinSet::new();
    driver.spawn(async move { drop(connection.await) });
    let response = sender.send_request(request).await.map_err(failed)?;
    Ok(Opened { response, driver })
}

/// Begins TLS without looking at the server's certificate: probes ask whether it answers, not who it is, as in Kubernetes.
async fn connect(stream: Headed, host: &str) -> io::Result<TlsStream<Headed>> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_no_client_auth();
    config.alpn_protocols = vec![HTTP2.to_vec(), b"http/1.1".to_vec()];
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// What the server said when it refused, as Go words it.
pub(super) fn alert(error: &io::Error) -> Option<String> {
    let Error::AlertReceived(alert) = error.get_ref()?.downcast_ref::<Error>()? else { return None };
    let text = match alert {
        AlertDescription::ProtocolVersion => "protocol version not supported".to_owned(),
        AlertDescription::Unknown(number) => format!("alert({number})"),
        // Most of Go's words are the names: `HandshakeFailure` is a handshake failure.
        named => format!("{named:?}").chars().fold(String::new(), |mut words, letter| {
            if letter.is_ascii_uppercase() && !words.is_empty() {
                words.push(' ');
            }
            words.push(letter.to_ascii_lowercase());
            words
        }),
    };
    Some(format!("remote error: tls: {text}"))
}

/// Takes any certificate, also one that cannot be read, and does not ask for a proof that it is the server's: with a certificate that anyone can
/// have made, there is nothing to prove.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        use SignatureScheme::*;
        vec![
            RSA_PSS_SHA256,
            ECDSA_NISTP256_SHA256,
            ED25519,
            RSA_PSS_SHA384,
            RSA_PSS_SHA512,
            RSA_PKCS1_SHA256,
            RSA_PKCS1_SHA384,
            RSA_PKCS1_SHA512,
            ECDSA_NISTP384_SHA384,
            ECDSA_NISTP521_SHA512,
            RSA_PKCS1_SHA1,
            ECDSA_SHA1_Legacy,
        ]
    }
}
