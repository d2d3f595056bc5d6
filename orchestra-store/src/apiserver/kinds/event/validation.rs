//! Checks of events (`pkg/apis/core/validation/events.go`).

use k8s_openapi::api::core::v1::Event;

use crate::apiserver::{
    field::{Error, Errors, Path, Shown},
    validation::{name, qualified_name},
};

/// The most bytes of an action, a reason, or the name of a reporting instance.
const WORD_MAX: usize = 128;
/// The most bytes of a message.
const MESSAGE_MAX: usize = 1024;

/// What is checked of every event: an old one (without `eventTime`) must be in its object's namespace, a new one complete.
pub(super) fn core(event: &Event) -> Errors {
    let mut errors = Errors::new();
    let namespace = text(&event.metadata.namespace);
    let involved = text(&event.involved_object.namespace);
    let fits = match (&event.event_time, involved) {
        (None, "") => matches!(namespace, "" | "default"),
        (None, involved) => involved == namespace,
        (Some(_), "") => matches!(namespace, "default" | "kube-system"),
        (Some(_), _) => true,
    };
    if !fits {
        let path = Path::new("involvedObject").child("namespace");
        errors.push(Error::invalid(&path, involved, "does not match event.namespace"));
    }
    if event.event_time.is_some() {
        complete(event, &mut errors);
    }
    if let Some(error) = name::subdomain(namespace, false) {
        errors.push(Error::invalid(&Path::new("namespace"), namespace, error));
    }
    errors
}

fn complete(event: &Event, errors: &mut Errors) {
    let controller = text(&event.reporting_component);
    let path = Path::new("reportingController");
    if controller.is_empty() {
        errors.push(Error::required(&path, ""));
    }
    errors.extend(qualified_name::key(controller).into_iter().map(|error| Error::invalid(&path, controller, error)));
    word("reportingInstance", text(&event.reporting_instance), errors);
    word("action", text(&event.action), errors);
    word("reason", text(&event.reason), errors);
    if text(&event.message).len() > MESSAGE_MAX {
        errors.push(too_many("message", MESSAGE_MAX));
    }
}

fn word(field: &str, value: &str, errors: &mut Errors) {
    if value.is_empty() {
        errors.push(Error::required(&Path::new(field), ""));
    } else if value.len() > WORD_MAX {
        errors.push(too_many(field, WORD_MAX));
    }
}

fn too_many(field: &str, max: usize) -> Error {
    Error::invalid(&Path::new(field), "", format!("can have at most {max} characters"))
}

/// What is checked when an event comes through `events.k8s.io`.
pub(super) fn create(event: &Event) -> Errors {
    let mut errors = core(event);
    series(event, &mut errors);
    if event.event_time.is_none() {
        errors.push(Error::required(&Path::new("eventTime"), ""));
    }
    let kind = text(&event.type_);
    if !matches!(kind, "Normal" | "Warning") {
        errors.push(Error::invalid(&Path::new("type"), "", format!("has invalid value: {kind}")));
    }
    let source = event.source.clone().unwrap_or_default();
    let old_fields = [
        ("firstTimestamp", event.first_timestamp.is_some()),
        ("lastTimestamp", event.last_timestamp.is_some()),
        ("count", event.count.is_some_and(|count| count != 0)),
        ("source", !text(&source.component).is_empty() || !text(&source.host).is_empty()),
    ];
    for (field, _) in old_fields.into_iter().filter(|(_, set)| *set) {
        errors.push(Error::invalid(&Path::new(field), "", "needs to be unset"));
    }
    errors
}

fn series(event: &Event, errors: &mut Errors) {
    let Some(series) = &event.series else { return };
    if series.count.unwrap_or_default() < 2 {
        errors.push(Error::invalid(&Path::new("series.count"), "", "should be at least 2"));
    }
    if series.last_observed_time.is_none() {
        errors.push(Error::required(&Path::new("series.lastObservedTime"), ""));
    }
}

/// What is checked of a change through `events.k8s.io`: only the series may change.
pub(super) fn update(new: &Event, old: &Event) -> Errors {
    let mut errors = core(new);
    if new.series != old.series {
        series(new, &mut errors);
    }
    let mut keep = |field: &str, new: Shown, same: bool| {
        if !same {
            errors.push(Error::invalid(&Path::new(field), new, "field is immutable"));
        }
    };
    macro_rules! immutable {
        ($($name:literal: $field:ident),* $(,)?) => { $(keep($name, Shown::json(&new.$field), new.$field == old.$field);)* };
    }
    immutable! {
        "involvedObject": involved_object,
        "reason": reason,
        "message": message,
        "source": source,
        "firstTimestamp": first_timestamp,
        "lastTimestamp": last_timestamp,
        "count": count,
        "type": type_,
        "eventTime": event_time,
        "action": action,
        "related": related,
        "reportingController": reporting_component,
        "reportingInstance": reporting_instance,
    }
    errors
}

fn text(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::apiserver::kinds::testing::{object, texts};

    fn event(time: Option<&str>, namespace: &str, involved: &str) -> Event {
        object(json!({
            "metadata": {"name": "a", "namespace": namespace}, "involvedObject": {"namespace": involved}, "eventTime": time,
            "reportingComponent": "c", "reportingInstance": "i", "action": "A", "reason": "R", "type": "Normal"
        }))
    }

    #[test]
    fn an_old_event_is_in_its_objects_namespace() {
        let mismatch = |involved: &str| {
            [format!("involvedObject.namespace: Invalid value: {involved:?}: does not match event.namespace")]
        };
        assert_eq!(texts(&core(&event(None, "a", "b"))), mismatch("b"));
        assert_eq!(texts(&core(&event(None, "a", ""))), mismatch(""));
        assert!(core(&event(None, "default", "")).is_empty());
        assert!(core(&event(Some("2026-01-01T00:00:00.000000Z"), "a", "b")).is_empty());
    }

    #[test]
    fn the_new_group_wants_complete_events() {
        assert_eq!(texts(&create(&event(None, "a", "a"))), ["eventTime: Required value"]);
        let mut whole = event(Some("2026-01-01T00:00:00.000000Z"), "a", "a");
        assert!(create(&whole).is_empty());
        whole.count = Some(1);
        whole.reason = None;
        let expected = ["reason: Required value", r#"count: Invalid value: "": needs to be unset"#];
        assert_eq!(texts(&create(&whole)), expected);
    }

    #[test]
    fn only_the_series_of_a_new_event_changes() {
        let old = event(Some("2026-01-01T00:00:00.000000Z"), "a", "a");
        let mut new = old.clone();
        new.message = Some("m".to_owned());
        new.series = object(json!({"count": 2, "lastObservedTime": "2026-01-01T00:00:00.000000Z"}));
        assert_eq!(texts(&update(&new, &old)), [r#"message: Invalid value: "m": field is immutable"#]);
    }
}
