//! The state machine and the status, case by case.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, PodStatus, ResourceRequirements};
use orchestra_core::{
    condition,
    container_runtime::{ContainerId, ContainerState, SandboxId},
};
use serde_json::{Value, json};

use super::{
    ephemeral::ephemeral_containers,
    health::{ProbeKind, Verdict},
    record::{Again, ContainerRecord, Instance, PodRecord, SandboxView},
    status::Reporter,
    step::{HoldOff, Step, next_step},
};
use crate::kubelet::resize::Held;

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
        sandbox: SandboxId("s".into()),
        attempt: 0,
        image: "nginx:latest".into(),
        image_ref: "ref".into(),
        state,
        started_at: Some(at(10)),
        finished_at: ended.then(|| at(20)),
        exit_code: code,
        reason: if ended { "Error".to_owned() } else { String::new() },
        message: String::new(),
        message_read: false,
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
    record.containers.values_mut().for_each(|known| known.again = Some(Again::AtOnce));
    record
}

/// This one has crashed before and just now.
fn crashed_only(name: &str, mut record: PodRecord) -> PodRecord {
    let known = record.containers.get_mut(name).unwrap();
    known.crashes.grow(at(20));
    known.current = Some(exited(1));
    record
}

/// All of it was in a sandbox before the present one.
fn elsewhere(mut record: PodRecord) -> PodRecord {
    record.sandbox.as_mut().unwrap().id = SandboxId("s2".into());
    record
}

fn two(policy: &str) -> Value {
    json!({
        "restartPolicy": policy,
        "containers": [{ "name": "c", "image": "nginx" }, { "name": "d", "image": "nginx" }],
    })
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
        Step::Kill { container, grace, unhealthy } => {
            format!("kill {} in {} for {}", container.name, grace.as_secs(), unhealthy.name())
        }
        Step::Expire => "expire".to_owned(),
        Step::StopSandbox => "stop sandbox".to_owned(),
        Step::Finish => "finish".to_owned(),
        Step::Resize(container) => format!("resize {}", container.name),
        Step::RestartForResize { container, .. } => format!("restart {}", container.name),
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
            record(vec![("s", running()), ("c", running())]),
            "stop c,s in 7",
        ),
        (
            "a sidecar fails beside what runs",
            pod(with_init()),
            crashed_only("s", record(vec![("s", running()), ("c", running())])),
            "hold off s",
        ),
        (
            "init again in a new sandbox",
            pod(with_init()),
            elsewhere(record(vec![("i1", exited(0)), ("s", exited(137)), ("i2", exited(0)), ("c", exited(137))])),
            "launch i1",
        ),
        (
            "what succeeded stays so in a new sandbox",
            pod(two("OnFailure")),
            elsewhere(record(vec![("c", exited(0)), ("d", exited(1))])),
            "launch d",
        ),
        ("deleted, all stopped", deleted(one("Always")), record(vec![("c", exited(0))]), "stop sandbox"),
        ("deleted, sandbox stopped", deleted(one("Always")), stopped(record(vec![("c", exited(0))])), "finish"),
        ("deleted before it began", deleted(one("Always")), PodRecord::default(), "finish"),
    ];
    for (case, pod, record, expected) in cases {
        assert_eq!(name(&next_step(&pod, &[], &record, at(20))), expected, "{case}");
    }
}

#[test]
fn a_failed_init_container_ends_a_pod_that_never_restarts() {
    let spec = json!({ "restartPolicy": "Never", "containers": [{ "name": "c", "image": "nginx" }], "initContainers": [{ "name": "i" }] });
    let pod = pod(spec);
    let record = record(vec![("i", exited(1))]);
    assert_eq!(next_step(&pod, &[], &record, at(20)), Step::StopSandbox);
    assert_eq!(report(&pod, &record).phase.as_deref(), Some("Failed"));
}

