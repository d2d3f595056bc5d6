//! What the plugins of a profile cost, under kube-scheduler's names.

use std::sync::OnceLock;

use metrics::{Histogram, Unit, describe_histogram, histogram};
use orchestra_core::scheduler::{Permission, Rejection};
use tokio::time::Instant;

use super::{ExtensionPoint, PostFilterOutcome, PreFilterOutcome};

const OF_POINTS: &str = "scheduler_framework_extension_point_duration_seconds";
const OF_PLUGINS: &str = "scheduler_plugin_execution_duration_seconds";
/// In one of so many decisions the plugins are timed one by one, as in Kubernetes.
const SAMPLE: u64 = 10;

/// How it ended, in Kubernetes' codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Success,
    Error,
    Unschedulable,
    UnschedulableAndUnresolvable,
    Wait,
    Skip,
}

impl Status {
    const COUNT: usize = 6;

    fn label(self) -> &'static str {
        match self {
            Self::Success => "Success",
            Self::Error => "Error",
            Self::Unschedulable => "Unschedulable",
            Self::UnschedulableAndUnresolvable => "UnschedulableAndUnresolvable",
            Self::Wait => "Wait",
            Self::Skip => "Skip",
        }
    }

    pub(super) fn of<T, E>(result: &Result<T, E>) -> Self {
        if result.is_ok() { Self::Success } else { Self::Error }
    }
}

impl From<&Rejection> for Status {
    fn from(rejection: &Rejection) -> Self {
        match rejection {
            failure if failure.is_failure() => Self::Error,
            rejection if rejection.is_resolvable() => Self::Unschedulable,
            _ => Self::UnschedulableAndUnresolvable,
        }
    }
}

impl From<&PreFilterOutcome> for Status {
    fn from(outcome: &PreFilterOutcome) -> Self {
        match outcome {
            PreFilterOutcome::Continue | PreFilterOutcome::Only(_) => Self::Success,
            PreFilterOutcome::Skip => Self::Skip,
            PreFilterOutcome::Reject(rejection) => rejection.into(),
            PreFilterOutcome::Fail(_) => Self::Error,
        }
    }
}

impl From<&PostFilterOutcome> for Status {
    fn from(outcome: &PostFilterOutcome) -> Self {
        match outcome {
            PostFilterOutcome::Nominated(_) => Self::Success,
            PostFilterOutcome::Unhelpful(_) | PostFilterOutcome::Hopeless(_) | PostFilterOutcome::Deallocates(..) => {
                Self::Unschedulable
            }
            PostFilterOutcome::Failed(_) => Self::Error,
        }
    }
}

impl From<&Permission> for Status {
    fn from(permission: &Permission) -> Self {
        match permission {
            Permission::Granted => Self::Success,
            Permission::Pending(_) => Self::Wait,
            Permission::Denied(rejection) => rejection.into(),
            Permission::Failed(_) => Self::Error,
        }
    }
}

/// Where the measurements of a profile go.
pub(super) struct Measures {
    profile: String,
    /// Made when they are needed: most points end in one way.
    durations: [[OnceLock<Histogram>; Status::COUNT]; ExtensionPoint::ALL.len()],
}

impl Measures {
    pub(super) fn of(profile: String) -> Self {
        describe_histogram!(OF_POINTS, Unit::Seconds, "Latency for running all plugins of a specific extension point.");
        describe_histogram!(OF_PLUGINS, Unit::Seconds, "Duration for running a plugin at a specific extension point.");
        let durations = [const { [const { OnceLock::new() }; Status::COUNT] }; ExtensionPoint::ALL.len()];
        Self { profile, durations }
    }

    fn at(&self, point: ExtensionPoint, status: Status) -> Option<&Histogram> {
        let cell = self.durations.get(point as usize)?.get(status as usize)?;
        Some(cell.get_or_init(|| {
            let profile = self.profile.clone();
            histogram!(OF_POINTS, "extension_point" => label(point), "status" => status.label(), "profile" => profile)
        }))
    }
}

fn label(point: ExtensionPoint) -> String {
    point.to_string()
}

/// Times what happens to one pod, point by point; without [`Measures`] it does not even look at the clock.
pub(super) struct Stopwatch<'a> {
    measures: Option<&'a Measures>,
    began: Option<Instant>,
    times_plugins: bool,
}

