//! What the driver measures, under kube-scheduler's names. It goes to the recorder of the crate [`metrics`] that is installed when the
//! driver starts; without one it costs next to nothing.

use std::{collections::BTreeMap, sync::OnceLock, time::Duration};

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use tokio::time::Instant;

use crate::{cache::ClusterCache, queue::SchedulingQueue};

/// So many attempts and more count as one number.
const MOST_ATTEMPTS: usize = 15;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    Scheduled,
    Unschedulable,
    Error,
}

impl Outcome {
    const ALL: [Self; 3] = [Self::Scheduled, Self::Unschedulable, Self::Error];

    fn label(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Unschedulable => "unschedulable",
            Self::Error => "error",
        }
    }
}

/// Queue and cache.
pub(super) struct StateMetrics {
    active: Gauge,
    backoff: Gauge,
    unschedulable: Gauge,
    gated: Gauge,
    nodes: Gauge,
    pods: Gauge,
    assumed_pods: Gauge,
}

impl StateMetrics {
    pub(super) fn new() -> Self {
        describe_gauge!("scheduler_pending_pods", "Number of pending pods, by the queue type.");
        describe_gauge!("scheduler_cache_size", "Number of nodes, pods, and assumed pods in the scheduler cache.");
        let pending = |queue: &'static str| gauge!("scheduler_pending_pods", "queue" => queue);
        let cached = |kind: &'static str| gauge!("scheduler_cache_size", "type" => kind);
        Self {
            active: pending("active"),
            backoff: pending("backoff"),
            unschedulable: pending("unschedulable"),
            gated: pending("gated"),
            nodes: cached("nodes"),
            pods: cached("pods"),
            assumed_pods: cached("assumed_pods"),
        }
    }

    pub(super) fn observe(&self, queue: &SchedulingQueue, cache: &ClusterCache) {
        let (lengths, sizes) = (queue.lengths(), cache.sizes());
        for (gauge, value) in [
            (&self.active, lengths.active),
            (&self.backoff, lengths.backing_off),
            (&self.unschedulable, lengths.unschedulable),
            (&self.gated, lengths.gated),
            (&self.nodes, sizes.nodes),
            (&self.pods, sizes.pods),
            (&self.assumed_pods, sizes.assumed_pods),
        ] {
            gauge.set(value as f64);
        }
    }
}

/// Attempts, by scheduler name.
pub(super) struct AttemptMetrics {
    by_profile: BTreeMap<String, BTreeMap<Outcome, (Counter, Histogram)>>,
    algorithm: Histogram,
    attempts: Histogram,
    /// By how many attempts there were, 15 and more together.
    since_first: [OnceLock<Histogram>; MOST_ATTEMPTS],
    permitted: Histogram,
    not_permitted: Histogram,
    preemptions: Counter,
    victims: Histogram,
}

impl AttemptMetrics {
    pub(super) fn new<'a>(profiles: impl Iterator<Item = &'a String>) -> Self {
        describe();
        let of_profile = |profile: &String| {
            let of_outcome = |outcome: Outcome| {
                let (result, profile) = (outcome.label(), profile.clone());
                let count =
                    counter!("scheduler_schedule_attempts_total", "result" => result, "profile" => profile.clone());
                let duration = histogram!("scheduler_scheduling_attempt_duration_seconds",
                    "result" => result, "profile" => profile);
                (outcome, (count, duration))
            };
            (profile.clone(), Outcome::ALL.into_iter().map(of_outcome).collect())
        };
        Self {
            by_profile: profiles.map(of_profile).collect(),
            algorithm: histogram!("scheduler_scheduling_algorithm_duration_seconds"),
            attempts: histogram!("scheduler_pod_scheduling_attempts"),
            since_first: [const { OnceLock::new() }; MOST_ATTEMPTS],
            permitted: histogram!("scheduler_permit_wait_duration_seconds", "result" => "Success"),
            not_permitted: histogram!("scheduler_permit_wait_duration_seconds", "result" => "Unschedulable"),
            preemptions: counter!("scheduler_preemption_attempts_total"),
            victims: histogram!("scheduler_preemption_victims"),
        }
    }

    /// A decision took so long.
    pub(super) fn decided(&self, took: Duration) {
        self.algorithm.record(took);
    }

    /// An attempt that began then is over.
    pub(super) fn ended(&self, profile: &str, outcome: Outcome, began: Instant) {
        if let Some((count, duration)) = self.by_profile.get(profile).and_then(|outcomes| outcomes.get(&outcome)) {
            count.increment(1);
            duration.record(began.elapsed());
        }
    }

    /// A pod was bound at its so manyeth attempt, the first of which began then.
    pub(super) fn bound(&self, attempts: u32, first: Instant) {
        self.attempts.record(attempts);
        let index = usize::try_from(attempts).unwrap_or(MOST_ATTEMPTS).clamp(1, MOST_ATTEMPTS) - 1;
        let Some(cell) = self.since_first.get(index) else { return };
        let label = || if index + 1 < MOST_ATTEMPTS { (index + 1).to_string() } else { format!("{MOST_ATTEMPTS}+") };
        let name = "scheduler_pod_scheduling_sli_duration_seconds";
        cell.get_or_init(|| histogram!(name, "attempts" => label())).record(first.elapsed());
    }

    /// A pod waited since then for a permission, and got it or did not.
    pub(super) fn waited(&self, since: Instant, permitted: bool) {
        let histogram = if permitted { &self.permitted } else { &self.not_permitted };
        histogram.record(since.elapsed());
    }

    /// Room was looked for; where it was found, so many pods have to go.
    pub(super) fn preempted(&self, victims: Option<usize>) {
        self.preemptions.increment(1);
        if let Some(victims) = victims {
            self.victims.record(victims as f64);
        }
    }
}

fn describe() {
    describe_counter!(
        "scheduler_schedule_attempts_total",
        "Number of attempts to schedule pods, by the result. 'unschedulable' means a pod could not be scheduled, while 'error' means an \
         internal scheduler problem."
    );
    describe_histogram!(
        "scheduler_scheduling_attempt_duration_seconds",
        Unit::Seconds,
        "Scheduling attempt latency in seconds (scheduling algorithm + binding)"
    );
    describe_histogram!(
        "scheduler_scheduling_algorithm_duration_seconds",
        Unit::Seconds,
        "Scheduling algorithm latency in seconds"
    );
    describe_histogram!(
        "scheduler_pod_scheduling_sli_duration_seconds",
        Unit::Seconds,
        "E2e latency for a pod being scheduled, from the time its first attempt begins, which may involve multiple attempts."
    );
    describe_histogram!("scheduler_permit_wait_duration_seconds", Unit::Seconds, "Duration of waiting on permit.");
    describe_histogram!("scheduler_pod_scheduling_attempts", "Number of attempts to successfully schedule a pod.");
    describe_counter!("scheduler_preemption_attempts_total", "Total preemption attempts in the cluster till now");
    describe_histogram!("scheduler_preemption_victims", "Number of selected preemption victims");
}
