//! As much of an API server as the driver talks to: nodes, pods with binding and status, events; watches replay from a
//! resourceVersion. It can be told to fail.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use http::{Method, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

/// What is served, and the kind of its list.
const PLURALS: [(&str, &str); 7] = [
    ("nodes", "NodeList"),
    ("pods", "PodList"),
    ("namespaces", "NamespaceList"),
    ("persistentvolumeclaims", "PersistentVolumeClaimList"),
    ("persistentvolumes", "PersistentVolumeList"),
    ("podgroups", "PodGroupList"),
    ("storageclasses", "StorageClassList"),
];

/// What happens to a binding instead of success.
#[derive(Clone, Copy)]
pub(crate) enum Fault {
    /// It is refused with this code, and not done.
    Refused(u16),
    /// It is done, but the answer is an internal error.
    AnswerLost,
}

#[derive(Default)]
pub(crate) struct State {
    revision: u64,
    /// By plural and `namespace/name`.
    objects: BTreeMap<(&'static str, String), Value>,
    history: Vec<(u64, &'static str, Value)>,
    /// The events that watches do not get yet, while they are held up.
    held: Option<VecDeque<(&'static str, Value)>>,
    watchers: Vec<(&'static str, mpsc::UnboundedSender<Value>)>,
    /// What to do with the next bindings.
    pub(crate) faults: VecDeque<Fault>,
    /// How many reads of single pods are to fail.
    pub(crate) failing_reads: usize,
    /// The codes with which the next deletions of pods are refused.
    pub(crate) refused_deletions: VecDeque<u16>,
    /// Whether pods that are deleted stay until they are told to go.
    pub(crate) is_graceful: bool,
    /// How long a deletion takes.
    pub(crate) deletions_take: Duration,
    /// Whether the kinds of storage are not served.
    pub(crate) lacks_storage: bool,
    /// Whether writes of volumes take a second.
    pub(crate) is_slow: bool,
    writing: usize,
    /// How many writes of volumes were under way at once.
    pub(crate) most_writing: usize,
    /// Whether bindings are taken one by one only, as by Kubernetes.
    pub(crate) lacks_lists: bool,
    /// Every binding that was done, as `pod node`.
    pub(crate) bindings: Vec<String>,
    /// Of each list of bindings that was done, how many there were.
    pub(crate) lists: Vec<usize>,
    /// Every event that was written, as `reason object: message`.
    pub(crate) events: Vec<String>,
    /// The last event that was written, as it is.
    pub(crate) last_event: Value,
    /// Every change of a nominated node, as `pod node`.
    pub(crate) nominations: Vec<String>,
}

impl State {
    pub(crate) fn pod(&self, name: &str) -> Option<&Value> {
        self.objects.get(&("pods", format!("default/{name}")))
    }

    /// The node of a pod.
    pub(crate) fn node_of(&self, name: &str) -> Option<&str> {
        self.pod(name)?.pointer("/spec/nodeName")?.as_str()
    }

    /// Reason and message of a pod's condition `PodScheduled`.
    pub(crate) fn condition(&self, name: &str) -> Option<(&str, &str)> {
        self.condition_of(name, "PodScheduled")
    }

    /// Reason and message of one of a pod's conditions.
    pub(crate) fn condition_of(&self, name: &str, of: &str) -> Option<(&str, &str)> {
        let conditions = self.pod(name)?.pointer("/status/conditions")?.as_array()?;
        let condition = conditions.iter().find(|condition| condition["type"] == of)?;
        Some((condition["reason"].as_str()?, condition["message"].as_str()?))
    }

    /// The stored object with the name of this one.
    pub(crate) fn find(&self, plural: &'static str, object: &Value) -> Option<&Value> {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
        self.objects.get(&(plural, format!("{namespace}/{}", object["metadata"]["name"].as_str()?)))
    }

    pub(crate) fn put(&mut self, plural: &'static str, mut object: Value, kind: &str) {
        self.revision += 1;
        object["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
        let key = (plural, format!("{namespace}/{}", object["metadata"]["name"].as_str().unwrap()));
        if kind == "DELETED" {
            self.objects.remove(&key)
        } else {
            self.objects.insert(key, object.clone())
        };
        let event = json!({ "type": kind, "object": object });
        self.history.push((self.revision, plural, event.clone()));
        match &mut self.held {
            Some(held) => held.push_back((plural, event)),
            None => self.send(plural, &event),
        }
    }

    fn bind(&mut self, name: &str, node: &str) {
        let mut pod = self.pod(name).unwrap().clone();
        pod["spec"]["nodeName"] = json!(node);
        if let Some(status) = pod["status"].as_object_mut() {
            status.remove("nominatedNodeName");
        }
        self.bindings.push(format!("{name} {node}"));
        self.put("pods", pod, "MODIFIED");
    }

    /// Status and reason of a pod group's condition `PodGroupScheduled`.
    pub(crate) fn group_condition(&self, name: &str) -> Option<(&str, &str)> {
        let group = self.objects.get(&("podgroups", format!("default/{name}")))?;
        let condition = group.pointer("/status/conditions/0")?;
        Some((condition["status"].as_str()?, condition["reason"].as_str()?))
    }

    fn send(&mut self, plural: &'static str, event: &Value) {
        self.watchers.retain(|(watched, sender)| *watched != plural || sender.send(event.clone()).is_ok());
    }

    /// Lets watches tell nothing new but what is [released](Self::release_one).
    pub(crate) fn hold(&mut self) {
        self.held = Some(VecDeque::new());
    }

    /// Lets watches tell the oldest event that is held up.
    pub(crate) fn release_one(&mut self) {
        if let Some((plural, event)) = self.held.as_mut().and_then(VecDeque::pop_front) {
            self.send(plural, &event);
        }
    }
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
        let result = change(&mut self.state.lock().unwrap());
        self.changed.notify_waiters();
        result
    }

    /// Waits until `condition` holds; a minute of paused time at most, so before the queue
    /// tries pods again without a reason.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn(&State) -> bool) {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                if condition(&self.state.lock().unwrap()) {
                    return;
                }
                changed.await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), wait).await;
        assert!(waited.is_ok(), "never happened: {what}");
    }

