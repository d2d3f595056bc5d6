//! Waits for the pods of what a manifest creates.

use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject},
    core::GroupVersionKind,
    runtime::wait::{self, await_condition},
};
use serde_json::Value;

/// An object with pods that are to run: a Deployment, a ReplicaSet, or a Pod itself.
#[derive(Clone, Debug)]
pub struct Workload {
    api: Api<DynamicObject>,
    object: DynamicObject,
}

/// The workloads among `objects`.
pub fn of(client: &Client, objects: &[DynamicObject]) -> Vec<Workload> {
    let workload = |object: &DynamicObject| {
        let kind = GroupVersionKind::try_from(object.types.as_ref()?).ok()?;
        if !matches!(kind.kind.as_str(), "Deployment" | "ReplicaSet" | "Pod") {
            return None;
        }
        let resource = ApiResource::from_gvk(&kind);
        let api = Api::namespaced_with(client.clone(), object.metadata.namespace.as_deref()?, &resource);
        Some(Workload { api, object: object.clone() })
    };
    objects.iter().filter_map(workload).collect()
}

/// Waits until all pods of all workloads are ready.
pub async fn ready(workloads: &[Workload]) -> Result<(), wait::Error> {
    let all_ready =
        |object: Option<&DynamicObject>| object.map(pods).is_some_and(|Pods { ready, wanted }| ready >= wanted);
    let waits = workloads.iter().map(|Workload { api, object }| {
        let name = object.name_any();
        let api = api.clone();
        async move { await_condition(api, &name, all_ready).await }
    });
    futures::future::try_join_all(waits).await.map(drop)
}

/// A line for each workload whose pods are not all ready.
pub async fn unready(workloads: &[Workload]) -> Result<Vec<String>, kube::Error> {
    let mut lines = Vec::new();
    for Workload { api, object } in workloads {
        let Pods { ready, wanted } = pods(&api.get(&object.name_any()).await?);
        if ready < wanted {
            let namespace = object.namespace().unwrap_or_default();
            lines.push(format!("{} in namespace {namespace}: {ready} of {wanted} pods are ready", full_name(object)));
        }
    }
    Ok(lines)
}

/// The object's name as kubectl prints it: `deployment.apps/nginx`, `pod/web`.
pub fn full_name(object: &DynamicObject) -> String {
    let types = object.types.clone().unwrap_or_default();
    let group = types.api_version.split_once('/').map(|(group, _)| format!(".{group}")).unwrap_or_default();
    format!("{}{group}/{}", types.kind.to_lowercase(), object.name_any())
}

struct Pods {
    ready: i64,
    wanted: i64,
}

fn pods(object: &DynamicObject) -> Pods {
    let status = &object.data["status"];
    let count = |value: &Value, default| value.as_i64().unwrap_or(default);
    match object.types.as_ref().map(|types| types.kind.as_str()) {
        Some("Pod") => Pods { ready: i64::from(is_ready(status)), wanted: 1 },
        kind => {
            let observed = count(&status["observedGeneration"], 0) >= object.metadata.generation.unwrap_or(0);
            // Of a Deployment only those of its last revision count.
            let updated = if kind == Some("Deployment") { count(&status["updatedReplicas"], 0) } else { i64::MAX };
            let ready = count(&status["readyReplicas"], 0).min(updated);
            Pods { ready: if observed { ready } else { 0 }, wanted: count(&object.data["spec"]["replicas"], 1) }
        }
    }
}

/// Whether a pod is ready, or has done its work.
fn is_ready(status: &Value) -> bool {
    let conditions = status["conditions"].as_array();
    let ready = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
    status["phase"] == "Succeeded" || conditions.is_some_and(|conditions| conditions.iter().any(ready))
}
