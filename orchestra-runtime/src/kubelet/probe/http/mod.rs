//! Questions over HTTP and HTTPS, of probes and of hooks.

mod exchange;
mod request;
#[cfg(feature = "containerd")]
mod tls;
mod url;

use std::time::Duration;

use http::header;
use k8s_openapi::api::core::v1::{Container, HTTPGetAction};
use tokio::time::Instant;

use self::{exchange::Opened, url::Url};
use super::{Address, address, check::Answer};

/// What Go's client says of a server that answers to TLS in plain HTTP.
pub(in crate::kubelet) const NOT_TLS: &str = "http: server gave HTTP response to HTTPS client";
const MAX_REDIRECTS: usize = 10;

/// What came back.
#[derive(Debug)]
pub(in crate::kubelet) struct HttpAnswer {
    pub(in crate::kubelet) status: u16,
    /// The body's beginning, or why it did not come.
    pub(in crate::kubelet) body: Result<String, String>,
}

/// Why nothing came back.
#[derive(Debug)]
pub(in crate::kubelet) enum HttpError {
    /// There is nowhere to ask.
    Unaskable(String),
    /// It did not answer, in the words of Go's client.
    Failed(String),
}

impl HttpError {
    pub(in crate::kubelet) fn into_message(self) -> String {
        match self {
            Self::Unaskable(message) | Self::Failed(message) => message,
        }
    }
}

/// Asks: it passes if the answer's code is from 200 to 399. An answer that breaks off says nothing of the container, as in Kubernetes.
pub(super) async fn probe(action: &HTTPGetAction, container: &Container, pod: &Address, timeout: Duration) -> Answer {
    match get(action, container, pod, "probe", Some(Instant::now() + timeout)).await {
        Ok(HttpAnswer { body: Err(message), .. }) => Answer::Errored(message),
        Ok(HttpAnswer { status: 200..300, .. }) => Answer::Success,
        Ok(HttpAnswer { status: 300..400, body: Ok(body) }) => {
            Answer::Warning(format!("Probe terminated redirects, Response body: {body}"))
        }
        Ok(answer) => Answer::Failure(format!("HTTP probe failed with statuscode: {}", answer.status)),
        Err(HttpError::Unaskable(message)) => Answer::Errored(message),
        Err(HttpError::Failed(message)) => Answer::Failure(message),
    }
}

/// The host and the port that are asked, unless there is nowhere to ask.
pub(in crate::kubelet) fn authority(action: &HTTPGetAction, container: &Container, pod: &Address) -> Option<String> {
    let port = address::port(&action.port, container).ok()?;
    Some(address::join(&pod.host(action.host.as_deref()).ok()?, port))
}

/// Sends the request, and follows redirects to the same host.
pub(in crate::kubelet) async fn get(
    action: &HTTPGetAction,
    container: &Container,
    pod: &Address,
    purpose: &str,
    deadline: Option<Instant>,
) -> Result<HttpAnswer, HttpError> {
    let port = address::port(&action.port, container).map_err(HttpError::Unaskable)?;
    let host = pod.host(action.host.as_deref()).map_err(HttpError::Unaskable)?;
    let tls = action.scheme.as_deref().is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
    let path = url::origin_form(action.path.as_deref().unwrap_or_default());
    let mut url = Url { tls, host, port, path };
    let mut headers = request::headers(action, purpose);
    // Without a deadline it waits as long as its caller does.
    let deadline = deadline.unwrap_or_else(|| Instant::now() + Duration::from_secs(365 * 24 * 3600));
    let failed = |url: &str, message: String| HttpError::Failed(format!("Get {url:?}: {message}"));
    let mut asked = 0;
    loop {
        let opened = Opened::of(&url, &headers, deadline).await.map_err(|message| failed(&url.to_string(), message))?;
        let Some(location) = opened.location() else { return Ok(opened.read(deadline).await) };
        let Some(next) = url.join(&location).filter(|next| next.host == url.host) else {
            return Ok(opened.read(deadline).await);
        };
        asked += 1;
        if asked == MAX_REDIRECTS {
            return Err(failed(&location, format!("stopped after {MAX_REDIRECTS} redirects")));
        }
        if url::scheme(&location).is_some() {
            // The header is of the address that was asked first.
            headers.retain(|(name, _)| *name != header::HOST);
        }
        url = next;
    }
}
