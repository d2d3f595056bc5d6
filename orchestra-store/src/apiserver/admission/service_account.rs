use std::any::Any;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{
    ConfigMapProjection, DownwardAPIProjection, DownwardAPIVolumeFile, KeyToPath, ObjectFieldSelector, Pod, PodSpec,
    ProjectedVolumeSource, ServiceAccount, ServiceAccountTokenProjection, Volume, VolumeMount, VolumeProjection,
};

use super::{Admission, Admitted, ApiError, Operation};
use crate::apiserver::{decode, kinds::pod::mirror};

const DEFAULT: &str = "default";
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Gives each pod a service account and mounts its token.
///
/// Unlike Kubernetes it does not wait for the namespace's account `default` to be there: a pod that names no account is admitted
/// also where no controller makes accounts.
pub(super) struct ServiceAccounts;

#[async_trait]
impl Admission for ServiceAccounts {
    async fn admit(&self, write: &mut Admitted<'_>) -> Result<(), ApiError> {
        if write.operation != Operation::Create {
            return Ok(());
        }
        let Some(object) = write.object.as_deref_mut() else { return Ok(()) };
        let Some(pod) = (object as &mut dyn Any).downcast_mut::<Pod>() else { return Ok(()) };
        if mirror::is_mirror(&pod.metadata) {
            let refused = pod.spec.as_ref().and_then(not_for_mirrors);
            return refused.map_or(Ok(()), |why| Err(ApiError::forbidden(write.resource, write.name, why)));
        }
        let Some(spec) = pod.spec.as_mut() else { return Ok(()) };
        let named = spec.service_account_name.clone().filter(|name| !name.is_empty());
        let name = named.unwrap_or_else(|| DEFAULT.to_owned());
        let namespace = write.ctx.namespace.as_deref();
        let account = write.reader.get(("", "v1", "serviceaccounts"), namespace, &name).await?;
        if account.is_none() && name != DEFAULT {
            let place = namespace.unwrap_or_default();
            let why = format!("error looking up service account {place}/{name}: serviceaccount {name:?} not found");
            return Err(ApiError::forbidden(write.resource, write.name, &why));
        }
        let account: Option<ServiceAccount> = account.and_then(|json| decode::stored(&json).ok());
        spec.service_account = Some(name.clone());
        spec.service_account_name = Some(name);
        let account_mounts = account.as_ref().and_then(|account| account.automount_service_account_token);
        if spec.automount_service_account_token.or(account_mounts) != Some(false) {
            mount_token(spec, &write.reader.0.generator);
        }
        let secrets = account.and_then(|account| account.image_pull_secrets);
        if spec.image_pull_secrets.as_ref().is_none_or(Vec::is_empty) {
            spec.image_pull_secrets = secrets.filter(|secrets| !secrets.is_empty());
        }
        Ok(())
    }
}

/// Why a mirror of this spec is refused: it only shows a pod that a node runs by itself, which nobody gives secrets to.
fn not_for_mirrors(spec: &PodSpec) -> Option<&'static str> {
    let has_account = spec.service_account_name.as_deref().is_some_and(|name| !name.is_empty());
    let has_token = |volume: &Volume| mirror::projects(volume, |source| source.service_account_token.is_some());
    match () {
        () if has_account => Some("a mirror pod may not reference service accounts"),
        () if mirror::refers_to_secrets(spec) => Some("a mirror pod may not reference secrets"),
        () if spec.volumes.iter().flatten().any(has_token) => {
            Some("a mirror pod may not use ServiceAccountToken volume projections")
        }
        () => None,
    }
}

fn mount_token(spec: &mut PodSpec, generator: &orchestra_core::random::Generator) {
    let containers = spec.init_containers.iter_mut().flatten().chain(&mut spec.containers);
    let bare: Vec<_> = containers
        .filter(|container| container.volume_mounts.iter().flatten().all(|mount| mount.mount_path != MOUNT_PATH))
        .collect();
    if bare.is_empty() {
        return;
    }
    let name = format!("kube-api-access-{}", generator.name_suffix(5));
    for container in bare {
        container.volume_mounts.get_or_insert_default().push(VolumeMount {
            name: name.clone(),
            read_only: Some(true),
            mount_path: MOUNT_PATH.to_owned(),
            ..VolumeMount::default()
        });
    }
    spec.volumes.get_or_insert_default().push(token_volume(name));
}

fn token_volume(name: String) -> Volume {
    let token = VolumeProjection {
        // An hour and some seconds, by which kubelets tell tokens that they made themselves.
        service_account_token: Some(ServiceAccountTokenProjection {
            expiration_seconds: Some(3607),
            path: "token".to_owned(),
            ..ServiceAccountTokenProjection::default()
        }),
        ..VolumeProjection::default()
    };
    let authority = VolumeProjection {
        config_map: Some(ConfigMapProjection {
            name: "kube-root-ca.crt".to_owned(),
            items: Some(vec![KeyToPath { key: "ca.crt".to_owned(), path: "ca.crt".to_owned(), mode: None }]),
            optional: None,
        }),
        ..VolumeProjection::default()
    };
    let namespace = DownwardAPIVolumeFile {
        path: "namespace".to_owned(),
        field_ref: Some(ObjectFieldSelector {
            api_version: Some("v1".to_owned()),
            field_path: "metadata.namespace".to_owned(),
        }),
        ..DownwardAPIVolumeFile::default()
    };
    let namespace = VolumeProjection {
        downward_api: Some(DownwardAPIProjection { items: Some(vec![namespace]) }),
        ..VolumeProjection::default()
    };
    let projected =
        ProjectedVolumeSource { default_mode: Some(0o644), sources: Some(vec![token, authority, namespace]) };
    Volume { name, projected: Some(projected), ..Volume::default() }
}
