use std::{sync::Arc, time::Duration};

use orchestra_core::random::Generator;

use super::{Arrival, Trace};
use crate::testing::{PodBuilder, pod};

/// Makes traces: pods arrive independently of each other (a Poisson process), run for exponentially distributed times, and are of a
/// few sizes. The same seed gives the same trace.
///
/// ```
/// use std::time::Duration;
/// use orchestra_sched::simulator::Synthetic;
/// let trace = Synthetic::new(1000, Duration::from_secs(86_400)).size(3, "500m", "1Gi").size(1, "4", "8Gi").seed(7).trace();
/// assert_eq!(trace.arrivals().len(), 1000);
/// assert!(trace.end() <= Duration::from_secs(86_400));
/// ```
#[derive(Clone, Debug)]
pub struct Synthetic {
    pods: usize,
    over: Duration,
    mean_duration: Duration,
    sizes: Vec<(u64, PodBuilder)>,
    seed: u64,
}

impl Synthetic {
    /// So many pods that arrive over this time.
    pub fn new(pods: usize, over: Duration) -> Self {
        Self { pods, over, mean_duration: Duration::from_secs(3600), sizes: Vec::new(), seed: 0 }
    }

    /// How long pods run on average; by default an hour.
    #[must_use]
    pub fn mean_duration(self, mean: Duration) -> Self {
        Self { mean_duration: mean, ..self }
    }

    /// Adds a size of pods; `share` is how frequent it is among all.
    ///
    /// # Panics
    /// If an amount is no quantity.
    #[must_use]
    #[track_caller]
    pub fn size(self, share: u32, cpu: &str, memory: &str) -> Self {
        self.pods_like(share, pod("").requests(cpu, memory))
    }

    /// Adds pods that are like this one but for their names; `share` is how frequent they are among all.
    #[must_use]
    pub fn pods_like(mut self, share: u32, pod: PodBuilder) -> Self {
        self.sizes.push((share.into(), pod));
        self
    }

    /// What chance depends on.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The trace.
    pub fn trace(&self) -> Trace {
        let chance = Generator::seeded(self.seed);
        // Of a Poisson process it is known that so many arrivals in a time are each anywhere in it.
        let mut times: Vec<Duration> = (0..self.pods).map(|_| scaled(self.over, chance.fraction())).collect();
        times.sort_unstable();
        let arrivals = times.into_iter().enumerate().map(|(index, at)| {
            let duration = Some(scaled(self.mean_duration, exponential(&chance)));
            let pod = self.size_by(&chance).with(|pod| pod.metadata.name = Some(format!("pod-{index}")));
            Arrival { at, duration, pod: Arc::new(pod.info()) }
        });
        Trace::new(arrivals)
    }

    fn size_by(&self, chance: &Generator) -> PodBuilder {
        let all: u64 = self.sizes.iter().map(|(share, _)| share).sum();
        let mut drawn = chance.below(all);
        for (share, pod) in &self.sizes {
            if drawn < *share {
                return pod.clone();
            }
            drawn -= share;
        }
        pod("").requests(1, "1Gi")
    }
}

/// A number that is exponentially distributed, with a mean of one.
fn exponential(chance: &Generator) -> f64 {
    -(1.0 - chance.fraction()).ln()
}

fn scaled(duration: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}
