use std::{sync::Arc, time::Duration};

use orchestra_core::random::Generator;

use super::Subject;
use crate::{FaultyStore, RetryingStore};

/// `store` behind a line that fails, loses requests and answers and breaks watches, all drawn from `seed`, with a [`RetryingStore`] that
/// makes up for it: so it has to keep the contract too. `more` may add to the faults.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// use std::sync::Arc;
/// use orchestra_store::{MemoryStore, contract};
///
/// let store = || contract::unreliable(Arc::new(MemoryStore::default()), 7, |line| line.repeated_requests(5));
/// assert_eq!(contract::checks()[0].run(store()).await, Ok(()));
/// # });
/// ```
pub fn unreliable(store: Subject, seed: u64, more: impl FnOnce(FaultyStore) -> FaultyStore) -> Subject {
    let line = FaultyStore::new(store, Generator::seeded(seed))
        .failures(10)
        .lost_requests(5)
        .lost_answers(5)
        .broken_watches(10);
    Arc::new(RetryingStore::new(Arc::new(more(line))).limit(Duration::from_secs(60)))
}
