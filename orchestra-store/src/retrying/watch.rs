use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use orchestra_core::store::{KeyRange, Revision, Store, StoreError, WatchBatch, WatchStream};
use tokio::time::Instant;

use super::patience::Patience;

/// A watch that held for so long had found the store available, also if nothing happened.
const STEADY: Duration = Duration::from_secs(1);

struct Watch {
    store: Arc<dyn Store>,
    range: KeyRange,
    /// The last revision that was delivered.
    after: Revision,
    /// `None` while it is broken.
    stream: Option<WatchStream>,
    /// When it last began.
    begun: Instant,
    patience: Patience,
}

/// `stream`, a watch of `range` after revision `after`, begun anew whenever the store becomes unavailable.
pub(super) fn resuming(
    store: Arc<dyn Store>,
    range: KeyRange,
    after: Revision,
    stream: WatchStream,
    patience: Patience,
) -> WatchStream {
    let watch = Watch { store, range, after, stream: Some(stream), begun: Instant::now(), patience };
    let items = stream::unfold(Some(watch), |watch| async {
        let mut watch = watch?;
        let item = watch.next().await?;
        let goes_on = item.is_ok().then_some(watch);
        Some((item, goes_on))
    });
    items.boxed()
}

impl Watch {
    async fn next(&mut self) -> Option<Result<WatchBatch, StoreError>> {
        loop {
            let item = match &mut self.stream {
                Some(stream) => stream.next().await?,
                None => match self.store.watch(self.range.clone(), self.after).await {
                    Ok(stream) => {
                        self.stream = Some(stream);
                        self.begun = Instant::now();
                        continue;
                    }
                    Err(error) => Err(error),
                },
            };
            match item {
                Ok(batch) => {
                    self.after = batch.revision;
                    self.patience.restore();
                    return Some(Ok(batch));
                }
                Err(error @ StoreError::Unavailable(_)) => {
                    if self.stream.take().is_some() && self.begun.elapsed() >= STEADY {
                        self.patience.restore();
                    }
                    if !self.patience.wait().await {
                        return Some(Err(error));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
