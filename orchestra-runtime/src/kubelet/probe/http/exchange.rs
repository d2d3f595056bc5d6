//! One request and its answer.

use std::{error::Error, io};

use http::{Response, header};
use http_body_util::BodyExt;
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinSet,
    time::{Instant, timeout_at},
};

use super::{
    HttpAnswer,
    request::{self, Headers},
    url::Url,
};
use crate::kubelet::probe::{
    head::{Head, Headed},
    tcp::{self, dial},
};

/// How much of an answer is read, as in Kubernetes.
const MAX_BODY: usize = 10 * 1024;
/// What Go's client adds when its time is over.
const LATE: &str = "(Client.Timeout exceeded while awaiting headers)";

/// An answer whose body is yet to be read.
pub(super) struct Opened {
    pub(super) response: Response<Incoming>,
    /// What drives the connection; it ends with this.
    pub(super) driver: JoinSet<()>,
}

impl Opened {
    /// Sends the request, and waits for the answer's head. An error is in the words of Go's client.
    pub(super) async fn of(url: &Url, headers: &Headers, deadline: Instant) -> Result<Self, String> {
        let stream = dial(&url.host, url.port, deadline)
            .await
            .map_err(|message| if message.ends_with("i/o timeout") { format!("{message} {LATE}") } else { message })?;
        let (stream, head) = Headed::new(stream);
        let answering = async {
            if url.tls { secured(stream, &head, url, headers).await } else { plain(stream, &head, url, headers).await }
        };
        timeout_at(deadline, answering).await.unwrap_or_else(|_| Err(format!("context deadline exceeded {LATE}")))
    }

    /// Where it redirects to. Go follows these and no others.
    pub(super) fn location(&self) -> Option<String> {
        let redirects = matches!(self.response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
        let location = self.response.headers().get(header::LOCATION).filter(|_| redirects)?;
        Some(String::from_utf8_lossy(location.as_bytes()).into_owned()).filter(|location| !location.is_empty())
    }

    pub(super) async fn read(self, deadline: Instant) -> HttpAnswer {
        const LATE: &str = "context deadline exceeded (Client.Timeout or context cancellation while reading body)";
        let Self { response, driver } = self;
        let status = response.status().as_u16();
        let body = timeout_at(deadline, beginning(response.into_body())).await;
        drop(driver);
        HttpAnswer { status, body: body.unwrap_or_else(|_| Err(LATE.to_owned())) }
    }
}

/// As much of a body as is read of one.
async fn beginning(mut body: Incoming) -> Result<String, String> {
    let mut read = Vec::new();
    while read.len() < MAX_BODY {
        match body.frame().await {
            Some(Ok(frame)) => read.extend(frame.into_data().unwrap_or_default()),
            Some(Err(error)) => return Err(words(&error, &Head::default())),
            None => break,
        }
    }
    read.truncate(MAX_BODY);
    Ok(String::from_utf8_lossy(&read).into_owned())
}

/// Asks over HTTP/1.1. `head` is what came over the connection that is not secured.
pub(super) async fn plain<S>(stream: S, head: &Head, url: &Url, headers: &Headers) -> Result<Opened, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let request = request::http1(url, headers)?;
    let failed = |error: hyper::Error| words(&error, head);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let mut driver = JoinSet::new();
    driver.spawn(async move { drop(connection.await) });
    let response = sender.send_request(request).await.map_err(failed)?;
    Ok(Opened { response, driver })
}

#[cfg(feature = "containerd")]
use super::tls::secured;

#[cfg(not(feature = "containerd"))]
async fn secured(_stream: Headed, _head: &Head, _url: &Url, _headers: &Headers) -> Result<Opened, String> {
    Err("HTTPS needs a kubelet that is built with the feature \"containerd\"".to_owned())
}

/// An error as Go's client words it.
pub(super) fn words(error: &hyper::Error, head: &Head) -> String {
    if error.is_parse() {
        let line = head.quoted_line();
        return format!("net/http: HTTP/1.x transport connection broken: malformed HTTP response {line}");
    }
    if error.is_incomplete_message() {
        return "EOF".to_owned();
    }
    let cause = Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
    match cause {
        Some(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => "unexpected EOF".to_owned(),
        Some(cause) => io_words(cause),
        None => error.to_string(),
    }
}

/// The same of a connection's error.
pub(super) fn io_words(error: &io::Error) -> String {
    #[cfg(feature = "containerd")]
    if let Some(told) = super::tls::alert(error) {
        return told;
    }
    tcp::words(error)
}
