//! A status change as the smallest strategic merge patch, so that what others write into the same status stays.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, PodCondition, PodStatus};
use orchestra_core::condition;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The patch that makes `old` into `new`; `None` if they are equal. It holds for the pod of this uid only.
pub(super) fn status_patch(uid: Option<&str>, old: &PodStatus, new: &PodStatus) -> Option<Value> {
    let mut changes = Changes::default();
    // Field by field, so that what did not change, most of it as a rule, is not taken apart.
    macro_rules! compare {
        ($($name:literal: $field:ident),* $(,)?) => {{
            let PodStatus { conditions, container_statuses, init_container_statuses, ephemeral_container_statuses, $($field),* } = new;
            $(changes.compare($name, &old.$field, $field);)*
            changes.conditions(old.conditions.as_deref(), conditions.as_deref());
            changes.containers("containerStatuses", &old.container_statuses, container_statuses);
            changes.containers("initContainerStatuses", &old.init_container_statuses, init_container_statuses);
            changes.containers("ephemeralContainerStatuses", &old.ephemeral_container_statuses, ephemeral_container_statuses);
        }};
    }
    compare! {
        "allocatedResources": allocated_resources,
        "extendedResourceClaimStatus": extended_resource_claim_status,
        "hostIP": host_ip,
        "hostIPs": host_ips,
        "message": message,
        "nodeAllocatableResourceClaimStatuses": node_allocatable_resource_claim_statuses,
        "nominatedNodeName": nominated_node_name,
        "observedGeneration": observed_generation,
        "phase": phase,
        "podIP": pod_ip,
        "podIPs": pod_ips,
        "qosClass": qos_class,
        "reason": reason,
        "resize": resize,
        "resourceClaimStatuses": resource_claim_statuses,
        "resources": resources,
        "startTime": start_time,
    }
    let Changes(changes) = changes;
    (!changes.is_empty()).then(|| json!({ "metadata": { "uid": uid }, "status": changes }))
}

/// The fields of the patch.
#[derive(Default)]
struct Changes(Map<String, Value>);

impl Changes {
    fn compare<T: PartialEq + Serialize>(&mut self, name: &str, old: &Option<T>, new: &Option<T>) {
        if old != new {
            self.set(name, new);
        }
    }

    /// Sets the field, to null if there is no value.
    fn set(&mut self, name: &str, value: &impl Serialize) {
        // A status has no values that cannot be written as JSON.
        let mut value = serde_json::to_value(value).unwrap_or_default();
        prune(&mut value);
        self.0.insert(name.to_owned(), value);
    }

    fn containers(&mut self, name: &str, old: &Option<Vec<ContainerStatus>>, new: &Option<Vec<ContainerStatus>>) {
        let (old, told) = (old.as_deref().unwrap_or_default(), new.as_deref().unwrap_or_default());
        if old.len() != told.len() || old.iter().zip(told).any(|(old, told)| !is_same(old, told)) {
            self.set(name, new);
        }
    }

    /// Conditions are merged by type: only what changed.
    fn conditions(&mut self, old: Option<&[PodCondition]>, new: Option<&[PodCondition]>) {
        let Some(new) = new else {
            if old.is_some() {
                self.set("conditions", &Value::Null);
            }
            return;
        };
        let changed: Vec<_> = new.iter().filter(|condition| old.is_none_or(|old| !old.contains(condition))).collect();
        let gone = |old: &&PodCondition| condition::find(new, &old.type_).is_none();
        let gone: Vec<_> = old.unwrap_or_default().iter().filter(gone).map(|old| old.type_.clone()).collect();
        if changed.is_empty() && gone.is_empty() {
            return;
        }
        self.set("conditions", &changed);
        let conditions = self.0.get_mut("conditions").and_then(Value::as_array_mut);
        if let Some(conditions) = conditions {
            conditions.iter_mut().for_each(fill_gaps);
            conditions.extend(gone.iter().map(|kind| json!({ "$patch": "delete", "type": kind })));
        }
    }
}

/// Whether two statuses say the same. A `lastState` that is empty is as good as none: a server may keep either.
fn is_same(old: &ContainerStatus, new: &ContainerStatus) -> bool {
    let none = ContainerState::default();
    // Every field is named, so that none is forgotten.
    macro_rules! compare {
        ($($field:ident),*) => {{
            let ContainerStatus { last_state, $($field),* } = new;
            let last = last_state.as_ref().unwrap_or(&none);
            old.last_state.as_ref().unwrap_or(&none) == last && $(old.$field == *$field)&&*
        }};
    }
    compare!(
        name,
        ready,
        started,
        restart_count,
        state,
        container_id,
        image,
        image_id,
        allocated_resources,
        allocated_resources_status,
        resources,
        stop_signal,
        user,
        volume_mounts
    )
}

/// Removes empty objects in objects.
fn prune(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(prune);
            // That a container has no resources says that it can be given some.
            fields
                .retain(|name, value| name == "resources" || value.as_object().is_none_or(|object| !object.is_empty()));
        }
        Value::Array(items) => items.iter_mut().for_each(prune),
        _ => {}
    }
}

/// A condition's fields are merged too: one that is to go is null.
fn fill_gaps(condition: &mut Value) {
    if let Value::Object(fields) = condition {
        for name in ["reason", "message"] {
            fields.entry(name).or_insert(Value::Null);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(value: Value) -> PodStatus {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn an_empty_state_is_no_change() {
        let container = |last: Value| {
            let state = json!({ "name": "c", "image": "i", "imageID": "", "ready": true, "restartCount": 0, "lastState": last });
            status(json!({ "containerStatuses": [state] }))
        };
        assert_eq!(status_patch(None, &container(json!({})), &container(Value::Null)), None);
    }

    #[test]
    fn only_what_changed_is_written() {
        let old = status(json!({ "phase": "Pending", "reason": "x", "podIP": "10.0.0.1", "conditions": [
            { "type": "Ready", "status": "False", "reason": "r" }, { "type": "PodScheduled", "status": "True" },
        ] }));
        let new = status(json!({ "phase": "Running", "podIP": "10.0.0.1", "conditions": [
            { "type": "Ready", "status": "True" }, { "type": "PodScheduled", "status": "True" },
        ] }));
        assert_eq!(status_patch(Some("u"), &old, &old), None);
        let removed = status_patch(
            None,
            &new,
            &status(json!({ "phase": "Running", "podIP": "10.0.0.1", "conditions": [
            { "type": "PodScheduled", "status": "True" },
        ] })),
        );
        let conditions = &removed.unwrap()["status"]["conditions"];
        assert_eq!(*conditions, json!([{ "$patch": "delete", "type": "Ready" }]));
        let patch = status_patch(Some("u"), &old, &new).unwrap();
        assert_eq!(
            patch,
            json!({ "metadata": { "uid": "u" }, "status": { "phase": "Running", "reason": null, "conditions": [
                { "type": "Ready", "status": "True", "reason": null, "message": null },
            ] } })
        );
    }
}
