//! The objects that every cluster has from the start.

use serde_json::{Value, json};

use super::{
    ApiError,
    kinds::{self, service::ServiceRanges},
    server::{Shared, StartError},
    status::Reason,
    verbs,
};

pub(super) async fn run(shared: &Shared, ranges: ServiceRanges) -> Result<(), StartError> {
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        create(shared, ("", "v1", "namespaces"), None, &namespace).await?;
    }
    // How containers reach the API server, at the first address of services.
    let ports = json!([{"name": "https", "port": 443, "targetPort": 6443}]);
    let labels = json!({"component": "apiserver", "provider": "kubernetes"});
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "kubernetes", "labels": labels},
        "spec": {"clusterIP": ranges.first_address(), "ports": ports}});
    create(shared, ("", "v1", "services"), Some("default"), &service).await?;
    for class in kinds::priority_class::builtins() {
        let class = serde_json::to_value(&class).unwrap_or_default();
        create(shared, ("scheduling.k8s.io", "v1", "priorityclasses"), None, &class).await?;
    }
    Ok(())
}

/// Creates an object unless it is there; a table without its kind has no use for it.
async fn create(
    shared: &Shared,
    (group, version, plural): (&str, &str, &str),
    namespace: Option<&str>,
    object: &Value,
) -> Result<(), StartError> {
    let Some(resource) = shared.registry.find(group, version, plural) else { return Ok(()) };
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let path = resource.key(namespace, name);
    let created = async {
        if shared.stored(&resource, &path).await?.is_some() {
            return Ok(());
        }
        let body = serde_json::to_vec(object).map_err(ApiError::internal)?;
        verbs::create::internal(shared, &resource, namespace, &body).await
    };
    match created.await {
        Err(error) if error.reason() != Some(Reason::AlreadyExists) => Err(StartError::Bootstrap { path, error }),
        _ => Ok(()),
    }
}
