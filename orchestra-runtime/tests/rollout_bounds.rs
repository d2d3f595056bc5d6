//! A rolling update never leaves its bounds: not while caches lag behind, not when calls fail, and not when they succeed and only
//! the answer is lost.

#![allow(clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use orchestra_core::{
    clock::TokioClock, controller::ControllerContext, informer::InformerFactory, manager::ControllerManager,
    random::Generator,
};
use orchestra_runtime::controllers;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

mod small_api;

/// Of a hundred writes, how many fail, and how many succeed without saying so.
const FAILURES: u64 = 5;
const LOST_ANSWERS: u64 = 5;
/// No rollout takes longer than this, faults and all.
const DEADLINE: Duration = Duration::from_secs(600);

/// A way to the server on which calls are slow, fail, or lose their answer, and on which watches lag.
#[derive(Clone)]
struct BadLine {
    server: Router,
    generator: Generator,
}

impl BadLine {
    async fn delay(&self, at_most: u64) {
        sleep(Duration::from_millis(self.generator.below(at_most))).await;
    }

    async fn call(State(line): State<Self>, request: Request) -> Response {
        let is_write = request.method() != Method::GET;
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch="));
        let fate = if is_write { line.generator.below(100) } else { 100 };
        line.delay(20).await;
        if fate < FAILURES {
            return failed();
        }
        let response = line.server.clone().oneshot(request).await.into_response();
        if fate < FAILURES + LOST_ANSWERS {
            return failed();
        }
        line.delay(20).await;
        if !is_watch {
            return response;
        }
        let (parts, body) = response.into_parts();
        let lagging = body.into_data_stream().then(move |data| {
            let line = line.clone();
            async move {
                line.delay(80).await;
                data
            }
        });
        Response::from_parts(parts, Body::from_stream(lagging))
    }
}

fn failed() -> Response {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "the line is bad",
        "reason": "InternalError", "code": 500,
    });
    (StatusCode::INTERNAL_SERVER_ERROR, [("content-type", "application/json")], status.to_string()).into_response()
}

struct Bounds {
    replicas: i32,
    max_surge: i32,
    max_unavailable: i32,
}

const BOUNDS: [Bounds; 4] = [
    Bounds { replicas: 4, max_surge: 1, max_unavailable: 1 },
    Bounds { replicas: 10, max_surge: 3, max_unavailable: 2 },
    Bounds { replicas: 3, max_surge: 1, max_unavailable: 0 },
    Bounds { replicas: 5, max_surge: 0, max_unavailable: 1 },
];

struct Rollout {
    seed: u64,
    client: Client,
    generator: Generator,
    bounds: &'static Bounds,
    was_available: bool,
}

impl Rollout {
    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), "default")
    }

    fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.client.clone(), "default")
    }

    /// Follows the rollout to its end.
    async fn finish(&mut self) {
        let started = Instant::now();
        loop {
            let pods = self.pods().list(&ListParams::default()).await.unwrap().items;
            self.check(&pods);
            if self.is_done().await {
                return;
            }
            assert!(started.elapsed() < DEADLINE, "seed {}: the rollout got stuck", self.seed);
            self.advance_one(&pods).await;
            sleep(Duration::from_millis(self.generator.below(60))).await;
        }
    }

    fn check(&mut self, pods: &[Pod]) {
        let (seed, bounds) = (self.seed, self.bounds);
        let staying: Vec<_> = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect();
        let present = i32::try_from(staying.len()).unwrap();
        let available = i32::try_from(staying.iter().filter(|pod| is_running(pod)).count()).unwrap();
        assert!(present <= bounds.replicas + bounds.max_surge, "seed {seed}: {present} pods");
        self.was_available |= available == bounds.replicas;
        if self.was_available {
            assert!(available >= bounds.replicas - bounds.max_unavailable, "seed {seed}: {available} available pods");
        }
    }

    async fn is_done(&self) -> bool {
        let deployment = self.deployments().get("web").await.unwrap();
        let status = deployment.status.unwrap_or_default();
        let all = Some(self.bounds.replicas);
        status.observed_generation == deployment.metadata.generation
            && [status.replicas, status.updated_replicas, status.available_replicas] == [all; 3]
    }

    /// One pod becomes ready, or comes to its end.
    async fn advance_one(&self, pods: &[Pod]) {
        let is_ending = |pod: &Pod| pod.metadata.deletion_timestamp.is_some();
        let waiting: Vec<_> = pods.iter().filter(|pod| is_ending(pod) || !is_running(pod)).collect();
        let choice = usize::try_from(self.generator.below(waiting.len() as u64)).unwrap();
        let Some(pod) = waiting.get(choice) else { return };
        // It may have gone since: that is fine.
        if is_ending(pod) {
            let now = DeleteParams::default().grace_period(0);
            let _ = self.pods().delete(&pod.name_any(), &now).await;
        } else {
            let ready = json!({"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"});
            let status = Patch::Merge(json!({"status": {"phase": "Running", "conditions": [ready]}}));
            let _ = self.pods().patch_status(&pod.name_any(), &PatchParams::default(), &status).await;
        }
    }
}

fn is_running(pod: &Pod) -> bool {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
}

fn deployment(bounds: &Bounds) -> Value {
    json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": bounds.replicas, "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {
                "maxSurge": bounds.max_surge, "maxUnavailable": bounds.max_unavailable,
            }},
            "template": {
                "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "v0"}]},
            },
        },
    })
}

async fn roll_out(seed: u64) {
    let clock = Arc::new(TokioClock::starting_at("2026-01-01T00:00:00Z".parse().unwrap()));
    let generator = Generator::seeded(seed);
    let server = small_api::router(clock.clone(), generator.fork());
    let line = BadLine { server: server.clone(), generator: generator.fork() };
    let client = Client::new(Router::new().fallback(BadLine::call).with_state(line), "default");
    let informers = InformerFactory::new(client.clone());
    let context = ControllerContext { client, informers, clock, generator: generator.fork() };
    let add = |manager: ControllerManager, controller| manager.with_arc(controller);
    let manager = controllers::all(&context).into_iter().fold(ControllerManager::new(), add);
    let stop = CancellationToken::new();
    let running = tokio::spawn(manager.run(stop.clone()));

    let bounds = &BOUNDS[usize::try_from(seed).unwrap() % BOUNDS.len()];
    let client = Client::new(server, "default");
    let mut rollout = Rollout { seed, client, generator, bounds, was_available: false };
    let object = serde_json::from_value(deployment(bounds)).unwrap();
    rollout.deployments().create(&PostParams::default(), &object).await.unwrap();
    rollout.finish().await;
    for image in ["v1", "v2", "v0"] {
        let containers = json!([{"name": "c", "image": image}]);
        let patch = Patch::Merge(json!({"spec": {"template": {"spec": {"containers": containers}}}}));
        rollout.deployments().patch("web", &PatchParams::default(), &patch).await.unwrap();
        rollout.finish().await;
    }
    stop.cancel();
    running.await.unwrap();
}

#[test]
fn ten_seeds_keep_the_bounds() {
    for seed in 0..10 {
        // A runtime for each: nothing of one run is left in the next.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(roll_out(seed));
    }
}
