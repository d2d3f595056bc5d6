//! Keeps as many pods as a replica set asks for.

mod expectations;
mod pace;
mod pods;
mod ranking;
mod status;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use k8s_openapi::{
    api::{apps::v1::ReplicaSet, core::v1::Pod},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client,
    api::{ListParams, PostParams},
};
use orchestra_core::{
    ObjectKey,
    clock::Clock,
    controller::{Action, Controller, ControllerContext, ReconcileError, Watch, controller_of},
    event_recorder::EventRecorder,
    informer::{Change, Informer},
    selector::label::Selector,
};

use self::{expectations::Expectations, pace::Pace, status::Computed};
use super::{
    api_error,
    ownership::{self, Claims},
    pod_state,
};
use crate::lean_pod::LeanPod;

/// How long to let the informer catch up after a write that may have happened or not.
const CATCH_UP: Duration = Duration::from_millis(20);

/// Creates and deletes pods until each replica set has as many as it asks for, takes on orphans that its selector selects, lets go of pods
/// that it does not select any more, and keeps the status.
pub struct ReplicaSetController {
    client: Client,
    sets: Informer<ReplicaSet>,
    pods: Informer<LeanPod>,
    clock: Arc<dyn Clock>,
    recorder: EventRecorder,
    expectations: Arc<Expectations>,
    pace: Pace,
}

impl ReplicaSetController {
    /// A controller of all replica sets. Call within a tokio runtime.
    pub fn new(context: &ControllerContext) -> Self {
        let sets = context.informers.informer::<ReplicaSet>();
        ownership::add_indexes(&sets);
        Self {
            client: context.client.clone(),
            sets,
            pods: ownership::pods_by_owner(context),
            clock: Arc::clone(&context.clock),
            recorder: context.recorder("replicaset-controller"),
            expectations: Arc::default(),
            pace: Pace::default(),
        }
    }

    /// Whether the informer shows the pods of `set` as the server has them.
    async fn has_caught_up(&self, set: &ReplicaSet, selector: &Selector) -> Result<bool, kube::Error> {
        let uid = set.metadata.uid.as_deref().unwrap_or_default();
        let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
        let api = Api::<Pod>::namespaced(self.client.clone(), namespace);
        let live = api.list_metadata(&ListParams::default().labels(&selector.to_string())).await?.items;
        let identity = |meta: &ObjectMeta| (meta.uid.clone(), meta.deletion_timestamp.is_some());
        let live: BTreeSet<_> = live
            .iter()
            .filter(|pod| controller_of(*pod).is_some_and(|owner| owner.uid == uid))
            .map(|pod| identity(&pod.metadata))
            .collect();
        let cached = ownership::controlled_by(&self.pods, uid);
        let cached: BTreeSet<_> = cached
            .iter()
            .filter(|pod| selector.matches_optional(pod.metadata.labels.as_ref()))
            .map(|pod| identity(&pod.metadata))
            .collect();
        Ok(live == cached)
    }

    async fn write_status(&self, set: &ReplicaSet, computed: &Computed) -> Result<(), kube::Error> {
        if set.status.as_ref() == Some(&computed.status) {
            return Ok(());
        }
        let changed = ReplicaSet { status: Some(computed.status.clone()), ..set.clone() };
        let name = set.metadata.name.as_deref().unwrap_or_default();
        let api =
            Api::<ReplicaSet>::namespaced(self.client.clone(), set.metadata.namespace.as_deref().unwrap_or_default());
        match api.replace_status(name, &PostParams::default(), &changed).await {
            Err(error) if api_error::is_not_found(&error) => Ok(()),
            other => other.map(drop),
        }
    }
}

#[async_trait]
impl Controller for ReplicaSetController {
    fn name(&self) -> &str {
        "replicaset"
    }

