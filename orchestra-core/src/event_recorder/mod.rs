//! Tells users what happened: events, with repeats counted instead of repeated, as client-go's recorder does.

mod correlate;
mod write;

use std::{fmt, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Client, Resource};
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use crate::clock::Clock;

/// How many events may wait to be written before further ones are dropped.
const CAPACITY: usize = 10_000;

/// Whether an event is good news.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventType {
    /// Something went as it should.
    Normal,
    /// Something needs attention.
    Warning,
}

impl EventType {
    fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// Who reports, and in which of the two forms Kubernetes has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Source {
    /// core/v1: `source`, `count`, first and last timestamp.
    Core { component: String, host: String },
    /// events.k8s.io/v1: `reportingController`, `eventTime`, `action`, `series`.
    Reporting { controller: String, instance: String },
}

/// One thing that happened.
#[derive(Clone, Debug)]
struct Occurrence {
    involved: ObjectReference,
    related: Option<ObjectReference>,
    kind: EventType,
    reason: String,
    action: String,
    message: String,
    time: Timestamp,
}

enum Message {
    Occurred(Box<Occurrence>),
    Flush(oneshot::Sender<()>),
}

/// Records events about objects without ever delaying the caller; a task writes them, in order. Clones share it.
///
/// Repeats of an event (same object, reason, message) raise its `count` (or its `series`), many similar ones are folded into one
/// "(combined from similar events)", and a source that floods one object is cut off, all as client-go does it. Events that
/// cannot be written are logged and dropped: they are never worth failing for.
#[derive(Clone)]
pub struct EventRecorder {
    sender: mpsc::Sender<Message>,
    clock: Arc<dyn Clock>,
}

impl EventRecorder {
    /// A recorder in the form of core/v1, as controllers use it. Its task runs on the current tokio runtime and ends with the
    /// last clone.
    pub fn new(client: Client, component: &str, clock: Arc<dyn Clock>) -> Self {
        Self::start(client, Source::Core { component: component.to_owned(), host: String::new() }, clock)
    }

    /// As [`new`](Self::new), for a component that speaks for one node, as the kubelet.
    pub fn on_node(client: Client, component: &str, node: &str, clock: Arc<dyn Clock>) -> Self {
        Self::start(client, Source::Core { component: component.to_owned(), host: node.to_owned() }, clock)
    }

    /// A recorder in the form of events.k8s.io/v1, as the scheduler uses it.
    pub fn reporting(client: Client, controller: &str, instance: &str, clock: Arc<dyn Clock>) -> Self {
        let source = Source::Reporting { controller: controller.to_owned(), instance: instance.to_owned() };
        Self::start(client, source, clock)
    }

    fn start(client: Client, source: Source, clock: Arc<dyn Clock>) -> Self {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        tokio::spawn(write::run(client, source, receiver));
        Self { sender, clock }
    }

    /// Records that something happened to `object`.
    pub fn event<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        kind: EventType,
        reason: &str,
        message: impl Into<String>,
    ) {
        self.action(object, kind, reason, "", message);
    }

    /// As [`event`](Self::event), with the `action` that was taken, which the form of events.k8s.io asks for.
    pub fn action<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        kind: EventType,
        reason: &str,
        action: &str,
        message: impl Into<String>,
    ) {
        self.record(reference(object), None, kind, reason, action, message.into());
    }

    /// As [`action`](Self::action), with the object for whose sake it was taken.
    pub fn action_for<K: Resource<DynamicType = ()>, R: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        related: &R,
        kind: EventType,
        reason: &str,
        action: &str,
        message: impl Into<String>,
    ) {
        self.record(reference(object), Some(reference(related)), kind, reason, action, message.into());
    }

    /// As [`event`](Self::event), about what `involved` names: for instance one container of a pod, by its field path.
    pub fn event_about(&self, involved: ObjectReference, kind: EventType, reason: &str, message: impl Into<String>) {
        self.record(involved, None, kind, reason, "", message.into());
    }

    /// As [`event_about`](Self::event_about), with the `action` that was taken.
    pub fn action_about(
        &self,
        involved: ObjectReference,
        kind: EventType,
        reason: &str,
        action: &str,
        message: impl Into<String>,
    ) {
        self.record(involved, None, kind, reason, action, message.into());
    }

    fn record(
        &self,
        involved: ObjectReference,
        related: Option<ObjectReference>,
        kind: EventType,
        reason: &str,
        action: &str,
        message: String,
    ) {
        let occurrence = Occurrence {
            involved,
            related,
            kind,
            reason: reason.to_owned(),
            action: action.to_owned(),
            message,
            time: self.clock.now(),
        };
        if self.sender.try_send(Message::Occurred(Box::new(occurrence))).is_err() {
            warn!(reason, "event dropped: too many wait to be written");
        }
    }

    /// Waits until everything recorded before has been written or given up.
    pub async fn flush(&self) {
        let (done, written) = oneshot::channel();
        if self.sender.send(Message::Flush(done)).await.is_ok() {
            // An error means that the task ended with its runtime.
            let _ = written.await;
        }
    }
}

fn reference<K: Resource<DynamicType = ()>>(object: &K) -> ObjectReference {
    ObjectReference { resource_version: object.meta().resource_version.clone(), ..object.object_ref(&()) }
}

impl fmt::Debug for EventRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventRecorder").finish_non_exhaustive()
    }
}
