//! Volumes of several sources (`pkg/volume/projected`).

use k8s_openapi::api::core::v1::{ProjectedVolumeSource, VolumeProjection};

use super::{
    VolumeError,
    payload::{self, File, Payload, Projection},
    plan::{DEFAULT_MODE, Subject, if_there},
    token::Tokens,
};
use crate::kubelet::{
    container::run_as_user,
    pod::{containers, init_containers},
};

/// The files of all sources. What is wrong with any is told of all.
pub(super) async fn payload(
    of: &Subject<'_>,
    volume: &str,
    source: &ProjectedVolumeSource,
    tokens: &mut Tokens,
) -> Result<Payload, VolumeError> {
    let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
    let (mut payload, mut errors) = (Payload::new(), Vec::new());
    for source in source.sources.iter().flatten() {
        match one(of, volume, source, mode, tokens).await {
            Ok(files) => payload.extend(files),
            Err(error) => errors.push(error.to_string()),
        }
    }
    match errors.as_slice() {
        [] => Ok(payload),
        [error] => Err(VolumeError::new(error)),
        errors => Err(VolumeError::new(format!("[{}]", errors.join(", ")))),
    }
}

async fn one(
    of: &Subject<'_>,
    volume: &str,
    source: &VolumeProjection,
    mode: i32,
    tokens: &mut Tokens,
) -> Result<Payload, VolumeError> {
    let context = of.context;
    if let Some(source) = &source.config_map {
        let optional = source.optional == Some(true);
        let found = context.config_maps.get(of.uid, of.namespace, &source.name).await;
        let projection = Projection { items: source.items.as_deref().unwrap_or_default(), mode, optional };
        return if_there(found, optional)?.map_or_else(|| Ok(Payload::new()), |map| projection.of_config_map(&map));
    }
    if let Some(source) = &source.secret {
        let optional = source.optional == Some(true);
        let found = context.secrets.get(of.uid, of.namespace, &source.name).await;
        let projection = Projection { items: source.items.as_deref().unwrap_or_default(), mode, optional };
        return if_there(found, optional)?.map_or_else(|| Ok(Payload::new()), |secret| projection.of_secret(&secret));
    }
    if let Some(source) = &source.downward_api {
        let files = source.items.as_deref().unwrap_or_default();
        return payload::of_pod(files, of.pod, &context.config.capacity, mode);
    }
    if let Some(source) = &source.service_account_token {
        let token = tokens.get(of, volume, source).await?;
        let owner = common_user(of);
        // Only for those who run as they should: the one user, or the volume's group.
        let mode = if owner.is_some() || group(of).is_some() { 0o600 } else { payload::permissions(mode) };
        let file = File { data: token.into_bytes(), mode, owner };
        return Ok(Payload::from([(source.path.clone(), file)]));
    }
    let kind = match source {
        VolumeProjection { cluster_trust_bundle: Some(_), .. } => "clusterTrustBundle",
        VolumeProjection { pod_certificate: Some(_), .. } => "podCertificate",
        _ => "unknown",
    };
    Err(VolumeError::new(format!("projected sources of type {kind} are not supported by this kubelet")))
}

/// The group that the pod's volumes are given to.
fn group(of: &Subject<'_>) -> Option<i64> {
    of.pod.spec.as_ref()?.security_context.as_ref()?.fs_group
}

/// The user as whom all containers run, if the pod says so.
fn common_user(of: &Subject<'_>) -> Option<u32> {
    let all = containers(of.pod).iter().chain(init_containers(of.pod));
    let mut users = all.map(|container| run_as_user(of.pod, container));
    let first = users.next()??;
    users.all(|user| user == Some(first)).then(|| u32::try_from(first).ok()).flatten()
}
