//! The form of `events.k8s.io/v1` (`pkg/apis/events/v1/conversion.go`).

use k8s_openapi::api::{core, events};

use crate::apiserver::object::WireForm;

impl WireForm<core::v1::Event> for events::v1::Event {
    const CONVERTS: bool = true;

    fn into_stored(self) -> core::v1::Event {
        core::v1::Event {
            action: self.action,
            count: self.deprecated_count,
            event_time: self.event_time,
            first_timestamp: self.deprecated_first_timestamp,
            involved_object: self.regarding.unwrap_or_default(),
            last_timestamp: self.deprecated_last_timestamp,
            message: self.note,
            metadata: self.metadata,
            reason: self.reason,
            related: self.related,
            reporting_component: self.reporting_controller,
            reporting_instance: self.reporting_instance,
            series: self.series.map(|series| core::v1::EventSeries {
                count: Some(series.count),
                last_observed_time: Some(series.last_observed_time),
            }),
            source: self.deprecated_source,
            type_: self.type_,
        }
    }

    fn from_stored(stored: core::v1::Event) -> Self {
        let series = stored.series.and_then(|series| {
            let last_observed_time = series.last_observed_time?;
            Some(events::v1::EventSeries { count: series.count.unwrap_or_default(), last_observed_time })
        });
        Self {
            action: stored.action,
            deprecated_count: stored.count,
            deprecated_first_timestamp: stored.first_timestamp,
            deprecated_last_timestamp: stored.last_timestamp,
            deprecated_source: stored.source,
            event_time: stored.event_time,
            metadata: stored.metadata,
            note: stored.message,
            reason: stored.reason,
            regarding: Some(stored.involved_object),
            related: stored.related,
            reporting_controller: stored.reporting_component,
            reporting_instance: stored.reporting_instance,
            series,
            type_: stored.type_,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::apiserver::kinds::testing::object;

    #[test]
    fn an_event_survives_the_way_there_and_back() {
        let event: events::v1::Event = object(json!({
            "metadata": {"name": "a"}, "eventTime": "2026-01-01T00:00:00.000000Z", "note": "hello", "reason": "R", "type": "Normal",
            "action": "A", "regarding": {"kind": "Pod", "name": "p"}, "reportingController": "c", "reportingInstance": "i",
            "series": {"count": 2, "lastObservedTime": "2026-01-01T00:00:00.000000Z"}, "deprecatedCount": 3,
            "deprecatedSource": {"component": "kubelet"}
        }));
        let stored: core::v1::Event = event.clone().into_stored();
        assert_eq!((stored.message.as_deref(), stored.count), (Some("hello"), Some(3)));
        assert_eq!(events::v1::Event::from_stored(stored), event);
    }
}
