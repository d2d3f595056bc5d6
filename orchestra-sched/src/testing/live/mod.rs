mod path;
mod server;

use std::{fmt, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Client;
use orchestra_core::{
    ObjectKey,
    clock::TokioClock,
    event_recorder::EventRecorder,
    informer::{Informed, InformerFactory},
    random::Generator,
    scheduler::Scheduler,
};
use serde::Serialize;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::server::{Server, State};
use super::{
    PodBuilder, TestCluster,
    cluster::{gang, key},
};
use crate::driver::{DEFAULT_SCHEDULER_NAME, SchedulerDriver};

/// How long what should happen may take, by the clock of tokio. It is less than the time after which the queue tries pods again without a
/// reason.
const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster in which the whole loop runs: [`SchedulerDriver`] with its queue, informers and bindings, against a small API server in
/// memory. There are no kubelets: pods that are bound stay as they are.
///
/// Run it under tokio's paused time (`#[tokio::test(start_paused = true)]`): back-offs then take no time, and the same seed gives the same course of events.
/// A whole cluster, with controllers and kubelets, is `orchestra_runtime::Cluster`.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// use std::sync::Arc;
/// use orchestra_sched::{framework::Framework, testing::{TestCluster, node, pod}};
///
/// let cluster = TestCluster::new().node(node("n1").cpu(1)).pod(pod("large").cpu(4));
/// let live = cluster.start(Arc::new(Framework::kubernetes()));
/// assert!(live.unschedulable("large").await.starts_with("0/1 nodes are available: 1 Insufficient cpu."));
/// live.add_node(node("n2").cpu(4));
/// assert_eq!(live.bound("large").await, "n2");
/// let cluster = live.stop().await;
/// cluster.assert_on("large", "n2");
/// # });
/// ```
pub struct LiveCluster {
    server: Server,
    informers: InformerFactory,
    driver: JoinHandle<()>,
    stop: CancellationToken,
}

impl TestCluster {
    /// Runs the whole loop with `scheduler` for the pods that ask for the default scheduler. Call within a tokio runtime.
    pub fn start(self, scheduler: Arc<dyn Scheduler>) -> LiveCluster {
        self.start_with(scheduler, |driver| driver)
    }

    /// As [`start`](Self::start), with changes to the driver: more schedulers, another expiry.
    pub fn start_with(
        self,
        scheduler: Arc<dyn Scheduler>,
        change: impl FnOnce(SchedulerDriver) -> SchedulerDriver,
    ) -> LiveCluster {
        let server = Server::default();
        server.change(|state| {
            self.objects.into_iter().for_each(|(place, object)| {
                state.put(place, object);
            })
        });
        server.change(|state| {
            self.nodes.values().for_each(|node| put(state, &**node));
            let is_waiting = |key: &ObjectKey| self.waiting.contains(key);
            self.pods.iter().filter(|(key, _)| !is_waiting(key)).for_each(|(_, pod)| put(state, &**pod.pod()));
            // In the order in which they came.
            self.waiting.iter().filter_map(|key| self.pods.get(key)).for_each(|pod| put(state, &**pod.pod()));
        });
        let client = server.client();
        let informers = InformerFactory::new(client.clone());
        let clock = Arc::new(TokioClock::starting_at(Timestamp::UNIX_EPOCH));
        let name = DEFAULT_SCHEDULER_NAME;
        let recorder = EventRecorder::reporting(client.clone(), name, name, clock.clone());
        let seeds = Generator::seeded(self.seed);
        let driver = SchedulerDriver::new(client, informers.clone(), scheduler, recorder, clock, seeds);
        let stop = CancellationToken::new();
        let driver = tokio::spawn(change(driver).run(stop.clone()));
        LiveCluster { server, informers, driver, stop }
    }
}

impl LiveCluster {
    /// A client of the API server, for whatever there is no method for.
    pub fn client(&self) -> Client {
        self.server.client()
    }

    /// Adds a node, or changes the one of its name.
    pub fn add_node(&self, node: impl Into<Node>) {
        self.server.change(|state| put(state, &node.into()));
    }

    /// Adds a pod, or changes the one of its name.
    pub fn add_pod(&self, pod: impl Into<Pod>) {
        self.server.change(|state| put(state, &pod.into()));
    }

    /// Adds a PodGroup called `name` that asks for `count` pods at once, and these: `pod` under the names `NAME-0`, `NAME-1`...
    pub fn add_gang(&self, name: &str, count: usize, pod: PodBuilder) {
        let (group, pods) = gang(name, count, &pod);
        self.server.change(|state| {
            put(state, &group);
            pods.iter().for_each(|pod| put(state, pod));
        });
    }

    /// Adds an object of another kind, or changes the one of its name.
    pub fn add_object<K: Informed + Serialize>(&self, object: &K) {
        self.server.change(|state| put(state, object));
    }

    /// Deletes a node.
    pub fn remove_node(&self, name: &str) {
        self.server.change(|state| state.remove(&("nodes".to_owned(), ObjectKey::cluster(name))));
    }

    /// Deletes the pod called `name`, or `namespace/name`.
    pub fn remove_pod(&self, name: &str) {
        self.server.change(|state| state.remove(&("pods".to_owned(), key(name))));
    }

    /// The node that a pod is bound to.
    pub fn node_of(&self, pod: &str) -> Option<String> {
        self.server.change(|state| node_of(state, &key(pod)))
    }

    /// Waits until a pod is bound, and returns its node.
    ///
    /// # Panics
    /// If it is not bound within a minute; the message says what happened instead.
    pub async fn bound(&self, pod: &str) -> String {
        let bound = self.server.until(PATIENCE, |state| node_of(state, &key(pod))).await;
        bound.unwrap_or_else(|| self.fail(&format!("pod {pod} should be bound, but is not")))
    }

    /// Waits until a pod is found to be unschedulable, and returns the message to the user.
    ///
    /// # Panics
    /// If it is not within a minute; the message says what happened instead.
    pub async fn unschedulable(&self, pod: &str) -> String {
        let message = self.server.until(PATIENCE, |state| unschedulable(state, &key(pod))).await;
        message.unwrap_or_else(|| self.fail(&format!("pod {pod} should be unschedulable, but is not said to be")))
    }

    /// Every event that was told to users, as `reason pod: message`.
    pub fn events(&self) -> Vec<String> {
        self.server.change(|state| state.events.clone())
    }

    /// Stops the loop, and returns the cluster as it is then.
    pub async fn stop(self) -> TestCluster {
        self.stop.cancel();
        let ended = self.driver.await;
        self.informers.shut_down().await;
        if let Err(error) = ended {
            panic!("the scheduler's loop failed: {error}");
        }
        let objects: Vec<Value> = self.server.change(|state| state.objects.values().cloned().collect());
        let mut cluster = TestCluster::new();
        for object in objects {
            // What is of a kind that files do not have is of no use to schedulers.
            let _ = cluster.add_document(1, object);
        }
        cluster
    }

    fn fail(&self, what: &str) -> ! {
        let (pods, events) = self.server.change(|state| {
            let pods = state.objects.iter().filter(|((plural, _), _)| plural == "pods");
            let line = |key: &ObjectKey, pod: &Value| {
                let node = pod["spec"]["nodeName"].as_str().unwrap_or("(no node)");
                format!("{key} {node} {}", unschedulable(state, key).unwrap_or_default())
            };
            let lines: Vec<String> = pods.map(|((_, key), pod)| line(key, pod)).collect();
            (lines.join("\n"), state.events.join("\n"))
        });
        panic!("{what}\n\npods:\n{pods}\n\nevents:\n{events}\n")
    }
}

impl fmt::Debug for LiveCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveCluster").finish_non_exhaustive()
    }
}

fn put<K: Informed + Serialize>(state: &mut State, object: &K) {
    let json = serde_json::to_value(object).unwrap_or_default();
    state.put((K::plural(&()).into_owned(), ObjectKey::of(object)), json);
}

fn node_of(state: &State, pod: &ObjectKey) -> Option<String> {
    state.pod(pod)?["spec"]["nodeName"].as_str().map(str::to_owned)
}

fn unschedulable(state: &State, pod: &ObjectKey) -> Option<String> {
    let conditions = state.pod(pod)?["status"]["conditions"].as_array()?;
    let scheduled = conditions.iter().find(|condition| condition["type"] == "PodScheduled")?;
    (scheduled["status"] == "False").then(|| scheduled["message"].as_str().unwrap_or_default().to_owned())
}
