use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use orchestra_core::store::{
    Change, Key, KeyValue, Operation, Precondition, ReadAt, Revision, Store, StoreError, Transaction,
};
use orchestra_store::MemoryStore;
use parking_lot::Mutex;

use crate::broken::Flaw;

fn map_ttl(from: Transaction, mut change: impl FnMut(&Key, Option<Duration>) -> Option<Duration>) -> Transaction {
    from.into_operations().into_iter().fold(Transaction::new(), |transaction, operation| {
        let Operation { key, precondition, change: what } = operation;
        let what = match what {
            Change::Put { value, ttl } => Change::Put { value, ttl: change(&key, ttl) },
            other => other,
        };
        transaction.with(Operation { key, precondition, change: what })
    })
}

/// Gets the last value of a key that has expired.
#[derive(Default)]
pub(crate) struct ExpiredVisible {
    expiring: Mutex<HashMap<Key, Revision>>,
}

#[async_trait]
impl Flaw for ExpiredVisible {
    async fn commit(&self, good: &MemoryStore, from: Transaction) -> Result<Revision, StoreError> {
        let operations = from.operations().to_vec();
        let revision = good.commit(from).await?;
        for operation in operations {
            match operation.change {
                Change::Put { ttl: Some(_), .. } => self.expiring.lock().insert(operation.key, revision),
                _ => self.expiring.lock().remove(&operation.key),
            };
        }
        Ok(revision)
    }

    async fn get(&self, good: &MemoryStore, key: &str, at: ReadAt) -> Result<Option<KeyValue>, StoreError> {
        let expiring = self.expiring.lock().get(key).copied();
        match (at, expiring) {
            (ReadAt::Latest, Some(revision)) => good.get(key, ReadAt::Revision(revision)).await,
            _ => good.get(key, at).await,
        }
    }
}

pub(crate) struct LateTtl;

#[async_trait]
impl Flaw for LateTtl {
    async fn commit(&self, good: &MemoryStore, from: Transaction) -> Result<Revision, StoreError> {
        good.commit(map_ttl(from, |_, ttl| ttl.map(|ttl| ttl.saturating_mul(5)))).await
    }
}

pub(crate) struct EarlyTtl;

#[async_trait]
impl Flaw for EarlyTtl {
    async fn commit(&self, good: &MemoryStore, from: Transaction) -> Result<Revision, StoreError> {
        good.commit(map_ttl(from, |_, ttl| ttl.map(|ttl| ttl / 2))).await
    }
}

/// Lets a put without a time to live keep the one that the key had.
#[derive(Default)]
pub(crate) struct FirstTtlStays {
    times: Mutex<HashMap<Key, Duration>>,
}

#[async_trait]
impl Flaw for FirstTtlStays {
    async fn commit(&self, good: &MemoryStore, from: Transaction) -> Result<Revision, StoreError> {
        let stays = map_ttl(from, |key, ttl| {
            let mut times = self.times.lock();
            if let Some(ttl) = ttl {
                times.entry(Key::clone(key)).or_insert(ttl);
            }
            times.get(key).copied()
        });
        good.commit(stays).await
    }
}

pub(crate) struct NoCompaction;

#[async_trait]
impl Flaw for NoCompaction {
    async fn compact(&self, good: &MemoryStore, revision: Revision) -> Result<(), StoreError> {
        if revision > good.revision().await? { good.compact(revision).await } else { Ok(()) }
    }
}

/// Forgets the compacted revision itself too.
pub(crate) struct CompactsTooFar;

#[async_trait]
impl Flaw for CompactsTooFar {
    async fn compact(&self, good: &MemoryStore, revision: Revision) -> Result<(), StoreError> {
        let beyond = good.commit(Transaction::new().check("nothing", Precondition::None)).await?.min(revision + 1);
        good.compact(beyond.max(revision)).await
    }
}
