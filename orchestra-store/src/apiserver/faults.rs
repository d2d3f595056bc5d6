//! An unreliable way to an API server, for tests of what has to bear one.

use std::{io, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use futures::{Stream, StreamExt, stream};
use http::{Method, StatusCode, header};
use orchestra_core::random::Generator;
use tokio::time::sleep;

use super::{ApiError, request::options::Query};

/// How many events of a watch may arrive together after a delay.
const TOGETHER: usize = 64;

/// The faults of a line between clients and an API server: calls that fail, answers that get lost, watches that lag and break.
///
/// The server itself stays sound: what reaches it is done once, and a watch delivers what it delivers in order and without gap until it
/// breaks. Faults are drawn from a seeded generator, and delays are tokio's, so that under paused time a seed gives the same faults again.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use std::{sync::Arc, time::Duration};
/// use k8s_openapi::api::core::v1::ConfigMap;
/// use kube::{Api, Client};
/// use orchestra_core::random::Generator;
/// use orchestra_store::{MemoryStore, apiserver::{ApiServer, Faults}};
///
/// let server = ApiServer::builder(Arc::new(MemoryStore::default())).start().await?;
/// let faults = Faults::new(Generator::seeded(7)).lost_answers(100);
/// let config_maps = Api::<ConfigMap>::default_namespaced(Client::new(faults.wrap(server.router()), "default"));
/// let mut object = ConfigMap::default();
/// object.metadata.name = Some("a".into());
/// assert!(config_maps.create(&Default::default(), &object).await.is_err());
/// assert!(config_maps.get("a").await.is_ok(), "it was created all the same");
/// # Ok::<(), orchestra_store::apiserver::StartError>(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Faults {
    generator: Generator,
    failures: u64,
    lost_answers: u64,
    broken_watches: u64,
    delay: Duration,
    lag: Duration,
}

impl Faults {
    /// A line without faults, to be given some.
    pub fn new(generator: Generator) -> Self {
        Self { generator, failures: 0, lost_answers: 0, broken_watches: 0, delay: Duration::ZERO, lag: Duration::ZERO }
    }

    /// So many of a hundred calls do not reach the server: they are answered with 503, and nothing is done.
    #[must_use]
    pub fn failures(mut self, percent: u64) -> Self {
        self.failures = percent;
        self
    }

    /// So many of a hundred writes are done, but the connection breaks before the answer is there.
    #[must_use]
    pub fn lost_answers(mut self, percent: u64) -> Self {
        self.lost_answers = percent;
        self
    }

    /// At so many of a hundred deliveries a watch breaks instead.
    #[must_use]
    pub fn broken_watches(mut self, percent: u64) -> Self {
        self.broken_watches = percent;
        self
    }

    /// Every request, and every answer, takes up to `most`; calls that are under way together overtake each other.
    #[must_use]
    pub fn delay(mut self, most: Duration) -> Self {
        self.delay = most;
        self
    }

    /// The events of a watch take up to `most`, each watch on its own.
    #[must_use]
    pub fn lag(mut self, most: Duration) -> Self {
        self.lag = most;
        self
    }

    /// The way to `server` that has these faults.
    pub fn wrap(self, server: Router) -> Router {
        server.layer(middleware::from_fn_with_state(self, pass))
    }

    fn strikes(&self, percent: u64) -> bool {
        self.generator.below(100) < percent
    }

    async fn wait(&self, most: Duration) {
        let nanos = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        if nanos > 0 {
            sleep(Duration::from_nanos(self.generator.below(nanos))).await;
        }
    }

    fn lagging(self, events: Body) -> impl Stream<Item = io::Result<Bytes>> {
        let deliveries = events.into_data_stream().map(|event| event.map_err(io::Error::other)).ready_chunks(TOGETHER);
        stream::unfold(Some((self, Box::pin(deliveries))), |state| async {
            let (faults, mut deliveries) = state?;
            let delivery: io::Result<Vec<Bytes>> = deliveries.next().await?.into_iter().collect();
            faults.wait(faults.lag).await;
            if faults.strikes(faults.broken_watches) {
                return Some((Err(broken()), None));
            }
            Some((delivery.map(|events| events.concat().into()), Some((faults, deliveries))))
        })
    }
}

/// One call over the line.
async fn pass(State(faults): State<Faults>, request: Request, next: Next) -> Response {
    let is_write = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let is_watch = request.uri().query().is_some_and(|query| Query::parse(query).flag("watch"));
    let (fails, loses) = (faults.strikes(faults.failures), is_write && faults.strikes(faults.lost_answers));
    faults.wait(faults.delay).await;
    if fails {
        return unavailable();
    }
    let response = next.run(request).await;
    faults.wait(faults.delay).await;
    if loses {
        return Response::new(Body::from_stream(stream::iter([Err::<Bytes, _>(broken())])));
    }
    if is_watch { response.map(|events| Body::from_stream(faults.lagging(events))) } else { response }
}

fn unavailable() -> Response {
    let error = ApiError::unavailable("the line to the API server is down");
    (StatusCode::SERVICE_UNAVAILABLE, [(header::CONTENT_TYPE, "application/json")], error.to_json()).into_response()
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the line to the API server broke")
}
