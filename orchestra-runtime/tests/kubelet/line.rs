//! The way from a kubelet to its API server.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State},
    http::{Method, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use tokio::time::Instant;

/// Notes each write of a pod's status, and fails those that it is told to.
#[derive(Clone)]
pub(crate) struct Line {
    started: Instant,
    writes: Arc<Mutex<Vec<(String, Duration)>>>,
    failing: Arc<Mutex<BTreeSet<String>>>,
    cut: Arc<AtomicBool>,
}

impl Line {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), writes: Arc::default(), failing: Arc::default(), cut: Arc::default() }
    }

    pub(crate) fn wrap(&self, server: Router) -> Router {
        server.layer(middleware::from_fn_with_state(self.clone(), pass))
    }

    /// The names of the pods whose statuses were written, each with how long after the start.
    pub(crate) fn status_writes(&self) -> Vec<(String, Duration)> {
        self.writes.lock().unwrap().clone()
    }

    /// Has the server answer nothing any more, or again.
    pub(crate) fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::Relaxed);
    }

    /// Fails the next write of this pod's status.
    pub(crate) fn fail_status_of(&self, pod: &str) {
        self.failing.lock().unwrap().insert(pod.to_owned());
    }
}

async fn pass(State(line): State<Line>, request: Request, next: Next) -> Response {
    if line.cut.load(Ordering::Relaxed) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let path = request.uri().path();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    if let ["api", "v1", "namespaces", _, "pods", pod, "status"] = parts[..]
        && request.method() == Method::PATCH
    {
        if line.failing.lock().unwrap().remove(pod) {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        line.writes.lock().unwrap().push((pod.to_owned(), line.started.elapsed()));
    }
    next.run(request).await
}
