//! The conformance suite lets Kubernetes' scheduler pass, and finds broken ones.

use std::sync::atomic::{AtomicUsize, Ordering};

use orchestra_core::scheduler::{
    ClusterEvent, Diagnosis, EventKind, Placement, PodInfo, ScheduleError, Scheduler, Snapshot,
};
use orchestra_sched::{
    framework::Framework,
    testing::{Conformance, Rule},
};

type Answer = Result<Placement, ScheduleError>;

#[test]
fn kubernetes_conforms() {
    Conformance::new().assert(&Framework::kubernetes());
}

#[test]
fn a_profile_that_lacks_a_plugin_is_found() {
    for (plugin, rule) in [
        ("NodeResourcesFit", Rule::Resources),
        ("NodeUnschedulable", Rule::Cordon),
        ("TaintToleration", Rule::Taints),
        ("NodeAffinity", Rule::NodeAffinity),
        ("NodePorts", Rule::Ports),
        ("PodTopologySpread", Rule::Spread),
        ("InterPodAffinity", Rule::PodAffinity),
    ] {
        let scheduler = Framework::builder().default_plugins().without(plugin).build();
        let violation = Conformance::new().check(&scheduler).unwrap_err();
        assert_eq!(violation.rule(), rule, "without {plugin}: {violation}");
        Conformance::new().cases(50).without(rule).assert(&scheduler);
    }
}

/// Kubernetes' scheduler, but for what a function makes of its answers.
struct Changed<F>(Framework, F);

impl<F: Fn(&Snapshot, u64, Answer) -> Answer + Send + Sync + 'static> Scheduler for Changed<F> {
    fn schedule(&self, pod: &PodInfo, snapshot: &Snapshot, seed: u64) -> Answer {
        self.1(snapshot, seed, self.0.schedule(pod, snapshot, seed))
    }

    fn concerns(&self, plugin: &str, kind: EventKind) -> bool {
        self.0.concerns(plugin, kind)
    }

    fn may_help(&self, plugin: &str, event: &ClusterEvent, pod: &PodInfo) -> bool {
        self.0.may_help(plugin, event, pod)
    }
}

#[track_caller]
fn found(rule: Rule, change: impl Fn(&Snapshot, u64, Answer) -> Answer + Send + Sync + 'static) -> String {
    let violation = Conformance::new().check(&Changed(Framework::kubernetes(), change)).unwrap_err();
    assert_eq!(violation.rule(), rule, "{violation}");
    violation.to_string()
}

#[test]
fn a_node_that_is_made_up_is_found() {
    let text = found(Rule::KnownNode, |_, _, answer| answer.map(|_| Placement::on("made-up")));
    assert!(text.contains("was sent to \"made-up\", which is not there\n\nNODE "), "{text}");
}

#[test]
fn a_scheduler_that_gives_up_is_found() {
    let give_up = |snapshot: &Snapshot, _, answer: Answer| match answer {
        Ok(_) => Err(Diagnosis::new(snapshot.len()).into()),
        Err(error) => Err(error),
    };
    found(Rule::FindsRoom, give_up);
}

#[test]
fn missing_reasons_are_found() {
    let forget = |snapshot: &Snapshot, _, answer: Answer| answer.map_err(|_| Diagnosis::new(snapshot.len()).into());
    found(Rule::Reasons, forget);
}

#[test]
fn moods_are_found() {
    let mood = AtomicUsize::new(0);
    found(Rule::Deterministic, move |_, _, answer| {
        let is_good = mood.fetch_add(1, Ordering::Relaxed).is_multiple_of(3);
        answer.map(|placement| if is_good { Placement::on(placement.node) } else { placement.found(0, 0, 7) })
    });
}

#[test]
fn failures_and_panics_are_found() {
    found(Rule::Answers, |_, _, _| Err(ScheduleError::Internal("out of order".to_owned())));
    found(Rule::Answers, |_, _, _| panic!("out of luck"));
}

/// Kubernetes' scheduler, but that nothing is ever worth another attempt.
struct Deaf(Framework);

impl Scheduler for Deaf {
    fn schedule(&self, pod: &PodInfo, snapshot: &Snapshot, seed: u64) -> Answer {
        self.0.schedule(pod, snapshot, seed)
    }

    fn may_help(&self, _: &str, event: &ClusterEvent, _: &PodInfo) -> bool {
        !matches!(event, ClusterEvent::PodReleased(_))
    }
}

#[test]
fn a_scheduler_that_lets_pods_starve_is_found() {
    let violation = Conformance::new().check(&Deaf(Framework::kubernetes())).unwrap_err();
    assert_eq!(violation.rule(), Rule::Wakes);
    assert!(violation.to_string().contains("would be placed after PodReleased, but nobody who rejected it says"));
}

#[test]
fn a_violation_is_shown_with_a_small_cluster() {
    let scheduler = Framework::builder().default_plugins().without("TaintToleration").build();
    let violation = Conformance::new().check(&scheduler).unwrap_err();
    let text = violation.to_string();
    assert!(
        text.starts_with("the scheduler breaks the rule Taints: pod default/p0 was sent to n0, whose taint "),
        "{text}"
    );
    assert!(text.contains("\nn0     0/"), "{text}");
    assert!(!text.contains("\nn4 "), "few nodes are enough: {text}");
    assert!(text.contains("\nThe pod's spec, with seed 0: {"), "{text}");
}
