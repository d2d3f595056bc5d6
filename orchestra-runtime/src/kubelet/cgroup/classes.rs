//! The classes' cgroups, and that of all pods, over time.

use std::{io, time::Duration};

use orchestra_core::event_recorder::EventType::{Normal, Warning};
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::{Cgroups, Limits};
use crate::kubelet::{Context, node};

/// How often what others changed is set right, and tried again what failed, as in Kubernetes.
const PERIOD: Duration = Duration::from_secs(60);

/// Keeps the cgroups of classes, and of all pods, what they are to be, until the future is dropped. There is nothing to do on a node that
/// has none.
pub(in crate::kubelet) async fn keep(context: &Context) {
    if let Some(cgroups) = &context.cgroups {
        Box::pin(async { tokio::join!(enforce(context, cgroups), cgroups.follow()) }).await;
    }
}

/// Limits all pods together to what the node has. Memory that they use already cannot be taken from them: it is tried until they have less.
async fn enforce(context: &Context, cgroups: &Cgroups) {
    let machine = context.config.machine.as_ref();
    let processes = machine.and_then(|machine| machine.processes().ok()).map(|(most, _)| most);
    let limits = Limits::of_node(&context.config.capacity, processes);
    while let Err(error) = cgroups.limit_all(limits.clone()).await {
        let place = &cgroups.0.places.pods;
        let message = format!("Failed to update Node Allocatable Limits \"{place}\": {error}");
        warn!(node = %context.node, "{message}");
        node::event(context, Warning, "FailedNodeAllocatableEnforcement", &message);
        sleep(PERIOD).await;
    }
    node::event(context, Normal, "NodeAllocatableEnforced", "Updated Node Allocatable limit across pods");
}

impl Cgroups {
    async fn limit_all(&self, limits: Limits) -> io::Result<()> {
        self.work(move |inner| inner.driver.set(&inner.places.pods, &limits)).await
    }

    /// Gives the class `Burstable` the weight of all that its pods ask for. The class `BestEffort` has the least, whatever its pods are.
    async fn follow(&self) {
        loop {
            let asked = self.0.burstable.lock().values().fold(0, |sum: i64, milli_cpu| sum.saturating_add(*milli_cpu));
            let set = self.work(move |inner| {
                inner.driver.set(&inner.places.burstable, &Limits::of_class(asked))?;
                inner.driver.set(&inner.places.best_effort, &Limits::of_class(0))
            });
            if let Err(error) = set.await {
                warn!(%error, "cgroups of classes are not as they are to be");
            }
            // Late is as good as told.
            let _ = timeout(PERIOD, self.0.changed.notified()).await;
        }
    }
}
