//! Who owns what: controller references, and which objects an owner takes on and lets go.

use std::{fmt::Debug, sync::Arc};

use k8s_openapi::{
    NamespaceResourceScope,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams},
};
use orchestra_core::{
    controller::controller_of,
    informer::{Informed, Informer, Reflected, Told},
    selector::label::Selector,
};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::api_error;
use crate::lean_pod::LeanPod;

/// The index of objects by the uid of their controlling owner.
const BY_CONTROLLER: &str = "controller-uid";
/// The index of objects without a controlling owner by their namespace.
const ORPHANS: &str = "orphans";

/// What is kept of objects that may have an owner.
pub(super) trait Owned: Reflected + Resource<DynamicType = ()> {}

impl<K: Reflected + Resource<DynamicType = ()>> Owned for K {}

/// The reference that makes `owner` the controlling owner, and holds up its foreground deletion.
pub(super) fn controller_reference<K: Resource<DynamicType = ()>>(owner: &K) -> OwnerReference {
    let meta = owner.meta();
    OwnerReference {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// Makes [`controlled_by`] and [`orphans`] work.
pub(super) fn add_indexes<K: Owned>(informer: &Informer<K>) {
    informer
        .add_index(BY_CONTROLLER, |object| controller_of(object).map(|owner| owner.uid.clone()).into_iter().collect());
    informer.add_index(ORPHANS, |object| match controller_of(object) {
        Some(_) => Vec::new(),
        None => object.meta().namespace.clone().into_iter().collect(),
    });
}

/// The objects whose controlling owner has this uid.
pub(super) fn controlled_by<K: Owned>(informer: &Informer<K>, uid: &str) -> Vec<Arc<K>> {
    informer.by_index(BY_CONTROLLER, uid)
}

/// The objects of a namespace that have no controlling owner.
pub(super) fn orphans<K: Owned>(informer: &Informer<K>, namespace: &str) -> Vec<Arc<K>> {
    informer.by_index(ORPHANS, namespace)
}

/// What an owner has and what it should do about what it should have.
#[derive(Debug)]
pub(super) struct Claims<K> {
    /// Owned, and rightly so.
    pub(super) kept: Vec<Arc<K>>,
    /// Without owner, and selected.
    pub(super) adopt: Vec<Arc<K>>,
    /// Owned, but not selected any more.
    pub(super) release: Vec<Arc<K>>,
}

impl<K: Owned> Claims<K> {
    /// Judges the objects known to `informer`. An owner that is going away neither adopts nor releases.
    pub(super) fn of(owner: &ObjectMeta, selector: &Selector, informer: &Informer<K>) -> Self {
        let selected = |object: &Arc<K>| selector.matches_optional(object.meta().labels.as_ref());
        let leaving = owner.deletion_timestamp.is_some();
        let owned = controlled_by(informer, owner.uid.as_deref().unwrap_or_default());
        let (kept, unselected): (Vec<_>, Vec<_>) = owned.into_iter().partition(selected);
        let free = if leaving { Vec::new() } else { orphans(informer, owner.namespace.as_deref().unwrap_or_default()) };
        let adopt = free.into_iter().filter(|o| selected(o) && o.meta().deletion_timestamp.is_none()).collect();
        Self { kept, adopt, release: if leaving { Vec::new() } else { unselected } }
    }
}

/// Carries out `claims` for `owner` and returns all that it owns afterwards.
///
/// Before it adopts it reads the owner anew, so that an owner that is gone or going does not adopt from a stale cache.
pub(super) async fn claim<O, K>(client: &Client, owner: &O, claims: Claims<K>) -> Result<Vec<Arc<K>>, kube::Error>
where
    O: Informed + Resource<Scope = NamespaceResourceScope>,
    K: Owned<Object: Resource<Scope = NamespaceResourceScope>>,
{
    let namespace = owner.meta().namespace.as_deref().unwrap_or_default();
    let objects = Api::<K::Object>::namespaced(client.clone(), namespace);
    for object in &claims.release {
        let uid = owner.meta().uid.as_deref().unwrap_or_default();
        let kept = object.meta().owner_references.iter().flatten().filter(|other| other.uid != uid).cloned().collect();
        match set_owners(&objects, object.meta(), kept).await {
            // It is gone, or another one has its name: released either way.
            Err(error) if api_error::is_not_found(&error) => {}
            other => drop(other?),
        }
    }
    let mut owned = claims.kept;
    if !claims.adopt.is_empty() && may_adopt(client, owner).await? {
        for object in &claims.adopt {
            let mut owners = object.meta().owner_references.clone().unwrap_or_default();
            owners.push(controller_reference(owner));
            match set_owners(&objects, object.meta(), owners).await {
                Ok(adopted) => owned.push(K::of(&Told::new(Arc::new(adopted), false))),
                Err(error) if api_error::is_not_found(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(owned)
}

async fn may_adopt<O>(client: &Client, owner: &O) -> Result<bool, kube::Error>
where
    O: Informed + Resource<Scope = NamespaceResourceScope>,
{
    let namespace = owner.meta().namespace.as_deref().unwrap_or_default();
    let live = Api::<O>::namespaced(client.clone(), namespace)
        .get_metadata_opt(owner.meta().name.as_deref().unwrap_or_default())
        .await?;
    Ok(live.is_some_and(|live| live.metadata.uid == owner.meta().uid && live.metadata.deletion_timestamp.is_none()))
}

/// Replaces the owner references of an object, unless it changed since `meta` was read.
async fn set_owners<K>(api: &Api<K>, meta: &ObjectMeta, owners: Vec<OwnerReference>) -> Result<K, kube::Error>
where
    K: Clone + DeserializeOwned + Debug,
{
    let patch = json!({"metadata": {
        "uid": meta.uid, "resourceVersion": meta.resource_version, "ownerReferences": owners,
    }});
    api.patch(meta.name.as_deref().unwrap_or_default(), &PatchParams::default(), &Patch::Merge(patch)).await
}

/// The pods of replica sets are found by owner by more than one controller.
pub(super) fn pods_by_owner(context: &orchestra_core::controller::ControllerContext) -> Informer<LeanPod> {
    let pods = context.informers.informer::<LeanPod>();
    add_indexes(&pods);
    pods
}