#[test]
fn a_rejected_or_ended_pod_is_left_alone() {
    let mut rejected = PodRecord { failed: Some(("OutOfcpu".into(), "m".into())), ..PodRecord::default() };
    assert_eq!(next_step(&pod(one("Always")), &[], &rejected, at(0)), Step::Wait(None));
    let status = report(&pod(one("Always")), &rejected);
    assert_eq!((status.phase.as_deref(), status.reason.as_deref()), (Some("Failed"), Some("OutOfcpu")));
    rejected.failed = None;
    let mut ended = pod(one("Always"));
    ended.status = Some(PodStatus { phase: Some("Failed".into()), ..PodStatus::default() });
    assert_eq!(next_step(&ended, &[], &rejected, at(0)), Step::Wait(None));
}

#[test]
fn a_second_crash_is_held_off_and_then_launched() {
    let pod = pod(one("Always"));
    let mut record = record(vec![("c", exited(1))]);
    record.containers.get_mut("c").unwrap().crashes.grow(at(15));
    let step = next_step(&pod, &[], &record, at(20));
    let Step::HoldOff { until, why, .. } = step else { panic!("{step:?}") };
    assert_eq!((until, why), (at(30), HoldOff::Crashed(std::time::Duration::from_secs(10))));
    record.containers.get_mut("c").unwrap().not_before = Some(until);
    assert_eq!(next_step(&pod, &[], &record, at(21)), Step::Wait(Some(at(30))));
    assert_eq!(name(&next_step(&pod, &[], &record, at(30))), "launch c");
}

#[test]
fn a_failed_pull_is_shown_then_held_off_then_tried_again() {
    let pod = pod(one("Always"));
    let mut record = record(vec![]);
    let known = record.containers.entry("c".to_owned()).or_default();
    known.pulls.grow(at(0));
    known.not_before = Some(at(10));
    known.failed_pull = Some("no".to_owned());
    assert_eq!(next_step(&pod, &[], &record, at(0)), Step::Wait(Some(at(1))));
    let step = next_step(&pod, &[], &record, at(1));
    assert!(matches!(step, Step::HoldOff { why: HoldOff::ImagePull, .. }), "{step:?}");
    record.containers.get_mut("c").unwrap().failed_pull = None;
    assert_eq!(next_step(&pod, &[], &record, at(1)), Step::Wait(Some(at(10))));
    assert_eq!(name(&next_step(&pod, &[], &record, at(10))), "launch c");
}

fn report(pod: &Pod, record: &PodRecord) -> PodStatus {
    let now = at(30) + SignedDuration::from_millis(700);
    let reporter = Reporter { runtime: "memory", host_ip: "10.0.0.1".parse().unwrap(), now };
    let old = pod.status.clone().unwrap_or_default();
    let status = reporter.report(pod, record, &old).into_owned();
    // So is what came back of it from a server, which keeps no empty states.
    let mut kept = status.clone();
    for container in kept.container_statuses.iter_mut().flatten() {
        container.last_state.take_if(|last| *last == Default::default());
    }
    for told in [&status, &kept] {
        assert!(matches!(reporter.report(pod, record, told), Cow::Borrowed(_)), "what is told is not copied: {told:?}");
    }
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
    assert_eq!(ready.message.as_deref(), Some("containers with unready status: [s c]"));
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
    assert_eq!(next_step(&pod, &[], &record, at(30)), Step::Wait(Some(at(35))));
    assert_eq!(next_step(&pod, &[], &record, at(35)), Step::Wait(None));
}

/// A container of a runtime that does not know by itself who can serve.
fn probed(probes: &Value) -> (Pod, PodRecord) {
    let mut container = json!({ "name": "c", "image": "nginx" });
    container.as_object_mut().unwrap().extend(probes.as_object().unwrap().clone());
    let pod = pod(json!({ "containers": [container], "terminationGracePeriodSeconds": 30 }));
    (pod, record(vec![("c", Instance { ready: None, ..running() })]))
}

fn note(record: &mut PodRecord, kind: ProbeKind, verdict: Verdict) {
    record.containers.get_mut("c").unwrap().note(&ContainerId("id".into()), kind, verdict);
}

