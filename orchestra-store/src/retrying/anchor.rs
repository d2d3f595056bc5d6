use orchestra_core::store::{
    Change, Key, KeyRange, ListOptions, Operation, Precondition, Revision, Store, StoreError, Transaction,
};

use super::RetryingStore;

/// A key that a transaction surely changes, and whose change keeps the transaction from being done a second time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Anchor {
    pub(super) key: Key,
    /// The revision of the key's version that is changed; `None` if it is created.
    pub(super) base: Option<Revision>,
}

impl Anchor {
    /// The best one of `transaction`: a change of a certain version can never happen again, a creation can.
    pub(super) fn of(transaction: &Transaction) -> Option<Self> {
        let mut creation = None;
        for Operation { key, precondition, change } in transaction.operations() {
            match (precondition, change) {
                (Precondition::Unchanged(base), Change::Put { .. } | Change::Delete) => {
                    return Some(Self { key: Key::clone(key), base: Some(*base) });
                }
                (Precondition::Absent, Change::Put { .. }) if creation.is_none() => {
                    creation = Some(Self { key: Key::clone(key), base: None });
                }
                _ => {}
            }
        }
        creation
    }
}

/// Whether `operation` can change something.
fn has_effect(operation: &Operation) -> bool {
    match operation.change {
        Change::Nothing => false,
        Change::Put { .. } => true,
        Change::Delete => operation.precondition != Precondition::Absent,
    }
}

impl RetryingStore {
    /// `transaction` with the precondition, added to one of its puts or deletes, that the key is as it is now. Where it has
    /// only deletes of keys that are not there, each is made to depend on that; what results changes nothing.
    ///
    /// `None` if an operation wants a key to exist that does not.
    pub(super) async fn anchored(&self, transaction: &Transaction) -> Result<Option<Transaction>, StoreError> {
        let mut operations = transaction.operations().to_vec();
        let is_put = |operation: &Operation| matches!(operation.change, Change::Put { .. });
        // Puts first: they always change something.
        let (puts, others): (Vec<_>, Vec<_>) = operations.iter_mut().partition(|operation| is_put(operation));
        for operation in puts.into_iter().chain(others).filter(|operation| has_effect(operation)) {
            let page = self.list(&KeyRange::single(&operation.key), ListOptions::default()).await?;
            operation.precondition = match (page.entries.first(), operation.precondition) {
                (Some(entry), _) => Precondition::Unchanged(entry.mod_revision),
                (None, Precondition::Exists) => return Ok(None),
                (None, _) => Precondition::Absent,
            };
            if has_effect(operation) {
                break;
            }
        }
        Ok(Some(operations.into_iter().fold(Transaction::new(), Transaction::with)))
    }
}

/// `transaction` without its changes.
pub(super) fn checks(transaction: &Transaction) -> Transaction {
    let check = |operation: &Operation| Operation { change: Change::Nothing, ..operation.clone() };
    transaction.operations().iter().map(check).fold(Transaction::new(), Transaction::with)
}

/// Whether `conflict` is about a precondition that [`anchored`](RetryingStore::anchored) added to `transaction`.
pub(super) fn is_added(conflict: &StoreError, transaction: &Transaction) -> bool {
    let StoreError::Conflict { key, expected, .. } = conflict else { return false };
    let own = transaction.operations().iter().find(|operation| operation.key == *key);
    own.is_none_or(|own| own.precondition != *expected)
}
