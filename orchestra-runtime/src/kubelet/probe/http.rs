use std::{pin::pin, time::Duration};

use http::{HeaderName, HeaderValue, Request, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{
    body::{Bytes, Incoming},
    client::conn::http1,
    rt::{Read, Write},
};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Container, HTTPGetAction};
use tokio::time::Instant;

use super::{
    Address,
    address::{self, join},
    check::Answer,
    tcp::dial,
};

/// How much of an answer is read, as in Kubernetes.
const MAX_BODY: usize = 10 * 1024;
const MAX_REDIRECTS: usize = 10;
/// What Kubernetes says of the caller: its purpose, and whose version it is.
const VERSION: &str = "1.36";

/// What came back.
#[derive(Debug)]
pub(in crate::kubelet) struct HttpAnswer {
    pub(in crate::kubelet) status: u16,
    pub(in crate::kubelet) body: String,
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

/// Asks: it passes if the answer's code is from 200 to 399.
pub(super) async fn probe(action: &HTTPGetAction, container: &Container, pod: &Address, timeout: Duration) -> Answer {
    match get(action, container, pod, "probe", Some(Instant::now() + timeout)).await {
        Ok(answer) if (200..300).contains(&answer.status) => Answer::Success,
        Ok(answer) if (300..400).contains(&answer.status) => {
            Answer::Warning(format!("Probe terminated redirects, Response body: {}", answer.body))
        }
        Ok(answer) => Answer::Failure(format!("HTTP probe failed with statuscode: {}", answer.status)),
        Err(HttpError::Unaskable(message)) => Answer::Errored(message),
        Err(HttpError::Failed(message)) => Answer::Failure(message),
    }
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
    let path = origin_form(action.path.as_deref().unwrap_or_default());
    let mut url = Url { tls, host, port, path };
    let mut headers = headers(action, purpose);
    // Without a deadline it waits as long as its caller does.
    let deadline = deadline.unwrap_or_else(|| Instant::now() + Duration::from_secs(365 * 24 * 3600));
    for _ in 0..=MAX_REDIRECTS {
        let (answer, location) = exchange(&url, &headers, deadline)
            .await
            .map_err(|message| HttpError::Failed(format!("Get {:?}: {message}", url.to_string())))?;
        let next = location.as_deref().and_then(|location| url.join(location));
        match next.filter(|next| next.host == url.host) {
            Some(next) => url = next,
            None => return Ok(answer),
        }
        // It is of the address that was asked first.
        headers.retain(|(name, _)| *name != header::HOST);
    }
    Err(HttpError::Failed(format!("Get {:?}: stopped after {MAX_REDIRECTS} redirects", url.to_string())))
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Url {
    tls: bool,
    host: String,
    port: u16,
    path: String,
}

impl Url {
    /// Where a redirect leads.
    fn join(&self, location: &str) -> Option<Self> {
        let uri: Uri = location.parse().ok()?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let Some(authority) = uri.authority() else {
            let folder = self.path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let path = if path.starts_with('/') { path.to_owned() } else { format!("{folder}/{path}") };
            return Some(Self { path, ..self.clone() });
        };
        let tls = uri.scheme_str().map_or(self.tls, |scheme| scheme == "https");
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Some(Self { tls, host, port, path: path.to_owned() })
    }
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", join(&self.host, self.port), self.path)
    }
}

/// The path with its query as a request has it, what may not stand there escaped.
fn origin_form(path: &str) -> String {
    let path = path.split('#').next().unwrap_or_default();
    let mut form = if path.starts_with('/') { String::new() } else { "/".to_owned() };
    for byte in path.bytes() {
        match byte {
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0..=b' ' | 127.. => {
                form.push_str(&format!("%{byte:02X}"));
            }
            _ => form.push(char::from(byte)),
        }
    }
    form
}

fn headers(action: &HTTPGetAction, purpose: &str) -> Vec<(HeaderName, HeaderValue)> {
    let parse = |name: &str, value: &str| Some((name.parse().ok()?, HeaderValue::from_str(value).ok()?));
    let given = action.http_headers.iter().flatten();
    let mut headers: Vec<(HeaderName, HeaderValue)> =
        given.filter_map(|header| parse(&header.name, &header.value)).collect();
    for (name, value) in [("user-agent", format!("kube-{purpose}/{VERSION}")), ("accept", "*/*".to_owned())] {
        if !headers.iter().any(|(given, _)| given == name) {
            headers.extend(parse(name, &value));
        }
    }
    // An empty one says that none is to be sent.
    headers.retain(|(name, value)| *name != header::ACCEPT || !value.is_empty());
    headers
}

/// One request and its answer, with where it redirects to.
async fn exchange(
    url: &Url,
    headers: &[(HeaderName, HeaderValue)],
    deadline: Instant,
) -> Result<(HttpAnswer, Option<String>), String> {
    const LATE: &str = "(Client.Timeout exceeded while awaiting headers)";
    let stream = dial(&url.host, url.port, deadline)
        .await
        .map_err(|message| if message.ends_with("i/o timeout") { format!("{message} {LATE}") } else { message })?;
    let mut request = Request::get(&url.path).header(header::CONNECTION, "close");
    if !headers.iter().any(|(name, _)| *name == header::HOST) {
        request = request.header(header::HOST, join(&url.host, url.port));
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Empty::new()).map_err(|error| error.to_string())?;
    let answering = async {
        if url.tls { over_tls(stream, &url.host, request).await } else { send(TokioIo::new(stream), request).await }
    };
    tokio::time::timeout_at(deadline, answering)
        .await
        .unwrap_or_else(|_| Err(format!("context deadline exceeded {LATE}")))
}

#[cfg(feature = "containerd")]
async fn over_tls(
    stream: tokio::net::TcpStream,
    host: &str,
    request: Request<Empty<Bytes>>,
) -> Result<(HttpAnswer, Option<String>), String> {
    let stream = super::tls::connect(stream, host).await?;
    send(TokioIo::new(stream), request).await
}

#[cfg(not(feature = "containerd"))]
async fn over_tls(
    _stream: tokio::net::TcpStream,
    _host: &str,
    _request: Request<Empty<Bytes>>,
) -> Result<(HttpAnswer, Option<String>), String> {
    Err("HTTPS needs a kubelet that is built with the feature \"containerd\"".to_owned())
}

async fn send<S: Read + Write + Unpin>(
    stream: S,
    request: Request<Empty<Bytes>>,
) -> Result<(HttpAnswer, Option<String>), String> {
    let (mut sender, connection) = http1::handshake(stream).await.map_err(|error| words(&error))?;
    let mut connection = pin!(connection);
    let mut answering = pin!(async {
        let response = sender.send_request(request).await.map_err(|error| words(&error))?;
        Ok(read(response).await)
    });
    tokio::select! {
        biased;
        answer = &mut answering => return answer,
        _ = &mut connection => {}
    }
    // The connection has ended; what came over it is still to be had.
    answering.await
}

async fn read(response: http::Response<Incoming>) -> (HttpAnswer, Option<String>) {
    let (parts, body) = response.into_parts();
    let location = parts.headers.get(header::LOCATION).filter(|_| parts.status.is_redirection());
    let location = location.and_then(|location| location.to_str().ok()).map(str::to_owned);
    // The answer's code counts, whatever becomes of its body.
    let body =
        Limited::new(body, MAX_BODY).collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let body = String::from_utf8_lossy(&body).into_owned();
    (HttpAnswer { status: parts.status.as_u16(), body }, location)
}

fn words(error: &hyper::Error) -> String {
    if error.is_incomplete_message() {
        return "EOF".to_owned();
    }
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    cause.map_or_else(|| error.to_string(), super::tcp::words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_made_fit_for_a_request() {
        for (path, form) in
            [("", "/"), ("healthz", "/healthz"), ("/a b?x={1}#part", "/a%20b?x=%7B1%7D"), ("/ä%20", "/%C3%A4%20")]
        {
            assert_eq!(origin_form(path), form);
        }
    }

    #[test]
    fn redirects_lead_where_they_say() {
        let url = Url { tls: false, host: "10.0.0.1".into(), port: 8080, path: "/a/b".into() };
        let joined = |location: &str| url.join(location).map(|url| url.to_string());
        assert_eq!(joined("/c").as_deref(), Some("http://10.0.0.1:8080/c"));
        assert_eq!(joined("https://10.0.0.1/c").as_deref(), Some("https://10.0.0.1:443/c"));
        assert_eq!(joined("http://[fd00::1]:81/").as_deref(), Some("http://[fd00::1]:81/"));
        assert_eq!(joined("ht tp://"), None);
    }

    #[test]
    fn headers_that_are_given_replace_kubernetes_own() {
        let action = |headers: serde_json::Value| -> HTTPGetAction {
            serde_json::from_value(serde_json::json!({ "port": 80, "httpHeaders": headers })).unwrap()
        };
        let names = |action: &HTTPGetAction| -> Vec<String> {
            headers(action, "probe").iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect()
        };
        assert_eq!(names(&action(serde_json::Value::Null)), ["user-agent=kube-probe/1.36", "accept=*/*"]);
        let given = serde_json::json!([{ "name": "Accept", "value": "" }, { "name": "User-Agent", "value": "x" }]);
        assert_eq!(names(&action(given)), ["user-agent=x"]);
    }
}
