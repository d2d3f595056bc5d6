//! What limit ranges make of the pods and claims of their namespace.
#![allow(missing_docs, reason = "a test")]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use axum::body::Body;
use http::{Request, header};
use http_body_util::BodyExt;
use orchestra_store::{MemoryStore, apiserver::ApiServer};
use serde_json::{Value, json};
use tower::ServiceExt;

struct Server(ApiServer);

impl Server {
    /// A server whose namespace `default` has a limit range of this one item.
    async fn with(item: Value) -> Self {
        let server = Self(ApiServer::builder(Arc::new(MemoryStore::default())).start().await.unwrap());
        server.create("serviceaccounts", json!({"metadata": {"name": "default"}})).await.unwrap();
        let range = json!({"metadata": {"name": "range"}, "spec": {"limits": [item]}});
        server.create("limitranges", range).await.unwrap();
        server
    }

    /// The object that was made, or why none was.
    async fn create(&self, plural: &str, body: Value) -> Result<Value, String> {
        let request = Request::builder()
            .method("POST")
            .uri(format!("/api/v1/namespaces/default/{plural}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()));
        let response = self.0.router().oneshot(request.unwrap()).await.unwrap();
        let code = response.status();
        let answer: Value = serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap();
        if code.is_success() { Ok(answer) } else { Err(answer["message"].as_str().unwrap().to_owned()) }
    }

    async fn pod(&self, containers: Value) -> Result<Value, String> {
        let spec = json!({"containers": containers, "automountServiceAccountToken": false});
        self.create("pods", json!({"metadata": {"name": "p"}, "spec": spec})).await
    }
}

fn container(name: &str, resources: Value) -> Value {
    json!({"name": name, "image": "i", "resources": resources})
}

#[tokio::test(start_paused = true)]
async fn containers_get_what_they_do_not_say() {
    let item =
        json!({"type": "Container", "default": {"cpu": "500m", "memory": "1Gi"}, "defaultRequest": {"cpu": "100m"}});
    let server = Server::with(item).await;
    let own = json!({"requests": {"cpu": "50m"}, "limits": {"memory": "2Gi"}});
    let pod = server.pod(json!([container("a", json!({})), container("b", own)])).await.unwrap();
    let of = |index: usize| pod["spec"]["containers"][index]["resources"].clone();
    let defaults = json!({"limits": {"cpu": "500m", "memory": "1Gi"}, "requests": {"cpu": "100m", "memory": "1Gi"}});
    assert_eq!(of(0), defaults);
    let mixed = json!({"limits": {"cpu": "500m", "memory": "2Gi"}, "requests": {"cpu": "50m", "memory": "2Gi"}});
    assert_eq!(of(1), mixed);
    let note = "LimitRanger plugin set: cpu, memory request for container a; cpu, memory limit for container a; cpu limit for container b";
    assert_eq!(pod["metadata"]["annotations"]["kubernetes.io/limit-ranger"], note);
}

#[tokio::test(start_paused = true)]
async fn containers_outside_of_the_bounds_are_refused() {
    let item =
        json!({"type": "Container", "min": {"cpu": "100m"}, "max": {"cpu": "1"}, "maxLimitRequestRatio": {"cpu": "4"}});
    let server = Server::with(item).await;
    let with = async |requests: &str, limits: &str| {
        let resources = json!({"requests": {"cpu": requests}, "limits": {"cpu": limits}});
        server.pod(json!([container("a", resources)])).await
    };
    let refused = async |requests: &str, limits: &str| with(requests, limits).await.unwrap_err();
    let low = r#"pods "p" is forbidden: minimum cpu usage per Container is 100m, but request is 50m"#;
    assert_eq!(refused("50m", "150m").await, low);
    let both = r#"pods "p" is forbidden: [maximum cpu usage per Container is 1, but limit is 2, cpu max limit to request ratio per Container is 4, but provided ratio is 20.000000]"#;
    assert_eq!(refused("100m", "2").await, both);
    with("250m", "1").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn pods_are_bounded_as_a_whole() {
    let server = Server::with(json!({"type": "Pod", "max": {"memory": "1Gi"}})).await;
    let half = || json!({"limits": {"memory": "600Mi"}});
    let two = json!([container("a", half()), container("b", half())]);
    let much = r#"pods "p" is forbidden: maximum memory usage per Pod is 1Gi, but limit is 1200Mi"#;
    assert_eq!(server.pod(two).await.unwrap_err(), much);
    let none = r#"pods "p" is forbidden: maximum memory usage per Pod is 1Gi.  No limit is specified"#;
    assert_eq!(server.pod(json!([container("a", json!({}))])).await.unwrap_err(), none);
    server.pod(json!([container("a", half())])).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn claims_are_bounded_too() {
    let server =
        Server::with(json!({"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "2Gi"}}))
            .await;
    let claim = async |size: &str| {
        let spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}});
        server.create("persistentvolumeclaims", json!({"metadata": {"name": "c"}, "spec": spec})).await
    };
    let much = r#"persistentvolumeclaims "c" is forbidden: maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi"#;
    assert_eq!(claim("3Gi").await.unwrap_err(), much);
    claim("1Gi").await.unwrap();
}
