use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use k8s_openapi::api::core::v1::{Binding as PodBinding, ObjectReference, Pod};
use kube::{
    Api,
    api::PostParams,
    core::{ObjectMeta, Request},
};
use orchestra_core::{
    scheduler::{Binding, PodInfo},
    work_queue::Backoff,
};
use serde::de::IgnoredAny;
use serde_json::json;
use tracing::debug;

use crate::framework::{Bind, BindOutcome, Plugin};

/// The delays between questions to a server that does not answer.
const BACKOFF: Backoff = Backoff { base: Duration::from_millis(100), max: Duration::from_secs(10) };

/// Binds pods by their subresource `binding`.
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultBinder;

impl Plugin for DefaultBinder {
    fn name(&self) -> &'static str {
        "DefaultBinder"
    }

    fn as_bind(&self) -> Option<&dyn Bind> {
        Some(self)
    }
}

#[async_trait]
impl Bind for DefaultBinder {
    async fn bind(&self, binding: Binding<'_>) -> BindOutcome {
        let (pod, node) = (binding.pod, &*binding.placement.node);
        let api = Api::<Pod>::namespaced(binding.client.clone(), pod.key().namespace().unwrap_or("default"));
        let (name, params) = (pod.key().name(), PostParams::default());
        let posted = api.create_subresource::<_, IgnoredAny>("binding", name, &params, &pod_binding(pod, node)).await;
        match posted {
            Ok(_) => BindOutcome::Bound,
            Err(kube::Error::Api(status)) if status.code < 500 && status.code != 409 => {
                BindOutcome::Failed(status.message.clone())
            }
            // It may have been done, now or before, though the answer was lost; the pod itself tells. Until it does, its room must not be
            // given away.
            Err(error) => match found_bound(binding).await {
                true => BindOutcome::Bound,
                false => BindOutcome::Failed(words(&error)),
            },
        }
    }

    /// By a `BindingList` for the namespace, which orchestra's API server commits in one transaction. Kubernetes knows single bindings only.
    async fn bind_all(&self, bindings: &[Binding<'_>]) -> Option<Vec<Result<(), String>>> {
        let first = bindings.first()?;
        let namespace = first.pod.key().namespace().unwrap_or("default");
        if bindings.iter().any(|binding| binding.pod.key().namespace() != first.pod.key().namespace()) {
            return None;
        }
        let items: Vec<PodBinding> =
            bindings.iter().map(|binding| pod_binding(binding.pod, &binding.placement.node)).collect();
        let list = json!({ "apiVersion": "v1", "kind": "BindingList", "items": items });
        let request = Request::new(format!("/api/v1/namespaces/{namespace}/bindings"))
            .create(&PostParams::default(), list.to_string().into_bytes())
            .ok()?;
        match first.client.request::<IgnoredAny>(request).await {
            Ok(_) => Some(vec![Ok(()); bindings.len()]),
            Err(kube::Error::Api(status)) if status.code == 400 => None,
            Err(kube::Error::Api(status)) if status.code < 500 && status.code != 409 => {
                Some(vec![Err(status.message.clone()); bindings.len()])
            }
            // As of a single one.
            Err(error) => {
                let found = join_all(bindings.iter().copied().map(found_bound)).await;
                Some(found.into_iter().map(|is_bound| if is_bound { Ok(()) } else { Err(words(&error)) }).collect())
            }
        }
    }
}

/// Whether the pod has the node that was chosen for it, as soon as the server tells.
pub(crate) async fn found_bound(Binding { client, pod, placement, .. }: Binding<'_>) -> bool {
    let api = Api::<Pod>::namespaced(client.clone(), pod.key().namespace().unwrap_or("default"));
    let current = read(&api, pod.key().name()).await;
    current.is_some_and(|current| is_bound(&current, pod, &placement.node))
}

/// The server's words, where it answered.
pub(crate) fn words(error: &kube::Error) -> String {
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
fn pod_binding(pod: &PodInfo, node: &str) -> PodBinding {
    let metadata = ObjectMeta {
        name: Some(pod.key().name().to_owned()),
        namespace: pod.key().namespace().map(str::to_owned),
        uid: pod.pod().metadata.uid.clone(),
        ..ObjectMeta::default()
    };
    let target =
        ObjectReference { kind: Some("Node".to_owned()), name: Some(node.to_owned()), ..ObjectReference::default() };
    PodBinding { metadata, target }
}
