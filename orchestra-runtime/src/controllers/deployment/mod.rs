//! Rolls out deployments: one replica set a pod template, scaled up and down step by step.

mod annotations;
mod bounds;
mod conditions;
mod freshness;
mod new_set;
mod proportional;
mod rolling;
mod sets;
mod status;
mod sync;
mod template_hash;

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use kube::{
    Api, Client,
    api::{ListParams, PostParams},
};
use orchestra_core::{
    ObjectKey,
    clock::Clock,
    controller::{Action, Controller, ControllerContext, ReconcileError, Watch, controller_of},
    event_recorder::{EventRecorder, EventType},
    informer::{Change, Informer},
    selector::label::Selector,
};

use self::{freshness::Freshness, sets::Sets, sync::Sync};
use super::ownership::{self, Claims};
use crate::lean_pod::LeanPod;

/// Keeps a replica set for the template of each deployment, moves its pods over from former ones by the deployment's strategy, keeps former
/// templates as revisions, and tells how far it is.
pub struct DeploymentController {
    client: Client,
    deployments: Informer<Deployment>,
    sets: Informer<ReplicaSet>,
    pods: Informer<LeanPod>,
    clock: Arc<dyn Clock>,
    recorder: EventRecorder,
    freshness: Arc<Freshness>,
}

impl DeploymentController {
    /// A controller of all deployments. Call within a tokio runtime.
    pub fn new(context: &ControllerContext) -> Self {
        let sets = context.informers.informer::<ReplicaSet>();
        ownership::add_indexes(&sets);
        Self {
            client: context.client.clone(),
            deployments: context.informers.informer::<Deployment>(),
            sets,
            pods: ownership::pods_by_owner(context),
            clock: Arc::clone(&context.clock),
            recorder: context.recorder("deployment-controller"),
            freshness: Arc::default(),
        }
    }

    /// The deployment's replica sets: `cached`, if the cache has caught up with what was written, or else as the server has them.
    async fn newest(
        &self,
        deployment: &Deployment,
        selector: &Selector,
        cached: Vec<Arc<ReplicaSet>>,
    ) -> Result<Vec<Arc<ReplicaSet>>, kube::Error> {
        let uid = deployment.metadata.uid.as_deref().unwrap_or_default();
        if self.freshness.is_current(uid, &cached) {
            return Ok(cached);
        }
        let namespace = deployment.metadata.namespace.as_deref().unwrap_or_default();
        let api = Api::<ReplicaSet>::namespaced(self.client.clone(), namespace);
        let live = api.list(&ListParams::default().labels(&selector.to_string())).await?.items;
        let is_owned = |set: &ReplicaSet| controller_of(set).is_some_and(|owner| owner.uid == uid);
        let live: Vec<_> = live.into_iter().filter(is_owned).map(Arc::new).collect();
        self.freshness.forget(uid);
        for set in &live {
            self.freshness.saw(uid, set);
        }
        Ok(live)
    }

    /// A deployment that selects everything would fight all others: nothing is done for it but to say so.
    async fn refuse(&self, deployment: &Deployment) -> Result<Action, ReconcileError> {
        let message = "This deployment is selecting all pods. A non-empty selector is required.";
        self.recorder.event(deployment, EventType::Warning, "SelectingAll", message);
        let mut seen = deployment.clone();
        let status = seen.status.get_or_insert_default();
        if status.observed_generation < deployment.metadata.generation {
            status.observed_generation = deployment.metadata.generation;
            let namespace = deployment.metadata.namespace.as_deref().unwrap_or_default();
            let name = deployment.metadata.name.as_deref().unwrap_or_default();
            let api = Api::<Deployment>::namespaced(self.client.clone(), namespace);
            api.replace_status(name, &PostParams::default(), &seen).await?;
        }
        Ok(Action::Done)
    }
}

#[async_trait]
impl Controller for DeploymentController {
    fn name(&self) -> &str {
        "deployment"
    }

    fn watches(&self) -> Vec<Watch> {
        let deployments = self.deployments.clone();
        let sets = self.sets.clone();
        let (gone, gone_set) = (Arc::clone(&self.freshness), Arc::clone(&self.freshness));
        vec![
            Watch::mapped(&self.deployments, move |change| {
                if let (Change::Deleted(_), Some(uid)) = (change, &change.object().metadata.uid) {
                    gone.forget(uid);
                }
                vec![ObjectKey::of(&**change.object())]
            }),
            Watch::mapped(&self.sets, move |change| {
                if let (Change::Deleted(set), Some(owner)) = (change, controller_of(&**change.object())) {
                    gone_set.forget_set(&owner.uid, set);
                }
                Vec::new()
            }),
            Watch::owned(&self.sets, "Deployment"),
            Watch::mapped(&self.sets, move |change| selecting(&deployments, change)),
            Watch::mapped(&self.pods, move |change| bereft(&sets, change)),
        ]
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, ReconcileError> {
        let Some(cached) = self.deployments.get(key) else { return Ok(Action::Done) };
        let Some(spec) = &cached.spec else { return Ok(Action::Done) };
        let selector = Selector::try_from(&spec.selector)?;
        if selector.is_everything() {
            return self.refuse(&cached).await;
        }
        let claims = Claims::of(&cached.metadata, &selector, &self.sets);
        let owned = ownership::claim(&self.client, &*cached, claims).await?;
        let owned = self.newest(&cached, &selector, owned).await?;
        let sets = Sets::of(&cached, owned);
        Sync { controller: self, deployment: (*cached).clone(), sets }.run().await
    }

    fn workers(&self) -> usize {
        5
    }
}

/// The deployments that may adopt a replica set without owner.
fn selecting(deployments: &Informer<Deployment>, change: &Change<ReplicaSet>) -> Vec<ObjectKey> {
    let Some(orphan) = change.new().filter(|set| controller_of(&***set).is_none()) else { return Vec::new() };
    let selects = |deployment: &Arc<Deployment>| {
        let selector = deployment.spec.as_ref().and_then(|spec| Selector::try_from(&spec.selector).ok());
        selector.is_some_and(|s| !s.is_everything() && s.matches_optional(orphan.metadata.labels.as_ref()))
    };
    let near = deployments.list_namespace(orphan.metadata.namespace.as_deref().unwrap_or_default());
    near.iter().filter(|deployment| selects(deployment)).map(|deployment| ObjectKey::of(&**deployment)).collect()
}

/// The deployment of a pod that is gone: with `Recreate` the next template waits for that.
fn bereft(sets: &Informer<ReplicaSet>, change: &Change<LeanPod>) -> Vec<ObjectKey> {
    let Change::Deleted(pod) = change else { return Vec::new() };
    let namespace = pod.metadata.namespace.as_deref();
    let owner = controller_of(&**pod).filter(|owner| owner.kind == "ReplicaSet");
    let set = owner.and_then(|owner| sets.get(&ObjectKey::new(namespace, &owner.name)));
    let deployment = set.as_deref().and_then(controller_of).filter(|owner| owner.kind == "Deployment");
    deployment.map(|owner| ObjectKey::new(namespace, &owner.name)).into_iter().collect()
}
