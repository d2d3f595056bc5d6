//! What has to be done about a pod's volumes before it is bound.

use std::ops::ControlFlow;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::{Api, Client, api::PostParams};
use orchestra_core::scheduler::{Binding, Placement, PodInfo, Reservation, Snapshot};
use tokio::time::timeout;

use super::{
    super::default_binder::words,
    VolumeBinding,
    bound::{all_bound, awaited},
};
use crate::framework::PreBind;

/// Writes what was reserved, and waits until the controller of volumes has bound all claims.
#[async_trait]
impl PreBind for VolumeBinding {
    fn is_needed(&self, _: &PodInfo, placement: &Placement) -> bool {
        !placement.volumes.is_empty()
    }

    async fn pre_bind(&self, binding: Binding<'_>) -> Result<(), String> {
        let Binding { client, placement, context, .. } = binding;
        let reservations = context.reservations();
        if !reservations.is_empty() {
            let _turn = context.writes().acquire().await;
            for reservation in reservations {
                write(client, reservation).await.map_err(|error| words(&error))?;
            }
        }
        let mut look = |snapshot: &Snapshot| match all_bound(snapshot, placement) {
            Ok(false) => ControlFlow::Continue(awaited(snapshot, placement)),
            Ok(true) => ControlFlow::Break(Ok(())),
            Err(why) => ControlFlow::Break(Err(why)),
        };
        match timeout(placement.volume_timeout, context.until(&mut look)).await {
            Ok(bound) => bound.map_err(|why| format!("binding volumes: {why}")),
            Err(_) => Err("binding volumes: context deadline exceeded".to_owned()),
        }
    }
}

async fn write(client: &Client, reservation: &Reservation) -> Result<(), kube::Error> {
    let params = PostParams::default();
    match reservation {
        Reservation::Volume(volume) => {
            let name = volume.metadata.name.as_deref().unwrap_or_default();
            Api::<PersistentVolume>::all(client.clone()).replace(name, &params, volume).await.map(drop)
        }
        Reservation::Claim(claim) => {
            let (namespace, name) = (claim.metadata.namespace.as_deref(), claim.metadata.name.as_deref());
            let api = Api::<PersistentVolumeClaim>::namespaced(client.clone(), namespace.unwrap_or_default());
            api.replace(name.unwrap_or_default(), &params, claim).await.map(drop)
        }
    }
}
