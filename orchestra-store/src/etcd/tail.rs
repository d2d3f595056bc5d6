use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use etcd_client::{WatchOptions, WatchRequestSender, WatchResponseStream, proto::PbEvent, proto::PbWatchResponse};
use orchestra_core::{
    backoff::Backoff,
    store::{Revision, StoreError},
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until, timeout},
};
use tracing::warn;

use super::{
    connection::{Connection, Connections},
    entry,
    failure::{Failure, Kind},
    probe,
    range::Scope,
};
use crate::mvcc::Batch;

const BACKOFF: Backoff = Backoff { base: Duration::from_millis(20), max: Duration::from_secs(2) };

/// Everything that happens in the scope after a revision, in order, over as many connections as it takes.
pub(super) struct Tail {
    connections: Arc<Connections>,
    scope: Arc<Scope>,
    /// Everything up to here was told.
    after: Revision,
    progress: Arc<Progress>,
    session: Option<Session>,
    failures: u32,
    retry_at: Option<Instant>,
}

/// One watch of etcd's.
struct Session {
    connection: Arc<Connection>,
    requests: WatchRequestSender,
    responses: WatchResponseStream,
    /// The events of a response whose last fragment has not come.
    partial: Vec<PbEvent>,
}

/// How others ask a tail of less than everything how far it is.
#[derive(Default)]
pub(super) struct Progress {
    asked: Notify,
    /// Whether etcd, asked by the tail, tells the truth.
    is_told: AtomicBool,
}

impl Progress {
    /// Has the tail ask etcd; the answer is news. `false` if that is of no use.
    pub(super) fn ask(&self) -> bool {
        let is_told = self.is_told.load(Ordering::Relaxed);
        if is_told {
            self.asked.notify_one();
        }
        is_told
    }
}

/// What happened up to a revision.
pub(super) struct News {
    pub(super) batches: Vec<Batch>,
    pub(super) through: Revision,
}

enum Broken {
    /// It can go on over another connection.
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

impl Tail {
    pub(super) fn new(connections: Arc<Connections>, scope: Arc<Scope>, after: Revision) -> Self {
        Self { connections, scope, after, progress: Arc::default(), session: None, failures: 0, retry_at: None }
    }

    /// The tail, asked for its progress by that way.
    pub(super) fn asked_by(self, progress: &Arc<Progress>) -> Self {
        Self { progress: Arc::clone(progress), ..self }
    }

    /// Begins, unless it cannot for a reason that waiting does not remove.
    pub(super) async fn begin(&mut self) -> Result<(), StoreError> {
        match self.step().await {
            Ok(_) => Ok(()),
            Err(Broken::Over(error)) => Err(error),
            Err(Broken::Lost(failure)) if failure.is_of_the_connection() => {
                self.lost(failure);
                Ok(())
            }
            Err(Broken::Lost(failure)) => Err(failure.into()),
        }
    }

    /// What happened next. An error is final: what would come next has been compacted, or etcd lost what it had.
    ///
    /// A call that is dropped loses nothing; the next one goes on where it was.
    pub(super) async fn next(&mut self) -> Result<News, StoreError> {
        loop {
            match self.step().await {
                Ok(Some(news)) => return Ok(news),
                Ok(None) => {}
                Err(Broken::Over(error)) => return Err(error),
                Err(Broken::Lost(failure)) => self.lost(failure),
            }
        }
    }

    fn lost(&mut self, failure: Failure) {
        self.session = None;
        self.retry_at = Some(Instant::now() + BACKOFF.delay(self.failures));
        self.failures = self.failures.saturating_add(1);
        let error = StoreError::from(failure);
        warn!(%error, after = self.after, "etcd's watch is lost, trying again");
    }

    async fn step(&mut self) -> Result<Option<News>, Broken> {
        let Some(session) = &mut self.session else {
            if let Some(at) = self.retry_at {
                sleep_until(at).await;
            }
            self.session = Some(self.open().await?);
            self.failures = 0;
            return Ok(None);
        };
        let response = tokio::select! {
            response = session.responses.message() => response.map_err(Failure::from),
            // It failed others, and may hang for this watch.
            () = self.connections.left(&session.connection) => {
                self.session = None;
                return Ok(None);
            }
            () = self.progress.asked.notified() => {
                // If it cannot be sent the answers end too.
                let _ = session.requests.request_progress().await;
                return Ok(None);
            }
        };
        match response {
            Ok(Some(response)) => self.take(response.0),
            Ok(None) => Err(self.left(Failure::new(Kind::Unknown, "etcd ended the watch")).into()),
            Err(failure) => Err(self.left(failure).into()),
        }
    }