/// Whether the container has started and is ready, and which probes run.
fn health(pod: &Pod, record: &PodRecord) -> (bool, bool, Vec<&'static str>) {
    let status = report(pod, record).container_statuses.unwrap().remove(0);
    let container = &pod.spec.as_ref().unwrap().containers[0];
    let known = record.container("c").unwrap();
    let run = ProbeKind::ALL.into_iter().filter(|kind| known.probe_from(*kind, container).is_some());
    (status.started.unwrap(), status.ready, run.map(ProbeKind::name).collect())
}

#[test]
fn liveness_and_readiness_wait_for_startup() {
    let check = json!({ "exec": { "command": ["x"] } });
    let all = json!({ "startupProbe": check, "livenessProbe": check, "readinessProbe": check });
    let (pod, mut record) = probed(&all);
    assert_eq!(health(&pod, &record), (false, false, vec!["startup"]));
    note(&mut record, ProbeKind::Startup, Verdict::Success);
    assert_eq!(health(&pod, &record), (true, false, vec!["liveness", "readiness"]));
    note(&mut record, ProbeKind::Readiness, Verdict::Success);
    assert_eq!(health(&pod, &record), (true, true, vec!["liveness", "readiness"]));
    // What was said of another container says nothing of this one.
    record.containers.get_mut("c").unwrap().current.as_mut().unwrap().id = ContainerId("other".into());
    assert_eq!(health(&pod, &record), (false, false, vec!["startup"]));
}

#[test]
fn without_probes_what_runs_is_ready() {
    let (pod, record) = probed(&json!({}));
    assert_eq!(health(&pod, &record), (true, true, vec![]));
}

#[test]
fn a_runtime_that_knows_stands_in_for_probes_that_cannot_be_run() {
    let network = json!({ "tcpSocket": { "port": 80 } });
    let (pod, mut record) = probed(&json!({ "startupProbe": network, "readinessProbe": network }));
    record.containers.get_mut("c").unwrap().current.as_mut().unwrap().ready = Some(true);
    assert_eq!(health(&pod, &record), (true, true, vec![]));
    let (pod, mut record) = probed(&json!({ "readinessProbe": { "exec": { "command": ["x"] } } }));
    record.containers.get_mut("c").unwrap().current.as_mut().unwrap().ready = Some(true);
    assert_eq!(health(&pod, &record), (true, false, vec!["readiness"]));
    note(&mut record, ProbeKind::Readiness, Verdict::CannotExec);
    assert_eq!(health(&pod, &record), (true, true, vec![]));
}

#[test]
fn the_unhealthy_are_killed_with_the_grace_of_their_probe() {
    let check = |grace: Value| json!({ "exec": { "command": ["x"] }, "terminationGracePeriodSeconds": grace });
    let (pod, mut record) = probed(&json!({ "startupProbe": check(json!(3)), "livenessProbe": check(Value::Null) }));
    let mut failed = record;
    note(&mut failed, ProbeKind::Startup, Verdict::Failure);
    assert_eq!(name(&next_step(&pod, &[], &failed, at(20))), "kill c in 3 for startup");
    (_, record) = probed(&json!({}));
    note(&mut record, ProbeKind::Startup, Verdict::Success);
    note(&mut record, ProbeKind::Liveness, Verdict::Failure);
    assert_eq!(name(&next_step(&pod, &[], &record, at(20))), "kill c in 30 for liveness");
}

#[test]
fn what_was_killed_for_its_health_waits_from_the_end_of_the_one_before() {
    let (pod, mut record) = probed(&json!({}));
    let known = record.containers.get_mut("c").unwrap();
    known.current = Some(exited(0));
    known.again = Some(Again::WithBackOff);
    known.crashes.grow(at(15));
    assert_eq!(name(&next_step(&pod, &[], &record, at(20))), "launch c");
    record.containers.get_mut("c").unwrap().last = Some(exited(1));
    assert_eq!(name(&next_step(&pod, &[], &record, at(21))), "hold off c");
}

