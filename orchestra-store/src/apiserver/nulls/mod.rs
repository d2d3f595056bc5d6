//! Times and lists that are absent, as Kubernetes writes them: Go writes `null` for an empty `metav1.Time` or list that is not left
//! out, where k8s-openapi's types leave it out.

mod serializer;

use serde::{Serialize, Serializer};

use self::serializer::Nulls;

type Fields = &'static [&'static str];

/// What is written as null of the kinds that have such.
pub(super) fn of_kind(group: &str, kind: &str) -> Fields {
    match (group, kind) {
        ("", "Event") => &["eventTime", "firstTimestamp", "lastTimestamp"],
        // Lists that are not left out when they are empty, in Go nil.
        ("discovery.k8s.io", "EndpointSlice") => &["endpoints", "ports"],
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => &["rules"],
        ("events.k8s.io", "Event") => &["deprecatedFirstTimestamp", "deprecatedLastTimestamp", "eventTime"],
        _ => &[],
    }
}

/// The times of the parts of objects.
fn of_part(name: &str) -> Fields {
    match name {
        "PodCondition" => &["lastProbeTime", "lastTransitionTime"],
        "NodeCondition" => &["lastHeartbeatTime", "lastTransitionTime"],
        "DeploymentCondition" => &["lastTransitionTime", "lastUpdateTime"],
        "ReplicaSetCondition" | "NamespaceCondition" => &["lastTransitionTime"],
        "ContainerStateRunning" => &["startedAt"],
        "ContainerStateTerminated" => &["finishedAt", "startedAt"],
        _ => &[],
    }
}

/// A value whose absent times are written. `fields` are those of the value itself, if it is a struct whose name does not tell.
pub(super) struct WithNulls<'a, T: ?Sized> {
    value: &'a T,
    fields: Option<Fields>,
}

impl<'a, T: ?Sized> WithNulls<'a, T> {
    /// An object of a kind with the times `fields`.
    pub(super) fn object(value: &'a T, fields: Fields) -> Self {
        Self { value, fields: Some(fields) }
    }

    /// A part of an object.
    fn part(value: &'a T) -> Self {
        Self { value, fields: None }
    }
}

impl<T: ?Sized + Serialize> Serialize for WithNulls<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(Nulls { inner: serializer, fields: self.fields })
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{Event, Pod};
    use serde_json::{Value, json};

    use super::*;

    fn written<T: Serialize>(value: &T, fields: Fields) -> Value {
        serde_json::to_value(WithNulls::object(value, fields)).unwrap()
    }

    #[test]
    fn absent_times_of_parts_are_null() {
        let status = json!({
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            "containerStatuses": [{
                "name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": {"running": {}}
            }],
        });
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p"}, "status": status})).unwrap();
        let text = serde_json::to_string(&WithNulls::object(&pod, &[])).unwrap();
        let pod: Value = serde_json::from_str(&text).unwrap();
        let condition = &pod["status"]["conditions"][0];
        assert_eq!(condition["lastProbeTime"], Value::Null);
        assert!(condition.as_object().unwrap().contains_key("lastProbeTime"));
        assert_eq!(condition["lastTransitionTime"], "2026-01-01T00:00:00Z");
        assert_eq!(pod["status"]["containerStatuses"][0]["state"], json!({"running": {"startedAt": null}}));
        assert_eq!(pod["metadata"], json!({"name": "p"}));
    }

    #[test]
    fn absent_times_of_events_are_null() {
        let event = json!({"metadata": {}, "involvedObject": {}, "firstTimestamp": "2026-01-01T00:00:00Z"});
        let event: Event = serde_json::from_value(event).unwrap();
        let value = written(&event, of_kind("", "Event"));
        assert_eq!((&value["eventTime"], &value["lastTimestamp"]), (&Value::Null, &Value::Null));
        assert_eq!(value["firstTimestamp"], "2026-01-01T00:00:00Z");
        assert_eq!(value.as_object().unwrap().len(), 7);
    }
}