    /// Leaves the session's connection because of `failure`, which is the result.
    fn left(&self, failure: Failure) -> Failure {
        if let Some(session) = &self.session {
            self.connections.leave(&session.connection);
        }
        failure
    }

    async fn open(&self) -> Result<Session, Broken> {
        // etcd would wait for a revision that it has lost, as after its restoration from a backup, to come a second time.
        let current = probe::ask(&self.connections, &self.scope.key).await?;
        if current < self.after {
            return Err(StoreError::FutureRevision { requested: self.after, current }.into());
        }
        let connection = self.connections.current();
        let opened = match timeout(self.connections.timeout, self.open_on(&connection)).await {
            Ok(opened) => opened,
            Err(_) => Err(Failure::new(Kind::Unknown, "etcd does not begin the watch").into()),
        };
        if let Err(Broken::Lost(_)) = opened {
            // Also where it was refused: the token of a new connection is new.
            self.connections.leave(&connection);
        }
        opened
    }

    async fn open_on(&self, connection: &Arc<Connection>) -> Result<Session, Broken> {
        let clients = self.connections.clients(connection).await?;
        let options = WatchOptions::new()
            .with_range(self.scope.span.end.clone())
            .with_start_revision(entry::signed(self.after + 1))
            .with_prev_key()
            .with_fragment()
            .with_progress_notify();
        let watch = clients.watch.clone().watch(self.scope.span.start.clone(), Some(options)).await;
        let (requests, mut responses) = watch.map_err(Failure::from)?.split();
        let created = responses.message().await.map_err(Failure::from)?;
        let created = created.ok_or_else(|| Failure::new(Kind::Unknown, "etcd ended the watch"))?;
        canceled(&created.0, self.after)?;
        // A watch of everything needs not ask: it sees an event for each revision.
        if !self.scope.is_whole {
            // A user who may not know the version does without.
            let status = clients.maintenance.clone().status().await;
            let is_told = status.is_ok_and(|status| progress_is_true(status.version()));
            self.progress.is_told.store(is_told, Ordering::Relaxed);
        }
        Ok(Session { connection: Arc::clone(connection), requests, responses, partial: Vec::new() })
    }

    fn take(&mut self, response: PbWatchResponse) -> Result<Option<News>, Broken> {
        if let Err(broken) = canceled(&response, self.after) {
            return Err(match broken {
                Broken::Lost(failure) => self.left(failure).into(),
                over => over,
            });
        }
        let Some(session) = &mut self.session else { return Ok(None) };
        session.partial.extend(response.events);
        if response.fragment || response.created {
            return Ok(None);
        }
        let events = std::mem::take(&mut session.partial);
        let (batches, through) = if events.is_empty() {
            (Vec::new(), entry::revision(response.header.as_ref())?)
        } else {
            let batches = entry::batches(events, self.after)?;
            let through = batches.last().map_or(0, |last| last.revision);
            (batches, through)
        };
        if through <= self.after {
            return Ok(None);
        }
        self.after = through;
        Ok(Some(News { batches, through }))
    }
}

/// Whether etcd ended the watch after revision `after` with this response.
fn canceled(response: &PbWatchResponse, after: Revision) -> Result<(), Broken> {
    if !response.canceled {
        return Ok(());
    }
    if response.compact_revision > 0 {
        let oldest = entry::unsigned(response.compact_revision);
        return Err(StoreError::Compacted { requested: after, oldest }.into());
    }
    let reason = &response.cancel_reason;
    let refused = reason.contains("permission denied") || reason.contains("invalid auth token");
    let kind = if refused { Kind::Unauthorized } else { Kind::Unknown };
    Err(Failure::new(kind, format!("etcd refuses the watch: {reason}")).into())
}

/// Whether etcd of this version, asked for a watch's progress, never tells it before the events (its issue 15220).
fn progress_is_true(version: &str) -> bool {
    let mut numbers = version.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    version >= (3, 5, 8) || ((3, 4, 25)..(3, 5, 0)).contains(&version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_asked_for_only_where_the_answer_is_right() {
        for version in ["3.4.25", "3.4.30", "3.5.8", "3.5.21", "3.6.0", "3.6.0-rc.1", "4.0.0"] {
            assert!(progress_is_true(version), "{version}");
        }
        for version in ["3.3.27", "3.4.23", "3.5.0", "3.5.7", "", "unknown"] {
            assert!(!progress_is_true(version), "{version}");
        }
    }
}
