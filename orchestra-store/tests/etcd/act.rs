//! What tests do to stores.

use std::time::Duration;

use futures::StreamExt;
use orchestra_core::store::{Event, Precondition, Revision, Store, StoreError, Transaction, WatchStream};
use orchestra_store::EtcdStore;
use tokio::time::{Instant, sleep, timeout};

use crate::load::PATIENCE;

pub(crate) async fn put(store: &EtcdStore, key: &str) -> Result<Revision, StoreError> {
    store.commit(Transaction::new().put(key, "1", Precondition::None)).await
}

/// Waits until `store` answers again; the result is its revision.
pub(crate) async fn serves(store: &EtcdStore) -> Revision {
    let begun = Instant::now();
    loop {
        match store.revision().await {
            Ok(revision) => return revision,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "no service: {error}"),
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// Events up to the one at `last`.
pub(crate) async fn through(watch: &mut WatchStream, last: Revision) -> Vec<Event> {
    let mut events = Vec::new();
    let reached = async {
        while events.last().map_or(0, Event::revision) < last {
            let batch = watch.next().await.expect("the watch ends").expect("the watch fails");
            events.extend(batch.events);
        }
    };
    timeout(PATIENCE, reached).await.expect("an event is missing");
    events
}

/// The next event.
pub(crate) async fn next(watch: &mut WatchStream) -> Event {
    through(watch, 1).await.remove(0)
}

/// What is told before the error that ends the watch, and the error.
pub(crate) async fn until_error(watch: &mut WatchStream) -> (Vec<Event>, StoreError) {
    let mut events = Vec::new();
    let ended = async {
        loop {
            match watch.next().await.expect("the watch ends without an error") {
                Ok(batch) => events.extend(batch.events),
                Err(error) => break error,
            }
        }
    };
    let error = timeout(PATIENCE, ended).await.expect("the watch does not end");
    assert!(watch.next().await.is_none(), "the watch goes on after its error");
    (events, error)
}
