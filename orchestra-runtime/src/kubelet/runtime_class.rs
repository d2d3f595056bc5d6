//! Which of the runtime's configurations a pod runs with (`pkg/kubelet/runtimeclass`).

use k8s_openapi::api::{core::v1::Pod, node::v1::RuntimeClass};
use kube::{Api, Client};

/// Why a pod's class is not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClassError {
    /// In the API server's words.
    #[error("runtimeclass.node.k8s.io {0:?} not found")]
    NotFound(String),
    #[error("failed to lookup RuntimeClass {0}: {1}")]
    Unknown(String, Box<kube::Error>),
}

/// The handler of the pod's class; empty, which is the runtime's default, if it names none.
pub(super) async fn handler(client: &Client, pod: &Pod) -> Result<String, ClassError> {
    let class = pod.spec.as_ref().and_then(|spec| spec.runtime_class_name.as_deref()).unwrap_or_default();
    if class.is_empty() {
        return Ok(String::new());
    }
    match Api::<RuntimeClass>::all(client.clone()).get_opt(class).await {
        Ok(Some(found)) => Ok(found.handler),
        Ok(None) => Err(ClassError::NotFound(class.to_owned())),
        Err(error) => Err(ClassError::Unknown(class.to_owned(), Box::new(error))),
    }
}
