use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::ConfigMap;
use orchestra_core::{
    clock::TokioClock,
    event_recorder::{EventRecorder, EventType},
};

use crate::api::Api;

fn clock() -> Arc<TokioClock> {
    Arc::new(TokioClock::starting_at("2026-01-01T00:00:00Z".parse().unwrap()))
}

fn object() -> ConfigMap {
    let mut object = ConfigMap::default();
    object.metadata.name = Some("a".into());
    object.metadata.namespace = Some("default".into());
    object
}

#[tokio::test(start_paused = true)]
async fn repeats_are_counted_in_the_first_event() {
    let api = Api::default();
    let recorder = EventRecorder::new(api.client(), "tester", clock());
    for _ in 0..3 {
        recorder.event(&object(), EventType::Normal, "Tried", "once more");
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    recorder.event(&object(), EventType::Normal, "Tried", "in vain");
    recorder.flush().await;
    api.change(|state| {
        let events = state.objects("events");
        assert_eq!(events.len(), 2);
        assert_eq!((&events[0]["count"], &events[1]["count"]), (&3.into(), &1.into()));
        assert_eq!(events[0]["firstTimestamp"], "2026-01-01T00:00:00Z");
        assert_eq!(events[0]["lastTimestamp"], "2026-01-01T00:00:20Z");
        assert_eq!(events[0]["involvedObject"]["name"], "a");
    });
}

#[tokio::test(start_paused = true)]
async fn in_the_reporting_form_repeats_make_a_series() {
    let api = Api::default();
    let recorder = EventRecorder::reporting(api.client(), "default-scheduler", "s-1", clock());
    for _ in 0..2 {
        recorder.action(&object(), EventType::Warning, "FailedScheduling", "Scheduling", "no node");
    }
    recorder.flush().await;
    api.change(|state| {
        let events = state.objects("events");
        assert_eq!(events.len(), 1);
        assert_eq!(events[0]["series"]["count"], 2);
        assert_eq!(events[0]["reportingComponent"], "default-scheduler");
    });
}

#[tokio::test(start_paused = true)]
async fn an_event_is_written_when_the_server_is_back() {
    let api = Api::default();
    api.change(|state| state.failures = 3);
    let recorder = EventRecorder::new(api.client(), "tester", clock());
    recorder.event(&object(), EventType::Normal, "Tried", "m");
    recorder.flush().await;
    api.change(|state| assert_eq!(state.objects("events").len(), 1));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_was_deleted_is_written_anew_with_its_count() {
    let api = Api::default();
    let recorder = EventRecorder::new(api.client(), "tester", clock());
    recorder.event(&object(), EventType::Normal, "Tried", "m");
    recorder.flush().await;
    api.change(|state| {
        let name = state.objects("events")[0]["metadata"]["name"].as_str().unwrap().to_owned();
        state.delete("events", &name);
    });
    recorder.event(&object(), EventType::Normal, "Tried", "m");
    recorder.flush().await;
    api.change(|state| assert_eq!(state.objects("events")[0]["count"], 2));
}
