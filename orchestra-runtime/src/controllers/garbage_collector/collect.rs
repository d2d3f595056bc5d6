//! Looks at one object: whether it should still be there.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions},
};
use orchestra_core::controller::{Action, ReconcileError};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{
    GarbageCollector,
    graph::{FOREGROUND, Node, ORPHAN},
};
use crate::controllers::{api_error, served::ServedKind};

/// So many owners are remembered as gone, as in Kubernetes.
const REMEMBERED: usize = 500;
/// How soon to look again while what is there at the start has not all arrived: kinds, or the objects of all kinds.
const LATER: Duration = Duration::from_millis(100);
/// How soon to look again for an owner of a kind that is not served; kinds come with the next discovery.
const UNKNOWN_KIND: Duration = Duration::from_secs(30);

/// Owners that were found to be gone, by uid and the namespace they were looked for in. Uids do not come back, so this cannot become wrong;
/// it saves a question for each of an owner's many dependents.
#[derive(Default)]
pub(super) struct AbsentOwners(Mutex<Remembered>);

type Identity = (String, Option<String>);

#[derive(Default)]
struct Remembered {
    owners: BTreeSet<Identity>,
    order: VecDeque<Identity>,
}

impl AbsentOwners {
    fn contains(&self, owner: &Identity) -> bool {
        self.0.lock().owners.contains(owner)
    }

    fn insert(&self, owner: Identity) {
        let mut remembered = self.0.lock();
        if remembered.owners.insert(owner.clone()) {
            remembered.order.push_back(owner);
        }
        if remembered.order.len() > REMEMBERED
            && let Some(oldest) = remembered.order.pop_front()
        {
            remembered.owners.remove(&oldest);
        }
    }
}

/// How an owner stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It is there.
    Solid,
    /// It is gone.
    Absent,
    /// It waits for its dependents to go.
    Waiting,
    /// Its kind is not served, as far as is known.
    Unknown,
}

impl GarbageCollector {
    pub(super) async fn collect(&self, uid: &str) -> Result<Action, ReconcileError> {
        let Some((node, kind, is_complete)) = self.look_up(uid) else { return Ok(Action::Done) };
        let Some(kind) = kind else { return Ok(Action::RequeueAfter(LATER)) };
        let api = kind.api(&self.client, node.namespace.as_deref());
        let live = api.get_metadata_opt(&node.name).await?.map(|object| object.metadata);
        let Some(live) = live.filter(|live| live.uid.as_deref() == Some(uid)) else { return Ok(Action::Done) };
        let now = Node::new(&node.kind, &live);
        // Dependents that have not arrived yet must not be overlooked.
        if (now.orphans_dependents || now.waits_for_dependents) && !is_complete {
            return Ok(Action::RequeueAfter(LATER));
        }
        if now.orphans_dependents {
            self.orphan_dependents(uid).await?;
            remove_finalizer(&api, &live, ORPHAN).await?;
        } else if now.waits_for_dependents {
            if self.known.lock().graph.is_blocked(uid) {
                return Ok(Action::Done);
            }
            remove_finalizer(&api, &live, FOREGROUND).await?;
        } else if !now.is_deleting {
            return self.judge(&kind, &api, &live).await;
        }
        Ok(Action::Done)
    }

    fn look_up(&self, uid: &str) -> Option<(Node, Option<ServedKind>, bool)> {
        let known = self.known.lock();
        let node = known.graph.get(uid)?.clone();
        let kind = known.kinds.get(&*node.kind).cloned();
        let informed = self.pods.has_synced() && self.sets.has_synced() && self.deployments.has_synced();
        Some((node, kind, informed && known.is_complete()))
    }

    /// Takes the owner out of the references of all its dependents.
    async fn orphan_dependents(&self, owner: &str) -> Result<(), ReconcileError> {
        let dependents = self.known.lock().graph.dependents(owner);
        for (uid, node) in dependents {
            let kind = self.known.lock().kinds.get(&*node.kind).cloned();
            let kind = kind.ok_or_else(|| format!("kind {} is not served any more", node.kind.1))?;
            let api = kind.api(&self.client, node.namespace.as_deref());
            let live = api.get_metadata_opt(&node.name).await?.map(|object| object.metadata);
            let Some(live) = live.filter(|live| live.uid.as_deref() == Some(&*uid)) else { continue };
            let kept: Vec<_> = owners(&live).iter().filter(|other| other.uid != owner).cloned().collect();
            if kept.len() != owners(&live).len() {
                patch(&api, &live, json!({"ownerReferences": kept})).await?;
            }
        }
        Ok(())
    }

