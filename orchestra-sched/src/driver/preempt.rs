//! Takes pods away for one that was promised their room (KEP-4832: the loop goes on meanwhile).

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{DeleteParams, Preconditions},
};
use orchestra_core::{
    condition::{self, DISRUPTION_TARGET},
    event_recorder::EventType,
    scheduler::{Cause, Nomination, PodInfo},
};
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};
use tracing::{debug, warn};

use super::{Shared, state::State};
use crate::plugins::default_binder::words;

/// How long the watch may take to tell that pods which were deleted are going.
const NEWS: Duration = Duration::from_secs(10);

/// What is to be done about the room that a pod was promised.
pub(super) struct Preemption {
    node: Arc<str>,
    victims: Vec<Arc<PodInfo>>,
    /// The less important pods that were promised the same room before.
    losers: Vec<Arc<PodInfo>>,
}

impl Preemption {
    /// How many pods are to go.
    pub(super) fn victims(&self) -> usize {
        self.victims.len()
    }
}

/// The node that a pod waits for now, empty for none; `None` if that is as it was, and written.
pub(super) type Nominated = Option<Arc<str>>;

impl State {
    /// Notes which node `pod`, whose attempt found none, waits for now.
    pub(super) fn nominate(
        &mut self,
        pod: &Arc<PodInfo>,
        nomination: &Nomination,
        now: Instant,
    ) -> (Nominated, Option<Preemption>) {
        let known = self.cache.nomination(pod.id()).cloned();
        let is_new =
            |node: &str| [known.as_deref(), pod.nominated_node()].iter().any(|of| of.unwrap_or_default() != node);
        match nomination {
            Nomination::Kept => (None, None),
            Nomination::None => {
                self.cache.withdraw(pod.id());
                (is_new("").then(|| "".into()), None)
            }
            Nomination::For { node, victims } => {
                let nominated = is_new(node).then(|| node.clone());
                let losers = self.cache.withdraw_on(node, |other| other.priority() < pod.priority());
                for loser in &losers {
                    self.queue.reconsider(loser.id(), now);
                }
                self.cache.nominate(pod.clone(), node.clone());
                // Those that are going already need no telling.
                let victims: Vec<_> = victims.iter().filter(|victim| !victim.is_terminating()).cloned().collect();
                if !victims.is_empty() {
                    self.queue.hold(pod.id());
                }
                (nominated, Some(Preemption { node: node.clone(), victims, losers }))
            }
        }
    }
}

impl Shared {
    /// Takes the victims away. The pod is tried again when it is seen that they are going, or if one could not be taken away.
    pub(super) async fn preempt(self: &Arc<Self>, pod: Arc<PodInfo>, preemption: Preemption) {
        for loser in &preemption.losers {
            if let Err(error) = self.writing(self.patch_status(loser, json!({ "nominatedNodeName": null }))).await {
                // Its next attempt writes what it waits for then.
                warn!(pod = %loser.key(), error = words(&error), "nominatedNodeName not cleared");
            }
        }
        let mut evictions = JoinSet::new();
        for victim in &preemption.victims {
            let (shared, victim) = (Arc::clone(self), Arc::clone(victim));
            let (pod, node) = (Arc::clone(&pod), preemption.node.clone());
            evictions.spawn(async move { shared.writing(shared.evict(&victim, &pod, &node)).await });
        }
        let all_go = evictions.join_all().await.into_iter().all(|goes| goes);
        if all_go && timeout(NEWS, self.until_going(&preemption.victims)).await.is_err() {
            warn!(pod = %pod.key(), "not told in time that the pods are going which it preempted");
        }
        self.state.change(|state, now| state.queue.let_go(pod.id(), !all_go, now));
    }

    /// Marks and deletes `victim`; `false` if the API server does not let it go. One that waits for the permission to be bound loses its
    /// place only.
    async fn evict(&self, victim: &PodInfo, pod: &PodInfo, node: &str) -> bool {
        let gone = match self.waiting.reject(victim.id(), "DefaultPreemption", "preempted") {
            true => Ok(()),
            false => self.delete(victim, pod).await,
        };
        match gone {
            Ok(()) => {
                let uid = pod.pod().metadata.uid.as_deref().unwrap_or_default();
                let message = format!("Preempted by pod {uid} on node {node}");
                let (object, related) = (&**victim.pod(), &**pod.pod());
                self.recorder.action_for(object, related, EventType::Normal, "Preempted", "Preempting", message);
                true
            }
            // Gone, or replaced by another of its name.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {
                debug!(victim = %victim.key(), pod = %pod.key(), "the victim is gone already");
                true
            }
            Err(error) => {
                warn!(victim = %victim.key(), pod = %pod.key(), error = words(&error), "could not preempt a pod");
                false
            }
        }
    }

    async fn delete(&self, victim: &PodInfo, pod: &PodInfo) -> Result<(), kube::Error> {
        if let Some(condition) = self.disruption_target(victim, pod) {
            self.patch_status(victim, json!({ "conditions": [condition] })).await?;
        }
        let uid = victim.pod().metadata.uid.clone();
        let preconditions = Some(Preconditions { uid, resource_version: None });
        let params = DeleteParams { preconditions, ..DeleteParams::default() };
        let api = Api::<Pod>::namespaced(self.client.clone(), victim.key().namespace().unwrap_or("default"));
        api.delete(victim.key().name(), &params).await.map(drop)
    }

    /// The condition that says why the victim goes (KEP-3329); `None` if it says so already.
    fn disruption_target(&self, victim: &PodInfo, pod: &PodInfo) -> Option<Value> {
        let message = format!("{}: preempting to accommodate a higher priority pod", pod.scheduler_name());
        let conditions =
            victim.pod().status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        let old = condition::find(conditions, DISRUPTION_TARGET).filter(|old| old.status == "True");
        let now = self.clock.now();
        let mut new = condition::disruption_target(victim.pod(), "PreemptionByScheduler", &message, now);
        if let Some(old) = old {
            new.last_transition_time = old.last_transition_time.clone();
        }
        (old != Some(&new)).then(|| json!(new))
    }

    /// Waits until the informer has told of each victim that it is going or gone: whoever looks at the cluster before might take others
    /// away in their stead.
    async fn until_going(&self, victims: &[Arc<PodInfo>]) {
        let mut wait = self.state.wait();
        let causes = || victims.iter().map(|victim| Cause::Pod(victim.key().clone())).collect();
        while wait.look(|_| causes(), |cache| victims.iter().any(|victim| cache.stays(victim.id()))) {
            wait.changed().await;
        }
    }
}
