//! Static pods: those that a node runs because a file of its own says so. In the API they have a mirror, which only shows them.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{EnvFromSource, EnvVarSource, Pod, PodSpec, Volume, VolumeProjection},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::{row, validation};
use crate::apiserver::{
    decode::{self, DecodeError},
    field::{Error, Errors, Path},
    metadata,
};

/// The annotation of a mirror: the hash of the pod that it shows.
pub const MIRROR: &str = "kubernetes.io/config.mirror";

/// Whether the pod only shows a pod that a node runs by itself.
pub fn is_mirror(metadata: &ObjectMeta) -> bool {
    metadata.annotations.as_ref().is_some_and(|all| all.contains_key(MIRROR))
}

/// The pod that is written in this JSON, or what is wrong in Kubernetes' words.
pub fn read(json: &str) -> Result<Pod, DecodeError> {
    decode::typed(json.as_bytes(), &[]).map(|(pod, _)| pod)
}

/// Fills in what a pod leaves out that does not come through the API, and tells what is wrong with it, as if it were created there.
pub fn complete(pod: &mut Pod) -> Errors {
    super::defaults::pod(pod.spec.get_or_insert_default());
    let mut errors = metadata::validate(&row(), &pod.metadata);
    errors.extend(validation::create(pod));
    errors
}

/// The resource of the API that the pod refers to, if there is one: `secrets`. A static pod may not, as it must run without the API
/// (`HasAPIObjectReference`).
pub fn api_reference(spec: &PodSpec) -> Option<&'static str> {
    let has_account = spec.service_account_name.as_deref().is_some_and(|name| !name.is_empty());
    match () {
        () if has_account => Some("serviceaccounts"),
        () if refers_to_secrets(spec) => Some("secrets"),
        () if refers_to_config_maps(spec) => Some("configmaps"),
        () if spec.resource_claims.as_ref().is_some_and(|claims| !claims.is_empty()) => Some("resourceclaims"),
        () => spec.volumes.iter().flatten().find_map(of_volume),
    }
}

/// Whether the pod uses a secret.
pub(in crate::apiserver) fn refers_to_secrets(spec: &PodSpec) -> bool {
    is_in_env(spec, |from| from.secret_ref.is_some(), |source| source.secret_key_ref.is_some())
        || spec.image_pull_secrets.as_ref().is_some_and(|secrets| !secrets.is_empty())
        || spec.volumes.iter().flatten().any(|volume| has_secret(volume) || projects(volume, |p| p.secret.is_some()))
}

fn refers_to_config_maps(spec: &PodSpec) -> bool {
    let is_mounted =
        |volume: &Volume| volume.config_map.is_some() || projects(volume, |source| source.config_map.is_some());
    is_in_env(spec, |from| from.config_map_ref.is_some(), |source| source.config_map_key_ref.is_some())
        || spec.volumes.iter().flatten().any(is_mounted)
}

/// Whether variables of a container come from such a source, all of them or one.
fn is_in_env(spec: &PodSpec, all: impl Fn(&EnvFromSource) -> bool, one: impl Fn(&EnvVarSource) -> bool) -> bool {
    let mut containers = spec.init_containers.iter().flatten().chain(&spec.containers);
    containers.any(|container| {
        let mut sources = container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref());
        container.env_from.iter().flatten().any(&all) || sources.any(&one)
    })
}

fn has_secret(volume: &Volume) -> bool {
    let drivers = [
        volume.csi.as_ref().is_some_and(|csi| csi.node_publish_secret_ref.is_some()),
        volume.flex_volume.as_ref().is_some_and(|flex| flex.secret_ref.is_some()),
        volume.cephfs.as_ref().is_some_and(|ceph| ceph.secret_ref.is_some()),
        volume.cinder.as_ref().is_some_and(|cinder| cinder.secret_ref.is_some()),
        volume.iscsi.as_ref().is_some_and(|iscsi| iscsi.secret_ref.is_some()),
        volume.rbd.as_ref().is_some_and(|rbd| rbd.secret_ref.is_some()),
        volume.scale_io.is_some(),
        volume.storageos.as_ref().is_some_and(|storage_os| storage_os.secret_ref.is_some()),
        volume.azure_file.is_some(),
    ];
    volume.secret.is_some() || drivers.contains(&true)
}

/// Whether a projected volume has such a source.
pub(in crate::apiserver) fn projects(volume: &Volume, is_it: impl Fn(&VolumeProjection) -> bool) -> bool {
    volume.projected.iter().flat_map(|projected| &projected.sources).flatten().any(is_it)
}

