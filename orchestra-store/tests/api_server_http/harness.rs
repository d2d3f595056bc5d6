use std::sync::Arc;

use axum::{Router, body::Body};
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt;
use orchestra_store::{MemoryStore, apiserver::ApiServer};
use serde_json::Value;
use tower::ServiceExt;

pub(crate) const MAPS: &str = "/api/v1/namespaces/default/configmaps";
pub(crate) const PODS: &str = "/api/v1/namespaces/default/pods";
pub(crate) const JSON: &str = "application/json";
pub(crate) const MERGE: &str = "application/merge-patch+json";

/// A server on its own.
pub(crate) struct Server {
    router: Router,
}

/// What it answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let server = ApiServer::builder(Arc::new(MemoryStore::default())).start().await.expect("a server");
        Self::over(server.router())
    }

    pub(crate) fn over(router: Router) -> Self {
        Self { router }
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("the router never fails");
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes().to_vec();
        Answer { code: head.status, headers: head.headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path).await
    }

    /// A request without a body.
    pub(crate) async fn ask(&self, method: &str, path: &str) -> Answer {
        self.send(Request::builder().method(method).uri(path).body(Body::empty()).expect("a request")).await
    }

    pub(crate) async fn with_body(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: impl Into<Body>,
    ) -> Answer {
        let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, content_type);
        self.send(request.body(body.into()).expect("a request")).await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.with_body("POST", path, JSON, body).await
    }

    pub(crate) async fn accepting(&self, path: &str, accept: &str) -> Answer {
        let request = Request::builder().uri(path).header(header::ACCEPT, accept);
        self.send(request.body(Body::empty()).expect("a request")).await
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The code and the message of a failure.
    pub(crate) fn failure(&self) -> (u16, String) {
        let json = self.json();
        assert_eq!((&json["kind"], &json["status"]), (&"Status".into(), &"Failure".into()), "{json}");
        assert_eq!(json["code"], self.code.as_u16());
        (self.code.as_u16(), json["message"].as_str().unwrap_or_default().to_owned())
    }

    pub(crate) fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The texts of the warnings.
    pub(crate) fn warnings(&self) -> Vec<&str> {
        let values = self.headers.get_all(header::WARNING).iter();
        values.filter_map(|value| value.to_str().ok()?.strip_prefix("299 - ")).collect()
    }
}

/// The code and message, for comparing.
pub(crate) fn failure(code: u16, message: &str) -> (u16, String) {
    (code, message.to_owned())
}
