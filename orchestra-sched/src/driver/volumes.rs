//! What has to be done about a pod's volumes before it is bound (`VolumeBinding` at PreBind).

use std::{sync::Arc, time::Duration};

use k8s_openapi::{
    api::{
        core::v1::{PersistentVolume, PersistentVolumeClaim},
        storage::v1::StorageClass,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Api, api::PostParams};
use orchestra_core::{
    ObjectKey,
    informer::{Informer, InformerFactory},
    persistent_volume::{SELECTED_NODE, is_bound},
    scheduler::{Placement, PodInfo, VolumeChoice},
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout_at},
};

use super::{
    Shared,
    bind::{BindError, words},
};
use crate::cache::Reservation;

/// How long volumes may take to be bound (`bindTimeoutSeconds`).
const BIND_TIMEOUT: Duration = Duration::from_secs(600);
/// How soon to look again though no claim has changed: the pod may be gone.
const POLL: Duration = Duration::from_secs(1);

/// What the driver hears of storage from.
pub(super) struct StorageInformers {
    pub(super) claims: Informer<PersistentVolumeClaim>,
    pub(super) volumes: Informer<PersistentVolume>,
    pub(super) classes: Informer<StorageClass>,
}

impl StorageInformers {
    pub(super) fn new(informers: &InformerFactory) -> Self {
        Self { claims: informers.informer(), volumes: informers.informer(), classes: informers.informer() }
    }

    pub(super) async fn synced(&self) {
        self.claims.synced().await;
        self.volumes.synced().await;
        self.classes.synced().await;
    }
}

impl Shared {
    /// Writes what was reserved, and waits until the controller of volumes has bound all claims.
    pub(super) async fn bind_volumes(
        &self,
        pod: &PodInfo,
        placement: &Placement,
        reservations: &[Reservation],
    ) -> Result<(), BindError> {
        if placement.volumes.is_empty() {
            return Ok(());
        }
        for reservation in reservations {
            self.write_reservation(reservation).await.map_err(|error| BindError::Volumes(words(&error)))?;
        }
        let bound = self.until_bound(pod, placement, reservations);
        match timeout_at(Instant::now() + BIND_TIMEOUT, bound).await {
            Ok(bound) => bound.map_err(|why| BindError::Volumes(format!("binding volumes: {why}"))),
            Err(_) => Err(BindError::Volumes("binding volumes: context deadline exceeded".to_owned())),
        }
    }

    async fn write_reservation(&self, reservation: &Reservation) -> Result<(), kube::Error> {
        let params = PostParams::default();
        match reservation {
            Reservation::Volume(volume) => {
                let name = volume.metadata.name.as_deref().unwrap_or_default();
                Api::<PersistentVolume>::all(self.client.clone()).replace(name, &params, volume).await.map(drop)
            }
            Reservation::Claim(claim) => {
                let (namespace, name) = (claim.metadata.namespace.as_deref(), claim.metadata.name.as_deref());
                let api = Api::namespaced(self.client.clone(), namespace.unwrap_or_default());
                api.replace(name.unwrap_or_default(), &params, &**claim).await.map(drop)
            }
        }
    }

    async fn until_bound(
        &self,
        pod: &PodInfo,
        placement: &Placement,
        reservations: &[Reservation],
    ) -> Result<(), String> {
        let changed = Arc::new(Notify::new());
        let bell = Arc::clone(&changed);
        let _subscription = self.storage.claims.subscribe(move |_| bell.notify_one());
        loop {
            if self.all_bound(pod, placement, reservations)? {
                return Ok(());
            }
            tokio::select! {
                biased;
                () = changed.notified() => {}
                () = sleep(POLL) => {}
            }
        }
    }

    /// Whether all claims are bound; an error if they will not be.
    fn all_bound(&self, pod: &PodInfo, placement: &Placement, reservations: &[Reservation]) -> Result<bool, String> {
        if !self.still_wants_node(pod) {
            return Err(format!("pod does not exist any more: pod {:?} not found", pod.key().name()));
        }
        let is_stale = |object: &ObjectMeta| reservations.iter().any(|reservation| reservation.is_based_on(object));
        let mut all = true;
        for choice in &placement.volumes {
            let (key, kept) = match choice {
                VolumeChoice::Bind { claim, volume } => (claim, self.is_kept(claim, volume, is_stale)?),
                VolumeChoice::Provision { claim } => (claim, self.is_asked_for(claim, &placement.node, is_stale)?),
            };
            all &= kept && is_bound(&*self.claim(key)?);
        }
        Ok(all)
    }

    /// Whether the volume still names the claim. `false` if what was written is not told of yet.
    fn is_kept(&self, claim: &ObjectKey, volume: &str, is_stale: impl Fn(&ObjectMeta) -> bool) -> Result<bool, String> {
        let Some(told) = self.storage.volumes.get(&ObjectKey::cluster(volume)) else {
            return Err(format!("failed to check binding: could not find PersistentVolume {volume:?}"));
        };
        if is_stale(&told.metadata) {
            return Ok(false);
        }
        let owner = told.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref()).and_then(|owner| owner.uid.clone());
        match owner.is_some() && owner == self.claim(claim)?.metadata.uid {
            true => Ok(true),
            false => Err(format!("ClaimRef got reset for pv {volume:?}")),
        }
    }

    /// Whether the claim still asks for a volume at the node: provisioners that fail take that away, so that another node is chosen.
    fn is_asked_for(
        &self,
        claim: &ObjectKey,
        node: &str,
        is_stale: impl Fn(&ObjectMeta) -> bool,
    ) -> Result<bool, String> {
        let told = self.claim(claim)?;
        if is_stale(&told.metadata) {
            return Ok(false);
        }
        let selected = told.metadata.annotations.as_ref().and_then(|all| all.get(SELECTED_NODE));
        match selected.is_some_and(|selected| selected == node) {
            true => Ok(true),
            false => Err(format!("provisioning failed for PVC {:?}", claim.name())),
        }
    }

    fn claim(&self, key: &ObjectKey) -> Result<Arc<PersistentVolumeClaim>, String> {
        let claim = self.storage.claims.get(key);
        claim.ok_or_else(|| {
            format!("failed to check binding: could not find PersistentVolumeClaim {:?}", key.to_string())
        })
    }
}