    /// Deletes the object if no owner is left, and takes out references to owners that are gone if another is.
    async fn judge(
        &self,
        kind: &ServedKind,
        api: &Api<DynamicObject>,
        live: &ObjectMeta,
    ) -> Result<Action, ReconcileError> {
        let mut standings = Vec::new();
        for owner in owners(live) {
            standings.push(self.standing(owner, kind, live).await?);
        }
        let any = |standing| standings.contains(&standing);
        if standings.is_empty() || standings.iter().all(|standing| *standing == Standing::Solid) {
            return Ok(Action::Done);
        }
        if any(Standing::Unknown) {
            return Ok(Action::RequeueAfter(UNKNOWN_KIND));
        }
        if any(Standing::Solid) {
            let solid = owners(live).iter().zip(&standings).filter(|(_, standing)| **standing == Standing::Solid);
            let solid: Vec<_> = solid.map(|(owner, _)| owner).collect();
            patch(api, live, json!({"ownerReferences": solid})).await?;
            return Ok(Action::Done);
        }
        let uid = live.uid.as_deref().unwrap_or_default();
        let dependents = self.known.lock().graph.dependents(uid);
        if any(Standing::Waiting) && !dependents.is_empty() {
            // A dependent that waits too could wait for this very object, in a circle: let go of the owner.
            if dependents.iter().any(|(_, dependent)| dependent.waits_for_dependents) {
                let freed = owners(live).iter().cloned();
                let freed: Vec<_> =
                    freed.map(|owner| OwnerReference { block_owner_deletion: Some(false), ..owner }).collect();
                patch(api, live, json!({"ownerReferences": freed})).await?;
                let live = api.get_metadata_opt(live.name.as_deref().unwrap_or_default()).await?;
                return match live.filter(|live| live.metadata.uid.as_deref() == Some(uid)) {
                    Some(live) => delete(api, &live.metadata, DeleteParams::foreground()).await,
                    None => Ok(Action::Done),
                };
            }
            return delete(api, live, DeleteParams::foreground()).await;
        }
        let has = |finalizer: &str| live.finalizers.iter().flatten().any(|other| other == finalizer);
        let policy = match () {
            () if has(ORPHAN) => DeleteParams::orphan(),
            () if has(FOREGROUND) => DeleteParams::foreground(),
            () => DeleteParams::background(),
        };
        delete(api, live, policy).await
    }

    async fn standing(
        &self,
        owner: &OwnerReference,
        kind: &ServedKind,
        dependent: &ObjectMeta,
    ) -> Result<Standing, ReconcileError> {
        let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
        let owner_kind = self.known.lock().kinds.get(&(group.to_owned(), owner.kind.clone())).cloned();
        let Some(owner_kind) = owner_kind else { return Ok(Standing::Unknown) };
        // An object without namespace cannot have an owner in one: nobody can say which is meant, so it stays.
        if owner_kind.is_namespaced && !kind.is_namespaced {
            return Ok(Standing::Solid);
        }
        let namespace = dependent.namespace.clone().filter(|_| owner_kind.is_namespaced);
        let identity = (owner.uid.clone(), namespace);
        if self.absent.contains(&identity) {
            return Ok(Standing::Absent);
        }
        let api = owner_kind.api(&self.client, identity.1.as_deref());
        let live = api.get_metadata_opt(&owner.name).await?.map(|object| object.metadata);
        let Some(live) = live.filter(|live| live.uid.as_deref() == Some(&owner.uid)) else {
            self.absent.insert(identity);
            return Ok(Standing::Absent);
        };
        let waits = live.deletion_timestamp.is_some() && live.finalizers.iter().flatten().any(|f| f == FOREGROUND);
        Ok(if waits { Standing::Waiting } else { Standing::Solid })
    }
}

fn owners(meta: &ObjectMeta) -> &[OwnerReference] {
    meta.owner_references.as_deref().unwrap_or_default()
}

async fn remove_finalizer(api: &Api<DynamicObject>, live: &ObjectMeta, finalizer: &str) -> Result<(), ReconcileError> {
    let kept: Vec<_> = live.finalizers.iter().flatten().filter(|other| *other != finalizer).collect();
    patch(api, live, json!({"finalizers": kept})).await
}

/// Changes an object's metadata unless it changed since `live` was read; one that is gone is fine.
async fn patch(api: &Api<DynamicObject>, live: &ObjectMeta, mut change: Value) -> Result<(), ReconcileError> {
    change["uid"] = json!(live.uid);
    change["resourceVersion"] = json!(live.resource_version);
    let name = live.name.as_deref().unwrap_or_default();
    let patch = json!({"metadata": change});
    match api.patch_metadata(name, &PatchParams::default(), &Patch::Merge(patch)).await {
        Err(error) if api_error::is_not_found(&error) => Ok(()),
        other => Ok(other.map(drop)?),
    }
}

/// Deletes the object as it was judged: not one that has its name since, and not if it got another owner since.
async fn delete(api: &Api<DynamicObject>, live: &ObjectMeta, policy: DeleteParams) -> Result<Action, ReconcileError> {
    let same = Preconditions { uid: live.uid.clone(), resource_version: live.resource_version.clone() };
    match api.delete(live.name.as_deref().unwrap_or_default(), &policy.preconditions(same)).await {
        Err(error) if api_error::is_not_found(&error) => {}
        other => drop(other?),
    }
    Ok(Action::Done)
}
