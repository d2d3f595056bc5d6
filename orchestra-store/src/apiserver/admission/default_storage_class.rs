use std::any::Any;

use async_trait::async_trait;
use k8s_openapi::api::{core::v1::PersistentVolumeClaim, storage::v1::StorageClass};
use orchestra_core::persistent_volume::{class_of_claim, default_class};

use super::{Admission, Admitted, ApiError, Operation};
use crate::cache::Freshness;

const CLASSES: (&str, &str, &str) = ("storage.k8s.io", "v1", "storageclasses");

/// Gives claims that name no storage class the default one, if there is one.
pub(super) struct DefaultStorageClass;

#[async_trait]
impl Admission for DefaultStorageClass {
    async fn admit(&self, write: &mut Admitted<'_>) -> Result<(), ApiError> {
        if write.operation != Operation::Create {
            return Ok(());
        }
        let Some(object) = write.object.as_deref_mut() else { return Ok(()) };
        let Some(claim) = (object as &mut dyn Any).downcast_mut::<PersistentVolumeClaim>() else { return Ok(()) };
        // A claim of the class "" wants none.
        if class_of_claim(claim).is_some() {
            return Ok(());
        }
        // Class and claim often come from one file, one right after the other.
        let classes = write.reader.list(CLASSES, Freshness::Latest).await?;
        let classes = classes.iter().filter_map(|json| serde_json::from_slice::<StorageClass>(json).ok());
        if let Some(class) = default_class(classes) {
            claim.spec.get_or_insert_default().storage_class_name = class.metadata.name;
        }
        Ok(())
    }
}
