//! Tokens of service accounts: who gets one, what it says, and for how long the server believes it.

#![allow(clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::body::Body;
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use orchestra_core::{clock::TokioClock, random::Generator};
use orchestra_store::{
    MemoryStore,
    apiserver::{
        ApiError, ApiServer,
        admission::{Admission, Admitted},
        strategy::UserInfo,
    },
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tower::ServiceExt;

/// Notes who writes.
#[derive(Default)]
struct Writers(Mutex<Option<UserInfo>>);

#[async_trait]
impl Admission for Writers {
    async fn admit(&self, write: &mut Admitted<'_>) -> Result<(), ApiError> {
        *self.0.lock() = Some(write.ctx.user.clone());
        Ok(())
    }
}

struct World {
    server: ApiServer,
    writers: Arc<Writers>,
}

const PODS: &str = "/api/v1/namespaces/default/pods";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";

impl World {
    async fn new() -> Self {
        let clock = Arc::new(TokioClock::starting_at("2026-01-01T00:00:00Z".parse().unwrap()));
        let writers = Arc::new(Writers::default());
        let server = ApiServer::builder(Arc::new(MemoryStore::default())).clock(clock).generator(Generator::seeded(1));
        let server = server.admission(writers.clone()).start().await.unwrap();
        let world = Self { server, writers };
        world.send("POST", ACCOUNTS, json!({ "metadata": { "name": "robot" } }), None).await;
        let container = json!({ "name": "c", "image": "i" });
        let spec = json!({ "serviceAccountName": "robot", "containers": [container] });
        world.send("POST", PODS, json!({ "metadata": { "name": "p" }, "spec": spec }), None).await;
        world
    }

    async fn send(&self, method: &str, path: &str, body: Value, token: Option<&str>) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let response = self.server.router().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
        let code = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (code, serde_json::from_slice(&body).unwrap())
    }

    async fn ask(&self, account: &str, spec: Value) -> (StatusCode, Value) {
        self.send("POST", &format!("{ACCOUNTS}/{account}/token"), json!({ "spec": spec }), None).await
    }

    async fn token(&self, spec: Value) -> String {
        let (code, answer) = self.ask("robot", spec).await;
        assert_eq!(code, 201, "{answer}");
        answer["status"]["token"].as_str().unwrap().to_owned()
    }

    async fn uid(&self, pod: &str) -> String {
        let (_, pod) = self.send("GET", &format!("{PODS}/{pod}"), json!({}), None).await;
        pod["metadata"]["uid"].as_str().unwrap().to_owned()
    }

    async fn read(&self, token: &str) -> StatusCode {
        self.send("GET", MAPS, json!({}), Some(token)).await.0
    }
}

fn of_pod(uid: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod", "name": "p", "uid": uid })
}

#[tokio::test(start_paused = true)]
async fn who_bears_a_token_acts_for_its_account_while_its_pod_is_there() {
    let world = World::new().await;
    let bound = of_pod(&world.uid("p").await);
    let (code, answer) = world.ask("robot", json!({ "expirationSeconds": 3607, "boundObjectRef": bound })).await;
    assert_eq!((code.as_u16(), answer["kind"].as_str()), (201, Some("TokenRequest")));
    assert_eq!(answer["status"]["expirationTimestamp"], "2026-01-01T01:00:07Z");
    assert_eq!(answer["spec"]["audiences"], json!(["https://kubernetes.default.svc.cluster.local"]));
    let token = answer["status"]["token"].as_str().unwrap();
    let (code, _) = world.send("POST", MAPS, json!({ "metadata": { "name": "a" } }), Some(token)).await;
    assert_eq!(code, 201);
    let writer = world.writers.0.lock().clone().unwrap();
    assert_eq!(writer.name, "system:serviceaccount:default:robot");
    assert!(writer.groups.contains(&"system:serviceaccounts:default".to_owned()), "{writer:?}");
    // Kubelets' tokens hold for longer than they say, for clients that read them but once.
    tokio::time::advance(Duration::from_secs(2 * 3607)).await;
    assert_eq!(world.read(token).await, 200);
    world.send("DELETE", &format!("{PODS}/p?gracePeriodSeconds=0"), json!({}), None).await;
    let (code, answer) = world.send("GET", MAPS, json!({}), Some(token)).await;
    assert_eq!(
        (code.as_u16(), answer["message"].as_str(), answer["reason"].as_str()),
        (401, Some("Unauthorized"), Some("Unauthorized"))
    );
}

#[tokio::test(start_paused = true)]
async fn tokens_are_believed_for_their_time_and_audience_only() {
    let world = World::new().await;
    let token = world.token(json!({ "expirationSeconds": 600 })).await;
    let for_others = world.token(json!({ "audiences": ["vault"] })).await;
    assert_eq!(world.read(&token).await, 200);
    assert_eq!(world.read(&for_others).await, 401);
    let (first, rest) = token.split_at(token.len() - 4);
    assert_eq!(world.read(&format!("{first}{}", rest.chars().rev().collect::<String>())).await, 401);
    // What is no token of this server is for its authenticator to judge.
    assert_eq!(world.read("something").await, 200);
    tokio::time::advance(Duration::from_secs(600)).await;
    assert_eq!(world.read(&token).await, 401);
    let token = world.token(json!({})).await;
    assert_eq!(world.read(&token).await, 200);
    world.send("DELETE", &format!("{ACCOUNTS}/robot"), json!({}), None).await;
    assert_eq!(world.read(&token).await, 401);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_refused_in_kubernetes_words() {
    let world = World::new().await;
    let own = world.uid("p").await;
    for (account, spec, code, message) in [
        ("none", json!({}), 404, "serviceaccounts \"none\" not found"),
        (
            "robot",
            json!({ "expirationSeconds": 10 }),
            422,
            "TokenRequest.authentication.k8s.io \"robot\" is invalid: spec.expirationSeconds: Invalid value: 10: may not \
             specify a duration less than 10 minutes",
        ),
        (
            "robot",
            json!({ "boundObjectRef": { "apiVersion": "v1", "kind": "Pod", "name": "q" } }),
            404,
            "pods \"q\" not found",
        ),
        (
            "robot",
            json!({ "boundObjectRef": of_pod("other") }),
            409,
            "the UID in the bound object reference (other) does not match the UID in record",
        ),
        (
            "robot",
            json!({ "boundObjectRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "d" } }),
            400,
            "cannot bind token for serviceaccount to object of type apps/v1, Kind=Deployment",
        ),
    ] {
        let (found, answer) = world.ask(account, spec).await;
        let told = answer["message"].as_str().unwrap_or_default();
        assert_eq!(found, code, "{answer}");
        assert!(told.contains(message), "{told}");
    }
    world.send("POST", ACCOUNTS, json!({ "metadata": { "name": "other" } }), None).await;
    let (code, answer) = world.ask("other", json!({ "boundObjectRef": of_pod(&own) })).await;
    let message = "cannot bind token for serviceaccount \"other\" to pod running with different serviceaccount name.";
    assert_eq!((code.as_u16(), answer["message"].as_str()), (400, Some(message)));
}
