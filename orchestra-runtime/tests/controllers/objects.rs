//! The objects that the tests begin with.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use serde_json::{Value, json};

pub(crate) fn deployment(image: &str, replicas: i32) -> Value {
    json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
            "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
            "template": {
                "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]},
            },
        },
    })
}

/// What changes the image of [`deployment`].
pub(crate) fn image(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}})
}

/// A config map with these owners, each with whether it holds up the owner's foreground deletion.
pub(crate) fn config_map(name: &str, owners: &[(&ConfigMap, bool)]) -> Value {
    let owners: Vec<_> = owners
        .iter()
        .map(|(owner, blocks)| {
            json!({
                "apiVersion": "v1", "kind": "ConfigMap", "name": owner.name_any(), "uid": owner.uid(),
                "blockOwnerDeletion": blocks,
            })
        })
        .collect();
    json!({"metadata": {"name": name, "ownerReferences": owners}})
}
