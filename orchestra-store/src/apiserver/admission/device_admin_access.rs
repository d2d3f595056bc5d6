use std::any::Any;

use async_trait::async_trait;
use k8s_openapi::api::{
    core::v1::Namespace,
    resource::v1::{ResourceClaim, ResourceClaimSpec, ResourceClaimTemplate},
};

use super::{Admission, Admitted, ApiError, Operation};
use crate::apiserver::field::{Error, Path};

/// The label of namespaces in which claims may ask for devices that others use.
const LABEL: &str = "resource.kubernetes.io/admin-access";

/// Lets claims ask for access to devices that are in use (`adminAccess`, KEP-5018) only in namespaces that are labelled for that. What is
/// asked for cannot be changed later.
pub(super) struct DeviceAdminAccess;

#[async_trait]
impl Admission for DeviceAdminAccess {
    async fn admit(&self, write: &mut Admitted<'_>) -> Result<(), ApiError> {
        if write.operation != Operation::Create {
            return Ok(());
        }
        let Some(object) = write.object.as_deref() else { return Ok(()) };
        let object: &dyn Any = object;
        let path = Path::new("spec");
        let asked = match (object.downcast_ref::<ResourceClaim>(), object.downcast_ref::<ResourceClaimTemplate>()) {
            (Some(claim), _) => asks(&claim.spec, &path),
            (_, Some(template)) => asks(&template.spec.spec, &path.child("spec")),
            _ => None,
        };
        let Some(path) = asked else { return Ok(()) };
        let namespace = write.ctx.namespace.as_deref().unwrap_or_default();
        let found = write.reader.get(("", "v1", "namespaces"), None, namespace).await?;
        let found = found.and_then(|json| serde_json::from_slice::<Namespace>(&json).ok());
        let labels = found.and_then(|namespace| namespace.metadata.labels).unwrap_or_default();
        if labels.get(LABEL).map(String::as_str) == Some("true") {
            return Ok(());
        }
        let why = format!("admin access to devices requires the `{LABEL}: true` label on the containing namespace");
        Err(ApiError::invalid(write.resource, write.name, &[Error::forbidden(&path, &why)]))
    }
}

/// The first request for such access.
fn asks(spec: &ResourceClaimSpec, path: &Path) -> Option<Path> {
    let mut requests = spec.devices.iter().flat_map(|devices| devices.requests.iter().flatten());
    let index = requests
        .position(|request| request.exactly.as_ref().is_some_and(|exactly| exactly.admin_access == Some(true)))?;
    Some(path.child("devices").child("requests").index(index).child("exactly").child("adminAccess"))
}
