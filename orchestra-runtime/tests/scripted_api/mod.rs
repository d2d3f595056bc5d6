//! As much of an API server as a kubelet talks to: pods of one namespace with status and graceful deletion, nodes, leases, and
//! events; watches replay from a resourceVersion.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State as AxumState},
    response::Response,
};
use http::Method;
use kube::Client;
use serde_json::{Value, json};
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};

#[derive(Default)]
pub(crate) struct State {
    revision: u64,
    pub(crate) pods: BTreeMap<String, Value>,
    history: Vec<(u64, Value)>,
    watchers: Vec<mpsc::UnboundedSender<Value>>,
    pub(crate) nodes: BTreeMap<String, Value>,
    pub(crate) leases: BTreeMap<String, Value>,
    /// Every event, as `type reason path: message`; repeats as `reason xN`.
    pub(crate) events: Vec<String>,
    event_reasons: BTreeMap<String, String>,
    /// Every status patch of a pod: its name, and how long after the start.
    pub(crate) patches: Vec<(String, Duration)>,
    /// Pods whose next status patches are answered with an internal error.
    pub(crate) refuse_status: BTreeSet<String>,
}

impl State {
    fn put(&mut self, name: &str, mut pod: Value, kind: &str) {
        self.revision += 1;
        pod["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        if kind == "DELETED" {
            self.pods.remove(name);
        } else {
            self.pods.insert(name.to_owned(), pod.clone());
        }
        let event = json!({ "type": kind, "object": pod });
        self.history.push((self.revision, event.clone()));
        self.watchers.retain(|watcher| watcher.send(event.clone()).is_ok());
    }

    pub(crate) fn status(&self, pod: &str, pointer: &str) -> Option<&Value> {
        self.pods.get(pod)?.pointer(&format!("/status{pointer}"))
    }

    pub(crate) fn phase(&self, pod: &str) -> &str {
        self.status(pod, "/phase").and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn is_ready(&self, pod: &str) -> bool {
        let conditions = self.status(pod, "/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
        conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    }

    /// The reason for which the pod's first container waits.
    pub(crate) fn waiting(&self, pod: &str) -> &str {
        let reason = self.status(pod, "/containerStatuses/0/state/waiting/reason");
        reason.and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn restarts(&self, pod: &str) -> u64 {
        self.status(pod, "/containerStatuses/0/restartCount").and_then(Value::as_u64).unwrap_or(0)
    }
}

#[derive(Clone)]
pub(crate) struct Api {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
    started: Instant,
}

impl Api {
    pub(crate) fn new() -> Self {
        Self { state: Arc::default(), changed: Arc::default(), started: Instant::now() }
    }

    pub(crate) fn client(&self) -> Client {
        let router = Router::new().fallback(serve).with_state(self.clone());
        Client::new(router, "default")
    }

    pub(crate) fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.state.lock().unwrap())
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state.lock().unwrap());
        self.changed.notify_waiters();
        result
    }

