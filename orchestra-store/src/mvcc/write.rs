use std::{collections::HashSet, time::Duration};

use bytes::Bytes;
use orchestra_core::store::{Change, Key, KeyValue, Operation, Precondition, StoreError};

/// What a transaction whose preconditions hold does to a key.
#[derive(Clone)]
pub(crate) struct Write {
    pub(crate) key: Key,
    /// `None` deletes.
    pub(crate) put: Option<Put>,
}

#[derive(Clone)]
pub(crate) struct Put {
    pub(crate) value: Bytes,
    pub(crate) ttl: Option<Duration>,
}

impl Write {
    /// `None` where the operation only checks.
    pub(super) fn of(operation: Operation) -> Option<Self> {
        let put = match operation.change {
            Change::Nothing => return None,
            Change::Put { value, ttl } => Some(Put { value, ttl }),
            Change::Delete => None,
        };
        Some(Self { key: operation.key, put })
    }
}

pub(crate) fn require_key(key: &str) -> Result<(), StoreError> {
    if key.is_empty() {
        return Err(StoreError::InvalidArgument("a key must not be empty".to_owned()));
    }
    Ok(())
}

/// Refuses operations that make no sense together, whatever there is.
pub(crate) fn require_sense(operations: &[Operation]) -> Result<(), StoreError> {
    if let [operation] = operations {
        return require_key(&operation.key);
    }
    let mut keys = HashSet::with_capacity(operations.len());
    for operation in operations {
        require_key(&operation.key)?;
        if !keys.insert(&operation.key) {
            return Err(StoreError::InvalidArgument(format!("key {} occurs twice", operation.key)));
        }
    }
    Ok(())
}

/// Whether a transaction makes sense, and its preconditions hold of what `latest` tells of a key.
pub(super) fn check(operations: &[Operation], latest: impl Fn(&str) -> Option<KeyValue>) -> Result<(), StoreError> {
    require_sense(operations)?;
    for operation in operations.iter().filter(|operation| operation.precondition != Precondition::None) {
        let current = latest(&operation.key);
        if !operation.precondition.holds(current.as_ref()) {
            let (key, expected) = (Key::clone(&operation.key), operation.precondition);
            return Err(StoreError::Conflict { key, expected, current });
        }
    }
    Ok(())
}
