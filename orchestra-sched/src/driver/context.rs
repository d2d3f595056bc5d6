//! The loop, as those see it who prepare a binding.

use std::ops::ControlFlow;

use async_trait::async_trait;
use k8s_openapi::api::resource::v1::ResourceClaim;
use orchestra_core::{
    ObjectKey,
    clock::Clock,
    event_recorder::EventRecorder,
    scheduler::{Binding, BindingContext, Cause, Look, Reservation},
};
use tokio::sync::Semaphore;

use super::{Shared, bind::Assumed};

/// What the loop has to do with the binding of a pod.
pub(super) struct Context<'a> {
    shared: &'a Shared,
    assumed: &'a Assumed,
}

impl Shared {
    pub(super) fn context<'a>(&'a self, assumed: &'a Assumed) -> Context<'a> {
        Context { shared: self, assumed }
    }
}

impl Context<'_> {
    pub(super) fn binding(&self) -> Binding<'_> {
        let Assumed { pod, placement, .. } = self.assumed;
        Binding { client: &self.shared.client, pod, placement, context: self }
    }
}

#[async_trait]
impl BindingContext for Context<'_> {
    fn reservations(&self) -> &[Reservation] {
        &self.assumed.reservations
    }

    fn clock(&self) -> &dyn Clock {
        &*self.shared.clock
    }

    fn recorder(&self) -> &EventRecorder {
        &self.shared.recorder
    }

    fn writes(&self) -> &Semaphore {
        &self.shared.writes
    }

    async fn until(&self, look: &mut Look<'_>) -> Result<(), String> {
        let pod = &self.assumed.pod;
        let mut wait = self.shared.state.wait();
        wait.hang(vec![Cause::Pod(pod.key().clone())]);
        loop {
            // Not under the lock: plugins may look as long as they like.
            let snapshot = self.shared.state.read(|state| state.cache.snapshot());
            let seen = look(&snapshot);
            // Held any longer, it would make the next change of the cache copy what it shares.
            drop(snapshot);
            // After the look, so that its going is not missed.
            if !self.shared.still_wants_node(pod) {
                return Err(format!("pod does not exist any more: pod {:?} not found", pod.key().name()));
            }
            let causes = match seen {
                ControlFlow::Break(ended) => return ended,
                ControlFlow::Continue(causes) => causes,
            };
            if let Some(kind) = causes.iter().find_map(|cause| self.unknown_kind(cause)) {
                return Err(kind);
            }
            // What was not waited for may have changed since the look.
            if !wait.hang(causes) {
                wait.changed().await;
            }
        }
    }

    fn claim_made(&self, decided: &ObjectKey, made: &ResourceClaim) {
        // A pod has one such claim.
        let _ = self.assumed.made_claim.set(ObjectKey::of(made));
        self.shared.state.change(|state, _| state.cache.claim_made(decided, made));
    }

    fn made_claim(&self) -> Option<ObjectKey> {
        self.assumed.made_claim.get().cloned()
    }

    fn devices_written(&self, claim: &ObjectKey, version: &str) {
        self.shared.state.change(|state, _| state.cache.devices_written(claim, version));
    }
}

impl Context<'_> {
    /// That nobody tells of what is waited for.
    fn unknown_kind(&self, cause: &Cause) -> Option<String> {
        match cause {
            Cause::Object(kind, _) if !self.shared.uses.contains(kind) => {
                Some(format!("the binding waits for {kind:?}, which the scheduler does not say that it uses"))
            }
            _ => None,
        }
    }
}