impl<'a> Stopwatch<'a> {
    /// Begins to time a decision. The seed says whether it is one in which plugins are timed, too.
    pub(super) fn of_decision(measures: Option<&'a Measures>, seed: u64) -> Self {
        Self { times_plugins: measures.is_some() && seed.is_multiple_of(SAMPLE), ..Self::start(measures) }
    }

    pub(super) fn start(measures: Option<&'a Measures>) -> Self {
        Self { measures, began: measures.map(|_| Instant::now()), times_plugins: false }
    }

    /// The plugins of `point` are done, and what comes next begins.
    pub(super) fn lap(&mut self, point: ExtensionPoint, status: impl Into<Status>) {
        if let (Some(measures), Some(began)) = (self.measures, self.began) {
            let now = Instant::now();
            if let Some(histogram) = measures.at(point, status.into()) {
                histogram.record(now.duration_since(began));
            }
            self.began = Some(now);
        }
    }

    /// What happened since the last lap is no plugin's.
    pub(super) fn restart(&mut self) {
        self.began = self.measures.map(|_| Instant::now());
    }

    /// Whether this is one of the decisions in which plugins are timed one by one.
    pub(super) fn times_plugins(&self) -> bool {
        self.times_plugins
    }

    /// Calls a plugin, and times that if plugins are timed.
    pub(super) fn plugin<T>(
        &self,
        plugin: &'static str,
        point: ExtensionPoint,
        call: impl FnOnce() -> T,
        status: impl FnOnce(&T) -> Status,
    ) -> T {
        if !self.times_plugins {
            return call();
        }
        let began = Instant::now();
        let outcome = call();
        let took = began.elapsed();
        let status = status(&outcome).label();
        histogram!(OF_PLUGINS, "plugin" => plugin, "extension_point" => label(point), "status" => status).record(took);
        outcome
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;
    use orchestra_core::scheduler::{Scheduler, Snapshot};

    use super::super::Framework;
    use crate::testing::{node, pod};

    /// What is recorded of so many decisions.
    fn recorded(framework: &Framework, decisions: u64) -> String {
        let snapshot: Snapshot = [node("n1").cpu(1).info(), node("n2").cpu(1).info()].into_iter().collect();
        let recorder = PrometheusBuilder::new().build_recorder();
        let rendered = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            for seed in 0..decisions {
                drop(framework.schedule(&pod("fits").cpu("500m").info(), &snapshot, seed));
                drop(framework.schedule(&pod("large").cpu(2).info(), &snapshot, seed));
            }
        });
        rendered.render()
    }

    fn count(text: &str, series: &str) -> Option<u64> {
        text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    }

    #[test]
    fn points_are_timed_in_every_decision_and_plugins_in_one_of_ten() {
        let framework = Framework::builder().default_plugins().measured("mine").build();
        let text = recorded(&framework, 20);
        let points = |point: &str, status: &str| {
            let labels = format!("{{extension_point=\"{point}\",status=\"{status}\",profile=\"mine\"}}");
            count(&text, &format!("scheduler_framework_extension_point_duration_seconds_count{labels}"))
        };
        for (point, expected) in [("PreFilter", 40), ("Filter", 40), ("PreScore", 20), ("Score", 20), ("Reserve", 20)] {
            assert_eq!(points(point, "Success"), Some(expected), "{point} in\n{text}");
        }
        assert_eq!(points("PostFilter", "Unschedulable"), Some(20), "{text}");
        let plugins = |plugin: &str, point: &str, status: &str| {
            let labels = format!("{{plugin=\"{plugin}\",extension_point=\"{point}\",status=\"{status}\"}}");
            count(&text, &format!("scheduler_plugin_execution_duration_seconds_count{labels}"))
        };
        assert_eq!(plugins("NodeResourcesFit", "Filter", "Success"), Some(2), "{text}");
        assert_eq!(plugins("NodeResourcesFit", "Filter", "UnschedulableAndUnresolvable"), Some(2), "{text}");
        assert_eq!(plugins("NodeResourcesFit", "Score", "Success"), Some(2), "{text}");
        assert_eq!(plugins("NodeName", "PreFilter", "Skip"), Some(4), "{text}");
        assert_eq!(plugins("DefaultPreemption", "PostFilter", "Unschedulable"), Some(2), "{text}");
    }

    #[test]
    fn a_profile_that_is_not_measured_records_nothing() {
        assert_eq!(recorded(&Framework::kubernetes(), 20), "");
    }
}
