//! How a refused update differs from what is there, as Kubernetes shows it in its error: a unified diff of both specs as
//! the JSON of its own internal types, with every field and in the order of their declaration (`apimachinery/pkg/util/diff`).

mod form;
mod render;
mod unified;

use k8s_openapi::api::core::v1::{PersistentVolumeClaimSpec, PersistentVolumeSpec, PodSpec};
use serde::Serialize;
use serde_json::{Value, json};

/// The lines in which two specs of pods differ, with their surroundings.
pub(super) fn of_pods(old: &PodSpec, new: &PodSpec) -> String {
    diff(form::POD_SPEC, &internal(old), &internal(new))
}

/// The same of two claims.
pub(super) fn of_claims(old: &PersistentVolumeClaimSpec, new: &PersistentVolumeClaimSpec) -> String {
    diff(form::CLAIM_SPEC, &json(old), &json(new))
}

/// The same of what two persistent volumes are made of.
pub(super) fn of_volume_sources(old: &PersistentVolumeSpec, new: &PersistentVolumeSpec) -> String {
    diff(form::VOLUME_SOURCE, &json(old), &json(new))
}

fn diff(fields: form::Fields, old: &Value, new: &Value) -> String {
    unified::diff(&render::lines(fields, old), &render::lines(fields, new))
}

fn json(spec: &impl Serialize) -> Value {
    serde_json::to_value(spec).unwrap_or_default()
}

/// Internally the host's namespaces are settings of the security context.
fn internal(spec: &PodSpec) -> Value {
    let mut spec = json(spec);
    let Some(fields) = spec.as_object_mut() else { return spec };
    let moved = ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers"];
    let moved: Vec<_> = moved.into_iter().filter_map(|name| fields.remove_entry(name)).collect();
    let context = fields.entry("securityContext").or_insert_with(|| json!({}));
    if let Some(context) = context.as_object_mut() {
        context.extend(moved);
    }
    spec
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pod of Kubernetes' own answer, whose numbers of lines count every field that comes before.
    #[test]
    fn a_changed_node_is_shown_on_kubernetes_line() {
        let config_map =
            |name: &str, key: &str| json!({"configMap": {"name": name, "items": [{"key": key, "path": key}]}});
        let field = json!({"apiVersion": "v1", "fieldPath": "metadata.namespace"});
        let sources = json!([
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            config_map("kube-root-ca.crt", "ca.crt"),
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": field}]}},
            config_map("openshift-service-ca.crt", "service-ca.crt"),
        ]);
        let old: PodSpec = serde_json::from_value(json!({
            "volumes": [{"name": "kube-api-access-8t2xk", "projected": {"sources": sources, "defaultMode": 420}}],
            "containers": [{
                "name": "main", "image": "nginx:1.28", "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
                "volumeMounts": [{"name": "kube-api-access-8t2xk", "readOnly": true, "mountPath": "/var/run/secrets"}],
            }],
            "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
            "serviceAccountName": "default", "serviceAccount": "default", "securityContext": {},
        }))
        .unwrap();
        let new = PodSpec { node_name: Some("x".to_owned()), ..old.clone() };
        let expected = "@@ -161,7 +161,7 @@\n  \"NodeSelector\": null,\n  \"ServiceAccountName\": \"default\",\n  \"AutomountServiceAccountToken\": null,\n- \"NodeName\": \"\",\n+ \"NodeName\": \"x\",\n  \"SecurityContext\": {\n   \"HostNetwork\": false,\n   \"HostPID\": false,\n";
        assert_eq!(of_pods(&old, &new), expected);
    }
}
