use std::{pin::pin, time::Duration};

use futures::{Stream, StreamExt};
use kube::runtime::watcher::{self, Event};
use tracing::{debug, warn};

use crate::backoff::Backoff;

/// The delays between attempts while the server does not answer.
const BACKOFF: Backoff = Backoff { base: Duration::from_millis(100), max: Duration::from_secs(30) };

/// Hands on what a list-watch of `kind` tells, until it ends. kube's watchers go on by themselves after a failure, but at once; here
/// they are given time, more of it with each failure in a row.
pub async fn follow<K>(
    events: impl Stream<Item = watcher::Result<Event<K>>>,
    kind: &str,
    mut hear: impl FnMut(Event<K>),
) {
    let mut events = pin!(events);
    let mut failures = 0;
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                failures = 0;
                hear(event);
            }
            Err(error) => {
                if is_unserved(&error) {
                    // A kind that is not there need not come: no reason to worry.
                    debug!(kind, %error, "not served");
                } else {
                    warn!(kind, %error, "list-watch failed, trying again");
                }
                tokio::time::sleep(BACKOFF.delay(failures)).await;
                failures += 1;
            }
        }
    }
}

/// Whether the API server has no such kind.
pub(super) fn is_unserved(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 404)
}
