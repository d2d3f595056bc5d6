//! The state machine and the status, case by case.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use orchestra_core::{
    condition,
    container_runtime::{ContainerId, ContainerState, SandboxId},
};
use serde_json::{Value, json};

use super::{
    record::{ContainerRecord, Instance, PodRecord, SandboxView},
    status::Reporter,
    step::{HoldOff, Step, next_step},
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn pod(spec: Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": { "name": "p", "namespace": "default", "uid": "u", "generation": 1 }, "spec": spec
    }))
    .unwrap()
}

fn deleted(spec: Value) -> Pod {
    let mut pod = pod(spec);
    pod.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(100)));
    pod.metadata.deletion_grace_period_seconds = Some(7);
    pod
}

fn one(policy: &str) -> Value {
    json!({ "restartPolicy": policy, "containers": [{ "name": "c", "image": "nginx" }] })
}

fn with_init() -> Value {
    json!({
        "restartPolicy": "Always", "containers": [{ "name": "c", "image": "nginx" }],
        "initContainers": [
            { "name": "i1" }, { "name": "s", "image": "nginx", "restartPolicy": "Always" }, { "name": "i2" },
        ],
    })
}

fn instance(state: ContainerState, code: i32) -> Instance {
    let ended = state == ContainerState::Exited;
    Instance {
        id: ContainerId("id".into()),
        attempt: 0,
        image: "nginx:latest".into(),
        image_ref: "ref".into(),
        state,
        started_at: Some(at(10)),
        finished_at: ended.then(|| at(20)),
        exit_code: code,
        reason: if ended { "Error".to_owned() } else { String::new() },
        message: String::new(),
        ready: Some(!ended),
    }
}

fn running() -> Instance {
    instance(ContainerState::Running, 0)
}

fn exited(code: i32) -> Instance {
    instance(ContainerState::Exited, code)
}

fn of_image(image: &str) -> Instance {
    Instance { image: image.into(), ..running() }
}

/// All has crashed before and just now.
fn crashed(mut record: PodRecord) -> PodRecord {
    for known in record.containers.values_mut() {
        known.crashes.grow(at(20));
        let image = known.current.take().unwrap().image;
        known.current = Some(Instance { image, ..exited(1) });
    }
    record
}

fn replaced(mut record: PodRecord) -> PodRecord {
    record.containers.values_mut().for_each(|known| known.replaced = true);
    record
}

fn record(containers: Vec<(&str, Instance)>) -> PodRecord {
    let sandbox =
        SandboxView { id: SandboxId("s".into()), attempt: 0, ready: true, ips: vec!["10.244.0.2".parse().unwrap()] };
    let containers = containers
        .into_iter()
        .map(|(name, current)| {
            (name.to_owned(), ContainerRecord { current: Some(current), ..Default::default() }.into())
        })
        .collect();
    PodRecord { sandbox: Some(sandbox), containers, ..PodRecord::default() }
}

fn stopped(mut record: PodRecord) -> PodRecord {
    record.sandbox.as_mut().unwrap().ready = false;
    record
}

fn name(step: &Step<'_>) -> String {
    let names = |all: &[&k8s_openapi::api::core::v1::Container]| {
        all.iter().map(|container| container.name.as_str()).collect::<Vec<_>>().join(",")
    };
    match step {
        Step::RunSandbox => "sandbox".to_owned(),
        Step::Launch(container) => format!("launch {}", container.name),
        Step::HoldOff { container, .. } => format!("hold off {}", container.name),
        Step::Replace { container, grace } => format!("replace {} in {}", container.name, grace.as_secs()),
        Step::Stop { containers, grace } => format!("stop {} in {}", names(containers), grace.as_secs()),
        Step::StopSandbox => "stop sandbox".to_owned(),
        Step::Finish => "finish".to_owned(),
        Step::Wait(_) => "wait".to_owned(),
    }
}

