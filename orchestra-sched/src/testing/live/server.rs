//! As much of an API server as the loop around a scheduler needs: objects of any kind, made, changed, listed and watched, bindings, status, events.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use http::{Method, Request, Response, header::CONTENT_TYPE};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use kube::{Client, client::Body};
use orchestra_core::ObjectKey;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

use super::path::Path;

const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// An object's place: the plural of its kind, and its key.
type Place = (String, ObjectKey);
type Answer = Response<StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>>;

/// A server; clones are the same one.
#[derive(Clone, Default)]
pub(super) struct Server {
    inner: Arc<(Mutex<State>, Notify)>,
}

#[derive(Default)]
pub(super) struct State {
    revision: u64,
    pub(super) objects: BTreeMap<Place, Value>,
    /// All events of watches, with their revisions.
    history: Vec<(u64, String, Value)>,
    watchers: Vec<(String, mpsc::UnboundedSender<Value>)>,
    /// What was told to users: reason, object and message.
    pub(super) events: Vec<String>,
}

impl State {
    pub(super) fn pod(&self, key: &ObjectKey) -> Option<&Value> {
        self.objects.get(&("pods".to_owned(), key.clone()))
    }

    /// Adds an object, or puts it in the place of another.
    pub(super) fn put(&mut self, place: Place, object: Value) -> &Value {
        let kind = if self.objects.contains_key(&place) { "MODIFIED" } else { "ADDED" };
        let object = self.tell(&place.0, kind, object);
        self.objects.entry(place).insert_entry(object).into_mut()
    }

    pub(super) fn remove(&mut self, place: &Place) -> Option<Value> {
        let object = self.objects.remove(place)?;
        Some(self.tell(&place.0, "DELETED", object))
    }

