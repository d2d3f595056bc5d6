use std::{fmt, time::Duration};

use orchestra_core::scheduler::{Resources, Snapshot};
use serde::Serialize;

use crate::explain::table;

/// What became of the pods of a simulation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Outcome {
    /// What the scheduler was called.
    pub scheduler: String,
    /// How many pods arrived.
    pub pods: usize,
    /// How long pods waited for their (first) node, shortest first.
    pub waits: Vec<Duration>,
    /// How many pods still waited at the end.
    pub still_waiting: usize,
    /// How many times a node was looked for.
    pub attempts: usize,
    /// How many of these failed: the scheduler panicked, or chose a node that is not there.
    pub failures: usize,
    /// How many times pods had to go for others.
    pub preempted: usize,
    /// The cluster from time to time.
    pub samples: Vec<Sample>,
}

/// What a simulation counts while it runs.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) pods: usize,
    pub(super) waits: Vec<Duration>,
    pub(super) still_waiting: usize,
    pub(super) attempts: usize,
    pub(super) failures: usize,
    pub(super) preempted: usize,
}

/// The cluster at a moment. Shares are from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Sample {
    /// When, after the start.
    pub at: Duration,
    /// The share of all nodes' CPU that is reserved.
    pub cpu: f64,
    /// The share of all nodes' memory that is reserved.
    pub memory: f64,
    /// The share of the room for the largest pod of the trace (by CPU) that there would be if everything free were on one node, but is not.
    pub fragmentation: f64,
    /// How many nodes have pods.
    pub used_nodes: usize,
    /// How many pods have a node.
    pub running: usize,
    /// How many pods wait for one.
    pub waiting: usize,
}

impl Sample {
    /// Of the start; the caller says when it is of.
    pub(super) fn of(snapshot: &Snapshot, waiting: usize, fragmentation: f64) -> Self {
        let (mut all, mut used) = (Resources::default(), Resources::default());
        let mut used_nodes = 0;
        for node in snapshot.iter() {
            all.add(node.allocatable());
            used.add(node.requested());
            used_nodes += usize::from(!node.pods().is_empty());
        }
        Self {
            at: Duration::ZERO,
            cpu: share(used.milli_cpu, all.milli_cpu),
            memory: share(used.memory, all.memory),
            fragmentation,
            used_nodes,
            running: usize::try_from(used.pods).unwrap_or(0),
            waiting,
        }
    }
}

fn share(part: i64, all: i64) -> f64 {
    if all == 0 { 0.0 } else { part as f64 / all as f64 }
}

impl Outcome {
    pub(super) fn new(scheduler: String, counts: Counts, samples: Vec<Sample>) -> Self {
        let Counts { pods, mut waits, still_waiting, attempts, failures, preempted } = counts;
        waits.sort_unstable();
        Self { scheduler, pods, waits, still_waiting, attempts, failures, preempted, samples }
    }

    /// How long that share of the pods that got a node waited at most: `wait(0.99)`. Zero if no pod got one.
    pub fn wait(&self, share: f64) -> Duration {
        let index = (share.clamp(0.0, 1.0) * self.waits.len() as f64).ceil() as usize;
        self.waits.get(index.saturating_sub(1)).copied().unwrap_or_default()
    }

    /// The mean of what samples have.
    pub fn mean(&self, of: impl Fn(&Sample) -> f64) -> f64 {
        match self.samples.len() {
            0 => 0.0,
            count => self.samples.iter().map(of).sum::<f64>() / count as f64,
        }
    }

    /// The highest of what samples have.
    pub fn most(&self, of: impl Fn(&Sample) -> f64) -> f64 {
        self.samples.iter().map(of).fold(0.0, f64::max)
    }
}

/// Outcomes side by side. Its text is a table with a column for each.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The outcomes.
    pub outcomes: Vec<Outcome>,
}

impl Comparison {
    /// These outcomes.
    pub fn of(outcomes: Vec<Outcome>) -> Self {
        Self { outcomes }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |label: &str, cell: &dyn Fn(&Outcome) -> String| -> Vec<String> {
            std::iter::once(label.to_owned()).chain(self.outcomes.iter().map(cell)).collect()
        };
        let rows = [
            row("", &|o| o.scheduler.clone()),
            row("pods", &|o| o.pods.to_string()),
            row("pods that got a node", &|o| o.waits.len().to_string()),
            row("pods that still wait", &|o| o.still_waiting.to_string()),
            row("attempts", &|o| o.attempts.to_string()),
            row("attempts that failed", &|o| o.failures.to_string()),
            row("preempted", &|o| o.preempted.to_string()),
            row("wait, half of the pods at most", &|o| seconds(o.wait(0.5))),
            row("wait, 90 % of the pods at most", &|o| seconds(o.wait(0.9))),
            row("wait, 99 % of the pods at most", &|o| seconds(o.wait(0.99))),
            row("wait, longest", &|o| seconds(o.wait(1.0))),
            row("CPU reserved, mean", &|o| percent(o.mean(|sample| sample.cpu))),
            row("CPU reserved, most", &|o| percent(o.most(|sample| sample.cpu))),
            row("memory reserved, mean", &|o| percent(o.mean(|sample| sample.memory))),
            row("memory reserved, most", &|o| percent(o.most(|sample| sample.memory))),
            row("fragmentation, mean", &|o| percent(o.mean(|sample| sample.fragmentation))),
            row("nodes in use, mean", &|o| format!("{:.1}", o.mean(|sample| sample.used_nodes as f64))),
            row("nodes in use, most", &|o| o.most(|sample| sample.used_nodes as f64).to_string()),
        ];
        f.write_str(&table(&rows))
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