#[test]
fn the_next_step_follows_from_what_is_known() {
    let cases: Vec<(&str, Pod, PodRecord, &str)> = vec![
        ("a new pod", pod(one("Always")), PodRecord::default(), "sandbox"),
        ("a sandbox", pod(one("Always")), record(vec![]), "launch c"),
        ("all runs", pod(one("Always")), record(vec![("c", running())]), "wait"),
        ("a first crash", pod(one("Always")), record(vec![("c", exited(1))]), "launch c"),
        ("an exit, Always", pod(one("Always")), record(vec![("c", exited(0))]), "launch c"),
        ("an exit, OnFailure", pod(one("OnFailure")), record(vec![("c", exited(0))]), "stop sandbox"),
        ("a failure, OnFailure", pod(one("OnFailure")), record(vec![("c", exited(2))]), "launch c"),
        ("a failure, Never", pod(one("Never")), record(vec![("c", exited(2))]), "stop sandbox"),
        ("a completed pod", pod(one("Never")), stopped(record(vec![("c", exited(0))])), "wait"),
        ("a lost sandbox", pod(one("Always")), stopped(record(vec![("c", exited(137))])), "sandbox"),
        ("init first", pod(with_init()), record(vec![]), "launch i1"),
        ("init runs", pod(with_init()), record(vec![("i1", running())]), "wait"),
        ("init done", pod(with_init()), record(vec![("i1", exited(0))]), "launch s"),
        ("sidecar runs", pod(with_init()), record(vec![("i1", exited(0)), ("s", running())]), "launch i2"),
        (
            "all init done",
            pod(with_init()),
            record(vec![("i1", exited(0)), ("s", running()), ("i2", exited(0))]),
            "launch c",
        ),
        ("another image", pod(one("Never")), record(vec![("c", of_image("nginx:1"))]), "replace c in 30"),
        ("an init container of another image", pod(with_init()), record(vec![("i1", of_image("busybox"))]), "wait"),
        (
            "a sidecar of another image",
            pod(with_init()),
            record(vec![("i1", exited(0)), ("s", of_image("nginx:1"))]),
            "replace s in 30",
        ),
        (
            "another image after a crash",
            pod(one("Always")),
            crashed(record(vec![("c", of_image("nginx:1"))])),
            "launch c",
        ),
        ("the same image after a crash", pod(one("Always")), crashed(record(vec![("c", running())])), "hold off c"),
        ("made way, Never", pod(one("Never")), replaced(record(vec![("c", exited(0))])), "launch c"),
        ("init failed", pod(with_init()), record(vec![("i1", exited(1))]), "launch i1"),
        ("deleted", deleted(one("Always")), record(vec![("c", running())]), "stop c in 7"),
        (
            "deleted, sidecars last",
            deleted(with_init()),
            record(vec![("c", exited(0)), ("s", running())]),
            "stop s in 7",
        ),
        ("deleted, all stopped", deleted(one("Always")), record(vec![("c", exited(0))]), "stop sandbox"),
        ("deleted, sandbox stopped", deleted(one("Always")), stopped(record(vec![("c", exited(0))])), "finish"),
        ("deleted before it began", deleted(one("Always")), PodRecord::default(), "finish"),
    ];
    for (case, pod, record, expected) in cases {
        assert_eq!(name(&next_step(&pod, &record, at(20))), expected, "{case}");
    }
}

#[test]
fn a_failed_init_container_ends_a_pod_that_never_restarts() {
    let spec = json!({ "restartPolicy": "Never", "containers": [{ "name": "c", "image": "nginx" }], "initContainers": [{ "name": "i" }] });
    let pod = pod(spec);
    let record = record(vec![("i", exited(1))]);
    assert_eq!(next_step(&pod, &record, at(20)), Step::StopSandbox);
    assert_eq!(report(&pod, &record).phase.as_deref(), Some("Failed"));
}

#[test]
fn a_rejected_or_ended_pod_is_left_alone() {
    let mut rejected = PodRecord { rejected: Some(("OutOfcpu".into(), "m".into())), ..PodRecord::default() };
    assert_eq!(next_step(&pod(one("Always")), &rejected, at(0)), Step::Wait(None));
    let status = report(&pod(one("Always")), &rejected);
    assert_eq!((status.phase.as_deref(), status.reason.as_deref()), (Some("Failed"), Some("OutOfcpu")));
    rejected.rejected = None;
    let mut ended = pod(one("Always"));
    ended.status = Some(PodStatus { phase: Some("Failed".into()), ..PodStatus::default() });
    assert_eq!(next_step(&ended, &rejected, at(0)), Step::Wait(None));
}

#[test]
fn a_second_crash_is_held_off_and_then_launched() {
    let pod = pod(one("Always"));
    let mut record = record(vec![("c", exited(1))]);
    record.containers.get_mut("c").unwrap().crashes.grow(at(15));
    let step = next_step(&pod, &record, at(20));
    let Step::HoldOff { until, why, .. } = step else { panic!("{step:?}") };
    assert_eq!((until, why), (at(30), HoldOff::Crashed(std::time::Duration::from_secs(10))));
    record.containers.get_mut("c").unwrap().not_before = Some(until);
    assert_eq!(next_step(&pod, &record, at(21)), Step::Wait(Some(at(30))));
    assert_eq!(name(&next_step(&pod, &record, at(30))), "launch c");
}