    fn tell(&mut self, plural: &str, kind: &str, mut object: Value) -> Value {
        self.revision += 1;
        object["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        let event = json!({ "type": kind, "object": object });
        self.watchers.retain(|(watched, sender)| watched != plural || sender.send(event.clone()).is_ok());
        self.history.push((self.revision, plural.to_owned(), event));
        object
    }
}

impl Server {
    pub(super) fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.serve(request).await) }
        });
        Client::new(service, "default")
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.inner.0.lock());
        self.inner.1.notify_waiters();
        result
    }

    /// Waits until `look` sees something, for `patience` at most.
    pub(super) async fn until<T>(&self, patience: Duration, look: impl Fn(&State) -> Option<T>) -> Option<T> {
        let wait = async {
            loop {
                let changed = self.inner.1.notified();
                if let Some(seen) = look(&self.inner.0.lock()) {
                    return seen;
                }
                changed.await;
            }
        };
        tokio::time::timeout(patience, wait).await.ok()
    }

    async fn serve(&self, request: Request<Body>) -> Answer {
        let (parts, body) = request.into_parts();
        let is_strategic = parts.headers.get(CONTENT_TYPE).is_some_and(|kind| kind == STRATEGIC);
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let Some(path) = Path::parse(parts.uri.path()) else { return failure(404, "NotFound", "no such path") };
        let query = parts.uri.query().unwrap_or_default();
        let subresource = path.subresource.as_deref();
        match (&parts.method, subresource) {
            (&Method::GET, None) if path.name.is_none() && query.contains("watch=") => self.watch(&path.plural, query),
            (&Method::GET, None) if path.name.is_none() => self.list(&path.plural),
            (&Method::POST, None) if path.plural == "events" => self.record(&body),
            (&Method::PATCH, None) if path.plural == "events" => answer(200, &body),
            (&Method::POST, None) if path.plural == "bindings" => {
                self.bind(&path, body["items"].as_array().map_or(&[], Vec::as_slice))
            }
            (&Method::POST, None) if path.name.is_none() => self.create(&path, body),
            (&Method::POST, Some("binding")) => self.bind(&path, &[body]),
            (&Method::PATCH, _) => {
                self.patch(
                    &path,
                    |object| if is_strategic { strategic_merge(object, &body) } else { json_merge(object, &body) },
                )
            }
            (method, _) => self.serve_object(method, &path, &body),
        }
    }

    fn serve_object(&self, method: &Method, path: &Path, change: &Value) -> Answer {
        let place = path.place();
        self.change(|state| {
            let Some(object) = state.objects.get(&place).cloned() else { return failure(404, "NotFound", "not found") };
            match *method {
                Method::GET => answer(200, &object),
                Method::DELETE => answer(200, &state.remove(&place).unwrap_or_default()),
                Method::PUT if change["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] => {
                    failure(409, "Conflict", "the object has been modified")
                }
                Method::PUT => answer(200, state.put(place, change.clone())),
                _ => failure(405, "MethodNotAllowed", "not done here"),
            }
        })
    }

    fn patch(&self, path: &Path, change: impl FnOnce(&mut Value)) -> Answer {
        let place = path.place();
        self.change(|state| {
            let Some(mut object) = state.objects.get(&place).cloned() else {
                return failure(404, "NotFound", "not found");
            };
            change(&mut object);
            answer(200, state.put(place, object))
        })
    }

    fn create(&self, path: &Path, mut object: Value) -> Answer {
        self.change(|state| {
            let metadata = &object["metadata"];
            let name = match (metadata["name"].as_str(), metadata["generateName"].as_str()) {
                (Some(name), _) => name.to_owned(),
                (None, Some(prefix)) => format!("{prefix}{}", state.revision),
                (None, None) => return failure(422, "Invalid", "name or generateName is required"),
            };
            let place = path.place_of(&name);
            if state.objects.contains_key(&place) {
                return failure(409, "AlreadyExists", "there is one of this name");
            }
            object["metadata"]["name"] = json!(name);
            if let Some(namespace) = place.1.namespace() {
                object["metadata"]["namespace"] = json!(namespace);
            }
            object["metadata"]["uid"] = json!(format!("created-{}", state.revision + 1));
            answer(201, state.put(place, object))
        })
    }

    /// All of them or none.
    fn bind(&self, path: &Path, bindings: &[Value]) -> Answer {
        self.change(|state| {
            let mut bound = Vec::new();
            for binding in bindings {
                let name = path.name.as_deref().or(binding["metadata"]["name"].as_str()).unwrap_or_default();
                let place = ("pods".to_owned(), path.place_of(name).1);
                let Some(mut pod) = state.objects.get(&place).cloned() else {
                    return failure(404, "NotFound", &format!("pods {name:?} not found"));
                };
                if pod["spec"]["nodeName"].is_string() || pod["metadata"]["uid"] != binding["metadata"]["uid"] {
                    let why = format!("pod {name} is already assigned to a node, or is another one");
                    return failure(409, "Conflict", &why);
                }
                pod["spec"]["nodeName"] = binding["target"]["name"].clone();
                bound.push((place, pod));
            }
            for (place, pod) in bound {
                state.put(place, pod);
            }
            answer(201, &json!({ "apiVersion": "v1", "kind": "Status", "status": "Success" }))
        })
    }

    fn record(&self, event: &Value) -> Answer {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let about = ["involvedObject", "regarding"].map(|key| text(&event[key]["name"])).concat();
        let message = ["message", "note"].map(|key| text(&event[key])).concat();
        self.change(|state| state.events.push(format!("{} {about}: {message}", text(&event["reason"]))));
        answer(201, event)
    }

    fn list(&self, plural: &str) -> Answer {
        self.change(|state| {
            let items = state.objects.iter().filter(|((of, _), _)| of == plural).map(|(_, object)| object);
            let items: Vec<&Value> = items.collect();
            let metadata = json!({ "resourceVersion": state.revision.to_string() });
            answer(200, &json!({ "apiVersion": "v1", "kind": "List", "metadata": metadata, "items": items }))
        })
    }

    fn watch(&self, plural: &str, query: &str) -> Answer {
        let since = query.split('&').find_map(|pair| pair.strip_prefix("resourceVersion="));
        let since: u64 = since.and_then(|text| text.parse().ok()).unwrap_or(0);
        let (sender, receiver) = mpsc::unbounded_channel();
        let state = &mut *self.inner.0.lock();
        for (_, _, event) in state.history.iter().filter(|(revision, of, _)| *revision > since && of == plural) {
            // The receiver is held here.
            let _ = sender.send(event.clone());
        }
        state.watchers.push((plural.to_owned(), sender));
        let events = futures::stream::unfold(receiver, |mut receiver| async move {
            let event = receiver.recv().await?;
            Some((Ok(Frame::data(Bytes::from(format!("{event}\n")))), receiver))
        });
        Response::new(StreamBody::new(events.boxed()))
    }
}

/// A strategic merge, as far as it is needed: conditions are merged by their type, everything else as JSON merge patches are.
fn strategic_merge(target: &mut Value, change: &Value) {
    merge(target, change, &|target, change| {
        let are_conditions = !change.is_empty() && change.iter().all(|item| item["type"].is_string());
        if !are_conditions {
            return change.clone_into(target);
        }
        for item in change {
            match target.iter_mut().find(|old| old["type"] == item["type"]) {
                Some(old) => strategic_merge(old, item),
                None => target.push(item.clone()),
            }
        }
    });
}

/// A JSON merge patch (RFC 7386): lists are replaced.
fn json_merge(target: &mut Value, change: &Value) {
    merge(target, change, &|target, change| change.clone_into(target));
}

fn merge(target: &mut Value, change: &Value, merge_lists: &impl Fn(&mut Vec<Value>, &[Value])) {
    match (target, change) {
        (Value::Object(target), Value::Object(change)) => {
            for (key, value) in change {
                if value.is_null() {
                    target.remove(key);
                } else {
                    merge(target.entry(key).or_insert(Value::Null), value, merge_lists);
                }
            }
        }
        (Value::Array(target), Value::Array(change)) => merge_lists(target, change),
        (target, change) => target.clone_from(change),
    }
}

fn answer(code: u16, body: &Value) -> Answer {
    let frames = futures::stream::iter([Ok(Frame::data(Bytes::from(body.to_string())))]);
    let mut response = Response::new(StreamBody::new(frames.boxed()));
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or_default();
    response
}

fn failure(code: u16, reason: &str, message: &str) -> Answer {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": reason, "message": message, "code": code,
    });
    answer(code, &status)
}
