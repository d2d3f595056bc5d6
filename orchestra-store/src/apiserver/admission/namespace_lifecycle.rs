use async_trait::async_trait;
use memchr::memmem;
use serde::{Deserialize, de::IgnoredAny};

use super::{Admission, Admitted, ApiError, Operation};

/// The namespaces that a cluster cannot be without.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

/// Nothing is created in a namespace that is absent or terminating, and the system's own namespaces stay.
pub(super) struct NamespaceLifecycle;

/// Whether a namespace is being deleted. A live one, which most are, is told without reading its JSON.
fn is_terminating(json: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Namespace {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Metadata {
        deletion_timestamp: Option<IgnoredAny>,
    }
    memmem::find(json, b"deletionTimestamp").is_some()
        && serde_json::from_slice::<Namespace>(json).is_ok_and(|found| found.metadata.deletion_timestamp.is_some())
}

#[async_trait]
impl Admission for NamespaceLifecycle {
    async fn admit(&self, write: &mut Admitted<'_>) -> Result<(), ApiError> {
        let is_namespace = write.resource.group.is_empty() && write.resource.plural == "namespaces";
        if write.operation == Operation::Delete {
            if is_namespace && IMMORTAL.contains(&write.name) {
                return Err(ApiError::forbidden(write.resource, write.name, "this namespace may not be deleted"));
            }
            return Ok(());
        }
        if write.operation != Operation::Create {
            return Ok(());
        }
        let Some(namespace) = write.ctx.namespace.as_deref() else { return Ok(()) };
        let Some(row) = write.reader.0.registry.find("", "v1", "namespaces") else { return Ok(()) };
        let Some(found) = write.reader.0.stored(&row, &row.key(None, namespace)).await? else {
            return Err(ApiError::not_found(&row, namespace));
        };
        if !is_terminating(&found.value) {
            return Ok(());
        }
        let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
        Err(ApiError::forbidden(write.resource, write.name, &why).with_cause(
            "NamespaceTerminating",
            format!("namespace {namespace} is being terminated"),
            "metadata.namespace",
        ))
    }
}
