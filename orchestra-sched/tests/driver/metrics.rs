//! What the driver measures.

use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::json;

use crate::{api::Api, start};

#[tokio::test(start_paused = true)]
async fn attempts_queues_and_the_cache_are_measured_under_kube_schedulers_names() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let rendered = recorder.handle();
    let _installed = metrics::set_default_local_recorder(&recorder);
    let api = Api::default();
    api.add_node("n1", "2");
    api.add_pod("fits", "1", json!({}));
    api.add_pod("large", "4", json!({}));
    api.add_pod("held", "1", json!({ "schedulingGates": [{ "name": "g" }] }));
    let running = start(&api);
    api.until("one is bound, and one is not", |state| {
        state.bindings == ["fits n1"] && state.condition("large").is_some()
    })
    .await;
    running.stop().await;
    let text = rendered.render();
    for line in [
        r#"scheduler_schedule_attempts_total{result="scheduled",profile="default-scheduler"} 1"#,
        r#"scheduler_schedule_attempts_total{result="unschedulable",profile="default-scheduler"} 1"#,
        r#"scheduler_schedule_attempts_total{result="error",profile="default-scheduler"} 0"#,
        r#"scheduler_pending_pods{queue="active"} 0"#,
        r#"scheduler_pending_pods{queue="unschedulable"} 1"#,
        r#"scheduler_pending_pods{queue="gated"} 1"#,
        r#"scheduler_cache_size{type="nodes"} 1"#,
        r#"scheduler_cache_size{type="pods"} 1"#,
        "scheduler_pod_scheduling_attempts_count 1",
        "scheduler_scheduling_algorithm_duration_seconds_count 2",
    ] {
        assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
    }
}