    /// Waits until `condition` holds, and returns how long after the start that was.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn(&State) -> bool) -> Duration {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                if self.read(&condition) {
                    return;
                }
                changed.await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(3600), wait).await;
        let events = self.read(|state| state.events.join("\n"));
        assert!(waited.is_ok(), "never happened: {what}\n{events}");
        self.started.elapsed()
    }

    /// Adds a pod of one container that is bound to the node `n1`; `spec` adds to its spec.
    pub(crate) fn add_pod(&self, name: &str, image: &str, spec: Value) {
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": name, "namespace": "default", "uid": format!("uid-{name}"), "generation": 1 },
            "spec": {
                "nodeName": "n1", "restartPolicy": "Always",
                "containers": [{ "name": "c", "image": image, "imagePullPolicy": "IfNotPresent" }],
            },
            "status": { "phase": "Pending", "qosClass": "BestEffort", "conditions": [
                { "type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z" },
            ] },
        });
        merge(&mut pod["spec"], &spec);
        self.change(|state| state.put(name, pod, "ADDED"));
    }

    /// As `kubectl delete`.
    pub(crate) fn delete_pod(&self, name: &str, grace: u64) {
        self.change(|state| {
            let mut pod = state.pods[name].clone();
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            pod["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
            state.put(name, pod, "MODIFIED");
        });
    }

    /// As `kubectl delete --force`.
    pub(crate) fn drop_pod(&self, name: &str) {
        self.change(|state| {
            let pod = state.pods[name].clone();
            state.put(name, pod, "DELETED");
        });
    }

    fn handle(&self, method: &Method, path: &[&str], query: &str, body: &Value) -> Response {
        match (method, path) {
            (&Method::GET, ["pods"]) if query.contains("watch=") => self.watch(query),
            (&Method::GET, ["pods"]) => self.read(|state| {
                let items: Vec<&Value> = state.pods.values().collect();
                let metadata = json!({ "resourceVersion": state.revision.to_string() });
                answer(200, &json!({ "apiVersion": "v1", "kind": "PodList", "metadata": metadata, "items": items }))
            }),
            (&Method::PATCH, ["namespaces", _, "pods", name, "status"]) => self.patch_status(name, body),
            (&Method::DELETE, ["namespaces", _, "pods", name]) => self.change(|state| match state.pods.get(*name) {
                Some(pod) if body["preconditions"]["uid"] == pod["metadata"]["uid"] => {
                    assert_eq!(body["gracePeriodSeconds"], 0);
                    let pod = pod.clone();
                    state.put(name, pod.clone(), "DELETED");
                    answer(200, &pod)
                }
                Some(_) => status(409, "uid"),
                None => status(404, "not found"),
            }),
            (_, ["namespaces", _, "events", ..]) => self.event(body, path.get(3).copied()),
            (_, ["nodes", ..]) => self.change(|state| object(&mut state.nodes, method, path.get(1), body)),
            (_, ["namespaces", "kube-node-lease", "leases", ..]) => {
                self.change(|state| object(&mut state.leases, method, path.get(3), body))
            }
            other => status(404, &format!("{other:?}")),
        }
    }

    fn patch_status(&self, name: &str, patch: &Value) -> Response {
        let elapsed = self.started.elapsed();
        self.change(|state| {
            let Some(mut pod) = state.pods.get(name).cloned() else { return status(404, "not found") };
            if patch["metadata"]["uid"] != pod["metadata"]["uid"] {
                return status(409, "uid");
            }
            if state.refuse_status.remove(name) {
                return status(500, "refused");
            }
            state.patches.push((name.to_owned(), elapsed));
            merge(&mut pod["status"], &patch["status"]);
            state.put(name, pod, "MODIFIED");
            answer(200, &state.pods[name])
        })
    }

    fn event(&self, event: &Value, name: Option<&str>) -> Response {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        self.change(|state| {
            if let Some(name) = name {
                let reason = state.event_reasons.get(name).cloned().unwrap_or_default();
                state.events.push(format!("{reason} x{}", event["count"]));
            } else {
                state.event_reasons.insert(text("/metadata/name"), text("/reason"));
                let line = format!(
                    "{} {} {}: {}",
                    text("/type"),
                    text("/reason"),
                    text("/involvedObject/fieldPath"),
                    text("/message")
                );
                state.events.push(line);
            }
        });
        answer(201, event)
    }

    fn watch(&self, query: &str) -> Response {
        // A kubelet's own watch is for its node; a shared informer's for all.
        assert!(!query.contains("fieldSelector") || query.contains("spec.nodeName%3Dn1"), "{query}");
        let since = query.split('&').find_map(|pair| pair.strip_prefix("resourceVersion="));
        let since: u64 = since.and_then(|text| text.parse().ok()).unwrap_or(0);
        let (sender, receiver) = mpsc::unbounded_channel();
        self.change(|state| {
            for (_, event) in state.history.iter().filter(|(revision, _)| *revision > since) {
                sender.send(event.clone()).unwrap();
            }
            state.watchers.push(sender);
        });
        let events = futures::stream::unfold(receiver, |mut receiver| async move {
            let event: Value = receiver.recv().await?;
            Some((Ok::<_, Infallible>(Bytes::from(format!("{event}\n"))), receiver))
        });
        Response::new(Body::from_stream(events))
    }
}

async fn serve(AxumState(api): AxumState<Api>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let path: Vec<&str> = parts.uri.path().trim_matches('/').split('/').collect();
    // /api/v1/... and /apis/coordination.k8s.io/v1/...
    let skip = if path.first() == Some(&"api") { 2 } else { 3 };
    api.handle(&parts.method, path.get(skip..).unwrap_or_default(), parts.uri.query().unwrap_or_default(), &body)
}

fn object(objects: &mut BTreeMap<String, Value>, method: &Method, name: Option<&&str>, body: &Value) -> Response {
    let name = name.map_or_else(|| body["metadata"]["name"].as_str().unwrap().to_owned(), |name| (*name).to_owned());
    match (method, objects.get_mut(&name)) {
        (&Method::POST, Some(_)) => status(409, "already exists"),
        (&Method::POST, None) => {
            let mut body = body.clone();
            body["metadata"]["uid"] = json!(format!("uid-{name}"));
            objects.insert(name, body.clone());
            answer(201, &body)
        }
        (&Method::PATCH, Some(object)) => {
            merge(object, body);
            answer(200, object)
        }
        (_, Some(object)) => answer(200, object),
        (_, None) => status(404, "not found"),
    }
}

/// A strategic merge, as far as statuses need it: lists of typed things merge by type, others are replaced.
fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (name, value) in patch {
                if value.is_null() {
                    target.remove(name);
                } else {
                    merge(target.entry(name.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (Value::Array(target), Value::Array(patch)) if patch.iter().all(|item| item["type"].is_string()) => {
            for item in patch {
                match target.iter_mut().find(|old| old["type"] == item["type"]) {
                    Some(old) => merge(old, item),
                    None => target.push(without_nulls(item)),
                }
            }
        }
        (target, patch) => *target = without_nulls(patch),
    }
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            fields.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), without_nulls(v))).collect()
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

fn answer(code: u16, body: &Value) -> Response {
    Response::builder().status(code).body(Body::from(body.to_string())).unwrap()
}

fn status(code: u16, message: &str) -> Response {
    let outcome = if code < 400 { "Success" } else { "Failure" };
    answer(code, &json!({ "apiVersion": "v1", "kind": "Status", "status": outcome, "message": message, "code": code }))
}
