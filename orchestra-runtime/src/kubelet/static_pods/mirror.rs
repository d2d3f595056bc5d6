//! The mirror of a static pod in the API server (`pkg/kubelet/pod/mirror_client.go`).

use k8s_openapi::{
    api::core::v1::{Node, Pod},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{
    Api, Client,
    api::{DeleteParams, PostParams, Preconditions},
};
use orchestra_store::apiserver::kinds::pod::mirror::MIRROR;

use super::HASH;

/// What shows a pod in the API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::kubelet) enum Mirror {
    /// The pod itself, as it is from there.
    #[default]
    Itself,
    /// Nothing yet.
    Missing,
    /// A mirror of this uid.
    Is(String),
    /// A pod of this uid that is to make room: a mirror of what was before, or one that is being deleted.
    Wrong(String),
    /// The pod is the mirror of a static pod that is no more.
    Orphan,
}

impl Mirror {
    /// Whether the pod is one that runs without the API server.
    pub(in crate::kubelet) fn is_of_static(&self) -> bool {
        matches!(self, Self::Missing | Self::Is(_) | Self::Wrong(_))
    }
}

/// Whether `mirror` shows `pod` (`IsMirrorPodOf`).
pub(in crate::kubelet) fn is_mirror_of(mirror: &Pod, pod: &Pod) -> bool {
    let annotation = |pod: &Pod, name: &str| pod.metadata.annotations.as_ref().and_then(|all| all.get(name).cloned());
    annotation(mirror, MIRROR).is_some_and(|hash| annotation(pod, HASH) == Some(hash))
}

/// Creates the mirror of `pod`. One that is already there is no error.
pub(in crate::kubelet) async fn create(client: &Client, node: &str, pod: &Pod) -> Result<(), kube::Error> {
    let owner = Api::<Node>::all(client.clone()).get_metadata(node).await?;
    let mut mirror = pod.clone();
    let hash = pod.metadata.annotations.as_ref().and_then(|all| all.get(HASH)).cloned().unwrap_or_default();
    let metadata = &mut mirror.metadata;
    metadata.annotations.get_or_insert_default().insert(MIRROR.to_owned(), hash);
    metadata.owner_references = Some(vec![OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Node".to_owned(),
        name: node.to_owned(),
        uid: owner.metadata.uid.unwrap_or_default(),
        controller: Some(true),
        ..OwnerReference::default()
    }]);
    // The API server's own to say.
    (metadata.uid, metadata.resource_version, metadata.generation) = (None, None, None);
    let namespace = metadata.namespace.clone().unwrap_or_default();
    let name = metadata.name.clone().unwrap_or_default();
    let pods = Api::<Pod>::namespaced(client.clone(), &namespace);
    match pods.create(&PostParams::default(), &mirror).await {
        Err(kube::Error::Api(status)) if status.code == 409 => {
            let found = pods.get_opt(&name).await?;
            // Another pod of that name is in the way, which the kubelet is told of if it is one of its own.
            if found.is_none_or(|found| is_mirror_of(&found, pod)) { Ok(()) } else { Err(kube::Error::Api(status)) }
        }
        other => other.map(drop),
    }
}

/// Deletes the pod of this uid at once. One that is gone is no error.
pub(in crate::kubelet) async fn delete(client: &Client, pod: &Pod, uid: &str) -> Result<(), kube::Error> {
    let metadata = &pod.metadata;
    let pods = Api::<Pod>::namespaced(client.clone(), metadata.namespace.as_deref().unwrap_or_default());
    let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
    let params =
        DeleteParams { grace_period_seconds: Some(0), preconditions: Some(preconditions), ..DeleteParams::default() };
    match pods.delete(metadata.name.as_deref().unwrap_or_default(), &params).await {
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        other => other.map(drop),
    }
}
