//! As much of an API server as list-watch, leases and events need. It can be told to fail.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use http::{Method, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use kube::{Client, client::Body};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

/// Plural, namespace, name.
type Key = [String; 3];

#[derive(Default)]
pub(crate) struct State {
    revision: u64,
    objects: BTreeMap<Key, Value>,
    history: Vec<(u64, String, Value)>,
    watchers: Vec<(String, mpsc::UnboundedSender<Value>)>,
    /// Every request, as `GET configmaps`.
    pub(crate) requests: Vec<String>,
    /// Writes that are still to be answered with an internal error.
    pub(crate) failures: usize,
    /// Whether watches from the past are answered with 410.
    expired: bool,
}

impl State {
    pub(crate) fn objects(&self, plural: &str) -> Vec<&Value> {
        self.objects.iter().filter(|(key, _)| key[0] == plural).map(|(_, object)| object).collect()
    }

    /// How many watches run.
    pub(crate) fn watches(&self) -> usize {
        self.watchers.iter().filter(|(_, sender)| !sender.is_closed()).count()
    }

    pub(crate) fn put(&mut self, plural: &str, mut object: Value) -> Value {
        self.revision += 1;
        object["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        let key = key(plural, &object["metadata"]);
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = json!(format!("{}-{}", key[2], self.revision));
        }
        let kind = if self.objects.insert(key, object.clone()).is_some() { "MODIFIED" } else { "ADDED" };
        self.tell(plural, kind, &object);
        object
    }

    pub(crate) fn delete(&mut self, plural: &str, name: &str) {
        let mut object = self.objects.remove(&[plural, "default", name].map(str::to_owned)).unwrap();
        self.revision += 1;
        object["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        self.tell(plural, "DELETED", &object);
    }

    fn tell(&mut self, plural: &str, kind: &str, object: &Value) {
        let event = json!({ "type": kind, "object": object });
        self.watchers.retain(|(watched, sender)| watched != plural || sender.send(event.clone()).is_ok());
        self.history.push((self.revision, plural.to_owned(), event));
    }

    fn fails(&mut self) -> bool {
        let fails = self.failures > 0;
        self.failures = self.failures.saturating_sub(1);
        fails
    }

    /// Forgets the past: watches that want it are told that it is gone, and all that run are told so too.
    pub(crate) fn expire_watches(&mut self) {
        let gone = json!({ "type": "ERROR", "object": status(410, "Expired") });
        for (_, sender) in self.watchers.drain(..) {
            let _ = sender.send(gone.clone());
        }
        self.history.clear();
        self.expired = true;
    }
}

fn key(plural: &str, metadata: &Value) -> Key {
    [plural, metadata["namespace"].as_str().unwrap_or_default(), metadata["name"].as_str().unwrap_or_default()]
        .map(str::to_owned)
}

fn status(code: u16, reason: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": reason, "message": reason, "code": code })
}

#[derive(Clone, Default)]
pub(crate) struct Api {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

impl Api {
    pub(crate) fn client(&self) -> Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move { Ok::<_, Infallible>(api.serve(request).await) }
        });
        Client::new(service, "default")
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state.lock());
        self.changed.notify_waiters();
        result
    }

    /// Puts a config map named `name` with a label `app`.
    pub(crate) fn put_config_map(&self, name: &str, app: &str) {
        let metadata = json!({ "name": name, "namespace": "default", "uid": name, "labels": { "app": app } });
        self.change(|state| {
            state.put("configmaps", json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata }))
        });
    }

    /// Waits until `condition` holds; ten minutes of paused time at most.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn(&State) -> bool) {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                if condition(&self.state.lock()) {
                    return;
                }
                changed.await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(600), wait).await;
        assert!(waited.is_ok(), "never happened: {what}");
    }

    async fn serve(&self, request: Request<Body>) -> Response<WatchBody> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let query = parts.uri.query().unwrap_or_default();
        let path: Vec<&str> = parts.uri.path().trim_matches('/').split('/').collect();
        let path = &path[if path[0] == "api" { 2 } else { 3 }..];
        let (namespace, plural, name) = match path {
            [plural] => ("", *plural, None),
            ["namespaces", namespace, plural, name @ ..] => (*namespace, *plural, name.first().copied()),
            other => panic!("no such path: {other:?}"),
        };
        self.change(|state| state.requests.push(format!("{} {plural}", parts.method)));
        if parts.method != Method::GET && self.change(State::fails) {
            return answer(500, &status(500, "InternalError"));
        }
        let Some(name) = name else {
            return match parts.method {
                Method::GET if query.contains("watch=") => self.watch(plural, query),
                Method::GET => self.list(plural),
                _ => self.create(plural, namespace, serde_json::from_slice(&body).unwrap()),
            };
        };
        let key = [plural, namespace, name].map(str::to_owned);
        let Some(mut object) = self.state.lock().objects.get(&key).cloned() else {
            return answer(404, &status(404, "NotFound"));
        };
        match parts.method {
            Method::GET => return answer(200, &object),
            Method::PUT => {
                let new: Value = serde_json::from_slice(&body).unwrap();
                if new["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] {
                    return answer(409, &status(409, "Conflict"));
                }
                object = new;
            }
            _ => {
                let patch: Value = serde_json::from_slice(&body).unwrap();
                for (field, value) in patch.as_object().into_iter().flatten() {
                    object[field] = value.clone();
                }
            }
        }
        answer(200, &self.change(|state| state.put(plural, object)))
    }

    fn create(&self, plural: &str, namespace: &str, mut object: Value) -> Response<WatchBody> {
        object["metadata"]["namespace"] = json!(namespace);
        self.change(|state| {
            if state.objects.contains_key(&key(plural, &object["metadata"])) {
                return answer(409, &status(409, "AlreadyExists"));
            }
            answer(201, &state.put(plural, object))
        })
    }

    fn list(&self, plural: &str) -> Response<WatchBody> {
        let mut state = self.state.lock();
        state.expired = false;
        let metadata = json!({ "resourceVersion": state.revision.to_string() });
        answer(
            200,
            &json!({ "apiVersion": "v1", "kind": "List", "metadata": metadata, "items": state.objects(plural) }),
        )
    }

    fn watch(&self, plural: &str, query: &str) -> Response<WatchBody> {
        let since = query.split('&').find_map(|pair| pair.strip_prefix("resourceVersion="));
        let since: u64 = since.and_then(|text| text.parse().ok()).unwrap_or(0);
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut state = self.state.lock();
        if state.expired {
            return answer(410, &status(410, "Expired"));
        }
        for (_, _, event) in state.history.iter().filter(|(revision, p, _)| *revision > since && *p == plural) {
            sender.send(event.clone()).unwrap();
        }
        state.watchers.push((plural.to_owned(), sender));
        let events = futures::stream::unfold(receiver, |mut receiver| async move {
            let event = receiver.recv().await?;
            Some((Ok(Frame::data(Bytes::from(format!("{event}\n")))), receiver))
        });
        Response::new(StreamBody::new(events.boxed()))
    }
}

type WatchBody = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

fn answer(code: u16, body: &Value) -> Response<WatchBody> {
    let frames = futures::stream::iter([Ok(Frame::data(Bytes::from(body.to_string())))]);
    Response::builder().status(code).body(StreamBody::new(frames.boxed())).unwrap()
}
