use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::{
    core::v1::Pod,
    resource::v1::{ResourceClaim, ResourceClaimConsumerReference},
};
use kube::{
    Api, Client,
    api::{DeleteParams, PostParams, Preconditions},
};
use orchestra_core::{
    ObjectKey,
    controller::{Action, Controller, ControllerContext, ReconcileError, Watch, controller_of},
    device::{FINALIZER, allocation, reserved_for},
    informer::{Change, Informer},
};

use super::{
    super::{api_error, finalizer},
    claims, is_done, pods_by_claim,
};
use crate::lean_pod::LeanPod;

/// Takes pods that are done out of claims, gives the devices of claims back that nobody uses any more, and deletes those that were made
/// for a pod that needs them no longer. An allocated claim that is deleted stays until its devices are given back.
pub struct ResourceClaimRelease {
    client: Client,
    pods: Informer<LeanPod>,
    claims: Informer<ResourceClaim>,
}

impl ResourceClaimRelease {
    /// A controller of all claims. Call within a tokio runtime.
    pub fn new(context: &ControllerContext) -> Self {
        Self {
            client: context.client.clone(),
            pods: pods_by_claim(&context.informers),
            claims: context.informers.informer(),
        }
    }

    async fn sync(&self, claim: &ResourceClaim) -> Result<(), ReconcileError> {
        let mut valid = Vec::new();
        for user in reserved_for(claim) {
            if self.still_uses(claim, user).await? {
                valid.push(user.clone());
            }
        }
        let is_unused = valid.is_empty();
        let was_used = valid.len() < reserved_for(claim).len();
        let is_leaving = claim.metadata.deletion_timestamp.is_some();
        let mut current = claim.clone();
        // One that is not used yet keeps its devices: whoever allocated it may reserve it next.
        let gives_back = is_unused && finalizer::has(&claim.metadata, FINALIZER) && (was_used || is_leaving);
        if was_used || (gives_back && allocation(claim).is_some()) {
            let status = current.status.get_or_insert_default();
            status.reserved_for = (!is_unused).then_some(valid);
            if gives_back {
                status.allocation = None;
            }
            current = self.api(claim).replace_status(name(claim), &PostParams::default(), &current).await?;
        }
        if gives_back {
            finalizer::remove(&mut current.metadata, FINALIZER);
            self.api(claim).replace(name(claim), &PostParams::default(), &current).await?;
        }
        if is_unused && !is_leaving && self.owner_needs_no_more(claim) {
            let uid = claim.metadata.uid.clone();
            let params = DeleteParams {
                preconditions: Some(Preconditions { uid, resource_version: None }),
                ..DeleteParams::default()
            };
            self.api(claim).delete(name(claim), &params).await?;
        }
        Ok(())
    }

    /// Whether who reserved the claim is there, and not done.
    async fn still_uses(
        &self,
        claim: &ResourceClaim,
        user: &ResourceClaimConsumerReference,
    ) -> Result<bool, ReconcileError> {
        if user.resource != "pods" || user.api_group.as_deref().is_some_and(|group| !group.is_empty()) {
            let entry = format!("{}.{} {}", user.resource, user.api_group.as_deref().unwrap_or_default(), user.name);
            return Err(format!("unsupported ReservedFor entry: {entry}").into());
        }
        let namespace = claim.metadata.namespace.as_deref();
        let is_it = |pod: &Pod| pod.metadata.uid.as_ref() == Some(&user.uid);
        if let Some(pod) = self.pods.get(&ObjectKey::new(namespace, &user.name)) {
            return Ok(is_it(&pod) && !is_done(&pod));
        }
        // The informer may not have heard of it yet, and what is taken away from a pod that runs is taken by another.
        let pods = Api::<Pod>::namespaced(self.client.clone(), namespace.unwrap_or_default());
        Ok(pods.get_opt(&user.name).await?.is_some_and(|pod| is_it(&pod) && !is_done(&pod)))
    }

    /// Whether the claim was made for a pod that is done, or replaced. Of one that is gone the garbage collector knows.
    fn owner_needs_no_more(&self, claim: &ResourceClaim) -> bool {
        let Some(owner) = controller_of(claim).filter(|owner| owner.kind == "Pod" && owner.api_version == "v1") else {
            return false;
        };
        let pod: Option<Arc<LeanPod>> =
            self.pods.get(&ObjectKey::new(claim.metadata.namespace.as_deref(), &owner.name));
        pod.is_some_and(|pod| pod.metadata.uid.as_ref() != Some(&owner.uid) || is_done(&pod))
    }

    fn api(&self, claim: &ResourceClaim) -> Api<ResourceClaim> {
        Api::namespaced(self.client.clone(), claim.metadata.namespace.as_deref().unwrap_or_default())
    }
}

fn name(claim: &ResourceClaim) -> &str {
    claim.metadata.name.as_deref().unwrap_or_default()
}

#[async_trait]
impl Controller for ResourceClaimRelease {
    fn name(&self) -> &str {
        "resourceclaim-release"
    }

    fn watches(&self) -> Vec<Watch> {
        let ended = |change: &Change<LeanPod>| match change {
            Change::Deleted(pod) => claims(pod),
            other => other.new().filter(|pod| is_done(pod)).map(|pod| claims(pod)).unwrap_or_default(),
        };
        vec![Watch::objects(&self.claims), Watch::mapped(&self.pods, ended)]
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, ReconcileError> {
        let Some(claim) = self.claims.get(key) else { return Ok(Action::Done) };
        match self.sync(&claim).await {
            Err(error) => match error.downcast_ref::<kube::Error>() {
                // A newer state will come, and bring the claim here again.
                Some(api) if api_error::is_conflict(api) || api_error::is_not_found(api) => Ok(Action::Done),
                _ => Err(error),
            },
            Ok(()) => Ok(Action::Done),
        }
    }
}
