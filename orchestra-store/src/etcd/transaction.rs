use bytes::Bytes;
use etcd_client::{Compare, CompareOp, KvClient, PutOptions, Txn, TxnOp, proto::PbTxnOpResponse, proto::PbTxnResponse};
use orchestra_core::store::{Change, Key, Operation, Precondition, StoreError};

use super::entry::{entry, signed};

/// Whether etcd has anything to do or to check.
pub(super) fn is_empty(operations: &[Operation]) -> bool {
    operations
        .iter()
        .all(|operation| operation.change == Change::Nothing && operation.precondition == Precondition::None)
}

/// How etcd is asked to do a transaction.
pub(super) enum Request {
    /// A put alone and without a precondition: etcd 3.4 does almost twice as many of these as of transactions.
    Put(Key, Bytes, Option<PutOptions>),
    /// A delete alone and without a precondition.
    Delete(Key),
    Transaction(Txn),
}

impl Request {
    /// `leases` has one for each put with a time to live, in order.
    pub(super) fn of(operations: &[Operation], leases: &[i64]) -> Self {
        let [Operation { key, precondition: Precondition::None, change }] = operations else {
            return Self::Transaction(transaction(operations, leases));
        };
        match change {
            Change::Nothing => Self::Transaction(Txn::new()),
            Change::Put { value, .. } => Self::Put(Key::clone(key), value.clone(), leases.first().map(under)),
            Change::Delete => Self::Delete(Key::clone(key)),
        }
    }

    /// Sends it; the answer is that of a transaction in any case.
    pub(super) async fn send(self, kv: &mut KvClient) -> Result<PbTxnResponse, etcd_client::Error> {
        let done = |header| PbTxnResponse { header, succeeded: true, responses: Vec::new() };
        Ok(match self {
            Self::Put(key, value, options) => done(kv.put(&*key, value, options).await?.0.header),
            Self::Delete(key) => done(kv.delete(&*key, None).await?.0.header),
            Self::Transaction(transaction) => kv.txn(transaction).await?.0,
        })
    }
}

/// If all preconditions hold, all changes; else a read of each key that has one.
fn transaction(operations: &[Operation], leases: &[i64]) -> Txn {
    let mut leases = leases.iter();
    let compares: Vec<Compare> = operations.iter().filter_map(compare).collect();
    let reads: Vec<TxnOp> = compared(operations).map(|operation| TxnOp::get(&*operation.key, None)).collect();
    let changes: Vec<TxnOp> = operations
        .iter()
        .filter_map(|operation| match &operation.change {
            Change::Nothing => None,
            Change::Put { value, ttl } => {
                let options = ttl.and_then(|_| leases.next()).map(under);
                Some(TxnOp::put(&*operation.key, value.clone(), options))
            }
            Change::Delete => Some(TxnOp::delete(&*operation.key, None)),
        })
        .collect();
    Txn::new().when(compares).and_then(changes).or_else(reads)
}

fn under(lease: &i64) -> PutOptions {
    PutOptions::new().with_lease(*lease)
}

fn compared(operations: &[Operation]) -> impl Iterator<Item = &Operation> {
    operations.iter().filter(|operation| operation.precondition != Precondition::None)
}

fn compare(operation: &Operation) -> Option<Compare> {
    let key = &*operation.key;
    match operation.precondition {
        Precondition::None => None,
        Precondition::Absent => Some(Compare::version(key, CompareOp::Equal, 0)),
        Precondition::Exists => Some(Compare::version(key, CompareOp::Greater, 0)),
        // An absent key has the revision zero for etcd, which here no key has; the one that no key has there is negative.
        Precondition::Unchanged(0) => Some(Compare::mod_revision(key, CompareOp::Equal, -1)),
        Precondition::Unchanged(revision) => Some(Compare::mod_revision(key, CompareOp::Equal, signed(revision))),
    }
}

/// The first precondition that does not hold in what `refusal` tells.
pub(super) fn conflict(operations: &[Operation], refusal: PbTxnResponse) -> StoreError {
    let mut answers = refusal.responses.into_iter().map(|answer| answer.response);
    for operation in compared(operations) {
        let kv = match answers.next() {
            Some(Some(PbTxnOpResponse::ResponseRange(range))) => range.kvs.into_iter().next(),
            _ => break,
        };
        let current = match kv.map(entry).transpose() {
            Ok(current) => current,
            Err(corrupt) => return corrupt,
        };
        if !operation.precondition.holds(current.as_ref()) {
            return StoreError::Conflict { key: Key::clone(&operation.key), expected: operation.precondition, current };
        }
    }
    StoreError::Unavailable("etcd refused a transaction without a reason".to_owned())
}
