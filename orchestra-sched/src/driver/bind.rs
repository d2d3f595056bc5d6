use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::{Binding, ObjectReference, Pod};
use kube::{Api, api::PostParams, core::ObjectMeta};
use orchestra_core::{
    event_recorder::EventType,
    scheduler::{ClusterEvent, Placement, PodInfo},
    work_queue::Backoff,
};
use serde::de::IgnoredAny;
use tokio::time::Instant;
use tracing::debug;

use super::{Shared, report::Failure};
use crate::cache::Reservation;

/// The delays between questions to a server that does not answer.
const BACKOFF: Backoff = Backoff { base: Duration::from_millis(100), max: Duration::from_secs(10) };

/// Why a pod was not bound, in the server's words.
#[derive(Debug, thiserror::Error)]
pub(super) enum BindError {
    /// Its volumes were not.
    #[error("running PreBind plugin \"VolumeBinding\": {0}")]
    Volumes(String),
    /// The server does not let it go to the node.
    #[error("binding rejected: running Bind plugin \"DefaultBinder\": {0}")]
    Pod(String),
}

impl Shared {
    /// Tells the API server which node an assumed pod runs on.
    pub(super) async fn bind(self: &Arc<Self>, pod: Arc<PodInfo>, node: &str) {
        let bound = self.post_binding(&pod, node).await;
        self.settle(pod, node, bound, &[]).await;
    }

    /// The same, once its volumes are bound.
    pub(super) async fn bind_with_volumes(
        self: &Arc<Self>,
        pod: Arc<PodInfo>,
        placement: &Placement,
        reservations: &[Reservation],
    ) {
        let volumes = self.bind_volumes(&pod, placement, reservations).await;
        let bind = async {
            let bound = match volumes {
                Ok(()) => self.post_binding(&pod, &placement.node).await,
                Err(error) => Err(error),
            };
            self.settle(pod, &placement.node, bound, reservations).await;
        };
        self.writing(bind).await;
    }

    /// Keeps the assumption that a pod is on its node, or takes it back.
    async fn settle(
        self: &Arc<Self>,
        pod: Arc<PodInfo>,
        node: &str,
        bound: Result<(), BindError>,
        reservations: &[Reservation],
    ) {
        match bound {
            Ok(()) => {
                let expires = self.assumed_pod_expiry.map(|expiry| Instant::now() + expiry);
                self.state.change(|state, _| {
                    state.cache.finish_binding(pod.id(), expires);
                    state.queue.done(pod.id());
                });
                let message = format!("Successfully assigned {} to {node}", pod.key());
                self.recorder.action(&**pod.pod(), EventType::Normal, "Scheduled", "Binding", message);
            }
            Err(error) => self.unbind(pod, &error, reservations).await,
        }
    }

    /// Takes back the assumption that a pod is on its node.
    async fn unbind(self: &Arc<Self>, pod: Arc<PodInfo>, error: &BindError, reservations: &[Reservation]) {
        let still_wanted = self.still_wants_node(&pod);
        self.state.change(|state, now| {
            for change in state.cache.take_back(reservations) {
                state.tell(change, now);
            }
            if let Some(forgotten) = state.cache.forget(pod.id()) {
                state.queue.notify(ClusterEvent::PodReleased(forgotten), now);
            }
            if still_wanted { state.queue.failed(pod.id(), now) } else { state.queue.done(pod.id()) }
        });
        if still_wanted {
            self.write_report(&pod, Failure::of_scheduler(error.to_string())).await;
        }
    }

    /// Whether the pod is there and has no node, as far as the informer knows.
    pub(super) fn still_wants_node(&self, pod: &PodInfo) -> bool {
        self.pods.get(pod.key()).is_some_and(|current| {
            let current = PodInfo::new(current);
            current.id() == pod.id()
                && current.node_name().is_none()
                && current.pod().metadata.deletion_timestamp.is_none()
        })
    }

    async fn post_binding(&self, pod: &PodInfo, node: &str) -> Result<(), BindError> {
        let api = Api::<Pod>::namespaced(self.client.clone(), pod.key().namespace().unwrap_or("default"));
        let binding = binding(pod, node);
        let (name, params) = (pod.key().name(), PostParams::default());
        let posted = api.create_subresource::<_, IgnoredAny>("binding", name, &params, &binding);
        match posted.await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code < 500 && status.code != 409 => {
                Err(BindError::Pod(status.message.clone()))
            }
            // It may have been done, now or before, though the answer was lost; the pod itself tells. Until it does, its room must not be
            // given away.
            Err(error) => match read(&api, name).await {
                Some(current) if is_bound(&current, pod, node) => Ok(()),
                _ => Err(BindError::Pod(words(&error))),
            },
        }
    }
}

/// The server's words, where it answered.
pub(super) fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// The pod, as soon as the server answers; `None` if it has none.
async fn read(api: &Api<Pod>, name: &str) -> Option<Pod> {
    let attempt = || async {
        match api.get_opt(name).await {
            Err(kube::Error::Api(status)) if status.code < 500 => Ok(None),
            other => other,
        }
    };
    BACKOFF.retry(attempt, |error| debug!(pod = name, %error, "whether the pod is bound is not known yet")).await
}

fn is_bound(current: &Pod, pod: &PodInfo, node: &str) -> bool {
    current.metadata.uid == pod.pod().metadata.uid
        && current.spec.as_ref().is_some_and(|spec| spec.node_name.as_deref() == Some(node))
}

/// The uid makes sure that a pod of the same name that came later is not bound instead.
fn binding(pod: &PodInfo, node: &str) -> Binding {
    let metadata = ObjectMeta {
        name: Some(pod.key().name().to_owned()),
        namespace: pod.key().namespace().map(str::to_owned),
        uid: pod.pod().metadata.uid.clone(),
        ..ObjectMeta::default()
    };
    let target =
        ObjectReference { kind: Some("Node".to_owned()), name: Some(node.to_owned()), ..ObjectReference::default() };
    Binding { metadata, target }
}
