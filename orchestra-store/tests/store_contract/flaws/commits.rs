use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use orchestra_core::store::{Change, Operation, Precondition, ReadAt, Revision, Store, StoreError, Transaction};
use orchestra_store::MemoryStore;

use crate::broken::Flaw;

fn transaction(operations: impl IntoIterator<Item = Operation>) -> Transaction {
    operations.into_iter().fold(Transaction::new(), Transaction::with)
}

fn map(from: Transaction, change: impl FnMut(Operation) -> Operation) -> Transaction {
    transaction(from.into_operations().into_iter().map(change))
}

pub(crate) struct IgnoredPrecondition;

#[async_trait]
impl Flaw for IgnoredPrecondition {
    async fn commit(&self, good: &MemoryStore, from: Transaction) -> Result<Revision, StoreError> {
        good.commit(map(from, |operation| Operation { precondition: Precondition::None, ..operation })).await
    }
}

/// Takes any existing key for unchanged.
pub(crate) struct IgnoredRevision;

#[async_trait]
impl Flaw for IgnoredRevision {
    async fn commit(&self, good: &MemoryStore, from: Transaction) -> Result<Revision, StoreError> {
        let lax = |operation: Operation| match operation.precondition {
            Precondition::Unchanged(_) => Operation { precondition: Precondition::Exists, ..operation },
            _ => operation,
        };
        good.commit(map(from, lax)).await
    }
}

/// Does what comes before the operation whose precondition fails.
pub(crate) struct HalfTransaction;

#[async_trait]
impl Flaw for HalfTransaction {
    async fn commit(&self, good: &MemoryStore, from: Transaction) -> Result<Revision, StoreError> {
        let failed = good.commit(from.clone()).await;
        if let Err(StoreError::Conflict { key, .. }) = &failed {
            let before = from.into_operations().into_iter().take_while(|operation| operation.key != *key);
            good.commit(transaction(before)).await?;
        }
        failed
    }
}

/// Checks all, then commits each operation by itself.
pub(crate) struct TransactionInParts;

#[async_trait]
impl Flaw for TransactionInParts {
    async fn commit(&self, good: &MemoryStore, from: Transaction) -> Result<Revision, StoreError> {
        let check = |operation| Operation { change: Change::Nothing, ..operation };
        let mut revision = good.commit(map(from.clone(), check)).await?;
        for operation in from.into_operations() {
            revision = good.commit(transaction([Operation { precondition: Precondition::None, ..operation }])).await?;
        }
        Ok(revision)
    }
}

/// Tells every tenth commit the revision of the one before.
#[derive(Default)]
pub(crate) struct ReusedRevision {
    commits: AtomicU64,
}

#[async_trait]
impl Flaw for ReusedRevision {
    async fn commit(&self, good: &MemoryStore, from: Transaction) -> Result<Revision, StoreError> {
        let revision = good.commit(from).await?;
        Ok(if self.commits.fetch_add(1, Ordering::Relaxed) % 10 == 9 { revision - 1 } else { revision })
    }
}

pub(crate) struct RevisionForNothing;

#[async_trait]
impl Flaw for RevisionForNothing {
    async fn commit(&self, good: &MemoryStore, from: Transaction) -> Result<Revision, StoreError> {
        let before = good.revision().await?;
        match good.commit(from).await? {
            revision if revision == before => {
                good.commit(Transaction::new().put("nothing", "", Precondition::None)).await
            }
            revision => Ok(revision),
        }
    }
}

/// Leaves out puts of what is there.
pub(crate) struct EqualIgnored;

#[async_trait]
impl Flaw for EqualIgnored {
    async fn commit(&self, good: &MemoryStore, from: Transaction) -> Result<Revision, StoreError> {
        let mut operations = from.into_operations();
        for operation in &mut operations {
            if operation.key.is_empty() {
                continue;
            }
            let current = good.get(&operation.key, ReadAt::Latest).await?;
            if let (Change::Put { value, ttl: None }, Some(current)) = (&operation.change, current)
                && *value == current.value
            {
                operation.change = Change::Nothing;
            }
        }
        good.commit(transaction(operations)).await
    }
}

/// Takes the last of several operations on a key.
pub(crate) struct RepeatedKeyTaken;

#[async_trait]
impl Flaw for RepeatedKeyTaken {
    async fn commit(&self, good: &MemoryStore, from: Transaction) -> Result<Revision, StoreError> {
        let mut operations: Vec<Operation> = Vec::new();
        for operation in from.into_operations() {
            operations.retain(|earlier| earlier.key != operation.key);
            operations.push(operation);
        }
        good.commit(transaction(operations)).await
    }
}
