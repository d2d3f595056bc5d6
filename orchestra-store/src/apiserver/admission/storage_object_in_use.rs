use std::any::Any;

use async_trait::async_trait;
use k8s_openapi::{
    api::core::v1::{PersistentVolume, PersistentVolumeClaim},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::{Admission, Admitted, ApiError, Operation};

/// Holds new volumes and claims by finalizers that controllers remove when nobody uses them (`StorageObjectInUseProtection`).
pub(super) struct StorageObjectInUseProtection;

#[async_trait]
impl Admission for StorageObjectInUseProtection {
    async fn admit(&self, write: &mut Admitted<'_>) -> Result<(), ApiError> {
        if write.operation != Operation::Create {
            return Ok(());
        }
        let Some(object) = write.object.as_deref_mut() else { return Ok(()) };
        let object = object as &mut dyn Any;
        if let Some(volume) = object.downcast_mut::<PersistentVolume>() {
            hold(&mut volume.metadata, "kubernetes.io/pv-protection");
        } else if let Some(claim) = object.downcast_mut::<PersistentVolumeClaim>() {
            hold(&mut claim.metadata, "kubernetes.io/pvc-protection");
        }
        Ok(())
    }
}

fn hold(metadata: &mut ObjectMeta, finalizer: &str) {
    let finalizers = metadata.finalizers.get_or_insert_default();
    if !finalizers.iter().any(|held| held == finalizer) {
        finalizers.push(finalizer.to_owned());
    }
}