#[test]
fn a_failed_pull_is_shown_then_held_off_then_tried_again() {
    let pod = pod(one("Always"));
    let mut record = record(vec![]);
    let known = record.containers.entry("c".to_owned()).or_default();
    known.pulls.grow(at(0));
    known.not_before = Some(at(10));
    known.failed_pull = Some("no".to_owned());
    assert_eq!(next_step(&pod, &record, at(0)), Step::Wait(Some(at(1))));
    let step = next_step(&pod, &record, at(1));
    assert!(matches!(step, Step::HoldOff { why: HoldOff::ImagePull, .. }), "{step:?}");
    record.containers.get_mut("c").unwrap().failed_pull = None;
    assert_eq!(next_step(&pod, &record, at(1)), Step::Wait(Some(at(10))));
    assert_eq!(name(&next_step(&pod, &record, at(10))), "launch c");
}

fn report(pod: &Pod, record: &PodRecord) -> PodStatus {
    let now = at(30) + SignedDuration::from_millis(700);
    let reporter = Reporter { runtime: "memory", host_ip: "10.0.0.1".parse().unwrap(), now };
    let old = pod.status.clone().unwrap_or_default();
    let status = reporter.report(pod, record, &old);
    assert_eq!(reporter.report(pod, record, &status), status, "a report settles");
    status
}

#[test]
fn phases_are_kubernetes() {
    let cases = vec![
        ("Always", vec![], "Pending"),
        ("Always", vec![("c", running())], "Running"),
        ("Always", vec![("c", exited(1))], "Running"),
        ("OnFailure", vec![("c", exited(1))], "Running"),
        ("OnFailure", vec![("c", exited(0))], "Succeeded"),
        ("Never", vec![("c", exited(0))], "Succeeded"),
        ("Never", vec![("c", exited(3))], "Failed"),
    ];
    for (policy, containers, phase) in cases {
        assert_eq!(report(&pod(one(policy)), &record(containers)).phase.as_deref(), Some(phase), "{policy}");
    }
    let stopped = record(vec![("c", exited(137))]);
    assert_eq!(report(&deleted(one("Always")), &stopped).phase.as_deref(), Some("Failed"));
    let stopped = record(vec![("c", exited(0))]);
    assert_eq!(report(&deleted(one("Always")), &stopped).phase.as_deref(), Some("Succeeded"));
}

#[test]
fn a_running_pod_reports_everything_kubectl_shows() {
    let status = serde_json::to_value(report(&pod(one("Always")), &record(vec![("c", running())]))).unwrap();
    let condition = |kind: &str| json!({ "type": kind, "status": "True", "lastTransitionTime": "1970-01-01T00:00:30Z", "observedGeneration": 1 });
    assert_eq!(
        status,
        json!({
            "phase": "Running", "hostIP": "10.0.0.1", "hostIPs": [{ "ip": "10.0.0.1" }],
            "podIP": "10.244.0.2", "podIPs": [{ "ip": "10.244.0.2" }],
            "startTime": "1970-01-01T00:00:30Z", "observedGeneration": 1,
            "conditions": [
                condition("PodReadyToStartContainers"), condition("Initialized"), condition("Ready"),
                condition("ContainersReady"), condition("PodScheduled"),
            ],
            "containerStatuses": [{
                "name": "c", "image": "nginx", "imageID": "ref", "containerID": "memory://id", "ready": true,
                "started": true, "restartCount": 0, "lastState": {},
                "state": { "running": { "startedAt": "1970-01-01T00:00:10Z" } },
            }],
        })
    );
}

#[test]
fn a_pod_that_starts_says_what_it_waits_for() {
    let status = report(&pod(with_init()), &record(vec![("i1", running())]));
    let conditions = status.conditions.unwrap();
    let initialized = condition::find(&conditions, "Initialized").unwrap();
    assert_eq!(initialized.message.as_deref(), Some("containers with incomplete status: [i1 s i2]"));
    let ready = condition::find(&conditions, "Ready").unwrap();
    assert_eq!(ready.message.as_deref(), Some("containers with unready status: [c]"));
    let state = status.container_statuses.unwrap().remove(0).state.unwrap();
    assert_eq!(state.waiting.unwrap().reason.as_deref(), Some("PodInitializing"));
}

#[test]
fn a_probes_initial_delay_is_waited_for() {
    let pod = pod(
        json!({ "containers": [{ "name": "c", "image": "nginx", "readinessProbe": { "initialDelaySeconds": 25 } }] }),
    );
    let record = record(vec![("c", running())]);
    assert!(!report(&pod, &record).container_statuses.unwrap()[0].ready);
    assert_eq!(next_step(&pod, &record, at(30)), Step::Wait(Some(at(35))));
    assert_eq!(next_step(&pod, &record, at(35)), Step::Wait(None));
}