fn of_volume(volume: &Volume) -> Option<&'static str> {
    match () {
        () if volume.csi.is_some() => Some("csidrivers (via CSI volumes)"),
        () if volume.glusterfs.is_some() => Some("endpoints (via glusterFS volumes)"),
        () if volume.persistent_volume_claim.is_some() => Some("persistentvolumeclaims"),
        () if volume.ephemeral.is_some() => Some("persistentvolumeclaims (via ephemeral volumes)"),
        () if projects(volume, |source| source.service_account_token.is_some()) => {
            Some("serviceaccounts (via projected volumes)")
        }
        () if projects(volume, |source| source.cluster_trust_bundle.is_some()) => Some("clustertrustbundles"),
        () if projects(volume, |source| source.pod_certificate.is_some()) => Some("podcertificates"),
        () => None,
    }
}

/// Checks what annotations of Kubernetes' own say of a pod (`ValidatePodSpecificAnnotations`).
pub(super) fn annotations(pod: &Pod) -> Errors {
    let bound = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).is_some_and(|node| !node.is_empty());
    let hash = pod.metadata.annotations.as_ref().and_then(|all| all.get(MIRROR)).filter(|_| !bound);
    let why = "must set spec.nodeName if mirror pod annotation is set";
    hash.map(|hash| Error::invalid(&path(), hash, why)).into_iter().collect()
}

/// Checks a change of them: a pod is a mirror from its first moment to its last.
pub(super) fn annotation_changes(new: &ObjectMeta, old: &ObjectMeta) -> Errors {
    fn of(metadata: &ObjectMeta) -> Option<&String> {
        metadata.annotations.as_ref().and_then(|all: &BTreeMap<_, _>| all.get(MIRROR))
    }
    match (of(old), of(new)) {
        (None, Some(_)) => vec![Error::forbidden(&path(), "may not add mirror pod annotation")],
        (old @ Some(_), new) if old != new => {
            vec![Error::forbidden(&path(), "may not remove or update mirror pod annotation")]
        }
        _ => Errors::new(),
    }
}

fn path() -> Path {
    Path::new("metadata").child("annotations").key(MIRROR)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::apiserver::kinds::testing::{object, texts};

    fn pod(annotations: Value, spec: Value) -> Pod {
        object(json!({ "metadata": { "name": "p", "annotations": annotations }, "spec": spec }))
    }

    #[test]
    fn a_mirror_is_bound_and_stays_one() {
        let (none, some, other) = (json!({}), json!({ MIRROR: "a" }), json!({ MIRROR: "b" }));
        let bound = |annotations: &Value| pod(annotations.clone(), json!({ "containers": [], "nodeName": "n" }));
        assert!(annotations(&bound(&some)).is_empty());
        let path = "metadata.annotations[kubernetes.io/config.mirror]";
        assert_eq!(
            texts(&annotations(&pod(some.clone(), json!({ "containers": [] })))),
            [format!("{path}: Invalid value: \"a\": must set spec.nodeName if mirror pod annotation is set")]
        );
        for (old, new, why) in [
            (&none, &some, Some("may not add mirror pod annotation")),
            (&some, &none, Some("may not remove or update mirror pod annotation")),
            (&some, &other, Some("may not remove or update mirror pod annotation")),
            (&some, &some, None),
            (&none, &none, None),
        ] {
            let errors = texts(&annotation_changes(&bound(new).metadata, &bound(old).metadata));
            assert_eq!(errors, Vec::from_iter(why.map(|why| format!("{path}: Forbidden: {why}"))));
        }
    }

    #[test]
    fn what_a_pod_refers_to_in_the_api_is_named() {
        let env =
            |source: Value| json!({ "containers": [{ "name": "c", "env": [{ "name": "A", "valueFrom": source }] }] });
        let volume = |source: Value| json!({ "containers": [], "volumes": [source] });
        let projected = |source: Value| volume(json!({ "name": "v", "projected": { "sources": [source] } }));
        for (spec, resource) in [
            (json!({ "containers": [] }), None),
            (volume(json!({ "name": "v", "hostPath": { "path": "/x" } })), None),
            (projected(json!({ "downwardAPI": {} })), None),
            (json!({ "containers": [], "serviceAccountName": "x" }), Some("serviceaccounts")),
            (json!({ "containers": [], "imagePullSecrets": [{ "name": "x" }] }), Some("secrets")),
            (env(json!({ "secretKeyRef": { "name": "x", "key": "y" } })), Some("secrets")),
            (env(json!({ "configMapKeyRef": { "name": "x", "key": "y" } })), Some("configmaps")),
            (volume(json!({ "name": "v", "secret": { "secretName": "x" } })), Some("secrets")),
            (volume(json!({ "name": "v", "configMap": { "name": "x" } })), Some("configmaps")),
            (projected(json!({ "configMap": { "name": "x" } })), Some("configmaps")),
            (
                projected(json!({ "serviceAccountToken": { "path": "x" } })),
                Some("serviceaccounts (via projected volumes)"),
            ),
            (
                volume(json!({ "name": "v", "persistentVolumeClaim": { "claimName": "x" } })),
                Some("persistentvolumeclaims"),
            ),
        ] {
            let pod = pod(json!({}), spec.clone());
            assert_eq!(api_reference(pod.spec.as_ref().unwrap()), resource, "{spec}");
        }
    }
}
