use http::{HeaderName, HeaderValue, Request, header};
use http_body_util::Empty;
use hyper::body::Bytes;
use k8s_openapi::api::core::v1::HTTPGetAction;

use super::url::Url;
use crate::kubelet::probe::{address::join, user_agent};

pub(super) type Headers = Vec<(HeaderName, HeaderValue)>;

/// The headers that an action asks for, and those that Kubernetes adds.
pub(super) fn headers(action: &HTTPGetAction, purpose: &str) -> Headers {
    let parse = |name: &str, value: &str| Some((name.parse().ok()?, HeaderValue::from_str(value).ok()?));
    let given = action.http_headers.iter().flatten();
    let mut headers: Headers = given.filter_map(|header| parse(&header.name, &header.value)).collect();
    for (name, value) in [("user-agent", user_agent(purpose)), ("accept", "*/*".to_owned())] {
        if !headers.iter().any(|(given, _)| given == name) {
            headers.extend(parse(name, &value));
        }
    }
    // An empty one says that none is to be sent.
    headers.retain(|(name, value)| *name != header::ACCEPT || !value.is_empty());
    headers
}

/// The request for HTTP/1.1.
pub(super) fn http1(url: &Url, headers: &Headers) -> Result<Request<Empty<Bytes>>, String> {
    let mut request = Request::get(&url.path).header(header::CONNECTION, "close");
    if !headers.iter().any(|(name, _)| *name == header::HOST) {
        request = request.header(header::HOST, join(&url.host, url.port));
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request.body(Empty::new()).map_err(|error| error.to_string())
}

/// The request for HTTP/2, which has the host in the place of a header of that name.
#[cfg(feature = "containerd")]
pub(super) fn http2(url: &Url, headers: &Headers) -> Result<Request<Empty<Bytes>>, String> {
    let named = headers.iter().find(|(name, _)| *name == header::HOST).and_then(|(_, host)| host.to_str().ok());
    let authority = named.map_or_else(|| join(&url.host, url.port), str::to_owned);
    let mut request = Request::get(format!("https://{authority}{}", url.path));
    for (name, value) in headers.iter().filter(|(name, _)| ![header::HOST, header::CONNECTION].contains(name)) {
        request = request.header(name, value);
    }
    request.body(Empty::new()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

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
