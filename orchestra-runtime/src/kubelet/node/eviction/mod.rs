//! Evicts pods before the machine runs out of something (`pkg/kubelet/eviction`): one at a time, until enough is left.

mod message;
mod ranking;
mod usage;

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use orchestra_core::event_recorder::EventType;
use tokio::{
    sync::{mpsc::UnboundedSender, oneshot},
    time::{Instant, sleep},
};
use tracing::warn;

use self::{
    message::{message, resource},
    ranking::first,
    usage::usage,
};
use super::{
    Machine, collect,
    pressure::Lack,
    signals::{Observation, crossed, observe},
    threshold::Threshold,
};
use crate::kubelet::{Context, source::uid_of};

/// How often it is looked whether enough is left.
const PERIOD: Duration = Duration::from_secs(10);
/// How long an evicted pod may take to give back what it has before the next one is looked for.
const CLEAN_UP: Duration = Duration::from_secs(30);

/// How long the containers of an evicted pod may take to stop: what it has is needed, so Kubernetes waits no longer.
const GRACE: Duration = Duration::from_secs(1);

/// The reason in the status of a pod that was evicted.
pub(in crate::kubelet) const EVICTED: &str = "Evicted";

/// What eviction wants of the one who has the pods.
pub(in crate::kubelet) enum Wish {
    /// To know the pods that run or are about to.
    Pods(oneshot::Sender<Vec<Arc<Pod>>>),
    /// That a pod ends, why, and how long its containers may take to stop.
    End { pod: Arc<Pod>, reason: &'static str, message: String, grace: Duration },
}

/// Watches over the machine's resources until the future is dropped. On a simulated node there is nothing to watch.
pub(in crate::kubelet) async fn run(context: &Context, wishes: UnboundedSender<Wish>) {
    let Some(machine) = &context.config.machine else { return std::future::pending().await };
    let mut evictor = Evictor { context, machine, wishes, last: None };
    loop {
        // Most of the time it sleeps.
        Box::pin(evictor.round()).await;
        sleep(PERIOD).await;
    }
}

struct Evictor<'a> {
    context: &'a Context,
    machine: &'a Machine,
    wishes: UnboundedSender<Wish>,
    /// The pod that was evicted last, and when.
    last: Option<(Arc<str>, Instant)>,
}

impl Evictor<'_> {
    async fn round(&mut self) {
        let Some((threshold, _)) = self.look().await else { return };
        let pods = self.pods().await;
        if self
            .last
            .as_ref()
            .is_some_and(|(uid, at)| at.elapsed() < CLEAN_UP && pods.iter().any(|pod| uid_of(pod) == *uid))
        {
            return;
        }
        let attempt = format!("Attempting to reclaim {}", resource(threshold.signal));
        super::event(self.context, EventType::Warning, "EvictionThresholdMet", &attempt);
        if Lack::of(threshold.signal) == Lack::Disk {
            collect::all(self.context).await;
        }
        let Some((threshold, seen)) = self.look().await else { return };
        let usage = usage(self.context, threshold.signal).await;
        let Some(pod) = first(pods, threshold.signal, &usage) else {
            warn!(node = %self.context.node, signal = %threshold.signal, "too little is left, and no pod can be evicted");
            return;
        };
        let message = message(&threshold, seen, &pod, &usage);
        self.last = Some((uid_of(&pod), Instant::now()));
        // The receiver outlives this.
        let _ = self.wishes.send(Wish::End { pod, reason: EVICTED, message, grace: GRACE });
    }

    /// Notes what the node lacks, and returns the first threshold that is crossed.
    async fn look(&self) -> Option<(Threshold, Observation)> {
        let observations = observe(self.context, self.machine).await;
        let crossed = crossed(&self.context.config.thresholds, &observations);
        self.context.pressure.note(crossed.iter().map(|threshold| Lack::of(threshold.signal)));
        let threshold = crossed.first()?;
        Some((*threshold, *observations.get(&threshold.signal)?))
    }

    async fn pods(&self) -> Vec<Arc<Pod>> {
        let (sender, receiver) = oneshot::channel();
        let _ = self.wishes.send(Wish::Pods(sender));
        receiver.await.unwrap_or_default()
    }
}