#[test]
fn an_ephemeral_container_starts_once_and_ends_with_its_pod() {
    let mut spec = one("Always");
    spec["ephemeralContainers"] = json!([{ "name": "e", "image": "busybox", "targetContainerName": "c" }]);
    let (live, gone) = (pod(spec.clone()), deleted(spec));
    let ephemeral = ephemeral_containers(&live);
    let step = |pod: &Pod, record: &PodRecord| name(&next_step(pod, &ephemeral, record, at(20)));
    let beside = |e: Instance| record(vec![("c", running()), ("e", Instance { image: "busybox:latest".into(), ..e })]);
    assert_eq!(step(&live, &record(vec![("c", running())])), "launch e");
    assert_eq!(step(&live, &beside(exited(1))), "wait");
    assert_eq!(step(&gone, &beside(running())), "stop c,e in 7");
    let status = report(&live, &beside(exited(1)));
    let status = &status.ephemeral_container_statuses.unwrap()[0];
    assert_eq!((status.ready, status.started, status.restart_count), (false, None, 0));
    assert_eq!(status.state.as_ref().unwrap().terminated.as_ref().unwrap().exit_code, 1);
}

#[test]
fn a_pod_is_active_for_as_long_as_it_may_be() {
    let mut spec = one("Always");
    spec["activeDeadlineSeconds"] = json!(60);
    let mut pod = pod(spec);
    let start = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(10));
    pod.status = Some(PodStatus { start_time: Some(start), ..PodStatus::default() });
    let mut record = record(vec![("c", running())]);
    assert_eq!(next_step(&pod, &[], &record, at(69)), Step::Wait(Some(at(70))));
    assert_eq!(next_step(&pod, &[], &record, at(70)), Step::Expire);
    record.failed = Some(("DeadlineExceeded".to_owned(), "m".to_owned()));
    assert_eq!(name(&next_step(&pod, &[], &record, at(70))), "stop c in 30");
    assert_eq!(report(&pod, &record).phase.as_deref(), Some("Running"));
    record.containers.get_mut("c").unwrap().current = Some(exited(137));
    let status = report(&pod, &record);
    assert_eq!((status.phase.as_deref(), status.reason.as_deref()), (Some("Failed"), Some("DeadlineExceeded")));
    assert_eq!(status.container_statuses.unwrap().len(), 1);
}

#[test]
fn a_containers_own_rules_say_whether_it_restarts() {
    let rules = json!([{ "action": "Restart", "exitCodes": { "operator": "In", "values": [42] } }]);
    let spec = json!({ "restartPolicy": "Always", "containers": [
        { "name": "c", "image": "nginx", "restartPolicy": "Never", "restartPolicyRules": rules },
    ] });
    assert_eq!(name(&next_step(&pod(spec.clone()), &[], &record(vec![("c", exited(42))]), at(20))), "launch c");
    let ended = record(vec![("c", exited(1))]);
    assert_eq!(next_step(&pod(spec.clone()), &[], &ended, at(20)), Step::StopSandbox);
    assert_eq!(report(&pod(spec), &ended).phase.as_deref(), Some("Failed"));
}

#[test]
fn a_resize_that_failed_is_tried_again_of_sidecars_too() {
    let pod = pod(json!({
        "containers": [{ "name": "c", "image": "nginx", "resources": { "limits": { "cpu": "2" } } }],
        "initContainers": [{
            "name": "s", "image": "nginx", "restartPolicy": "Always", "resources": { "limits": { "cpu": "2" } },
        }],
    }));
    for of in ["c", "s"] {
        let mut record = record(vec![("s", running()), ("c", running())]);
        let failed = Some(("no".to_owned(), at(40)));
        record.resizing.insert(of.to_owned(), Held { amounts: ResourceRequirements::default(), failed });
        assert_eq!(next_step(&pod, &[], &record, at(30)), Step::Wait(Some(at(40))), "{of}");
        assert_eq!(name(&next_step(&pod, &[], &record, at(40))), format!("resize {of}"));
    }
}