    fn watches(&self) -> Vec<Watch> {
        let forget = {
            let (expectations, pace) = (Arc::clone(&self.expectations), self.pace.clone());
            move |change: &Change<ReplicaSet>| {
                if let (Change::Deleted(set), Some(uid)) = (change, &change.object().metadata.uid) {
                    expectations.settle(uid);
                    pace.forget(uid);
                    return vec![ObjectKey::of(&**set)];
                }
                vec![ObjectKey::of(&**change.object())]
            }
        };
        let (expectations, sets) = (Arc::clone(&self.expectations), self.sets.clone());
        let affected = move |change: &Change<LeanPod>| {
            observe(&expectations, change);
            affected_sets(&sets, change)
        };
        vec![Watch::mapped(&self.sets, forget), Watch::mapped(&self.pods, affected)]
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, ReconcileError> {
        let Some(set) = self.sets.get(key) else { return Ok(Action::Done) };
        let (Some(uid), Some(spec)) = (set.metadata.uid.as_deref(), &set.spec) else { return Ok(Action::Done) };
        // Whoever reads the status relies on its numbers being those of the generation that it names; before the informer shows what was
        // written here, they are not. What the informer shows next wakes this again.
        if let Some(wait) = self.expectations.wait(uid) {
            return Ok(Action::RequeueAfter(wait));
        }
        if let Some(wait) = self.pace.wait(uid, set.metadata.generation) {
            return Ok(Action::RequeueAfter(wait));
        }
        let selector = Selector::try_from(&spec.selector)?;
        if self.expectations.is_in_doubt(uid) {
            if !self.has_caught_up(&set, &selector).await? {
                return Ok(Action::RequeueAfter(CATCH_UP));
            }
            self.expectations.settle(uid);
        }
        let mut claims = Claims::of(&set.metadata, &selector, &self.pods);
        claims.adopt.retain(|pod| pod_state::is_active(pod));
        let owned = ownership::claim(&self.client, &*set, claims).await?;
        let active: Vec<_> = owned.iter().filter(|pod| pod_state::is_active(pod)).cloned().collect();
        let managed = if set.metadata.deletion_timestamp.is_none() { self.manage(&set, &active).await } else { Ok(()) };
        let computed = status::compute(&set, &owned, managed.as_ref().err(), self.clock.now());
        self.write_status(&set, &computed).await?;
        let wanted = usize::try_from(spec.replicas.unwrap_or(1)).unwrap_or(0);
        self.pace.worked(uid, set.metadata.generation, owned.len(), active.len() == wanted);
        match (managed, computed.next_available) {
            (Err(failure), _) => Err(failure.message.into()),
            (Ok(()), Some(wait)) => Ok(Action::RequeueAfter(wait)),
            (Ok(()), None) => Ok(Action::Done),
        }
    }

    fn workers(&self) -> usize {
        5
    }
}

/// Notes in the expectations what the informer shows.
fn observe(expectations: &Expectations, change: &Change<LeanPod>) {
    let Some(owner) = controller_of(&**change.object()) else { return };
    let deleted = || expectations.deleted(&owner.uid, &ObjectKey::of(&**change.object()));
    let is_deleting = |pod: &Pod| pod.metadata.deletion_timestamp.is_some();
    match change {
        Change::Added(pod) if is_deleting(pod) => deleted(),
        Change::Added(_) => expectations.created(&owner.uid),
        Change::Updated { old, new } if is_deleting(new) && !is_deleting(old) => deleted(),
        Change::Updated { .. } => {}
        Change::Deleted(_) => deleted(),
    }
}

/// The replica sets that a change of a pod concerns: its owners before and after, or for an orphan all that select it.
fn affected_sets(sets: &Informer<ReplicaSet>, change: &Change<LeanPod>) -> Vec<ObjectKey> {
    if let Change::Updated { old, new } = change
        && !pod_state::differs_as_replica(old, new)
    {
        return Vec::new();
    }
    let owner = |pod: &Arc<LeanPod>| {
        let owner = controller_of(&**pod).filter(|owner| owner.kind == "ReplicaSet")?;
        Some(ObjectKey::new(pod.metadata.namespace.as_deref(), &owner.name))
    };
    let mut keys: Vec<_> = change.old().into_iter().chain(change.new()).filter_map(owner).collect();
    keys.dedup();
    if let Some(orphan) = change.new().filter(|pod| controller_of(&***pod).is_none()) {
        let selects = |set: &Arc<ReplicaSet>| {
            let selector = set.spec.as_ref().and_then(|spec| Selector::try_from(&spec.selector).ok());
            selector.is_some_and(|s| !s.is_everything() && s.matches_optional(orphan.metadata.labels.as_ref()))
        };
        let near = sets.list_namespace(orphan.metadata.namespace.as_deref().unwrap_or_default());
        keys.extend(near.iter().filter(|set| selects(set)).map(|set| ObjectKey::of(&**set)));
    }
    keys
}
