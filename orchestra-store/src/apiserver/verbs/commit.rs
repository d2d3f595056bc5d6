//! Commits of one object together with what it claims.

use bytes::Bytes;
use orchestra_core::store::{Change, Operation, Precondition, Revision, StoreError, Transaction};

use super::Stored;
use crate::apiserver::{ApiError, object::Object, registry::Resource, server::Shared, strategy::Claim};

/// What became of a write of a new state.
pub(super) enum Replaced {
    At(Revision),
    /// Another write came first.
    Late,
    /// Somebody else has what it claims.
    Taken(Claim),
}

/// Writes the new state with what it claims and gives up.
pub(super) async fn replace(
    shared: &Shared,
    resource: &Resource,
    key: &str,
    current: &Stored,
    old: &dyn Object,
    new: &dyn Object,
    value: Bytes,
) -> Result<Replaced, ApiError> {
    let put = Change::Put { value, ttl: resource.time_to_live };
    let precondition = Precondition::Unchanged(current.revision);
    let mut transaction = Transaction::new().with(Operation { key: key.into(), precondition, change: put });
    let (had, has) = (resource.rules.claims(old), resource.rules.claims(new));
    for claim in has.iter().filter(|claim| had.iter().all(|other| other.key != claim.key)) {
        transaction = transaction.put(claim.key.as_str(), key.to_owned(), Precondition::Absent);
    }
    for claim in had.iter().filter(|claim| has.iter().all(|other| other.key != claim.key)) {
        transaction = transaction.delete(claim.key.as_str(), Precondition::None);
    }
    match shared.store.commit(transaction).await {
        Ok(revision) => Ok(Replaced::At(revision)),
        Err(StoreError::Conflict { key: conflicting, .. }) => {
            let taken = has.into_iter().find(|claim| *claim.key == *conflicting);
            Ok(taken.map_or(Replaced::Late, Replaced::Taken))
        }
        Err(error) => Err(error.into()),
    }
}

/// Deletes the object and gives up what it claimed; `false` if another write came first.
pub(super) async fn remove(
    shared: &Shared,
    resource: &Resource,
    key: &str,
    current: &Stored,
    old: &dyn Object,
) -> Result<bool, ApiError> {
    let mut transaction = Transaction::new().delete(key, Precondition::Unchanged(current.revision));
    for claim in resource.rules.claims(old) {
        transaction = transaction.delete(claim.key.as_str(), Precondition::None);
    }
    match shared.store.commit(transaction).await {
        Ok(_) => Ok(true),
        Err(StoreError::Conflict { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
