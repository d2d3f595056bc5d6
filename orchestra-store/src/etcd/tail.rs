use std::{sync::Arc, time::Duration};

use orchestra_core::{
    backoff::Backoff,
    store::{Revision, StoreError},
};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::warn;

use super::{
    connection::Connections,
    failure::{Failure, Kind},
    probe::{self, Told},
    progress::Progress,
    range::Scope,
    session::{Broken, News, Session},
};

/// The distances between attempts to reach etcd.
pub(super) const BACKOFF: Backoff = Backoff { base: Duration::from_millis(20), max: Duration::from_secs(2) };
/// How long etcd may refuse a watch before it ends: a user may be being changed.
const REFUSED: Duration = Duration::from_secs(5);

/// Everything that happens in the scope after a revision, in order, over as many connections as it takes.
pub(super) struct Tail {
    connections: Arc<Connections>,
    scope: Arc<Scope>,
    /// Everything up to here was told.
    after: Revision,
    /// The cluster that told it.
    cluster: Option<u64>,
    progress: Arc<Progress>,
    /// Whether all are to leave a connection that it loses: where others read the past, one watch is little to judge by.
    leads: bool,
    session: Option<Session>,
    /// In a row, without news.
    failures: u32,
    refused_since: Option<Instant>,
    retry_at: Option<Instant>,
}

impl Tail {
    pub(super) fn new(connections: Arc<Connections>, scope: Arc<Scope>, after: Revision) -> Self {
        Self {
            connections,
            scope,
            after,
            cluster: None,
            progress: Arc::default(),
            leads: false,
            session: None,
            failures: 0,
            refused_since: None,
            retry_at: None,
        }
    }

    /// The hub's tail, asked for its progress by that way.
    pub(super) fn of_the_hub(self, progress: &Arc<Progress>) -> Self {
        Self { progress: Arc::clone(progress), leads: true, ..self }
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

    /// What happened next. An error is final: what would come next has been compacted, etcd lost what it had, or refuses to tell.
    ///
    /// A call that is dropped loses nothing; the next one goes on where it was.
    pub(super) async fn next(&mut self) -> Result<News, StoreError> {
        loop {
            match self.step().await {
                Ok(Some(news)) => {
                    self.after = news.through;
                    self.failures = 0;
                    return Ok(news);
                }
                Ok(None) => {}
                Err(Broken::Over(error)) => return Err(error),
                Err(Broken::Lost(failure)) if self.is_given_up(&failure) => return Err(failure.into()),
                Err(Broken::Lost(failure)) => self.lost(failure),
            }
        }
    }

    /// Notes whether etcd refuses the watch, and tells whether it has for long.
    fn is_given_up(&mut self, failure: &Failure) -> bool {
        if failure.is_refusal() {
            self.refused_since.get_or_insert_with(Instant::now).elapsed() >= REFUSED
        } else {
            self.refused_since = None;
            false
        }
    }

    /// Has no watch with etcd until the next call.
    pub(super) fn rest(&mut self) {
        self.session = None;
    }

    fn lost(&mut self, failure: Failure) {
        if let Some(session) = self.session.take()
            && self.leads
        {
            self.connections.leave(&session.connection);
        }
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
            self.refused_since = None;
            return Ok(None);
        };
        let connection = Arc::clone(&session.connection);
        tokio::select! {
            news = session.next(self.after) => news,
            // It failed others, and may hang for this watch.
            () = self.connections.left(&connection) => {
                self.session = None;
                Ok(None)
            }
            () = self.progress.asked() => {
                session.ask_progress().await;
                Ok(None)
            }
        }
    }

    async fn open(&mut self) -> Result<Session, Broken> {
        // etcd would wait for a revision that it has lost, as after its restoration from a backup, to come a second time.
        let Told { revision: current, cluster } = probe::ask(&self.connections, &self.scope.key).await?;
        if current < self.after {
            return Err(StoreError::FutureRevision { requested: self.after, current }.into());
        }
        // And if it has come already, that is not what came before.
        if *self.cluster.get_or_insert(cluster) != cluster {
            return Err(StoreError::Compacted { requested: self.after, oldest: current + 1 }.into());
        }
        let connection = self.connections.current();
        let open = async {
            let clients = self.connections.clients(&connection).await?;
            Session::open(&connection, clients, &self.scope, self.after, &self.progress).await
        };
        let opened = match timeout(self.connections.timeout, open).await {
            Ok(opened) => opened,
            Err(_) => Err(Failure::new(Kind::Unknown, "etcd does not begin the watch").into()),
        };
        if let Err(Broken::Lost(failure)) = &opened
            && (self.leads || failure.kind == Kind::StaleToken)
        {
            self.connections.leave(&connection);
        }
        opened
    }
}
