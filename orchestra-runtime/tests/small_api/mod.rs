//! An API server in small: enough of objects, watches and deletion for controllers, and nothing that they do not need. It judges nothing.

mod objects;

use std::{collections::BTreeMap, convert::Infallible, sync::Arc};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use futures::stream;
use orchestra_core::{clock::Clock, random::Generator};
use parking_lot::Mutex;
use serde_json::{Value, json};

use self::objects::{Key, Objects};

/// Path of the group and version, plural, kind.
type Kind = (&'static str, &'static str, &'static str);

const KINDS: [Kind; 7] = [
    ("api/v1", "namespaces", "Namespace"),
    ("api/v1", "pods", "Pod"),
    ("api/v1", "configmaps", "ConfigMap"),
    ("api/v1", "serviceaccounts", "ServiceAccount"),
    ("api/v1", "events", "Event"),
    ("apis/apps/v1", "deployments", "Deployment"),
    ("apis/apps/v1", "replicasets", "ReplicaSet"),
];

type Shared = Arc<Mutex<Objects>>;

/// A server without objects.
pub(super) fn router(clock: Arc<dyn Clock>, generator: Generator) -> Router {
    Router::new().fallback(handle).with_state(Arc::new(Mutex::new(Objects::new(clock, generator))))
}

/// Why a request is refused: code, reason, and a cause that a client may act on.
pub(super) struct Refusal(StatusCode, &'static str, Option<&'static str>);

impl Refusal {
    const NOT_FOUND: Self = Self(StatusCode::NOT_FOUND, "NotFound", None);
    const CONFLICT: Self = Self(StatusCode::CONFLICT, "Conflict", None);
    const ALREADY_EXISTS: Self = Self(StatusCode::CONFLICT, "AlreadyExists", None);
    const TERMINATING: Self = Self(StatusCode::FORBIDDEN, "Forbidden", Some("NamespaceTerminating"));
    const UNSUPPORTED: Self = Self(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", None);
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let causes: Vec<_> = self.2.map(|reason| json!({"reason": reason})).into_iter().collect();
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.1,
            "reason": self.1, "code": self.0.as_u16(), "details": {"causes": causes},
        });
        respond(self.0, &status)
    }
}

fn respond(code: StatusCode, body: &Value) -> Response {
    (code, [("content-type", "application/json")], body.to_string()).into_response()
}

/// What a request is about.
struct Target {
    kind: Kind,
    namespace: String,
    name: Option<String>,
    subresource: Option<String>,
}

impl Target {
    fn parse(path: &str) -> Option<Self> {
        let group = if path.starts_with("apis/") { 3 } else { 2 };
        let parts: Vec<&str> = path.split('/').collect();
        let (group, mut rest) = parts.split_at_checked(group)?;
        let mut namespace = "";
        if let ["namespaces", name, plural, ..] = rest
            && !["status", "finalize"].contains(plural)
        {
            (namespace, rest) = (name, &rest[2..]);
        }
        let group = group.join("/");
        let kind = KINDS.into_iter().find(|kind| kind.0 == group && Some(&kind.1) == rest.first())?;
        let part = |index: usize| rest.get(index).map(|part| (*part).to_owned());
        Some(Self { kind, namespace: namespace.to_owned(), name: part(1), subresource: part(2) })
    }

    fn key(&self) -> Key {
        (self.kind.1, self.namespace.clone(), self.name.clone().unwrap_or_default())
    }
}

async fn handle(State(objects): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().trim_matches('/').to_owned();
    if let Some(document) = discovery(&path) {
        return respond(StatusCode::OK, &document);
    }
    let Some(target) = Target::parse(&path) else { return Refusal::NOT_FOUND.into_response() };
    let query: BTreeMap<&str, &str> =
        parts.uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('=')).collect();
    if query.contains_key("watch") {
        let after = query.get("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0);
        return watch(objects, &target, after);
    }
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    match answer(&mut objects.lock(), &parts.method, &target, body) {
        Ok(object) => respond(StatusCode::OK, &object),
        Err(refusal) => refusal.into_response(),
    }
}

fn answer(objects: &mut Objects, method: &Method, target: &Target, body: Value) -> Result<Value, Refusal> {
    let key = target.key();
    match (method.as_str(), &target.name) {
        ("GET", None) => Ok(objects.list(&key)),
        ("GET", Some(_)) => objects.get(&key),
        ("POST", None) => objects.create(target.kind, key, body),
        ("PUT", Some(_)) => objects.update(key, body, target.subresource.as_deref()),
        ("PATCH", Some(_)) => {
            let mut object = objects.get(&key)?;
            merge(&mut object, body);
            objects.update(key, object, target.subresource.as_deref())
        }
        ("DELETE", Some(_)) => objects.delete(key, &body),
        ("DELETE", None) => objects.delete_all(&key, &body),
        _ => Err(Refusal::UNSUPPORTED),
    }
}

fn watch(objects: Shared, target: &Target, after: u64) -> Response {
    let news = objects.lock().news();
    let key = target.key();
    let events = stream::unfold((after, news), move |(mut after, mut news)| {
        let (objects, key) = (Arc::clone(&objects), key.clone());
        async move {
            loop {
                let lines = objects.lock().events(&key, &mut after);
                if !lines.is_empty() {
                    return Some((Ok::<_, Infallible>(Bytes::from(lines)), (after, news)));
                }
                news.changed().await.ok()?;
            }
        }
    });
    Response::new(Body::from_stream(events))
}

fn discovery(path: &str) -> Option<Value> {
    let version = json!({"groupVersion": "apps/v1", "version": "v1"});
    if path == "apis" {
        let group = json!({"name": "apps", "versions": [version], "preferredVersion": version});
        return Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group]}));
    }
    let verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
    let resources: Vec<_> = KINDS
        .iter()
        .filter(|kind| kind.0 == path)
        .map(|kind| {
            let namespaced = kind.1 != "namespaces";
            json!({"name": kind.1, "singularName": "", "namespaced": namespaced, "kind": kind.2, "verbs": verbs})
        })
        .collect();
    let group_version = path.trim_start_matches("apis/").trim_start_matches("api/");
    (!resources.is_empty())
        .then(|| json!({"kind": "APIResourceList", "groupVersion": group_version, "resources": resources}))
}

/// A JSON merge patch (RFC 7396).
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in patch {
        match (value, target.as_object_mut()) {
            (Value::Null, Some(fields)) => drop(fields.remove(&name)),
            (value, _) => merge(&mut target[name], value),
        }
    }
}
