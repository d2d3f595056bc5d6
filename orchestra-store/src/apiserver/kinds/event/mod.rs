//! Events, of the core group and of `events.k8s.io`, over the same stored objects (`pkg/registry/core/event`).

mod columns;
mod validation;
mod wire;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::{core::v1::Event, events};
use serde_json::Value;

use crate::apiserver::{
    field::Errors,
    registry::Resource,
    row as new_row,
    strategy::{Column, RequestContext, Strategy},
};

/// How long an event is kept.
const TIME_TO_LIVE: Duration = Duration::from_secs(60 * 60);

/// The rules of events in the core group.
#[derive(Clone, Copy, Debug, Default)]
pub struct Events;

/// The rules of events in `events.k8s.io`, which is stricter.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewEvents;

/// The row of the core group.
pub fn row() -> Resource {
    new_row(Events).short_names(&["ev"]).time_to_live(TIME_TO_LIVE).creates_on_update()
}

/// The row of `events.k8s.io`.
pub fn new_events_row() -> Resource {
    new_row(NewEvents).short_names(&["ev"]).time_to_live(TIME_TO_LIVE).creates_on_update()
}

impl Strategy for Events {
    type Object = Event;
    type Wire = Event;

    fn validate_name(&self, _name: &str, _is_prefix: bool) -> Option<String> {
        // Old clients name events after objects of any name; whether it is a path segment is checked for all kinds.
        None
    }

    fn default(&self, event: &mut Event) {
        fill(event);
    }

    fn validate(&self, _ctx: &RequestContext, event: &Event) -> Errors {
        validation::core(event)
    }

    fn fields(&self, event: &Event) -> Vec<String> {
        let object = &event.involved_object;
        let source = event.source.as_ref().and_then(|source| source.component.clone());
        let source = source.filter(|source| !source.is_empty()).or_else(|| event.reporting_component.clone());
        [
            &object.kind,
            &object.namespace,
            &object.name,
            &object.uid,
            &object.api_version,
            &object.resource_version,
            &object.field_path,
            &event.reason,
            &event.reporting_component,
            &source,
            &event.type_,
        ]
        .map(|field| field.clone().unwrap_or_default())
        .into()
    }

    fn selectable_fields(&self) -> &'static [&'static str] {
        &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ]
    }

    fn columns(&self) -> &'static [Column] {
        columns::COLUMNS
    }

    fn cells(&self, event: &Event, now: Timestamp) -> Vec<Value> {
        columns::cells(event, now)
    }
}

impl Strategy for NewEvents {
    type Object = Event;
    type Wire = events::v1::Event;

    fn default(&self, event: &mut Event) {
        fill(event);
    }

    fn validate(&self, _ctx: &RequestContext, event: &Event) -> Errors {
        validation::create(event)
    }

    fn validate_update(&self, _ctx: &RequestContext, new: &Event, old: &Event) -> Errors {
        validation::update(new, old)
    }

    fn fields(&self, event: &Event) -> Vec<String> {
        Events.fields(event)
    }

    fn selectable_fields(&self) -> &'static [&'static str] {
        &[
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "regarding.resourceVersion",
            "regarding.fieldPath",
            "reason",
            "reportingController",
            "source",
            "type",
        ]
    }

    fn columns(&self) -> &'static [Column] {
        columns::COLUMNS
    }

    fn cells(&self, event: &Event, now: Timestamp) -> Vec<Value> {
        columns::cells(event, now)
    }
}

/// What Kubernetes always writes, however empty.
fn fill(event: &mut Event) {
    event.source.get_or_insert_default();
    event.reporting_component.get_or_insert_default();
    event.reporting_instance.get_or_insert_default();
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::apiserver::kinds::testing::object;

    #[test]
    fn both_rows_share_the_stored_objects() {
        assert_eq!(row().storage_prefix, new_events_row().storage_prefix);
        assert_eq!(row().storage_prefix, "/registry/events/");
        assert_eq!(new_events_row().api_version(), "events.k8s.io/v1");
    }

    #[test]
    fn the_source_is_the_component_or_who_reports() {
        let fields = |event| Events.fields(&object(event));
        let base = json!({"metadata": {}, "involvedObject": {"kind": "Pod"}, "reportingComponent": "scheduler"});
        assert_eq!((fields(base.clone())[0].as_str(), fields(base)[9].as_str()), ("Pod", "scheduler"));
        let old = json!({"metadata": {}, "involvedObject": {}, "source": {"component": "kubelet"}});
        assert_eq!(fields(old)[9], "kubelet");
    }
}
