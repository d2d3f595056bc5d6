//! Whether what was decided about a pod's volumes has come true (`checkBindings` of Kubernetes' volume binder).

use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use orchestra_core::{
    ObjectKey,
    persistent_volume::{SELECTED_NODE, is_bound, reaches, volume_name},
    scheduler::{Cause, NodeInfo, Objects, Placement, Snapshot, VolumeChoice},
};

/// What may change the answer of [`all_bound`], as far as that is known now: a claim tells later which volume it got.
pub(super) fn awaited(snapshot: &Snapshot, placement: &Placement) -> Vec<Cause> {
    let mut causes = vec![Cause::Node(placement.node.clone())];
    for choice in &placement.volumes {
        let (claim, volume) = match choice {
            VolumeChoice::Bind { claim, volume } => (claim, Some(volume.as_str())),
            VolumeChoice::Provision { claim } => {
                let told = snapshot.objects().get::<PersistentVolumeClaim>(claim);
                (claim, told.and_then(|claim| volume_name(claim)))
            }
        };
        causes.push(Cause::object::<PersistentVolumeClaim>(claim.clone()));
        causes.extend(volume.map(|volume| Cause::object::<PersistentVolume>(ObjectKey::cluster(volume))));
    }
    causes
}

/// Whether all claims are bound; an error if they will not be. What is reserved and not told of yet is not bound either, whoever reserved it.
pub(super) fn all_bound(snapshot: &Snapshot, placement: &Placement) -> Result<bool, String> {
    let name = &*placement.node;
    let node = snapshot.get(name).ok_or_else(|| format!("failed to get node {name:?}: node {name:?} not found"))?;
    let objects = snapshot.objects();
    let mut all = true;
    for choice in &placement.volumes {
        all &= match choice {
            VolumeChoice::Bind { claim, volume } => is_kept(objects, claim, volume, node)?,
            VolumeChoice::Provision { claim } => is_provisioned(objects, claim, node)?,
        };
    }
    Ok(all)
}

/// Whether the claim is bound to the volume, which still names it.
fn is_kept(objects: &Objects, key: &ObjectKey, volume: &str, node: &NodeInfo) -> Result<bool, String> {
    let (claim, told) = (claim(objects, key)?, objects.get::<PersistentVolume>(&ObjectKey::cluster(volume)));
    let told = told.ok_or_else(|| format!("failed to check binding: could not find PersistentVolume {volume:?}"))?;
    check_reach(told, node)?;
    let owner = told.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref()).and_then(|owner| owner.uid.as_ref());
    match owner.is_some() && owner == claim.metadata.uid.as_ref() {
        true => Ok(is_bound(claim)),
        false => Err(format!("ClaimRef got reset for pv {volume:?}")),
    }
}

/// Whether the claim is bound to a volume that the node reaches. Provisioners that fail take the node away from the claim, so that
/// another is chosen.
fn is_provisioned(objects: &Objects, key: &ObjectKey, node: &NodeInfo) -> Result<bool, String> {
    let claim = claim(objects, key)?;
    let selected = claim.metadata.annotations.as_ref().and_then(|all| all.get(SELECTED_NODE));
    if selected.is_none_or(|selected| **selected != **node.name()) {
        return Err(format!("provisioning failed for PVC {:?}", key.name()));
    }
    let Some(volume) = volume_name(claim) else { return Ok(false) };
    // It may be told of after its claim.
    let Some(volume) = objects.get::<PersistentVolume>(&ObjectKey::cluster(volume)) else { return Ok(false) };
    check_reach(volume, node)?;
    Ok(is_bound(claim))
}

fn check_reach(volume: &PersistentVolume, node: &NodeInfo) -> Result<(), String> {
    if reaches(volume, node.name(), node.labels()) {
        return Ok(());
    }
    let (volume, node) = (volume.metadata.name.as_deref().unwrap_or_default(), &**node.name());
    Err(format!("pv {volume:?} node affinity doesn't match node {node:?}: no matching NodeSelectorTerms"))
}

fn claim<'a>(objects: &'a Objects, key: &ObjectKey) -> Result<&'a Arc<PersistentVolumeClaim>, String> {
    let claim = objects.get::<PersistentVolumeClaim>(key);
    claim.ok_or_else(|| format!("failed to check binding: could not find PersistentVolumeClaim {:?}", key.to_string()))
}

#[cfg(test)]
mod tests;
