//! Claims of persistent volumes, as far as these lie on the node: of the types hostPath and local.

use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim};
use kube::Api;
use orchestra_core::persistent_volume::{reaches, volume_name};

use super::{
    VolumeError,
    plan::{Plan, Subject},
};

/// What the volume `volume` is to be, which stands for a claim.
pub(super) async fn plan(of: &Subject<'_>, volume: &str, claim: &str, read_only: bool) -> Result<Plan, VolumeError> {
    let waits = |why: String| {
        VolumeError::whole(format!(
            "Unable to attach or mount volumes: unmounted volumes=[{volume}], unattached volumes=[], failed to process \
             volumes=[{volume}]: error processing PVC {}/{claim}: {why}",
            of.namespace
        ))
    };
    let client = || of.context.client.clone();
    let found = Api::<PersistentVolumeClaim>::namespaced(client(), of.namespace).get(claim).await;
    let found = found.map_err(|error| waits(format!("failed to fetch PVC from API server: {}", told(error))))?;
    let name = bound_to(&found).map_err(|why| waits(why.to_owned()))?;
    let persistent = Api::<PersistentVolume>::all(client()).get(name).await;
    let persistent =
        persistent.map_err(|error| waits(format!("failed to fetch PV {name} from API server: {}", told(error))))?;
    let spec = persistent.spec.as_ref();
    let owner = spec.and_then(|spec| spec.claim_ref.as_ref()).and_then(|claim| claim.uid.as_ref());
    if owner != found.metadata.uid.as_ref() {
        return Err(waits(format!("found PV object {name} with its claim bound to another PVC")));
    }
    check_node(of, name, &persistent).await?;
    of_volume(name, persistent, read_only)
}

/// The volume that a claim is bound to.
fn bound_to(claim: &PersistentVolumeClaim) -> Result<&str, &'static str> {
    if claim.metadata.deletion_timestamp.is_some() {
        return Err("PVC is being deleted");
    }
    let is_bound = claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound");
    volume_name(claim).filter(|_| is_bound).ok_or("PVC is not bound")
}

/// The scheduler sends no pod where its volumes are out of reach; but pods may name their node, and labels of nodes change.
async fn check_node(of: &Subject<'_>, name: &str, volume: &PersistentVolume) -> Result<(), VolumeError> {
    if volume.spec.as_ref().is_none_or(|spec| spec.node_affinity.is_none()) {
        return Ok(());
    }
    let failed =
        |why: &str| VolumeError::whole(format!("MountVolume.NodeAffinity check failed for volume {name:?} : {why}"));
    let node = &of.context.node;
    let found = Api::<Node>::all(of.context.client.clone()).get_metadata(node).await;
    let labels = found.map_err(|error| failed(&told(error)))?.metadata.labels.unwrap_or_default();
    if reaches(volume, node, &labels) { Ok(()) } else { Err(failed("no matching NodeSelectorTerms")) }
}

/// What a bound volume is to be.
fn of_volume(name: &str, volume: PersistentVolume, read_only: bool) -> Result<Plan, VolumeError> {
    let spec = volume.spec.unwrap_or_default();
    let unsupported = |what: &str| VolumeError::new(format!("{what} are not supported by this kubelet")).named(name);
    if spec.volume_mode.as_deref() == Some("Block") {
        return Err(unsupported("volumes of mode Block"));
    }
    let name = name.to_owned();
    if let Some(source) = spec.host_path {
        let kind = source.type_.unwrap_or_default();
        return Ok(Plan::Host { path: source.path.into(), kind, read_only, name: Some(name) });
    }
    if let Some(source) = spec.local {
        return Ok(Plan::Local { path: source.path.into(), read_only, name });
    }
    let kind = if spec.csi.is_some() {
        "csi"
    } else if spec.nfs.is_some() {
        "nfs"
    } else {
        "other than hostPath and local"
    };
    Err(unsupported(&format!("persistent volumes of type {kind}")))
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
        match of_volume("pv", volume, true).map_err(|error| error.to_string())? {
            Plan::Host { path, kind, read_only, .. } => Ok(format!("host {} {kind} {read_only}", path.display())),
            Plan::Local { path, read_only, .. } => Ok(format!("local {} {read_only}", path.display())),
            _ => Err("no path".to_owned()),
        }
    }

    #[test]
    fn volumes_of_the_node_are_found() {
        let host = json!({ "hostPath": { "path": "/a", "type": "DirectoryOrCreate" } });
        assert_eq!(of(host).unwrap(), "host /a DirectoryOrCreate true");
        assert_eq!(of(json!({ "local": { "path": "/b" } })).unwrap(), "local /b true");
        for (spec, what) in [
            (json!({ "volumeMode": "Block", "local": { "path": "/b" } }), "volumes of mode Block"),
            (json!({ "nfs": { "path": "/", "server": "s" } }), "persistent volumes of type nfs"),
        ] {
            let message =
                format!("MountVolume.SetUp failed for volume \"pv\" : {what} are not supported by this kubelet");
            assert_eq!(of(spec).unwrap_err(), message);
        }
    }

    #[test]
    fn a_claim_that_is_not_bound_has_no_volume() {
        let claim = |value: Value| serde_json::from_value::<PersistentVolumeClaim>(value).unwrap();
        let bound = json!({ "spec": { "volumeName": "v" }, "status": { "phase": "Bound" } });
        assert_eq!(bound_to(&claim(bound.clone())), Ok("v"));
        assert_eq!(bound_to(&claim(json!({ "spec": { "volumeName": "v" } }))), Err("PVC is not bound"));
        let mut leaving = bound;
        leaving["metadata"] = json!({ "deletionTimestamp": "2026-01-01T00:00:00Z" });
        assert_eq!(bound_to(&claim(leaving)), Err("PVC is being deleted"));
    }
}
