use std::sync::Arc;

use etcd_client::{WatchOptions, WatchRequestSender, WatchResponseStream, proto::PbEvent, proto::PbWatchResponse};
use orchestra_core::store::{Revision, StoreError};

use super::{
    connection::{Clients, Connection},
    entry,
    failure::{Failure, Kind},
    progress::Progress,
    range::Scope,
};
use crate::mvcc::Batch;

/// One watch of etcd's, as long as its connection lasts.
pub(super) struct Session {
    pub(super) connection: Arc<Connection>,
    requests: WatchRequestSender,
    responses: WatchResponseStream,
    /// The events of a revision whose last fragment has not come.
    partial: Vec<PbEvent>,
}

/// What happened up to a revision.
pub(super) struct News {
    pub(super) batches: Vec<Batch>,
    pub(super) through: Revision,
}

/// Why a watch does not go on.
pub(super) enum Broken {
    /// It can over another connection.
    Lost(Failure),
    /// What comes next is gone.
    Over(StoreError),
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self::Lost(failure)
    }
}

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        Self::Over(error)
    }
}

impl Session {
    /// Begins the watch of what happens in `scope` after revision `after`.
    pub(super) async fn open(
        connection: &Arc<Connection>,
        clients: &Clients,
        scope: &Scope,
        after: Revision,
        progress: &Progress,
    ) -> Result<Self, Broken> {
        let options = WatchOptions::new()
            .with_range(scope.span.end.clone())
            .with_start_revision(entry::signed(after + 1))
            .with_prev_key()
            .with_fragment()
            .with_progress_notify();
        let watch = clients.watch.clone().watch(scope.span.start.clone(), Some(options)).await;
        let (requests, responses) = watch.map_err(Failure::from)?.split();
        let mut session = Self { connection: Arc::clone(connection), requests, responses, partial: Vec::new() };
        // The first response says whether there is a watch.
        session.response(after).await?;
        // A watch of everything needs not ask: it sees an event for each revision.
        if !scope.is_whole {
            // A user who may not know the version does without.
            let status = clients.maintenance.clone().status().await.ok();
            progress.told_by(status.as_ref().map(|status| status.version()));
        }
        Ok(session)
    }

    /// What happened after revision `after`, to which the watch has come; `None` where there is more to come of it. A call that is
    /// dropped loses nothing.
    pub(super) async fn next(&mut self, after: Revision) -> Result<Option<News>, Broken> {
        let response = self.response(after).await?;
        self.partial.extend(response.events);
        if response.created {
            return Ok(None);
        }
        let events = if response.fragment { self.whole_revisions() } else { std::mem::take(&mut self.partial) };
        if response.fragment && events.is_empty() {
            return Ok(None);
        }
        let news = if events.is_empty() {
            News { batches: Vec::new(), through: entry::revision(response.header.as_ref())? }
        } else {
            let batches = entry::batches(events, after)?;
            let through = batches.last().map_or(0, |last| last.revision);
            News { batches, through }
        };
        Ok((news.through > after).then_some(news))
    }

    /// Takes what has come of a response that goes on, but for its last revision, of which there may be more.
    fn whole_revisions(&mut self) -> Vec<PbEvent> {
        let revision = |event: &PbEvent| event.kv.as_ref().map_or(0, |kv| kv.mod_revision);
        let last = self.partial.last().map_or(0, revision);
        let open = self.partial.partition_point(|event| revision(event) < last);
        let open = self.partial.split_off(open);
        std::mem::replace(&mut self.partial, open)
    }

    async fn response(&mut self, after: Revision) -> Result<PbWatchResponse, Broken> {
        let response = self.responses.message().await.map_err(Failure::from)?;
        let response = response.ok_or_else(|| Failure::new(Kind::Unknown, "etcd ended the watch"))?.0;
        if response.canceled { Err(canceled(&response, after)) } else { Ok(response) }
    }

    /// Asks etcd how far this is; the answer is news.
    pub(super) async fn ask_progress(&mut self) {
        // If it cannot be sent the answers end too.
        let _ = self.requests.request_progress().await;
    }
}

/// Why etcd ended the watch after revision `after`.
fn canceled(response: &PbWatchResponse, after: Revision) -> Broken {
    if response.compact_revision > 0 {
        let oldest = entry::unsigned(response.compact_revision);
        return StoreError::Compacted { requested: after, oldest }.into();
    }
    let reason = &response.cancel_reason;
    let kind = if reason.contains("permission denied") {
        Kind::Unauthorized
    } else if reason.contains("invalid auth token") || reason.contains("auth store is old") {
        Kind::StaleToken
    } else {
        Kind::Unknown
    };
    Failure::new(kind, format!("etcd refuses the watch: {reason}")).into()
}
