//! Pods that are deleted for reasons that are not theirs: they say so by the condition `DisruptionTarget`.

use k8s_openapi::api::core::v1::{Pod, PodCondition};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use serde_json::{Value, json};

use super::api_error;

/// Deletes the pod with the grace that it asks for.
pub(super) async fn evict(client: &Client, pod: &Pod, why: PodCondition) -> Result<(), kube::Error> {
    delete(client, pod, json!({"conditions": [why]}), DeleteParams::default()).await
}

/// Removes a pod whose node will not do so, as failed unless it had come to its end.
pub(super) async fn remove(client: &Client, pod: &Pod, why: Option<PodCondition>) -> Result<(), kube::Error> {
    let mut status = json!({});
    if !super::pod_state::is_finished(pod) {
        status["phase"] = json!("Failed");
        if let Some(why) = why {
            status["conditions"] = json!([why]);
        }
    }
    delete(client, pod, status, DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() }).await
}

/// Writes what `status` says and deletes the pod; one that is gone is fine.
async fn delete(client: &Client, pod: &Pod, status: Value, how: DeleteParams) -> Result<(), kube::Error> {
    let (uid, name) = (pod.metadata.uid.clone(), pod.metadata.name.as_deref().unwrap_or_default());
    let api = Api::<Pod>::namespaced(client.clone(), pod.metadata.namespace.as_deref().unwrap_or_default());
    let write = async {
        if status.as_object().is_some_and(|status| !status.is_empty()) {
            let patch = json!({"metadata": {"uid": uid}, "status": status});
            api.patch_status(name, &PatchParams::default(), &Patch::Strategic(patch)).await?;
        }
        let same = Preconditions { uid: uid.clone(), resource_version: None };
        api.delete(name, &how.preconditions(same)).await.map(drop)
    };
    match write.await {
        // Gone, or another one of that name by now.
        Err(error) if api_error::is_not_found(&error) || api_error::is_conflict(&error) => Ok(()),
        other => other,
    }
}
