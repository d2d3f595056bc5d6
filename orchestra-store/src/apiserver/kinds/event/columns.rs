//! The table of events (`printEvent` of `pkg/printers/internalversion`).

use jiff::Timestamp;
use k8s_openapi::{api::core::v1::Event, apimachinery::pkg::apis::meta::v1::Time};
use serde_json::{Value, json};

use crate::apiserver::{age, strategy::Column};

/// An event's cells.
pub(super) fn cells(event: &Event, now: Timestamp) -> Vec<Value> {
    let event_time = event.event_time.as_ref().map(|time| Time(time.0));
    let first = event.first_timestamp.clone().or(event_time);
    let mut last = event.last_timestamp.clone().or_else(|| first.clone());
    let mut count = event.count.filter(|count| *count != 0).unwrap_or(1);
    if let Some(series) = &event.series {
        last = series.last_observed_time.as_ref().map(|time| Time(time.0));
        count = series.count.unwrap_or_default();
    }
    vec![
        json!(age::since(last.as_ref(), now)),
        json!(text(&event.type_)),
        json!(text(&event.reason)),
        json!(target(event)),
        json!(text(&event.involved_object.field_path)),
        json!(source(event)),
        json!(text(&event.message).trim()),
        json!(age::since(first.as_ref(), now)),
        json!(count),
        json!(event.metadata.name),
    ]
}

fn target(event: &Event) -> String {
    let kind = text(&event.involved_object.kind).to_lowercase();
    match text(&event.involved_object.name) {
        "" => kind,
        name => format!("{kind}/{name}"),
    }
}

fn source(event: &Event) -> String {
    let source = event.source.clone().unwrap_or_default();
    let first = |old: &Option<String>, new: &Option<String>| {
        if text(old).is_empty() { text(new).to_owned() } else { text(old).to_owned() }
    };
    let component = first(&source.component, &event.reporting_component);
    match first(&source.host, &event.reporting_instance) {
        instance if instance.is_empty() => component,
        instance => format!("{component}, {instance}"),
    }
}

fn text(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or_default()
}

/// The columns; those of priority 1 are shown with `-o wide`.
pub(super) const COLUMNS: &[Column] = &[
    Column {
        name: "Last Seen",
        kind: "string",
        format: "",
        description: "The time at which the most recent occurrence of this event was recorded.",
        priority: 0,
    },
    Column {
        name: "Type",
        kind: "string",
        format: "",
        description: "Type of this event (Normal, Warning), new types could be added in the future",
        priority: 0,
    },
    Column {
        name: "Reason",
        kind: "string",
        format: "",
        description: "This should be a short, machine understandable string that gives the reason for the transition into the object's current status.",
        priority: 0,
    },
    Column {
        name: "Object",
        kind: "string",
        format: "",
        description: "The object that this event is about.",
        priority: 0,
    },
    Column {
        name: "Subobject",
        kind: "string",
        format: "",
        description: "If referring to a piece of an object instead of an entire object, this string should contain a valid JSON/Go field access statement, such as desiredState.manifest.containers[2]. For example, if the object reference is to a container within a pod, this would take on a value like: \"spec.containers{name}\" (where \"name\" refers to the name of the container that triggered the event) or if no container name is specified \"spec.containers[2]\" (container with index 2 in this pod). This syntax is chosen only to have some well-defined way of referencing a part of an object.",
        priority: 1,
    },
    Column {
        name: "Source",
        kind: "string",
        format: "",
        description: "The component reporting this event. Should be a short machine understandable string.",
        priority: 1,
    },
    Column {
        name: "Message",
        kind: "string",
        format: "",
        description: "A human-readable description of the status of this operation.",
        priority: 0,
    },
    Column {
        name: "First Seen",
        kind: "string",
        format: "",
        description: "The time at which the event was first recorded. (Time of server receipt is in TypeMeta.)",
        priority: 1,
    },
    Column {
        name: "Count",
        kind: "string",
        format: "",
        description: "The number of times this event has occurred.",
        priority: 1,
    },
    Column {
        name: "Name",
        kind: "string",
        format: "name",
        description: "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names",
        priority: 1,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apiserver::kinds::testing::object;

    fn row(event: Value) -> Vec<Value> {
        let now: Timestamp = "2026-01-01T00:01:00Z".parse().unwrap();
        cells(&object(event), now)
    }

    #[test]
    fn an_event_of_the_old_kind() {
        let cells = row(json!({
            "metadata": {"name": "web.1"}, "involvedObject": {"kind": "ReplicaSet", "name": "web"}, "type": "Normal",
            "reason": "SuccessfulCreate", "message": "Created pod: web-1\n", "source": {"component": "replicaset-controller"},
            "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:30Z", "count": 3
        }));
        assert_eq!(
            cells,
            [
                json!("30s"),
                json!("Normal"),
                json!("SuccessfulCreate"),
                json!("replicaset/web"),
                json!(""),
                json!("replicaset-controller"),
                json!("Created pod: web-1"),
                json!("60s"),
                json!(3),
                json!("web.1"),
            ]
        );
    }

    #[test]
    fn an_event_of_the_new_kind_with_a_series() {
        let cells = row(json!({
            "metadata": {"name": "p.1"}, "involvedObject": {"kind": "Pod", "name": "p"}, "type": "Warning",
            "eventTime": "2026-01-01T00:00:00.000000Z", "reportingComponent": "default-scheduler", "reportingInstance": "s-1",
            "series": {"count": 4, "lastObservedTime": "2026-01-01T00:00:55.000000Z"}
        }));
        assert_eq!((&cells[0], &cells[7], &cells[8]), (&json!("5s"), &json!("60s"), &json!(4)));
        assert_eq!(cells[5], "default-scheduler, s-1");
    }
}
