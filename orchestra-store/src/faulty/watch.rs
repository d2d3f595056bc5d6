use std::sync::Arc;

use futures::{StreamExt, stream};
use orchestra_core::{
    random::Generator,
    store::{StoreError, WatchBatch, WatchStream},
};

use super::{
    fate::{Faults, strikes, up_to},
    line::Line,
    sleep_for, unavailable,
};

struct Watch {
    stream: WatchStream,
    faults: Faults,
    /// Its own, so that what it draws does not depend on other watches and calls.
    generator: Generator,
    line: Arc<Line>,
}

/// `stream` over `line`.
pub(super) fn faulty(stream: WatchStream, faults: Faults, generator: Generator, line: Arc<Line>) -> WatchStream {
    let cut = line.until_cut().child_token();
    // The line may have been cut since the watch began.
    if line.is_cut() {
        cut.cancel();
    }
    let watch = Watch { stream, faults, generator, line };
    let items = stream::unfold(Some(watch), move |watch| {
        let cut = cut.clone();
        async move {
            let mut watch = watch?;
            tokio::select! {
                biased;
                () = cut.cancelled() => Some((Err(unavailable()), None)),
                item = watch.next() => {
                    let item = item?;
                    let goes_on = item.is_ok().then_some(watch);
                    Some((item, goes_on))
                }
            }
        }
    });
    items.boxed()
}

impl Watch {
    async fn next(&mut self) -> Option<Result<WatchBatch, StoreError>> {
        loop {
            let item = self.stream.next().await?;
            if self.faults.hides_progress && item.as_ref().is_ok_and(|batch| batch.events.is_empty()) {
                continue;
            }
            if self.line.is_faulty() {
                sleep_for(up_to(self.faults.lag, &self.generator)).await;
                if strikes(self.faults.broken_watches, &self.generator) {
                    return Some(Err(unavailable()));
                }
            }
            return Some(item);
        }
    }
}
