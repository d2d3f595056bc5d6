//! What has to be done about a pod's volumes before it is bound (`VolumeBinding` at PreBind).

use std::{pin::pin, time::Duration};

use k8s_openapi::api::{
    core::v1::{PersistentVolume, PersistentVolumeClaim},
    storage::v1::StorageClass,
};
use kube::{Api, api::PostParams};
use orchestra_core::{
    informer::{Informer, InformerFactory},
    scheduler::{Placement, PodInfo},
};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::warn;

use super::{
    Shared,
    bind::{BindError, words},
    bound::{all_bound, awaited},
};
use crate::cache::Reservation;

/// How long volumes may take to be bound (`bindTimeoutSeconds`).
const BIND_TIMEOUT: Duration = Duration::from_secs(600);
/// How long lists may take before that is told.
const PATIENCE: Duration = Duration::from_secs(10);

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

    /// Waits for the first lists, and complains when they do not come: until then no pod is scheduled.
    pub(super) async fn synced(&self) {
        let mut synced = pin!(async {
            self.claims.synced().await;
            self.volumes.synced().await;
            self.classes.synced().await;
        });
        while timeout(PATIENCE, &mut synced).await.is_err() {
            let (claims, volumes) = (self.claims.has_synced(), self.volumes.has_synced());
            let classes = self.classes.has_synced();
            warn!(
                claims,
                volumes, classes, "no pod is scheduled: claims, volumes and storage classes are not all listed"
            );
        }
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
        let write = async {
            for reservation in reservations {
                self.write_reservation(reservation).await?;
            }
            Ok(())
        };
        if !reservations.is_empty() {
            self.writing(write).await.map_err(|error: kube::Error| BindError::Volumes(words(&error)))?;
        }
        let bound = self.until_bound(pod, placement);
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

    async fn until_bound(&self, pod: &PodInfo, placement: &Placement) -> Result<(), String> {
        if self.storage.is_none() {
            return Err("the scheduler chose volumes but says that it uses no storage".to_owned());
        }
        let mut wait = self.state.wait();
        loop {
            let bound = wait.look(|cache| awaited(cache, pod, placement), |cache| all_bound(cache, placement));
            // After the look, so that its going is not missed.
            if !self.still_wants_node(pod) {
                return Err(format!("pod does not exist any more: pod {:?} not found", pod.key().name()));
            }
            if bound? {
                return Ok(());
            }
            wait.changed().await;
        }
    }
}
