//! What has to be done about a pod's volumes before it is bound (`VolumeBinding` at PreBind).

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::{Api, api::PostParams};
use orchestra_core::scheduler::{ObjectKind, Placement, PodInfo};
use tokio::time::timeout;

use super::{
    Shared,
    bound::{all_bound, awaited},
};
use crate::{cache::Reservation, plugins::default_binder::words};

impl Shared {
    /// Writes what was reserved, and waits until the controller of volumes has bound all claims.
    pub(super) async fn bind_volumes(
        &self,
        pod: &PodInfo,
        placement: &Placement,
        reservations: &[Reservation],
    ) -> Result<(), String> {
        let write = async {
            for reservation in reservations {
                self.write_reservation(reservation).await?;
            }
            Ok(())
        };
        if !reservations.is_empty() {
            self.writing(write).await.map_err(|error: kube::Error| words(&error))?;
        }
        let bound = self.until_bound(pod, placement);
        match timeout(placement.volume_timeout, bound).await {
            Ok(bound) => bound.map_err(|why| format!("binding volumes: {why}")),
            Err(_) => Err("binding volumes: context deadline exceeded".to_owned()),
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
        let needed = [ObjectKind::of::<PersistentVolumeClaim>(), ObjectKind::of::<PersistentVolume>()];
        if let Some(kind) = needed.into_iter().find(|kind| !self.uses.contains(kind)) {
            return Err(format!("the scheduler chose volumes but says that it does not use {kind:?}"));
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