    pub(crate) fn add_node(&self, name: &str, cpu: &str) {
        let node = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": { "name": name, "uid": name },
            "status": { "allocatable": { "cpu": cpu, "memory": "8Gi", "pods": "110" } },
        });
        self.change(|state| state.put("nodes", node, "ADDED"));
    }

    /// Adds a pod in namespace `default` whose container asks for `cpu`; `spec` adds to its spec.
    pub(crate) fn add_pod(&self, name: &str, cpu: &str, spec: Value) {
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": name, "namespace": "default", "uid": name, "generation": 1 },
            "spec": { "containers": [{ "name": "c", "resources": { "requests": { "cpu": cpu } } }] },
            "status": { "phase": "Pending" },
        });
        for (key, value) in spec.as_object().into_iter().flatten() {
            pod["spec"][key] = value.clone();
        }
        self.change(|state| state.put("pods", pod, "ADDED"));
    }

    pub(crate) fn edit_pod(&self, name: &str, edit: impl FnOnce(&mut Value)) {
        self.change(|state| {
            let mut pod = state.pod(name).unwrap().clone();
            edit(&mut pod);
            state.put("pods", pod, "MODIFIED");
        });
    }

    pub(crate) fn delete_pod(&self, name: &str) {
        self.change(|state| {
            let pod = state.pod(name).unwrap().clone();
            state.put("pods", pod, "DELETED");
        });
    }

    /// Adds an object of one of the kinds of storage, or changes it.
    pub(crate) fn put(&self, plural: &'static str, object: Value) {
        self.change(|state| {
            let kind = if state.find(plural, &object).is_some() { "MODIFIED" } else { "ADDED" };
            state.put(plural, object, kind);
        });
    }

    fn replace(&self, plural: &'static str, name: &str, object: Value) -> Response<WatchBody> {
        self.change(|state| {
            let current = state.find(plural, &object);
            if current
                .is_none_or(|current| current["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"])
            {
                return status(409, &format!("{plural} {name} was changed"));
            }
            state.put(plural, object.clone(), "MODIFIED");
            answer(200, &object)
        })
    }

    async fn serve(&self, request: Request<Body>) -> Response<WatchBody> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let query = parts.uri.query().unwrap_or_default();
        let path: Vec<&str> = parts.uri.path().trim_matches('/').split('/').skip(2).collect();
        match (&parts.method, path.as_slice()) {
            (&Method::GET, [.., plural]) if PLURALS.iter().any(|(known, _)| known == plural) => {
                let plural = PLURALS.iter().find(|(known, _)| known == plural).map_or("", |(known, _)| known);
                if !matches!(plural, "nodes" | "pods") && self.change(|state| state.lacks_storage) {
                    return status(404, "the server could not find the requested resource");
                }
                if query.contains("watch=") { self.watch(plural, query) } else { self.list(plural) }
            }
            (&Method::GET, ["namespaces", _, "pods", name]) => {
                let failing = self.change(|state| std::mem::replace(&mut state.failing_reads, 0));
                if failing > 0 {
                    self.change(|state| state.failing_reads = failing - 1);
                    return status(503, "unavailable");
                }
                let pod = self.change(|state| state.pod(name).cloned());
                pod.map_or_else(|| status(404, "not found"), |pod| answer(200, &pod))
            }
            (&Method::PUT, ["persistentvolumes", name]) => {
                let volume: Value = serde_json::from_slice(&body).unwrap();
                if self.change(|state| state.is_slow) {
                    self.change(|state| {
                        state.writing += 1;
                        state.most_writing = state.most_writing.max(state.writing);
                    });
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    self.change(|state| state.writing -= 1);
                }
                self.replace("persistentvolumes", name, volume)
            }
            (&Method::PUT, ["namespaces", _, "persistentvolumeclaims", name]) => {
                self.replace("persistentvolumeclaims", name, serde_json::from_slice(&body).unwrap())
            }
            (&Method::POST, ["namespaces", _, "pods", name, "binding"]) => {
                self.bind(name, &serde_json::from_slice(&body).unwrap())
            }
            (&Method::POST, ["namespaces", _, "bindings"]) => self.bind_all(&serde_json::from_slice(&body).unwrap()),
            (&Method::PATCH, [_, "namespaces", _, "podgroups", name, "status"]) => {
                let patch: Value = serde_json::from_slice(&body).unwrap();
                self.change(|state| {
                    let key = ("podgroups", format!("default/{name}"));
                    let Some(mut group) = state.objects.get(&key).cloned() else { return status(404, "not found") };
                    group["status"]["conditions"] = patch["status"]["conditions"].clone();
                    state.put("podgroups", group.clone(), "MODIFIED");
                    answer(200, &group)
                })
            }
            (&Method::PATCH, ["namespaces", _, "pods", name, "status"]) => {
                self.patch_status(name, &serde_json::from_slice(&body).unwrap())
            }
            (&Method::DELETE, ["namespaces", _, "pods", name]) => {
                let delay = self.change(|state| state.deletions_take);
                tokio::time::sleep(delay).await;
                self.delete(name, &serde_json::from_slice(&body).unwrap())
            }
            (_, ["namespaces", _, "events", ..]) => {
                let event: Value = serde_json::from_slice(&body).unwrap();
                let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
                let object = event["involvedObject"]["name"].as_str().unwrap_or_default();
                self.change(|state| {
                    state.events.push(format!("{} {object}: {}", text("reason"), text("message")));
                    state.last_event = event.clone();
                });
                answer(201, &event)
            }
            other => status(404, &format!("{other:?}")),
        }
    }

    /// As a strategic merge patch: conditions by their types.
    fn patch_status(&self, name: &str, patch: &Value) -> Response<WatchBody> {
        self.change(|state| {
            let Some(mut pod) = state.pod(name).cloned() else { return status(404, "not found") };
            if pod["metadata"]["uid"] != patch["metadata"]["uid"] {
                return status(409, "another pod");
            }
            if let Some(node) = patch["status"].get("nominatedNodeName") {
                state.nominations.push(format!("{name} {}", node.as_str().unwrap_or("-")));
                pod["status"]["nominatedNodeName"] = node.clone();
            }
            let mut conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
            for condition in patch["status"]["conditions"].as_array().into_iter().flatten() {
                conditions.retain(|other| other["type"] != condition["type"]);
                conditions.push(condition.clone());
            }
            pod["status"]["conditions"] = json!(conditions);
            state.put("pods", pod.clone(), "MODIFIED");
            answer(200, &pod)
        })
    }

    fn delete(&self, name: &str, options: &Value) -> Response<WatchBody> {
        self.change(|state| {
            if let Some(code) = state.refused_deletions.pop_front() {
                return status(code, "refused");
            }
            let Some(mut pod) = state.pod(name).cloned() else { return status(404, "not found") };
            if pod["metadata"]["uid"] != options["preconditions"]["uid"] {
                return status(409, "another pod");
            }
            if state.is_graceful {
                pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:30Z");
                state.put("pods", pod.clone(), "MODIFIED");
            } else {
                state.put("pods", pod.clone(), "DELETED");
            }
            answer(200, &pod)
        })
    }

    fn list(&self, plural: &'static str) -> Response<WatchBody> {
        let state = self.state.lock().unwrap();
        let items: Vec<&Value> = state.objects.iter().filter(|((p, _), _)| *p == plural).map(|(_, o)| o).collect();
        let kind = PLURALS.iter().find(|(known, _)| *known == plural).map_or("", |(_, kind)| kind);
        let metadata = json!({ "resourceVersion": state.revision.to_string() });
        let version = match plural {
            "podgroups" => "scheduling.k8s.io/v1alpha2",
            "storageclasses" => "storage.k8s.io/v1",
            _ => "v1",
        };
        answer(200, &json!({ "apiVersion": version, "kind": kind, "metadata": metadata, "items": items }))
    }

    fn watch(&self, plural: &'static str, query: &str) -> Response<WatchBody> {
        let since = query.split('&').find_map(|pair| pair.strip_prefix("resourceVersion="));
        let since: u64 = since.and_then(|text| text.parse().ok()).unwrap_or(0);
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut state = self.state.lock().unwrap();
        for (_, _, event) in state.history.iter().filter(|(revision, p, _)| *revision > since && *p == plural) {
            sender.send(event.clone()).unwrap();
        }
        state.watchers.push((plural, sender));
        let events = futures::stream::unfold(receiver, |mut receiver| async move {
            let event = receiver.recv().await?;
            Some((Ok(Frame::data(Bytes::from(format!("{event}\n")))), receiver))
        });
        Response::new(StreamBody::new(events.boxed()))
    }

    /// All of them or none.
    fn bind_all(&self, list: &Value) -> Response<WatchBody> {
        let items = list["items"].as_array().unwrap();
        self.change(|state| {
            if state.lacks_lists {
                return status(400, "BindingList in version \"v1\" cannot be handled as a Binding");
            }
            let fault = state.faults.pop_front();
            if let Some(Fault::Refused(code)) = fault {
                return status(code, "refused");
            }
            for binding in items {
                let name = binding["metadata"]["name"].as_str().unwrap();
                let Some(pod) = state.pod(name) else { return status(404, &format!("pods \"{name}\" not found")) };
                if pod["spec"]["nodeName"].is_string() {
                    return status(409, &format!("pod {name} is already assigned"));
                }
            }
            state.lists.push(items.len());
            for binding in items {
                let (name, node) = (binding["metadata"]["name"].as_str().unwrap(), &binding["target"]["name"]);
                state.bind(name, node.as_str().unwrap());
            }
            if fault.is_some() { status(500, "lost") } else { status(201, "") }
        })
    }

    fn bind(&self, name: &str, binding: &Value) -> Response<WatchBody> {
        self.change(|state| {
            let fault = state.faults.pop_front();
            if let Some(Fault::Refused(code)) = fault {
                return status(code, "refused");
            }
            if state.pod(name).is_none() {
                return status(404, "not found");
            }
            if state.node_of(name).is_some() {
                return status(409, "already assigned");
            }
            state.bind(name, binding["target"]["name"].as_str().unwrap());
            if fault.is_some() { status(500, "lost") } else { status(201, "") }
        })
    }
}

type WatchBody = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

fn answer(code: u16, body: &Value) -> Response<WatchBody> {
    let frames = futures::stream::iter([Ok(Frame::data(Bytes::from(body.to_string())))]);
    Response::builder().status(code).body(StreamBody::new(frames.boxed())).unwrap()
}

fn status(code: u16, message: &str) -> Response<WatchBody> {
    let outcome = if code < 400 { "Success" } else { "Failure" };
    let body = json!({ "apiVersion": "v1", "kind": "Status", "status": outcome, "message": message, "code": code });
    answer(code, &body)
}
