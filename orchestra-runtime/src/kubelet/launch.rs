//! Brings one container up: fetch its image, create it, start it; with Kubernetes' events.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

use k8s_openapi::api::core::v1::{Container, Pod};
use orchestra_core::{
    ObjectKey,
    container_runtime::{
        ContainerConfig, ContainerFilter, ContainerId, ContainerState, ContainerStatus, Image, ImageSpec, Mount,
        PidNamespace, RuntimeError, SandboxConfig, SandboxFilter, SandboxId, SandboxStatus,
    },
    event_recorder::EventType::{Normal, Warning},
    go_duration,
};
use tokio::time::Instant;

use super::{
    Context,
    container::{ConfigError, Parts, Surroundings, container_config, environment, log_directory, needs},
    events::PodEvents,
    image_name, keyring, objects,
    pod::image,
    static_pods::is_static,
    volume::{self, Around, Places, PodFolder, mounts},
};

/// Why a container did not come up.
pub(super) enum LaunchError {
    /// Its image is not to be had: the reason to show, and a message.
    Image(&'static str, String),
    /// Its spec makes no container now: a message.
    Config(String),
    /// It could not be created or started: the reason to show, and a message.
    Container(&'static str, String),
    /// It could not be started, and is left behind as one that has ended; with a message.
    Start(Box<ContainerStatus>, String),
    /// It runs, but its postStart hook failed, and why.
    Hook(ContainerId, String),
    /// The runtime does not answer.
    Unavailable,
}

/// The sandbox that a container is for.
pub(super) struct Place<'a> {
    pub(super) sandbox: &'a SandboxId,
    /// The pod's addresses.
    pub(super) ips: &'a [IpAddr],
    /// The container whose processes it is to see, if one is asked for, and if it runs.
    pub(super) target: Option<Option<ContainerId>>,
    /// Where its volumes are.
    pub(super) volumes: Places,
}

pub(super) async fn launch(
    context: &Context,
    pod: &Pod,
    container: &Container,
    place: Place<'_>,
    attempt: u32,
) -> Result<ContainerStatus, LaunchError> {
    let events = PodEvents { recorder: &context.recorder, pod };
    let image = image(container);
    let known_image = ensure_image(context, &events, container, &image).await?;
    let runtime = &context.runtime;
    let config = async {
        let env = variables(context, pod, container, &place).await?;
        let mounts = mounts_of(context, pod, container, &place, &env, attempt).await?;
        let parts = Parts { image, known_image: &known_image, env, mounts, attempt };
        let mut config = container_config(pod, container, &context.config, parts)?;
        match &place.target {
            None => {}
            Some(Some(target)) => config.pid = PidNamespace::Target(target.clone()),
            Some(None) => return Err(ConfigError("unable to find target container".to_owned())),
        }
        Ok(config)
    };
    let config = config.await.map_err(|ConfigError(message)| {
        events.container(container, Warning, "Failed", format!("Error: {message}"));
        LaunchError::Config(message)
    })?;
    let failed = |reason: &'static str, error: RuntimeError| {
        if matches!(error, RuntimeError::Unavailable(_)) {
            return LaunchError::Unavailable;
        }
        events.container(container, Warning, "Failed", format!("Error: {error}"));
        LaunchError::Container(reason, error.to_string())
    };
    let id = create(context, place.sandbox, config).await.map_err(|error| failed("CreateContainerError", error))?;
    events.container(container, Normal, "Created", "Container created");
    if let Err(error) = runtime.start_container(&id).await {
        let failed = failed("RunContainerError", error);
        if let LaunchError::Container(_, message) = &failed
            && let Ok(status) = runtime.container_status(&id).await
            && status.container.state == ContainerState::Exited
        {
            return Err(LaunchError::Start(Box::new(status), message.clone()));
        }
        // Its name and attempt are free again for the next try. If that fails, the next try finds it.
        let _ = runtime.remove_container(&id).await;
        return Err(failed);
    }
    events.container(container, Normal, "Started", "Container started");
    runtime.container_status(&id).await.map_err(|error| failed("RunContainerError", error))
}

