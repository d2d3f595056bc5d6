//! Finalizers of objects that controllers hold and let go.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Whether the finalizer holds the object.
pub(super) fn has(metadata: &ObjectMeta, finalizer: &str) -> bool {
    metadata.finalizers.iter().flatten().any(|held| held == finalizer)
}

/// Adds the finalizer.
pub(super) fn add(metadata: &mut ObjectMeta, finalizer: &str) {
    if !has(metadata, finalizer) {
        metadata.finalizers.get_or_insert_default().push(finalizer.to_owned());
    }
}

/// Takes the finalizer away.
pub(super) fn remove(metadata: &mut ObjectMeta, finalizer: &str) {
    metadata.finalizers.iter_mut().for_each(|all| all.retain(|held| held != finalizer));
}
