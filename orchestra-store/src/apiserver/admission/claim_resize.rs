use std::any::Any;

use async_trait::async_trait;
use k8s_openapi::api::{core::v1::PersistentVolumeClaim, storage::v1::StorageClass};
use orchestra_core::persistent_volume::{class_of_claim, requested};

use super::{Admission, Admitted, ApiError, Operation, Reader};

const CLAIMS: (&str, &str, &str) = ("", "v1", "persistentvolumeclaims");
const CLASSES: (&str, &str, &str) = ("storage.k8s.io", "v1", "storageclasses");

/// Lets claims grow only if they are bound and their storage class allows it (`PersistentVolumeClaimResize`).
pub(super) struct ClaimResize;

#[async_trait]
impl Admission for ClaimResize {
    async fn admit(&self, write: &mut Admitted<'_>) -> Result<(), ApiError> {
        if write.operation != Operation::Update {
            return Ok(());
        }
        let Some(object) = write.object.as_deref() else { return Ok(()) };
        let Some(new) = (object as &dyn Any).downcast_ref::<PersistentVolumeClaim>() else { return Ok(()) };
        let stored = write.reader.get(CLAIMS, write.ctx.namespace.as_deref(), write.name).await?;
        let Some(old) = stored.and_then(|json| serde_json::from_slice::<PersistentVolumeClaim>(&json).ok()) else {
            return Ok(());
        };
        if requested(new) <= requested(&old) {
            return Ok(());
        }
        let forbidden = |why: &str| Err(ApiError::forbidden(write.resource, write.name, why));
        if old.status.as_ref().and_then(|status| status.phase.as_deref()) != Some("Bound") {
            return forbidden("Only bound persistent volume claims can be expanded");
        }
        if !class_allows(new, &old, write.reader).await? {
            return forbidden(
                "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize",
            );
        }
        Ok(())
    }
}

async fn class_allows(
    new: &PersistentVolumeClaim,
    old: &PersistentVolumeClaim,
    reader: Reader<'_>,
) -> Result<bool, ApiError> {
    let Some(class) = class_of_claim(new).filter(|class| !class.is_empty() && Some(*class) == class_of_claim(old))
    else {
        return Ok(false);
    };
    let found = reader.get(CLASSES, None, class).await?;
    let class = found.and_then(|json| serde_json::from_slice::<StorageClass>(&json).ok());
    Ok(class.and_then(|class| class.allow_volume_expansion) == Some(true))
}
