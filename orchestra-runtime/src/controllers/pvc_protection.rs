//! Keeps claims that are being deleted until no pod uses them (`kubernetes.io/pvc-protection`).

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{
    Api, Client,
    api::{ListParams, PostParams},
};
use orchestra_core::{
    ObjectKey,
    controller::{Action, Controller, ControllerContext, ReconcileError, Watch},
    informer::{Change, Informer},
};

use super::{api_error, claim_users, finalizer};
use crate::lean_pod::LeanPod;
use crate::pods_by_node;

const FINALIZER: &str = "kubernetes.io/pvc-protection";

/// Holds each claim by a finalizer, and lets it go when it is deleted and no pod on a node uses it, ended ones included.
pub struct ClaimProtection {
    client: Client,
    claims: Informer<PersistentVolumeClaim>,
    pods: Informer<LeanPod>,
}

impl ClaimProtection {
    /// A controller of all claims. Call within a tokio runtime.
    pub fn new(context: &ControllerContext) -> Self {
        Self {
            client: context.client.clone(),
            claims: context.informers.informer(),
            pods: claim_users::indexed(&context.informers),
        }
    }

    async fn sync(&self, claim: &PersistentVolumeClaim) -> Result<(), kube::Error> {
        let is_held = finalizer::has(&claim.metadata, FINALIZER);
        let is_leaving = claim.metadata.deletion_timestamp.is_some();
        let mut changed = claim.clone();
        match (is_leaving, is_held) {
            (false, false) => finalizer::add(&mut changed.metadata, FINALIZER),
            (true, true) if !self.is_used(claim).await? => finalizer::remove(&mut changed.metadata, FINALIZER),
            _ => return Ok(()),
        }
        let name = changed.metadata.name.clone().unwrap_or_default();
        self.api(claim).replace(&name, &PostParams::default(), &changed).await.map(drop)
    }

    /// A pod without a node has not begun, and will not while the claim is being deleted.
    async fn is_used(&self, claim: &PersistentVolumeClaim) -> Result<bool, kube::Error> {
        let is_on_node = |pod: &Pod| pods_by_node::node_of(pod).is_some();
        if claim_users::of(&self.pods, claim).iter().any(|pod| is_on_node(pod)) {
            return Ok(true);
        }
        // The informer may not have heard of a pod yet, and what is let go does not come back.
        let namespace = claim.metadata.namespace.as_deref().unwrap_or_default();
        let pods = Api::<Pod>::namespaced(self.client.clone(), namespace).list(&ListParams::default()).await?;
        let key = ObjectKey::of(claim);
        Ok(pods.iter().filter(|pod| is_on_node(pod)).any(|pod| claim_users::claims(pod).any(|used| used == key)))
    }

    fn api(&self, claim: &PersistentVolumeClaim) -> Api<PersistentVolumeClaim> {
        Api::namespaced(self.client.clone(), claim.metadata.namespace.as_deref().unwrap_or_default())
    }
}

#[async_trait]
impl Controller for ClaimProtection {
    fn name(&self) -> &str {
        "persistentvolumeclaim-protection"
    }

    fn watches(&self) -> Vec<Watch> {
        let gone = |change: &Change<LeanPod>| match change {
            Change::Deleted(pod) => claim_users::claims(pod).collect(),
            _ => Vec::new(),
        };
        vec![Watch::objects(&self.claims), Watch::mapped(&self.pods, gone)]
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, ReconcileError> {
        let Some(claim) = self.claims.get(key) else { return Ok(Action::Done) };
        match self.sync(&claim).await {
            // A newer state will come, and bring the claim here again.
            Err(error) if api_error::is_conflict(&error) || api_error::is_not_found(&error) => Ok(Action::Done),
            other => {
                other?;
                Ok(Action::Done)
            }
        }
    }
}
