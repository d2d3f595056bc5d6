//! Claims of persistent volumes, as far as these lie on the node: of the types hostPath and local.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::Api;

use super::{
    VolumeError,
    plan::{Plan, Subject},
};

/// What the volume `volume` is to be, which stands for a claim.
pub(super) async fn plan(of: &Subject<'_>, volume: &str, claim: &str, read_only: bool) -> Result<Plan, VolumeError> {
    let waits = |why: String| VolumeError {
        message: format!(
            "Unable to attach or mount volumes: unmounted volumes=[{volume}], unattached volumes=[], failed to process \
             volumes=[{volume}]: error processing PVC {}/{claim}: {why}",
            of.namespace
        ),
        whole: true,
    };
    let client = || of.context.client.clone();
    let found = Api::<PersistentVolumeClaim>::namespaced(client(), of.namespace).get(claim).await;
    let found = found.map_err(|error| waits(format!("failed to fetch PVC from API server: {}", told(error))))?;
    if found.metadata.deletion_timestamp.is_some() {
        return Err(waits("PVC is being deleted".to_owned()));
    }
    let spec = found.spec.unwrap_or_default();
    let bound = found.status.and_then(|status| status.phase).as_deref() == Some("Bound");
    let name = spec.volume_name.filter(|name| bound && !name.is_empty());
    let name = name.ok_or_else(|| waits("PVC is not bound".to_owned()))?;
    let persistent = Api::<PersistentVolume>::all(client()).get(&name).await;
    let persistent =
        persistent.map_err(|error| waits(format!("failed to fetch PV {name} from API server: {}", told(error))))?;
    of_volume(&name, persistent, found.metadata.uid.as_deref(), read_only).map_err(|error| match error.whole {
        true => waits(error.message),
        false => error,
    })
}

/// What a bound volume is to be. Errors that are whole are about the binding.
fn of_volume(name: &str, volume: PersistentVolume, claim: Option<&str>, read_only: bool) -> Result<Plan, VolumeError> {
    let spec = volume.spec.unwrap_or_default();
    let bound_to = spec.claim_ref.as_ref().and_then(|claim| claim.uid.as_deref());
    if bound_to != claim {
        let message = format!("found PV object {name} with its claim bound to another PVC");
        return Err(VolumeError { message, whole: true });
    }
    if spec.volume_mode.as_deref() == Some("Block") {
        return Err(VolumeError::new("volumes of mode Block are not supported by this kubelet"));
    }
    if let Some(source) = spec.host_path {
        let kind = source.type_.unwrap_or_default();
        return Ok(Plan::Host { path: source.path.into(), kind, read_only, for_group: false });
    }
    if let Some(source) = spec.local {
        return Ok(Plan::Host { path: source.path.into(), kind: "Directory".to_owned(), read_only, for_group: true });
    }
    let kind = if spec.csi.is_some() {
        "csi"
    } else if spec.nfs.is_some() {
        "nfs"
    } else {
        "other than hostPath and local"
    };
    Err(VolumeError::new(format!("persistent volumes of type {kind} are not supported by this kubelet")))
}

fn told(error: kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(spec: Value) -> Result<String, String> {
        let volume = serde_json::from_value(json!({ "spec": spec })).unwrap();
        let plan = of_volume("pv", volume, Some("u"), false).map_err(|error| error.to_string())?;
        let Plan::Host { path, kind, for_group, .. } = plan else { return Err("no path".to_owned()) };
        Ok(format!("{} {kind} {for_group}", path.display()))
    }

    #[test]
    fn volumes_of_the_node_are_found() {
        let claim = json!({ "uid": "u" });
        let host = json!({ "claimRef": claim, "hostPath": { "path": "/a", "type": "DirectoryOrCreate" } });
        assert_eq!(of(host).unwrap(), "/a DirectoryOrCreate false");
        assert_eq!(of(json!({ "claimRef": claim, "local": { "path": "/b" } })).unwrap(), "/b Directory true");
        for (spec, message) in [
            (json!({ "local": { "path": "/b" } }), "found PV object pv with its claim bound to another PVC"),
            (
                json!({ "claimRef": claim, "volumeMode": "Block", "local": { "path": "/b" } }),
                "volumes of mode Block are not supported by this kubelet",
            ),
            (
                json!({ "claimRef": claim, "nfs": { "path": "/", "server": "s" } }),
                "persistent volumes of type nfs are not supported by this kubelet",
            ),
        ] {
            assert_eq!(of(spec).unwrap_err(), message);
        }
    }
}
