//! What those who prepare a binding get from the loop around them.

use std::{ops::ControlFlow, sync::Arc};

use async_trait::async_trait;
use k8s_openapi::api::{
    core::v1::{PersistentVolume, PersistentVolumeClaim},
    resource::v1::ResourceClaim,
};
use tokio::sync::Semaphore;

use super::{ObjectKind, Snapshot};
use crate::{ObjectKey, clock::Clock, event_recorder::EventRecorder, informer::Informed};

/// What a binding may wait for to change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// A pod.
    Pod(ObjectKey),
    /// A node, by its name.
    Node(Arc<str>),
    /// An object that is neither node nor pod, of a kind that the scheduler [uses](super::Scheduler::uses).
    Object(ObjectKind, ObjectKey),
}

impl Cause {
    /// A change of an object that is neither node nor pod.
    pub fn object<K: Informed>(key: ObjectKey) -> Self {
        Self::Object(ObjectKind::of::<K>(), key)
    }
}

/// A volume or claim that is to be written so, before a pod that uses it is bound.
#[derive(Clone, Debug)]
pub enum Reservation {
    /// A volume with its pointer to a claim.
    Volume(Arc<PersistentVolume>),
    /// A claim with the node for which a volume is to be provisioned.
    Claim(Arc<PersistentVolumeClaim>),
}

/// Looks at the cluster: either that is the end of the wait, or these are what it waits for.
pub type Look<'a> = dyn FnMut(&Snapshot) -> ControlFlow<Result<(), String>, Vec<Cause>> + Send + 'a;

/// The loop around a scheduler, for those who prepare a pod's binding ([`BindingCycle::pre_bind`](super::BindingCycle::pre_bind)): what it knows of
/// the cluster, waits for its changes, and what it wants to be told.
#[async_trait]
pub trait BindingContext: Send + Sync {
    /// What is to be written of the volumes that were [chosen](super::Placement::volumes). What another pod that shares them has written, or
    /// will, is left out.
    fn reservations(&self) -> &[Reservation];

    /// The wall time.
    fn clock(&self) -> &dyn Clock;

    /// Tells users.
    fn recorder(&self) -> &EventRecorder;

    /// To be held by `pre_bind` while it writes, and not while it waits: so many do at once. The others are called with it.
    fn writes(&self) -> &Semaphore;

    /// Has `look` look at the cluster as it is known, now and whenever one of the causes changes that its looks named, until it ends the
    /// wait.
    ///
    /// # Errors
    /// That of `look`, or that the pod is gone, or has a node.
    async fn until(&self, look: &mut Look<'_>) -> Result<(), String>;

    /// The claim that was [to be made](super::ClaimAllocation::make) is, and is `made`. `decided` is the key under which it stands in the
    /// placement.
    fn claim_made(&self, decided: &ObjectKey, made: &ResourceClaim);

    /// The claim that was made.
    fn made_claim(&self) -> Option<ObjectKey>;

    /// Devices are written of a claim, as was [decided](super::Placement::claims): they stay taken until the API server tells of that.
    /// `version` is the claim's since then.
    fn devices_written(&self, claim: &ObjectKey, version: &str);
}
