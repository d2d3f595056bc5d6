//! Brings one container up: fetch its image, create it, start it; with Kubernetes' events.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod};
use orchestra_core::{
    container_runtime::{
        ContainerConfig, ContainerFilter, ContainerId, ContainerMetadata, ContainerSecurity, ContainerStatus,
        ImageSpec, RuntimeError, SandboxConfig, SandboxFilter, SandboxId, SandboxStatus, labels,
    },
    event_recorder::EventType::{Normal, Warning},
};
use tokio::time::Instant;

use super::{
    Context,
    events::{PodEvents, go_duration},
    pod::{image, is_init, is_sidecar},
};

/// Why a container did not come up.
pub(super) enum LaunchError {
    /// Its image is not to be had: the reason to show, and a message.
    Image(&'static str, String),
    /// It could not be created or started: the reason to show, and a message.
    Container(&'static str, String),
    /// The runtime does not answer.
    Unavailable,
}

/// The labels by which a pod's sandbox and containers are found again.
pub(super) fn pod_labels(pod: &Pod) -> BTreeMap<String, String> {
    let metadata = &pod.metadata;
    let label = |name: &str, value: &Option<String>| (name.to_owned(), value.clone().unwrap_or_default());
    BTreeMap::from([
        label(labels::POD_NAME, &metadata.name),
        label(labels::POD_NAMESPACE, &metadata.namespace),
        label(labels::POD_UID, &metadata.uid),
    ])
}

pub(super) async fn launch(
    context: &Context,
    pod: &Pod,
    container: &Container,
    sandbox: &SandboxId,
    attempt: u32,
) -> Result<ContainerStatus, LaunchError> {
    let events = PodEvents { recorder: &context.recorder, pod };
    let image = image(container);
    ensure_image(context, &events, container, &image).await?;
    let runtime = &context.runtime;
    let config = config(pod, container, image, attempt);
    let failed = |reason: &'static str, error: RuntimeError| {
        if matches!(error, RuntimeError::Unavailable(_)) {
            return LaunchError::Unavailable;
        }
        events.container(container, Warning, "Failed", format!("Error: {error}"));
        LaunchError::Container(reason, error.to_string())
    };
    let id = create(context, sandbox, config).await.map_err(|error| failed("CreateContainerError", error))?;
    events.container(container, Normal, "Created", "Container created");
    if let Err(error) = runtime.start_container(&id).await {
        // Its name and attempt are free again for the next try. If that fails, the next try finds it.
        let _ = runtime.remove_container(&id).await;
        return Err(failed("RunContainerError", error));
    }
    events.container(container, Normal, "Started", "Container started");
    runtime.container_status(&id).await.map_err(|error| failed("RunContainerError", error))
}

/// Creates a container, or finds the one that an earlier call made whose answer was lost.
async fn create(context: &Context, sandbox: &SandboxId, config: ContainerConfig) -> Result<ContainerId, RuntimeError> {
    let metadata = config.metadata.clone();
    match context.runtime.create_container(sandbox, config).await {
        Err(RuntimeError::AlreadyExists { kind, name }) => {
            let filter = ContainerFilter { sandbox: Some(sandbox.clone()), ..ContainerFilter::default() };
            let all = context.runtime.list_containers(filter).await?;
            let found = all.into_iter().find(|container| container.metadata == metadata);
            found.map(|container| container.id).ok_or(RuntimeError::AlreadyExists { kind, name })
        }
        other => other,
    }
}

/// Runs a sandbox, or finds the one that an earlier call made whose answer was lost.
pub(super) async fn run_sandbox(context: &Context, config: SandboxConfig) -> Result<SandboxStatus, RuntimeError> {
    let runtime = &context.runtime;
    let (metadata, labels) = (config.metadata.clone(), config.labels.clone());
    let id = match runtime.run_pod_sandbox(config).await {
        Err(RuntimeError::AlreadyExists { kind, name }) => {
            let all = runtime.list_pod_sandboxes(SandboxFilter { labels, ..SandboxFilter::default() }).await?;
            let found = all.into_iter().find(|sandbox| sandbox.metadata == metadata);
            found.map(|sandbox| sandbox.id).ok_or(RuntimeError::AlreadyExists { kind, name })?
        }
        other => other?,
    };
    runtime.pod_sandbox_status(&id).await
}

async fn ensure_image(
    context: &Context,
    events: &PodEvents<'_>,
    container: &Container,
    image: &ImageSpec,
) -> Result<(), LaunchError> {
    let runtime = &context.runtime;
    let name = container.image.as_deref().unwrap_or_default();
    let policy = container.image_pull_policy.as_deref().unwrap_or("IfNotPresent");
    if policy != "Always" {
        match runtime.image_status(image).await {
            Ok(Some(_)) => {
                let message =
                    format!("Container image {name:?} already present on machine and can be accessed by the pod");
                events.container(container, Normal, "Pulled", message);
                return Ok(());
            }
            Ok(None) => {}
            Err(RuntimeError::Unavailable(_)) => return Err(LaunchError::Unavailable),
            Err(error) => {
                let message = format!("Failed to inspect image {name:?}: {error}");
                events.container(container, Warning, "InspectFailed", message.clone());
                events.container(container, Warning, "Failed", "Error: ImageInspectError");
                return Err(LaunchError::Image("ImageInspectError", message));
            }
        }
    }
    if policy == "Never" {
        let message = format!("Container image {name:?} is not present with pull policy of Never");
        events.container(container, Warning, "ErrImageNeverPull", message.clone());
        events.container(container, Warning, "Failed", "Error: ErrImageNeverPull");
        return Err(LaunchError::Image("ErrImageNeverPull", message));
    }
    pull(context, events, container, image, name).await
}

async fn pull(
    context: &Context,
    events: &PodEvents<'_>,
    container: &Container,
    image: &ImageSpec,
    name: &str,
) -> Result<(), LaunchError> {
    events.container(container, Normal, "Pulling", format!("Pulling image {name:?}"));
    let begun = Instant::now();
    match context.runtime.pull_image(image, None).await {
        Ok(_) => {
            let time = go_duration(begun.elapsed());
            let size = context.runtime.image_status(image).await.ok().flatten().map_or(0, |image| image.size);
            let message = format!(
                "Successfully pulled image {name:?} in {time} ({time} including waiting). Image size: {size} bytes."
            );
            events.container(container, Normal, "Pulled", message);
            Ok(())
        }
        Err(RuntimeError::Unavailable(_)) => Err(LaunchError::Unavailable),
        Err(error) => {
            events.container(container, Warning, "Failed", format!("Failed to pull image {name:?}: {error}"));
            events.container(container, Warning, "Failed", "Error: ErrImagePull");
            Err(LaunchError::Image("ErrImagePull", error.to_string()))
        }
    }
}

fn config(pod: &Pod, container: &Container, image: ImageSpec, attempt: u32) -> ContainerConfig {
    let mut labels = pod_labels(pod);
    labels.insert(labels::CONTAINER_NAME.to_owned(), container.name.clone());
    if is_init(pod, container) && !is_sidecar(container) {
        labels.insert(labels::CONTAINER_TYPE.to_owned(), "init".to_owned());
    }
    let security = container.security_context.as_ref();
    let env = container.env.iter().flatten().filter(|variable| variable.value_from.is_none());
    ContainerConfig {
        metadata: ContainerMetadata { name: container.name.clone(), attempt },
        image,
        command: container.command.clone().unwrap_or_default(),
        args: container.args.clone().unwrap_or_default(),
        working_dir: container.working_dir.clone().unwrap_or_default(),
        env: env.map(|variable| (variable.name.clone(), variable.value.clone().unwrap_or_default())).collect(),
        labels,
        security: ContainerSecurity {
            privileged: security.and_then(|security| security.privileged).unwrap_or(false),
            readonly_rootfs: security.and_then(|security| security.read_only_root_filesystem).unwrap_or(false),
            ..ContainerSecurity::default()
        },
        stdin: container.stdin.unwrap_or(false),
        tty: container.tty.unwrap_or(false),
        ..ContainerConfig::default()
    }
}
