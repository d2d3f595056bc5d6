//! Admission: what may change or refuse a write before it is validated. One file a plugin, in Kubernetes' order.

mod claim_resize;
mod default_ingress_class;
mod default_storage_class;
mod device_admin_access;
mod limit_ranger;
mod namespace_lifecycle;
mod priority;
mod runtime_class;
mod service_account;
mod storage_object_in_use;
mod taint_nodes_by_condition;
mod toleration_seconds;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::{ApiError, object::Object, registry::Resource, server::Shared, strategy::RequestContext};
use crate::cache::Freshness;

/// What a plugin judges.
pub struct Admitted<'a> {
    /// The row.
    pub resource: &'a Resource,
    /// The operation.
    pub operation: Operation,
    /// The object's name; empty if it is to be generated.
    pub name: &'a str,
    /// The object to be written, which the plugin may change; `None` for a deletion.
    pub object: Option<&'a mut dyn Object>,
    /// What is known of the request.
    pub ctx: &'a RequestContext,
    /// For looking at other objects.
    pub reader: Reader<'a>,
}

/// What is done to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// It is created.
    Create,
    /// It is changed, other than by its `status`.
    Update,
    /// It is deleted.
    Delete,
}

/// Reads other objects for a plugin.
#[derive(Clone, Copy)]
pub struct Reader<'a>(pub(super) &'a Shared);

impl Reader<'_> {
    /// The stored JSON of an object, as new as the store; `None` if it does not exist or its kind is not served.
    pub async fn get(
        &self,
        (group, version, plural): (&str, &str, &str),
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Bytes>, ApiError> {
        let Some(resource) = self.0.registry.find(group, version, plural) else { return Ok(None) };
        Ok(self.0.stored(&resource, &resource.key(namespace, name)).await?.map(|stored| stored.value))
    }

    /// The stored JSON of all objects of a cluster-scoped kind. Any state that is not older than revision 0 is what
    /// Kubernetes' plugins go by, which ask their informers, and costs least.
    pub async fn list(&self, kind: (&str, &str, &str), freshness: Freshness) -> Result<Vec<Bytes>, ApiError> {
        self.list_in(kind, None, freshness).await
    }

    /// The stored JSON of the objects of a kind in a namespace; in all namespaces, if none is named.
    pub async fn list_in(
        &self,
        (group, version, plural): (&str, &str, &str),
        namespace: Option<&str>,
        freshness: Freshness,
    ) -> Result<Vec<Bytes>, ApiError> {
        let Some(resource) = self.0.registry.find(group, version, plural) else { return Ok(Vec::new()) };
        let snapshot = self.0.cache(&resource).read(freshness).await?;
        let range = orchestra_core::store::KeyRange::prefix(&resource.prefix(namespace));
        Ok(snapshot.range(&range).map(|entry| entry.value.clone()).collect())
    }
}

/// Changes or refuses writes.
#[async_trait]
pub trait Admission: Send + Sync + 'static {
    /// Lets the write pass, perhaps changed, or answers with an error.
    async fn admit(&self, write: &mut Admitted<'_>) -> Result<(), ApiError>;
}

/// The plugins that Kubernetes enables and that the kinds served here need.
pub fn kubernetes() -> Vec<Arc<dyn Admission>> {
    vec![
        Arc::new(namespace_lifecycle::NamespaceLifecycle),
        Arc::new(limit_ranger::LimitRanger),
        Arc::new(service_account::ServiceAccounts),
        Arc::new(taint_nodes_by_condition::TaintNodesByCondition),
        Arc::new(priority::Priority),
        Arc::new(toleration_seconds::DefaultTolerationSeconds),
        Arc::new(default_storage_class::DefaultStorageClass),
        Arc::new(storage_object_in_use::StorageObjectInUseProtection),
        Arc::new(claim_resize::ClaimResize),
        Arc::new(runtime_class::RuntimeClasses),
        Arc::new(default_ingress_class::DefaultIngressClass),
        Arc::new(device_admin_access::DeviceAdminAccess),
    ]
}

/// Runs all plugins over a write.
pub(super) async fn admit(
    shared: &Shared,
    resource: &Resource,
    operation: Operation,
    name: &str,
    mut object: Option<&mut dyn Object>,
    ctx: &RequestContext,
) -> Result<(), ApiError> {
    for plugin in &shared.admission {
        // The object is lent to one plugin after the other.
        let object: Option<&mut dyn Object> = match object.as_mut() {
            Some(object) => Some(&mut **object),
            None => None,
        };
        plugin.admit(&mut Admitted { resource, operation, name, object, ctx, reader: Reader(shared) }).await?;
    }
    Ok(())
}
