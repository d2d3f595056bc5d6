use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use etcd_client::{Client, ConnectOptions, KvClient, LeaseClient, MaintenanceClient, WatchClient};
use tokio::{
    sync::{OnceCell, watch},
    time::{Instant, timeout_at},
};

use super::{
    EtcdStoreOptions,
    failure::{Failure, Kind},
};

/// No request has longer, so that times can be added up.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// The way to etcd: one endpoint at a time, the next one when it fails.
///
/// A balancer over all of them, which the client would have, gives each request to a random one, also to one that is down or
/// cut off from the others; here one failure is enough for all to leave it.
pub(super) struct Connections {
    endpoints: Vec<String>,
    options: ConnectOptions,
    pub(super) timeout: Duration,
    current: watch::Sender<Arc<Connection>>,
}

/// One try to be connected with one endpoint.
pub(super) struct Connection {
    endpoint: usize,
    clients: OnceCell<Clients>,
    /// How many calls were answered.
    answers: AtomicU64,
}

/// The calls that etcd takes.
pub(super) struct Clients {
    pub(super) kv: KvClient,
    pub(super) watch: WatchClient,
    pub(super) lease: LeaseClient,
    pub(super) maintenance: MaintenanceClient,
}

/// Whether a request may be sent again after it may have been done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeatable {
    Yes,
    No,
}

impl Connections {
    pub(super) fn new(options: &EtcdStoreOptions) -> Result<Self, Failure> {
        if options.endpoints.is_empty() {
            return Err(Failure::new(Kind::InvalidArgument, "etcd has no endpoints"));
        }
        if options.tls.as_ref().is_some_and(|tls| !tls.has_authority()) {
            return Err(Failure::new(Kind::InvalidArgument, "the authority of etcd's certificate is not in PEM"));
        }
        Ok(Self {
            endpoints: options.endpoints.clone(),
            options: options.connect_options(),
            timeout: options.request_timeout.min(LONGEST),
            current: watch::Sender::new(Arc::new(Connection::to(0))),
        })
    }

    pub(super) fn current(&self) -> Arc<Connection> {
        Arc::clone(&self.current.borrow())
    }

    /// Waits until `connection` is no longer the one to use.
    pub(super) async fn left(&self, connection: &Arc<Connection>) {
        let mut current = self.current.subscribe();
        // The sender lives as long as this call.
        let _ = current.wait_for(|current| !Arc::ptr_eq(current, connection)).await;
    }

    /// Has all use the next endpoint, if they have not left `connection` already.
    pub(super) fn leave(&self, connection: &Arc<Connection>) {
        self.current.send_if_modified(|current| {
            if !Arc::ptr_eq(current, connection) {
                return false;
            }
            *current = Arc::new(Connection::to((connection.endpoint + 1) % self.endpoints.len()));
            true
        });
    }

    /// The clients of `connection`. Only where there is a user does this ask etcd, for its token.
    pub(super) async fn clients<'a>(&self, connection: &'a Connection) -> Result<&'a Clients, Failure> {
        let connect = async {
            let endpoint = [&self.endpoints[connection.endpoint]];
            let client = Client::connect(endpoint, Some(self.options.clone())).await?;
            Ok::<_, Failure>(Clients {
                kv: client.kv_client().max_decoding_message_size(usize::MAX),
                watch: client.watch_client().max_decoding_message_size(usize::MAX),
                lease: client.lease_client(),
                maintenance: client.maintenance_client(),
            })
        };
        match connection.clients.get_or_try_init(|| connect).await {
            Ok(clients) => Ok(clients),
            // Authentication that was not answered has done nothing.
            Err(failure) if failure.kind == Kind::Unknown => Err(failure.told_as(Kind::NotConnected)),
            Err(failure) => Err(failure),
        }
    }

    /// Does `call` within the timeout: again on another connection where the one in use fails, each endpoint having its turn,
    /// if it was certainly not done or is `repeatable`. An endpoint that hangs takes all the time of the call that finds that out;
    /// the next call goes elsewhere.
    pub(super) async fn call<T, F>(&self, repeatable: Repeatable, call: impl Fn(&Clients) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let deadline = Instant::now() + self.timeout;
        // One more than there are: the connection may have been lost while nobody used it.
        for _ in 0..self.endpoints.len() {
            match self.attempt(deadline, &call).await {
                Err(failure)
                    if failure.is_of_the_connection()
                        && (failure.is_certain() || repeatable == Repeatable::Yes)
                        && Instant::now() < deadline => {}
                outcome => return outcome,
            }
        }
        self.attempt(deadline, &call).await
    }

    async fn attempt<T, F>(&self, deadline: Instant, call: impl Fn(&Clients) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let connection = self.current();
        let answers_before = connection.answers();
        let outcome = async {
            let connected = timeout_at(deadline, self.clients(&connection)).await;
            let clients = connected.map_err(|_| self.no_answer(Kind::NotConnected))??;
            timeout_at(deadline, call(clients)).await.map_err(|_| self.no_answer(Kind::Unknown))
        };
        match outcome.await {
            Ok(Ok(answer)) => {
                connection.answers.fetch_add(1, Ordering::Relaxed);
                Ok(answer)
            }
            Ok(Err(error)) => Err(self.failed(&connection, error.into())),
            // Others were answered meanwhile: it is the answer that is large, or the request.
            Err(failure) if connection.answers() > answers_before => Err(failure),
            Err(failure) => Err(self.failed(&connection, failure)),
        }
    }

    fn failed(&self, connection: &Arc<Connection>, failure: Failure) -> Failure {
        if failure.is_of_the_connection() {
            self.leave(connection);
        }
        failure
    }

    pub(super) fn no_answer(&self, kind: Kind) -> Failure {
        Failure::new(kind, format!("etcd did not answer within {:?}", self.timeout))
    }
}

impl Connection {
    fn to(endpoint: usize) -> Self {
        Self { endpoint, clients: OnceCell::new(), answers: AtomicU64::new(0) }
    }

    fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }
}
