//! Puts right who has which address and port: what the objects say wins (`pkg/registry/core/service/ipallocator/controller`).
//!
//! The server itself makes and releases claims in the same transaction as the object, so that there is something to repair only
//! after others wrote to the store: a restored part of a backup, another version of the server, other ranges.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ObjectReference;
use orchestra_core::{
    event_recorder::{EventRecorder, EventType},
    store::{Key, KeyRange, KeyValue, ListOptions, Precondition, ReadAt, Revision, StoreError, Transaction},
};
use tracing::warn;

use super::{object::Object, registry::Resource, server::Shared, strategy::Claim};

/// Who may tell of what, by the kind of what is claimed.
pub(super) struct Recorders(pub(super) Vec<(&'static str, EventRecorder)>);

impl Recorders {
    fn tell(&self, owner: &Owner, reason: &str, message: String) {
        let kind = owner.claim.subject.kind;
        if let Some((_, recorder)) = self.0.iter().find(|(of, _)| *of == kind) {
            let action = format!("{kind}Allocation");
            let reason = format!("{kind}{reason}");
            recorder.action_about(owner.object.clone(), EventType::Warning, &reason, &action, message);
        }
    }
}

/// Who claims something.
struct Owner {
    object: ObjectReference,
    key: Key,
    /// The revision of its last change.
    changed: Revision,
    claim: Claim,
}

/// Compares the claims of all kinds that have some with what their objects say, and makes them follow.
pub(super) async fn run(shared: &Shared, recorders: &Recorders) -> Result<(), StoreError> {
    for resource in shared.registry.rows() {
        if !resource.rules.claim_prefixes().is_empty() {
            repair(shared, &resource, recorders).await?;
        }
    }
    Ok(())
}

async fn repair(shared: &Shared, resource: &Resource, recorders: &Recorders) -> Result<(), StoreError> {
    let objects = shared.store.list(&KeyRange::prefix(&resource.storage_prefix), ListOptions::default()).await?;
    // Both of one moment: what is claimed since then is no leak.
    let same = ListOptions { at: ReadAt::Revision(objects.revision), ..ListOptions::default() };
    let mut found: BTreeMap<Key, KeyValue> = BTreeMap::new();
    for prefix in resource.rules.claim_prefixes() {
        let page = shared.store.list(&KeyRange::prefix(prefix), same.clone()).await?;
        found.extend(page.entries.into_iter().map(|entry| (entry.key.clone(), entry)));
    }
    let wanted = owners(resource, objects.entries, recorders);
    for owner in wanted.values() {
        let current = found.remove(owner.claim.key.as_str());
        match &current {
            Some(current) if current.value == owner.key.as_bytes() => continue,
            Some(_) => {}
            None => {
                recorders.tell(
                    owner,
                    "NotAllocated",
                    format!("{} is not allocated; repairing", owner.claim.subject.shown),
                );
            }
        }
        settle(shared, claimed(owner, current.as_ref())).await?;
    }
    for (key, leaked) in found {
        warn!(%key, "claimed by nobody; releasing");
        settle(shared, Transaction::new().delete(&*key, Precondition::Unchanged(leaked.mod_revision))).await?;
    }
    Ok(())
}

/// Who should have what: of several that claim the same the one that was created first. The others are told of.
fn owners(resource: &Resource, mut objects: Vec<KeyValue>, recorders: &Recorders) -> BTreeMap<String, Owner> {
    objects.sort_by_key(|object| object.create_revision);
    let mut owners: BTreeMap<String, Owner> = BTreeMap::new();
    for entry in objects {
        let object = match resource.rules.decode_stored(&entry.value) {
            Ok(object) => object,
            Err(error) => {
                warn!(key = %entry.key, %error, "what it claims is not known");
                continue;
            }
        };
        let reference = reference(resource, &*object);
        for claim in resource.rules.claims(&*object) {
            let (key, object) = (entry.key.clone(), reference.clone());
            let owner = Owner { object, key, changed: entry.mod_revision, claim };
            let subject = &owner.claim.subject;
            if !subject.in_range {
                let message = format!("{} is not within {}; please recreate service", subject.shown, subject.range);
                recorders.tell(&owner, "OutOfRange", message);
                continue;
            }
            if owners.contains_key(&owner.claim.key) {
                let message = format!("{} was assigned to multiple services; please recreate service", subject.shown);
                recorders.tell(&owner, "AlreadyAllocated", message);
                continue;
            }
            owners.insert(owner.claim.key.clone(), owner);
        }
    }
    owners
}

fn reference(resource: &Resource, object: &dyn Object) -> ObjectReference {
    let metadata = object.metadata();
    ObjectReference {
        api_version: Some(resource.api_version()),
        kind: Some(resource.kind.clone()),
        namespace: metadata.namespace.clone(),
        name: metadata.name.clone(),
        uid: metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

/// Gives the claim to its owner, as long as neither has changed.
fn claimed(owner: &Owner, current: Option<&KeyValue>) -> Transaction {
    let claim = current.map_or(Precondition::Absent, |current| Precondition::Unchanged(current.mod_revision));
    Transaction::new().check(owner.key.clone(), Precondition::Unchanged(owner.changed)).put(
        owner.claim.key.as_str(),
        owner.key.to_string(),
        claim,
    )
}

/// Commits what is no longer needed if somebody else wrote in between: the next repair sees what they made of it.
async fn settle(shared: &Shared, transaction: Transaction) -> Result<(), StoreError> {
    match shared.store.commit(transaction).await {
        Err(StoreError::Conflict { .. }) => Ok(()),
        other => other.map(drop),
    }
}
