//! What the driver measures.

use std::{sync::Arc, time::Duration};

use metrics_exporter_prometheus::PrometheusBuilder;
use orchestra_core::scheduler::{PodInfo, WaitingPods};
use orchestra_sched::{
    config::{KubeSchedulerConfiguration, Registry},
    framework::{Framework, Permit, PermitOutcome, Plugin},
};
use serde_json::json;

use crate::{api::Api, start, start_with};

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
        r#"scheduler_queue_incoming_pods_total{queue="active",event="PodAdd"} 2"#,
        r#"scheduler_queue_incoming_pods_total{queue="unschedulable",event="PodAdd"} 1"#,
        r#"scheduler_queue_incoming_pods_total{queue="unschedulable",event="ScheduleAttemptFailure"} 1"#,
        r#"scheduler_unschedulable_pods{plugin="NodeResourcesFit",profile="default-scheduler"} 1"#,
        r#"scheduler_unschedulable_pods{plugin="SchedulingGates",profile="default-scheduler"} 1"#,
        r#"scheduler_pod_scheduling_sli_duration_seconds_count{attempts="1"} 1"#,
    ] {
        assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn why_pods_come_to_a_queue_and_how_long_they_waited_is_measured() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let rendered = recorder.handle();
    let _installed = metrics::set_default_local_recorder(&recorder);
    let api = Api::default();
    api.add_node("n1", "1");
    let config = KubeSchedulerConfiguration::default();
    let running = start_with(&api, |driver| driver.with_configuration(&config, &Registry::kubernetes()).unwrap());
    api.add_pod("web", "2", json!({}));
    api.until("told", |state| state.condition("web").is_some()).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    api.add_node("n2", "4");
    api.until("bound", |state| state.bindings == ["web n2"]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    running.stop().await;
    let text = rendered.render();
    for line in [
        r#"scheduler_queue_incoming_pods_total{queue="active",event="NodeAdd"} 1"#,
        r#"scheduler_unschedulable_pods{plugin="NodeResourcesFit",profile="default-scheduler"} 0"#,
        r#"scheduler_pod_scheduling_sli_duration_seconds_count{attempts="2"} 1"#,
        r#"scheduler_pod_scheduling_sli_duration_seconds_sum{attempts="2"} 30"#,
        r#"scheduler_framework_extension_point_duration_seconds_count{extension_point="Filter",status="Success",profile="default-scheduler"} 2"#,
        r#"scheduler_framework_extension_point_duration_seconds_count{extension_point="Bind",status="Success",profile="default-scheduler"} 1"#,
    ] {
        assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
    }
}

/// Has pods wait for a permission that never comes.
struct Waits;

impl Plugin for Waits {
    fn name(&self) -> &'static str {
        "Waits"
    }

    fn as_permit(&self) -> Option<&dyn Permit> {
        Some(self)
    }
}

impl Permit for Waits {
    fn permit(&self, _: &PodInfo, _: &str, _: &WaitingPods) -> PermitOutcome {
        PermitOutcome::Wait(Duration::from_secs(7))
    }
}

#[tokio::test(start_paused = true)]
async fn waits_for_permissions_are_measured() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let rendered = recorder.handle();
    let _installed = metrics::set_default_local_recorder(&recorder);
    let api = Api::default();
    api.add_node("n1", "1");
    let waits = Arc::new(Framework::builder().default_plugins().plugin(Waits).measured("default-scheduler").build());
    let running = start_with(&api, |driver| driver.with_scheduler("default-scheduler", waits));
    api.add_pod("web", "1", json!({}));
    api.until("told", |state| state.condition("web").is_some()).await;
    running.stop().await;
    let text = rendered.render();
    for line in [
        r#"scheduler_permit_wait_duration_seconds_count{result="Unschedulable"} 1"#,
        r#"scheduler_permit_wait_duration_seconds_sum{result="Unschedulable"} 7"#,
        r#"scheduler_framework_extension_point_duration_seconds_count{extension_point="Permit",status="Wait",profile="default-scheduler"} 1"#,
    ] {
        assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
    }
}
