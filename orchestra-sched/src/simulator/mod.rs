//! Months of scheduling in minutes: pods that arrive and end in virtual time, and what becomes of them.
//!
//! ```text
//!   Trace (a file, or Synthetic) ──► Simulation ──► Outcome ──┐
//!   cluster (a file, or builders) ──┘   one for each scheduler ┴─► Comparison: table, plots (feature `plots`)
//! ```
//!
//! A [`Simulation`] has the queue, the back-offs and the queueing hints of the [driver](crate::driver), so that pods wait as they would in a cluster; what it
//! leaves out are the API server and the kubelets: a bound pod runs at once, and ends when the trace says. Extenders are not asked. The same seed gives the same outcome.
//!
//! It costs what its attempts cost: 5,000 nodes and 100,000 pods that all find room take seconds in a release build, while thousands of pods that wait for room for hours
//! are tried again after each back-off, as in a cluster, and may take many minutes.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use orchestra_sched::{
//!     framework::Framework,
//!     simulator::{Comparison, Simulation, Trace},
//!     testing::{TestCluster, node},
//! };
//!
//! let trace = Trace::from_csv("\
//! time,pod,cpu,memory,duration
//! 0,web,2,1Gi,
//! 60,batch-1,2,1Gi,600
//! 90,batch-2,2,1Gi,600
//! ")?;
//! let simulation = Simulation::new(TestCluster::new().node(node("n1").cpu(4)), trace).until(Duration::from_secs(3600));
//! let outcome = simulation.run("kubernetes", Arc::new(Framework::kubernetes()));
//!
//! // The second batch pod got its node when the first one ended.
//! assert_eq!(outcome.waits.iter().map(Duration::as_secs).collect::<Vec<_>>(), [0, 0, 570]);
//! println!("{}", Comparison::of(vec![outcome]));
//! # Ok::<(), orchestra_sched::simulator::TraceError>(())
//! ```

mod clock;
mod fragmentation;
mod outcome;
#[cfg(feature = "plots")]
mod plot;
mod run;
mod synthetic;
mod trace;

use std::{sync::Arc, time::Duration};

use orchestra_core::scheduler::Scheduler;

#[cfg(feature = "plots")]
pub use self::plot::PlotError;
pub use self::{
    outcome::{Comparison, Outcome, Sample},
    synthetic::Synthetic,
    trace::{Arrival, Trace, TraceError},
};
use crate::{queue::QueueDelays, testing::TestCluster};

/// How many samples there are of a simulation, unless it says how often.
const SAMPLES: u32 = 288;

/// How many samples there are at most.
const MAX_SAMPLES: u32 = 1_000_000;

/// What takes longer never happens in a simulation.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Without a rest, pods would be tried again and again at the same moment.
const SHORTEST_REST: Duration = Duration::from_millis(1);

/// A cluster, the pods that arrive, and how time is counted.
#[derive(Clone, Debug)]
pub struct Simulation {
    cluster: Arc<TestCluster>,
    trace: Trace,
    until: Option<Duration>,
    sample_every: Option<Duration>,
    attempt_time: Duration,
    delays: QueueDelays,
    seed: u64,
}

impl Simulation {
    /// Pods of `trace` come to `cluster`. Pods that run there already stay to the end, unless they are preempted; those
    /// that wait there wait from the start.
    pub fn new(cluster: TestCluster, trace: Trace) -> Self {
        Self {
            cluster: Arc::new(cluster),
            trace,
            until: None,
            sample_every: None,
            attempt_time: Duration::ZERO,
            delays: QueueDelays::default(),
            seed: 0,
        }
    }

    /// When it ends; by default when the last pod has arrived, and in any case after a hundred years.
    #[must_use]
    pub fn until(self, end: Duration) -> Self {
        Self { until: Some(end), ..self }
    }

    /// How often the cluster is looked at; by default 288 times, which is every 5 minutes of a day. There are a million samples at most.
    #[must_use]
    pub fn sample_every(self, interval: Duration) -> Self {
        Self { sample_every: Some(interval), ..self }
    }

    /// How long an attempt to find a node takes: pods that come faster wait for their turn. By default no time at all.
    #[must_use]
    pub fn attempt_time(self, time: Duration) -> Self {
        Self { attempt_time: time, ..self }
    }

    /// How long pods rest after attempts that failed: a millisecond at least, a hundred years at most.
    #[must_use]
    pub fn queue_delays(self, delays: QueueDelays) -> Self {
        let bounded = |delay: Duration| delay.clamp(SHORTEST_REST, LONGEST);
        let delays = QueueDelays {
            initial_backoff: bounded(delays.initial_backoff),
            max_backoff: bounded(delays.max_backoff),
            max_unschedulable: bounded(delays.max_unschedulable),
        };
        Self { delays, ..self }
    }

    /// Where the seeds of decisions come from.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Runs it with `scheduler`, which the outcome calls `name`.
    pub fn run(&self, name: impl Into<String>, scheduler: Arc<dyn Scheduler>) -> Outcome {
        run::Run::new(self, scheduler).until_the_end(name.into())
    }

    fn end(&self) -> Duration {
        self.until.unwrap_or_else(|| self.trace.end()).min(LONGEST)
    }

    fn interval(&self) -> Duration {
        let interval = self.sample_every.unwrap_or_else(|| self.end() / SAMPLES);
        interval.max(self.end() / MAX_SAMPLES).max(Duration::from_millis(1))
    }
}