/// The environment of a container, with what it refers to as it is now.
async fn variables(
    context: &Context,
    pod: &Pod,
    container: &Container,
    place: &Place<'_>,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
    let mut wanted = needs(container);
    let files = std::mem::take(&mut wanted.files);
    let mut references = objects::fetch(&context.client, namespace, wanted).await;
    if !files.is_empty() {
        references.files = volume::read_files(&place.volumes, files).await;
    }
    // A static pod does not wait for what the API server says.
    if !is_static(pod) {
        context.services.synced().await;
    }
    let mut services = context.services.list_namespace(namespace);
    services.extend(context.services.get(&ObjectKey::namespaced("default", "kubernetes")));
    let surroundings =
        Surroundings { pod, pod_ips: place.ips, node: &context.config, services: &services, references: &references };
    environment(&surroundings, container)
}

/// What is to be mounted into a container: nothing on a simulated node. Its log's folder is made too.
async fn mounts_of(
    context: &Context,
    pod: &Pod,
    container: &Container,
    place: &Place<'_>,
    env: &BTreeMap<String, String>,
    attempt: u32,
) -> Result<Vec<Mount>, ConfigError> {
    let config = &context.config;
    let Some(root) = &config.root else { return Ok(Vec::new()) };
    let failed = |error: &dyn std::fmt::Display| ConfigError(error.to_string());
    if let Some(logs) = &config.pod_logs {
        let folder = PathBuf::from(log_directory(logs, pod)).join(&container.name);
        volume::make_folder(folder).await.map_err(|error| failed(&error))?;
    }
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    let around = Around {
        pod,
        folder: PodFolder::of(root, uid).map_err(|error| failed(&error))?,
        places: &place.volumes,
        env,
        ips: place.ips,
        cluster_domain: &config.cluster_domain,
    };
    mounts(around, container, attempt).await
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
) -> Result<Image, LaunchError> {
    let runtime = &context.runtime;
    let name = container.image.as_deref().unwrap_or_default();
    if let Err(error) = image_name::check(name) {
        let message =
            format!("Failed to apply default image tag {name:?}: couldn't parse image name {name:?}: {error}");
        events.container(container, Warning, "InspectFailed", message.clone());
        events.container(container, Warning, "Failed", "Error: InvalidImageName");
        return Err(LaunchError::Image("InvalidImageName", message));
    }
    let policy = container.image_pull_policy.as_deref().unwrap_or("IfNotPresent");
    if policy != "Always" {
        match runtime.image_status(image).await {
            Ok(Some(image)) => {
                let message =
                    format!("Container image {name:?} already present on machine and can be accessed by the pod");
                events.container(container, Normal, "Pulled", message);
                return Ok(image);
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

/// Fetches an image with the pod's credentials for it, one after the other until one is good; with none if it has none.
async fn fetch(context: &Context, events: &PodEvents<'_>, image: &ImageSpec) -> Result<String, RuntimeError> {
    let (keyring, missing) = keyring::of_pod(context, events.pod).await;
    let mut result = None;
    for auth in keyring.for_image(&image.0) {
        match context.runtime.pull_image(image, Some(auth)).await {
            Err(error @ RuntimeError::ImagePull { .. }) => result = Some(Err(error)),
            other => return other,
        }
    }
    let result = match result {
        Some(result) => result,
        None => context.runtime.pull_image(image, None).await,
    };
    if !missing.is_empty() && matches!(result, Err(RuntimeError::ImagePull { .. })) {
        let names = missing.join(", ");
        let message = format!(
            "Unable to retrieve some image pull secrets ({names}); attempting to pull the image may not succeed."
        );
        events.pod(Warning, "FailedToRetrieveImagePullSecret", message);
    }
    result
}

async fn pull(
    context: &Context,
    events: &PodEvents<'_>,
    container: &Container,
    image: &ImageSpec,
    name: &str,
) -> Result<Image, LaunchError> {
    events.container(container, Normal, "Pulling", format!("Pulling image {name:?}"));
    let begun = Instant::now();
    match fetch(context, events, image).await {
        Ok(_) => {
            let time = go_duration(begun.elapsed());
            let pulled = context.runtime.image_status(image).await.ok().flatten().unwrap_or_default();
            let size = pulled.size;
            let message = format!(
                "Successfully pulled image {name:?} in {time} ({time} including waiting). Image size: {size} bytes."
            );
            events.container(container, Normal, "Pulled", message);
            Ok(pulled)
        }
        Err(RuntimeError::Unavailable(_)) => Err(LaunchError::Unavailable),
        Err(error) => {
            events.container(container, Warning, "Failed", format!("Failed to pull image {name:?}: {error}"));
            events.container(container, Warning, "Failed", "Error: ErrImagePull");
            Err(LaunchError::Image("ErrImagePull", error.to_string()))
        }
    }
}
