//! What binds claims to volumes, which the binder, the scheduler and the kubelet have to see alike.
//!
//! A volume names its claim in `spec.claimRef`, a claim its volume in `spec.volumeName`. Both pointers are set one after the other, so
//! annotations tell how far that has come, and who began it.

mod matching;
mod reach;

use std::{borrow::Borrow, collections::BTreeMap};

use k8s_openapi::{
    api::{
        core::v1::{ObjectReference, PersistentVolume, PersistentVolumeClaim, Pod, Volume},
        storage::v1::StorageClass,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

pub use self::{
    matching::{Mismatch, Wanted, requested},
    reach::Reach,
};

/// On a claim: it has been bound. From then on a claim without its volume is lost.
pub const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
/// On a volume or claim: whoever bound them set its pointer. Without it, who made the object did.
pub const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
/// On a claim that waits for its first consumer: the node for which a volume is to be provisioned.
pub const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// The provisioner of classes whose volumes are made by hand.
pub const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";
/// On a volume or claim: what named its class before there was a field.
pub const BETA_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// Whether the annotation is there.
pub fn is_annotated(metadata: &ObjectMeta, key: &str) -> bool {
    metadata.annotations.as_ref().is_some_and(|all| all.contains_key(key))
}

/// The storage class that a claim asks for; `None` if it says nothing, `""` if it wants none.
pub fn class_of_claim(claim: &PersistentVolumeClaim) -> Option<&str> {
    class(&claim.metadata, claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_ref()))
}

/// The storage class of a volume; `""` if it has none.
pub fn class_of_volume(volume: &PersistentVolume) -> &str {
    class(&volume.metadata, volume.spec.as_ref().and_then(|spec| spec.storage_class_name.as_ref())).unwrap_or_default()
}

fn class<'a>(metadata: &'a ObjectMeta, field: Option<&'a String>) -> Option<&'a str> {
    let annotated = metadata.annotations.as_ref().and_then(|all| all.get(BETA_CLASS));
    annotated.or(field).map(String::as_str)
}

/// Whether the class is the one of claims that name none.
pub fn is_default(class: &StorageClass) -> bool {
    const DEFAULT: [&str; 2] =
        ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
    let annotations = class.metadata.annotations.as_ref();
    annotations.is_some_and(|all| DEFAULT.iter().any(|key| all.get(*key).is_some_and(|value| value == "true")))
}

/// The class of claims that name none: of several the newest one, and of these the first by name.
pub fn default_class<C: Borrow<StorageClass>>(classes: impl IntoIterator<Item = C>) -> Option<C> {
    let created = |class: &StorageClass| class.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let rank = |a: &StorageClass, b: &StorageClass| {
        created(a).cmp(&created(b)).then_with(|| b.metadata.name.cmp(&a.metadata.name))
    };
    let marked = classes.into_iter().filter(|class| is_default(class.borrow()));
    marked.max_by(|a, b| rank(a.borrow(), b.borrow()))
}

/// Whether claims of the class are bound only when a node is chosen for a pod that uses them.
pub fn waits_for_consumer(class: &StorageClass) -> bool {
    class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer")
}

/// The volume that a claim names; `None` if it names none.
pub fn volume_name(claim: &PersistentVolumeClaim) -> Option<&str> {
    claim.spec.as_ref()?.volume_name.as_deref().filter(|name| !name.is_empty())
}

/// Whether all that binds a claim is done.
pub fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    volume_name(claim).is_some() && is_annotated(&claim.metadata, BIND_COMPLETED)
}

/// Whether the volume is kept for just this claim: bound to it, or, while it bears no uid, to any of its name.
pub fn is_for(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let Some(reference) = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref()) else { return false };
    let uid = reference.uid.as_deref().unwrap_or_default();
    (&reference.namespace, &reference.name) == (&claim.metadata.namespace, &claim.metadata.name)
        && (uid.is_empty() || Some(uid) == claim.metadata.uid.as_deref())
}

/// Whether the node can reach the volume (`nodeAffinity`). For many nodes a [`Reach`] is faster.
pub fn reaches(volume: &PersistentVolume, node: &str, labels: &BTreeMap<String, String>) -> bool {
    Reach::of(volume).includes(node, labels)
}

/// The volume with its pointer to the claim; `None` if it is there already.
pub fn reserve(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Option<PersistentVolume> {
    let mut reserved = volume.clone();
    if !is_for(volume, claim) {
        annotate(&mut reserved.metadata, BOUND_BY_CONTROLLER);
    }
    let spec = reserved.spec.get_or_insert_default();
    let metadata = &claim.metadata;
    let identity = |reference: &ObjectReference| {
        (&reference.namespace, &reference.name, &reference.uid) == (&metadata.namespace, &metadata.name, &metadata.uid)
    };
    if !spec.claim_ref.as_ref().is_some_and(identity) {
        spec.claim_ref = Some(ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("PersistentVolumeClaim".to_owned()),
            namespace: metadata.namespace.clone(),
            name: metadata.name.clone(),
            uid: metadata.uid.clone(),
            resource_version: metadata.resource_version.clone(),
            field_path: None,
        });
    }
    (reserved != *volume).then_some(reserved)
}

/// Sets an annotation of which only the presence counts.
pub fn annotate(metadata: &mut ObjectMeta, key: &str) {
    metadata.annotations.get_or_insert_default().entry(key.to_owned()).or_insert_with(|| "yes".to_owned());
}

/// A claim that a pod uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use<'a> {
    /// The pod's volume.
    pub volume: &'a str,
    /// The claim's name, in the pod's namespace.
    pub claim: String,
    /// The claim is the pod's own, made from the template in the pod's volume.
    pub is_ephemeral: bool,
}

/// The claims that a pod uses, in the order of its volumes.
pub fn uses(pod: &Pod) -> impl Iterator<Item = Use<'_>> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| {
        let claim = claim_name(pod, volume)?;
        Some(Use { volume: &volume.name, claim, is_ephemeral: volume.ephemeral.is_some() })
    })
}

/// The claim that a volume of a pod stands for; `None` if it is of another kind.
pub fn claim_name(pod: &Pod, volume: &Volume) -> Option<String> {
    if let Some(source) = &volume.persistent_volume_claim {
        return Some(source.claim_name.clone());
    }
    volume.ephemeral.as_ref()?;
    Some(format!("{}-{}", pod.metadata.name.as_deref().unwrap_or_default(), volume.name))
}

#[cfg(test)]
mod tests;
